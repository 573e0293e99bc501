//! `adc-self`: checks the analog inputs with the module's own ports and references. Each input is read while its own port
//! drives it low and high and while it is pulled; the supply is read against the internal reference.

use super::ports_behind;
use crate::reach;
use crate::resolve::pin_name;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_plan::{
    Bound, Coverage, LimitsOf, ParamProblem, Percent, RawPinSelector, Reach, Resolved, Surroundings, Volts,
};
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
    const REACHES: &'static [Reach] = &[
        Reach {
            key: "supply",
            least: Bound::Value(0.0, "the ADC reads no negative voltage"),
            most: Bound::Value(INTERNAL_VOLTS, "the ADC ends at 3.6 V"),
        },
        reach::share("low"),
        reach::share("high"),
        reach::share("pulled_down"),
        reach::share("pulled_up"),
    ];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let limits = [&params.low, &params.high, &params.pulled_down, &params.pulled_up].map(|limits| limits.limits());
        let mut inputs = Vec::new();
        for (contact, port) in ports_behind(&params.pins, around)? {
            let Some(number) = around.dut.contact(contact).and_then(|info| info.adc_input) else {
                let text = format!("contact {} is no analog input", around.dut.label(contact));
                return Err(ParamProblem::new(text).at(params.pins.span(), "selects it").help("exclude it"));
            };
            let specs = std::array::from_fn(|n| MeasurementSpec {
                name: format!("{}.{}", pin_name(around.dut, contact), ALL[n].name()),
                unit: MeasurementUnit::Percent,
                limits: limits[n],
                contacts: vec![contact],
            });
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
        let mut wrong = Vec::new();
        for input in &self.inputs {
            let mut held_wrong = Vec::new();
            for (held, spec) in ALL.into_iter().zip(&input.specs) {
                nest.vector(held.vector(input.port)).await?;
                let percent = 100.0 * share(nest, AdcInput::Ain(input.number), AdcRange::Ratiometric).await?;
                log.measured(&spec.name, Some(percent));
                if judge(&spec.limits, Some(percent)) != Verdict::Pass {
                    held_wrong.push((held, percent));
                }
            }
            nest.release_ports().await?;
            wrong.push(held_wrong);
        }
        if self.inputs.len() > 1
            && let Some(text) = all_alike(&wrong)
        {
            log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text });
            return Ok(());
        }
        for (input, wrong) in self.inputs.iter().zip(&wrong) {
            if let Some((defect, what)) = name(wrong) {
                let text = format!("contact {}: {what}", nest.label(input.contact));
                log.diagnosed(Diagnosis { defect, contacts: vec![input.contact], text });
            }
        }
        Ok(())
    }
}

/// What is wrong with the ADC, if every input is wrong in the same way.
fn all_alike(wrong: &[Vec<(Held, f64)>]) -> Option<String> {
    let of = |held: Held| {
        let readings = wrong.iter().map(|of_input| of_input.iter().find(|(how, _)| *how == held).map(|wrong| wrong.1));
        readings.collect::<Option<Vec<f64>>>().filter(|readings| !readings.is_empty())
    };
    let mean = |readings: &[f64]| readings.iter().sum::<f64>() / readings.len() as f64;
    match (of(Held::Low), of(Held::High)) {
        (Some(low), _) => {
            Some(format!("the ADC reads {:.1} % of the supply at 0 V, at every input: its offset", mean(&low)))
        }
        (None, Some(high)) => {
            Some(format!("the ADC reads {:.1} % of the supply at full scale, at every input: its gain", mean(&high)))
        }
        (None, None) => None,
    }
}

/// What is wrong with one input.
fn name(wrong: &[(Held, f64)]) -> Option<(Defect, String)> {
    let find = |wanted: Held| wrong.iter().find(|(held, _)| *held == wanted).map(|wrong| wrong.1);
    let driven = wrong.iter().find(|(held, _)| matches!(held, Held::Low | Held::High));
    if let Some((held, percent)) = driven {
        let text = format!("its analog input reads {percent:.1} % of the supply {}", held.words());
        return Some((Defect::Other, text));
    }
    match (find(Held::Down), find(Held::Up)) {
        (Some(percent), _) => {
            Some((Defect::Leak, format!("leak to 3V3: {percent:.1} % of the supply {}", Held::Down.words())))
        }
        (None, Some(percent)) => {
            Some((Defect::Leak, format!("leak to ground: {percent:.1} % of the supply {}", Held::Up.words())))
        }
        (None, None) => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_are_wrong_alike_are_the_adc() {
        let high = |percent| vec![(Held::High, percent)];
        type Row = (Vec<Vec<(Held, f64)>>, Option<&'static str>);
        let rows: [Row; 5] = [
            (vec![vec![], vec![]], None),
            (vec![high(95.0), vec![]], None),
            (
                vec![high(95.0), high(95.4)],
                Some("the ADC reads 95.2 % of the supply at full scale, at every input: its gain"),
            ),
            (
                vec![vec![(Held::Low, 1.0)], vec![(Held::Low, 1.0), (Held::Up, 91.0)]],
                Some("the ADC reads 1.0 % of the supply at 0 V, at every input: its offset"),
            ),
            (vec![vec![(Held::Up, 88.0)], vec![(Held::Up, 88.0)]], None),
        ];
        for (wrong, expected) in rows {
            assert_eq!(all_alike(&wrong).as_deref(), expected, "{wrong:?}");
        }
        let said = |wrong: &[(Held, f64)]| name(wrong).map(|(_, text)| text).unwrap_or_default();
        assert_eq!(said(&[(Held::Up, 88.0)]), "leak to ground: 88.0 % of the supply while it is pulled up");
        assert_eq!(said(&[(Held::Down, 11.0)]), "leak to 3V3: 11.0 % of the supply while it is pulled down");
        let dead = [(Held::High, 0.0), (Held::Up, 0.0)];
        assert_eq!(said(&dead), "its analog input reads 0.0 % of the supply while its port drives high");
    }
}
