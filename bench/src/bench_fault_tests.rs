//! Faults of the bench do not blame good modules, and each check of the bench on itself is worth its time.
//!
//! `bench coverage --bench-faults` measures all of them; here is one of each kind of outcome.

use bench_coverage::{Module, RunFindings, Work};
use bench_engine::Project;
use bench_instruments::Plausibility;
use bench_run::Verdict;
use bench_steps::Kinds;
use std::path::Path;
use std::sync::atomic::AtomicBool;

const PLAN: &str = "plans/b404x.toml";

fn runs(modules: &[Module]) -> Vec<RunFindings> {
    runs_of(PLAN, modules)
}

fn runs_of(plan: &str, modules: &[Module]) -> Vec<RunFindings> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let plan = root.join(plan);
    let loaded = Project::find(Some(&root), Some(&plan)).load(&plan, &Kinds::default()).unwrap();
    let firmware = bench_engine::read_firmware(&loaded.firmware_path).unwrap();
    let provenance = loaded.provenance(&firmware);
    let stop = AtomicBool::new(false);
    let work = Work {
        root: Some(&root),
        plan: &plan,
        fixture: None,
        firmware: &firmware,
        provenance: &provenance,
        jobs: 2,
        stop: &stop,
    };
    work.run(modules, &|| {}).unwrap().unwrap()
}

fn with(fault: &str, unchecked: &[Plausibility], gone: &[&str]) -> Module {
    Module {
        seed: 2,
        bench_faults: vec![fault.parse().unwrap()],
        unchecked: unchecked.to_vec(),
        gone: gone.iter().map(|step| (*step).to_owned()).collect(),
        ..Module::default()
    }
}

fn text(run: &RunFindings) -> String {
    format!("{} {} {}", run.reason.as_deref().unwrap_or_default(), run.said(), run.step_reasons.join(" "))
        .to_lowercase()
}

#[test]
fn good_modules_are_not_blamed_for_the_bench() {
    let rows: [(&str, Verdict, &str); 29] = [
        ("nail-worn:23@5", Verdict::Pass, ""),
        ("chip-nack:io0", Verdict::Pass, ""),
        ("clock-step@-1800000000", Verdict::Pass, ""),
        ("chip-silent:io3", Verdict::Error, "io3"),
        ("chip-moved:adc", Verdict::Error, "adc"),
        ("expander-reset:io5", Verdict::Error, "io5"),
        ("mux-dead:23", Verdict::Error, "nail 23"),
        ("bank-stuck:2", Verdict::Error, "bank 2"),
        ("switch-open:io4.GPA0", Verdict::Error, "nail 1"),
        ("switch-closed:io4.GPA1", Verdict::Error, "nail 3"),
        ("switch-open:io6.GPA5", Verdict::Error, "relay"),
        ("switch-open:io6.GPB7", Verdict::Error, "usb switch"),
        ("switch-closed:io3.GPB2", Verdict::Error, "eeprom-i2c"),
        ("output-high:io5.GPB1", Verdict::Error, "io5.gpb1"),
        ("output-low:io2.GPA0", Verdict::Error, "nail 22"),
        ("bench-adc-gain@5", Verdict::Error, "adc"),
        ("bench-dac-offset", Verdict::Error, "dac"),
        ("monitor-shunt:power-3v3", Verdict::Error, "power-3v3"),
        ("monitor-stuck:power-vcc", Verdict::Error, "power-vcc"),
        ("rail-slow:VCC", Verdict::Error, "rail vcc"),
        ("rail-limit:3V3", Verdict::Error, "rail 3v3"),
        ("link-lost@30", Verdict::Error, "link"),
        ("probe-wrong@100", Verdict::Error, "probe"),
        ("ble-busy@90", Verdict::Error, "band is busy"),
        ("nfc-coil-open", Verdict::Error, "coil"),
        ("stalls@2000", Verdict::Error, "late"),
        ("disk-full@3000", Verdict::Error, "space"),
        ("lid-opened@100", Verdict::Aborted, "lid"),
        ("module-removed@6000", Verdict::Error, "nest"),
    ];
    let modules: Vec<Module> = rows.iter().map(|(fault, ..)| with(fault, &[], &[])).collect();
    let mut wrong = Vec::new();
    for ((fault, verdict, word), run) in rows.into_iter().zip(runs(&modules)) {
        if run.verdict != verdict || !text(&run).contains(word) {
            wrong.push(format!("{fault}: {} and not {verdict}, or no \"{word}\" in: {}", run.verdict, text(&run)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The bench looks again while the module works: it takes neither power nor ground from it.
#[test]
fn looking_again_disturbs_no_other_step() {
    for (plan, fault, step) in [("plans/boron.toml", "cold:5@80", "drive"), (PLAN, "weak-driver:23", "drive")] {
        let module = Module { seed: 2, faults: vec![fault.parse().unwrap()], ..Module::default() };
        let runs = runs_of(plan, &[module]);
        let of_others: Vec<&String> = runs[0].steps.iter().filter(|id| id.starts_with("modem")).collect();
        assert!(runs[0].steps.iter().any(|id| id == step), "{plan}: {:?}", runs[0].steps);
        assert!(of_others.is_empty(), "{plan}, {fault}: {:?}", runs[0].step_reasons);
    }
}

/// How bad a verdict about a good module is.
fn weight(run: &RunFindings) -> u8 {
    match run.verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 2,
        _ => 1,
    }
}

/// As `worth` does for steps: without a check, a good module gets a worse verdict for some fault of the bench.
#[test]
fn each_check_of_the_bench_is_worth_its_time() {
    let rows: [(&[Plausibility], &[&str], &str); 5] = [
        (&[Plausibility::RepeatedTransfers], &[], "chip-nack:io0"),
        (&[Plausibility::PinsReadBack], &[], "output-high:io3.GPB4"),
        (&[Plausibility::SecondOpinion], &[], "mux-dead:23"),
        (&[Plausibility::LossyLink], &[], "link-lost@3000"),
        (&[], &["bench-check"], "monitor-shunt:power-3v3"),
    ];
    for (unchecked, gone, fault) in rows {
        let runs = runs(&[with(fault, &[], &[]), with(fault, unchecked, gone)]);
        assert!(
            weight(&runs[0]) < 2 && weight(&runs[0]) < weight(&runs[1]),
            "{fault}: {} with everything, {} without {unchecked:?} {gone:?}: {}",
            runs[0].verdict,
            runs[1].verdict,
            text(&runs[1])
        );
    }
}
