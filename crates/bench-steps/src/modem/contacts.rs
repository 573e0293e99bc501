//! `modem-contacts`: measures the contacts that lead to the modem while it is on. They cannot be tested while it is
//! off.

use super::{defect_at, shares};
use crate::reach;
use crate::resolve::pin_name;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_plan::{ContactInfo, Coverage, Function, LimitsOf, ParamProblem, Reach, Resolved, Surroundings, Volts};
use bench_run::{Contact, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The card's supply, and its reset and data lines, which idle high.
    sim: LimitsOf<Volts>,
    /// D+ of the modem's USB, which it pulls up when it sees VBUS.
    usb: LimitsOf<Volts>,
    /// The ring indicator at rest.
    #[serde(default)]
    ri: Option<LimitsOf<Volts>>,
    /// The card's clock, which is stopped, and D-.
    low: LimitsOf<Volts>,
}

/// Level of an undriven line.
const RESTS_VOLTS: f64 = 0.2;

pub struct ModemContacts {
    contacts: Vec<TestedContact>,
}

struct TestedContact {
    spec: MeasurementSpec,
    contact: Contact,
    what: &'static str,
}

impl Kind for ModemContacts {
    const NAME: &'static str = "modem-contacts";
    type Params = Params;
    const REACHES: &'static [Reach] =
        &[reach::volts("sim"), reach::volts("usb"), reach::volts("ri"), reach::volts("low")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let on_bus = |contact: Contact| around.fixture.nail(contact).is_some_and(|nail| nail.mux.is_some());
        let mut contacts = Vec::new();
        for info in around.dut.contacts.iter().filter(|info| on_bus(info.contact)) {
            let Some((what, limits)) = role(info, &params) else { continue };
            contacts.push(TestedContact {
                spec: MeasurementSpec {
                    name: format!("{}.modem-on", pin_name(around.dut, info.contact)),
                    unit: MeasurementUnit::Volts,
                    limits: limits.limits(),
                    contacts: vec![info.contact],
                },
                contact: info.contact,
                what,
            });
        }
        if contacts.is_empty() {
            let text = format!("no modem contact of the family {} reaches the measure bus", around.dut.name);
            return Err(ParamProblem::new(text));
        }
        let uses = resource::list(&[resource::MODEM, resource::MEASURE_BUS, resource::NAILS]);
        Ok(Resolved {
            measurements: contacts.iter().map(|contact| contact.spec.clone()).collect(),
            coverage: contacts
                .iter()
                .map(|contact| Coverage { contact: contact.contact, aspects: vec!["modem on"] })
                .collect(),
            uses,
            shares: shares(),
            default_timeout: Duration::from_secs(3),
            procedure: Box::new(ModemContacts { contacts }),
        })
    }
}

fn role<'p>(info: &ContactInfo, params: &'p Params) -> Option<(&'static str, &'p LimitsOf<Volts>)> {
    let has = |function| info.functions.contains(&function);
    match info.roles.get(&Function::Sim).map(String::as_str) {
        Some("VCC") => return Some(("the card's supply", &params.sim)),
        Some("RST") => return Some(("the card's reset, high while it works", &params.sim)),
        Some("DATA") => return Some(("the card's data, pulled up", &params.sim)),
        Some("CLK") => return Some(("the card's clock, low while idle", &params.low)),
        _ => {}
    }
    if has(Function::ModemUsb) && !has(Function::Power) {
        return Some(match info.pin.ends_with('+') {
            true => ("D+ of the modem's USB, pulled up when it sees VBUS", &params.usb),
            false => ("D- of the modem's USB, low", &params.low),
        });
    }
    if has(Function::ModemRi) {
        return Some(("the ring indicator at rest", params.ri.as_ref()?));
    }
    None
}

#[async_trait(?Send)]
impl Procedure for ModemContacts {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.modem.expect()?;
        nest.release_nails().await?;
        let measured = nest.released_after(self.measure(nest, log)).await?;
        let wrong: Vec<&(&TestedContact, f64)> = measured
            .iter()
            .filter(|(contact, volts)| judge(&contact.spec.limits, Some(*volts)) != Verdict::Pass)
            .collect();
        self.diagnose(nest, log, &wrong);
        Ok(())
    }
}

impl ModemContacts {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<Vec<(&TestedContact, f64)>, StepError> {
        let mut measured = Vec::new();
        for contact in &self.contacts {
            let volts = nest.bus.volts(contact.contact).await?;
            log.measured(&contact.spec.name, Some(volts));
            measured.push((contact, volts));
        }
        Ok(measured)
    }

    fn diagnose(&self, nest: &Nest, log: &dyn StepLog, wrong: &[&(&TestedContact, f64)]) {
        // Two of them are wrong, and each has the level of the other: exchanged.
        if let [(a, a_volts), (b, b_volts)] = wrong
            && judge(&a.spec.limits, Some(*b_volts)) == Verdict::Pass
            && judge(&b.spec.limits, Some(*a_volts)) == Verdict::Pass
        {
            let text = format!(
                "contacts {} and {} are exchanged: each has the other's voltage while the modem is on",
                nest.label(a.contact),
                nest.label(b.contact)
            );
            defect_at(log, vec![a.contact, b.contact], text);
            return;
        }
        let plus = |contact: &TestedContact| contact.what.contains("USB") && contact.what.contains("D+");
        for (contact, volts) in wrong {
            let (shown, label) = (MeasurementUnit::Volts.show(*volts), nest.label(contact.contact));
            if plus(contact) && volts.abs() < RESTS_VOLTS {
                // An undriven pad, on a contact whose diodes were measured before power: not the contact's fault.
                let text = format!(
                    "modem's USB does not attach: {shown} at D+, contact {label}: it does not see its VBUS, or is dead"
                );
                defect_at(log, Vec::new(), text);
                continue;
            }
            defect_at(log, vec![contact.contact], format!("contact {label}: {shown} at {}", contact.what));
        }
    }
}
