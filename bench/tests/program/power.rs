//! Defects that show when the module is restarted, loses its power, sleeps or attaches to USB, with the real firmware.

use crate::support::{ShortPlan, for_all, run_plan};

#[test]
fn defects_of_memory_current_tx_and_usb_are_told() {
    let rows = [
        ("retained-lost", "lost in a restart", &[][..]),
        ("sleep-current", "supply current: the module draws", &[]),
        ("vusb-detect-lost", "USB supply not detected", &[]),
        ("usb-dead", "USB: D+ is pulled up, but the module does not enumerate", &[]),
        ("swap:11-13", "contacts 11 (USBDATA+) and 13 (USBDATA-): swapped", &[11, 13]),
        ("lost-pull:36", "contact 36 (TX): internal pulls out of tolerance", &[36]),
        ("weak-driver:38", "contact 38 (RX): its port drives high through", &[38]),
    ];
    let plan = ShortPlan::up_to(&["supply-current", "link-pulls", "usb", "retained"]);
    for_all(&rows, |(fault, expected, contacts)| {
        let done = run_plan(plan.path(), &["--quiet", "--fault", fault]);
        let right = done.code == 1 && done.diagnosis_text().contains(expected) && done.named() == *contacts;
        if right { Ok(()) } else { Err(format!("{fault}: exit {}, diagnosis {}", done.code, done.diagnosis_text())) }
    });
}
