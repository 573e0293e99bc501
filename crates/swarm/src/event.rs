//! What can happen in a run: as text, so that a run can be repeated from a command line.

use bench_plan::nearest_help;
use std::fmt;
use std::str::FromStr;
use virtual_bench::{BenchFault, Fault, Group};

/// Something that happens in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: Kind,
    /// Microseconds of bench time; 0 for what is so from the beginning.
    pub at_us: u64,
    /// How long it lasts in microseconds; 0 for what has no end.
    pub span_us: u64,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// The module has this defect, or its modem this habit.
    Fault(Fault),
    /// The bench has this defect.
    Bench(BenchFault),
    /// The lid is opened.
    Lid,
    /// The emergency stop is pressed.
    Emergency,
    /// The start button is pressed.
    Start,
    /// A signal asks the program to end. The second one cuts the power, the third one ends the program.
    Signal,
    /// The program is gone, and no destructor runs.
    Kill,
    /// The run's future is dropped, as when a panic unwinds the program.
    Drop,
    /// The controller's program stops for a while.
    Stall,
    /// A port expander is reset.
    Expander(String),
    /// A supply gives no more than so many microamperes.
    Supply(String, u64),
    /// The guard cuts the power.
    GuardActs,
    /// The guard is gone.
    GuardGone,
    /// A step panics.
    Panic,
    /// Who shows the run to people panics.
    ObserverPanic,
    /// The disk takes no more lines.
    DiskFull,
    /// The disk takes half of a line, and no more.
    DiskTorn,
    /// The disk takes lines, and fails to force them.
    DiskBroken,
    /// The disk takes so long for each line.
    DiskSlow,
    /// Another program changes the journal.
    DiskChanged,
}

/// Every word, whether it needs something after a colon, and its form for people.
pub const WORDS: &[(&str, &str, &str)] = &[
    ("fault", "fault:SPEC", "a fault of the module, or a habit of its modem, as `bench faults` lists them"),
    ("bench", "bench:SPEC", "a fault of the bench, as `bench faults PLAN --bench` lists them"),
    ("lid", "lid@TIME[+SPAN]", "the lid is opened, and closed again after the span"),
    ("emergency", "emergency@TIME[+SPAN]", "the emergency stop is pressed, and released after the span"),
    ("start", "start@TIME[+SPAN]", "the start button is pressed"),
    ("signal", "signal@TIME", "a signal; the second one cuts the power, the third one ends the program"),
    ("kill", "kill@TIME", "the program is killed"),
    ("drop", "drop@TIME", "the run is dropped, as when a panic unwinds the program"),
    ("stall", "stall@TIME+SPAN", "the controller's program stops for the span"),
    ("expander", "expander:ID@TIME", "a port expander is reset"),
    ("supply", "supply:RAIL:MICROAMPERES@TIME", "a supply gives no more than this"),
    ("guard-acts", "guard-acts@TIME", "the guard cuts the power"),
    ("guard-gone", "guard-gone@TIME", "the guard's process is gone"),
    ("panic", "panic@TIME", "a step panics at its next wait"),
    ("observer-panic", "observer-panic@TIME", "who shows the run to people panics at the next entry"),
    ("disk-full", "disk-full@TIME", "the disk takes no line of this time or later"),
    ("disk-torn", "disk-torn@TIME", "the disk takes half of the first line of this time or later"),
    ("disk-broken", "disk-broken@TIME", "the disk cannot force lines of this time or later"),
    ("disk-slow", "disk-slow@TIME+SPAN", "each line from this time on takes the span"),
    ("disk-changed", "disk-changed@TIME", "another program changes the journal"),
];

impl Kind {
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Fault(_) => "fault",
            Kind::Bench(_) => "bench",
            Kind::Lid => "lid",
            Kind::Emergency => "emergency",
            Kind::Start => "start",
            Kind::Signal => "signal",
            Kind::Kill => "kill",
            Kind::Drop => "drop",
            Kind::Stall => "stall",
            Kind::Expander(_) => "expander",
            Kind::Supply(..) => "supply",
            Kind::GuardActs => "guard-acts",
            Kind::GuardGone => "guard-gone",
            Kind::Panic => "panic",
            Kind::ObserverPanic => "observer-panic",
            Kind::DiskFull => "disk-full",
            Kind::DiskTorn => "disk-torn",
            Kind::DiskBroken => "disk-broken",
            Kind::DiskSlow => "disk-slow",
            Kind::DiskChanged => "disk-changed",
        }
    }

    /// Whether it is so from the beginning to the end.
    pub fn has_no_time(&self) -> bool {
        matches!(self, Kind::Fault(_) | Kind::Bench(_))
    }

    pub fn is_of_disk(&self) -> bool {
        match self {
            Kind::DiskFull | Kind::DiskTorn | Kind::DiskBroken | Kind::DiskSlow | Kind::DiskChanged => true,
            Kind::Bench(fault) => OF_DISK.contains(&fault.kind()),
            _ => false,
        }
    }

    /// Whether people do it.
    pub fn is_of_people(&self) -> bool {
        match self {
            Kind::Lid | Kind::Emergency | Kind::Signal => true,
            Kind::Bench(fault) => fault.group() == Group::People,
            _ => false,
        }
    }

    /// Whether a habit of a good module.
    pub fn is_habit(&self) -> bool {
        matches!(self, Kind::Fault(fault) if fault.kind() == HABIT)
    }
}

/// Faults of the bench that are trouble with its disk.
const OF_DISK: [&str; 3] = ["disk-slow", "disk-full", "no-handles"];

