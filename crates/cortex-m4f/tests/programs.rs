//! Small programs: exceptions, sleep, faults, the floating-point unit's lazy stacking, debug.

#![allow(clippy::unwrap_used)] // what cannot go on in a test has failed it

use cortex_m4f::{Bus, Config, Core, DHCSR, Exit, Fault};

const RAM: u32 = 0x2000_0000;
const STACK: u32 = RAM + 0x8000;
/// Addresses of the main program and of the handler of an exception.
const MAIN: u32 = 0x400;
const fn handler(exception: u32) -> u32 {
    0x1000 + 0x100 * exception
}
const CONFIG: Config = Config { interrupts: 48, priority_bits: 3 };

const ICSR: u32 = 0xE000_ED04;
const SCR: u32 = 0xE000_ED10;
const CCR: u32 = 0xE000_ED14;
const SHCSR: u32 = 0xE000_ED24;
const CFSR: u32 = 0xE000_ED28;
const CPACR: u32 = 0xE000_ED88;
const ISER: u32 = 0xE000_E100;
const ISPR: u32 = 0xE000_E200;
const IPR: u32 = 0xE000_E400;

const NOP: u16 = 0xBF00;
const WFE: u16 = 0xBF20;
const WFI: u16 = 0xBF30;
const SEV: u16 = 0xBF40;
const CPSID: u16 = 0xB672;
const CPSIE: u16 = 0xB662;
const BX_LR: u16 = 0x4770;
/// Branch to itself.
const STOP: u16 = 0xE7FE;

/// Memory, and the core's reports.
struct Board {
    code: Vec<u8>,
    generation: u32,
    ram: Vec<u8>,
    faults: Vec<Fault>,
    missing: Vec<(&'static str, u32, Option<u32>)>,
}

impl Bus for Board {
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
        (address >> 28 == 4).then_some(0x4770_4770)
    }

    fn write(&mut self, address: u32, _: u32, _: u32, _: u64) -> Option<()> {
        (address >> 28 == 4).then_some(())
    }

    fn fetch(&self, _: u32) -> Option<u32> {
        None
    }

    fn wants_attention(&self) -> bool {
        false
    }

    fn rom_table(&self, _: u32) -> u32 {
        0
    }

    fn fault(&mut self, fault: Fault, _: u64) {
        self.faults.push(fault);
    }

    fn missing(&mut self, block: &'static str, address: u32, written: Option<u32>, _: u64) {
        self.missing.push((block, address, written));
    }
}

struct Lab {
    core: Core,
    board: Board,
}

impl Lab {
    /// A core at the beginning of `main`; handlers that are not given return at once.
    fn new(main: &[u16], handlers: &[(u32, Vec<u16>)]) -> Lab {
        let mut code = vec![0xFF; 0x8000];
        let mut put = |at: u32, halves: &[u16]| {
            for (n, half) in halves.iter().enumerate() {
                let at = at as usize + 2 * n;
                code[at..at + 2].copy_from_slice(&half.to_le_bytes());
            }
        };
        put(0, &words(&[STACK, MAIN | 1]));
        for exception in 2..64 {
            put(4 * exception, &words(&[handler(exception) | 1]));
            put(handler(exception), &[BX_LR]);
        }
        put(MAIN, main);
        handlers.iter().for_each(|(exception, code)| put(handler(*exception), code));
        let board = Board { code, generation: 1, ram: vec![0; 0x1_0000], faults: Vec::new(), missing: Vec::new() };
        Lab { core: Core::new(CONFIG), board }
    }

    fn run(&mut self, cycles: u64) -> Exit {
        let limit = self.core.cycles() + cycles;
        self.core.run(&mut self.board, limit)
    }

    fn r(&self, number: u8) -> u32 {
        self.core.register(number)
    }

    /// A word of RAM.
    fn word(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.board.ram[offset..offset + 4].try_into().unwrap())
    }
}

fn words(words: &[u32]) -> Vec<u16> {
    words.iter().flat_map(|word| [*word as u16, (*word >> 16) as u16]).collect()
}

