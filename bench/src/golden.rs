//! Compares a run of a golden module with the module's own history.

use crate::repeated::is_same_nest;
use bench_report::{MeasurementRecord, RunRecord};
use bench_run::{BenchKind, Contact, Limits, MeasurementUnit, Verdict};
use bench_stats::{FEWEST_GOLDEN, GoldenBand};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A measurement of a unit: the step and its name in the step.
type Key<'a> = (&'a str, &'a str);

/// What the comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// Earlier runs that are the history, oldest first.
    pub history: Vec<Earlier>,
    /// How many more runs are needed before anything can be compared.
    pub missing: usize,
    /// Number of measurements that were compared.
    pub compared: usize,
    /// Measurements that have too few earlier readings, as `step/name`.
    pub too_few: Vec<String>,
    /// Measurements that are not where they were, the largest first, as a share of what is tolerated.
    pub drifted: Vec<Drift>,
}

/// A run of the history. `run_id` is the name of its folder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Earlier {
    pub run_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
}

/// A measurement that drifted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Drift {
    pub step: String,
    /// Kind of the step.
    pub kind: String,
    pub name: String,
    pub unit: MeasurementUnit,
    pub contacts: Vec<Contact>,
    pub value: f64,
    /// Difference to the mean.
    pub by: f64,
    pub limits: Limits,
    /// Where the reading was expected.
    pub expected: GoldenBand,
}

/// The name of a run that no other run of the unit has: that of its folder. Ids repeat on the virtual bench.
pub(crate) fn run_name(run: &RunRecord) -> String {
    let folder = run.run_folder.as_deref().and_then(|folder| Path::new(folder).file_name());
    folder.map_or_else(|| run.run_id.clone(), |name| name.to_string_lossy().into_owned())
}

/// Whether an earlier run belongs to the history of this one: the same unit passed the same plan on the same nest.
pub(crate) fn is_history_of(earlier: &RunRecord, run: &RunRecord) -> bool {
    let plan = |run: &RunRecord| run.provenance.as_ref().map(|made_of| made_of.plan.clone());
    earlier.serial == run.serial
        && earlier.verdict == Verdict::Pass
        && plan(earlier) == plan(run)
        && is_same_nest(earlier, run)
        && !matches!(earlier.bench, Some(BenchKind::Replay { .. }))
}

/// Compares every measurement of the run with the same measurement in its history, oldest run first.
pub(crate) fn compare(run: &RunRecord, history: &[RunRecord]) -> Comparison {
    let mut readings: BTreeMap<Key<'_>, Vec<f64>> = BTreeMap::new();
    for (key, _, measured) in history.iter().flat_map(measurements) {
        readings.entry(key).or_default().extend(measured.measurement.value.filter(|value| value.is_finite()));
    }
    let (enough, too_few): (Vec<_>, Vec<_>) = measurements(run)
        .partition(|(key, _, _)| readings.get(key).is_some_and(|earlier| earlier.len() >= FEWEST_GOLDEN));
    let mut drifted: Vec<Drift> = Vec::new();
    for ((step, name), kind, measured) in &enough {
        let of = &measured.measurement;
        let Some(value) = of.value else { continue };
        let Some(earlier) = readings.get(&(*step, *name)) else { continue };
        let Some(expected) = GoldenBand::of(earlier, &of.limits, smallest_step(of.unit, earlier), enough.len()) else {
            continue;
        };
        if let Some(by) = expected.drift(value) {
            let (step, kind, name) = ((*step).to_owned(), (*kind).to_owned(), (*name).to_owned());
            let (contacts, limits) = (of.contacts.clone(), of.limits);
            drifted.push(Drift { step, kind, name, unit: of.unit, contacts, value, by, limits, expected });
        }
    }
    drifted.sort_by(|a, b| b.share().total_cmp(&a.share()));
    Comparison {
        missing: FEWEST_GOLDEN.saturating_sub(history.len()),
        history: history
            .iter()
            .map(|run| Earlier { run_id: run_name(run), started_at: run.started_at.clone() })
            .collect(),
        compared: enough.len(),
        too_few: too_few.iter().map(|((step, name), _, _)| format!("{step}/{name}")).collect(),
        drifted,
    }
}

/// The smallest step of the readings, where it is known: that of a count is 1.
fn smallest_step(unit: MeasurementUnit, readings: &[f64]) -> f64 {
    let counted = unit == MeasurementUnit::One && readings.iter().all(|reading| reading.fract() == 0.0);
    f64::from(u8::from(counted))
}

/// The measurements of the attempts that count, with the kinds of their steps.
fn measurements(run: &RunRecord) -> impl Iterator<Item = (Key<'_>, &str, &MeasurementRecord)> {
    run.steps.iter().flat_map(|step| {
        let last = step.last().map(|attempt| attempt.measurements.as_slice()).unwrap_or_default();
        last.iter()
            .map(move |measured| ((step.id.as_str(), measured.measurement.name.as_str()), step.kind.as_str(), measured))
    })
}

impl Drift {
    /// The difference as a multiple of what is tolerated.
    fn share(&self) -> f64 {
        self.by.abs() / self.expected.tolerance
    }

    /// What to check first.
    pub(crate) fn advice(&self) -> &'static str {
        match self.kind.as_str() {
            "ble" => "the Bluetooth adapter, its antenna, the distance to the module, and what else transmits",
            "nfc" | "nfc-phone" => "the NFC reader, its distance to the module, and the nails of the antenna",
            "rail-on" | "quiet" | "enable" => {
                "the supply of the rail, its monitor and the nails that carry its current"
            }
            "supply-current" => "the current monitor and its zero, and leakage at the nails",
            "program" | "program-production" => "the debug probe and its cable",
            "link-loopback" | "link-pulls" | "uart-flow" => "the serial adapter, its cable and the nails of the link",
            "usb" | "usb-echo" => "the USB cable and the nails of USB",
            "crystal" | "clocks" => "the time reference that the frequency is compared with",
            kind if kind.starts_with("modem") => "the modem's antenna and cable, its SIM, and the network",
            "bench-check" => "the instruments: `bench doctor` names the one that is off",
            _ if !self.contacts.is_empty() => {
                "the nails of these contacts: clean them, and replace them if that does not help"
            }
            _ => "the instruments of this step: `bench doctor` compares them",
        }
    }
}
