//! A run on disks that are slow, full or hang, and journals that are changed.

#![allow(clippy::unwrap_used)] // a helper of a test that cannot go on is a failed test

mod support;

use async_trait::async_trait;
use bench_engine::{self as engine, Delay, DiskWait, Observer, Outcome, Recorder, Seen, Stop};
use bench_instruments::{Clock, InstrumentError, ManualClock, OutputLine, TokioClock};
use bench_journal::{Disk, Journal};
use bench_plan::PlanStep;
use bench_run::{Entry, Event, Verdict};
use bench_steps::{Nest, Procedure, StepError, StepLog};
use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use support::{Idle, nest, plan, started, step, story};

/// Switches a rail on, does something to the world, takes a second, and measures well.
struct Good {
    does: Option<Rc<dyn Fn()>>,
}

#[async_trait(?Send)]
impl Procedure for Good {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.rails.on("3V3").await?;
        self.does.iter().for_each(|does| does());
        nest.clock.sleep(Duration::from_secs(1)).await;
        log.measured("x", Some(0.5));
        Ok(())
    }
}

fn good() -> Good {
    Good { does: None }
}

/// What came of a run, and what observers saw and when.
struct Came {
    outcome: Outcome,
    entries: Vec<Entry>,
    seen: Vec<(Entry, Duration)>,
    rails_off: bool,
}

impl Came {
    fn reason(&self) -> &str {
        self.outcome.reason.as_deref().unwrap_or_default()
    }
    /// When the first entry of this kind was seen, in milliseconds.
    fn seen_ms(&self, wanted: impl Fn(&Event) -> bool) -> Option<u128> {
        self.seen.iter().find(|(entry, _)| wanted(&entry.event)).map(|(_, at)| at.as_millis())
    }
}

fn run(journal: Journal, steps: Vec<PlanStep<Box<dyn Procedure>>>, delay: Option<Delay>) -> Came {
    let clock = Rc::new(ManualClock::new());
    let idle = Rc::new(Idle::default());
    let nest = nest(clock.clone(), idle.clone());
    let seen: Rc<RefCell<Vec<(Entry, Duration)>>> = Rc::default();
    let observer: Observer = {
        let (seen, clock) = (seen.clone(), clock.clone());
        Box::new(move |one| {
            if let Seen::Entry(entry) = one {
                let at = Duration::from_micros(clock.now().as_micros());
                seen.borrow_mut().push((entry.clone(), at));
            }
        })
    };
    let recorder = Recorder::waiting(journal, clock.clone(), vec![observer], DiskWait::Blocking, delay);
    let plan = plan(steps);
    let outcome = clock.run(engine::run(&plan, &nest, &recorder, started(&plan), Stop::never()));
    let rails_off = idle.rails.borrow().values().all(|on| !on);
    Came { outcome, entries: recorder.entries(), seen: seen.take(), rails_off }
}

/// How long the disk takes for which entry; the verdict; when the first step starts and when its end is seen, in
/// milliseconds.
type SlowDisk = (&'static str, Option<Delay>, Verdict, Option<u64>, Option<u128>);

#[test]
fn the_run_waits_for_a_slow_disk_and_ends_when_it_hangs() {
    let slow = |wanted: fn(&Event) -> bool, ms: u64| -> Option<Delay> {
        Some(Box::new(move |entry| Duration::from_millis(if wanted(&entry.event) { ms } else { 0 })))
    };
    let start = |event: &Event| matches!(event, Event::RunStarted { .. });
    let first = |event: &Event| matches!(event, Event::StepEnded { step, .. } if step == "a");
    let end = |event: &Event| matches!(event, Event::RunEnded { .. });
    let rows: [SlowDisk; 8] = [
        ("quick", None, Verdict::Pass, Some(0), Some(1_000)),
        ("slow at the start", slow(start, 4_000), Verdict::Pass, Some(4_000), Some(5_000)),
        ("hangs at the start", slow(start, 6_000), Verdict::Error, None, Some(6_000)),
        ("slow in the middle", slow(first, 4_000), Verdict::Pass, Some(0), Some(5_000)),
        ("hangs in the middle", slow(first, 12_000), Verdict::Error, Some(0), Some(13_000)),
        ("hangs for ever in the middle", slow(first, 60_000), Verdict::Error, Some(0), None),
        ("slow at the end", slow(end, 9_000), Verdict::Pass, Some(0), Some(1_000)),
        ("hangs at the end", slow(end, 11_000), Verdict::Error, Some(0), Some(1_000)),
    ];
    for (what, delay, verdict, starts, seen) in rows {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), "P042TEST", "test").unwrap();
        let path = journal.path().display().to_string();
        let mut steps: Vec<_> = (0..9).map(|n| step(&format!("b{n}"), good())).collect();
        steps.insert(0, step("a", good()));
        for one in &mut steps {
            one.step.uses = vec!["one after the other".into()];
        }
        let came = run(journal, steps, delay);
        assert_eq!(came.outcome.verdict, verdict, "{what}: {}", came.reason());
        let began = came.entries.iter().find(|entry| matches!(entry.event, Event::StepStarted { .. }));
        assert_eq!(began.map(|entry| entry.at_us.as_micros() / 1000), starts, "{what}");
        assert_eq!(came.seen_ms(first), seen, "{what}");
        assert!(came.rails_off, "{what}");
        if verdict == Verdict::Error {
            let hangs = came.reason().starts_with(&format!("the disk hangs: {path} was not written for "));
            assert!(hangs && came.reason().ends_with("test the module again"), "{what}: {}", came.reason());
        }
        let ended = came.seen.iter().find_map(|(entry, _)| match &entry.event {
            Event::RunEnded { verdict, .. } => Some(*verdict),
            _ => None,
        });
        assert!(ended.is_none_or(|ended| ended == verdict), "{what}: {ended:?} was shown");
        let order: Vec<u64> = came.seen.iter().map(|(entry, _)| entry.seq).collect();
        assert!(order.iter().copied().eq(0..order.len() as u64), "{what}: {order:?}");
    }
}

