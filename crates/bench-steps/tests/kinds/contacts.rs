//! Steps that test single contacts: their diodes, their drivers, their leakage.

use crate::bed::{Setup, To, Wiring};
use crate::plans::World;
use crate::steps::{PULLED_UP, good, powered, refusing, step, story};
use bench_instruments::DutError;
use dut_protocol::{Reply, Request};

pub const CLAMP_DIODES: &str = "kind = 'clamp-diodes'\npins = ['A0', 'A1', 'USBDATA+', 'VUSB']\ncurrent = '1.5 mA'\n\
                                from_ground = { min = '0.45 V', max = '0.85 V' }";
const BOTH_DIODES: &str = "kind = 'clamp-diodes'\npins = ['A0', 'A1', 'A2', 'RST']\nsupply = '3V3'\n\
                           to_supply = { min = '0.45 V', max = '0.8 V' }\n\
                           from_ground = { min = '0.45 V', max = '0.8 V' }";

pub const DRIVE: &str = "kind = 'drive'\npins = ['A0', 'RGBR']\nohms = { max = '120 ohm' }\nsupply = '3V3'";
pub const RESET: &str = "kind = 'reset'\nsupply = '3V3'\nvolts = { min = '0.1 V', max = '3.4 V' }\n\
                         ohms = { min = '10.4 kohm', max = '16.8 kohm' }";
pub const QUIET: &str = "kind = 'quiet'\npins = ['NC', 'SIM_CLK']\nvolts = { max = '100 mV' }\n\
                         ohms = { min = '20 kohm' }";

const QUIET_FINE: &str = "kind = 'quiet'\npins = ['SIM_VCC']\nvolts = { min = '-150 uV', max = '150 uV' }\nfine = true";
pub const PULLED_TO: &str = "kind = 'pulled-to'\npins = ['SIM_DATA']\nto = ['SIM_VCC']\nshare = { min = '98 %' }";

/// Voltage of two contacts of the SIM while the nail of its supply is high.
pub fn sim(supply: f64, data: f64) -> Setup {
    let wiring = Wiring {
        joints: vec![(67, To::Ground, 10.0)],
        loaded_volts: vec![(67, supply), (73, data)],
        ..Wiring::default()
    };
    Setup { wiring, ..Setup::default() }
}

#[test]
fn a_contact_that_is_pulled_to_another_one_follows_it() {
    let world = World::new();
    let held_by_nothing = Setup::default;
    let rows = [
        (sim(0.032, 0.0319), "ok"),
        (
            sim(0.032, 0.0305),
            "ok\ncontact 73 (SIM_DATA): leak to ground, only 95.3 % of the voltage at 67 (SIM_VCC) reach it",
        ),
        (sim(0.001, 0.001), "ok"),
        (held_by_nothing(), "dut: contact 67 (SIM_VCC): held at ground through 1.000 Mohm, too much to be driven"),
    ];
    for (setup, expected) in rows {
        let wiring = setup.wiring.clone();
        let ran = step(&world, PULLED_TO, setup);
        let story = story(&ran);
        let fits = if expected == "ok" { story == expected } else { story.starts_with(expected) };
        assert!(fits, "{wiring:?}\n  expected {expected}\n  got {story}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{wiring:?}");
    }
    // Without a reference voltage nothing was measured, which is no pass.
    let ran = step(&world, PULLED_TO, sim(0.001, 0.001));
    assert_eq!(ran.log.measured.borrow().get("SIM_DATA.share"), Some(&None));
}

/// No module with this bed makes its own supply, so any contact will do for the doubles.
pub const ENABLE: &str = "kind = 'enable'\npin = ['RST']\nsupply = '3V3'\nrest = { min = '0.1 V' }\n\
                          off = { max = '0.3 V' }\non = { min = '3.2 V' }\nsettle = '1 ms'";

/// Was just started by its reset pin.
fn restarted(request: &Request) -> Result<Reply, DutError> {
    match good(request)? {
        Reply::Identity(identity) => Ok(Reply::Identity(dut_protocol::Identity { reset_reason: 1, ..identity })),
        other => Ok(other),
    }
}

/// TX shows at the reset contact, and the reset pad behind TX's.
pub fn reset_and_tx_exchanged() -> Setup {
    let mut setup = powered(restarted, &[(34, 3.0), (36, PULLED_UP), (38, PULLED_UP)]);
    setup.wiring.silenced_by = Some((34, 36));
    setup
}

/// A module whose own pull-up does not release the reset.
fn reset_not_pulled_up() -> Setup {
    let mut setup = powered(restarted, &[]);
    setup.wiring.started_by = Some((36, 34));
    setup
}

fn held_low(contact: u8) -> Setup {
    let mut setup = powered(good, &[]);
    setup.wiring.joints = vec![(contact, To::Ground, 43.0)];
    setup
}

