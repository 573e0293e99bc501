//! The module's link over TCP, bytes only, for systems without pseudo terminals and for programs on other computers.

use bench_instruments::{InstrumentError, Link};
use std::convert::Infallible;
use std::io;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// A port for one program at a time; the next waits.
pub struct TcpLink {
    listener: TcpListener,
    name: String,
    connected: Option<TcpStream>,
}

impl TcpLink {
    /// # Errors
    /// If the port is taken or invalid.
    pub async fn bind(at: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let name = format!("socket://{}", listener.local_addr()?);
        Ok(Self { listener, name, connected: None })
    }

    /// The address in pyserial's form: `socket://ADDRESS:PORT`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Transfers bytes in both directions forever. The link keeps its rate.
    ///
    /// # Errors
    /// If the link fails. A broken connection is not an error.
    pub async fn carry(&mut self, link: &mut dyn Link) -> Result<Infallible, InstrumentError> {
        let (mut piece, mut received) = ([0; 1024], Vec::new());
        loop {
            tokio::select! {
                biased;
                length = next(&self.listener, &mut self.connected, &mut piece) => {
                    link.send(piece.get(..length).unwrap_or_default()).await?;
                }
                result = link.receive(&mut received) => {
                    result?;
                    // No flow control, as at a serial port: unread bytes are lost.
                    if let Some(stream) = &self.connected {
                        let _ = stream.try_write(&received);
                    }
                    received.clear();
                }
            }
        }
    }
}

/// Waits for bytes from the connected program or for a new connection. Dropping the future loses nothing.
async fn next(listener: &TcpListener, connected: &mut Option<TcpStream>, piece: &mut [u8]) -> usize {
    loop {
        let Some(stream) = connected else {
            if let Ok((stream, _)) = listener.accept().await {
                // The other side waits for each answer.
                let _ = stream.set_nodelay(true);
                *connected = Some(stream);
            }
            continue;
        };
        match stream.read(piece).await {
            Ok(length) if length > 0 => return length,
            _ => *connected = None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::sync::mpsc;

    /// Answers each byte with the next higher one.
    struct Counting(mpsc::UnboundedSender<u8>, mpsc::UnboundedReceiver<u8>);

    #[async_trait::async_trait(?Send)]
    impl Link for Counting {
        async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError> {
            bytes.iter().for_each(|byte| self.0.send(byte + 1).unwrap());
            Ok(())
        }
        async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError> {
            into.push(self.1.recv().await.unwrap());
            Ok(())
        }
        async fn set_baud(&mut self, _baud: u32) -> Result<(), InstrumentError> {
            unreachable!()
        }
        fn discard_input(&mut self) {}
    }

    #[test]
    fn one_program_after_the_other_talks_to_the_module() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut tcp = TcpLink::bind("127.0.0.1:0").await.unwrap();
            let at = tcp.name().strip_prefix("socket://").unwrap().to_owned();
            let (sender, receiver) = mpsc::unbounded_channel();
            let mut link = Counting(sender, receiver);
            let programs = async {
                for sent in [b"abc", b"xyz"] {
                    let mut stream = TcpStream::connect(&at).await.unwrap();
                    stream.write_all(sent).await.unwrap();
                    let mut heard = [0; 3];
                    stream.read_exact(&mut heard).await.unwrap();
                    assert_eq!(heard, sent.map(|byte| byte + 1));
                }
            };
            tokio::select! {
                () = programs => {}
                ended = tcp.carry(&mut link) => panic!("{ended:?}"),
            }
        });
    }
}
