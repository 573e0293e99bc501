//! Limits whose unit follows from how they are written: for readings that a plan itself names.

use crate::quantity::parse_quantity;
use bench_run::{Limits, MeasurementUnit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// `{ min = "1.6 V", max = "1.7 V" }`, or numbers without a unit for counts, codes and ratios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnyLimits {
    pub limits: Limits,
    pub unit: MeasurementUnit,
}

const EXPECTED: &str =
    "limits such as { min = \"1.6 V\", max = \"1.7 V\" }, or { min = 0.9, max = 1.1 } without a unit";

/// One side.
struct Side(f64, MeasurementUnit);

impl<'de> Deserialize<'de> for Side {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Forms;
        impl Visitor<'_> for Forms {
            type Value = Side;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a limit such as \"1.6 V\", or a number without a unit such as 0.9")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Side, E> {
                parse_quantity(text).map(|(value, unit)| Side(value, unit)).map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Side, E> {
                Ok(Side(number as f64, MeasurementUnit::One))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Side, E> {
                Ok(Side(number as f64, MeasurementUnit::One))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Side, E> {
                if number.is_finite() {
                    return Ok(Side(number, MeasurementUnit::One));
                }
                Err(E::custom(format_args!("{number} is not a limit\nexpected {EXPECTED}")))
            }
        }
        from.deserialize_any(Forms)
    }
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Min,
    Max,
}

impl<'de> Deserialize<'de> for AnyLimits {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Sides;
        impl<'de> Visitor<'de> for Sides {
            type Value = AnyLimits;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<AnyLimits, M::Error> {
                let (mut min, mut max) = (None, None);
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::Min => min = Some(map.next_value::<Side>()?),
                        Key::Max => max = Some(map.next_value::<Side>()?),
                    }
                }
                let wrong = |text: String| Err(de::Error::custom(text));
                let unit = match (&min, &max) {
                    (None, None) => return wrong(format!("limits without a limit\nexpected {EXPECTED}")),
                    (Some(Side(_, min)), Some(Side(_, max))) if min != max => {
                        return wrong(format!(
                            "min is in {}, max in {}\nexpected one unit for both",
                            shown(*min),
                            shown(*max)
                        ));
                    }
                    (Some(Side(min, unit)), Some(Side(max, _))) if min > max => {
                        let (min, max) = (unit.show(*min), unit.show(*max));
                        return wrong(format!(
                            "limits are crossed: min is {min}, max only {max}\nexpected min to be at most max"
                        ));
                    }
                    (Some(Side(_, unit)), _) | (None, Some(Side(_, unit))) => *unit,
                };
                let value = |side: Option<Side>| side.map(|Side(value, _)| value);
                Ok(AnyLimits { limits: Limits { min: value(min), max: value(max) }, unit })
            }
        }
        from.deserialize_any(Sides)
    }
}

fn shown(unit: MeasurementUnit) -> &'static str {
    match unit.symbol() {
        "" => "no unit",
        symbol => symbol,
    }
}

impl JsonSchema for AnyLimits {
    fn schema_name() -> Cow<'static, str> {
        "AnyLimits".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let side = json_schema!({
            "description": "A number with its unit such as \"1.6 V\", or a number without one",
            "type": ["string", "number"],
        });
        json_schema!({
            "description": "Closed interval; at least one side, min at most max, both in one unit",
            "type": "object",
            "properties": { "min": side, "max": side },
            "additionalProperties": false,
            "minProperties": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_with_any_unit() {
        #[derive(serde::Deserialize)]
        struct File {
            limits: AnyLimits,
        }
        type Read = (MeasurementUnit, Option<f64>, Option<f64>);
        let rows: [(&str, Result<Read, &str>); 8] = [
            (r#"{ min = "1.6 V", max = "1700 mV" }"#, Ok((MeasurementUnit::Volts, Some(1.6), Some(1.7)))),
            ("{ min = 1, max = 2.5 }", Ok((MeasurementUnit::One, Some(1.0), Some(2.5)))),
            (r#"{ max = "3 %" }"#, Ok((MeasurementUnit::Percent, None, Some(3.0)))),
            ("{}", Err("without a limit")),
            (r#"{ min = "1 V", max = "1 A" }"#, Err("min is in V, max in A")),
            (r#"{ min = "1 V", max = 2 }"#, Err("no unit")),
            (r#"{ min = "2 V", max = "1 V" }"#, Err("crossed")),
            ("{ min = nan }", Err("NaN is not a limit")),
        ];
        for (text, expected) in rows {
            let read = toml::from_str::<File>(&format!("limits = {text}"));
            match (read, expected) {
                (Ok(File { limits }), Ok((unit, min, max))) => {
                    assert_eq!((limits.unit, limits.limits.min, limits.limits.max), (unit, min, max), "{text}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
                (read, expected) => panic!("{text}: {:?}, expected {expected:?}", read.map(|file| file.limits)),
            }
        }
    }
}
