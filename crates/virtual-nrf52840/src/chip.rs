//! The chip: memories, peripherals and CPU, and the loop that runs them in virtual time.

use cortex_m4f::{Config, Core, Exit};

use crate::board::{Board, RadioPacket, with_board_set};
use crate::bus::CpuBus;
use crate::debug::DebugPort;
use crate::diagnostic::{Diagnostic, Problem};
use crate::fabric::{FLASH_SIZE, Fabric, RAM_BASE, RAM_SIZE, ResetCause};
use crate::identity::ChipIdentity;
use crate::nfc::NfcFrame;
use crate::observe::Observer;
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
    /// [`Board::wants_stop`] returned `true`; time is the instant of the callback.
    BoardAsked,
}

/// Cost of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Instructions executed, including a few steps before sleep.
    pub instructions: u64,
    /// Virtual time the CPU slept or was halted, in nanoseconds.
    pub slept_ns: u64,
    /// Resets of any kind after power-on.
    pub resets: u64,
}

/// Activity of the chip, for a model of its supply current. The times add up to [`Chip::now_ns`]; the difference of two
/// values is the activity in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Virtual time the CPU executed, in nanoseconds.
    pub run_ns: u64,
    /// Virtual time the CPU slept (WFI, WFE), in nanoseconds.
    pub sleep_ns: u64,
    /// Virtual time the CPU was halted because the flash was busy or the reset pin low, in nanoseconds.
    pub halted_ns: u64,
    /// Virtual time in System OFF or without power, in nanoseconds.
    pub off_ns: u64,
    /// The chip is in System OFF now.
    pub system_off: bool,
    /// The CPU sleeps now.
    pub asleep: bool,
    /// The 32 MHz crystal runs now.
    pub hfxo_running: bool,
    /// The 32.768 kHz crystal runs now.
    pub lfxo_running: bool,
    /// The 32.768 kHz clock runs now, from any source.
    pub lfclk_running: bool,
}

/// What keeps the CPU from executing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Idle {
    Asleep,
    Halted,
    Off,
    /// It polls for the flash; the model skips the polling loop.
    Polling,
}

/// Well before [`NEVER`](crate::time::NEVER), so that the last instruction does not overrun it.
const END_OF_TIME: Time = Time::MAX / 2;
/// P0.18, the only port that UICR.PSELRESET may select.
const RESET_PORT: usize = 18;
/// A CPU that goes idle sleeps when the number of its instructions is a multiple of this. Counted from power-on, so
/// that the result does not depend on how a run is divided.
const SLEEP_CHECK: u64 = 8;
/// The same for the reset after a lockup.
const LOCKUP_CHECK: u64 = 64;
/// 48 interrupt lines, eight priorities.
const CORE: Config = Config { interrupts: 48, priority_bits: 3 };

/// An nRF52840.
pub struct Chip {
    pub(crate) soc: Soc,
    pub(crate) cpu: Core,
    pub(crate) state: RunState,
    /// Copies for callers, updated when a run ends.
    ports: Ports,
    diagnostics: Vec<Diagnostic>,
}

/// State of the run loop; part of a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct RunState {
    pub now: Time,
    pub port: DebugPort,
    pub(crate) asleep: bool,
    /// While asleep: the CPU was stepped with the present interrupt lines and slept on.
    probed: bool,
    reset_pin_low: bool,
    held_in_reset: bool,
    /// CTRL-AP holds the core in reset.
    pub held_by_debugger: bool,
    irq: u64,
    power_cycles: u64,
    stats: Stats,
    /// Time spent asleep, halted and off.
    idle: [Time; 3],
}

/// The whole state of a chip at one instant.
#[derive(Clone)]
pub struct Snapshot {
    soc: Soc,
    cpu: cortex_m4f::State,
    state: RunState,
}

impl Chip {
    /// Creates a chip as delivered: flash and UICR erased, no power.
    pub fn new(identity: ChipIdentity) -> Chip {
        let state = RunState {
            now: 0,
            port: DebugPort::new(),
            asleep: false,
            probed: false,
            reset_pin_low: false,
            held_in_reset: false,
            held_by_debugger: false,
            irq: 0,
            power_cycles: 0,
            stats: Stats::default(),
            idle: [0; 3],
        };
        Chip { soc: Soc::new(identity), cpu: Core::new(CORE), state, ports: Ports::default(), diagnostics: Vec::new() }
    }

