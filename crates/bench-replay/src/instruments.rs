//! Each instrument twice: around the real one, which it records, and from a recording.

use crate::form::{Argument, Form, ProgramEnd};
use crate::player::Player;
use crate::recording::Recording;
use async_trait::async_trait;
use bench_instruments::{
    Advert, Answer, Backup, BleAir, Clock, ContactSet, Disturbance, Dut, DutError, EdgeCapture, EdgeTrace, Injected,
    InstrumentError, Keep, LinkRelay, LinkStatistics, MeasureBus, NailVector, Nails, NfcReader, NfcTarget, Peers,
    Person, ProgramError, ProgramJob, ProgramObserver, ProgramOrder, ProgramSays, Programmed, Programmer, Programs,
    Question, RailReading, Rails, Repeated, Sender, Supply, Switches, Task, Unjoined, UsbEcho, UsbHost, UsbIds,
    UsbSwitch, with_deadline,
};
use bench_run::{BenchTime, Contact};
use bench_steps::Nest;
use dut_protocol::{JobResult, Reply, Request};
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An instrument that is recorded.
pub(crate) struct Recorded<I: ?Sized> {
    pub(crate) inner: Rc<I>,
    pub(crate) recording: Rc<Recording>,
}

/// An instrument whose calls are all alike. What it waits for is in `waits`, what answers at once in `answers`; `knows`
/// never changes in a run and is in the head of the recording.
macro_rules! instrument {
    (
        $trait:ident as $name:literal {
            waits { $($wait:ident($($wa:ident: $wt:ty),*) -> $wr:ty;)* }
            answers { $($now:ident($($na:ident: $nt:ty),*) -> $nr:ty;)* }
            knows { $($know:ident($($ka:ident: $kt:ty),*) -> $kr:ty: |$facts:ident| $value:expr;)* }
        }
    ) => {
        #[async_trait(?Send)]
        impl $trait for Recorded<dyn $trait> {
            $(async fn $wait(&self, $($wa: $wt),*) -> $wr {
                let arguments = vec![$(Argument::write(&$wa)),*];
                self.recording.exchange($name, stringify!($wait), arguments, self.inner.$wait($($wa),*)).await
            })*
            $(fn $now(&self, $($na: $nt),*) -> $nr {
                let arguments = vec![$(Argument::write(&$na)),*];
                self.recording.immediate($name, stringify!($now), arguments, || self.inner.$now($($na),*))
            })*
            $(fn $know(&self, $($ka: $kt),*) -> $kr {
                self.inner.$know($($ka),*)
            })*
        }

        #[async_trait(?Send)]
        impl $trait for Player {
            $(async fn $wait(&self, $($wa: $wt),*) -> $wr {
                self.exchange($name, stringify!($wait), vec![$(Argument::write(&$wa)),*]).await
            })*
            $(fn $now(&self, $($na: $nt),*) -> $nr {
                self.immediate($name, stringify!($now), vec![$(Argument::write(&$na)),*])
            })*
            $(fn $know(&self, $($ka: $kt),*) -> $kr {
                let $facts = self.facts();
                $value
            })*
        }
    };
}

type Tried<T> = Result<T, InstrumentError>;

instrument! {
    Nails as "nails" {
        waits {
            set(vector: NailVector) -> Tried<()>;
            read() -> Tried<ContactSet>;
            release_all() -> Tried<()>;
        }
        answers {}
        knows { wired() -> ContactSet: |facts| facts.wired; }
    }
}

instrument! {
    MeasureBus as "measure-bus" {
        waits {
            volts(contact: Contact) -> Tried<f64>;
            fine_volts(contact: Contact) -> Tried<f64>;
            loaded_volts(contact: Contact, source_volts: f64) -> Tried<f64>;
            ohms(contact: Contact) -> Tried<f64>;
            hold(contact: Contact, source_volts: f64) -> Tried<f64>;
            inject(contact: Contact, amps: f64) -> Tried<Injected>;
            unjoined(address_of: Option<Contact>, source_volts: f64) -> Tried<Unjoined>;
            release() -> Tried<()>;
        }
        answers {}
        knows { source_ohms() -> f64: |facts| facts.source_ohms; }
    }
}

