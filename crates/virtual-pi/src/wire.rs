//! The socket for system calls of the other process. The other end is `virtual-pi-kernel`.

use crate::processes::Processes;
use bench_instruments::EdgeTrace;
use rustix::net::sockopt::socket_peercred;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Linux error number of the Pi's driver for a missing acknowledge.
const EREMOTEIO: u8 = 121;
/// Longest part of a transfer.
const MOST: usize = u16::MAX as usize;
const RISING: u32 = 1;
const FALLING: u32 = 2;

pub enum ToServe {
    I2c(I2cJob),
    Edges(Edges),
    /// A thread of the other process waits for a time. Replaces its previous alarm.
    Alarm(Alarm),
    /// A thread has ended.
    NoAlarm(u64),
}

/// A thread that waits for a virtual time.
pub struct Alarm {
    /// Identifies the thread.
    pub sleeper: u64,
    pub at_ns: u64,
    stream: Arc<UnixStream>,
}

impl Alarm {
    pub fn ring(&self) {
        // Fails if the thread has ended.
        let _ = (&*self.stream).write_all(&self.at_ns.to_ne_bytes());
    }
}

pub enum Part {
    Write(Vec<u8>),
    Read(Vec<u8>),
}

pub struct I2cJob {
    pub address: u8,
    pub parts: Vec<Part>,
    pub answer: std::sync::mpsc::Sender<Vec<u8>>,
}

/// `[errno, bytes read]`.
pub fn answer(done: bool, parts: &[Part]) -> Vec<u8> {
    if !done {
        return vec![EREMOTEIO];
    }
    let mut bytes = vec![0];
    for part in parts {
        if let Part::Read(read) = part {
            bytes.extend_from_slice(read);
        }
    }
    bytes
}

/// A subscriber to edges.
pub struct Edges {
    stream: UnixStream,
    number: u32,
    gpio: u32,
}

impl Edges {
    /// Sends the kernel's records of these edges (struct gpio_v2_line_event); `false` when the reader has gone.
    pub fn send(&mut self, trace: &EdgeTrace) -> bool {
        for edge in &trace.edges {
            self.number += 1;
            let mut record = Vec::with_capacity(48);
            record.extend(edge.at_ns.to_ne_bytes());
            let direction = if edge.rising { RISING } else { FALLING };
            for word in [direction, self.gpio, self.number, self.number, 0, 0, 0, 0, 0, 0] {
                record.extend(word.to_ne_bytes());
            }
            if self.stream.write_all(&record).is_err() {
                return false;
            }
        }
        // Whether the other side has closed: a read would end at once.
        let mut nothing = [0];
        !matches!(self.stream.read(&mut nothing), Ok(0))
    }
}

/// Accepts connections, each in its own thread.
pub fn listen(path: &Path, processes: Processes) -> std::io::Result<mpsc::UnboundedReceiver<ToServe>> {
    let listener = UnixListener::bind(path)?;
    let (jobs, to_serve) = mpsc::unbounded_channel();
    std::thread::Builder::new().name("virtual-pi".into()).spawn(move || {
        for (number, stream) in (0_u64..).zip(listener.incoming().flatten()) {
            let (jobs, processes) = (jobs.clone(), processes.clone());
            let serve = move || {
                // The process has gone: nothing to serve.
                let _ = serve(stream, number, &jobs, &processes);
            };
            let _ = std::thread::Builder::new().name("virtual-pi-call".into()).spawn(serve);
        }
    })?;
    Ok(to_serve)
}

fn gone() -> std::io::Error {
    std::io::Error::other("the server has ended")
}

fn serve(
    mut stream: UnixStream,
    number: u64,
    jobs: &mpsc::UnboundedSender<ToServe>,
    processes: &Processes,
) -> std::io::Result<()> {
    loop {
        let [kind, first] = bytes(&mut stream)?;
        match kind {
            2 => {
                stream.set_nonblocking(true)?;
                let edges = Edges { stream, number: 0, gpio: u32::from(first) };
                return jobs.send(ToServe::Edges(edges)).map_err(|_| gone());
            }
            3 => return serve_sleeper(stream, number, jobs),
            4 => return stay_with(stream, processes),
            _ => {}
        }
        let [count] = bytes(&mut stream)?;
        let mut parts = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let [direction, low, high] = bytes(&mut stream)?;
            let mut data = vec![0; usize::from(u16::from_le_bytes([low, high])).min(MOST)];
            parts.push(if direction == 0 {
                stream.read_exact(&mut data)?;
                Part::Write(data)
            } else {
                Part::Read(data)
            });
        }
        let (answer, answered) = std::sync::mpsc::channel();
        jobs.send(ToServe::I2c(I2cJob { address: first, parts, answer })).map_err(|_| gone())?;
        let reply = answered.recv().map_err(|_| gone())?;
        stream.write_all(&reply)?;
    }
}

/// Forwards the alarms of a thread until it ends.
fn serve_sleeper(mut stream: UnixStream, sleeper: u64, jobs: &mpsc::UnboundedSender<ToServe>) -> std::io::Result<()> {
    let answers = Arc::new(stream.try_clone()?);
    loop {
        let job = match bytes(&mut stream) {
            Ok(at) => ToServe::Alarm(Alarm { sleeper, at_ns: u64::from_ne_bytes(at), stream: Arc::clone(&answers) }),
            Err(_) => return jobs.send(ToServe::NoAlarm(sleeper)).map_err(|_| gone()),
        };
        jobs.send(job).map_err(|_| gone())?;
    }
}

/// Keeps a process on the list of participants until it ends.
fn stay_with(mut stream: UnixStream, processes: &Processes) -> std::io::Result<()> {
    let process = socket_peercred(&stream)?.pid;
    let _counted = processes.count(process);
    stream.write_all(&[1])?;
    // It never sends anything: this returns when it has ended.
    match stream.read(&mut [0]) {
        Ok(_) | Err(_) => Ok(()),
    }
}

fn bytes<const N: usize>(stream: &mut UnixStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
