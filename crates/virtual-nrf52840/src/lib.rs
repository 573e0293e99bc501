//! An nRF52840 that executes the real firmware image, instruction by instruction, in virtual time.
//!
//! The CPU is the Cortex-M4F of the crate `cortex-m4f`; the peripherals follow the register descriptions of the
//! nRF52840 product specification, not what one firmware happens to use. The model reports every access that it does
//! not cover: see [`Chip::diagnostics`].
//!
//! Modelled: CLOCK, POWER (reset reasons, GPREGRET, System OFF, VBUS detection), RTC0-2, TIMER0-4, PPI, GPIO, GPIOTE,
//! UARTE0-1, SPIM0-3 and TWIM0-1 (bit by bit through the ports), PWM0-3, SAADC, QSPI (no execution in place), USBD
//! (neither isochronous transfers nor suspend), RADIO (Bluetooth's 1 Mbit/s), NFCT (whole frames), NVMC with flash and
//! UICR, FICR, WDT, RNG, TEMP, EGU0-5, and the resets by pin, watchdog, software and lockup; the debug port with its
//! access ports, halting debug, breakpoints and access protection (no watchpoints, no trace), the power-fail comparator
//! of VDD, ACL against writing. MWU only stores what is written. The SPI and TWI slaves, PDM, I2S, QDEC, COMP, ECB,
//! CCM, AAR and CRYPTOCELL are not modelled. Time is exact to the nanosecond for peripherals and approximate for the
//! CPU (about the cycles of the Cortex-M4, no flash wait states). SysTick stops while the CPU sleeps. When code in RAM
//! polls NVMC.READY, the model skips the polling loop and continues when the flash is ready.
//!
//! A [`Chip`] owns all of its state and nothing outside it. Everything connected to it is a [`Board`], borrowed for the
//! duration of a run. Equal inputs give equal runs, to the bit. A [`Snapshot`] holds the whole state; a run from a
//! restored snapshot equals the uninterrupted run.
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

#![warn(missing_docs)]

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
