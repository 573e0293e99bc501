//! A process of its own that holds the rails: while it hears the bench's heart beat it does nothing, and when the beats
//! stop it puts the fixture into its safe state.
//!
//! The beats come from the executor that the run lives on. They stop when that hangs, and when the program dies, however
//! it dies. The fixture's watchdog does the same in hardware; the guard is for the fixture whose watchdog is bridged or
//! broken, and it releases the nails too.

use crate::process::leave_group;
use bench_engine::{Failed, Project};
use bench_instruments::{GuardLine, GuardState, InstrumentError, OutputLine, make_safe};
use bench_pi::PiI2c;
use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Without a beat for this long the rails go off.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest time for the guard to open its bus: it reads the fixture's file, which takes some milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// A guard that is not needed any more ends within milliseconds.
const DISMISSED_WITHIN_LOOKS: u32 = 500;
const LOOK_EVERY: Duration = Duration::from_millis(4);
/// A guard that has not answered so many beats, one every 50 ms, hangs.
const MOST_UNANSWERED: u64 = 20;
const BEAT: u8 = b'b';
/// The bench has switched everything off itself.
const DONE: u8 = b'd';

/// What the guard says, a line each.
const READY: &str = "ready";
/// To each beat.
const ALIVE: &str = "alive";
/// Followed by the reason.
const ACTED: &str = "acted: ";

/// What was heard of the guard.
#[derive(Default)]
struct Heard {
    ready: bool,
    answered: u64,
    acted: Option<String>,
    gone: bool,
}

#[derive(Default)]
struct Listener {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Listener {
    /// Takes in all that the guard says, until it ends.
    fn listen(&self, said: impl BufRead) {
        for line in said.lines().map_while(Result::ok) {
            self.update(|heard| match (line.as_str(), line.strip_prefix(ACTED)) {
                (READY, _) => heard.ready = true,
                (ALIVE, _) => heard.answered += 1,
                (_, Some(why)) => heard.acted = Some(why.to_owned()),
                _ => {}
            });
        }
        self.update(|heard| heard.gone = true);
    }

    fn update(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until the guard is ready; `false` when it ended or did not get ready in time.
    fn wait_ready(&self, within: Duration) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |heard: &mut Heard| !heard.ready && !heard.gone;
        let (heard, _) = self.changed.wait_timeout_while(heard, within, waits).unwrap_or_else(PoisonError::into_inner);
        heard.ready && !heard.gone
    }

    fn state(&self, beats: u64) -> GuardState {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match &heard.acted {
            Some(why) => GuardState::Acted(why.clone()),
            None if heard.gone => GuardState::Gone("its process has ended".to_owned()),
            None if beats.saturating_sub(heard.answered) > MOST_UNANSWERED => {
                GuardState::Gone("it does not answer".to_owned())
            }
            None => GuardState::Alive,
        }
    }
}

/// The guard of one nest, from the side of the bench.
pub struct Guard {
    child: RefCell<Child>,
    heart: RefCell<Option<ChildStdin>>,
    listener: Arc<Listener>,
    beats: Cell<u64>,
}

impl Guard {
    /// Starts it, outside of the process group: what Ctrl-C and a closed terminal send does not reach it. Returns when it is
    /// ready to act.
    ///
    /// # Errors
    /// When the system gives no process, or the guard cannot do its work; it has said why on standard error.
    pub fn start(root: &Path, fixture: &str, i2c_bus: u8) -> std::io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--root").arg(root).args(["guard", fixture, "--i2c-bus", &i2c_bus.to_string()]);
        Self::start_as(command, READY_WITHIN)
    }