instrument! {
    LinkRelay as "link-relay" {
        waits { set_loopback(on: bool) -> Tried<()>; }
        answers {}
        knows { can_loop_back() -> bool: |facts| facts.can_loop_back; }
    }
}

instrument! {
    Person as "person" {
        waits {
            act(task: &Task) -> Tried<()>;
            tell(task: &Task) -> Tried<String>;
            ask(question: &Question) -> Tried<Answer>;
        }
        answers {}
        knows {}
    }
}

pub(crate) const PROGRAMS: &str = "programs";

/// Folders and logs are of the machine, and no part of what a recording knows a program by.
#[async_trait(?Send)]
impl Programs for Recorded<dyn Programs> {
    fn prepare(&self) {
        self.inner.prepare();
    }
    async fn start(&self, order: &ProgramOrder) -> Tried<u32> {
        self.recording.exchange(PROGRAMS, "start", vec![json!(order.command)], self.inner.start(order)).await
    }
    async fn send(&self, program: u32, line: &str) -> Tried<()> {
        self.recording
            .exchange(PROGRAMS, "send", vec![json!(program), json!(line)], self.inner.send(program, line))
            .await
    }
    async fn next(&self, program: u32) -> Tried<ProgramSays> {
        self.recording.exchange(PROGRAMS, "next", vec![json!(program)], self.inner.next(program)).await
    }
    fn kill(&self, program: u32) {
        self.inner.kill(program);
    }
    async fn ended(&self, within: Duration) -> bool {
        self.inner.ended(within).await
    }
}

/// A replay starts no program: what it said is in the recording.
#[async_trait(?Send)]
impl Programs for Player {
    async fn start(&self, order: &ProgramOrder) -> Tried<u32> {
        self.exchange(PROGRAMS, "start", vec![json!(order.command)]).await
    }
    async fn send(&self, program: u32, _: &str) -> Tried<()> {
        self.exchange(PROGRAMS, "send", vec![json!(program)]).await
    }
    async fn next(&self, program: u32) -> Tried<ProgramSays> {
        self.exchange(PROGRAMS, "next", vec![json!(program)]).await
    }
    fn kill(&self, _: u32) {}
    async fn ended(&self, _: Duration) -> bool {
        true
    }
}

instrument! {
    Peers as "peers" {
        waits {
            connect(id: &str) -> Tried<()>;
            disconnect_all() -> Tried<()>;
        }
        answers {}
        knows {}
    }
}

instrument! {
    EdgeCapture as "edges" {
        waits { capture(contact: Contact, window: Duration) -> Tried<EdgeTrace>; }
        answers {}
        knows {}
    }
}

instrument! {
    UsbSwitch as "usb-switch" {
        waits { join(on: bool) -> Tried<()>; }
        answers {}
        knows {}
    }
}

instrument! {
    UsbHost as "usb-host" {
        waits { echo(ids: UsbIds, serial: &str, bytes: &[u8], within: Duration) -> Tried<UsbEcho>; }
        answers {}
        knows {}
    }
}

instrument! {
    BleAir as "bluetooth" {
        waits {
            senders(span: Duration) -> Tried<Vec<Sender>>;
            scan(span: Duration) -> Tried<Vec<Advert>>;
            advertise(company: u16, data: &[u8], interval: Duration) -> Tried<()>;
            stop() -> Tried<()>;
        }
        answers {}
        knows { adapter() -> String: |facts| facts.adapter.clone(); }
    }
}

instrument! {
    NfcReader as "nfc-reader" {
        waits {
            join(on: bool) -> Tried<()>;
            set_field(strength: u8) -> Tried<()>;
            find() -> Tried<Option<NfcTarget>>;
            exchange(command: &[u8]) -> Tried<Option<Vec<u8>>>;
        }
        answers {}
        knows { strongest() -> u8: |facts| facts.strongest; }
    }
}

