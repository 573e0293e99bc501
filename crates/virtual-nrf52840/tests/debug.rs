//! The debug port, transfer by transfer.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{CODE, Lab, MICROSECOND, MILLISECOND, program, thumb};
use virtual_nrf52840::{Chip, ChipIdentity, DapFault, DapRegister};

const DHCSR: u32 = 0xE000_EDF0;
const DCRSR: u32 = 0xE000_EDF4;
const DCRDR: u32 = 0xE000_EDF8;
const DEMCR: u32 = 0xE000_EDFC;
const DFSR: u32 = 0xE000_ED30;
const AIRCR: u32 = 0xE000_ED0C;
const KEY: u32 = 0xA05F_0000;
const RUN: u32 = KEY | 1;
const HALT: u32 = KEY | 3;
const STEP: u32 = KEY | 1 << 2 | 1;
const S_HALT: u32 = 1 << 17;
const S_RESET: u32 = 1 << 25;
const XPSR: u32 = 16;
const PC: u32 = 15;

const NVMC_READY: u32 = 0x4001_E400;
const NVMC_CONFIG: u32 = 0x4001_E504;

/// A debugger at the lines of a chip.
struct Debugger {
    lab: Lab,
}

impl Debugger {
    fn silent(lab: Lab) -> Debugger {
        Debugger { lab }
    }

    /// Connected and powered up.
    fn at(lab: Lab) -> Debugger {
        let mut debugger = Debugger { lab };
        debugger.connect();
        debugger
    }

    fn connect(&mut self) {
        self.call(0xE79E);
        self.dp(0x0).unwrap();
        self.set_dp(0x4, 0x5000_0000).unwrap();
        assert_eq!(self.dp(0x4).unwrap() >> 28, 0xF, "both powers are acknowledged");
        self.select(0, 0);
        self.set_ap(0x00, 0x2300_0012).unwrap();
    }

    fn call(&mut self, switch: u64) {
        let chip = &mut self.lab.chip;
        chip.dap_sequence((1 << 51) - 1, 51);
        chip.dap_sequence(switch, 16);
        chip.dap_sequence((1 << 51) - 1, 51);
        chip.dap_sequence(0, 3);
    }

    fn read(&mut self, register: DapRegister) -> Result<u32, DapFault> {
        self.lab.chip.dap_read(register, &mut self.lab.bench)
    }
    fn write(&mut self, register: DapRegister, value: u32) -> Result<(), DapFault> {
        self.lab.chip.dap_write(register, value, &mut self.lab.bench)
    }
    fn dp(&mut self, address: u8) -> Result<u32, DapFault> {
        self.read(DapRegister::Dp(address))
    }
    fn set_dp(&mut self, address: u8, value: u32) -> Result<(), DapFault> {
        self.write(DapRegister::Dp(address), value)
    }
    fn ap(&mut self, address: u8) -> Result<u32, DapFault> {
        self.read(DapRegister::Ap(address))
    }
    fn set_ap(&mut self, address: u8, value: u32) -> Result<(), DapFault> {
        self.write(DapRegister::Ap(address), value)
    }
    fn select(&mut self, port: u32, bank: u32) {
        self.set_dp(0x8, port << 24 | bank << 4).unwrap();
    }

    fn word(&mut self, address: u32) -> u32 {
        self.set_ap(0x04, address).unwrap();
        self.ap(0x0C).unwrap()
    }
    fn set(&mut self, address: u32, value: u32) {
        self.set_ap(0x04, address).unwrap();
        self.set_ap(0x0C, value).unwrap();
    }
    fn register(&mut self, number: u32) -> u32 {
        self.set(DCRSR, number);
        self.word(DCRDR)
    }
    fn set_register(&mut self, number: u32, value: u32) {
        self.set(DCRDR, value);
        self.set(DCRSR, 1 << 16 | number);
    }
    /// Runs the chip for a while; returns whether the core is halted afterwards.
    fn halts_within(&mut self, ns: u64) -> bool {
        self.lab.run(ns);
        self.word(DHCSR) & S_HALT != 0
    }
    /// CTRL-AP's word on whether the port is open.
    fn is_open(&mut self) -> bool {
        self.select(1, 0);
        let open = self.ap(0x0C).unwrap() == 1;
        self.select(0, 0);
        open
    }
}