    fn start_as(mut command: Command, within: Duration) -> std::io::Result<Self> {
        leave_group(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let heart = RefCell::new(child.stdin.take());
        let listener = Arc::<Listener>::default();
        let said = child.stdout.take().ok_or_else(|| std::io::Error::other("the guard has no output"))?;
        let guard = Self { child: RefCell::new(child), heart, listener: Arc::clone(&listener), beats: Cell::new(0) };
        std::thread::Builder::new().name("guard".to_owned()).spawn(move || listener.listen(BufReader::new(said)))?;
        if guard.listener.wait_ready(within) {
            return Ok(guard);
        }
        // It may hang: dropping it must not wait for its end.
        let _ = guard.child.borrow_mut().kill();
        Err(std::io::Error::other("it is not ready to switch the fixture off"))
    }

    fn say(&self, what: u8) {
        // A guard that died is noticed by its silence.
        if let Some(heart) = self.heart.borrow_mut().as_mut() {
            let _ = heart.write_all(&[what]);
        }
    }
}

impl GuardLine for Guard {
    fn state(&self) -> GuardState {
        self.listener.state(self.beats.get())
    }
}

impl Drop for Guard {
    /// After the fixture's driver has reached the safe state.
    fn drop(&mut self) {
        self.say(DONE);
        drop(self.heart.borrow_mut().take());
        // One that hangs is not waited for: nothing is powered any more.
        let mut child = self.child.borrow_mut();
        for _ in 0..DISMISSED_WITHIN_LOOKS {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The watchdog's line, with a beat for the guard at every kick.
pub struct Kicked {
    pub line: Rc<dyn OutputLine>,
    pub guard: Rc<Guard>,
}

impl OutputLine for Kicked {
    fn set(&self, active: bool) -> Result<(), InstrumentError> {
        self.guard.beats.set(self.guard.beats.get() + 1);
        self.guard.say(BEAT);
        self.line.set(active)
    }
}

/// Why the guard acts, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Dismissed,
    /// The program is gone.
    Dead,
    /// It is there, and does nothing any more.
    Silent,
}

/// Answers each beat until it has to act or is not needed any more. Before the first beat nothing is powered, and it may take
/// as long as it likes.
fn listen(mut heart: impl Read + Send + 'static, answer: &mut impl Write, patience: Duration) -> std::io::Result<End> {
    let (beat, beats) = channel();
    let hear = move || {
        let mut byte = [0];
        while matches!(heart.read(&mut byte), Ok(1)) {
            if beat.send(byte[0]).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("heart".into()).spawn(hear)?;
    let mut next = beats.recv().map_err(|_| RecvTimeoutError::Disconnected);
    loop {
        match next {
            Ok(DONE) => return Ok(End::Dismissed),
            Ok(_) => {
                // Who does not listen any more is gone, which the next wait shows.
                let _ = writeln!(answer, "{ALIVE}").and_then(|()| answer.flush());
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(End::Dead),
            Err(RecvTimeoutError::Timeout) => return Ok(End::Silent),
        }
        next = beats.recv_timeout(patience);
    }
}

/// Watches over a fixture until its bench is done with it. Returns why it had to act, if it had to.
///
/// # Errors
/// When the fixture cannot be reached, or did not obey.
pub fn watch(root: Option<&Path>, fixture: &str, i2c_bus: u8) -> Result<Option<&'static str>, Failed> {
    let failed = |error: &dyn std::fmt::Display| Failed::bench(format_args!("the guard: {error}"));
    let project = Project::find(root, None);
    let (fixture, _) = project.fixture_and_families(fixture)?;
    // Opened before anything can go wrong.
    let bus = PiI2c::open(i2c_bus).map_err(|error| failed(&error))?;
    let mut answer = std::io::stdout();
    writeln!(answer, "{READY}").and_then(|()| answer.flush()).map_err(|error| failed(&error))?;
    let why = match listen(std::io::stdin(), &mut answer, PATIENCE).map_err(|error| failed(&error))? {
        End::Dismissed => return Ok(None),
        End::Dead => "the bench program is gone",
        End::Silent => "nothing was heard of the bench program for 500 ms",
    };
    // Before the first transfer: the bench must not take this for a fault of the fixture.
    let _ = writeln!(answer, "{ACTED}{why}").and_then(|()| answer.flush());
    let safe = make_safe(&fixture, bus);
    safe.map_err(|error| failed(&format!("{why}, and {error}; switch the fixture off by hand"))).map(|()| Some(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);
    /// Never waited for: something else ends it first.
    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn beats_silence_and_death_are_distinguished() {
        for (said, closed, patience, expected) in [
            (&b"bbbd"[..], false, LONG, End::Dismissed),
            (b"d", false, SHORT, End::Dismissed),
            (b"bbb", true, LONG, End::Dead),
            (b"", true, LONG, End::Dead),
            (b"bbb", false, SHORT, End::Silent),
        ] {
            let (heart, mut bench) = std::io::pipe().unwrap();
            bench.write_all(said).unwrap();
            let bench = (!closed).then_some(bench);
            let mut answers = Vec::new();
            assert_eq!(listen(heart, &mut answers, patience).unwrap(), expected, "{said:?}, closed: {closed}");
            let beats = said.iter().filter(|byte| **byte == BEAT).count();
            assert_eq!(answers, "alive\n".repeat(beats).into_bytes(), "{said:?}");
            drop(bench);
        }
    }

    #[test]
    fn a_guard_that_does_not_get_ready_is_none() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        for (what, script) in [
            ("ends at once", "exit 1"),
            ("says something else", "echo no such bus; exit 2"),
            ("ends after it was ready", "echo ready; exit 0"),
        ] {
            let started = Guard::start_as(shell(script), LONG);
            // One that ends right after it was ready is noticed now or at the first look.
            let gone = started.is_err()
                || started.is_ok_and(|guard| {
                    guard.listener.changed.notify_all();
                    let heard = guard.listener.heard.lock().unwrap();
                    drop(guard.listener.changed.wait_while(heard, |heard| !heard.gone).unwrap());
                    matches!(guard.state(), GuardState::Gone(_))
                });
            assert!(gone, "{what}");
        }
        assert!(Guard::start_as(shell("exec sleep 1000"), SHORT).is_err(), "it hangs");
        assert!(Guard::start_as(Command::new("/no/such/program"), LONG).is_err());
        let alive = Guard::start_as(shell("echo ready; exec cat"), LONG).unwrap();
        assert_eq!(alive.state(), GuardState::Alive);
    }

    #[test]
    fn what_the_guard_says_is_its_state() {
        let gone = |why: &str| GuardState::Gone(why.to_owned());
        let acted = GuardState::Acted("nothing was heard".to_owned());
        let alive = "ready\n".to_owned() + &"alive\n".repeat(7);
        for (said, ended, beats, ready, expected) in [
            (alive.as_str(), false, 7, true, GuardState::Alive),
            (&alive, false, 7 + MOST_UNANSWERED, true, GuardState::Alive),
            (&alive, false, 8 + MOST_UNANSWERED, true, gone("it does not answer")),
            (&alive, true, 7, false, gone("its process has ended")),
            ("", true, 0, false, gone("its process has ended")),
            ("what?\n", false, 0, false, GuardState::Alive),
            ("ready\nacted: nothing was heard\n", false, 40, true, acted.clone()),
            ("ready\nacted: nothing was heard\n", true, 0, false, acted),
        ] {
            let listener = Listener::default();
            listener.listen(said.as_bytes());
            listener.update(|heard| heard.gone = ended);
            assert_eq!(listener.wait_ready(Duration::ZERO), ready, "{said:?}");
            assert_eq!(listener.state(beats), expected, "{said:?}, {beats} beats");
        }
    }
}
