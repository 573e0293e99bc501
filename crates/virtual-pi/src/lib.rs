//! The virtual bench behind the devices of a Raspberry Pi: a program in another process drives it through `/dev/i2c-1`,
//! `/dev/gpiomem` and a serial port, in real time, with the back end that it has on the line. What happens to the fixture
//! when that program dies can so be looked at from outside.
//!
//! | device of the Pi | here |
//! |---|---|
//! | I2C bus, edges of a GPIO | a socket; `virtual-pi-kernel` leads the system calls to it |
//! | GPIO registers (BCM2711) | a file that the other process maps as `/dev/gpiomem` |
//! | UART | a pseudo terminal |

mod registers;
mod wire;

use bench_instruments::InstrumentError;
use bench_plan::Fixture;
use embedded_hal::i2c::{I2c, Operation};
use futures_util::future::select;
use registers::Registers;
use serialport::{SerialPort, TTYPort};
use std::future::Future;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc;
use virtual_bench::VirtualBench;
use wire::{I2cJob, ToServe};

/// How often the registers are looked at, and edges handed over, in virtual time.
const LOOK: Duration = Duration::from_millis(1);

/// The devices of one nest.
pub struct VirtualPi {
    socket: PathBuf,
    registers: Registers,
    uart: TTYPort,
    uart_name: String,
    jobs: mpsc::UnboundedReceiver<ToServe>,
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl VirtualPi {
    /// Makes the devices in `folder`, which must exist.
    ///
    /// # Errors
    /// What the system refuses: files, sockets, pseudo terminals, threads.
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        let socket = folder.join("pi.socket");
        let jobs = wire::listen(&socket)?;
        let registers = Registers::create(&folder.join("gpiomem"))?;
        let (uart, near) = TTYPort::pair().map_err(std::io::Error::other)?;
        let uart_name = near.name().ok_or_else(|| std::io::Error::other("the pseudo terminal has no name"))?;
        // Closed: a program that finds it open elsewhere calls it used.
        drop(near);
        let heard = listen_to(uart.try_clone_native().map_err(std::io::Error::other)?)?;
        Ok(Self { socket, registers, uart, uart_name, jobs, heard })
    }

    /// For the variable `VIRTUAL_PI`.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
    /// What the other process is to have as `/dev/gpiomem`.
    pub fn gpiomem(&self) -> &Path {
        self.registers.path()
    }
    /// What it is to have as `/dev/ttyAMA0`.
    pub fn uart(&self) -> &str {
        &self.uart_name
    }

    /// Serves until `end` ends. To be run in the bench's own time, with a pace of 1: [`VirtualBench::run`].
    ///
    /// # Errors
    /// When the devices fail.
    pub async fn serve<T>(
        mut self,
        bench: &VirtualBench,
        fixture: &Fixture,
        end: impl Future<Output = T>,
    ) -> Result<T, InstrumentError> {
        let served = self.serve_for_ever(bench, fixture);
        match select(pin!(served), pin!(end)).await {
            futures_util::future::Either::Left((Err(error), _)) => Err(error),
            futures_util::future::Either::Left((Ok(never), _)) => match never {},
            futures_util::future::Either::Right((value, _)) => Ok(value),
        }
    }

    async fn serve_for_ever(
        &mut self,
        bench: &VirtualBench,
        fixture: &Fixture,
    ) -> Result<std::convert::Infallible, InstrumentError> {
        let clock = bench.clock();
        let mut bus = bench.i2c();
        let mut link = bench.link();
        let panel = bench.panel();
        let edge_line = bench.edge_line();
        let mut edges: Option<wire::Edges> = None;
        let failed = |error: std::io::Error| InstrumentError::Gpio(format!("the virtual Pi: {error}"));
        let mut received = Vec::new();
        let mut rate = dut_baud();
        let mut next_look = clock.now() + LOOK;
        loop {
            tokio::select! {
                biased;
                job = self.jobs.recv() => match job {
                    Some(ToServe::I2c(job)) => {
                        // What was written to the registers before comes first.
                        self.registers.exchange(&panel, fixture).map_err(failed)?;
                        serve_i2c(&mut bus, job);
                    }
                    Some(ToServe::Edges(stream)) => {
                        edge_line.begin()?;
                        edges = Some(stream);
                    }
                    None => return Err(InstrumentError::Gpio("the virtual Pi's socket is gone".to_owned())),
                },
                bytes = self.heard.recv() => {
                    if let Some(bytes) = bytes {
                        // A real adapter takes the rate from its port; the terminal knows what was set.
                        let baud = self.uart.baud_rate().unwrap_or(rate);
                        if baud != rate {
                            link.set_baud(baud).await?;
                            rate = baud;
                        }
                        link.send(&bytes).await?;
                    }
                }
                result = link.receive(&mut received) => {
                    result?;
                    // Into the void while nobody has the other end open.
                    let _ = self.uart.write_all(&received);
                    received.clear();
                }
                () = clock.sleep_until(next_look) => {
                    next_look = clock.now() + LOOK;
                    self.registers.exchange(&panel, fixture).map_err(failed)?;
                    if let Some(stream) = &mut edges {
                        let trace = edge_line.end()?;
                        if stream.send(&trace) {
                            edge_line.begin()?;
                        } else {
                            edges = None;
                        }
                    }
                }
            }
        }
    }
}

/// The rate at which the firmware starts.
const fn dut_baud() -> u32 {
    115_200
}

fn serve_i2c(bus: &mut impl I2c, job: I2cJob) {
    let I2cJob { address, mut parts, answer } = job;
    let mut operations: Vec<Operation<'_>> = parts
        .iter_mut()
        .map(|part| match part {
            wire::Part::Write(bytes) => Operation::Write(bytes),
            wire::Part::Read(bytes) => Operation::Read(bytes),
        })
        .collect();
    let done = bus.transaction(address, &mut operations);
    drop(operations);
    // A thread that no longer waits has lost its process.
    let _ = answer.send(wire::answer(done.is_ok(), &parts));
}

/// Until somebody may have opened the other end.
const NOBODY_THERE: Duration = Duration::from_millis(2);

/// Reads what the other process sends, whenever it has its end open.
fn listen_to(mut uart: TTYPort) -> std::io::Result<mpsc::UnboundedReceiver<Vec<u8>>> {
    let (tell, heard) = mpsc::unbounded_channel();
    let listen = move || {
        let mut piece = [0; 1024];
        while !tell.is_closed() {
            match uart.read(&mut piece) {
                Ok(length) => {
                    let _ = tell.send(piece.get(..length).unwrap_or_default().to_vec());
                }
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
                // A terminal whose other end is closed has no other way to say so.
                Err(_) => std::thread::sleep(NOBODY_THERE),
            }
        }
    };
    std::thread::Builder::new().name("virtual-pi-uart".into()).spawn(listen)?;
    Ok(heard)
}
