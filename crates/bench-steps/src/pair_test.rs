//! `pair-test`: the fixture joins contacts in pairs and the module tests itself. One contact of a pair drives high,
//! then low; its partner must follow and all others must stay low. Then the other way round.
//!
//! This is how a vendor's test program works without any instrument. The kind exists for comparison: it reads no nail,
//! measures no voltage, and knows of a contact only what its port reads.

use crate::resolve::pin_name;
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_plan::{Coverage, ParamProblem, Resolved, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{INITIAL_BAUD, Port, PortSet, PortVector};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Time between driving and reading, in microseconds, at most 10000.
    #[serde(default = "default_settle_us")]
    #[schemars(with = "u16", range(min = 1, max = 10000))]
    settle_us: Spanned<u16>,
}

fn default_settle_us() -> Spanned<u16> {
    Spanned::new(0..0, 100)
}

pub struct PairTest {
    pins: Vec<PairedPin>,
    settle_us: u16,
}

struct PairedPin {
    contact: Contact,
    port: Port,
    /// Its place among the pins.
    partner: usize,
    wrong: MeasurementSpec,
}

/// Levels while one pin drove.
#[derive(Default)]
struct Seen {
    /// The driver itself, or its partner, did not follow.
    dead: bool,
    partner_lost: bool,
    /// Others that went high with it, or were high all the time.
    others: PortSet,
    wrong: u32,
}

impl Kind for PairTest {
    const NAME: &'static str = "pair-test";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let settle_us = *params.settle_us.get_ref();
        if !(1..=10_000).contains(&settle_us) {
            return Err(ParamProblem::new("the settling time is out of range")
                .at(params.settle_us.span(), "out of range")
                .help("expected 1 to 10000 microseconds"));
        }
        let mut pins = Vec::new();
        for (a, b) in &around.fixture.pairs {
            for (contact, partner) in [(*a, pins.len() + 1), (*b, pins.len())] {
                let Some(port) = around.dut.contact(contact).and_then(|info| info.port) else {
                    let label = around.dut.label(contact);
                    return Err(ParamProblem::new(format!("contact {label} of the fixture's pairs leads to no port")));
                };
                let wrong = MeasurementSpec {
                    name: format!("{}.wrong-levels", pin_name(around.dut, contact)),
                    unit: MeasurementUnit::One,
                    limits: Limits::exactly(0.0),
                    contacts: vec![contact],
                };
                pins.push(PairedPin { contact, port, partner, wrong });
            }
        }
        if pins.is_empty() {
            let text = format!("the fixture {} joins no pairs of contacts", around.fixture.name);
            return Err(ParamProblem::new(text).help("expected a fixture with `pairs` in [bed]"));
        }
        Ok(Resolved {
            measurements: pins.iter().map(|pin| pin.wrong.clone()).collect(),
            coverage: pins
                .iter()
                .map(|pin| Coverage {
                    contact: pin.contact,
                    aspects: vec!["open", "short to contact", "stuck high", "stuck low"],
                })
                .collect(),
            uses: resource::list(&[resource::DUT, resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(5),
            procedure: Box::new(PairTest { pins, settle_us }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for PairTest {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl PairTest {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.release_nails().await?;
        nest.join_link().await?;
        nest.dut.disconnect().await;
        if let Err(error) = nest.dut.connect(INITIAL_BAUD).await {
            return Err(nest.silent(error).await);
        }
        let mut seen = Vec::with_capacity(self.pins.len());
        for driver in &self.pins {
            seen.push(self.drive(nest, driver).await?);
        }
        nest.release_ports().await?;
        for (pin, seen) in self.pins.iter().zip(&seen) {
            log.measured(&pin.wrong.name, Some(f64::from(seen.wrong)));
        }
        for (pin, seen) in self.pins.iter().zip(&seen) {
            if let Some(diagnosis) = self.name(nest, pin, seen) {
                log.diagnosed(diagnosis);
            }
        }
        Ok(())
    }

    /// One pin drives high, then low; every other one is an input with its pull-down.
    async fn drive(&self, nest: &Nest, driver: &PairedPin) -> Result<Seen, StepError> {
        let all: PortSet = self.pins.iter().map(|pin| pin.port).collect();
        let own = PortSet::EMPTY.with(driver.port);
        let partner = self.pins.get(driver.partner).map_or(PortSet::EMPTY, |pin| PortSet::EMPTY.with(pin.port));
        let listening = PortVector { pull_down: all.minus(own), settle_us: self.settle_us, ..Default::default() };
        let mut seen = Seen::default();
        for (vector, expected) in [
            (PortVector { high: own, ..listening }, own.union(partner)),
            (PortVector { low: own, ..listening }, PortSet::EMPTY),
        ] {
            let levels = nest.vector(vector).await?.intersection(all);
            let wrong = levels.minus(expected).union(expected.minus(levels));
            seen.wrong += wrong.len() as u32;
            seen.dead |= !wrong.intersection(own).is_empty();
            seen.partner_lost |= !wrong.intersection(partner).is_empty();
            seen.others = seen.others.union(levels.minus(own.union(partner)));
        }
        Ok(seen)
    }

    /// Writes the result as such a test would: who drove, who should have followed, who should not have.
    fn name(&self, nest: &Nest, pin: &PairedPin, seen: &Seen) -> Option<Diagnosis> {
        if seen.wrong == 0 {
            return None;
        }
        let partner = self.pins.get(pin.partner)?;
        let (label, other) = (nest.label(pin.contact), nest.label(partner.contact));
        if !seen.others.is_empty() {
            let offending: Vec<&PairedPin> = self.pins.iter().filter(|pin| seen.others.contains(pin.port)).collect();
            let names: Vec<String> = offending.iter().map(|pin| nest.label(pin.contact)).collect();
            let mut contacts: Vec<Contact> = offending.iter().map(|pin| pin.contact).collect();
            contacts.push(pin.contact);
            contacts.sort_unstable();
            let text = format!("contact {label} drives: {} must stay low but does not", names.join(", "));
            return Some(Diagnosis { defect: Defect::Short, contacts, text });
        }
        let mut contacts = vec![pin.contact, partner.contact];
        contacts.sort_unstable();
        let (defect, text) = if seen.dead {
            (Defect::Other, format!("contact {label}: its own level does not follow its driver"))
        } else {
            (Defect::Open, format!("contact {label} drives: contact {other} does not follow"))
        };
        Some(Diagnosis { defect, contacts, text })
    }
}
