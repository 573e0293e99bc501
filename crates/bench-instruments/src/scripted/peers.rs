//! Parts that can be joined, with a record of the joined one.

use crate::{InstrumentError, Peers};
use async_trait::async_trait;
use std::cell::RefCell;

/// Peers by name. At most one is joined, as on a real fixture.
#[derive(Debug, Default)]
pub struct ScriptedPeers {
    names: Vec<String>,
    connected: RefCell<Option<String>>,
}

impl ScriptedPeers {
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { names: names.into_iter().map(str::to_owned).collect(), connected: RefCell::default() }
    }

    /// Returns the joined peer.
    pub fn connected(&self) -> Option<String> {
        self.connected.borrow().clone()
    }
}

#[async_trait(?Send)]
impl Peers for ScriptedPeers {
    async fn connect(&self, id: &str) -> Result<(), InstrumentError> {
        if !self.names.iter().any(|names| names == id) {
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
