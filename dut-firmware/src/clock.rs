//! Microseconds from TIMER3, which runs from the 32 MHz crystal once that is up (see `main`).
//!
//! The HAL's own clock ticks every 30.5 us from an RC oscillator, too coarse for settling times and too inaccurate for
//! counting windows.

use core::future::poll_fn;
use core::task::Poll;
use cortex_m::asm;
use embassy_nrf::interrupt::{self, InterruptExt};
use embassy_nrf::timer::{Frequency, Timer};
use embassy_nrf::{Peri, pac, peripherals::TIMER3};
use embassy_sync::waitqueue::AtomicWaker;

/// The compare register that `now_us` captures into; number n + 1 wakes alarm n.
const CAPTURE: usize = 0;
const ALARMS: usize = 3;

/// Cycles of one microsecond at 64 MHz.
const CYCLES_PER_US: u32 = 64;

/// Shorter waits are not worth entering and leaving sleep.
const SPIN_US: u32 = 10;

static WAKERS: [AtomicWaker; ALARMS] = [const { AtomicWaker::new() }; ALARMS];

/// Starts the clock. Microseconds wrap around after 71 minutes.
pub fn start(timer: Peri<'static, TIMER3>) -> [Alarm; ALARMS] {
    let timer = Timer::new(timer);
    timer.set_frequency(Frequency::F1MHz);
    timer.start();
    timer.persist();
    // SAFETY: the handler below touches only this timer and the wakers, which may be used at any time.
    unsafe { interrupt::TIMER3.enable() };
    [Alarm { number: 0 }, Alarm { number: 1 }, Alarm { number: 2 }]
}

/// Microseconds since start. One capture register is enough: no interrupt handler reads the time, so nothing comes
/// between the two accesses.
pub fn now_us() -> u32 {
    pac::TIMER3.tasks_capture(CAPTURE).write_value(1);
    pac::TIMER3.cc(CAPTURE).read()
}

/// One task's right to wait.
pub struct Alarm {
    number: usize,
}

impl Alarm {
    /// Waits at least this long (at most 30 minutes) and only a few microseconds longer.
    pub async fn wait_us(&mut self, duration_us: u32) {
        if duration_us <= SPIN_US {
            return asm::delay(duration_us * CYCLES_PER_US);
        }
        let (timer, compare) = (pac::TIMER3, self.number + 1);
        let begin = now_us();
        let has_passed = || now_us().wrapping_sub(begin) >= duration_us;
        timer.cc(compare).write_value(begin.wrapping_add(duration_us));
        timer.events_compare(compare).write_value(0);
        timer.intenset().write(|enabled| enabled.set_compare(compare, true));
        poll_fn(|context| {
            // First the waker, then the clock: an alarm between the two is then not lost.
            WAKERS[self.number].register(context.waker());
            if has_passed() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        timer.intenclr().write(|disabled| disabled.set_compare(compare, true));
    }
}

/// Wakes the alarms that are due.
pub struct InterruptHandler;

impl interrupt::typelevel::Handler<interrupt::typelevel::TIMER3> for InterruptHandler {
    unsafe fn on_interrupt() {
        let timer = pac::TIMER3;
        for (number, waker) in WAKERS.iter().enumerate() {
            let compare = number + 1;
            if timer.events_compare(compare).read() != 0 {
                timer.events_compare(compare).write_value(0);
                waker.wake();
            }
        }
    }
}
