//! The four PWM units, by register: the HAL's driver owns the ports it drives, and here any port may be driven.

use crate::ports;
use core::sync::atomic::{AtomicU16, Ordering};
use dut_protocol::{PWM_OUTPUTS, PWM_UNITS, Port, PwmRequest};
use embassy_nrf::pac;
use embassy_nrf::pac::gpio::vals::{Dir, Input};
use embassy_nrf::pac::pwm::vals::{Load, Mode, Prescaler, Updown};
use embassy_nrf::pac::shared::regs::Psel;

const UNITS: [pac::pwm::Pwm; PWM_UNITS] = [pac::PWM0, pac::PWM1, pac::PWM2, pac::PWM3];

/// What the units load from RAM: the compare value of each output.
static VALUES: [[AtomicU16; PWM_OUTPUTS]; PWM_UNITS] =
    [const { [const { AtomicU16::new(0) }; PWM_OUTPUTS] }; PWM_UNITS];

const CLOCK_HZ: u32 = 16_000_000;
/// COUNTERTOP has 15 bits.
const MOST_TICKS: u32 = 0x7FFF;
/// Of a compare value: the output is high from the start of a period up to the value.
const HIGH_FIRST: u16 = 1 << 15;
const DISCONNECTED: Psel = Psel(0xFFFF_FFFF);

/// The ports that each unit drives.
pub struct Pwm {
    driven: [[Option<Port>; PWM_OUTPUTS]; PWM_UNITS],
}

impl Pwm {
    pub const fn new() -> Self {
        Self { driven: [[None; PWM_OUTPUTS]; PWM_UNITS] }
    }

    /// Starts one unit with the values of a checked request.
    pub fn start(&mut self, request: &PwmRequest) {
        let number = usize::from(request.unit);
        self.stop_unit(number);
        let (Some(unit), Some(values), Some(driven)) =
            (UNITS.get(number), VALUES.get(number), self.driven.get_mut(number))
        else {
            return;
        };
        let (prescaler, ticks) = divisors(request.frequency_hz);
        for (channel, output) in request.outputs.iter().enumerate() {
            let Some(output) = output else { continue };
            // A unit takes over a port that is already an output; its level is low before and after.
            ports::set(output.port, false);
            ports::configuration(output.port).write(|port| {
                port.set_dir(Dir::Output);
                port.set_input(Input::Connect);
            });
            unit.psel().out(channel).write(|select| {
                select.set_pin(output.port.pin());
                select.set_port(output.port.bank() == 1);
                select.set_connect(pac::shared::vals::Connect::Connected);
            });
            let compare = (ticks * u32::from(output.duty_permille) + 500) / 1000;
            values[channel].store(compare as u16 | HIGH_FIRST, Ordering::Relaxed);
            driven[channel] = Some(output.port);
        }
        unit.enable().write(|enable| enable.set_enable(true));
        unit.mode().write(|mode| mode.set_updown(Updown::Up));
        unit.prescaler().write(|value| value.set_prescaler(Prescaler::from_bits(prescaler)));
        unit.countertop().write(|top| top.set_countertop(ticks as u16));
        unit.decoder().write(|decoder| {
            decoder.set_load(Load::Individual);
            decoder.set_mode(Mode::RefreshCount);
        });
        unit.loop_().write(|_| {});
        let sequence = unit.dma().seq(0);
        sequence.ptr().write_value(values.as_ptr() as u32);
        sequence.maxcnt().write(|count| count.0 = PWM_OUTPUTS as u32);
        sequence.refresh().write(|refresh| refresh.0 = 0);
        sequence.enddelay().write(|delay| delay.0 = 0);
        // Played once; the last values then stay until the unit is stopped.
        unit.tasks_dma().seq(0).start().write_value(1);
    }

    /// Stops every unit at once, even within a period.
    pub fn stop(&mut self) {
        (0..PWM_UNITS).for_each(|number| self.stop_unit(number));
    }

    fn stop_unit(&mut self, number: usize) {
        let (Some(unit), Some(driven)) = (UNITS.get(number), self.driven.get_mut(number)) else { return };
        if driven.iter().all(Option::is_none) {
            return;
        }
        unit.tasks_stop().write_value(1);
        unit.enable().write(|enable| enable.set_enable(false));
        for (channel, port) in driven.iter_mut().enumerate() {
            if let Some(port) = port.take() {
                unit.psel().out(channel).write_value(DISCONNECTED);
                ports::release(core::iter::once(port).collect());
            }
        }
    }
}

/// The smallest prescaler (a power of two) at which the period fits the counter, and the ticks of a period.
fn divisors(frequency_hz: u32) -> (u8, u32) {
    let ticks = |prescaler: u8| ((CLOCK_HZ >> prescaler) + frequency_hz / 2) / frequency_hz;
    let prescaler = (0..8).find(|prescaler| ticks(*prescaler) <= MOST_TICKS).unwrap_or(7);
    (prescaler, ticks(prescaler))
}
