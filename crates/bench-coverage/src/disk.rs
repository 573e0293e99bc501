//! The disk of a controller with a fault, in memory: for runs of a study.

use bench_engine::{DiskWait, Recorder};
use bench_instruments::Clock;
use bench_journal::{Disk, Journal};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use virtual_bench::DiskDamage;

/// The errors of Linux for a full disk and for too many open files.
const NO_SPACE: i32 = 28;
const NO_HANDLES: i32 = 24;

struct FaultyDisk {
    damage: DiskDamage,
    bytes: Vec<u8>,
}

impl Disk for FaultyDisk {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let DiskDamage::Full(most) = self.damage
            && (self.bytes.len() + bytes.len()) as u64 > most
        {
            return Err(io::Error::from_raw_os_error(NO_SPACE));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        match self.damage {
            DiskDamage::NoHandles => Err(io::Error::from_raw_os_error(NO_HANDLES)),
            _ => Ok(self.bytes.clone()),
        }
    }
}

/// A recorder for one run on such a disk.
///
/// # Errors
/// When the thread of the journal cannot be started.
pub fn recorder(damage: DiskDamage, clock: Rc<dyn Clock>) -> io::Result<Rc<Recorder>> {
    Ok(match damage {
        DiskDamage::None => Recorder::new(Journal::in_memory(), clock, Vec::new()),
        DiskDamage::Slow(seconds) => {
            let late = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            let delay: bench_engine::Delay = Box::new(move |_| late);
            Recorder::waiting(journal(damage)?, clock, Vec::new(), DiskWait::Blocking, Some(delay))
        }
        DiskDamage::Full(_) | DiskDamage::NoHandles => Recorder::new(journal(damage)?, clock, Vec::new()),
    })
}

fn journal(damage: DiskDamage) -> io::Result<Journal> {
    Journal::on_disk_of(Box::new(FaultyDisk { damage, bytes: Vec::new() }), "journal.jsonl")
}
