//! `interconnect`: finds opens and shorts of every port contact, with the firmware driving and the nails reading, and
//! the other way round.

use crate::diagnose::exchange::{exchanged, only_follower};
use crate::diagnose::pattern::{Answers, Driven, Look, Vector, look, vectors};
use crate::diagnose::short::{Meter, Path, ohms_between};
use crate::diagnose::{held, short};
use crate::resolve::{self, pin_name, ports_of};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{ContactSet, DutError, NailVector};
use bench_plan::{Coverage, ParamProblem, RawPinSelector, Resolved, Seconds, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{Port, PortSet, PortVector, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts that lead to a port, without those of the link.
    pins: RawPinSelector,
    /// The rail that supplies the ports.
    #[schemars(with = "String")]
    supply: Spanned<String>,
    /// Time between applying a vector and reading it.
    #[serde(default)]
    settle: Option<Seconds>,
    /// Rate of the link, to greet the firmware again after a reset.
    #[serde(default)]
    baud: Option<u32>,
}

pub struct Interconnect {
    pins: Vec<(Contact, Port)>,
    specs: Vec<(MeasurementSpec, MeasurementSpec)>,
    link: ContactSet,
    supply: String,
    settle_us: u16,
    baud: u32,
}

impl Kind for Interconnect {
    const NAME: &'static str = "interconnect";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let pins = ports_of(&params.pins, around)?;
        let spec = |contact: Contact, which: &str| MeasurementSpec {
            name: format!("{}.{which}", pin_name(around.dut, contact)),
            unit: MeasurementUnit::One,
            limits: Limits::exactly(0.0),
            contacts: vec![contact],
        };
        let specs: Vec<_> =
            pins.iter().map(|&(contact, _)| (spec(contact, "wrong-at-nail"), spec(contact, "wrong-at-port"))).collect();
        let settle = params.settle.map_or(Duration::from_micros(50), Seconds::duration);
        let settle_us = u16::try_from(settle.as_micros())
            .ok()
            .filter(|us| *us <= 10_000)
            .ok_or_else(|| ParamProblem::new("a vector settles for at most 10 ms").help("shorten `settle`"))?;
        let link = &around.fixture.link;
        Ok(Resolved {
            measurements: specs.iter().flat_map(|(nail, port)| [nail.clone(), port.clone()]).collect(),
            coverage: pins
                .iter()
                .map(|&(contact, _)| Coverage {
                    contact,
                    aspects: vec!["open", "short to contact", "stuck high", "stuck low"],
                })
                .collect(),
            uses: resource::list(&[
                resource::DUT,
                resource::PORTS,
                resource::NAILS,
                resource::MEASURE_BUS,
                resource::RAILS,
            ]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(60),
            procedure: Box::new(Interconnect {
                pins,
                specs,
                link: [link.dut_tx, link.dut_rx].into_iter().collect(),
                supply,
                settle_us,
                baud: params.baud.unwrap_or(1_000_000),
            }),
        })
    }
}

/// Answers of one contact in both directions, and its levels while nothing drove it.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    at_nail: Answers,
    at_port: Answers,
    held_high: bool,
    held_low: bool,
}

#[async_trait(?Send)]
impl Procedure for Interconnect {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Interconnect {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let mut seen = vec![Seen::default(); self.pins.len()];
        let mut free: Vec<usize> = self.all().collect();
        let mut applied = self.look_quietly(nest, &mut seen).await;
        if applied.is_ok() {
            // A contact that something else holds may carry the link's own line: driving it could cut the link.
            free.retain(|&i| !seen[i].held_high && !seen[i].held_low);
            applied = self.apply_all(nest, &free, &mut seen).await;
        }
        if let Err(error) = applied {
            if matches!(error, StepError::Dut(_)) {
                self.name_silencers(nest, log, &free).await?;
            }
            return Err(error);
        }
        nest.release_nails().await?;
        nest.release_ports().await?;

        for (seen, (at_nail, at_port)) in seen.iter().zip(&self.specs) {
            let held = u32::from(seen.held_high) + u32::from(seen.held_low);
            log.measured(&at_nail.name, Some(f64::from(seen.at_nail.wrong() + held)));
            log.measured(&at_port.name, Some(f64::from(seen.at_port.wrong() + held)));
        }
        self.diagnose(nest, log, &seen).await
    }

    fn ports(&self, which: impl Iterator<Item = usize>) -> PortSet {
        which.map(|i| self.pins[i].1).collect()
    }
    fn contacts(&self, which: impl Iterator<Item = usize>) -> ContactSet {
        which.map(|i| self.pins[i].0).collect()
    }
    fn all(&self) -> std::ops::Range<usize> {
        0..self.pins.len()
    }

