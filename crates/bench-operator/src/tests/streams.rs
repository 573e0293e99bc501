//! What scanners send, through the real front end and the real screen: keys as the terminal reports them, bytes as a port
//! delivers them.

use super::super::app::Mode;
use super::super::history::{FolderHistory, StationPlace};
use super::super::log::Log;
use super::super::nest::NestStatus;
use super::super::rules::Begin;
use super::super::scan::{Collector, Source};
use super::super::{keyboard, scanner};
use super::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often the screen and the port have time to notice a pause.
const TICK: Duration = Duration::from_millis(100);
/// One character as it is sent: when, and its bytes.
type Sent = (Duration, Vec<u8>);

/// The key event that `crossterm` makes of a character from the terminal.
fn key(character: char) -> KeyEvent {
    let with_control = |key: u32| KeyEvent::new(KeyCode::Char(char::from_u32(key).unwrap()), KeyModifiers::CONTROL);
    let code = u32::from(character);
    match character {
        '\r' => KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE),
        '\t' => KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE),
        '\u{7f}' => KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE),
        '\0' => with_control(u32::from(' ')),
        '\u{1b}' => KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE),
        '\u{1}'..='\u{1a}' => with_control(code - 1 + u32::from('a')),
        '\u{1c}'..='\u{1f}' => with_control(code - 0x1C + u32::from('4')),
        _ if character.is_uppercase() => KeyEvent::new(KeyCode::Char(character), KeyModifiers::SHIFT),
        _ => KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE),
    }
}

/// A port that has its bytes at these times; its clock goes on while it waits.
struct ScriptedPort<'a> {
    bytes: std::collections::VecDeque<(Duration, u8)>,
    now: &'a Cell<Duration>,
    end: Duration,
    /// Most bytes of one read.
    chunk: usize,
}

impl Read for ScriptedPort<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.bytes.front().map(|(at, _)| *at);
        match next {
            Some(at) if at <= self.now.get() + TICK => self.now.set(self.now.get().max(at)),
            None if self.now.get() >= self.end => return Err(io::ErrorKind::BrokenPipe.into()),
            _ => {
                self.now.set(self.now.get() + TICK);
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        let mut count = 0;
        while count < self.chunk.min(buffer.len()) && self.bytes.front().is_some_and(|(at, _)| *at <= self.now.get()) {
            buffer[count] = self.bytes.pop_front().unwrap().1;
            count += 1;
        }
        Ok(count)
    }
}

/// Sends the characters to the screen, and lets a second pass. `after` sees the screen after every input.
fn send(
    app: &mut App,
    source: Source,
    stream: &[Sent],
    stalled: bool,
    chunk: usize,
    after: &mut dyn FnMut(&App, &[Action]),
) {
    let end = stream.last().map_or(app.now(), |(at, _)| *at) + Duration::from_secs(1);
    // A machine that was busy meanwhile gets everything at once.
    let time = |at: Duration| if stalled { end - Duration::from_secs(1) } else { at };
    let now = Cell::new(app.now());
    let mut take = |input: Input| {
        let actions = app.handle(input, now.get(), "2026-01-01T00:00:00Z");
        after(app, &actions);
        true
    };
    match source {
        Source::Port => {
            let bytes = stream.iter().flat_map(|(at, bytes)| bytes.iter().map(|byte| (time(*at), *byte))).collect();
            let mut port = ScriptedPort { bytes, now: &now, end, chunk };
            assert!(scanner::labels(&mut port, &|| now.get(), &mut take).is_some());
        }
        Source::Keyboard => {
            for (at, bytes) in stream {
                while now.get() + TICK < time(*at) {
                    now.set(now.get() + TICK);
                    take(Input::Tick);
                }
                now.set(time(*at));
                let characters = std::str::from_utf8(bytes).unwrap_or_default().chars();
                for press in characters.filter_map(|character| keyboard::press(key(character))) {
                    take(Input::PressAt(press, now.get()));
                }
            }
            while now.get() < end {
                now.set(now.get() + TICK);
                take(Input::Tick);
            }
        }
    }
}

/// Characters of a text, this far from each other, from this time on.
fn characters(text: &str, from: Duration, apart: Duration) -> Vec<Sent> {
    let at = |index: usize| from + apart * u32::try_from(index).unwrap();
    text.chars().enumerate().map(|(index, character)| (at(index), character.to_string().into_bytes())).collect()
}

fn units(app: &App) -> Vec<String> {
    app.nests.iter().filter_map(|nest| Some(nest.unit()?.serial.clone())).collect()
}

