//! The table of actions: what each is called, which keys it has, and what it occupies. Reader, schema, documentation and
//! console all use it.

use crate::resource;
use MeasurementUnit as Unit;
use bench_run::MeasurementUnit;

/// One action.
#[derive(Debug)]
pub struct Verb {
    /// The key that names it.
    pub name: &'static str,
    /// What the value of this key is.
    pub form: Form,
    pub keys: &'static [Key],
    /// Resources that it needs exclusively.
    pub uses: &'static [&'static str],
    /// Resources that others may use at the same time.
    pub shares: &'static [&'static str],
    pub gives: Gives,
    pub about: &'static str,
}

/// What an action returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    Nothing,
    /// A reading in this unit.
    Reading(Unit),
    /// A reading whose unit follows from the action's own value.
    ByQuantity,
    /// Bytes, and their number as a reading.
    Bytes,
    /// Text, and what a pattern finds in it as a reading.
    Text,
}

/// One further key of an action.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub form: Form,
    pub is_needed: bool,
    pub about: &'static str,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A pin such as "A0", or a contact such as 23.
    Pin,
    /// A pin, or this word.
    PinOr(&'static str),
    Rail,
    /// A part of the fixture that the module communicates with.
    Peer,
    Truth,
    Time,
    Volts,
    Frequency,
    Share,
    /// A number without a unit.
    Whole,
    Text,
    /// Hexadecimal digits.
    Bytes,
    /// A regular expression.
    Pattern,
    /// One of these words.
    Word(&'static [&'static str]),
}

const fn key(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, is_needed: false, about }
}

const fn needed(name: &'static str, form: Form, about: &'static str) -> Key {
    Key { name, form, is_needed: true, about }
}

/// What `measure` measures.
pub const QUANTITIES: &[&str] = &["volts", "ohms", "amps", "frequency", "duty"];
/// What a port of the module can be.
pub const LEVELS: &[&str] = &["high", "low", "input", "pull-up", "pull-down"];
pub const BLE: &[&str] = &["scan", "advertise", "stop"];
pub const NFC: &[&str] = &["on", "off", "find", "exchange"];

