//! The module is programmed by its debug probe, and what can go wrong with that.

use crate::support::{Done, for_all, run, run_plan};
use bench_run::Event;

fn notes(done: &Done) -> Vec<String> {
    let note = |event: &Event| match event {
        Event::Note { step: Some(step), text } if step == "program" => Some(text.clone()),
        _ => None,
    };
    done.run.entries.iter().filter_map(|entry| note(&entry.event)).collect()
}

#[test]
fn an_empty_module_is_programmed_and_passes() {
    let done = run(&["--quiet"]);
    assert_eq!(done.code, 0, "{}{}", done.diagnosis_text(), done.stderr);
    let [note] = &notes(&done)[..] else { panic!("{:?}", notes(&done)) };
    assert!(note.starts_with("Virtual SWD probe VIRTUAL-1: MCU "), "{note}");
    assert!(note.contains(" bytes written, 0 there already, verified"), "{note}");
}

#[test]
fn a_boron_is_programmed_too() {
    let done = run_plan("plans/boron.toml", &["--quiet"]);
    assert_eq!((done.code, notes(&done).len()), (0, 1), "{}{}", done.diagnosis_text(), done.stderr);
}

/// Fault, exit code, what is said.
const FAULTS: [(&str, i32, &str); 9] = [
    ("probe-absent", 2, "no debug probe: plug it in"),
    ("swdio-open", 2, "check the pogo pins and the cable of SWDIO and SWDCLK"),
    ("swclk-open", 2, "check the pogo pins and the cable of SWDIO and SWDCLK"),
    ("probe-lost", 2, "lost while the flash was written: check pogo pins and cable of SWDIO and SWDCLK"),
    ("probe-lost:20", 2, "lost at the beginning"),
    ("locked", 1, "locked (APPROTECT), and the plan does not allow to erase it: `recover_locked = true` does"),
    ("self-locking", 1, "locked (APPROTECT), and the plan does not allow to erase it"),
    ("wrong-mcu", 1, "the MCU is another one: part 0x52833 instead of 0x52840"),
    ("mcu-flash-page", 1, "flash at 0x00003000 reads 0xffffffff instead of"),
];

#[test]
fn what_is_wrong_with_probe_or_mcu_is_told_to_the_right_person() {
    for_all(&FAULTS, |(fault, code, said)| {
        let done = run(&["--quiet", "--fault", fault]);
        let right = done.code == *code && done.diagnosis_text().contains(said);
        if right {
            Ok(())
        } else {
            Err(format!("{fault}: exit {}, {} {}", done.code, done.diagnosis_text(), done.stderr))
        }
    });
}
