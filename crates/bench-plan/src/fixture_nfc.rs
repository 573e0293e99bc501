//! The fixture's NFC reader: its chip, and the contacts of its antenna.

use crate::fixture_check::{Checked, Checker, above_zero};
use crate::fixture_file::{RawNfc, RawNfcCoil};
use crate::{ChipKind, Function, Nail, NailWiring, NfcCoil, NfcWiring, ParamProblem};
use bench_run::Contact;
use std::collections::BTreeMap;

impl Checker<'_> {
    pub(crate) fn nfc(&mut self, raw: &RawNfc, nails: &BTreeMap<Contact, Nail>) -> Checked<NfcWiring> {
        let (reader, chip) = self.chip_named(raw.reader.get_ref(), raw.reader.span())?;
        if chip.kind != ChipKind::Pn532 {
            return Err(ParamProblem::new(format!("chip `{}` is no NFC reader", chip.id))
                .at(raw.reader.span(), "not a PN532")
                .help("expected the id of a pn532"));
        }
        let coil = raw.coil.as_ref().map(|coil| self.coil(coil, nails)).transpose()?;
        Ok(NfcWiring { reader, coil })
    }

    fn coil(&mut self, raw: &RawNfcCoil, nails: &BTreeMap<Contact, Nail>) -> Checked<NfcCoil> {
        let [first, second] = raw.contacts.get_ref().as_slice() else {
            return Err(ParamProblem::new(format!("an antenna at {} contacts", raw.contacts.get_ref().len()))
                .at(raw.contacts.span(), "not two")
                .help("expected the two NFC contacts, such as [17, 19]"));
        };
        let contacts = [self.known_contact(first)?, self.known_contact(second)?];
        for (contact, place) in contacts.into_iter().zip([first, second]) {
            if let Some((family, _)) = self.infos(contact).find(|(_, info)| !info.functions.contains(&Function::Nfc)) {
                let label = family.label(contact);
                return Err(ParamProblem::new(format!("contact {label} of {} is no NFC pad", family.name))
                    .at(place.span(), "the antenna does not belong here")
                    .help("expected the two contacts with the function `nfc`"));
            }
            if !matches!(nails.get(&contact).map(|nail| &nail.wiring), Some(NailWiring::Io { .. })) {
                return Err(ParamProblem::new(format!("contact {contact} has no nail for a signal"))
                    .at(place.span(), "the antenna cannot be joined to it")
                    .help("expected a contact whose nail has `io`"));
            }
        }
        if contacts[0] == contacts[1] {
            return Err(ParamProblem::new("both ends of the antenna are at the same contact")
                .at(raw.contacts.span(), "same contact twice")
                .help("expected the two NFC contacts, such as [17, 19]"));
        }
        Ok(NfcCoil {
            contacts,
            switch: self.io(&raw.switch, "the switches of the NFC antenna")?,
            switch_ohms: above_zero(&raw.resistance)?,
        })
    }
}
