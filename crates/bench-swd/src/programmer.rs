//! The asynchronous side: a thread for each job, and the bench's own lines as a probe.

use crate::cancel::{Cancel, cancellable};
use crate::job::{self, Task};
use crate::wire;
use async_trait::async_trait;
use bench_instruments::{
    Clock, ProgramError, ProgramJob, ProgramObserver, ProgramProgress, Programmed, Programmer, SwdAnswer, SwdOperation,
    SwdWire, with_deadline,
};
use bench_run::BenchTime;
use probe_rs::probe::list::Lister;
use probe_rs::probe::{DebugProbeInfo, DebugProbeSelector};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Safe SWD clock over pogo pins.
const KHZ: u32 = 4000;
/// Timeout of a job: some ten seconds for a full megabyte, and as much again.
const WITHIN: Duration = Duration::from_secs(60);
/// A probe's thread that neither sends a request nor ends for this long (by the wall clock) hangs: it should only
/// compute meanwhile.
const SILENT_FOR: Duration = Duration::from_secs(20);
/// Longest time that a job waits for the end of a cancelled one. Most of it is the release of a probe.
const ENDS_WITHIN: Duration = Duration::from_secs(3);
/// Poll interval for the end of a cancelled thread.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Selects one of the plugged-in probes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// USB vendor and product ids.
    pub usb: Option<(u16, u16)>,
    /// One of several interfaces of the same probe.
    pub interface: Option<u8>,
    pub serial: Option<String>,
}

/// A serial number that is an address of six bytes: no pair of ids before a serial number.
const ADDRESS_BYTES: usize = 6;

impl Selection {
    /// Parses "VID:PID:SERIAL" or "VID:PID-INTERFACE:SERIAL", as tools list probes, in either case and with or without
    /// 0x; interface and serial number are optional. Text without a pair of ids is a serial number. That of a Black
    /// Magic Probe on the network is its address and port: "1d50:6018:10.0.0.7:2022". Text that means nothing selects
    /// no probe, and the error lists those that are plugged in.
    pub fn parse(text: &str) -> Selection {
        let text = text.trim();
        let serial = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut parts = text.splitn(3, ':');
        let (vendor, product) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (product, interface) = match product.split_once('-') {
            Some((product, interface)) => (product, Some(interface)),
            None => (product, None),
        };
        let interface = interface.filter(|interface| !interface.is_empty()).map(str::parse::<u8>).transpose();
        match (usb_id(vendor), usb_id(product), interface) {
            (Some(vendor), Some(product), Ok(interface)) if !is_address(text) => {
                Selection { usb: Some((vendor, product)), interface, serial: parts.next().and_then(serial) }
            }
            _ => Selection { serial: serial(text), ..Selection::default() },
        }
    }

    /// The probe, if its serial number is an address and a port.
    pub(crate) fn on_network(&self) -> Option<DebugProbeSelector> {
        let address = self.serial.as_ref().filter(|serial| serial.parse::<SocketAddr>().is_ok())?;
        let (vendor_id, product_id) = self.usb?;
        Some(DebugProbeSelector { vendor_id, product_id, interface: None, serial_number: Some(address.clone()) })
    }

    pub(crate) fn fits(&self, info: &DebugProbeInfo) -> bool {
        let has_serial =
            |serial: &String| info.serial_number.as_ref().is_some_and(|has| has.eq_ignore_ascii_case(serial));
        self.usb.is_none_or(|usb| usb == (info.vendor_id, info.product_id))
            && self.interface.is_none_or(|interface| Some(interface) == info.interface)
            && self.serial.as_ref().is_none_or(has_serial)
    }

    /// For a message: " 2e8a:000c E6614103E7".
    pub(crate) fn words(&self) -> String {
        let interface = self.interface.map(|interface| format!("-{interface}")).unwrap_or_default();
        let usb = self.usb.map(|(vendor, product)| format!(" {vendor:04x}:{product:04x}{interface}"));
        let serial = self.serial.as_ref().map(|serial| format!(" {serial}"));
        usb.into_iter().chain(serial).collect()
    }
}