/// A disk with so many bytes left, in memory.
#[derive(Clone)]
struct Small(Arc<Mutex<(Vec<u8>, usize)>>);

impl Disk for Small {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut guard = self.0.lock().unwrap();
        let (written, room) = &mut *guard;
        let fits = bytes.len().min(*room - written.len());
        written.extend_from_slice(&bytes[..fits]);
        if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.lock().unwrap().0.clone())
    }
}

fn some_steps(count: usize) -> Vec<PlanStep<Box<dyn Procedure>>> {
    (0..count)
        .map(|n| {
            let mut one = step(&format!("step-{n}"), good());
            one.step.uses = vec!["one after the other".into()];
            one
        })
        .collect()
}

#[test]
fn a_disk_that_fills_up_is_an_error_wherever_it_does() {
    const KB: usize = 1024;
    let whole = {
        let disk = Small(Arc::new(Mutex::new((Vec::new(), usize::MAX))));
        let journal = Journal::on_disk_of(Box::new(disk.clone()), "reports/journal.jsonl").unwrap();
        assert_eq!(run(journal, some_steps(600), None).outcome.verdict, Verdict::Pass);
        disk.0.lock().unwrap().0.len()
    };
    assert!(whole > 400 * KB, "{whole}");
    let rooms = (0..=400).step_by(16).map(|kb| kb * KB).chain([whole - 1, whole]);
    for room in rooms {
        let disk = Small(Arc::new(Mutex::new((Vec::new(), room))));
        let journal = Journal::on_disk_of(Box::new(disk.clone()), "reports/journal.jsonl").unwrap();
        let came = run(journal, some_steps(600), None);
        let left = bench_journal::parse(&disk.0.lock().unwrap().0).unwrap();
        assert!(came.rails_off, "{room}");
        assert!(came.seen.len() <= left.entries.len(), "{room}: shown without a record");
        if room == whole {
            assert_eq!((came.outcome.verdict, left.finished), (Verdict::Pass, true));
            continue;
        }
        assert_eq!(came.outcome.verdict, Verdict::Error, "{room}");
        assert_eq!(
            came.reason(),
            "reports/journal.jsonl: no space left on the disk: free some space, then test the module again",
            "{room}"
        );
        assert!(!left.finished, "{room}");
        assert!(!story_of(&came.seen).iter().any(|line| line.starts_with("unit")), "{room}");
    }
}

fn story_of(seen: &[(Entry, Duration)]) -> Vec<String> {
    story(&seen.iter().map(|(entry, _)| entry.clone()).collect::<Vec<_>>())
}

/// A file that something else than a full journal has the last word on.
struct Special {
    file: fs::File,
    /// What is read back from this time on is empty.
    lost_from: usize,
    reads: usize,
    written: Vec<u8>,
}

impl Special {
    fn open(path: &str, lost_from: usize) -> Box<Self> {
        let file = fs::File::options().append(true).open(path).unwrap();
        Box::new(Self { file, lost_from, reads: 0, written: Vec::new() })
    }
}

impl Disk for Special {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written.extend_from_slice(bytes);
        self.file.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        self.reads += 1;
        Ok(if self.reads >= self.lost_from { Vec::new() } else { self.written.clone() })
    }
}