    async fn apply_all(&self, nest: &Nest, free: &[usize], seen: &mut [Seen]) -> Result<(), StepError> {
        for vector in vectors(free.len()) {
            for driven in [Driven::Ones, Driven::Zeros] {
                self.drive_from_dut(nest, free, &vector, driven, seen).await?;
            }
        }
        for vector in vectors(free.len()) {
            for driven in [Driven::Ones, Driven::Zeros] {
                self.drive_from_nails(nest, free, &vector, driven, seen).await?;
            }
        }
        Ok(())
    }

    /// The module fell silent in the middle of a vector. Finds the single contact that silences it when driven alone:
    /// it is shorted to the link or the reset.
    async fn name_silencers(&self, nest: &Nest, log: &dyn StepLog, free: &[usize]) -> Result<(), StepError> {
        let mut silencers = Vec::new();
        nest.release_nails().await?;
        for &i in free {
            let port = PortSet::EMPTY.with(self.pins[i].1);
            for vector in
                [PortVector { low: port, ..Default::default() }, PortVector { high: port, ..Default::default() }]
            {
                if !self.is_listening(nest).await? {
                    // Not even released: single contacts cannot be tested.
                    return Ok(());
                }
                if is_silent(nest.dut.request(Request::ApplyVector(vector)).await)? {
                    silencers.push(i);
                    break;
                }
            }
            if self.is_listening(nest).await? {
                // Silence is an expected answer here, and is_listening asks again.
                is_silent(nest.dut.request(Request::ReleasePorts).await)?;
            }
        }
        if silencers.is_empty() {
            return Ok(());
        }
        let volts = nest.supply_volts(&self.supply).await?;
        let likely = self.link.union(nest.reset_contact().into_iter().collect());
        let diagnoses = held::in_reset(nest, async || {
            let mut diagnoses = Vec::new();
            for &i in &silencers {
                let contact = self.pins[i].0;
                let mut named = held::name(nest, contact, likely, (&self.supply, volts)).await?;
                if named.is_empty() || named.iter().all(|diagnosis| diagnosis.contacts == [contact]) {
                    let text = format!("contact {}: the module stops answering when it is driven", nest.label(contact));
                    named = vec![Diagnosis { defect: Defect::Short, contacts: vec![contact], text }];
                }
                diagnoses.extend(named);
            }
            Ok(diagnoses)
        })
        .await?;
        diagnoses.into_iter().for_each(|diagnosis| log.diagnosed(diagnosis));
        // The module was reset: greet it for the following steps. If it stays silent, they report it.
        is_silent(nest.dut.connect(self.baud).await)?;
        Ok(())
    }

    /// Whether the module answers, after a new greeting if necessary. A silent module releases all ports by itself.
    async fn is_listening(&self, nest: &Nest) -> Result<bool, StepError> {
        if !is_silent(nest.dut.request(Request::ReadPorts).await)? {
            return Ok(true);
        }
        nest.dut.disconnect().await;
        nest.join_link().await?;
        nest.settle(held::SELF_RELEASE).await;
        Ok(!is_silent(nest.dut.connect(self.baud).await)?)
    }

    /// With nothing driven, checks that every contact follows the ports' pulls.
    async fn look_quietly(&self, nest: &Nest, seen: &mut [Seen]) -> Result<(), StepError> {
        let (ports, contacts) = (self.ports(self.all()), self.contacts(self.all()));
        nest.nails.set(short::float(contacts)).await?;
        nest.vector(PortVector { pull_down: ports, settle_us: self.settle_us, ..Default::default() }).await?;
        let high = nest.nails.read().await?;
        nest.nails.set(NailVector { pull_up: contacts, ..Default::default() }).await?;
        nest.vector(PortVector { pull_up: ports, settle_us: self.settle_us, ..Default::default() }).await?;
        let low = contacts.minus(nest.nails.read().await?);
        nest.vector(PortVector { pull_down: ports, settle_us: self.settle_us, ..Default::default() }).await?;
        nest.nails.set(short::float(contacts)).await?;
        let supply = nest.supply_volts(&self.supply).await?;
        for (i, &(contact, _)) in self.pins.iter().enumerate() {
            seen[i].held_low = low.contains(contact);
            // A nail that touches nothing floats and may read anything: only a level that withstands a load counts as
            // held.
            seen[i].held_high = high.contains(contact) && nest.bus.loaded_volts(contact, 0.0).await? > 0.3 * supply;
        }
        nest.bus.release().await?;
        Ok(())
    }

