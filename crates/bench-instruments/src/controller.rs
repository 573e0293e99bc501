//! What the controller itself is busy with: why the bench was late.

use std::time::Duration;

/// Counters since the program began; two of them, from before and after a delay, say what it was spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadSample {
    /// The run's thread was ready and other threads had the processors.
    pub waited_for_processor: Duration,
    /// The run's thread computed.
    pub computed: Duration,
    /// Pages of the program that had to be read from the disk.
    pub page_reads: u64,
}

/// The counters of a controller.
pub trait ControllerLoad {
    /// `None` where the system does not say.
    fn sample(&self) -> Option<LoadSample>;
}

/// A controller that does not say.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnknownLoad;

impl ControllerLoad for UnknownLoad {
    fn sample(&self) -> Option<LoadSample> {
        None
    }
}
