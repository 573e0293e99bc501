//! The STDF file as a foreign reader reads it (`rust-stdf`, which shares no code with the writer).

use crate::runs;
use bench_report::{RunRecord, stdf};
use bench_run::{Limits, Measurement, MeasurementUnit, Verdict};
use rust_stdf::stdf_file::StdfReader;
use rust_stdf::{CompressType, StdfRecord};
use std::collections::BTreeMap;
use std::io::Cursor;

fn read(bytes: &[u8]) -> Vec<StdfRecord> {
    let mut reader = StdfReader::from(Cursor::new(bytes), &CompressType::Uncompressed).unwrap();
    reader.get_record_iter().map(Result::unwrap).collect()
}

fn records() -> Vec<RunRecord> {
    runs::all().iter().map(|(_, entries)| RunRecord::from_entries(entries).with_seal(Some("ab".repeat(32)))).collect()
}

fn taken(record: &RunRecord) -> Vec<(String, Measurement)> {
    let last = |step: &bench_report::StepRecord| step.last().map(|last| last.measurements.clone()).unwrap_or_default();
    let named = |step: &bench_report::StepRecord| {
        let id = step.id.clone();
        last(step)
            .into_iter()
            .map(move |measurement| (format!("{id}/{}", measurement.measurement.name), measurement.measurement))
    };
    record.steps.iter().flat_map(named).collect()
}

fn is_functional(measurement: &Measurement) -> bool {
    measurement.unit == MeasurementUnit::One
        && measurement.limits.min.is_some()
        && measurement.limits.min == measurement.limits.max
}

/// Every part, reading, limit and verdict of the records, in their order.
#[test]
fn another_reader_reads_what_is_on_record() {
    let records = records();
    let read = read(&stdf(&records));
    let mut parts: Vec<(Vec<StdfRecord>, rust_stdf::PRR)> = Vec::new();
    let mut open: Option<Vec<StdfRecord>> = None;
    for record in read {
        match record {
            StdfRecord::PIR(_) => assert!(open.replace(Vec::new()).is_none(), "a part begins inside another"),
            StdfRecord::PRR(prr) => parts.push((open.take().unwrap(), prr)),
            StdfRecord::FTR(ftr) if ftr.test_txt == "contacts-at-fault" => {}
            result @ (StdfRecord::PTR(_) | StdfRecord::FTR(_)) => open.as_mut().unwrap().push(result),
            _ => assert!(open.is_none()),
        }
    }
    assert_eq!(parts.len(), records.len());
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    for (record, (tests, prr)) in records.iter().zip(&parts) {
        assert_eq!(prr.part_id, record.serial);
        let bin = match record.verdict {
            Verdict::Pass => 1,
            Verdict::Fail => 2,
            Verdict::Error | Verdict::Skipped => 3,
            Verdict::Aborted => 4,
        };
        assert_eq!(prr.hard_bin, bin);
        assert_eq!(prr.part_flg[0] & 0b1000 != 0, record.verdict != Verdict::Pass);
        assert_eq!(u64::from(prr.test_t), record.duration_us.as_micros() / 1000);
        let expected = taken(record);
        assert_eq!((tests.len(), usize::from(prr.num_test)), (expected.len(), expected.len() + 1));
        for (test, (name, measurement)) in tests.iter().zip(&expected) {
            let (number, flag) = match test {
                StdfRecord::PTR(ptr) => {
                    assert!(!is_functional(measurement));
                    assert_eq!(&ptr.test_txt, name);
                    if let Some(value) = measurement.value {
                        assert_eq!(ptr.result, value as f32);
                    }
                    let Limits { min, max } = measurement.limits;
                    let optional = ptr.opt_flag.unwrap()[0];
                    let limit = |bit: u8, value: Option<f32>| (optional & bit == 0).then(|| f64::from(value.unwrap()));
                    let as_real = |limit: Option<f64>| limit.map(|limit| f64::from(limit as f32));
                    assert_eq!((limit(0x40, ptr.lo_limit), limit(0x80, ptr.hi_limit)), (as_real(min), as_real(max)));
                    assert_eq!((limit(0x04, ptr.lo_spec), limit(0x08, ptr.hi_spec)), (as_real(min), as_real(max)));
                    assert_eq!(ptr.units.as_deref(), Some(measurement.unit.symbol()));
                    assert_eq!(ptr.test_flg[0] & 0b10 != 0, measurement.value.is_none());
                    (ptr.test_num, ptr.test_flg[0])
                }
                StdfRecord::FTR(ftr) => {
                    assert!(is_functional(measurement));
                    assert_eq!(&ftr.test_txt, name);
                    (ftr.test_num, ftr.test_flg[0])
                }
                _ => unreachable!(),
            };
            assert_eq!(*numbers.entry(name.clone()).or_insert(number), number, "{name} has two numbers");
            assert_eq!(flag & 0x80 != 0, measurement.verdict == Verdict::Fail);
            assert_eq!(flag & 0x40 != 0, measurement.verdict == Verdict::Error);
        }
    }
    let mut different: Vec<u32> = numbers.values().copied().collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), numbers.len(), "two tests share a number");
}

