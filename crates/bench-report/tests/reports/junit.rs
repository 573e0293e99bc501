//! Reads the report back with a parser that shares no code with the writer.

use crate::runs;
use bench_report::{RunRecord, builders::RunBuilder, junit};
use bench_run::{Defect, Entry, Event, Verdict};
use proptest::prelude::*;
use roxmltree::{Document, Node};
use std::collections::HashSet;

fn xml(entries: &[Entry]) -> String {
    junit(&[RunRecord::from_entries(entries)]).unwrap()
}

fn children<'a>(node: Node<'a, 'a>, name: &'static str) -> Vec<Node<'a, 'a>> {
    node.children().filter(|child| child.has_tag_name(name)).collect()
}

/// tests, failures, errors, skipped as written in the file.
fn counts(suite: Node<'_, '_>) -> [usize; 4] {
    let cases = children_of(suite, "testcase");
    let with = |name: &'static str| cases.iter().filter(|case| !children_of(**case, name).is_empty()).count();
    [cases.len(), with("failure"), with("error"), with("skipped")]
}

fn children_of<'a, 'input>(node: Node<'a, 'input>, name: &'static str) -> Vec<Node<'a, 'input>> {
    node.children().filter(|child| child.has_tag_name(name)).collect()
}

/// The rules of Jenkins' `junit-10.xsd` and of CI servers' readers that apply to what is written.
fn check(text: &str) {
    let document = Document::parse(text).unwrap();
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "testsuites");
    for suite in root.children() {
        assert_eq!(suite.tag_name().name(), "testsuite");
        let allowed =
            ["id", "name", "package", "tests", "errors", "failures", "skipped", "hostname", "timestamp", "time"];
        assert!(suite.attributes().all(|attribute| allowed.contains(&attribute.name())), "{suite:?}");
        let [tests, failures, errors, skipped] = counts(suite);
        let number = |name: &str| suite.attribute(name).unwrap().parse::<usize>().unwrap();
        let written = [number("tests"), number("failures"), number("errors"), number("skipped")];
        assert_eq!(written, [tests, failures, errors, skipped]);
        // SUREFIRE_TIME: digits and one dot; no exponent, no sign.
        let time = suite.attribute("time").unwrap();
        assert!(time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "{time}");
        let mut names = Vec::new();
        for child in suite.children() {
            match child.tag_name().name() {
                "testcase" => {
                    let allowed = ["name", "time", "classname"];
                    assert!(child.attributes().all(|attribute| allowed.contains(&attribute.name())), "{child:?}");
                    let name = child.attribute("name").unwrap().to_owned();
                    assert!(!names.contains(&name), "{name} twice");
                    names.push(name);
                    let outcomes: Vec<_> = child
                        .children()
                        .filter(|part| !part.has_tag_name("system-out"))
                        .map(|part| part.tag_name().name().to_owned())
                        .collect();
                    assert!(outcomes.len() <= 1, "{outcomes:?}");
                    assert!(outcomes.iter().all(|name| ["failure", "error", "skipped"].contains(&name.as_str())));
                }
                name => assert_eq!(name, "system-out"),
            }
        }
    }
}

#[test]
fn every_run_is_counted_as_it_ended() {
    // tests, failures, errors, skipped
    let rows = [
        ("pass", runs::pass(), [3, 0, 0, 0]),
        ("pass at second attempt", runs::pass_at_second_attempt(), [3, 0, 0, 0]),
        ("fail", runs::fail(), [3, 1, 0, 1]),
        ("fail without diagnosis", runs::fail_without_diagnosis(), [3, 1, 0, 2]),
        ("error", runs::error(), [3, 0, 1, 1]),
        ("aborted", runs::aborted(), [3, 0, 1, 1]),
        // The step that never finished and, additionally, the run that did not.
        ("not finished", runs::not_finished(), [4, 0, 2, 1]),
        ("rails unknown", runs::rails_unknown(), [4, 0, 1, 0]),
        ("empty", vec![], [1, 0, 1, 0]),
    ];
    for (what, entries, expected) in rows {
        let text = xml(&entries);
        check(&text);
        let document = Document::parse(&text).unwrap();
        assert_eq!(counts(document.root_element().first_element_child().unwrap()), expected, "{what}");
    }
}

#[test]
fn small_reports() {
    let lines = |entries: &[Entry]| xml(entries).replace("><", ">\n<");
    insta::assert_snapshot!("junit_fail", lines(&runs::fail()));
    insta::assert_snapshot!("junit_pass_at_second_attempt", lines(&runs::pass_at_second_attempt()));
}

#[test]
fn the_same_run_gives_the_same_bytes_and_a_real_run_its_date() {
    assert_eq!(xml(&runs::fail()), xml(&runs::fail()));
    assert!(xml(&runs::fail()).contains("timestamp=\"2000-01-01T00:00:00Z\""));
    let rows = [("2026-11-22T12:00:00+01:00", "2026-11-22T12:00:00+01:00"), ("yesterday", "2000-01-01T00:00:00Z")];
    for (begun, expected) in rows {
        let mut entries = runs::pass();
        if let Event::RunStarted { started_at, .. } = &mut entries[0].event {
            *started_at = Some(begun.to_owned());
        }
        assert!(xml(&entries).contains(&format!("timestamp=\"{expected}\"")), "{begun}");
    }
}

