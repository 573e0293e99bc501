//! `retained`: checks that the retained memory keeps a pattern and its inverse over a restart and over a reset by
//! contact, and loses them with the supply.

use crate::resolve;
use crate::resource;
use crate::restart::{self, RESET_PIN, SOFTWARE, STARTS};
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::DutError;
use bench_plan::{ParamProblem, Resolved, Seconds, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{INITIAL_BAUD, RETAINED_BYTES, Reply, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rail that supplies the MCU.
    #[schemars(with = "String")]
    supply: Spanned<String>,
    /// All rails that are on, in the order in which they are switched on; they are switched off in the opposite one.
    #[schemars(with = "Vec<String>")]
    rails: Spanned<Vec<Spanned<String>>>,
    /// How long the module stays without power once its supply is down; 200 ms when left out. Memory keeps its content
    /// for a while.
    #[serde(default)]
    off: Option<Seconds>,
    /// Rate of the link after the last restart; 1000000 when left out.
    #[serde(default)]
    baud: Option<u32>,
}

pub struct Retained {
    reset: Contact,
    supply: String,
    /// Where the supply's voltage can be measured.
    supply_contact: Contact,
    rails: Vec<String>,
    off: Duration,
    baud: u32,
    soft: MeasurementSpec,
    pin: MeasurementSpec,
    power: MeasurementSpec,
}

const BITS: u32 = RETAINED_BYTES as u32 * 8;
const SEED: u32 = 0x5EED_0003;
/// Below this nothing is retained for long, volts.
const DOWN_VOLTS: f64 = 0.1;
/// A discharge of 100 ohm empties tens of microfarads in a tenth of this.
const DOWN_WITHIN: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(5);

impl Kind for Retained {
    const NAME: &'static str = "retained";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let place = params.supply.span();
        let supply = resolve::supply(around.fixture, params.supply)?;
        let reset = resolve::reset_contact(around, place.clone())?;
        let Some(&supply_contact) = resolve::rail_contacts(around.fixture, &supply).first() else {
            return Err(ParamProblem::new(format!("no nail carries the rail {supply}")).at(place, "this rail"));
        };
        let (rails_place, names) = (params.rails.span(), params.rails.into_inner());
        let mut rails = Vec::new();
        for name in &names {
            let rail = resolve::rail(around.fixture, name)?;
            // A reduced fixture may reach none of its contacts; the rail is then always off.
            if around.fixture.base.is_none() || !resolve::rail_contacts(around.fixture, &rail.name).is_empty() {
                rails.push(rail.name.clone());
            }
        }
        if !rails.contains(&supply) {
            return Err(ParamProblem::new(format!("the rails to switch off do not include {supply}"))
                .at(rails_place, "without the supply")
                .help("the module loses its memory only when this rail goes off"));
        }
        let spec = |name: &str, limits| MeasurementSpec {
            name: name.into(),
            unit: MeasurementUnit::One,
            limits,
            contacts: Vec::new(),
        };
        let (soft, pin, power) = (
            spec("retained.lost-in-restart", Limits::exactly(0.0)),
            spec("retained.lost-in-reset", Limits::exactly(0.0)),
            // Memory with random content differs in half the bits from a random pattern.
            spec("retained.lost-without-power", Limits::at_least(f64::from(BITS / 4))),
        );
        let off = params.off.map_or(Duration::from_millis(200), |off| off.duration());
        Ok(Resolved {
            measurements: vec![soft.clone(), pin.clone(), power.clone()],
            coverage: Vec::new(),
            uses: resource::list(&[resource::DUT, resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(10) + off,
            procedure: Box::new(Retained {
                reset,
                supply,
                supply_contact,
                rails,
                off,
                baud: params.baud.unwrap_or(1_000_000),
                soft,
                pin,
                power,
            }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Retained {
    fn switches_on(&self) -> Vec<String> {
        self.rails.clone()
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        nest.release_ports().await?;
        let (mut soft, mut pin) = (0, 0);
        for inverse in [false, true] {
            done(nest.ask(Request::FillRetained { seed: SEED, inverse }).await?)?;
            let written = self.wrong_bits(nest, inverse).await?;
            if written > 0 {
                return Err(self.defect(log, format!("retained memory: {written} of {BITS} bits cannot be written")));
            }
            done(nest.ask(Request::Restart).await?)?;
            nest.settle(STARTS).await;
            self.greet(nest, "a restart", SOFTWARE).await?;
            let lost = self.wrong_bits(nest, inverse).await?;
            soft += lost;
            // What one reset lost, the next cannot lose.
            done(nest.ask(Request::FillRetained { seed: SEED, inverse }).await?)?;
            restart::by_contact(nest, self.reset).await?;
            self.greet(nest, "a reset by its contact", RESET_PIN).await?;
            pin += self.wrong_bits(nest, inverse).await?;
        }
        for (spec, lost, what) in [(&self.soft, soft, "a restart"), (&self.pin, pin, "a reset by contact")] {
            log.measured(&spec.name, Some(f64::from(lost)));
            if lost > 0 {
                self.defect(log, format!("retained memory: {lost} of {} bits lost in {what}", 2 * BITS));
            }
        }

        self.without_power(nest).await?;
        let lost = {
            restart::greet_again(nest, self.baud, "its supply was off and on again").await?;
            self.wrong_bits(nest, true).await?
        };
        log.measured(&self.power.name, Some(f64::from(lost)));
        if lost < BITS / 4 {
            let text = format!(
                "retained memory: only {lost} of {BITS} bits lost while {} was off: something else feeds the module",
                self.supply
            );
            self.defect(log, text);
        }
        Ok(())
    }
}

impl Retained {
    fn defect(&self, log: &dyn StepLog, text: String) -> StepError {
        log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text: text.clone() });
        StepError::Dut(text)
    }

    async fn wrong_bits(&self, nest: &Nest, inverse: bool) -> Result<u32, StepError> {
        match nest.ask(Request::CheckRetained { seed: SEED, inverse }).await? {
            Reply::Retained { wrong_bits } => Ok(wrong_bits),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    /// `reason`: the bit that the chip must report as its reset reason.
    async fn greet(&self, nest: &Nest, after: &str, reason: u32) -> Result<(), StepError> {
        let identity = restart::greet_again(nest, INITIAL_BAUD, after).await?;
        if identity.reset_reason & reason == 0 {
            let reason = identity.reset_reason;
            return Err(StepError::Dut(format!(
                "{after} was requested, but the chip reports the reset reason {reason:#x}"
            )));
        }
        Ok(())
    }

    /// Switches all rails off, waits until they are down, and switches them on again. After an error, what is off stays
    /// off.
    async fn without_power(&self, nest: &Nest) -> Result<(), StepError> {
        nest.leave_link().await?;
        for rail in self.rails.iter().rev() {
            nest.rail_off(rail).await?;
        }
        let deadline = nest.clock.now() + DOWN_WITHIN;
        loop {
            let volts = nest.bus.volts(self.supply_contact).await?;
            if volts < DOWN_VOLTS {
                break;
            }
            if nest.clock.now() >= deadline {
                let supply = &self.supply;
                return Err(StepError::Bench(format!(
                    "rail {supply} still carries {volts:.3} V {} ms after it was switched off: check its discharge",
                    DOWN_WITHIN.as_millis()
                )));
            }
            nest.settle(LOOK).await;
        }
        nest.bus.release().await?;
        nest.settle(self.off).await;
        for rail in &self.rails {
            nest.rails.on(rail).await?;
        }
        nest.settle(STARTS).await;
        nest.join_link().await
    }
}

fn done(reply: Reply) -> Result<(), StepError> {
    match reply {
        Reply::Done => Ok(()),
        other => Err(DutError::OutOfTurn(other).into()),
    }
}
