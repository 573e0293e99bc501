//! A rail by itself, and its feeds.

use super::{FED_SHARE, HELD_FACTOR, LOOKS, OFF_VOLTS, bench};
use crate::{Nest, StepError, StepLog, resolve};
use bench_instruments::InstrumentError;
use bench_plan::{ChipKind, Fixture, NailWiring, Rail};
use bench_run::{Contact, Limits, MeasurementSpec, MeasurementUnit};
use std::time::Duration;

/// Regulator and monitor together, as a share of the rail's voltage.
const RAIL_TOLERANCE: f64 = 0.03;
/// Largest share of the voltage that a rail may vary by between two readings.
const RIPPLE: f64 = 0.012;
/// Discharge resistor, shunt and monitor together.
const LOAD_TOLERANCE: f64 = 0.06;
/// In which a rail that rises slowly is up.
const SLOW_RISE: Duration = Duration::from_millis(150);
const DISCHARGED: Duration = Duration::from_millis(5);
/// Offset of an INA226 (SBOS547: 10 uV at most), three times.
const SHUNT_ZERO_VOLTS: f64 = 30e-6;

pub struct RailUnderTest {
    pub name: String,
    pub monitor: String,
    pub volts: f64,
    pub discharge_ohms: f64,
    /// The largest current that a good monitor shows where none flows.
    pub zero_amps: f64,
    pub nails: Vec<Contact>,
    /// Its small currents are measured later.
    pub feeds_ports: bool,
    pub zero: MeasurementSpec,
    pub idle_volts: MeasurementSpec,
    pub load: MeasurementSpec,
}

impl RailUnderTest {
    pub fn of(fixture: &Fixture, index: usize, rail: &Rail) -> Self {
        let monitor = fixture.chips.get(rail.monitor);
        let shunt_ohms = match monitor.map(|chip| chip.kind) {
            Some(ChipKind::Ina226 { shunt_ohms }) => shunt_ohms,
            _ => f64::INFINITY,
        };
        let zero_amps = SHUNT_ZERO_VOLTS / shunt_ohms;
        let fed = |nail: &&bench_plan::Nail| {
            nail.mux.is_some() && matches!(nail.wiring, NailWiring::Rail { rail, .. } if rail == index)
        };
        let spec = |what: &str, unit, limits| MeasurementSpec {
            name: format!("{}.{what}", rail.name),
            unit,
            limits,
            contacts: Vec::new(),
        };
        let load_amps = rail.volts / rail.discharge_ohms;
        let off_by = LOAD_TOLERANCE * load_amps + 2.0 * zero_amps;
        Self {
            name: rail.name.clone(),
            monitor: monitor.map_or_else(String::new, |chip| chip.id.clone()),
            volts: rail.volts,
            discharge_ohms: rail.discharge_ohms,
            zero_amps,
            nails: fixture.nails.values().filter(fed).map(|nail| nail.contact).collect(),
            feeds_ports: resolve::feeds_ports(fixture, rail),
            zero: spec("zero", MeasurementUnit::Amps, Limits::between(-zero_amps, zero_amps)),
            idle_volts: spec(
                "alone",
                MeasurementUnit::Volts,
                Limits::between((1.0 - RAIL_TOLERANCE) * rail.volts, (1.0 + RAIL_TOLERANCE) * rail.volts),
            ),
            load: spec("load", MeasurementUnit::Amps, Limits::between(load_amps - off_by, load_amps + off_by)),
        }
    }

