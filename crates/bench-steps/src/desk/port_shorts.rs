//! `port-shorts`: finds ports that are joined or held, by the module's own drivers and pulls. Each port is driven low
//! while all others are pulled up, and high while they are pulled down.

use super::ports_behind;
use crate::resolve::pin_name;
use crate::restart;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_plan::{Coverage, Function, ParamProblem, RawPinSelector, Resolved, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{DriveStrength, INITIAL_BAUD, Port, PortSet, PortVector};
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Contacts that lead to a port and are free outside the module.
    pins: RawPinSelector,
}

pub struct PortShorts {
    pins: Vec<(Contact, Port)>,
    /// Of each pin: how many readings were wrong.
    specs: Vec<MeasurementSpec>,
}

/// A pull of 13 kohm charges the port, its contact and some wire of a socket in a tenth of that.
const SETTLE_US: u16 = 100;

impl Kind for PortShorts {
    const NAME: &'static str = "port-shorts";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let pins = ports_behind(&params.pins, around)?;
        let spec = |contact: Contact| MeasurementSpec {
            name: format!("{}.wrong", pin_name(around.dut, contact)),
            unit: MeasurementUnit::One,
            limits: Limits::exactly(0.0),
            contacts: vec![contact],
        };
        let specs: Vec<_> = pins.iter().map(|(contact, _)| spec(*contact)).collect();
        let aspects = vec!["short to contact", "stuck high", "stuck low"];
        Ok(Resolved {
            measurements: specs.clone(),
            coverage: pins.iter().map(|&(contact, _)| Coverage { contact, aspects: aspects.clone() }).collect(),
            uses: resource::list(&[resource::PORTS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(30),
            procedure: Box::new(PortShorts { pins, specs }),
        })
    }
}

/// Answers of one port.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    wrong: u32,
    /// Low while it was pulled up, high while it was pulled down, with nothing driven.
    held_low: bool,
    held_high: bool,
    /// It does not have the level that its own driver gives it: low, high.
    not_low: bool,
    not_high: bool,
    /// Pins that follow its driver.
    follows: BTreeSet<usize>,
    /// Its low level restarts the module.
    resets: bool,
    /// Held low, and yet its own driver lifts it: nothing pulls it.
    floats: bool,
}

#[async_trait(?Send)]
impl Procedure for PortShorts {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let outcome = self.look(nest).await;
        let released = nest.release_ports().await;
        let seen = outcome?;
        released?;
        for (spec, seen) in self.specs.iter().zip(&seen) {
            log.measured(&spec.name, Some(f64::from(seen.wrong)));
        }
        let label = |index: usize| self.pins.get(index).map_or_else(String::new, |pin| nest.label(pin.0));
        for (defect, pins, text) in name(&seen, &label) {
            let contacts = pins.iter().filter_map(|index| self.pins.get(*index)).map(|pin| pin.0).collect();
            log.diagnosed(Diagnosis { defect, contacts, text });
        }
        for (_, (contact, _)) in seen.iter().zip(&self.pins).filter(|(seen, _)| seen.resets) {
            log.diagnosed(resets(nest, *contact));
        }
        Ok(())
    }
}

impl PortShorts {
    async fn look(&self, nest: &Nest) -> Result<Vec<Seen>, StepError> {
        let mut seen = vec![Seen::default(); self.pins.len()];
        for up in [true, false] {
            let levels = self.quiet(nest, &mut seen, up).await?;
            for ((_, port), seen) in self.pins.iter().zip(&mut seen) {
                let held = levels.contains(*port) != up && !seen.resets;
                seen.wrong += u32::from(held);
                *(if up { &mut seen.held_low } else { &mut seen.held_high }) |= held;
            }
        }
        for index in (0..self.pins.len()).filter(|index| !seen[*index].resets).collect::<Vec<_>>() {
            if seen[index].held_low {
                seen[index].floats = self.floats(nest, index).await?;
            }
            // What holds a contact may be a line of the link: driving against it could cut the link.
            if seen[index].held_low || seen[index].held_high || seen[index].resets {
                continue;
            }
            for up in [true, false] {
                if let Err(error) = self.drive(nest, &mut seen, index, up).await {
                    self.restarted(nest, error).await?;
                    seen[index].wrong += 1;
                    seen[index].resets = true;
                }
            }
        }
        Ok(seen)
    }

