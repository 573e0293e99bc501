//! The fixture's NFC reader.

use crate::InstrumentError;
use async_trait::async_trait;

/// A tag of type A that was selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NfcTarget {
    /// Its identifier: 4, 7 or 10 bytes.
    pub id: Vec<u8>,
    /// Its answer to the selection: 0x00 is a tag of Type 2.
    pub select_answer: u8,
}

/// An NFC reader at the module's antenna. Its field is off after the safe state.
#[async_trait(?Send)]
pub trait NfcReader {
    /// Strongest field that [`NfcReader::set_field`] takes.
    fn strongest(&self) -> u8;
    /// Joins the fixture's antenna to the module's contacts, or disconnects it. Does nothing where the antenna is
    /// plugged into a connector of the module.
    ///
    /// # Errors
    /// [`InstrumentError::NoNfcReader`], here and below, for a fixture without one.
    async fn join(&self, on: bool) -> Result<(), InstrumentError>;
    /// Switches the field off, and on again for a strength of 1 or more, which restarts every tag in it. Waits until a
    /// tag is ready.
    async fn set_field(&self, strength: u8) -> Result<(), InstrumentError>;
    /// Searches for a tag in the field and selects it.
    async fn find(&self) -> Result<Option<NfcTarget>, InstrumentError>;
    /// Sends a command with its checksum to the selected tag and returns the answer without its checksum; `None` if
    /// there was none, or a damaged one.
    async fn exchange(&self, command: &[u8]) -> Result<Option<Vec<u8>>, InstrumentError>;
}
