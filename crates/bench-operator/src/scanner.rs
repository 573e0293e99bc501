//! A scanner on a serial port.

use super::input::Input;
use super::scan::{Collector, Scan, Source};
use std::io::{ErrorKind, Read};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How long a read waits before it looks again.
const LOOK: Duration = Duration::from_millis(100);
/// How long until a port that went away is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Where a scanner is: `/dev/ttyACM0`, or with a rate, `/dev/ttyUSB0:115200`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    path: String,
    rate: u32,
}

impl std::str::FromStr for Port {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (path, rate) = match text.rsplit_once(':') {
            Some((path, rate)) => {
                (path, rate.parse().map_err(|_| format!("`{rate}` is no rate; expected PORT or PORT:RATE"))?)
            }
            None => (text, 9600),
        };
        if path.is_empty() { Err("no port is named".to_owned()) } else { Ok(Self { path: path.to_owned(), rate }) }
    }
}

/// Reads labels in its own thread until the receiver is gone. An unplugged scanner is reported once, and used again
/// when it is back.
///
/// # Errors
/// When the system cannot start a thread.
pub(super) fn listen(port: Port, sender: Sender<Input>) -> std::io::Result<()> {
    let began = Instant::now();
    let read = move |port: &mut dyn Read, sender: &Sender<Input>| {
        labels(port, &|| began.elapsed(), &mut |input| sender.send(input).is_ok())
    };
    stay_connected(port, sender, read, Input::Trouble, || Input::Tick)
}

/// Opens the port again and again, in a thread of its own, and has it read until it fails (why) or nobody receives any
/// more (`None`).
pub(super) fn stay_connected<E: Send + 'static>(
    port: Port,
    sender: Sender<E>,
    read: impl Fn(&mut dyn Read, &Sender<E>) -> Option<String> + Send + 'static,
    trouble: fn(String) -> E,
    nothing: fn() -> E,
) -> std::io::Result<()> {
    let body = move || {
        let mut reported = false;
        loop {
            let opened = serialport::new(&port.path, port.rate).timeout(LOOK).open();
            let why = match opened {
                Ok(mut open) => {
                    reported = false;
                    match read(&mut *open, &sender) {
                        Some(error) => error,
                        None => return,
                    }
                }
                Err(error) => error.to_string(),
            };
            if !reported && sender.send(trouble(format!("scanner {}: {why}", port.path))).is_err() {
                return;
            }
            reported = true;
            std::thread::sleep(TRY_AGAIN);
            // The receiver must still exist.
            if sender.send(nothing()).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("scanner".to_owned()).spawn(body).map(drop)
}

/// Takes the scans from a port until it fails (why) or nobody takes them any more (`None`).
pub(super) fn labels(
    port: &mut dyn Read,
    now: &dyn Fn() -> Duration,
    take: &mut dyn FnMut(Input) -> bool,
) -> Option<String> {
    let mut collector = Collector::new(Source::Port);
    pieces(port, &mut |bytes| {
        let at = now();
        let (scans, waited): (Vec<Scan>, bool) = match bytes {
            Some(bytes) => (bytes.iter().flat_map(|byte| collector.byte(*byte, at)).collect(), false),
            None => (collector.silence(at), true),
        };
        scans.into_iter().map(Input::Scan).chain(waited.then_some(Input::Tick)).all(&mut *take)
    })
}

/// Takes the bytes of a port as they come, and `None` when none came for a while, until it fails (why) or nobody takes
/// them any more (`None`).
pub(super) fn pieces(port: &mut dyn Read, take: &mut dyn FnMut(Option<&[u8]>) -> bool) -> Option<String> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 64]);
    loop {
        let goes_on = match port.read(&mut *bytes) {
            Ok(0) => return Some("the port was closed".to_owned()),
            Ok(count) => take(Some(&bytes[..count])),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => take(None),
            Err(error) => return Some(error.to_string()),
        };
        if !goes_on {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn ports() {
        let port = |path: &str, rate| Ok(Port { path: path.to_owned(), rate });
        for (text, expected) in [
            ("/dev/ttyACM0", port("/dev/ttyACM0", 9600)),
            ("/dev/ttyUSB0:115200", port("/dev/ttyUSB0", 115_200)),
            ("/dev/x:fast", Err("`fast` is no rate; expected PORT or PORT:RATE".to_owned())),
            ("", Err("no port is named".to_owned())),
        ] {
            assert_eq!(text.parse(), expected, "{text}");
        }
    }

    /// For what is on its way.
    const PATIENCE: Duration = Duration::from_secs(300);

    #[test]
    fn labels_come_whole_from_a_port() {
        let (mut scanner, port) = serialport::TTYPort::pair().unwrap();
        let path = serialport::SerialPort::name(&port).unwrap();
        drop(port);
        let (sender, receiver) = std::sync::mpsc::channel();
        listen(path.parse().unwrap(), sender).unwrap();
        let mut texts = Vec::new();
        let mut parts = [&b"P042AN0000DEMO1 SECRET\r\n\r\nX\xff\nJ\xc3"[..], b"\xbcrgen\n"].into_iter();
        while texts.len() < 3 {
            match receiver.recv_timeout(PATIENCE).unwrap() {
                // It listens, and has waited for the next part.
                Input::Tick => parts.next().into_iter().for_each(|part| scanner.write_all(part).unwrap()),
                Input::Scan(Scan::Text(text)) => texts.push(text.to_string()),
                // The machine was busy for longer than a scan's pause.
                Input::Scan(_) => return,
                Input::Trouble(text) => panic!("{text}"),
                _ => unreachable!(),
            }
        }
        assert_eq!(texts, ["P042AN0000DEMO1 SECRET", "X\u{ff}", "Jürgen"]);
    }
}
