use crate::runs;
use bench_report::{RunRecord, builders::RunBuilder, csv, json};
use bench_run::{Event, Limits, MeasurementUnit, Verdict};

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
    assert_eq!(cell("measurement"), name);
    assert_eq!(cell("value").parse(), Ok(1.0e-9));
    assert_eq!((cell("min"), cell("max").parse(), cell("contacts")), (String::new(), Ok(2.5e-6), "1 20".to_owned()));
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
