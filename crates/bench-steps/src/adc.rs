//! `adc`: each analog input against the bench's own volt-meter, at several levels.
//!
//! The source of the measure bus holds the contact at a level, the voltmeter reads the true voltage and the DUT
//! samples. The straight line through these pairs gives offset and gain; what remains is the nonlinearity. A second
//! input, which the bench does not drive and its port pulls to ground, is sampled too and must not follow (cross-talk).

use crate::reach;
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resolve};
use async_trait::async_trait;
use bench_instruments::DutError;
use bench_plan::{
    AdcReference, Bound, Coverage, LimitsOf, ParamProblem, Percent, RawPinSelector, Reach, Resolved, Spanned,
    Surroundings, Volts,
};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{AdcInput, AdcRange, AdcRequest, Port, PortSet, PortVector, Reply, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts with an analog input.
    pins: RawPinSelector,
    /// Levels at the source, at least five, ascending.
    #[schemars(with = "Vec<Volts>")]
    levels: Spanned<Vec<Volts>>,
    offset: LimitsOf<Volts>,
    gain_error: LimitsOf<Percent>,
    /// Largest distance of a reading from the fitted line.
    linearity: LimitsOf<Volts>,
    /// How far an idle neighbour follows the driven input over the whole range.
    crosstalk: LimitsOf<Volts>,
    /// The rail that supplies the ports.
    #[schemars(with = "String")]
    supply: Spanned<String>,
}

pub struct Adc {
    pins: Vec<AnalogPin>,
    levels: Vec<f64>,
    range: AdcRange,
    supply: String,
}

struct AnalogPin {
    contact: Contact,
    port: Port,
    input: u8,
    offset: MeasurementSpec,
    gain_error: MeasurementSpec,
    linearity: MeasurementSpec,
    crosstalk: MeasurementSpec,
}

/// Fewest levels that distinguish a bent line from a straight one.
const FEWEST_LEVELS: usize = 5;
/// Samples of one reading.
const SAMPLES: u8 = 8;
/// Acquisition time for a source of about a kiloohm, microseconds (nRF52840: 3 us up to 10 kohm).
const ACQUISITION_US: u8 = 10;
/// Full scale of the internal reference at gain 1/6, volts.
const INTERNAL_FULL_SCALE: f64 = 3.6;
/// An input that follows by less than this does not follow.
const DEAD_GAIN: f64 = 0.5;
/// Codes of a 12-bit conversion.
const CODES: f64 = 4096.0;