/// MOVW and MOVT of a value.
fn set(register: u16, value: u32) -> Vec<u16> {
    let half = |opcode: u16, imm: u32| {
        let imm = imm as u16;
        [opcode | imm >> 12 | (imm >> 11 & 1) << 10, (imm >> 8 & 7) << 12 | register << 8 | imm & 0xFF]
    };
    [half(0xF240, value & 0xFFFF), half(0xF2C0, value >> 16)].concat()
}

/// Stores a value through r0 and r1.
fn store(address: u32, value: u32) -> Vec<u16> {
    [set(0, address), set(1, value), vec![0x6001]].concat()
}

/// Adds one to a register.
const fn count(register: u16) -> u16 {
    0x3001 | register << 8
}

fn program(parts: &[&[u16]]) -> Vec<u16> {
    parts.concat()
}

#[test]
fn wfe_after_an_interrupt_continues_once() {
    // The handler runs between the first WFE and the second, which finds the event that its return has set.
    let main = program(&[&store(ISER, 1), &[WFE, count(4), WFE, count(4), WFE, count(4), STOP]]);
    let mut lab = Lab::new(&main, &[(16, vec![count(5), BX_LR])]);
    assert_eq!((lab.run(100), lab.r(4)), (Exit::Asleep, 0));
    lab.core.set_lines(1);
    lab.run(1);
    lab.core.set_lines(0);
    assert_eq!((lab.run(100), lab.r(4), lab.r(5)), (Exit::Asleep, 2, 1), "the event ended one WFE more");
    lab.core.set_lines(1);
    lab.run(1);
    lab.core.set_lines(0);
    lab.run(100);
    assert_eq!((lab.r(4), lab.r(5)), (3, 2));
}

#[test]
fn an_event_before_wfe_is_kept() {
    let mut lab = Lab::new(&program(&[&[SEV, WFE, count(4), WFE, count(4), STOP]]), &[]);
    assert_eq!((lab.run(100), lab.r(4)), (Exit::Asleep, 1));
}

#[test]
fn sevonpend_wakes_for_an_interrupt_that_is_not_enabled() {
    for (scr, woken) in [(0, 0), (1 << 4, 1)] {
        let main = program(&[&store(SCR, scr), &[WFE, count(4), STOP]]);
        let mut lab = Lab::new(&main, &[(16 + 7, vec![count(5), BX_LR])]);
        assert_eq!(lab.run(100), Exit::Asleep);
        lab.core.set_lines(1 << 7);
        lab.run(100);
        assert_eq!((lab.r(4), lab.r(5)), (woken, 0), "SCR {scr:#x}");
    }
}

#[test]
fn sleeponexit_sleeps_after_the_handler() {
    let main = program(&[&store(SCR, 1 << 1), &store(ISER, 1), &[WFI, count(4), STOP]]);
    let mut lab = Lab::new(&main, &[(16, vec![count(5), BX_LR])]);
    for handled in 1..4 {
        assert_eq!(lab.run(100), Exit::Asleep);
        lab.core.set_lines(1);
        lab.run(1);
        lab.core.set_lines(0);
        assert_eq!((lab.run(100), lab.r(4), lab.r(5)), (Exit::Asleep, 0, handled));
    }
}

#[test]
fn primask_lets_an_interrupt_end_wfi_but_not_be_taken() {
    let main = program(&[&store(ISER, 1), &[CPSID, WFI, count(4), CPSIE, NOP, STOP]]);
    let mut lab = Lab::new(&main, &[(16, vec![count(5), 0x4626, BX_LR])]); // mov r6, r4
    assert_eq!(lab.run(100), Exit::Asleep);
    lab.core.set_lines(1);
    lab.run(22);
    lab.core.set_lines(0);
    lab.run(100);
    assert_eq!((lab.r(4), lab.r(5), lab.r(6)), (1, 1, 1), "counted before the handler, which came after CPSIE");
}

