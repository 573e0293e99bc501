//! `pwm`: measures frequency and duty of every PWM contact, at several values of each.
//!
//! The contacts of one PWM unit of the MCU run together, at one frequency and each at its own duty. The bench times the
//! edges of one contact after the other. From round to round the frequency changes and the duties move on by one
//! contact, so each contact meets every frequency and every duty, and the duty identifies a signal at the wrong
//! contact.

mod name;

use crate::reach;
use crate::resolve::{self, pin_name, ports_of};
use crate::resource;
use crate::signal::Signal;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{
    Coverage, Hertz, LimitsOf, ParamProblem, Percent, RawPinSelector, Reach, Resolved, Spanned, Surroundings,
};
use bench_run::{Contact, MeasurementSpec, MeasurementUnit};
use dut_protocol::check::PWM_HZ;
use dut_protocol::{PWM_OUTPUTS, Port, PortSet, PortVector, PwmOutput, PwmRequest, Request};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts with PWM, without those of the link.
    pins: RawPinSelector,
    /// Frequencies, 100 Hz to 20 kHz.
    #[schemars(with = "Vec<Hertz>")]
    tones: Spanned<Vec<Hertz>>,
    /// Shares of the period that an output is high, at least as many as one unit has contacts, 10 % apart.
    #[schemars(with = "Vec<Percent>")]
    duties: Spanned<Vec<Percent>>,
    /// Of the frequency.
    frequency_error: LimitsOf<Percent>,
    /// In percent of the period.
    duty_error: LimitsOf<Percent>,
}

pub struct Pwm {
    /// By number of the unit.
    units: BTreeMap<u8, Vec<PwmPin>>,
    tones: Vec<f64>,
    /// 0 to 1.
    duties: Vec<f64>,
}

struct PwmPin {
    contact: Contact,
    port: Port,
    channel: u8,
    frequency_error: MeasurementSpec,
    duty_error: MeasurementSpec,
}

/// Setting and measurement of one contact.
struct Heard {
    hz: f64,
    duty: f64,
    signal: Signal,
}

impl Heard {
    /// Percent.
    fn frequency_error(&self) -> f64 {
        100.0 * (self.signal.hz / self.hz - 1.0)
    }
    /// Percent of the period.
    fn duty_error(&self) -> f64 {
        100.0 * (self.signal.duty - self.duty)
    }
}

/// Time stamps of the Pi are some microseconds late, which is too much for periods far below a millisecond.
const TONES_HZ: RangeInclusive<f64> = 100.0..=20_000.0;
const DUTIES: RangeInclusive<f64> = 0.05..=0.95;
/// Smaller differences of duty cannot be distinguished.
const APART: f64 = 0.0999;
/// How long a contact is listened to: a few dozen periods of the frequency, and never fewer than these.
const WINDOW: Duration = Duration::from_millis(16);
const FEWEST_PERIODS: f64 = 8.0;

/// Largest overrun of a gate: the controller's kernel buffers only a few edges until they are read.
pub(crate) const GATE_MARGIN: Duration = Duration::from_millis(50);

/// Smallest swing of a driven contact, from low to high.
const SWING_VOLTS: f64 = 1.5;

impl Kind for Pwm {
    const NAME: &'static str = "pwm";
    type Params = Params;
    const REACHES: &'static [Reach] = &[
        reach::error("frequency_error", 100.0, "a signal at twice the frequency is another one"),
        reach::error("duty_error", 100.0, "an output is high for a whole period at most"),
    ];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let spec = |contact: Contact, what: &str, limits| MeasurementSpec {
            name: format!("{}.{what}", pin_name(around.dut, contact)),
            unit: MeasurementUnit::Percent,
            limits,
            contacts: vec![contact],
        };
        let mut units: BTreeMap<u8, Vec<PwmPin>> = BTreeMap::new();
        for (contact, port) in ports_of(&params.pins, around)? {
            resolve::times_edges(contact, params.pins.span(), around)?;
            let Some(pwm) = around.dut.contact(contact).and_then(|info| info.pwm_channel) else {
                let text = format!("contact {} has no PWM on this module", around.dut.label(contact));
                return Err(ParamProblem::new(text)
                    .at(params.pins.span(), "selects it")
                    .help("select { functions = [\"pwm\", \"rgb\"] }"));
            };
            units.entry(pwm.instance).or_default().push(PwmPin {
                contact,
                port,
                channel: pwm.channel,
                frequency_error: spec(contact, "frequency-error", params.frequency_error.limits()),
                duty_error: spec(contact, "duty-error", params.duty_error.limits()),
            });
        }
        let tones = tones(&params.tones)?;
        let duties = duties(&params.duties, units.values().map(Vec::len).max().unwrap_or(0))?;
        let pins = || units.values().flatten();
        Ok(Resolved {
            measurements: pins().flat_map(|pin| [pin.frequency_error.clone(), pin.duty_error.clone()]).collect(),
            coverage: pins().map(|pin| Coverage { contact: pin.contact, aspects: vec!["PWM", "open"] }).collect(),
            uses: resource::list(&[resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(20),
            procedure: Box::new(Pwm { units, tones, duties }),
        })
    }
}

