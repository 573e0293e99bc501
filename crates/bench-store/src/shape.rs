//! The common structure of the runs of one plan: their measurements, in order, with their limits.

use bench_run::{MeasurementSpec, PlannedStep};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Steps and promised measurements of a plan, as a run recorded them.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// SHA-256 of the steps as JSON.
    pub hash: [u8; 32],
    pub steps: Vec<PlannedStep>,
    /// Index of each step's first measurement in a run's values; one more for the end.
    first: Vec<usize>,
    index: HashMap<String, usize>,
    /// Line template of each measurement, as the journal's writer makes it.
    written: Vec<Written>,
}

/// The text around time and value in the line of a measurement that passed at the first attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// From after the time to the value.
    pub head: String,
    /// From after the value to the chain.
    pub tail: String,
}

impl Written {
    fn of(step: &PlannedStep, spec: &MeasurementSpec) -> Result<Self, serde_json::Error> {
        let json = serde_json::to_string::<str>;
        let head = format!(
            r#","event":"measured","step":{},"attempt":1,"measurement":{{"name":{},"value":"#,
            json(&step.id)?,
            json(&spec.name)?
        );
        let contacts = match spec.contacts.as_slice() {
            [] => String::new(),
            contacts => format!(r#","contacts":{}"#, serde_json::to_string(contacts)?),
        };
        let (unit, limits) = (serde_json::to_string(&spec.unit)?, serde_json::to_string(&spec.limits)?);
        let tail = format!(r#","unit":{unit},"limits":{limits},"verdict":"pass"{contacts}}},"chain":""#);
        Ok(Self { head, tail })
    }
}

impl Shape {
    pub(crate) fn new(steps: Vec<PlannedStep>) -> Result<Self, serde_json::Error> {
        let hash = Sha256::digest(serde_json::to_vec(&steps)?).into();
        let mut first = vec![0];
        for step in &steps {
            first.push(first.last().copied().unwrap_or(0) + step.promised.len());
        }
        let index = steps.iter().enumerate().map(|(at, step)| (step.id.clone(), at)).collect();
        let lines =
            |step: &'_ PlannedStep| step.promised.iter().map(|spec| Written::of(step, spec)).collect::<Vec<_>>();
        let written = steps.iter().flat_map(lines).collect::<Result<_, _>>()?;
        Ok(Self { hash, steps, first, index, written })
    }

    /// Returns the line template of the measurement at this index of the values.
    pub(crate) fn written(&self, place: usize) -> Option<&Written> {
        self.written.get(place)
    }

    /// Returns the step and the index among its promises for the value at this index.
    pub(crate) fn step_of(&self, place: usize) -> usize {
        self.first.partition_point(|first| *first <= place).saturating_sub(1)
    }

    /// Returns the number of values of a run.
    pub fn values(&self) -> usize {
        self.first.last().copied().unwrap_or(0)
    }

    pub(crate) fn step(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// Returns the index of a step's first measurement among the values.
    pub fn first_of(&self, step: usize) -> usize {
        self.first[step]
    }

    /// Returns every measurement with its step, in the order of the values.
    pub fn specs(&self) -> impl Iterator<Item = (&PlannedStep, &MeasurementSpec)> {
        self.steps.iter().flat_map(|step| step.promised.iter().map(move |spec| (step, spec)))
    }
}

/// The shapes known so far, shared by all readers of journals.
#[derive(Debug, Default)]
pub struct Shapes {
    /// By hash of the steps' text in a journal: for most runs, nothing else is read.
    by_text: Mutex<HashMap<[u8; 32], Arc<Shape>>>,
    by_hash: Mutex<HashMap<[u8; 32], Arc<Shape>>>,
}

impl Shapes {
    /// Returns the shape that this JSON text describes; parsed once.
    pub(crate) fn of_text(&self, text: &str) -> Result<Arc<Shape>, serde_json::Error> {
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if let Some(shape) = lock(&self.by_text).get(&key) {
            return Ok(Arc::clone(shape));
        }
        let shape = self.of_steps(serde_json::from_str(text)?)?;
        lock(&self.by_text).insert(key, Arc::clone(&shape));
        Ok(shape)
    }

    pub(crate) fn of_steps(&self, steps: Vec<PlannedStep>) -> Result<Arc<Shape>, serde_json::Error> {
        let shape = Shape::new(steps)?;
        Ok(Arc::clone(lock(&self.by_hash).entry(shape.hash).or_insert_with(|| Arc::new(shape))))
    }
}

/// A thread that panicked leaves the maps consistent: each call inserts or removes one entry.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
