use crate::runs;
use bench_report::{RunRecord, builders::RunBuilder};
use bench_run::{Contact, Defect, Event, Limits, MeasurementUnit, Verdict};

#[test]
fn a_failed_run_in_order() {
    let record = RunRecord::from_entries(&runs::fail());
    assert_eq!((record.verdict, record.finished), (Verdict::Fail, true));
    assert_eq!(record.contacts_at_fault, [Contact(23), Contact(36), Contact(38)]);
    let diagnoses: Vec<(Defect, Vec<u8>)> = record
        .diagnoses
        .iter()
        .map(|diagnoses| (diagnoses.defect, diagnoses.contacts.iter().map(|c| c.0).collect()))
        .collect();
    assert_eq!(diagnoses, [(Defect::Open, vec![23]), (Defect::Short, vec![36, 38])]);
    let verdicts: Vec<_> = record.steps.iter().map(|step| (step.id.as_str(), step.verdict)).collect();
    let expected = [("supply", Verdict::Pass), ("interconnect", Verdict::Fail), ("nfc", Verdict::Skipped)];
    assert_eq!(verdicts, expected.map(|(id, verdict)| (id, Some(verdict))));
    assert_eq!(record.steps[0].duration().as_micros(), 21_000);
    assert_eq!(record.rails.len(), 1);
    assert!(!record.rails[0].on);
    assert_eq!(record.rails[0].volts, Some(0.01));
    assert_eq!(record.tally.unwrap().failed, 1);
    assert_eq!(record.doubts, [""; 0]);
}

#[test]
fn what_a_repeated_attempt_found_is_history() {
    let record = RunRecord::from_entries(&runs::pass_at_second_attempt());
    assert_eq!((record.verdict, record.doubts.len()), (Verdict::Pass, 0));
    assert_eq!((record.diagnoses.len(), record.contacts_at_fault.len()), (0, 0));
    let step = &record.steps[1];
    assert_eq!(step.attempts.len(), 2);
    assert_eq!((step.attempts[0].diagnoses.len(), step.attempts[0].retried), (1, true));
}

#[test]
fn an_attempt_that_is_void_does_not_count() {
    let record = RunRecord::from_entries(&runs::pass_after_void_attempts());
    let step = &record.steps[1];
    assert_eq!((step.tries(), step.verdict), (1, Some(Verdict::Pass)));
    let said: Vec<_> = step.attempts.iter().map(|attempt| (attempt.void, attempt.lateness())).collect();
    let late = "the controller was 640 ms late (disk)";
    let expected = [
        (true, Some(format!("did not count: {late}"))),
        (true, Some(format!("did not count: {late} in the first attempt, and the second did not pass: A0.high"))),
        (false, Some("the controller was 15 ms late (the bench itself)".to_owned())),
    ];
    assert_eq!(said, expected);
    assert_eq!(record.diagnoses, []);
}

#[test]
fn a_run_cut_anywhere_before_its_end_is_an_error() {
    for (what, entries) in runs::all() {
        for cut in 0..entries.len() {
            let record = RunRecord::from_entries(&entries[..cut]);
            assert_eq!((record.finished, record.verdict), (false, Verdict::Error), "{what} cut at {cut}");
        }
        let finished = matches!(entries.last().map(|entry| &entry.event), Some(Event::RunEnded { .. }));
        assert_eq!(RunRecord::from_entries(&entries).finished, finished, "{what}");
    }
}

#[test]
fn a_repeated_step_without_its_next_attempt_has_no_verdict() {
    let entries = RunBuilder::new("b402", "P1").plan(&[("a", "x", 0)]).step("a").end_retried(Verdict::Fail, "x").torn();
    assert_eq!(RunRecord::from_entries(&entries).steps[0].verdict, None);
}

/// No record, no pass: a pass in the journal is accepted only when everything in it agrees.
#[test]
fn a_pass_that_contradicts_the_journal_is_an_error() {
    let begun = || RunBuilder::new("b402", "P1").plan(&[("a", "x", 1), ("b", "x", 0)]);
    let good = |run: RunBuilder| run.step("a").volts("v", 0.5, 0.0, 1.0).end(Verdict::Pass);
    let rows = [
        (good(begun()).step("b").end(Verdict::Pass).safe(), ""),
        (good(begun()).skip("b", "not wanted").safe(), ""),
        (begun().step("a").end(Verdict::Pass).step("b").end(Verdict::Pass).safe(), "step a passed with 0 of 1"),
        (
            begun().step("a").volts("v", 2.0, 0.0, 1.0).end(Verdict::Pass).step("b").end(Verdict::Pass).safe(),
            "step a passed although v is fail",
        ),
        (
            begun()
                .step("a")
                .value("v", None, MeasurementUnit::Volts, Limits::at_least(0.0), &[])
                .end(Verdict::Pass)
                .step("b")
                .end(Verdict::Pass)
                .safe(),
            "step a passed although v is error",
        ),
        (good(begun()).step("b").end(Verdict::Fail).safe(), "the run passed although step b is fail"),
        (good(begun()).step("b").safe(), "the run passed although step b has no verdict"),
        (good(begun()).safe(), "the run passed although step b has no verdict"),
        (begun().skip("a", "x").skip("b", "x").safe(), "the run passed although no step did"),
        (good(begun()).step("b").end(Verdict::Pass), "the run passed although the safe state is not on record"),
        (good(begun()).step("b").end(Verdict::Pass).unsafe_because("x"), "the run passed although the safe state was"),
    ];
    for (run, expected) in rows {
        let record = RunRecord::from_entries(&run.run_end(Verdict::Pass));
        let wanted = if expected.is_empty() { Verdict::Pass } else { Verdict::Error };
        assert_eq!(record.verdict, wanted, "{expected}");
        assert_eq!(record.doubts.len(), usize::from(!expected.is_empty()), "{:?}", record.doubts);
        assert!(record.doubts.iter().all(|doubt| doubt.starts_with(expected)), "{:?}", record.doubts);
    }
}

#[test]
fn contacts_of_a_faulty_bench_are_not_at_fault() {
    let entries = RunBuilder::new("b402", "P1")
        .plan(&[("a", "x", 0), ("b", "x", 0)])
        .step("a")
        .diagnosis(Defect::Bench, &[5], "nail at contact 5 worn")
        .diagnosis(Defect::Open, &[7], "contact 7: open")
        .end(Verdict::Fail)
        .step("b")
        .diagnosis(Defect::Open, &[9], "contact 9: open")
        .end(Verdict::Error)
        .safe()
        .run_end(Verdict::Error);
    let record = RunRecord::from_entries(&entries);
    assert_eq!(record.contacts_at_fault, [Contact(7)]);
    let texts: Vec<&str> = record.diagnoses.iter().map(|diagnosis| diagnosis.text.as_str()).collect();
    assert_eq!(texts, ["contact 7: open", "contact 9: open", "nail at contact 5 worn"]);
}

/// A damaged journal may contain anything in any order.
#[test]
fn events_in_any_order_make_a_record() {
    for (_, entries) in runs::all() {
        for start in 0..entries.len() {
            let mut turned = entries.clone();
            turned.rotate_left(start);
            turned.reverse();
            let record = RunRecord::from_entries(&turned);
            let _ = (bench_report::summary(&record, bench_report::Style::default()), record.steps.len());
            assert!(bench_report::junit(&[record]).is_ok());
        }
    }
}