impl Kind for Adc {
    const NAME: &'static str = "adc";
    type Params = Params;
    const REACHES: &'static [Reach] = &[
        Reach { key: "offset", least: Bound::BackPortVolts, most: Bound::PortVolts },
        reach::error(
            "gain_error",
            100.0,
            "an input that does not follow has -100 %, one that follows twice leaves its range",
        ),
        Reach { key: "linearity", least: Bound::Value(0.0, "a distance is not negative"), most: Bound::PortVolts },
        Reach { key: "crosstalk", least: Bound::Value(0.0, "a span is not negative"), most: Bound::PortVolts },
    ];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let levels: Vec<f64> = params.levels.get_ref().iter().map(|level| level.get()).collect();
        if levels.len() < FEWEST_LEVELS || !levels.is_sorted() || levels.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(ParamProblem::new(format!("{} levels in this order do not define a line", levels.len()))
                .at(params.levels.span(), "here")
                .help(format!("give at least {FEWEST_LEVELS} different levels, ascending")));
        }
        let mut pins = Vec::new();
        for (contact, port) in resolve::ports_of(&params.pins, around)? {
            let info = around.dut.contact(contact);
            let Some(input) = info.and_then(|info| info.adc_input) else {
                let label = around.dut.label(contact);
                return Err(ParamProblem::new(format!("contact {label} has no analog input"))
                    .at(params.pins.span(), "selects it")
                    .help("select { functions = [\"adc\"] }"));
            };
            let pin = resolve::pin_name(around.dut, contact);
            let spec = |what: &str, unit, limits| MeasurementSpec {
                name: format!("{pin}.{what}"),
                unit,
                limits,
                contacts: vec![contact],
            };
            pins.push(AnalogPin {
                contact,
                port,
                input,
                offset: spec("offset", MeasurementUnit::Volts, params.offset.limits()),
                gain_error: spec("gain-error", MeasurementUnit::Percent, params.gain_error.limits()),
                linearity: spec("linearity", MeasurementUnit::Volts, params.linearity.limits()),
                crosstalk: spec("crosstalk", MeasurementUnit::Volts, params.crosstalk.limits()),
            });
        }
        if pins.len() < 2 {
            return Err(
                ParamProblem::new("cross-talk needs at least two inputs").at(params.pins.span(), "selects one contact")
            );
        }
        Ok(Resolved {
            measurements: pins
                .iter()
                .flat_map(|pin| [&pin.offset, &pin.gain_error, &pin.linearity, &pin.crosstalk].map(Clone::clone))
                .collect(),
            coverage: pins
                .iter()
                .map(|pin| Coverage { contact: pin.contact, aspects: vec!["analog input", "open"] })
                .collect(),
            uses: resource::list(&[resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(Adc {
                pins,
                levels,
                range: match around.model.adc_reference {
                    AdcReference::Internal => AdcRange::Internal3V6,
                    AdcReference::QuarterSupply => AdcRange::Ratiometric,
                },
                supply,
            }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Adc {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Adc {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        let full_scale = full_scale(nest, self.range, &self.supply).await?;
        let all: PortSet = self.pins.iter().map(|pin| pin.port).collect();
        let mut lines = Vec::with_capacity(self.pins.len());
        for (index, pin) in self.pins.iter().enumerate() {
            let neighbour = &self.pins[(index + 1) % self.pins.len()];
            let input = PortSet::EMPTY.with(pin.port);
            nest.vector(PortVector { float: input, pull_down: all.minus(input), settle_us: 100, ..Default::default() })
                .await?;
            let mut pairs = Vec::with_capacity(self.levels.len());
            let mut neighbour_volts = Vec::with_capacity(self.levels.len());
            for &level in &self.levels {
                let truth = nest.bus.hold(pin.contact, level).await?;
                pairs.push((truth, sample(nest, pin.input, self.range, full_scale).await?));
                neighbour_volts.push(sample(nest, neighbour.input, self.range, full_scale).await?);
            }
            nest.bus.release().await?;
            let line = LinearFit::through(&pairs);
            log.measured(&pin.offset.name, Some(line.offset));
            log.measured(&pin.gain_error.name, Some(line.gain_error()));
            log.measured(&pin.linearity.name, Some(line.worst));
            let follows = neighbour_volts.iter().copied().fold(f64::MIN, f64::max)
                - neighbour_volts.iter().copied().fold(f64::MAX, f64::min);
            log.measured(&pin.crosstalk.name, Some(follows));
            lines.push(line);
        }
        nest.vector(PortVector { float: all, ..Default::default() }).await?;
        match self.common(&lines) {
            Some(diagnosis) => log.diagnosed(diagnosis),
            None => {
                let named = self.pins.iter().zip(&lines).filter_map(|(pin, line)| name(nest, pin, line));
                named.for_each(|diagnosis| log.diagnosed(diagnosis));
            }
        }
        Ok(())
    }

    /// An error that all inputs share comes from their common converter, not from eight contacts.
    fn common(&self, lines: &[LinearFit]) -> Option<Diagnosis> {
        let all = |bad: &dyn Fn(&AnalogPin, &LinearFit) -> bool| {
            self.pins.iter().zip(lines).all(|(pin, line)| bad(pin, line))
        };
        let mean = |of: fn(&LinearFit) -> f64| lines.iter().map(of).sum::<f64>() / lines.len() as f64;
        let text = if all(&|pin, line| outside(&pin.gain_error, line.gain_error()) && line.gain > DEAD_GAIN) {
            format!("the MCU's ADC or its reference: all inputs are off by {:.2} %", mean(LinearFit::gain_error))
        } else if all(&|pin, line| outside(&pin.offset, line.offset) && line.gain > DEAD_GAIN) {
            format!(
                "the MCU's ADC: all inputs have an offset of {}",
                MeasurementUnit::Volts.show(mean(|line| line.offset))
            )
        } else {
            return None;
        };
        Some(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text })
    }
}

/// Full scale of a range, volts. `supply` is the rail that supplies the ports.
pub(crate) async fn full_scale(nest: &Nest, range: AdcRange, supply: &str) -> Result<f64, StepError> {
    match range {
        AdcRange::Internal3V6 => Ok(INTERNAL_FULL_SCALE),
        AdcRange::Ratiometric => nest.supply_volts(supply).await,
    }
}

/// Mean of several conversions, volts.
pub(crate) async fn sample(nest: &Nest, input: u8, range: AdcRange, full_scale: f64) -> Result<f64, StepError> {
    let request = AdcRequest { input: AdcInput::Ain(input), range, acquisition_us: ACQUISITION_US, count: SAMPLES };
    match nest.ask(Request::SampleAdc(request)).await? {
        Reply::Samples(codes) if !codes.is_empty() => {
            let sum: f64 = codes.iter().map(|code| f64::from(*code)).sum();
            Ok(sum / codes.len() as f64 * full_scale / CODES)
        }
        other => Err(DutError::OutOfTurn(other).into()),
    }
}

/// Fits a straight line to pairs of (truth, reading) and returns the distance of the worst reading from it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LinearFit {
    offset: f64,
    gain: f64,
    worst: f64,
}

impl LinearFit {
    /// Percent.
    fn gain_error(&self) -> f64 {
        100.0 * (self.gain - 1.0)
    }

    fn through(pairs: &[(f64, f64)]) -> Self {
        let n = pairs.len() as f64;
        let (mean_x, mean_y) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0 / n, sum.1 + pair.1 / n));
        let covariance: f64 = pairs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let variance: f64 = pairs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        // A contact that the source cannot move has no line. Gain 0 makes the limits fail it.
        let gain = if variance > 0.0 { covariance / variance } else { 0.0 };
        let offset = mean_y - gain * mean_x;
        let worst = pairs.iter().map(|(x, y)| (y - offset - gain * x).abs()).fold(0.0, f64::max);
        Self { offset, gain, worst }
    }
}

fn outside(spec: &MeasurementSpec, value: f64) -> bool {
    judge(&spec.limits, Some(value)) != Verdict::Pass
}

fn name(nest: &Nest, pin: &AnalogPin, line: &LinearFit) -> Option<Diagnosis> {
    let label = nest.label(pin.contact);
    let (defect, text) = if line.gain < DEAD_GAIN {
        (Defect::Open, format!("contact {label}: open, or analog input {} dead: it does not follow", pin.input))
    } else if outside(&pin.gain_error, line.gain_error()) {
        (Defect::Other, format!("contact {label}: analog gain is off by {:.2} %", line.gain_error()))
    } else if outside(&pin.offset, line.offset) {
        (Defect::Other, format!("contact {label}: analog offset of {}", MeasurementUnit::Volts.show(line.offset)))
    } else if outside(&pin.linearity, line.worst) {
        (Defect::Other, format!("contact {label}: analog input bent by {}", MeasurementUnit::Volts.show(line.worst)))
    } else {
        return None;
    };
    Some(Diagnosis { defect, contacts: vec![pin.contact], text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let levels = [0.1, 0.8, 1.5, 2.2, 2.9];
        let rows = [(0.0, 1.0, 0.0), (0.01, 1.02, 0.0), (-0.02, 0.97, 0.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.03)];
        for (offset, gain, bend) in rows {
            let mut pairs: Vec<(f64, f64)> = levels.iter().map(|x| (*x, offset + gain * x)).collect();
            pairs[2].1 += bend;
            let line = LinearFit::through(&pairs);
            // One bent point of five in the middle lifts the line by a fifth of the bend.
            assert!((line.offset - offset - bend / 5.0).abs() < 1e-9, "{line:?}");
            assert!((line.gain - gain).abs() < 1e-9, "{line:?}");
            assert!((line.worst - bend * 0.8).abs() < 1e-9, "{line:?}");
        }
        let stuck = LinearFit::through(&[(1.0, 2.0), (1.0, 2.0)]);
        assert_eq!(stuck.gain, 0.0);
    }
}
