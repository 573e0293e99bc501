//! A nest made of doubles around a few resistors, in which any one call of an instrument can fail.

use async_trait::async_trait;
use bench_instruments::{
    Advert, BleAir, Clock, ContactSet, Dut, DutError, EdgeCapture, EdgeTrace, Injected, InstrumentError, LinkRelay,
    LinkStatistics, ManualClock, MeasureBus, NailVector, Nails, NfcReader, NfcTarget, Nobody, OPEN_OHMS, Probing,
    RailReading, Rails, ScriptedNails, ScriptedPeers, ScriptedRails, Sender, UsbEcho, UsbHost, UsbIds, UsbSwitch,
};
use bench_plan::{DutFamily, Fixture, NailWiring};
use bench_run::{BenchTime, Contact, Diagnosis};
use bench_steps::{Nest, Procedure, StepError, StepLog};
use dut_protocol::{BleNonce, BleRequest, JobResult, JobState, Reply, Request, Tag, TagAnswer};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Nails, source and discharge resistors of the shipped fixture.
const NAIL_OHMS: f64 = 1_000.0;
const NAIL_DRIVER_OHMS: f64 = 25.0;
const SOURCE_OHMS: f64 = 1_000.0;
/// A protection diode, and the highest voltage of the source for it.
const DIODE_VOLTS: f64 = 0.65;
const INJECTION_LIMIT_VOLTS: f64 = 3.0;
const DISCHARGE_OHMS: f64 = 100.0;
/// Current of the module itself, on each rail.
const MODULE_OHMS: f64 = 3_000.0;

/// What a defect joins a contact to.
#[derive(Debug, Clone, Copy)]
pub enum To {
    Ground,
    Rail(&'static str),
    Contact(u8),
}

/// Electrical content of the nest, without power.
#[derive(Debug, Clone, Default)]
pub struct Wiring {
    pub opens: Vec<u8>,
    pub joints: Vec<(u8, To, f64)>,
    /// From one rail to ground or to another rail.
    pub rail_joint: Option<(&'static str, To, f64)>,
    /// Resistance in series with the diodes of a contact.
    pub cold: Vec<(u8, f64)>,
    /// Voltage of a contact with power when it is loaded to 0 V; 0 V for the others.
    pub loaded_volts: Vec<(u8, f64)>,
    /// A contact that loses its voltage while the nail of another one is low.
    pub silenced_by: Option<(u8, u8)>,
    /// A contact that is driven only while the nail of another one is high.
    pub started_by: Option<(u8, u8)>,
}

/// Answers of the firmware.
pub type Answers = fn(&Request) -> Result<Reply, DutError>;

/// Edges at a contact during this time.
pub type Seen = fn(Contact, Duration) -> EdgeTrace;

/// Receptions of a module with this nonce.
pub type Heard = fn(BleNonce) -> Vec<Advert>;

/// Settings of a test.
pub struct Setup {
    pub wiring: Wiring,
    pub answers: Answers,
    pub edges: Seen,
    pub connects: bool,
    pub loopback_works: bool,
    /// Rails that are already on, with their readings.
    pub powered: bool,
    /// Rails may be switched on.
    pub cleared: bool,
    pub reading: RailReading,
    /// Voltages of contacts without a load, where they differ from those under load.
    pub free_volts: Vec<(u8, f64)>,
    /// Bytes that the USB host receives; `None`: those that it sent.
    pub usb: Option<UsbEcho>,
    /// What the controller's Bluetooth receives, given the nonce of the module.
    pub heard: Heard,
    /// Strength of another device that it receives, dBm.
    pub neighbours: Option<f64>,
    pub tag: TagDouble,
    /// The call that fails, counted from 0 over all instruments.
    pub failing_call: Option<u32>,
}

pub fn silent() -> DutError {
    DutError::Silent { attempts: 4, garbled: 0 }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            wiring: Wiring::default(),
            answers: |_| Err(silent()),
            edges: |_, _| EdgeTrace::default(),
            connects: true,
            loopback_works: true,
            powered: false,
            cleared: false,
            reading: RailReading { volts: 3.3, amps: 0.01 },
            free_volts: Vec::new(),
            usb: None,
            heard: |_| Vec::new(),
            neighbours: Some(-70.0),
            tag: TagDouble::default(),
            failing_call: None,
        }
    }
}

