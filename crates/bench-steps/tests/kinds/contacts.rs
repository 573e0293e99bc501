//! Steps that look at single contacts: by their diodes, their drivers, their leakage.

use crate::bed::{Setup, Wiring};
use crate::plans::World;
use crate::steps::{step, story};

pub const CLAMP_DIODES: &str = "kind = 'clamp-diodes'\npins = ['A0', 'A1', 'USBDATA+', 'VUSB']\ncurrent = '1.5 mA'\n\
                                from_ground = { min = '0.45 V', max = '0.85 V' }";
const BOTH_DIODES: &str = "kind = 'clamp-diodes'\npins = ['A0', 'A1', 'A2', 'RST']\nsupply = '3V3'\n\
                           to_supply = { min = '0.45 V', max = '0.8 V' }\n\
                           from_ground = { min = '0.45 V', max = '0.8 V' }";

fn wired(opens: &[u8], cold: &[(u8, f64)]) -> Setup {
    let wiring = Wiring { opens: opens.to_vec(), cold: cold.to_vec(), ..Wiring::default() };
    Setup { wiring, ..Setup::default() }
}

#[test]
fn diodes_and_what_is_said_of_them() {
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
        assert_eq!(ran.told.measured.borrow().len(), measurements.len(), "not all that was promised");
    }
}
