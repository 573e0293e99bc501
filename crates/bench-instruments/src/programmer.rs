//! Programming the module.

use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// Bytes at an address of the module's flash.
pub type Segment = (u32, Arc<[u8]>);

/// A program from a file: bytes at addresses of the module's flash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The file's name, for messages.
    pub name: String,
    /// Ascending, without overlaps.
    pub segments: Vec<Segment>,
}

impl Image {
    /// Bytes of all segments.
    pub fn len(&self) -> usize {
        self.segments.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A word of the module's user information configuration registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UicrWord {
    /// From the beginning of UICR.
    pub offset: u16,
    pub value: u32,
}

/// What a module held where a job writes, read before anything was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// FICR.DEVICEID of the MCU.
    pub device_id: u64,
    /// Whole pages, ascending, also blank ones.
    pub flash: Vec<Segment>,
    /// Every word of UICR that is not blank.
    pub uicr: Vec<UicrWord>,
}

/// What stores a [`Backup`]; the error says why it cannot.
pub type StoreBackup = dyn Fn(&Backup) -> Result<(), String> + Send + Sync;

/// Stores a [`Backup`]. Called in the probe's thread before anything is erased or written; after an error nothing is.
#[derive(Clone)]
pub struct Keep(pub Arc<StoreBackup>);

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keep")
    }
}

/// The wanted content of the module, and what is permitted to achieve it.
#[derive(Debug, Clone, Default)]
pub struct ProgramJob {
    pub images: Vec<Image>,
    pub uicr: Vec<UicrWord>,
    /// Pages outside the images are erased too, and so is UICR.
    pub erase_rest: bool,
    /// Allows erasing a module whose access port is locked.
    pub recover_locked: bool,
    /// Locks the access port at the end. Only erasing the module unlocks it.
    pub lock: bool,
    /// Stores what the job replaces, before it does. Not called when nothing is replaced.
    pub keep: Option<Keep>,
    /// UICR holds only the words of `uicr` afterwards.
    pub only_uicr: bool,
    /// FICR.DEVICEID of the one module that this job is for.
    pub device_id: Option<u64>,
}

/// Result of a [`ProgramJob`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programmed {
    /// Kind and serial number of the probe.
    pub probe: String,
    /// FICR.DEVICEID of the MCU.
    pub device_id: u64,
    /// Bytes of images that were written.
    pub written: u64,
    /// Bytes of images that were already there.
    pub kept: u64,
    /// Words of UICR that were written.
    pub uicr_written: u32,
    /// The module was locked, and was erased for that reason.
    pub recovered: bool,
    /// Everything was read back and is correct.
    pub verified: bool,
}

/// Phase of programming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramPhase {
    Compare,
    Erase,
    Write,
    Verify,
}

impl fmt::Display for ProgramPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProgramPhase::Compare => "comparing",
            ProgramPhase::Erase => "erasing",
            ProgramPhase::Write => "writing",
            ProgramPhase::Verify => "verifying",
        })
    }
}

/// Progress of programming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramProgress {
    pub phase: ProgramPhase,
    /// Bytes.
    pub done: u64,
    pub total: u64,
}

/// Receives the progress of programming.
pub type ProgramObserver<'a> = &'a dyn Fn(ProgramProgress);

/// Programming failed. [`ProgramError::is_of_module`] separates faults of the module from those of the bench.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProgramError {
    #[error("no debug probe{wanted}: plug it in, or name the right one ({seen})")]
    NoProbe { wanted: String, seen: String },
    #[error("more than one debug probe is meant: name the nest's own by its serial number ({seen})")]
    Ambiguous { seen: String },
    #[error("the debug probe {probe} may not be used: the system's rules (udev) must allow it to this user")]
    Denied { probe: String },
    #[error("the debug probe {probe} is busy: {with}")]
    Busy { probe: String, with: String },
    #[error("the debug probe failed: {0}: unplug it, plug it in again")]
    Probe(String),
    /// The cause is a dead MCU or an open line.
    #[error("the MCU does not answer the debug probe")]
    NoAnswer,
    #[error("the connection to the MCU was lost {during}: check pogo pins and cable of SWDIO and SWDCLK")]
    Lost { during: String },
    #[error("not finished after {0} s of programming: check the debug probe")]
    Late(u64),
    #[error("the debug probe's software failed: {0}: check the probe's cable, unplug the probe and plug it in again")]
    Broken(String),
    #[error("what is on the module cannot be stored, so nothing was written: {0}")]
    NotKept(String),
    #[error("another module is connected: its MCU is {found:016x}, and this is for {expected:016x}")]
    OtherModule { found: u64, expected: u64 },
    #[error("the image {name} does not fit: {why}")]
    Image { name: String, why: String },

    #[error("the MCU is locked (APPROTECT), and the plan does not allow to erase it: `recover_locked = true` does")]
    Locked,
    #[error("the MCU stays locked although it was erased")]
    StaysLocked,
    #[error("the MCU is another one: part {found:#x} instead of {expected:#x}")]
    OtherPart { found: u32, expected: u32 },
    #[error("flash page {address:#010x} cannot be {what}: {detail}")]
    Page { address: u32, what: &'static str, detail: String },
    #[error("flash at {address:#010x} reads {read:#010x} instead of {expected:#010x} after writing: bad flash")]
    Flash { address: u32, expected: u32, read: u32 },
    #[error("UICR at {address:#010x} reads {read:#010x} instead of {expected:#010x} after writing")]
    Uicr { address: u32, expected: u32, read: u32 },
    #[error("the MCU did not do what the probe asked: {0}")]
    Core(String),
}

impl ProgramError {
    /// Whether the module is bad. All other errors are caused by the bench, or may be.
    pub fn is_of_module(&self) -> bool {
        match self {
            ProgramError::Locked
            | ProgramError::StaysLocked
            | ProgramError::OtherPart { .. }
            | ProgramError::Page { .. }
            | ProgramError::Flash { .. }
            | ProgramError::Uicr { .. }
            | ProgramError::Core(_) => true,
            ProgramError::NoProbe { .. }
            | ProgramError::Ambiguous { .. }
            | ProgramError::Denied { .. }
            | ProgramError::Busy { .. }
            | ProgramError::Probe(_)
            | ProgramError::NoAnswer
            | ProgramError::Lost { .. }
            | ProgramError::Late(_)
            | ProgramError::Broken(_)
            | ProgramError::NotKept(_)
            | ProgramError::OtherModule { .. }
            | ProgramError::Image { .. } => false,
        }
    }
}

/// The debug probe of a nest.
#[async_trait(?Send)]
pub trait Programmer {
    /// Writes what the job specifies into the module and starts it. Only differences are written; everything is read
    /// back.
    ///
    /// Dropping the future cancels the job: its next transfer is refused, and the probe releases the module.
    async fn program(&self, job: ProgramJob, observer: ProgramObserver<'_>) -> Result<Programmed, ProgramError>;

    /// Waits for the end of a cancelled job. Returns whether the probe is idle.
    ///
    /// Await it before the module's power is cut, so that no transfer is active at that moment.
    async fn ended(&self, _within: Duration) -> bool {
        true
    }
}
