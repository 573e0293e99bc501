//! The code around the programs: sets the state, runs a program, stores its results, and handles its exceptions.

use crate::asm::{Asm, EQ, HS, LR, NE, SP, msr};
use crate::layout::{
    FAULT_WORDS, FAULTS, FIRST_STACK, GLOBALS, RESULTS, WINDOW_WORDS,
    result::{DONE, FAULT_COUNT, MARKER, WORDS},
};

/// Offsets of the runtime's variables.
const RECORD: u32 = 0;
const RESULT: u32 = 4;
const LEFT: u32 = 8;

const MSP: u32 = 8;
const PSP: u32 = 9;
const IPSR: u32 = 5;
const XPSR: u32 = 3;
const PRIMASK: u32 = 16;
const BASEPRI: u32 = 17;
const FAULTMASK: u32 = 19;
const CONTROL: u32 = 20;

/// System control space.
const SCS: u32 = 0xE000_ED00;
const CCR: u32 = SCS + 0x14;
const SHCSR: u32 = SCS + 0x24;
const CPACR: u32 = SCS + 0x88;

const VECTORS: u32 = 64;
/// Name of the result file in QEMU's folder.
pub const RESULTS_FILE: &str = "results";

/// The runtime, and addresses in it that others need.
pub struct Runtime {
    /// From address zero, with the vector table.
    pub bytes: Vec<u8>,
    /// Jump target of finished programs.
    pub epilogue: u32,
    /// The first semihosting call, after the last program.
    pub stop: u32,
}

/// Generates the code for a number of programs. Its length does not depend on the addresses of their records.
pub fn runtime(programs: u32, records: u32) -> Runtime {
    let mut asm = Asm::new(4 * VECTORS);
    let start = asm.here();
    set_up(&mut asm, programs, records);
    let next = asm.here();
    let finish = enter_program(&mut asm);
    let epilogue = asm.here();
    leave_program(&mut asm);
    asm.branch(None, next);
    asm.land(finish);
    let stop = write_results(&mut asm, programs);
    let fault = asm.here();
    take_exception(&mut asm, epilogue);

    let mut words = vec![fault | 1; VECTORS as usize];
    (words[0], words[1]) = (FIRST_STACK, start | 1);
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(asm.halves.iter().flat_map(|half| half.to_le_bytes()));
    Runtime { bytes, epilogue, stop }
}

fn set_up(asm: &mut Asm, programs: u32, records: u32) {
    asm.set(0, CPACR);
    asm.set(1, 0x00F0_0000);
    asm.str(1, 0, 0);
    barriers(asm);
    enable_faults(asm, 0, 1);
    asm.set(0, GLOBALS);
    for (offset, value) in [(RECORD, records), (RESULT, RESULTS), (LEFT, programs)] {
        asm.set(1, value);
        asm.str(1, 0, offset);
    }
}

/// SHCSR: memory, bus and usage faults have handlers of their own. CCR: as after reset.
fn enable_faults(asm: &mut Asm, address: u32, value: u32) {
    for (register, bits) in [(SHCSR, 0x0007_0000), (CCR, 0x200)] {
        asm.set(address, register);
        asm.set(value, bits);
        asm.str(value, address, 0);
    }
    barriers(asm);
}

fn barriers(asm: &mut Asm) {
    asm.wide([0xF3BF, 0x8F4F]);
    asm.wide([0xF3BF, 0x8F6F]);
}

/// Sets the state from the record. Returns the branch that is taken when no program is left.
fn enter_program(asm: &mut Asm) -> crate::asm::Hole {
    asm.set(12, GLOBALS);
    asm.ldr(0, 12, LEFT);
    // CMP r0, #0
    asm.narrow(0x2800);
    let finish = asm.branch_ahead(Some(EQ));
    // SUBS r0, #1
    asm.narrow(0x3801);
    asm.str(0, 12, LEFT);
    asm.ldr(0, 12, RECORD);
    asm.set(1, crate::layout::DATA);
    // MOVS r2, #n: eight words at a time.
    asm.narrow(0x2200 | (WINDOW_WORDS / 8));
    let again = asm.here();
    asm.ldm(0, true, 0x07F8);
    asm.stm(1, 0x07F8);
    // SUBS r2, #1
    asm.narrow(0x3A01);
    asm.branch(Some(NE), again);
    // VLDMIA r0!, {s0-s31}
    asm.wide([0xECB0, 0x0A20]);
    // FPSCR, APSR, sp, lr.
    asm.ldm(0, true, 0x001E);
    asm.msr(MSP, 3);
    // MOV lr, r4; VMSR FPSCR, r1
    asm.narrow(0x46A6);
    asm.wide([0xEEE1, 0x1A10]);
    // MOVS r5, #0
    asm.narrow(0x2500);
    asm.msr(PSP, 5);
    // CLREX
    asm.wide([0xF3BF, 0x8F2F]);
    // ADDW r5, r0, #56: the next record.
    asm.wide([0xF200, 0x0538]);
    asm.str(5, 12, RECORD);
    asm.wide(msr(0, 3, 2));
    // r0 to r12 and the program's address.
    asm.ldm(0, false, 0x9FFF);
    finish
}

