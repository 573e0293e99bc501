//! The controller's own pins: what the operator's hand reaches, and the watchdog that holds the rails.

use crate::InstrumentError;
use std::collections::BTreeMap;
use std::rc::Rc;

/// An input of the controller.
pub trait InputLine {
    /// Whether the line has the level that its fixture file calls active.
    ///
    /// # Errors
    /// [`InstrumentError::Gpio`] when the controller cannot tell.
    fn is_active(&self) -> Result<bool, InstrumentError>;
}

/// An output of the controller. Dropping it leaves the line as an input, which is the safe state of every one.
pub trait OutputLine {
    /// # Errors
    /// [`InstrumentError::Gpio`] when the controller refuses.
    fn set(&self, active: bool) -> Result<(), InstrumentError>;
}

/// What is known of the process that holds the rails of a nest next to the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardState {
    Alive,
    /// It has switched everything off, and why.
    Acted(String),
    /// It is gone or does not answer, and what is known of that.
    Gone(String),
}

/// The guard of a nest, as the run sees it.
pub trait GuardLine {
    fn state(&self) -> GuardState;
}

/// The lid, the buttons and the lamps of one nest. A nest without one of them has `None` there.
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
    /// Each change of it is a kick of the fixture's watchdog; without kicks that cuts the rails.
    pub watchdog: Option<Rc<dyn OutputLine>>,
    /// Who switches everything off when the run does not get round to it.
    pub guard: Option<Rc<dyn GuardLine>>,
}

impl Panel {
    /// Lights this lamp and puts out the others; a name that the fixture does not have puts out all.
    ///
    /// # Errors
    /// The first line that refused, after all were tried.
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
    fn one_lamp_is_lit_and_a_broken_one_hinders_no_other() {
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
            assert!(panel.show(shown).is_err(), "the broken one is told");
            assert_eq!([busy.lit.get(), fail.lit.get(), pass.lit.get()], expected, "{shown}");
        }
    }
}
