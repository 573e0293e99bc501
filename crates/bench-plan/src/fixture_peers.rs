//! The parts of a fixture that the module communicates with: checks their lines and the nails of these.

use crate::fixture_check::{Checked, Checker, above_zero};
use crate::fixture_file::{RawPeer, RawPeerType};
use crate::{I2cLines, Nail, NailWiring, ParamProblem, Peer, PeerPart, SpiLines};
use bench_run::Contact;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// Addresses that the three address pins of a 24LC256 allow.
const EEPROM_ADDRESSES: std::ops::RangeInclusive<u8> = 0x50..=0x57;

impl Checker<'_> {
    pub(crate) fn peers(&mut self, raw: &[RawPeer], nails: &BTreeMap<Contact, Nail>) -> Checked<Vec<Peer>> {
        let mut peers: Vec<Peer> = Vec::with_capacity(raw.len());
        for raw in raw {
            let id = raw.id.get_ref();
            if id.is_empty() || peers.iter().any(|peer| peer.id == *id) {
                return Err(ParamProblem::new(format!("{id:?} cannot be a peer's id"))
                    .at(raw.id.span(), "empty, or used before")
                    .help("every peer needs a unique name, such as \"spi-memory\""));
            }
            let select = self.io(&raw.select, format!("the switches of peer `{id}`"))?;
            let part = self.part(raw, nails)?;
            let peer = Peer { id: id.clone(), part, select, switch_ohms: raw.resistance.get() };
            let mut contacts = peer.contacts();
            contacts.sort_unstable();
            if contacts.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(ParamProblem::new(format!("two lines of peer `{id}` are at the same contact"))
                    .at(raw.lines.span(), "same contact twice")
                    .help("every line needs a separate contact"));
            }
            peers.push(peer);
        }
        Ok(peers)
    }

    fn part(&self, raw: &RawPeer, nails: &BTreeMap<Contact, Nail>) -> Checked<PeerPart> {
        let lines = raw.lines.get_ref();
        let line = |name: &str, line: &Option<Spanned<u8>>| self.peer_line(raw, name, line, nails);
        match raw.peer_type.get_ref() {
            RawPeerType::Fm25v02a => {
                not_wanted(raw, "address", raw.address.as_ref().map(Spanned::span))?;
                not_wanted(raw, "pull_up", raw.pull_up.as_ref().map(Spanned::span))?;
                not_wanted(raw, "sda", lines.sda.as_ref().map(Spanned::span))?;
                not_wanted(raw, "scl", lines.scl.as_ref().map(Spanned::span))?;
                let lines = SpiLines {
                    sck: line("sck", &lines.sck)?,
                    mosi: line("mosi", &lines.mosi)?,
                    miso: line("miso", &lines.miso)?,
                    ss: line("ss", &lines.ss)?,
                };
                Ok(PeerPart::SpiFram { lines })
            }
            RawPeerType::Eeprom24lc256 => {
                for (name, line) in
                    [("sck", &lines.sck), ("mosi", &lines.mosi), ("miso", &lines.miso), ("ss", &lines.ss)]
                {
                    not_wanted(raw, name, line.as_ref().map(Spanned::span))?;
                }
                let address = raw.address.as_ref().ok_or_else(|| needed(raw, "address", "an address, such as 0x50"))?;
                if !EEPROM_ADDRESSES.contains(address.get_ref()) {
                    return Err(ParamProblem::new(format!(
                        "a 24LC256 cannot have the address {:#04x}",
                        address.get_ref()
                    ))
                    .at(address.span(), "out of range")
                    .help("expected 0x50 to 0x57"));
                }
                let pull_up = raw.pull_up.as_ref().ok_or_else(|| {
                    needed(raw, "pull_up", "a resistance, such as \"4.7 kohm\": the module has no pull-ups")
                })?;
                Ok(PeerPart::I2cEeprom {
                    address: *address.get_ref(),
                    pull_up_ohms: above_zero(pull_up)?,
                    lines: I2cLines { sda: line("sda", &lines.sda)?, scl: line("scl", &lines.scl)? },
                })
            }
        }
    }

    /// Returns the contact of a line, which must have a nail for a signal.
    fn peer_line(
        &self,
        raw: &RawPeer,
        name: &str,
        line: &Option<Spanned<u8>>,
        nails: &BTreeMap<Contact, Nail>,
    ) -> Checked<Contact> {
        let line =
            line.as_ref().ok_or_else(|| needed_at(raw, raw.lines.span(), name, "the contact that it reaches"))?;
        let contact = self.known_contact(line)?;
        match nails.get(&contact).map(|nail| &nail.wiring) {
            Some(NailWiring::Io { .. }) => Ok(contact),
            _ => Err(ParamProblem::new(format!("contact {contact} has no nail for a signal"))
                .at(line.span(), "a peer cannot be joined to it")
                .help("expected a contact whose nail has `io`")),
        }
    }
}

fn part_name(raw: &RawPeer) -> &'static str {
    match raw.peer_type.get_ref() {
        RawPeerType::Fm25v02a => "an FM25V02A",
        RawPeerType::Eeprom24lc256 => "a 24LC256",
    }
}

fn needed(raw: &RawPeer, key: &str, what: &str) -> ParamProblem {
    needed_at(raw, raw.id.span(), key, what)
}

fn needed_at(raw: &RawPeer, at: Range<usize>, key: &str, what: &str) -> ParamProblem {
    ParamProblem::new(format!("peer `{}` has no `{key}`", raw.id.get_ref()))
        .at(at, format!("{} needs one", part_name(raw)))
        .help(format!("expected {key} = {what}"))
}

fn not_wanted(raw: &RawPeer, key: &str, span: Option<Range<usize>>) -> Checked<()> {
    span.map_or(Ok(()), |span| {
        Err(ParamProblem::new(format!("{} has no `{key}`", part_name(raw)))
            .at(span, "not used")
            .help(format!("take `{key}` out")))
    })
}
