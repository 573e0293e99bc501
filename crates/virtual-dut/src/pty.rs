//! The module's link as a pseudo terminal: other programs open it as they open an adapter's serial port.

use bench_instruments::{InstrumentError, Link};
use serialport::{SerialPort, TTYPort};
use std::convert::Infallible;
use std::io::{Read, Write};
use std::time::Duration;
use tokio::sync::mpsc;

/// Until somebody may have opened the other end.
const NOBODY_THERE: Duration = Duration::from_millis(2);

/// A pseudo terminal whose other end nobody has open yet.
pub struct Pty {
    uart: TTYPort,
    name: String,
    heard: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Pty {
    /// # Errors
    /// When the system has no pseudo terminal or thread to give.
    pub fn new() -> std::io::Result<Pty> {
        let (uart, near) = TTYPort::pair().map_err(std::io::Error::other)?;
        let name = near.name().ok_or_else(|| std::io::Error::other("the pseudo terminal has no name"))?;
        // Closed: a program that finds it open elsewhere calls it used.
        drop(near);
        let heard = listen_to(uart.try_clone_native().map_err(std::io::Error::other)?)?;
        Ok(Pty { uart, name, heard })
    }

    /// What other programs open.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Carries bytes both ways for ever. `baud`: what the link has at first.
    ///
    /// # Errors
    /// When the link fails.
    pub async fn carry(&mut self, link: &mut dyn Link, baud: u32) -> Result<Infallible, InstrumentError> {
        let (mut received, mut rate) = (Vec::new(), baud);
        loop {
            tokio::select! {
                biased;
                bytes = self.heard.recv() => {
                    let Some(bytes) = bytes else {
                        return Err(InstrumentError::Gpio("the pseudo terminal is gone".to_owned()));
                    };
                    // A real adapter takes the rate from its port; the terminal knows what was set.
                    let wanted = self.uart.baud_rate().unwrap_or(rate);
                    if wanted != rate {
                        link.set_baud(wanted).await?;
                        rate = wanted;
                    }
                    link.send(&bytes).await?;
                }
                result = link.receive(&mut received) => {
                    result?;
                    // Into the void while nobody has the other end open.
                    let _ = self.uart.write_all(&received);
                    received.clear();
                }
            }
        }
    }
}

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
    std::thread::Builder::new().name("pty".into()).spawn(listen)?;
    Ok(heard)
}