/// The doubles behind a nest.
pub struct Bed {
    setup: Setup,
    clock: ManualClock,
    calls: Cell<u32>,
    fixture: Fixture,
    nails: ScriptedNails,
    rails: ScriptedRails,
    peers: Rc<ScriptedPeers>,
    loopback: Cell<bool>,
    source_holds: Cell<bool>,
    joined_unpowered: Cell<bool>,
    usb_joined: Cell<bool>,
    /// Whether a request was sent while the link was disconnected.
    pub talked_to_itself: Cell<bool>,
    advertises: Cell<bool>,
    /// The module's last radio command.
    radio: Cell<Option<BleRequest>>,
    /// Number of the firmware's tag.
    tag_nonce: Cell<Option<u64>>,
    antenna_joined: Cell<bool>,
    field: Cell<u8>,
}

/// The NFC tag that the reader detects while the firmware is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct TagDouble {
    /// Weakest field in which it answers.
    pub weakest: u8,
    /// Bits that differ in its number.
    pub wrong_bits: u64,
    /// Whether it ignores commands.
    pub silent: bool,
}

impl Bed {
    pub fn new(setup: Setup, fixture: &Fixture, family: &DutFamily, clock: &ManualClock) -> (Rc<Self>, Nest) {
        let io = |(contact, nail): (&Contact, &bench_plan::Nail)| {
            matches!(nail.wiring, NailWiring::Io { .. }).then_some(*contact)
        };
        let wired: ContactSet = fixture.nails.iter().filter_map(io).collect();
        let fed = fixture.nails.keys().copied().filter(|&contact| !wired.contains(contact));
        let rails = ScriptedRails::new(fixture.rails.iter().map(|rail| (rail.name.as_str(), setup.reading)));
        let bed = Rc::new(Self {
            clock: clock.clone(),
            calls: Cell::new(0),
            fixture: fixture.clone(),
            nails: ScriptedNails::open(wired),
            rails: rails.with_feeds(fed),
            peers: Rc::new(ScriptedPeers::new(fixture.peers.iter().map(|peer| peer.id.as_str()))),
            loopback: Cell::new(true),
            source_holds: Cell::new(false),
            joined_unpowered: Cell::new(false),
            usb_joined: Cell::new(false),
            talked_to_itself: Cell::new(false),
            advertises: Cell::new(false),
            radio: Cell::new(None),
            tag_nonce: Cell::new(None),
            antenna_joined: Cell::new(false),
            field: Cell::new(0),
            setup,
        });
        if bed.setup.cleared {
            bed.rails.names().iter().for_each(|rail| bed.rails.clear_for_power(rail, 1e3).unwrap());
        }
        if bed.setup.powered {
            clock.run(async {
                for rail in bed.rails.names() {
                    bed.rails.clear_for_power(&rail, 1e3).unwrap();
                    bed.rails.on(&rail).await.unwrap();
                }
            });
        }
        let nest = Nest {
            may_erase_locked: false,
            person: Rc::new(Nobody),
            safekeeping: Rc::default(),
            clock: Rc::new(clock.clone()),
            nails: bed.clone(),
            bus: bed.clone(),
            rails: bed.clone(),
            switches: Rc::new(bench_instruments::NoSwitches),
            load: Rc::new(bench_instruments::UnknownLoad),
            relay: bed.clone(),
            peers: bed.peers.clone(),
            edges: bed.clone(),
            dut: bed.clone(),
            modem: Rc::default(),
            usb_switch: bed.clone(),
            usb: bed.clone(),
            link: Rc::default(),
            panel: bench_instruments::Panel::default(),
            zero_amps: Rc::default(),
            dut_rx: None,
            unchecked: Rc::from([]),
            ble: bed.clone(),
            nfc: bed.clone(),
            programmer: Rc::new(bench_instruments::ScriptedProgrammer::default()),
            firmware: Rc::default(),
            images: Rc::default(),
            pictures: Rc::default(),
            programs: Rc::new(bench_instruments::NoPrograms),
            program_place: Rc::default(),
            files: Rc::new(bench_instruments::NoRunFiles),
            imei: None,
            family: Rc::new(family.clone()),
            serial: "P042AB123456789".into(),
        };
        (bed, nest)
    }

