//! The chip: memories, peripherals and CPU, and the loop that runs them in virtual time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::board::{Board, RadioPacket, with_board_set};
use crate::bus::{Bus, Memory, SharedSoc, memories};
use crate::cpu::{Cpu, RsemuCpu};
use crate::debug::{CoreDebug, DebugPort, Halted};
use crate::diagnostic::{Diagnostic, Problem};
use crate::fabric::{FLASH_SIZE, Fabric, RAM_BASE, RAM_SIZE, ResetCause};
use crate::identity::ChipIdentity;
use crate::nfc::NfcFrame;
use crate::peripherals::radio::{Emission, Radio};
use crate::peripherals::usbd::{UsbAnswer, Usbd};
use crate::ports::Ports;
use crate::random::Random;
use crate::soc::Soc;
use crate::time::{CPU_CYCLE, NANOSECOND, Time};

/// Why [`Chip::run_until`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The time was reached.
    Reached,
    /// [`Board::wants_stop`] said so; time stands at the instant of the callback.
    BoardAsked,
}

/// What a run cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Instructions executed, including a few steps of falling asleep.
    pub instructions: u64,
    /// Virtual time the CPU slept or was halted, in nanoseconds.
    pub slept_ns: u64,
    /// Resets of any kind after power-on.
    pub resets: u64,
}

/// What the chip was and is busy with, for a model of its supply current. The times add up to
/// [`Chip::now_ns`]; the difference of two of these is the activity in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Virtual time the CPU executed, in nanoseconds.
    pub run_ns: u64,
    /// It slept (WFI, WFE).
    pub sleep_ns: u64,
    /// It was halted: the flash was busy, or the reset pin low.
    pub halted_ns: u64,
    /// The chip was in System OFF or had no power.
    pub off_ns: u64,
    /// It is in System OFF now.
    pub system_off: bool,
    /// The CPU sleeps now.
    pub asleep: bool,
    /// The 32 MHz crystal runs now.
    pub hfxo_running: bool,
    /// The 32.768 kHz crystal runs now.
    pub lfxo_running: bool,
    /// The 32.768 kHz clock runs now, from whatever source.
    pub lfclk_running: bool,
}

/// What keeps the CPU from executing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Idle {
    Asleep,
    Halted,
    Off,
    /// It executes a loop that waits for the flash, which nobody has to look at.
    Polling,
}

/// The bytes of the CPU state in a [`Snapshot`] were refused.
#[derive(Debug, thiserror::Error)]
#[error("the saved state is not one of this chip model")]
pub struct RestoreError;

/// Well before [`NEVER`](crate::time::NEVER), so that the last instruction does not overrun it.
const END_OF_TIME: Time = Time::MAX / 2;
/// P0.18, the only port that UICR.PSELRESET may select.
const RESET_PORT: usize = 18;
/// How often the loop looks whether the CPU fell asleep, in instructions, less one. A power of
/// two, and counted from power-on, so that it does not depend on how a run is divided.
const SLEEP_CHECK: u64 = 7;
/// The same for lockup and reset requests.
const TROUBLE_CHECK: u64 = 63;
/// A step that takes at least so many cycles may have entered an exception.
const EXCEPTION_ENTRY: u64 = 12;

/// An nRF52840.
pub struct Chip {
    pub(crate) soc: SharedSoc,
    pub(crate) bus: Bus,
    pub(crate) cpu: RsemuCpu,
    ram: Arc<Memory>,
    pub(crate) state: RunState,
    /// Copies for callers, taken when a run ends.
    ports: Ports,
    diagnostics: Vec<Diagnostic>,
}

/// What the run loop remembers; part of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct RunState {
    pub now: Time,
    pub debug: CoreDebug,
    pub port: DebugPort,
    asleep: bool,
    /// While asleep: the CPU was stepped with the present interrupt lines and slept on.
    probed: bool,
    reset_pin_low: bool,
    held_in_reset: bool,
    irq: u64,
    fault_seen: (u32, u32),
    power_cycles: u64,
    stats: Stats,
    /// Time spent asleep, halted and off.
    idle: [Time; 3],
}

