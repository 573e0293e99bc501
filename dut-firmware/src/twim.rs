//! The chip's I2C masters.
//!
//! By register, because the HAL's driver waits forever for a line that something holds low.

use crate::clock::Alarm;
use crate::ports::{self, Saved};
use crate::spim::port_number;
use core::sync::atomic::{Ordering, compiler_fence};
use dut_protocol::{BUS_MAX_BYTES, I2cMasterRequest, I2cOutcome, Refusal};
use embassy_nrf::pac::gpio::vals::{Dir, Drive, Input, Pull};
use embassy_nrf::pac::twim::vals::{Enable, Frequency};
use embassy_nrf::pac::{self, twim::Twim};

/// 390 kHz: at 400 kHz the chip does not keep the low time of the clock (nRF52840, erratum 219).
const FAST: u32 = 0x0620_0000;
const FAST_KILOHERTZ: u32 = 390;
/// Start, repeated start, stop and their hold times, in bits.
const CONDITIONS_BITS: u32 = 6;
const BITS_PER_BYTE: u32 = 9;
/// How long lines may be held beyond the duration of the transfer.
const LOOKS: u32 = 30;
const LOOK_US: u32 = 100;
/// Time for a released line to rise with a weak pull-up.
const RISE_US: u32 = 20;

const MASTERS: [Twim; 2] = [pac::TWIM0, pac::TWIM1];

/// Executes a checked request. Restores the ports in any case.
pub async fn transfer(request: &I2cMasterRequest, alarm: &mut Alarm) -> Result<I2cOutcome, Refusal> {
    let I2cMasterRequest { unit, sda, scl, kilohertz, address, ref write, read } = *request;
    let master = *MASTERS.get(usize::from(unit)).ok_or(Refusal::OutOfRange)?;
    let saved = [sda, scl].map(Saved::of);
    for port in [sda, scl] {
        ports::configuration(port).write(|port| {
            port.set_dir(Dir::Input);
            port.set_input(Input::Connect);
            port.set_pull(Pull::Disabled);
            port.set_drive(Drive::S0d1);
        });
    }
    // PSEL: number of the port, with bit 31 clear for "connected".
    master.psel().scl().write(|select| select.0 = port_number(scl));
    master.psel().sda().write(|select| select.0 = port_number(sda));
    let (clock, khz) =
        if kilohertz == 400 { (Frequency::from_bits(FAST), FAST_KILOHERTZ) } else { (Frequency::K100, 100) };
    master.frequency().write(|register| register.set_frequency(clock));
    master.address().write(|register| register.set_address(address));
    master.enable().write(|enable| enable.set_enable(Enable::Enabled));

    let mut received = [0; BUS_MAX_BYTES];
    let mut to_send = [0; BUS_MAX_BYTES]; // EasyDMA reads from RAM only, and this is
    to_send.iter_mut().zip(write).for_each(|(place, byte)| *place = *byte);
    start(master, &to_send[..write.len()], &mut received[..usize::from(read).min(BUS_MAX_BYTES)]);

    let bytes = write.len() as u32 + u32::from(read) + 2;
    alarm.wait_us((bytes * BITS_PER_BYTE + CONDITIONS_BITS) * 1_000 / khz).await;
    let stopped = stopped(master, alarm).await;
    let error = master.errorsrc().read();
    master.shorts().write(|shorts| shorts.0 = 0);
    master.enable().write(|enable| enable.set_enable(Enable::Disabled));
    compiler_fence(Ordering::SeqCst);
    let outcome = if !stopped {
        alarm.wait_us(RISE_US).await;
        I2cOutcome::Stuck { sda_high: ports::is_high(sda), scl_high: ports::is_high(scl) }
    } else if error.anack() {
        I2cOutcome::AddressNack
    } else if error.dnack() {
        I2cOutcome::DataNack
    } else {
        I2cOutcome::Done(received.iter().take(usize::from(read)).copied().collect())
    };
    saved.iter().for_each(Saved::restore);
    Ok(outcome)
}

fn start(master: Twim, write: &[u8], read: &mut [u8]) {
    let reads = !read.is_empty();
    master.dma().tx().ptr().write_value(write.as_ptr() as u32);
    master.dma().tx().maxcnt().write(|count| count.0 = write.len() as u32);
    master.dma().rx().ptr().write_value(read.as_mut_ptr() as u32);
    master.dma().rx().maxcnt().write(|count| count.0 = read.len() as u32);
    master.errorsrc().write(|errors| {
        errors.set_anack(true); // a 1 clears
        errors.set_dnack(true);
        errors.set_overrun(true);
    });
    master.events_stopped().write_value(0);
    master.events_error().write_value(0);
    master.shorts().write(|shorts| {
        shorts.set_lasttx_dma_rx_start(reads);
        shorts.set_lasttx_stop(!reads);
        shorts.set_lastrx_stop(true);
    });
    compiler_fence(Ordering::SeqCst);
    if write.is_empty() {
        master.tasks_dma().rx().start().write_value(1);
    } else {
        master.tasks_dma().tx().start().write_value(1);
    }
}

/// Waits for the STOP, and requests it after an error.
async fn stopped(master: Twim, alarm: &mut Alarm) -> bool {
    let mut asked = false;
    for _ in 0..LOOKS {
        if master.events_stopped().read() != 0 {
            return true;
        }
        if master.events_error().read() != 0 && !asked {
            asked = true;
            master.tasks_stop().write_value(1);
        }
        alarm.wait_us(LOOK_US).await;
    }
    false
}
