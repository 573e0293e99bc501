//! `adc-self`: checks the analog inputs with the module's own ports and references. Each input is read while its own port
//! drives it low and high and while it is pulled; the supply is read against the internal reference.

use super::ports_behind;
use crate::resolve::pin_name;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_plan::{Coverage, LimitsOf, ParamProblem, Percent, RawPinSelector, Resolved, Surroundings, Volts};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{AdcInput, AdcRange, AdcRequest, DriveStrength, Port, PortSet, PortVector, Reply, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Analog inputs that are free outside the module.
    pins: RawPinSelector,
    /// The supply, as the module measures it against its own reference.
    supply: LimitsOf<Volts>,
    /// An input while its own port drives it low and high, as a share of the supply.
    low: LimitsOf<Percent>,
    high: LimitsOf<Percent>,
    /// An input that is pulled down and up.
    pulled_down: LimitsOf<Percent>,
    pulled_up: LimitsOf<Percent>,
}

/// How an input is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Low,
    High,
    Down,
    Up,
}

const ALL: [Held; 4] = [Held::Low, Held::High, Held::Down, Held::Up];

impl Held {
    const fn name(self) -> &'static str {
        match self {
            Held::Low => "driven-low",
            Held::High => "driven-high",
            Held::Down => "pulled-down",
            Held::Up => "pulled-up",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Held::Low => "while its port drives low",
            Held::High => "while its port drives high",
            Held::Down => "while it is pulled down",
            Held::Up => "while it is pulled up",
        }
    }

    fn vector(self, port: Port) -> PortVector {
        let port = PortSet::EMPTY.with(port);
        let mut vector = PortVector { strength: DriveStrength::Standard, settle_us: SETTLE_US, ..Default::default() };
        *(match self {
            Held::Low => &mut vector.low,
            Held::High => &mut vector.high,
            Held::Down => &mut vector.pull_down,
            Held::Up => &mut vector.pull_up,
        }) = port;
        vector
    }
}

struct Input {
    contact: Contact,
    port: Port,
    number: u8,
    specs: [MeasurementSpec; ALL.len()],
}

pub struct AdcSelf {
    inputs: Vec<Input>,
    supply: MeasurementSpec,
}

const SETTLE_US: u16 = 200;
const SAMPLES: u8 = 16;
/// For a source of 13 kohm: the data sheet's 40 us are for up to 800 kohm.
const ACQUISITION_US: u8 = 40;
const FULL_SCALE: f64 = 4095.0;
const INTERNAL_VOLTS: f64 = 3.6;

impl Kind for AdcSelf {
    const NAME: &'static str = "adc-self";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let limits =
            [&params.low, &params.high, &params.pulled_down, &params.pulled_up].map(|limits| limits.clone().limits());
        let mut inputs = Vec::new();
        for (contact, port) in ports_behind(&params.pins, around)? {
            let Some(number) = around.dut.contact(contact).and_then(|info| info.adc_input) else {
                let text = format!("contact {} is no analog input", around.dut.label(contact));
                return Err(ParamProblem::new(text).at(params.pins.span(), "selects it").help("exclude it"));
            };
            let mut of = ALL.iter().zip(&limits).map(|(held, limits)| MeasurementSpec {
                name: format!("{}.{}", pin_name(around.dut, contact), held.name()),
                unit: MeasurementUnit::Percent,
                limits: limits.clone(),
                contacts: vec![contact],
            });
            let specs = std::array::from_fn(|_| of.next())
                .map(|spec| spec.unwrap_or_else(|| super::spec("adc", MeasurementUnit::Percent, limits[0].clone())));
            inputs.push(Input { contact, port, number, specs });
        }
        let supply = super::spec("adc.supply", MeasurementUnit::Volts, params.supply.limits());
        let aspects = vec!["analog input", "leak", "pull-down", "pull-up"];
        Ok(Resolved {
            measurements: inputs.iter().flat_map(|input| input.specs.clone()).chain([supply.clone()]).collect(),
            coverage: inputs
                .iter()
                .map(|input| Coverage { contact: input.contact, aspects: aspects.clone() })
                .collect(),
            uses: resource::list(&[resource::PORTS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(20),
            procedure: Box::new(AdcSelf { inputs, supply }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for AdcSelf {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let outcome = self.measure(nest, log).await;
        let released = nest.release_ports().await;
        outcome?;
        released
    }
}

impl AdcSelf {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let supply = INTERNAL_VOLTS * share(nest, AdcInput::Vdd, AdcRange::Internal3V6).await?;
        log.measured(&self.supply.name, Some(supply));
        if judge(&self.supply.limits, Some(supply)) != Verdict::Pass {
            let shown = MeasurementUnit::Volts.show(supply);
            let text = format!(
                "the MCU measures its supply as {shown}: the board's 3V3 is wrong, or the ADC or its reference is damaged"
            );
            log.diagnosed(Diagnosis { defect: Defect::WrongVoltage, contacts: Vec::new(), text });
        }
        for input in &self.inputs {
            let mut wrong = None;
            for (held, spec) in ALL.into_iter().zip(&input.specs) {
                nest.vector(held.vector(input.port)).await?;
                let percent = 100.0 * share(nest, AdcInput::Ain(input.number), AdcRange::Ratiometric).await?;
                log.measured(&spec.name, Some(percent));
                if judge(&spec.limits, Some(percent)) != Verdict::Pass {
                    wrong.get_or_insert((held, percent));
                }
            }
            nest.release_ports().await?;
            if let Some((held, percent)) = wrong {
                let text = format!(
                    "contact {}: its analog input reads {percent:.1} % of the supply {}",
                    nest.label(input.contact),
                    held.words()
                );
                log.diagnosed(Diagnosis { defect: Defect::Other, contacts: vec![input.contact], text });
            }
        }
        Ok(())
    }
}

/// Mean of some conversions as a share of the full scale.
async fn share(nest: &Nest, input: AdcInput, range: AdcRange) -> Result<f64, StepError> {
    let request = AdcRequest { input, range, acquisition_us: ACQUISITION_US, count: SAMPLES };
    match nest.ask(Request::SampleAdc(request)).await? {
        Reply::Samples(samples) if !samples.is_empty() => {
            Ok(samples.iter().map(|code| f64::from(*code)).sum::<f64>() / samples.len() as f64 / FULL_SCALE)
        }
        other => Err(super::out_of_turn(other)),
    }
}
