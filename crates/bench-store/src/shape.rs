//! What the runs of one plan have in common: which measurements there are, in which order, with which limits.

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
    /// A line for each measurement, as the journal's writer makes it.
    written: Vec<Written>,
}

/// What stands around time and value in the line of a measurement that passed at the first attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// From behind the time to the value.
    pub head: String,
    /// From behind the value to the chain.
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

    /// How the line of the measurement at this place among the values is written.
    pub(crate) fn written(&self, place: usize) -> Option<&Written> {
        self.written.get(place)
    }

    /// The step and the place among its promises of the value at this place.
    pub(crate) fn step_of(&self, place: usize) -> usize {
        self.first.partition_point(|first| *first <= place).saturating_sub(1)
    }

    /// How many values a run has.
    pub fn values(&self) -> usize {
        self.first.last().copied().unwrap_or(0)
    }

    pub(crate) fn step(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// Place of a step's first measurement among the values.
    pub fn first_of(&self, step: usize) -> usize {
        self.first[step]
    }

    /// Every measurement with its step, in the order of the values.
    pub fn specs(&self) -> impl Iterator<Item = (&PlannedStep, &MeasurementSpec)> {
        self.steps.iter().flat_map(|step| step.promised.iter().map(move |spec| (step, spec)))
    }
}

/// The shapes met so far, shared by all who read journals.
#[derive(Debug, Default)]
pub struct Shapes {
    /// By hash of the steps' text as it stands in a journal: of most runs that is all that is looked at.
    by_text: Mutex<HashMap<[u8; 32], Arc<Shape>>>,
    by_hash: Mutex<HashMap<[u8; 32], Arc<Shape>>>,
}

impl Shapes {
    /// The shape that this JSON text describes; parsed once.
    pub(crate) fn of_text(&self, text: &str) -> Result<Arc<Shape>, serde_json::Error> {
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if let Some(known) = lock(&self.by_text).get(&key) {
            return Ok(Arc::clone(known));
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

/// A thread that panicked left whole maps behind: each call puts in or takes out one thing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