/// Everything a chip is at one instant.
#[derive(Clone)]
pub struct Snapshot {
    soc: Soc,
    cpu: Vec<u8>,
    ram: Vec<u8>,
    flash: Vec<u8>,
    state: RunState,
}

impl Chip {
    /// A chip as delivered: flash and UICR erased, no power.
    pub fn new(identity: ChipIdentity) -> Chip {
        let (ram, flash) = memories();
        let soc = SharedSoc::new(Soc::new(identity, Arc::clone(&ram), Arc::clone(&flash)));
        // The map is a constant; that it is free of overlaps is what the tests of this crate show.
        let bus = match Bus::new(&ram, &flash, &soc) {
            Ok(bus) => bus,
            Err(error) => unreachable!("the address map of the nRF52840 is consistent: {error}"),
        };
        let cpu = RsemuCpu::new(Arc::clone(&bus.space));
        let state = RunState {
            now: 0,
            debug: CoreDebug::default(),
            port: DebugPort::new(),
            asleep: false,
            probed: false,
            reset_pin_low: false,
            held_in_reset: false,
            irq: 0,
            fault_seen: (0, 0),
            power_cycles: 0,
            stats: Stats::default(),
            idle: [0; 3],
        };
        Chip { soc, bus, cpu, ram, state, ports: Ports::default(), diagnostics: Vec::new() }
    }

    /// Switches VDD. Off: ports let go, RAM is lost, time goes on. On: power-on reset.
    pub fn set_power(&mut self, on: bool) {
        let mut soc = self.soc.lock();
        if on == soc.powered {
            return;
        }
        soc.catch_up(self.state.now);
        if on {
            let mut garbage = vec![0; RAM_SIZE as usize];
            Random::new(soc.identity.seed ^ self.state.power_cycles << 32).fill(&mut garbage);
            // The garbage is exactly as long as RAM.
            let _ = self.ram.write_at(0, &garbage);
            self.state.power_cycles += 1;
            soc.powered = true;
        } else {
            soc.power_off();
        }
        drop(soc);
        self.restart(ResetCause::PowerOn);
        self.refresh();
    }

    /// Whether VDD is there.
    pub fn is_powered(&self) -> bool {
        self.soc.lock().powered
    }

    /// Pulls the reset pin low or lets it go. Without effect unless UICR.PSELRESET selects P0.18.
    pub fn set_reset_pin(&mut self, asserted: bool) {
        self.state.reset_pin_low = asserted;
        self.hold_in_reset();
        self.refresh();
    }

    /// Whether the reset pin holds the chip; if it begins to, the chip is reset.
    fn hold_in_reset(&mut self) -> bool {
        let soc = self.soc.lock();
        let held = self.state.reset_pin_low && soc.powered && soc.reset_port == Some(RESET_PORT);
        drop(soc);
        let begins = held && !self.state.held_in_reset;
        self.state.held_in_reset = held;
        if begins {
            self.restart(ResetCause::ResetPin);
        }
        held
    }

    /// Connects or removes USB power.
    pub fn set_vbus(&mut self, present: bool) {
        let mut soc = self.soc.lock();
        soc.catch_up(self.state.now);
        let Soc { clock, fabric, .. } = &mut *soc;
        clock.set_vbus(fabric, present);
        soc.settle();
    }

    /// Whether the USB device pulls D+ up.
    pub fn usb_pull_up(&self) -> bool {
        let soc = self.soc.lock();
        soc.usbd.is_attached(&soc.fabric)
    }

    /// The USB host resets the bus (both lines low for at least 10 ms, of which this is the end).
    pub fn usb_reset(&mut self) {
        self.usb((), Usbd::bus_reset);
    }

    /// The USB host starts a frame; it does so every millisecond.
    pub fn usb_start_of_frame(&mut self, number: u16) {
        self.usb((), |usbd, fabric| usbd.start_of_frame(fabric, number));
    }