    /// Switches VDD. Off: ports are released, RAM is lost, time continues. On: power-on reset.
    pub fn set_power(&mut self, on: bool) {
        let soc = &mut self.soc;
        if on == soc.powered {
            return;
        }
        soc.catch_up(self.state.now);
        if on {
            let mut garbage = vec![0; RAM_SIZE as usize];
            Random::new(soc.identity.seed ^ self.state.power_cycles << 32).fill(&mut garbage);
            // Cannot fail: the garbage is exactly as long as RAM.
            let _ = soc.fabric.ram.write_at(0, &garbage);
            self.state.power_cycles += 1;
            soc.powered = true;
        } else {
            soc.power_off();
        }
        self.restart(ResetCause::PowerOn);
        self.refresh();
    }

    /// Whether VDD is on.
    pub fn is_powered(&self) -> bool {
        self.soc.powered
    }

    /// Pulls the reset pin low or releases it. Without effect unless UICR.PSELRESET selects P0.18.
    pub fn set_reset_pin(&mut self, asserted: bool) {
        self.state.reset_pin_low = asserted;
        self.hold_in_reset();
        self.refresh();
    }

    /// Returns whether the reset pin holds the chip; resets the chip when the hold begins.
    fn hold_in_reset(&mut self) -> bool {
        let soc = &self.soc;
        let held = self.state.reset_pin_low && soc.powered && soc.reset_port == Some(RESET_PORT);
        let begins = held && !self.state.held_in_reset;
        self.state.held_in_reset = held;
        if begins {
            self.restart(ResetCause::ResetPin);
        }
        held
    }

    /// Connects or removes USB power.
    pub fn set_vbus(&mut self, present: bool) {
        let soc = &mut self.soc;
        soc.catch_up(self.state.now);
        let Soc { clock, fabric, .. } = soc;
        if clock.set_vbus(fabric, present) && present && soc.in_system_off {
            soc.fabric.reset = Some(ResetCause::WakeByVbus);
        }
        soc.settle();
    }

    /// Whether the USB device pulls D+ up.
    pub fn usb_pull_up(&self) -> bool {
        let soc = &self.soc;
        soc.usbd.is_attached(&soc.fabric)
    }

    /// The USB host resets the bus (both lines low for at least 10 ms; call this at the end).
    pub fn usb_reset(&mut self) {
        self.usb((), Usbd::bus_reset);
    }

    /// The USB host starts a frame, every millisecond.
    pub fn usb_start_of_frame(&mut self, number: u16) {
        self.usb((), |usbd, fabric| usbd.start_of_frame(fabric, number));
    }

    /// The USB host sends a SETUP packet to endpoint 0 of the device at `address`.
    pub fn usb_setup(&mut self, address: u8, packet: [u8; 8]) -> UsbAnswer {
        self.usb(UsbAnswer::Silent, |usbd, fabric| usbd.host_setup(fabric, address, packet))
    }

    /// The USB host asks an endpoint for data and acknowledges it.
    pub fn usb_in(&mut self, address: u8, endpoint: u8) -> UsbAnswer {
        self.usb(UsbAnswer::Silent, |usbd, fabric| usbd.host_in(fabric, address, endpoint))
    }

    /// The USB host sends data to an endpoint.
    pub fn usb_out(&mut self, address: u8, endpoint: u8, packet: &[u8]) -> UsbAnswer {
        self.usb(UsbAnswer::Silent, |usbd, fabric| usbd.host_out(fabric, address, endpoint, packet))
    }

    /// Applies an event on the USB lines now. `ignored`: the answer of a device that is deaf.
    fn usb<R>(&mut self, ignored: R, happens: impl FnOnce(&mut Usbd, &mut Fabric) -> R) -> R {
        let soc = &mut self.soc;
        if soc.identity.tolerances.usb_deaf {
            return ignored;
        }
        soc.catch_up(self.state.now);
        let Soc { usbd, fabric, .. } = soc;
        let answer = happens(usbd, fabric);
        soc.settle();
        self.refresh();
        answer
    }

    /// The preamble of a packet begins at the antenna, now. Lost unless the radio listens to its channel and address.
    pub fn radio_hears(&mut self, packet: &RadioPacket) {
        self.radio(|radio, fabric| radio.hear(fabric, packet));
    }

    /// Returns what the radio transmits at this moment.
    pub fn radio_emission(&mut self) -> Option<Emission> {
        self.radio(|radio, fabric| radio.emission(fabric))
    }