    /// The DUT drives one half and pulls the other; the nails read with their own weak pull-up.
    async fn drive_from_dut(
        &self,
        nest: &Nest,
        free: &[usize],
        vector: &Vector,
        driven: Driven,
        seen: &mut [Seen],
    ) -> Result<(), StepError> {
        nest.nails.set(NailVector { pull_up: self.contacts(self.all()), ..Default::default() }).await?;
        let ones = self.ports(free.iter().zip(vector).filter(|(_, level)| **level).map(|(&i, _)| i));
        let zeros = self.ports(free.iter().copied()).minus(ones);
        let mut request = PortVector { settle_us: self.settle_us, ..Default::default() };
        match driven {
            Driven::Ones => (request.high, request.pull_down) = (ones, zeros),
            Driven::Zeros => (request.low, request.pull_up) = (zeros, ones),
        }
        nest.vector(request).await?;
        let read = nest.nails.read().await?;
        for (&i, &wanted) in free.iter().zip(vector) {
            seen[i].at_nail.add(driven, wanted, read.contains(self.pins[i].0));
        }
        Ok(())
    }

    /// The nails drive one half through their resistors; the DUT holds all contacts by pulls of the other sign and
    /// reads.
    async fn drive_from_nails(
        &self,
        nest: &Nest,
        free: &[usize],
        vector: &Vector,
        driven: Driven,
        seen: &mut [Seen],
    ) -> Result<(), StepError> {
        let ports = self.ports(free.iter().copied());
        let ones = self.contacts(free.iter().zip(vector).filter(|(_, level)| **level).map(|(&i, _)| i));
        let all = self.contacts(free.iter().copied());
        let zeros = all.minus(ones);
        let mut request = PortVector { settle_us: self.settle_us, ..Default::default() };
        let nails = match driven {
            Driven::Ones => {
                request.pull_down = ports;
                NailVector { high: ones, float: zeros, ..Default::default() }
            }
            Driven::Zeros => {
                request.pull_up = ports;
                NailVector { low: zeros, float: ones, ..Default::default() }
            }
        };
        // All nails are released first: the DUT's drivers of the last vector may still be on.
        nest.nails.set(short::float(all)).await?;
        nest.vector(PortVector { settle_us: 0, ..request }).await?;
        nest.nails.set(nails).await?;
        let levels = nest.vector(request).await?;
        for (&i, &wanted) in free.iter().zip(vector) {
            seen[i].at_port.add(driven, wanted, levels.contains(self.pins[i].1));
        }
        Ok(())
    }

    async fn diagnose(&self, nest: &Nest, log: &dyn StepLog, seen: &[Seen]) -> Result<(), StepError> {
        let mut reported: Vec<Diagnosis> = Vec::new();
        let mut report = |diagnosis: Diagnosis| {
            if !reported.iter().any(|existing| existing.contacts == diagnosis.contacts) {
                log.diagnosed(diagnosis.clone());
                reported.push(diagnosis);
            }
        };
        let mut suspects = Vec::new();
        let mut held = Vec::new();
        for (i, seen) in seen.iter().enumerate() {
            let contact = self.pins[i].0;
            if seen.held_high || seen.held_low {
                held.push(i);
                continue;
            }
            match look(&seen.at_nail, &seen.at_port) {
                Look::Good => {}
                Look::Open => match self.elsewhere(nest, i).await? {
                    Some(other) => report(exchanged(nest, contact, other)),
                    None => {
                        let text = format!("contact {}: open", nest.label(contact));
                        report(Diagnosis { defect: Defect::Open, contacts: vec![contact], text });
                    }
                },
                Look::StuckHigh | Look::StuckLow => held.push(i),
                seen @ (Look::PullLost | Look::Disturbed) => suspects.push((i, seen)),
            }
        }
        if !suspects.is_empty() {
            for diagnosis in self.walk(nest, &suspects).await? {
                report(diagnosis);
            }
        }
        if !held.is_empty() {
            let supply = nest.supply_volts(&self.supply).await?;
            let likely = self.link.union(self.contacts(held.iter().copied()));
            let diagnoses = held::in_reset(nest, async || {
                let mut diagnoses = Vec::new();
                for &i in &held {
                    let contact = self.pins[i].0;
                    let named = held::name(nest, contact, likely, (&self.supply, supply)).await?;
                    if named.is_empty() {
                        let text =
                            format!("contact {}: held by something that releases it in reset", nest.label(contact));
                        diagnoses.push(Diagnosis { defect: Defect::Other, contacts: vec![contact], text });
                    }
                    diagnoses.extend(named);
                }
                Ok(diagnoses)
            })
            .await?;
            diagnoses.into_iter().for_each(&mut report);
            if let Err(error) = nest.dut.connect(self.baud).await {
                return Err(nest.silent(error).await);
            }
        }
        Ok(())
    }

