//! The chip's SPI masters.
//!
//! By register, because the HAL's drivers own their ports and wait for an END event that a broken SPIM never generates.

use crate::clock::Alarm;
use crate::ports::{self, Saved};
use core::sync::atomic::{Ordering, compiler_fence};
use dut_protocol::{BUS_MAX_BYTES, Port, Refusal, SpiMasterRequest};
use embassy_nrf::pac::gpio::vals::{Dir, Drive, Input, Pull};
use embassy_nrf::pac::spim::vals::{Cpha, Cpol, Enable, Frequency, Order};
use embassy_nrf::pac::{self, spim::Spim};
use heapless::Vec;

/// Transmit buffer of SPIM3: a separate block of RAM (memory.x), because its data may be corrupted when the processor
/// or another peripheral uses the same block meanwhile (nRF52840, erratum 198).
const TO_SEND: usize = 0x2000_0000;

/// From this clock rate on the ports need high drive strength.
const STRONG_FROM_KILOHERTZ: u16 = 8_000;
/// Checks for the end after the duration of the transfer.
const LOOKS: u32 = 20;
const LOOK_US: u32 = 50;

const MASTERS: [Spim; 4] = [pac::SPIM0, pac::SPIM1, pac::SPIM2, pac::SPIM3];

/// The HAL's table ends at 8 MHz; SPIM3 has two more (nRF52840 product specification, SPIM.FREQUENCY).
fn frequency(kilohertz: u16) -> Frequency {
    match kilohertz {
        125 => Frequency::K125,
        250 => Frequency::K250,
        500 => Frequency::K500,
        2_000 => Frequency::M2,
        4_000 => Frequency::M4,
        8_000 => Frequency::M8,
        16_000 => Frequency::from_bits(0x0A00_0000),
        32_000 => Frequency::from_bits(0x1400_0000),
        _ => Frequency::M1,
    }
}

/// Executes a checked request. [`Refusal::NotRunning`]: the transfer did not end. The ports are restored in any case.
pub async fn transfer(request: &SpiMasterRequest, alarm: &mut Alarm) -> Result<Vec<u8, BUS_MAX_BYTES>, Refusal> {
    let SpiMasterRequest { unit, sck, mosi, miso, chip_select, mode, kilohertz, ref write, read } = *request;
    let master = *MASTERS.get(usize::from(unit)).ok_or(Refusal::OutOfRange)?;
    let saved = [sck, mosi, miso, chip_select].map(Saved::of);
    let idle_high = mode & 2 != 0;
    prepare_ports(request, idle_high);
    configure(master, request, idle_high);

    let bytes = write.len() + usize::from(read);
    // The read bytes begin after the written ones.
    let mut received = [0; 2 * BUS_MAX_BYTES];
    for (offset, byte) in write.iter().enumerate() {
        // SAFETY: reserved RAM, see TO_SEND; at most `BUS_MAX_BYTES`.
        unsafe { core::ptr::with_exposed_provenance_mut::<u8>(TO_SEND + offset).write_volatile(*byte) };
    }
    master.dma().tx().ptr().write_value(TO_SEND as u32);
    master.dma().tx().maxcnt().write(|count| count.0 = write.len() as u32);
    master.dma().rx().ptr().write_value(received.as_mut_ptr() as u32);
    master.dma().rx().maxcnt().write(|count| count.0 = bytes as u32);
    master.events_end().write_value(0);
    compiler_fence(Ordering::SeqCst);

    ports::set(chip_select, false);
    master.tasks_start().write_value(1);
    alarm.wait_us(bytes as u32 * 8 * 1_000 / u32::from(kilohertz) + 1).await;
    let mut ended = master.events_end().read() != 0;
    for _ in 0..LOOKS {
        if ended {
            break;
        }
        alarm.wait_us(LOOK_US).await;
        ended = master.events_end().read() != 0;
    }
    ports::set(chip_select, true);
    master.tasks_stop().write_value(1);
    master.enable().write(|enable| enable.set_enable(Enable::Disabled));
    compiler_fence(Ordering::SeqCst);
    saved.iter().for_each(Saved::restore);
    if ended {
        Ok(received.iter().skip(write.len()).take(usize::from(read)).copied().collect())
    } else {
        Err(Refusal::NotRunning)
    }
}

/// Chip select high, clock at rest, outputs on.
fn prepare_ports(request: &SpiMasterRequest, idle_high: bool) {
    let SpiMasterRequest { sck, mosi, miso, chip_select, kilohertz, .. } = *request;
    ports::set(chip_select, true);
    ports::set(sck, idle_high);
    ports::set(mosi, false);
    let drive = if kilohertz >= STRONG_FROM_KILOHERTZ { Drive::H0h1 } else { Drive::S0s1 };
    for port in [chip_select, sck, mosi] {
        ports::configuration(port).modify(|port| {
            port.set_pull(Pull::Disabled);
            port.set_input(Input::Connect);
            port.set_drive(drive);
            port.set_dir(Dir::Output);
        });
    }
    ports::configuration(miso).modify(|port| {
        port.set_dir(Dir::Input);
        port.set_input(Input::Connect);
    });
}

fn configure(master: Spim, request: &SpiMasterRequest, idle_high: bool) {
    for (selection, port) in
        [(master.psel().sck(), request.sck), (master.psel().mosi(), request.mosi), (master.psel().miso(), request.miso)]
    {
        // PSEL: number of the port, with bit 31 clear for "connected".
        selection.write(|select| select.0 = port_number(port));
    }
    master.config().write(|config| {
        config.set_order(Order::MsbFirst);
        config.set_cpol(if idle_high { Cpol::ActiveLow } else { Cpol::ActiveHigh });
        config.set_cpha(if request.mode & 1 != 0 { Cpha::Trailing } else { Cpha::Leading });
    });
    master.frequency().write(|clock| clock.set_frequency(frequency(request.kilohertz)));
    master.orc().write(|filler| filler.set_orc(0));
    master.shorts().write(|shorts| shorts.0 = 0);
    master.enable().write(|enable| enable.set_enable(Enable::Enabled));
}

/// Numbers of the PSEL registers: P1.00 follows P0.31.
pub fn port_number(port: Port) -> u32 {
    u32::from(port.index())
}
