//! A bed of nails with a jumper board on it: the nails of another fixture, some of them joined in pairs by wires.

use crate::fixture_board::{RawBoard, Reach};
use crate::reading::{parse_file, parse_table};
use crate::{DutFamily, Fixture, NailWiring, ParamProblem, Problem, Source};
use bench_run::Contact;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

/// Another bed of nails with wires plugged onto it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawJumpers {
    /// Version of the fixture format: 1.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    format: Spanned<u32>,
    /// Name in plans, and of the file.
    name: String,
    /// Title for people.
    #[serde(default)]
    title: Option<String>,
    /// Must change with every change of a wire.
    revision: String,
    /// The fixture that the wires are plugged onto. It has no `base` itself.
    #[schemars(with = "String")]
    base: Spanned<String>,
    /// Pairs of contacts that a wire joins.
    #[serde(default)]
    #[schemars(with = "Option<Vec<[u8; 2]>>", length(min = 1))]
    pairs: Option<Spanned<Vec<Spanned<Vec<u8>>>>>,
    /// Contacts that the board does not reach.
    #[serde(default)]
    unreached: Vec<RawUnreached>,
    /// The board that replaces the nails: its jumpers, the wires to it, and what is done by hand.
    #[serde(default)]
    board: Option<RawBoard>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawUnreached {
    #[schemars(with = "Vec<u8>")]
    contacts: Vec<Spanned<u8>>,
    /// The contact with a nail to which the board joins them. What its nail does, it does to them too.
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    joined_to: Option<Spanned<u8>>,
    reason: String,
}

impl Fixture {
    /// Returns the fixture that this file is based on, if it describes jumpers only.
    ///
    /// # Errors
    /// When the text is not valid TOML.
    pub fn base_of(source: &Source) -> Result<Option<Spanned<String>>, Box<Problem>> {
        let mut table = parse_table(source)?;
        let Some(base) = table.remove("base") else { return Ok(None) };
        match base.get_ref().as_str() {
            Some(name) => Ok(Some(Spanned::new(base.span(), name.to_owned()))),
            None => Err(Box::new(
                Problem::new(source, "`base` is not a name")
                    .at(base.span(), "here")
                    .help("expected the name of a fixture, such as \"b-series\""),
            )),
        }
    }

    /// Returns this fixture with the wires of a jumper board.
    ///
    /// # Errors
    /// The first mistake in the jumpers' file.
    pub fn with_jumpers(mut self, source: &Source, families: &[&DutFamily]) -> Result<Self, Box<Problem>> {
        let raw: RawJumpers = parse_file(source)?;
        if *raw.format.get_ref() != 1 {
            let problem = ParamProblem::new(format!("fixture format {} is unknown", raw.format.get_ref()));
            let problem = problem.at(raw.format.span(), "unknown format").help("this bench reads format = 1");
            return Err(problem.in_file(source, 0..0));
        }
        if *raw.base.get_ref() != self.name {
            let problem =
                ParamProblem::new(format!("the jumpers are for `{}`, not for `{}`", raw.base.get_ref(), self.name));
            let problem =
                problem.at(raw.base.span(), "another fixture").help("plug them onto the fixture they are for");
            return Err(problem.in_file(source, 0..0));
        }
        let empty = raw.pairs.as_ref().is_none_or(|pairs| pairs.get_ref().is_empty());
        if empty && raw.unreached.is_empty() {
            let problem = ParamProblem::new("the jumpers join nothing").help("expected pairs of contact numbers");
            return Err(problem.in_file(source, raw.pairs.as_ref().map_or(0..0, Spanned::span)));
        }
        self.take_unreached(&raw.unreached).map_err(|problem| problem.in_file(source, 0..0))?;
        let mut joined: Vec<Contact> = Vec::new();
        for pair in raw.pairs.iter().flat_map(|pairs| pairs.get_ref()) {
            let wrong = |message: String, help: &str| {
                Err(ParamProblem::new(message).at(pair.span(), "no pair").help(help).in_file(source, 0..0))
            };
            let &[a, b] = pair.get_ref().as_slice() else {
                return wrong("a pair has two contacts".to_owned(), "expected two numbers, such as [20, 22]");
            };
            for contact in [Contact(a), Contact(b)] {
                let signal = matches!(self.nail(contact).map(|nail| &nail.wiring), Some(NailWiring::Io { .. }));
                if !signal || contact == self.link.dut_tx || contact == self.link.dut_rx {
                    let message = format!("contact {contact} cannot be one of a pair");
                    return wrong(message, "expected contacts with an `io` nail that do not carry the link");
                }
                if joined.contains(&contact) {
                    return wrong(format!("contact {contact} is joined twice"), "a contact has one partner");
                }
                joined.push(contact);
            }
            self.pairs.push((Contact(a), Contact(b)));
        }
        self.base = Some(std::mem::replace(&mut self.name, raw.name.clone()));
        let fits = |family: &&DutFamily| self.families.contains(&family.name);
        let families: Vec<&DutFamily> = families.iter().copied().filter(fits).collect();
        let wired = self.nails.keys().copied().collect();
        let reach = Reach { families: &families, wired, unreached: &self.unwired };
        let board = raw.board.as_ref().map(|board| board.check(&reach)).transpose();
        self.board = board.map_err(|problem| problem.in_file(source, 0..0))?;
        self.title = raw.title.unwrap_or_else(|| raw.name.clone());
        self.revision = format!("{} on {}", raw.revision, self.revision);
        Ok(self)
    }

    /// Takes the nails of contacts that the board does not reach away.
    fn take_unreached(&mut self, unreached: &[RawUnreached]) -> Result<(), ParamProblem> {
        for RawUnreached { contacts, joined_to, reason } in unreached {
            for contact in contacts {
                if self.nails.remove(&Contact(*contact.get_ref())).is_none() {
                    let problem = ParamProblem::new(format!("contact {} has no nail anyway", contact.get_ref()));
                    return Err(problem.at(contact.span(), "no nail"));
                }
                self.unwired.insert(Contact(*contact.get_ref()), reason.clone());
                if let Some(to) = joined_to {
                    self.joined.insert(Contact(*contact.get_ref()), Contact(*to.get_ref()));
                }
            }
        }
        let coil = self.nfc.and_then(|nfc| nfc.coil);
        if coil.is_some_and(|coil| coil.contacts.iter().any(|contact| self.nail(*contact).is_none())) {
            self.nfc = None;
        }
        // When all are taken, because the order of the entries means nothing.
        let ends = unreached.iter().filter_map(|entry| entry.joined_to.as_ref());
        match ends.into_iter().find(|to| self.nail(Contact(*to.get_ref())).is_none()) {
            Some(to) => Err(ParamProblem::new(format!("contact {} has no nail", to.get_ref()))
                .at(to.span(), "joined to it")
                .help("name the contact whose nail reaches the joined ones as well")),
            None => Ok(()),
        }
    }
}
