//! Disks that are slow, full or hanging.

use bench_journal::{Disk, Journal, Pending, Progress, parse};
use bench_run::{BenchTime, Event, Verdict};
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Real time that exceeds every test.
const LONG: Duration = Duration::from_secs(60);

/// A disk that the test controls from its other end.
#[derive(Default)]
struct Platter {
    bytes: Vec<u8>,
    writes: usize,
    syncs: usize,
    /// Largest number of bytes that it accepts.
    room: Option<usize>,
    /// The next access that waits, and the one that waits now.
    holds: Option<Access>,
    held: Option<Access>,
    /// Result of the next forced write.
    refuses: Option<i32>,
    panics: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Write,
    Sync,
}

#[derive(Clone, Default)]
struct TestDisk(Arc<(Mutex<Platter>, Condvar)>);

impl TestDisk {
    fn change<T>(&self, change: impl FnOnce(&mut Platter) -> T) -> T {
        let value = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
        value
    }
    fn wait_until(&self, ready: impl Fn(&Platter) -> bool) {
        let guard = self.0.0.lock().unwrap();
        let (_guard, timeout) = self.0.1.wait_timeout_while(guard, LONG, |platter| !ready(platter)).unwrap();
        assert!(!timeout.timed_out(), "it never happened");
    }
    fn pass(&self, access: Access) {
        let mut platter = self.0.0.lock().unwrap();
        while platter.holds == Some(access) {
            platter.held = Some(access);
            self.0.1.notify_all();
            platter = self.0.1.wait(platter).unwrap();
        }
        platter.held = None;
    }
    fn let_go(&self) {
        self.change(|platter| platter.holds = None);
    }
}

impl Disk for TestDisk {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pass(Access::Write);
        self.change(|platter| {
            assert!(!platter.panics, "a bug in a disk");
            platter.writes += 1;
            let fits = platter.room.map_or(bytes.len(), |room| bytes.len().min(room - platter.bytes.len()));
            platter.bytes.extend_from_slice(&bytes[..fits]);
            if fits == bytes.len() { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        })
    }
    fn sync(&mut self) -> io::Result<()> {
        self.pass(Access::Sync);
        self.change(|platter| {
            platter.syncs += 1;
            platter.refuses.take().map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
        })
    }
    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.change(|platter| platter.bytes.clone()))
    }
}

fn journal(disk: &TestDisk) -> Journal {
    Journal::on_disk_of(Box::new(disk.clone()), "reports/P042/r1/journal.jsonl").unwrap()
}

fn note(journal: &mut Journal) -> u64 {
    journal.append(BenchTime(0), Event::Note { step: None, text: "a".into() }).unwrap().seq
}

fn end_of_step(journal: &mut Journal) -> u64 {
    let event = Event::StepEnded {
        step: "a".into(),
        attempt: 1,
        verdict: Verdict::Pass,
        reason: None,
        procedure: Some(Verdict::Pass),
        retried: false,
        late: None,
    };
    journal.append(BenchTime(0), event).unwrap().seq
}

/// Awaits it on this thread.
fn await_it(pending: Pending) -> io::Result<()> {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut pending = std::pin::pin!(pending);
    loop {
        match pending.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park_timeout(LONG),
        }
    }
}

#[test]
fn lines_that_wait_together_are_written_and_forced_once() {
    let disk = TestDisk::default();
    let mut journal = journal(&disk);
    for (held, lines, forced_alone) in [(Access::Write, 50, 0), (Access::Sync, 50, 0), (Access::Write, 0, 1)] {
        let before = disk.change(|platter| {
            platter.holds = Some(held);
            (platter.writes, platter.syncs)
        });
        // The disk handles the first line while the others arrive.
        let mut last = end_of_step(&mut journal);
        disk.wait_until(|platter| platter.held == Some(held));
        for _ in 0..lines {
            note(&mut journal);
            last = end_of_step(&mut journal);
        }
        disk.let_go();
        journal.acknowledgement(last).wait_at_most(LONG).unwrap();
        let expected = 2 - forced_alone;
        assert_eq!(
            disk.change(|platter| (platter.writes - before.0, platter.syncs - before.1)),
            (expected, expected),
            "{held:?} {lines}"
        );
    }
    assert_eq!(parse(&disk.change(|platter| platter.bytes.clone())).unwrap().entries.len(), journal.entries().len());
}

