//! The pins of a model as a table, and a comparison of two models: the output of `bench pins`.
//!
//! Values come first ([`PinTable`], [`PinComparison`], both serializable), text second. A doubt is a note below the
//! table, so that a disputed statement does not look settled.

use crate::{ContactInfo, DutFamily, Function, SpecFact};
use bench_run::Contact;
use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Every contact of a family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PinTable {
    /// The requested model or family.
    pub of: String,
    pub family: String,
    pub connector: String,
    pub rows: Vec<PinRow>,
    /// First and last number of each gap, with the reason.
    pub absent: Vec<(Contact, Contact, String)>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PinRow {
    pub contact: Contact,
    pub pin: String,
    pub alternate_names: Vec<String>,
    /// "P0.03".
    pub port: Option<String>,
    pub functions: Vec<Function>,
    pub max_volts: Option<f64>,
    pub five_volt_tolerant: bool,
    /// In words.
    pub doubts: Vec<String>,
}

/// Returns the pins of a family; `of` is the requested name.
pub fn pin_table(family: &DutFamily, of: &str) -> PinTable {
    let row = |info: &ContactInfo| PinRow {
        contact: info.contact,
        pin: info.pin.clone(),
        alternate_names: info.alternate_names.clone(),
        port: info.port.map(|port| port.to_string()),
        functions: info.functions.iter().copied().collect(),
        max_volts: info.max_volts,
        five_volt_tolerant: info.five_volt_tolerant,
        doubts: info.doubts(),
    };
    PinTable {
        of: of.to_owned(),
        family: family.name.clone(),
        connector: family.connector.clone(),
        rows: family.contacts.iter().map(row).collect(),
        absent: family.absent.iter().map(|gap| (Contact(gap.first), Contact(gap.last), gap.reason.clone())).collect(),
    }
}

/// Two families side by side, in the order and words of the spec's "Full module pin comparison".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PinComparison {
    pub from: String,
    pub to: String,
    pub pins: Vec<ComparedPin>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedPin {
    pub pin: String,
    pub change: Change,
    pub facts: Vec<ComparedFact>,
    /// Doubts about the pin beyond the spec's statements, with the affected side.
    pub doubts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// On both sides.
    Kept,
    /// Only in `to`.
    Added,
    /// Only in `from`.
    Removed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparedFact {
    /// The spec's heading of the row: "Supports tone".
    pub fact: &'static str,
    pub origin: Origin,
    /// `None`: no statement for this side.
    pub from: Option<String>,
    pub to: Option<String>,
    /// Whether the pin is on both sides and this row differs.
    pub differs: bool,
    /// Contradictions between other sources and the spec, with the affected side.
    pub doubts: Vec<String>,
}

/// Source of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The spec, in its own words.
    Spec,
    /// The family file, from its other sources.
    FamilyFile,
}

/// Heading of the one row that the spec does not have.
const PORT: &str = "nRF52840 port";

/// The spec's name of a pin and the index of its use (NC occurs twice).
type PinKey = (String, usize);

/// The same pin in `from` and in `to`.
type Sides<'f> = [Option<&'f ContactInfo>; 2];

