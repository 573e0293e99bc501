//! Texts that act on what is around them, or are far too long.

use crate::pages;
use bench_report::{CsvDialect, CsvWriter, RunRecord, Style, builders::RunBuilder, csv, line_text, summary, unit_page};
use bench_run::{Defect, Limits, MeasurementUnit, Verdict};
use bench_stats::MeasurementStat;
use proptest::prelude::*;

/// More than the formatting of a column can take.
const LONG: usize = 66_000;

/// Control characters, line ends, an escape, a change of direction, a formula.
const NASTY: &str = "=1\u{0}\u{7}\u{1b}[2J\r\n\t\u{9b}31m\u{202e}4x\u{2066}b\u{2069}\u{2028};\",</code>";

/// Whether a character acts on the text around it.
fn acts(c: char) -> bool {
    c != '\n'
        && (c.is_control() || "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".contains(c))
}

/// A failed run with these texts in every place that has one.
fn run(serial: &str, step: &str, name: &str, words: &str) -> RunRecord {
    let entries = RunBuilder::new(serial, serial)
        .plan(&[(step, words, 2), (name, words, 0)])
        .attempt(step, 1)
        .value(name, None, MeasurementUnit::One, Limits::exactly(1.0), &[3])
        .end_retried(Verdict::Fail, words)
        .attempt(step, 2)
        .value(name, Some(-1.5), MeasurementUnit::Amps, Limits::at_most(-2.0), &[3])
        .value(&format!("{name}-dbm"), Some(2.0), MeasurementUnit::Volts, Limits::exactly(1.0), &[4])
        .diagnosis(Defect::Other, &[3], words)
        .note(words)
        .rail(name, true, 3.3)
        .end_because(Verdict::Fail, words)
        .skip(name, words)
        .unsafe_because(words)
        .run_end_because(Verdict::Fail, words);
    let text = |text: &str| Some(text.to_owned());
    let record = RunRecord::from_entries(&entries).with_run_folder(words);
    RunRecord { lot: text(name), nest: text(words), started_at: text(words), run_id: serial.to_owned(), ..record }
}

/// Returns what is wrong with the reports of a record.
fn wrong(record: &RunRecord) -> Result<(), TestCaseError> {
    for (dialect, delimiter) in [(CsvDialect::Plain, b','), (CsvDialect::German, b';')] {
        let mut writer = CsvWriter::new(Vec::new(), dialect).unwrap();
        writer.run(record).unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        prop_assert_eq!(text.lines().count(), 4, "a measurement is a line: {:?}", text);
        prop_assert!(!text.chars().any(acts), "{:?}", text);
        let mut reader = ::csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
        for row in reader.records() {
            let row = row.unwrap();
            prop_assert_eq!(row.len(), 24);
            for (column, cell) in row.iter().enumerate().filter(|(column, _)| ![9, 12, 13].contains(column)) {
                prop_assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "column {}: {:?}", column, cell);
            }
        }
    }
    for text in [unit_page(record), summary(record, Style::default())] {
        prop_assert!(!text.chars().any(acts), "{:?}", text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_text_acts_on_a_report(
        texts in prop::array::uniform4("(.|[\\x00-\\x1f=+@;,\"\u{202a}-\u{202e}\u{2066}-\u{2069}-]){0,12}"),
    ) {
        let [serial, step, name, words] = &texts;
        wrong(&run(serial, step, name, words))?;
    }
}

#[test]
fn nasty_texts_are_harmless() {
    wrong(&run(NASTY, NASTY, NASTY, NASTY)).unwrap();
    let row = csv(&[run("P1", "s", "A\u{202e}0", "w")]).unwrap();
    assert!(row.contains(",A 0,"), "{row}");
}

#[test]
fn names_that_are_too_long_are_cut_for_people_only() {
    let long = "é".repeat(LONG);
    let record = run(&long, &long, &long, "why");
    wrong(&record).unwrap();
    let whole = "é".repeat(80);
    let cut = format!("{}…", "é".repeat(79));
    for text in [unit_page(&record), summary(&record, Style { colour: true, width: 200 })] {
        assert!(text.contains(&cut) && !text.contains(&whole));
    }
    assert!(csv(&[record]).unwrap().contains(&long), "for analysis names are whole");
    assert!(unit_page(&run("P1", "s", &whole, "why")).contains(&format!("<code>{whole}</code>")));
}

#[test]
fn the_line_survives_any_name() {
    for text in [NASTY.to_owned(), "é".repeat(LONG), format!("{NASTY}{}", "x".repeat(LONG))] {
        let mut overview = pages::overview();
        overview.asked.clone_from(&text);
        overview.days = Some((text.clone(), text.clone() + "2"));
        let stat = &mut overview.measurements[0];
        for name in [&mut stat.plan, &mut stat.step, &mut stat.name, &mut stat.since.run] {
            name.clone_from(&text);
        }
        stat.note = Some(text.clone());
        stat.since.day = Some(text.clone());
        stat.trend.iter_mut().for_each(|point| point.from.clone_from(&text));
        let older = MeasurementStat { note: None, ..stat.clone() };
        overview.measurements.push(older);
        overview.groups[0].name.clone_from(&text);
        overview.failing_steps[0].what.clone_from(&text);
        overview.contacts[0].what.clone_from(&text);
        overview.nails[0].place.clone_from(&text);
        overview.total.steps.iter_mut().for_each(|step| step.step.clone_from(&text));
        for controller in &mut overview.controllers {
            controller.place.clone_from(&text);
            controller.worst.iter_mut().for_each(|worst| worst.cause.clone_from(&text));
        }
        let shown = line_text(&overview);
        assert!(!shown.chars().any(acts), "{shown:?}");
        let wide = shown.lines().filter(|line| line.chars().count() > 1_000).count();
        assert!(wide <= 2, "only what was asked for and the note are not names: {wide}");
    }
}