    fn radio<R>(&mut self, happens: impl FnOnce(&mut Radio, &mut Fabric) -> R) -> R {
        let soc = &mut self.soc;
        soc.catch_up(self.state.now);
        let Soc { radio, fabric, .. } = soc;
        let answer = happens(radio, fabric);
        soc.settle();
        self.refresh();
        answer
    }

    /// The carrier of an NFC reader at the antenna's pads rises above the chip's detection threshold or falls below it.
    pub fn nfc_field(&mut self, present: bool) {
        let soc = &mut self.soc;
        soc.catch_up(self.state.now);
        soc.set_nfc_carrier(present);
        soc.settle();
        self.refresh();
    }

    /// An NFC reader has just sent a frame. The tag's answer goes to [`Board::nfc_frame`].
    pub fn nfc_frame(&mut self, frame: &NfcFrame) {
        let soc = &mut self.soc;
        soc.catch_up(self.state.now);
        let Soc { nfct, fabric, .. } = soc;
        nfct.hear(fabric, frame);
        soc.settle();
        self.refresh();
    }

    /// Virtual time in nanoseconds since the start of the simulation.
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

    /// Reports that a level changed outside without the chip's doing, so that sense and GPIOTE inputs react.
    pub fn inputs_changed(&mut self, board: &mut dyn Board) {
        with_board_set(board, || {
            let soc = &mut self.soc;
            soc.catch_up(self.state.now);
            soc.fabric.sense_dirty = true;
            soc.settle();
        });
        self.refresh();
    }

    /// A byte has just arrived completely on RXD of UARTE `uart` (0 or 1). It is lost if that
    /// UARTE does not receive. A framing error is a missing stop bit; with byte 0 also a break.
    pub fn uart_rx_byte(&mut self, uart: u8, byte: u8, framing_error: bool) {
        let soc = &mut self.soc;
        soc.catch_up(self.state.now);
        let Soc { uarte, fabric, .. } = soc;
        if let Some(uarte) = uarte.get_mut(usize::from(uart)) {
            uarte.receive(fabric, byte, framing_error);
            soc.settle();
        }
        self.refresh();
    }

    /// The rate at which UARTE `uart` receives; `None` if it does not listen.
    pub fn uart_rx_baud(&self, uart: u8) -> Option<u32> {
        let soc = &self.soc;
        soc.uarte
            .get(usize::from(uart))
            .filter(|uarte| soc.powered && uarte.can_receive())
            .map(|uarte| uarte.baud(&soc.fabric))
    }

    /// Whether UARTE `uart` is sending.
    pub fn uart_tx_busy(&self, uart: u8) -> bool {
        self.soc.uarte.get(usize::from(uart)).is_some_and(|uarte| uarte.tx_busy())
    }

    /// The ports that UARTE `uart` uses as TXD and RXD.
    pub fn uart_ports(&self, uart: u8) -> (Option<usize>, Option<usize>) {
        let soc = &self.soc;
        soc.uarte.get(usize::from(uart)).map_or((None, None), |uarte| (uarte.txd_port(), uarte.rxd_port()))
    }

    /// State of each port at the end of the last run or change of power.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Diagnostics at the end of the last run; see [`Diagnostic`].
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Number of diagnostics that the list had no room for.
    pub fn diagnostics_dropped(&self) -> u64 {
        self.soc.fabric.diagnostics.dropped
    }

    /// Cost so far.
    pub fn stats(&self) -> Stats {
        Stats { slept_ns: self.state.idle.iter().sum::<Time>() / NANOSECOND, ..self.state.stats }
    }

    /// Activity so far.
    pub fn activity(&self) -> Activity {
        let soc = &self.soc;
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
        self.soc.fabric.ram.read_at(offset, bytes).ok()
    }

    /// Reads flash, as a programmer would. `None` outside of flash.
    pub fn read_flash(&self, address: u32, bytes: &mut [u8]) -> Option<()> {
        let end = u64::from(address) + bytes.len() as u64;
        (end <= u64::from(FLASH_SIZE)).then_some(())?;
        self.soc.nvmc.flash.read_at(address, bytes).ok()
    }

    /// Overwrites flash (erase and program), as a programmer would. `None` outside of flash.
    pub fn write_flash(&mut self, address: u32, bytes: &[u8]) -> Option<()> {
        let end = u64::from(address) + bytes.len() as u64;
        (end <= u64::from(FLASH_SIZE)).then_some(())?;
        self.soc.nvmc.flash.write_at(address, bytes).ok()
    }