/// The kind of fault that is none.
const HABIT: &str = "modem-habit";

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Fault(fault) => write!(f, "fault:{fault}"),
            Kind::Bench(fault) => write!(f, "bench:{fault}"),
            Kind::Expander(id) => write!(f, "expander:{id}"),
            Kind::Supply(rail, microamperes) => write!(f, "supply:{rail}:{microamperes}"),
            other => f.write_str(other.word()),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if !self.kind.has_no_time() {
            write!(f, "@{}", Time(self.at_us))?;
        }
        if self.span_us > 0 {
            write!(f, "+{}", Time(self.span_us))?;
        }
        Ok(())
    }
}

/// Microseconds, in the largest unit without a fraction.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us % 1_000_000 == 0 => write!(f, "{}s", us / 1_000_000),
            us if us % 1000 == 0 => write!(f, "{}ms", us / 1000),
            us => write!(f, "{us}us"),
        }
    }
}

/// Longest time that is understood: an hour.
const LONGEST_US: u64 = 3_600_000_000;

fn time(text: &str) -> Result<u64, String> {
    let units = [("us", 1), ("ms", 1000), ("s", 1_000_000)];
    let found = units.iter().find_map(|(unit, us)| Some((text.strip_suffix(unit)?.parse::<u64>().ok()?, us)));
    let time = found.and_then(|(number, us)| number.checked_mul(*us)).filter(|time| *time <= LONGEST_US);
    time.ok_or_else(|| format!("`{text}` is no time: write a whole number with us, ms or s, at most an hour"))
}

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(spec) = text.strip_prefix("fault:") {
            let fault = spec.parse().map_err(|error| format!("{text}: {error}"))?;
            return Ok(Self { kind: Kind::Fault(fault), at_us: 0, span_us: 0 });
        }
        if let Some(spec) = text.strip_prefix("bench:") {
            let fault = spec.parse().map_err(|error| format!("{text}: {error}"))?;
            return Ok(Self { kind: Kind::Bench(fault), at_us: 0, span_us: 0 });
        }
        let (what, when) = text.split_once('@').unwrap_or((text, ""));
        let (word, which) = what.split_once(':').unwrap_or((what, ""));
        let Some((_, form, _)) = WORDS.iter().find(|(known, ..)| *known == word) else {
            let help = nearest_help(word, WORDS.iter().map(|(known, ..)| *known), "events");
            return Err(format!("`{text}` is no event: {help}"));
        };
        let wrong = || format!("`{text}` is no event: write `{form}`");
        let kind = match word {
            "lid" => Kind::Lid,
            "emergency" => Kind::Emergency,
            "start" => Kind::Start,
            "signal" => Kind::Signal,
            "kill" => Kind::Kill,
            "drop" => Kind::Drop,
            "stall" => Kind::Stall,
            "expander" => Kind::Expander(which.to_owned()),
            "supply" => {
                let (rail, microamperes) = which.split_once(':').ok_or_else(wrong)?;
                Kind::Supply(rail.to_owned(), microamperes.parse().map_err(|_| wrong())?)
            }
            "guard-acts" => Kind::GuardActs,
            "guard-gone" => Kind::GuardGone,
            "panic" => Kind::Panic,
            "observer-panic" => Kind::ObserverPanic,
            "disk-full" => Kind::DiskFull,
            "disk-torn" => Kind::DiskTorn,
            "disk-broken" => Kind::DiskBroken,
            "disk-slow" => Kind::DiskSlow,
            "disk-changed" => Kind::DiskChanged,
            _ => return Err(wrong()),
        };
        if which.is_empty() == form.contains(':') {
            return Err(wrong());
        }
        let (at, span) = match when.split_once('+') {
            Some((at, span)) if form.contains('+') => (at, time(span)?),
            Some(_) => return Err(wrong()),
            None if form.ends_with("+SPAN") => return Err(wrong()),
            None => (when, 0),
        };
        Ok(Self { kind, at_us: time(at)?, span_us: span })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_read_back_from_their_text() {
        for text in [
            "fault:open:23",
            "fault:short:36-38@12",
            "fault:modem-habit:chatty",
            "bench:nail-worn:23@80",
            "bench:link-late",
            "lid@3214507us",
            "lid@2s+30ms",
            "signal@1s",
            "stall@1500ms+120ms",
            "expander:io5@0s",
            "supply:3V3:1000@2s",
            "disk-slow@3s+70s",
        ] {
            assert_eq!(text.parse::<Event>().unwrap().to_string(), text);
        }
    }

    /// Each form of the table can be ordered, once its placeholders are filled in.
    #[test]
    fn every_word_is_an_event() {
        for (word, form, _) in WORDS {
            let text = form.replace(['[', ']'], "").replace("TIME", "5ms").replace("SPAN", "7ms");
            let spec = if *word == "bench" { "nail-open:23" } else { "open:23" };
            let text = text.replace("SPEC", spec).replace("ID", "io1").replace("MICROAMPERES", "9");
            let event: Event = text.parse().unwrap();
            assert_eq!(event.kind.word(), *word);
            assert_eq!(event.to_string(), text);
        }
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        for (text, expected) in [
            ("lit@2s", "did you mean `lid`?"),
            ("stall@2s", "write `stall@TIME+SPAN`"),
            ("kill@2s+3s", "write `kill@TIME`"),
            ("kill@2", "`2` is no time"),
            ("kill", "`` is no time"),
            ("lid:1@2s", "write `lid@TIME[+SPAN]`"),
            ("expander@2s", "write `expander:ID@TIME`"),
            ("supply:3V3@2s", "write `supply:RAIL:MICROAMPERES@TIME`"),
            ("kill@99999999s", "at most an hour"),
            ("fault:opn:23", "did you mean `open`?"),
        ] {
            let error = text.parse::<Event>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
