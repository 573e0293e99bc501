//! The GPIO registers of a BCM2711 as a file that two processes share (BCM2711 ARM Peripherals, chapter 5).
//!
//! In silicon a write to GPSET or GPCLR acts at once; here the file is polled: each poll takes what was written and
//! clears it. Two writes to one of these registers between two polls merge. That is enough for these lines, which
//! change some tens of times a second.

use bench_instruments::Panel;
use bench_plan::{Fixture, GpioLine};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const SIZE: u64 = 4096;
const GPFSEL0: u64 = 0x00;
const GPSET0: u64 = 0x1C;
const GPCLR0: u64 = 0x28;
const GPLEV0: u64 = 0x34;
const OUTPUT: u32 = 0b001;

pub struct Registers {
    path: PathBuf,
    file: File,
    /// Latches of the outputs.
    latched: u32,
}

impl Registers {
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        file.set_len(SIZE)?;
        Ok(Self { path: path.to_owned(), file, latched: 0 })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn word(&self, at: u64) -> std::io::Result<u32> {
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn set_word(&self, at: u64, word: u32) -> std::io::Result<()> {
        self.file.write_all_at(&word.to_ne_bytes(), at)
    }

    /// Takes and clears the value written to a register.
    fn take(&self, at: u64) -> std::io::Result<u32> {
        let word = self.word(at)?;
        if word != 0 {
            self.set_word(at, 0)?;
        }
        Ok(word)
    }

    fn is_output(&self, gpio: u8) -> std::io::Result<bool> {
        let word = self.word(GPFSEL0 + 4 * u64::from(gpio / 10))?;
        Ok(word >> (3 * (gpio % 10)) & 0b111 == OUTPUT)
    }

    /// Passes outputs of the other process to the bench, and levels of the bench to its inputs.
    pub fn exchange(&mut self, panel: &Panel, fixture: &Fixture) -> std::io::Result<()> {
        let (set, cleared) = (self.take(GPSET0)?, self.take(GPCLR0)?);
        // Both since the last poll: the order is lost, but not the edge.
        let both = set & cleared;
        let Some(bed) = &fixture.bed else { return Ok(()) };
        let kick = bed.safety.watchdog.kick;
        if let Some(line) = panel.watchdog.as_ref().filter(|_| both >> kick & 1 != 0) {
            let _ = line.set(true);
            let _ = line.set(false);
        }
        self.latched = (self.latched | set) & !cleared;
        let controller = &bed.controller;
        let mut outputs = Vec::new();
        outputs.extend(panel.watchdog.iter().map(|line| (kick, false, line)));
        for (name, line) in &panel.lamps {
            outputs.extend(controller.lamps.get(name).map(|wiring| (wiring.gpio, wiring.active_low, line)));
        }
        let mut levels = 0;
        for (gpio, active_low, line) in outputs {
            // An input drives nothing; the fixture's pull holds the undriven line.
            let high = if self.is_output(gpio)? { self.latched >> gpio & 1 != 0 } else { active_low };
            let _ = line.set(high != active_low);
            levels |= u32::from(high) << gpio;
        }
        let inputs = [(controller.lid, &panel.lid), (controller.start, &panel.start)];
        for (wiring, line) in inputs {
            if let (Some(GpioLine { gpio, active_low }), Some(line)) = (wiring, line) {
                let active = line.is_active().unwrap_or(false);
                levels |= u32::from(active != active_low) << gpio;
            }
        }
        if self.word(GPLEV0)? != levels {
            self.set_word(GPLEV0, levels)?;
        }
        Ok(())
    }
}
