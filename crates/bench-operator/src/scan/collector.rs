//! Collects characters up to the end of a scan.

use super::label::{is_separator, payload};
use crate::input::Press;
use bench_run::SerialNumber;
use std::time::Duration;
use zeroize::Zeroizing;

/// After this long without a character the scan is over, with an end or without. At 9600 baud a character takes 1 ms, and
/// scanners that act as keyboards send one every few milliseconds. Nobody brings the next module within this time.
const SILENCE: Duration = Duration::from_millis(250);
/// A scanner that acts as a keyboard needs less than this for a character, on average; people need more.
const FAST: Duration = Duration::from_millis(35);
/// Nobody presses Tab this soon after another key.
const TAB_OF_SCAN: Duration = Duration::from_millis(100);
/// So many characters in quick succession come from a scanner: fewer may be two fingers.
const LEAST_OF_SCANNER: usize = 5;
/// So many scans without an end come from another scanner, or from one with other settings.
const ANOTHER_SCANNER: u8 = 2;
/// More characters than any label holds. A longer text is refused as a whole.
const LONGEST_SCAN: usize = 128;

/// How a scan ended.
pub enum Scan {
    /// A text as it was sent, without its end.
    Text(Zeroizing<String>),
    /// Longer than any label.
    TooLong,
    /// A pause came before the end, or before another scan: dropped.
    BrokenOff,
}

/// Where characters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// People type here, too, as slowly as they like.
    Keyboard,
    Port,
}

/// Characters that were typed, or sent by a scanner, since the last scan.
///
/// Characters without a long pause between them are a piece. A piece that a scanner sent is never joined with what was
/// sent before or comes later: half a label and the next label would name a unit that is not there. Pieces that a person
/// typed are joined.
pub struct Collector {
    source: Source,
    bytes: Zeroizing<Vec<u8>>,
    too_long: bool,
    /// Where the current piece begins in `bytes`.
    piece: usize,
    /// Characters of the piece.
    characters: usize,
    /// Times of the piece's first and last character.
    times: Option<(Duration, Duration)>,
    /// Whether this scanner ends its scans. Then one without an end is not whole.
    ends_scans: bool,
    /// Scans without an end, since the last one that had one.
    without_end: u8,
}

impl Collector {
    pub fn new(source: Source) -> Self {
        let bytes = Zeroizing::default();
        Self { source, bytes, too_long: false, piece: 0, characters: 0, times: None, ends_scans: false, without_end: 0 }
    }

    /// Takes a byte from a port.
    pub fn byte(&mut self, byte: u8, at: Duration) -> Vec<Scan> {
        // What a line does while a plug is put in.
        if self.is_empty() && matches!(byte, 0 | 0xFF) {
            return Vec::new();
        }
        if is_end(char::from(byte)) { self.end(at) } else { self.push(&[byte], at) }
    }

    /// Takes a key if it belongs to a scan or a typed text; `None`: it does not.
    pub fn key(&mut self, press: Press, at: Duration) -> Option<Vec<Scan>> {
        let soon = self.follows_scanner(at);
        Some(match press {
            Press::Character(character) => self.push(character.encode_utf8(&mut [0; 4]).as_bytes(), at),
            Press::Enter if !self.is_empty() => self.end(at),
            Press::Backspace => {
                self.pop();
                Vec::new()
            }
            Press::Tab if soon || self.follows_within(TAB_OF_SCAN, at) => self.push(b"\t", at),
            // The end of text that some scanners send is the same key as Ctrl-C.
            Press::Interrupt if soon => self.end(at),
            Press::Control(control) if soon && is_end(control) => self.end(at),
            Press::Control(control) if soon && control.is_ascii() => self.push(&[control as u8], at),
            Press::Control(_) => Vec::new(),
            // As some scanners send a group separator.
            Press::NestStatus(_) | Press::Next | Press::Previous if soon => self.push(b"\x1d", at),
            _ => return None,
        })
    }

    /// Time has passed. Ends a scan that a pause follows.
    pub fn silence(&mut self, at: Duration) -> Vec<Scan> {
        if self.paused(at) && self.is_by_scanner() { vec![self.after_silence()] } else { Vec::new() }
    }

