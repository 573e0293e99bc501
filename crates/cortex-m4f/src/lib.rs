//! A Cortex-M4F that executes Thumb-2 code on the host: the whole of ARMv7E-M with the single-precision
//! floating-point unit, its exceptions, its private peripherals and halting debug.
//!
//! The core does not depend on a chip. Memory and peripherals are a [`Bus`], the interrupt lines a word of bits, and
//! time is the number of executed cycles ([`Core::cycles`]). [`Core::run`] executes until a number of cycles is reached
//! or an event needs its owner, and returns which ([`Exit`]).
//!
//! # Why it is fast
//!
//! Decoded instructions are cached: code in [`Bus::code`] until that memory changes ([`Bus::code_generation`]), code
//! elsewhere until the bytes at its address change. Code memory and RAM are accessed as slices, everything else by a
//! call. Between two instructions one comparison decides whether to continue: an event that needs attention sets the
//! limit of cycles to zero.
//!
//! # Cycles
//!
//! An instruction takes one cycle, each word moved to or from memory one more, a branch that is taken or any other
//! write to the program counter two more. A divide takes two more, the long, halfword and dual multiplies one more, a
//! chained or fused floating-point multiply two more, a floating-point divide or square root thirteen more. Exception
//! entry takes 12 and the words of the frame, return 10 and the words of the frame, a tail-chain 6. This approximates
//! the Cortex-M4's technical reference manual (ARM DDI 0439), without pipeline, write buffer and wait states. A
//! sleeping core counts no cycles: SysTick and the cycle counter stop meanwhile.
//!
//! # What is missing
//!
//! Bit-banding (optional, and our chip has none), trace (ITM, TPIU, ETM: writes are lost and reported by
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