#[async_trait(?Send)]
impl Rails for Recorded<dyn Rails> {
    fn names(&self) -> Vec<String> {
        self.inner.names()
    }
    fn contacts(&self, rail: &str) -> Vec<Contact> {
        self.inner.contacts(rail)
    }
    fn clear_for_power(&self, rail: &str, ohms: f64) -> Tried<()> {
        let arguments = vec![rail.write(), Argument::write(&ohms)];
        self.recording.immediate(RAILS, "clear_for_power", arguments, || self.inner.clear_for_power(rail, ohms))
    }
    async fn on(&self, rail: &str) -> Tried<()> {
        self.recording.exchange(RAILS, ON, vec![rail.write()], self.inner.on(rail)).await
    }
    async fn off(&self, rail: &str) -> Tried<()> {
        self.recording.exchange(RAILS, OFF, vec![rail.write()], self.inner.off(rail)).await
    }
    async fn discharge(&self, rail: &str, on: bool) -> Tried<()> {
        let arguments = vec![rail.write(), Argument::write(&on)];
        self.recording.exchange(RAILS, "discharge", arguments, self.inner.discharge(rail, on)).await
    }
    fn discharge_ohms(&self, rail: &str) -> Tried<f64> {
        self.inner.discharge_ohms(rail)
    }
    async fn measure(&self, rail: &str) -> Tried<RailReading> {
        self.recording.exchange(RAILS, MEASURE, vec![rail.write()], self.inner.measure(rail)).await
    }
    async fn fine_amps(&self, rail: &str) -> Tried<f64> {
        self.recording.exchange(RAILS, "fine_amps", vec![rail.write()], self.inner.fine_amps(rail)).await
    }
    async fn alone(&self, rail: &str, on: bool) -> Tried<()> {
        let arguments = vec![rail.write(), Argument::write(&on)];
        self.recording.exchange(RAILS, "alone", arguments, self.inner.alone(rail, on)).await
    }
    async fn load(&self, rail: &str, on: bool) -> Tried<()> {
        let arguments = vec![rail.write(), Argument::write(&on)];
        self.recording.exchange(RAILS, "load", arguments, self.inner.load(rail, on)).await
    }
    async fn feed(&self, contact: Contact, closed: bool) -> Tried<()> {
        let arguments = vec![Argument::write(&contact), Argument::write(&closed)];
        self.recording.exchange(RAILS, "feed", arguments, self.inner.feed(contact, closed)).await
    }
    async fn all_off(&self) -> Tried<()> {
        self.recording.exchange(RAILS, ALL_OFF, Vec::new(), self.inner.all_off()).await
    }
}

pub(crate) const RAILS: &str = "rails";
pub(crate) const ON: &str = "on";
pub(crate) const OFF: &str = "off";
pub(crate) const ALL_OFF: &str = "all_off";
pub(crate) const MEASURE: &str = "measure";

