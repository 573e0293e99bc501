//! A nest without hardware behind it, and plans made in code: for what the run loop itself must do.
#![allow(dead_code)] // each test file uses its own part

use async_trait::async_trait;
use bench_engine::Recorder;
use bench_instruments::{
    Advert, BleAir, Clock, ContactSet, Dut, DutError, EdgeCapture, EdgeTrace, Injected, InstrumentError, LinkRelay,
    LinkStatistics, MeasureBus, NailVector, Nails, NfcReader, NfcTarget, Nobody, RailReading, Rails, Sender, UsbEcho,
    UsbHost, UsbIds, UsbSwitch,
};
use bench_journal::Journal;
use bench_plan::{DutFamily, Plan, PlanStep, Source};
use bench_run::{
    BenchKind, BenchTime, Contact, Entry, Event, Limits, MeasurementSpec, MeasurementUnit, OnFail, Provenance, Step,
};
use bench_steps::{Nest, Procedure};
use dut_protocol::{JobResult, Reply, Request};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Instruments that do nothing but remember which rails are on.
#[derive(Default)]
pub struct Idle {
    pub rails: RefCell<BTreeMap<String, bool>>,
    pub advertises: Rc<Cell<bool>>,
    /// Refuses to switch rails off.
    pub broken: bool,
    /// How long it takes to release the nails.
    pub release_takes: Option<Duration>,
    /// What [`Idle::release_takes`] passes on; set by [`nest`].
    pub clock: RefCell<Option<Rc<dyn Clock>>>,
}

