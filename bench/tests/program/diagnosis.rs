//! Faults that look like another one at first sight: the contacts named are theirs, all of them and no others.

use crate::contacts::{BEFORE_POWER, ISOLATION, POWERED, Plan};
use crate::support::{for_all, run_plan};

const WITH_FIRMWARE: &str = r#"
[[step]]
id = "rail-vcc"
kind = "rail-on"
needs = ["rail-3v3"]
rail = "VCC"
volts = { min = "3.7 V", max = "3.9 V" }
amps = { max = "50 mA" }
settle = "20 ms"

[[step]]
id = "identify"
kind = "identify"
needs = ["reset", "rail-vcc"]
baud = 1_000_000
supply = "3V3"
rx_pull = { min = "10.4 kohm", max = "16.8 kohm" }
tx_drive = { max = "120 ohm" }

[[step]]
id = "interconnect"
kind = "interconnect"
needs = ["identify"]
on_fail = "continue"
pins = { functions = ["gpio", "rgb", "mode"], exclude = ["TX", "RX"] }
supply = "3V3"
baud = 1_000_000

[[step]]
id = "adc"
kind = "adc"
needs = ["interconnect"]
on_fail = "continue"
pins = { functions = ["adc"] }
levels = ["0.1 V", "0.6 V", "1.2 V", "1.8 V", "2.4 V", "3 V"]
offset = { min = "-15 mV", max = "15 mV" }
gain_error = { min = "-3.5 %", max = "3.5 %" }
linearity = { max = "6 mV" }
crosstalk = { max = "8 mV" }
supply = "3V3"
"#;

/// A fault, what must be named, and a word of what must be said.
type Row = (&'static str, &'static [u8], &'static str);

fn check(plan: &Plan, rows: &[Row]) {
    for_all(rows, |(fault, contacts, said)| plan.names(fault, contacts, said));
}

#[test]
fn both_ends_of_a_short_are_named_also_where_one_is_at_ground_or_a_supply_by_itself() {
    let plan = Plan::new(&[BEFORE_POWER, ISOLATION]);
    plan.passes(&[1, 2, 3, 4, 5]);
    check(
        &plan,
        &[
            ("short:14-16", &[14, 16], "shorted to VUSB at contact 16 (VUSB)"),
            ("short:16-18@100", &[16, 18], "shorted to VUSB at contact 16 (VUSB), 100"),
            ("short:72-74", &[72, 74], "shorted to VBUS_MODEM at contact 74"),
            ("short:65-67", &[65, 67], "shorted"),
            ("short:65-67@100", &[65, 67], "shorted, "),
            ("short:67-69", &[67, 69], "shorted"),
            ("short:67-69@100", &[67, 69], "shorted, "),
            ("short:71-73", &[71, 73], "shorted"),
            ("short:71-73@100", &[71, 73], "shorted, "),
            ("short:73-75", &[73, 75], "shorted"),
            ("short:65-gnd", &[65], "shorted to ground"),
            ("short:65-gnd@10", &[65], "shorted to ground, "),
            ("open:67", &[67], "open"),
            ("cold:67", &[67], "cold joint"),
            ("open:73", &[73], "open"),
            ("esd:73", &[73], "to ground"),
        ],
    );
}

#[test]
fn of_two_contacts_of_a_supply_the_bad_joint_is_named() {
    let plan = Plan::new(&[BEFORE_POWER]);
    plan.passes(&[1, 2, 3, 4, 5]);
    check(
        &plan,
        &[
            ("cold:10", &[10], "cold joint, 1"),
            ("cold:12", &[12], "cold joint, 1"),
            ("cold:10@50", &[10], "cold joint, "),
            ("cold:12@50", &[12], "cold joint, "),
            ("open:10", &[10], "open"),
            ("open:12", &[12], "open"),
            ("cold:4", &[4], "cold joint, "),
            ("cold:56", &[56], "cold joint, "),
        ],
    );
}

#[test]
fn a_silent_module_and_its_contacts() {
    let plan = Plan::new(&[BEFORE_POWER, POWERED, WITH_FIRMWARE]);
    plan.passes(&[1, 2, 3]);
    check(
        &plan,
        &[
            ("dead-mcu", &[], "the module does not start"),
            ("lost-pull:34", &[34], "not pulled up"),
            ("open:34", &[34], "open"),
            ("open:36", &[36], "open"),
            ("open:38", &[38], "open"),
            ("stuck-low:34", &[34], "held low"),
            ("stuck-high:36", &[36], "stuck high"),
            ("stuck-low:38", &[38], "stuck low"),
            ("stuck-high:38", &[38], "stuck high"),
            ("weak-driver:36", &[36], "weak driver"),
        ],
    );
}

#[test]
fn exchanged_contacts_are_named_as_such() {
    let before_power = Plan::new(&[BEFORE_POWER, ISOLATION]);
    let powered = Plan::new(&[BEFORE_POWER, POWERED, WITH_FIRMWARE]);
    let said = "exchanged";
    check(
        &before_power,
        &[("swap:65-67", &[65, 67], said), ("swap:67-69", &[67, 69], said), ("swap:71-73", &[71, 73], said)],
    );
    check(
        &powered,
        &[
            ("swap:32-34", &[32, 34], said),
            ("swap:34-36", &[34, 36], said),
            ("swap:36-38", &[36, 38], said),
            ("swap:38-40", &[38, 40], said),
            ("swap:42-44", &[42, 44], said),
            ("swap:46-48", &[46, 48], said),
            ("swap:20-22", &[20, 22], said),
            ("swap:64-66", &[64, 66], said),
        ],
    );
}

/// Pairs that could hide each other among them. Each must be found, and nothing else be blamed.
#[test]
fn no_unit_with_two_faults_passes() {
    let plan = Plan::new(&[BEFORE_POWER, ISOLATION, POWERED, WITH_FIRMWARE]);
    let rows: [(&str, &str, &[u8]); 12] = [
        ("open:23", "open:33", &[23, 33]),
        ("short:36-38", "open:20", &[20, 36, 38]),
        ("stuck-low:40", "cold:64", &[40, 64]),
        ("adc-gain:5", "open:10", &[10]),
        ("adc-gain:5", "adc-offset:-50", &[]),
        ("open:67", "short:67-gnd", &[67]),
        ("lost-pull:34", "stuck-low:36", &[34, 36]),
        ("open:36", "open:38", &[]),
        ("cold:10", "cold:12", &[10, 12]),
        ("swap:20-22", "short:20-22", &[20, 22]),
        ("stuck-low:17", "lost-pull:45", &[17, 45]),
        ("leak:23-gnd", "leak:23-3v3", &[23]),
    ];
    for_all(&rows, |(one, two, contacts)| {
        let path = plan.path.to_str().unwrap();
        let done = run_plan(path, &["--quiet", "--seed", "5", "--fault", one, "--fault", two]);
        let named = done.named();
        let blamed_rightly = named.iter().all(|contact| contacts.contains(contact));
        if done.code == 1 && blamed_rightly && !done.diagnoses().is_empty() {
            return Ok(());
        }
        Err(format!("{one}, {two}: exit {}, named {named:?} ({})", done.code, done.diagnosis_text()))
    });
}
