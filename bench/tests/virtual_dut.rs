//! `bench virtual-dut` in a process of its own, seen as other programs see it: `probe-rs` with its own driver for a probe on
//! the network, and a serial port.

// A failed unwrap fails the test that called it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bench_instruments::{
    Clock, Dut, DutClient, ProgramError, ProgramJob, Programmed, Programmer, SerialLink, TokioClock,
};
use bench_swd::{ImageFormat, Selection, SwdProgrammer, parse_image};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

const FAST: u32 = 1_000_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

struct Module {
    process: Child,
    /// As `probe-rs` is told.
    probe: String,
    link: String,
}

impl Module {
    fn start(more: &[&str]) -> Module {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(["virtual-dut", "plans/b404x.toml", "--probe", "127.0.0.1:0"])
            .args(more)
            .current_dir(root())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: Vec<String> = BufReader::new(process.stdout.take().unwrap()).lines().take(4).flatten().collect();
        let word = |line: usize, after: &str| {
            let line = lines.get(line).unwrap_or_else(|| panic!("{lines:?}"));
            let from = line.find(after).unwrap_or_else(|| panic!("{line}")) + after.len();
            line[from..].trim().split([' ', ',']).next().unwrap().to_owned()
        };
        Module { probe: word(1, "--probe"), link: word(2, "link"), process }
    }

    fn end(mut self) -> Option<i32> {
        let told = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(told.success());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

fn job() -> ProgramJob {
    let file = root().join("target/firmware/dut-firmware.elf");
    let image = parse_image("dut-firmware", &std::fs::read(file).unwrap(), ImageFormat::Elf).unwrap();
    ProgramJob { images: vec![image], ..ProgramJob::default() }
}

fn program(probe: &str) -> Result<Programmed, ProgramError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock: Rc<dyn Clock> = Rc::new(TokioClock::start());
        SwdProgrammer::usb(clock, Selection::parse(probe)).program(job(), &|_| ()).await
    })
}

/// The rate that module and bench agree on.
fn talk(link: &str) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock: Rc<dyn Clock> = Rc::new(TokioClock::start());
        let link = SerialLink::open(link, dut_protocol::INITIAL_BAUD).unwrap();
        let dut = DutClient::new(Box::new(link), clock);
        dut.connect(FAST).await.unwrap()
    })
}

#[test]
fn other_programs_flash_the_module_and_talk_to_it() {
    let module = Module::start(&["--blank"]);
    let programmed = program(&module.probe).unwrap();
    assert!(programmed.verified && programmed.written > 10_000, "{programmed:?}");
    assert_eq!(talk(&module.link), FAST);
    // A second program comes after the first, and finds everything in place.
    let again = program(&module.probe).unwrap();
    assert_eq!((again.written, again.kept), (0, programmed.written));
    assert_eq!(module.end(), Some(0));
}

#[test]
fn a_dead_line_is_told_in_the_words_of_a_probe_on_usb() {
    let module = Module::start(&["--fault", "swdio-open"]);
    let error = program(&module.probe).unwrap_err();
    assert!(matches!(error, ProgramError::NoAnswer), "{error:?}");
}