    /// Counts one call of an instrument. Calls that undo something never fail: the safe state covers that case.
    fn call(&self) -> Result<(), InstrumentError> {
        let call = self.calls.replace(self.calls.get() + 1);
        if self.setup.failing_call == Some(call) {
            return Err(InstrumentError::Chip { chip: "io0".into(), detail: "no acknowledge".into() });
        }
        Ok(())
    }

    pub fn calls(&self) -> u32 {
        self.calls.get()
    }

    pub fn is_on(&self, rail: &str) -> bool {
        self.rails.is_on(rail)
    }

    /// Returns the last event of a rail or feed.
    fn last(&self, start: &str) -> Option<String> {
        self.rails.log().into_iter().rev().find_map(|line| line.strip_prefix(start).map(str::to_owned))
    }

    fn is_discharged(&self, rail: &str) -> bool {
        self.last(&format!("{rail} ")).is_none_or(|last| last == "off" || last == "discharge on")
    }

    fn is_fed(&self, contact: Contact) -> bool {
        self.last(&format!("feed {contact} ")).is_none_or(|last| last == "closed")
    }

    /// Lists what a step must not leave behind.
    pub fn left_behind(&self) -> Vec<String> {
        let mut left = Vec::new();
        if self.nails.state().float != self.nails.wired() {
            left.push(format!("nails {:?}", self.nails.state()));
        }
        for rail in &self.fixture.rails {
            if !self.rails.is_on(&rail.name) && !self.is_discharged(&rail.name) {
                left.push(format!("{} is not discharged", rail.name));
            }
        }
        let open = self.fixture.nails.keys().filter(|&&contact| !self.is_fed(contact));
        left.extend(open.map(|contact| format!("feed {contact} is open")));
        if self.source_holds.get() {
            left.push("the source holds a contact".into());
        }
        left.extend(self.peers.connected().map(|peer| format!("{peer} is joined")));
        if self.usb_joined.get() {
            left.push("the USB host is joined to the module".into());
        }
        if self.advertises.get() {
            left.push("the controller advertises".into());
        }
        if self.radio.get().is_some_and(|request| request != BleRequest::Stop) {
            left.push(format!("the module's radio: {:?}", self.radio.get()));
        }
        if self.antenna_joined.get() {
            left.push("the NFC antenna is joined".into());
        }
        if self.field.get() > 0 {
            left.push("the NFC reader's field is on".into());
        }
        if self.tag_nonce.get().is_some() && self.setup.failing_call.is_none() {
            left.push("the module is a tag".into());
        }
        if self.joined_unpowered.get() {
            left.push("the link was joined to a module without power".into());
        }
        left
    }

    fn ohms_of_rail(&self, rail: &str) -> f64 {
        let own = |rail: &str| {
            let discharge = if self.is_discharged(rail) { 1.0 / DISCHARGE_OHMS } else { 0.0 };
            1.0 / MODULE_OHMS + discharge
        };
        let mut siemens = own(rail);
        if let Some((a, to, ohms)) = self.setup.wiring.rail_joint {
            match to {
                To::Ground if a == rail => siemens += 1.0 / ohms,
                To::Rail(b) if a == rail => siemens += 1.0 / (ohms + 1.0 / own(b)),
                To::Rail(b) if b == rail => siemens += 1.0 / (ohms + 1.0 / own(a)),
                _ => {}
            }
        }
        1.0 / siemens
    }

