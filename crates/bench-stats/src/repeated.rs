//! Causes that repeat: several different units in a row that fail at the same contact or in the same step, or end in an
//! error, point at the bench and not at the units.
//!
//! The operator's screen, the summary of a run and the statistics of nails use the same rule.

use bench_run::{Contact, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// After how many different units in a row a cause is no longer the units'. 0: never.
///
/// A contact of a module is bad in some 60 of a million modules (`fixtures/defect-rates.toml`: open, cold joint, two
/// bridges, leak). That the next two modules have a defect there too happens once in 280 million modules that fail; on a line
/// that is thirty times worse, once in 300,000. A step covers many contacts: 1,200 in a million fail in the worst step,
/// so it takes one module more. A good bench hardly ever ends in an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct RepeatRule {
    /// Units that fail at the same contact.
    pub contact: usize,
    /// Units that do not pass the same step.
    pub step: usize,
    /// Units that end in an error, whatever it is.
    pub error: usize,
}

impl Default for RepeatRule {
    fn default() -> Self {
        Self { contact: 3, step: 4, error: 3 }
    }
}

/// What several units have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A diagnosis names this contact.
    Contact(Contact),
    /// This step did not pass.
    Step(String),
    /// The run ended in an error.
    Error,
}

impl Cause {
    fn step(&self) -> Option<&str> {
        match self {
            Cause::Step(id) => Some(id),
            Cause::Contact(_) | Cause::Error => None,
        }
    }
}

/// A step of a run that did not pass in the attempt that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    /// Id of the step.
    pub id: String,
    /// What its diagnoses name.
    pub contacts: Vec<Contact>,
}

/// A run, from the view of the rule. Void attempts are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepeatRun {
    /// Serial number.
    pub unit: String,
    /// Verdict of the run.
    pub verdict: Verdict,
    /// Ids of the steps that passed.
    pub passed: Vec<String>,
    /// Steps that failed or ended in an error.
    pub failed: Vec<FailedStep>,
}

impl RepeatRun {
    /// What this run has, with the step that shows it.
    fn causes(&self) -> BTreeMap<Cause, Option<String>> {
        let mut causes = BTreeMap::new();
        if matches!(self.verdict, Verdict::Error | Verdict::Skipped) {
            causes.insert(Cause::Error, None);
        }
        for step in &self.failed {
            causes.insert(Cause::Step(step.id.clone()), Some(step.id.clone()));
            for contact in &step.contacts {
                // The first step that names it: later ones may be consequences.
                causes.entry(Cause::Contact(*contact)).or_insert_with(|| Some(step.id.clone()));
            }
        }
        causes
    }

    /// Whether this run shows that the cause is gone.
    fn refutes(&self, cause: &Cause, shown_by: Option<&String>) -> bool {
        match cause {
            _ if self.verdict == Verdict::Pass => true,
            Cause::Error => self.verdict == Verdict::Fail,
            Cause::Contact(_) | Cause::Step(_) => shown_by.is_some_and(|step| self.passed.contains(step)),
        }
    }
}

/// The units that had a cause since it was last refuted.
#[derive(Debug, Clone, Default)]
struct Evidence {
    units: BTreeSet<String>,
    /// The step that showed it last.
    step: Option<String>,
}

/// The runs of one nest, in the order of time.
#[derive(Debug, Clone, Default)]
pub struct RepeatedCauses {
    evidence: BTreeMap<Cause, Evidence>,
}

/// The bench is suspected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// Of one kind; the contacts of a short are two.
    pub causes: Vec<Cause>,
    /// How many different units had them.
    pub units: usize,
}

impl RepeatedCauses {
    /// Adds the next run. A unit that is tested again does not count twice, and what it shows then refutes nothing: a nail
    /// that touches now and then passes it at the second attempt. An aborted run says nothing.
    pub fn take(&mut self, run: &RepeatRun) {
        if run.verdict == Verdict::Aborted {
            return;
        }
        let causes = run.causes();
        self.evidence.retain(|cause, evidence| {
            causes.contains_key(cause)
                || evidence.units.contains(&run.unit)
                || !run.refutes(cause, evidence.step.as_ref())
        });
        for (cause, step) in causes {
            let evidence = self.evidence.entry(cause).or_default();
            evidence.units.insert(run.unit.clone());
            evidence.step = step;
        }
    }

    /// How many different units in a row had this cause.
    pub fn units(&self, cause: &Cause) -> usize {
        self.evidence.get(cause).map_or(0, |evidence| evidence.units.len())
    }

