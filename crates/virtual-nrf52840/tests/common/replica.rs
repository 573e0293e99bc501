//! A second core in lockstep with the emulated chip's core: with the same answers from the bus, interrupt lines and
//! memory it must reach the same registers.
#![allow(dead_code)] // each user takes its part
#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

use rsemu::core::device::{Device, ResetKind};
use rsemu::core::error::BusError;
use rsemu::core::space::{
    AddressSpace, DispatchPolicy, MemAttrs, MemOps, MemResult, Perms, RamStore, Region, UnassignedPolicy,
};
use rsemu::core::value::Width;
use rsemu::cpu::arm::v7m::{ArmV7m, Config, Regs};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use virtual_nrf52840::{BusAccess, FLASH_SIZE, Observer, RAM_BASE, RAM_SIZE};

/// The bits of xPSR that hold ITSTATE.
const IT_STATE: u32 = 0x0600_FC00;

/// What is not plain memory, with lengths.
const WINDOWS: [(u32, u64); 5] = [
    (0x1000_0000, 0x2000),
    (0x4000_0000, 0x4_0000),
    (0x4006_E000, 0x1000),
    (0x5000_0000, 0x1000),
    (0xF000_0000, 0x1000),
];

/// Result of the comparison.
#[derive(Debug, Default)]
pub struct Report {
    /// Instructions with accesses after which everything was equal.
    pub compared: u64,
    /// Instructions and exception entries that the second core executed.
    pub steps: u64,
    /// The first difference.
    pub problem: Option<String>,
}

pub type SharedReport = Arc<Mutex<Report>>;

/// The accesses that the chip's core has made and the second one has not yet.
#[derive(Default)]
struct Script {
    accesses: VecDeque<BusAccess>,
    problem: Option<String>,
}

/// A piece of the address map that returns the chip's answers.
struct Window {
    base: u32,
    script: Arc<Mutex<Script>>,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window at {:#x}", self.base)
    }
}

impl Window {
    fn next(&self, address: u32, bytes: u32, written: Option<u32>) -> Option<BusAccess> {
        let mut script = self.script.lock().unwrap();
        let expected = script.accesses.pop_front();
        let same =
            expected.is_some_and(|access| (access.address, access.bytes, access.written) == (address, bytes, written));
        if !same && script.problem.is_none() {
            let text =
                format!("access to {address:#x} of {bytes} bytes, written {written:x?}; the chip: {expected:x?}");
            script.problem = Some(text);
        }
        expected
    }
}

impl MemOps for Window {
    fn read(&self, offset: u64, bytes: &mut [u8], _: MemAttrs) -> MemResult {
        let access = self.next(self.base + offset as u32, bytes.len() as u32, None);
        let value = access.and_then(|access| access.read).ok_or(BusError::BadAccess)?;
        bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8], _: MemAttrs) -> MemResult {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        self.next(self.base + offset as u32, bytes.len() as u32, Some(u32::from_le_bytes(word)));
        Ok(())
    }
}

/// The core of `rsemu`.
pub struct Rsemu {
    core: ArmV7m,
    space: Arc<AddressSpace>,
    ram: Arc<RamStore>,
    flash: Arc<RamStore>,
    script: Arc<Mutex<Script>>,
    report: SharedReport,
    active: bool,
    was_reset: bool,
    step: u64,
    lines: u64,
    /// Cycles since the last reset, of this core and of the chip's at that time.
    cycles: u64,
    cycles_at_reset: Option<u64>,
}