#[test]
fn no_answer_before_the_line_was_reset_and_switched() {
    let mut debugger = Debugger::silent(Lab::new());
    assert_eq!(debugger.dp(0), Err(DapFault::NoAnswer));
    debugger.call(0xE73C);
    assert_eq!(debugger.dp(0), Err(DapFault::NoAnswer), "that is the way to JTAG");
    debugger.call(0xE79E);
    assert_eq!(debugger.dp(4), Err(DapFault::NoAnswer), "the identification comes first");
    assert_eq!(debugger.dp(0), Ok(0x2BA0_1477));
    assert_eq!(debugger.ap(0xC), Err(DapFault::Fault), "the debug logic has no power");
    debugger.lab.chip.set_power(false);
    debugger.call(0xE79E);
    assert_eq!(debugger.dp(0), Err(DapFault::NoAnswer));
    debugger.lab.chip.set_power(true);
    debugger.connect();
    debugger.lab.assert_quiet();
}

#[test]
fn access_ports_and_memory() {
    let mut debugger = Debugger::at(Lab::new());
    for (port, identification) in [(0, 0x2477_0011), (1, 0x0288_0000), (2, 0)] {
        debugger.select(port, 0xF);
        assert_eq!(debugger.ap(0xC), Ok(identification), "port {port}");
    }
    debugger.select(0, 0);
    assert_eq!(debugger.word(0x1000_0100), 0x52840);
    assert_eq!(debugger.word(0xE000_ED00), 0x410F_C241, "CPUID");
    // The address increments and wraps within a kibibyte.
    debugger.set_ap(0x04, 0x2000_03F8).unwrap();
    for value in [1, 2, 3] {
        debugger.set_ap(0x0C, value).unwrap();
    }
    let words = [0x2000_03F8, 0x2000_03FC, 0x2000_0000].map(|address| debugger.word(address));
    assert_eq!(words, [1, 2, 3]);
    // A byte comes and goes in its lane.
    debugger.set_ap(0x00, 0x2300_0010).unwrap();
    debugger.set_ap(0x04, 0x2000_03F9).unwrap();
    debugger.set_ap(0x0C, 0x1122_AB44).unwrap();
    debugger.set_ap(0x04, 0x2000_03F9).unwrap();
    assert_eq!(debugger.ap(0x0C).map(|word| word >> 8 & 0xFF), Ok(0xAB));
    debugger.set_ap(0x00, 0x2300_0012).unwrap();
    assert_eq!(debugger.word(0x2000_03F8), 0xAB01);
    debugger.lab.assert_quiet();
}

#[test]
fn an_access_that_fails_spoils_those_after_it_until_it_is_cleared() {
    let mut debugger = Debugger::at(Lab::new());
    debugger.set_ap(0x04, 0x3000_0000).unwrap();
    assert_eq!(debugger.ap(0x0C), Err(DapFault::Fault));
    assert_eq!(debugger.set_ap(0x04, 0x2000_0000), Err(DapFault::Fault));
    assert_eq!(debugger.dp(0x4).map(|status| status >> 5 & 1), Ok(1));
    debugger.set_dp(0x0, 4).unwrap();
    assert_eq!(debugger.word(0x1000_0100), 0x52840);
}

#[test]
fn the_core_halts_steps_and_runs_as_requested() {
    // r1 counts: increment, back to the increment.
    let counting = [0x2100, thumb::INCREMENT_R1, 0xE7FD];
    let mut debugger = Debugger::at(Lab::running(ChipIdentity::from_seed(7), &counting));
    assert!(!debugger.halts_within(MICROSECOND));
    debugger.set(DHCSR, HALT);
    assert!(debugger.halts_within(0));
    assert_eq!(debugger.word(DFSR), 1);
    let before = (debugger.register(1), debugger.register(PC));
    assert!(debugger.halts_within(MILLISECOND));
    assert_eq!((debugger.register(1), debugger.register(PC)), before, "a halted core does nothing");

    debugger.set_register(PC, CODE + 2);
    debugger.set_register(1, 100);
    for (pc, count) in [(CODE + 4, 101), (CODE + 2, 101), (CODE + 4, 102)] {
        debugger.set(DHCSR, STEP);
        assert!(debugger.halts_within(MICROSECOND));
        assert_eq!((debugger.register(PC), debugger.register(1)), (pc, count));
    }
    debugger.set(DHCSR, RUN);
    assert!(!debugger.halts_within(100 * MICROSECOND));
    debugger.set(DHCSR, HALT);
    assert!(debugger.register(1) > 1000);
    debugger.set(DHCSR, KEY);
    assert!(!debugger.halts_within(MICROSECOND), "without a debugger it runs");
    debugger.lab.assert_quiet();
}

