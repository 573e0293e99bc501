//! Selects contacts for a step: by function, by name or by number.

use crate::names::nearest_help;
use crate::{DutFamily, Function, ParamProblem};
use bench_run::Contact;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use toml::Spanned;

/// A selection of contacts as written in a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct RawPinSelector {
    selection: Selection,
    span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Selection {
    /// `"gpio"` or `"all"`.
    Function(String),
    /// `["A0", "D4", 36]`.
    List(Vec<Spanned<PinRef>>),
    /// `{ functions = ["gpio"], only = [...], exclude = [...] }`.
    Filter {
        functions: Option<Vec<Spanned<String>>>,
        only: Option<Vec<Spanned<PinRef>>>,
        exclude: Vec<Spanned<PinRef>>,
    },
}

/// One pin by name or alternate name, or one contact by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinRef {
    Name(String),
    Contact(Contact),
}

const EXPECTED: &str = "a function such as \"gpio\", \"all\", a list such as [\"A0\", 36], \
                        or { functions = [...], only = [...], exclude = [...] }";
const EXPECTED_PIN: &str = "a pin such as \"A0\" or a contact number such as 36";

impl RawPinSelector {
    /// Its place in the text.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Returns the contacts of this family: a list keeps its order, everything else is ascending. Never empty, without
    /// duplicates. A name that several contacts share ("GND") selects all of them.
    pub fn resolve(&self, family: &DutFamily) -> Result<Vec<Contact>, ParamProblem> {
        let contacts = self.contacts(family)?;
        if contacts.is_empty() {
            return Err(ParamProblem::new(format!("selects no contact of {}", family.name))
                .at(self.span.clone(), "no contact left")
                .help("a step without contacts tests nothing"));
        }
        Ok(contacts)
    }

    /// Like [`Self::resolve`], but empty where a reduced fixture reaches none of the selected contacts.
    pub fn resolve_reached(&self, family: &DutFamily) -> Result<Vec<Contact>, ParamProblem> {
        let contacts = self.contacts(family)?;
        if contacts.is_empty() && family.unreached.is_empty() { self.resolve(family) } else { Ok(contacts) }
    }

    fn contacts(&self, family: &DutFamily) -> Result<Vec<Contact>, ParamProblem> {
        Ok(match &self.selection {
            Selection::Function(name) => by_function(name, &self.span, family)?,
            Selection::List(pins) => by_pins(pins, family)?,
            Selection::Filter { functions, only, exclude } => {
                let mut contacts = match functions {
                    None => all_contacts(family),
                    Some(functions) => {
                        let mut contacts = BTreeSet::new();
                        for function in functions {
                            contacts.extend(by_function(function.get_ref(), &function.span(), family)?);
                        }
                        contacts.into_iter().collect()
                    }
                };
                if let Some(only) = only {
                    let wanted = by_pins(only, family)?;
                    if let Some(stranger) = wanted.iter().find(|contact| !contacts.contains(contact)) {
                        return Err(ParamProblem::new(format!(
                            "contact {} has none of these functions",
                            family.label(*stranger)
                        ))
                        .at(self.span.clone(), "selects nothing for it")
                        .help("remove it from `only`, or add one of its functions to `functions`"));
                    }
                    contacts.retain(|contact| wanted.contains(contact));
                }
                let unwanted = by_pins(exclude, family)?;
                contacts.retain(|contact| !unwanted.contains(contact));
                contacts
            }
        })
    }
}

fn all_contacts(family: &DutFamily) -> Vec<Contact> {
    family.contacts.iter().map(|info| info.contact).collect()
}

fn by_function(name: &str, span: &Range<usize>, family: &DutFamily) -> Result<Vec<Contact>, ParamProblem> {
    if name == "all" {
        return Ok(all_contacts(family));
    }
    let functions = family.contacts.iter().flat_map(|info| info.functions.iter().copied()).collect::<BTreeSet<_>>();
    let Some(function) = functions.iter().copied().find(|function| function.name() == name) else {
        if family.unreached.iter().flat_map(|info| &info.functions).any(|function| function.name() == name) {
            return Ok(Vec::new());
        }
        let names = functions.iter().map(|function| function.name()).chain(["all"]);
        let help = if contacts_named(name, family).is_empty() {
            nearest_help(name, names, "functions")
        } else {
            format!("to name pins write a list: [\"{name}\"]")
        };
        return Err(ParamProblem::new(format!("no contact of {} has a function `{name}`", family.name))
            .at(span.clone(), "no such function")
            .help(help));
    };
    let having = family.contacts.iter().filter(|info| info.functions.contains(&function));
    Ok(having.map(|info| info.contact).collect())
}

/// Returns all contacts with this pin name; if none, all with this alternate name.
fn contacts_named(name: &str, family: &DutFamily) -> Vec<Contact> {
    let named = |info: &&crate::ContactInfo| info.pin == name;
    let also = |info: &&crate::ContactInfo| info.alternate_names.iter().any(|alternate| alternate == name);
    let exact: Vec<Contact> = family.contacts.iter().filter(named).map(|info| info.contact).collect();
    if !exact.is_empty() {
        return exact;
    }
    family.contacts.iter().filter(also).map(|info| info.contact).collect()
}

