//! Whom the plan blames for faults of the bench.
//!
//! Each fault of the bench is ordered with good modules and with a sample of bad ones. Every run is complete and judged
//! as `bench run` judges it; the list of faults is used only afterwards, to compare.

use super::run::RunFindings;
use super::study::percent;
use super::work::Module;
use bench_plan::{DutFamily, Fixture};
use bench_run::Verdict;
use serde::Serialize;
use std::collections::BTreeMap;
use virtual_bench::{BenchFault, Fault, Group};

/// Bad modules per fault of the bench, beyond those that are chosen for its place.
const DRAWN: usize = 2;
/// Most that are chosen for its place.
const CHOSEN: usize = 4;

/// What a fault of the bench does to verdicts. The first that fits, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// A bad module passed that does not pass on a good bench.
    Silent,
    /// A good module failed.
    Blamed,
    /// The bench said that something is wrong with it, and named another part.
    Noticed,
    /// The bench said that something is wrong with it, and named the part.
    Named,
    /// Every verdict was right.
    Harmless,
}

impl Blame {
    pub const ALL: [Blame; 5] = [Blame::Silent, Blame::Blamed, Blame::Noticed, Blame::Named, Blame::Harmless];

    pub fn name(self) -> &'static str {
        match self {
            Blame::Silent => "silent",
            Blame::Blamed => "blamed",
            Blame::Noticed => "noticed",
            Blame::Named => "named",
            Blame::Harmless => "harmless",
        }
    }
}

/// Why a run cannot tell, and what can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CannotTell {
    pub because: String,
    pub found_by: &'static str,
}

/// One fault of the bench.
#[derive(Debug, Clone, Serialize)]
pub struct BenchFaultResult {
    pub fault: String,
    pub group: &'static str,
    pub blame: Blame,
    /// Of the good modules: how many passed, failed, and ended as an error or aborted.
    pub good: Ends,
    pub bad: Ends,
    /// Bad modules that passed because of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub let_through: Vec<String>,
    /// What a run said that decides how it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indistinguishable: Option<CannotTell>,
}

/// How runs ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ends {
    pub passed: usize,
    pub failed: usize,
    pub stopped: usize,
}

impl Ends {
    fn of<'r>(runs: impl Iterator<Item = &'r RunFindings>) -> Self {
        let mut ends = Self::default();
        for run in runs {
            match run.verdict {
                Verdict::Pass => ends.passed += 1,
                Verdict::Fail => ends.failed += 1,
                _ => ends.stopped += 1,
            }
        }
        ends
    }
}

/// Everything that `--json` writes.
#[derive(Debug, Serialize)]
pub struct BenchStudy {
    pub plan: String,
    pub model: String,
    pub good: u64,
    pub bad: usize,
    pub faults: usize,
    pub counts: BTreeMap<Blame, usize>,
    /// Blamed, although the data does not say that a run cannot tell.
    pub blamed_without_reason: usize,
    pub blamed_percent: f64,
    /// Named or harmless, of those that a run can tell.
    pub right_percent: f64,
    pub per_fault: Vec<BenchFaultResult>,
}

/// What is run for one fault of the bench.
pub struct Order<'f> {
    pub fault: &'f BenchFault,
    /// Positions in the list of bad modules.
    pub bad: Vec<usize>,
}

/// One module fault of each kind and size, to draw bad modules from.
pub fn one_of_each(faults: &[Fault]) -> Vec<Fault> {
    let mut by_kind: BTreeMap<&str, Vec<&Fault>> = BTreeMap::new();
    for fault in faults.iter().filter(|fault| !fault.is_of_bench()) {
        by_kind.entry(fault.kind()).or_default().push(fault);
    }
    by_kind.into_values().flat_map(|all| [all[all.len() / 3], all[2 * all.len() / 3]]).cloned().fold(
        Vec::new(),
        |mut chosen, fault| {
            if !chosen.contains(&fault) {
                chosen.push(fault);
            }
            chosen
        },
    )
}

/// Module faults that this fault of the bench could hide: those at its place, and those that its instrument measures.
pub fn at_risk<'f>(fault: &BenchFault, faults: &'f [Fault], dut: &DutFamily, fixture: &Fixture) -> Vec<&'f Fault> {
    let words = fault.words(fixture);
    let nails = fault.nails();
    let rail = fault.rail(fixture).map(str::to_lowercase);
    let kinds: &[&str] = match fault.group() {
        Group::Instruments => &[
            "adc-gain",
            "adc-offset",
            "weak-driver",
            "weak-pull",
            "cold",
            "esd",
            "leak",
            "overload",
            "quiescent",
            "sleep-current",
            "open",
        ],
        Group::Rails => &["overload", "short", "esd", "boot-current"],
        Group::Radios => &["ble-weak", "ble-antenna", "nfc-antenna", "nfc-detuned", "radio-deaf", "crystal"],
        Group::Link => &["dead-mcu", "weak-driver", "wrong-model"],
        Group::Probe => &["locked", "mcu-flash-page", "wrong-model"],
        Group::People => &["wrong-model", "open", "short"],
        Group::Nails | Group::Switches | Group::Expanders | Group::Controller => {
            &["open", "short", "cold", "leak", "esd"]
        }
    };
    let here = |of: &&Fault| {
        let contacts = of.contacts(dut, fixture);
        let named = |contact: &bench_run::Contact| {
            nails.contains(contact) || words.iter().any(|word| *word == format!("nail {contact}"))
        };
        let of_rail = rail.as_ref().is_some_and(|rail| of.to_string().contains(rail.as_str()));
        (contacts.len() <= 2 && contacts.iter().any(named)) || of_rail
    };
    let mut chosen: Vec<&Fault> = faults.iter().filter(|of| !of.is_of_bench()).filter(here).collect();
    chosen.truncate(CHOSEN / 2);
    for kind in kinds {
        let of_kind: Vec<&Fault> = faults.iter().filter(|of| of.kind() == *kind).collect();
        if let Some(one) = of_kind.get(of_kind.len() / 2)
            && chosen.len() < CHOSEN
            && !chosen.contains(one)
        {
            chosen.push(one);
        }
    }
    chosen
}

