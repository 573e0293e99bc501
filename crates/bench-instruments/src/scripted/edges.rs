//! Planned traces of edges.

use crate::{Edge, EdgeCapture, EdgeTrace, InstrumentError};
use async_trait::async_trait;
use bench_run::Contact;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

impl EdgeTrace {
    /// An ideal square wave for `window` that begins low, with its first rising edge after half a period; a constant
    /// level at a duty of 0 or 1 or a frequency of 0.
    pub fn square(hz: f64, duty: f64, window: Duration) -> Self {
        if hz <= 0.0 || duty <= 0.0 || duty >= 1.0 {
            return Self { high_before: duty >= 1.0, edges: Vec::new() };
        }
        let period_ns = 1e9 / hz;
        let periods = (window.as_secs_f64() * hz - 0.5).max(0.0) as u32;
        let of_period = |n: u32| {
            let rise = (f64::from(n) + 0.5) * period_ns;
            [(rise, true), (rise + duty * period_ns, false)]
        };
        let edge = |(at, rising): (f64, bool)| Edge { at_ns: at.round() as u64, rising };
        Self { high_before: false, edges: (0..periods).flat_map(of_period).map(edge).collect() }
    }
}

/// Returns the planned trace of each contact, any number of times; a contact without a plan is quiet.
#[derive(Default)]
pub struct ScriptedEdges {
    traces: BTreeMap<Contact, Result<EdgeTrace, InstrumentError>>,
    captured: RefCell<Vec<Contact>>,
}

impl ScriptedEdges {
    #[must_use]
    pub fn with(mut self, contact: Contact, outcome: Result<EdgeTrace, InstrumentError>) -> Self {
        self.traces.insert(contact, outcome);
        self
    }

    /// Returns the contacts of all captures, in order.
    pub fn captured(&self) -> Vec<Contact> {
        self.captured.borrow().clone()
    }
}

#[async_trait(?Send)]
impl EdgeCapture for ScriptedEdges {
    async fn capture(&self, contact: Contact, _window: Duration) -> Result<EdgeTrace, InstrumentError> {
        self.captured.borrow_mut().push(contact);
        self.traces.get(&contact).cloned().unwrap_or_else(|| Ok(EdgeTrace::default()))
    }
}
