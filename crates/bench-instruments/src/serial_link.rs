//! The link to the module over a serial port of the controller.

use crate::device::{how_to_be_allowed, is_port};
use crate::{InstrumentError, Link};
use async_trait::async_trait;
use serialport::{ClearBuffer, SerialPort};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// Longest time that one write may block the program. A frame of a few hundred bytes fits into the kernel's buffer at
/// once.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);
/// Interval at which the reading thread checks whether it must end.
const READ_TIMEOUT: Duration = Duration::from_millis(50);
/// Largest size of one read; the rest follows with the next.
const PIECE: usize = 4096;

/// A serial port with a reading thread: it empties the kernel's buffer however busy the bench is.
pub struct SerialLink {
    device: String,
    port: Box<dyn SerialPort>,
    arrived: mpsc::UnboundedReceiver<Result<Vec<u8>, String>>,
    /// Why no more bytes arrive.
    broken: Option<String>,
    ended: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl SerialLink {
    /// Opens `device` with 8 data bits, no parity and 1 stop bit.
    ///
    /// # Errors
    /// [`InstrumentError::Link`]: no such device, permission denied (names the group to join), or used by another
    /// program (names it).
    pub fn open(device: &str, baud: u32) -> Result<Self, InstrumentError> {
        if let Some(holder) = holder(Path::new(device)) {
            return Err(InstrumentError::Link(format!(
                "{device} is in use by {holder}: end that program, then start again"
            )));
        }
        let settings = serialport::new(device, baud).timeout(READ_TIMEOUT);
        let port = settings.open().map_err(|error| cannot_open(device, &error))?;
        Self::over(port, device)
    }

    fn over(port: Box<dyn SerialPort>, device: &str) -> Result<Self, InstrumentError> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            InstrumentError::Link(format!("{device}: cannot {what}: {error}"))
        };
        let mut ear = port.try_clone().map_err(|error| failed("listen", &error))?;
        let (heard, arrived) = mpsc::unbounded_channel();
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let listen = move || {
            let mut piece = vec![0; PIECE];
            while !end.load(Ordering::Relaxed) {
                let received = match ear.read(&mut piece) {
                    Ok(0) => Err("the port was closed from the other side".to_owned()),
                    Ok(length) => Ok(piece.get(..length).unwrap_or_default().to_vec()),
                    Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => continue,
                    Err(error) => Err(error.to_string()),
                };
                let over = received.is_err();
                if heard.send(received).is_err() || over {
                    return;
                }
            }
        };
        let reader = std::thread::Builder::new()
            .name("serial-link".into())
            .spawn(listen)
            .map_err(|error| failed("start its thread", &error))?;
        Ok(Self { device: device.to_owned(), port, arrived, broken: None, ended, reader: Some(reader) })
    }

    fn gone(&self, why: &str) -> InstrumentError {
        InstrumentError::Link(format!(
            "{} is gone ({why}): is the adapter still plugged in? Plug it in, then test the module again",
            self.device
        ))
    }

    fn take(&mut self, received: Result<Vec<u8>, String>, into: &mut Vec<u8>) -> Result<(), InstrumentError> {
        match received {
            Ok(bytes) => {
                into.extend(bytes);
                Ok(())
            }
            Err(why) => {
                let error = self.gone(&why);
                self.broken = Some(why);
                Err(error)
            }
        }
    }
}

#[async_trait(?Send)]
impl Link for SerialLink {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError> {
        let mut rest = bytes;
        let _ = self.port.set_timeout(WRITE_TIMEOUT);
        while !rest.is_empty() {
            match self.port.write(rest) {
                Ok(0) => return Err(self.gone("it accepts no bytes")),
                Ok(length) => rest = rest.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Err(InstrumentError::Link(format!(
                        "{} accepts no bytes: does a flow control line block it? The link uses none",
                        self.device
                    )));
                }
                Err(error) => return Err(self.gone(&error.to_string())),
            }
        }
        Ok(())
    }

    async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError> {
        if let Some(why) = &self.broken {
            return Err(self.gone(why));
        }
        let Some(received) = self.arrived.recv().await else { return Err(self.gone("its thread has ended")) };
        self.take(received, into)?;
        while let Ok(received) = self.arrived.try_recv() {
            // An error after bytes is reported at the next call: first return the bytes.
            match received {
                Ok(bytes) => into.extend(bytes),
                Err(why) => self.broken = Some(why),
            }
        }
        Ok(())
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError> {
        // Waits until all is sent.
        let sent = self.port.flush();
        sent.map_err(|error| self.gone(&error.to_string()))?;
        let set = self.port.set_baud_rate(baud);
        set.map_err(|error| {
            InstrumentError::Link(format!(
                "{} cannot do {baud} baud ({error}): use the controller's own UART or another adapter",
                self.device
            ))
        })
    }

    fn discard_input(&mut self) {
        while let Ok(received) = self.arrived.try_recv() {
            if let Err(why) = received {
                self.broken = Some(why);
            }
        }
        // The next call reports that the port is gone.
        let _ = self.port.clear(ClearBuffer::Input);
    }
}

