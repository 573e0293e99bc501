//! Nails behind expander bits.

use super::FixtureDriver;
use crate::{ContactSet, InstrumentError, NailVector, Nails};
use async_trait::async_trait;
use bench_plan::NailWiring;
use embedded_hal::i2c::I2c;

impl<I: I2c> FixtureDriver<I> {
    /// Refuses invalid or dangerous vectors before anything moves.
    fn check_vector(&self, vector: NailVector) -> Result<(), InstrumentError> {
        let mut named = ContactSet::EMPTY;
        for set in [vector.high, vector.low, vector.pull_up, vector.float] {
            if let Some(contact) = named.intersection(set).iter().next() {
                return Err(InstrumentError::Unsafe(format!("contact {contact} is in two sets of a nail vector")));
            }
            named = named.union(set);
        }
        let driven = vector.high.union(vector.low);
        for contact in named.iter() {
            match self.fixture.nail(contact).map(|nail| &nail.wiring) {
                Some(NailWiring::Io { .. }) => {}
                Some(NailWiring::Rail { .. } | NailWiring::Ground { .. }) if driven.contains(contact) => {
                    let text = format!("contact {contact} carries a supply or ground and must not be driven by a nail");
                    return Err(InstrumentError::Unsafe(text));
                }
                _ => return Err(InstrumentError::NotWired(contact)),
            }
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl<I: I2c> Nails for FixtureDriver<I> {
    fn wired(&self) -> ContactSet {
        self.ports.borrow().nails()
    }

    async fn set(&self, vector: NailVector) -> Result<(), InstrumentError> {
        self.check_vector(vector)?;
        self.ports.borrow_mut().set_nails(vector)
    }

    async fn read(&self) -> Result<ContactSet, InstrumentError> {
        self.ports.borrow_mut().read_nails()
    }

    async fn release_all(&self) -> Result<(), InstrumentError> {
        let float = self.wired();
        self.ports.borrow_mut().set_nails(NailVector { float, ..NailVector::default() })
    }
}