/// A vendor's or product's id: at most four hexadecimal digits.
fn usb_id(text: &str) -> Option<u16> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let good = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

fn is_address(text: &str) -> bool {
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == ADDRESS_BYTES && text.split(':').all(is_byte)
}

/// The debug probe of a nest, through `probe-rs`.
pub struct SwdProgrammer {
    clock: Rc<dyn Clock>,
    selection: Selection,
    front: Front,
    work: Arc<Work>,
    /// [`SILENT_FOR`], except in tests.
    silent_for: Duration,
}

/// Whether a job's thread runs, perhaps after its cancellation.
#[derive(Default)]
struct Work {
    under_way: Mutex<bool>,
    ended: Condvar,
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end of the thread, by the wall clock. Returns whether it ended.
    fn wait(&self, within: Duration) -> bool {
        let waited = self.ended.wait_timeout_while(self.lock(), within, |under_way| *under_way);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Cancels a job whose result is no longer needed. No effect after the result.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

enum Front {
    Usb,
    Wire(Rc<dyn SwdWire>),
}

/// Message of the probe's thread.
enum Message {
    Ask { operations: Vec<SwdOperation>, hz: u32, answer: mpsc::SyncSender<SwdAnswer> },
    Progress(ProgramProgress),
    Done(Result<Programmed, ProgramError>),
}

impl SwdProgrammer {
    /// A probe on one of the controller's USB ports.
    pub fn usb(clock: Rc<dyn Clock>, selection: Selection) -> SwdProgrammer {
        job::read_target_early();
        SwdProgrammer { clock, selection, front: Front::Usb, work: Arc::default(), silent_for: SILENT_FOR }
    }

    /// A probe whose lines the bench serves itself. While its thread computes, the bench's time stops.
    pub fn wired(clock: Rc<dyn Clock>, wire: Rc<dyn SwdWire>) -> SwdProgrammer {
        SwdProgrammer { front: Front::Wire(wire), ..SwdProgrammer::usb(clock, Selection::default()) }
    }

    /// Starts the thread, which sends its messages through `say`. `say` returns whether a receiver is left. The thread
    /// ends soon after the returned value is dropped.
    fn start(
        &self,
        job: ProgramJob,
        lister: impl FnOnce() -> Lister + Send + 'static,
        say: Arc<dyn Fn(Message) -> bool + Send + Sync>,
    ) -> Result<CancelOnDrop, ProgramError> {
        if std::mem::replace(&mut *self.work.lock(), true) {
            let with = "an earlier, cancelled job has not ended yet".to_owned();
            return Err(ProgramError::Busy { probe: self.selection.words().trim().to_owned(), with });
        }
        let at_end = AtEnd(Arc::clone(&self.work));
        let cancel = Cancel::default();
        let task = Task { job, selection: self.selection.clone(), khz: KHZ, cancel: cancel.clone() };
        let work = move || {
            let report = |progress| {
                // An abandoned job is cancelled by its `Cancel`.
                let _ = say(Message::Progress(progress));
            };
            let result = catch_unwind(AssertUnwindSafe(|| {
                let lister = cancellable(lister(), task.cancel.clone());
                job::run(&task, &lister, &report)
            }));
            let result = result.unwrap_or_else(|panic| Err(ProgramError::Broken(panic_text(&*panic))));
            drop(at_end);
            say(Message::Done(result));
        };
        let started = std::thread::Builder::new().name("probe".to_owned()).spawn(work);
        started
            .map(|_| CancelOnDrop(cancel))
            .map_err(|error| ProgramError::Broken(format!("no thread for the probe: {error}")))
    }

    async fn over_usb(&self, job: ProgramJob, observer: ProgramObserver<'_>) -> Result<Programmed, ProgramError> {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let _cancel = self.start(job, Lister::new, Arc::new(move |message| sender.send(message).is_ok()))?;
        let deadline = self.clock.now() + WITHIN;
        loop {
            match with_deadline(&*self.clock, deadline, receiver.recv()).await {
                Ok(Some(Message::Progress(progress))) => observer(progress),
                Ok(Some(Message::Done(result))) => return result,
                // USB probes do not use the bench's lines.
                Ok(Some(Message::Ask { .. })) => {}
                Ok(None) => return Err(ended_without_a_message()),
                Err(_) => return Err(ProgramError::Late(WITHIN.as_secs())),
            }
        }
    }

    async fn over_wire(
        &self,
        wire: &dyn SwdWire,
        job: ProgramJob,
        observer: ProgramObserver<'_>,
    ) -> Result<Programmed, ProgramError> {
        let (sender, receiver) = mpsc::channel();
        let say: Arc<dyn Fn(Message) -> bool + Send + Sync> = Arc::new(move |message| sender.send(message).is_ok());
        let (serials, asks) = (wire.probes(), Arc::clone(&say));
        let ask: wire::Ask = Arc::new(move |operations, hz| {
            let (answer, answered) = mpsc::sync_channel(1);
            asks(Message::Ask { operations, hz, answer });
            // The sender has ended without a receiver.
            soon(&answered).or_else(|| answered.recv().ok())
        });
        let _cancel = self.start(job, move || wire::lister(serials, ask), say)?;
        self.serve(wire, &receiver, observer).await
    }

    async fn serve(
        &self,
        wire: &dyn SwdWire,
        receiver: &mpsc::Receiver<Message>,
        observer: ProgramObserver<'_>,
    ) -> Result<Programmed, ProgramError> {
        let deadline: BenchTime = self.clock.now() + WITHIN;
        loop {
            // Blocks, so that the thread's computation takes no bench time: runs must be reproducible.
            let message = soon(receiver).map_or_else(|| receiver.recv_timeout(self.silent_for), Ok);
            match message {
                Ok(Message::Ask { operations, hz, answer }) => {
                    let answered = with_deadline(&*self.clock, deadline, wire.run(&operations, hz)).await;
                    // The requester may have given up.
                    let _ = answer.send(answered.map_err(|_| ProgramError::Late(WITHIN.as_secs()))?);
                }
                Ok(Message::Progress(progress)) => observer(progress),
                Ok(Message::Done(result)) => return result,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(ProgramError::Broken(format!("it hangs, {:?} without a sign", self.silent_for)));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(ended_without_a_message()),
            }
        }
    }
}

#[async_trait(?Send)]
impl Programmer for SwdProgrammer {
    async fn program(&self, job: ProgramJob, observer: ProgramObserver<'_>) -> Result<Programmed, ProgramError> {
        // A cancelled job releases the probe within milliseconds. If it does not, the next start reports it.
        self.ended(ENDS_WITHIN).await;
        match &self.front {
            Front::Usb => self.over_usb(job, observer).await,
            Front::Wire(wire) => self.over_wire(&**wire, job, observer).await,
        }
    }

    async fn ended(&self, within: Duration) -> bool {
        match &self.front {
            Front::Usb => {
                let deadline = self.clock.now() + within;
                while *self.work.lock() {
                    if self.clock.now() >= deadline {
                        return false;
                    }
                    self.clock.sleep(LOOK_EVERY).await;
                }
                true
            }
            // Blocks, as in `serve`: a cancelled thread sends no more requests, so it ends without bench time.
            Front::Wire(_) => self.work.wait(within),
        }
    }
}

/// Polls for some microseconds: most answers come within that time, and sleeping and waking would take longer.
fn soon<T>(receiver: &mpsc::Receiver<T>) -> Option<T> {
    const LOOKS: usize = 500;
    for _ in 0..LOOKS {
        if let Ok(message) = receiver.try_recv() {
            return Some(message);
        }
        std::hint::spin_loop();
    }
    None
}

/// Resets the flag in whatever way the thread ends.
struct AtEnd(Arc<Work>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.ended.notify_all();
    }
}

fn ended_without_a_message() -> ProgramError {
    ProgramError::Broken("its thread ended without a result".to_owned())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_instruments::ManualClock;

    struct NoLines;

    #[async_trait(?Send)]
    impl SwdWire for NoLines {
        fn probes(&self) -> Vec<String> {
            Vec::new()
        }
        async fn run(&self, _: &[SwdOperation], _: u32) -> SwdAnswer {
            SwdAnswer { read: Vec::new(), fault: None }
        }
    }

    /// Serves a thread that runs this function in place of a job.
    fn served(programmer: &SwdProgrammer, thread: impl FnOnce() -> Lister + Send + 'static) -> ProgramError {
        let (sender, receiver) = mpsc::channel();
        let say = Arc::new(move |message| sender.send(message).is_ok());
        let _cancel = programmer.start(ProgramJob::default(), thread, say).unwrap();
        let served = programmer.serve(&NoLines, &receiver, &|_| {});
        futures_util::FutureExt::now_or_never(served).unwrap().unwrap_err()
    }

    #[test]
    fn a_thread_that_panics_or_hangs_is_an_error_of_its_own_nest() {
        let clock: Rc<dyn Clock> = Rc::new(ManualClock::new());
        let mut programmer = SwdProgrammer::wired(Rc::clone(&clock), Rc::new(NoLines));
        let error = served(&programmer, || panic!("debug_port_start"));
        assert!(matches!(&error, ProgramError::Broken(what) if what == "debug_port_start"), "{error:?}");
        // The next module gets its own thread.
        programmer.silent_for = Duration::from_millis(50);
        let (_let_go, held) = mpsc::channel::<()>();
        let error = served(&programmer, move || {
            let _ = held.recv();
            Lister::new()
        });
        assert!(matches!(&error, ProgramError::Broken(what) if what.starts_with("it hangs")), "{error:?}");
        // While the last job hangs, no other job starts.
        let say: Arc<dyn Fn(Message) -> bool + Send + Sync> = Arc::new(|_| true);
        let refused = programmer.start(ProgramJob::default(), Lister::new, say).err();
        assert!(matches!(refused, Some(ProgramError::Busy { .. })), "{refused:?}");
    }

    #[test]
    fn probes_are_selected_by_ids_and_serial_number() {
        const PICO: Option<(u16, u16)> = Some((0x2e8a, 0xc));
        for (text, usb, interface, serial) in [
            ("2e8a:000c:E6614103E7", PICO, None, Some("E6614103E7")),
            ("2E8A:000C:E6614103E7", PICO, None, Some("E6614103E7")),
            ("0x2e8a:0x000c:E6614103E7", PICO, None, Some("E6614103E7")),
            ("0X2E8A:c", PICO, None, None),
            (" 2e8a:000c:E6614103E7 ", PICO, None, Some("E6614103E7")),
            ("2e8a:000c:A:B", PICO, None, Some("A:B")),
            ("2e8a:000c", PICO, None, None),
            ("2e8a:000c:", PICO, None, None),
            ("2e8a:000c-1:E6614103E7", PICO, Some(1), Some("E6614103E7")),
            ("2e8a:000c-", PICO, None, None),
            ("303a:1001:DC:DA:0C:D3:FE:D8", Some((0x303a, 0x1001)), None, Some("DC:DA:0C:D3:FE:D8")),
            ("DC:DA:0C:D3:FE:D8", None, None, Some("DC:DA:0C:D3:FE:D8")),
            ("E6614103E7", None, None, Some("E6614103E7")),
            ("2e8a:pico", None, None, Some("2e8a:pico")),
            ("2e8a:000c-x:A", None, None, Some("2e8a:000c-x:A")),
            ("2e8a1:000c:A", None, None, Some("2e8a1:000c:A")),
            ("", None, None, None),
        ] {
            let expected = Selection { usb, interface, serial: serial.map(str::to_owned) };
            assert_eq!(Selection::parse(text), expected, "{text}");
        }
        assert_eq!(Selection::parse("2e8a:000c:A").words(), " 2e8a:000c A");
    }
}
