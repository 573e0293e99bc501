//! A measure bus with planned readings.

use super::object_to;
use crate::{Injected, InstrumentError, MeasureBus};
use async_trait::async_trait;
use bench_run::Contact;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// One kind of measurement at one contact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Probing {
    Volts(Contact),
    /// In the finest range.
    FineVolts(Contact),
    /// With the source at this voltage.
    LoadedVolts(Contact, f64),
    /// With the source at this voltage, left joined.
    Hold(Contact, f64),
    Ohms(Contact),
    /// With this current, without power; the reading is the voltage, at exactly this current.
    Inject(Contact, f64),
}

type Outcome = Result<f64, InstrumentError>;

/// Planned readings are used once each, in any order of contacts; default readings any number of times.
pub struct ScriptedMeasureBus {
    source_ohms: f64,
    planned: RefCell<VecDeque<(Probing, Outcome)>>,
    standing: RefCell<Vec<(Probing, Outcome)>>,
    taken: RefCell<Vec<Probing>>,
    releases: Cell<u32>,
}

impl ScriptedMeasureBus {
    pub fn new(source_ohms: f64) -> Self {
        Self {
            source_ohms,
            planned: RefCell::default(),
            standing: RefCell::default(),
            taken: RefCell::default(),
            releases: Cell::new(0),
        }
    }

    /// Plans one reading. Several for the same measurement are returned in this order.
    #[must_use]
    pub fn once(self, probing: Probing, outcome: Outcome) -> Self {
        self.planned.borrow_mut().push_back((probing, outcome));
        self
    }

    /// Sets the reading that is returned when no planned one is left.
    #[must_use]
    pub fn always(self, probing: Probing, outcome: Outcome) -> Self {
        self.standing.borrow_mut().push((probing, outcome));
        self
    }

    /// Returns all measurements, in order.
    pub fn taken(&self) -> Vec<Probing> {
        self.taken.borrow().clone()
    }

    pub fn releases(&self) -> u32 {
        self.releases.get()
    }

    fn read(&self, probing: Probing) -> Outcome {
        self.taken.borrow_mut().push(probing);
        let mut planned = self.planned.borrow_mut();
        if let Some(index) = planned.iter().position(|(other, _)| *other == probing)
            && let Some((_, outcome)) = planned.remove(index)
        {
            return outcome;
        }
        match self.standing.borrow().iter().find(|(other, _)| *other == probing) {
            Some((_, outcome)) => outcome.clone(),
            None => panic!("the step measures {probing:?}, for which the script has no reading (left)"),
        }
    }
}

#[async_trait(?Send)]
impl MeasureBus for ScriptedMeasureBus {
    async fn volts(&self, contact: Contact) -> Outcome {
        self.read(Probing::Volts(contact))
    }

    async fn fine_volts(&self, contact: Contact) -> Outcome {
        self.read(Probing::FineVolts(contact))
    }

    async fn loaded_volts(&self, contact: Contact, source_volts: f64) -> Outcome {
        self.read(Probing::LoadedVolts(contact, source_volts))
    }

    async fn hold(&self, contact: Contact, source_volts: f64) -> Outcome {
        self.read(Probing::Hold(contact, source_volts))
    }

    async fn ohms(&self, contact: Contact) -> Outcome {
        self.read(Probing::Ohms(contact))
    }

    async fn inject(&self, contact: Contact, amps: f64) -> Result<Injected, InstrumentError> {
        self.read(Probing::Inject(contact, amps)).map(|volts| Injected { volts, amps })
    }

    fn source_ohms(&self) -> f64 {
        self.source_ohms
    }

    async fn release(&self) -> Result<(), InstrumentError> {
        self.releases.set(self.releases.get() + 1);
        Ok(())
    }
}

impl Drop for ScriptedMeasureBus {
    fn drop(&mut self) {
        let left: Vec<String> = self.planned.get_mut().iter().map(|(probing, _)| format!("{probing:?}")).collect();
        object_to(&left, "measure bus");
    }
}
