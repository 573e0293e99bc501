//! A technician repeats the failed step of a unit: behind the badge and PIN, and counted nowhere.

use super::people::rules;
use super::*;
use crate::nest::Lamp;
use bench_run::DiagnosisRun;

/// A station in front of a unit with this verdict.
fn tested(verdict: Verdict, rules: Rules) -> Station {
    let mut station = Station::new(2, rules);
    station.scan("OP-1");
    station.scan(&label(1));
    station.press(Press::Enter);
    station.ends(0, verdict);
    station.press(Press::NestStatus(0));
    station
}

/// The entries of a diagnosis whose step came to this.
fn diagnosis(verdict: Verdict) -> Vec<Entry> {
    let mut entries = run(verdict);
    entries.retain(|entry| match &entry.event {
        Event::StepStarted { step, .. } | Event::StepEnded { step, .. } => step != "modem",
        _ => true,
    });
    for entry in &mut entries {
        match &mut entry.event {
            Event::RunStarted { diagnosis, steps, .. } => {
                steps.retain(|step| step.id != "modem");
                let (chosen, needed) = (vec!["contacts".to_owned()], vec!["supply".to_owned()]);
                *diagnosis =
                    Some(Box::new(DiagnosisRun { chosen, needed, repeat: 1, hold_s: Some(60), ..Default::default() }));
            }
            Event::RunEnded { verdict, .. } if *verdict == Verdict::Pass => *verdict = Verdict::Skipped,
            _ => {}
        }
    }
    entries
}

impl Station {
    fn begins_diagnosis(&mut self) {
        self.press(Press::FindCause);
        self.scan("TE-1");
        self.scan("4711");
    }

    fn diagnosed(&mut self, nest: usize, verdict: Verdict) {
        let entries = diagnosis(verdict);
        self.entries(nest, &entries);
        let on_record = if verdict == Verdict::Pass { Verdict::Skipped } else { verdict };
        self.happens(Input::FromNest(nest, FromNest::Ended(Box::new(ended(on_record, &entries)))));
    }

    fn started_diagnoses(&self) -> Vec<(String, String, String)> {
        let of = |action: &Action| match action {
            Action::Start { serial, notes, diagnosis: Some(step), .. } => {
                Some((serial.clone(), step.clone(), notes.join("; ")))
            }
            _ => None,
        };
        self.done.iter().filter_map(of).collect()
    }