impl Rsemu {
    pub fn new() -> (Rsemu, SharedReport) {
        let (script, report) = (Arc::<Mutex<Script>>::default(), SharedReport::default());
        let ram = Arc::new(RamStore::new(u64::from(RAM_SIZE)));
        let flash = Arc::new(RamStore::new(u64::from(FLASH_SIZE)));
        let space = AddressSpace::new("nrf52840", 32)
            .with_unassigned(UnassignedPolicy::FAULT)
            .with_dispatch(DispatchPolicy::Dense { page_bits: 18, cover: 0x5004_0000 });
        {
            let mut map = space.topology();
            map.map_with_perms(Region::ram("flash", Arc::clone(&flash)), 0, Perms::RX).unwrap();
            map.map(Region::ram("RAM", Arc::clone(&ram)), u64::from(RAM_BASE)).unwrap();
            for (base, length) in WINDOWS {
                let window = Window { base, script: Arc::clone(&script) };
                map.map(Region::io("window", length, Arc::new(window)), u64::from(base)).unwrap();
            }
        }
        let space = Arc::new(space);
        let core = ArmV7m::new(Config::CORTEX_M4F.with_bit_band(false).with_priority_bits(3));
        core.attach_space(Arc::clone(&space));
        let shared = Arc::clone(&report);
        let rsemu = Rsemu {
            core,
            space,
            ram,
            flash,
            script,
            report,
            active: false,
            was_reset: false,
            step: 0,
            lines: 0,
            cycles: 0,
            cycles_at_reset: None,
        };
        (rsemu, shared)
    }

    fn peek(&self, address: u32) -> u32 {
        self.space.read(u64::from(address), Width::U32, MemAttrs::DEBUG).map_or(0, |word| word as u32)
    }

    fn advance(&mut self, step: u64) {
        while self.active && self.step < step {
            let if_then = self.core.xpsr() & IT_STATE;
            let asleep = self.core.is_asleep();
            let mut cycles = self.core.step();
            if if_then != 0 {
                self.keep_if_then(if_then);
            }
            if asleep && self.core.is_asleep() {
                cycles = self.step_awake();
            }
            if std::mem::take(&mut self.was_reset) {
                // The architecture has LR so (B1.5.5), rsemu leaves it.
                self.core.set_reg(14, u32::MAX);
            }
            self.cycles += cycles;
            self.step += 1;
        }
    }

    /// rsemu 0.0.7 leaves ITSTATE out of the xPSR it stacks on exception entry (ARM DDI 0403, B1.5.6 has it in).
    fn keep_if_then(&self, if_then: u32) {
        const STACKED_XPSR: u32 = 28;
        const ON_PROCESS_STACK: u32 = 4;
        let handler = self.core.current_exception().0;
        let vector = self.core.with_sys(|sys| sys.vtor).wrapping_add(4 * u32::from(handler));
        if handler == 0 || self.core.xpsr() & IT_STATE != 0 || self.core.pc() != self.peek(vector) & !1 {
            return;
        }
        let frame = if self.core.reg(14) & ON_PROCESS_STACK != 0 { self.core.psp() } else { self.core.msp() };
        let at = u64::from(frame.wrapping_add(STACKED_XPSR));
        let stacked = self.peek(at as u32) | if_then;
        self.space.write(at, Width::U32, u64::from(stacked), MemAttrs::DEBUG).unwrap();
    }

    /// It does not set the event register on exception return (B1.5.8 does), and sleeps through it: a pending exception
    /// that is masked and taken back wakes it.
    fn step_awake(&mut self) -> u64 {
        const ICSR: u32 = 0xE000_ED04;
        const PENDSVSET: u64 = 1 << 28;
        const PENDSVCLR: u32 = 1 << 27;
        let masked = self.core.regs().primask;
        self.core.set_regs(Regs { primask: true, ..self.core.regs() });
        self.core.with_sys(|sys| sys.write_word(ICSR, PENDSVSET as u32));
        let cycles = self.core.step();
        self.core.with_sys(|sys| sys.write_word(ICSR, PENDSVCLR));
        self.core.set_regs(Regs { primask: masked, ..self.core.regs() });
        cycles
    }

    fn stop(&mut self, problem: String) {
        self.active = false;
        self.report.lock().unwrap().problem.get_or_insert(problem);
    }
}

