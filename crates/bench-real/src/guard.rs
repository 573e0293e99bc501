//! A process of its own that holds the rails: while it hears the bench's heart beat it does nothing, and when the beats
//! stop it puts the fixture into its safe state.
//!
//! The beats come from the executor that the run lives on. They stop when that hangs, and when the program dies, however
//! it dies. The fixture's watchdog does the same in hardware; the guard is for the fixture whose watchdog is bridged or
//! broken, and it releases the nails too.

use bench_engine::{Failed, Project};
use bench_instruments::{InstrumentError, OutputLine, make_safe};
use bench_pi::PiI2c;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Without a beat for this long the rails go off.
const PATIENCE: Duration = Duration::from_millis(500);
const BEAT: u8 = b'b';
/// The bench has switched everything off itself.
const DONE: u8 = b'd';

/// The guard of one nest, from the side of the bench.
pub struct Guard {
    child: RefCell<Child>,
    heart: RefCell<Option<ChildStdin>>,
}

impl Guard {
    /// Starts it, outside of the process group: what Ctrl-C and a closed terminal send does not reach it.
    ///
    /// # Errors
    /// When the system gives no process.
    pub fn start(root: &Path, fixture: &str, i2c_bus: u8) -> std::io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--root")
            .arg(root)
            .args(["guard", fixture, "--i2c-bus", &i2c_bus.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        let heart = RefCell::new(child.stdin.take());
        Ok(Self { child: RefCell::new(child), heart })
    }

    fn tell(&self, what: u8) {
        // A guard that died is missed, but no reason to leave the safe way: the watchdog is still there.
        if let Some(heart) = self.heart.borrow_mut().as_mut() {
            let _ = heart.write_all(&[what]);
        }
    }
}

impl Drop for Guard {
    /// After the fixture's driver has reached the safe state.
    fn drop(&mut self) {
        self.tell(DONE);
        drop(self.heart.borrow_mut().take());
        let _ = self.child.borrow_mut().wait();
    }
}

/// The watchdog's line, with a beat for the guard at every kick.
pub struct Kicked {
    pub line: Rc<dyn OutputLine>,
    pub guard: Rc<Guard>,
}

impl OutputLine for Kicked {
    fn set(&self, active: bool) -> Result<(), InstrumentError> {
        self.guard.tell(BEAT);
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

/// Listens until it has to act or is not needed any more.
fn listen(mut heart: impl Read + Send + 'static, patience: Duration) -> std::io::Result<End> {
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
    loop {
        match beats.recv_timeout(patience) {
            Ok(DONE) => return Ok(End::Dismissed),
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(End::Dead),
            Err(RecvTimeoutError::Timeout) => return Ok(End::Silent),
        }
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
    let why = match listen(std::io::stdin(), PATIENCE).map_err(|error| failed(&error))? {
        End::Dismissed => return Ok(None),
        End::Dead => "the bench program is gone",
        End::Silent => "the bench program does nothing any more",
    };
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
    fn beats_silence_and_death_are_told_apart() {
        for (said, closed, patience, expected) in [
            (&b"bbbd"[..], false, LONG, End::Dismissed),
            (b"bbb", true, LONG, End::Dead),
            (b"", true, LONG, End::Dead),
            (b"bbb", false, SHORT, End::Silent),
            (b"", false, SHORT, End::Silent),
        ] {
            let (heart, mut bench) = std::io::pipe().unwrap();
            bench.write_all(said).unwrap();
            let bench = (!closed).then_some(bench);
            assert_eq!(listen(heart, patience).unwrap(), expected, "{said:?}, closed: {closed}");
            drop(bench);
        }
    }
}
