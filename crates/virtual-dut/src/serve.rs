//! The probe over TCP, for one program at a time; the next waits, as with a real probe.

use crate::black_magic::BlackMagic;
use crate::remote::{Packets, Request};
use bench_instruments::SwdWire;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves a Black Magic Probe at these lines forever.
///
/// # Errors
/// If no more connections can be accepted. A broken connection is not an error.
pub async fn serve_probe(listener: TcpListener, wire: Rc<dyn SwdWire>) -> io::Result<Infallible> {
    loop {
        let (stream, _) = listener.accept().await?;
        // The other side may disconnect at any time.
        let _ = serve_one(stream, BlackMagic::new(Rc::clone(&wire))).await;
    }
}

async fn serve_one(mut stream: TcpStream, mut probe: BlackMagic) -> io::Result<()> {
    // The other side waits for each answer.
    stream.set_nodelay(true)?;
    let (mut packets, mut bytes) = (Packets::default(), [0; 2048]);
    loop {
        let length = stream.read(&mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        for packet in packets.feed(bytes.get(..length).unwrap_or_default()) {
            let answer = probe.answer(Request::parse(&packet)).await;
            stream.write_all(answer.framed().as_bytes()).await?;
        }
    }
}