impl Observer for Rsemu {
    fn access(&mut self, access: BusAccess) {
        // Unmapped addresses fault in both cores.
        let is_there = |&(base, length): &(u32, u64)| u64::from(access.address.wrapping_sub(base)) < length;
        if self.active && WINDOWS.iter().any(is_there) {
            self.script.lock().unwrap().accesses.push_back(access);
        }
    }

    fn after(&mut self, step: u64, cycles: u64, registers: &[u32; 17]) {
        let before = self.step;
        self.advance(step);
        if !self.active {
            return;
        }
        let regs = self.core.regs();
        let mut own = [0; 17];
        own[..16].copy_from_slice(&regs.r);
        own[16] = regs.xpsr;
        let mut script = self.script.lock().unwrap();
        let (left, problem) = (script.accesses.len(), script.problem.take());
        drop(script);
        // The first comparison after a reset determines the offset of the counts.
        let from = *self.cycles_at_reset.get_or_insert(cycles - self.cycles);
        let mut problem = problem;
        if own != *registers {
            problem = Some(format!("registers {own:x?}; the chip's {registers:x?}"));
        } else if left > 0 {
            problem = Some(format!("{left} accesses were not made"));
        } else if self.cycles != cycles - from {
            problem = Some(format!("{} cycles; the chip {}", self.cycles, cycles - from));
        }
        let mut report = self.report.lock().unwrap();
        report.steps += self.step - before;
        report.compared += 1;
        drop(report);
        if let Some(problem) = problem {
            self.stop(format!("after step {step}: {problem}"));
        }
    }

    fn lines(&mut self, step: u64, lines: u64) {
        self.advance(step);
        let changed = lines ^ self.lines;
        (0..48).filter(|n| changed >> n & 1 != 0).for_each(|n| self.core.set_irq(n, lines >> n & 1 != 0));
        self.lines = lines;
    }

    fn dma(&mut self, step: u64, offset: u32, bytes: &[u8]) {
        self.advance(step);
        self.ram.write_at(u64::from(offset), bytes).unwrap();
    }

    fn reset(&mut self, step: u64, ram: &[u8], flash: &[u8]) {
        self.ram.write_at(0, ram).unwrap();
        self.flash.write_at(0, flash).unwrap();
        Device::reset(&self.core, ResetKind::Cold);
        (0..48).for_each(|n| self.core.set_irq(n, false));
        self.script.lock().unwrap().accesses.clear();
        (self.active, self.was_reset, self.step, self.lines) = (true, true, step, 0);
        (self.cycles, self.cycles_at_reset) = (0, None);
    }

    fn debugged(&mut self) {
        self.active = false;
    }
}

/// One call of an [`Observer`].
#[derive(Debug, Clone)]
pub enum Event {
    Access(BusAccess),
    After(u64, u64, [u32; 17]),
    Lines(u64, u64),
    Dma(u64, u32, Vec<u8>),
    Reset(u64, Vec<u8>, Vec<u8>),
}

/// Records the calls, to be replayed to another core any number of times.
#[derive(Default, Clone)]
pub struct Recorder(pub Arc<Mutex<Vec<Event>>>);

