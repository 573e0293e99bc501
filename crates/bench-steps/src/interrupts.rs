//! `interrupts`: every interrupt contact sees rising, falling and both edges, each exactly as often as its nail makes them.
//!
//! Eight contacts are watched at a time, one for each channel of the MCU, and their nails move together. For each of
//! the three kinds of edges, each contact uses another channel: a defect on one channel alone is the channel's, a
//! defect on all channels is the contact's. While eight are open, a ninth must be refused.

use crate::resolve::{pin_name, ports_of};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{ContactSet, DutError, NailVector};
use bench_plan::{Coverage, ParamProblem, RawPinSelector, Resolved, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{EDGE_CHANNELS, Edges, Port, PortSet, PortVector, Refusal, Reply, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// At least nine interrupt contacts, without those of the link.
    pins: RawPinSelector,
    /// High pulses that each nail makes, 1 to 20; 3 when left out.
    #[serde(default)]
    #[schemars(with = "Option<u8>", range(min = 1, max = 20))]
    pulses: Option<Spanned<u8>>,
}

pub struct Interrupts {
    pins: Vec<WatchedPin>,
    pulses: u32,
    ninth: MeasurementSpec,
}

struct WatchedPin {
    contact: Contact,
    port: Port,
    /// By kind of edge, as in [`KINDS`].
    counts: [MeasurementSpec; 3],
}

const KINDS: [(Edges, &str); 3] = [(Edges::Rising, "rising"), (Edges::Falling, "falling"), (Edges::Both, "both")];
const PULSES: u8 = 3;
const MOST_PULSES: u8 = 20;

/// What one channel counted for one contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    channel: u8,
    counted: u32,
}

