//! Diagnosis by dictionary: which measurements fail, and how, under every fault. A failing unit is compared with all of
//! them.
//!
//! Steps reason from readings to contacts. The dictionary needs no reasoning: it holds the result of every single fault
//! on the virtual bench, and lists the faults most like the unit, even where no step can distinguish them.

use super::run::{Failing, How};
use super::study::Study;
use bench_run::{Contact, Provenance};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const FORMAT: u32 = 1;
/// Candidates less alike than this are not reported.
const LEAST_ALIKE: f64 = 0.2;
/// Values whose ratio is this far from one are no longer alike at all.
const FARTHEST_RATIO: f64 = 10.0;
/// Score of a measurement that fails on the same side with a very different value.
const SAME_SIDE: f64 = 0.4;

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dictionary {
    format: u32,
    /// The files that it was made with: measurements of another plan cannot be looked up.
    pub provenance: Provenance,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    fault: String,
    contacts: Vec<Contact>,
    failing: Vec<Failing>,
}

/// A fault that looks like the unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// As `bench faults` spells it.
    pub fault: String,
    pub contacts: Vec<Contact>,
    /// 0 to 1.
    pub alike: f64,
}

impl Dictionary {
    /// Every fault of the study that made a measurement fail.
    pub fn of(study: &Study) -> Self {
        let seen = study.per_fault.iter().filter(|result| !result.run.measurements.is_empty());
        let entry = |result: &super::FaultResult| Entry {
            fault: result.fault.clone(),
            contacts: result.contacts.clone(),
            failing: result.run.measurements.clone(),
        };
        Self { format: FORMAT, provenance: study.provenance.clone(), entries: seen.map(entry).collect() }
    }

    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let dictionary: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match dictionary.format {
            FORMAT => Ok(dictionary),
            other => Err(format!("format {other} of dictionaries is unknown; this bench reads format {FORMAT}")),
        }
    }

    pub fn faults(&self) -> usize {
        self.entries.len()
    }

    /// The faults that look most like a unit with these failing measurements, the best first, at most `most`. Faults
    /// that are as similar as the last of them are listed too: nothing distinguishes them.
    pub fn look_up(&self, failing: &[Failing], most: usize) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = self
            .entries
            .iter()
            .map(|entry| Candidate {
                fault: entry.fault.clone(),
                contacts: entry.contacts.clone(),
                alike: alike(&entry.failing, failing),
            })
            .filter(|candidate| candidate.alike >= LEAST_ALIKE)
            .collect();
        candidates.sort_by(|a, b| b.alike.total_cmp(&a.alike));
        if let Some(last) = most.checked_sub(1).and_then(|last| candidates.get(last)) {
            let least = last.alike;
            candidates.retain(|candidate| candidate.alike >= least);
        }
        candidates
    }
}

/// How much two sets of failing measurements have in common: 1 when they are the same, 0 when they share none.
fn alike(a: &[Failing], b: &[Failing]) -> f64 {
    let index = |list: &[Failing]| -> BTreeMap<String, (How, Option<f64>)> {
        list.iter().map(|failing| (failing.name.clone(), (failing.how, failing.value))).collect()
    };
    let (a, b) = (index(a), index(b));
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let shared = names.iter().filter_map(|name| match (a.get(*name)?, b.get(*name)?) {
        ((how, x), (other, y)) if how == other => Some(closeness(*x, *y)),
        _ => None,
    });
    let sum: f64 = shared.sum();
    if names.is_empty() { 0.0 } else { sum / names.len() as f64 }
}

/// 1 for equal values; less the further their ratio is from one.
fn closeness(x: Option<f64>, y: Option<f64>) -> f64 {
    let (Some(x), Some(y)) = (x, y) else { return 1.0 };
    if x == y {
        return 1.0;
    }
    let ratio = x / y;
    if !ratio.is_finite() || ratio <= 0.0 {
        return SAME_SIDE;
    }
    let far = (ratio.ln().abs() / FARTHEST_RATIO.ln()).min(1.0);
    1.0 - (1.0 - SAME_SIDE) * far
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(rows: &[(&str, How, f64)]) -> Vec<Failing> {
        rows.iter().map(|(name, how, value)| Failing { name: (*name).into(), how: *how, value: Some(*value) }).collect()
    }

    #[test]
    fn the_nearest_fault_comes_first_and_equals_are_told_together() {
        let entry = |fault: &str, rows: &[(&str, How, f64)]| Entry {
            fault: fault.into(),
            contacts: Vec::new(),
            failing: failing(rows),
        };
        let dictionary = Dictionary {
            format: FORMAT,
            provenance: Provenance::default(),
            entries: vec![
                entry("short", &[("a", How::Low, 0.1), ("b", How::Low, 0.1)]),
                entry("weak short", &[("a", How::Low, 100.0), ("b", How::Low, 100.0)]),
                entry("twin", &[("a", How::Low, 100.0), ("b", How::Low, 100.0)]),
                entry("open", &[("a", How::High, 1e6)]),
                entry("other", &[("c", How::High, 1e6)]),
            ],
        };
        let found = |rows: &[(&str, How, f64)], most| -> Vec<String> {
            dictionary.look_up(&failing(rows), most).into_iter().map(|candidate| candidate.fault).collect()
        };
        assert_eq!(found(&[("a", How::Low, 0.11), ("b", How::Low, 0.11)], 1), ["short"]);
        assert_eq!(found(&[("a", How::Low, 90.0), ("b", How::Low, 90.0)], 1), ["weak short", "twin"]);
        assert_eq!(found(&[("a", How::High, 1e6)], 5), ["open"]);
        assert_eq!(found(&[("d", How::High, 1e6)], 5), Vec::<String>::new());
        assert_eq!(found(&[], 5), Vec::<String>::new());
    }

    #[test]
    fn closeness_of_values() {
        for (x, y, expected) in [
            (Some(1.0), Some(1.0), 1.0),
            (None, Some(1.0), 1.0),
            (Some(1.0), Some(10.0), SAME_SIDE),
            (Some(1.0), Some(1000.0), SAME_SIDE),
            (Some(-1.0), Some(1.0), SAME_SIDE),
            (Some(0.0), Some(1.0), SAME_SIDE),
        ] {
            assert!((closeness(x, y) - expected).abs() < 1e-12, "{x:?} {y:?}");
        }
        assert!(closeness(Some(1.0), Some(1.1)) > 0.95);
    }
}
