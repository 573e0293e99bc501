//! Nails that are wired to a function instead of a module.

use crate::{ContactSet, InstrumentError, NailVector, Nails};
use async_trait::async_trait;
use std::cell::RefCell;

/// Computes what reads high from the present state of all nails.
type Levels = Box<dyn FnMut(&NailVector) -> ContactSet>;

/// Keeps the state of each nail, and reads levels from a function of that state.
pub struct ScriptedNails {
    wired: ContactSet,
    state: RefCell<NailVector>,
    vectors: RefCell<Vec<NailVector>>,
    levels: RefCell<Levels>,
    failure: RefCell<Option<InstrumentError>>,
}

impl ScriptedNails {
    /// Creates nails on `wired`; `levels` returns which of them read high.
    pub fn new(wired: ContactSet, levels: impl FnMut(&NailVector) -> ContactSet + 'static) -> Self {
        Self {
            wired,
            state: RefCell::new(NailVector { float: wired, ..NailVector::default() }),
            vectors: RefCell::default(),
            levels: RefCell::new(Box::new(levels)),
            failure: RefCell::default(),
        }
    }

    /// Creates nails without a module: they read what they drive, and high where they pull up.
    pub fn open(wired: ContactSet) -> Self {
        Self::new(wired, |state| state.high.union(state.pull_up))
    }

    /// Makes the next call fail.
    pub fn fail_next(&self, error: InstrumentError) {
        *self.failure.borrow_mut() = Some(error);
    }

    /// Returns all vectors, in order.
    pub fn vectors(&self) -> Vec<NailVector> {
        self.vectors.borrow().clone()
    }

    /// Returns the state of all nails; each wired contact is in exactly one set.
    pub fn state(&self) -> NailVector {
        *self.state.borrow()
    }

    fn failure(&self) -> Result<(), InstrumentError> {
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }
}

#[async_trait(?Send)]
impl Nails for ScriptedNails {
    fn wired(&self) -> ContactSet {
        self.wired
    }

    async fn set(&self, vector: NailVector) -> Result<(), InstrumentError> {
        self.failure()?;
        let mut named = ContactSet::EMPTY;
        for set in [vector.high, vector.low, vector.pull_up, vector.float] {
            assert!(named.intersection(set).is_empty(), "the step sets {:?} in two ways", named.intersection(set));
            named = named.union(set);
        }
        if let Some(contact) = named.minus(self.wired).iter().next() {
            return Err(InstrumentError::NotWired(contact));
        }
        let mut state = self.state.borrow_mut();
        state.high = state.high.minus(named).union(vector.high);
        state.low = state.low.minus(named).union(vector.low);
        state.pull_up = state.pull_up.minus(named).union(vector.pull_up);
        state.float = state.float.minus(named).union(vector.float);
        self.vectors.borrow_mut().push(vector);
        Ok(())
    }

    async fn read(&self) -> Result<ContactSet, InstrumentError> {
        self.failure()?;
        let state = self.state();
        let high = (self.levels.borrow_mut())(&state);
        assert!(high.minus(self.wired).is_empty(), "the script lets {:?} read high, which have no nail", high);
        Ok(high)
    }

    async fn release_all(&self) -> Result<(), InstrumentError> {
        self.set(NailVector { float: self.wired, ..NailVector::default() }).await
    }
}
