//! What happens over a restart: System OFF, and a link's TX that is lent to the bench.

use crate::ports;
use dut_protocol::{Port, Pull, Refusal, TX_LENT_MS};
use embassy_nrf::pac::{self, gpio::vals};
use embassy_time::Timer;

/// In GPREGRET, which a soft reset keeps: lend TX at the next start.
const LEND_PULLED_UP: u32 = 0xA5;
const LEND_PULLED_DOWN: u32 = 0xA6;
/// P0.06.
const TX: usize = 6;

/// Leaves the order for [`tx_as_ordered`] at the next start.
///
/// By a restart, because the pins of a UARTE may only be changed while it is off (nRF52840 product specification, UARTE,
/// pin configuration), and taking the link's driver apart and together would be more than that.
pub fn order_tx(pull: Pull) {
    let order = match pull {
        Pull::Up => LEND_PULLED_UP,
        Pull::Down => LEND_PULLED_DOWN,
    };
    pac::POWER.gpregret().write(|register| register.0 = order);
}

/// To be called before the link starts: keeps TX as an input for a while if the start before ordered it.
pub async fn tx_as_ordered() {
    let pull = match pac::POWER.gpregret().read().0 {
        LEND_PULLED_UP => vals::Pull::Pullup,
        LEND_PULLED_DOWN => vals::Pull::Pulldown,
        _ => return,
    };
    pac::POWER.gpregret().write(|register| register.0 = 0);
    pac::P0.pin_cnf(TX).write(|port| {
        port.set_input(vals::Input::Disconnect);
        port.set_pull(pull);
    });
    Timer::after_millis(TX_LENT_MS.into()).await;
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