    fn ohms_of(&self, contact: Contact) -> f64 {
        let open = self.setup.wiring.opens.contains(&contact.0);
        match self.fixture.nail(contact).map(|nail| &nail.wiring) {
            Some(NailWiring::Rail { rail, .. }) if self.is_fed(contact) => {
                self.ohms_of_rail(&self.fixture.rails[*rail].name)
            }
            // Into the module, and through its load or out of it by the feeds of the others.
            Some(NailWiring::Rail { rail, .. }) => {
                let by_feeds = self.feeds(*rail) + DISCHARGE_OHMS;
                (self.joint(contact) + 1.0 / (1.0 / MODULE_OHMS + 1.0 / by_feeds)).min(OPEN_OHMS)
            }
            Some(NailWiring::Ground { .. }) if self.is_fed(contact) || !open => 0.2,
            Some(NailWiring::Io { .. }) => self.ohms_of_signal(contact),
            _ => OPEN_OHMS,
        }
    }

    fn joint(&self, contact: Contact) -> f64 {
        let cold = self.setup.wiring.cold.iter().find(|(other, _)| *other == contact.0);
        let open = self.setup.wiring.opens.contains(&contact.0);
        if open { OPEN_OHMS } else { cold.map_or(0.0, |(_, ohms)| *ohms) }
    }

    /// Joints of the contacts through which a rail is fed, side by side.
    fn feeds(&self, index: usize) -> f64 {
        let fed = |nail: &&bench_plan::Nail| {
            matches!(nail.wiring, NailWiring::Rail { rail, .. } if rail == index) && self.is_fed(nail.contact)
        };
        let siemens: f64 =
            self.fixture.nails.values().filter(fed).map(|nail| 1.0 / self.joint(nail.contact).max(1e-3)).sum();
        1.0 / siemens
    }

    /// By its own nail, by its joints, and over a joint by the other contact's nail.
    fn ohms_of_signal(&self, contact: Contact) -> f64 {
        let low = |contact| self.nails.state().low.contains(contact);
        let mut siemens = if low(contact) { 1.0 / NAIL_OHMS } else { 0.0 };
        for &(a, to, ohms) in &self.setup.wiring.joints {
            match to {
                To::Ground if a == contact.0 => siemens += 1.0 / ohms,
                To::Rail(rail) if a == contact.0 => siemens += 1.0 / (ohms + self.ohms_of_rail(rail)),
                To::Contact(b) if a == contact.0 || b == contact.0 => {
                    let other = Contact(if a == contact.0 { b } else { a });
                    siemens += if low(other) { 1.0 / (ohms + NAIL_OHMS) } else { 0.0 };
                }
                _ => {}
            }
        }
        if siemens == 0.0 { OPEN_OHMS } else { 1.0 / siemens }
    }

    /// Through the contact's upper diode and the discharge of its rail; or, from a ground contact, through the lower
    /// diode of whatever is held low.
    fn injected(&self, contact: Contact, amps: f64) -> f64 {
        let in_series = |contact: Contact| self.joint(contact);
        let path = match self.fixture.nail(contact).map(|nail| &nail.wiring) {
            Some(NailWiring::Ground { .. }) if self.is_fed(contact) => return 0.0,
            Some(NailWiring::Ground { .. }) => {
                let fed = |nail: &&bench_plan::Nail| match nail.wiring {
                    NailWiring::Rail { rail, .. } => self.is_discharged(&self.fixture.rails[rail].name),
                    _ => false,
                };
                let rail = self.fixture.nails.values().find(fed).map(|nail| in_series(nail.contact) + DISCHARGE_OHMS);
                let nail =
                    self.nails.state().low.iter().next().map(|low| in_series(low) + NAIL_OHMS + NAIL_DRIVER_OHMS);
                nail.or(rail).unwrap_or(OPEN_OHMS)
            }
            _ => in_series(contact) + DISCHARGE_OHMS + self.feeds(0),
        };
        (DIODE_VOLTS + amps * path).min(INJECTION_LIMIT_VOLTS)
    }

