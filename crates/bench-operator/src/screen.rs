//! Connects the screen to the terminal, the threads and the clock.

use super::app::{Action, App, Setup};
use super::asker::{Asker, Replies};
use super::history::UnitHistory;
use super::input::{Input, Press};
use super::keyboard;
use super::lamps::Lamps;
use super::log::{Log, Row};
use super::outbox::{Outbox, Pen};
use super::picture::{PictureTerminal, Pictures};
use super::run_factory::RunFactory;
use super::scanner;
use super::texts::Texts;
use super::view::{self, EdgeMap, Look, Screen};
use super::{buttons, forwarding, offering};
use bench_engine::{Failed, NestThread, Stop, panic_text};
use bench_hooks::StationHooks;
use bench_journal::shown;
use bench_real::Hand;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::{Position, Rect};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// Longest time between two pictures.
const TICK: Duration = Duration::from_millis(100);
/// Shortest time between two pictures: a run at full speed has thousands of entries a second.
const FRAME: Duration = Duration::from_millis(40);

/// What the screen works with, next to the terminal.
pub struct Devices<'a> {
    pub runs: Box<dyn RunFactory>,
    pub history: Box<dyn UnitHistory>,
    pub edge: EdgeMap,
    pub reports: &'a Path,
    pub scanner: Option<scanner::Port>,
    /// Programs of the station; the records of runs are offered to them.
    pub hooks: Option<Arc<StationHooks>>,
    pub lamps: Box<dyn Lamps>,
    /// Lid, buttons and lamps of each nest of a real fixture.
    pub hands: Vec<Hand>,
}

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

/// Shows the screen until the shift ends.
///
/// # Errors
/// When the terminal, the log or a thread is not available; nothing runs then.
pub fn show(setup: Setup, texts: Texts, devices: Devices<'_>) -> Result<ShiftEnd, Failed> {
    let mut log = Log::open(devices.reports).map_err(|error| {
        bench(format!("the operators' log cannot be opened in {}: {error}", shown(devices.reports)))
    })?;
    let began = Row::ShiftBegan { at: date(), plan: setup.plan.clone(), nests: setup.nests };
    log.append(&began).map_err(|error| bench(format!("{}: {error}", shown(log.path()))))?;
    let (sender, receiver) = channel();
    let signals = sender.clone();
    watch_signals(move |input| drop(signals.send(input)))?;
    let nests = setup.nests;
    let app = App::new(setup, texts, devices.history);
    let terminal = RawTerminal::open().map_err(|error| bench(format!("the terminal cannot be used: {error}")))?;
    let began = Instant::now();
    let keys = sender.clone();
    keyboard::listen(began, move |input| keys.send(input).is_ok()).map_err(bench)?;
    if let Some(port) = devices.scanner {
        scanner::listen(port, sender.clone()).map_err(bench)?;
    }
    buttons::listen(devices.hands, sender.clone()).map_err(bench)?;
    forwarding::listen(devices.reports, sender.clone()).map_err(bench)?;
    if let Some(hooks) = devices.hooks {
        offering::listen(hooks, devices.reports, sender.clone()).map_err(bench)?;
    }
    let look = Look { colour: std::env::var_os("NO_COLOR").is_none() };
    let mut shown = Shown {
        app,
        edge: devices.edge,
        look,
        pictures: Pictures::new(PictureTerminal::detect()),
        runs: devices.runs,
        lamps: devices.lamps,
        log,
        threads: (0..nests).map(|_| None).collect(),
        replies: Replies::default(),
        sender,
        began,
        stale: false,
        bell: false,
    };
    let stopped_by = match catch_unwind(AssertUnwindSafe(|| shown.run(&receiver, terminal))) {
        Ok(stopped_by) => stopped_by,
        Err(panic) => {
            // The screen is gone and the tests are not: each ends in order, as after SIGTERM.
            let reason = format!("the screen failed: {}", panic_text(&*panic));
            shown.stop_all(&reason);
            return Err(bench(reason));
        }
    };
    Ok(ShiftEnd { stopped_by, hung_nests: shown.hung() })
}