/// Every action, in the order of the documentation.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "rail",
        form: Form::Rail,
        keys: &[needed("on", Form::Truth, "whether it is to be on")],
        uses: &[resource::RAILS, resource::DUT],
        shares: &[],
        gives: Gives::Nothing,
        about: "Switches a rail on or off, through the owner of power. It must have been measured for shorts before.",
    },
    Verb {
        name: "drive",
        form: Form::Pin,
        keys: &[needed("high", Form::Truth, "the level")],
        uses: &[resource::NAILS],
        shares: &[],
        gives: Gives::Nothing,
        about: "Drives a nail high or low, through its series resistor.",
    },
    Verb {
        name: "release",
        form: Form::PinOr("all"),
        keys: &[],
        uses: &[resource::NAILS],
        shares: &[],
        gives: Gives::Nothing,
        about: "Releases a nail, or all.",
    },
    Verb {
        name: "read",
        form: Form::Pin,
        keys: &[],
        uses: &[resource::NAILS],
        shares: &[],
        gives: Gives::Reading(Unit::One),
        about: "Reads the level at a nail: 1 is high, 0 is low.",
    },
    Verb {
        name: "measure",
        form: Form::Word(QUANTITIES),
        keys: &[
            key("at", Form::Pin, "the contact; `volts`, `ohms`, `frequency` and `duty`"),
            key("rail", Form::Rail, "the rail, by its monitor; `volts` and `amps`"),
            key("window", Form::Time, "how long edges are counted; 20 ms when not given"),
        ],
        uses: &[resource::MEASURE_BUS],
        shares: &[],
        gives: Gives::ByQuantity,
        about: "Measures at a contact, or at a rail. Ohms only without power; duty in percent of the period.",
    },
    Verb {
        name: "source",
        form: Form::Volts,
        keys: &[needed("at", Form::Pin, "the contact")],
        uses: &[resource::MEASURE_BUS],
        shares: &[],
        gives: Gives::Reading(Unit::Volts),
        about: "Holds a contact at about this voltage, through the source's series resistor, until the measure bus is used \
                again. Returns the voltage at the contact.",
    },
    Verb {
        name: "port",
        form: Form::Pin,
        keys: &[needed("to", Form::Word(LEVELS), "high, low, input, pull-up or pull-down")],
        uses: &[resource::PORTS],
        shares: &[resource::DUT],
        gives: Gives::Nothing,
        about: "Sets the module's port behind a pin.",
    },
    Verb {
        name: "read_port",
        form: Form::Pin,
        keys: &[],
        uses: &[resource::PORTS],
        shares: &[resource::DUT],
        gives: Gives::Reading(Unit::One),
        about: "Reads the module's port behind a pin: 1 is high, 0 is low.",
    },
    Verb {
        name: "adc",
        form: Form::Pin,
        keys: &[],
        uses: &[resource::PORTS],
        shares: &[resource::DUT],
        gives: Gives::Reading(Unit::Volts),
        about: "Reads an analog input of the module, the mean of eight conversions.",
    },
    Verb {
        name: "pwm",
        form: Form::PinOr("off"),
        keys: &[
            key("frequency", Form::Frequency, "100 Hz to 200 kHz, whole hertz"),
            key("duty", Form::Share, "share of the period that it is high"),
        ],
        uses: &[resource::PORTS],
        shares: &[resource::DUT],
        gives: Gives::Nothing,
        about: "Lets the module output PWM on a pin, until `pwm = \"off\"`.",
    },
    Verb {
        name: "i2c",
        form: Form::Peer,
        keys: &[
            key("write", Form::Bytes, "bytes to write first"),
            key("read", Form::Whole, "number of bytes to read then"),
            key("frequency", Form::Frequency, "100 kHz, or 400 kHz when not given"),
        ],
        uses: &[resource::PORTS, resource::PEERS, resource::NAILS],
        shares: &[resource::DUT],
        gives: Gives::Bytes,
        about: "Lets the module transfer bytes to and from a memory of the fixture over I2C.",
    },
    Verb {
        name: "spi",
        form: Form::Peer,
        keys: &[
            key("write", Form::Bytes, "bytes to write first"),
            key("read", Form::Whole, "number of bytes to read then"),
            key("frequency", Form::Frequency, "1 MHz when not given"),
        ],
        uses: &[resource::PORTS, resource::PEERS, resource::NAILS],
        shares: &[resource::DUT],
        gives: Gives::Bytes,
        about: "The same over SPI, in mode 0.",
    },
    Verb {
        name: "modem",
        form: Form::Text,
        keys: &[
            key("within", Form::Time, "how long to wait for the answer; 1 s when not given"),
            key("capture", Form::Pattern, "a number in the answer is the reading: the first group of this pattern"),
        ],
        uses: &[resource::MODEM],
        shares: &[resource::DUT],
        gives: Gives::Text,
        about: "Sends an AT command to the modem, which an earlier step switched on. Without `capture` the reading is 1 if \
                the modem answered OK, else 0.",
    },
    Verb {
        name: "ble",
        form: Form::Word(BLE),
        keys: &[
            key("window", Form::Time, "how long to listen; 1 s when not given"),
            key("data", Form::Bytes, "what to advertise, at most 24 bytes"),
        ],
        uses: &[resource::RADIO],
        shares: &[],
        gives: Gives::Text,
        about: "Lets the controller listen (the reading is the number of devices; the text lists address and dBm of each), \
                advertise, or stop.",
    },
    Verb {
        name: "nfc",
        form: Form::Word(NFC),
        keys: &[key("data", Form::Bytes, "the command to `exchange`, without its checksum")],
        uses: &[resource::NFC],
        shares: &[],
        gives: Gives::Bytes,
        about: "Switches the reader's field on or off, finds a tag (the bytes are its identifier), or exchanges a command \
                with it.",
    },
    Verb {
        name: "wait",
        form: Form::Time,
        keys: &[],
        uses: &[],
        shares: &[],
        gives: Gives::Nothing,
        about: "Waits, in the time of the bench.",
    },
    Verb {
        name: "note",
        form: Form::Text,
        keys: &[],
        uses: &[],
        shares: &[],
        gives: Gives::Nothing,
        about: "Writes a note into the record.",
    },
];

/// The action of this name.
pub fn verb(name: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.name == name)
}

impl Form {
    /// How it is written, for messages and documentation.
    pub fn expected(self) -> String {
        match self {
            Form::Pin => "a pin such as \"A0\" or a contact such as 23".to_owned(),
            Form::PinOr(word) => format!("a pin such as \"A0\", a contact such as 23, or \"{word}\""),
            Form::Rail => "the name of a rail such as \"3V3\"".to_owned(),
            Form::Peer => "a part of the fixture such as \"eeprom-i2c\"".to_owned(),
            Form::Truth => "true or false".to_owned(),
            Form::Time => "a time such as \"10 ms\"".to_owned(),
            Form::Volts => "a voltage such as \"1.8 V\"".to_owned(),
            Form::Frequency => "a frequency such as \"1 kHz\"".to_owned(),
            Form::Share => "a percentage such as \"50 %\"".to_owned(),
            Form::Whole => "a whole number such as 4".to_owned(),
            Form::Text => "a text".to_owned(),
            Form::Bytes => "bytes in hexadecimal such as \"9f 00\"".to_owned(),
            Form::Pattern => "a regular expression such as \"CSQ: ([0-9]+)\"".to_owned(),
            Form::Word(words) => format!("one of {}", words.join(", ")),
        }
    }
}
