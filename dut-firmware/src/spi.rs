//! SPI mode 0 by software, on any four ports.
//!
//! The SPIM peripheral would need exclusive ports; this restores them. It occupies the processor for up to 1 ms, which
//! the link's buffer covers.

use crate::ports::{self, Saved};
use cortex_m::asm;
use dut_protocol::SpiRequest;
use embassy_nrf::pac::gpio::vals::{Dir, Input, Pull};
use heapless::Vec;

/// Half a clock period at 64 MHz; with the port accesses, the clock stays below 2 MHz.
const HALF_PERIOD_CYCLES: u32 = 8;

/// Chip select low, write, read, chip select high. `request` has been checked.
pub fn transfer<const N: usize>(request: &SpiRequest) -> Vec<u8, N> {
    let SpiRequest { sck, mosi, miso, chip_select, ref write, read } = *request;
    // In the order of restoring: the clock must not change after chip select is released.
    let saved = [sck, mosi, miso, chip_select].map(Saved::of);

    ports::set(chip_select, true);
    ports::set(sck, false);
    ports::set(mosi, false);
    for port in [chip_select, sck, mosi] {
        ports::configuration(port).modify(|port| {
            port.set_pull(Pull::Disabled);
            port.set_dir(Dir::Output);
        });
    }
    // Its pull stays: with a previously set pull-up, a missing chip reads as 0xFF.
    ports::configuration(miso).modify(|port| {
        port.set_dir(Dir::Input);
        port.set_input(Input::Connect);
    });

    let half_period = || asm::delay(HALF_PERIOD_CYCLES);
    let exchange = |out: u8| {
        (0..8).rev().fold(0, |read, bit| {
            ports::set(mosi, out >> bit & 1 == 1);
            half_period();
            ports::set(sck, true);
            let level = ports::is_high(miso); // mode 0: valid around the rising edge
            half_period();
            ports::set(sck, false);
            read << 1 | u8::from(level)
        })
    };

    half_period();
    ports::set(chip_select, false);
    half_period();
    for byte in write {
        exchange(*byte);
    }
    // The check limits `read` to the capacity of a reply.
    let received = (0..read).take(N).map(|_| exchange(0)).collect();
    half_period();
    ports::set(chip_select, true);
    half_period();

    saved.iter().for_each(Saved::restore);
    received
}