    /// For a port that does not reach its contact, finds another contact, to which no port leads, that it reaches.
    async fn elsewhere(&self, nest: &Nest, i: usize) -> Result<Option<Contact>, StepError> {
        let diagnosis = PortSet::EMPTY.with(self.pins[i].1);
        let settle_us = self.settle_us;
        nest.nails.set(short::float(nest.nails.wired())).await?;
        nest.vector(PortVector { high: diagnosis, settle_us, ..Default::default() }).await?;
        let when_high = nest.nails.read().await?;
        nest.vector(PortVector { low: diagnosis, settle_us, ..Default::default() }).await?;
        let when_low = nest.nails.read().await?;
        nest.release_ports().await?;
        let among = nest.nails.wired().minus(self.contacts(self.all())).minus(self.link);
        Ok(only_follower(when_high, when_low, among))
    }

    /// Drives one contact alone, high and then low, and reads which nails follow. Two joined contacts whose codes are
    /// complements look as if both had lost a pull; a contact has really lost it only if no other contact follows.
    async fn walk(&self, nest: &Nest, suspects: &[(usize, Look)]) -> Result<Vec<Diagnosis>, StepError> {
        let all = self.ports(self.all());
        let contacts = self.contacts(self.all());
        nest.nails.set(short::float(contacts)).await?;
        let mut pairs: Vec<(Contact, Contact)> = Vec::new();
        // From the contact where a port should show to the only one where it does.
        let mut moved: Vec<(Contact, Contact)> = Vec::new();
        let mut lonely = Vec::new();
        // A contact that reads high or low with nothing driven cannot show that it follows.
        nest.vector(PortVector { pull_down: all, settle_us: self.settle_us, ..Default::default() }).await?;
        let idle_high = nest.nails.read().await?;
        nest.vector(PortVector { pull_up: all, settle_us: self.settle_us, ..Default::default() }).await?;
        let idle_low = contacts.minus(nest.nails.read().await?);
        for &(i, seen) in suspects {
            let (contact, port) = self.pins[i];
            let own: ContactSet = [contact].into_iter().collect();
            let others = all.without(port);
            let diagnosis = PortSet::EMPTY.with(port);
            let settle_us = self.settle_us;
            nest.vector(PortVector { high: diagnosis, pull_down: others, settle_us, ..Default::default() }).await?;
            let high = nest.nails.read().await?;
            let up = high.intersection(contacts).minus(idle_high);
            nest.vector(PortVector { low: diagnosis, pull_up: others, settle_us, ..Default::default() }).await?;
            let low = contacts.minus(nest.nails.read().await?);
            let down = low.minus(idle_low);
            let followers = up.union(down).minus(own);
            if let Some(place) = only_follower(up, contacts.minus(down), contacts)
                && !high.contains(contact)
                && !low.contains(contact)
            {
                moved.push((contact, place));
            }
            if followers.is_empty() {
                lonely.push((contact, port, seen));
            }
            for other in followers.iter() {
                let pair = (contact.min(other), contact.max(other));
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
        }
        nest.vector(PortVector { float: all, settle_us: self.settle_us, ..Default::default() }).await?;
        let mut diagnoses = Vec::new();
        let meter = Meter::Powered(nest.supply_volts(&self.supply).await?);
        for (a, b) in pairs {
            if moved.contains(&(a, b)) && moved.contains(&(b, a)) {
                diagnoses.push(exchanged(nest, a, b));
                continue;
            }
            let ohms = ohms_between(nest, meter, contacts, a, b).await?;
            diagnoses.push(Path::Contact(b, ohms).diagnosis(nest, a));
        }
        for (contact, port, seen) in lonely {
            if diagnoses.iter().any(|diagnosis: &Diagnosis| diagnosis.contacts.contains(&contact)) {
                continue;
            }
            let label = nest.label(contact);
            let (defect, text) = match seen {
                Look::PullLost => (Defect::MissingPull, format!("contact {label}: a pull of port {port} is missing")),
                _ => (Defect::Other, format!("contact {label}: wrong levels without a matching contact")),
            };
            diagnoses.push(Diagnosis { defect, contacts: vec![contact], text });
        }
        nest.release_nails().await?;
        nest.release_ports().await?;
        Ok(diagnoses)
    }
}

/// Whether the error means that the module is silent. A driven contact explains no other error.
fn is_silent<T>(answer: Result<T, DutError>) -> Result<bool, StepError> {
    match answer {
        Ok(_) => Ok(false),
        Err(DutError::Silent { .. } | DutError::Unknown) => Ok(true),
        Err(other) => Err(other.into()),
    }
}