#[async_trait(?Send)]
impl Nails for Idle {
    fn wired(&self) -> ContactSet {
        ContactSet::EMPTY
    }
    async fn set(&self, _: NailVector) -> Result<(), InstrumentError> {
        Ok(())
    }
    async fn read(&self) -> Result<ContactSet, InstrumentError> {
        Ok(ContactSet::EMPTY)
    }
    async fn release_all(&self) -> Result<(), InstrumentError> {
        let clock = self.clock.borrow().clone();
        if let (Some(span), Some(clock)) = (self.release_takes, clock) {
            clock.sleep(span).await;
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl MeasureBus for Idle {
    async fn volts(&self, _: Contact) -> Result<f64, InstrumentError> {
        Ok(0.0)
    }
    async fn fine_volts(&self, _: Contact) -> Result<f64, InstrumentError> {
        Ok(0.0)
    }
    async fn loaded_volts(&self, _: Contact, _: f64) -> Result<f64, InstrumentError> {
        Ok(0.0)
    }
    async fn hold(&self, _: Contact, _: f64) -> Result<f64, InstrumentError> {
        Ok(0.0)
    }
    async fn ohms(&self, _: Contact) -> Result<f64, InstrumentError> {
        Ok(bench_instruments::OPEN_OHMS)
    }
    async fn inject(&self, _: Contact, amps: f64) -> Result<Injected, InstrumentError> {
        Ok(Injected { volts: 0.0, amps })
    }
    fn source_ohms(&self) -> f64 {
        1_000.0
    }
    async fn release(&self) -> Result<(), InstrumentError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl BleAir for Idle {
    fn adapter(&self) -> String {
        "hci0".to_owned()
    }
    async fn senders(&self, _: Duration) -> Result<Vec<Sender>, InstrumentError> {
        Ok(Vec::new())
    }
    async fn scan(&self, _: Duration) -> Result<Vec<Advert>, InstrumentError> {
        Ok(Vec::new())
    }
    async fn advertise(&self, _: u16, _: &[u8], _: Duration) -> Result<(), InstrumentError> {
        self.advertises.set(true);
        Ok(())
    }
    async fn stop(&self) -> Result<(), InstrumentError> {
        self.advertises.set(false);
        Ok(())
    }
}

#[async_trait(?Send)]
impl Rails for Idle {
    fn names(&self) -> Vec<String> {
        self.rails.borrow().keys().cloned().collect()
    }
    fn contacts(&self, _: &str) -> Vec<Contact> {
        Vec::new()
    }
    fn clear_for_power(&self, _: &str, _: f64) -> Result<(), InstrumentError> {
        Ok(())
    }
    async fn on(&self, rail: &str) -> Result<(), InstrumentError> {
        self.rails.borrow_mut().insert(rail.to_owned(), true);
        Ok(())
    }
    async fn off(&self, rail: &str) -> Result<(), InstrumentError> {
        self.rails.borrow_mut().insert(rail.to_owned(), false);
        Ok(())
    }
    async fn discharge(&self, _: &str, _: bool) -> Result<(), InstrumentError> {
        Ok(())
    }
    fn discharge_ohms(&self, _: &str) -> Result<f64, InstrumentError> {
        Ok(100.0)
    }
    async fn measure(&self, rail: &str) -> Result<RailReading, InstrumentError> {
        let on = self.rails.borrow().get(rail).copied().unwrap_or(false);
        Ok(RailReading { volts: if on { 3.3 } else { 0.0 }, amps: 0.0 })
    }
    async fn feed(&self, _: Contact, _: bool) -> Result<(), InstrumentError> {
        Ok(())
    }
    async fn all_off(&self) -> Result<(), InstrumentError> {
        if self.broken {
            return Err(InstrumentError::Unsafe("the expander is dead".into()));
        }
        self.rails.borrow_mut().values_mut().for_each(|on| *on = false);
        Ok(())
    }
}

#[async_trait(?Send)]
impl LinkRelay for Idle {
    async fn set_loopback(&self, _: bool) -> Result<(), InstrumentError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl EdgeCapture for Idle {
    async fn capture(&self, _: Contact, _: Duration) -> Result<EdgeTrace, InstrumentError> {
        Ok(EdgeTrace::default())
    }
}

#[async_trait(?Send)]
impl UsbSwitch for Idle {
    async fn join(&self, _: bool) -> Result<(), InstrumentError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl UsbHost for Idle {
    async fn echo(&self, _: UsbIds, _: &str, bytes: &[u8], _: Duration) -> Result<UsbEcho, InstrumentError> {
        Ok(UsbEcho::Received(bytes.to_vec()))
    }
}

#[async_trait(?Send)]
impl NfcReader for Idle {
    fn strongest(&self) -> u8 {
        1
    }
    async fn join(&self, _: bool) -> Result<(), InstrumentError> {
        Ok(())
    }
    async fn set_field(&self, _: u8) -> Result<(), InstrumentError> {
        Ok(())
    }
    async fn find(&self) -> Result<Option<NfcTarget>, InstrumentError> {
        Ok(None)
    }
    async fn exchange(&self, _: &[u8]) -> Result<Option<Vec<u8>>, InstrumentError> {
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Dut for Idle {
    async fn connect(&self, baud: u32) -> Result<u32, DutError> {
        Ok(baud)
    }
    async fn request(&self, _: Request) -> Result<Reply, DutError> {
        Ok(Reply::Done)
    }
    async fn job_done(&self, job: u8, _: BenchTime) -> Result<JobResult, DutError> {
        Err(DutError::JobLost(job))
    }
    async fn echo(&self, bytes: &[u8], _: Option<u32>) -> Result<Vec<u8>, InstrumentError> {
        Ok(bytes.to_vec())
    }
    async fn disconnect(&self) {}
    fn statistics(&self) -> LinkStatistics {
        LinkStatistics::default()
    }
}

const FAMILY: &str = include_str!("../../../../fixtures/duts/b4xx.toml");

pub fn nest(clock: Rc<dyn Clock>, idle: Rc<Idle>) -> Nest {
    nest_for(clock, idle, Rc::new(DutFamily::parse(&Source::new("b4xx.toml", FAMILY)).unwrap()))
}

/// The same for who makes many: a family takes longer to read than a nest to make.
pub fn nest_for(clock: Rc<dyn Clock>, idle: Rc<Idle>, family: Rc<DutFamily>) -> Nest {
    *idle.clock.borrow_mut() = Some(clock.clone());
    Nest {
        may_erase_locked: false,
        person: Rc::new(Nobody),
        safekeeping: Rc::default(),
        clock,
        nails: idle.clone(),
        bus: idle.clone(),
        rails: idle.clone(),
        switches: Rc::new(bench_instruments::NoSwitches),
        load: Rc::new(bench_instruments::UnknownLoad),
        relay: idle.clone(),
        peers: Rc::new(bench_instruments::ScriptedPeers::default()),
        edges: idle.clone(),
        dut: idle.clone(),
        modem: Rc::default(),
        usb_switch: idle.clone(),
        usb: idle.clone(),
        nfc: idle.clone(),
        programmer: Rc::new(bench_instruments::ScriptedProgrammer::default()),
        firmware: Rc::default(),
        images: Rc::default(),
        pictures: Rc::default(),
        programs: Rc::new(bench_instruments::NoPrograms),
        program_place: Rc::default(),
        files: Rc::new(bench_instruments::NoRunFiles),
        imei: None,
        link: Rc::default(),
        panel: bench_instruments::Panel::default(),
        zero_amps: Rc::default(),
        dut_rx: None,
        unchecked: Rc::from([]),
        ble: idle,
        family,
        serial: "P042TEST".into(),
    }
}

/// A step that promises one measurement, "x", 0 V to 1 V.
pub fn step(id: &str, procedure: impl Procedure + 'static) -> PlanStep<Box<dyn Procedure>> {
    PlanStep {
        step: Step {
            id: id.into(),
            kind: "test".into(),
            title: id.into(),
            needs: Vec::new(),
            after: Vec::new(),
            uses: Vec::new(),
            shares: Vec::new(),
            timeout: Duration::from_secs(1),
            retry: 0,
            on_fail: OnFail::Continue,
            measurements: vec![MeasurementSpec {
                name: "x".into(),
                unit: MeasurementUnit::Volts,
                limits: Limits::between(0.0, 1.0),
                contacts: Vec::new(),
            }],
        },
        coverage: Vec::new(),
        procedure: Box::new(procedure),
    }
}

pub fn plan(steps: Vec<PlanStep<Box<dyn Procedure>>>) -> Plan<Box<dyn Procedure>> {
    Plan {
        name: "test".into(),
        title: "test".into(),
        model: "b404x".into(),
        family: "b4xx".into(),
        fixture: "none".into(),
        passes_here: true,
        reason_here: None,
        firmware: "none".into(),
        steps,
        left_out: Vec::new(),
        not_covered: Vec::new(),
        warnings: Vec::new(),
    }
}

pub fn started<P>(plan: &Plan<P>) -> Event {
    Event::RunStarted {
        run_id: "test".into(),
        serial: "P042TEST".into(),
        model: "b404x".into(),
        started_at: None,
        order: None,
        bench: Box::new(BenchKind::Virtual { seed: 0, faults: Vec::new() }),
        lot: None,
        diagnosis: None,
        provenance: Box::new(Provenance {
            bench_version: String::new(),
            bench_commit: String::new(),
            plan: "test".into(),
            plan_sha256: String::new(),
            plan_parts: Vec::new(),
            dut_file_sha256: String::new(),
            fixture: "none".into(),
            fixture_sha256: String::new(),
            firmware_sha256: String::new(),
            images: Vec::new(),
        }),
        steps: bench_engine::promises(plan),
    }
}

pub fn recorder(folder: &Path, clock: Rc<dyn Clock>) -> Rc<Recorder> {
    Recorder::new(Journal::create(folder, "P042TEST", "test").unwrap(), clock, Vec::new())
}

/// The entries in short words: "start a", "end a pass".
pub fn story(entries: &[Entry]) -> Vec<String> {
    let describe = |entry: &Entry| match &entry.event {
        Event::StepStarted { step, attempt } => Some(format!("start {step} {attempt}")),
        Event::StepEnded { step, attempt, verdict, .. } => Some(format!("end {step} {attempt} {verdict}")),
        Event::RailSwitched { rail, on, .. } => Some(format!("{rail} {}", if *on { "on" } else { "off" })),
        Event::Stopping { .. } => Some("stopping".into()),
        Event::SafeState { confirmed, .. } => Some(format!("safe {confirmed}")),
        Event::RunEnded { verdict, .. } => Some(format!("unit {verdict}")),
        _ => None,
    };
    entries.iter().filter_map(describe).collect()
}
