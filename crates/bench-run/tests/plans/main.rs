//! Properties of random plans.
#![allow(clippy::unwrap_used)] // a helper of a test that cannot go on is a failed test

mod critical;
mod made;
mod reference;
mod same;
mod schedule;