    /// The USB host sends a SETUP packet to endpoint 0 of the device at `address`.
    pub fn usb_setup(&mut self, address: u8, packet: [u8; 8]) -> UsbAnswer {
        self.usb(UsbAnswer::Silent, |usbd, fabric| usbd.host_setup(fabric, address, packet))
    }

    /// The USB host asks an endpoint for data, and acknowledges what comes.
    pub fn usb_in(&mut self, address: u8, endpoint: u8) -> UsbAnswer {
        self.usb(UsbAnswer::Silent, |usbd, fabric| usbd.host_in(fabric, address, endpoint))
    }

    /// The USB host sends data to an endpoint.
    pub fn usb_out(&mut self, address: u8, endpoint: u8, packet: &[u8]) -> UsbAnswer {
        self.usb(UsbAnswer::Silent, |usbd, fabric| usbd.host_out(fabric, address, endpoint, packet))
    }

    /// Something happens on the USB lines, now. `ignored`: the answer of a device that does not hear.
    fn usb<R>(&mut self, ignored: R, happens: impl FnOnce(&mut Usbd, &mut Fabric) -> R) -> R {
        let mut soc = self.soc.lock();
        if soc.identity.tolerances.usb_deaf {
            return ignored;
        }
        soc.catch_up(self.state.now);
        let Soc { usbd, fabric, .. } = &mut *soc;
        let answer = happens(usbd, fabric);
        soc.settle();
        drop(soc);
        self.refresh();
        answer
    }

    /// The preamble of a packet begins at the antenna, now. Lost unless the radio listens to its channel and address.
    pub fn radio_hears(&mut self, packet: &RadioPacket) {
        self.radio(|radio, fabric| radio.hear(fabric, packet));
    }

    /// What the radio puts on the air at this moment.
    pub fn radio_emission(&mut self) -> Option<Emission> {
        self.radio(|radio, fabric| radio.emission(fabric))
    }

    fn radio<R>(&mut self, happens: impl FnOnce(&mut Radio, &mut Fabric) -> R) -> R {
        let mut soc = self.soc.lock();
        soc.catch_up(self.state.now);
        let Soc { radio, fabric, .. } = &mut *soc;
        let answer = happens(radio, fabric);
        soc.settle();
        drop(soc);
        self.refresh();
        answer
    }

    /// The carrier of an NFC reader at the antenna's pads rises above what the chip detects, or falls below it.
    pub fn nfc_field(&mut self, present: bool) {
        let mut soc = self.soc.lock();
        soc.catch_up(self.state.now);
        soc.set_nfc_carrier(present);
        soc.settle();
        drop(soc);
        self.refresh();
    }

    /// An NFC reader has just sent a frame. What the tag answers goes to [`Board::nfc_frame`].
    pub fn nfc_frame(&mut self, frame: &NfcFrame) {
        let mut soc = self.soc.lock();
        soc.catch_up(self.state.now);
        let Soc { nfct, fabric, .. } = &mut *soc;
        nfct.hear(fabric, frame);
        soc.settle();
        drop(soc);
        self.refresh();
    }

    /// Virtual time in nanoseconds since the world began.
    pub fn now_ns(&self) -> u64 {
        self.state.now / NANOSECOND
    }

    /// Runs until the time is reached or the board asks to stop. The last instruction may end up
    /// to a few cycles after `ns`. Without power only time passes.
    pub fn run_until(&mut self, ns: u64, board: &mut dyn Board) -> Stop {
        let target = ns.saturating_mul(NANOSECOND).min(END_OF_TIME);
        let stop = with_board_set(board, || self.run(target));
        self.refresh();
        stop
    }

    /// A level changed outside, without the chip's doing: lets sense and GPIOTE inputs see it.
    pub fn inputs_changed(&mut self, board: &mut dyn Board) {
        with_board_set(board, || {
            let mut soc = self.soc.lock();
            soc.catch_up(self.state.now);
            soc.fabric.sense_dirty = true;
            soc.settle();
        });
        self.refresh();
    }

