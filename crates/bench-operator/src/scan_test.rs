//! What a scanner sends, without the operator's screen: the same keyboard, port and front end, and each scan is reported.

use super::input::{Input, Press};
use super::scan::{Collector, Scan, Source, decode, is_end, pasted};
use super::screen::watch_signals;
use super::{Port, keyboard, scanner};
use bench_engine::Failed;
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use std::io::Read;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How often a pause is looked for.
const TICK: Duration = Duration::from_millis(50);
/// Longer than every pause that ends a scan.
const LONG: Duration = Duration::from_secs(1);

/// Where the scanner is.
pub enum From {
    /// The terminal, in which a scanner types as a keyboard.
    Terminal,
    /// Standard input that is no terminal.
    Bytes(Box<dyn Read + Send>),
    Port(Port),
}

/// What was sent for one scan, and how it ended. It may hold a secret: show it with [`masked`](super::scan::masked) only.
pub struct Sent {
    pub scan: Scan,
    /// Every character, with those that end the scan. Empty for what was left of the scan before.
    pub characters: Zeroizing<String>,
    pub count: usize,
    /// From the first character to the last.
    pub took: Duration,
    pub longest_pause: Duration,
    pub at: Duration,
}

impl Sent {
    /// Whether the scanner sent an end, so that the bench need not wait for a pause.
    pub fn has_end(&self) -> bool {
        self.characters.chars().any(is_end)
    }
}

/// What happened.
pub enum Seen {
    /// Nothing that is sent from now on is echoed.
    Ready,
    Sent(Sent),
    /// The port does not work.
    Trouble(String),
}

enum Event {
    Bytes(Zeroizing<Vec<u8>>, Duration),
    Press(Press, Duration),
    Paste(Zeroizing<String>),
    Nothing,
    Trouble(String),
    End,
}

/// Characters since the last scan.
#[derive(Default)]
struct Tape {
    bytes: Zeroizing<Vec<u8>>,
    count: usize,
    times: Option<(Duration, Duration)>,
    longest_pause: Duration,
}

impl Tape {
    /// More than any scan; what comes after it is counted and not shown.
    const LONGEST: usize = 1024;

    fn push(&mut self, bytes: &[u8], at: Duration) {
        // Reserved at once: a text that grows leaves copies behind that are not wiped.
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(Self::LONGEST);
        }
        if self.bytes.len() + bytes.len() <= Self::LONGEST {
            self.bytes.extend_from_slice(bytes);
        }
        self.count += 1;
        let (first, last) = self.times.unwrap_or((at, at));
        self.longest_pause = self.longest_pause.max(at.saturating_sub(last));
        self.times = Some((first, at));
    }

    fn take(&mut self, scan: Scan) -> Sent {
        let Self { bytes, count, times, longest_pause } = std::mem::take(self);
        let (first, at) = times.unwrap_or_default();
        let characters = decode(&bytes);
        Sent { scan, characters, count, took: at.saturating_sub(first), longest_pause, at }
    }
}

/// The front end, and what it was given for the scan that it works on.
struct Watch<'a> {
    collector: Collector,
    tape: Tape,
    /// A scan that has ended, while more ends may come.
    ended: Option<Scan>,
    report: &'a mut dyn FnMut(Seen) -> bool,
}

impl Watch<'_> {
    fn byte(&mut self, byte: u8, at: Duration) {
        let scans = self.collector.byte(byte, at);
        self.after(scans, &[byte], at);
    }

    /// Returns whether the key belongs to a scan.
    fn press(&mut self, press: Press, at: Duration) -> bool {
        let was_empty = self.collector.is_empty();
        let character = match press {
            Press::Character(character) | Press::Control(character) => character,
            Press::Tab => '\t',
            Press::Enter => '\r',
            Press::Interrupt => '\u{3}',
            Press::Backspace => '\u{8}',
            _ => '\u{1d}',
        };
        match self.collector.key(press, at) {
            Some(scans) => {
                self.after(scans, character.encode_utf8(&mut [0; 4]).as_bytes(), at);
                !(was_empty && press == Press::Control('\u{4}'))
            }
            None if self.ended.is_some() && matches!(press, Press::Enter | Press::Tab) => {
                self.tape.push(&[character as u8], at);
                true
            }
            None => matches!(press, Press::Enter | Press::Tab),
        }
    }

    /// The scans that a character ended: before it by a pause, or with it.
    fn after(&mut self, mut scans: Vec<Scan>, character: &[u8], at: Duration) {
        if !self.collector.is_empty() {
            self.flush();
            for scan in scans {
                self.ended = Some(scan);
                self.flush();
            }
            return self.tape.push(character, at);
        }
        let Some(last) = scans.pop() else {
            // One more end, or what a line does while it is plugged in.
            if self.ended.is_some() {
                self.tape.push(character, at);
            }
            return;
        };
        for scan in scans {
            let _ = (self.report)(Seen::Sent(Tape::default().take(scan)));
        }
        self.tape.push(character, at);
        self.ended = Some(last);
    }

    fn flush(&mut self) {
        if let Some(scan) = self.ended.take() {
            let _ = (self.report)(Seen::Sent(self.tape.take(scan)));
        }
    }

    fn silence(&mut self, at: Duration) {
        self.flush();
        for scan in self.collector.silence(at) {
            self.ended = Some(scan);
            self.flush();
        }
    }

    fn paste(&mut self, text: &str, at: Duration) {
        for scan in pasted(text) {
            if let Scan::Text(text) = &scan {
                text.chars().for_each(|c| self.tape.push(c.encode_utf8(&mut [0; 4]).as_bytes(), at));
            }
            self.ended = Some(scan);
            self.flush();
        }
    }
}

