//! Everything a step may touch.

use crate::{ImageFile, SharedLink, StepError};
use bench_instruments::{
    BleAir, Clock, ControllerLoad, Dut, DutError, EdgeCapture, Image, LinkRelay, MeasureBus, NailVector, Nails,
    NfcReader, Panel, Peers, Programmer, Rails, Switches, UsbHost, UsbSwitch,
};
use bench_plan::DutFamily;
use bench_run::Contact;
use dut_protocol::{PortSet, PortVector, Reply, Request};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// One DUT position with its instruments and the module in it.
#[derive(Clone)]
pub struct Nest {
    pub clock: Rc<dyn Clock>,
    pub nails: Rc<dyn Nails>,
    pub bus: Rc<dyn MeasureBus>,
    pub rails: Rc<dyn Rails>,
    /// All switches read back; for the owner of power, not for steps.
    pub switches: Rc<dyn Switches>,
    pub relay: Rc<dyn LinkRelay>,
    pub peers: Rc<dyn Peers>,
    pub edges: Rc<dyn EdgeCapture>,
    pub dut: Rc<dyn Dut>,
    /// Steps that overlap talk through [`Nest::ask`] and [`Nest::request`], which heed it.
    pub link: Rc<SharedLink>,
    pub usb_switch: Rc<dyn UsbSwitch>,
    pub usb: Rc<dyn UsbHost>,
    /// What is known of the modem on the module.
    pub modem: Rc<crate::modem::ModemState>,
    pub ble: Rc<dyn BleAir>,
    pub nfc: Rc<dyn NfcReader>,
    pub programmer: Rc<dyn Programmer>,
    /// The test firmware that the plan names.
    pub firmware: Rc<Image>,
    /// What else its steps put into the module.
    pub images: Rc<BTreeMap<ImageFile, Image>>,
    /// Lid, button, lamps and watchdog.
    pub panel: Panel,
    /// What the controller is busy with.
    pub load: Rc<dyn ControllerLoad>,
    /// The family that the plan is for.
    pub family: Rc<DutFamily>,
    /// Serial number of the unit, as scanned.
    pub serial: String,
    /// IMEI that stands on its label, where somebody gave it.
    pub imei: Option<String>,
}

/// What a nest has beside the driver of its fixture.
pub struct Ends {
    pub clock: Rc<dyn Clock>,
    pub dut: Rc<dyn Dut>,
    pub usb: Rc<dyn UsbHost>,
    pub programmer: Rc<dyn Programmer>,
    pub ble: Rc<dyn BleAir>,
    pub panel: Panel,
    pub load: Rc<dyn ControllerLoad>,
}

/// Sent around the fixture's loop-back: every bit pattern that a broken line tends to swallow.
const LOOPBACK_PATTERN: &[u8] = &[0x00, 0xff, 0x55, 0xaa, 0x01, 0x80, 0x7e, 0xc3, b'b', b'e', b'n', b'c', b'h'];

/// A contact below this carries no charge that disturbs the ohm-meter.
const DRAINED_VOLTS: f64 = 0.005;
/// Longest time that a discharge resistor needs for what the ohm-meter left.
const DRAINED_WITHIN: Duration = Duration::from_millis(200);
const DRAINED_LOOK: Duration = Duration::from_millis(2);
/// Below this no port of the module works.
const POWERED_VOLTS: f64 = 1.0;

/// Longest bounce of the link's relay.
const RELAY_SETTLE: Duration = Duration::from_millis(2);

