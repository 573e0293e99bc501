//! A disk in memory, with trouble at ordered times.
//!
//! Times are those of the lines, so that trouble does not depend on how many lines a write happens to hold.

use crate::event::{Event, Kind};
use bench_journal::Disk;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use virtual_bench::DiskDamage;

/// What a disk holds, for a reader after the end of the program.
#[derive(Debug, Clone, Default)]
pub struct Contents(Arc<Mutex<Vec<u8>>>);

impl Contents {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The trouble, by the time of a line in microseconds.
#[derive(Debug, Clone, Default)]
struct Trouble {
    full: Option<u64>,
    torn: Option<u64>,
    broken: Option<u64>,
    changed: Option<u64>,
    /// So many bytes, and no more.
    room: Option<u64>,
    /// Nothing can be opened to read it back.
    no_handles: bool,
}

pub struct MemoryDisk {
    trouble: Trouble,
    contents: Contents,
    /// Time of the last line.
    last_us: u64,
}

impl MemoryDisk {
    pub fn new(events: &[Event], damage: &[DiskDamage], contents: Contents) -> Self {
        let first = |wanted: &Kind| events.iter().filter(|event| event.kind == *wanted).map(|event| event.at_us).min();
        let trouble = Trouble {
            full: first(&Kind::DiskFull),
            torn: first(&Kind::DiskTorn),
            broken: first(&Kind::DiskBroken),
            changed: first(&Kind::DiskChanged),
            room: damage.iter().find_map(|damage| match damage {
                DiskDamage::Full(bytes) => Some(*bytes),
                _ => None,
            }),
            no_handles: damage.contains(&DiskDamage::NoHandles),
        };
        Self { trouble, contents, last_us: 0 }
    }
}

fn at_us(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let number = text.split_once("\"at_us\":")?.1;
    number[..number.find(|digit: char| !digit.is_ascii_digit())?].parse().ok()
}

fn is_due(time: Option<u64>, now: u64) -> bool {
    time.is_some_and(|time| now >= time)
}

impl Disk for MemoryDisk {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut held = self.contents.0.lock().unwrap_or_else(PoisonError::into_inner);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.last_us = at_us(line).unwrap_or(self.last_us);
            let fits = self.trouble.room.is_none_or(|room| (held.len() + line.len()) as u64 <= room);
            if !fits || is_due(self.trouble.full, self.last_us) {
                return Err(ErrorKind::StorageFull.into());
            }
            if is_due(self.trouble.torn, self.last_us) {
                held.extend_from_slice(&line[..line.len() / 2]);
                return Err(ErrorKind::StorageFull.into());
            }
            held.extend_from_slice(line);
            if is_due(self.trouble.changed, self.last_us) {
                self.trouble.changed = None;
                if let Some(byte) = held.iter_mut().find(|byte| byte.is_ascii_digit()) {
                    *byte = if *byte == b'9' { b'8' } else { *byte + 1 };
                }
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if is_due(self.trouble.broken, self.last_us) {
            return Err(io::Error::other("the disk cannot force what it holds"));
        }
        Ok(())
    }

    fn read_back(&mut self) -> io::Result<Vec<u8>> {
        if self.trouble.no_handles {
            return Err(io::Error::other("too many open files"));
        }
        Ok(self.contents.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_comes_with_its_line_however_lines_are_written() {
        let lines = ["{\"at_us\":1,\"x\":0}\n", "{\"at_us\":2,\"x\":0}\n", "{\"at_us\":3,\"x\":0}\n"];
        let all = lines.concat();
        let torn = format!("{}{{\"at_us\":", lines[0]);
        for (order, written, held, synced) in [
            ("disk-full@2us", false, lines[0], true),
            ("disk-torn@2us", false, torn.as_str(), true),
            ("disk-full@9us", true, all.as_str(), true),
            ("disk-broken@2us", true, all.as_str(), false),
            ("disk-changed@2us", true, &all.replacen('1', "2", 1), true),
        ] {
            for together in [true, false] {
                let contents = Contents::default();
                let mut disk = MemoryDisk::new(&[order.parse().unwrap()], &[], contents.clone());
                let done = if together {
                    disk.write_all(all.as_bytes())
                } else {
                    lines.iter().try_for_each(|line| disk.write_all(line.as_bytes()))
                };
                assert_eq!(done.is_ok(), written, "{order}");
                assert_eq!(String::from_utf8(contents.bytes()).unwrap(), held, "{order}");
                assert_eq!(disk.sync().is_ok(), synced, "{order}");
            }
        }
    }
}