    /// Ports that may be pulled and driven.
    fn free(&self, seen: &[Seen]) -> PortSet {
        self.pins.iter().zip(seen).filter(|(_, seen)| !seen.resets).map(|(pin, _)| pin.1).collect()
    }

    /// Levels while all ports are pulled. Where that restarts the module, finds the port that does, and leaves it out.
    async fn quiet(&self, nest: &Nest, seen: &mut [Seen], up: bool) -> Result<PortSet, StepError> {
        let error = match nest.vector(pulled(self.free(seen), up)).await {
            Ok(levels) => return Ok(levels),
            Err(error) => error,
        };
        self.restarted(nest, error).await?;
        for ((_, port), seen) in self.pins.iter().zip(&mut *seen) {
            if let Err(error) = nest.vector(pulled(PortSet::EMPTY.with(*port), up)).await {
                self.restarted(nest, error).await?;
                seen.wrong += 1;
                seen.resets = true;
            } else {
                nest.release_ports().await?;
            }
        }
        nest.vector(pulled(self.free(seen), up)).await
    }

    /// Whether a request failed because the module restarted by its reset contact; otherwise it is an error.
    async fn restarted(&self, nest: &Nest, error: StepError) -> Result<(), StepError> {
        nest.settle(restart::STARTS).await;
        // The link was given up, perhaps, by the request that failed.
        nest.join_link().await?;
        match restart::greet(nest, INITIAL_BAUD).await? {
            Some(identity) if identity.reset_reason & restart::RESET_PIN != 0 => Ok(()),
            _ => Err(error),
        }
    }

    /// Whether a port that its pull-up does not lift follows its own driver. No line of the link rests low, so that this
    /// cuts no link.
    async fn floats(&self, nest: &Nest, index: usize) -> Result<bool, StepError> {
        let port = self.pins[index].1;
        let high = PortSet::EMPTY.with(port);
        let vector = PortVector { high, settle_us: SETTLE_US, ..Default::default() };
        let lifted = nest.vector(vector).await?.contains(port);
        nest.release_ports().await?;
        Ok(lifted)
    }

    /// Drives one port against the pulls of all others, which are `up`.
    async fn drive(&self, nest: &Nest, seen: &mut [Seen], index: usize, up: bool) -> Result<(), StepError> {
        let Some((_, driver)) = self.pins.get(index) else { return Ok(()) };
        let driven = PortSet::EMPTY.with(*driver);
        let others = self.free(seen).minus(driven);
        let mut vector = pulled(others, up);
        *(if up { &mut vector.low } else { &mut vector.high }) = driven;
        let levels = nest.vector(vector).await?;
        for (other, (_, port)) in self.pins.iter().enumerate() {
            let high = levels.contains(*port);
            if other == index {
                let wrong = high == up;
                seen[index].wrong += u32::from(wrong);
                *(if up { &mut seen[index].not_low } else { &mut seen[index].not_high }) |= wrong;
            } else if high != up && !seen[other].held_low && !seen[other].held_high && !seen[other].resets {
                seen[index].follows.insert(other);
                seen[index].wrong += 1;
                seen[other].wrong += 1;
            }
        }
        Ok(())
    }
}

fn resets(nest: &Nest, contact: Contact) -> Diagnosis {
    let mut contacts: Vec<Contact> = nest.family.with_function(Function::Reset).map(|info| info.contact).collect();
    contacts.push(contact);
    contacts.sort_unstable();
    let labels: Vec<String> = contacts.iter().map(|contact| nest.label(*contact)).collect();
    let text = format!("contacts {}: joined: the module restarts when the port drives low", labels.join(" and "));
    Diagnosis { defect: Defect::Short, contacts, text }
}

fn pulled(ports: PortSet, up: bool) -> PortVector {
    let mut vector = PortVector { strength: DriveStrength::Standard, settle_us: SETTLE_US, ..Default::default() };
    *(if up { &mut vector.pull_up } else { &mut vector.pull_down }) = ports;
    vector
}

/// Pins that seem to follow many drivers, which do not follow each other: they keep the level that they had.
fn slow_pins(seen: &[Seen]) -> Vec<usize> {
    let drivers = |pin: usize| seen.iter().enumerate().filter(move |(_, driver)| driver.follows.contains(&pin));
    let alone = |pin: usize| drivers(pin).filter(|(index, _)| !seen[pin].follows.contains(index)).count();
    (0..seen.len()).filter(|pin| alone(*pin) >= MANY).collect()
}

