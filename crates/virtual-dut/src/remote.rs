//! The remote protocol of the Black Magic Probe, version 4: packets `!...#`, and their requests.
//!
//! Source: the protocol's own headers as other programs use them (`remote.h` of the Black Magic Debug project; the
//! driver of `probe-rs`).

/// Longest packet of the protocol.
const LONGEST: usize = 1024;

/// Finds packets in the received bytes. Ignores everything between them, such as the `+` of GDB.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    /// Bytes of the incomplete packet.
    begun: Option<Vec<u8>>,
}

impl Packets {
    /// Returns the packets that these bytes complete, without their frame.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut whole = Vec::new();
        for byte in bytes {
            match (byte, self.begun.take()) {
                (b'!', _) => self.begun = Some(Vec::new()),
                (b'#', Some(packet)) => whole.push(String::from_utf8_lossy(&packet).into_owned()),
                (byte, Some(mut packet)) if packet.len() < LONGEST => {
                    packet.push(*byte);
                    self.begun = Some(packet);
                }
                _ => {}
            }
        }
        whole
    }
}

/// Request of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Asks for the identification, in words.
    Name,
    ProtocolVersion,
    /// Asks which kinds of debug port the probe handles itself.
    Accelerators,
    Voltage,
    /// In kilohertz.
    Speed,
    SetSpeed {
        hz: u32,
    },
    PrepareSwd,
    /// Levels on SWDIO, lowest bit first.
    BitsOut {
        bits: u32,
        length: u8,
    },
    BitsIn {
        length: u8,
    },
    ReadDp {
        address: u8,
    },
    WriteDp {
        address: u8,
        value: u32,
    },
    ReadAp {
        port: u8,
        address: u8,
    },
    WriteAp {
        port: u8,
        address: u8,
        value: u32,
    },
    ReadMemory {
        address: u32,
        length: u32,
    },
    /// `width`: bytes per access.
    WriteMemory {
        width: u8,
        address: u32,
        bytes: Vec<u8>,
    },
}

impl Request {
    /// Parses a packet; `None`: unsupported, or no such packet.
    pub fn parse(packet: &str) -> Option<Request> {
        let (name, rest) = packet.split_at_checked(2)?;
        let mut fields = Fields { rest };
        let request = match name {
            "GA" => Request::Name,
            "HC" => Request::ProtocolVersion,
            "HA" => Request::Accelerators,
            "GV" => Request::Voltage,
            "Gf" => Request::Speed,
            "GF" => Request::SetSpeed { hz: fields.number(8)? },
            "SS" => Request::PrepareSwd,
            "So" => {
                let length = fields.bits()?;
                Request::BitsOut { length, bits: fields.all()? }
            }
            "Si" => Request::BitsIn { length: fields.bits()? },
            "Ad" => {
                fields.device()?;
                fields.byte()?; // no access port
                Request::ReadDp { address: fields.register()? }
            }
            "AR" => {
                fields.device()?;
                let (reads, address) = (fields.byte()? != 0, fields.register()?);
                match reads {
                    true => Request::ReadDp { address },
                    false => Request::WriteDp { address, value: fields.number(8)? },
                }
            }
            "Aa" => {
                fields.device()?;
                Request::ReadAp { port: fields.byte()?, address: fields.register()? }
            }
            "AA" => {
                fields.device()?;
                let (port, address) = (fields.byte()?, fields.register()?);
                // Its bytes in their order, lowest first.
                Request::WriteAp { port, address, value: fields.number(8)?.swap_bytes() }
            }
            "Am" => {
                fields.memory()?;
                Request::ReadMemory { address: fields.address()?, length: fields.number(8)? }
            }
            "AM" => {
                fields.memory()?;
                let width = 1 << fields.byte().filter(|exponent| *exponent < 4)?;
                let (address, length) = (fields.address()?, fields.number(8)?);
                let bytes = fields.bytes()?;
                (bytes.len() == length as usize).then_some(Request::WriteMemory { width, address, bytes })?
            }
            _ => return None,
        };
        fields.rest.is_empty().then_some(request)
    }
}

