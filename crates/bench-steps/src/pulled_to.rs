//! `pulled-to`: checks before power that contacts follow another contact to which the module pulls them.
//!
//! ```text
//! nail, high -- 1 kohm -- contact `to` -- a few ohms inside the module -- ground
//!                              |
//!                           pull-up -- contact under test -- volt-meter
//! ```
//! No current flows through the pull-up of a good module, so the contact under test has the voltage of the other. A
//! path to ground divides it, whatever the exact resistance of the pull-up.

use crate::diagnose::short::leaking_share;
use crate::resolve::{can_drive, pin_name};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{Bound, Coverage, LimitsOf, ParamProblem, Percent, RawPinSelector, Reach, Resolved, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts that reach the measure bus.
    pins: RawPinSelector,
    /// The contact to which they are pulled. The module holds it at ground through a few ohms.
    to: RawPinSelector,
    /// Voltage in percent of that contact's.
    share: LimitsOf<Percent>,
}

pub struct PulledTo {
    to: Contact,
    contacts: Vec<(Contact, MeasurementSpec)>,
}

/// A nail may only drive what stays below a diode's voltage then: 3.3 V behind 1 kohm.
const MOST_OHMS: f64 = 100.0;
/// A lower voltage is too small for the comparison.
const LEAST_VOLTS: f64 = 2e-3;
const SETTLE: Duration = Duration::from_millis(2);

impl Kind for PulledTo {
    const NAME: &'static str = "pulled-to";
    type Params = Params;
    const REACHES: &'static [Reach] = &[Reach {
        key: "share",
        least: Bound::Value(0.0, "the source drives no negative voltage"),
        most: Bound::Unknown,
    }];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let to = match params.to.resolve(around.dut)?.as_slice() {
            &[contact] if can_drive(around.fixture, contact) => contact,
            _ => {
                let text = "`to` must select one contact with a nail that can drive";
                return Err(ParamProblem::new(text).at(params.to.span(), "here"));
            }
        };
        let mut contacts = Vec::new();
        for contact in params.pins.resolve(around.dut)? {
            let on_bus = around.fixture.nail(contact).is_some_and(|nail| nail.mux.is_some());
            if !on_bus || contact == to {
                let label = around.dut.label(contact);
                return Err(ParamProblem::new(format!("contact {label} cannot be measured against {to}"))
                    .at(params.pins.span(), "selects it"));
            }
            let spec = MeasurementSpec {
                name: format!("{}.share", pin_name(around.dut, contact)),
                unit: MeasurementUnit::Percent,
                limits: params.share.limits(),
                contacts: vec![contact],
            };
            contacts.push((contact, spec));
        }
        Ok(Resolved {
            measurements: contacts.iter().map(|(_, spec)| spec.clone()).collect(),
            coverage: contacts
                .iter()
                .map(|(contact, _)| Coverage { contact: *contact, aspects: vec!["leak"] })
                .collect(),
            uses: resource::list(&[resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(2),
            procedure: Box::new(PulledTo { to, contacts }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for PulledTo {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl PulledTo {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.release_nails().await?;
        let held_by = nest.bus.ohms(self.to).await?;
        if held_by > MOST_OHMS {
            let (label, shown) = (nest.label(self.to), MeasurementUnit::Ohms.show(held_by));
            let text = format!("contact {label}: held at ground through {shown}, too much to be driven");
            log.diagnosed(Diagnosis { defect: Defect::Open, contacts: vec![self.to], text: text.clone() });
            return Err(StepError::Dut(text));
        }
        nest.drive_nail(self.to, true).await?;
        nest.settle(SETTLE).await;
        let mut leaking = Vec::new();
        for (contact, spec) in &self.contacts {
            let volts = nest.bus.fine_volts(self.to).await?;
            let share = 100.0 * nest.bus.fine_volts(*contact).await? / volts;
            let share = Some(share).filter(|_| volts > LEAST_VOLTS);
            log.measured(&spec.name, share);
            if judge(&spec.limits, share) == Verdict::Fail {
                leaking.push((*contact, share));
            }
        }
        nest.release_nails().await?;
        for (contact, share) in leaking {
            let (label, to) = (nest.label(contact), nest.label(self.to));
            let mut contacts = vec![contact];
            let where_to = match rail_of(nest, contact).await? {
                Some(rail) => {
                    let of_rail = nest.rails.contacts(&rail);
                    contacts.extend(of_rail.first().filter(|_| of_rail.len() == 1));
                    rail
                }
                None => "ground".to_owned(),
            };
            contacts.sort_unstable();
            let shown = share.map_or_else(|| "none".to_owned(), |share| format!("{share:.1} %"));
            let text = format!("contact {label}: leak to {where_to}, only {shown} of the voltage at {to} reach it");
            log.diagnosed(Diagnosis { defect: Defect::Leak, contacts, text });
        }
        Ok(())
    }
}

/// Returns the rail that it leaks to, if not to ground.
async fn rail_of(nest: &Nest, contact: Contact) -> Result<Option<String>, StepError> {
    for rail in nest.rails.names() {
        if leaking_share(nest, contact, &rail).await?.is_some_and(|share| share > LEAST_SHARE) {
            return Ok(Some(rail));
        }
    }
    Ok(None)
}

/// Share of a charged rail's voltage, over a leak of half a megohm and the pull-up; more than the ADC's offset causes.
const LEAST_SHARE: f64 = 0.01;
