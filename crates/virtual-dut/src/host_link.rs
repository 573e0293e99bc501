//! The module's link, for other programs.

use crate::pty::Pty;
use crate::tcp_link::TcpLink;
use bench_instruments::{InstrumentError, Link};
use std::convert::Infallible;
use std::io;

/// How other programs reach the module's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkPlace {
    /// A serial port of this computer.
    Pty,
    /// `ADDRESS:PORT`.
    Tcp(String),
}

/// Address for `--link tcp`.
const TCP: &str = "127.0.0.1:2023";

impl Default for LinkPlace {
    fn default() -> Self {
        if Pty::SUPPORTED { Self::Pty } else { Self::Tcp(TCP.to_owned()) }
    }
}

impl std::str::FromStr for LinkPlace {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pty" if Pty::SUPPORTED => Ok(Self::Pty),
            "pty" => Err("this system has no pseudo terminals; expected tcp or ADDRESS:PORT".to_owned()),
            "tcp" => Ok(Self::Tcp(TCP.to_owned())),
            at if at.contains(':') => Ok(Self::Tcp(at.to_owned())),
            other => Err(format!("`{other}` is not a link; expected pty, tcp or ADDRESS:PORT")),
        }
    }
}

/// The open link, not connected yet.
pub enum HostLink {
    Pty(Box<Pty>),
    Tcp(TcpLink),
}

impl HostLink {
    /// Opens the link. `baud`: initial rate.
    ///
    /// # Errors
    /// If the system has no free pseudo terminal or thread, or the port is taken.
    pub async fn open(place: &LinkPlace, baud: u32) -> io::Result<Self> {
        match place {
            LinkPlace::Pty => Ok(Self::Pty(Box::new(Pty::new(baud)?))),
            LinkPlace::Tcp(at) => Ok(Self::Tcp(TcpLink::bind(at).await?)),
        }
    }

    /// Path or address that other programs open.
    pub fn name(&self) -> &str {
        match self {
            Self::Pty(pty) => pty.name(),
            Self::Tcp(tcp) => tcp.name(),
        }
    }

    /// Whether the link follows the rate that the other program sets.
    pub fn follows_rate(&self) -> bool {
        matches!(self, Self::Pty(_))
    }

    /// Transfers bytes in both directions forever.
    ///
    /// # Errors
    /// When the link fails.
    pub async fn carry(&mut self, link: &mut dyn Link) -> Result<Infallible, InstrumentError> {
        match self {
            Self::Pty(pty) => pty.carry(link).await,
            Self::Tcp(tcp) => tcp.carry(link).await,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

    use super::*;

    #[test]
    fn places() {
        let tcp = |at: &str| LinkPlace::Tcp(at.to_owned());
        for (text, expected) in [
            ("tcp", Ok(tcp("127.0.0.1:2023"))),
            ("0.0.0.0:0", Ok(tcp("0.0.0.0:0"))),
            ("[::1]:7", Ok(tcp("[::1]:7"))),
            ("COM3", Err("`COM3` is not a link; expected pty, tcp or ADDRESS:PORT".to_owned())),
        ] {
            assert_eq!(text.parse::<LinkPlace>(), expected, "{text}");
        }
    }
}
