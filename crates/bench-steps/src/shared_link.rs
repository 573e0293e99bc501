//! The link to the module, as steps that overlap share it.

use crate::StepError;
use std::cell::RefCell;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Who may talk, and what was found when nobody answered.
///
/// When one of several steps gets no answer, it takes the link off the nails to see whether the bench hears itself. The
/// others must not talk meanwhile: they would hear themselves too. Afterwards the link stays off the nails, and what was
/// found holds for all of them, until somebody joins the link again.
#[derive(Debug, Default)]
pub struct SharedLink {
    /// Read by who talks, written by who switches the link's relay.
    turn: RwLock<()>,
    given_up: RefCell<Option<StepError>>,
}

impl SharedLink {
    pub(crate) async fn talk(&self) -> RwLockReadGuard<'_, ()> {
        self.turn.read().await
    }

    pub(crate) async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.turn.write().await
    }

    /// Why the module was given up, if it was.
    pub(crate) fn given_up(&self) -> Option<StepError> {
        self.given_up.borrow().clone()
    }

    pub(crate) fn give_up(&self, why: StepError) {
        *self.given_up.borrow_mut() = Some(why);
    }

    pub(crate) fn joined(&self) {
        *self.given_up.borrow_mut() = None;
    }
}