    /// Whether the bench is suspected: by contact first, which says most, then by step, then by error.
    pub fn suspicion(&self, rule: RepeatRule) -> Option<Suspicion> {
        let kinds = [Cause::Contact(Contact(0)), Cause::Step(String::new()), Cause::Error];
        let most = [rule.contact, rule.step, rule.error];
        kinds.iter().zip(most).filter(|(_, most)| *most > 0).find_map(|(kind, most)| {
            let kind = std::mem::discriminant(kind);
            let of_kind = || self.evidence.iter().filter(|(cause, _)| std::mem::discriminant(*cause) == kind);
            let units = of_kind().map(|(_, evidence)| evidence.units.len()).max().filter(|units| *units >= most)?;
            let causes = of_kind().filter(|(_, evidence)| evidence.units.len() == units);
            Some(Suspicion { causes: causes.map(|(cause, _)| cause.clone()).collect(), units })
        })
    }

    /// Forgets everything: the technician was here.
    pub fn clear(&mut self) {
        self.evidence.clear();
    }
}

impl Suspicion {
    /// The contacts that are suspected, ascending; none for another cause.
    pub fn contacts(&self) -> Vec<Contact> {
        let contact = |cause: &Cause| match cause {
            Cause::Contact(contact) => Some(*contact),
            Cause::Step(_) | Cause::Error => None,
        };
        self.causes.iter().filter_map(contact).collect()
    }

    /// The steps that are suspected; none for another cause.
    pub fn steps(&self) -> Vec<&str> {
        self.causes.iter().filter_map(Cause::step).collect()
    }
}

