//! Rails in memory, as strict as the real ones.

use crate::{InstrumentError, RailReading, Rails};
use async_trait::async_trait;
use bench_run::Contact;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Rails with readings of their monitors. Like the real ones they refuse power before a check for shorts.
#[derive(Debug)]
pub struct ScriptedRails {
    rails: RefCell<Vec<ScriptedRail>>,
    feeds: RefCell<BTreeMap<Contact, bool>>,
    /// By rail.
    contacts: BTreeMap<String, Vec<Contact>>,
    /// In words, in order: "3V3 on", "VCC off", "3V3 discharge off", "feed 10 open", "all off".
    log: RefCell<Vec<String>>,
}

#[derive(Debug)]
struct ScriptedRail {
    name: String,
    /// Reading while the rail is on; when off it reads 0 V and 0 A.
    reading: RailReading,
    discharge_ohms: f64,
    cleared: bool,
    on: bool,
    discharged: bool,
    on_error: Option<InstrumentError>,
}

impl ScriptedRails {
    /// Creates rails in the order of switching on, with the readings of their monitors when on.
    pub fn new<'a>(rails: impl IntoIterator<Item = (&'a str, RailReading)>) -> Self {
        let rails = rails.into_iter().map(|(name, reading)| ScriptedRail {
            name: name.to_owned(),
            reading,
            discharge_ohms: 100.0,
            cleared: false,
            on: false,
            discharged: true,
            on_error: None,
        });
        Self {
            rails: RefCell::new(rails.collect()),
            feeds: RefCell::default(),
            contacts: BTreeMap::new(),
            log: RefCell::default(),
        }
    }

    /// Sets the contacts that have their own switch; closed at first.
    #[must_use]
    pub fn with_feeds(self, contacts: impl IntoIterator<Item = Contact>) -> Self {
        self.feeds.borrow_mut().extend(contacts.into_iter().map(|contact| (contact, true)));
        self
    }

    /// Sets the contacts that the nails of a rail reach.
    #[must_use]
    pub fn with_contacts(mut self, rail: &str, contacts: impl IntoIterator<Item = Contact>) -> Self {
        self.contacts.insert(rail.to_owned(), contacts.into_iter().collect());
        self
    }

    /// Makes switching on fail with this error.
    ///
    /// # Panics
    /// If there is no such rail.
    #[must_use]
    pub fn with_fault(self, rail: &str, error: InstrumentError) -> Self {
        self.change(rail, |rail| rail.on_error = Some(error));
        self
    }

    /// Sets the reading of the monitor from now on, while the rail is on.
    ///
    /// # Panics
    /// If there is no such rail.
    pub fn set_reading(&self, rail: &str, reading: RailReading) {
        self.change(rail, |rail| rail.reading = reading);
    }

    pub fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    pub fn is_on(&self, rail: &str) -> bool {
        self.rails.borrow().iter().any(|other| other.name == rail && other.on)
    }

    fn change(&self, rail: &str, change: impl FnOnce(&mut ScriptedRail)) {
        if let Err(error) = self.with(rail, |rail| {
            change(rail);
            Ok(())
        }) {
            panic!("the script of the rails: {error}");
        }
    }

    fn with<T>(
        &self,
        name: &str,
        use_it: impl FnOnce(&mut ScriptedRail) -> Result<T, InstrumentError>,
    ) -> Result<T, InstrumentError> {
        let mut rails = self.rails.borrow_mut();
        let rail = rails.iter_mut().find(|rail| rail.name == name);
        rail.ok_or_else(|| InstrumentError::NoSuchRail(name.to_owned())).and_then(use_it)
    }

    fn note(&self, text: String) {
        self.log.borrow_mut().push(text);
    }
}

#[async_trait(?Send)]
impl Rails for ScriptedRails {
    fn names(&self) -> Vec<String> {
        self.rails.borrow().iter().map(|rail| rail.name.clone()).collect()
    }

    fn contacts(&self, rail: &str) -> Vec<Contact> {
        self.contacts.get(rail).cloned().unwrap_or_default()
    }

    fn clear_for_power(&self, rail: &str, ohms: f64) -> Result<(), InstrumentError> {
        self.with(rail, |rail| {
            rail.cleared = ohms > 0.0; // and not NaN
            let text = || InstrumentError::Unsafe(format!("rail {} has {ohms} ohm to ground", rail.name));
            if rail.cleared { Ok(()) } else { Err(text()) }
        })
    }

    async fn on(&self, name: &str) -> Result<(), InstrumentError> {
        self.with(name, |rail| {
            if !rail.cleared {
                let text = format!("rail {name} was not measured for shorts before power");
                return Err(InstrumentError::Unsafe(text));
            }
            if let Some(error) = &rail.on_error {
                return Err(error.clone());
            }
            (rail.on, rail.discharged) = (true, false);
            Ok(())
        })?;
        self.note(format!("{name} on"));
        Ok(())
    }

    async fn off(&self, name: &str) -> Result<(), InstrumentError> {
        self.with(name, |rail| {
            (rail.on, rail.discharged) = (false, true);
            Ok(())
        })?;
        self.note(format!("{name} off"));
        Ok(())
    }

    async fn discharge(&self, name: &str, on: bool) -> Result<(), InstrumentError> {
        self.with(name, |rail| {
            if on && rail.on {
                return Err(InstrumentError::Unsafe(format!("rail {name} is on and must not be discharged")));
            }
            rail.discharged = on;
            Ok(())
        })?;
        self.note(format!("{name} discharge {}", if on { "on" } else { "off" }));
        Ok(())
    }

    fn discharge_ohms(&self, name: &str) -> Result<f64, InstrumentError> {
        self.with(name, |rail| Ok(rail.discharge_ohms))
    }

    async fn measure(&self, name: &str) -> Result<RailReading, InstrumentError> {
        self.with(name, |rail| Ok(if rail.on { rail.reading } else { RailReading { volts: 0.0, amps: 0.0 } }))
    }

    async fn feed(&self, contact: Contact, closed: bool) -> Result<(), InstrumentError> {
        match self.feeds.borrow_mut().get_mut(&contact) {
            Some(state) => *state = closed,
            None => return Err(InstrumentError::NotWired(contact)),
        }
        self.note(format!("feed {contact} {}", if closed { "closed" } else { "open" }));
        Ok(())
    }

    async fn all_off(&self) -> Result<(), InstrumentError> {
        for rail in &mut *self.rails.borrow_mut() {
            (rail.on, rail.discharged, rail.cleared) = (false, true, false);
        }
        self.feeds.borrow_mut().values_mut().for_each(|closed| *closed = true);
        self.note("all off".to_owned());
        Ok(())
    }
}
