//! What all runs together show about a plan.

use super::judge::{FaultResult, Naming};
use super::rates::Rates;
use super::run::RunFindings;
use bench_run::{Contact, Provenance};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use virtual_bench::Fault;

/// Everything that `--json` writes.
#[derive(Debug, Serialize)]
pub struct Study {
    pub plan: String,
    pub model: String,
    pub provenance: Provenance,
    /// Faults that were ordered, one module each.
    pub faults: usize,
    /// Modules that did not pass.
    pub detected: usize,
    /// Detected faults that were also named correctly.
    pub named: usize,
    /// Missed, because the fault has no effect that a bench could measure.
    pub undetectable: usize,
    /// Missed, and harms nobody.
    pub harmless: usize,
    /// Good modules.
    pub good: usize,
    /// Good modules that did not pass.
    pub false_fails: usize,
    pub detected_percent: f64,
    /// Of all faults.
    pub named_percent: f64,
    pub escapes: Escapes,
    pub faults_per_minute: f64,
    /// Virtual seconds of a good module's run, on average.
    pub good_run_seconds: Option<f64>,
    pub per_fault: Vec<FaultResult>,
    pub per_contact: Vec<PerContact>,
    pub per_step: Vec<PerStep>,
    pub per_class: Vec<PerClass>,
    pub good_modules_that_failed: Vec<FalseFail>,
}

/// Expected figures for a million modules, from the rates of defects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Escapes {
    /// Modules with a defect before the test, in a million.
    pub defective_per_million: f64,
    /// Defective modules that pass and are shipped, in a million.
    pub escaping_per_million: f64,
    /// Of these, modules whose defect may harm somebody.
    pub harmful_per_million: f64,
    /// From and to, with a confidence of 90 %: as the ranges of the rates have it.
    pub harmful_range: (f64, f64),
    /// Faults that no class of the rates fits; they count as if they never occurred.
    pub without_rate: usize,
}

#[derive(Debug, Serialize)]
pub struct PerContact {
    pub contact: Contact,
    pub pin: String,
    pub faults: usize,
    pub detected: usize,
    pub named: usize,
}

#[derive(Debug, Serialize)]
pub struct PerStep {
    pub step: String,
    pub kind: String,
    /// Virtual milliseconds on a good module, on average.
    pub milliseconds: Option<f64>,
    /// Faults that this step was the first to detect.
    pub first: usize,
    /// What the plan loses without it; absent when that was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without: Option<Without>,
}

/// The plan without one of its steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Without {
    /// Steps that were left out as well, because a good module does not pass without this step.
    pub also_gone: Vec<String>,
    /// Faults that are missed then, and were not before.
    pub missed: Vec<String>,
    /// Faults that are still detected then, but no longer named correctly.
    pub misnamed: Vec<String>,
    /// Further bad modules shipped per million.
    pub escaping_per_million: f64,
}

/// Defects of one rate.
#[derive(Debug, Serialize)]
pub struct PerClass {
    pub class: String,
    pub source: String,
    pub faults: usize,
    pub detected: usize,
    pub defective_per_million: f64,
    pub escaping_per_million: f64,
    /// Of these, modules whose defect may harm somebody.
    pub harmful_per_million: f64,
    /// Within which factor the rate is known.
    pub range: f64,
}

#[derive(Debug, Serialize)]
pub struct FalseFail {
    pub seed: u64,
    #[serde(flatten)]
    pub run: RunFindings,
}

/// What a study is made from.
pub struct Results<'a> {
    pub plan: String,
    pub model: String,
    pub provenance: Provenance,
    /// Step ids and kinds, in the plan's order.
    pub steps: Vec<(String, String)>,
    /// Contacts and their pins, in order.
    pub contacts: Vec<(Contact, String)>,
    pub faults: Vec<FaultResult>,
    /// What the plan loses without each step; empty when that was not measured.
    pub without: BTreeMap<String, Without>,
    /// Seed and run.
    pub good: Vec<(u64, RunFindings)>,
    pub rates: &'a Rates,
    /// Real time that the faulty modules took.
    pub faults_took: Duration,
}

impl Study {
    pub fn of(results: Results<'_>) -> Self {
        let Results { plan, model, provenance, steps, contacts, faults, without, good, rates, faults_took } = results;
        let count = |is: fn(&FaultResult) -> bool| faults.iter().filter(|result| is(result)).count();
        let detected = count(|result| result.naming != Naming::Missed);
        let named = count(|result| result.naming == Naming::Named);
        let means = mean_step_ms(&good);
        let mean_run = (!good.is_empty())
            .then(|| good.iter().map(|(_, run)| run.total_us as f64 / 1e6).sum::<f64>() / good.len() as f64);
        Self {
            plan,
            model,
            provenance,
            faults: faults.len(),
            detected,
            named,
            undetectable: count(|result| result.undetectable.is_some() && result.naming == Naming::Missed),
            harmless: count(FaultResult::escapes_harmlessly),
            good: good.len(),
            false_fails: good.iter().filter(|(_, run)| run.is_detected()).count(),
            detected_percent: percent(detected, faults.len()),
            named_percent: percent(named, faults.len()),
            escapes: escapes(&faults, rates),
            faults_per_minute: faults.len() as f64 / faults_took.as_secs_f64().max(1e-9) * 60.0,
            good_run_seconds: mean_run,
            per_contact: per_contact(&faults, contacts),
            per_step: steps
                .into_iter()
                .map(|(step, kind)| PerStep {
                    first: faults.iter().filter(|result| result.run.steps.first() == Some(&step)).count(),
                    milliseconds: means.get(&step).copied(),
                    without: without.get(&step).cloned(),
                    step,
                    kind,
                })
                .collect(),
            per_class: per_class(&faults, rates),
            good_modules_that_failed: good
                .into_iter()
                .filter(|(_, run)| run.is_detected())
                .map(|(seed, run)| FalseFail { seed, run })
                .collect(),
            per_fault: faults,
        }
    }

