//! The link to the module, shared by steps that overlap.

use crate::StepError;
use std::cell::{Cell, RefCell};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Who may talk, and the diagnosis when the module did not answer.
///
/// When one of several steps gets no answer, it disconnects the link to check whether the bench receives its own bytes.
/// The others must not talk meanwhile: they would receive their own bytes too. Afterwards the link stays disconnected,
/// and the diagnosis holds for all steps until one of them connects the link again.
#[derive(Debug, Default)]
pub struct SharedLink {
    /// Read-locked to talk, write-locked to switch the link's relay.
    turn: RwLock<()>,
    given_up: RefCell<Option<StepError>>,
    /// Whether the relay joins the controller to the module.
    joined: Cell<bool>,
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

    pub(crate) fn is_joined(&self) -> bool {
        self.joined.get()
    }

    pub(crate) fn switched(&self, joined: bool) {
        self.joined.set(joined);
    }

    /// A step begins the conversation again.
    pub(crate) fn start_anew(&self) {
        *self.given_up.borrow_mut() = None;
    }
}
