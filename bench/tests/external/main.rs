//! Steps of kind `external` with programs of every kind, on the virtual bench in this process; the keeper is the real
//! program.
#![cfg(unix)] // programs are shell scripts
#![allow(clippy::unwrap_used)] // a helper of a test that cannot go on is a failed test

mod hostile;
mod own_tests;
mod stage;
