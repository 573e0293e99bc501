//! Lookups in family and fixture that several kinds need to resolve their parameters.

use bench_plan::{
    ContactInfo, DutFamily, Fixture, Function, Nail, NailWiring, ParamProblem, Rail, RawPinSelector, Spanned,
    Surroundings, nearest_help,
};
use bench_run::Contact;
use dut_protocol::Port;

/// Returns the rail of this name.
pub(crate) fn rail<'a>(fixture: &'a Fixture, name: &Spanned<String>) -> Result<&'a Rail, ParamProblem> {
    fixture.rail(name.get_ref()).ok_or_else(|| {
        let names = fixture.rails.iter().map(|rail| rail.name.as_str());
        ParamProblem::new(format!("the fixture has no rail `{}`", name.get_ref()))
            .at(name.span(), "unknown rail")
            .help(nearest_help(name.get_ref(), names, "rails"))
    })
}

/// Returns the rail that supplies the ports. They may be loaded with their own supply's voltage; another rail would
/// harm them.
pub(crate) fn feeds_ports(fixture: &Fixture, rail: &Rail) -> bool {
    (rail.volts - fixture.nail_volts).abs() <= 0.1 * fixture.nail_volts
}

/// The name of the rail that supplies the ports.
pub(crate) fn supply(fixture: &Fixture, name: Spanned<String>) -> Result<String, ParamProblem> {
    let rail = rail(fixture, &name)?;
    if !feeds_ports(fixture, rail) {
        let text =
            format!("the rail {} carries {} V, the nails work at {} V", rail.name, rail.volts, fixture.nail_volts);
        return Err(ParamProblem::new(text)
            .at(name.span(), "cannot supply the ports")
            .help("name the rail that feeds the MCU: contacts are loaded with its voltage"));
    }
    Ok(name.into_inner())
}

/// Returns the name of the rail that a step measures; none on a desk, where no rail is the bench's.
pub(crate) fn rail_unless_desk(
    fixture: &Fixture,
    name: Option<&Spanned<String>>,
) -> Result<Option<String>, ParamProblem> {
    match (name, &fixture.desk) {
        (Some(name), None) => rail(fixture, name).map(|rail| Some(rail.name.clone())),
        (None, Some(_)) => Ok(None),
        (Some(name), Some(_)) => Err(no_rails(fixture, name)),
        (None, None) => Err(ParamProblem::new("no `supply`").help("name the rail that feeds it")),
    }
}

fn no_rails(fixture: &Fixture, name: &Spanned<String>) -> ParamProblem {
    ParamProblem::new(format!("the fixture {} has no rails", fixture.name))
        .at(name.span(), "a person switches the board")
        .help("take `supply` out")
}

/// Like [`supply`], for steps that need none on a desk, where no rail is the bench's.
pub(crate) fn supply_unless_desk(
    fixture: &Fixture,
    name: Option<Spanned<String>>,
) -> Result<Option<String>, ParamProblem> {
    match (name, &fixture.desk) {
        (Some(name), None) => supply(fixture, name).map(Some),
        (None, Some(_)) => Ok(None),
        (Some(name), Some(_)) => Err(no_rails(fixture, &name)),
        (None, None) => Err(ParamProblem::new("no `supply`")
            .help("name the rail that feeds the MCU: contacts are loaded with its voltage")),
    }
}

/// Returns the contacts whose nails the fixture feeds from this rail, ascending.
pub(crate) fn rail_contacts(fixture: &Fixture, name: &str) -> Vec<Contact> {
    let index = fixture.rails.iter().position(|rail| rail.name == name);
    index.map_or_else(Vec::new, |index| rail_contacts_of(fixture, index))
}

/// Like the function above, by the rail's position in the fixture.
pub(crate) fn rail_contacts_of(fixture: &Fixture, index: usize) -> Vec<Contact> {
    let fed = |nail: &&Nail| matches!(nail.wiring, NailWiring::Rail { rail, .. } if rail == index);
    fixture.nails.values().filter(fed).map(|nail| nail.contact).collect()
}

/// Whether the contact's nail can drive and read.
pub(crate) fn can_drive(fixture: &Fixture, contact: Contact) -> bool {
    matches!(fixture.nail(contact).map(|nail| &nail.wiring), Some(NailWiring::Io { .. }))
}

/// Name of a contact's pin, such as "A0"; several contacts may carry the same name.
pub(crate) fn pin_name(dut: &DutFamily, contact: Contact) -> &str {
    dut.contact(contact).map_or("", |info| info.pin.as_str())
}

/// Returns the ports behind selected contacts. Refuses the link's own contacts and contacts without a port or a driving
/// nail.
pub(crate) fn ports_of(
    selector: &RawPinSelector,
    around: &Surroundings<'_>,
) -> Result<Vec<(Contact, Port)>, ParamProblem> {
    let link = &around.fixture.link;
    let mut pins = Vec::new();
    for contact in selector.resolve(around.dut)? {
        let label = around.dut.label(contact);
        let problem = |what: String, help: &str| {
            Err(ParamProblem::new(what).at(selector.span(), "selects it").help(help.to_owned()))
        };
        if contact == link.dut_tx || contact == link.dut_rx {
            return problem(
                format!("contact {label} carries the link to the module"),
                "exclude it: { functions = [\"gpio\"], exclude = [\"TX\", \"RX\"] }",
            );
        }
        let Some(port) = around.dut.contact(contact).and_then(|info| info.port) else {
            return problem(format!("contact {label} leads to no port of the MCU"), "exclude it");
        };
        if !can_drive(around.fixture, contact) {
            return problem(format!("contact {label} has no nail that can drive"), "exclude it");
        }
        pins.push((contact, port));
    }
    Ok(pins)
}

/// Returns the contact of the module's reset pad, with a nail that can pull it low. `place` locates the step in errors.
pub(crate) fn reset_contact(around: &Surroundings<'_>, place: std::ops::Range<usize>) -> Result<Contact, ParamProblem> {
    let is_reset = |info: &&ContactInfo| info.functions.contains(&Function::Reset);
    let reset = around.dut.contacts.iter().find(is_reset).map(|info| info.contact);
    reset.filter(|reset| can_drive(around.fixture, *reset)).ok_or_else(|| {
        ParamProblem::new("no nail that can drive reaches the reset contact of this family").at(place, "in this step")
    })
}

/// Refuses a contact whose edges this fixture cannot time.
pub(crate) fn times_edges(
    contact: Contact,
    place: std::ops::Range<usize>,
    around: &Surroundings<'_>,
) -> Result<(), ParamProblem> {
    let Surroundings { fixture, dut, .. } = around;
    if fixture.bed.as_ref().is_none_or(|bed| bed.measure_bus.edges_gpio.is_none()) {
        return Err(ParamProblem::new(format!("the fixture {} cannot time edges", fixture.name))
            .at(place, "their edges are to be timed")
            .help("it needs a Schmitt buffer on its measure bus and `edges = { gpio = ... }` in [measure_bus]"));
    }
    if fixture.nail(contact).is_none_or(|nail| nail.mux.is_none()) {
        return Err(ParamProblem::new(format!("contact {} does not reach the measure bus", dut.label(contact)))
            .at(place, "selects it")
            .help("exclude it, or give its nail a `mux` channel"));
    }
    Ok(())
}