fn drawn(app: &App, edge: &EdgeMap) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 16)).unwrap();
    let screen = Screen { app, edge, look: Look { colour: true }, pictures: &Pictures::new(None) };
    terminal.draw(|frame| view::draw(frame, &screen)).unwrap();
    terminal.backend().to_string()
}

/// Characters in a row that are no chance.
const PART: usize = 6;

/// Every part of these secrets.
fn parts(secrets: &[String]) -> BTreeSet<&[u8]> {
    secrets.iter().flat_map(|secret| secret.as_bytes().windows(PART)).collect()
}

/// A part of a secret that the text holds, in capital or small letters.
fn part_of_secret(text: &str, parts: &BTreeSet<&[u8]>) -> Option<String> {
    let text = text.to_ascii_uppercase();
    let found = text.as_bytes().windows(PART).find(|part| parts.contains(part));
    found.map(|part| String::from_utf8_lossy(part).into_owned())
}

const SYMBOLOGIES: [&str; 6] = ["", "]d1", "]C1", "]Q1", "]e0", "\u{2}]d2\u{1d}"];
const SEPARATORS: [&str; 6] = [" ", "\t", "\u{1d}", ",", ";", "  "];
const SUFFIXES: [&str; 10] = ["\r", "\n", "\r\n", "\t", "\t\r", "\r\t", "\u{3}", "\0\r", "\u{1d}\u{4}", ""];

/// Every habit of a scanner, on a scanner that acts as a keyboard and on one at a port.
#[test]
fn a_label_is_understood_whatever_a_scanner_adds() {
    const SECRET: &str = "QZ7XK2M9WB4T8RV";
    let secrets = [SECRET.to_owned()];
    let parts = parts(&secrets);
    let mut habits = 0;
    for source in [Source::Keyboard, Source::Port] {
        for (symbology, separator, suffix, locked) in SYMBOLOGIES.iter().flat_map(|symbology| {
            SEPARATORS.iter().flat_map(move |separator| {
                SUFFIXES
                    .iter()
                    .flat_map(move |suffix| [false, true].map(|locked| (symbology, separator, suffix, locked)))
            })
        }) {
            let mut station = Station::new(3, Rules::default());
            for (number, states) in
                [(1, "ready P042AV000000001, empty, empty"), (2, "ready P042AV000000001, ready P042AV000000002, empty")]
            {
                let label = format!("{symbology}{}{separator}{SECRET}{suffix}", serial(number));
                let label = if locked { label.to_ascii_lowercase() } else { label };
                let stream = characters(&label, station.app.now(), Duration::from_millis(2));
                send(&mut station.app, source, &stream, false, 64, &mut |app, _| {
                    let shown = app.typed_shown();
                    assert_eq!(part_of_secret(&shown, &parts), None, "{label:?}: {shown}");
                });
                assert_eq!(station.states(), states, "{source:?} {label:?}: {}", station.notice());
                assert_eq!(station.app.focus, number as usize - 1, "{source:?} {label:?}");
            }
            let shown = drawn(&station.app, &station.edge);
            assert_eq!(part_of_secret(&shown, &parts), None, "{shown}");
            habits += 1;
        }
    }
    assert_eq!(habits, 2 * 6 * 6 * 10 * 2);
}