#[test]
fn a_more_urgent_interrupt_nests_and_others_chain() {
    // Interrupt 1 is urgent, 0 and 2 are not; the handler of 0 pends the other two.
    let main = program(&[&store(ISER, 7), &store(IPR, 0x0080_2080), &store(ISPR, 1), &[NOP, NOP, count(4), STOP]]);
    let first = program(&[&[count(5)], &store(ISPR, 6), &[NOP, NOP, 0x4637, BX_LR]]); // mov r7, r6
    let mut lab =
        Lab::new(&main, &[(16, first), (17, vec![0x2601, 0x46EB, BX_LR]), (18, vec![0x46A8, count(5), BX_LR])]);
    lab.run(300);
    assert_eq!((lab.r(4), lab.r(5)), (1, 2));
    assert_eq!(lab.r(7), 1, "1 was handled inside of 0");
    assert_eq!(STACK - lab.r(11), 2 * 32, "two frames deep");
    assert_eq!(lab.r(8), 1, "2 only afterwards");
}

#[test]
fn equal_priorities_wait_and_basepri_holds_back() {
    let main = program(&[
        &store(ISER, 3),
        &store(IPR, 0x4080),
        &set(0, 0x60),
        &[0xF380, 0x8811], // msr basepri, r0
        &store(ISPR, 3),
        &[NOP, 0x462E, 0x2000, 0xF380, 0x8811, NOP, STOP], // mov r6, r5; movs r0, #0; msr basepri, r0
    ]);
    let mut lab = Lab::new(&main, &[(16, vec![count(4), BX_LR]), (17, vec![count(5), BX_LR])]);
    lab.run(300);
    assert_eq!(
        (lab.r(4), lab.r(5), lab.r(6)),
        (1, 1, 1),
        "the one at 0x40 came first, that at 0x80 after BASEPRI went"
    );
}

#[test]
fn an_interrupt_in_an_if_then_block_leaves_it_whole() {
    // cmp r3, r3; ittt ne; three additions that must not happen.
    let main = program(&[&store(ISER, 1), &[0x429B, 0xBF1E, count(4), count(4), count(4), count(5), STOP]]);
    for delay in 0..12 {
        let mut lab = Lab::new(&main, &[(16, vec![count(6), BX_LR])]);
        lab.run(10 + delay);
        lab.core.set_lines(1);
        lab.run(1);
        lab.core.set_lines(0);
        lab.run(100);
        assert_eq!((lab.r(4), lab.r(5), lab.r(6)), (0, 1, 1), "after {delay} cycles");
    }
}

#[test]
fn floating_point_registers_are_stacked_when_a_handler_needs_them() {
    let vmov_s0_r2 = [0xEE00, 0x2A10];
    let vmov_r3_s0 = [0xEE10, 0x3A10];
    let plain = vec![count(5), BX_LR];
    let uses = program(&[&set(2, 0x4000_0000), &vmov_s0_r2, &[count(5), BX_LR]]);
    for (handler, stacked) in [(plain, 0), (uses, 0x3F80_0000)] {
        let main = program(&[
            &store(CPACR, 0xF << 20),
            &set(2, 0x3F80_0000),
            &vmov_s0_r2,
            &store(ISER, 1),
            &store(ISPR, 1),
            &[NOP, NOP],
            &vmov_r3_s0,
            &[STOP],
        ]);
        let mut lab = Lab::new(&main, &[(16, handler)]);
        lab.run(400);
        assert_eq!((lab.r(3), lab.r(5)), (0x3F80_0000, 1));
        // The frame's S0 is above its eight words.
        assert_eq!(lab.word((STACK - RAM) as usize - 0x68 + 0x20), stacked);
    }
}

#[test]
fn faults_are_reported_each_time_with_their_instruction() {
    // UDF three times; the handler steps over it.
    let skip = vec![0x9806, 0x3002, 0x9006, count(5), BX_LR]; // ldr r0, [sp, #24]; adds r0, #2; str r0, [sp, #24]
    let mut lab = Lab::new(&[0xDE00, 0xDE01, 0xDE02, STOP], &[(3, skip)]);
    lab.run(300);
    let seen: Vec<(u16, u32, u32)> =
        lab.board.faults.iter().map(|fault| (fault.exception, fault.cfsr, fault.pc)).collect();
    assert_eq!(seen, [(3, 1 << 16, MAIN), (3, 1 << 16, MAIN + 2), (3, 1 << 16, MAIN + 4)]);
    assert_eq!(lab.r(5), 3);
}

