//! The controller's own pins: the operator's buttons and lamps, and the watchdog that holds the rails.

use crate::InstrumentError;
use std::collections::BTreeMap;
use std::rc::Rc;

/// An input of the controller.
pub trait InputLine {
    /// Whether the line has the level that the fixture file defines as active.
    ///
    /// # Errors
    /// [`InstrumentError::Gpio`] when the controller cannot read it.
    fn is_active(&self) -> Result<bool, InstrumentError>;
}

/// An output of the controller. Dropping it makes the line an input, which is its safe state.
pub trait OutputLine {
    /// # Errors
    /// [`InstrumentError::Gpio`] when the controller refuses.
    fn set(&self, active: bool) -> Result<(), InstrumentError>;
}

/// State of the guard process, which holds the rails of a nest next to the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardState {
    Alive,
    /// It has switched everything off, with the reason.
    Acted(String),
    /// It has ended or does not answer, with what is known about it.
    Gone(String),
}

/// The guard of a nest, as the run sees it.
pub trait GuardLine {
    fn state(&self) -> GuardState;
}

/// The lid, the buttons and the lamps of one nest; `None` for those it does not have.
#[derive(Clone, Default)]
pub struct Panel {
    /// Active while the lid is closed.
    pub lid: Option<Rc<dyn InputLine>>,
    /// Active while the button is pressed.
    pub start: Option<Rc<dyn InputLine>>,
    /// Active while the emergency stop is pressed.
    pub emergency: Option<Rc<dyn InputLine>>,
    /// By their names in the fixture file: "pass", "fail", "busy", "error".
    pub lamps: BTreeMap<String, Rc<dyn OutputLine>>,
    /// Each change kicks the fixture's watchdog; without kicks it switches the rails off.
    pub watchdog: Option<Rc<dyn OutputLine>>,
    /// Switches everything off when the run cannot.
    pub guard: Option<Rc<dyn GuardLine>>,
}

impl Panel {
    /// Lights this lamp and switches the others off; an unknown name switches all off.
    ///
    /// # Errors
    /// The first error, after all lines were tried.
    pub fn show(&self, lamp: &str) -> Result<(), InstrumentError> {
        let set = |(name, line): (&String, &Rc<dyn OutputLine>)| line.set(name == lamp);
        self.lamps.iter().map(set).fold(Ok(()), Result::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[derive(Default)]
    struct Lamp {
        lit: Cell<Option<bool>>,
        broken: bool,
    }

    impl OutputLine for Lamp {
        fn set(&self, active: bool) -> Result<(), InstrumentError> {
            self.lit.set(Some(active));
            if self.broken { Err(InstrumentError::Gpio("GPIO 23: broken".into())) } else { Ok(()) }
        }
    }

    #[test]
    fn one_lamp_is_lit_and_a_broken_one_affects_no_other() {
        let lamp = |broken| Rc::new(Lamp { broken, ..Lamp::default() });
        let (busy, fail, pass) = (lamp(false), lamp(true), lamp(false));
        let mut panel = Panel::default();
        for (name, line) in [("busy", &busy), ("fail", &fail), ("pass", &pass)] {
            panel.lamps.insert(name.to_owned(), Rc::clone(line) as Rc<dyn OutputLine>);
        }
        for (shown, expected) in [
            ("pass", [Some(false), Some(false), Some(true)]),
            ("busy", [Some(true), Some(false), Some(false)]),
            ("", [Some(false), Some(false), Some(false)]),
        ] {
            assert!(panel.show(shown).is_err(), "the broken lamp is reported");
            assert_eq!([busy.lit.get(), fail.lit.get(), pass.lit.get()], expected, "{shown}");
        }
    }
}
