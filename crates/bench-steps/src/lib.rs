//! One file per kind of test, over instrument traits only.
//!
//! A kind turns its parameters into promised measurements when the plan is checked, and measures them when it runs. A
//! new kind is one new file and one line in `kinds`. The crate names no concrete instrument and reads no file.

pub mod action;
mod bus_peer;
mod desk;
mod diagnose;
mod doctor;
mod external;
mod external_flash;
mod kinds;
mod loaded_ports;
mod nest;
mod resolve;
pub mod resource;
mod restart;
mod safekeeping;
mod shared_link;
mod signal;
mod source;
mod step;

mod adc;
mod bench_check;
mod ble;
mod clamp_diodes;
mod continuity;
mod crystal;
mod drive;
mod enable;
mod i2c_memory;
mod identify;
mod interconnect;
mod interrupts;
mod isolation;
mod link_loopback;
mod link_pulls;
pub mod modem;
mod nfc;
mod pair_test;
mod program;
mod program_production;
mod prompt;
mod pulled_to;
mod pulls;
mod pwm;
mod quiet;
mod rail_on;
mod rail_resistance;
mod reach;
mod reset;
mod retained;
mod second_opinion;
mod sequence;
mod spi_memory;
mod supply_current;
mod uart_flow;
mod usb;

pub use doctor::{Finding, doctor};
pub use external::{PROTOCOL, protocol_schema};
pub use kinds::Kinds;
pub use nest::{Ends, Nest, ProgramPlace};
pub use nfc::read_tag;
pub use program::GOES;
pub use safekeeping::{Kept, Safekeeping, Store, restoring};
pub use second_opinion::{Accused, second_opinion};
pub use shared_link::SharedLink;
pub use step::{ImageFile, Kind, Leaves, Procedure, StepError, StepLog};
