//! A Cortex-M4F that executes Thumb-2 code on the host: the whole of ARMv7E-M with the single-precision
//! floating-point unit, its exceptions, its private peripherals and halting debug.
//!
//! The core knows no chip. Memory and peripherals are a [`Bus`], the interrupt lines a word of bits, and time is the
//! number of cycles that it has executed ([`Core::cycles`]). [`Core::run`] executes until a number of cycles is
//! reached or something happens that its owner has to see to, and says which ([`Exit`]).
//!
//! # How it is quick
//!
//! An instruction is decoded once and kept: code in [`Bus::code`] until that memory changes
//! ([`Bus::code_generation`]), code elsewhere until the bytes at its address are others. The code memory and the RAM
//! are reached as slices, everything else by a call. Between two instructions one comparison decides whether to go
//! on: whatever needs attention pulls the number of cycles to stop at down to zero.
//!
//! # Cycles
//!
//! An instruction takes one cycle, each word moved to or from memory one more, a branch that is taken or any other
//! write to the program counter two more. A divide takes two more, the long, halfword and dual multiplies one more, a
//! chained or fused floating-point multiply two more, a floating-point divide or square root thirteen more. Exception
//! entry takes 12 and the words of the frame, return 10 and the words of the frame, a tail-chain 6. That is about the
//! Cortex-M4's technical reference manual (ARM DDI 0439), without its pipeline, its write buffer and the wait states
//! of any memory. A core that sleeps counts no cycles: SysTick and the cycle counter stand meanwhile.
//!
//! # What is not there
//!
//! Bit-banding (optional, and our chip has none), trace (ITM, TPIU, ETM: writes are lost, and the bus hears of it by
//! [`Bus::missing`]), watchpoints (the same), the debug monitor exception, imprecise bus faults (there is no write
//! buffer), and interruption of an instruction that takes several cycles: an exception waits for its end.
//!
//! Section numbers in comments are those of the ARMv7-M architecture reference manual (ARM DDI 0403E).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bus;
mod cache;
mod core;
mod debug;
mod decode;
mod dsp;
mod exception;
mod execute;
mod flags;
mod float;
mod fpu;
mod instruction;
mod memory;
mod mpu;
mod state;
mod system;

pub use crate::core::{Config, Core, Exit};
pub use bus::{Bus, Fault};
pub use debug::{DHCSR, Halted};
pub use state::State;
