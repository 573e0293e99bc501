//! What the virtual bench costs in wall time. Prints and asserts nothing about time, because a busy machine is no
//! defect: `cargo test --release -p virtual-bench -- --ignored --nocapture cost`.

use crate::hands::{Io, run, setup};
use dut_protocol::{PortSet, PortVector};
use std::time::Instant;

#[test]
#[ignore = "a measurement, not a test"]
fn cost_of_a_run() {
    let setup = setup("b404x", &[], 1);
    let mut hands = setup.hands.clone();
    let began = Instant::now();
    run(&setup, async {
        hands.power_up().await;
        hands.hello().await.unwrap();
        hands.set_baud(1_000_000).await;
        println!("power-up and hello: {:?}", began.elapsed());
        let contacts = [22, 23, 33, 35, 37, 40, 41, 42, 43, 45, 47, 48, 50, 52, 54, 62, 64, 66, 68, 70, 72];
        let all: PortSet = contacts.iter().map(|contact| hands.port(*contact)).collect();
        let (before, frames) = (Instant::now(), 1000u16);
        for seq in 0..frames {
            let one = PortSet::EMPTY.with(hands.port(contacts[usize::from(seq) % contacts.len()]));
            let vector = PortVector { pull_up: all.minus(one), low: one, settle_us: 20, ..Default::default() };
            hands.vector(10 + seq, vector).await;
        }
        println!("one vector: {:?}", before.elapsed() / u32::from(frames));
        let (before, rounds) = (Instant::now(), 125u32);
        let i2c = setup.bench.stats().i2c_transactions;
        for round in 0..rounds {
            let contact = contacts[round as usize % contacts.len()];
            hands.nail(contact, if round % 2 == 0 { Io::High } else { Io::Low });
            hands.read_nail(contact);
            hands.volts(contact).await;
        }
        let transactions = setup.bench.stats().i2c_transactions - i2c;
        println!("{transactions} I2C transactions: {:?} each", before.elapsed() / transactions as u32);
        let before = Instant::now();
        hands.sleep_ms(1000).await;
        println!("one idle second: {:?}", before.elapsed());
    });
    let (stats, wall) = (setup.bench.stats(), began.elapsed());
    println!("{stats:?} in {wall:?}, {:.1} MIPS", stats.instructions as f64 / wall.as_secs_f64() / 1e6);
}