fn tones(raw: &Spanned<Vec<Hertz>>) -> Result<Vec<f64>, ParamProblem> {
    let tones: Vec<f64> = raw.get_ref().iter().map(|tone| tone.get()).collect();
    let firmware_can = |hz: f64| hz.fract() == 0.0 && PWM_HZ.contains(&(hz as u32));
    match tones.iter().find(|hz| !(TONES_HZ.contains(*hz) && firmware_can(**hz))) {
        None if !tones.is_empty() => Ok(tones),
        None => Err(ParamProblem::new("no tones").at(raw.span(), "empty")),
        Some(hz) => {
            Err(ParamProblem::new(format!("{} is not a frequency for this step", MeasurementUnit::Hertz.show(*hz)))
                .at(raw.span(), "in here")
                .help("expected whole hertz from 100 Hz to 20 kHz: the bench times edges to some microseconds"))
        }
    }
}

fn duties(raw: &Spanned<Vec<Percent>>, together: usize) -> Result<Vec<f64>, ParamProblem> {
    let duties: Vec<f64> = raw.get_ref().iter().map(|duty| duty.ratio()).collect();
    let problem = |text: String| {
        Err(ParamProblem::new(text).at(raw.span(), "here").help(format!(
            "expected at least {together} duties of 5 % to 95 %, 10 % or more apart: as many contacts of one unit run \
             together, and its duty identifies each"
        )))
    };
    if let Some(odd) = duties.iter().find(|duty| !DUTIES.contains(*duty)) {
        return problem(format!("a duty of {}", MeasurementUnit::Percent.show(100.0 * odd)));
    }
    let mut sorted = duties.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    if sorted.windows(2).any(|pair| pair[1] - pair[0] < APART) {
        return problem("two of the duties are nearly the same".to_owned());
    }
    if duties.len() < together {
        return problem(format!("{} duties for {together} contacts", duties.len()));
    }
    Ok(duties)
}

#[async_trait(?Send)]
impl Procedure for Pwm {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Pwm {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        for (&unit, pins) in &self.units {
            let heard = self.unit(nest, log, unit, pins).await;
            // The first error says more; a silent module stops by itself.
            let stopped = nest.ask(Request::StopPwm).await;
            let heard = heard.and_then(|heard| stopped.map(|_| heard))?;
            for (pin, heard) in pins.iter().zip(&heard) {
                log.measured(&pin.frequency_error.name, worst(heard, Heard::frequency_error));
                log.measured(&pin.duty_error.name, worst(heard, Heard::duty_error));
            }
            let follows = match (pins.as_slice(), heard.as_slice()) {
                ([only], [heard]) if name::is_still(heard) => self.follows(nest, only).await?,
                _ => false,
            };
            let named = name::unit(nest, unit, pins, &heard, follows);
            named.into_iter().for_each(|diagnosis| log.diagnosed(diagnosis));
        }
        Ok(())
    }

    /// Whether a contact follows its port when the port is driven without PWM. If so, the PWM unit is dead.
    async fn follows(&self, nest: &Nest, pin: &PwmPin) -> Result<bool, StepError> {
        let port: PortSet = [pin.port].into_iter().collect();
        let seen = async {
            nest.vector(PortVector { low: port, settle_us: 100, ..Default::default() }).await?;
            let low = nest.bus.volts(pin.contact).await?;
            nest.vector(PortVector { high: port, settle_us: 100, ..Default::default() }).await?;
            Ok::<_, StepError>(nest.bus.volts(pin.contact).await? - low)
        };
        let moved = seen.await;
        let released = nest.vector(PortVector { float: port, ..Default::default() }).await;
        let moved = moved?;
        released?;
        Ok(moved > SWING_VOLTS)
    }

    /// Results of one unit, by contact and round.
    async fn unit(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        unit: u8,
        pins: &[PwmPin],
    ) -> Result<Vec<Vec<Heard>>, StepError> {
        let mut heard: Vec<Vec<Heard>> = pins.iter().map(|_| Vec::new()).collect();
        for round in 0..self.tones.len().max(self.duties.len()) {
            let hz = self.tones[round % self.tones.len()];
            let duty_of = |place: usize| self.duties[(round + place) % self.duties.len()];
            let mut outputs = [None; PWM_OUTPUTS];
            for (place, pin) in pins.iter().enumerate() {
                let duty_permille = (1000.0 * duty_of(place)).round() as u16;
                if let Some(output) = outputs.get_mut(usize::from(pin.channel)) {
                    *output = Some(PwmOutput { port: pin.port, duty_permille });
                }
            }
            nest.ask(Request::StartPwm(PwmRequest { unit, frequency_hz: hz as u32, outputs })).await?;
            let window = WINDOW.max(Duration::from_secs_f64(FEWEST_PERIODS / hz));
            for (place, (pin, heard)) in pins.iter().zip(&mut heard).enumerate() {
                let began = nest.clock.now();
                let trace = nest.edges.capture(pin.contact, window).await?;
                log.within(began, window + GATE_MARGIN);
                heard.push(Heard { hz, duty: duty_of(place), signal: Signal::of(&trace) });
            }
        }
        Ok(heard)
    }
}

/// Returns the error with the largest magnitude.
fn worst(heard: &[Heard], error: fn(&Heard) -> f64) -> Option<f64> {
    heard.iter().map(error).max_by(|a, b| a.abs().total_cmp(&b.abs()))
}
