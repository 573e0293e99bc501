//! The core of `rsemu`, whose faults prove that differences are detected.

use core_differential::layout::{CODE_BYTES, RAM, RAM_BYTES, RESULTS};
use core_differential::{Image, Machine, Outcome};
use rsemu::core::device::{Device, ResetKind};
use rsemu::core::error::Error;
use rsemu::core::space::{AddressSpace, DispatchPolicy, RamStore, Region, UnassignedPolicy};
use rsemu::cpu::arm::v7m::{ArmV7m, Config};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, Default)]
pub struct Rsemu;

impl Machine for Rsemu {
    fn name(&self) -> &'static str {
        "rsemu"
    }

    fn run(&mut self, image: &Image) -> Result<Vec<Outcome>, String> {
        let code = Arc::new(RamStore::new(u64::from(CODE_BYTES)));
        let ram = Arc::new(RamStore::new(u64::from(RAM_BYTES)));
        let core = core(&code, &ram).map_err(|error| format!("rsemu: {error}"))?;
        code.write_at(0, &image.code).map_err(|error| format!("rsemu: {error}"))?;
        Device::reset(&core, ResetKind::Cold);
        for _ in 0..image.most_steps() {
            if core.pc() == image.stop {
                let mut results = vec![0; image.result_bytes()];
                ram.read_at(u64::from(RESULTS - RAM), &mut results).map_err(|error| format!("rsemu: {error}"))?;
                return image.outcomes(&results);
            }
            core.step();
            if core.is_locked_up() {
                return Err("rsemu locks up".to_owned());
            }
        }
        Err("rsemu hangs".to_owned())
    }
}

fn core(code: &Arc<RamStore>, ram: &Arc<RamStore>) -> Result<ArmV7m, Error> {
    let space = AddressSpace::new("flat", 32)
        .with_unassigned(UnassignedPolicy::FAULT)
        .with_dispatch(DispatchPolicy::Dense { page_bits: 18, cover: u64::from(RAM + RAM_BYTES) });
    {
        let mut map = space.topology();
        map.map(Region::ram("code", Arc::clone(code)), 0)?;
        map.map(Region::ram("RAM", Arc::clone(ram)), u64::from(RAM))?;
    }
    let core = ArmV7m::new(Config::CORTEX_M4F.with_bit_band(false).with_priority_bits(8));
    core.attach_space(Arc::new(space));
    Ok(core)
}