#[test]
fn a_pass_needs_two_looks_at_the_file() {
    let rows = [
        ("/dev/full", usize::MAX, Verdict::Error, "reports/journal.jsonl: no space left on the disk"),
        ("/dev/null", 1, Verdict::Error, "the journal reports/journal.jsonl was emptied"),
        ("/dev/null", 2, Verdict::Error, "the journal reports/journal.jsonl was emptied"),
        ("/dev/null", 3, Verdict::Pass, ""),
    ];
    for (path, lost_from, verdict, reason) in rows {
        let journal = Journal::on_disk_of(Special::open(path, lost_from), "reports/journal.jsonl").unwrap();
        let came = run(journal, vec![step("a", good())], None);
        assert_eq!(came.outcome.verdict, verdict, "{path} {lost_from}");
        assert!(came.reason().starts_with(reason), "{path} {lost_from}: {}", came.reason());
        assert!(came.rails_off);
        let passed = story_of(&came.seen).contains(&"unit pass".to_owned());
        assert_eq!(passed, verdict == Verdict::Pass, "{path} {lost_from}");
    }
}

/// What happens to the journal while a step runs.
#[test]
fn a_journal_that_was_touched_is_no_pass() {
    type Touch = fn(&Path);
    let rows: [(&str, Touch, Option<&str>); 5] = [
        ("nothing", |_| {}, None),
        ("deleted", |file| fs::remove_file(file).unwrap(), Some("is gone")),
        ("emptied", |file| fs::write(file, "").unwrap(), Some("was emptied")),
        (
            "written into",
            |file| {
                let mut file = fs::File::options().append(true).open(file).unwrap();
                file.write_all(b"{\"x\":1}\n").unwrap();
            },
            Some("was changed at line"),
        ),
        (
            "replaced by its copy",
            |file| {
                let copy = file.with_extension("copy");
                fs::copy(file, &copy).unwrap();
                fs::rename(copy, file).unwrap();
            },
            Some("was replaced by another file"),
        ),
    ];
    for (what, touch, expected) in rows {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::create(folder.path(), "P042TEST", "test").unwrap();
        let path: PathBuf = journal.path().to_owned();
        let does: Rc<dyn Fn()> = {
            let path = path.clone();
            Rc::new(move || touch(&path))
        };
        let came = run(journal, vec![step("a", Good { does: Some(does) })], None);
        assert!(came.rails_off, "{what}");
        let Some(expected) = expected else {
            assert_eq!(came.outcome.verdict, Verdict::Pass, "{what}");
            continue;
        };
        assert_eq!(came.outcome.verdict, Verdict::Error, "{what}");
        let begins = format!("the journal {} {expected}", path.display());
        assert!(came.reason().starts_with(&begins), "{what}: {}", came.reason());
        assert!(!story_of(&came.seen).contains(&"unit pass".to_owned()), "{what}");
    }
}

/// A disk that answers nothing until it is let go.
#[derive(Clone, Default)]
struct Held(Arc<(Mutex<bool>, Condvar)>);

impl Held {
    fn let_go(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl Disk for Held {
    fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        let guard = self.0.0.lock().unwrap();
        let _guard = self.0.1.wait_while(guard, |free| !*free).unwrap();
        Ok(())
    }
    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Counts kicks, and lets the disk go at the fifth.
struct Watchdog {
    kicks: Cell<u32>,
    disk: Held,
}

impl OutputLine for Watchdog {
    fn set(&self, _: bool) -> Result<(), InstrumentError> {
        self.kicks.set(self.kicks.get() + 1);
        if self.kicks.get() == 5 {
            self.disk.let_go();
        }
        Ok(())
    }
}

/// In real time: the watchdog is kicked while the disk holds the first line, and no step starts before that is on it.
#[test]
fn the_watchdog_is_kicked_while_the_disk_works() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let disk = Held::default();
    let watchdog = Rc::new(Watchdog { kicks: Cell::new(0), disk: disk.clone() });
    let kicks_at_start = Rc::new(Cell::new(None));
    runtime.block_on(async {
        let clock: Rc<dyn Clock> = Rc::new(TokioClock::start());
        let mut nest = nest(Rc::clone(&clock), Rc::new(Idle::default()));
        nest.panel.watchdog = Some(watchdog.clone());
        let journal = Journal::on_disk_of(Box::new(disk.clone()), "reports/journal.jsonl").unwrap();
        let recorder = Recorder::waiting(journal, clock, Vec::new(), DiskWait::Async, None);
        let does: Rc<dyn Fn()> = {
            let (watchdog, kicks_at_start) = (watchdog.clone(), kicks_at_start.clone());
            Rc::new(move || kicks_at_start.set(Some(watchdog.kicks.get())))
        };
        let plan = plan(vec![step("a", Good { does: Some(does) })]);
        engine::run(&plan, &nest, &recorder, started(&plan), Stop::never()).await;
    });
    assert!(kicks_at_start.get().is_some_and(|kicks| kicks >= 5), "{:?}", kicks_at_start.get());
}
