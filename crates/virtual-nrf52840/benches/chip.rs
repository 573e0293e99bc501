//! Instructions a second, on the firmware's own code: our core and rsemu's play the same record of a chip that runs the
//! firmware, and the chip itself runs it with all its peripherals.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a benchmark that cannot be set up may panic

#[path = "../tests/common/replica.rs"]
mod replica;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dut_protocol::frame::encode_request;
use dut_protocol::{PROTOCOL_VERSION, Request, schema_hash};
use replica::{Event, Ours, Recorder, Rsemu, play};
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};
use virtual_nrf52840::{BareBoard, Chip, ChipIdentity, Observer};

const IMAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/firmware/dut-firmware.elf");
const MILLISECOND: u64 = 1_000_000;
const BYTE_NS: u64 = 100_000;

/// A chip that has just been switched on with the firmware in it.
fn chip() -> Chip {
    let image = std::fs::read(IMAGE).expect("`cargo xtask firmware` builds the image");
    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    chip.load_elf(&image).unwrap();
    chip
}

/// Asks the firmware for something and lets it answer.
fn ask(chip: &mut Chip, number: u16, request: &Request) {
    let mut buffer = [0; 256];
    for byte in encode_request(number, request, &mut buffer).unwrap() {
        chip.run_until(chip.now_ns() + BYTE_NS, &mut BareBoard);
        (0..2).for_each(|uart| chip.uart_rx_byte(uart, *byte, false));
    }
    chip.run_until(chip.now_ns() + 30 * MILLISECOND, &mut BareBoard);
}

/// What the firmware does in the benchmark: start, a greeting, then frames to answer and memory to fill and to compare.
fn session(chip: &mut Chip) {
    chip.set_power(true);
    chip.run_until(300 * MILLISECOND, &mut BareBoard);
    ask(chip, 1, &Request::Hello { version: PROTOCOL_VERSION, schema: schema_hash() });
    for round in 0..30 {
        let seed = u32::from(round) + 1;
        ask(chip, 10 * round + 10, &Request::FillRetained { seed, inverse: false });
        ask(chip, 10 * round + 11, &Request::CheckRetained { seed, inverse: false });
        ask(chip, 10 * round + 12, &Request::ReadPorts);
        ask(chip, 10 * round + 13, &Request::Identify);
    }
}

/// The record of a session, and its instructions.
fn record() -> (Vec<Event>, u64) {
    let mut chip = chip();
    let recorder = Recorder::default();
    chip.observe(Box::new(recorder.clone()));
    session(&mut chip);
    let events = std::mem::take(&mut *recorder.0.lock().unwrap());
    let last = events.iter().rev().find_map(|event| match event {
        Event::After(step, ..) => Some(*step),
        _ => None,
    });
    (events, last.unwrap())
}

/// The shortest of a few.
fn quickest(mut once: impl FnMut()) -> Duration {
    let times = (0..5).map(|_| {
        let began = Instant::now();
        once();
        began.elapsed()
    });
    times.min().unwrap()
}

/// The program in `mark/`, built for the chip; `None`: the toolchain cannot.
fn mark() -> Option<Vec<u8>> {
    let (sources, elf) =
        (concat!(env!("CARGO_MANIFEST_DIR"), "/benches/mark"), concat!(env!("CARGO_TARGET_TMPDIR"), "/mark.elf"));
    let built = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--target",
            "thumbv7em-none-eabihf",
            "-C",
            "opt-level=3",
            "-C",
            "panic=abort",
            "-C",
        ])
        .args([format!("link-arg=-T{sources}/mark.x"), format!("{sources}/mark.rs"), "-o".to_owned(), elf.to_owned()])
        .status();
    built.is_ok_and(|status| status.success()).then(|| std::fs::read(elf).unwrap())
}

/// Work like that of CoreMark: how much quicker than the chip's real 64 MHz it runs.
fn like_coremark() {
    let Some(elf) = mark() else {
        return println!("the program in benches/mark was not built: `rustup target add thumbv7em-none-eabihf`");
    };
    const SPAN_NS: u64 = 500 * MILLISECOND;
    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    chip.load_elf(&elf).unwrap();
    chip.set_power(true);
    let took = quickest(|| {
        chip.run_until(chip.now_ns() + SPAN_NS, &mut BareBoard);
    });
    let stats = chip.stats();
    let cycles = (chip.now_ns() - stats.slept_ns) as f64 * 0.064;
    println!(
        "lists, matrices, text and checksums: {:.2} times as quick as a real chip, {:.2} cycles an instruction, {:.0} MHz",
        SPAN_NS as f64 / took.as_nanos() as f64,
        cycles / stats.instructions as f64,
        64.0 * SPAN_NS as f64 / took.as_nanos() as f64
    );
    assert!(chip.diagnostics().is_empty(), "{:?}", chip.diagnostics());
}

fn instructions(criterion: &mut Criterion) {
    like_coremark();
    let (events, steps) = record();
    let on_ours = || play(&events, black_box(&mut Ours::new()));
    let on_rsemu = || {
        let (mut rsemu, report) = Rsemu::new();
        play(&events, black_box(&mut rsemu as &mut dyn Observer));
        assert_eq!(report.lock().unwrap().problem, None);
    };
    let of_chip = || {
        let mut chip = chip();
        session(&mut chip);
        assert!(chip.stats().instructions > 0);
    };
    // In one go and alternating, so that the ratio holds on a busy machine, too.
    let million = |took: Duration| steps as f64 / took.as_secs_f64() / 1e6;
    let (ours, rsemu, whole) = (quickest(on_ours), quickest(on_rsemu), quickest(of_chip));
    println!(
        "{steps} instructions of the firmware: {:.1} million a second on our core, {:.1} on rsemu's ({:.1} times), {:.1} with \
         the whole chip around our core",
        million(ours),
        million(rsemu),
        rsemu.as_secs_f64() / ours.as_secs_f64(),
        million(whole)
    );
    let mut group = criterion.benchmark_group("firmware");
    group.sample_size(10).throughput(Throughput::Elements(steps));
    group.bench_function(BenchmarkId::new("core", "ours"), |bencher| bencher.iter(on_ours));
    group.bench_function(BenchmarkId::new("core", "rsemu"), |bencher| bencher.iter(on_rsemu));
    group.bench_function("chip", |bencher| bencher.iter(of_chip));
    group.finish();
}

criterion_group!(benches, instructions);
criterion_main!(benches);
