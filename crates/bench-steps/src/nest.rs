//! Everything that a step may use.

use crate::{ImageFile, Safekeeping, SharedLink, StepError};
use bench_instruments::{
    BleAir, Clock, ControllerLoad, Dut, DutError, EdgeCapture, Image, InstrumentError, LinkRelay, MeasureBus,
    NailVector, Nails, NfcReader, NoPrograms, NoRunFiles, Nobody, Panel, Peers, Person, Plausibility, Programmer,
    Programs, Rails, RunFiles, Switches, UsbHost, UsbSwitch,
};
use bench_plan::DutFamily;
use bench_run::Contact;
use dut_protocol::{INITIAL_BAUD, PortSet, PortVector, Reply, Request};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// One DUT position with its instruments and the module in it.
#[derive(Clone)]
pub struct Nest {
    pub clock: Rc<dyn Clock>,
    pub nails: Rc<dyn Nails>,
    pub bus: Rc<dyn MeasureBus>,
    pub rails: Rc<dyn Rails>,
    /// Reads all switches back; for the owner of power, not for steps.
    pub switches: Rc<dyn Switches>,
    pub relay: Rc<dyn LinkRelay>,
    pub peers: Rc<dyn Peers>,
    pub edges: Rc<dyn EdgeCapture>,
    pub dut: Rc<dyn Dut>,
    /// Steps that overlap talk through [`Nest::ask`] and [`Nest::request`], which honour it.
    pub link: Rc<SharedLink>,
    pub usb_switch: Rc<dyn UsbSwitch>,
    pub usb: Rc<dyn UsbHost>,
    /// What the monitors of rails show while the rails are off: found by `bench-check`, amperes.
    pub zero_amps: Rc<RefCell<BTreeMap<String, f64>>>,
    /// The contact that the controller's TX reaches over the relay.
    pub dut_rx: Option<Contact>,
    /// Checks that the bench does without, to measure what they are worth.
    pub unchecked: Rc<[Plausibility]>,
    /// State of the modem on the module.
    pub modem: Rc<crate::modem::ModemState>,
    pub ble: Rc<dyn BleAir>,
    pub nfc: Rc<dyn NfcReader>,
    pub programmer: Rc<dyn Programmer>,
    /// The test firmware that the plan names.
    pub firmware: Rc<Image>,
    /// Other files that the plan's steps write into the module.
    pub images: Rc<BTreeMap<ImageFile, Image>>,
    /// Pictures that the plan's questions show, by their name in the plan.
    pub pictures: Rc<BTreeMap<String, PathBuf>>,
    /// What was in the module before it was programmed, if that must come back.
    pub safekeeping: Rc<Safekeeping>,
    /// A person allows to erase a locked module, with everything that is on it.
    pub may_erase_locked: bool,
    /// Lid, button, lamps and watchdog.
    pub panel: Panel,
    /// Who does what no instrument can.
    pub person: Rc<dyn Person>,
    /// What the controller is busy with.
    pub load: Rc<dyn ControllerLoad>,
    /// Starts the programs of the plan.
    pub programs: Rc<dyn Programs>,
    pub program_place: Rc<ProgramPlace>,
    /// Files that steps add to the run's folder.
    pub files: Rc<dyn RunFiles>,
    /// The family of the plan.
    pub family: Rc<DutFamily>,
    /// Serial number of the unit, as scanned.
    pub serial: String,
    /// IMEI on its label, where given.
    pub imei: Option<String>,
}

/// Where the plan's programs run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramPlace {
    /// The plan's folder: what a plan names is relative to it.
    pub folder: PathBuf,
    /// Folder of the Python package for programs, where there is one.
    pub python: Option<PathBuf>,
}

/// Parts of a nest besides the driver of its fixture.
pub struct Ends {
    pub clock: Rc<dyn Clock>,
    pub dut: Rc<dyn Dut>,
    pub usb: Rc<dyn UsbHost>,
    pub programmer: Rc<dyn Programmer>,
    pub ble: Rc<dyn BleAir>,
    pub panel: Panel,
    pub load: Rc<dyn ControllerLoad>,
}

/// Ground contacts that must all float before the module is missed: one or two may be open.
const TOUCHED_GROUNDS: usize = 3;
const TOUCH_VOLTS: f64 = 0.2;
/// Through the source's resistor, into the module's RX.
const IDLE_TEST_VOLTS: f64 = 2.0;
/// What a contact shows then that nothing drives.
const PULLED_VOLTS: std::ops::RangeInclusive<f64> = 1.2..=2.6;
const MOVED_VOLTS: f64 = 0.1;
/// Text for the operator when no ground contact is touched.
pub(crate) const NO_TOUCH: &str =
    "the nails lost touch with the module: is it still in the nest, and is the lid closed?";