    /// Takes a character of a PIN: nothing of it is ever taken for a scan.
    pub fn push_secret(&mut self, character: char) {
        self.store(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// The end of a scan, or of what a person typed.
    pub fn end(&mut self, at: Duration) -> Vec<Scan> {
        if self.is_empty() {
            return Vec::new();
        }
        let by_scanner = self.is_by_scanner();
        if by_scanner && (self.source == Source::Port || !self.paused(at)) {
            (self.ends_scans, self.without_end) = (true, 0);
        }
        let mut scans = Vec::with_capacity(2);
        if self.too_long {
            scans.push(Scan::TooLong);
        } else {
            if by_scanner && self.piece > 0 {
                scans.push(Scan::BrokenOff);
            }
            scans.push(Scan::Text(self.text()));
        }
        self.clear();
        scans
    }

    pub fn pop(&mut self) {
        while self.bytes.pop().is_some_and(is_continuation) {}
        self.characters = self.characters.saturating_sub(1);
        self.piece = self.piece.min(self.bytes.len());
    }

    pub fn clear(&mut self) {
        let Self { ends_scans, without_end, source, .. } = *self;
        *self = Self { ends_scans, without_end, ..Self::new(source) };
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was typed or scanned so far. It may hold a secret.
    pub fn text(&self) -> Zeroizing<String> {
        let begin = if self.is_by_scanner() { self.piece } else { 0 };
        decode(self.bytes.get(begin..).unwrap_or_default())
    }

    /// How many characters were typed, for text that must not be shown at all.
    pub fn count(&self) -> usize {
        self.bytes.iter().filter(|byte| !is_continuation(**byte)).count()
    }

    /// Whether a scanner sent the current piece, and not a person.
    pub fn is_by_scanner(&self) -> bool {
        let piece = self.bytes.get(self.piece..).unwrap_or_default();
        let fast = self.characters >= LEAST_OF_SCANNER && self.is_fast();
        // A person's Tab never gets into a text.
        !self.is_empty() && (self.source == Source::Port || fast || piece.iter().any(u8::is_ascii_control))
    }

    fn push(&mut self, character: &[u8], at: Duration) -> Vec<Scan> {
        let mut scans = Vec::new();
        if self.paused(at) {
            if self.is_by_scanner() {
                scans.push(self.after_silence());
            } else {
                (self.piece, self.characters, self.times) = (self.bytes.len(), 0, None);
            }
        }
        self.store(character);
        self.characters += 1;
        self.times = Some((self.times.map_or(at, |(first, _)| first), at));
        scans
    }

    fn store(&mut self, character: &[u8]) {
        // Reserved at once: a text that grows leaves copies behind that are not wiped.
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(4 * LONGEST_SCAN);
        }
        if self.count() >= LONGEST_SCAN || self.bytes.len() + character.len() > 4 * LONGEST_SCAN {
            self.too_long = true;
        } else {
            self.bytes.extend_from_slice(character);
        }
    }

    /// What a pause makes of the current piece.
    fn after_silence(&mut self) -> Scan {
        let too_long = self.too_long;
        let text = decode(self.bytes.get(self.piece..).unwrap_or_default());
        let has_suffix = text.ends_with(|last: char| last.is_control());
        let is_serial = |text: &str| SerialNumber::parse(text).is_ok();
        // Without an end, only a whole label shows that nothing is missing.
        let whole = match self.source {
            _ if has_suffix => true,
            _ if self.ends_scans => false,
            Source::Port => true,
            Source::Keyboard => payload(&text).split(is_separator).next().is_some_and(is_serial),
        };
        self.clear();
        if !has_suffix {
            self.without_end = self.without_end.saturating_add(1);
            self.ends_scans &= self.without_end < ANOTHER_SCANNER;
        }
        match () {
            () if too_long => Scan::TooLong,
            () if whole => Scan::Text(text),
            () => Scan::BrokenOff,
        }
    }

    /// Whether the current piece may be a scanner's: its characters follow each other faster than a person types. Two
    /// fingers on neighbouring keys are as fast.
    pub fn is_fast(&self) -> bool {
        self.times.is_some_and(|(first, last)| {
            let pauses = u32::try_from(self.characters.saturating_sub(1)).unwrap_or(u32::MAX);
            pauses > 0 && last.saturating_sub(first) <= FAST.saturating_mul(pauses)
        })
    }

    /// Whether so much time passed since the last character, if there is one.
    pub fn rested(&self, time: Duration, at: Duration) -> bool {
        !self.is_empty() && !self.follows_within(time, at)
    }

    pub fn source(&self) -> Source {
        self.source
    }

    fn paused(&self, at: Duration) -> bool {
        !self.is_empty() && !self.follows_within(SILENCE, at)
    }

    /// Whether this is a moment after what a scanner sent.
    fn follows_scanner(&self, at: Duration) -> bool {
        self.is_by_scanner() && self.follows_within(SILENCE, at)
    }

    fn follows_within(&self, time: Duration, at: Duration) -> bool {
        !self.is_empty() && self.times.is_some_and(|(_, last)| at.saturating_sub(last) <= time)
    }
}

/// The scans in a text that came in one piece.
pub fn pasted(text: &str) -> Vec<Scan> {
    let mut collector = Collector::new(Source::Port);
    let mut scans: Vec<Scan> = text.bytes().flat_map(|byte| collector.byte(byte, Duration::ZERO)).collect();
    scans.extend(collector.end(Duration::ZERO));
    scans
}

/// Whether a scan ends with this character: a line end, or the end of a text or a transmission.
pub fn is_end(character: char) -> bool {
    matches!(character, '\r' | '\n' | '\u{b}' | '\u{c}' | '\u{3}' | '\u{4}')
}

/// UTF-8; else Latin-1, in which every byte is a character.
pub fn decode(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    match std::str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(_) => text.extend(bytes.iter().map(|byte| char::from(*byte))),
    }
    text
}

/// Whether this byte continues a character of UTF-8.
fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}
