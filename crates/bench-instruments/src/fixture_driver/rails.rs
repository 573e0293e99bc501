//! Supplies: switches discharge, feeds and enable in an order in which none opposes another, and never powers a short.

use super::{FixtureDriver, wrong_kind};
use crate::{InstrumentError, RailEvent, RailReading, Rails};
use async_trait::async_trait;
use bench_plan::{IoBit, NailWiring, Rail};
use bench_run::Contact;
use embedded_hal::i2c::I2c;
use std::collections::BTreeSet;

/// State of each rail, by position in the fixture.
pub struct PowerState {
    pub on: Vec<bool>,
    /// Rails whose resistance to ground was measured.
    pub cleared: BTreeSet<usize>,
    /// Rails whose discharge was opened.
    pub floating: BTreeSet<usize>,
    /// Rails that are on with all their feeds open.
    pub alone: BTreeSet<usize>,
}

impl<I: I2c> FixtureDriver<I> {
    fn rail(&self, name: &str) -> Result<(usize, &Rail), InstrumentError> {
        let rail = self.fixture.rails.iter().enumerate().find(|(_, rail)| rail.name == name);
        rail.ok_or_else(|| InstrumentError::NoSuchRail(name.to_owned()))
    }

    fn is_on(&self, index: usize) -> bool {
        self.power.borrow().on.get(index).copied().unwrap_or(false)
    }

    /// Feeds closed, then discharge off, then power.
    fn enable(&self, index: usize, rail: &Rail) -> Result<(), InstrumentError> {
        self.power.borrow_mut().floating.insert(index);
        let mut ports = self.ports.borrow_mut();
        ports.set_outputs(&self.feeds_of(index))?;
        ports.set_outputs(&[(rail.discharge, false)])?;
        // Read back: an expander that was reset acknowledges everything and drives nothing.
        let enabled = ports.set_outputs(&[(rail.enable, true)]).and_then(|()| ports.confirm(rail.enable));
        if enabled.is_err() {
            // The write may have had an effect, so switch off again. If that fails too, the safe state is next anyway.
            let _ = ports.set_outputs(&[(rail.enable, false)]);
        }
        enabled
    }

    pub(super) fn any_rail_on(&self) -> bool {
        self.power.borrow().on.contains(&true)
    }

    /// A rail counts as floating from before its discharge is opened until after it was closed.
    fn set_discharge(&self, index: usize, rail: &Rail, on: bool) -> Result<(), InstrumentError> {
        if !on {
            self.power.borrow_mut().floating.insert(index);
        }
        self.ports.borrow_mut().set_outputs(&[(rail.discharge, on)])?;
        if on {
            self.power.borrow_mut().floating.remove(&index);
        }
        Ok(())
    }

    /// Returns a rail that is not held at 0 V, if any.
    pub(super) fn floating_rail(&self) -> Option<&str> {
        let index = self.power.borrow().floating.first().copied()?;
        self.fixture.rails.get(index).map(|rail| rail.name.as_str())
    }

    fn feeds_of(&self, index: usize) -> Vec<(IoBit, bool)> {
        self.feeds(index, true)
    }

    fn feeds(&self, index: usize, closed: bool) -> Vec<(IoBit, bool)> {
        let feed_of = |wiring: &NailWiring| match wiring {
            NailWiring::Rail { rail, feed, .. } if *rail == index => Some((*feed, closed)),
            _ => None,
        };
        self.fixture.nails.values().filter_map(|nail| feed_of(&nail.wiring)).collect()
    }

    /// Records a change of a rail and reports it to the observer.
    fn switched(&self, index: usize, on: bool) {
        let before = self.power.borrow_mut().on.get_mut(index).map(|state| std::mem::replace(state, on));
        if let (Some(before), Some(rail)) = (before, self.fixture.rails.get(index))
            && before != on
        {
            (self.observer)(RailEvent { rail: rail.name.clone(), on });
        }
    }
}

#[async_trait(?Send)]
impl<I: I2c> Rails for FixtureDriver<I> {
    fn names(&self) -> Vec<String> {
        self.fixture.rails.iter().map(|rail| rail.name.clone()).collect()
    }

    fn contacts(&self, rail: &str) -> Vec<Contact> {
        let index = self.fixture.rails.iter().position(|listed| listed.name == rail);
        let fed = |wiring: &NailWiring| matches!(wiring, NailWiring::Rail { rail, .. } if Some(*rail) == index);
        self.fixture.nails.values().filter(|nail| fed(&nail.wiring)).map(|nail| nail.contact).collect()
    }

    fn clear_for_power(&self, rail: &str, ohms: f64) -> Result<(), InstrumentError> {
        let (index, rail) = self.rail(rail)?;
        let least = rail.volts / rail.current_limit_amps;
        if ohms >= least {
            self.power.borrow_mut().cleared.insert(index);
            Ok(())
        } else {
            self.power.borrow_mut().cleared.remove(&index);
            let name = &rail.name;
            Err(InstrumentError::Unsafe(format!(
                "rail {name} has {ohms:.2} ohm to ground; its supply folds back below {least:.2} ohm"
            )))
        }
    }

