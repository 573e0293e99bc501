//! Memory layout of the machine under test.

/// The runtime's own variables.
pub const GLOBALS: u32 = 0x2000_0000;
/// The data area of the program that runs; its stack follows.
pub const DATA: u32 = 0x2000_1000;
pub const DATA_BYTES: u32 = 256;
/// Data area and stack, which are set before each program and compared after it.
pub const WINDOW_WORDS: u32 = 128;
pub const WINDOW_END: u32 = DATA + 4 * WINDOW_WORDS;
/// The stack pointer starts at least this far below the end of the window, for loads and stores above it.
pub const STACK_ABOVE: u32 = 64;
/// Before the first program, and for nothing else.
pub const FIRST_STACK: u32 = 0x2000_3000;
pub const RESULTS: u32 = 0x2001_0000;
pub const RAM: u32 = 0x2000_0000;
pub const RAM_BYTES: u32 = 0x40_0000;
pub const CODE_BYTES: u32 = 0x40_0000;
/// Unmapped on every machine.
pub const NOWHERE: u32 = 0x6000_0000;

/// Most recorded exceptions of a program; after those it is ended.
pub const FAULTS: u32 = 3;
/// Exception number, EXC_RETURN, CFSR, HFSR, MMFAR, BFAR, and the frame.
pub const FAULT_WORDS: u32 = 14;

/// Words of a result.
pub mod result {
    use super::{FAULT_WORDS, FAULTS, WINDOW_WORDS};
    /// r1 to r12 and lr.
    pub const R1: u32 = 0;
    pub const R0: u32 = 13;
    /// xPSR, sp, FPSCR, PRIMASK, BASEPRI, FAULTMASK, CONTROL, PSP.
    pub const XPSR: u32 = 14;
    pub const SINGLES: u32 = 22;
    pub const WINDOW: u32 = SINGLES + 32;
    pub const FAULT_COUNT: u32 = WINDOW + WINDOW_WORDS;
    pub const FAULT: u32 = FAULT_COUNT + 1;
    /// [`DONE`] if the program came to its end.
    pub const MARKER: u32 = FAULT + FAULTS * FAULT_WORDS;
    pub const WORDS: u32 = MARKER + 1;
    pub const DONE: u32 = 0x600D_D00D;
}
