//! `external-flash` against a memory: the diagnoses, and that the scratch sector gets its content back.

use crate::bed::{Answers, Setup, silent};
use crate::plans::World;
use crate::steps::{step, story};
use bench_instruments::DutError;
use dut_protocol::{Checksum, FlashRequest, Refusal, Reply, Request};
use std::cell::RefCell;
use std::collections::BTreeMap;

const STEP: &str = "kind = 'external-flash'";
const LAST: u32 = 0x3F_F000;

#[derive(Default)]
struct Memory {
    id: [u8; 3],
    /// Content by address; everything else is erased.
    bytes: BTreeMap<u32, u8>,
    /// Stays 0 in this byte.
    bad: Option<(u32, u8)>,
    /// An erase also takes the sector before.
    erases_too_much: bool,
    /// Bits of each byte that read 1 over four lines.
    open: u8,
    /// A sector in the firmware's memory.
    kept: Option<(u32, Vec<u8>)>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

impl Memory {
    fn good() -> Self {
        let bytes = (LAST - 8..LAST + 300).map(|address| (address, address as u8)).collect();
        Memory { id: [0xC2, 0x20, 0x16], bytes, ..Memory::default() }
    }

    fn erase(&mut self, address: u32) {
        let first = if self.erases_too_much { address - 4096 } else { address };
        self.bytes.retain(|at, _| !(first..address + 4096).contains(at));
        self.bytes.extend(self.bad);
    }

    fn write(&mut self, address: u32, bytes: &[u8]) {
        for (at, byte) in (address..).zip(bytes) {
            *self.bytes.entry(at).or_insert(0xFF) &= byte;
        }
    }

    fn read(&self, address: u32, length: u32, stuck: u8) -> Vec<u8> {
        let mut read = vec![0xFF; length as usize];
        for (at, byte) in self.bytes.range(address..address + length) {
            read[(at - address) as usize] = byte | stuck;
        }
        read
    }
}

fn answer(request: &Request) -> Result<Reply, DutError> {
    let bytes = |bytes: Vec<u8>| Ok(Reply::Bytes(bytes.into_iter().collect()));
    MEMORY.with_borrow_mut(|memory| match request {
        Request::Flash(FlashRequest::Identify) => bytes(memory.id.to_vec()),
        Request::Flash(FlashRequest::EraseSector { address }) => {
            memory.erase(*address);
            Ok(Reply::Done)
        }
        Request::Flash(FlashRequest::Write { address, bytes }) => {
            memory.write(*address, bytes);
            Ok(Reply::Done)
        }
        Request::Flash(FlashRequest::Read { address, length }) => {
            bytes(memory.read(*address, (*length).into(), memory.open))
        }
        Request::Flash(FlashRequest::Checksum { address, length }) => {
            Ok(Reply::Checksum { sum: Checksum::of(&memory.read(*address, *length, memory.open)) })
        }
        Request::Flash(FlashRequest::KeepSector { address }) => {
            memory.kept = Some((*address, memory.read(*address, 4096, 0)));
            Ok(Reply::Checksum { sum: Checksum::of(&memory.read(*address, 4096, 0)) })
        }
        Request::Flash(FlashRequest::PutBackSector) => {
            let (address, kept) = memory.kept.clone().unwrap();
            memory.erase(address);
            memory.write(address, &kept);
            Ok(Reply::Checksum { sum: Checksum::of(&memory.read(address, 4096, 0)) })
        }
        Request::SpiTransfer(spi) => match spi.write.split_first() {
            Some((0x03, address)) => {
                let address = address.iter().fold(0, |address, byte| address << 8 | u32::from(*byte));
                bytes(memory.read(address, spi.read.into(), 0))
            }
            Some((0x02, rest)) => {
                let (address, data) = rest.split_at(3);
                let address = address.iter().fold(0, |address, byte| address << 8 | u32::from(*byte));
                assert!(address % 256 + data.len() as u32 <= 256, "crosses a page");
                memory.write(address, data);
                bytes(Vec::new())
            }
            _ => bytes(vec![0; spi.read.into()]),
        },
        _ => Ok(Reply::Done),
    })
}

fn refused(request: &Request) -> Result<Reply, DutError> {
    match request {
        Request::Flash(_) => Err(DutError::Refused(Refusal::NotRunning)),
        other => answer(other),
    }
}

#[test]
fn flash_defects_are_diagnosed() {
    let world = World::new();
    let rows: [(Memory, Answers, &str); 8] = [
        (Memory::good(), answer, "ok"),
        (Memory::good(), refused, "dut: the external flash on the module is absent or dead"),
        (
            Memory { id: [0xC8, 0x65, 0x17], ..Memory::good() },
            answer,
            "dut: the external flash on the module is the wrong part: it answers with id c8 65 17, expected is a \
             MX25L3233F",
        ),
        (
            Memory { bad: Some((LAST + 0x600, 0xEF)), ..Memory::good() },
            answer,
            "1 bits stay 0 after an erase, the first at 0x3ff600",
        ),
        (Memory { open: 0x44, ..Memory::good() }, answer, "dut: external flash: its quad line IO2 is open or stuck"),
        (Memory { open: 0x88, ..Memory::good() }, answer, "dut: external flash: its quad line IO3 is open or stuck"),
        (
            Memory { erases_too_much: true, ..Memory::good() },
            answer,
            "writing one sector changed others: 4096 bytes at 0x3fe000",
        ),
        (Memory::good(), |_| Err(silent()), "dut: the module does not answer"),
    ];
    for (memory, answers, expected) in rows {
        let content = memory.bytes.clone();
        let damages = memory.erases_too_much || memory.bad.is_some();
        MEMORY.set(memory);
        let ran = step(&world, STEP, Setup { powered: true, answers, ..Setup::default() });
        let report = story(&ran);
        assert!(if expected == "ok" { report == "ok" } else { report.contains(expected) }, "{expected}\n{report}");
        let left = MEMORY.with_borrow_mut(|memory| memory.read(LAST - 8, 4104, 0));
        let held: Vec<u8> = (LAST - 8..LAST + 4096).map(|at| content.get(&at).copied().unwrap_or(0xFF)).collect();
        assert_eq!(left == held, !damages, "{expected}: the content is back");
    }
}

#[test]
fn a_link_that_fails_in_the_middle_is_the_benchs_fault() {
    let world = World::new();
    MEMORY.set(Memory::good());
    let setup = || Setup { powered: true, answers: answer, ..Setup::default() };
    let calls = step(&world, STEP, setup()).bed.calls();
    assert!(calls > 30, "{calls}");
    let mut lost = 0;
    for failing in 0..calls {
        MEMORY.set(Memory::good());
        let ran = step(&world, STEP, Setup { failing_call: Some(failing), ..setup() });
        let report = story(&ran);
        assert!(report.starts_with("bench: io0 does not answer"), "call {failing}: {report}");
        let held = |memory: &Memory| memory.read(LAST - 8, 4104, 0);
        lost += u32::from(MEMORY.with_borrow(held) != held(&Memory::good()));
    }
    // Only a call that fails during the restore can lose the content.
    assert!(lost <= 1, "{lost} of {calls}");
}

#[test]
fn the_scratch_sector_must_be_there_and_out_of_the_way() {
    let world = World::new();
    for sector in [0, 1, 1024] {
        let problem = world.check(&format!("{STEP}\nscratch_sector = {sector}")).err().unwrap().to_string();
        assert!(problem.contains("cannot be the scratch sector"), "{problem}");
    }
    assert!(world.check(&format!("{STEP}\nscratch_sector = 5")).is_ok());
}