#[test]
fn breakpoints_by_comparator_and_by_instruction() {
    let code = [0x2100, thumb::INCREMENT_R1, thumb::INCREMENT_R1, 0xBE00, thumb::HANG];
    let mut debugger = Debugger::at(Lab::running(ChipIdentity::from_seed(7), &thumb_sleep_then(&code)));
    debugger.set(DHCSR, HALT);
    debugger.set(0xE000_2000, 3);
    // The second half of the word.
    debugger.set(0xE000_2008, (0b10 << 30) | (CODE + 4) | 1);
    debugger.set_register(PC, CODE + 4);
    debugger.set(DHCSR, RUN);
    assert!(debugger.halts_within(10 * MICROSECOND));
    assert_eq!((debugger.register(PC), debugger.register(1), debugger.word(DFSR)), (CODE + 6, 0, 3));
    debugger.set(0xE000_2008, 0);
    debugger.set(DFSR, 0xFF);
    debugger.set(DHCSR, RUN);
    assert!(debugger.halts_within(10 * MICROSECOND), "the instruction");
    assert_eq!((debugger.register(PC), debugger.register(1), debugger.word(DFSR)), (CODE + 10, 2, 2));
    debugger.lab.assert_quiet();
}

/// A core that sleeps before a debugger attaches.
fn thumb_sleep_then(code: &[u16]) -> Vec<u16> {
    [&[thumb::WFI, 0xE7FD][..], code].concat()
}

#[test]
fn a_reset_can_be_caught_before_the_first_instruction() {
    let mut debugger = Debugger::at(Lab::running(ChipIdentity::from_seed(7), &[0x2107, thumb::HANG]));
    debugger.set(DHCSR, RUN);
    debugger.set(DEMCR, 1);
    debugger.set(AIRCR, 0x05FA_0004);
    assert!(debugger.halts_within(0));
    assert_eq!((debugger.register(PC), debugger.register(1), debugger.word(DFSR)), (CODE, 0, 8));
    assert_eq!(debugger.register(XPSR) >> 24 & 1, 1);
    debugger.set(DEMCR, 0);
    debugger.set(AIRCR, 0x05FA_0004);
    let status = debugger.word(DHCSR);
    assert_eq!((status & S_RESET, debugger.word(DHCSR) & S_RESET), (S_RESET, 0), "reported once");
    assert!(!debugger.halts_within(10 * MICROSECOND));
    debugger.set(DHCSR, HALT);
    assert_eq!(debugger.register(1), 7);
}

#[test]
fn an_empty_chip_locks_up_in_peace_and_can_be_halted() {
    let mut chip = Chip::new(ChipIdentity::from_seed(1));
    chip.set_power(true);
    let mut lab = Lab { chip, ..Lab::new() };
    lab.run(20 * MILLISECOND);
    let resets = lab.chip.stats().resets;
    assert!(resets > 10, "{resets}");
    assert!(lab.chip.stats().instructions < 10_000);
    let mut debugger = Debugger::at(lab);
    debugger.lab.run(5 * MILLISECOND);
    assert_eq!(debugger.word(DHCSR) >> 19 & 1, 1, "with a debugger, the lockup lasts");
    debugger.set(DHCSR, HALT);
    assert!(debugger.halts_within(MILLISECOND));
    assert_eq!(debugger.word(0xFFFF_FFFC), 0);
    debugger.lab.assert_quiet();
}

