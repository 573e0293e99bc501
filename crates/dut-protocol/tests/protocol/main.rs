//! The protocol crate as firmware and bench use it.

#![allow(clippy::unwrap_used)] // a message that cannot be made fails the test

mod any;
mod firmware_logic;
mod frames;
mod tag;
