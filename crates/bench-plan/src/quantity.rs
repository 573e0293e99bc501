//! Numbers with units as people write them: "3.3 V", "10 ms", "1 kohm".
//!
//! A plan or fixture never holds a bare number where a unit belongs: 3.3 in place of 3300 mV is reported when the plan
//! is checked, not on the line.

use crate::typing::{number_meant, quantities_meant, units_of};
use bench_run::{Limits, MeasurementUnit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// A value with a dimension, kept in its base unit.
pub trait Quantity: Copy + PartialOrd + fmt::Display {
    const UNIT: MeasurementUnit;
    /// For messages: "a voltage such as \"3.3 V\"".
    const EXPECTED: &'static str;
    /// Whether a negative value is meaningful.
    const SIGNED: bool;
    /// From a finite value in the base unit.
    fn from_value(value: f64) -> Self;
    /// In the base unit: volts, never millivolts.
    fn value(self) -> f64;
}

/// Why a text is not the expected quantity. Two lines: what is wrong, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{wrong}\n{}", self.help())]
pub struct QuantityError {
    pub wrong: String,
    pub expected: String,
    /// What was probably meant, the likelier first.
    pub meant: Vec<String>,
    /// Whether the number is written in another notation.
    is_notation: bool,
}

impl QuantityError {
    /// In one line: what was meant, or what is expected.
    pub fn help(&self) -> String {
        let quoted: Vec<String> = self.meant.iter().map(|meant| format!("{meant:?}")).collect();
        let after = if self.is_notation {
            " Use a point for the decimals, plain digits, and nothing between thousands"
        } else {
            ""
        };
        match quoted.as_slice() {
            [] => format!("expected {}", self.expected),
            meant => format!("did you mean {}?{after}", meant.join(" or ")),
        }
    }
}

const ANY_EXPECTED: &str = "a number with a unit such as \"3.3 V\" or \"10 ms\"";

/// Units with their power of ten of the base unit, and whether a prefix may precede them.
const UNITS: &[(&str, MeasurementUnit, i32, bool)] = &[
    ("V", MeasurementUnit::Volts, 0, true),
    ("A", MeasurementUnit::Amps, 0, true),
    ("ohm", MeasurementUnit::Ohms, 0, true),
    ("Ohm", MeasurementUnit::Ohms, 0, true),
    ("\u{3a9}", MeasurementUnit::Ohms, 0, true),  // Greek capital omega
    ("\u{2126}", MeasurementUnit::Ohms, 0, true), // the ohm sign, a different character
    ("Hz", MeasurementUnit::Hertz, 0, true),
    ("s", MeasurementUnit::Seconds, 0, true),
    ("%", MeasurementUnit::Percent, 0, false),
    ("ppm", MeasurementUnit::Percent, -4, false),
];

const PREFIXES: &[(&str, i32)] =
    &[("n", -9), ("u", -6), ("\u{b5}", -6), ("\u{3bc}", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9)];

/// Returns the base unit and power of ten of a unit as written, "mV" or "kohm".
fn unit_named(name: &str) -> Option<(MeasurementUnit, i32)> {
    UNITS.iter().find_map(|(symbol, unit, power, prefixed)| {
        let prefix = name.strip_suffix(symbol)?;
        if prefix.is_empty() {
            return Some((*unit, *power));
        }
        let (_, scale) = PREFIXES.iter().find(|(candidate, _)| *candidate == prefix).filter(|_| *prefixed)?;
        Some((*unit, power + scale))
    })
}

/// Returns the end of the number at the start of a text: sign, digits, fraction, exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let sign = |from: usize| usize::from(matches!(bytes.get(from), Some(b'+' | b'-')));
    let mut end = sign(0);
    let whole = digits(end);
    end += whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return 0;
        }
        end += 1 + fraction;
    } else if whole == 0 {
        return 0;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent_sign = sign(end + 1);
        let exponent = digits(end + 1 + exponent_sign);
        if exponent > 0 {
            end += 1 + exponent_sign + exponent;
        }
    }
    end
}

/// Returns a number with any known unit, in the base unit.
pub fn parse_quantity(text: &str) -> Result<(f64, MeasurementUnit), QuantityError> {
    parse(text, ANY_EXPECTED, None)
}

