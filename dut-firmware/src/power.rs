//! What happens over a restart: System OFF, and the link's ports lent to the bench.

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

/// Leaves the order for [`lend_as_ordered`] at the next start.
///
/// By a restart, because the pins of a UARTE may only be changed while it is off (nRF52840 product specification, UARTE,
/// pin configuration), and taking the link's driver apart and together would be more than that.
pub fn order_lending(pull: Pull) {
    let order = match pull {
        Pull::Up => LEND_PULLED_UP,
        Pull::Down => LEND_PULLED_DOWN,
    };
    pac::POWER.gpregret().write(|register| register.0 = order);
}

/// To be called before the link starts: lends its ports for a while if the start before ordered it. TX is an input with
/// the ordered pull all the time, and RX an output of the same level in the middle of it: by then the bench, which hears
/// of the restart before it happens, has taken its own driver off the line.
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

/// Whether the port may wake the chip: one that is high already would do so at once.
pub fn prepare_wake(port: Port) -> Result<(), Refusal> {
    ports::configuration(port).write(|port| {
        port.set_input(vals::Input::Connect);
        port.set_pull(vals::Pull::Pulldown);
    });
    // A pull of 16 kohm has 100 pF down in microseconds.
    cortex_m::asm::delay(64 * 20);
    if ports::is_high(port) { Err(Refusal::OutOfRange) } else { Ok(()) }
}

/// Switches off until the prepared port becomes high or the chip is reset; the next thing is a start.
pub fn system_off(wake: Port) -> ! {
    ports::configuration(wake).modify(|port| port.set_sense(vals::Sense::High));
    cortex_m::asm::dsb();
    pac::POWER.systemoff().write(|register| register.set_systemoff(true));
    loop {
        // With a debugger attached System OFF is only played: the processor runs on.
        cortex_m::asm::wfe();
    }
}