    /// A byte has just arrived completely on RXD of UARTE `uart` (0 or 1). It is lost if that
    /// UARTE does not receive. A framing error is a missing stop bit; with byte 0 also a break.
    pub fn uart_rx_byte(&mut self, uart: u8, byte: u8, framing_error: bool) {
        let mut soc = self.soc.lock();
        soc.catch_up(self.state.now);
        let Soc { uarte, fabric, .. } = &mut *soc;
        if let Some(uarte) = uarte.get_mut(usize::from(uart)) {
            uarte.receive(fabric, byte, framing_error);
            soc.settle();
        }
        drop(soc);
        self.refresh();
    }

    /// The rate at which UARTE `uart` receives; `None` if it does not listen.
    pub fn uart_rx_baud(&self, uart: u8) -> Option<u32> {
        let soc = self.soc.lock();
        soc.uarte
            .get(usize::from(uart))
            .filter(|uarte| soc.powered && uarte.can_receive())
            .map(|uarte| uarte.baud(&soc.fabric))
    }

    /// Whether UARTE `uart` is sending.
    pub fn uart_tx_busy(&self, uart: u8) -> bool {
        self.soc.lock().uarte.get(usize::from(uart)).is_some_and(|uarte| uarte.tx_busy())
    }

    /// The ports that UARTE `uart` uses as TXD and RXD.
    pub fn uart_ports(&self, uart: u8) -> (Option<usize>, Option<usize>) {
        let soc = self.soc.lock();
        soc.uarte.get(usize::from(uart)).map_or((None, None), |uarte| (uarte.txd_port(), uarte.rxd_port()))
    }

    /// What each port does, as of the end of the last run or change of power.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// What the model has to say, as of the end of the last run; see [`Diagnostic`].
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Diagnostics that found no place in the list any more.
    pub fn diagnostics_dropped(&self) -> u64 {
        self.soc.lock().fabric.diagnostics.dropped
    }

    /// Cost so far.
    pub fn stats(&self) -> Stats {
        Stats { slept_ns: self.state.idle.iter().sum::<Time>() / NANOSECOND, ..self.state.stats }
    }

    /// What the chip was and is busy with.
    pub fn activity(&self) -> Activity {
        let soc = self.soc.lock();
        let [asleep, halted, off] = self.state.idle;
        let runs = soc.powered && !soc.in_system_off;
        let (hfxo, lfxo, lfclk) = soc.clock.running();
        let (sleep_ns, halted_ns, off_ns) = (asleep / NANOSECOND, halted / NANOSECOND, off / NANOSECOND);
        Activity {
            run_ns: (self.state.now / NANOSECOND).saturating_sub(sleep_ns + halted_ns + off_ns),
            sleep_ns,
            halted_ns,
            off_ns,
            system_off: soc.powered && soc.in_system_off,
            asleep: runs && self.state.asleep,
            hfxo_running: runs && hfxo,
            lfxo_running: runs && lfxo,
            lfclk_running: runs && lfclk,
        }
    }

    /// Registers r0 to r15 and xPSR, for messages.
    pub fn cpu_registers(&self) -> [u32; 17] {
        self.cpu.registers()
    }

    /// Reads RAM, as a debugger would. `None` outside of RAM.
    pub fn read_ram(&self, address: u32, bytes: &mut [u8]) -> Option<()> {
        let offset = address.checked_sub(RAM_BASE)?;
        self.ram.read_at(u64::from(offset), bytes).ok()
    }

    /// Reads flash, as a programmer would. `None` outside of flash.
    pub fn read_flash(&self, address: u32, bytes: &mut [u8]) -> Option<()> {
        let end = u64::from(address) + bytes.len() as u64;
        (end <= u64::from(FLASH_SIZE)).then_some(())?;
        self.soc.lock().nvmc.flash.read_at(u64::from(address), bytes).ok()
    }

