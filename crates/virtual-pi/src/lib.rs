//! The virtual bench behind the devices of a Raspberry Pi: a program in another process drives it through `/dev/i2c-1`,
//! `/dev/gpiomem` and a serial port, in real time, with the same back end as on a real line. Tests can then observe the
//! fixture after that program has died.
//!
//! | device of the Pi | here |
//! |---|---|
//! | I2C bus, edges of a GPIO | a socket, to which `virtual-pi-kernel` redirects the system calls |
//! | GPIO registers (BCM2711) | a file that the other process maps as `/dev/gpiomem` |
//! | UART | a pseudo terminal |
//! | the monotonic clock, time-outs | the fixture's time, which stops while a thread of either process is ready to run |
//!
//! Because of the last row, the other program is never late, no matter how busy the machine is.

mod processes;
mod registers;
mod time;
mod wire;

use bench_instruments::InstrumentError;
use bench_plan::Fixture;
use embedded_hal::i2c::{I2c, Operation};
use futures_util::future::{Either, select};
use processes::{Processes, Watch};
use registers::Registers;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use time::{Alarms, SharedClock};
use tokio::sync::mpsc;
use virtual_bench::VirtualBench;
use virtual_dut::Pty;
use wire::{I2cJob, ToServe};

/// Interval at which registers are polled and edges passed on, in virtual time.
const LOOK: Duration = Duration::from_millis(1);

/// The devices of one nest.
pub struct VirtualPi {
    socket: PathBuf,
    registers: Registers,
    uart: Pty,
    clock: SharedClock,
    processes: Processes,
    jobs: mpsc::UnboundedReceiver<ToServe>,
}

impl VirtualPi {
    /// Creates the devices in `folder`, which must exist.
    ///
    /// # Errors
    /// If the system refuses files, sockets, pseudo terminals or threads.
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        let socket = folder.join("pi.socket");
        let processes = Processes::default();
        let jobs = wire::listen(&socket, processes.clone())?;
        let registers = Registers::create(&folder.join("gpiomem"))?;
        let clock = SharedClock::create(&folder.join("clock"))?;
        Ok(Self { socket, registers, uart: Pty::new(FIRST_BAUD)?, clock, processes, jobs })
    }

    /// Value of the variable `VIRTUAL_PI`.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
    /// Value of the variable `VIRTUAL_PI_CLOCK`.
    pub fn clock(&self) -> &Path {
        self.clock.path()
    }
    /// File that the other process needs as `/dev/gpiomem`.
    pub fn gpiomem(&self) -> &Path {
        self.registers.path()
    }
    /// Terminal that it needs as `/dev/ttyAMA0`.
    pub fn uart(&self) -> &str {
        self.uart.name()
    }

    /// Serves until `end` ends, in the bench's own time and not faster than its pace. Must be polled by one thread.
    ///
    /// # Errors
    /// If the devices fail or the run is stuck.
    pub async fn serve<T>(
        mut self,
        bench: &VirtualBench,
        fixture: &Fixture,
        end: impl Future<Output = T>,
    ) -> Result<T, InstrumentError> {
        let mut watch = Watch::new(self.processes.clone());
        let served = async {
            let served = self.serve_for_ever(bench, fixture);
            match select(pin!(served), pin!(end)).await {
                Either::Left((Err(error), _)) => Err(error),
                Either::Left((Ok(never), _)) => match never {},
                Either::Right((value, _)) => Ok(value),
            }
        };
        let run = bench.run_held(move |now_ns| watch.holds(now_ns), served).await;
        run.map_err(|stuck| failed(&stuck))?
    }

    async fn serve_for_ever(
        &mut self,
        bench: &VirtualBench,
        fixture: &Fixture,
    ) -> Result<std::convert::Infallible, InstrumentError> {
        let mut link = bench.link();
        let carried = self.uart.carry(&mut *link);
        let served = serve_devices(&mut self.registers, &mut self.clock, &mut self.jobs, bench, fixture);
        select(pin!(carried), pin!(served)).await.factor_first().0
    }
}

fn failed(error: &dyn std::fmt::Display) -> InstrumentError {
    InstrumentError::Gpio(format!("the virtual Pi: {error}"))
}

/// I2C, registers, edges and alarms.
async fn serve_devices(
    registers: &mut Registers,
    shared: &mut SharedClock,
    jobs: &mut mpsc::UnboundedReceiver<ToServe>,
    bench: &VirtualBench,
    fixture: &Fixture,
) -> Result<std::convert::Infallible, InstrumentError> {
    let clock = bench.clock();
    let mut bus = bench.i2c();
    let panel = bench.panel();
    let edge_line = bench.edge_line();
    let mut edges: Option<wire::Edges> = None;
    let mut alarms = Alarms::default();
    let mut next_look = clock.now() + LOOK;
    loop {
        let next = alarms.next().map_or(next_look, |alarm| next_look.min(alarm));
        tokio::select! {
            biased;
            job = jobs.recv() => match job {
                Some(ToServe::I2c(job)) => {
                    // Earlier writes to the registers come first.
                    registers.exchange(&panel, fixture).map_err(|error| failed(&error))?;
                    serve_i2c(&mut bus, job, || shared.show(clock.now()));
                }
                Some(ToServe::Edges(stream)) => {
                    edge_line.begin()?;
                    edges = Some(stream);
                }
                Some(ToServe::Alarm(alarm)) => alarms.set(alarm),
                Some(ToServe::NoAlarm(sleeper)) => alarms.forget(sleeper),
                None => return Err(failed(&"its socket is gone")),
            },
            () = clock.sleep_until(next) => {}
        }
        let now = clock.now();
        shared.show(now).map_err(|error| failed(&error))?;
        if now >= next_look {
            next_look = now + LOOK;
            registers.exchange(&panel, fixture).map_err(|error| failed(&error))?;
            if let Some(stream) = &mut edges {
                let trace = edge_line.end()?;
                if stream.send(&trace) {
                    edge_line.begin()?;
                } else {
                    edges = None;
                }
            }
        }
        alarms.ring(now);
    }
}

/// The rate at which the firmware starts.
const FIRST_BAUD: u32 = 115_200;

fn serve_i2c(bus: &mut impl I2c, job: I2cJob, show_time: impl FnOnce() -> std::io::Result<()>) {
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
    // The caller reads the clock as soon as it has its answer, so the clock must be updated before.
    let _ = show_time();
    // A thread that no longer waits belongs to an ended process.
    let _ = answer.send(wire::answer(done.is_ok(), &parts));
}