/// GitLab shows only the text.
#[test]
fn the_text_of_a_failure_is_complete() {
    let text = xml(&runs::fail());
    let document = Document::parse(&text).unwrap();
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(failure.attribute("type"), Some("fail"));
    let text = failure.text().unwrap();
    for part in ["3 contacts at fault", "contact 23 (A0): open", "A0.high 0.4 V [2.64..] fail"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// Every reading with unit, limits and attempt as a property; keys are unique in a case.
#[test]
fn readings_are_properties() {
    for (name, entries) in runs::all() {
        let record = runs::record(&entries);
        let text = xml(&entries);
        let document = Document::parse(&text).unwrap();
        let mut matched = 0;
        for (case, step) in document.descendants().filter(|node| node.has_tag_name("testcase")).zip(&record.steps) {
            let output = children(case, "system-out")[0];
            let output: String = output.children().filter_map(|part| part.text()).collect();
            let pairs: Vec<(&str, &str)> = output
                .lines()
                .filter_map(|line| line.strip_prefix("[[PROPERTY|")?.strip_suffix("]]")?.split_once('='))
                .collect();
            let keys: HashSet<&str> = pairs.iter().map(|(key, _)| *key).collect();
            assert_eq!(keys.len(), pairs.len(), "{name}: {pairs:?}");
            let get = |key: String| pairs.iter().find(|(measurement, _)| *measurement == key).map(|(_, value)| *value);
            for attempt in &step.attempts {
                for measurement in attempt.measurements.iter().map(|measurement| &measurement.measurement) {
                    let of = |what: &str| match attempt.number {
                        0 | 1 => get(format!("{}.{what}", measurement.name)),
                        number => get(format!("{}#{number}.{what}", measurement.name)),
                    };
                    let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
                    assert_eq!(number(of("value")).filter(|value| value.is_finite()), measurement.value);
                    assert_eq!(
                        (number(of("low")), number(of("high"))),
                        (measurement.limits.min, measurement.limits.max)
                    );
                    assert_eq!(of("attempt"), Some(attempt.number.to_string().as_str()));
                    assert!(of("unit").is_some());
                    matched += 1;
                }
            }
        }
        assert_eq!(
            matched,
            record
                .steps
                .iter()
                .flat_map(|step| &step.attempts)
                .map(|measurement| measurement.measurements.len())
                .sum::<usize>()
        );
    }
}

#[test]
fn several_units_are_several_suites() {
    let records: Vec<RunRecord> = runs::all().iter().map(|(_, entries)| RunRecord::from_entries(entries)).collect();
    let text = junit(&records).unwrap();
    check(&text);
    let document = Document::parse(&text).unwrap();
    let suites = children(document.root_element(), "testsuite");
    assert_eq!(suites.len(), records.len());
    let ids: Vec<&str> = suites.iter().filter_map(|suite| suite.attribute("id")).collect();
    assert_eq!(ids, (0..records.len()).map(|id| id.to_string()).collect::<Vec<_>>());
}

/// GitLab keeps one case of each class and name.
#[test]
fn no_run_hides_another() {
    let entries = &runs::all()[0].1;
    let renamed = |run_id: &str| RunRecord { run_id: run_id.to_owned(), ..RunRecord::from_entries(entries) };
    let text = junit(&[renamed("a.1"), renamed("a.2")]).unwrap();
    let document = Document::parse(&text).unwrap();
    let cases: Vec<_> = document
        .descendants()
        .filter(|node| node.has_tag_name("testcase"))
        .map(|case| (case.attribute("classname").unwrap().to_owned(), case.attribute("name").unwrap().to_owned()))
        .collect();
    let different: std::collections::BTreeSet<_> = cases.iter().collect();
    assert_eq!(different.len(), cases.len());
    assert!(cases[0].0.ends_with("P042AB3Q1234.a_1"), "{}", cases[0].0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_well_formed_xml(
        texts in prop::array::uniform6(prop_oneof![any::<String>(), "(]]>|<!\\[CDATA\\[|&|\u{0}|\u{1b}|\u{fffe}|\"|x){0,6}"]),
        verdict in prop::sample::select(vec![Verdict::Pass, Verdict::Fail, Verdict::Error, Verdict::Skipped, Verdict::Aborted]),
    ) {
        let [model, serial, step, name, reason, diagnosis] = &texts;
        let entries = RunBuilder::new(model, serial)
            .plan(&[(step, name, 1), ("other", reason, 0), (diagnosis, "x", 0)])
            .step(step)
            .volts(name, 0.1, 0.0, 1.0)
            .diagnosis(Defect::Other, &[1], diagnosis)
            .end_because(verdict, reason)
            .run_end_because(verdict, reason);
        let text = xml(&entries);
        check(&text);
        // Characters that XML can hold are read back unchanged.
        let document = Document::parse(&text).unwrap();
        let legal = |text: &str| text.chars().all(|c| c == '\n' || (c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}'));
        if verdict == Verdict::Fail && legal(reason) && legal(diagnosis) {
            let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
            let whole: String = failure.children().filter_map(|part| part.text()).collect();
            prop_assert_eq!(whole, format!("{}\n{}", reason, diagnosis));
        }
    }
}