    /// Reads a word of UICR at `offset` from 0x1000_1000.
    pub fn read_uicr(&self, offset: u32) -> u32 {
        self.soc.nvmc.read_uicr(offset)
    }

    /// Sets a word of UICR, as a programmer would. `None` outside of UICR.
    pub fn write_uicr(&mut self, offset: u32, value: u32) -> Option<()> {
        let soc = &mut self.soc;
        *soc.nvmc.uicr.get_mut(offset as usize / 4)? = value;
        Some(())
    }

    /// Erases flash and UICR, as a programmer's "erase all" does.
    pub fn erase_all(&mut self) {
        let soc = &mut self.soc;
        soc.nvmc.uicr.fill(u32::MAX);
        // The range is the whole flash.
        let _ = soc.nvmc.flash.fill(0, FLASH_SIZE, 0xFF);
    }

    /// Reads a register or memory word the way the CPU would, at this instant. For tests.
    pub fn bus_read(&mut self, address: u32, board: &mut dyn Board) -> Option<u32> {
        let word = with_board_set(board, || {
            self.soc.catch_up(self.state.now);
            self.soc.read_mapped(address, 4)
        });
        self.refresh();
        word
    }

    /// Writes a register or memory word the way the CPU would, at this instant. For tests.
    /// `None`: the CPU would have taken a bus fault.
    pub fn bus_write(&mut self, address: u32, value: u32, board: &mut dyn Board) -> Option<()> {
        let written = with_board_set(board, || {
            self.soc.catch_up(self.state.now);
            self.soc.write_mapped(address, 4, value)
        });
        self.refresh();
        written
    }

