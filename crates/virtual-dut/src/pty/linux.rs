//! Other programs open it like the serial port of an adapter.

use bench_instruments::{InstrumentError, Link};
use serialport::{SerialPort, TTYPort};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::time::Duration;
use tokio::sync::mpsc;

/// Poll interval for the opening of the other end.
const NOBODY_THERE: Duration = Duration::from_millis(2);
/// Poll interval of the rate while no bytes come: a program that only listens sets it, too.
const RATE_CHECK: Duration = Duration::from_millis(10);
/// B0 means hang up on a terminal. An adapter's line keeps its rate.
const NO_RATE: u32 = 0;

/// Action of the other process at its end.
enum Heard {
    /// It set this rate for the following bytes.
    Rate(u32),
    Bytes(Vec<u8>),
}

/// A pseudo terminal whose other end is not open yet.
pub struct Pty {
    uart: TTYPort,
    name: String,
    heard: mpsc::UnboundedReceiver<Heard>,
}

impl Pty {
    /// Whether this system has pseudo terminals.
    pub const SUPPORTED: bool = true;

    /// Opens a pseudo terminal. `baud`: initial rate of link and terminal, for programs that do not set one.
    ///
    /// # Errors
    /// If the system has no free pseudo terminal or thread.
    pub fn new(baud: u32) -> std::io::Result<Self> {
        let (uart, mut near) = TTYPort::pair().map_err(std::io::Error::other)?;
        let name = near.name().ok_or_else(|| std::io::Error::other("the pseudo terminal has no name"))?;
        // A terminal keeps its settings while this end of it is open.
        near.set_baud_rate(baud).map_err(std::io::Error::other)?;
        // Closed here: a program that finds it open elsewhere reports it as in use.
        drop(near);
        let heard = listen_to(uart.try_clone_native().map_err(std::io::Error::other)?, name.clone(), baud)?;
        Ok(Self { uart, name, heard })
    }

    /// Path that other programs open.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Transfers bytes in both directions forever; the link follows the terminal's rate.
    ///
    /// # Errors
    /// When the link fails.
    pub async fn carry(&mut self, link: &mut dyn Link) -> Result<Infallible, InstrumentError> {
        let mut received = Vec::new();
        loop {
            tokio::select! {
                biased;
                heard = self.heard.recv() => match heard {
                    Some(Heard::Rate(rate)) => link.set_baud(rate).await?,
                    Some(Heard::Bytes(bytes)) => link.send(&bytes).await?,
                    None => return Err(InstrumentError::Gpio("the pseudo terminal is gone".to_owned())),
                },
                result = link.receive(&mut received) => {
                    result?;
                    // Bytes are lost while the other end is not open.
                    let _ = self.uart.write_all(&received);
                    received.clear();
                }
            }
        }
    }
}

/// Reads bytes and settings of the other process whenever its end is open.
fn listen_to(mut uart: TTYPort, name: String, baud: u32) -> std::io::Result<mpsc::UnboundedReceiver<Heard>> {
    uart.set_timeout(RATE_CHECK).map_err(std::io::Error::other)?;
    let (report, heard) = mpsc::unbounded_channel();
    let listen = move || {
        let (mut piece, mut rate) = ([0; 1024], baud);
        while !report.is_closed() {
            let read = uart.read(&mut piece);
            // Read here and not where the bytes are passed on: they wait there for earlier bytes, and the program may
            // have set another rate since. A program sets its rate before it sends.
            let wanted = uart.baud_rate().unwrap_or(rate);
            if wanted != rate && wanted != NO_RATE {
                rate = wanted;
                let _ = report.send(Heard::Rate(rate));
            }
            match read {
                Ok(length) => {
                    let _ = report.send(Heard::Bytes(piece.get(..length).unwrap_or_default().to_vec()));
                }
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
                // This error is the only sign of a closed other end. It comes even if the terminal still holds bytes,
                // which can be read only while the other end is open.
                Err(_) if uart.bytes_to_read().is_ok_and(|waiting| waiting > 0) => {
                    let near = serialport::new(&name, rate).exclusive(false).open_native();
                    if let (Ok(_near), Ok(length)) = (near, uart.read(&mut piece)) {
                        let _ = report.send(Heard::Bytes(piece.get(..length).unwrap_or_default().to_vec()));
                    }
                }
                Err(_) => std::thread::sleep(NOBODY_THERE),
            }
        }
    };
    std::thread::Builder::new().name("pty".into()).spawn(listen)?;
    Ok(heard)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

    use super::*;
    use futures_util::future::select;
    use std::cell::RefCell;
    use std::pin::pin;
    use std::rc::Rc;

    /// A link that records its calls and never sends anything.
    struct Noting(Rc<RefCell<Vec<String>>>);

    #[async_trait::async_trait(?Send)]
    impl Link for Noting {
        async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError> {
            // The next bytes and settings wait meanwhile.
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.0.borrow_mut().push(String::from_utf8_lossy(bytes).into_owned());
            Ok(())
        }
        async fn receive(&mut self, _into: &mut Vec<u8>) -> Result<(), InstrumentError> {
            std::future::pending().await
        }
        async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError> {
            self.0.borrow_mut().push(baud.to_string());
            Ok(())
        }
        fn discard_input(&mut self) {}
    }

    fn open(name: &str, baud: u32) -> TTYPort {
        serialport::new(name, baud).open_native().unwrap()
    }

    #[test]
    fn the_link_follows_the_rate_of_the_terminal() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let log = Rc::new(RefCell::new(Vec::new()));
        let mut pty = Pty::new(115_200).unwrap();
        let (name, mut link) = (pty.name().to_owned(), Noting(Rc::clone(&log)));
        let noted = async |count: usize| {
            while log.borrow().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let other_program = async {
            // The terminal's rate.
            open(&name, 115_200).write_all(b"a").unwrap();
            noted(1).await;
            // A program that only listens.
            let port = open(&name, 1_000_000);
            noted(2).await;
            drop(port);
            // Programs that set a rate and send at once.
            for (baud, byte) in [(57_600, b"b"), (9_600, b"c")] {
                let mut port = open(&name, baud);
                port.write_all(byte).unwrap();
                noted(if baud == 57_600 { 4 } else { 6 }).await;
            }
        };
        runtime.block_on(async {
            select(pin!(other_program), pin!(pty.carry(&mut link))).await;
        });
        assert_eq!(*log.borrow(), ["a", "1000000", "57600", "b", "9600", "c"]);
    }
}