/// The bad modules of a study: all that are needed once, and which of them each fault of the bench is tried with.
pub fn orders<'f>(
    bench_faults: &'f [BenchFault],
    faults: &[Fault],
    dut: &DutFamily,
    fixture: &Fixture,
) -> (Vec<Fault>, Vec<Order<'f>>) {
    let drawn = one_of_each(faults);
    let mut bad: Vec<Fault> = Vec::new();
    let mut orders = Vec::new();
    for (number, fault) in bench_faults.iter().enumerate() {
        let next = (0..DRAWN.min(drawn.len())).filter_map(|n| drawn.get((number * DRAWN + n) % drawn.len()));
        let mut these = Vec::new();
        for chosen in next.chain(at_risk(fault, faults, dut, fixture)) {
            let place = bad.iter().position(|known| known == chosen).unwrap_or_else(|| {
                bad.push(chosen.clone());
                bad.len() - 1
            });
            if !these.contains(&place) {
                these.push(place);
            }
        }
        orders.push(Order { fault, bad: these });
    }
    (bad, orders)
}

/// Seeds of the first good module, and of all bad ones.
#[derive(Debug, Clone, Copy)]
pub struct Seeds {
    pub good: u64,
    pub bad: u64,
}

impl Order<'_> {
    /// Its runs: the good modules, then the bad ones.
    pub fn modules(&self, good: u64, bad: &[Fault], seeds: Seeds, plain: &Module) -> Vec<Module> {
        let with = |seed: u64, faults: Vec<Fault>| Module {
            seed,
            faults,
            bench_faults: vec![self.fault.clone()],
            ..plain.clone()
        };
        let good = (0..good).map(|n| with(seeds.good + n, Vec::new()));
        let bad = self.bad.iter().filter_map(|place| bad.get(*place)).map(|fault| with(seeds.bad, vec![fault.clone()]));
        good.chain(bad).collect()
    }

    /// Judges its runs. `alone` are the runs of all bad modules on a good bench.
    pub fn judge(
        &self,
        good: &[RunFindings],
        bad: &[RunFindings],
        alone: &[RunFindings],
        faults: &[Fault],
        dut: &DutFamily,
        fixture: &Fixture,
    ) -> BenchFaultResult {
        let found_alone = |place: &usize| alone.get(*place).is_some_and(RunFindings::is_detected);
        let let_through: Vec<String> = self
            .bad
            .iter()
            .zip(bad)
            .filter(|(place, run)| found_alone(place) && !run.is_detected())
            .filter_map(|(place, _)| faults.get(*place))
            .map(ToString::to_string)
            .collect();
        let words = self.fault.words(fixture);
        let failed = good.iter().find(|run| run.verdict == Verdict::Fail);
        let stopped: Vec<&RunFindings> = good.iter().filter(|run| run.is_detected()).collect();
        let names = |run: &RunFindings| {
            let reasons = run.step_reasons.join(" ");
            let text = format!("{} {} {reasons}", run.reason.as_deref().unwrap_or_default(), run.said()).to_lowercase();
            words.iter().any(|word| text.contains(word.as_str()))
        };
        let other = stopped.iter().copied().find(|run| !names(run));
        let blame = match (failed, other) {
            _ if !let_through.is_empty() => Blame::Silent,
            (Some(_), _) => Blame::Blamed,
            (None, Some(_)) => Blame::Noticed,
            (None, None) if !stopped.is_empty() => Blame::Named,
            (None, None) => Blame::Harmless,
        };
        let speaks = failed.or(other).or(stopped.first().copied());
        let cannot_tell = self.fault.indistinguishable(dut, fixture);
        BenchFaultResult {
            fault: self.fault.to_string(),
            group: self.fault.group().name(),
            blame,
            good: Ends::of(good.iter()),
            bad: Ends::of(bad.iter()),
            let_through,
            said: speaks.map(|run| format!("{}: {}", run.steps.join(", "), run.reason.as_deref().unwrap_or_default())),
            indistinguishable: cannot_tell.map(|why| CannotTell { because: why.because, found_by: why.found_by }),
        }
    }
}

impl BenchStudy {
    pub fn of(plan: String, model: String, good: u64, bad: usize, per_fault: Vec<BenchFaultResult>) -> Self {
        let mut counts: BTreeMap<Blame, usize> = Blame::ALL.iter().map(|blame| (*blame, 0)).collect();
        for result in &per_fault {
            *counts.entry(result.blame).or_default() += 1;
        }
        let count = |is: &dyn Fn(&BenchFaultResult) -> bool| per_fault.iter().filter(|result| is(result)).count();
        let blamed = count(&|result| result.blame == Blame::Blamed);
        let can_tell = count(&|result| result.blame != Blame::Blamed || result.indistinguishable.is_none());
        let right = count(&|result| matches!(result.blame, Blame::Named | Blame::Harmless));
        Self {
            plan,
            model,
            good,
            bad,
            faults: per_fault.len(),
            counts,
            blamed_without_reason: count(&|result| result.blame == Blame::Blamed && result.indistinguishable.is_none()),
            blamed_percent: percent(blamed, per_fault.len()),
            right_percent: percent(right, can_tell),
            per_fault,
        }
    }

    pub fn count(&self, blame: Blame) -> usize {
        self.counts.get(&blame).copied().unwrap_or_default()
    }
}
