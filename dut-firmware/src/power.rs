//! Functions that involve a restart: System OFF, and lending the link's ports to the bench.

use crate::ports;
use dut_protocol::{Port, Pull, RX_DRIVEN_AFTER_MS, RX_DRIVEN_MS, Refusal, TX_LENT_MS};
use embassy_nrf::pac::{self, gpio::vals};
use embassy_time::{Duration, Instant, Timer};

/// In GPREGRET, which a soft reset keeps: lend the link's ports at the next start.
const LEND_PULLED_UP: u32 = 0xA5;
const LEND_PULLED_DOWN: u32 = 0xA6;
/// P0.06 and P0.08.
const TX: usize = 6;
const RX: usize = 8;

/// Stores the request for [`lend_as_ordered`] at the next start.
///
/// Needs a restart because the pins of a UARTE may only be changed while it is off (nRF52840 product specification,
/// UARTE, pin configuration), and rebuilding the link's driver would be more work.
pub fn order_lending(pull: Pull) {
    let order = match pull {
        Pull::Up => LEND_PULLED_UP,
        Pull::Down => LEND_PULLED_DOWN,
    };
    pac::POWER.gpregret().write(|register| register.0 = order);
}

/// Lends the link's ports for a while if the previous start requested it. Call before the link starts. TX is an input
/// with the requested pull all the time, and RX an output of the same level in the middle of that time: by then the
/// bench, which is informed before the restart, has removed its own driver from the line.
pub async fn lend_as_ordered() {
    let (pull, high) = match pac::POWER.gpregret().read().0 {
        LEND_PULLED_UP => (vals::Pull::Pullup, true),
        LEND_PULLED_DOWN => (vals::Pull::Pulldown, false),
        _ => return,
    };
    pac::POWER.gpregret().write(|register| register.0 = 0);
    let ends = Instant::now() + Duration::from_millis(TX_LENT_MS.into());
    pac::P0.pin_cnf(TX).write(|port| {
        port.set_input(vals::Input::Disconnect);
        port.set_pull(pull);
    });
    Timer::after_millis(RX_DRIVEN_AFTER_MS.into()).await;
    // Level first, then the driver.
    if high {
        pac::P0.outset().write(|bits| bits.0 = 1 << RX)
    } else {
        pac::P0.outclr().write(|bits| bits.0 = 1 << RX)
    }
    pac::P0.pin_cnf(RX).write(|port| {
        port.set_dir(vals::Dir::Output);
        port.set_input(vals::Input::Disconnect);
        port.set_drive(vals::Drive::H0h1);
    });
    Timer::after_millis(RX_DRIVEN_MS.into()).await;
    pac::P0.pin_cnf(RX).write(|port| port.set_input(vals::Input::Disconnect));
    pac::P0.outclr().write(|bits| bits.0 = 1 << RX);
    Timer::at(ends).await;
}

/// Prepares the port to wake the chip. Returns `false` if it is already high and would wake the chip at once.
pub fn prepare_wake(port: Port) -> Result<(), Refusal> {
    ports::configuration(port).write(|port| {
        port.set_input(vals::Input::Connect);
        port.set_pull(vals::Pull::Pulldown);
    });
    // A pull of 16 kohm discharges 100 pF within microseconds.
    cortex_m::asm::delay(64 * 20);
    if ports::is_high(port) { Err(Refusal::OutOfRange) } else { Ok(()) }
}

/// Switches off until the prepared port goes high or the chip is reset; execution then restarts.
pub fn system_off(wake: Port) -> ! {
    ports::configuration(wake).modify(|port| port.set_sense(vals::Sense::High));
    cortex_m::asm::dsb();
    pac::POWER.systemoff().write(|register| register.set_systemoff(true));
    loop {
        // With a debugger attached System OFF is only emulated: the processor continues to run.
        cortex_m::asm::wfe();
    }
}
