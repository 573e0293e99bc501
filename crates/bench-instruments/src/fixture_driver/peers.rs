//! The switches between the fixture's own memories and the nails.

use super::FixtureDriver;
use crate::{InstrumentError, Peers};
use async_trait::async_trait;
use bench_plan::IoBit;
use embedded_hal::i2c::I2c;

#[async_trait(?Send)]
impl<I: I2c> Peers for FixtureDriver<I> {
    async fn connect(&self, id: &str) -> Result<(), InstrumentError> {
        let no_such = || InstrumentError::NoSuchPeer(id.to_owned());
        let select = self.fixture.peer(id).map(|peer| peer.select).ok_or_else(no_such)?;
        if !self.any_rail_on() {
            let text = format!("joining {id} to a module without power, which it would feed through its pins");
            return Err(InstrumentError::Unsafe(text));
        }
        self.disconnect_all().await?;
        self.ports.borrow_mut().set_outputs(&[(select, true)])
    }

    async fn disconnect_all(&self) -> Result<(), InstrumentError> {
        let off: Vec<(IoBit, bool)> = self.fixture.peers.iter().map(|peer| (peer.select, false)).collect();
        self.ports.borrow_mut().set_outputs(&off)
    }
}