/// Hexadecimal numbers of given widths, one after the other.
struct Fields<'p> {
    rest: &'p str,
}

impl Fields<'_> {
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        // Rejects signs, which `from_str_radix` would accept.
        let number = number.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(number)?;
        self.rest = rest;
        u32::from_str_radix(number, 16).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.number(2).and_then(|number| u8::try_from(number).ok())
    }

    /// Number of bits.
    fn bits(&mut self) -> Option<u8> {
        self.byte().filter(|length| *length <= 32)
    }

    /// The number at the end of the packet, of any width.
    fn all(&mut self) -> Option<u32> {
        self.number(self.rest.len())
    }

    /// Index of the module in the chain; there is only one here.
    fn device(&mut self) -> Option<u8> {
        self.byte()
    }

    /// A register's address; the protocol has flags above its low byte.
    fn register(&mut self) -> Option<u8> {
        self.number(4).map(|address| address as u8)
    }

    /// Skips the fields before a memory address: only one access port with one mode leads to memory.
    fn memory(&mut self) -> Option<()> {
        self.device()?;
        self.byte()?;
        self.number(8).map(|_| ())
    }

    /// 64 bits, of which this chip has 32.
    fn address(&mut self) -> Option<u32> {
        let high = self.number(8)?;
        self.number(8).filter(|_| high == 0)
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        while !self.rest.is_empty() {
            bytes.push(self.byte()?);
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_are_found_between_other_bytes() {
        for (pieces, expected) in [
            (vec!["+#!GA#"], vec!["GA"]),
            (vec![" !GV#", "!H", "C#!HA#"], vec!["GV", "HC", "HA"]),
            (vec!["!half!Gf#"], vec!["Gf"]),
            (vec!["#GA#"], vec![]),
        ] {
            let mut packets = Packets::default();
            let requests: Vec<String> = pieces.iter().flat_map(|piece| packets.feed(piece.as_bytes())).collect();
            assert_eq!(requests, expected, "{pieces:?}");
        }
    }

    #[test]
    fn requests() {
        for (packet, expected) in [
            ("GF003d0900", Some(Request::SetSpeed { hz: 4_000_000 })),
            ("So20ffffffff", Some(Request::BitsOut { bits: u32::MAX, length: 32 })),
            ("So03", None),
            ("So21ffffffff", None),
            ("Si04", Some(Request::BitsIn { length: 4 })),
            ("Ad00ff0000", Some(Request::ReadDp { address: 0 })),
            ("AR00000008000000f0", Some(Request::WriteDp { address: 8, value: 0xF0 })),
            ("Aa0d0001fc", Some(Request::ReadAp { port: 0, address: 0xFC })),
            ("AA00000104efbeadde", Some(Request::WriteAp { port: 0, address: 4, value: 0xDEAD_BEEF })),
            (
                "Am0000230000520000000010000100000000ac",
                Some(Request::ReadMemory { address: 0x1000_0100, length: 0xAC }),
            ),
            ("Am0000230000520000000110000100000000ac", None),
            (
                "AM0000230000520200000000200000000000000401020304",
                Some(Request::WriteMemory { width: 4, address: 0x2000_0000, bytes: vec![1, 2, 3, 4] }),
            ),
            ("AM00002300005202000000002000000000000004010203", None),
            ("GZ1", None),
            ("G", None),
            ("ä", None),
        ] {
            assert_eq!(Request::parse(packet), expected, "{packet}");
        }
    }

    proptest! {
        #[test]
        fn anything_may_arrive(bytes: Vec<u8>) {
            for packet in Packets::default().feed(&bytes) {
                let _ = Request::parse(&packet);
            }
        }

        #[test]
        fn a_packet_cut_anywhere_stays_whole(text in "[A-Za-z0-9]{1,60}", cut in 0usize..62) {
            let framed = format!("!{text}#");
            let (head, tail) = framed.as_bytes().split_at(cut.min(framed.len()));
            let mut packets = Packets::default();
            let requests: Vec<String> = [packets.feed(head), packets.feed(tail)].concat();
            prop_assert_eq!(requests, vec![text]);
        }
    }
}
