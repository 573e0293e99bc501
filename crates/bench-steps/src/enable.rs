//! `enable`: tests the contact that switches the module's own supply off. It rests high, a low level removes the
//! supply, and releasing it restores the supply.

use crate::reach;
use crate::resolve::{self, can_drive, pin_name};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{
    Coverage, LimitsOf, ParamProblem, RawPinSelector, Reach, Resolved, Seconds, Spanned, Surroundings, Volts,
};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The enable contact. Its nail only ever pulls it low.
    pin: RawPinSelector,
    /// Rail that it switches; the module makes it.
    #[schemars(with = "String")]
    supply: Spanned<String>,
    /// Voltage of the contact at rest.
    rest: LimitsOf<Volts>,
    /// Voltage of the supply while the contact is low.
    off: LimitsOf<Volts>,
    /// Voltage of the supply after the contact was released.
    on: LimitsOf<Volts>,
    /// Time for the supply to fall, and to rise again.
    settle: Seconds,
}

pub struct Enable {
    contact: Contact,
    supply: String,
    rest: MeasurementSpec,
    off: MeasurementSpec,
    on: MeasurementSpec,
    settle: Duration,
}

/// Below this nothing pulls the contact up.
const OPEN_VOLTS: f64 = 0.3;

impl Kind for Enable {
    const NAME: &'static str = "enable";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::volts("rest"), reach::port_volts("off"), reach::port_volts("on")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let contacts = params.pin.resolve(around.dut)?;
        let &[contact] = contacts.as_slice() else {
            return Err(ParamProblem::new("an enable step tests one contact").at(params.pin.span(), "several"));
        };
        let reached = around.fixture.nail(contact).is_some_and(|nail| nail.mux.is_some());
        if !reached || !can_drive(around.fixture, contact) {
            let label = around.dut.label(contact);
            return Err(ParamProblem::new(format!("contact {label} has no nail that pulls it low and is measured"))
                .at(params.pin.span(), "selects it"));
        }
        let spec = |name: String, limits| MeasurementSpec {
            name,
            unit: MeasurementUnit::Volts,
            limits,
            contacts: vec![contact],
        };
        let pin = pin_name(around.dut, contact);
        let (rest, off, on) = (
            spec(format!("{pin}.rest"), params.rest.limits()),
            spec(format!("{supply}.while-low"), params.off.limits()),
            spec(format!("{supply}.after-release"), params.on.limits()),
        );
        Ok(Resolved {
            measurements: vec![rest.clone(), off.clone(), on.clone()],
            coverage: vec![Coverage {
                contact,
                aspects: vec!["open", "stuck high", "stuck low", "pull-up", "function"],
            }],
            uses: resource::list(&[resource::DUT, resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(2) + 2 * params.settle.duration(),
            procedure: Box::new(Enable { contact, supply, rest, off, on, settle: params.settle.duration() }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Enable {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Enable {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        // An idle TX of the controller would feed the module while it is off.
        nest.leave_link().await?;
        nest.release_nails().await?;
        let rest = nest.bus.volts(self.contact).await?;
        log.measured(&self.rest.name, Some(rest));
        nest.drive_nail(self.contact, false).await?;
        nest.settle(self.settle).await;
        let off = nest.rails.measure(&self.supply).await?.volts;
        log.measured(&self.off.name, Some(off));
        nest.release_nail(self.contact).await?;
        nest.settle(self.settle).await;
        let on = nest.rails.measure(&self.supply).await?.volts;
        log.measured(&self.on.name, Some(on));

        let good = |spec: &MeasurementSpec, volts| judge(&spec.limits, Some(volts)) == Verdict::Pass;
        let (label, supply) = (nest.label(self.contact), &self.supply);
        let (at_rest, while_low, after) =
            (MeasurementUnit::Volts.show(rest), MeasurementUnit::Volts.show(off), MeasurementUnit::Volts.show(on));
        let (defect, text) = if !good(&self.rest, rest) && rest < OPEN_VOLTS {
            (Defect::Open, format!("contact {label}: open or not pulled up, it rests at {at_rest}"))
        } else if !good(&self.rest, rest) {
            (Defect::WrongVoltage, format!("contact {label}: rests at {at_rest}"))
        } else if !good(&self.off, off) {
            (Defect::Other, format!("contact {label}: pulled low, it leaves {supply} at {while_low}"))
        } else if !good(&self.on, on) {
            (Defect::Other, format!("contact {label}: after its release {supply} is at {after}"))
        } else {
            return Ok(());
        };
        log.diagnosed(Diagnosis { defect, contacts: vec![self.contact], text });
        Ok(())
    }
}
