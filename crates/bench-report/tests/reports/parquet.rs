//! Parquet files are read back field by field with the library's own reader.

use crate::runs;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::{Field, Row};
use bench_report::{ParquetWriter, RunRecord, builders::RunBuilder, csv};
use bench_run::{BenchKind, Limits, MeasurementUnit, Verdict};
use bytes::Bytes;

fn written(records: &[RunRecord]) -> SerializedFileReader<Bytes> {
    let mut writer = ParquetWriter::new(Vec::new()).unwrap();
    for record in records {
        writer.run(record).unwrap();
    }
    SerializedFileReader::new(Bytes::from(writer.finish().unwrap())).unwrap()
}

fn rows(file: &SerializedFileReader<Bytes>) -> Vec<Row> {
    file.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

/// As the CSV spells it.
fn spelled(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Double(number) => number.to_string(),
        Field::Int(number) => number.to_string(),
        Field::Long(number) => number.to_string(),
        Field::Bool(yes) => u8::from(*yes).to_string(),
        other => panic!("{other:?} is of no type of ours"),
    }
}

#[test]
fn fields_are_those_of_the_csv() {
    let records: Vec<RunRecord> = runs::all().iter().map(|(_, entries)| RunRecord::from_entries(entries)).collect();
    let text = csv(&records).unwrap();
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let expected: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let rows = rows(&written(&records));
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        let fields: Vec<(&String, &Field)> = row.get_column_iter().collect();
        assert_eq!(fields.len(), columns.len() + 1, "the text of the start comes on top");
        for ((name, field), (column, cell)) in fields.iter().zip(columns.iter().zip(expected)) {
            assert_eq!((*name, spelled(field).as_str()), (column, cell));
        }
    }
}

fn at_a_station() -> RunRecord {
    let entries = RunBuilder::new("b402", "P1")
        .plan(&[("s", "x", 2)])
        .step("s")
        .value("=a\nb", Some(1.0e-9), MeasurementUnit::Amps, Limits::at_most(2.5e-6), &[1, 20])
        .value("late", None, MeasurementUnit::Volts, Limits::between(1.0, 2.0), &[])
        .end(Verdict::Fail)
        .run_end(Verdict::Fail);
    let bench = BenchKind::Real { station: "line-2".to_owned(), nest: None, fixture_serial: None, overdue: Vec::new() };
    RunRecord {
        bench: Some(bench),
        nest: Some("left".to_owned()),
        lot: Some("L7".to_owned()),
        started_at: Some("2026-03-01T09:00:00.000002+01:00".to_owned()),
        ..RunRecord::from_entries(&entries)
    }
}

#[test]
fn fields_have_types() {
    let rows = rows(&written(&[at_a_station()]));
    let field = |row: usize, name: &str| rows[row].get_column_iter().find(|(of, _)| *of == name).unwrap().1.clone();
    let text = |text: &str| Field::Str(text.to_owned());
    let expected = [
        (0, "measurement", text("=a\nb")),
        (0, "value", Field::Double(1.0e-9)),
        (0, "min", Field::Null),
        (0, "max", Field::Double(2.5e-6)),
        (0, "contacts", text("1 20")),
        (0, "attempt", Field::Int(1)),
        (0, "counts", Field::Bool(true)),
        (0, "at_us", Field::Long(11_000)),
        (0, "lot", text("L7")),
        (0, "station", text("line-2")),
        (0, "nest", text("left")),
        (0, "operator", Field::Null),
        // 2026-03-01T08:00:00.000002Z
        (0, "started_at", Field::TimestampMicros(1_772_352_000_000_002)),
        (0, "started_at_text", text("2026-03-01T09:00:00.000002+01:00")),
        (0, "run_verdict", text(at_a_station().verdict.as_str())),
        (1, "value", Field::Null),
        (1, "min", Field::Double(1.0)),
    ];
    for (row, name, value) in expected {
        assert_eq!(field(row, name), value, "{name}");
    }
}

#[test]
fn many_rows_are_several_groups() {
    let record = at_a_station();
    let file = written(&vec![record; 25_001]);
    let groups: Vec<i64> = file.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [50_000, 2]);
}

#[test]
fn long_names_end_a_group_early() {
    let mut record = at_a_station();
    record.steps[0].attempts[0].measurements[0].measurement.name = "n".repeat(40 << 20);
    let file = written(&[record.clone(), record]);
    assert_eq!(file.metadata().num_row_groups(), 2);
}

#[test]
fn nothing_is_a_file_too_and_an_unreadable_time_is_none() {
    assert!(rows(&written(&[])).is_empty());
    let record = RunRecord { started_at: Some("yesterday".to_owned()), ..at_a_station() };
    let row = &rows(&written(&[record]))[0];
    let fields: Vec<(&String, &Field)> = row.get_column_iter().collect();
    assert_eq!((fields[22].1, fields[24].1), (&Field::Null, &Field::Str("yesterday".to_owned())));
}