    /// The whole state.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { soc: self.soc.clone(), cpu: self.cpu.snapshot(), state: self.state.clone() }
    }

    /// Restores a snapshot of this or another chip; the run continues as it did from there.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let watcher = std::mem::take(&mut self.soc.watcher);
        let log = self.soc.fabric.dma_log.take();
        self.soc.clone_from(&snapshot.soc);
        (self.soc.watcher, self.soc.fabric.dma_log) = (watcher, log);
        self.cpu.restore(&snapshot.cpu);
        self.state.clone_from(&snapshot.state);
        self.refresh();
    }

    /// Restarts peripherals and CPU.
    pub(crate) fn restart(&mut self, cause: ResetCause) {
        self.soc.reset(cause);
        if cause != ResetCause::PowerOn {
            self.soc.lose_retained_ram();
            self.state.stats.resets += 1;
        } else {
            (self.state.held_by_debugger, self.state.port) = (false, DebugPort::new());
        }
        self.cpu.reset(cause == ResetCause::PowerOn);
        if let Some(address) = self.soc.vectors() {
            self.cpu.set_vectors(address);
        }
        self.state.asleep = false;
        self.state.irq = 0;
        self.cpu.set_lines(0);
        self.tell_reset();
        if self.cpu.catches_reset() {
            // Stack pointer and program counter come from their vectors before the core halts.
            let cycles = self.cpu.cycles();
            self.cpu.run(&mut CpuBus::new(&mut self.soc, self.state.now, cycles), cycles + 1);
        }
    }

    /// Reports to `observer` what the CPU does from now on.
    pub fn observe(&mut self, observer: Box<dyn Observer>) {
        self.soc.watcher.0 = Some(observer);
        self.soc.fabric.dma_log = Some(Vec::new());
        self.tell_reset();
    }

    fn tell_reset(&mut self) {
        let Soc { watcher, fabric, nvmc, .. } = &mut self.soc;
        if let Some(observer) = &mut watcher.0 {
            observer.reset(self.cpu.steps(), fabric.ram.bytes(), nvmc.flash.bytes());
        }
    }

    /// Reports changes of RAM and of the interrupt lines to the observer.
    fn tell_dma(&mut self) {
        let Soc { watcher, fabric, .. } = &mut self.soc;
        if let (Some(observer), Some(log)) = (&mut watcher.0, &mut fabric.dma_log) {
            for (offset, bytes) in log.drain(..) {
                observer.dma(self.cpu.steps(), offset, &bytes);
            }
        }
    }

    pub(crate) fn refresh(&mut self) {
        let soc = &self.soc;
        if self.ports != soc.fabric.ports {
            self.ports.clone_from(&soc.fabric.ports);
        }
        if self.diagnostics != soc.fabric.diagnostics.entries {
            self.diagnostics.clone_from(&soc.fabric.diagnostics.entries);
        }
    }

    /// Handles everything except the execution of instructions. Returns until when the CPU can run uninterrupted, and
    /// what keeps it from executing, if anything.
    fn attend(&mut self, target: Time) -> (Time, Option<Idle>) {
        if self.state.reset_pin_low {
            self.hold_in_reset();
        }
        self.soc.catch_up(self.state.now);
        if self.soc.fabric.diagnostics.wants_pc() {
            self.soc.fabric.diagnostics.fill_pc(Some(self.cpu.newest_pc()));
        }
        if std::mem::take(&mut self.soc.fabric.system_off) {
            self.soc.enter_system_off();
        }
        if let Some(cause) = self.soc.fabric.reset.take() {
            self.restart(cause);
        }
        self.tell_dma();
        let lines = self.soc.irq;
        if lines != self.state.irq {
            self.cpu.set_lines(lines);
            if let Some(observer) = &mut self.soc.watcher.0 {
                observer.lines(self.cpu.steps(), lines);
            }
            self.state.irq = lines;
            self.state.probed = false;
        }
        let soc = &mut self.soc;
        let limit = soc.next.min(target);
        if !soc.powered || soc.in_system_off {
            return (limit, Some(Idle::Off));
        }
        if self.state.held_in_reset || self.state.held_by_debugger || self.cpu.is_halted() {
            return (limit, Some(Idle::Halted));
        }
        if self.state.port.is_powered_up() && self.cpu.is_locked_up() {
            // With a debugger attached, the lockup does not reset the chip.
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
        self.soc.settle();
        loop {
            let (limit, idle) = self.attend(target);
            if std::mem::take(&mut self.soc.fabric.stop) {
                return Stop::BoardAsked;
            }
            if self.state.now >= target {
                return Stop::Reached;
            }
            if let Some(idle) = idle {
                self.skip_to(limit, idle);
            } else if self.state.asleep && (self.state.irq == 0 || self.state.probed) {
                self.skip_to(limit, Idle::Asleep);
            } else if self.state.asleep {
                // One step determines whether the changed lines wake the CPU.
                (self.state.asleep, self.state.probed) = (false, true);
                self.execute(self.state.now + 1);
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
    }

    fn execute(&mut self, limit: Time) {
        let (cycles, steps) = (self.cpu.cycles(), self.cpu.steps());
        let ahead = limit.saturating_sub(self.state.now).div_ceil(CPU_CYCLE);
        let mut bus = CpuBus::new(&mut self.soc, self.state.now, cycles);
        let exit = self.cpu.run(&mut bus, cycles.saturating_add(ahead));
        self.state.now += (self.cpu.cycles() - cycles) * CPU_CYCLE;
        self.state.stats.instructions += self.cpu.steps() - steps;
        self.tell_after();
        match exit {
            Exit::Limit | Exit::Bus | Exit::Halted => {}
            Exit::Asleep => self.fall_asleep(limit),
            Exit::ResetRequested => self.soc.fabric.reset = Some(ResetCause::Software),
            Exit::LockedUp => self.lock_up(limit),
        }
    }

    fn tell_after(&mut self) {
        let Some(observer) = &mut self.soc.watcher.0 else { return };
        if self.cpu.is_debugged() {
            observer.debugged();
        } else {
            observer.after(self.cpu.steps(), self.cpu.cycles(), &self.cpu.registers());
        }
        self.tell_dma();
    }

    /// The CPU waits for an interrupt or event. It takes a few cycles until it really sleeps.
    fn fall_asleep(&mut self, limit: Time) {
        self.state.asleep = self.cpu.is_debugged() || self.idle_until_multiple(SLEEP_CHECK, limit);
    }

    /// Idles until the number of instructions is a multiple of `multiple`. Returns whether the time sufficed.
    fn idle_until_multiple(&mut self, of: u64, limit: Time) -> bool {
        while !self.state.stats.instructions.is_multiple_of(of) {
            if self.state.now >= limit {
                return false;
            }
            self.state.now += CPU_CYCLE;
            self.state.stats.instructions += 1;
        }
        true
    }

    fn lock_up(&mut self, limit: Time) {
        if self.state.port.is_powered_up() {
            return;
        }
        if !self.idle_until_multiple(LOCKUP_CHECK, limit) {
            return;
        }
        // Expected of an empty chip, so no diagnostic.
        if !self.soc.has_nothing_to_execute() {
            self.soc.fabric.report(Problem::Lockup);
        }
        self.soc.fabric.reset = Some(ResetCause::Lockup);
    }
}