#[test]
fn a_broken_scan_is_never_joined_with_the_next_label() {
    let label_2 = format!("{} QZ7XK2M9WB4T8RV\r", serial(2));
    // What is left of a scan, and what a screen of two nests holds after it and the next label.
    let rows = [
        ("", "ready P042AV000000002, empty"),
        ("P0\t", "ready P042AV000000002, empty"),
        ("P0", "ready P042AV000000002, empty"),
        ("P042AV0", "ready P042AV000000002, empty"),
        ("P042AV000000001", "ready P042AV000000002, empty"),
        ("P042AV000000001 QZ7", "ready P042AV000000002, empty"),
        ("]d1", "ready P042AV000000002, empty"),
        ("\u{0}\u{0}", "ready P042AV000000002, empty"),
    ];
    for source in [Source::Keyboard, Source::Port] {
        for (left, expected) in rows {
            for stalled in [false, true] {
                let mut station = Station::new(2, Rules::default());
                // The scanner has sent an end before: one without is not whole.
                let apart = Duration::from_millis(2);
                let mut stream = characters("4006381333931\r", Duration::ZERO, apart);
                stream.extend(characters(left, Duration::from_secs(2), apart));
                stream.extend(characters(&label_2, Duration::from_secs(4), apart));
                let mut notices = BTreeSet::new();
                send(&mut station.app, source, &stream, stalled, 64, &mut |app, _| {
                    notices.extend(app.notice.as_ref().map(|notice| notice.text.clone()));
                });
                // Without the pause, a text with something before the label is refused; with it, the label is taken.
                let alone = left.trim_matches('\0').is_empty() || left == "]d1";
                let expected = if stalled && !alone { "empty, empty" } else { expected };
                assert_eq!(station.states(), expected, "{source:?} {left:?} stalled {stalled}: {}", station.notice());
                if left.len() > 4 && !stalled {
                    let said = notices.iter().any(|notice| notice.contains("broke off"));
                    assert!(said, "{source:?} {left:?}: {notices:?}");
                }
            }
        }
        // A scanner that no longer sends an end.
        let mut station = Station::new(2, Rules::default());
        let mut stream = characters("4006381333931\r", Duration::ZERO, Duration::from_millis(2));
        for second in [2, 4, 6] {
            let label = label_2.trim_end();
            stream.extend(characters(label, Duration::from_secs(second), Duration::from_millis(2)));
        }
        send(&mut station.app, source, &stream, false, 64, &mut |_, _| ());
        assert_eq!(station.states(), "ready P042AV000000002, empty", "{source:?}");
        // The rest of one label after the beginning of another.
        let mut station = Station::new(2, Rules::default());
        let mut stream = characters("P042AV00", Duration::ZERO, Duration::from_millis(2));
        stream.extend(characters("0000002 QZ7XK2M9WB4T8RV\r", Duration::from_secs(2), Duration::from_millis(2)));
        send(&mut station.app, source, &stream, false, 64, &mut |_, _| ());
        assert_eq!(station.states(), "empty, empty", "{source:?}");
    }
}

#[test]
fn a_person_types_slowly_and_moves_with_tab() {
    let apart = Duration::from_millis(400);
    for text in ["P042AV000000001\r", "p042av000000001\r", "P042AV000000001 QZ7XK2M9WB4T8RV\r"] {
        let mut station = Station::new(2, Rules::default());
        let stream = characters(text, station.app.now(), apart);
        send(&mut station.app, Source::Keyboard, &stream, false, 1, &mut |_, _| ());
        assert_eq!(station.states(), "ready P042AV000000001, empty", "{text:?}: {}", station.notice());
    }
    // Alone, and in the middle of a text that a person types.
    let mut station = Station::new(3, Rules::default());
    for (text, focus, typed) in
        [("\t", 1, ""), ("P04", 1, "P04"), ("\t", 2, "P04"), ("2", 2, "P042"), ("\t", 0, "P042")]
    {
        let stream = characters(text, station.app.now() + apart, apart);
        send(&mut station.app, Source::Keyboard, &stream, false, 1, &mut |_, _| ());
        assert_eq!((station.app.focus, station.app.typed_shown().as_str()), (focus, typed), "{text:?}");
    }
    // A scanner takes over from a person.
    let stream = characters("P042AV000000001 QZ7XK2M9WB4T8RV\r", station.app.now(), Duration::from_millis(2));
    send(&mut station.app, Source::Keyboard, &stream, false, 1, &mut |_, _| ());
    assert_eq!(station.states(), "ready P042AV000000001, empty, empty");
    // Tab before a label is the label's; Ctrl-C is a person's.
    let stream = characters("\tP042AV000000002 QZ7XK2M9WB4T8RV\r", station.app.now(), Duration::from_millis(2));
    send(&mut station.app, Source::Keyboard, &stream, false, 1, &mut |_, _| ());
    assert_eq!(station.states(), "ready P042AV000000001, ready P042AV000000002, empty");
    let stream = characters("\u{3}", station.app.now(), apart);
    send(&mut station.app, Source::Keyboard, &stream, false, 1, &mut |_, _| ());
    assert!(station.app.leaving.is_some());
}

#[test]
fn badges_in_utf_8_and_in_latin_1() {
    let rules = || {
        let person = "[[person]]\nid = \"Jürgen\"\nname = \"Jürgen\"\n";
        Rules::parse(&bench_plan::Source::new("operator.toml", person)).unwrap()
    };
    let bytes = |bytes: &[u8]| bytes.iter().map(|byte| (Duration::ZERO, vec![*byte])).collect::<Vec<Sent>>();
    for (source, stream) in [
        (Source::Keyboard, characters("Jürgen\r", Duration::ZERO, Duration::from_millis(2))),
        (Source::Keyboard, characters("]C1JÜRGEN\t", Duration::ZERO, Duration::from_millis(2))),
        (Source::Port, bytes("Jürgen\r".as_bytes())),
        (Source::Port, bytes(b"J\xfcrgen\r\n")),
        (Source::Port, bytes("jürgen".as_bytes())),
    ] {
        // Each byte in a read of its own.
        let mut station = Station::new(1, rules());
        send(&mut station.app, source, &stream, false, 1, &mut |_, _| ());
        assert_eq!(station.app.operator.as_deref(), Some("Jürgen"), "{source:?} {stream:?}: {}", station.notice());
    }
}