    /// The rail without the module: voltage, ripple, rise, and the current of a known load.
    pub async fn alone(&self, nest: &Nest, log: &dyn StepLog, feeders: &str) -> Result<(), StepError> {
        let Self { name, monitor, .. } = self;
        let show = |volts: f64| MeasurementUnit::Volts.show(volts);
        let amps = |amps: f64| MeasurementUnit::Amps.show(amps);
        nest.rails.alone(name, true).await?;
        let mut idle = nest.rails.measure(name).await?;
        let off_by = |volts: f64| (volts - self.volts).abs() > RAIL_TOLERANCE * self.volts;
        if off_by(idle.volts) {
            let early = idle;
            nest.settle(SLOW_RISE).await;
            idle = nest.rails.measure(name).await?;
            if !off_by(idle.volts) && early.volts < idle.volts {
                return bench(format!(
                    "rail {name} rises too slowly: {} after its rise time, {} later",
                    show(early.volts),
                    show(idle.volts)
                ));
            }
        }
        log.measured(&self.idle_volts.name, Some(idle.volts));
        if off_by(idle.volts) {
            return bench(format!(
                "rail {name} gives {} in place of {} with nothing on it: check its supply, its switch and the monitor {monitor}",
                show(idle.volts),
                show(self.volts)
            ));
        }
        self.feeds_are_open(nest, idle.volts, feeders).await?;
        if idle.amps.abs() > 2.0 * self.zero_amps {
            return bench(format!(
                "rail {name} delivers {} with all its feeds open: check its discharge, its feeds and the monitor {monitor}",
                amps(idle.amps)
            ));
        }
        let (mut least, mut most) = (idle.volts, idle.volts);
        for _ in 0..LOOKS {
            let volts = nest.rails.measure(name).await?.volts;
            (least, most) = (least.min(volts), most.max(volts));
        }
        if most - least > RIPPLE * self.volts {
            return bench(format!("rail {name} is not steady: between {} and {}", show(least), show(most)));
        }
        nest.rails.load(name, true).await?;
        let loaded = nest.rails.measure(name).await;
        nest.rails.load(name, false).await?;
        let loaded = loaded?;
        log.measured(&self.load.name, Some(loaded.amps - idle.amps));
        let due = loaded.volts / self.discharge_ohms;
        if off_by(loaded.volts) {
            return bench(format!(
                "rail {name} gives only {} at {}: its current limit is set too low, or its supply is weak",
                show(loaded.volts),
                amps(loaded.amps)
            ));
        }
        if (loaded.amps - idle.amps - due).abs() > LOAD_TOLERANCE * due + 2.0 * self.zero_amps {
            return bench(format!(
                "rail {name}: its monitor {monitor} shows {} of the {} that its discharge resistor draws: check shunt, monitor \
                 and discharge",
                amps(loaded.amps - idle.amps),
                amps(due)
            ));
        }
        Ok(())
    }

    /// With the rail on and all its feeds open, none of its nails carries anything.
    async fn feeds_are_open(&self, nest: &Nest, rail_volts: f64, feeders: &str) -> Result<(), StepError> {
        let mut most = 0.0_f64;
        let mut fed = Vec::new();
        for contact in &self.nails {
            let volts = nest.bus.volts(*contact).await?;
            if volts > OFF_VOLTS {
                most = most.max(volts);
                fed.push(format!("nail {}", nest.label(*contact)));
            }
        }
        let (name, volts) = (&self.name, MeasurementUnit::Volts.show(most));
        match fed.as_slice() {
            [] => Ok(()),
            fed if most > FED_SHARE * rail_volts => bench(format!(
                "rail {name} reaches the module with all its feeds open, {volts}: check the switches of {}",
                fed.join(", ")
            )),
            fed => bench(format!(
                "{} carry {volts} with all feeds of rail {name} open: something else feeds the module; check {feeders}",
                fed.join(", ")
            )),
        }
    }

    /// Each feed closes. The rail is off and held at 0 V by its discharge resistor.
    pub async fn feeds(&self, nest: &Nest) -> Result<(), StepError> {
        if self.nails.is_empty() {
            return Ok(());
        }
        nest.settle(DISCHARGED).await;
        for contact in &self.nails {
            nest.rails.feed(*contact, false).await?;
        }
        let mut dead = Vec::new();
        let mut looked = Ok(());
        for contact in &self.nails {
            let closed = nest.rails.feed(*contact, true).await;
            let seen = nest.bus.ohms(*contact).await;
            let opened = nest.rails.feed(*contact, false).await;
            match closed.and(seen).and_then(|seen| opened.map(|()| seen)) {
                // What it leaves on the module would disturb the next one.
                Ok(seen) if seen > HELD_FACTOR * self.discharge_ohms => {
                    dead.push(*contact);
                    break;
                }
                Err(InstrumentError::Energized { .. }) => {
                    dead.push(*contact);
                    break;
                }
                Ok(_) => {}
                Err(error) => looked = Err(error),
            }
        }
        for contact in &self.nails {
            looked = looked.and(nest.rails.feed(*contact, true).await);
        }
        looked?;
        let nails: Vec<String> = dead.iter().map(|nail| format!("nail {}", nest.label(*nail))).collect();
        match dead.len() {
            0 => Ok(()),
            _ => bench(format!(
                "{} of rail {}: the switch of its feed does not close, its channel of the multiplexer is dead, or the discharge of \
                 the rail is",
                nails.join(", "),
                self.name
            )),
        }
    }
}