/// How a shift ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShiftEnd {
    /// What ended the shift from outside: a signal, or a terminal that is gone. `None`: the operator ended it.
    pub stopped_by: Option<String>,
    /// Nests, from 0, whose test does not end.
    pub hung_nests: Vec<usize>,
}

struct Shown {
    app: App,
    edge: EdgeMap,
    look: Look,
    pictures: Pictures,
    runs: Box<dyn RunFactory>,
    lamps: Box<dyn Lamps>,
    log: Log,
    threads: Vec<Option<NestThread>>,
    replies: Replies,
    sender: Sender<Input>,
    began: Instant,
    /// The terminal does not show what was drawn last, so the next picture is drawn in full.
    stale: bool,
    bell: bool,
}

impl Shown {
    fn run(&mut self, receiver: &Receiver<Input>, mut terminal: RawTerminal) -> Option<String> {
        let mut by_operator = true;
        loop {
            let drawn = Instant::now();
            let mut left = self.draw(&mut terminal).err().is_some_and(|error| {
                // The screen is gone, and what is powered must not stay so.
                by_operator = false;
                self.take(Input::End(format!("the terminal is gone: {error}")))
            });
            let mut wait = TICK;
            loop {
                let input = match receiver.recv_timeout(wait) {
                    Ok(input) => input,
                    Err(RecvTimeoutError::Timeout) => Input::Tick,
                    Err(RecvTimeoutError::Disconnected) => Input::End("nothing is connected any more".to_owned()),
                };
                self.stale |= matches!(input, Input::Resized);
                let from_outside = matches!(input, Input::End(_) | Input::PressAt(Press::Interrupt, _));
                left |= self.take(input);
                // Not if the key was the end of a scan.
                by_operator &= !(from_outside && self.app.leaving.is_some());
                wait = FRAME.saturating_sub(drawn.elapsed());
                if left || wait.is_zero() {
                    break;
                }
            }
            if left || self.gave_up() {
                let reason = self.app.leaving.clone().unwrap_or_default();
                return (!by_operator).then_some(reason);
            }
        }
    }

    /// Ends every run in order and waits for it; it does not wait longer than a run needs.
    fn stop_all(&self, reason: &str) {
        let running = || self.threads.iter().flatten().filter(|thread| !thread.is_finished());
        running().for_each(|thread| thread.stop(reason));
        let deadline = Instant::now() + self.app.setup.silence;
        while running().next().is_some() && Instant::now() < deadline {
            std::thread::sleep(TICK);
        }
    }

    /// Whether every run was ordered to stop and no longer answers.
    fn gave_up(&self) -> bool {
        let silent = |nest: &super::nest::NestStatus| match &nest.state {
            super::nest::State::Running(_, live) => live.silent(self.app.now()) > self.app.setup.silence,
            _ => true,
        };
        self.app.leaving.is_some() && self.app.nests.iter().all(silent)
    }

    /// Nests whose thread still runs although it was ordered to stop.
    fn hung(&self) -> Vec<usize> {
        let goes_on = |thread: &Option<NestThread>| thread.as_ref().is_some_and(|thread| !thread.is_finished());
        let running = |nest: &usize| self.app.nests[*nest].is_running() && goes_on(&self.threads[*nest]);
        (0..self.threads.len()).filter(running).collect()
    }

    fn draw(&mut self, terminal: &mut RawTerminal) -> std::io::Result<()> {
        if !terminal.outbox.is_ready()? {
            return Ok(());
        }
        if std::mem::take(&mut self.stale) {
            // Not `clear`, which asks the terminal where its cursor is and reads the answer from the keyboard.
            let size = terminal.terminal.size()?;
            terminal.terminal.resize(Rect::from((Position::ORIGIN, size)))?;
        }
        let screen = Screen { app: &self.app, edge: &self.edge, look: self.look, pictures: &self.pictures };
        terminal.terminal.draw(|frame| view::draw(frame, &screen))?;
        if std::mem::take(&mut self.bell) {
            terminal.outbox.pen.write_all(b"\x07")?;
        }
        terminal.outbox.send();
        Ok(())
    }

