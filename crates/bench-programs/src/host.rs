//! The bench's side: starts keepers, and waits for what the programs under them say.

use crate::frames::{FromKeeper, Start, ToKeeper};
use crate::system;
use async_trait::async_trait;
use bench_instruments::{InstrumentError, ProgramExit, ProgramOrder, ProgramSays, Programs};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How a keeper is started: a program whose whole job is [`crate::keep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

impl KeeperCommand {
    /// This program, with its hidden command `keep`.
    ///
    /// # Errors
    /// When the system does not name this program's file.
    pub fn this_program() -> std::io::Result<Self> {
        Ok(Self { program: std::env::current_exe()?, arguments: vec!["keep".to_owned()] })
    }

    pub(crate) fn start(&self) -> std::io::Result<(Child, ChildStdin)> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        system::leave_group(&mut command);
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().ok_or_else(|| std::io::Error::other("the keeper has no input"))?;
        Ok((child, stdin))
    }
}

/// What the keepers' threads have heard.
#[derive(Default)]
struct Heard {
    of: BTreeMap<u32, Mailbox>,
    wakers: Vec<Waker>,
    /// Keepers whose process has not ended.
    running: usize,
}

#[derive(Default)]
struct Mailbox {
    says: VecDeque<ProgramSays>,
    has_ended: bool,
}

#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Ear {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Heard)) {
        let mut heard = self.lock();
        change(&mut heard);
        let wakers = std::mem::take(&mut heard.wakers);
        drop(heard);
        wakers.into_iter().for_each(Waker::wake);
        self.changed.notify_all();
    }
}

/// Which program is heard next.
#[derive(Default)]
struct Turns {
    ear: Arc<Ear>,
    /// Whether programs are heard in turns, because time stands for them.
    in_turns: Cell<bool>,
    /// Programs that compute: the bench waits for what they say next.
    computing: RefCell<BTreeSet<u32>>,
    /// The program that may be heard now.
    granted: Cell<Option<u32>>,
}

impl Turns {
    /// Whether a program computes, so that time must stand. Once nothing else can happen at this time, lets the first of
    /// them be heard, if it has said something: which one is quicker changes nothing.
    fn hold(&self) -> bool {
        let Some(first) = self.computing.borrow().first().copied() else { return false };
        let has_said = |mailbox: &Mailbox| !mailbox.says.is_empty() || mailbox.has_ended;
        let mut heard = self.ear.lock();
        if heard.of.get(&first).is_some_and(has_said) {
            self.granted.set(Some(first));
            let wakers = std::mem::take(&mut heard.wakers);
            drop(heard);
            wakers.into_iter().for_each(Waker::wake);
        }
        true
    }

    fn may_be_heard(&self, program: u32) -> bool {
        !self.in_turns.get() || self.granted.get() == Some(program)
    }

    fn begin_computing(&self, program: u32) {
        self.computing.borrow_mut().insert(program);
    }

    fn end_computing(&self, program: u32) {
        self.computing.borrow_mut().remove(&program);
        if self.granted.get() == Some(program) {
            self.granted.set(None);
        }
        // Time may pass again, or another program have its turn.
        self.ear.change(|_| ());
    }
}

/// Programs of one nest.
pub struct ProgramHost {
    keeper: std::io::Result<KeeperCommand>,
    turns: Rc<Turns>,
    /// Keepers at work. Dropping its input ends a keeper, and the program with it.
    inputs: RefCell<BTreeMap<u32, ChildStdin>>,
    /// A keeper that waits for its order, so that a step does not wait for it.
    spare: RefCell<Option<(Child, ChildStdin)>>,
    last: Cell<u32>,
}

impl ProgramHost {
    /// Programs on a bench whose time is that of the wall.
    pub fn new(keeper: std::io::Result<KeeperCommand>) -> Self {
        Self { keeper, turns: Rc::default(), inputs: RefCell::default(), spare: RefCell::default(), last: Cell::new(0) }
    }

    /// Programs on a bench whose time stands while they compute. Before time passes, the bench must call what this
    /// returns: `true` means that it must not pass.
    #[must_use]
    pub fn in_turns(&self) -> Rc<dyn Fn() -> bool> {
        self.turns.in_turns.set(true);
        let turns = Rc::downgrade(&self.turns);
        Rc::new(move || turns.upgrade().is_some_and(|turns| turns.hold()))
    }

    fn keeper(&self) -> Result<(Child, ChildStdin), InstrumentError> {
        if let Some(spare) = self.spare.borrow_mut().take() {
            return Ok(spare);
        }
        let broken = |error: &std::io::Error| InstrumentError::Program(format!("no process for the program: {error}"));
        self.keeper.as_ref().map_err(broken)?.start().map_err(|error| broken(&error))
    }

    fn order(&self, program: u32, order: &ToKeeper) -> Result<(), InstrumentError> {
        let gone = || InstrumentError::Program("the program does not run any more".to_owned());
        let text = serde_json::to_string(order).map_err(|_| gone())?;
        let mut inputs = self.inputs.borrow_mut();
        let input = inputs.get_mut(&program).ok_or_else(gone)?;
        writeln!(input, "{text}").and_then(|()| input.flush()).map_err(|_| gone())
    }
}

fn listen(program: u32, mut keeper: Child, ear: &Ear) {
    let mut has_ended = false;
    if let Some(stdout) = keeper.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let says = match serde_json::from_str(&line) {
                Ok(FromKeeper::Line(line)) => ProgramSays::Line(line),
                Ok(FromKeeper::Broken(why)) => ProgramSays::Broken(why),
                Ok(FromKeeper::Ended { code, signal, left_behind, last_words }) => {
                    has_ended = true;
                    ProgramSays::Ended(ProgramExit { code, signal, left_behind, last_words })
                }
                Err(_) => ProgramSays::Broken("what keeps it speaks another language: is it this program?".to_owned()),
            };
            ear.change(|heard| heard.of.entry(program).or_default().says.push_back(says));
        }
    }
    let _ = keeper.wait();
    ear.change(|heard| {
        let mailbox = heard.of.entry(program).or_default();
        if !has_ended {
            let why = "the process that keeps it ended: was it killed?".to_owned();
            mailbox.says.push_back(ProgramSays::Broken(why));
        }
        mailbox.has_ended = true;
        heard.running = heard.running.saturating_sub(1);
    });
}

#[async_trait(?Send)]
impl Programs for ProgramHost {
    fn prepare(&self) {
        if self.spare.borrow().is_none()
            && let Ok(keeper) = &self.keeper
        {
            // If that fails, the start of the program reports it.
            *self.spare.borrow_mut() = keeper.start().ok();
        }
    }

    async fn start(&self, order: &ProgramOrder) -> Result<u32, InstrumentError> {
        let (keeper, input) = self.keeper()?;
        let program = self.last.get() + 1;
        self.last.set(program);
        self.turns.ear.change(|heard| heard.running += 1);
        let ear = Arc::clone(&self.turns.ear);
        let listener = std::thread::Builder::new().name("program".to_owned());
        let started = listener.spawn(move || listen(program, keeper, &ear));
        if let Err(error) = started {
            // Without its input the keeper ends.
            self.turns.ear.change(|heard| heard.running = heard.running.saturating_sub(1));
            return Err(InstrumentError::Program(format!("no thread for the program: {error}")));
        }
        self.inputs.borrow_mut().insert(program, input);
        self.turns.begin_computing(program);
        if let Err(error) = self.order(program, &ToKeeper::Start(Start::from(order))) {
            self.kill(program);
            return Err(error);
        }
        // While this one computes, the keeper of the next gets ready.
        self.prepare();
        Ok(program)
    }

    async fn send(&self, program: u32, line: &str) -> Result<(), InstrumentError> {
        self.turns.begin_computing(program);
        // What ended in the meantime says so itself.
        let _ = self.order(program, &ToKeeper::Say(line.to_owned()));
        Ok(())
    }

    async fn next(&self, program: u32) -> Result<ProgramSays, InstrumentError> {
        let says = poll_fn(|context| {
            let mut heard = self.turns.ear.lock();
            let Some(mailbox) = heard.of.get_mut(&program).filter(|_| self.turns.may_be_heard(program)) else {
                heard.wakers.push(context.waker().clone());
                return Poll::Pending;
            };
            match mailbox.says.pop_front() {
                Some(says) => Poll::Ready(Some(says)),
                None if mailbox.has_ended => Poll::Ready(None),
                None => {
                    heard.wakers.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        self.turns.end_computing(program);
        says.ok_or_else(|| InstrumentError::Program("the program has ended".to_owned()))
    }

    fn kill(&self, program: u32) {
        self.inputs.borrow_mut().remove(&program);
        self.turns.end_computing(program);
    }

    async fn ended(&self, within: Duration) -> bool {
        self.inputs.borrow_mut().clear();
        let waits = |heard: &mut Heard| heard.running > 0;
        let waited = self.turns.ear.changed.wait_timeout_while(self.turns.ear.lock(), within, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.running == 0
    }
}

impl Drop for ProgramHost {
    fn drop(&mut self) {
        if let Some((mut keeper, input)) = self.spare.borrow_mut().take() {
            drop(input);
            let _ = keeper.wait();
        }
    }
}
