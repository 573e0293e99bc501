//! What runs an image.

use crate::image::{Image, Outcome};
use crate::runtime::RESULTS_FILE;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An implementation of the core. The order of the outcomes is that of the programs.
pub trait Machine {
    fn name(&self) -> &'static str;
    /// Runs the image to its end. Fails if it does not reach it: a hang, a lockup.
    fn run(&mut self, image: &Image) -> Result<Vec<Outcome>, String>;
}

/// Returns the machine with this name. Add new implementations here.
pub fn by_name(name: &str) -> Result<Box<dyn Machine>, String> {
    match name {
        "qemu" => Ok(Box::new(Qemu)),
        "ours" => Ok(Box::new(crate::Ours)),
        _ => Err(format!("no machine named {name}")),
    }
}

/// `qemu-system-arm` with the board mps2-an386, which has a Cortex-M4F, 4 MB from address 0 and 4 MB from 0x2000_0000.
#[derive(Debug, Clone, Copy, Default)]
pub struct Qemu;

/// Programs that [`Qemu`] needs.
pub const NEEDED: &str = "qemu-system-arm (`apt-get install qemu-system-arm`, or `cargo xtask setup`)";
const PROGRAM: &str = "qemu-system-arm";
const CODE_FILE: &str = "code.bin";
/// To start, and for each program. Both are many times what is needed.
const START: Duration = Duration::from_secs(20);
const EACH: Duration = Duration::from_millis(10);

impl Qemu {
    /// Whether it is installed.
    pub fn is_there() -> bool {
        let version = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    }
}

impl Machine for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn run(&mut self, image: &Image) -> Result<Vec<Outcome>, String> {
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        std::fs::write(folder.path().join(CODE_FILE), &image.code).map_err(|error| format!("cannot write: {error}"))?;
        let mut child = Command::new(PROGRAM)
            .args(["-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial", "none"])
            .args(["-semihosting-config", "enable=on,target=native", "-kernel", CODE_FILE])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start {PROGRAM}: {error}"))?;
        let end = Instant::now() + START + EACH * image.programs as u32;
        let status = loop {
            let status = child.try_wait().map_err(|error| format!("cannot wait for {PROGRAM}: {error}"))?;
            match status {
                Some(status) => break status,
                None if Instant::now() > end => {
                    // Fails if it has just ended by itself.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("{PROGRAM} hangs"));
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        if !status.success() {
            return Err(format!("{PROGRAM} ended with {status}"));
        }
        let results =
            std::fs::read(folder.path().join(RESULTS_FILE)).map_err(|error| format!("no results: {error}"))?;
        image.outcomes(&results)
    }
}

/// Runs programs. If the machine fails, determines the programs that cause it; those have an error instead of an
/// outcome.
pub fn run_each(
    machine: &mut dyn Machine,
    programs: &[crate::program::Program],
) -> Result<Vec<Result<Outcome, String>>, String> {
    let image = Image::new(programs)?;
    match machine.run(&image) {
        Ok(outcomes) => Ok(outcomes.into_iter().map(Ok).collect()),
        Err(error) if programs.len() <= 1 => Ok(vec![Err(error); programs.len()]),
        Err(_) => {
            let (first, second) = programs.split_at(programs.len() / 2);
            let mut all = run_each(machine, first)?;
            all.extend(run_each(machine, second)?);
            Ok(all)
        }
    }
}