impl PinRef {
    /// Returns the contacts that it selects in this family.
    pub fn resolve(&self, span: Range<usize>, family: &DutFamily) -> Result<Vec<Contact>, ParamProblem> {
        match self {
            PinRef::Contact(contact) if family.contact(*contact).is_some() => Ok(vec![*contact]),
            PinRef::Contact(contact) => Err(ParamProblem::new(format!("{} has no contact {contact}", family.name))
                .at(span, "no such contact")
                .help(match (family.contacts.first(), family.contacts.last()) {
                    (Some(first), Some(last)) => {
                        format!(
                            "its {} contacts lie between {} and {}",
                            family.contacts.len(),
                            first.contact,
                            last.contact
                        )
                    }
                    _ => "the family has no contacts".to_owned(),
                })),
            PinRef::Name(name) => {
                let contacts = contacts_named(name, family);
                if contacts.is_empty() { Err(unknown_pin(name, span, family)) } else { Ok(contacts) }
            }
        }
    }
}

fn unknown_pin(name: &str, span: Range<usize>, family: &DutFamily) -> ParamProblem {
    let mut names: Vec<&str> = Vec::new();
    for info in &family.contacts {
        if !names.contains(&info.pin.as_str()) {
            names.push(&info.pin);
        }
    }
    let alternates = family.contacts.iter().flat_map(|info| info.alternate_names.iter().map(String::as_str));
    let help = nearest_help(name, names.into_iter().chain(alternates), "pins");
    ParamProblem::new(format!("{} has no pin `{name}`", family.name)).at(span, "no such pin").help(help)
}

/// Whether the fixture reaches no contact of this name, although the family has one.
fn is_unreached(pin: &PinRef, family: &DutFamily) -> bool {
    match pin {
        PinRef::Contact(contact) => family.unreached.iter().any(|info| info.contact == *contact),
        PinRef::Name(name) => {
            contacts_named(name, family).is_empty()
                && family.unreached.iter().any(|info| info.pin == *name || info.alternate_names.contains(name))
        }
    }
}

fn by_pins(pins: &[Spanned<PinRef>], family: &DutFamily) -> Result<Vec<Contact>, ParamProblem> {
    let mut contacts = Vec::new();
    for pin in pins {
        if is_unreached(pin.get_ref(), family) {
            continue;
        }
        for contact in pin.get_ref().resolve(pin.span(), family)? {
            if contacts.contains(&contact) {
                return Err(ParamProblem::new(format!("contact {} is named twice", family.label(contact)))
                    .at(pin.span(), "second mention")
                    .help("name each contact once, by pin or by number"));
            }
            contacts.push(contact);
        }
    }
    Ok(contacts)
}

impl<'de> Deserialize<'de> for RawPinSelector {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Selection>::deserialize(from)?;
        let span = spanned.span();
        Ok(Self { selection: spanned.into_inner(), span })
    }
}

// Hand-written: serde's untagged enums answer every mistake with "data did not match any variant".
impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = Selection;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Selection, E> {
                Ok(Selection::Function(name.to_owned()))
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Selection, S::Error> {
                let mut pins = Vec::new();
                while let Some(pin) = seq.next_element()? {
                    pins.push(pin);
                }
                Ok(Selection::List(pins))
            }
            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Selection, M::Error> {
                let filter = RawFilter::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Selection::Filter {
                    functions: filter.functions,
                    only: filter.only,
                    exclude: filter.exclude.unwrap_or_default(),
                })
            }
        }
        from.deserialize_any(Forms)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFilter {
    functions: Option<Vec<Spanned<String>>>,
    only: Option<Vec<Spanned<PinRef>>>,
    exclude: Option<Vec<Spanned<PinRef>>>,
}

impl<'de> Deserialize<'de> for PinRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pin;
        impl Visitor<'_> for Pin {
            type Value = PinRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED_PIN)
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<PinRef, E> {
                Ok(PinRef::Name(name.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<PinRef, E> {
                let contact = u8::try_from(number).map_err(|_| {
                    E::custom(format_args!("{number} is not a contact number\nexpected {EXPECTED_PIN}"))
                })?;
                Ok(PinRef::Contact(Contact(contact)))
            }
        }
        from.deserialize_any(Pin)
    }
}

impl JsonSchema for PinRef {
    fn schema_name() -> Cow<'static, str> {
        "Pin".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A pin by name or alternate name, or a contact by number",
            "oneOf": [{ "type": "string" }, { "type": "integer", "minimum": 0, "maximum": 255 }],
        })
    }
}

impl JsonSchema for RawPinSelector {
    fn schema_name() -> Cow<'static, str> {
        "PinSelector".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let function = generator.subschema_for::<Function>();
        let pins = generator.subschema_for::<Vec<PinRef>>();
        json_schema!({
            "description": "The contacts that a step tests",
            "oneOf": [
                { "const": "all", "description": "Every contact" },
                function,
                pins,
                {
                    "type": "object",
                    "properties": {
                        "functions": { "type": "array", "items": { "anyOf": [{ "const": "all" }, function] } },
                        "only": pins,
                        "exclude": pins,
                    },
                    "additionalProperties": false,
                },
            ],
        })
    }
}
