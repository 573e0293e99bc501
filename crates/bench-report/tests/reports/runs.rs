//! One run for every way in which a run can end.

use bench_report::RunRecord;
use bench_report::builders::RunBuilder;
use bench_run::{Defect, Entry, Limits, MeasurementUnit, Verdict};

const PLAN: [(&str, &str, usize); 3] =
    [("supply", "supply", 2), ("interconnect", "interconnect", 2), ("nfc", "nfc", 1)];

fn begun() -> RunBuilder {
    RunBuilder::new("b404x", "P042AB3Q1234").plan(&PLAN)
}

fn with_good_supply() -> RunBuilder {
    begun()
        .step("supply")
        .value("3V3.short", Some(12_400.0), MeasurementUnit::Ohms, Limits::at_least(50.0), &[2])
        .rail("VCC", true, 3.812)
        .volts("3V3.volts", 3.301, 3.2, 3.4)
        .end(Verdict::Pass)
}

fn contact(run: RunBuilder, name: &str, volts: f64, contact: u8) -> RunBuilder {
    run.value(name, Some(volts), MeasurementUnit::Volts, Limits::at_least(2.64), &[contact])
}

fn good_interconnect(run: RunBuilder) -> RunBuilder {
    contact(contact(run, "A0.high", 3.287, 23), "A1.high", 3.286, 33).end(Verdict::Pass)
}

fn nfc(run: RunBuilder) -> RunBuilder {
    run.value("field", Some(1.0), MeasurementUnit::One, Limits::exactly(1.0), &[17, 19])
}

pub fn pass() -> Vec<Entry> {
    let run = good_interconnect(with_good_supply().step("interconnect")).step("nfc");
    nfc(run).end(Verdict::Pass).wait_us(40_000_000).rail("VCC", false, 0.01).safe().run_end(Verdict::Pass)
}

pub fn pass_at_second_attempt() -> Vec<Entry> {
    let run = contact(with_good_supply().step("interconnect"), "A0.high", 0.4, 23)
        .diagnosis(Defect::Open, &[23], "contact 23 (A0): open")
        .end_retried(Verdict::Fail, "1 contact at fault");
    let run = good_interconnect(run.attempt("interconnect", 2)).step("nfc");
    nfc(run).end(Verdict::Pass).rail("VCC", false, 0.01).safe().run_end(Verdict::Pass)
}

/// The controller was late in the first two attempts and, a little, in the one that counts.
pub fn pass_after_void_attempts() -> Vec<Entry> {
    let run = contact(with_good_supply().step("interconnect"), "A0.high", 0.4, 23)
        .diagnosis(Defect::Open, &[23], "contact 23 (A0): open")
        .end_void(640_250, "disk");
    let why = "the controller was 640 ms late (disk) in the first attempt, and the second did not pass: A0.high";
    let run = run.attempt("interconnect", 2).end_retried(Verdict::Error, why).attempt("interconnect", 3);
    let run = contact(contact(run, "A0.high", 3.287, 23), "A1.high", 3.286, 33);
    let run = run.end_late(Verdict::Pass, 15_000, "the bench itself").step("nfc");
    nfc(run).end_late(Verdict::Pass, 7_000, "cause unknown").rail("VCC", false, 0.01).safe().run_end(Verdict::Pass)
}

pub fn fail() -> Vec<Entry> {
    let run = contact(with_good_supply().step("interconnect"), "A0.high", 0.4, 23);
    contact(run, "A1.high", 3.286, 33)
        .diagnosis(Defect::Short, &[38, 36], "contacts 36 (TX) and 38 (RX): shorted")
        .diagnosis(Defect::Open, &[23], "contact 23 (A0): open")
        .diagnosis(Defect::Open, &[23], "contact 23 (A0): open")
        .end_because(Verdict::Fail, "3 contacts at fault")
        .skip("nfc", "needs interconnect")
        .stopping("step interconnect failed")
        .rail("VCC", false, 0.01)
        .safe()
        .run_end_because(Verdict::Fail, "step interconnect failed")
}

/// Readings outside limits and no diagnosis.
pub fn fail_without_diagnosis() -> Vec<Entry> {
    let run =
        begun().step("supply").value("3V3.short", Some(12_400.0), MeasurementUnit::Ohms, Limits::at_least(50.0), &[2]);
    run.rail("VCC", true, 3.812)
        .volts("3V3.volts", 2.9, 3.2, 3.4)
        .end(Verdict::Fail)
        .skip("interconnect", "needs supply")
        .skip("nfc", "needs supply")
        .rail("VCC", false, 0.01)
        .safe()
        .run_end(Verdict::Fail)
}

pub fn error() -> Vec<Entry> {
    with_good_supply()
        .step("interconnect")
        .value("A0.high", None, MeasurementUnit::Volts, Limits::at_least(2.64), &[23])
        .value("A1.high", Some(f64::NAN), MeasurementUnit::Volts, Limits::at_least(2.64), &[33])
        .diagnosis(Defect::Bench, &[], "ADC at 0x48 does not answer")
        .end_because(Verdict::Error, "ADC at 0x48 does not answer")
        .skip("nfc", "needs interconnect")
        .unsafe_because("VCC could not be measured")
        .run_end_because(Verdict::Error, "step interconnect: the bench could not tell")
}

pub fn aborted() -> Vec<Entry> {
    contact(with_good_supply().step("interconnect"), "A0.high", 3.287, 23)
        .stopping("SIGINT")
        .end_because(Verdict::Aborted, "SIGINT")
        .skip("nfc", "the run was stopped")
        .rail("VCC", false, 0.01)
        .safe()
        .run_end_because(Verdict::Aborted, "SIGINT")
}

/// The bench died in the second step.
pub fn not_finished() -> Vec<Entry> {
    contact(with_good_supply().step("interconnect"), "A0.high", 3.287, 23).torn()
}

/// Everything passed, but the bench could not confirm that the rails are off.
pub fn rails_unknown() -> Vec<Entry> {
    let run = nfc(good_interconnect(with_good_supply().step("interconnect")).step("nfc")).end(Verdict::Pass);
    run.unsafe_because("VCC could not be measured").run_end_because(Verdict::Error, "safe state not confirmed")
}

pub fn all() -> Vec<(&'static str, Vec<Entry>)> {
    vec![
        ("pass", pass()),
        ("pass at second attempt", pass_at_second_attempt()),
        ("pass after void attempts", pass_after_void_attempts()),
        ("fail", fail()),
        ("fail without diagnosis", fail_without_diagnosis()),
        ("error", error()),
        ("aborted", aborted()),
        ("not finished", not_finished()),
        ("rails unknown", rails_unknown()),
        ("empty", vec![]),
    ]
}

pub fn record(entries: &[Entry]) -> RunRecord {
    RunRecord::from_entries(entries).with_run_folder("reports/P042AB3Q1234/r1")
}