/// Reports each switching, as the driver does.
#[async_trait(?Send)]
impl Rails for Player {
    fn names(&self) -> Vec<String> {
        self.facts().rails.iter().map(|rail| rail.name.clone()).collect()
    }
    fn contacts(&self, rail: &str) -> Vec<Contact> {
        self.facts().rail(rail).map(|rail| rail.contacts.clone()).unwrap_or_default()
    }
    fn clear_for_power(&self, rail: &str, ohms: f64) -> Tried<()> {
        self.immediate(RAILS, "clear_for_power", vec![rail.write(), Argument::write(&ohms)])
    }
    async fn on(&self, rail: &str) -> Tried<()> {
        self.switched(rail, true);
        self.exchange(RAILS, ON, vec![rail.write()]).await
    }
    async fn off(&self, rail: &str) -> Tried<()> {
        let off: Tried<()> = self.exchange(RAILS, OFF, vec![rail.write()]).await;
        self.switched(rail, false);
        off
    }
    async fn discharge(&self, rail: &str, on: bool) -> Tried<()> {
        self.exchange(RAILS, "discharge", vec![rail.write(), Argument::write(&on)]).await
    }
    fn discharge_ohms(&self, rail: &str) -> Tried<f64> {
        let known = self.facts().rail(rail).map(|rail| rail.discharge_ohms.clone());
        known.unwrap_or_else(|| Err(InstrumentError::NoSuchRail(rail.to_owned())))
    }
    async fn measure(&self, rail: &str) -> Tried<RailReading> {
        self.exchange(RAILS, MEASURE, vec![rail.write()]).await
    }
    async fn fine_amps(&self, rail: &str) -> Tried<f64> {
        self.exchange(RAILS, "fine_amps", vec![rail.write()]).await
    }
    async fn alone(&self, rail: &str, on: bool) -> Tried<()> {
        self.exchange(RAILS, "alone", vec![rail.write(), Argument::write(&on)]).await
    }
    async fn load(&self, rail: &str, on: bool) -> Tried<()> {
        self.exchange(RAILS, "load", vec![rail.write(), Argument::write(&on)]).await
    }
    async fn feed(&self, contact: Contact, closed: bool) -> Tried<()> {
        self.exchange(RAILS, "feed", vec![Argument::write(&contact), Argument::write(&closed)]).await
    }
    async fn all_off(&self) -> Tried<()> {
        let off: Tried<()> = self.exchange(RAILS, ALL_OFF, Vec::new()).await;
        self.facts().rails.iter().for_each(|rail| self.switched(&rail.name, false));
        off
    }
}

/// Names of states; the number of the part or the name of the rail follows.
const PART: &str = "switches part ";
const GLANCE: &str = "switches glance ";
const LOCKED: &str = "switches locked";
/// A cut follows from a few readings in a row, and every rail and part has its turn between two of them.
const GLANCED_WITHIN: Duration = Duration::from_secs(2);

impl Switches for Recorded<dyn Switches> {
    fn parts(&self) -> usize {
        self.inner.parts()
    }
    fn rail_parts(&self) -> Vec<usize> {
        self.inner.rail_parts()
    }
    fn check(&self, part: usize) -> Result<(), Disturbance> {
        self.recording.state(&format!("{PART}{part}"), || self.inner.check(part))
    }
    fn lock(&self, why: &str) {
        self.recording.state(LOCKED, || self.inner.lock(why));
    }
    fn watchdog_timeout(&self) -> Option<Duration> {
        self.inner.watchdog_timeout()
    }
    fn supply(&self, rail: &str) -> Option<Supply> {
        self.inner.supply(rail)
    }
    fn repeated(&self) -> Vec<Repeated> {
        self.inner.repeated()
    }
    fn glance(&self, rail: &str) -> Tried<Option<RailReading>> {
        self.recording.state(&format!("{GLANCE}{rail}"), || self.inner.glance(rail))
    }
}

impl Switches for Player {
    fn parts(&self) -> usize {
        self.facts().parts
    }
    fn rail_parts(&self) -> Vec<usize> {
        self.facts().rail_parts.clone()
    }
    fn check(&self, part: usize) -> Result<(), Disturbance> {
        self.state(&format!("{PART}{part}")).unwrap_or(Ok(()))
    }
    /// The recorded answers after a cut are those of locked switches.
    fn lock(&self, _: &str) {}
    fn watchdog_timeout(&self) -> Option<Duration> {
        self.facts().watchdog_timeout
    }
    fn supply(&self, rail: &str) -> Option<Supply> {
        self.facts().rail(rail)?.supply
    }
    /// Has a reading only where it may have led to a cut: a step that now takes longer must not see a rail that the run
    /// had switched off by then.
    fn glance(&self, rail: &str) -> Tried<Option<RailReading>> {
        let reading = self.state(&format!("{GLANCE}{rail}"));
        if self.is_just_before(LOCKED, GLANCED_WITHIN) { reading.unwrap_or(Ok(None)) } else { Ok(None) }
    }
}

const DUT: &str = "dut";

