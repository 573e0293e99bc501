//! `bench virtual-dut` in a process of its own, seen as other programs see it: `probe-rs` with its own driver for a probe on
//! the network, and a serial port.

// A failed unwrap fails the test that called it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bench_instruments::{
    Clock, Dut, DutClient, InstrumentError, Link, ProgramError, ProgramJob, ProgramPhase, ProgramProgress, Programmed,
    Programmer, SerialLink, TokioClock,
};
use bench_swd::{ImageFormat, Selection, SwdProgrammer, parse_image};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;

const FAST: u32 = 1_000_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

struct Module {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    /// As `probe-rs` takes it.
    probe: String,
    link: String,
    /// What it said first.
    first: String,
}

impl Module {
    fn start(more: &[&str]) -> Module {
        Module::start_with(more, Stdio::inherit())
    }

    fn start_with(more: &[&str], errors: Stdio) -> Module {
        let mut process = Command::new(env!("CARGO_BIN_EXE_bench"))
            .args(["virtual-dut", "plans/b404x.toml", "--probe", "127.0.0.1:0"])
            .args(more)
            .current_dir(root())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let lines: Vec<String> = said.by_ref().take(4).flatten().collect();
        let word = |line: usize, after: &str| {
            let line = lines.get(line).unwrap_or_else(|| panic!("{lines:?}"));
            let from = line.find(after).unwrap_or_else(|| panic!("{line}")) + after.len();
            line[from..].trim().split([' ', ',']).next().unwrap().to_owned()
        };
        let (probe, link) = (word(1, "--probe"), word(2, "link"));
        Module { probe, link, first: lines.into_iter().next().unwrap(), process, said }
    }

    /// Ends it; its exit code, and how many milliseconds it was behind real time at most.
    fn end(self) -> (Option<i32>, f64) {
        let (code, rest) = self.last_words();
        let behind = rest.iter().find_map(|line| line.strip_prefix("behind  real time by "));
        let behind = behind.unwrap_or_else(|| panic!("{rest:?}")).split(' ').next().unwrap().parse().unwrap();
        (code, behind)
    }

    /// Ends it; its exit code, and what it said at the end.
    fn last_words(mut self) -> (Option<i32>, Vec<String>) {
        let killed = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let rest: Vec<String> = self.said.by_ref().flatten().collect();
        (self.process.wait().unwrap().code(), rest)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

/// The least that other programs may take for a module that is slow or dead.
const LATE_MS: f64 = 20.0;
/// How often a computer may be too late in a row.
const ATTEMPTS: usize = 20;

/// Does this with a module, and once more with another for as long as it fails and the computer was too busy to emulate
/// the module in real time.
fn in_real_time(arguments: &[&str], what: impl Fn(&Module) -> Result<(), String>) {
    for attempt in 1..=ATTEMPTS {
        let module = Module::start(arguments);
        let done = what(&module);
        let (code, behind_ms) = module.end();
        assert_eq!(code, Some(0));
        match done {
            Ok(()) => return,
            Err(why) if behind_ms < LATE_MS => panic!("{why}, and the module was never more than {behind_ms} ms late"),
            Err(why) => println!("attempt {attempt}: the module was up to {behind_ms} ms late: {why}; once more"),
        }
    }
    panic!("the computer was too busy {ATTEMPTS} times");
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
fn talk(link: &str) -> Result<u32, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock: Rc<dyn Clock> = Rc::new(TokioClock::start());
        let link = SerialLink::open(link, dut_protocol::INITIAL_BAUD).unwrap();
        let dut = DutClient::new(Box::new(link), clock);
        dut.connect(FAST).await.map_err(|error| error.to_string())
    })
}

/// The module's link as a program finds it that has no serial port.
struct TcpPort(TcpStream);

impl TcpPort {
    fn failed(error: std::io::Error) -> InstrumentError {
        InstrumentError::Link(error.to_string())
    }
}

#[async_trait::async_trait(?Send)]
impl Link for TcpPort {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError> {
        self.0.writable().await.map_err(Self::failed)?;
        assert_eq!(self.0.try_write(bytes).map_err(Self::failed)?, bytes.len());
        Ok(())
    }
    async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError> {
        loop {
            self.0.readable().await.map_err(Self::failed)?;
            match self.0.try_read_buf(into) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                read => return read.map(drop).map_err(Self::failed),
            }
        }
    }
    async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError> {
        assert_eq!(baud, dut_protocol::INITIAL_BAUD);
        Ok(())
    }
    fn discard_input(&mut self) {}
}

#[test]
fn a_program_without_serial_ports_talks_over_tcp() {
    in_real_time(&["--link", "127.0.0.1:0"], |module| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let rate = runtime.block_on(async {
            let clock: Rc<dyn Clock> = Rc::new(TokioClock::start());
            let link = TcpStream::connect(module.link.strip_prefix("socket://").unwrap()).await.unwrap();
            let dut = DutClient::new(Box::new(TcpPort(link)), clock);
            dut.connect(dut_protocol::INITIAL_BAUD).await.map_err(|error| error.to_string())
        })?;
        expect(rate == dut_protocol::INITIAL_BAUD, || format!("{rate} baud"))
    });
}