const ANSWER_LOST: &str = "an answer of the module got lost on the link, and now it answers: check the cable and the UART between \
     controller and fixture";
/// Sent around the fixture's loop-back: bit patterns that a broken line tends to lose.
const LOOPBACK_PATTERN: &[u8] = &[0x00, 0xff, 0x55, 0xaa, 0x01, 0x80, 0x7e, 0xc3, b'b', b'e', b'n', b'c', b'h'];

/// How often it is sent: long enough to notice a line that loses a byte now and then.
const LOOPS: usize = 40;
/// How many of these in a row, before a module is blamed: a third of a second.
const ROUNDS: usize = 8;
const LOSSY: &str = "over the fixture's loop-back relay the bench hears itself, but with bytes lost or added: check the cable and the \
     UART between controller and fixture, and whether another program uses it";

/// A contact below this carries no charge that disturbs the ohmmeter.
const DRAINED_VOLTS: f64 = 0.005;
/// Longest time for a discharge resistor to remove the charge of the ohmmeter.
const DRAINED_WITHIN: Duration = Duration::from_millis(200);
const DRAINED_LOOK: Duration = Duration::from_millis(2);
/// Below this no port of the module works.
const POWERED_VOLTS: f64 = 1.0;

/// Longest bounce of the link's relay.
const RELAY_SETTLE: Duration = Duration::from_millis(2);

impl Nest {
    /// Creates a nest whose fixture is driven by one driver, with a module of this family and serial number in it.
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
            person: Rc::new(Nobody),
            programs: Rc::new(NoPrograms),
            program_place: Rc::default(),
            files: Rc::new(NoRunFiles),
            safekeeping: Rc::default(),
            may_erase_locked: false,
            load,
            firmware: Rc::default(),
            images: Rc::default(),
            pictures: Rc::default(),
            imei: None,
            modem: Rc::default(),
            zero_amps: Rc::default(),
            dut_rx: None,
            unchecked: Rc::from([]),
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

    /// Sends a request. When no answer arrives, it checks the link before it blames the module.
    pub async fn ask(&self, request: Request) -> Result<Reply, StepError> {
        match self.request(request).await {
            Ok(reply) => Ok(reply),
            Err(error) => Err(self.silent(error).await),
        }
    }

    /// Sends a request for a caller that handles refusals; [`Nest::silent`] diagnoses other errors. Sends nothing to a
    /// module that an overlapping step has given up.
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

    /// Decides whether the module or the bench's own half of the line caused an error of the link.
    pub async fn silent(&self, error: DutError) -> StepError {
        let silent = matches!(error, DutError::Silent { .. } | DutError::Unknown);
        if !silent {
            return error.into();
        }
        let _alone = self.link.alone().await;
        if let Some(reason) = self.link.given_up() {
            return reason;
        }
        let reason = match self.hears_itself(None).await {
            Ok(true) => match self.why_it_seems_silent().await {
                Some(bench) => StepError::Bench(bench),
                None => StepError::Dut(error.to_string()),
            },
            Ok(false) => StepError::Bench(LOOPBACK_BROKEN.to_owned()),
            Err(broken) => broken,
        };
        self.link.give_up(reason.clone());
        reason
    }

    /// What else on the bench makes a module silent although the controller hears itself. Leaves the link disconnected.
    async fn why_it_seems_silent(&self) -> Option<String> {
        if !self.checks(Plausibility::LossyLink) {
            return None;
        }
        let looked = async {
            if !self.touches().await? {
                return Ok(Some(NO_TOUCH.to_owned()));
            }
            if let Some(why) = self.relay_reaches().await? {
                return Ok(Some(why));
            }
            if let Some(lossy) = self.lossy_link().await? {
                return Ok(Some(lossy));
            }
            // Its answer may have been lost on the way.
            self.switch_link(true).await?;
            let again = self.dut.request(Request::Identify).await;
            self.switch_link(false).await?;
            match again {
                Err(DutError::Link(error)) => Err(error),
                again => Ok(again.is_ok().then(|| ANSWER_LOST.to_owned())),
            }
        };
        match looked.await {
            Ok(found) => found,
            // A replay cannot look where the run had no reason to.
            Err(InstrumentError::NotRecorded(_)) => None,
            // An instrument that fails now is no witness.
            Err(error) => Some(error.to_string()),
        }
    }

