//! What good modems do that a bench must bear, and what earlier users leave in them. From makers' manuals and from
//! reports of people who drive such modems.

use crate::random::{Purpose, Random};

/// The habits of one modem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Habits {
    /// Bytes 0x00 and 0xFF as its lines come up.
    pub(super) noise: bool,
    /// Unsolicited lines all the time, in the middle of answers as well.
    pub(super) chatty: bool,
    /// Pauses inside answers.
    pub(super) pieces: bool,
    /// Answers, once it has booted, what it heard before.
    pub(super) late: bool,
    /// Stored: ATE0, ATV0, ATQ1.
    pub(super) echo: bool,
    pub(super) digits: bool,
    pub(super) mute: bool,
    /// Stored +CMEE.
    pub(super) error_words: u8,
    /// Stored +CFUN.
    pub(super) function: u8,
    /// Milliseconds for which it refuses settings after its first answer.
    pub(super) refuses_ms: u64,
    /// Error while the card starts, and how much longer that takes, in milliseconds.
    pub(super) card_error: u16,
    pub(super) card_ms: u64,
    /// Milliseconds for which it hears nothing when it finds a cell.
    pub(super) deaf_ms: u64,
    pub(super) card_number: CardNumber,
    /// Writes names and quotes around texts.
    pub(super) named: bool,
    /// Stored +IPR that neither maker nor Device OS sets.
    pub(super) baud: Option<u32>,
}

/// How the card's number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CardNumber {
    /// 19 digits, the last of which is the check digit.
    Plain,
    /// With a padding F, or f.
    Padded(char),
    Twenty,
    Eighteen,
    /// With digits above 9.
    Hexadecimal,
    NoCheckDigit,
    Quoted,
    /// `+CCID` is refused, or for other makers answered without a name.
    OtherCommand,
}

impl Default for Habits {
    /// A modem as in the manual.
    fn default() -> Self {
        Self {
            noise: false,
            chatty: false,
            pieces: false,
            late: false,
            echo: true,
            digits: false,
            mute: false,
            error_words: 0,
            function: 1,
            refuses_ms: 0,
            card_error: 14,
            card_ms: 0,
            deaf_ms: 0,
            card_number: CardNumber::Plain,
            named: false,
            baud: None,
        }
    }
}

type Habit = (&'static str, &'static str, fn(&mut Habits));

/// Name, meaning and effect of each habit.
const HABITS: &[Habit] = &[
    ("none", "is as in the manual", |habits| *habits = Habits::default()),
    ("noise", "sends 0x00 and 0xFF as its lines come up", |habits| habits.noise = true),
    ("chatty", "sends unsolicited lines, in the middle of answers as well", |habits| habits.chatty = true),
    ("pieces", "pauses inside its answers", |habits| habits.pieces = true),
    ("late", "answers after its boot what it heard before", |habits| habits.late = true),
    ("no-echo", "was left with ATE0", |habits| habits.echo = false),
    ("digits", "was left with ATV0", |habits| habits.digits = true),
    ("mute", "was left with ATQ1", |habits| habits.mute = true),
    ("words", "was left with AT+CMEE=2", |habits| habits.error_words = 2),
    ("minimum", "was left with AT+CFUN=0", |habits| habits.function = 0),
    ("airplane", "was left with AT+CFUN=4", |habits| habits.function = 4),
    ("refuses", "refuses settings for two seconds after its first answer", |habits| habits.refuses_ms = 2_000),
    ("sim-busy", "reports +CME ERROR: 14 for three seconds", |habits| {
        (habits.card_error, habits.card_ms) = (14, 3_000);
    }),
    ("sim-failure", "reports +CME ERROR: 13 for four seconds", |habits| {
        (habits.card_error, habits.card_ms) = (13, 4_000);
    }),
    ("sim-not-inserted", "reports +CME ERROR: 10 for five seconds", |habits| {
        (habits.card_error, habits.card_ms) = (10, 5_000);
    }),
    ("please-wait", "reports +CME ERROR: 515 for three seconds", |habits| {
        (habits.card_error, habits.card_ms) = (515, 3_000);
    }),
    ("deaf", "hears nothing for two seconds when it finds a cell", |habits| habits.deaf_ms = 2_000),
    ("iccid-padded", "pads the card's number with F", |habits| habits.card_number = CardNumber::Padded('F')),
    ("iccid-padded-small", "pads the card's number with f", |habits| habits.card_number = CardNumber::Padded('f')),
    ("iccid-20", "has a card with 20 digits", |habits| habits.card_number = CardNumber::Twenty),
    ("iccid-18", "has a card with 18 digits and no check digit", |habits| habits.card_number = CardNumber::Eighteen),
    ("iccid-hex", "has a card with digits above 9", |habits| habits.card_number = CardNumber::Hexadecimal),
    ("iccid-no-check", "has a card without a correct check digit", |habits| {
        habits.card_number = CardNumber::NoCheckDigit;
    }),
    ("iccid-quoted", "writes quotes around the card's number", |habits| habits.card_number = CardNumber::Quoted),
    ("iccid-other", "reports the card's number by one of two commands, without a name", |habits| {
        habits.card_number = CardNumber::OtherCommand;
    }),
    ("slow", "was left with AT+IPR=9600", |habits| habits.baud = Some(9_600)),
    ("named", "writes names and quotes around texts", |habits| habits.named = true),
];

/// A good modem has each habit with this probability. Where two exclude each other, the later one holds.
const PROBABILITY: f64 = 0.12;

impl Habits {
    /// Draws the habits of the good module with this seed.
    pub(super) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed, Purpose::ModemHabits);
        let mut habits = Self::default();
        for (.., apply) in HABITS {
            if random.unit() < PROBABILITY {
                apply(&mut habits);
            }
        }
        habits
    }

    /// The habits with these names; names that are not known change nothing.
    pub(super) fn of(names: &[String]) -> Self {
        let mut habits = Self::default();
        HABITS.iter().filter(|(name, ..)| names.iter().any(|of| of == name)).for_each(|(.., apply)| apply(&mut habits));
        habits
    }

    /// Names and meanings of the known habits.
    pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
        HABITS.iter().map(|(name, doc, _)| (*name, *doc))
    }

    pub fn is_known(name: &str) -> bool {
        Self::known().any(|(known, _)| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn habits_are_named_and_drawn() {
        let of = |names: &[&str]| Habits::of(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        for (name, _) in Habits::known() {
            assert_eq!(of(&[name]) == Habits::default(), name == "none", "{name}");
        }
        assert_eq!(of(&["noise", "chatty"]), Habits { noise: true, chatty: true, ..Habits::default() });
        assert!(Habits::is_known("chatty") && !Habits::is_known("loud"));
        let drawn: Vec<Habits> = (0..400).map(Habits::draw).collect();
        for (name, _) in Habits::known() {
            let apply = HABITS.iter().find(|(known, ..)| *known == name).unwrap().2;
            // Applying a habit that a modem has changes nothing.
            let has = |drawn: &Habits| {
                let mut again = drawn.clone();
                apply(&mut again);
                again == *drawn
            };
            assert!(drawn.iter().any(has), "no good modem has the habit {name}");
        }
    }
}
