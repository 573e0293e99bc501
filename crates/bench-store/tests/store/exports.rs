//! Ten thousand runs as a foreign reader of STDF reads them, field by field.

use bench_report::{RunRecord, StdfScan, StdfWriter};
use bench_run::Verdict;
use bench_store::synthetic::Production;
use rust_stdf::stdf_file::StdfReader;
use rust_stdf::{CompressType, StdfRecord};
use std::collections::BTreeMap;
use std::io::Cursor;

const SMALL: Production = Production { steps: 3, per_step: 2, units_a_day: 500, bad_per_mille: 100 };
const RUNS: u64 = 10_000;

fn record(number: u64) -> RunRecord {
    RunRecord::from_entries(&SMALL.entries(number))
}

#[test]
fn ten_thousand_runs_are_read_as_they_were_recorded() {
    let mut scan = StdfScan::default();
    (0..RUNS).for_each(|number| scan.run(&record(number)));
    let mut writer = StdfWriter::new(Vec::new(), &scan).unwrap();
    (0..RUNS).for_each(|number| writer.run(&record(number)).unwrap());
    let bytes = writer.finish().unwrap();

    let mut reader = StdfReader::from(Cursor::new(bytes), &CompressType::Uncompressed).unwrap();
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    let (mut parts, mut results) = (0, Vec::new());
    for read in reader.get_record_iter() {
        match read.unwrap() {
            StdfRecord::PTR(ptr) => results.push(ptr),
            StdfRecord::PRR(prr) => {
                let record = record(parts);
                assert_eq!(prr.part_id, record.serial);
                assert_eq!(prr.part_flg[0] & 0b1000 != 0, record.verdict != Verdict::Pass);
                let taken: Vec<_> = record
                    .steps
                    .iter()
                    .filter_map(|step| Some((step, step.last()?)))
                    .flat_map(|(step, last)| last.measurements.iter().map(move |taken| (step, &taken.measurement)))
                    .collect();
                assert_eq!(results.len(), taken.len(), "{}", record.serial);
                for (ptr, (step, taken)) in results.drain(..).zip(taken) {
                    let name = format!("{}/{}", step.id, taken.name);
                    assert_eq!(ptr.test_txt, name);
                    assert_eq!(*numbers.entry(name).or_insert(ptr.test_num), ptr.test_num);
                    assert_eq!(Some(ptr.result), taken.value.map(|value| value as f32));
                    assert_eq!(ptr.lo_limit, taken.limits.min.map(|limit| limit as f32));
                    assert_eq!(ptr.hi_limit, taken.limits.max.map(|limit| limit as f32));
                    assert_eq!(ptr.test_flg[0] & 0x80 != 0, taken.verdict == Verdict::Fail);
                }
                parts += 1;
            }
            StdfRecord::PCR(pcr) if pcr.head_num == 255 => assert_eq!(u64::from(pcr.part_cnt), RUNS),
            _ => {}
        }
    }
    assert_eq!((parts, numbers.len()), (RUNS, 6));
}