    async fn read(&self, probing: Probing) -> Result<f64, InstrumentError> {
        self.clock.sleep(Duration::from_millis(3)).await;
        self.call()?;
        let wiring = &self.setup.wiring;
        let state = self.nails.state();
        let silent = wiring.silenced_by.filter(|(_, by)| state.low.contains(Contact(*by))).map(|(contact, _)| contact);
        let started = wiring.started_by.filter(|(_, by)| state.high.contains(Contact(*by))).map(|(contact, _)| contact);
        let held = |contact: Contact| match started {
            Some(one) if one == contact.0 => Some(3.0),
            _ if silent == Some(contact.0) => None,
            _ => wiring.loaded_volts.iter().find(|(other, _)| *other == contact.0).map(|(_, volts)| *volts),
        };
        let free = |contact: Contact| {
            self.setup.free_volts.iter().find(|(other, _)| *other == contact.0).map(|(_, volts)| *volts)
        };
        Ok(match probing {
            Probing::Ohms(contact) => self.ohms_of(contact),
            Probing::Inject(contact, amps) => self.injected(contact, amps),
            Probing::Volts(contact) | Probing::FineVolts(contact) => {
                free(contact).or_else(|| held(contact)).unwrap_or(0.0)
            }
            Probing::LoadedVolts(contact, source) | Probing::Hold(contact, source) => match held(contact) {
                Some(volts) => volts + source - source * SOURCE_OHMS / (SOURCE_OHMS + 1e4),
                None => {
                    let ohms = self.ohms_of(contact);
                    source * ohms / (ohms + SOURCE_OHMS)
                }
            },
        })
    }
}

#[async_trait(?Send)]
impl Nails for Bed {
    fn wired(&self) -> ContactSet {
        self.nails.wired()
    }
    async fn set(&self, vector: NailVector) -> Result<(), InstrumentError> {
        if !vector.high.union(vector.low).union(vector.pull_up).is_empty() {
            self.call()?;
        }
        self.nails.set(vector).await
    }
    async fn read(&self) -> Result<ContactSet, InstrumentError> {
        self.call()?;
        self.nails.read().await
    }
    async fn release_all(&self) -> Result<(), InstrumentError> {
        self.nails.release_all().await
    }
}

