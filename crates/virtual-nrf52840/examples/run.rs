//! Runs an ELF file on a chip with nothing around it and says what it cost:
//! `cargo run --release -p virtual-nrf52840 --example run -- firmware.elf [virtual milliseconds]`

use std::time::Instant;

use virtual_nrf52840::{Board, Chip, ChipIdentity, Ports};

#[derive(Default)]
struct Printer {
    sent: Vec<u8>,
    changes: u64,
}

impl Board for Printer {
    fn levels(&mut self, ports: &Ports, _at_ns: u64) -> u64 {
        ports.levels_unconnected()
    }

    fn ports_changed(&mut self, _ports: &Ports, _at_ns: u64) {
        self.changes += 1;
    }

    fn analog_volts(&mut self, _ain: u8, _ports: &Ports, _at_ns: u64) -> f64 {
        1.0
    }

    fn vdd_volts(&mut self) -> f64 {
        3.3
    }

    fn uart_tx_byte(&mut self, _uart: u8, byte: u8, _baud: u32, _at_ns: u64) {
        self.sent.push(byte);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: run FIRMWARE.elf [MILLISECONDS]")?;
    let milliseconds: u64 = arguments.next().map_or(Ok(1000), |text| text.parse())?;
    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    chip.load_elf(&std::fs::read(file)?)?;
    chip.set_power(true);
    let mut board = Printer::default();
    let start = Instant::now();
    chip.run_until(milliseconds * 1_000_000, &mut board);
    let elapsed = start.elapsed();
    let stats = chip.stats();
    println!("{milliseconds} ms virtual in {elapsed:?}, {stats:?}");
    println!("{:.2} million instructions per second", stats.instructions as f64 / elapsed.as_secs_f64() / 1e6);
    println!("{} port changes, sent: {}", board.changes, board.sent.escape_ascii());
    for diagnostic in chip.diagnostics() {
        println!("{diagnostic}");
    }
    println!("{:08x?}", chip.cpu_registers());
    Ok(())
}