fn wired(opens: &[u8], cold: &[(u8, f64)]) -> Setup {
    let wiring = Wiring { opens: opens.to_vec(), cold: cold.to_vec(), ..Wiring::default() };
    Setup { wiring, ..Setup::default() }
}

#[test]
fn diode_defects_are_diagnosed() {
    let world = World::new();
    let rows = [
        (CLAMP_DIODES, wired(&[], &[]), "ok"),
        (
            CLAMP_DIODES,
            wired(&[11], &[]),
            "ok\ncontact 11 (USBDATA+): open, no current flows into its protection diodes",
        ),
        (CLAMP_DIODES, wired(&[16], &[]), "ok\ncontact 16 (VUSB): open, no current flows into its protection diodes"),
        (BOTH_DIODES, wired(&[], &[]), "ok"),
        (
            BOTH_DIODES,
            wired(&[23], &[(34, 220.0)]),
            "ok\ncontact 23 (A0): open, no current flows into its protection diodes\n\
             contact 34 (RST): cold joint, about 220.0 ohm in series with its protection diodes",
        ),
        (BOTH_DIODES, wired(&[23, 33, 35, 34], &[]), "ok\nno current flows into any of the contacts"),
    ];
    for (text, setup, expected) in rows {
        let wiring = setup.wiring.clone();
        let ran = step(&world, text, setup);
        let story = story(&ran);
        let fits = if expected == "ok" { story == expected } else { story.starts_with(expected) };
        assert!(fits, "{wiring:?}\n  expected {expected}\n  got {story}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{wiring:?}");
        let measurements = &world.check(text).unwrap().steps[0].step.measurements;
        assert_eq!(ran.log.measured.borrow().len(), measurements.len(), "not all that was promised");
    }
}

#[test]
fn drivers_reset_and_quiet_contacts() {
    let world = World::new();
    let rows = [
        (
            DRIVE,
            powered(good, &[]),
            "ok\ncontact 23 (A0): open, no driver of port P0.03 reaches it\n\
             contact 61 (RGBR): open, no driver of port P0.13 reaches it",
        ),
        (DRIVE, powered(refusing, &[]), "bench: the firmware refused"),
        (RESET, powered(restarted, &[(34, PULLED_UP)]), "ok"),
        (RESET, powered(good, &[(34, PULLED_UP)]), "ok\ncontact 34 (RST): a low level does not reset the module"),
        (RESET, powered(restarted, &[(34, 3.2)]), "ok\ncontact 34 (RST): held high through 31.25 ohm"),
        (
            RESET,
            powered(restarted, &[(36, 3.0)]),
            "ok\ncontact 34 (RST): open, it rests at 0.000 V while the module runs",
        ),
        (RESET, reset_not_pulled_up(), "ok\ncontact 34 (RST): not pulled up, it rests at 0.000 V"),
        (
            RESET,
            Setup { connects: false, ..powered(good, &[]) },
            "dut: the module does not answer\nthe module does not start: ",
        ),
        (RESET, reset_and_tx_exchanged(), "ok\ncontacts 34 (RST) and 36 (TX): exchanged"),
        (
            RESET,
            Setup { connects: false, ..powered(good, &[(34, PULLED_UP), (36, 3.2)]) },
            "dut: the module does not answer\ncontact 36 (TX): ",
        ),
        (QUIET_FINE, powered(good, &[]), "ok"),
        (QUIET_FINE, powered(good, &[(1, 4e-5), (67, 1.4e-4)]), "ok"),
        (
            QUIET_FINE,
            powered(good, &[(1, 4e-5), (67, 3.7e-4)]),
            "ok\ncontact 67 (SIM_VCC): carries 330.0 uV, 370.0 uV under 1 kohm: a leak",
        ),
        (ENABLE, powered(good, &[(34, PULLED_UP)]), "ok\ncontact 34 (RST): pulled low, it leaves 3V3 at 3.300 V"),
        (ENABLE, powered(good, &[]), "ok\ncontact 34 (RST): open or not pulled up, it rests at 0.000 V"),
        (QUIET, powered(good, &[]), "ok"),
        (QUIET, held_low(71), "ok\ncontact 71 (SIM_CLK): held at ground through 43.00 ohm while the module has power"),
        (QUIET, powered(good, &[(71, 3.2)]), "ok\ncontact 71 (SIM_CLK): carries 3.200 V, 3.200 V under 1 kohm: driven"),
    ];
    for (text, setup, expected) in rows {
        let held = setup.wiring.loaded_volts.clone();
        let ran = step(&world, text, setup);
        let story = story(&ran);
        let fits = if expected == "ok" { story == expected } else { story.starts_with(expected) };
        assert!(fits, "{text}\n{held:?}\n  expected {expected}\n  got {story}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{text} {held:?}");
    }
}
