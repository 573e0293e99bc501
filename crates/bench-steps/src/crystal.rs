//! `crystal`: the 32.768 kHz crystal on the module, against the bench's clock.
//!
//! The firmware normally runs from the internal oscillator. For this step it starts the crystal and routes the divided
//! clock to a port in hardware. The bench times a few hundred edges. An occasional late time stamp shifts the fitted
//! line by about a millionth.

use crate::pwm::GATE_MARGIN;
use crate::reach;
use crate::resolve::{self, ports_of};
use crate::resource;
use crate::signal::Signal;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::DutError;
use bench_plan::{
    Coverage, LimitsOf, ParamProblem, Percent, RawPinSelector, Reach, Resolved, Seconds, Spanned, Surroundings,
};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{CRYSTAL_LED_HZ, Port, Refusal, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The contact to which the clock is routed.
    pin: RawPinSelector,
    /// Largest error of the crystal.
    error: LimitsOf<Percent>,
    /// How long the edges are timed, 100 ms to 4 s; 400 ms when left out.
    #[serde(default)]
    #[schemars(with = "Option<Seconds>")]
    window: Option<Spanned<Seconds>>,
}

pub struct Crystal {
    contact: Contact,
    port: Port,
    window: Duration,
    starts: MeasurementSpec,
    error: MeasurementSpec,
}

/// 200 periods: time stamps that are a few microseconds late come to about 1 ppm.
const WINDOW: Duration = Duration::from_millis(400);
const WINDOWS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(4);
/// In one percent.
const PPM: f64 = 1e4;
/// A watch crystal with the wrong load is off by some hundred ppm; without its quartz the oscillator does not start.
pub(crate) const QUARTZ_PERCENT: f64 = 1.0;
/// An error from which the signal at the contact is not the crystal's.
const NOTHING_PERCENT: f64 = 50.0;

impl Kind for Crystal {
    const NAME: &'static str = "crystal";
    type Params = Params;
    const REACHES: &'static [Reach] =
        &[reach::error("error", QUARTZ_PERCENT, "no quartz runs that far from its frequency")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let pins = ports_of(&params.pin, around)?;
        let &[(contact, port)] = pins.as_slice() else {
            return Err(ParamProblem::new(format!("{} contacts for one clock", pins.len()))
                .at(params.pin.span(), "selects them")
                .help("expected one contact, such as pin = [\"D4\"]"));
        };
        resolve::times_edges(contact, params.pin.span(), around)?;
        let window = match &params.window {
            None => WINDOW,
            Some(window) if WINDOWS.contains(&window.get_ref().duration()) => window.get_ref().duration(),
            Some(window) => {
                return Err(ParamProblem::new(format!("{} is outside the allowed time", window.get_ref()))
                    .at(window.span(), "too short or too long")
                    .help("expected 100 ms to 4 s"));
            }
        };
        let spec = |name: &str, unit, limits| MeasurementSpec { name: name.into(), unit, limits, contacts: Vec::new() };
        let starts = spec("crystal.starts", MeasurementUnit::One, Limits::exactly(1.0));
        let error = spec("crystal.error", MeasurementUnit::Percent, params.error.limits());
        Ok(Resolved {
            measurements: vec![starts.clone(), error.clone()],
            coverage: vec![Coverage { contact, aspects: vec!["open"] }],
            uses: resource::list(&[resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(Crystal { contact, port, window, starts, error }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Crystal {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Crystal {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        match nest.request(Request::LeadCrystal { port: self.port }).await {
            Ok(_) => log.measured(&self.starts.name, Some(1.0)),
            Err(DutError::Refused(Refusal::NotRunning)) => {
                log.measured(&self.starts.name, Some(0.0));
                let text = "the 32.768 kHz crystal on the module does not start";
                log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text: text.to_owned() });
                return Err(StepError::Dut(text.to_owned()));
            }
            Err(error) => return Err(nest.silent(error).await),
        }
        let began = nest.clock.now();
        let trace = nest.edges.capture(self.contact, self.window).await;
        log.within(began, self.window + GATE_MARGIN);
        let left = nest.ask(Request::LeaveCrystal).await;
        let signal = Signal::of(&trace?);
        left?;
        let error = 100.0 * (signal.hz / f64::from(CRYSTAL_LED_HZ) - 1.0);
        log.measured(&self.error.name, Some(error));
        if judge(&self.error.limits, Some(error)) != Verdict::Pass {
            log.diagnosed(self.name(nest, error));
        }
        Ok(())
    }

    fn name(&self, nest: &Nest, error: f64) -> Diagnosis {
        let label = nest.label(self.contact);
        if error.abs() > NOTHING_PERCENT {
            let port = self.port;
            let text =
                format!("contact {label}: open or held, port {port} outputs the crystal's clock and nothing arrives");
            return Diagnosis { defect: Defect::Open, contacts: vec![self.contact], text };
        }
        let text = format!("the 32.768 kHz crystal on the module is off by {:+.0} ppm", error * PPM);
        Diagnosis { defect: Defect::Other, contacts: Vec::new(), text }
    }
}