    /// Carries out the actions of an input, in order. Returns whether the screen must close.
    fn take(&mut self, input: Input) -> bool {
        let actions = self.app.handle(input, self.began.elapsed(), &date());
        let mut unwritten = None;
        let mut left = false;
        for action in actions {
            match action {
                Action::Log(row) => {
                    if let Err(error) = self.log.append(&row) {
                        let reason = format!("{}: {error}", shown(self.log.path()));
                        unwritten = Some(reason);
                        if let Row::LetIn { serial, .. } = row {
                            self.take(Input::NotLetIn(serial));
                        } else if let Row::NestReleased { nest, .. } = row {
                            self.take(Input::NotReleased(nest.saturating_sub(1)));
                        }
                    }
                }
                // What has no record does not happen.
                Action::Start { nest, .. } if unwritten.is_some() => {
                    let reason = unwritten.clone().unwrap_or_default();
                    self.take(Input::NotStarted(nest, reason));
                }
                Action::Start { nest, serial, notes, diagnosis } => self.start(nest, &serial, notes, diagnosis),
                Action::Stop { nest, reason, at_once } => {
                    if let Some(Some(thread)) = self.threads.get(nest) {
                        if at_once { thread.stop_at_once(&reason) } else { thread.stop(&reason) }
                    }
                }
                Action::Answer { number, answer, .. } => self.replies.answer(number, answer),
                Action::Lamp(nest, lamp) => {
                    if let Err(error) = self.lamps.show(nest, lamp) {
                        self.take(Input::Trouble(error));
                    }
                }
                Action::Bell => self.bell = true,
                Action::Leave => left = true,
            }
        }
        if let Some(error) = unwritten.filter(|_| !left) {
            self.take(Input::Trouble(error));
        }
        left
    }

    fn start(&mut self, nest: usize, serial: &str, notes: Vec<String>, diagnosis: Option<String>) {
        let work = self.runs.work(nest, serial, notes, diagnosis);
        let asker = Asker::new(nest, self.replies.clone(), self.sender.clone());
        let work = move |observer, stop| work(observer, stop, asker);
        let sender = self.sender.clone();
        let report = move |said| {
            // The screen may be gone already; the run itself continues to its safe state.
            let _ = sender.send(Input::FromNest(nest, said));
        };
        match NestThread::start(format!("nest {}", nest + 1), work, report) {
            Ok(thread) => self.threads[nest] = Some(thread),
            Err(error) => {
                self.take(Input::NotStarted(nest, format!("no thread for the test: {error}")));
            }
        }
    }
}

fn date() -> String {
    jiff::Timestamp::now().to_string()
}

/// A signal ends the shift, as the operator would; a second one cuts the power.
pub(super) fn watch_signals(take: impl Fn(Input) + Send + 'static) -> Result<(), Failed> {
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    let body = move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            match Stop::on_signals(|_| ()) {
                Ok(stop) => {
                    let _ = ready.send(Ok(()));
                    let (requested, at_once) = stop.split();
                    take(Input::End(requested.await));
                    at_once.await;
                    // As the key that cuts the power.
                    take(Input::Press(Press::Delete));
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(body).map_err(bench)?;
    is_ready.recv().map_err(bench)?.map_err(bench)
}

/// The terminal as the screen needs it. Its previous state is always restored.
struct RawTerminal {
    terminal: Terminal<CrosstermBackend<Pen>>,
    outbox: Outbox,
}

/// Longest wait for a terminal to be given back.
const GIVEN_BACK: Duration = Duration::from_secs(1);

impl RawTerminal {
    fn open() -> std::io::Result<Self> {
        let outbox = Outbox::open()?;
        let terminal = Terminal::new(CrosstermBackend::new(outbox.pen.clone()))?;
        enable_raw_mode()?;
        // From here on dropping puts everything back.
        let mut raw = Self { terminal, outbox };
        execute!(raw.outbox.pen, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
        // A panic is caught and reported where it happened; its words on the screen would only spoil the picture.
        std::panic::set_hook(Box::new(|_| ()));
        Ok(raw)
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = std::panic::take_hook();
        if self.outbox.settle(GIVEN_BACK) {
            let _ = execute!(self.outbox.pen, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
            self.outbox.send();
            self.outbox.settle(GIVEN_BACK);
        }
        let _ = disable_raw_mode();
    }
}