/// More than a bridge of solder joins.
const MANY: usize = 4;

/// Names what is wrong, each group of joined pins once. `label` is for a pin's index.
fn name(seen: &[Seen], label: &dyn Fn(usize) -> String) -> Vec<(Defect, Vec<usize>, String)> {
    let mut said = Vec::new();
    let mut seen = seen.to_vec();
    for slow in slow_pins(&seen) {
        for pin in &mut seen {
            pin.follows.remove(&slow);
        }
        seen[slow].follows.clear();
        let text = format!(
            "contact {}: too slow for its pulls: something with a capacitor is joined to it, such as another supply's line",
            label(slow)
        );
        said.push((Defect::Leak, vec![slow], text));
    }
    let mut named: BTreeSet<usize> = BTreeSet::new();
    for (index, pin) in seen.iter().enumerate() {
        let shown = label(index);
        match (pin.held_low, pin.held_high) {
            // Neither pull moves it, which no single level does.
            (true, true) => said.push((
                Defect::MissingPull,
                vec![index],
                format!("contact {shown}: neither pull of its port works, or something outside drives it"),
            )),
            (true, false) if pin.floats => {
                said.push((
                    Defect::MissingPull,
                    vec![index],
                    format!("contact {shown}: the pull-up of its port does not work"),
                ));
            }
            (true, false) => said.push((
                Defect::StuckLow,
                vec![index],
                format!("contact {shown}: held low: shorted to ground, or to a line that rests low"),
            )),
            (false, true) => said.push((
                Defect::StuckHigh,
                vec![index],
                format!("contact {shown}: held high: shorted to 3V3, or to a line that rests high, such as TX and RX"),
            )),
            (false, false) => {}
        }
        let mut group: BTreeSet<usize> = pin.follows.clone();
        if !group.is_empty() && !named.contains(&index) {
            group.insert(index);
            named.extend(&group);
            let labels: Vec<String> = group.iter().map(|pin| label(*pin)).collect();
            let text = format!("contacts {}: joined to each other", labels.join(" and "));
            said.push((Defect::Short, group.into_iter().collect(), text));
        } else if group.is_empty() && (pin.not_low || pin.not_high) {
            let level = if pin.not_low { "low" } else { "high" };
            said.push((Defect::Other, vec![index], format!("contact {shown}: its port does not drive {level}")));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follows(pins: &[usize]) -> Seen {
        Seen { follows: pins.iter().copied().collect(), wrong: 2, ..Seen::default() }
    }

    #[test]
    fn what_was_seen_gets_its_name() {
        let good = Seen::default;
        let slow = "contact 5: too slow for its pulls: something with a capacitor is joined to it, such as another supply's \
                    line";
        let rows: [(Vec<Seen>, &[&str]); 9] = [
            ([vec![follows(&[5]); 5], vec![good()]].concat(), &[slow]),
            (vec![good(), good()], &[]),
            (vec![follows(&[2]), good(), follows(&[0])], &["contacts 0 and 2: joined to each other"]),
            (
                vec![follows(&[1, 2]), follows(&[0, 2]), follows(&[0, 1])],
                &["contacts 0 and 1 and 2: joined to each other"],
            ),
            // One of the two drives too weakly to be followed.
            (vec![good(), follows(&[0])], &["contacts 0 and 1: joined to each other"]),
            (
                vec![Seen { held_low: true, ..good() }, Seen { held_high: true, ..good() }],
                &[
                    "contact 0: held low: shorted to ground, or to a line that rests low",
                    "contact 1: held high: shorted to 3V3, or to a line that rests high, such as TX and RX",
                ],
            ),
            (
                vec![Seen { held_low: true, floats: true, ..good() }],
                &["contact 0: the pull-up of its port does not work"],
            ),
            (vec![Seen { not_high: true, ..good() }], &["contact 0: its port does not drive high"]),
            (
                vec![Seen { held_low: true, held_high: true, ..good() }],
                &["contact 0: neither pull of its port works, or something outside drives it"],
            ),
        ];
        for (seen, expected) in rows {
            let said: Vec<String> = name(&seen, &|pin| pin.to_string()).into_iter().map(|said| said.2).collect();
            assert_eq!(said, expected);
        }
    }
}