/// Reads a quantity. The error says what was meant, in a unit of the wanted dimension.
fn parse(text: &str, expected: &str, wanted: Option<MeasurementUnit>) -> Result<(f64, MeasurementUnit), QuantityError> {
    parse_plain(text, expected).map_err(|mut error| {
        let is_good =
            |text: &str| parse_plain(text, expected).is_ok_and(|(_, unit)| wanted.is_none_or(|wanted| wanted == unit));
        error.meant = if text.chars().count() <= 40 { quantities_meant(text, wanted, is_good) } else { Vec::new() };
        let plain = |text: &str| text.chars().take_while(|c| !c.is_alphabetic()).collect::<String>().trim().to_owned();
        error.is_notation = error.meant.iter().any(|meant| plain(meant) != plain(text));
        if error.is_notation {
            error.wrong = format!("{} is no number with a unit as they are written here", quoted(text));
        } else if error.meant.is_empty() && error.wrong.contains("unknown unit") {
            error.expected = format!("{expected}; known units: {}", units_of(wanted));
        }
        error
    })
}

fn parse_plain(text: &str, expected: &str) -> Result<(f64, MeasurementUnit), QuantityError> {
    let wrong = |what: String| error(text, &what, expected);
    let trimmed = text.trim();
    let (number, unit) = trimmed.split_at(number_length(trimmed));
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err(wrong("does not start with a number".into()));
    }
    if unit.is_empty() {
        return Err(wrong("has no unit".into()));
    }
    // A minute is no power of ten of a second, and "min" must not be read as a prefix.
    let ((unit, power), factor) = if unit == "min" {
        ((MeasurementUnit::Seconds, 0), 60.0)
    } else {
        (unit_named(unit).ok_or_else(|| wrong(format!("has an unknown unit {}", quoted(unit))))?, 1.0)
    };
    // The power goes into the text and not into a multiplication, so that "150 mA" is exactly 0.15.
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let too_large = || wrong("is out of range".into());
    let exponent = exponent.parse::<i32>().map_err(|_| too_large())?.checked_add(power).ok_or_else(too_large)?;
    let value = format!("{mantissa}e{exponent}").parse::<f64>().map_err(|_| too_large())? * factor;
    if !value.is_finite() {
        return Err(too_large());
    }
    Ok((value, unit))
}

fn error(text: &str, what: &str, expected: &str) -> QuantityError {
    let wrong = format!("{} {what}", quoted(text));
    QuantityError { wrong, expected: expected.into(), meant: Vec::new(), is_notation: false }
}

/// Shortens and escapes a text from outside for a message.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short:?}...") } else { format!("{text:?}") }
}

fn dimension(unit: MeasurementUnit) -> &'static str {
    match unit {
        MeasurementUnit::Volts => "a voltage",
        MeasurementUnit::Amps => "a current",
        MeasurementUnit::Ohms => "a resistance",
        MeasurementUnit::Hertz => "a frequency",
        MeasurementUnit::Seconds => "a time",
        MeasurementUnit::Percent => "a percentage",
        MeasurementUnit::One => "a plain number",
    }
}

/// Reads the expected kind of quantity and no other.
pub fn parse_as<Q: Quantity>(text: &str) -> Result<Q, QuantityError> {
    let (value, unit) = parse(text, Q::EXPECTED, Some(Q::UNIT))?;
    let wrong = |what: &str| error(text, what, Q::EXPECTED);
    if unit != Q::UNIT {
        return Err(wrong(&format!("is {}", dimension(unit))));
    }
    check_sign::<Q>(value).map_err(wrong)?;
    Ok(Q::from_value(value))
}

/// Returns a number in the base unit of a dimension that is known only when the program runs. A plain number has no unit.
///
/// # Errors
/// As [`parse_as`].
pub fn parse_in(text: &str, unit: MeasurementUnit) -> Result<f64, QuantityError> {
    match unit {
        MeasurementUnit::Volts => parse_as::<Volts>(text).map(Volts::get),
        MeasurementUnit::Amps => parse_as::<Amps>(text).map(Amps::get),
        MeasurementUnit::Ohms => parse_as::<Ohms>(text).map(Ohms::get),
        MeasurementUnit::Hertz => parse_as::<Hertz>(text).map(Hertz::get),
        MeasurementUnit::Seconds => parse_as::<Seconds>(text).map(Seconds::get),
        MeasurementUnit::Percent => parse_as::<Percent>(text).map(Percent::get),
        MeasurementUnit::One => plain_number(text),
    }
}

