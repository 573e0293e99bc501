//! `bench guard`, which `bench run` and `bench operator` start by themselves.

use super::say;
use crate::cli::GuardArgs;
use bench_engine::Failed;
use std::path::Path;

pub(crate) fn guard(root: Option<&Path>, args: &GuardArgs) -> Result<u8, Failed> {
    if let Some(why) = bench_real::watch(root, &args.fixture, args.i2c_bus)? {
        say(&format!("guard: {why}: rails off, nails released"));
    }
    Ok(0)
}
