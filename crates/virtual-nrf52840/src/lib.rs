//! An nRF52840 that executes the real firmware image, instruction by instruction, in virtual time.
//!
//! The CPU is the Cortex-M4F of the crate `cortex-m4f`; the peripherals follow the register descriptions of the
//! nRF52840 product specification, not the habits of one firmware. What the model does not cover
//! is answered and reported, never silently ignored: see [`Chip::diagnostics`].
//!
//! Modelled: CLOCK, POWER (reset reasons, GPREGRET, System OFF, VBUS detection), RTC0-2, TIMER0-4,
//! PPI, GPIO, GPIOTE, UARTE0-1, SPIM0-3 and TWIM0-1 (bit by bit through the ports), PWM0-3, SAADC,
//! QSPI (no execution in place), USBD (neither isochronous transfers nor suspend), RADIO (Bluetooth's
//! 1 Mbit/s), NFCT (whole frames), NVMC with flash and UICR, FICR, WDT, RNG, TEMP, EGU0-5, and the resets by pin,
//! watchdog, software and lockup; the debug port with its access ports, halting debug, breakpoints and access
//! protection (no watchpoints, no trace), the power-fail comparator of VDD, ACL against writing. MWU only keeps what is
//! written. The SPI and TWI slaves, PDM, I2S, QDEC, COMP, ECB, CCM, AAR and CRYPTOCELL are not modelled. Time is right to
//! the nanosecond for peripherals and an approximation for the CPU (about the cycles of the Cortex-M4, no flash wait
//! states). SysTick stands while the CPU sleeps. Code in RAM that reads NVMC.READY while the flash is busy goes on when it is ready: the loop
//! that waits is not executed.
//!
//! A [`Chip`] owns all of its state and no part of the world. What is connected to it is a
//! [`Board`], borrowed for the length of a run. The same inputs give the same run, to the bit; a
//! [`Snapshot`] holds everything, and a run from a restored one equals the run without.
//!
//! ```no_run
//! use virtual_nrf52840::{BareBoard, Chip, ChipIdentity};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut chip = Chip::new(ChipIdentity::from_seed(1));
//! chip.load_elf(&std::fs::read("firmware.elf")?)?;
//! chip.set_power(true);
//! chip.run_until(1_000_000_000, &mut BareBoard); // one virtual second
//! for diagnostic in chip.diagnostics() {
//!     println!("{diagnostic}");
//! }
//! # Ok(())
//! # }
//! ```

mod board;
mod bus;
mod chip;
mod debug;
mod diagnostic;
mod fabric;
mod identity;
mod image;
mod memory;
mod nfc;
mod observe;
mod peripherals;
mod ports;
mod random;
mod soc;
mod tick_clock;
mod time;

pub use board::{BareBoard, Board, FlashCommand, FlashPorts, RadioPacket};
pub use chip::{Activity, Chip, Snapshot, Stats, Stop};
pub use debug::{DapFault, DapRegister};
pub use diagnostic::{Access, Diagnostic, Problem};
pub use fabric::{FLASH_PAGE, FLASH_SIZE, RAM_BASE, RAM_SIZE, ResetCause};
pub use identity::{BusDefects, ChipIdentity, Tolerances};
pub use image::ImageError;
pub use nfc::{NFC_CARRIER_HZ, NfcFrame};
pub use observe::{BusAccess, Observer};
pub use peripherals::radio::Emission;
pub use peripherals::usbd::UsbAnswer;
pub use ports::{Driven, PORT_COUNT, PortState, Ports, Pull, Strength};