    /// Overwrites flash (erase and program), as a programmer would. `None` outside of flash.
    pub fn write_flash(&mut self, address: u32, bytes: &[u8]) -> Option<()> {
        let end = u64::from(address) + bytes.len() as u64;
        (end <= u64::from(FLASH_SIZE)).then_some(())?;
        self.soc.lock().nvmc.flash.write_at(u64::from(address), bytes).ok()
    }

    /// Reads a word of UICR at `offset` from 0x1000_1000.
    pub fn read_uicr(&self, offset: u32) -> u32 {
        self.soc.lock().nvmc.read_uicr(offset)
    }

    /// Sets a word of UICR, as a programmer would. `None` outside of UICR.
    pub fn write_uicr(&mut self, offset: u32, value: u32) -> Option<()> {
        let mut soc = self.soc.lock();
        *soc.nvmc.uicr.get_mut(offset as usize / 4)? = value;
        Some(())
    }

    /// Erases flash and UICR, as a programmer's "erase all" does.
    pub fn erase_all(&mut self) {
        let mut soc = self.soc.lock();
        soc.nvmc.uicr.fill(u32::MAX);
        // The range is the whole flash.
        let _ = soc.nvmc.flash.fill(0, u64::from(FLASH_SIZE), 0xFF);
    }

    /// Reads a register or memory word the way the CPU would, at this instant. For tests.
    pub fn bus_read(&mut self, address: u32, board: &mut dyn Board) -> Option<u32> {
        self.soc.signals.now.store(self.state.now, Ordering::Relaxed);
        let word = with_board_set(board, || self.bus.read(address));
        self.refresh();
        word
    }

    /// Writes a register or memory word the way the CPU would, at this instant. For tests.
    /// `None`: the CPU would have taken a bus fault.
    pub fn bus_write(&mut self, address: u32, value: u32, board: &mut dyn Board) -> Option<()> {
        self.soc.signals.now.store(self.state.now, Ordering::Relaxed);
        let written = with_board_set(board, || {
            let written = self.bus.write(address, value);
            self.map_flash();
            written
        });
        self.refresh();
        written
    }

    /// The whole state.
    pub fn snapshot(&self) -> Snapshot {
        let soc = self.soc.lock().clone();
        let (mut ram, mut flash) = (vec![0; RAM_SIZE as usize], vec![0; FLASH_SIZE as usize]);
        // Both reads cover exactly the memory.
        let _ = self.ram.read_at(0, &mut ram);
        let _ = soc.nvmc.flash.read_at(0, &mut flash);
        Snapshot { soc, cpu: self.cpu.save(), ram, flash, state: self.state.clone() }
    }