#[async_trait(?Send)]
impl Dut for Recorded<dyn Dut> {
    async fn connect(&self, baud: u32) -> Result<u32, DutError> {
        self.recording.exchange(DUT, "connect", vec![Argument::write(&baud)], self.inner.connect(baud)).await
    }
    async fn request(&self, request: Request) -> Result<Reply, DutError> {
        let arguments = vec![Argument::write(&request)];
        self.recording.exchange(DUT, "request", arguments, self.inner.request(request)).await
    }
    async fn job_done(&self, job: u8, deadline: BenchTime) -> Result<JobResult, DutError> {
        self.recording.exchange(DUT, JOB_DONE, vec![Argument::write(&job)], self.inner.job_done(job, deadline)).await
    }
    async fn echo(&self, bytes: &[u8], baud: Option<u32>) -> Tried<Vec<u8>> {
        let arguments = vec![bytes.write(), Argument::write(&baud)];
        self.recording.exchange(DUT, "echo", arguments, self.inner.echo(bytes, baud)).await
    }
    async fn disconnect(&self) {
        self.recording.exchange(DUT, "disconnect", Vec::new(), self.inner.disconnect()).await;
    }
    fn statistics(&self) -> LinkStatistics {
        self.recording.immediate(DUT, STATISTICS, Vec::new(), || self.inner.statistics())
    }
}

const JOB_DONE: &str = "job_done";
const STATISTICS: &str = "statistics";

#[async_trait(?Send)]
impl Dut for Player {
    async fn connect(&self, baud: u32) -> Result<u32, DutError> {
        self.exchange(DUT, "connect", vec![Argument::write(&baud)]).await
    }
    async fn request(&self, request: Request) -> Result<Reply, DutError> {
        self.exchange(DUT, "request", vec![Argument::write(&request)]).await
    }
    /// A step that waits less long than the recorded one is too early for a later end.
    async fn job_done(&self, job: u8, deadline: BenchTime) -> Result<JobResult, DutError> {
        let clock = self.clock();
        let limit = deadline + Duration::from_micros(1);
        let done = self.exchange(DUT, JOB_DONE, vec![Argument::write(&job)]);
        with_deadline(&clock, limit.max(clock.now()), done).await.unwrap_or(Err(DutError::JobLate(job)))
    }
    async fn echo(&self, bytes: &[u8], baud: Option<u32>) -> Tried<Vec<u8>> {
        self.exchange(DUT, "echo", vec![bytes.write(), Argument::write(&baud)]).await
    }
    async fn disconnect(&self) {
        self.exchange(DUT, "disconnect", Vec::new()).await
    }
    fn statistics(&self) -> LinkStatistics {
        self.immediate(DUT, STATISTICS, Vec::new())
    }
}

const PROGRAMMER: &str = "programmer";

/// Notes the module whose content was stored.
fn noted(keep: Keep, kept: Arc<Mutex<Option<u64>>>) -> Keep {
    Keep(Arc::new(move |backup| {
        (keep.0)(backup)?;
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(backup.device_id);
        Ok(())
    }))
}

#[async_trait(?Send)]
impl Programmer for Recorded<dyn Programmer> {
    async fn program(&self, job: ProgramJob, observer: ProgramObserver<'_>) -> Result<Programmed, ProgramError> {
        let arguments = vec![job.write()];
        let kept = Arc::new(Mutex::new(None));
        let job = ProgramJob { keep: job.keep.map(|keep| noted(keep, Arc::clone(&kept))), ..job };
        let work = async {
            let outcome = self.inner.program(job, observer).await;
            ProgramEnd { outcome, kept: kept.lock().unwrap_or_else(PoisonError::into_inner).take() }
        };
        self.recording.exchange(PROGRAMMER, "program", arguments, work).await.outcome
    }
    async fn ended(&self, within: Duration) -> bool {
        self.recording.exchange(PROGRAMMER, "ended", vec![Argument::write(&within)], self.inner.ended(within)).await
    }
}