#[test]
fn peripherals_are_not_executed() {
    let main = program(&[&store(SHCSR, 7 << 16), &set(0, 0x4000_0001), &[0x4700]]); // bx r0
    let mut lab = Lab::new(&main, &[(4, vec![count(5), STOP])]);
    lab.run(100);
    assert_eq!((lab.r(5), lab.board.faults.len()), (1, 1));
    assert_eq!((lab.board.faults[0].cfsr, lab.board.faults[0].pc), (1, 0x4000_0000), "IACCVIOL");
}

#[test]
fn unprivileged_programs_do_not_reach_the_private_bus() {
    // movs r0, #1; msr control, r0; then a read of ICSR, and STIR without permission.
    for (address, is_read) in [(ICSR, true), (0xE000_EF00, false)] {
        let access = if is_read { 0x6801 } else { 0x6001 };
        let main = program(&[&store(SHCSR, 7 << 16), &[0x2001, 0xF380, 0x8814], &set(0, address), &[access, STOP]]);
        let mut lab = Lab::new(&main, &[(5, vec![count(5), STOP])]);
        lab.run(100);
        assert_eq!(lab.r(5), 1, "{address:#x}");
        assert_eq!((lab.board.faults[0].cfsr, lab.board.faults[0].address), (0x8200, Some(address)));
    }
}

#[test]
fn interrupts_that_do_not_exist_cannot_be_enabled() {
    let all = store(ISER + 4, u32::MAX);
    let main = program(&[&all, &[0x6802], &store(ISPR + 4, u32::MAX), &[0x6803, STOP]]); // ldr r2, [r0]; ldr r3, [r0]
    let mut lab = Lab::new(&main, &[]);
    lab.core.set_register(20, 0);
    lab.run(1000);
    assert_eq!(lab.r(2), 0xFFFF, "48 lines");
}

#[test]
fn a_byte_written_to_a_fault_status_clears_only_that_byte() {
    // An undefined instruction, then a division by zero; then the upper half is cleared by a halfword.
    let skip2 = [0x9806, 0x3002, 0x9006, BX_LR];
    let main = program(&[
        &[0xDE00],
        &set(0, 0x6000_0000),
        &[0x6800, NOP], // ldr r0, [r0]
        &set(0, CFSR + 2),
        &set(1, 0xFFFF),
        &[0x8001, 0x1E80, 0x6802, STOP], // strh r1, [r0]; subs r0, r0, #2; ldr r2, [r0]
    ]);
    let mut lab = Lab::new(&main, &[(3, skip2.to_vec())]);
    lab.run(300);
    assert_eq!(lab.r(2), 0x8200, "the bus fault's bits stay");
}

#[test]
fn unaligned_accesses_work_where_they_may() {
    let rows: [(u32, u16, u32); 4] = [
        (RAM + 1, 0x6802, 0),           // ldr r2, [r0]
        (RAM + 1, 0xC804, 1 << 24),     // ldm r0!, {r2}
        (0x4000_0002, 0x6802, 1 << 24), // device memory
        (0xE000_ED0A, 0x6802, 1 << 24),
    ];
    for (address, access, expected) in rows {
        let main = program(&[&store(SHCSR, 7 << 16), &set(0, address), &[access, STOP]]);
        let mut lab = Lab::new(&main, &[(6, vec![STOP])]);
        lab.run(200);
        assert_eq!(lab.board.faults.first().map_or(0, |fault| fault.cfsr), expected, "{address:#x} {access:#x}");
    }
    // With UNALIGN_TRP the first one faults, too.
    let main = program(&[&store(SHCSR, 7 << 16), &store(CCR, 0x208), &set(0, RAM + 1), &[0x6802, STOP]]);
    let mut lab = Lab::new(&main, &[(6, vec![STOP])]);
    lab.run(200);
    assert_eq!(lab.board.faults[0].cfsr, 1 << 24);
}