/// What may be shown while the disk is slow: a line that must be on the disk delays those after it.
#[test]
fn a_slow_disk_delays_what_may_be_shown_and_nothing_else() {
    let disk = TestDisk::default();
    let mut journal = journal(&disk);
    disk.change(|platter| platter.holds = Some(Access::Sync));
    let first = note(&mut journal);
    await_it(journal.acknowledgement(first)).unwrap();
    assert_eq!(journal.oldest_waiting(), None, "a note need not be on the disk");
    let ended = end_of_step(&mut journal);
    disk.wait_until(|platter| platter.held == Some(Access::Sync));
    let behind = note(&mut journal);
    assert_eq!(journal.progress(), Progress { written: 2, forced: 0 });
    assert_eq!((journal.acknowledged(), journal.oldest_waiting()), (1, Some(ended)));
    let refused = journal.acknowledgement(ended).wait_at_most(Duration::from_millis(1)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
    assert!(refused.to_string().starts_with("the disk hangs: reports/P042/r1/journal.jsonl was not written for"));

    // A caller waits while the disk works, and is woken.
    let (moved, pending) = (journal.progress_beyond(journal.progress()), journal.acknowledgement(behind));
    let waiting = std::thread::spawn(move || (await_it(moved), await_it(pending)));
    disk.let_go();
    let (moved, acknowledged) = waiting.join().unwrap();
    moved.unwrap();
    acknowledged.unwrap();
    assert_eq!((journal.acknowledged(), journal.oldest_waiting()), (3, None));
}

#[test]
fn a_hanging_disk_blocks_neither_the_run_nor_the_end_of_the_program() {
    for held in [Access::Write, Access::Sync] {
        let disk = TestDisk::default();
        let mut journal = journal(&disk);
        disk.change(|platter| platter.holds = Some(held));
        for _ in 0..1_000 {
            end_of_step(&mut journal);
        }
        disk.wait_until(|platter| platter.held == Some(held));
        assert_eq!((journal.acknowledged(), journal.oldest_waiting()), (0, Some(0)));
        drop(journal);
        // A disk that recovers still gets every line.
        assert_eq!(disk.change(|platter| platter.held), Some(held));
        disk.let_go();
        disk.wait_until(|platter| parse(&platter.bytes).unwrap().entries.len() == 1_000);
    }
}

#[test]
fn a_dropped_journal_writes_what_is_queued() {
    let disk = TestDisk::default();
    let mut journal = journal(&disk);
    for _ in 0..100 {
        note(&mut journal);
    }
    drop(journal);
    disk.wait_until(|platter| parse(&platter.bytes).unwrap().entries.len() == 100);
}

/// Full at any byte: the rest replays, and contains everything that was acknowledged.
#[test]
fn a_full_disk_leaves_whole_lines() {
    let whole = TestDisk::default();
    let mut first = journal(&whole);
    for _ in 0..4 {
        note(&mut first);
        end_of_step(&mut first);
    }
    first.acknowledgement(7).wait_at_most(LONG).unwrap();
    let bytes = whole.change(|platter| platter.bytes.clone());
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    assert_eq!(ends.len(), 8);
    let near = |room: &usize| *room == 0 || ends.iter().any(|end| end.abs_diff(*room) <= 3);
    for room in (0..bytes.len()).filter(near) {
        for together in [false, true] {
            let disk = TestDisk::default();
            disk.change(|platter| {
                platter.room = Some(room);
                platter.holds = together.then_some(Access::Write);
            });
            let mut journal = journal(&disk);
            let mut failure = None;
            for index in 0..8 {
                let event = journal_event(index);
                let appended = journal.append(BenchTime(0), event).map(|entry| entry.seq);
                let result = match appended {
                    Ok(_) if together => Ok(()),
                    Ok(seq) => journal.acknowledgement(seq).wait_at_most(LONG),
                    Err(error) => Err(error),
                };
                failure = failure.or(result.err());
            }
            disk.let_go();
            if together {
                failure = journal.acknowledgement(7).wait_at_most(LONG).err();
            }
            let failure = failure.expect("it was full");
            assert_eq!(failure.kind(), io::ErrorKind::StorageFull, "{room}");
            assert_eq!(
                failure.to_string(),
                "reports/P042/r1/journal.jsonl: no space left on the disk: free some space, then test the module again"
            );
            assert_eq!(journal.failure().unwrap().to_string(), failure.to_string());
            disk.change(|platter| platter.room = None);
            assert!(
                journal.append(BenchTime(2), journal_event(0)).is_err(),
                "a line behind a lost one would hide the loss"
            );
            assert!(journal.verify().wait_at_most(LONG).is_err());
            let left = parse(&disk.change(|platter| platter.bytes.clone())).unwrap();
            assert_eq!(left.entries.len(), bytes[..room].iter().filter(|byte| **byte == b'\n').count(), "{room}");
            assert!(journal.acknowledged() <= left.entries.len() as u64, "{room}");
            if !together {
                assert_eq!(journal.acknowledged(), left.entries.len() as u64, "{room}");
            }
        }
    }
}

fn journal_event(index: usize) -> Event {
    let mut memory = Journal::in_memory();
    if index.is_multiple_of(2) {
        note(&mut memory)
    } else {
        end_of_step(&mut memory)
    };
    memory.entries()[0].event.clone()
}

#[test]
fn a_disk_that_refuses_or_panics_fails_the_journal_for_good() {
    let rows =
        [(Some(5), "the disk reports a read or write error"), (Some(122), "this user's share"), (None, "panicked")];
    for (code, expected) in rows {
        let disk = TestDisk::default();
        disk.change(|platter| (platter.refuses, platter.panics) = (code, code.is_none()));
        let mut journal = journal(&disk);
        let seq = end_of_step(&mut journal);
        let failure = await_it(journal.acknowledgement(seq)).unwrap_err().to_string();
        assert!(failure.contains(expected), "{failure}");
        assert!(!journal.is_acknowledged(seq));
        assert_eq!(journal.failure().unwrap().to_string(), failure);
        assert!(await_it(journal.verify()).is_err());
    }
}

#[test]
fn in_memory_everything_is_acknowledged_at_once() {
    let mut journal = Journal::in_memory();
    let seq = end_of_step(&mut journal);
    assert!(journal.is_acknowledged(seq));
    assert_eq!((journal.oldest_waiting(), journal.progress()), (None, Progress { written: 1, forced: 1 }));
    await_it(journal.acknowledgement(seq)).unwrap();
    await_it(journal.verify()).unwrap();
    journal.discard().unwrap();
}
