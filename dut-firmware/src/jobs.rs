//! Operations that take longer than a request may. Each slot has its own task, so the link is served meanwhile.

use crate::clock::{self, Alarm};
use crate::ports;
use core::cell::Cell;
use core::hint::black_box;
use dut_protocol::{Job, JobResult, Port, PortSet};
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_nrf::pac::gpiote::vals::{Mode, Polarity};
use embassy_nrf::peripherals::{PPI_CH2, PPI_CH3, TIMER1, TIMER2};
use embassy_nrf::ppi::{AnyConfigurableChannel, Channel as _};
use embassy_nrf::timer::Timer as Counter;
use embassy_nrf::{Peri, pac};
use embassy_sync::blocking_mutex::ThreadModeMutex;
use embassy_sync::blocking_mutex::raw::ThreadModeRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;

/// Jobs at a time.
pub const SLOTS: usize = 2;

static ORDERS: [Channel<ThreadModeRawMutex, Job, 1>; SLOTS] = [const { Channel::new() }; SLOTS];
/// The port that each slot's job drives.
static DRIVEN: [ThreadModeMutex<Cell<Option<Port>>>; SLOTS] = [const { ThreadModeMutex::new(Cell::new(None)) }; SLOTS];
/// The slot's port was released: its job must not drive it again.
static RELEASED: [Signal<ThreadModeRawMutex, ()>; SLOTS] = [const { Signal::new() }; SLOTS];
static RESULTS: Channel<ThreadModeRawMutex, (usize, JobResult), SLOTS> = Channel::new();

/// Gives the slots their counters. Every edge on the port goes through GPIOTE and PPI into a timer, so a busy processor
/// misses none.
pub fn start(
    spawner: Spawner,
    [alarm_0, alarm_1]: [Alarm; SLOTS],
    counter_0: Peri<'static, TIMER1>,
    channel_0: Peri<'static, PPI_CH2>,
    counter_1: Peri<'static, TIMER2>,
    channel_1: Peri<'static, PPI_CH3>,
) {
    let workers = [
        worker(0, alarm_0, Counter::new_counter(counter_0), channel_0.into()),
        worker(1, alarm_1, Counter::new_counter(counter_1), channel_1.into()),
    ];
    for worker in workers.into_iter().flatten() {
        spawner.spawn(worker);
    }
}

/// Gives a job to a slot that is idle according to the job table.
pub async fn order(slot: usize, job: Job) {
    let (Some(orders), Some(driven), Some(released)) = (ORDERS.get(slot), DRIVEN.get(slot), RELEASED.get(slot)) else {
        return;
    };
    // Reset here and not when the job starts, so that a release in between counts.
    released.reset();
    driven.lock(|driven| {
        driven.set(match job {
            Job::Press { port, .. } => Some(port),
            Job::Wait { .. } | Job::Busy { .. } | Job::CountEdges { .. } => None,
        });
    });
    orders.send(job).await;
}

/// Ends the jobs that drive one of these ports. Call before releasing the ports: from then on no job drives them.
pub fn release(ports: PortSet) {
    for (driven, released) in DRIVEN.iter().zip(&RELEASED) {
        if driven.lock(Cell::get).is_some_and(|port| ports.contains(port)) {
            released.signal(());
        }
    }
}

/// Waits for the next job to end. Returns its slot and its result.
pub async fn next_result() -> (usize, JobResult) {
    RESULTS.receive().await
}

#[embassy_executor::task(pool_size = SLOTS)]
async fn worker(
    slot: usize,
    mut alarm: Alarm,
    mut counter: Counter<'static>,
    channel: Peri<'static, AnyConfigurableChannel>,
) {
    // By register: the HAL's `Ppi` takes events of its own drivers only, and its GPIOTE driver owns a fixed port.
    let route = pac::PPI.ch(channel.number());
    route.eep().write_value(pac::GPIOTE.events_in(slot).as_ptr() as u32);
    route.tep().write_value(counter.regs().tasks_count().as_ptr() as u32);
    pac::PPI.chenset().write(|enabled| enabled.set_ch(channel.number(), true));
    counter.start();
    loop {
        let result = match ORDERS[slot].receive().await {
            Job::Wait { ms } => {
                alarm.wait_us(u32::from(ms) * 1_000).await;
                JobResult::Waited { ms }
            }
            Job::Busy { ms } => {
                keep_busy(ms);
                JobResult::Waited { ms }
            }
            Job::Press { port, high, ms } => press(&RELEASED[slot], &mut alarm, port, high, ms).await,
            Job::CountEdges { port, window_ms } => count_edges(slot, &mut alarm, &counter, port, window_ms).await,
        };
        DRIVEN[slot].lock(|driven| driven.set(None));
        RESULTS.send((slot, result)).await;
    }
}

/// Ends early when the port is released, with the time that it lasted: a release takes precedence.
async fn press(
    released: &Signal<ThreadModeRawMutex, ()>,
    alarm: &mut Alarm,
    port: Port,
    high: bool,
    ms: u16,
) -> JobResult {
    if released.signaled() {
        return JobResult::Waited { ms: 0 };
    }
    let begin_us = clock::now_us();
    ports::drive(port, high);
    // The release is checked first: both may be ready when this task runs.
    match select(released.wait(), alarm.wait_us(u32::from(ms) * 1_000)).await {
        Either::First(()) => {
            let lasted_ms = clock::now_us().wrapping_sub(begin_us) / 1_000;
            // Always less than requested: the full time would mean that the job was done.
            JobResult::Waited { ms: (lasted_ms as u16).min(ms.saturating_sub(1)) }
        }
        Either::Second(()) => {
            ports::drive(port, !high);
            JobResult::Waited { ms }
        }
    }
}

/// Executes the instructions with the highest current for this long.
fn keep_busy(ms: u16) {
    let begin_us = clock::now_us();
    let divisor = black_box(1.5_f32);
    let mut quotient = 1.25;
    while clock::now_us().wrapping_sub(begin_us) < u32::from(ms) * 1_000 {
        for _ in 0..16 {
            // Each division waits for the one before, fourteen cycles.
            quotient = divisor / (divisor / (divisor / (divisor / quotient)));
            quotient = divisor / (divisor / (divisor / (divisor / quotient)));
        }
    }
    black_box(quotient);
}

async fn count_edges(
    slot: usize,
    alarm: &mut Alarm,
    counter: &Counter<'static>,
    port: Port,
    window_ms: u16,
) -> JobResult {
    ports::connect_input(port);
    let gpiote = pac::GPIOTE.config(slot);
    gpiote.write(|edge| {
        edge.set_mode(Mode::Event);
        edge.set_psel(port.pin());
        edge.set_port(port.bank() == 1);
        edge.set_polarity(Polarity::LoToHi);
    });
    counter.clear();
    let begin_us = clock::now_us();
    alarm.wait_us(u32::from(window_ms) * 1_000).await;
    let rising = counter.cc(0).capture();
    // The window is the difference of the two clock readings, not the requested time.
    let window_us = clock::now_us().wrapping_sub(begin_us);
    gpiote.write(|edge| edge.set_mode(Mode::Disabled));
    JobResult::Edges { rising, window_us }
}
