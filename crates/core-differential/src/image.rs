//! Many programs with the runtime, and their results.

use crate::asm::Asm;
use crate::layout::{CODE_BYTES, RAM, RAM_BYTES, RESULTS, result};
use crate::program::Program;
use crate::runtime::runtime;

const NOP: u32 = 0xBF00;
/// Window, s0 to s31, FPSCR, APSR, sp, lr, r0 to r12, and the address of the code.
const RECORD_WORDS: u32 = crate::layout::WINDOW_WORDS + 32 + 4 + 14;
/// Instructions of the runtime and of the longest program with its exceptions; more than that is a hang.
const STEPS_PER_PROGRAM: u64 = 4000;

/// Image for a machine: code at address zero, RAM at [`RAM`], from the vector table to [`Image::stop`].
#[derive(Debug, Clone)]
pub struct Image {
    /// From address zero.
    pub code: Vec<u8>,
    /// Address of the BKPT at which a machine without semihosting stops, before it is executed.
    pub stop: u32,
    pub programs: usize,
}

/// Result of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Words as written by the runtime; see [`result`].
    pub words: Vec<u32>,
}

impl Image {
    /// Fails if the programs do not fit.
    pub fn new(programs: &[Program]) -> Result<Image, String> {
        let count = programs.len() as u32;
        // The runtime's length does not depend on the addresses in it.
        let records = (runtime(count, 0).bytes.len() as u32).next_multiple_of(4);
        let runtime = runtime(count, records);
        let mut address = records + 4 * RECORD_WORDS * count;
        let mut words: Vec<u32> = Vec::with_capacity((RECORD_WORDS * count) as usize);
        let mut halves: Vec<u16> = Vec::new();
        for program in programs {
            let code = assemble(program, address, runtime.epilogue);
            let state = &program.state;
            words.extend(&state.window);
            words.extend(state.singles);
            words.extend([state.fpscr, state.apsr, state.sp, state.lr]);
            words.extend(state.registers);
            words.push(address | 1);
            address += 2 * code.len() as u32;
            halves.extend(code);
        }
        if address > CODE_BYTES || RESULTS - RAM + 4 * result::WORDS * count > RAM_BYTES {
            return Err(format!("{count} programs do not fit into one image"));
        }
        let mut code = runtime.bytes;
        code.resize(records as usize, 0);
        code.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        code.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        Ok(Image { code, stop: runtime.stop, programs: programs.len() })
    }

    /// Bytes of results, from [`RESULTS`] on.
    pub fn result_bytes(&self) -> usize {
        4 * result::WORDS as usize * self.programs
    }

    /// More instructions than this image executes.
    pub fn most_steps(&self) -> u64 {
        STEPS_PER_PROGRAM * (self.programs as u64 + 1)
    }

    /// Parses the memory from [`RESULTS`] on.
    pub fn outcomes(&self, results: &[u8]) -> Result<Vec<Outcome>, String> {
        if results.len() != self.result_bytes() {
            return Err(format!("{} bytes of results instead of {}", results.len(), self.result_bytes()));
        }
        let words: Vec<u32> = results
            .chunks_exact(4)
            .map(|word| word.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte)))
            .collect();
        let outcomes = words.chunks_exact(result::WORDS as usize);
        Ok(outcomes.map(|words| Outcome { words: words.to_vec() }).collect())
    }
}

/// The program's halfwords at this address, to its jump to the epilogue. A multiple of four bytes.
pub fn assemble(program: &Program, address: u32, epilogue: u32) -> Vec<u16> {
    let mut asm = Asm::new(address);
    for unit in &program.units {
        if unit.align.is_some_and(|align| asm.here() % 4 != align) {
            asm.narrow(NOP);
        }
        asm.halves.extend(&unit.code);
    }
    asm.branch(None, epilogue);
    if !asm.here().is_multiple_of(4) {
        asm.narrow(NOP);
    }
    asm.halves
}

impl Outcome {
    /// A missing result, because the machine failed.
    pub fn missing() -> Outcome {
        Outcome { words: vec![0; result::WORDS as usize] }
    }

    pub fn word(&self, index: u32) -> u32 {
        self.words.get(index as usize).copied().unwrap_or(0)
    }
}