/// Stores everything, beginning with what would change first.
fn leave_program(asm: &mut Asm) {
    // PUSH {r0}
    asm.narrow(0xB401);
    asm.set(0, GLOBALS);
    asm.ldr(0, 0, RESULT);
    asm.stm(0, 0x5FFE);
    // POP {r1}
    asm.narrow(0xBC02);
    asm.mrs(2, XPSR);
    // MOV r3, sp; VMRS r4, FPSCR
    asm.narrow(0x4600 | SP << 3 | 3);
    asm.wide([0xEEF1, 0x4A10]);
    for (register, special) in [(5, PRIMASK), (6, BASEPRI), (7, FAULTMASK), (8, CONTROL), (9, PSP)] {
        asm.mrs(register, special);
    }
    asm.stm(0, 0x03FE);
    // VSTMIA r0!, {s0-s31}
    asm.wide([0xECA0, 0x0A20]);
    // MOVS r1, #0
    asm.narrow(0x2100);
    for special in [PRIMASK, BASEPRI, FAULTMASK] {
        asm.msr(special, 1);
    }
    // MOVS r1, #4: main stack, FPU in use.
    asm.narrow(0x2104);
    asm.msr(CONTROL, 1);
    enable_faults(asm, 1, 2);
    asm.set(1, crate::layout::DATA);
    asm.narrow(0x2200 | (WINDOW_WORDS / 8));
    let again = asm.here();
    asm.ldm(1, true, 0x07F8);
    asm.stm(0, 0x07F8);
    asm.narrow(0x3A01);
    asm.branch(Some(NE), again);
    asm.set(12, GLOBALS);
    asm.ldr(1, 12, RESULT);
    asm.set(0, DONE);
    asm.str(0, 1, 4 * MARKER);
    asm.set(0, 4 * WORDS);
    // ADDS r1, r1, r0
    asm.narrow(0x1809);
    asm.str(1, 12, RESULT);
}

/// Returns the address of the first semihosting call. A machine without semihosting stops there.
fn write_results(asm: &mut Asm, programs: u32) -> u32 {
    const BLOCK: u32 = GLOBALS + 0x20;
    const NAME: u32 = GLOBALS + 0x40;
    let mut name = RESULTS_FILE.as_bytes().to_vec();
    name.resize(12, 0);
    asm.set(0, NAME);
    for (offset, word) in (0..).step_by(4).zip(name.chunks_exact(4)) {
        let value = word.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        asm.set(1, value);
        asm.str(1, 0, offset);
    }
    let block = |asm: &mut Asm, words: [u32; 3]| {
        asm.set(1, BLOCK);
        for (offset, value) in (0..).step_by(4).zip(words) {
            asm.set(2, value);
            asm.str(2, 1, offset);
        }
    };
    // SYS_OPEN, for writing in binary.
    block(asm, [NAME, 5, RESULTS_FILE.len() as u32]);
    asm.narrow(0x2001);
    let stop = asm.here();
    asm.narrow(0xBEAB);
    // SYS_WRITE to the handle in r0.
    block(asm, [0, RESULTS, programs * 4 * WORDS]);
    asm.str(0, 1, 0);
    asm.narrow(0x2005);
    asm.narrow(0xBEAB);
    // SYS_EXIT, ADP_Stopped_ApplicationExit.
    asm.set(1, 0x2_0026);
    asm.narrow(0x2018);
    asm.narrow(0xBEAB);
    // B .
    asm.narrow(0xE7FE);
    stop
}

