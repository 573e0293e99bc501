//! Pages for a browser: complete, self-contained, and the same for the same run.

use crate::runs;
use bench_report::{RunRecord, Style, builders::RunBuilder, line_page, line_text, summary, unit_page};
use bench_run::{Contact, Defect, LateRecord, Limits, MeasurementUnit, Verdict};
use bench_stats::{
    ControllerStat, Group, Hour, MeasurementStat, Nail, NailLog, NailReading, Overview, Sample, Since, TrendPoint,
    UnitRun, capability, histogram, pareto, yields,
};
use proptest::prelude::*;

/// Nothing from outside the file, no script, and every picture well-formed.
fn check(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>"));
    for word in ["<script", "http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word} in a page that must be self-contained");
    }
    let mut rest = page;
    while let Some(start) = rest.find("<svg") {
        let end = start + rest[start..].find("</svg>").unwrap() + "</svg>".len();
        roxmltree::Document::parse(&rest[start..end]).unwrap_or_else(|error| panic!("{error}: {}", &rest[start..end]));
        assert!(!rest[start..end].contains("NaN") && !rest[start..end].contains("inf"), "{}", &rest[start..end]);
        rest = &rest[end..];
    }
}

#[test]
fn a_unit_is_a_page() {
    for (name, entries) in runs::all() {
        let record = runs::record(&entries).with_seal(Some("5e".repeat(32)));
        let page = unit_page(&record);
        check(&page);
        assert_eq!(page, unit_page(&record), "{name}");
        assert!(page.contains(&record.serial) && page.contains(&"5e".repeat(32)), "{name}");
        for step in &record.steps {
            for measured in step.attempts.iter().flat_map(|attempt| &attempt.measurements) {
                assert!(page.contains(&format!("<code>{}</code>", measured.measurement.name)), "{name}");
                assert!(page.contains(&measured.measurement.limits.show(measured.measurement.unit)), "{name}");
            }
        }
        for line in record.steps.iter().flat_map(|step| &step.attempts).filter_map(bench_report::Attempt::lateness) {
            assert!(page.contains(&line), "{name}: {line}");
        }
        for diagnosis in &record.diagnoses {
            assert!(page.contains(&diagnosis.text), "{name}: {}", diagnosis.text);
        }
        let crosses = page.matches("stroke-width=\"2.5\"").count();
        assert_eq!(crosses, record.contacts_at_fault.len(), "{name}: contacts at fault have a cross");
    }
}

/// The M.2 card has no contacts 24 to 31.
#[test]
fn only_contacts_that_the_record_names_are_drawn() {
    let run = RunBuilder::new("b404x", "P1").plan(&[("s", "x", 1)]).step("s");
    let entries = run
        .value("a", Some(1.0), MeasurementUnit::One, Limits::exactly(1.0), &[1, 23, 32, 0])
        .diagnosis(Defect::Open, &[33], "contact 33 (A1): open")
        .diagnosis(Defect::Bench, &[75], "the nail of contact 75 is worn")
        .end(Verdict::Fail)
        .safe()
        .run_end(Verdict::Fail);
    let page = unit_page(&runs::record(&entries));
    check(&page);
    let drawn: Vec<u8> = (0..=u8::MAX).filter(|number| page.contains(&format!("contact {number}: "))).collect();
    assert_eq!(drawn, [1, 23, 32, 33, 75]);
    for words in ["contact 23: measured", "contact 33: at fault", "contact 75: named only", "An empty place"] {
        assert!(page.contains(words), "{words}");
    }
    let legend = |record| unit_page(&record).matches("<li><svg").count();
    assert_eq!((legend(runs::record(&entries)), legend(runs::record(&runs::pass()))), (3, 1));
}

/// What the operator reads on the screen is on the page too.
#[test]
fn the_page_says_what_to_do() {
    for (name, entries) in runs::all() {
        let record = runs::record(&entries);
        let (page, text) = (unit_page(&record), summary(&record, Style { colour: false, width: 1_000 }));
        let orders = page.split_once("<h2>What to do</h2>").map(|(_, rest)| rest.split_once("<h2>").unwrap().0);
        assert_eq!(orders.is_none(), record.verdict == Verdict::Pass, "{name}");
        for order in orders.into_iter().flat_map(|orders| orders.split("<p>").skip(1)) {
            assert!(text.contains(order.trim_end_matches("</p>")), "{name}: {order}");
        }
    }
}

fn late(place: &str, runs: usize, late: usize, voids: usize, worst: Option<(u64, &str)>) -> ControllerStat {
    let worst = worst.map(|(us, cause)| LateRecord { us, cause: cause.to_owned() });
    ControllerStat { place: place.to_owned(), runs, late, voids, worst }
}

