//! The nails of a fixture: checks the wiring of each, and that none is missing.

use crate::fixture_check::{Checked, Checker, above_zero};
use crate::fixture_file::{RawBed, RawNail};
use crate::names::nearest_help;
use crate::{ContactInfo, Direction, Function, Nail, NailWiring, Ohms, ParamProblem, Rail};
use bench_run::{Contact, MeasurementUnit};
use std::collections::BTreeMap;
use toml::Spanned;

impl Checker<'_> {
    pub(crate) fn bed(&mut self, raw: &RawBed, rails: &[Rail], banks: usize) -> Checked<BTreeMap<Contact, Nail>> {
        let io_series = above_zero(&raw.io_series)?;
        let feed = above_zero(&raw.feed_resistance)?;
        let mut nails: BTreeMap<Contact, Nail> = BTreeMap::new();
        for spanned in &raw.nails {
            let nail = spanned.get_ref();
            let contact = self.known_contact(&nail.contact)?;
            self.claim(format!("contact {contact}"), format!("nail {}", nails.len() + 1), nail.contact.span())
                .map_err(|mut problem| {
                    let label = self.families.first().map_or_else(String::new, |family| family.label(contact));
                    problem.message = format!("the nail of contact {label} is wired twice");
                    problem.help = problem.help.map(|help| {
                        let first = help.split(';').next().unwrap_or_default();
                        format!("{first}; every contact has one nail")
                    });
                    problem
                })?;
            self.check_pin_name(contact, nail)?;
            let wiring = self.wiring(contact, spanned, rails, io_series, feed)?;
            let mux = nail.mux.as_ref().map(|mux| self.mux(contact, mux, banks)).transpose()?;
            nails.insert(contact, Nail { contact, wiring, mux });
        }
        Ok(nails)
    }

    fn check_pin_name(&self, contact: Contact, nail: &RawNail) -> Checked<()> {
        let Some(pin) = &nail.pin else { return Ok(()) };
        for (family, info) in self.infos(contact) {
            if !is_called(info, pin.get_ref()) {
                return Err(ParamProblem::new(format!(
                    "contact {contact} of {} is not `{}`",
                    family.name,
                    pin.get_ref()
                ))
                .at(pin.span(), "another pin")
                .help(format!("expected `{}`", info.pin)));
            }
        }
        Ok(())
    }

    fn wiring(
        &mut self,
        contact: Contact,
        nail: &Spanned<RawNail>,
        rails: &[Rail],
        io_series: f64,
        feed_ohms: f64,
    ) -> Checked<NailWiring> {
        let user = format!("the nail of contact {contact}");
        let span = nail.span();
        let nail = nail.get_ref();
        let resistance = |own: &Option<Spanned<Ohms>>, usual| own.as_ref().map_or(Ok(usual), above_zero);
        let misplaced = |key: &Option<Spanned<Ohms>>, name: &str, with: &str| match key {
            Some(key) => Err(ParamProblem::new(format!("`{name}` has no effect here"))
                .at(key.span(), "not used")
                .help(format!("`{name}` belongs to a nail with {with}"))),
            None => Ok(()),
        };
        match (&nail.io, &nail.rail, &nail.feed, &nail.ground) {
            (Some(io), None, None, None) => {
                misplaced(&nail.resistance, "resistance", "rail or ground")?;
                self.must_be_signal(contact, io, rails)?;
                let bit = self.io(io, user)?;
                // Microchip DS20001952 since revision D.
                if bit.bit % 8 == 7 {
                    return Err(ParamProblem::new(format!("{} can only be an output", io.get_ref()))
                        .at(io.span(), "a nail is also read")
                        .help("expected GPA0 to GPA6 or GPB0 to GPB6; the MCP23017's GPA7 and GPB7 suit switches"));
                }
                Ok(NailWiring::Io { io: bit, series_ohms: resistance(&nail.series, io_series)? })
            }
            (None, Some(rail), Some(feed), None) => {
                misplaced(&nail.series, "series", "io")?;
                let index = self.rail_for(contact, rail, rails)?;
                let feed = self.io(feed, user)?;
                Ok(NailWiring::Rail { rail: index, feed, feed_ohms: resistance(&nail.resistance, feed_ohms)? })
            }
            (None, None, None, Some(ground)) => {
                misplaced(&nail.series, "series", "io")?;
                self.must_be_ground(contact, ground)?;
                let feed = self.io(ground, user)?;
                Ok(NailWiring::Ground { feed, feed_ohms: resistance(&nail.resistance, feed_ohms)? })
            }
            _ => Err(ParamProblem::new(format!("the nail of contact {contact} must be wired to exactly one thing"))
                .at(span, "which one?")
                .help("expected exactly one of: io; rail with feed; ground")),
        }
    }

    /// Refuses an expander bit on a supply or ground contact.
    fn must_be_signal(&self, contact: Contact, io: &Spanned<String>, rails: &[Rail]) -> Checked<()> {
        for (family, info) in self.infos(contact) {
            let help = if info.functions.contains(&Function::Ground) {
                "expected `ground` with the expander bit of its switch".to_owned()
            } else if let Some(rail) = rails.iter().find(|rail| is_called(info, &rail.pin)) {
                format!("expected rail = \"{}\" with `feed`", rail.name)
            } else {
                continue;
            };
            return Err(ParamProblem::new(format!("contact {} is not a signal", family.label(contact)))
                .at(io.span(), "an expander bit cannot carry it")
                .help(help));
        }
        Ok(())
    }

    fn must_be_ground(&self, contact: Contact, ground: &Spanned<String>) -> Checked<()> {
        match self.infos(contact).find(|(_, info)| !info.functions.contains(&Function::Ground)) {
            None => Ok(()),
            Some((family, _)) => Err(ParamProblem::new(format!(
                "contact {} of {} is not a ground contact",
                family.label(contact),
                family.name
            ))
            .at(ground.span(), "would short it to ground")
            .help("expected `io`, or `rail` with `feed`")),
        }
    }

    fn rail_for(&self, contact: Contact, wanted: &Spanned<String>, rails: &[Rail]) -> Checked<usize> {
        let Some((index, rail)) = rails.iter().enumerate().find(|(_, rail)| rail.name == *wanted.get_ref()) else {
            return Err(ParamProblem::new(format!("unknown rail `{}`", wanted.get_ref()))
                .at(wanted.span(), "unknown rail")
                .help(nearest_help(wanted.get_ref(), rails.iter().map(|rail| rail.name.as_str()), "rails")));
        };
        for (family, info) in self.infos(contact) {
            let label = family.label(contact);
            if !info.functions.contains(&Function::Power) {
                return Err(ParamProblem::new(format!("contact {label} of {} is not a supply contact", family.name))
                    .at(wanted.span(), "a rail does not belong here")
                    .help("expected `io` for a signal, `ground` for a ground"));
            }
            if !is_called(info, &rail.pin) {
                return Err(ParamProblem::new(format!(
                    "rail {} feeds {}, contact {label} is another supply",
                    rail.name, rail.pin
                ))
                .at(wanted.span(), "another supply")
                .help(match rails.iter().find(|rail| is_called(info, &rail.pin)) {
                    Some(right) => format!("expected rail = \"{}\"", right.name),
                    None => format!("no rail of this fixture feeds {}", info.pin),
                }));
            }
            // Two supplies on one rail: the stronger would feed the weaker.
            if rail.load_ohms.is_some() != (info.direction == Direction::PowerOut) {
                let (message, label, help) = if rail.load_ohms.is_some() {
                    (format!("contact {label} takes power"), "a load supplies no power", "take `load` out of the rail")
                } else {
                    let help = "give the rail a `load`: it then measures what the module makes";
                    (format!("contact {label} is an output"), "two supplies would meet", help)
                };
                return Err(ParamProblem::new(message).at(wanted.span(), label).help(help));
            }
            if let Some(most) = info.max_volts.filter(|most| rail.volts > *most) {
                let (most, volts) = (MeasurementUnit::Volts.show(most), MeasurementUnit::Volts.show(rail.volts));
                return Err(ParamProblem::new(format!("rail {} has {volts}, too much for contact {label}", rail.name))
                    .at(wanted.span(), format!("{} takes {most} at most", family.name))
                    .help("lower the rail's voltage"));
            }
        }
        Ok(index)
    }

    fn mux(&mut self, contact: Contact, raw: &Spanned<Vec<u8>>, banks: usize) -> Checked<(u8, u8)> {
        let (bank, channel) = match raw.get_ref().as_slice() {
            &[bank, channel] if usize::from(bank) < banks && channel < 16 => (bank, channel),
            _ => {
                return Err(ParamProblem::new("no such channel of the measure bus").at(raw.span(), "no channel").help(
                    format!("expected [bank, channel]: bank 0 to {}, channel 0 to 15", banks.saturating_sub(1)),
                ));
            }
        };
        self.claim(format!("bank {bank}, channel {channel}"), format!("the nail of contact {contact}"), raw.span())?;
        Ok((bank, channel))
    }

    pub(crate) fn unwired(
        &mut self,
        raw: &RawBed,
        nails: &BTreeMap<Contact, Nail>,
    ) -> Checked<BTreeMap<Contact, String>> {
        let mut unwired = BTreeMap::new();
        for entry in &raw.unwired {
            let contact = self.known_contact(&entry.contact)?;
            if nails.contains_key(&contact) || unwired.contains_key(&contact) {
                return Err(ParamProblem::new(format!("contact {contact} is listed before"))
                    .at(entry.contact.span(), "wired, or unwired twice")
                    .help("a contact has a nail or is unwired, once"));
            }
            if entry.reason.get_ref().trim().is_empty() {
                return Err(ParamProblem::new(format!("contact {contact} is unwired for no reason"))
                    .at(entry.reason.span(), "empty")
                    .help("give the reason: a contact without a nail is not tested"));
            }
            unwired.insert(contact, entry.reason.get_ref().clone());
        }
        Ok(unwired)
    }

    pub(crate) fn every_contact_is_named(
        &self,
        nails: &BTreeMap<Contact, Nail>,
        unwired: &BTreeMap<Contact, String>,
        families: &Spanned<Vec<Spanned<String>>>,
    ) -> Checked<()> {
        for family in &self.families {
            let forgotten = family.contacts.iter().map(|info| info.contact);
            let mut forgotten =
                forgotten.filter(|contact| !nails.contains_key(contact) && !unwired.contains_key(contact));
            if let Some(first) = forgotten.next() {
                let others = forgotten.count();
                let more = if others == 0 { String::new() } else { format!(", nor have {others} others") };
                return Err(ParamProblem::new(format!(
                    "contact {} of {} has no nail{more}",
                    family.label(first),
                    family.name
                ))
                .at(families.span(), "takes a family with this contact")
                .help("wire it in bed.nails, or list it in bed.unwired with a reason")
                .absent());
            }
        }
        Ok(())
    }
}

fn is_called(info: &ContactInfo, name: &str) -> bool {
    info.pin == name || info.alternate_names.iter().any(|alternate| alternate == name)
}