impl Drop for SerialLink {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn cannot_open(device: &str, error: &serialport::Error) -> InstrumentError {
    use serialport::ErrorKind as Kind;
    InstrumentError::Link(match (is_port(device), error.kind) {
        (Err(_), _) => {
            format!(
                "{device} does not exist: is the adapter plugged in, and does the station file name the right device?"
            )
        }
        (Ok(false), _) => format!("{device} is not a serial port"),
        (Ok(true), Kind::Io(ErrorKind::PermissionDenied)) => {
            format!("{device}: not allowed; {}", how_to_be_allowed(device))
        }
        (Ok(true), _) => format!("{device} cannot be opened: {error}"),
    })
}

/// Returns the other program that has the device open, as far as visible: "minicom (process 123)".
fn holder(device: &Path) -> Option<String> {
    let wanted = fs::canonicalize(device).ok()?;
    let own = std::process::id().to_string();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let id = process.file_name().to_string_lossy().into_owned();
        if id == own || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|target| target == wanted)) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", name.trim()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serialport::TTYPort;
    use std::process::{Command, Stdio};

    /// The far end, and the link with the name of its device.
    fn pair() -> (TTYPort, SerialLink, String) {
        let (far, near) = TTYPort::pair().unwrap();
        let name = near.name().unwrap();
        drop(near);
        let link = SerialLink::open(&name, 115_200).unwrap();
        (far, link, name)
    }

    fn text(error: &InstrumentError) -> String {
        error.to_string()
    }

    /// Time for bytes in flight.
    const PATIENCE: Duration = Duration::from_secs(300);

    async fn receive(link: &mut SerialLink, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            link.receive(&mut bytes).await.unwrap();
        }
        bytes
    }

    #[tokio::test]
    async fn bytes_go_both_ways_at_both_rates() {
        let (mut far, mut link, _) = pair();
        let all: Vec<u8> = (0..=255).collect();
        for baud in [115_200, 1_000_000] {
            link.set_baud(baud).await.unwrap();
            link.send(&all).await.unwrap();
            let mut echoed = vec![0; all.len()];
            far.set_timeout(PATIENCE).unwrap();
            far.read_exact(&mut echoed).unwrap();
            assert_eq!(echoed, all, "no byte is taken for a control character");
            far.write_all(&echoed).unwrap();
            assert_eq!(receive(&mut link, all.len()).await, all);
        }
    }

    #[tokio::test]
    async fn a_receive_that_was_dropped_loses_nothing_that_comes_later() {
        let (mut far, mut link, _) = pair();
        {
            let mut nowhere = Vec::new();
            let mut waiting = std::pin::pin!(link.receive(&mut nowhere));
            assert!(futures_util::poll!(&mut waiting).is_pending());
        }
        far.write_all(b"after").unwrap();
        assert_eq!(receive(&mut link, 5).await, b"after");
    }

    #[tokio::test]
    async fn an_unplugged_adapter_is_reported_at_every_call() {
        let (mut far, mut link, name) = pair();
        far.write_all(b"last").unwrap();
        assert_eq!(receive(&mut link, 4).await, b"last");
        drop(far);
        let mut bytes = Vec::new();
        for _ in 0..2 {
            let error = text(&link.receive(&mut bytes).await.unwrap_err());
            assert!(error.contains(&name) && error.contains("plugged in"), "{error}");
        }
        assert!(bytes.is_empty());
        let error = text(&link.send(&[0; 64]).await.unwrap_err());
        assert!(error.contains("plugged in"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_device_and_one_that_is_not_a_port_are_reported() {
        let folder = std::env::temp_dir();
        let file = folder.join(format!("serial-link-{}", std::process::id()));
        fs::write(&file, "no port").unwrap();
        let plain = file.display().to_string();
        for (device, expected) in [
            ("/dev/there-is-no-such-port", "/dev/there-is-no-such-port does not exist"),
            (plain.as_str(), "is not a serial port"),
        ] {
            let Err(error) = SerialLink::open(device, 115_200) else { panic!("{device} was opened") };
            assert!(text(&error).contains(expected), "{error}");
        }
        fs::remove_file(&file).unwrap();
    }

    #[tokio::test]
    async fn a_port_that_another_program_holds_names_it() {
        let (_far, near) = TTYPort::pair().unwrap();
        let name = near.name().unwrap();
        drop(near);
        let input = fs::File::open(&name).unwrap();
        let mut other = Command::new("sleep").arg("60").stdin(Stdio::from(input)).spawn().unwrap();
        let refused = SerialLink::open(&name, 115_200).map(|_| ());
        let id = other.id();
        other.kill().unwrap();
        other.wait().unwrap();
        let error = text(&refused.unwrap_err());
        assert!(error.contains(&format!("sleep (process {id})")), "{error}");
    }
}
