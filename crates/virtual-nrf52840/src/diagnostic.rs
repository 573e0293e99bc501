//! What the chip has to say about things its model does not cover, or that firmware should not do.

use std::fmt;

use crate::time::{NANOSECOND, Time};

/// Direction of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A register of a known peripheral, or a whole peripheral, that is not modelled. A read
    /// answered with what was last written there (zero if nothing), a write was stored.
    NotModelled { peripheral: &'static str, address: u32, access: Access, value: u32 },
    /// Bits of SHORTS, INTEN or INTENSET that the chip has and the model does not act on.
    BitsNotModelled { peripheral: &'static str, register: &'static str, bits: u32 },
    /// An enabled PPI channel has an end point (EEP, TEP or FORK.TEP) where the model has no such event or task.
    EndPointNotModelled { peripheral: &'static str, channel: u8, register: &'static str, address: u32 },
    /// A DMA transfer outside RAM. The peripheral moved nothing, as the silicon's EasyDMA
    /// cannot reach flash.
    DmaOutsideRam { peripheral: &'static str, address: u32, length: u32 },
    /// A setting the model stores but does not act on.
    NotSupported { peripheral: &'static str, what: &'static str },
    /// The CPU took a fault exception. The registers are those of the Cortex-M4.
    Fault { name: &'static str, cfsr: u32, hfsr: u32, address: Option<u32>, pc: u32 },
    /// Nothing was at address 0, and a loaded image elsewhere: the core began with the image's vector table.
    StartedImage { address: u32 },
    /// Nothing was at address 0, and the loaded image does not begin with a vector table: the chip resets for ever.
    NoVectors { address: u32 },
    /// The CPU locked up (a fault inside a fault handler); the chip resets itself.
    Lockup,
    /// Events and tasks trigger each other without end in the same instant.
    EventStorm { peripheral: &'static str },
}

/// One entry of the diagnostics list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// When, in nanoseconds since the world began.
    pub at_ns: u64,
    /// The address of the instruction that did it; `None` if a peripheral did.
    pub pc: Option<u32>,
    /// What happened.
    pub problem: Problem,
    /// How often the same thing (same kind, same register, same instruction) happened in all.
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

/// The list, kept short: repetitions are counted, and after [`Diagnostics::CAPACITY`] different
/// entries only the number of further ones is kept.
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
        if let Some(known) = self.entries.iter_mut().find(|d| same_thing(&d.problem, &problem)) {
            known.times += 1;
        } else if self.entries.len() < Self::CAPACITY {
            self.entries.push(Diagnostic { at_ns: at / NANOSECOND, pc: None, problem, times: 1 });
        } else {
            self.dropped += 1;
        }
    }

    /// Whether [`Diagnostics::fill_pc`] has something to do.
    pub(crate) fn wants_pc(&self) -> bool {
        self.without_pc < self.entries.len()
    }

    /// Completes the newest entries with the instruction that caused them; a peripheral's own
    /// doing is completed with `None`.
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

/// The value read or written is not part of what makes two reports the same.
fn same_thing(a: &Problem, b: &Problem) -> bool {
    match (a, b) {
        (
            Problem::NotModelled { address: a1, access: a2, .. },
            Problem::NotModelled { address: b1, access: b2, .. },
        ) => a1 == b1 && a2 == b2,
        (a, b) => a == b,
    }
}