/// SplitMix64: the same streams on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
    fn letters(&mut self, count: usize) -> String {
        let all = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        (0..count).map(|_| char::from(self.pick(all))).collect()
    }
}

/// What a scanner sends within some seconds.
#[derive(Default)]
struct Stream {
    sent: Vec<Sent>,
    stalled: bool,
    /// On the labels that were sent, whole or in part.
    serials: Vec<String>,
    secrets: Vec<String>,
    /// When the last character of each serial number was sent, and the number.
    complete: Vec<(Duration, String)>,
    /// Labels that were sent as they should be.
    clean: Vec<String>,
}

impl Stream {
    fn random(random: &mut Random, source: Source, now: Duration) -> Self {
        let mut stream = Self { stalled: random.below(5) == 0, ..Self::default() };
        let symbology = random.pick(&SYMBOLOGIES);
        let (separator, suffix) = (random.pick(&SEPARATORS), random.pick(&SUFFIXES));
        let locked = random.below(4) == 0;
        let apart = Duration::from_micros(random.below(8_000) as u64);
        let mut at = now + Duration::from_secs(2);
        let mut quiet = true;
        // Whether what was sent before may have no end, and no pause that the bench can see.
        let mut open = false;
        for _ in 0..1 + random.below(5) {
            let prefix = random.pick(&["P042", "P042", "P042", "P042", "P044"]);
            let (unit, secret) = (format!("{prefix}{}", random.letters(11)), random.pick(&[8, 15, 15, 20]));
            let secret = random.letters(secret);
            let code = format!("{unit}{separator}{secret}");
            let (text, kind) = match random.below(12) {
                0..=4 => (format!("{symbology}{code}{suffix}"), Kind::Whole),
                5 => (format!("{symbology}{unit}{suffix}"), Kind::Whole),
                6 => (format!("{symbology}{code}{suffix}").repeat(2), Kind::Twice),
                7 | 8 if !open => (code.chars().take(random.below(code.len())).collect(), Kind::Part),
                // The beginning was lost; after a pause that the bench has seen, or it could be any label's end.
                9 if quiet && !stream.stalled => {
                    (format!("{}{suffix}", code.chars().skip(1 + random.below(14)).collect::<String>()), Kind::Part)
                }
                9 | 10 if !open => (format!("{secret}{separator}{unit}{suffix}"), Kind::Part),
                9..=11 if !open => (garbage(random), Kind::Garbage),
                _ => (format!("{symbology}{code}{suffix}"), Kind::Whole),
            };
            let text = if locked { text.to_ascii_lowercase() } else { text };
            let sent = characters(&text, at, apart);
            if let Some(place) = text.to_ascii_uppercase().find(&unit) {
                let before = text[..place + unit.len() - 1].chars().count();
                stream.complete.extend(sent.get(before).map(|(when, _)| (*when, unit.clone())));
            }
            at = sent.last().map_or(at, |(last, _)| *last);
            let pause = random.pick(&[0, 1, 20, 150, 400, 1_100, 3_000]);
            at += Duration::from_millis(pause) + apart;
            let was_quiet = std::mem::replace(&mut quiet, pause >= 400);
            let has_end = matches!(kind, Kind::Whole | Kind::Twice) && !suffix.is_empty() && suffix != "\t";
            open = !has_end && (!quiet || stream.stalled);
            let is_clean =
                kind == Kind::Whole && was_quiet && (quiet || has_end) && !stream.stalled && prefix == "P042";
            stream.clean.extend(is_clean.then(|| unit.clone()));
            stream.sent.extend(sent);
            stream.serials.push(unit);
            stream.secrets.push(secret);
        }
        // Bytes that are no character do not come from a keyboard.
        if source == Source::Port && random.below(4) == 0 {
            let place = random.below(stream.sent.len() + 1);
            let when = stream.sent.get(place).map_or(at, |(at, _)| *at);
            stream.sent.insert(place, (when, vec![random.pick(&[0x00, 0x80, 0xC3, 0xFE, 0xFF])]));
            stream.clean.clear();
        }
        stream
    }
}

#[derive(PartialEq)]
enum Kind {
    Whole,
    Twice,
    Part,
    Garbage,
}

