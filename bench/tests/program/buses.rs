//! Defects of bus masters, bus lines and flow control, through the plan, with the real firmware.

use crate::support::{ShortPlan, for_all, run_plan};

#[test]
fn defects_that_only_a_bus_shows_are_told() {
    // (fault, diagnosis)
    let rows = [
        ("spim-dead:3", "SPIM3 of the MCU, the master of SPI, does not clock"),
        ("spim-dead:2", "SPIM2 of the MCU, the master of SPI1, does not clock"),
        ("twim-dead:0", "TWIM0 of the MCU, the master of Wire, does not clock"),
        ("twim-dead:1", "TWIM1 of the MCU, the master of Wire1, does not clock"),
        ("bus-line-dead:54", "contact 54 (SCK): SPIM3 does not drive it, but the plain port works"),
        ("bus-line-dead:52", "contact 52 (MOSI): SPIM3 does not drive it, but the plain port works"),
        ("bus-line-dead:50", "contact 50 (MISO): SPIM3 reads"),
        ("bus-line-dead:66", "contact 66 (D4), MISO of SPI1: SPIM2 reads"),
        ("bus-line-dead:42", "contact 42 (D2), SDA of Wire1: TWIM1 does not drive it"),
        ("bus-line-dead:20", "contact 20 (D1), SCL of Wire: TWIM0 does not drive it"),
        ("flow-dead:rts", "contact 42 (D2), RTS of Serial1: RTS stays high although the module can receive"),
        ("flow-dead:cts", "contact 40 (D3), CTS of Serial1: the module sends although CTS is high"),
    ];
    let plan = ShortPlan::up_to(&["uart-flow", "spi", "spi1", "i2c", "i2c1"]);
    for_all(&rows, |(fault, expected)| {
        let done = run_plan(plan.path(), &["--quiet", "--fault", fault]);
        let right = done.code == 1 && done.diagnosis_text().contains(expected);
        if right { Ok(()) } else { Err(format!("{fault}: exit {}, diagnosis {}", done.code, done.diagnosis_text())) }
    });
}