fn plain_number(text: &str) -> Result<f64, QuantityError> {
    let trimmed = text.trim();
    if trimmed.len() == number_length(trimmed)
        && let Ok(value) = trimmed.parse::<f64>()
        && value.is_finite()
    {
        return Ok(value);
    }
    let mut error = error(text, "is no plain number", Number::EXPECTED);
    error.meant = number_meant(trimmed).into_iter().collect();
    error.is_notation = !error.meant.is_empty();
    Err(error)
}

fn check_sign<Q: Quantity>(value: f64) -> Result<(), &'static str> {
    if !Q::SIGNED && value < 0.0 {
        return Err("is negative");
    }
    // A century: far beyond any test, and within the range of every clock.
    if Q::UNIT == MeasurementUnit::Seconds && value > 3.2e9 {
        return Err("is out of range");
    }
    Ok(())
}

/// Reads a quantity with a unit from a string. The error for a bare number names the missing unit.
struct WithUnit<Q>(PhantomData<Q>);

impl<Q: Quantity> Visitor<'_> for WithUnit<Q> {
    type Value = Q;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Q::EXPECTED)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Q, E> {
        parse_as(text).map_err(E::custom)
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Q, E> {
        Err(E::custom(format_args!("{number} has no unit\nexpected {}", Q::EXPECTED)))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Q, E> {
        Err(E::custom(format_args!("{number} has no unit\nexpected {}", Q::EXPECTED)))
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Q, E> {
        Err(E::custom(format_args!("{number} has no unit\nexpected {}", Q::EXPECTED)))
    }
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:ident, $signed:literal, $noun:literal, $example:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// From a finite value in the base unit, for defaults in code.
            pub const fn new(value: f64) -> Self {
                Self(value)
            }
            /// In the base unit.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl Quantity for $name {
            const UNIT: MeasurementUnit = MeasurementUnit::$unit;
            const EXPECTED: &'static str = concat!($noun, " such as \"", $example, "\"");
            const SIGNED: bool = $signed;
            fn from_value(value: f64) -> Self {
                Self(value)
            }
            fn value(self) -> f64 {
                self.0
            }
        }

        /// With all its digits, so that it is read back as the same value.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.0, MeasurementUnit::$unit.symbol())
            }
        }

        impl FromStr for $name {
            type Err = QuantityError;
            fn from_str(text: &str) -> Result<Self, QuantityError> {
                parse_as(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(WithUnit(PhantomData))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": concat!($noun, " with its unit, such as \"", $example, "\""),
                    "examples": [$example],
                    "pattern": concat!(
                        r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", $pattern, r"\s*$"),
                })
            }
        }
    };
}

quantity!(
    /// A voltage in volts.
    Volts, Volts, true, "a voltage", "3.3 V", "[nu\u{b5}\u{3bc}mkMG]?V"
);
quantity!(
    /// A current in amperes.
    Amps, Amps, true, "a current", "150 mA", "[nu\u{b5}\u{3bc}mkMG]?A"
);
quantity!(
    /// A resistance in ohms, never negative.
    Ohms, Ohms, false, "a resistance", "1 kohm", "[nu\u{b5}\u{3bc}mkMG]?([oO]hm|\u{3a9}|\u{2126})"
);
quantity!(
    /// A frequency in hertz, never negative.
    Hertz, Hertz, false, "a frequency", "500 Hz", "[nu\u{b5}\u{3bc}mkMG]?Hz"
);
quantity!(
    /// A time in seconds, never negative and at most a century.
    Seconds, Seconds, false, "a time", "10 ms", "([nu\u{b5}\u{3bc}mkMG]?s|min)"
);
quantity!(
    /// A ratio in percent.
    Percent, Percent, true, "a percentage", "2 %", "(%|ppm)"
);

impl Seconds {
    /// Returns the span of time, to the nanosecond.
    pub fn duration(self) -> Duration {
        Duration::try_from_secs_f64(self.0).unwrap_or_default()
    }
}

impl Percent {
    /// 2 % is 0.02.
    pub const fn ratio(self) -> f64 {
        self.0 / 100.0
    }
}

/// A number without a unit: a count, a code, a level in dBm. Written without quotes.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Number(f64);

