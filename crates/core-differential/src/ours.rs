//! Our own core on plain memory.

use crate::image::{Image, Outcome};
use crate::layout::{CODE_BYTES, RAM, RAM_BYTES, RESULTS};
use crate::machine::Machine;
use cortex_m4f::{Bus, Config, Core, Exit, Fault};

/// `cortex-m4f` with eight bits of priority, as the board that QEMU emulates has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ours;

const CONFIG: Config = Config { interrupts: 32, priority_bits: 8 };

/// Code and RAM, nothing else.
struct Flat {
    code: Vec<u8>,
    ram: Vec<u8>,
}

impl Bus for Flat {
    fn code(&self) -> &[u8] {
        &self.code
    }

    fn code_generation(&self) -> u32 {
        1
    }

    fn ram(&self) -> &[u8] {
        &self.ram
    }

    fn ram_mut(&mut self) -> &mut [u8] {
        &mut self.ram
    }

    fn read(&mut self, _: u32, _: u32, _: u64) -> Option<u32> {
        None
    }

    fn write(&mut self, _: u32, _: u32, _: u32, _: u64) -> Option<()> {
        None
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

    fn fault(&mut self, _: Fault, _: u64) {}

    fn missing(&mut self, _: &'static str, _: u32, _: Option<u32>, _: u64) {}
}

impl Machine for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn run(&mut self, image: &Image) -> Result<Vec<Outcome>, String> {
        let mut flat = Flat { code: vec![0; CODE_BYTES as usize], ram: vec![0; RAM_BYTES as usize] };
        let place = flat.code.get_mut(..image.code.len()).ok_or("the image is too long")?;
        place.copy_from_slice(&image.code);
        // A branch to itself replaces the last BKPT: with a breakpoint the core would check each instruction, and the
        // fast path, which firmware uses, would not be tested.
        let stop = image.stop as usize;
        flat.code.get_mut(stop..stop + 2).ok_or("the image's end is outside of it")?.copy_from_slice(&[0xFE, 0xE7]);
        let mut core = Core::new(CONFIG);
        // Most cycles of an instruction of the programs.
        const MOST_CYCLES_EACH: u64 = 64;
        const AT_ONCE: u64 = 10_000;
        let limit = image.most_steps() * MOST_CYCLES_EACH;
        while core.cycles() < limit {
            match core.run(&mut flat, core.cycles() + AT_ONCE) {
                Exit::Limit if core.pc() == image.stop => {
                    let from = (RESULTS - RAM) as usize;
                    let results = flat.ram.get(from..from + image.result_bytes());
                    return image.outcomes(results.ok_or("the results are outside of RAM")?);
                }
                Exit::Limit => {}
                other => return Err(format!("our core stops at {:#x}: {other:?}", core.pc())),
            }
        }
        Err("our core hangs".to_owned())
    }
}