#[async_trait(?Send)]
impl Programmer for Player {
    async fn program(&self, job: ProgramJob, _: ProgramObserver<'_>) -> Result<Programmed, ProgramError> {
        let ProgramEnd { outcome, kept } = self.exchange(PROGRAMMER, "program", vec![job.write()]).await;
        if let (Some(device_id), Some(Keep(keep))) = (kept, &job.keep) {
            keep(&Backup { device_id, flash: Vec::new(), uicr: Vec::new() }).map_err(ProgramError::NotKept)?;
        }
        outcome
    }
    async fn ended(&self, within: Duration) -> bool {
        self.exchange(PROGRAMMER, "ended", vec![Argument::write(&within)]).await
    }
}

/// What instruments say of themselves, which does not change in a run.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    wired: ContactSet,
    source_ohms: f64,
    rails: Vec<RailFacts>,
    parts: usize,
    rail_parts: Vec<usize>,
    watchdog_timeout: Option<Duration>,
    strongest: u8,
    adapter: String,
    can_loop_back: bool,
    /// Lines that the panel has.
    pub(crate) panel: Vec<String>,
}

#[derive(Debug, Clone)]
struct RailFacts {
    name: String,
    contacts: Vec<Contact>,
    discharge_ohms: Tried<f64>,
    supply: Option<Supply>,
}

impl Facts {
    pub(crate) fn of(nest: &Nest) -> Self {
        let rail = |name: String| RailFacts {
            contacts: nest.rails.contacts(&name),
            discharge_ohms: nest.rails.discharge_ohms(&name),
            supply: nest.switches.supply(&name),
            name,
        };
        let panel = [
            ("lid", nest.panel.lid.is_some()),
            ("emergency", nest.panel.emergency.is_some()),
            ("watchdog", nest.panel.watchdog.is_some()),
            ("guard", nest.panel.guard.is_some()),
        ];
        Self {
            wired: nest.nails.wired(),
            source_ohms: nest.bus.source_ohms(),
            rails: nest.rails.names().into_iter().map(rail).collect(),
            parts: nest.switches.parts(),
            rail_parts: nest.switches.rail_parts(),
            watchdog_timeout: nest.switches.watchdog_timeout(),
            strongest: nest.nfc.strongest(),
            adapter: nest.ble.adapter(),
            can_loop_back: nest.relay.can_loop_back(),
            panel: panel.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    fn rail(&self, name: &str) -> Option<&RailFacts> {
        self.rails.iter().find(|rail| rail.name == name)
    }

    pub(crate) fn write(&self) -> Value {
        let rail = |rail: &RailFacts| {
            json!({
                "name": rail.name,
                "contacts": Form::write(&rail.contacts),
                "discharge_ohms": rail.discharge_ohms.write(),
                "supply": rail.supply.write(),
            })
        };
        json!({
            "wired": self.wired.write(),
            "source_ohms": Form::write(&self.source_ohms),
            "rails": self.rails.iter().map(rail).collect::<Value>(),
            "parts": self.parts,
            "rail_parts": self.rail_parts,
            "watchdog_timeout": self.watchdog_timeout.write(),
            "strongest": self.strongest,
            "adapter": self.adapter,
            "can_loop_back": self.can_loop_back,
            "panel": self.panel,
        })
    }

    /// `None` if something is missing.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        fn of<T: Form>(value: &Value, name: &str) -> Option<T> {
            T::read(value.get(name)?.clone())
        }
        let rail = |value: &Value| {
            Some(RailFacts {
                name: of(value, "name")?,
                contacts: of(value, "contacts")?,
                discharge_ohms: of(value, "discharge_ohms")?,
                supply: of(value, "supply")?,
            })
        };
        Some(Self {
            wired: of(value, "wired")?,
            source_ohms: of(value, "source_ohms")?,
            rails: value.get("rails")?.as_array()?.iter().map(rail).collect::<Option<_>>()?,
            parts: of(value, "parts")?,
            rail_parts: of(value, "rail_parts")?,
            watchdog_timeout: of(value, "watchdog_timeout")?,
            strongest: of(value, "strongest")?,
            adapter: of(value, "adapter")?,
            can_loop_back: of(value, "can_loop_back")?,
            panel: of(value, "panel")?,
        })
    }
}