#[test]
fn a_stack_that_cannot_be_written_is_a_fault_of_stacking() {
    let main =
        program(&[&store(SHCSR, 7 << 16), &set(0, 0x6000_0000), &[0x4685], &store(ISER, 1), &store(ISPR, 1), &[STOP]]);
    let mut lab = Lab::new(&main, &[(16, vec![count(5), STOP])]);
    // mov sp, r0 points it to unmapped memory; the bus fault does not keep the interrupt's handler from running.
    lab.run(300);
    assert!(lab.core.is_locked_up() || lab.r(5) == 1);
    let mut cfsr = lab.core.read_system(CFSR);
    cfsr &= 1 << 12;
    assert_eq!(cfsr, 1 << 12, "STKERR");
}

#[test]
fn missing_registers_are_reported() {
    let rows: [(u32, &str); 4] =
        [(0xE000_0000, "ITM"), (0xE000_1020, "DWT"), (0xE004_00F0, "TPIU"), (0xE004_1000, "ETM")];
    for (address, block) in rows {
        let mut lab = Lab::new(&program(&[&store(address, 5), &[0x6802, STOP]]), &[]);
        lab.run(100);
        assert_eq!(lab.board.missing[0], (block, address, Some(5)));
        assert_eq!(lab.board.missing[1], (block, address, None));
    }
    // A stimulus port of ITM is always ready, so firmware that waits for it continues.
    let mut lab = Lab::new(&program(&[&set(0, 0xE000_0000), &[0x6802, STOP]]), &[]);
    lab.run(100);
    assert_eq!(lab.r(2), 1);
}

#[test]
fn identification_reads_like_silicon() {
    let rows = [
        (0xE000_ED00, 0x410F_C241),
        (0xE000_ED40, 0x0000_0030),
        (0xE000_EF40, 0x1011_0021),
        (0xE000_2000, 0x0000_0260),
        (0xE000_EFE0, 0x0000_000C),
        (0xE000_1FF0, 0x0000_000D),
    ];
    for (address, value) in rows {
        let mut lab = Lab::new(&program(&[&set(0, address), &[0x6802, STOP]]), &[]);
        lab.run(100);
        assert_eq!((lab.r(2), lab.board.missing.len()), (value, 0), "{address:#x}");
    }
}

#[test]
fn code_that_changes_is_decoded_again() {
    // In RAM: adds r4, #1; bx lr. Called, changed to adds r5, #1, called again.
    let main = program(&[
        &store(RAM, 0x4770_3401),
        &set(0, RAM | 1),
        &[0x4780], // blx r0
        &store(RAM, 0x4770_3501),
        &set(0, RAM | 1),
        &[0x4780, STOP],
    ]);
    let mut lab = Lab::new(&main, &[]);
    lab.run(200);
    assert_eq!((lab.r(4), lab.r(5)), (1, 1));
    // The same in code memory, which reports it by its generation.
    let mut lab = Lab::new(&[count(4), 0xE7FD], &[]);
    lab.run(20);
    let before = lab.r(4);
    lab.board.code[MAIN as usize..][..2].copy_from_slice(&count(5).to_le_bytes());
    lab.board.generation = 2;
    lab.run(20);
    assert!(lab.r(4) <= before + 1 && lab.r(5) > 0);
}

#[test]
fn systick_counts_cycles_and_stops_in_sleep() {
    // Reload 99, interrupt on, started.
    let main = program(&[&store(0xE000_E014, 99), &store(0xE000_E018, 0), &store(0xE000_E010, 7), &[STOP]]);
    let mut lab = Lab::new(&main, &[(15, vec![count(5), BX_LR])]);
    lab.run(10_020);
    assert!((98..=100).contains(&lab.r(5)), "{}", lab.r(5));
    let main = program(&[&store(0xE000_E014, 99), &store(0xE000_E018, 0), &store(0xE000_E010, 7), &[WFI, STOP]]);
    let mut lab = Lab::new(&main, &[(15, vec![count(5), BX_LR])]);
    assert_eq!((lab.run(10_000), lab.r(5)), (Exit::Asleep, 0));
}