impl Nest {
    /// A nest whose fixture one driver drives as a whole, with a module of this family and serial number in it.
    pub fn on<D>(driver: Rc<D>, ends: Ends, family: &DutFamily, serial: &str) -> Self
    where
        D: Nails + MeasureBus + Rails + Switches + LinkRelay + Peers + EdgeCapture + UsbSwitch + NfcReader + 'static,
    {
        let Ends { clock, dut, usb, programmer, ble, panel, load } = ends;
        Self {
            nails: driver.clone(),
            bus: driver.clone(),
            rails: driver.clone(),
            switches: driver.clone(),
            relay: driver.clone(),
            peers: driver.clone(),
            edges: driver.clone(),
            usb_switch: driver.clone(),
            nfc: driver,
            clock,
            dut,
            usb,
            programmer,
            ble,
            panel,
            load,
            firmware: Rc::default(),
            images: Rc::default(),
            imei: None,
            modem: Rc::default(),
            link: Rc::default(),
            family: Rc::new(family.clone()),
            serial: serial.to_owned(),
        }
    }

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
        match self.request(request).await {
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.silent(error).await),
        }
    }

    /// One request, for who wants to see a refusal; [`Nest::silent`] knows what another error means. Nothing is sent to
    /// a module that a step beside this one has just given up.
    ///
    /// # Errors
    /// Those of [`Dut::request`].
    pub async fn request(&self, request: Request) -> Result<Reply, DutError> {
        let _talking = self.link.talk().await;
        match self.link.given_up() {
            Some(_) => Err(DutError::Unknown),
            None => self.dut.request(request).await,
        }
    }

    /// Who is to blame for an error of the link: the module, or the bench's own half of the line?
    pub async fn silent(&self, error: DutError) -> StepError {
        let silent = matches!(error, DutError::Silent { .. } | DutError::Unknown);
        if !silent {
            return error.into();
        }
        let _alone = self.link.alone().await;
        if let Some(found) = self.link.given_up() {
            return found;
        }
        let found = match self.hears_itself(None).await {
            Ok(true) => StepError::Dut(error.to_string()),
            Ok(false) => StepError::Bench(LOOPBACK_BROKEN.to_owned()),
            Err(broken) => broken,
        };
        self.link.give_up(found.clone());
        found
    }

    /// Whether the controller hears itself. Leaves the link off the nails: while the module has no power, an idle TX
    /// would feed it through the protection diode of its RX.
    pub async fn loopback_works(&self) -> Result<bool, StepError> {
        self.loopback_works_at(None).await
    }

    /// [`Nest::loopback_works`] at another rate than the one in use.
    pub async fn loopback_works_at(&self, baud: Option<u32>) -> Result<bool, StepError> {
        let _alone = self.link.alone().await;
        self.hears_itself(baud).await
    }

    async fn hears_itself(&self, baud: Option<u32>) -> Result<bool, StepError> {
        self.part_link().await?;
        Ok(self.dut.echo(LOOPBACK_PATTERN, baud).await? == LOOPBACK_PATTERN)
    }

    /// Takes the link off the nails.
    pub async fn leave_link(&self) -> Result<(), StepError> {
        let _alone = self.link.alone().await;
        self.part_link().await
    }

    async fn part_link(&self) -> Result<(), StepError> {
        self.relay.set_loopback(true).await?;
        self.settle(RELAY_SETTLE).await;
        Ok(())
    }

    /// Joins the link to the module, which must have power.
    pub async fn join_link(&self) -> Result<(), StepError> {
        let _alone = self.link.alone().await;
        self.relay.set_loopback(false).await?;
        self.link.joined();
        self.settle(RELAY_SETTLE).await;
        Ok(())
    }

    /// Releases every nail and lets the measure bus go; tries the second whatever becomes of the first.
    pub async fn release_nails(&self) -> Result<(), StepError> {
        let nails = self.nails.release_all().await;
        let bus = self.bus.release().await;
        Ok(nails.and(bus)?)
    }

    /// Does `work`, then releases every nail, however the work ended.
    pub async fn released_after<T>(&self, work: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
        let outcome = work.await;
        let released = self.release_nails().await;
        // What went wrong first says more.
        outcome.and_then(|value| released.map(|()| value))
    }

    /// Does `work` while these rails, which are off, float; then they are discharged again, however the work ended.
    pub async fn undischarged<T>(
        &self,
        rails: &[&str],
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        let mut outcome = Ok(());
        for rail in rails {
            outcome = outcome.and(self.rails.discharge(rail, false).await);
        }
        let outcome = match outcome {
            Ok(()) => work.await,
            Err(error) => Err(error.into()),
        };
        let mut discharged = Ok(());
        for rail in rails {
            discharged = discharged.and(self.rails.discharge(rail, true).await);
        }
        outcome.and_then(|value| Ok(discharged.map(|()| value)?))
    }

    /// Waits until the ohm-meter's charge on a rail has gone through the discharge resistor, seen at one of its
    /// contacts. A charge that stays is told by the next use of the ohm-meter.
    pub async fn drained(&self, contact: Contact) -> Result<(), StepError> {
        let deadline = self.clock.now() + DRAINED_WITHIN;
        while self.bus.volts(contact).await? > DRAINED_VOLTS && self.clock.now() < deadline {
            self.settle(DRAINED_LOOK).await;
        }
        Ok(())
    }

    /// Voltage of the rail that supplies the ports, which must be on.
    pub async fn supply_volts(&self, rail: &str) -> Result<f64, StepError> {
        let volts = self.rails.measure(rail).await?.volts;
        if volts >= POWERED_VOLTS {
            return Ok(volts);
        }
        Err(StepError::Bench(format!(
            "rail {rail} carries only {volts:.3} V: switch it on in an earlier step, or see what has pulled it down"
        )))
    }

    /// Switches a rail off, unless a modem that is on lives on it: it must be switched off first, in its own time.
    pub async fn rail_off(&self, rail: &str) -> Result<(), StepError> {
        match self.modem.get() {
            Some(modem) if modem.supply == rail => Err(StepError::Bench(format!(
                "rail {rail} feeds a modem that is on: let the step come before `modem-on` or after `modem-off`"
            ))),
            _ => Ok(self.rails.off(rail).await?),
        }
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

    /// The contact that switches the module's own supply off while it is low, where the family has one: a power contact
    /// that the module pulls up. With power on, nobody may load it who looks at something else.
    pub fn enable_contact(&self) -> Option<Contact> {
        let is_enable = |info: &&bench_plan::ContactInfo| {
            info.functions.contains(&bench_plan::Function::Power) && info.pull_up_ohms.is_some()
        };
        self.family.contacts.iter().find(is_enable).map(|info| info.contact)
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