#[test]
fn summaries_are_those_of_the_parts() {
    let records = records();
    let read = read(&stdf(&records));
    let passed = records.iter().filter(|record| record.verdict == Verdict::Pass).count() as u32;
    let counts = read.iter().filter_map(|record| match record {
        StdfRecord::PCR(pcr) if pcr.head_num == 255 => Some((pcr.part_cnt, pcr.good_cnt)),
        _ => None,
    });
    assert_eq!(counts.collect::<Vec<_>>(), [(records.len() as u32, passed)]);
    for soft in [false, true] {
        let bins = read.iter().filter_map(|record| match record {
            StdfRecord::HBR(bin) if !soft => Some((bin.hbin_pf, bin.hbin_cnt)),
            StdfRecord::SBR(bin) if soft => Some((bin.sbin_pf, bin.sbin_cnt)),
            _ => None,
        });
        let bins: Vec<_> = bins.collect();
        assert_eq!(bins.iter().map(|(_, count)| count).sum::<u32>(), records.len() as u32);
        assert_eq!(bins.iter().filter(|(passes, _)| *passes == 'P').map(|(_, count)| count).sum::<u32>(), passed);
    }
    let all: Vec<(String, Measurement)> = records.iter().flat_map(taken).collect();
    let mut summed = 0;
    for record in &read {
        let StdfRecord::TSR(tsr) = record else { continue };
        if tsr.test_nam == "contacts-at-fault" {
            continue;
        }
        let values: Vec<f64> = all
            .iter()
            .filter(|(name, _)| *name == tsr.test_nam)
            .filter_map(|(_, measurement)| measurement.value)
            .collect();
        let bad = all
            .iter()
            .filter(|(name, measurement)| *name == tsr.test_nam && measurement.verdict != Verdict::Pass)
            .count();
        assert_eq!(tsr.exec_cnt as usize, all.iter().filter(|(name, _)| *name == tsr.test_nam).count());
        assert_eq!(tsr.fail_cnt as usize, bad);
        if tsr.test_typ == 'P' {
            assert_eq!(tsr.tst_sums, values.iter().sum::<f64>() as f32);
            assert_eq!(tsr.test_min, values.iter().copied().fold(f64::INFINITY, f64::min) as f32);
        }
        summed += tsr.exec_cnt as usize;
    }
    assert_eq!(summed, all.len());
    let kinds: String = read.iter().map(|record| format!("{} ", kind(record))).collect();
    assert!(kinds.starts_with("FAR MIR SDR ") && kinds.ends_with("MRR "), "{kinds}");
    let texts = read
        .iter()
        .filter(|record| matches!(record, StdfRecord::DTR(dtr) if dtr.text_dat.contains("seal abab")))
        .count();
    assert_eq!(texts, records.len());
}

fn kind(record: &StdfRecord) -> &'static str {
    match record {
        StdfRecord::FAR(_) => "FAR",
        StdfRecord::MIR(_) => "MIR",
        StdfRecord::SDR(_) => "SDR",
        StdfRecord::MRR(_) => "MRR",
        _ => "...",
    }
}

/// A file without parts is valid, and texts from outside do not damage it.
#[test]
fn unusual_records_give_valid_files() {
    assert!(matches!(read(&stdf(&[])).last(), Some(StdfRecord::MRR(_))));
    let long = "ü\u{0}]]>".repeat(200);
    let entries = bench_report::builders::RunBuilder::new(&long, &long)
        .plan(&[(&long, "x", 1)])
        .step(&long)
        .volts(&long, f64::MAX, 0.0, 1.0)
        .end_because(Verdict::Fail, &long)
        .run_end_because(Verdict::Fail, &long);
    let read = read(&stdf(&[RunRecord::from_entries(&entries)]));
    assert!(matches!(read.last(), Some(StdfRecord::MRR(_))));
}

