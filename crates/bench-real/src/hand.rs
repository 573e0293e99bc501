//! What the operator's hand reaches at a nest: the lid, the start button, the emergency stop and the lamps. They are taken once for a shift, and
//! shared between the screen, which checks them all the time, and the active run.

use bench_instruments::{InputLine, InstrumentError, OutputLine, Panel};
use bench_pi::{PiGpio, PiInput, PiOutput};
use bench_plan::StationNest;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// Clones share the lines.
#[derive(Clone, Default)]
pub struct Hand {
    lid: Option<Arc<Mutex<PiInput>>>,
    start: Option<Arc<Mutex<PiInput>>>,
    emergency: Option<Arc<Mutex<PiInput>>>,
    lamps: BTreeMap<String, Arc<Mutex<PiOutput>>>,
}

struct Shared<L>(Arc<Mutex<L>>);

impl<L: InputLine> InputLine for Shared<L> {
    fn is_active(&self) -> Result<bool, InstrumentError> {
        // A thread that fell over while it held the line has not changed it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_active()
    }
}

impl<L: OutputLine> OutputLine for Shared<L> {
    fn set(&self, active: bool) -> Result<(), InstrumentError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).set(active)
    }
}

impl Hand {
    /// # Errors
    /// Names the first pin that is not to be had.
    pub fn take(gpio: &PiGpio, nest: &StationNest) -> Result<Hand, InstrumentError> {
        let input = |line| gpio.input(line).map(|line| Arc::new(Mutex::new(line)));
        let lamp = |(name, line): (&String, &bench_plan::GpioLine)| {
            Ok((name.clone(), Arc::new(Mutex::new(gpio.output(*line)?))))
        };
        Ok(Hand {
            lid: nest.lid.map(input).transpose()?,
            start: nest.start.map(input).transpose()?,
            emergency: nest.emergency.map(input).transpose()?,
            lamps: nest.lamps.iter().map(lamp).collect::<Result<_, InstrumentError>>()?,
        })
    }

    /// The same lines for one thread; without a watchdog, which is the run's own.
    pub fn panel(&self) -> Panel {
        let input = |line: &Arc<Mutex<PiInput>>| Rc::new(Shared(Arc::clone(line))) as Rc<dyn InputLine>;
        let output = |(name, line): (&String, &Arc<Mutex<PiOutput>>)| {
            (name.clone(), Rc::new(Shared(Arc::clone(line))) as Rc<dyn OutputLine>)
        };
        Panel {
            lid: self.lid.as_ref().map(input),
            start: self.start.as_ref().map(input),
            emergency: self.emergency.as_ref().map(input),
            lamps: self.lamps.iter().map(output).collect(),
            watchdog: None,
            guard: None,
        }
    }
}
