//! Defects of the radio, with the real firmware: each is distinguished from the others.

use crate::support::{ShortPlan, for_all, run, run_plan};

const BORON: &str = "plans/boron.toml";

#[test]
fn defects_of_the_radio_are_told_apart() {
    let som = ShortPlan::up_to(&["ble"]);
    let som = som.path();
    let rows = [
        (som, "ble-antenna", "BLE antenna missing or open: 4"),
        (som, "ble-weak", "BLE weak by 2"),
        (som, "ble-weak:12", "BLE weak by 1"),
        (som, "ble-dead", "BLE radio dead"),
        (som, "ble-crystal", "the 32 MHz crystal on the module is off by +"),
        (som, "ble-crystal:-60", "the 32 MHz crystal on the module is off by -"),
        (BORON, "ble-antenna", "BLE antenna missing or open"),
        (BORON, "ble-dead", "BLE radio dead"),
    ];
    for_all(&rows, |(plan, fault, expected)| {
        let done = run_plan(plan, &["--quiet", "--fault", fault]);
        let right = done.code == 1 && done.diagnosis_text().contains(expected) && done.named().is_empty();
        if right {
            Ok(())
        } else {
            Err(format!("{plan} {fault}: exit {}, diagnosis {}", done.code, done.diagnosis_text()))
        }
    });
}

/// Radio silence is the bench's until the adapter has heard someone.
#[test]
fn silence_is_judged_only_by_an_adapter_that_hears() {
    let som = ShortPlan::up_to(&["ble"]);
    let som = som.path();
    let rows: [(&[&str], i32, &str); 7] = [
        (&["deaf-adapter"], 2, "the Bluetooth adapter hci0 ("),
        (&["deaf-adapter", "ble-dead"], 2, "hears no device at all"),
        (&["deaf-adapter", "quiet-room"], 2, "put a beacon next to the bench"),
        (&["ble-dead"], 1, "BLE radio dead"),
        (&["ble-dead", "quiet-room"], 2, "hears no device at all"),
        (&["ble-antenna", "quiet-room"], 1, "BLE antenna missing or open"),
        (&["quiet-room"], 0, ""),
    ];
    for_all(&rows, |(faults, code, expected)| {
        let ordered: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
        let done = run_plan(som, &[&["--quiet"][..], &ordered].concat());
        let said = format!("{}{}{}", done.diagnosis_text(), done.stdout, done.stderr);
        let journal = String::from_utf8_lossy(&done.journal);
        if done.code == *code && (said.contains(expected) || journal.contains(expected)) {
            Ok(())
        } else {
            Err(format!("{faults:?}: exit {}, {said}", done.code))
        }
    });
}

/// The journal has the nonce, how often it was sent and heard, and the signal strength of each channel.
#[test]
fn a_good_module_is_heard_and_hears_on_each_channel() {
    let done = run(&["--quiet"]);
    assert_eq!(done.code, 0);
    let journal = String::from_utf8(done.journal).unwrap();
    assert!(journal.contains("BLE nonce "));
    for name in ["heard", "heard-dbm", "hears", "hears-dbm"] {
        for channel in [37, 38, 39] {
            assert!(journal.contains(&format!("\"ble.{channel}.{name}\"")), "{channel} {name}");
        }
    }
}
