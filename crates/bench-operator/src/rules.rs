//! Who may test what, and how often: the rules of a line, from `fixtures/operator.toml` or a file of its own.

use super::people::{Person, Role};
use bench_plan::{Problem, Source};
use bench_run::Verdict;
use bench_stats::RepeatRule;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Whether a scanned unit is tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    Test,
    /// Only when a person with this role allows it.
    Ask(Why, Role),
    Refuse(Why),
}

/// Why a unit is refused or needs a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    PassedAlready,
    /// It failed as often as it may.
    InRepair,
    /// The bench reached the number of errors that is allowed.
    TooManyErrors,
}

/// What is known of a unit, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitPast {
    pub verdicts: Vec<Verdict>,
    /// How many of these runs were before it was last allowed again.
    pub let_in_after: usize,
    /// Last verdict of each plan that judged the unit, pass or fail.
    pub judged: BTreeMap<String, Verdict>,
}

impl UnitPast {
    fn since_let_in(&self) -> &[Verdict] {
        self.verdicts.get(self.let_in_after..).unwrap_or_default()
    }

    /// How many runs had this verdict since the unit last passed or was allowed again.
    pub fn in_a_row(&self, verdict: Verdict) -> usize {
        let since = self.since_let_in().iter().rev().take_while(|past| **past != Verdict::Pass);
        since.filter(|past| **past == verdict).count()
    }
}

/// How often, and who may allow more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Retest {
    /// Further tests of a unit that failed.
    pub after_fail: usize,
    /// Further tests of a unit after a bench error.
    pub after_error: usize,
    pub beyond: Allowed,
}

/// Who may say that a unit is tested against the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allowed {
    Operator,
    Technician,
    Engineer,
    Nobody,
}

/// How a test begins once the label was scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Begin {
    /// With the start button or the Enter key.
    Button,
    /// When the lid closes; the button does too.
    Lid,
    /// At once: the module was put in first.
    Scan,
}

/// When several different units in a row with the same trouble stop a nest, and who releases it. 0: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Repeated {
    /// Units that failed at the same contact.
    pub contact: usize,
    /// Units that did not pass the same step.
    pub step: usize,
    /// Units that ended in an error.
    pub error: usize,
    pub release: Allowed,
}

impl Repeated {
    pub fn rule(&self) -> RepeatRule {
        RepeatRule { contact: self.contact, step: self.step, error: self.error }
    }
}

impl Default for Repeated {
    fn default() -> Self {
        let RepeatRule { contact, step, error } = RepeatRule::default();
        Self { contact, step, error, release: Allowed::Technician }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Rules {
    /// `en` or `de`.
    pub language: String,
    /// Whether the terminal's bell rings at a verdict.
    pub bell: bool,
    pub begin: Begin,
    /// No test before a badge was scanned.
    pub badge_required: bool,
    pub retest: Retest,
    /// A unit that passed already.
    pub passed_already: Allowed,
    pub repeated: Repeated,
    /// After so many hours the golden module is due on each nest. 0: never.
    pub golden_hours: u64,
    pub person: Vec<Person>,
}

impl Default for Retest {
    fn default() -> Self {
        Self { after_fail: 1, after_error: 2, beyond: Allowed::Technician }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            language: "en".to_owned(),
            bell: true,
            begin: Begin::Button,
            badge_required: false,
            retest: Retest::default(),
            passed_already: Allowed::Technician,
            repeated: Repeated::default(),
            golden_hours: 0,
            person: Vec::new(),
        }
    }
}

/// After this long without a badge the request is dropped: the person who asked for it went away.
pub const ASK_WITHIN: Duration = Duration::from_secs(120);

impl Rules {
    /// Reads and checks a rules file.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(source: &Source) -> Result<Self, Box<Problem>> {
        let rules: Self = toml::from_str(&source.text).map_err(|error| {
            let problem = Problem::new(source, error.message().to_owned());
            Box::new(match error.span() {
                Some(span) => problem.at(span, "here"),
                None => problem,
            })
        })?;
        let wrong = |text: String, help: &str| Err(Box::new(Problem::new(source, text).help(help.to_owned())));
        if !super::texts::LANGUAGES.contains(&rules.language.as_str()) {
            let help = format!("known languages: {}", super::texts::LANGUAGES.join(", "));
            return wrong(format!("there are no messages in `{}`", rules.language), &help);
        }
        for (index, person) in rules.person.iter().enumerate() {
            if person.id.is_empty() || person.id.chars().any(char::is_whitespace) {
                return wrong(format!("`{}` is no badge", person.id), "a badge is what the scanner reads: no spaces");
            }
            if rules.person[..index].iter().any(|other| is_same_badge(&other.id, &person.id)) {
                return wrong(format!("two people have the badge `{}`", person.id), "a badge names one person");
            }
            if let Err(text) = person.check() {
                return wrong(text, "make one with `bench operator --make-pin`");
            }
        }
        let Repeated { contact, step, error, release } = rules.repeated;
        if [contact, step, error].contains(&1) {
            let help = "give 2 or more, or 0 to switch the rule off";
            return wrong("one unit alone says nothing about the bench".to_owned(), help);
        }
        if release == Allowed::Nobody {
            let help = "expected operator, technician or engineer";
            return wrong("a nest that is stopped must be released by somebody".to_owned(), help);
        }
        if rules.badge_required && rules.person.is_empty() {
            return wrong(
                "a badge is required, and no person has one".to_owned(),
                "add a [[person]] with `id` and `name`",
            );
        }
        Ok(rules)
    }