/// For records and summaries: "contact 23 failed on 5 different modules: suspect nail 23".
impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (contacts, steps) = (self.contacts(), self.steps());
        let units = self.units;
        let numbers = contacts.iter().map(Contact::to_string).collect::<Vec<_>>().join(", ");
        match (contacts.len(), steps.as_slice()) {
            (0, []) => write!(f, "{units} different modules in a row ended in an error: suspect the bench"),
            (0, [step]) => {
                write!(f, "step {step} did not pass on {units} different modules in a row: suspect the bench")
            }
            (0, steps) => {
                let steps = steps.join(", ");
                write!(f, "steps {steps} did not pass on {units} different modules in a row: suspect the bench")
            }
            (1, _) => write!(f, "contact {numbers} failed on {units} different modules: suspect nail {numbers}"),
            _ => write!(f, "contacts {numbers} failed on {units} different modules: suspect nails {numbers}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run in a word: the unit, its verdict, and what failed: `a:fail:contacts@23` is unit a, failed in the step
    /// `contacts` at contact 23. All other steps of three passed.
    fn run(word: &str) -> RepeatRun {
        let mut parts = word.split(':');
        let unit = parts.next().unwrap().to_owned();
        let verdict = match parts.next().unwrap() {
            "pass" => Verdict::Pass,
            "fail" => Verdict::Fail,
            "error" => Verdict::Error,
            "skipped" => Verdict::Skipped,
            _ => Verdict::Aborted,
        };
        let failed: Vec<FailedStep> = parts
            .map(|step| {
                let (id, contacts) = step.split_once('@').unwrap_or((step, ""));
                let contacts = contacts.split('+').filter_map(|number| number.parse().ok()).map(Contact).collect();
                FailedStep { id: id.to_owned(), contacts }
            })
            .collect();
        let ended_early = verdict == Verdict::Error || verdict == Verdict::Aborted;
        let passed = ["supply", "contacts", "modem"].into_iter().filter(|_| !ended_early);
        let passed = passed.filter(|id| failed.iter().all(|step| step.id != *id)).map(str::to_owned).collect();
        RepeatRun { unit, verdict, passed, failed }
    }

    #[test]
    fn rows_of_runs() {
        let at_23 = "contact 23 failed on 3 different modules: suspect nail 23";
        let rows: [(&str, &str); 23] = [
            ("", ""),
            ("a:fail:contacts@23 b:fail:contacts@23", ""),
            ("a:fail:contacts@23 b:fail:contacts@23 c:fail:contacts@23", at_23),
            (
                "a:fail:contacts@23 b:fail:contacts@23 c:fail:contacts@23 d:fail:contacts@23 e:fail:contacts@23",
                "contact 23 failed on 5 different modules: suspect nail 23",
            ),
            // A retest of the same unit.
            ("a:fail:contacts@23 a:fail:contacts@23 a:fail:contacts@23 b:fail:contacts@23", ""),
            ("a:fail:contacts@23 b:fail:contacts@23 a:fail:contacts@23 c:fail:contacts@23", at_23),
            // A pass of another unit in between; one of the same unit, by a nail that touches now and then.
            ("a:fail:contacts@23 b:fail:contacts@23 c:pass d:fail:contacts@23", ""),
            ("a:fail:contacts@23 a:pass b:fail:contacts@23 b:pass c:fail:contacts@23", at_23),
            // Another unit fails elsewhere, and passes the step that named the contact; or does not get there.
            ("a:fail:contacts@23 b:fail:contacts@23 c:fail:modem d:fail:contacts@23", ""),
            ("a:fail:contacts@23 b:fail:contacts@23 c:fail:contacts@40 d:fail:contacts@23", at_23),
            ("a:fail:contacts@23 b:fail:contacts@23 c:error:supply d:fail:contacts@23", at_23),
            // Another step names the same contact.
            ("a:fail:contacts@23 b:fail:modem@23:contacts@23 c:fail:contacts@23", at_23),
            ("a:error:contacts@23 b:fail:contacts@23 c:fail:contacts@23", at_23),
            // Two contacts at once.
            (
                "a:fail:contacts@36+38 b:fail:contacts@36+38 c:fail:contacts@36+38",
                "contacts 36, 38 failed on 3 different modules: suspect nails 36, 38",
            ),
            (
                "a:fail:contacts@36+38 b:fail:contacts@36+38 c:fail:contacts@36",
                "contact 36 failed on 3 different modules: suspect nail 36",
            ),
            // The same step, at other contacts.
            ("a:fail:contacts@1 b:fail:contacts@2 c:fail:contacts@3", ""),
            (
                "a:fail:contacts@1 b:fail:contacts@2 c:fail:contacts@3 d:fail:contacts",
                "step contacts did not pass on 4 different modules in a row: suspect the bench",
            ),
            // Errors, whatever they are; a fail in between shows that the bench can tell.
            (
                "a:error:supply b:error:contacts c:error",
                "3 different modules in a row ended in an error: suspect the bench",
            ),
            ("a:error b:skipped c:error:modem", "3 different modules in a row ended in an error: suspect the bench"),
            ("a:error b:error c:fail:modem d:error", ""),
            ("a:error a:error a:error b:error", ""),
            // An aborted run says nothing.
            ("a:fail:contacts@23 b:fail:contacts@23 c:aborted d:fail:contacts@23", at_23),
            ("a:fail:contacts@23 b:fail:contacts@23 c:aborted:contacts@23", ""),
        ];
        for (runs, expected) in rows {
            let mut nest = RepeatedCauses::default();
            runs.split_whitespace().for_each(|word| nest.take(&run(word)));
            let found = nest.suspicion(RepeatRule::default()).map(|found| found.to_string()).unwrap_or_default();
            assert_eq!(found, expected, "{runs}");
            nest.clear();
            assert_eq!(nest.suspicion(RepeatRule { contact: 1, step: 1, error: 1 }), None, "{runs}");
        }
    }

    #[test]
    fn a_rule_of_zero_is_off() {
        let mut nest = RepeatedCauses::default();
        for unit in ["a", "b", "c", "d", "e", "f"] {
            nest.take(&run(&format!("{unit}:fail:contacts@23")));
        }
        let found = |contact, step| nest.suspicion(RepeatRule { contact, step, error: 0 }).map(|found| found.causes);
        assert_eq!(found(0, 0), None);
        assert_eq!(found(0, 6), Some(vec![Cause::Step("contacts".to_owned())]));
        assert_eq!(found(7, 0), None);
        assert_eq!(nest.units(&Cause::Contact(Contact(23))), 6);
    }

    proptest::proptest! {
        /// Whatever happens, only as many units as were tested can be suspected, and one unit alone never is.
        #[test]
        fn no_more_units_than_were_tested(runs in proptest::collection::vec((0..4_u8, 0..6_usize), 0..40)) {
            let mut nest = RepeatedCauses::default();
            let mut units = BTreeSet::new();
            for (unit, what) in runs {
                let what = ["pass", "fail:contacts@23", "fail:modem", "error", "aborted", "error:contacts@23"][what];
                units.insert(unit);
                nest.take(&run(&format!("{unit}:{what}")));
                let found = nest.suspicion(RepeatRule { contact: 2, step: 2, error: 2 });
                proptest::prop_assert!(found.is_none_or(|found| found.units >= 2 && found.units <= units.len()));
            }
        }
    }
}