impl Kind for Interrupts {
    const NAME: &'static str = "interrupts";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let pulses = match &params.pulses {
            None => PULSES,
            Some(pulses) if (1..=MOST_PULSES).contains(pulses.get_ref()) => *pulses.get_ref(),
            Some(pulses) => {
                return Err(ParamProblem::new(format!("{} pulses", pulses.get_ref()))
                    .at(pulses.span(), "out of range")
                    .help(format!("expected 1 to {MOST_PULSES}")));
            }
        };
        let interrupt = bench_plan::Function::Interrupt;
        let expected = [pulses, pulses, 2 * pulses];
        let mut pins = Vec::new();
        for (contact, port) in ports_of(&params.pins, around)? {
            if !around.dut.contact(contact).is_some_and(|info| info.functions.contains(&interrupt)) {
                let text = format!("contact {} is not an interrupt input", around.dut.label(contact));
                return Err(ParamProblem::new(text)
                    .at(params.pins.span(), "selects it")
                    .help("select { functions = [\"interrupt\"], exclude = [\"TX\", \"RX\"] }"));
            }
            let name = pin_name(around.dut, contact);
            let counts = std::array::from_fn(|kind| MeasurementSpec {
                name: format!("{name}.{}", KINDS[kind].1),
                unit: MeasurementUnit::One,
                limits: Limits::exactly(expected[kind].into()),
                contacts: vec![contact],
            });
            pins.push(WatchedPin { contact, port, counts });
        }
        if pins.len() <= EDGE_CHANNELS {
            let text = format!(
                "{} contacts: at least nine are needed, to request a ninth while eight are watched",
                pins.len()
            );
            return Err(ParamProblem::new(text).at(params.pins.span(), "too few").help("select nine or more"));
        }
        let ninth = MeasurementSpec {
            name: "interrupts.ninth-refused".into(),
            unit: MeasurementUnit::One,
            limits: Limits::exactly(1.0),
            contacts: Vec::new(),
        };
        let of_pins = pins.iter().flat_map(|pin| pin.counts.iter().cloned());
        Ok(Resolved {
            measurements: of_pins.chain([ninth.clone()]).collect(),
            coverage: pins
                .iter()
                .map(|pin| Coverage { contact: pin.contact, aspects: vec!["interrupt", "open"] })
                .collect(),
            uses: resource::list(&[resource::PORTS, resource::NAILS, resource::MEASURE_BUS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(Interrupts { pins, pulses: pulses.into(), ninth }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Interrupts {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl Interrupts {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        let counted = self.count(nest, log).await;
        let closed = nest.ask(Request::UnwatchEdges).await;
        let all: PortSet = self.pins.iter().map(|pin| pin.port).collect();
        let released = nest.vector(PortVector { float: all, ..Default::default() }).await;
        let counted = counted.and_then(|counted| closed.and(released.map(|_| counted)))?;
        for (pin, counts) in self.pins.iter().zip(&counted) {
            for (spec, count) in pin.counts.iter().zip(counts) {
                log.measured(&spec.name, count.map(|count| count.counted.into()));
            }
        }
        self.name(nest, &counted).into_iter().for_each(|diagnosis| log.diagnosed(diagnosis));
        Ok(())
    }

    /// By contact and kind of edge.
    async fn count(&self, nest: &Nest, log: &dyn StepLog) -> Result<Vec<[Option<Count>; 3]>, StepError> {
        let mut counted = vec![[None; 3]; self.pins.len()];
        let mut ninth_asked = false;
        for group in groups(self.pins.len()) {
            for (kind, (edges, _)) in KINDS.into_iter().enumerate() {
                let mut order: Vec<usize> = group.clone().collect();
                order.rotate_left(kind);
                self.rest(nest, &group).await?;
                let mut channels = Vec::with_capacity(order.len());
                for &place in &order {
                    channels.push(watch(nest, self.pins[place].port, edges).await?);
                }
                if !ninth_asked {
                    ninth_asked = true;
                    log.measured(&self.ninth.name, Some(self.ask_for_a_ninth(nest, group.end, log).await?));
                }
                self.pulse(nest, &group).await?;
                let counts = match nest.ask(Request::TakeEdgeCounts).await? {
                    Reply::EdgeCounts(counts) => counts,
                    other => return Err(DutError::OutOfTurn(other).into()),
                };
                nest.ask(Request::UnwatchEdges).await?;
                for (&place, &channel) in order.iter().zip(&channels) {
                    let counted_now = counts.get(usize::from(channel)).map(|&counted| Count { channel, counted });
                    counted[place][kind] = counted_now;
                }
            }
        }
        Ok(counted)
    }

    fn contacts(&self, group: &std::ops::Range<usize>) -> ContactSet {
        self.pins[group.clone()].iter().map(|pin| pin.contact).collect()
    }

    /// Ports listen, nails are low.
    async fn rest(&self, nest: &Nest, group: &std::ops::Range<usize>) -> Result<(), StepError> {
        let ports: PortSet = self.pins[group.clone()].iter().map(|pin| pin.port).collect();
        nest.vector(PortVector { pull_down: ports, ..Default::default() }).await?;
        let others: ContactSet = self
            .pins
            .iter()
            .map(|pin| pin.contact)
            .filter(|contact| !self.contacts(group).contains(*contact))
            .collect();
        Ok(nest.nails.set(NailVector { low: self.contacts(group), float: others, ..Default::default() }).await?)
    }

    async fn pulse(&self, nest: &Nest, group: &std::ops::Range<usize>) -> Result<(), StepError> {
        for _ in 0..self.pulses {
            nest.nails.set(NailVector { high: self.contacts(group), ..Default::default() }).await?;
            nest.nails.set(NailVector { low: self.contacts(group), ..Default::default() }).await?;
        }
        Ok(())
    }

    /// 1 if it was refused as required. Any contact outside the eight will do.
    async fn ask_for_a_ninth(&self, nest: &Nest, place: usize, log: &dyn StepLog) -> Result<f64, StepError> {
        let Some(ninth) = self.pins.get(place) else { return Ok(0.0) };
        match nest.request(Request::WatchEdges { port: ninth.port, edges: Edges::Both }).await {
            Err(DutError::Refused(Refusal::NoChannelLeft)) => Ok(1.0),
            Ok(_) => {
                let text = "the firmware opens a ninth interrupt channel, but the MCU has eight".to_owned();
                log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text });
                Ok(0.0)
            }
            Err(error) => Err(nest.silent(error).await),
        }
    }

    fn expected(&self, kind: usize) -> u32 {
        if KINDS[kind].0 == Edges::Both { 2 * self.pulses } else { self.pulses }
    }

    fn is_wrong(&self, kind: usize, count: Option<Count>) -> bool {
        count.is_none_or(|count| count.counted != self.expected(kind))
    }

    fn name(&self, nest: &Nest, counted: &[[Option<Count>; 3]]) -> Vec<Diagnosis> {
        let dead: Vec<u8> = (0..EDGE_CHANNELS as u8).filter(|channel| self.is_dead(*channel, counted)).collect();
        let of_channel = |channel: &u8| Diagnosis {
            defect: Defect::Other,
            contacts: Vec::new(),
            text: format!("the MCU's interrupt channel {channel} (GPIOTE) is dead: it counts no edge at any contact"),
        };
        let of_pin = |(pin, counts): (&WatchedPin, &[Option<Count>; 3])| self.name_pin(nest, pin, counts, &dead);
        let channels = dead.iter().map(of_channel);
        channels.chain(self.pins.iter().zip(counted).filter_map(of_pin)).collect()
    }

    /// Returns a channel that counts nothing for several contacts that other channels count correctly.
    fn is_dead(&self, channel: u8, counted: &[[Option<Count>; 3]]) -> bool {
        let mut silent = 0;
        for counts in counted {
            let on_this = |count: &Option<Count>| count.is_some_and(|count| count.channel == channel);
            let elsewhere = counts.iter().enumerate().filter(|(_, count)| !on_this(count));
            let works_elsewhere = elsewhere.clone().any(|(kind, count)| !self.is_wrong(kind, *count));
            for count in counts.iter().flatten().filter(|count| count.channel == channel) {
                if count.counted > 0 {
                    return false;
                }
                silent += usize::from(works_elsewhere);
            }
        }
        silent > 1
    }

    fn name_pin(&self, nest: &Nest, pin: &WatchedPin, counts: &[Option<Count>; 3], dead: &[u8]) -> Option<Diagnosis> {
        let is_dead = |count: &Option<Count>| count.is_some_and(|count| dead.contains(&count.channel));
        let looked_at: Vec<(usize, Option<Count>)> =
            counts.iter().copied().enumerate().filter(|(_, count)| !is_dead(count)).collect();
        let wrong: Vec<String> = looked_at
            .iter()
            .filter(|(kind, count)| self.is_wrong(*kind, *count))
            .map(|(kind, count)| {
                let counted = count.map_or(0, |count| count.counted);
                format!("{} {counted} of {}", KINDS[*kind].1, self.expected(*kind))
            })
            .collect();
        if wrong.is_empty() {
            return None;
        }
        let label = nest.label(pin.contact);
        let silent = looked_at.iter().all(|(_, count)| count.is_some_and(|count| count.counted == 0));
        let (defect, text) = if silent {
            (Defect::Open, format!("contact {label}: open or held, port {} sees no edge of its nail", pin.port))
        } else {
            (Defect::Other, format!("contact {label}: interrupts are counted wrongly: {}", wrong.join(", ")))
        };
        Some(Diagnosis { defect, contacts: vec![pin.contact], text })
    }
}

async fn watch(nest: &Nest, port: Port, edges: Edges) -> Result<u8, StepError> {
    match nest.ask(Request::WatchEdges { port, edges }).await? {
        Reply::Channel { channel } => Ok(channel),
        other => Err(DutError::OutOfTurn(other).into()),
    }
}

/// Groups of eight; the last group repeats contacts of the one before so that it has eight too.
fn groups(pins: usize) -> Vec<std::ops::Range<usize>> {
    let whole = (0..pins / EDGE_CHANNELS).map(|group| group * EDGE_CHANNELS..(group + 1) * EDGE_CHANNELS);
    let rest = (!pins.is_multiple_of(EDGE_CHANNELS)).then(|| pins.saturating_sub(EDGE_CHANNELS)..pins);
    whole.chain(rest).collect()
}