    async fn on(&self, rail: &str) -> Result<(), InstrumentError> {
        let (index, rail) = self.rail(rail)?;
        if !self.power.borrow().cleared.contains(&index) {
            let text = format!("rail {} was not measured for shorts before power", rail.name);
            return Err(InstrumentError::Unsafe(text));
        }
        self.enable(index, rail)?;
        self.switched(index, true);
        self.clock.sleep(rail.rise_time).await;
        Ok(())
    }

    async fn off(&self, rail: &str) -> Result<(), InstrumentError> {
        let (index, rail) = self.rail(rail)?;
        self.ports.borrow_mut().set_outputs(&[(rail.enable, false)])?;
        self.switched(index, false);
        self.set_discharge(index, rail, true)
    }

    async fn discharge(&self, rail: &str, on: bool) -> Result<(), InstrumentError> {
        let (index, rail) = self.rail(rail)?;
        if on && self.is_on(index) {
            return Err(InstrumentError::Unsafe(format!("rail {} is on and must not be discharged", rail.name)));
        }
        self.set_discharge(index, rail, on)
    }

    fn discharge_ohms(&self, rail: &str) -> Result<f64, InstrumentError> {
        Ok(self.rail(rail)?.1.discharge_ohms)
    }

    async fn measure(&self, rail: &str) -> Result<RailReading, InstrumentError> {
        let chip = self.rail(rail)?.1.monitor;
        let monitor = self.monitors.get(&chip).ok_or_else(|| wrong_kind(&self.fixture, chip, "a power monitor"))?;
        monitor.measure(&*self.clock).await
    }

    async fn alone(&self, rail: &str, on: bool) -> Result<(), InstrumentError> {
        let (index, rail) = self.rail(rail)?;
        if self.is_on(index) {
            return Err(InstrumentError::Unsafe(format!("rail {} feeds the module and cannot be alone", rail.name)));
        }
        if !on {
            self.ports.borrow_mut().set_outputs(&[(rail.enable, false)])?;
            self.set_discharge(index, rail, true)?;
            self.power.borrow_mut().alone.remove(&index);
            return self.ports.borrow_mut().set_outputs(&self.feeds(index, true));
        }
        self.ports.borrow_mut().set_outputs(&self.feeds(index, false))?;
        self.power.borrow_mut().alone.insert(index);
        self.set_discharge(index, rail, false)?;
        self.ports.borrow_mut().set_outputs(&[(rail.enable, true)])?;
        self.clock.sleep(rail.rise_time).await;
        Ok(())
    }

    async fn load(&self, rail: &str, on: bool) -> Result<(), InstrumentError> {
        let (index, rail) = self.rail(rail)?;
        if !self.power.borrow().alone.contains(&index) {
            let text = format!("rail {} is not on by itself and must not be loaded", rail.name);
            return Err(InstrumentError::Unsafe(text));
        }
        self.ports.borrow_mut().set_outputs(&[(rail.discharge, on)])
    }

    async fn fine_amps(&self, rail: &str) -> Result<f64, InstrumentError> {
        let chip = self.rail(rail)?.1.monitor;
        let monitor = self.monitors.get(&chip).ok_or_else(|| wrong_kind(&self.fixture, chip, "a power monitor"))?;
        monitor.fine_amps(&*self.clock).await
    }

    async fn feed(&self, contact: Contact, closed: bool) -> Result<(), InstrumentError> {
        let wiring = self.fixture.nail(contact).map(|nail| &nail.wiring);
        if let Some(NailWiring::Rail { rail, .. }) = wiring
            && closed
            && self.power.borrow().alone.contains(rail)
        {
            let text = format!("the rail of contact {contact} is on by itself and must not feed the module");
            return Err(InstrumentError::Unsafe(text));
        }
        match wiring {
            Some(NailWiring::Rail { feed, .. } | NailWiring::Ground { feed, .. }) => {
                self.ports.borrow_mut().set_outputs(&[(*feed, closed)])
            }
            _ => Err(InstrumentError::NotWired(contact)),
        }
    }

    async fn all_off(&self) -> Result<(), InstrumentError> {
        // Without the lock of the measure bus: a measurement that hangs must not keep the rails on.
        self.power.borrow_mut().cleared.clear();
        let ports = self.ports.borrow_mut().safe_state(false);
        let source = self.source.set(0.0);
        let field = self.nfc.as_ref().map_or(Ok(()), |reader| reader.order_off());
        if ports.is_ok() {
            self.power.borrow_mut().floating.clear();
            self.power.borrow_mut().alone.clear();
            // After a failure it is unknown which rails stayed on, so none is reported as off.
            (0..self.fixture.rails.len()).for_each(|index| self.switched(index, false));
        }
        ports.and(source).and(field)
    }
}