    /// Whether a unit with this past is tested.
    pub fn judge(&self, past: &UnitPast) -> Ruling {
        let ask = |why, allowed| match allowed {
            Allowed::Operator => Ruling::Ask(why, Role::Operator),
            Allowed::Technician => Ruling::Ask(why, Role::Technician),
            Allowed::Engineer => Ruling::Ask(why, Role::Engineer),
            Allowed::Nobody => Ruling::Refuse(why),
        };
        let settled = past.since_let_in().iter().rfind(|verdict| **verdict != Verdict::Aborted);
        if settled == Some(&Verdict::Pass) {
            return ask(Why::PassedAlready, self.passed_already);
        }
        if past.in_a_row(Verdict::Fail) > self.retest.after_fail {
            return ask(Why::InRepair, self.retest.beyond);
        }
        if past.in_a_row(Verdict::Error) > self.retest.after_error {
            return ask(Why::TooManyErrors, self.retest.beyond);
        }
        Ruling::Test
    }

    /// Who releases a stopped nest. If nobody has a badge for it, the operator does: the nest would stay stopped.
    pub fn releases(&self) -> Role {
        let role = match self.repeated.release {
            Allowed::Operator => Role::Operator,
            Allowed::Technician => Role::Technician,
            Allowed::Engineer | Allowed::Nobody => Role::Engineer,
        };
        if self.person.iter().any(|person| person.role >= role) { role } else { Role::Operator }
    }

    pub fn person(&self, badge: &str) -> Option<&Person> {
        self.person.iter().find(|person| is_same_badge(&person.id, badge))
    }
}

/// Scanners with the shift lock on exchange capital and small letters, also those of other languages.
fn is_same_badge(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(text: &str, let_in_after: usize) -> UnitPast {
        let verdict = |letter| match letter {
            'p' => Verdict::Pass,
            'f' => Verdict::Fail,
            'e' => Verdict::Error,
            _ => Verdict::Aborted,
        };
        UnitPast { verdicts: text.chars().map(verdict).collect(), let_in_after, ..UnitPast::default() }
    }

    #[test]
    fn what_becomes_of_a_unit_by_its_past() {
        use Ruling::{Ask, Test};
        let rules = Rules::default();
        let rows = [
            ("", 0, Test),
            ("f", 0, Test),
            ("ff", 0, Ask(Why::InRepair, Role::Technician)),
            // It was allowed after the second fail: it fails once more, and may be tested again once.
            ("ff", 2, Test),
            ("fff", 2, Test),
            ("ffff", 2, Ask(Why::InRepair, Role::Technician)),
            ("fp", 0, Ask(Why::PassedAlready, Role::Technician)),
            ("pa", 0, Ask(Why::PassedAlready, Role::Technician)),
            ("p", 1, Test),
            ("pp", 1, Ask(Why::PassedAlready, Role::Technician)),
            ("aaaa", 0, Test),
            ("ee", 0, Test),
            ("eee", 0, Ask(Why::TooManyErrors, Role::Technician)),
            ("fef", 0, Ask(Why::InRepair, Role::Technician)),
            // More was let in than is on disk: journals were archived.
            ("f", 9, Test),
        ];
        for (text, let_in, expected) in rows {
            assert_eq!(rules.judge(&past(text, let_in)), expected, "{text} let in after {let_in}");
        }
        let strict = Rules { passed_already: Allowed::Nobody, ..Rules::default() };
        assert_eq!(strict.judge(&past("p", 0)), Ruling::Refuse(Why::PassedAlready));
    }

    #[test]
    fn files() {
        let rows = [
            ("", Ok(())),
            ("language = \"de\"\nbegin = \"lid\"\n[retest]\nafter-fail = 0\n", Ok(())),
            ("language = \"fr\"", Err("there are no messages in `fr`")),
            ("[retest]\nafter-fial = 0\n", Err("unknown field `after-fial`")),
            ("[repeated]\ncontact = 0\nstep = 0\nerror = 5\nrelease = \"engineer\"\n", Ok(())),
            ("golden-hours = 24", Ok(())),
            ("golden-hours = -1", Err("invalid value: integer `-1`")),
            ("[repeated]\ncontact = 1\n", Err("one unit alone says nothing about the bench")),
            ("[repeated]\nrelease = \"nobody\"\n", Err("must be released by somebody")),
            ("begin = \"soon\"", Err("unknown variant `soon`")),
            ("badge-required = true", Err("a badge is required, and no person has one")),
            ("[[person]]\nid = \"a b\"\nname = \"A\"\n", Err("`a b` is no badge")),
            ("[[person]]\nid = \"a\"\nname = \"A\"\n[[person]]\nid = \"a\"\nname = \"B\"\n", Err("two people have")),
            ("[[person]]\nid = \"Ä1\"\nname = \"A\"\n[[person]]\nid = \"ä1\"\nname = \"B\"\n", Err("two people have")),
            ("[[person]]\nid = \"a\"\nname = \"A\"\nrole = \"engineer\"\n", Err("has no PIN")),
            ("[[person]]\nid = \"a\"\nname = \"A\"\npin = \"1234\"\n", Err("is no argon2 hash")),
        ];
        for (text, expected) in rows {
            let result = Rules::parse(&Source::new("operator.toml", text)).map(drop);
            match (result, expected) {
                (Ok(()), Ok(())) => {}
                (Err(problem), Err(part)) => assert!(problem.to_string().contains(part), "{text}: {problem}"),
                (result, _) => panic!("{text}: {result:?}"),
            }
        }
    }
}
