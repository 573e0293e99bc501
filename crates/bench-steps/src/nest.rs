//! Everything a step may touch.

use crate::StepError;
use bench_instruments::{Clock, Dut, DutError, LinkRelay, MeasureBus, NailVector, Nails, Rails};
use bench_plan::DutFamily;
use bench_run::Contact;
use dut_protocol::{PortSet, PortVector, Reply, Request};
use std::rc::Rc;
use std::time::Duration;

/// One DUT position with its instruments and the module in it.
#[derive(Clone)]
pub struct Nest {
    pub clock: Rc<dyn Clock>,
    pub nails: Rc<dyn Nails>,
    pub bus: Rc<dyn MeasureBus>,
    pub rails: Rc<dyn Rails>,
    pub relay: Rc<dyn LinkRelay>,
    pub dut: Rc<dyn Dut>,
    /// The family that the plan is for.
    pub family: Rc<DutFamily>,
    /// Serial number of the unit, as scanned.
    pub serial: String,
}

/// Sent around the fixture's loop-back: every bit pattern that a broken line tends to swallow.
const LOOPBACK_PATTERN: &[u8] = &[0x00, 0xff, 0x55, 0xaa, 0x01, 0x80, 0x7e, 0xc3, b'b', b'e', b'n', b'c', b'h'];

/// Longest bounce of the link's relay.
const RELAY_SETTLE: Duration = Duration::from_millis(2);

impl Nest {
    /// "23 (A0)".
    pub fn label(&self, contact: Contact) -> String {
        self.family.label(contact)
    }

    pub async fn settle(&self, span: Duration) {
        self.clock.sleep(span).await;
    }

    /// One test vector: ports set, settled, all levels read.
    pub async fn vector(&self, vector: PortVector) -> Result<PortSet, StepError> {
        match self.ask(Request::ApplyVector(vector)).await? {
            Reply::Levels(levels) => Ok(levels),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    /// All ports of the DUT but the link's to high impedance.
    pub async fn release_ports(&self) -> Result<(), StepError> {
        self.ask(Request::ReleasePorts).await.map(drop)
    }

    /// One request; when no answer comes, the link is looked at before anybody is blamed.
    pub async fn ask(&self, request: Request) -> Result<Reply, StepError> {
        match self.dut.request(request).await {
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.silent(error).await),
        }
    }

    /// Who is to blame for an error of the link: the module, or the bench's own half of the line?
    pub async fn silent(&self, error: DutError) -> StepError {
        let silent = matches!(error, DutError::Silent { .. } | DutError::Unknown);
        if !silent {
            return error.into();
        }
        match self.loopback_works().await {
            Ok(true) => StepError::Dut(error.to_string()),
            Ok(false) => StepError::Bench(LOOPBACK_BROKEN.to_owned()),
            Err(broken) => broken,
        }
    }

    /// Whether the controller hears itself. Leaves the link off the nails: while the module has no power, an idle TX
    /// would feed it through the protection diode of its RX.
    pub async fn loopback_works(&self) -> Result<bool, StepError> {
        self.relay.set_loopback(true).await?;
        self.settle(RELAY_SETTLE).await;
        Ok(self.dut.echo(LOOPBACK_PATTERN).await? == LOOPBACK_PATTERN)
    }

    /// Joins the link to the module, which must have power.
    pub async fn join_link(&self) -> Result<(), StepError> {
        self.relay.set_loopback(false).await?;
        self.settle(RELAY_SETTLE).await;
        Ok(())
    }

    /// Releases every nail and lets the measure bus go.
    pub async fn release_nails(&self) -> Result<(), StepError> {
        self.nails.release_all().await?;
        self.bus.release().await?;
        Ok(())
    }

    /// Drives one nail and leaves the others alone.
    pub async fn drive_nail(&self, contact: Contact, high: bool) -> Result<(), StepError> {
        let one = [contact].into_iter().collect();
        let vector = if high {
            NailVector { high: one, ..Default::default() }
        } else {
            NailVector { low: one, ..Default::default() }
        };
        Ok(self.nails.set(vector).await?)
    }

    pub async fn release_nail(&self, contact: Contact) -> Result<(), StepError> {
        Ok(self.nails.set(NailVector { float: [contact].into_iter().collect(), ..Default::default() }).await?)
    }

    /// The contact of the module's reset pad, where the family has one.
    pub fn reset_contact(&self) -> Option<Contact> {
        let reset = bench_plan::Function::Reset;
        self.family.contacts.iter().find(|info| info.functions.contains(&reset)).map(|info| info.contact)
    }
}

/// What the technician reads when the bench does not hear itself.
pub(crate) const LOOPBACK_BROKEN: &str = "the bench does not hear itself over the fixture's loop-back relay: \
    check the cable between the controller's UART and the fixture";