fn expect(what: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if what { Ok(()) } else { Err(otherwise()) }
}

#[test]
fn other_programs_flash_the_module_and_talk_to_it() {
    in_real_time(&["--blank"], |module| {
        let programmed = program(&module.probe).map_err(|error| error.to_string())?;
        expect(programmed.verified && programmed.written > 10_000, || format!("{programmed:?}"))?;
        let rate = talk(&module.link)?;
        expect(rate == FAST, || format!("{rate} baud"))?;
        // A second program comes after the first, and finds everything in place.
        let again = program(&module.probe).map_err(|error| error.to_string())?;
        expect((again.written, again.kept) == (0, programmed.written), || format!("{again:?}"))
    });
}

/// Of a probe that `probe-rs` does not drive register by register, so that nothing refuses its transfers: the job ends with its
/// page.
#[test]
fn a_download_that_is_given_up_ends_with_its_page() {
    in_real_time(&["--blank"], |module| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clock: Rc<dyn Clock> = Rc::new(TokioClock::start());
        let programmer = SwdProgrammer::usb(clock, Selection::parse(&module.probe));
        runtime.block_on(async {
            let (begun, writes) = tokio::sync::oneshot::channel();
            let begun = Cell::new(Some(begun));
            let observer = |progress: ProgramProgress| {
                if progress.phase == ProgramPhase::Write
                    && let Some(begun) = begun.take()
                {
                    let _ = begun.send(());
                }
            };
            tokio::select! {
                done = programmer.program(job(), &observer) => return Err(format!("not given up: {done:?}")),
                writes = writes => writes.unwrap(),
            }
            expect(programmer.ended(Duration::from_secs(60)).await, || "its thread has not ended".to_owned())?;
            let next = programmer.program(job(), &|_| ()).await.map_err(|error| error.to_string())?;
            // Had the first job gone on, nothing would be left to write.
            expect(next.verified && next.written > 10_000, || format!("{next:?}"))
        })
    });
}

#[test]
fn a_dead_line_is_told_in_the_words_of_a_probe_on_usb() {
    in_real_time(&["--fault", "swdio-open"], |module| {
        let error = program(&module.probe).err();
        expect(matches!(error, Some(ProgramError::NoAnswer)), || format!("{error:?}"))
    });
}

/// An ELF file with one segment: a vector table and a program that switches I2S on again and again.
fn foreign_image(base: u32) -> Vec<u8> {
    const CODE: u32 = 0x100;
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut image = words(&[0x2004_0000, (base + CODE) | 1]);
    image.resize(CODE as usize, 0);
    // movw r0, #0x5500; movt r0, #0x4002; movs r1, #1; str r1, [r0]; b to the str
    for half in [0xF245u16, 0x5000, 0xF2C4, 0x0002, 0x2101, 0x6001, 0xE7FD] {
        image.extend(half.to_le_bytes());
    }
    let length = image.len() as u32;
    let mut file = words(&[0x464C_457F, 0x0001_0101, 0, 0, 40 << 16 | 2, 1, 0, 52, 0, 0x0500_0400]);
    file.extend(words(&[32 << 16 | 52, 1, 0]));
    file.extend(words(&[1, 84, base, base, length, length, 5, 4]));
    file.extend(image);
    file
}

#[test]
fn a_foreign_image_is_started_and_what_it_lacks_is_said_as_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blinky.elf");
    std::fs::write(&file, foreign_image(0x2_7000)).unwrap();
    let mut module = Module::start_with(&["--firmware", file.to_str().unwrap()], Stdio::piped());
    assert!(module.first.contains(", with blinky.elf, in real time"), "{}", module.first);
    let errors = BufReader::new(module.process.stderr.take().unwrap()).lines();
    let mut reports = errors.map_while(Result::ok).filter_map(|line| line.strip_prefix("report  ").map(str::to_owned));
    let started = reports.next().unwrap();
    assert!(started.starts_with("nothing at address 0: started the image at 0x00027000"), "{started}");
    let sound = reports.next().unwrap();
    assert!(sound.starts_with("I2S: write of 0x1 to 0x40025500 is not modelled, PC 0x0002710a, at "), "{sound}");
    // While it runs, and once; how often it was comes at the end.
    let (code, rest) = module.last_words();
    assert_eq!(code, Some(0));
    assert_eq!(reports.next(), None);
    assert!(rest.iter().any(|line| line.starts_with("reports ") && line.ends_with(", 2 kinds")), "{rest:#?}");
    assert!(rest.iter().any(|line| line.contains(" times I2S: write of 0x1")), "{rest:#?}");
}