pub fn overview() -> Overview {
    const PASS: Option<Verdict> = Some(Verdict::Pass);
    const FAIL: Option<Verdict> = Some(Verdict::Fail);
    let good = [("supply", PASS, PASS, 1), ("interconnect", PASS, PASS, 1)];
    let saved = [("supply", PASS, PASS, 1), ("interconnect", FAIL, PASS, 2)];
    let bad = [("supply", PASS, PASS, 1), ("interconnect", FAIL, FAIL, 1)];
    let names: Vec<String> = (0..50).map(|n| format!("P042AN{n:09}")).collect();
    let runs = names.iter().enumerate().map(|(n, serial)| match n % 10 {
        0 => UnitRun { unit: serial, verdict: Verdict::Fail, steps: &bad },
        1 => UnitRun { unit: serial, verdict: Verdict::Pass, steps: &saved },
        _ => UnitRun { unit: serial, verdict: Verdict::Pass, steps: &good },
    });
    let total = yields(runs);
    let values: Vec<f64> = (0..200).map(|n| 3.3 + 0.01 * f64::from(n * 7 % 20 - 10) / 10.0).collect();
    let mut sample = Sample::default();
    values.iter().for_each(|value| sample.push(*value));
    let limits = Limits::between(3.2, 3.4);
    let point = |at: usize| TrendPoint {
        from: format!("2026-11-{:02}", at + 1),
        n: 10,
        mean: 3.3 + 0.001 * at as f64,
        min: 3.29,
        max: 3.32,
    };
    let mut worn = NailLog::default();
    (0..2_500).for_each(|at| worn.push(NailReading { of_limit: Some(0.1 + 0.0003 * f64::from(at)), retried: false }));
    Overview {
        asked: "model b404x".to_owned(),
        days: Some(("2026-11-01".to_owned(), "2026-11-20".to_owned())),
        undated: 0,
        left_out: 0,
        groups: vec![Group { name: "2026-11-01  b404x".to_owned(), yields: total.clone() }],
        total,
        failing_steps: pareto(["interconnect", "interconnect", "supply"].map(str::to_owned)),
        contacts: pareto(["23", "23", "23", "36"].map(str::to_owned)),
        measurements: vec![MeasurementStat {
            plan: "b404x".to_owned(),
            step: "supply".to_owned(),
            name: "3V3.volts".to_owned(),
            unit: MeasurementUnit::Volts,
            limits,
            since: Since::default(),
            newest: true,
            note: None,
            capability: capability(&sample, &limits),
            bad: 2,
            histogram: histogram(&values, 10),
            trend: (0..20).map(point).collect(),
        }],
        hours: (6..14).map(|hour| Hour { hour, units: 100, first_pass: 90 + usize::from(hour) % 5 }).collect(),
        controllers: vec![
            late("line-3", 1_204, 31, 9, Some((640_250, "disk"))),
            late("line-1 nest 2", 1_310, 2, 0, Some((21_000, "the bench itself"))),
            late("line-2", 998, 0, 0, Some((7_000, "cause unknown"))),
            late("virtual", 12, 0, 0, None),
        ],
        nails: vec![Nail { place: "line-1 nest 2".to_owned(), contact: Contact(23), trend: worn.trend(0) }],
    }
}

#[test]
fn the_line_in_words_and_as_a_page() {
    insta::assert_snapshot!("line", line_text(&overview()));
    let page = line_page(&overview());
    check(&page);
    for part in [
        "supply/3V3.volts",
        "line-1 nest 2",
        "contact 23",
        "2026-11-01  b404x",
        "interconnect",
        "640 ms (disk)",
        "21 ms",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("line-2"), "a controller that was in time is not listed");
    // An empty page.
    check(&line_page(&Overview::default()));
    assert!(line_text(&Overview::default()).contains("0 runs on 0 units"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_text_leaves_its_place(text in any::<String>(), value in prop::num::f64::ANY, min in prop::num::f64::NORMAL) {
        let entries = bench_report::builders::RunBuilder::new("b404x", &text)
            .plan(&[(&text, "ble", 1)])
            .step(&text)
            .value(&format!("{text}<script>"), Some(value), MeasurementUnit::One, Limits::at_least(min), &[200])
            .end_because(Verdict::Fail, &text)
            .run_end_because(Verdict::Fail, &text);
        let page = unit_page(&RunRecord::from_entries(&entries));
        prop_assert!(!page.contains("<script"));
    }
}