impl Recorder {
    fn add(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Observer for Recorder {
    fn access(&mut self, access: BusAccess) {
        self.add(Event::Access(access));
    }

    fn after(&mut self, step: u64, cycles: u64, registers: &[u32; 17]) {
        self.add(Event::After(step, cycles, *registers));
    }

    fn lines(&mut self, step: u64, lines: u64) {
        self.add(Event::Lines(step, lines));
    }

    fn dma(&mut self, step: u64, offset: u32, bytes: &[u8]) {
        self.add(Event::Dma(step, offset, bytes.to_vec()));
    }

    fn reset(&mut self, step: u64, ram: &[u8], flash: &[u8]) {
        self.add(Event::Reset(step, ram.to_vec(), flash.to_vec()));
    }

    fn debugged(&mut self) {}
}

/// Plays a record to a core.
pub fn play(events: &[Event], core: &mut dyn Observer) {
    for event in events {
        match event {
            Event::Access(access) => core.access(*access),
            Event::After(step, cycles, registers) => core.after(*step, *cycles, registers),
            Event::Lines(step, lines) => core.lines(*step, *lines),
            Event::Dma(step, offset, bytes) => core.dma(*step, *offset, bytes),
            Event::Reset(step, ram, flash) => core.reset(*step, ram, flash),
        }
    }
}

/// Our own core, out of the chip: what the same record costs it.
pub struct Ours {
    core: cortex_m4f::Core,
    bus: Plain,
    /// Steps of the chip's core when this one began.
    first: u64,
}

struct Plain {
    code: Vec<u8>,
    ram: Vec<u8>,
    accesses: VecDeque<BusAccess>,
    generation: u32,
}

impl cortex_m4f::Bus for Plain {
    fn code(&self) -> &[u8] {
        &self.code
    }

    fn code_generation(&self) -> u32 {
        self.generation
    }

    fn ram(&self) -> &[u8] {
        &self.ram
    }

    fn ram_mut(&mut self) -> &mut [u8] {
        &mut self.ram
    }

    fn read(&mut self, address: u32, _: u32, _: u64) -> Option<u32> {
        let access = self.accesses.pop_front().filter(|access| access.address == address);
        access.unwrap_or_else(|| panic!("an access to {address:#x} that the chip did not make")).read
    }

    fn write(&mut self, address: u32, _: u32, value: u32, _: u64) -> Option<()> {
        let expected = (address, Some(value));
        assert!(self.accesses.pop_front().is_some_and(|access| (access.address, access.written) == expected));
        Some(())
    }

    fn fetch(&self, _: u32) -> Option<u32> {
        None
    }

    fn wants_attention(&self) -> bool {
        true
    }

    fn rom_table(&self, _: u32) -> u32 {
        0
    }

    fn fault(&mut self, _: cortex_m4f::Fault, _: u64) {}

    fn missing(&mut self, _: &'static str, _: u32, _: Option<u32>, _: u64) {}
}

impl Ours {
    pub fn new() -> Ours {
        let core = cortex_m4f::Core::new(cortex_m4f::Config { interrupts: 48, priority_bits: 3 });
        let bus = Plain {
            code: vec![0; FLASH_SIZE as usize],
            ram: vec![0; RAM_SIZE as usize],
            accesses: VecDeque::new(),
            generation: 0,
        };
        Ours { core, bus, first: 0 }
    }

    /// Runs up to an instruction; pauses at accesses on the way.
    fn advance(&mut self, step: u64) {
        let target = step - self.first;
        while self.core.steps() < target {
            // Most of the way at once, the rest step by step: an instruction takes at least one cycle.
            let left = target - self.core.steps();
            let limit = self.core.cycles() + left;
            if self.core.run(&mut self.bus, limit) == cortex_m4f::Exit::Asleep {
                break;
            }
        }
    }
}

impl Observer for Ours {
    fn access(&mut self, access: BusAccess) {
        self.bus.accesses.push_back(access);
    }

    fn after(&mut self, step: u64, _: u64, registers: &[u32; 17]) {
        self.advance(step);
        assert_eq!(self.core.registers(), *registers, "step {step}");
    }

    fn lines(&mut self, step: u64, lines: u64) {
        self.advance(step);
        self.core.set_lines(lines);
    }

    fn dma(&mut self, step: u64, offset: u32, bytes: &[u8]) {
        self.advance(step);
        self.bus.ram[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn reset(&mut self, step: u64, ram: &[u8], flash: &[u8]) {
        self.bus.ram.copy_from_slice(ram);
        self.bus.code.copy_from_slice(flash);
        self.bus.generation += 1;
        self.bus.accesses.clear();
        self.core = cortex_m4f::Core::new(cortex_m4f::Config { interrupts: 48, priority_bits: 3 });
        self.first = step;
    }

    fn debugged(&mut self) {}
}