    fn rows(&self) -> String {
        let row = |action: &Action| match action {
            Action::Log(row) => Some(format!("{row:?}")),
            _ => None,
        };
        self.done.iter().filter_map(row).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn only_a_technician_repeats_a_step() {
    let rows: [(&[&str], bool, &str); 6] = [
        (&["TE-1", "4711"], true, ""),
        (&["EN-1", "0815"], true, ""),
        (&["OP-1"], false, "may not allow"),
        (&["XX-9"], false, "Unknown badge"),
        (&["TE-1", "0815"], false, "Wrong PIN"),
        (&["TE-1", "1", "2", "3"], false, "Wrong PIN"),
    ];
    for (scans, begins, notice) in rows {
        let mut station = tested(Verdict::Fail, rules());
        station.press(Press::FindCause);
        scans.iter().for_each(|scan| drop(station.scan(scan)));
        let state = if begins { format!("runs {}", serial(1)) } else { format!("fail {}", serial(1)) };
        assert_eq!(station.states(), format!("{state}, empty"), "{scans:?}");
        assert!(station.notice().contains(notice), "{scans:?}: {}", station.notice());
        let notes = format!("operator: OP-1; diagnosis allowed by {}", scans[0]);
        let expected = begins.then(|| (serial(1), "contacts".to_owned(), notes));
        assert_eq!(station.started_diagnoses(), expected.into_iter().collect::<Vec<_>>(), "{scans:?}");
        assert!(!station.rows().contains("4711"), "a PIN is written nowhere");
    }
}

#[test]
fn without_a_failed_step_or_a_technician_there_is_nothing_to_repeat() {
    let nobody = Rules::default;
    let rows = [
        (Verdict::Pass, rules(), "No step of this unit failed"),
        (Verdict::Aborted, rules(), "No step of this unit failed"),
        (Verdict::Fail, nobody(), "the rules file names none"),
    ];
    for (verdict, rules, notice) in rows {
        let mut station = tested(verdict, rules);
        let hint = station.draw(80, 24).contains("F11");
        station.begins_diagnosis();
        assert!(!hint && station.started_diagnoses().is_empty(), "{verdict}");
        let mut again = station;
        again.press(Press::NestStatus(0));
        again.press(Press::FindCause);
        assert!(again.notice().contains(notice), "{verdict}: {}", again.notice());
    }
    assert!(tested(Verdict::Fail, rules()).draw(80, 24).contains("F11: a technician repeats"));
}

/// From the badge to the verdict of the test, which stands.
#[test]
fn the_countdown_is_shown_and_enter_ends_it() {
    for language in ["en", "de"] {
        let mut station = tested(Verdict::Fail, Rules { language: language.to_owned(), ..rules() });
        station.press(Press::FindCause);
        insta::assert_snapshot!(format!("cause_asked_{language}"), station.draw(80, 24));
        station.scan("TE-1");
        station.scan("4711");
        station.entries(0, &diagnosis(Verdict::Fail)[..8]);
        station.happens(Input::FromNest(0, FromNest::Held(Duration::from_secs(42))));
        station.soon(Duration::from_secs(2), Input::Tick);
        insta::assert_snapshot!(format!("cause_held_{language}"), station.draw(80, 24));
        let stop = Action::Stop { nest: 0, reason: "Enter was pressed".to_owned(), at_once: false };
        assert_eq!(station.press(Press::Enter), [stop]);
        assert_eq!(station.press(Press::Enter), [], "once");
        station.diagnosed(0, Verdict::Fail);
        insta::assert_snapshot!(format!("cause_ended_{language}"), station.draw(80, 24));
        assert_eq!(station.states(), format!("fail {}, empty", serial(1)));
        station.press(Press::Enter);
        assert_eq!(station.states(), "empty, empty");
    }
}

#[test]
fn a_diagnosis_counts_in_no_figure() {
    for came_to in [Verdict::Pass, Verdict::Fail, Verdict::Error, Verdict::Aborted] {
        let mut station = tested(Verdict::Fail, rules());
        let before = (format!("{:?}", station.app.shift), station.app.setup.expected, station.app.nests[0].lamp());
        let ended = |station: &Station| station.rows().matches("Ended { at").count();
        let ended_before = ended(&station);
        // More often than the rule of repeated causes allows.
        for _ in 0..6 {
            station.begins_diagnosis();
            assert_eq!(station.app.nests[0].lamp(), Lamp::Running);
            station.diagnosed(0, came_to);
            station.press(Press::NestStatus(0));
        }
        assert_eq!(station.started_diagnoses().len(), 6, "{came_to}");
        let after = (format!("{:?}", station.app.shift), station.app.setup.expected, station.app.nests[0].lamp());
        assert_eq!(after, before, "{came_to}");
        assert!(station.app.nests[0].stopped.is_none(), "{came_to}");
        let rows = station.rows();
        assert_eq!(rows.matches("DiagnosisEnded { at").count(), 6);
        assert_eq!(ended(&station) - ended_before, 6, "no other verdict is in the log: {rows}");
        let State::Done(finished) = &station.app.nests[0].state else { panic!() };
        assert_eq!(finished.ended.verdict, Verdict::Fail);
        let words = match came_to {
            Verdict::Pass => "this time good",
            Verdict::Fail => "failed again",
            Verdict::Aborted => "aborted",
            _ => "the bench could not tell",
        };
        let says = format!("Diagnosis of contacts: {words}. The verdict of the test stands");
        assert!(finished.advice.details.contains(&says), "{:?}", finished.advice);
    }
}

#[test]
fn what_ends_a_diagnosis_leaves_the_verdict() {
    // Before it begins, while it runs, and what is then on the nest.
    type Step = fn(&mut Station);
    let nothing: Step = |_| ();
    let open: Step = |station| drop(station.happens(Input::Lid { nest: 0, closed: false }));
    let close: Step = |station| drop(station.happens(Input::Lid { nest: 0, closed: true }));
    let unwritten: Step = |station| drop(station.happens(Input::NotStarted(0, "the disk is full".to_owned())));
    let rows: [(Step, Step, Step, &str, bool); 4] = [
        // The unit is gone with the lid, before the PIN.
        (close, open, nothing, "empty", false),
        (close, nothing, open, "runs", true),
        (nothing, nothing, unwritten, "fail", false),
        (nothing, nothing, nothing, "runs", false),
    ];
    for (before, asked, running, state, cut) in rows {
        let mut station = tested(Verdict::Fail, rules());
        before(&mut station);
        station.press(Press::FindCause);
        station.scan("TE-1");
        asked(&mut station);
        station.scan("4711");
        running(&mut station);
        assert!(station.states().starts_with(state), "{state}: {}", station.states());
        let at_once = station.done.iter().any(|action| matches!(action, Action::Stop { at_once: true, .. }));
        assert_eq!(at_once, cut, "{state}");
    }
}

#[test]
fn a_hold_is_no_silence() {
    let mut station = tested(Verdict::Fail, rules());
    station.begins_diagnosis();
    station.entries(0, &diagnosis(Verdict::Fail)[..8]);
    for second in 0..90 {
        station.happens(Input::FromNest(0, FromNest::Held(Duration::from_secs(90 - second))));
    }
    assert!(!station.draw(80, 24).contains("No response"), "{}", station.draw(80, 24));
}