fn garbage(random: &mut Random) -> String {
    let all =
        ["\0", "\t", "\r", " ", "-", "]d1", "[)>", "\u{1d}", "ü", "é", "\u{202e}", "P042", "p0", "7", "x", "\u{7f}"];
    let short = random.below(30);
    (0..if random.below(40) == 0 { 300 } else { short }).map(|_| random.pick(&all)).collect()
}

/// 10,000 streams of up to five labels each: whole, broken, doubled, in the wrong order, between garbage.
#[test]
fn ten_thousand_streams_never_name_another_unit_or_show_a_secret() {
    const FOLDERS: u64 = 100;
    let next = AtomicU64::new(0);
    let total = Mutex::new(Counts::default());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let folder = next.fetch_add(1, Ordering::Relaxed);
                    if folder >= FOLDERS {
                        break;
                    }
                    let counts = a_shift_of_streams(&mut Random(folder), 10_000 / FOLDERS);
                    total.lock().unwrap().add(&counts);
                }
            });
        }
    });
    let Counts { streams, clean, taken, screens } = total.into_inner().unwrap();
    println!("{streams} streams: {taken} of {clean} clean labels were taken; {screens} screens were drawn");
    assert_eq!(streams, 10_000);
    assert!(clean * 5 > streams * 2 && taken * 100 >= clean * 99, "{taken} of {clean} clean labels were taken");
}

#[derive(Default)]
struct Counts {
    streams: u64,
    clean: u64,
    taken: u64,
    screens: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.streams += other.streams;
        self.clean += other.clean;
        self.taken += other.taken;
        self.screens += other.screens;
    }
}

/// So many streams to a screen, with its log and its history on the disk.
fn a_shift_of_streams(random: &mut Random, streams: u64) -> Counts {
    let mut counts = Counts { streams, ..Counts::default() };
    let edge = EdgeMap::of(&family("b404x"));
    let folder = tempfile::tempdir().unwrap();
    let mut log = Log::open(folder.path()).unwrap();
    let mut secrets = Vec::new();
    let begin = random.pick(&[Begin::Button, Begin::Scan]);
    let setup = Station::new(6, Rules { begin, ..Rules::default() }).app.setup;
    let history = Box::new(FolderHistory::new(folder.path(), StationPlace::default()));
    let mut app = App::new(setup, Texts::new("en").unwrap(), history);
    for _ in 0..streams {
        let source = random.pick(&[Source::Keyboard, Source::Port]);
        let stream = Stream::random(random, source, app.now());
        let parts = parts(&stream.secrets);
        // The modules are taken out, and another scanner is plugged in.
        app.nests.fill(NestStatus::default());
        (app.mode, app.typed) = (Mode::Work, Collector::new(Source::Keyboard));
        let (chunk, draw_at) = (random.pick(&[1, 3, 64]), random.below(stream.sent.len() + 10) + 1);
        let (mut inputs, mut seen, mut before) = (0, String::new(), Vec::new());
        let mut check = |app: &App, actions: &[Action]| {
            inputs += 1;
            let units = units(app);
            for unit in units.iter().filter(|unit| !before.contains(*unit)) {
                assert!(stream.serials.contains(unit), "{unit} is on no label: {:?}", stream.sent);
                let last = stream.complete.iter().rfind(|(at, _)| *at <= app.now());
                let is_last = stream.stalled || last.is_some_and(|(_, last)| last == unit);
                assert!(is_last, "{unit} is not the last label, {last:?}: {:?}", stream.sent);
            }
            before = units;
            for action in actions {
                if let Action::Log(row) = action {
                    log.append(row).unwrap();
                }
            }
            let notice = app.notice.as_ref().map_or("", |notice| notice.text.as_str());
            let screen = if inputs == draw_at { drawn(app, &edge) } else { String::new() };
            counts.screens += u64::from(inputs == draw_at);
            let typed = if app.typed.is_empty() { String::new() } else { app.typed_shown() };
            let text = [&typed, notice, &screen, &format!("{actions:?}")].join("\n");
            if text != seen {
                assert_eq!(part_of_secret(&text, &parts), None, "{text}: {:?}", stream.sent);
                seen = text;
            }
        };
        send(&mut app, source, &stream.sent, stream.stalled, chunk, &mut check);
        let units = units(&app);
        counts.clean += stream.clean.len() as u64;
        counts.taken += stream.clean.iter().filter(|serial| units.contains(serial)).count() as u64;
        secrets.extend(stream.secrets);
    }
    let parts = parts(&secrets);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let text = String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned();
        assert_eq!(part_of_secret(&text, &parts), None, "in {}", folder.path().display());
    }
    counts
}
