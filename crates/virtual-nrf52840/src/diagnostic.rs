//! Reports of firmware actions that the model does not cover, or that firmware should not do.

use std::fmt;

use crate::time::{NANOSECOND, Time};

/// Direction of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// A read.
    Read,
    /// A write.
    Write,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A register of a known peripheral, or a whole peripheral, that is not modelled. A read returned the value last
    /// written there (zero if none); a write was stored.
    NotModelled {
        /// Name of the peripheral.
        peripheral: &'static str,
        /// Address of the register.
        address: u32,
        /// Direction.
        access: Access,
        /// Value read or written.
        value: u32,
    },
    /// Bits of SHORTS, INTEN or INTENSET that exist on the chip but not in the model.
    BitsNotModelled {
        /// Name of the peripheral.
        peripheral: &'static str,
        /// Name of the register.
        register: &'static str,
        /// The bits.
        bits: u32,
    },
    /// An enabled PPI channel has an end point (EEP, TEP or FORK.TEP) where the model has no such event or task.
    EndPointNotModelled {
        /// Name of the peripheral at the end point.
        peripheral: &'static str,
        /// Number of the PPI channel.
        channel: u8,
        /// EEP, TEP or FORK.TEP.
        register: &'static str,
        /// Contents of that register.
        address: u32,
    },
    /// A DMA transfer outside RAM. The peripheral moved nothing, as the silicon's EasyDMA
    /// cannot reach flash.
    DmaOutsideRam {
        /// Name of the peripheral.
        peripheral: &'static str,
        /// First address.
        address: u32,
        /// Bytes.
        length: u32,
    },
    /// A setting that the model stores but ignores.
    NotSupported {
        /// Name of the peripheral.
        peripheral: &'static str,
        /// The setting, in words.
        what: &'static str,
    },
    /// The CPU took a fault exception. The registers are those of the Cortex-M4.
    Fault {
        /// Name of the exception.
        name: &'static str,
        /// Configurable fault status register.
        cfsr: u32,
        /// HardFault status register.
        hfsr: u32,
        /// Address of the failed access, from MMFAR or BFAR.
        address: Option<u32>,
        /// Address of the instruction that faulted.
        pc: u32,
    },
    /// Address 0 was empty and an image was loaded elsewhere: the core started from the image's vector table.
    StartedImage {
        /// Address of the image's vector table.
        address: u32,
    },
    /// Address 0 was empty and the loaded image does not begin with a vector table: the chip resets endlessly.
    NoVectors {
        /// First address of the image.
        address: u32,
    },
    /// The CPU locked up (a fault inside a fault handler); the chip resets itself.
    Lockup,
    /// Events and tasks trigger each other endlessly in the same instant.
    EventStorm {
        /// Name of the peripheral whose event was the last.
        peripheral: &'static str,
    },
}

/// One entry of the diagnostics list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Time in nanoseconds since the start of the simulation.
    pub at_ns: u64,
    /// Address of the instruction that caused it; `None` if a peripheral did.
    pub pc: Option<u32>,
    /// What happened.
    pub problem: Problem,
    /// Total count of the same problem (same kind, register and instruction).
    pub times: u64,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::NotModelled { peripheral, address, access: Access::Read, value } => {
                write!(f, "{peripheral}: read of {address:#010x} is not modelled, answered {value:#x}")
            }
            Problem::NotModelled { peripheral, address, access: Access::Write, value } => {
                write!(f, "{peripheral}: write of {value:#x} to {address:#010x} is not modelled")
            }
            Problem::BitsNotModelled { peripheral, register, bits } => {
                write!(f, "{peripheral}: {bits:#x} in {register} is not modelled")
            }
            Problem::EndPointNotModelled { peripheral, channel, register, address } => {
                let what = if *register == "EEP" { "event" } else { "task" };
                write!(f, "PPI: channel {channel} has {register} {address:#010x}, no modelled {what} of {peripheral}")
            }
            Problem::DmaOutsideRam { peripheral, address, length } => {
                write!(f, "{peripheral}: DMA of {length} bytes at {address:#010x} is outside RAM")
            }
            Problem::NotSupported { peripheral, what } => write!(f, "{peripheral}: {what} is not modelled"),
            Problem::Fault { name, cfsr, hfsr, address, pc } => {
                write!(f, "{name} (CFSR {cfsr:#010x}, HFSR {hfsr:#010x}")?;
                if let Some(address) = address {
                    write!(f, ", fault address {address:#010x}")?;
                }
                write!(f, ") at PC {pc:#010x}")
            }
            Problem::StartedImage { address } => {
                write!(f, "nothing at address 0: started the image at {address:#010x} as its bootloader would")
            }
            Problem::NoVectors { address } => write!(
                f,
                "nothing to execute at address 0, the image begins at {address:#010x} and not with a vector table"
            ),
            Problem::Lockup => write!(f, "CPU lockup, the chip resets"),
            Problem::EventStorm { peripheral } => {
                write!(f, "{peripheral}: events and tasks trigger each other without end")
            }
        }?;
        if let Some(pc) = self.pc {
            write!(f, ", PC {pc:#010x}")?;
        }
        write!(f, ", at {} ns", self.at_ns)?;
        if self.times > 1 {
            write!(f, ", {} times", self.times)?;
        }
        Ok(())
    }
}

/// The list, kept short: it counts repetitions, and after [`Diagnostics::CAPACITY`] different entries only the number
/// of further ones is kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diagnostics {
    pub(crate) entries: Vec<Diagnostic>,
    pub(crate) dropped: u64,
    /// Entries from here on still lack the address of the instruction.
    without_pc: usize,
}

impl Diagnostics {
    const CAPACITY: usize = 256;

    pub(crate) fn report(&mut self, at: Time, problem: Problem) {
        if let Some(entry) = self.entries.iter_mut().find(|d| same_thing(&d.problem, &problem)) {
            entry.times += 1;
        } else if self.entries.len() < Self::CAPACITY {
            self.entries.push(Diagnostic { at_ns: at / NANOSECOND, pc: None, problem, times: 1 });
        } else {
            self.dropped += 1;
        }
    }

    /// Whether [`Diagnostics::fill_pc`] has entries to complete.
    pub(crate) fn wants_pc(&self) -> bool {
        self.without_pc < self.entries.len()
    }

    /// Adds the address of the causing instruction to the newest entries; `None` if a peripheral caused them by itself.
    pub(crate) fn fill_pc(&mut self, pc: Option<u32>) {
        for entry in &mut self.entries[self.without_pc..] {
            if matches!(
                entry.problem,
                Problem::NotModelled { .. } | Problem::BitsNotModelled { .. } | Problem::EndPointNotModelled { .. }
            ) {
                entry.pc = pc;
            }
        }
        self.without_pc = self.entries.len();
    }
}

/// Two reports are the same regardless of the value read or written.
fn same_thing(a: &Problem, b: &Problem) -> bool {
    match (a, b) {
        (
            Problem::NotModelled { address: a1, access: a2, .. },
            Problem::NotModelled { address: b1, access: b2, .. },
        ) => a1 == b1 && a2 == b2,
        (a, b) => a == b,
    }
}
