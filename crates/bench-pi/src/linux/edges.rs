//! Edges with the time stamps of the kernel's interrupt handler.

use bench_instruments::{Edge, EdgeLine, EdgeTrace, InstrumentError, MOST_EDGES};
use rppal::gpio::{Event, InputPin, Trigger};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the kernel's last events may take to arrive after the end of the recording.
const LATE: Duration = Duration::from_millis(2);

/// An input whose level changes are recorded.
pub struct PiEdgeLine {
    gpio: u8,
    pin: RefCell<InputPin>,
    trace: Arc<Mutex<EdgeTrace>>,
}

impl PiEdgeLine {
    pub(super) fn new(pin: InputPin, gpio: u8) -> Self {
        Self { gpio, pin: RefCell::new(pin), trace: Arc::default() }
    }

    fn failed(&self, what: &str, error: &rppal::gpio::Error) -> InstrumentError {
        InstrumentError::Gpio(format!("GPIO {}: cannot {what} for edges: {error}", self.gpio))
    }
}

impl EdgeLine for PiEdgeLine {
    fn begin(&self) -> Result<(), InstrumentError> {
        let mut pin = self.pin.borrow_mut();
        let high_before = pin.is_high();
        *self.trace.lock().unwrap_or_else(PoisonError::into_inner) = EdgeTrace { high_before, edges: Vec::new() };
        let trace = Arc::clone(&self.trace);
        let record = move |event: Event| {
            let edges = &mut trace.lock().unwrap_or_else(PoisonError::into_inner).edges;
            if edges.len() < MOST_EDGES {
                // Since the kernel started: the same clock for all edges.
                let at_ns = u64::try_from(event.timestamp.as_nanos()).unwrap_or(u64::MAX);
                edges.push(Edge { at_ns, rising: event.trigger == Trigger::RisingEdge });
            }
        };
        pin.set_async_interrupt(Trigger::Both, None, record).map_err(|error| self.failed("listen", &error))
    }

    fn end(&self) -> Result<EdgeTrace, InstrumentError> {
        // The recording thread reads the kernel's queue; events still in the queue belong to the window.
        std::thread::sleep(LATE);
        let stopped = self.pin.borrow_mut().clear_async_interrupt();
        stopped.map_err(|error| self.failed("stop listening", &error))?;
        Ok(std::mem::take(&mut *self.trace.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
