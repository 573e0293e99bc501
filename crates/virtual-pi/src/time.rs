//! The fixture's time for the other process: a clock to read, and alarms.

use crate::wire::Alarm;
use bench_run::BenchTime;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Nanoseconds of virtual time, in a file that the other process maps.
pub struct SharedClock {
    path: PathBuf,
    file: File,
}

impl SharedClock {
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let clock = Self { path: path.to_owned(), file };
        clock.show(BenchTime::ZERO)?;
        Ok(clock)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn show(&self, now: BenchTime) -> std::io::Result<()> {
        self.file.write_all_at(&nanoseconds(now).to_ne_bytes(), 0)
    }
}

fn nanoseconds(time: BenchTime) -> u64 {
    time.as_micros().saturating_mul(1_000)
}

/// The alarms of the other process, one per thread.
#[derive(Default)]
pub struct Alarms(BTreeMap<u64, Alarm>);

impl Alarms {
    pub fn set(&mut self, alarm: Alarm) {
        self.0.insert(alarm.sleeper, alarm);
    }

    pub fn forget(&mut self, sleeper: u64) {
        self.0.remove(&sleeper);
    }

    /// The earliest moment.
    pub fn next(&self) -> Option<BenchTime> {
        self.0.values().map(|alarm| BenchTime(alarm.at_ns.div_ceil(1_000))).min()
    }

    /// Wakes the threads whose alarm is due.
    pub fn ring(&mut self, now: BenchTime) {
        let now_ns = nanoseconds(now);
        for (_, alarm) in self.0.extract_if(.., |_, alarm| alarm.at_ns <= now_ns) {
            alarm.ring();
        }
    }
}
