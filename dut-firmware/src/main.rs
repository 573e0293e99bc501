//! Runs on the module under test and executes the bench's requests.
//!
//! One image for every model: it knows ports (P0.03), not pins, contacts or models. `dut-protocol` describes requests,
//! refusals and replies; only the code that needs the chip is here.
//!
//! | module | contents |
//! |---|---|
//! | [`session`] | one request in, one reply out; release of the ports |
//! | [`link`] | bytes over UARTE0 |
//! | [`power`] | System OFF, and lending the link's ports to the bench |
//! | [`ports`], [`spi`], [`spim`], [`twim`], [`adc`], [`edges`], [`flash`], [`retained`], [`usb`], [`pwm`], [`crystal`], [`jobs`],
//! [`modem`], [`ble`], [`nfc`] | the requests that access hardware |
//! | [`radio`] | packets of Bluetooth Low Energy |
//! | [`clock`] | microseconds |
//! | [`chip`] | identity and status of the chip |
//! | [`fault`] | reaction to bugs in this program |
//!
//! Ports never stay driven: silence on the link releases them, a panic or fault releases them and restarts, and the
//! watchdog restarts a program that hangs, which releases them too.
#![no_std]
#![no_main]

mod adc;
mod ble;
mod chip;
mod clock;
mod crystal;
mod edges;
mod fault;
mod flash;
mod jobs;
mod link;
mod memory;
mod modem;
mod nfc;
mod ports;
mod power;
mod pwm;
mod radio;
mod retained;
mod session;
mod spi;
mod spim;
mod twim;
mod uart;
mod usb;

use dut_protocol::WATCHDOG_MS;
use dut_protocol::check::PortRules;
use embassy_executor::Spawner;
use embassy_nrf::config::{Config, HfclkSource, LfclkSource};
use embassy_nrf::usb::vbus_detect;
use embassy_nrf::wdt::{self, HaltConfig, SleepConfig, Watchdog};
use embassy_nrf::{bind_interrupts, buffered_uarte, nfct, pac, peripherals, qspi, saadc, usb as usbd};

bind_interrupts!(struct Irqs {
    UARTE0 => buffered_uarte::InterruptHandler<peripherals::UARTE0>;
    UARTE1 => buffered_uarte::InterruptHandler<peripherals::UARTE1>;
    QSPI => qspi::InterruptHandler<peripherals::QSPI>;
    SAADC => saadc::InterruptHandler;
    TIMER3 => clock::InterruptHandler;
    GPIOTE => edges::InterruptHandler;
    RADIO => radio::InterruptHandler;
    USBD => usbd::InterruptHandler<peripherals::USBD>;
    NFCT => nfct::InterruptHandler;
    CLOCK_POWER => vbus_detect::InterruptHandler;
});

/// The watchdog restarts a program that does not return to its main loop for [`WATCHDOG_MS`].
const WATCHDOG_TICKS: u32 = 32_768 * WATCHDOG_MS / 1000;

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let mut config = Config::default();
    // The link must work on a module whose crystals do not, because the bench diagnoses a dead crystal over this link.
    // So the 32.768 kHz comes from the RC oscillator (good to 2 %, it only times waits), and start-up waits for neither
    // crystal.
    config.lfclk_source = LfclkSource::InternalRC;
    config.hfclk_source = HfclkSource::Internal;
    let p = embassy_nrf::init(config);
    // Once the 32 MHz crystal runs the chip switches over to it by itself. UART at 1 Mbaud and counting edges over a
    // known time need it: the internal oscillator may be off by several per cent.
    pac::CLOCK.tasks_hfclkstart().write_value(1);

    let rules = PortRules::new(chip::nfc_pads_are_gpio());
    ports::release(rules.usable());
    power::lend_as_ordered().await;

    let [alarm, job_alarms @ ..] = clock::start(p.TIMER3);
    let link = link::Link::new(p.UARTE0, p.TIMER0, p.PPI_CH0, p.PPI_CH1, p.PPI_GROUP0);
    let adc = adc::Adc::new(p.SAADC, p.P0_02, p.P0_03, p.P0_04, p.P0_05, p.P0_28, p.P0_29, p.P0_30, p.P0_31);
    let flash = flash::Flash::new(p.QSPI, p.P0_17, p.P0_19, p.P0_20, p.P0_21, p.P0_22, p.P0_23);
    usb::start(spawner, p.USBD);
    ble::start(spawner);
    nfc::start(spawner, p.NFCT);
    jobs::start(spawner, job_alarms, p.TIMER1, p.PPI_CH2, p.TIMER2, p.PPI_CH3);

    let modem = modem::Modem::new(modem::Parts {
        uarte: p.UARTE1,
        byte_counter: p.TIMER4,
        count_channel: p.PPI_CH4,
        restart_channel: p.PPI_CH5,
        group: p.PPI_GROUP1,
    });

    let mut watchdog = wdt::Config::default();
    watchdog.timeout_ticks = WATCHDOG_TICKS;
    watchdog.action_during_sleep = SleepConfig::Run;
    watchdog.action_during_debug_halt = HaltConfig::Pause;
    // A watchdog that already runs keeps its settings through a soft reset; they are ours, so this fails only under
    // another program's watchdog, which nothing here could feed.
    let handle = Watchdog::try_new(p.WDT, watchdog).ok().map(|(_, [handle])| handle);

    session::Session::new(link, adc, flash, modem, alarm, rules, handle).run().await
}