/// A unit with an open contact, as the plan finds it: a reading with limits, which has no field for pins.
fn open_at(contact: u8) -> RunRecord {
    let entries = bench_report::builders::RunBuilder::new("b404x", &format!("unit-{contact}"))
        .plan(&[("diodes", "diodes", 1)])
        .step("diodes")
        .value("drop", Some(2.9), MeasurementUnit::Volts, Limits::between(0.4, 0.9), &[contact])
        .diagnosis(bench_run::Defect::Open, &[contact], &format!("contact {contact}: open"))
        .end(Verdict::Fail)
        .safe()
        .run_end(Verdict::Fail);
    RunRecord::from_entries(&entries)
}

/// The 67 contacts of an M.2 card: 24 to 31 are the key.
fn contacts() -> Vec<u8> {
    (1..=75).filter(|contact| !(24..=31).contains(contact)).collect()
}

#[test]
fn fail_pin_leads_to_the_contact_of_the_diagnosis() {
    let records: Vec<RunRecord> = contacts().into_iter().map(open_at).collect();
    let read = read(&stdf(&records));
    let pins: BTreeMap<u16, String> = read
        .iter()
        .filter_map(|record| match record {
            StdfRecord::PMR(pmr) => Some((pmr.pmr_indx, pmr.log_nam.clone())),
            _ => None,
        })
        .collect();
    let mut found = Vec::new();
    for record in &read {
        let StdfRecord::FTR(ftr) = record else { continue };
        let bits = ftr.fail_pin.bit_data.iter().enumerate().flat_map(|(at, byte)| {
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| (at * 8 + bit) as u16)
        });
        found.push(bits.map(|index| pins[&index].clone()).collect::<Vec<_>>());
    }
    let expected: Vec<_> = contacts().iter().map(|contact| vec![format!("contact {contact}")]).collect();
    assert_eq!(expected.len(), 67);
    assert_eq!(found, expected);
}

/// Names a folder in which skipped tests leave a file with the reason.
const SKIPPED: &str = "BENCH_SKIPPED";

const READER: &str = "
import sys
from pystdf.IO import Parser
from pystdf.V4 import Pmr, Ftr
class Sink:
    def before_begin(self, source): pass
    def after_begin(self, source): pass
    def before_send(self, source, data): pass
    def after_send(self, source, data): self.take(data)
    def before_complete(self, source): pass
    def after_complete(self, source): pass
    def before_cancel(self, source, error): raise error
    def after_cancel(self, source): pass
    pins = {}
    def take(self, data):
        kind, fields = data
        of = dict(zip(kind.fieldNames, fields))
        if type(kind) is Pmr: self.pins[of['PMR_INDX']] = of['LOG_NAM']
        if type(kind) is Ftr and of['TEST_TXT'] == 'contacts-at-fault':
            bits = of['FAIL_PIN'] or []
            print(' '.join(sorted(self.pins[at] for at in self.indices(bits))))
    def indices(self, bits):
        return [8 * at + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1]
parser = Parser(inp=open(sys.argv[1], 'rb'))
parser.addSink(Sink())
parser.parse()
";

/// The second reader, in Python. It shares no code with the first.
#[test]
fn a_second_reader_finds_the_same_contacts() {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/python");
    let python = |code: &str, argument: &std::path::Path| {
        let mut command = std::process::Command::new("python3");
        command.env("PYTHONPATH", own).arg("-c").arg(code).arg(argument).output()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lot.stdf");
    if !python("import pystdf", &file).is_ok_and(|output| output.status.success()) {
        let reason = "no `pystdf` for Python: pip install pystdf";
        println!("skipped: {reason}");
        if let Some(folder) = std::env::var_os(SKIPPED) {
            std::fs::write(std::path::Path::new(&folder).join("stdf_second_reader"), reason).unwrap();
        }
        return;
    }
    let records: Vec<RunRecord> = contacts().into_iter().map(open_at).collect();
    std::fs::write(&file, stdf(&records)).unwrap();
    let output = python(READER, &file).unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let expected: String = contacts().iter().map(|contact| format!("contact {contact}\n")).collect();
    assert_eq!(found, expected, "{}", String::from_utf8_lossy(&output.stderr));
}