/// Records an exception and continues after the instruction, or at the program's end if that is impossible.
fn take_exception(asm: &mut Asm, epilogue: u32) {
    /// An instruction that could not be fetched, or no Thumb code, or a bad return.
    const NO_INSTRUCTION: u32 = 0x0006_0101;
    const STACKED_PC: u32 = 24;
    const STACKED_XPSR: u32 = 28;

    // TST lr, #4; ITE EQ; MRSEQ r3, MSP; MRSNE r3, PSP
    asm.wide([0xF01E, 0x0F04]);
    asm.narrow(0xBF0C);
    asm.mrs(3, MSP);
    asm.mrs(3, PSP);
    asm.set(0, GLOBALS);
    asm.ldr(0, 0, RESULT);
    asm.set(1, 4 * FAULT_COUNT);
    // ADDS r0, r0, r1
    asm.narrow(0x1840);
    asm.ldr(1, 0, 0);
    // CMP r1, #FAULTS
    asm.narrow(0x2900 | FAULTS);
    let full = asm.branch_ahead(Some(HS));
    // ADDS r2, r1, #1
    asm.narrow(0x1C4A);
    asm.str(2, 0, 0);
    // MOVS r2, #n; MLA r0, r1, r2, r0; ADDS r0, #4
    asm.narrow(0x2200 | (4 * FAULT_WORDS));
    asm.wide([0xFB01, 0x0002]);
    asm.narrow(0x3004);
    asm.mrs(1, IPSR);
    asm.narrow(0x4600 | LR << 3 | 2);
    asm.stm(0, 0x0006);
    asm.set(12, SCS);
    asm.ldr(1, 12, 0x28);
    asm.ldr(2, 12, 0x2C);
    asm.stm(0, 0x0006);
    // Written back, they are clear.
    asm.str(1, 12, 0x28);
    asm.str(2, 12, 0x2C);
    for offset in [0x34, 0x38] {
        asm.ldr(2, 12, offset);
        post_indexed(asm, false, 2, 0);
    }
    for _ in 0..8 {
        post_indexed(asm, true, 2, 3);
        post_indexed(asm, false, 2, 0);
    }
    // SUBS r3, #32; MRS r2, IPSR; CMP r2, #11
    asm.narrow(0x3B20);
    asm.mrs(2, IPSR);
    asm.narrow(0x2A0B);
    let call = asm.branch_ahead(Some(EQ));
    asm.set(2, NO_INSTRUCTION);
    // TST r1, r2
    asm.narrow(0x4211);
    let lost = asm.branch_ahead(Some(NE));
    asm.ldr(0, 3, STACKED_PC);
    // LDRH r1, [r0]; CMP.W r1, #0xE800; ITE HS; ADDHS r0, #4; ADDLO r0, #2
    asm.narrow(0x8801);
    asm.wide([0xF5B1, 0x4F68]);
    asm.narrow(0xBF2C);
    asm.narrow(0x3004);
    asm.narrow(0x3002);
    asm.str(0, 3, STACKED_PC);
    without_it(asm, STACKED_XPSR);
    asm.str(0, 3, STACKED_XPSR);
    // BX lr
    asm.narrow(0x4770);
    asm.land(call);
    answer_call(asm);
    asm.land(full);
    asm.land(lost);
    asm.set(0, epilogue);
    asm.str(0, 3, STACKED_PC);
    without_it(asm, STACKED_XPSR);
    // ORR r0, r0, #T
    asm.wide([0xF040, 0x7080]);
    asm.str(0, 3, STACKED_XPSR);
    asm.narrow(0x4770);
}

/// SVC with an odd number uses the FPU, so that the program's registers must be saved and restored.
fn answer_call(asm: &mut Asm) {
    asm.ldr(0, 3, 24);
    // LDRH r1, [r0, #-2]; LSLS r1, r1, #31
    asm.wide([0xF830, 0x1C02]);
    asm.narrow(0x07C9);
    let even = asm.branch_ahead(Some(EQ));
    // VMOV.F32 s0, #1; VMOV.F32 s15, #1; VMSR FPSCR, r1: flush to zero and default NaN.
    asm.wide([0xEEB7, 0x0A00]);
    asm.wide([0xEEF7, 0x7A00]);
    asm.set(1, 0x0300_0000);
    asm.wide([0xEEE1, 0x1A10]);
    asm.land(even);
    asm.narrow(0x4770);
}

/// Loads the stacked xPSR into r0, without ITSTATE: what follows the instruction is unconditional.
fn without_it(asm: &mut Asm, stacked: u32) {
    asm.ldr(0, 3, stacked);
    // BIC r0, r0, #0x0600_0000; BIC r0, r0, #0xFC00
    asm.wide([0xF020, 0x60C0]);
    asm.wide([0xF420, 0x407C]);
}

/// LDR or STR of a word with post-increment.
fn post_indexed(asm: &mut Asm, load: bool, register: u32, base: u32) {
    asm.wide([0xF840 | u32::from(load) << 4 | base, register << 12 | 0xB04]);
}
