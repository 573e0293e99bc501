//! The controller's input behind the Schmitt buffer on the measure bus: records edges while a step listens.

use crate::random::{Purpose, Random};
use bench_instruments::{Edge, EdgeTrace, MOST_EDGES};
use std::collections::HashMap;
use virtual_nrf52840::{Ports, Pull};

/// Thresholds of a 74LVC1G17 at 3.3 V, as shares of its supply (typical values of its data sheet: 1.6 V and 0.95 V).
const RISING_SHARE: f64 = 0.49;
const FALLING_SHARE: f64 = 0.29;
/// From the edge to the kernel's time stamp: never less than the first, and a tail that is mostly within a few of the
/// second.
const LEAST_LATENCY_NS: f64 = 1_500.0;
const LATENCY_SPREAD_NS: f64 = 1_500.0;

/// State of the ports that affect the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PortPattern {
    powered: bool,
    driven: u64,
    high: u64,
    pulled_up: u64,
    pulled_down: u64,
}

impl PortPattern {
    fn of(ports: &Ports) -> Self {
        let mut pattern = Self { powered: ports.powered, driven: 0, high: 0, pulled_up: 0, pulled_down: 0 };
        for (n, port) in ports.states.iter().enumerate() {
            let bit = 1 << n;
            if let Some(driven) = port.driven {
                pattern.driven |= bit;
                pattern.high |= if driven.level { bit } else { 0 };
            }
            match port.pull {
                Pull::None => {}
                Pull::Up => pattern.pulled_up |= bit,
                Pull::Down => pattern.pulled_down |= bit,
            }
        }
        pattern
    }
}

/// Whether the input records.
pub struct EdgeRecorder {
    supply_volts: f64,
    noise: Random,
    high: bool,
    trace: Option<EdgeTrace>,
    /// Time stamp of the newest edge: stamps never go back.
    last_ns: u64,
    /// Levels of the bus by port state, valid while nothing else changes: a periodic signal has few patterns, so the
    /// circuit is solved once for each.
    levels: HashMap<PortPattern, f64>,
}

impl EdgeRecorder {
    pub fn new(supply_volts: f64, seed: u64) -> Self {
        let noise = Random::new(seed, Purpose::Edges);
        Self { supply_volts, noise, high: false, trace: None, last_ns: 0, levels: HashMap::new() }
    }

    pub fn is_on(&self) -> bool {
        self.trace.is_some()
    }

    pub fn begin(&mut self, bus_volts: f64) {
        self.forget();
        self.high = bus_volts > 0.5 * (RISING_SHARE + FALLING_SHARE) * self.supply_volts;
        self.trace = Some(EdgeTrace { high_before: self.high, edges: Vec::new() });
    }

    pub fn end(&mut self) -> EdgeTrace {
        self.trace.take().unwrap_or_default()
    }

    /// Something other than a port has changed.
    pub fn forget(&mut self) {
        self.levels.clear();
    }

    /// Samples the bus. Calls `solve` for its voltage only when needed.
    pub fn look(&mut self, ports: &Ports, at_ns: u64, solve: impl FnOnce() -> f64) {
        let Some(trace) = &mut self.trace else { return };
        let volts = *self.levels.entry(PortPattern::of(ports)).or_insert_with(solve);
        let high = volts > if self.high { FALLING_SHARE } else { RISING_SHARE } * self.supply_volts;
        if high == self.high {
            return;
        }
        self.high = high;
        if trace.edges.len() < MOST_EDGES {
            let late = LEAST_LATENCY_NS + self.noise.gauss(LATENCY_SPREAD_NS).abs();
            self.last_ns = self.last_ns.max(at_ns + late as u64);
            trace.edges.push(Edge { at_ns: self.last_ns, rising: high });
        }
    }
}