#[test]
fn a_debugger_halts_steps_and_breaks() {
    let mut lab = Lab::new(&[count(4), count(4), count(4), count(4), 0xBE00, count(4), STOP], &[]);
    lab.core.set_breakpoint(MAIN + 4);
    assert_eq!((lab.run(100), lab.core.pc(), lab.r(4)), (Exit::Halted, MAIN + 4, 2));
    // Removes the breakpoint, as debuggers do before a step; steps, then runs to BKPT, which is not executed.
    lab.core.write_system(0xE000_2008, 0);
    lab.core.write_system(DHCSR, 0xA05F_0005);
    assert_eq!((lab.run(100), lab.core.pc(), lab.r(4)), (Exit::Halted, MAIN + 6, 3));
    lab.core.write_system(DHCSR, 0xA05F_0001);
    assert_eq!((lab.run(100), lab.core.pc(), lab.r(4)), (Exit::Halted, MAIN + 8, 4));
    // Without a debugger BKPT is a HardFault, here with a handler that returns to it: it repeats forever.
    lab.core.write_system(DHCSR, 0xA05F_0000);
    lab.run(100);
    assert_eq!(lab.board.faults[0].exception, 3);
    assert_eq!(lab.core.read_system(0xE000_ED2C) >> 31, 1, "DEBUGEVT");
}

#[test]
fn a_reset_request_is_returned_to_the_owner() {
    let mut lab = Lab::new(&program(&[&store(0xE000_ED0C, 0x05FA_0004), &[count(4), STOP]]), &[]);
    assert_eq!((lab.run(100), lab.r(4)), (Exit::ResetRequested, 0));
    lab.core.reset(false);
    lab.core.set_vectors(0);
    assert_eq!(lab.run(100), Exit::ResetRequested);
}

#[test]
fn the_mpu_keeps_programs_out() {
    // Region 0: all memory for everyone; region 1: 256 bytes of RAM, no access, above it.
    let main = program(&[
        &store(SHCSR, 7 << 16),
        &store(0xE000_ED9C, 0x10),
        &store(0xE000_EDA0, 0x0300_003F),
        &store(0xE000_ED9C, (RAM + 0x1000) | 0x11),
        &store(0xE000_EDA0, 0x0000_000F),
        &store(0xE000_ED94, 5),
        &store(RAM + 0xFFC, 7),
        &store(RAM + 0x1000, 8),
        &[STOP],
    ]);
    let mut lab = Lab::new(&main, &[(4, vec![count(5), STOP])]);
    lab.run(300);
    assert_eq!((lab.word(0xFFC), lab.word(0x1000), lab.r(5)), (7, 0, 1));
    assert_eq!((lab.board.faults[0].cfsr, lab.board.faults[0].address), (0x82, Some(RAM + 0x1000)));
}

#[test]
fn a_run_in_pieces_is_the_run_in_one() {
    let main = program(&[
        &store(ISER, 3),
        &store(0xE000_E014, 50),
        &store(0xE000_E018, 0),
        &store(0xE000_E010, 7),
        &[count(4), 0xB410, 0xBC80, 0xD1FB, STOP],
    ]);
    let handlers = [(15, vec![count(5), BX_LR]), (16, vec![count(6), BX_LR])];
    let result = |piece: u64| {
        let mut lab = Lab::new(&main, &handlers);
        while lab.core.cycles() < 3000 {
            lab.run(piece.min(3000 - lab.core.cycles()));
        }
        (lab.core.registers(), lab.core.cycles(), lab.core.steps(), lab.board.ram)
    };
    let whole = result(3000);
    for piece in [1, 2, 7, 64] {
        assert!(result(piece) == whole, "pieces of {piece}");
    }
}
