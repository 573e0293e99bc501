//! The controller's own load: why the bench was late.

use std::time::Duration;

/// Counters since the program began. The difference of two, from before and after a delay, shows its cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadSample {
    /// Time in which the run's thread was ready but other threads had the processors.
    pub waited_for_processor: Duration,
    /// Time in which the run's thread computed.
    pub computed: Duration,
    /// Pages of the program that were read from the disk.
    pub page_reads: u64,
}

/// The counters of a controller.
pub trait ControllerLoad {
    /// `None` where the system does not provide them.
    fn sample(&self) -> Option<LoadSample>;
}

/// A controller without counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnknownLoad;

impl ControllerLoad for UnknownLoad {
    fn sample(&self) -> Option<LoadSample> {
        None
    }
}
