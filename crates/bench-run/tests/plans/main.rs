//! Properties of random plans.
#![allow(clippy::unwrap_used)] // a helper that fails has failed the test

mod critical;
mod made;
mod reference;
mod same;
mod schedule;
