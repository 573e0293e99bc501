use crate::runs;
use bench_report::{CsvDialect, CsvWriter, RunRecord, builders::RunBuilder, csv, json};
use bench_run::{BenchKind, Event, Limits, MeasurementUnit, Verdict};

#[test]
fn every_measurement_is_one_line() {
    let records: Vec<RunRecord> = runs::all().iter().map(|(_, entries)| RunRecord::from_entries(entries)).collect();
    let taken = runs::all()
        .iter()
        .flat_map(|(_, entries)| entries.clone())
        .filter(|entry| matches!(entry.event, Event::Measured { .. }))
        .count();
    let text = csv(&records).unwrap();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), taken);
    insta::assert_snapshot!("csv", csv(&records[1..2]).unwrap());
}

#[test]
fn names_with_commas_and_quotes_come_back() {
    let name = "a,\"b\"\nc";
    let entries = RunBuilder::new("b402", "P1")
        .plan(&[("s", "x", 1)])
        .step("s")
        .value(name, Some(1.0e-9), MeasurementUnit::Amps, Limits::at_most(2.5e-6), &[1, 20])
        .end(Verdict::Pass)
        .torn();
    let text = csv(&[RunRecord::from_entries(&entries)]).unwrap();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |column: &str| row.get(columns.iter().position(|name| name == column).unwrap()).unwrap().to_owned();
    assert_eq!(cell("measurement"), "a,\"b\" c", "a line stays a line");
    assert_eq!(cell("value").parse(), Ok(1.0e-9));
    assert_eq!((cell("min"), cell("max").parse(), cell("contacts")), (String::new(), Ok(2.5e-6), "1 20".to_owned()));
}

/// A run of one measurement of -1.5 V at a real station.
fn at_a_station(name: &str, lot: Option<&str>) -> RunRecord {
    let entries = RunBuilder::new("b402", "P1")
        .plan(&[("s", "x", 1)])
        .step("s")
        .volts(name, -1.5, -2.0, -1.0)
        .end(Verdict::Pass)
        .run_end(Verdict::Pass);
    let bench = BenchKind::Real { station: "line-2".to_owned(), nest: None, fixture_serial: None, overdue: Vec::new() };
    RunRecord {
        bench: Some(bench),
        nest: Some("left".to_owned()),
        lot: lot.map(str::to_owned),
        started_at: Some("2026-03-01T08:00:00Z".to_owned()),
        ..RunRecord::from_entries(&entries)
    }
}

fn streamed(records: &[RunRecord], dialect: CsvDialect) -> String {
    let mut writer = CsvWriter::new(Vec::new(), dialect).unwrap();
    for record in records {
        writer.run(record).unwrap();
    }
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

#[test]
fn the_last_columns_are_about_the_run() {
    let text = csv(&[at_a_station("v", Some("L7"))]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with(",at_us,lot,station,nest,operator,started_at,run_verdict"), "{text}");
    assert!(lines[1].ends_with(",L7,line-2,left,,2026-03-01T08:00:00Z,error"), "{text}");
}

#[test]
fn streamed_and_at_once_are_the_same() {
    let records: Vec<RunRecord> = runs::all().iter().map(|(_, entries)| RunRecord::from_entries(entries)).collect();
    assert_eq!(streamed(&records, CsvDialect::Plain), csv(&records).unwrap());
}

#[test]
fn a_german_spreadsheet_reads_semicolons_and_decimal_commas() {
    let text = streamed(&[at_a_station("a;b", None)], CsvDialect::German);
    let text = text.strip_prefix('\u{feff}').expect("a byte order mark");
    assert!(text.lines().nth(1).unwrap().contains(";\"a;b\";-1,5;;V;-2;-1;"), "{text}");
}

#[test]
fn no_text_is_a_formula() {
    let rows = [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum", "'@sum"),
        (" =1", "' =1"),
        ("3V3.volts", "3V3.volts"),
        ("a=b", "a=b"),
        ("", ""),
    ];
    for (name, expected) in rows {
        let text = csv(&[at_a_station(name, Some(name))]).unwrap();
        let row = ::csv::Reader::from_reader(text.as_bytes()).records().next().unwrap().unwrap();
        assert_eq!((&row[8], &row[18]), (expected, expected));
        assert_eq!((&row[9], &row[12]), ("-1.5", "-2"), "numbers stay numbers");
    }
    for name in ["\t=1", "\r=1"] {
        let text = csv(&[at_a_station(name, None)]).unwrap();
        assert!(::csv::Reader::from_reader(text.as_bytes()).records().next().unwrap().unwrap()[8].starts_with('\''));
    }
}

#[test]
fn the_record_as_json() {
    insta::assert_snapshot!("json", json(&runs::record(&runs::fail())).unwrap());
    for (what, entries) in runs::all() {
        let text = json(&RunRecord::from_entries(&entries)).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["finished"], RunRecord::from_entries(&entries).finished, "{what}");
    }
}
