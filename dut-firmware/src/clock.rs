//! Microseconds from TIMER3, which runs from the 32 MHz crystal once that is up (see `main`).

use embassy_nrf::timer::{Frequency, Timer as HardwareTimer};
use embassy_nrf::{Peri, pac, peripherals::TIMER3};
use embassy_time::{Duration, Timer};

/// Waits longer than this are slept through; shorter ones are not worth the way into sleep and back.
const SPIN_US: u32 = 500;
/// The sleeping clock ticks at 32.768 kHz, and a wait may take a tick more than it should.
const SLEEP_SHORT_US: u32 = 100;

/// Starts the clock. Microseconds wrap around after 71 minutes.
pub fn start(timer: Peri<'static, TIMER3>) {
    let timer = HardwareTimer::new(timer);
    timer.set_frequency(Frequency::F1MHz);
    timer.start();
    timer.persist();
}

/// Microseconds since start. There is one capture register for all: nothing interrupts a task between its two accesses,
/// because no interrupt handler asks for the time.
pub fn now_us() -> u32 {
    pac::TIMER3.tasks_capture(0).write_value(1);
    pac::TIMER3.cc(0).read()
}

/// Waits at least this long, and not noticeably longer.
pub async fn wait_us(duration_us: u32) {
    let begin = now_us();
    loop {
        let rest_us = duration_us.saturating_sub(now_us().wrapping_sub(begin));
        if rest_us > SPIN_US {
            // The RC oscillator behind the sleeping clock may be slow by some per cent: sleep for less, look again.
            let sleep_us = rest_us - rest_us / 32 - SLEEP_SHORT_US;
            Timer::after(Duration::from_micros(sleep_us.into())).await;
        } else if rest_us == 0 {
            return;
        }
    }
}
