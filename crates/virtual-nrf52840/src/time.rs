//! Virtual time inside the chip.
//!
//! The unit is an eighth of a nanosecond: one 64 MHz CPU cycle (15.625 ns) and one 16 MHz timer
//! tick (62.5 ns) are whole numbers of it, so nothing is rounded until the 32.768 kHz clock is
//! involved. A `u64` of it lasts 73 years.

/// A moment since the start of the simulation, or a span, in eighths of a nanosecond.
pub type Time = u64;

/// No deadline.
pub const NEVER: Time = Time::MAX;
/// One nanosecond.
pub const NANOSECOND: Time = 8;
/// One microsecond.
pub const MICROSECOND: Time = 8_000;
/// One second.
pub const SECOND: Time = 8_000_000_000;
/// One cycle of the 64 MHz CPU clock.
pub const CPU_CYCLE: Time = 125;
/// One period of the 16 MHz peripheral clock.
pub const PCLK16M: Time = 500;
