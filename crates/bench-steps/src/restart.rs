//! Restarts the module in every possible way, and checks whether it answers afterwards.

use crate::{Nest, StepError};
use bench_instruments::DutError;
use bench_run::Contact;
use dut_protocol::{Identity, Reply, Request};
use std::time::Duration;

/// Startup time of the firmware, after a first power-up with the restart that writes UICR.
pub(crate) const STARTS: Duration = Duration::from_millis(20);
/// How long the reset contact is held low.
const HELD: Duration = Duration::from_millis(2);

/// POWER.RESETREAS: the reset pin, a request by software, and a port that ended System OFF.
pub(crate) const RESET_PIN: u32 = 1;
pub(crate) const SOFTWARE: u32 = 1 << 2;
pub(crate) const WOKEN: u32 = 1 << 16;

/// Greets a module that has just been started; `None` if it does not answer. The link must be connected.
pub(crate) async fn greet(nest: &Nest, baud: u32) -> Result<Option<Identity>, StepError> {
    nest.dut.disconnect().await;
    match nest.dut.connect(baud).await {
        Ok(_) => {}
        Err(DutError::Silent { .. }) => return Ok(None),
        Err(error) => return Err(nest.silent(error).await),
    }
    match nest.ask(Request::Identify).await? {
        Reply::Identity(identity) => Ok(Some(identity)),
        other => Err(DutError::OutOfTurn(other).into()),
    }
}

/// Like the function above, for a module that must answer.
pub(crate) async fn greet_again(nest: &Nest, baud: u32, after: &str) -> Result<Identity, StepError> {
    if let Some(identity) = greet(nest, baud).await? {
        return Ok(identity);
    }
    match nest.loopback_works().await? {
        true => Err(StepError::Dut(format!("the module does not answer after {after}"))),
        false => Err(StepError::Bench(crate::nest::LOOPBACK_BROKEN.to_owned())),
    }
}

/// Pulls the reset contact low for a moment and waits for the firmware.
pub(crate) async fn by_contact(nest: &Nest, reset: Contact) -> Result<(), StepError> {
    nest.released_after(async {
        nest.drive_nail(reset, false).await?;
        nest.settle(HELD).await;
        nest.release_nail(reset).await
    })
    .await?;
    nest.settle(STARTS).await;
    Ok(())
}