/// Compares the pins that the spec describes. `of` are the requested names of the families.
pub fn compare_pins(from: (&DutFamily, &str), to: (&DutFamily, &str)) -> PinComparison {
    let mut pins: Vec<(PinKey, Sides<'_>)> = Vec::new();
    for (side, (family, _)) in [from, to].into_iter().enumerate() {
        for (key, info) in described(family) {
            match pins.iter_mut().find(|(listed, _)| *listed == key) {
                Some((_, sides)) => sides[side] = Some(info),
                None => {
                    let mut sides: Sides<'_> = [None; 2];
                    sides[side] = Some(info);
                    pins.push((key, sides));
                }
            }
        }
    }
    // The spec sorts by name, a minus before a plus.
    pins.sort_by_key(|((name, place), _)| (name.replace('-', "*"), *place));
    let names = [from.1, to.1];
    PinComparison {
        from: from.1.to_owned(),
        to: to.1.to_owned(),
        pins: pins.into_iter().map(|((pin, _), sides)| compare_pin(pin, sides, names)).collect(),
    }
}

/// Returns the contacts with statements of the spec.
fn described(family: &DutFamily) -> Vec<(PinKey, &ContactInfo)> {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    let described = family.contacts.iter().filter(|info| !info.spec.is_empty());
    described
        .map(|info| {
            let name = info.spec.get(&SpecFact::Name).map_or_else(|| info.pin.clone(), ToString::to_string);
            let place = uses.entry(name.clone()).and_modify(|place| *place += 1).or_default();
            ((name, *place), info)
        })
        .collect()
}

fn compare_pin(pin: String, sides: Sides<'_>, names: [&str; 2]) -> ComparedPin {
    let change = match sides {
        [Some(_), None] => Change::Removed,
        [None, Some(_)] => Change::Added,
        _ => Change::Kept,
    };
    let stated = |fact: SpecFact| sides.map(|side| side.and_then(|info| Some(info.spec.get(&fact)?.to_string())));
    let spec = SpecFact::ALL.into_iter().map(|fact| {
        let doubts = on_both(sides, names, |info| info.spec_doubt.get(&fact).cloned());
        (fact.title(), Origin::Spec, stated(fact), doubts)
    });
    let ports = sides.map(|side| side.and_then(|info| info.port).map(|port| port.to_string()));
    let file = std::iter::once((PORT, Origin::FamilyFile, ports, Vec::new()));
    let facts = spec.chain(file).filter(|(_, _, values, _)| values.iter().any(Option::is_some));
    let facts = facts.map(|(fact, origin, [from, to], doubts)| {
        let differs = change == Change::Kept && from != to;
        ComparedFact { fact, origin, differs, from, to, doubts }
    });
    let facts = facts.collect();
    ComparedPin { pin, change, facts, doubts: on_both(sides, names, |info| info.doubt.clone()) }
}

/// Joins the texts of both sides, each after its side's name; writes an equal text once.
fn on_both(sides: Sides<'_>, names: [&str; 2], text: impl Fn(&ContactInfo) -> Option<String>) -> Vec<String> {
    match sides.map(|side| side.and_then(&text)) {
        [Some(from), Some(to)] if from == to => vec![from],
        texts => {
            let named = names.into_iter().zip(texts);
            named.filter_map(|(name, text)| Some(format!("{name}: {}", text?))).collect()
        }
    }
}

/// Doubts collected while a table is written; equal texts share a number.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    /// "1, 3".
    fn marks<'t>(&mut self, texts: impl IntoIterator<Item = &'t String>) -> String {
        let mut mark = |text: &String| {
            let existing = self.0.iter().position(|note| note == text);
            let position = existing.unwrap_or_else(|| {
                self.0.push(text.clone());
                self.0.len() - 1
            });
            (position + 1).to_string()
        };
        texts.into_iter().map(&mut mark).collect::<Vec<_>>().join(", ")
    }
    fn write(&self, out: &mut String) {
        if !self.0.is_empty() {
            out.push_str("\nDoubts: where sources disagree\n");
        }
        for (index, note) in self.0.iter().enumerate() {
            let _ = writeln!(out, "{:>3}  {note}", index + 1); // writing to a string cannot fail
        }
    }
}

fn new_table(columns: &[&str], width: u16) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width).set_header(columns);
    table
}

impl PinTable {
    /// Formats the table in at most `width` columns (the notes below may be longer).
    pub fn render(&self, width: u16) -> String {
        let mut notes = Notes::default();
        let mut table =
            new_table(&["contact", "pin", "also", "port", "functions", "max V", "5 V tolerant", "doubt"], width);
        for row in &self.rows {
            let functions: Vec<&str> = row.functions.iter().map(|function| function.name()).collect();
            table.add_row([
                row.contact.to_string(),
                row.pin.clone(),
                row.alternate_names.join(", "),
                row.port.clone().unwrap_or_default(),
                functions.join(" "),
                row.max_volts.map(|volts| volts.to_string()).unwrap_or_default(),
                if row.five_volt_tolerant { "yes" } else { "" }.to_owned(),
                notes.marks(&row.doubts),
            ]);
        }
        let mut out = format!("{} (family {}): {}\n{}\n", self.of, self.family, self.connector, table.trim_fmt());
        for (first, last, reason) in &self.absent {
            let _ = writeln!(out, "{first} to {last}: no contact, {reason}");
        }
        notes.write(&mut out);
        out
    }
}

impl PinComparison {
    /// Formats the table in at most `width` columns (the notes below may be longer).
    pub fn render(&self, width: u16) -> String {
        let mut notes = Notes::default();
        let mut table = new_table(&["pin", "fact", &self.from, &self.to, "", "doubt"], width);
        for pin in &self.pins {
            let mut name = match pin.change {
                Change::Kept => pin.pin.clone(),
                Change::Added => format!("{} (added)", pin.pin),
                Change::Removed => format!("{} (removed)", pin.pin),
            };
            let mut pin_doubts = pin.doubts.as_slice();
            for fact in &pin.facts {
                let nothing = if pin.change == Change::Kept { "n/a" } else { "" };
                let doubts = pin_doubts.iter().chain(&fact.doubts);
                table.add_row([
                    std::mem::take(&mut name),
                    fact.fact.to_owned(),
                    fact.from.clone().unwrap_or_else(|| nothing.to_owned()),
                    fact.to.clone().unwrap_or_else(|| nothing.to_owned()),
                    if fact.differs { "≠" } else { "" }.to_owned(),
                    notes.marks(doubts),
                ]);
                pin_doubts = &[];
            }
        }
        let mut out = format!("{}\n", table.trim_fmt());
        notes.write(&mut out);
        out
    }
}