impl Number {
    pub const fn new(value: f64) -> Self {
        Self(value)
    }
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Quantity for Number {
    const UNIT: MeasurementUnit = MeasurementUnit::One;
    const EXPECTED: &'static str = "a number without a unit such as 12";
    const SIGNED: bool = true;
    fn from_value(value: f64) -> Self {
        Self(value)
    }
    fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bare;
        impl Visitor<'_> for Bare {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Number::EXPECTED)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
                if number.is_finite() {
                    Ok(Number(number))
                } else {
                    Err(E::custom(format_args!("{number} is not a number\nexpected {}", Number::EXPECTED)))
                }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Number, E> {
                Err(E::custom(format_args!("{} is a text\nexpected {}", quoted(text), Number::EXPECTED)))
            }
        }
        from.deserialize_any(Bare)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.0)
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "description": "A number without a unit" })
    }
}

/// `{ min = "3.2 V", max = "3.4 V" }`: a closed interval, at least one side given, never crossed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitsOf<Q> {
    min: Option<Q>,
    max: Option<Q>,
}

impl<Q: Quantity> LimitsOf<Q> {
    /// `None` when no side is given or the limits are crossed.
    pub fn new(min: Option<Q>, max: Option<Q>) -> Option<Self> {
        match (min, max) {
            (None, None) => None,
            (Some(min), Some(max)) if min > max => None,
            _ => Some(Self { min, max }),
        }
    }
    pub const fn min(&self) -> Option<Q> {
        self.min
    }
    pub const fn max(&self) -> Option<Q> {
        self.max
    }
    pub const fn unit(&self) -> MeasurementUnit {
        Q::UNIT
    }
    /// Converts to the judge's limits, in the base unit.
    pub fn limits(&self) -> Limits {
        Limits { min: self.min.map(Q::value), max: self.max.map(Q::value) }
    }
}

impl<'de, Q: Quantity + Deserialize<'de>> Deserialize<'de> for LimitsOf<Q> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Sides<Q>(PhantomData<Q>);
        impl<'de, Q: Quantity + Deserialize<'de>> Visitor<'de> for Sides<Q> {
            type Value = LimitsOf<Q>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("limits such as { min = ..., max = ... }, each ")?;
                f.write_str(Q::EXPECTED)
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<LimitsOf<Q>, M::Error> {
                let (mut min, mut max) = (None, None);
                while let Some(key) = map.next_key::<LimitKey>()? {
                    match key {
                        LimitKey::Min => min = Some(map.next_value()?),
                        LimitKey::Max => max = Some(map.next_value()?),
                    }
                }
                match (min, max) {
                    (None, None) => Err(de::Error::custom(format_args!(
                        "limits without a limit\nexpected min, max or both, each {}",
                        Q::EXPECTED
                    ))),
                    (Some(min), Some(max)) if min > max => Err(de::Error::custom(format_args!(
                        "limits are crossed: min is {min}, max only {max}\nexpected min to be at most max"
                    ))),
                    (min, max) => Ok(LimitsOf { min, max }),
                }
            }
            fn visit_seq<S: de::SeqAccess<'de>>(self, mut seq: S) -> Result<LimitsOf<Q>, S::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Err(de::Error::custom("a list is not a pair of limits\nexpected { min = ..., max = ... }"))
            }
        }
        from.deserialize_any(Sides(PhantomData))
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum LimitKey {
    Min,
    Max,
}

impl<Q: Serialize> Serialize for LimitsOf<Q> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = to.serialize_map(None)?;
        if let Some(min) = &self.min {
            map.serialize_entry("min", min)?;
        }
        if let Some(max) = &self.max {
            map.serialize_entry("max", max)?;
        }
        map.end()
    }
}

impl<Q: JsonSchema> JsonSchema for LimitsOf<Q> {
    fn schema_name() -> Cow<'static, str> {
        format!("LimitsOf{}", Q::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let side = generator.subschema_for::<Q>();
        json_schema!({
            "description": "Closed interval; at least one side, min at most max. Or the name of limits in [limits]",
            "oneOf": [
                {
                    "type": "object",
                    "properties": { "min": side, "max": side },
                    "additionalProperties": false,
                    "minProperties": 1,
                },
                { "type": "string", "pattern": r"^limits\." },
            ],
        })
    }
}
