//! One run of the swarm, complete: the same text gives the same run.

use crate::event::Event;
use std::fmt;
use std::str::FromStr;

/// What is tested, and what happens meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Name of the plan's file without its ending; with `@FIXTURE` for another fixture than the plan's own.
    pub plan: String,
    /// Of the module, with all its tolerances.
    pub seed: u64,
    /// The module comes with an empty flash, if the plan programs it.
    pub blank: bool,
    /// The run is recorded on the disk, replayed from its recording, and put into a store.
    pub recorded: bool,
    pub events: Vec<Event>,
}

impl Scenario {
    /// A good module of seed 1, with nothing that happens.
    pub fn plain(plan: &str) -> Self {
        Self { plan: plan.to_owned(), seed: 1, blank: false, recorded: false, events: Vec::new() }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan={} seed={}", self.plan, self.seed)?;
        let flags = [("blank", self.blank), ("recorded", self.recorded)];
        for (name, _) in flags.iter().filter(|(_, set)| *set) {
            write!(f, " {name}")?;
        }
        let events: Vec<String> = self.events.iter().map(ToString::to_string).collect();
        write!(f, " events=[{}]", events.join(" "))
    }
}

/// The form of the text, for messages.
const FORM: &str = "plan=NAME[@FIXTURE] seed=N [blank] [recorded] events=[EVENT ...]";

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{what}` is not understood: write `{FORM}`");
        let (head, events) = text.split_once("events=[").ok_or_else(|| wrong(text))?;
        let events = events.trim_end().strip_suffix(']').ok_or_else(|| wrong(events))?;
        let events = events.split_whitespace().map(str::parse).collect::<Result<Vec<Event>, String>>()?;
        let mut scenario = Self { seed: 0, events, ..Self::plain("") };
        for word in head.split_whitespace() {
            match word.split_once('=') {
                Some(("plan", name)) => name.clone_into(&mut scenario.plan),
                Some(("seed", number)) => scenario.seed = number.parse().map_err(|_| wrong(word))?,
                None if word == "blank" => scenario.blank = true,
                None if word == "recorded" => scenario.recorded = true,
                _ => return Err(wrong(word)),
            }
        }
        if scenario.plan.is_empty() {
            return Err(wrong(text));
        }
        if scenario.recorded && scenario.events.iter().any(|event| event.kind.is_of_disk()) {
            return Err("a run that is `recorded` is on a real disk, which has no trouble to order".to_owned());
        }
        Ok(scenario)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_read_back_from_their_text() {
        for text in [
            "plan=b404x seed=7 events=[stall@1s+120ms fault:open:23]",
            "plan=b402@eval-board seed=0 blank recorded events=[]",
        ] {
            assert_eq!(text.parse::<Scenario>().unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("plan=b404x seed=7", FORM),
            ("plan=b404x seed=x events=[]", "`seed=x`"),
            ("seed=7 events=[]", FORM),
            ("plan=b404x seeds=7 events=[]", "`seeds=7`"),
            ("plan=b404x seed=7 events=[lit@1s]", "did you mean `lid`?"),
            ("plan=b404x seed=7 recorded events=[disk-full@1s]", "on a real disk"),
        ] {
            let error = text.parse::<Scenario>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
