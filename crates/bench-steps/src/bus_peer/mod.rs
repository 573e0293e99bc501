//! Shared parts of the steps in which the module talks to a memory of the fixture.

mod lines;

pub(crate) use lines::{EdgesSeen, line_defects};

use crate::resolve::can_drive;
use crate::{Nest, StepError, StepLog};
use bench_plan::{Bus, Fixture, Function, ParamProblem, Peer, Spanned, Surroundings, nearest_help};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::Port;
use std::future::Future;

/// One line of a bus on its way from the chip to the fixture's memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BusLine {
    pub contact: Contact,
    pub port: Port,
    /// "SCK", "SDA".
    pub role: &'static str,
}

impl BusLine {
    /// "contact 54 (SCK)", or "contact 42 (D2), SCK of SPI1" where the pin has another name.
    pub fn describe(&self, nest: &Nest, bus: &str) -> String {
        let label = nest.label(self.contact);
        let named = nest.family.contact(self.contact).is_some_and(|info| info.pin == self.role);
        if named { format!("contact {label}") } else { format!("contact {label}, {} of {bus}", self.role) }
    }
}

/// A bus of the family, with the master that Device OS uses for it.
#[derive(Debug, Clone)]
pub(crate) struct Master {
    /// "SPI1".
    pub bus: String,
    /// "SPIM2".
    pub peripheral: String,
    pub unit: u8,
    pub max_hz: Option<u32>,
    pub lines: Vec<BusLine>,
}

impl Master {
    /// A measurement of this bus with its contacts: "SPI1.id-matches".
    pub fn spec(&self, name: &str, unit: MeasurementUnit, limits: Limits) -> MeasurementSpec {
        let contacts = self.lines.iter().map(|line| line.contact).collect();
        MeasurementSpec { name: format!("{}.{name}", self.bus), unit, limits, contacts }
    }
}

/// The fixture's part of this name.
pub(crate) fn peer<'a>(fixture: &'a Fixture, name: &Spanned<String>) -> Result<&'a Peer, ParamProblem> {
    fixture.peer(name.get_ref()).ok_or_else(|| {
        let ids: Vec<&str> = fixture.peers.iter().map(|peer| peer.id.as_str()).collect();
        let help = match ids.as_slice() {
            [] => "it has none; [[peer]] in the fixture file describes them".to_owned(),
            ids => nearest_help(name.get_ref(), ids.iter().copied(), "parts"),
        };
        ParamProblem::new(format!("the fixture has no part `{}` for the module to talk to", name.get_ref()))
            .at(name.span(), "no such part")
            .help(help)
    })
}

/// The bus of the family whose lines the part is on. `lines` are the part's, by role; `free` ones may be on any port.
pub(crate) fn master(
    around: &Surroundings<'_>,
    name: &Spanned<String>,
    peripheral: &str,
    lines: &[(&'static str, Contact)],
    free: &[(&'static str, Contact)],
) -> Result<Master, ParamProblem> {
    let problem = |text: String| ParamProblem::new(text).at(name.span(), "is joined to it");
    let has_role = |function: Function| {
        move |(role, contact): &(&'static str, Contact)| {
            around.dut.contact(*contact).is_some_and(|info| info.roles.get(&function).is_some_and(|own| own == role))
        }
    };
    let fits = |bus: &&Bus| {
        bus.peripheral.starts_with(peripheral)
            && bus.function.is_some_and(|function| lines.iter().all(has_role(function)))
    };
    let Some(bus) = around.dut.buses.iter().find(fits) else {
        let lines: Vec<String> =
            lines.iter().map(|(role, contact)| format!("{role} on contact {}", around.dut.label(*contact))).collect();
        let text = format!("no bus of the family {} has {}", around.dut.name, lines.join(", "));
        return Err(problem(text).help("correct the lines of the part in the fixture file, or name another part"));
    };
    let digit = bus.peripheral.strip_prefix(peripheral).and_then(|rest| rest.chars().next()?.to_digit(10));
    let unit = digit.and_then(|digit| u8::try_from(digit).ok()).ok_or_else(|| {
        problem(format!("the family {} names no number for the {peripheral} of {}", around.dut.name, bus.name))
    })?;
    let line = |&(role, contact): &(&'static str, Contact)| {
        let label = around.dut.label(contact);
        let port = around.dut.contact(contact).and_then(|info| info.port);
        match port.filter(|_| can_drive(around.fixture, contact)) {
            Some(port) => Ok(BusLine { contact, port, role }),
            None => Err(problem(format!("contact {label} leads to no port of the MCU, or has no nail that can drive"))),
        }
    };
    Ok(Master {
        bus: bus.name.clone(),
        peripheral: format!("{peripheral}{unit}"),
        unit,
        max_hz: bus.max_hz,
        lines: lines.iter().chain(free).map(line).collect::<Result<_, _>>()?,
    })
}

/// Runs `work` with the part connected to the module, then disconnects it and releases the nails, also after an error.
pub(crate) async fn joined_to<T>(
    nest: &Nest,
    peer: &str,
    work: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let outcome = match nest.peers.connect(peer).await {
        Ok(()) => work.await,
        Err(error) => Err(error.into()),
    };
    let taken_off = nest.peers.disconnect_all().await;
    let released = nest.release_nails().await;
    // The first error says more.
    outcome.and_then(|value| {
        taken_off?;
        released.map(|()| value)
    })
}

/// Records the diagnoses and returns the error that ends the step.
pub(crate) fn defect(log: &dyn StepLog, contacts: Vec<Contact>, text: String) -> StepError {
    log.diagnosed(Diagnosis { defect: Defect::Other, contacts, text: text.clone() });
    StepError::Dut(text)
}

/// Returns bytes that a memory cannot hold by chance: they differ by unit, time and purpose.
pub(crate) fn nonce<const N: usize>(nest: &Nest, purpose: u32) -> [u8; N] {
    let mut state = nest.serial.bytes().fold(0x811C_9DC5_u32 ^ purpose, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193) // FNV-1a
    });
    state ^= nest.clock.now().as_micros() as u32;
    state = nest.clock.chosen(state.into()) as u32;
    std::array::from_fn(|_| {
        // A linear congruential generator has no absorbing state; its upper bits are the good ones.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
}

/// Counts wrong bits. A missing byte counts as eight.
pub(crate) fn wrong_bits(actual: &[u8], expected: &[u8]) -> u32 {
    let differ: u32 = actual.iter().zip(expected).map(|(is, should)| (is ^ should).count_ones()).sum();
    differ + 8 * expected.len().abs_diff(actual.len()) as u32
}
