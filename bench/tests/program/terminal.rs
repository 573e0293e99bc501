//! A terminal of which the test is the other end: keys go in, a screen comes out.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything: an emulated run on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(300);

/// Variables of the terminal in which the tests run.
const OUTER: [&str; 7] = ["TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "WEZTERM_PANE", "TMUX", "STY", "ZELLIJ"];

pub struct Terminal {
    /// `None` once it was pulled.
    master: Option<OwnedFd>,
    screen: vt100::Parser,
    /// Everything that came.
    received: Vec<u8>,
    child: Child,
}

impl Terminal {
    /// Runs it with its own terminal, as the leader of its session: pulling the terminal hangs it up.
    pub fn run(program: &Command, columns: u16, rows: u16) -> Self {
        Self::run_as("xterm-256color", program, columns, rows)
    }

    /// As a terminal of this type.
    pub fn run_as(term: &str, program: &Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        resize(&master, columns, rows);
        let name = ptsname(&master, Vec::new()).unwrap();
        // Not to become the terminal of the test itself.
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let slave = || Stdio::from(rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap());
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        for name in OUTER {
            command.env_remove(name);
        }
        let child = command
            .env("TERM", term)
            .env_remove("NO_COLOR")
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .unwrap();
        Self {
            master: Some(master),
            screen: vt100::Parser::new(size(rows), size(columns), 0),
            received: Vec::new(),
            child,
        }
    }

    pub fn send(&self, keys: &[u8]) {
        let master = self.master.as_ref().unwrap();
        let mut rest = keys;
        while !rest.is_empty() {
            let written = rustix::io::write(master, rest).unwrap();
            rest = &rest[written..];
        }
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        resize(self.master.as_ref().unwrap(), columns, rows);
        self.screen.screen_mut().set_size(size(rows), size(columns));
    }

    pub fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Whether this came, which need not be on the screen.
    pub fn received(&self, sequence: &[u8]) -> bool {
        self.received.windows(sequence.len()).any(|window| window == sequence)
    }

    /// Waits until this comes, which need not be on the screen.
    pub fn wait_for_bytes(&mut self, sequence: &[u8]) {
        let deadline = Instant::now() + PATIENCE;
        while !self.received(sequence) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && self.read(left), "never received: {sequence:?}\n{}", self.text());
        }
    }

    /// Reads until the screen shows it; whether it did in time.
    pub fn shows_within(&mut self, shown: &dyn Fn(&str) -> bool, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        loop {
            if shown(&self.text()) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.read(left) {
                return shown(&self.text());
            }
        }
    }

    /// Takes in what comes within this time; `false` when nothing can come any more.
    fn read(&mut self, time: Duration) -> bool {
        let Some(master) = &self.master else { return false };
        let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) };
        if poll(&mut [PollFd::new(master, PollFlags::IN)], Some(&timeout)).unwrap() == 0 {
            return true;
        }
        let mut bytes = [0; 4096];
        match rustix::io::read(master, &mut bytes[..]) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.received.extend_from_slice(&bytes[..count]);
                self.screen.process(&bytes[..count]);
                true
            }
        }
    }

    pub fn wait_for(&mut self, text: &str) {
        let shown = self.shows_within(&|screen| screen.contains(text), PATIENCE);
        assert!(shown, "never shown: {text}\n{}", self.text());
    }

    /// Presses the key until the screen says so: a key right after a label belongs to the label.
    pub fn press_until(&mut self, key: &[u8], text: &str) {
        self.repeat_until(|screen| screen.send(key), text);
    }

    /// Does something until the screen says so.
    pub fn repeat_until(&mut self, mut what: impl FnMut(&Self), text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            what(self);
            if self.shows_within(&|screen| screen.contains(text), Duration::from_millis(400)) {
                return;
            }
            assert!(Instant::now() < deadline, "never shown: {text}\n{}", self.text());
        }
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Takes the terminal away.
    pub fn pull(&mut self) {
        self.master = None;
    }

    /// Exit code, once the program ended.
    pub fn code(mut self) -> Option<i32> {
        self.ended()
    }

    fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while self.read(Duration::from_millis(200)) {
            assert!(Instant::now() < deadline, "never ended\n{}", self.text());
        }
        self.child.wait().unwrap().code()
    }

    /// Exit code, and what is on the screen then, with colours as escape sequences.
    pub fn left_behind(mut self) -> (Option<i32>, String) {
        let code = self.ended();
        let screen = self.screen.screen();
        let rows: Vec<String> =
            screen.rows_formatted(0, screen.size().1.get()).map(|row| format!("{row}\x1b[0m")).collect();
        let used = screen.rows(0, screen.size().1.get()).map(|row| !row.trim().is_empty()).collect::<Vec<_>>();
        let last = used.iter().rposition(|used| *used).map_or(0, |row| row + 1);
        (code, rows[..last].join("\n"))
    }
}

fn size(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap()
}

fn resize(master: &OwnedFd, columns: u16, rows: u16) {
    tcsetwinsize(master, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// Whether any file below this folder, or its name, holds these bytes.
pub fn found_below(folder: &Path, wanted: &str) -> Option<String> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = if path.is_dir() {
            found_below(&path, wanted)
        } else {
            let bytes = std::fs::read(&path).unwrap();
            String::from_utf8_lossy(&bytes).contains(wanted).then(|| path.display().to_string())
        };
        if found.is_some() || path.to_string_lossy().contains(wanted) {
            return found.or_else(|| Some(path.display().to_string()));
        }
    }
    None
}
