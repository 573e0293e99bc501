//! What only a board with a supply of its own and one ground contact can have, with the real firmware.

use crate::support::{for_all, run_plan};

const PLAN: &str = "plans/boron.toml";

#[test]
fn defects_of_a_board_with_its_own_supply_are_told() {
    // (fault, exit code, diagnosis, contacts that are named)
    let rows: [(&str, i32, &str, &[u8]); 9] = [
        ("stuck-high:14", 1, "contact 14 (RX): stuck high", &[14]),
        ("stuck-low:14", 1, "contact 14 (RX): stuck low", &[14]),
        ("overload:3v3", 1, "rail 3V3, which the module makes of LI+: overloaded", &[2]),
        ("cold:2", 1, "rail 3V3: only", &[2]),
        ("cold:27", 1, "cold joint at contact 27 (LI+)", &[27]),
        ("cold:4", 1, "contact 4 (GND): cold joint", &[4]),
        ("open:4", 1, "contact 4 (GND): open", &[4]),
        ("leak:1-gnd", 1, "contact 1 (RST): leak to ground, about", &[1]),
        ("pwm-dead:0", 1, "the MCU's PWM0 is dead: no edges at its contacts 23 (D7)", &[]),
    ];
    for_all(&rows, |(fault, code, expected, contacts)| {
        let done = run_plan(PLAN, &["--quiet", "--fault", fault]);
        let right = done.code == *code && done.diagnosis_text().contains(expected) && done.named() == *contacts;
        if right { Ok(()) } else { Err(format!("{fault}: exit {}, diagnosis {}", done.code, done.diagnosis_text())) }
    });
}

#[test]
fn an_empty_nest_is_an_error_and_no_fail() {
    let done = run_plan(PLAN, &["--fault", "empty-nest"]);
    assert_eq!(done.code, 2, "{}", done.stdout);
    assert!(done.stdout.contains("is a module in the nest"), "{}", done.stdout);
    assert_eq!(done.diagnosis_text(), "");
}