    pub fn of_naming(&self, naming: Naming) -> impl Iterator<Item = &FaultResult> {
        self.per_fault.iter().filter(move |result| result.naming == naming)
    }
}

pub fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

fn escapes(faults: &[FaultResult], rates: &Rates) -> Escapes {
    // From zero: the sum of nothing is -0.0, which would be printed as such.
    let sum = |of: &dyn Fn(&&FaultResult) -> bool| -> f64 {
        faults.iter().filter(of).fold(0.0, |sum, result| sum + result.per_million)
    };
    let harmful = per_class(faults, rates).into_iter().map(|class| (class.harmful_per_million, class.range));
    let harmful: Vec<(f64, f64)> = harmful.filter(|(rate, _)| *rate > 0.0).collect();
    Escapes {
        harmful_per_million: sum(&|result| result.escapes_with_harm()),
        harmful_range: bench_stats::sum_range(&harmful),
        defective_per_million: sum(&|_| true),
        escaping_per_million: sum(&|result| result.naming == Naming::Missed),
        without_rate: faults.iter().filter(|result| result.class.is_none()).count(),
    }
}

fn per_contact(faults: &[FaultResult], contacts: Vec<(Contact, String)>) -> Vec<PerContact> {
    let of = |contact: Contact, is: fn(&FaultResult) -> bool| {
        faults.iter().filter(|result| result.contacts.contains(&contact) && is(result)).count()
    };
    let row = |(contact, pin)| PerContact {
        contact,
        pin,
        faults: of(contact, |_| true),
        detected: of(contact, |result| result.naming != Naming::Missed),
        named: of(contact, |result| result.naming == Naming::Named),
    };
    contacts.into_iter().map(row).collect()
}

fn per_class(faults: &[FaultResult], rates: &Rates) -> Vec<PerClass> {
    let mut classes: Vec<PerClass> = Vec::new();
    for result in faults {
        let fault: Option<Fault> = result.fault.parse().ok();
        let Some(class) = fault.and_then(|fault| rates.of(&fault)) else { continue };
        let index = classes.iter().position(|row| row.class == class.name).unwrap_or_else(|| {
            classes.push(PerClass {
                class: class.name.clone(),
                source: class.source.clone(),
                faults: 0,
                detected: 0,
                defective_per_million: 0.0,
                escaping_per_million: 0.0,
                harmful_per_million: 0.0,
                range: class.range,
            });
            classes.len() - 1
        });
        let missed = result.naming == Naming::Missed;
        let row = &mut classes[index];
        row.faults += 1;
        row.detected += usize::from(!missed);
        row.defective_per_million += result.per_million;
        row.escaping_per_million += if missed { result.per_million } else { 0.0 };
        row.harmful_per_million += if result.escapes_with_harm() { result.per_million } else { 0.0 };
    }
    classes
}

fn mean_step_ms(good: &[(u64, RunFindings)]) -> BTreeMap<String, f64> {
    let passed: Vec<&RunFindings> = good.iter().map(|(_, run)| run).filter(|run| !run.is_detected()).collect();
    let mut sums = BTreeMap::<String, f64>::new();
    for (step, us) in passed.iter().flat_map(|run| &run.step_us) {
        *sums.entry(step.clone()).or_default() += *us as f64 / 1e3;
    }
    sums.into_iter().map(|(step, sum)| (step, sum / passed.len() as f64)).collect()
}

/// Compares the plan without some steps with the whole one, over the faults that had to be run again.
pub fn lost(before: &[FaultResult], after: &[(usize, Naming)], also_gone: Vec<String>) -> Without {
    let (mut missed, mut misnamed, mut rate) = (BTreeSet::new(), BTreeSet::new(), 0.0);
    for (index, now) in after {
        let Some(was) = before.get(*index) else { continue };
        match (was.naming, now) {
            (Naming::Named | Naming::Misnamed, Naming::Missed) => {
                missed.insert(was.fault.clone());
                rate += was.per_million;
            }
            (Naming::Named, Naming::Misnamed) => {
                misnamed.insert(was.fault.clone());
            }
            _ => {}
        }
    }
    Without {
        also_gone,
        missed: missed.into_iter().collect(),
        misnamed: misnamed.into_iter().collect(),
        escaping_per_million: rate,
    }
}