    /// Back to a snapshot of this or another chip; the run goes on as it did from there.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), RestoreError> {
        if !self.cpu.load(&snapshot.cpu) {
            return Err(RestoreError);
        }
        let mut soc = self.soc.lock();
        let flash = Arc::clone(&soc.nvmc.flash);
        let mapped = soc.flash_mapped_writable;
        *soc = snapshot.soc.clone();
        soc.flash_mapped_writable = mapped;
        soc.fabric.ram = Arc::clone(&self.ram);
        // Both writes cover exactly the memory.
        let _ = self.ram.write_at(0, &snapshot.ram);
        let _ = flash.write_at(0, &snapshot.flash);
        soc.nvmc.flash = flash;
        drop(soc);
        self.state = snapshot.state.clone();
        // The first instruction may be one that asks the peripherals for the time.
        self.soc.signals.now.store(self.state.now, Ordering::Relaxed);
        self.map_flash();
        self.refresh();
        Ok(())
    }

    /// Starts peripherals and CPU over.
    pub(crate) fn restart(&mut self, cause: ResetCause) {
        let mut soc = self.soc.lock();
        soc.reset(cause);
        if cause != ResetCause::PowerOn {
            soc.lose_retained_ram();
        }
        drop(soc);
        self.cpu.reset();
        self.state.asleep = false;
        self.state.irq = 0;
        self.state.fault_seen = (0, 0);
        if cause != ResetCause::PowerOn {
            self.state.stats.resets += 1;
        }
        self.map_flash();
        if cause == ResetCause::PowerOn {
            (self.state.debug, self.state.port) = (CoreDebug::default(), DebugPort::new());
        } else if self.state.debug.core_was_reset() {
            // Stack pointer and program counter come from their vectors before the core halts.
            self.cpu.step();
            self.state.debug.halt(Halted::Vector);
        }
    }

    pub(crate) fn map_flash(&mut self) {
        let mut soc = self.soc.lock();
        let writable = soc.nvmc.writes_enabled();
        soc.flash_mapped_writable = writable;
        drop(soc);
        self.bus.set_flash_writable(writable);
    }

    pub(crate) fn refresh(&mut self) {
        let soc = self.soc.lock();
        if self.ports != soc.fabric.ports {
            self.ports.clone_from(&soc.fabric.ports);
        }
        if self.diagnostics != soc.fabric.diagnostics.entries {
            self.diagnostics.clone_from(&soc.fabric.diagnostics.entries);
        }
    }

    /// Sees to everything that is not executing instructions. Returns until when the CPU need not
    /// be interrupted, and what keeps it from executing, if anything does.
    fn attend(&mut self, target: Time) -> (Time, Option<Idle>) {
        if self.state.reset_pin_low {
            self.hold_in_reset();
        }
        let mut soc = self.soc.lock();
        soc.catch_up(self.state.now);
        if soc.fabric.diagnostics.wants_pc() {
            let pc = self.cpu.previous_pc();
            soc.fabric.diagnostics.fill_pc(Some(pc));
        }
        if soc.nvmc.writes_enabled() != soc.flash_mapped_writable {
            drop(soc);
            self.map_flash();
            soc = self.soc.lock();
        }
        if std::mem::take(&mut soc.fabric.system_off) {
            soc.enter_system_off();
        }
        if let Some(cause) = soc.fabric.reset.take() {
            drop(soc);
            self.restart(cause);
            soc = self.soc.lock();
        }
        let lines = if self.state.debug.masks_interrupts() { 0 } else { soc.irq };
        let changed = lines ^ self.state.irq;
        if changed != 0 {
            for number in (0..48).filter(|number| changed & 1 << number != 0) {
                self.cpu.set_irq(number, lines & 1 << number != 0);
            }
            self.state.irq = lines;
            self.state.probed = false;
        }
        let limit = soc.next.min(target);
        if !soc.powered || soc.in_system_off {
            return (limit, Some(Idle::Off));
        }
        let debug = &self.state.debug;
        if self.state.held_in_reset || debug.held || debug.is_halted() {
            return (limit, Some(Idle::Halted));
        }
        if self.state.port.is_powered_up() && self.cpu.is_locked_up() {
            // With a debugger the lockup lasts.
            return (limit, Some(Idle::Halted));
        }
        if soc.fabric.polls_until > self.state.now {
            if lines == 0 && self.cpu.pc() >= FLASH_SIZE {
                return (limit.min(soc.fabric.polls_until), Some(Idle::Polling));
            }
            soc.fabric.polls_until = 0;
        }
        if soc.fabric.stall_until > self.state.now {
            // Code in RAM runs on while the flash is busy.
            if self.cpu.pc() < FLASH_SIZE {
                return (limit.min(soc.fabric.stall_until), Some(Idle::Halted));
            }
            soc.fabric.stall_until = 0;
        }
        (limit, None)
    }

    fn run(&mut self, target: Time) -> Stop {
        self.soc.lock().settle();
        loop {
            let (limit, idle) = self.attend(target);
            if std::mem::take(&mut self.soc.lock().fabric.stop) {
                return Stop::BoardAsked;
            }
            if self.state.now >= target {
                return Stop::Reached;
            }
            if let Some(idle) = idle {
                self.skip_to(limit, idle);
            } else if self.state.debug.watches() {
                self.execute_debugged(limit);
            } else if self.state.asleep {
                self.sleep(limit);
            } else {
                self.execute(limit);
            }
        }
    }

    fn skip_to(&mut self, time: Time, idle: Idle) {
        if let Some(idle) = self.state.idle.get_mut(idle as usize) {
            *idle += time.saturating_sub(self.state.now);
        }
        self.state.now = self.state.now.max(time);
        self.soc.signals.now.store(self.state.now, Ordering::Relaxed);
    }

    /// One step of the CPU; returns its cycles.
    fn step(&mut self) -> u64 {
        let cycles = self.cpu.step();
        self.count(cycles)
    }

    fn count(&mut self, cycles: u64) -> u64 {
        self.state.now += cycles * CPU_CYCLE;
        self.state.stats.instructions += 1;
        self.soc.signals.now.store(self.state.now, Ordering::Relaxed);
        cycles
    }

    /// In WFE or WFI: only an interrupt line can wake the CPU, so it is stepped once after one
    /// changed, and otherwise time jumps.
    fn sleep(&mut self, limit: Time) {
        if self.state.irq != 0 && !self.state.probed {
            self.step();
            self.state.probed = true;
            self.state.asleep = self.cpu.is_asleep();
        } else {
            self.skip_to(limit, Idle::Asleep);
        }
    }

    fn execute(&mut self, limit: Time) {
        while self.state.now < limit {
            let cycles = self.step();
            if cycles >= EXCEPTION_ENTRY {
                // A fault's frame is on top of the stack only before its handler runs.
                self.look_for_fault();
            }
            if self.soc.signals.attention.load(Ordering::Relaxed) {
                self.soc.signals.attention.store(false, Ordering::Relaxed);
                return;
            }
            if self.state.stats.instructions & SLEEP_CHECK == 0 {
                if self.cpu.is_asleep() {
                    (self.state.asleep, self.state.probed) = (true, false);
                    return;
                }
                if self.state.stats.instructions & TROUBLE_CHECK == 0 && self.trouble() {
                    return;
                }
            }
        }
    }

    /// The same with a debugger that watches: before each instruction it may halt the core.
    fn execute_debugged(&mut self, limit: Time) {
        while self.state.now < limit {
            let wakes = self.state.debug.wakes() && self.cpu.is_asleep();
            if self.state.asleep && !wakes && !self.state.debug.is_stepping() {
                return self.sleep(limit);
            }
            if self.state.debug.stops_at(self.cpu.pc(), self.cpu.opcode()) {
                return self.state.debug.halt(Halted::Breakpoint);
            }
            if wakes {
                let cycles = self.cpu.step_awake();
                self.count(cycles);
            } else {
                self.step();
            }
            self.state.asleep = self.cpu.is_asleep();
            self.state.probed = false;
            if self.state.debug.is_stepping() {
                return self.state.debug.halt(Halted::Request);
            }
            if self.trouble() || self.soc.signals.attention.swap(false, Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Looks for reset requests and lockup; `true` if one needs attention.
    fn trouble(&mut self) -> bool {
        if self.cpu.reset_requested() {
            self.soc.lock().fabric.reset = Some(ResetCause::Software);
            return true;
        }
        if self.cpu.is_locked_up() {
            self.look_for_fault();
            if self.state.port.is_powered_up() {
                return true;
            }
            let mut soc = self.soc.lock();
            // An empty chip cannot but do this.
            if !soc.nvmc.is_blank() {
                soc.fabric.report(Problem::Lockup);
            }
            soc.fabric.reset = Some(ResetCause::Lockup);
            return true;
        }
        false
    }

    fn look_for_fault(&mut self) {
        let (cfsr, hfsr, address) = self.cpu.fault_status();
        if (cfsr, hfsr) != self.state.fault_seen {
            self.state.fault_seen = (cfsr, hfsr);
            if self.soc.lock().nvmc.is_blank() {
                return;
            }
            let name = match self.cpu.exception() {
                3 => "HardFault",
                4 => "MemManage",
                5 => "BusFault",
                6 => "UsageFault",
                _ => "a fault",
            };
            let stacked_pc = self.cpu.stacked_pc();
            self.soc.lock().fabric.report(Problem::Fault { name, cfsr, hfsr, address, stacked_pc });
        }
    }
}
