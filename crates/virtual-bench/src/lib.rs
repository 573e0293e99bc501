//! The virtual bench: the real firmware on an emulated nRF52840, in a simulated bed of nails built from the fixture
//! file, in virtual time.
//!
//! The bench software sees exactly what real hardware shows: registers on I2C, bytes on a UART, time. Nothing in here
//! reports what is wrong with the module; [`Fault`]s change the circuit, and the bench must detect them.
//!
//! ```text
//! controller --I2C--> fixture chips (registers) --> circuit (nodes, resistances, supplies) <-- ports of the chip
//!     |--UART--> relay --> nails ---------------------^                                        (virtual-nrf52840)
//!     \--probe--SWD----------------------------------------------------------------------------------^
//! ```
//! Equal seeds give equal runs, to the bit: tolerances and noise come from seeded streams, and only a pace uses the
//! wall clock.

mod air;
mod bench;
mod bench_fault;
mod chips;
mod circuit;
mod desk;
mod edges;
mod ends;
mod fault;
mod flash;
mod modem;
mod netlist;
mod nfc;
mod panel;
mod peers;
mod random;
mod real_functions;
mod rig;
mod run;
mod shipped;
mod swd;
#[cfg(test)]
mod testing;
mod uart;
mod usb_host;
mod world;

pub use air::VirtualBluetooth;
pub use bench::{PACES, VirtualBench, VirtualConfig, VirtualError, VirtualStats};
pub use bench_fault::{
    BENCH_KINDS, BenchFault, BenchFaultError, BenchFaultKind, ControllerDamage, DiskDamage, Group, Indistinguishable,
    all_bench_faults, bench_fault_table, bench_fault_usages,
};
pub use circuit::spice_deck;
pub use desk::VirtualHands;
pub use ends::{VirtualClock, VirtualEdgeLine, VirtualI2c, VirtualLink};
pub use fault::{
    Fault, FaultError, FaultKind, FaultLocation, KINDS, Net, Terminal, all_faults, fault_help, fault_schema,
    fault_table, fault_usages, habit_names, habit_table, harmless, neighbours, undetectable,
};
pub use run::{AtWallPace, People, RunError};
pub use shipped::McuMemory;
pub use swd::VirtualSwd;
pub use usb_host::VirtualUsbHost;