/// As a flash algorithm does it: from RAM, with a loop that waits for READY after each word.
#[test]
fn code_in_ram_writes_flash_and_its_waiting_costs_nothing() {
    const AT: u32 = 0x2000_1000;
    const WORDS: u32 = 64;
    let mut code = thumb::load(0, 0x8_0000);
    code.extend(thumb::load(1, NVMC_READY));
    code.extend(thumb::load(2, 0x8_0000 + 4 * WORDS));
    // loop: str r2, [r0]; wait: ldr r3, [r1]; cmp r3, #0; beq wait; adds r0, #4; cmp r0, r2; bne loop; bkpt
    code.extend([0x6002, 0x680B, 0x2B00, 0xD0FC, 0x3004, 0x4290, 0xD1F8, 0xBE00]);
    let mut debugger = Debugger::at(Lab::new());
    debugger.set(DHCSR, HALT);
    debugger.set(DEMCR, 1);
    debugger.set(AIRCR, 0x05FA_0004);
    let bytes: Vec<u8> = code.iter().flat_map(|half| half.to_le_bytes()).collect();
    debugger.lab.fill(AT, &bytes);
    debugger.set(NVMC_CONFIG, 1);
    debugger.set_register(PC, AT);
    let before = debugger.lab.chip.stats().instructions;
    debugger.set(DHCSR, RUN);
    assert!(!debugger.halts_within(u64::from(WORDS) * 40 * MICROSECOND), "a word takes 41 us");
    assert!(debugger.halts_within(u64::from(WORDS) * 3 * MICROSECOND));
    assert!(debugger.lab.chip.stats().instructions - before < u64::from(WORDS) * 20);
    let mut words = vec![0; 4 * WORDS as usize];
    debugger.lab.chip.read_flash(0x8_0000, &mut words).unwrap();
    assert!(words.chunks(4).all(|word| word == (0x8_0000 + 4 * WORDS).to_le_bytes()));
    debugger.lab.assert_quiet();
}

#[test]
fn a_page_that_does_not_program_stays_erased() {
    let mut identity = ChipIdentity::from_seed(7);
    identity.tolerances.flash_bad_page = Some(0x8_1234);
    let mut lab = Lab::with_identity(identity);
    lab.write(NVMC_CONFIG, 1);
    for (address, expected) in [(0x8_0FFC, 5), (0x8_1000, u32::MAX), (0x8_1FFC, u32::MAX), (0x8_2000, 5)] {
        lab.write(address, 5);
        lab.run(50 * MICROSECOND);
        assert_eq!(lab.read(address), expected, "{address:#x}");
    }
}

/// Variant, UICR.APPROTECT, whether the firmware opens the port, whether it is open in the end.
const LOCKS: [(&[u8; 4], u32, bool, bool); 8] = [
    (b"AAD0", 0xFFFF_FFFF, false, true),
    (b"AAD0", 0xFFFF_FF00, false, false),
    (b"AAD0", 0xFFFF_FF5A, true, false),
    (b"AAF0", 0xFFFF_FFFF, false, false),
    (b"AAF0", 0xFFFF_FFFF, true, false),
    (b"AAF0", 0xFFFF_FF5A, false, false),
    (b"AAF0", 0xFFFF_FF5A, true, true),
    (b"AAF0", 0xFFFF_FF00, true, false),
];

#[test]
fn access_port_protection_of_both_kinds_of_silicon() {
    for (variant, protection, opens, open) in LOCKS {
        let identity = ChipIdentity { variant: *variant, ..ChipIdentity::from_seed(3) };
        let mut chip = Chip::new(identity);
        let open_port = [thumb::store(0x4000_0558, 0x5A), vec![thumb::HANG]].concat();
        let code = if opens { open_port } else { vec![thumb::HANG] };
        chip.write_flash(0, &program(&code)).unwrap();
        chip.write_uicr(0x208, protection).unwrap();
        chip.set_power(true);
        let mut lab = Lab { chip, ..Lab::new() };
        lab.run(10 * MICROSECOND);
        let mut debugger = Debugger::at(lab);
        let what = format!("{} {protection:#x} {opens}", String::from_utf8_lossy(variant));
        assert_eq!(debugger.is_open(), open, "{what}");
        debugger.set_ap(0x04, 0x1000_0100).unwrap();
        assert_eq!(debugger.ap(0x0C).is_ok(), open, "{what}");
        if open {
            continue;
        }
        // CTRL-AP erases, and the port is open, also after its reset.
        debugger.set_dp(0x0, 4).unwrap();
        debugger.select(1, 0);
        debugger.set_ap(0x04, 1).unwrap();
        assert_eq!(debugger.ap(0x08), Ok(1), "{what}: it takes its time");
        debugger.lab.run(170 * MILLISECOND);
        assert_eq!(debugger.ap(0x08), Ok(0), "{what}");
        debugger.set_ap(0x00, 1).unwrap();
        debugger.set_ap(0x00, 0).unwrap();
        assert!(debugger.is_open(), "{what}");
        assert_eq!((debugger.word(0), debugger.word(0x1000_1208)), (u32::MAX, u32::MAX), "{what}");
        // The later silicon locks itself again with the power.
        debugger.lab.chip.set_power(false);
        debugger.lab.chip.set_power(true);
        debugger.connect();
        assert_eq!(debugger.is_open(), variant[2] < b'F', "{what}");
    }
}