#[async_trait(?Send)]
impl MeasureBus for Bed {
    async fn volts(&self, contact: Contact) -> Result<f64, InstrumentError> {
        self.read(Probing::Volts(contact)).await
    }
    async fn fine_volts(&self, contact: Contact) -> Result<f64, InstrumentError> {
        self.read(Probing::FineVolts(contact)).await
    }
    async fn loaded_volts(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError> {
        assert!(source_volts < 3.7, "{source_volts} V into contact {contact}");
        self.read(Probing::LoadedVolts(contact, source_volts)).await
    }
    async fn hold(&self, contact: Contact, source_volts: f64) -> Result<f64, InstrumentError> {
        let volts = self.read(Probing::Hold(contact, source_volts)).await;
        self.source_holds.set(volts.is_ok());
        volts
    }
    async fn ohms(&self, contact: Contact) -> Result<f64, InstrumentError> {
        self.read(Probing::Ohms(contact)).await
    }
    async fn inject(&self, contact: Contact, amps: f64) -> Result<Injected, InstrumentError> {
        self.read(Probing::Inject(contact, amps)).await.map(|volts| match volts < INJECTION_LIMIT_VOLTS {
            true => Injected { volts, amps },
            false => Injected { volts, amps: 0.0 },
        })
    }
    fn source_ohms(&self) -> f64 {
        SOURCE_OHMS
    }
    async fn release(&self) -> Result<(), InstrumentError> {
        self.source_holds.set(false);
        Ok(())
    }
}

#[async_trait(?Send)]
impl Rails for Bed {
    fn names(&self) -> Vec<String> {
        self.rails.names()
    }
    fn contacts(&self, rail: &str) -> Vec<Contact> {
        let fed = |wiring: &NailWiring| matches!(wiring, NailWiring::Rail { rail: of, .. } if self.fixture.rails[*of].name == rail);
        self.fixture.nails.values().filter(|nail| fed(&nail.wiring)).map(|nail| nail.contact).collect()
    }
    fn clear_for_power(&self, rail: &str, ohms: f64) -> Result<(), InstrumentError> {
        self.rails.clear_for_power(rail, ohms)
    }
    async fn on(&self, rail: &str) -> Result<(), InstrumentError> {
        self.call()?;
        self.rails.on(rail).await
    }
    async fn off(&self, rail: &str) -> Result<(), InstrumentError> {
        self.rails.off(rail).await
    }
    async fn discharge(&self, rail: &str, on: bool) -> Result<(), InstrumentError> {
        if !on {
            self.call()?;
        }
        self.rails.discharge(rail, on).await
    }
    fn discharge_ohms(&self, rail: &str) -> Result<f64, InstrumentError> {
        self.rails.discharge_ohms(rail)
    }
    async fn measure(&self, rail: &str) -> Result<RailReading, InstrumentError> {
        self.call()?;
        self.rails.measure(rail).await
    }
    async fn feed(&self, contact: Contact, closed: bool) -> Result<(), InstrumentError> {
        if !closed {
            self.call()?;
        }
        self.rails.feed(contact, closed).await
    }
    async fn all_off(&self) -> Result<(), InstrumentError> {
        self.rails.all_off().await
    }
}

#[async_trait(?Send)]
impl LinkRelay for Bed {
    async fn set_loopback(&self, on: bool) -> Result<(), InstrumentError> {
        if !on && !self.rails.names().iter().any(|rail| self.rails.is_on(rail)) {
            self.joined_unpowered.set(true);
        }
        self.call()?;
        self.loopback.set(on);
        Ok(())
    }
}

#[async_trait(?Send)]
impl EdgeCapture for Bed {
    async fn capture(&self, contact: Contact, window: Duration) -> Result<EdgeTrace, InstrumentError> {
        self.call()?;
        self.clock.sleep(window).await;
        Ok((self.setup.edges)(contact, window))
    }
}

#[async_trait(?Send)]
impl UsbSwitch for Bed {
    async fn join(&self, on: bool) -> Result<(), InstrumentError> {
        if on {
            self.call()?;
        }
        self.usb_joined.set(on);
        Ok(())
    }
}

#[async_trait(?Send)]
impl UsbHost for Bed {
    async fn echo(&self, _: UsbIds, _: &str, bytes: &[u8], _: Duration) -> Result<UsbEcho, InstrumentError> {
        self.call()?;
        Ok(self.setup.usb.clone().unwrap_or_else(|| UsbEcho::Received(bytes.to_vec())))
    }
}

#[async_trait(?Send)]
impl BleAir for Bed {
    fn adapter(&self) -> String {
        "hci0 (C0:00:00:00:00:01)".to_owned()
    }
    async fn senders(&self, span: Duration) -> Result<Vec<Sender>, InstrumentError> {
        self.call()?;
        self.clock.sleep(span).await;
        Ok(self.setup.neighbours.map(|rssi_dbm| Sender { address: [9; 6], rssi_dbm }).into_iter().collect())
    }
    async fn scan(&self, span: Duration) -> Result<Vec<Advert>, InstrumentError> {
        self.call()?;
        self.clock.sleep(span).await;
        match self.radio.get() {
            Some(BleRequest::Advertise { nonce, .. }) => Ok((self.setup.heard)(nonce)),
            _ => Ok(Vec::new()),
        }
    }
    async fn advertise(&self, _: u16, _: &[u8], _: Duration) -> Result<(), InstrumentError> {
        self.call()?;
        self.advertises.set(true);
        Ok(())
    }
    async fn stop(&self) -> Result<(), InstrumentError> {
        self.advertises.set(false);
        Ok(())
    }
}

#[async_trait(?Send)]
impl NfcReader for Bed {
    fn strongest(&self) -> u8 {
        63
    }
    async fn join(&self, on: bool) -> Result<(), InstrumentError> {
        if on {
            self.call()?;
        }
        self.antenna_joined.set(on);
        Ok(())
    }
    async fn set_field(&self, strength: u8) -> Result<(), InstrumentError> {
        if strength > 0 {
            self.call()?;
        }
        self.field.set(strength);
        Ok(())
    }
    async fn find(&self) -> Result<Option<NfcTarget>, InstrumentError> {
        self.call()?;
        let there = self.antenna_joined.get() && self.tag_nonce.get().is_some();
        let found = there && self.field.get() >= self.setup.tag.weakest;
        Ok(found.then(|| NfcTarget { id: TAG_ID.to_vec(), select_answer: 0 }))
    }
    async fn exchange(&self, command: &[u8]) -> Result<Option<Vec<u8>>, InstrumentError> {
        self.call()?;
        let TagDouble { wrong_bits, silent, .. } = self.setup.tag;
        let tag = self.tag_nonce.get().filter(|_| !silent).map(|nonce| Tag::new(TAG_ID, nonce ^ wrong_bits));
        match tag.map(|tag| tag.answer(command)) {
            Some(TagAnswer::Bytes(bytes)) => Ok(Some(bytes.to_vec())),
            _ => Ok(None),
        }
    }
}

const TAG_ID: [u8; 7] = [0x5F, 1, 2, 3, 4, 5, 6];

#[async_trait(?Send)]
impl Dut for Bed {
    async fn connect(&self, baud: u32) -> Result<u32, DutError> {
        self.call()?;
        if self.setup.connects && !self.loopback.get() { Ok(baud) } else { Err(silent()) }
    }
    async fn request(&self, request: Request) -> Result<Reply, DutError> {
        // Calls that undo something never fail.
        if request != Request::Ble(BleRequest::Stop) {
            self.call()?;
        }
        if let Request::Ble(order) = request
            && order != BleRequest::Report
        {
            self.radio.set(Some(order));
        }
        if self.loopback.get() {
            self.talked_to_itself.set(true);
            return Err(silent());
        }
        let reply = (self.setup.answers)(&request);
        match (&request, &reply) {
            (Request::StartNfc { nonce }, Ok(_)) => self.tag_nonce.set(Some(*nonce)),
            (Request::StopNfc, Ok(_)) => self.tag_nonce.set(None),
            _ => {}
        }
        reply
    }
    async fn job_done(&self, job: u8, _: BenchTime) -> Result<JobResult, DutError> {
        match (self.setup.answers)(&Request::PollJob { job }) {
            Ok(Reply::JobState { state: JobState::Done(result), .. }) => Ok(result),
            _ => Err(DutError::JobLost(job)),
        }
    }
    async fn echo(&self, bytes: &[u8], _: Option<u32>) -> Result<Vec<u8>, InstrumentError> {
        self.call()?;
        let heard = self.loopback.get() && self.setup.loopback_works;
        Ok(if heard { bytes.to_vec() } else { Vec::new() })
    }
    async fn disconnect(&self) {}
    fn statistics(&self) -> LinkStatistics {
        LinkStatistics::default()
    }
}

/// What a step reported.
#[derive(Default)]
pub struct RecordedLog {
    pub measured: RefCell<BTreeMap<String, Option<f64>>>,
    pub diagnosed: RefCell<Vec<Diagnosis>>,
    pub dialogue: RefCell<Vec<String>>,
}

impl StepLog for RecordedLog {
    fn measured(&self, name: &str, reading: Option<f64>) {
        let before = self.measured.borrow_mut().insert(name.to_owned(), reading);
        assert_eq!(before, None, "{name} was measured twice");
    }
    fn diagnosed(&self, diagnosis: Diagnosis) {
        self.diagnosed.borrow_mut().push(diagnosis);
    }
    fn note(&self, _: String) {}
    fn dialogue(&self, text: String) {
        self.dialogue.borrow_mut().push(text);
    }
}

impl RecordedLog {
    pub fn reading(&self, name: &str) -> Option<f64> {
        self.measured.borrow().get(name).copied().flatten()
    }
    pub fn texts(&self) -> Vec<String> {
        self.diagnosed.borrow().iter().map(|diagnosis| diagnosis.text.clone()).collect()
    }
}

/// Result of one run of a step.
pub struct Ran {
    pub outcome: Result<(), StepError>,
    pub log: RecordedLog,
    pub bed: Rc<Bed>,
}

pub fn run(procedure: &dyn Procedure, setup: Setup, fixture: &Fixture, family: &DutFamily) -> Ran {
    let clock = ManualClock::new();
    let (bed, nest) = Bed::new(setup, fixture, family, &clock);
    let log = RecordedLog::default();
    let outcome = clock.run(procedure.run(&nest, &log));
    Ran { outcome, log, bed }
}
