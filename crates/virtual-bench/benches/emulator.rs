//! What the virtual bench costs in wall time: one vector, one I2C transfer, one idle second.
#![allow(clippy::unwrap_used)] // a benchmark that cannot be set up may panic

#[allow(dead_code, clippy::await_holding_refcell_ref)] // it serves the tests as well; one task uses the link
#[path = "../tests/virtual_bench/hands.rs"]
mod hands;

use criterion::{Criterion, criterion_group, criterion_main};
use dut_protocol::{PortSet, PortVector};
use hands::{run, setup};
use std::time::{Duration, Instant};

const CONTACTS: [u8; 21] = [22, 23, 33, 35, 37, 40, 41, 42, 43, 45, 47, 48, 50, 52, 54, 62, 64, 66, 68, 70, 72];

/// A module that is powered and greeted, in which something is done `times` times; how long that took.
fn timed(times: u64, what: impl AsyncFn(&mut hands::Hands, u64)) -> Duration {
    let setup = setup("b404x", &[], 1);
    let mut hands = setup.hands.clone();
    run(&setup, async {
        hands.power_up().await;
        hands.hello().await.unwrap();
        hands.set_baud(1_000_000).await;
        let began = Instant::now();
        for n in 0..times {
            what(&mut hands, n).await;
        }
        began.elapsed()
    })
}

fn emulator(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("virtual bench");
    group.sample_size(10);
    group.bench_function("one vector over 21 ports", |bencher| {
        bencher.iter_custom(|times| {
            timed(times, async |hands, n| {
                let all: PortSet = CONTACTS.iter().map(|contact| hands.port(*contact)).collect();
                let one = PortSet::EMPTY.with(hands.port(CONTACTS[n as usize % CONTACTS.len()]));
                let vector = PortVector { pull_up: all.minus(one), low: one, settle_us: 20, ..Default::default() };
                hands.vector(10 + (n % 50_000) as u16, vector).await;
            })
        });
    });
    group.bench_function("one nail read over I2C", |bencher| {
        bencher.iter_custom(|times| {
            timed(times, async |hands, n| {
                hands.read_nail(CONTACTS[n as usize % CONTACTS.len()]);
            })
        });
    });
    group.bench_function("one idle virtual second", |bencher| {
        bencher.iter_custom(|times| timed(times, async |hands, _| hands.sleep_ms(1000).await));
    });
    group.finish();
}

criterion_group!(benches, emulator);
criterion_main!(benches);
