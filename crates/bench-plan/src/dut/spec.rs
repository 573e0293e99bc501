//! The statements of the spec (Particle's "B Series from Boron Migration Guide") about a pin, one by one.

use super::Function;
use super::file::ContactFile;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A row of the guide's "Full module pin comparison".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpecFact {
    Number,
    Name,
    AlternateName,
    Description,
    DigitalRead,
    DigitalWrite,
    AnalogRead,
    AnalogWrite,
    Tone,
    Uart,
    Spi,
    I2c,
    AttachInterrupt,
    FiveVolt,
}

impl SpecFact {
    /// In the order of the guide.
    pub const ALL: [Self; 14] = [
        Self::Number,
        Self::Name,
        Self::AlternateName,
        Self::Description,
        Self::DigitalRead,
        Self::DigitalWrite,
        Self::AnalogRead,
        Self::AnalogWrite,
        Self::Tone,
        Self::Uart,
        Self::Spi,
        Self::I2c,
        Self::AttachInterrupt,
        Self::FiveVolt,
    ];

    /// The guide's heading of the row.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Number => "Pin Number",
            Self::Name => "Pin Name",
            Self::AlternateName => "Pin Alternate Name",
            Self::Description => "Description",
            Self::DigitalRead => "Supports digitalRead",
            Self::DigitalWrite => "Supports digitalWrite",
            Self::AnalogRead => "Supports analogRead",
            Self::AnalogWrite => "Supports analogWrite (PWM)",
            Self::Tone => "Supports tone",
            Self::Uart => "UART serial",
            Self::Spi => "SPI interface",
            Self::I2c => "I2C interface",
            Self::AttachInterrupt => "Supports attachInterrupt",
            Self::FiveVolt => "Input is 5V Tolerant",
        }
    }
    /// As a key of `[contact.spec]`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Name => "name",
            Self::AlternateName => "alternate_name",
            Self::Description => "description",
            Self::DigitalRead => "digital_read",
            Self::DigitalWrite => "digital_write",
            Self::AnalogRead => "analog_read",
            Self::AnalogWrite => "analog_write",
            Self::Tone => "tone",
            Self::Uart => "uart",
            Self::Spi => "spi",
            Self::I2c => "i2c",
            Self::AttachInterrupt => "attach_interrupt",
            Self::FiveVolt => "five_volt",
        }
    }
}

/// The guide's statement: a number, Yes or No, or a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecValue {
    Number(u8),
    YesNo(bool),
    Text(String),
}

impl SpecValue {
    /// A text that starts with "Supports ..." is a yes with a remark.
    pub fn affirms(&self) -> bool {
        match self {
            Self::YesNo(yes) => *yes,
            Self::Text(text) => !matches!(text.as_str(), "No" | "n/a"),
            Self::Number(_) => true,
        }
    }
}

impl fmt::Display for SpecValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::YesNo(true) => f.write_str("Yes"),
            Self::YesNo(false) => f.write_str("No"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for SpecValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_u8(*number),
            Self::YesNo(yes) => serializer.serialize_bool(*yes),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

// Hand-written, because the derived untagged enum answers every mistake with "did not match any variant".
impl<'de> Deserialize<'de> for SpecValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = SpecValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, a contact number or the spec's words")
            }
            fn visit_bool<E>(self, yes: bool) -> Result<SpecValue, E> {
                Ok(SpecValue::YesNo(yes))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<SpecValue, E> {
                let number =
                    u8::try_from(number).map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))?;
                Ok(SpecValue::Number(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<SpecValue, E> {
                Ok(SpecValue::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for SpecValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SpecValue".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["boolean", "integer", "string"] })
    }
}

/// What the file says instead, when a statement of the spec contradicts it.
pub(super) fn contradiction(fact: SpecFact, stated: &SpecValue, contact: &ContactFile) -> Option<String> {
    let has = |function| contact.functions.contains(&function);
    let text = stated.to_string();
    let (agrees, own) = match fact {
        SpecFact::Number => {
            (*stated == SpecValue::Number(contact.number), format!("the contact is {}", contact.number))
        }
        SpecFact::Name => (text == contact.pin, format!("the pin is \"{}\"", contact.pin)),
        SpecFact::AlternateName => {
            (contact.alternate_names.contains(&text), format!("the alternate names are {:?}", contact.alternate_names))
        }
        SpecFact::Description | SpecFact::Tone => return None, // free text
        SpecFact::DigitalRead | SpecFact::DigitalWrite => (stated.affirms() == has(Function::Gpio), listed(contact)),
        SpecFact::AnalogRead => (stated.affirms() == has(Function::Adc), listed(contact)),
        SpecFact::AnalogWrite => (stated.affirms() == has(Function::Pwm), listed(contact)),
        SpecFact::Uart => (stated.affirms() == has(Function::Uart), listed(contact)),
        SpecFact::Spi => (stated.affirms() == (has(Function::Spi) || has(Function::Spi1)), listed(contact)),
        SpecFact::I2c => (stated.affirms() == (has(Function::I2c) || has(Function::I2c1)), listed(contact)),
        SpecFact::AttachInterrupt => (stated.affirms() == has(Function::Interrupt), listed(contact)),
        SpecFact::FiveVolt => {
            let own = format!("`five_volt_tolerant` is {}", contact.five_volt_tolerant);
            (stated.affirms() == contact.five_volt_tolerant, own)
        }
    };
    (!agrees).then_some(own)
}

fn listed(contact: &ContactFile) -> String {
    let names: Vec<&str> = contact.functions.iter().map(|function| function.name()).collect();
    format!("the functions are {}", names.join(", "))
}
