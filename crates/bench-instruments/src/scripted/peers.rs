//! Parts that can be joined, with a record of the joined one.

use crate::{InstrumentError, Peers};
use async_trait::async_trait;
use std::cell::RefCell;

/// Peers by name. At most one is joined, as on a real fixture.
#[derive(Debug, Default)]
pub struct ScriptedPeers {
    known: Vec<String>,
    connected: RefCell<Option<String>>,
}

impl ScriptedPeers {
    pub fn new<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        Self { known: known.into_iter().map(str::to_owned).collect(), connected: RefCell::default() }
    }

    /// Returns the joined peer.
    pub fn connected(&self) -> Option<String> {
        self.connected.borrow().clone()
    }
}

#[async_trait(?Send)]
impl Peers for ScriptedPeers {
    async fn connect(&self, id: &str) -> Result<(), InstrumentError> {
        if !self.known.iter().any(|known| known == id) {
            return Err(InstrumentError::NoSuchPeer(id.to_owned()));
        }
        *self.connected.borrow_mut() = Some(id.to_owned());
        Ok(())
    }

    async fn disconnect_all(&self) -> Result<(), InstrumentError> {
        *self.connected.borrow_mut() = None;
        Ok(())
    }
}