    /// Why the controller's TX does not reach the module's RX over the relay, if it does not: a contact that only its own
    /// pull holds must change when an idle TX is joined to it.
    pub(crate) async fn relay_reaches(&self) -> Result<Option<String>, InstrumentError> {
        let Some(contact) = self.dut_rx else { return Ok(None) };
        let was_joined = self.link.is_joined();
        self.switch_link(false).await?;
        let parted = match self.bus.loaded_volts(contact, IDLE_TEST_VOLTS).await {
            // Without power, or without a channel, nothing can be seen.
            Err(InstrumentError::Unsafe(_) | InstrumentError::NotWired(_)) => None,
            other => Some(other?),
        };
        let joined = match parted.filter(|volts| PULLED_VOLTS.contains(volts)) {
            Some(parted) => {
                self.switch_link(true).await?;
                Some((parted, self.bus.loaded_volts(contact, IDLE_TEST_VOLTS).await?))
            }
            None => None,
        };
        self.switch_link(was_joined).await?;
        Ok(joined.filter(|(parted, joined)| (joined - parted).abs() < MOVED_VOLTS).map(|_| {
            format!("the controller's TX does not reach nail {}: the link relay does not close", self.label(contact))
        }))
    }

    /// Whether nails touch a module: a ground contact whose own switch is open is still held at ground through the module
    /// and its other ground contacts. `true` where that cannot be measured: a module with few grounds would lose its own.
    ///
    /// # Errors
    /// When an instrument fails.
    pub async fn touches(&self) -> Result<bool, InstrumentError> {
        let grounds: Vec<Contact> =
            self.family.with_function(bench_plan::Function::Ground).map(|info| info.contact).collect();
        if grounds.len() <= TOUCHED_GROUNDS {
            return Ok(true);
        }
        let mut floating = 0;
        for contact in grounds.into_iter().take(TOUCHED_GROUNDS) {
            match self.rails.feed(contact, false).await {
                Err(InstrumentError::NotWired(_) | InstrumentError::NoInstruments(_)) => continue,
                other => other?,
            }
            let volts = self.bus.loaded_volts(contact, TOUCH_VOLTS).await;
            self.rails.feed(contact, true).await?;
            match volts {
                Err(InstrumentError::NotWired(_) | InstrumentError::NoInstruments(_)) => continue,
                Ok(volts) if volts > 0.5 * TOUCH_VOLTS => floating += 1,
                Ok(_) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(floating < TOUCHED_GROUNDS)
    }

    /// Whether the bench does this check.
    pub fn checks(&self, check: Plausibility) -> bool {
        !self.unchecked.contains(&check)
    }

    /// What is wrong with a line that loses bytes or adds some now and then: it may have lost the module's answer, or
    /// added to what a step counted. Looks without the module, which may have reset itself; leaves the link as it is.
    pub(crate) async fn lossy_link(&self) -> Result<Option<String>, InstrumentError> {
        if !self.checks(Plausibility::LossyLink) || !self.relay.can_loop_back() {
            return Ok(None);
        }
        let was_joined = self.link.is_joined();
        self.switch_link(false).await?;
        let mut clean = true;
        for _ in 0..ROUNDS {
            clean = clean && self.echoes(Some(INITIAL_BAUD)).await?;
        }
        self.switch_link(was_joined).await?;
        Ok((!clean).then(|| LOSSY.to_owned()))
    }

    /// Whether the controller receives its own bytes. Leaves the link disconnected: while the module has no power, an
    /// idle TX would feed it through the protection diode of its RX.
    pub async fn loopback_works(&self) -> Result<bool, StepError> {
        self.loopback_works_at(None).await
    }

    /// Like [`Nest::loopback_works`], at another rate.
    pub async fn loopback_works_at(&self, baud: Option<u32>) -> Result<bool, StepError> {
        let _alone = self.link.alone().await;
        self.hears_itself(baud).await
    }

    async fn hears_itself(&self, baud: Option<u32>) -> Result<bool, StepError> {
        if !self.relay.can_loop_back() {
            return Err(StepError::Bench(UNCHECKED_LINK.to_owned()));
        }
        self.part_link().await?;
        Ok(self.echoes(baud).await?)
    }

    async fn echoes(&self, baud: Option<u32>) -> Result<bool, InstrumentError> {
        let pattern = LOOPBACK_PATTERN.repeat(LOOPS);
        Ok(self.dut.echo(&pattern, baud).await? == pattern)
    }

    /// Disconnects the link.
    pub async fn leave_link(&self) -> Result<(), StepError> {
        let _alone = self.link.alone().await;
        self.part_link().await
    }

    async fn part_link(&self) -> Result<(), StepError> {
        Ok(self.switch_link(false).await?)
    }

    async fn switch_link(&self, joined: bool) -> Result<(), InstrumentError> {
        self.relay.set_loopback(!joined).await?;
        self.link.switched(joined);
        self.settle(RELAY_SETTLE).await;
        Ok(())
    }

    /// Connects the link to the module, which must have power.
    pub async fn join_link(&self) -> Result<(), StepError> {
        let _alone = self.link.alone().await;
        self.switch_link(true).await?;
        self.link.start_anew();
        Ok(())
    }

    /// Releases every nail and the measure bus; does the second even if the first fails.
    pub async fn release_nails(&self) -> Result<(), StepError> {
        let nails = self.nails.release_all().await;
        let bus = self.bus.release().await;
        Ok(nails.and(bus)?)
    }

    /// Runs `work`, then releases every nail, also after an error.
    pub async fn released_after<T>(&self, work: impl Future<Output = Result<T, StepError>>) -> Result<T, StepError> {
        let outcome = work.await;
        let released = self.release_nails().await;
        // The first error says more.
        outcome.and_then(|value| released.map(|()| value))
    }

    /// Runs `work` while these rails, which are off, float; then discharges them again, also after an error.
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

    /// Waits until the ohmmeter's charge on a rail has gone through the discharge resistor, measured at one of its
    /// contacts. The next use of the ohmmeter reports a charge that remains.
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
            "rail {rail} carries only {volts:.3} V: switch it on in an earlier step, or find out what pulls it down"
        )))
    }

    /// Switches a rail off, unless it feeds a modem that is on: that must be switched off first.
    pub async fn rail_off(&self, rail: &str) -> Result<(), StepError> {
        match self.modem.get() {
            Some(modem) if modem.supply.as_deref() == Some(rail) => Err(StepError::Bench(format!(
                "rail {rail} feeds a modem that is on: move the step before `modem-on` or after `modem-off`"
            ))),
            _ => Ok(self.rails.off(rail).await?),
        }
    }

    /// Drives one nail and leaves the others unchanged.
    pub async fn drive_nail(&self, contact: Contact, high: bool) -> Result<(), StepError> {
        let nail = [contact].into_iter().collect();
        let vector = if high {
            NailVector { high: nail, ..Default::default() }
        } else {
            NailVector { low: nail, ..Default::default() }
        };
        Ok(self.nails.set(vector).await?)
    }

    pub async fn release_nail(&self, contact: Contact) -> Result<(), StepError> {
        Ok(self.nails.set(NailVector { float: [contact].into_iter().collect(), ..Default::default() }).await?)
    }

    /// The contact that switches the module's own supply off while it is low, where the family has one: a power contact
    /// that the module pulls up. With power on, only a step that tests it may load it.
    pub fn enable_contact(&self) -> Option<Contact> {
        let is_enable = |info: &&bench_plan::ContactInfo| {
            info.functions.contains(&bench_plan::Function::Power) && info.pull_up_ohms.is_some()
        };
        self.family.contacts.iter().find(is_enable).map(|info| info.contact)
    }

    /// The contact of the module's reset pad, where the family has one and a nail that can drive reaches it.
    pub fn reset_contact(&self) -> Option<Contact> {
        let reset = bench_plan::Function::Reset;
        let contact = self.family.contacts.iter().find(|info| info.functions.contains(&reset))?.contact;
        self.nails.wired().contains(contact).then_some(contact)
    }
}

/// Text for the person at a desk, where the bench cannot check its own half of the link.
pub(crate) const UNCHECKED_LINK: &str = "the module does not answer over the serial port, and here the bench cannot tell \
    why: is the board on and every cable plugged, is the adapter's TX at the module's RX and its RX at the module's TX, is ground joined, does \
    another program use the port?";

/// Text for the technician when the controller does not receive its own bytes.
pub(crate) const LOOPBACK_BROKEN: &str = "the bench does not hear exactly what it sends over the fixture's \
    loop-back relay: check the cable between the controller's UART and the fixture, and whether another program uses the UART";