/// Watches a scanner until a person, a signal, its own end or the receiver of the reports ends that: `report` returns
/// whether to go on after a trouble.
///
/// # Errors
/// When the terminal or a thread is not available.
pub fn watch(from: From, report: &mut dyn FnMut(Seen) -> bool) -> Result<(), Failed> {
    let began = Instant::now();
    let (sender, receiver) = channel();
    let signals = sender.clone();
    watch_signals(move |_| drop(signals.send(Event::End)))?;
    let (source, _raw) = open(from, began, sender)?;
    let _ = report(Seen::Ready);
    let mut watch = Watch { collector: Collector::new(source), tape: Tape::default(), ended: None, report };
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(Event::Bytes(bytes, at)) => bytes.iter().for_each(|byte| watch.byte(*byte, at)),
            Ok(Event::Press(press, at)) if watch.press(press, at) => {}
            Ok(Event::Press(Press::Interrupt | Press::Escape | Press::Control('\u{4}'), _) | Event::End)
            | Err(RecvTimeoutError::Disconnected) => break,
            Ok(Event::Paste(text)) => watch.paste(&text, began.elapsed()),
            Ok(Event::Trouble(why)) => {
                if !(watch.report)(Seen::Trouble(why)) {
                    break;
                }
            }
            Ok(Event::Press(..) | Event::Nothing) => {}
            Err(RecvTimeoutError::Timeout) => watch.silence(began.elapsed()),
        }
    }
    watch.silence(began.elapsed() + LONG);
    Ok(())
}

fn open(from: From, began: Instant, sender: Sender<Event>) -> Result<(Source, Option<Raw>), Failed> {
    let piece = move |bytes: &[u8]| Event::Bytes(Zeroizing::new(bytes.to_vec()), began.elapsed());
    match from {
        From::Terminal => {
            let raw = Raw::open().map_err(Failed::bench)?;
            let take = move |input| {
                let event = match input {
                    Input::PressAt(press, at) => Event::Press(press, at),
                    Input::Text(text) => Event::Paste(text),
                    Input::End(_) => Event::End,
                    _ => Event::Nothing,
                };
                sender.send(event).is_ok()
            };
            keyboard::listen(began, take).map_err(Failed::bench)?;
            Ok((Source::Keyboard, Some(raw)))
        }
        From::Port(port) => {
            let read = move |port: &mut dyn Read, sender: &Sender<Event>| {
                scanner::pieces(port, &mut |bytes| sender.send(bytes.map_or(Event::Nothing, piece)).is_ok())
            };
            scanner::stay_connected(port, sender, read, Event::Trouble, || Event::Nothing).map_err(Failed::bench)?;
            Ok((Source::Port, None))
        }
        From::Bytes(mut bytes) => {
            let body = move || {
                scanner::pieces(&mut *bytes, &mut |bytes| sender.send(bytes.map_or(Event::Nothing, piece)).is_ok());
                let _ = sender.send(Event::End);
            };
            std::thread::Builder::new().name("scanner".to_owned()).spawn(body).map_err(Failed::bench)?;
            Ok((Source::Port, None))
        }
    }
}

/// The terminal without its own echo, which would show the secret.
struct Raw;

impl Raw {
    fn open() -> std::io::Result<Self> {
        enable_raw_mode().map(|()| Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
    }
}
