//! Lids, start buttons and emergency stops of a real fixture.

use super::input::Input;
use bench_instruments::{InputLine, InstrumentError, Panel};
use bench_real::Hand;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Time between two checks; a contact that bounces is stable after two.
const LOOK: Duration = Duration::from_millis(20);

/// A line that may bounce.
#[derive(Debug, Default)]
struct Debounced {
    last: Option<bool>,
    stable: Option<bool>,
}

impl Debounced {
    /// Returns the stable state of the line when it has changed.
    fn look(&mut self, active: bool) -> Option<bool> {
        let settled = self.last.replace(active) == Some(active);
        (settled && self.stable.replace(active) != Some(active)).then_some(active)
    }
}

/// An emergency stop that counts as pressed at its first contact, and as released once the line is stable.
#[derive(Debug, Default)]
struct EmergencyStop {
    pressed: bool,
    released: Debounced,
}

impl EmergencyStop {
    fn look(&mut self, active: bool) -> Option<bool> {
        let settled = self.released.look(active);
        let pressed = if active { true } else { settled.unwrap_or(self.pressed) };
        (std::mem::replace(&mut self.pressed, pressed) != pressed).then_some(pressed)
    }
}

/// Lid and buttons of one nest.
#[derive(Debug, Default)]
struct Watched {
    lid: Debounced,
    start: Debounced,
    emergency: EmergencyStop,
    /// A line that cannot be read was reported.
    reported: bool,
}

impl Watched {
    fn look(&mut self, nest: usize, panel: &Panel) -> Vec<Input> {
        let mut seen = Vec::new();
        let level = |line: &Option<std::rc::Rc<dyn InputLine>>| line.as_ref().map(|line| line.is_active()).transpose();
        // First, and whatever becomes of the other lines.
        let emergency = level(&panel.emergency).map(|level| level.and_then(|pressed| self.emergency.look(pressed)));
        if let Ok(Some(pressed)) = emergency {
            seen.push(Input::Emergency { nest, pressed });
        }
        match emergency.and(self.both(level(&panel.lid), level(&panel.start))) {
            Ok((lid, start)) => {
                seen.extend(lid.map(|closed| Input::Lid { nest, closed }));
                // The lid first: the button counts for what it is then.
                seen.extend((start == Some(true)).then_some(Input::StartButton(nest)));
            }
            Err(error) if !self.reported => {
                self.reported = true;
                seen.push(Input::Trouble(format!("nest {}: {error}", nest + 1)));
            }
            Err(_) => {}
        }
        seen
    }

    fn both(
        &mut self,
        lid: Result<Option<bool>, InstrumentError>,
        start: Result<Option<bool>, InstrumentError>,
    ) -> Result<(Option<bool>, Option<bool>), InstrumentError> {
        let (lid, start) = (lid?, start?);
        Ok((lid.and_then(|level| self.lid.look(level)), start.and_then(|level| self.start.look(level))))
    }
}

/// Watches lids and buttons in its own thread until the receiver is gone. Virtual nests have none.
///
/// # Errors
/// When the system cannot start a thread.
pub(super) fn listen(hands: Vec<Hand>, sender: Sender<Input>) -> std::io::Result<()> {
    if hands.is_empty() {
        return Ok(());
    }
    let body = move || {
        let panels: Vec<Panel> = hands.iter().map(Hand::panel).collect();
        let mut watched: Vec<Watched> = panels.iter().map(|_| Watched::default()).collect();
        loop {
            for (nest, (panel, watched)) in panels.iter().zip(&mut watched).enumerate() {
                for input in watched.look(nest, panel) {
                    if sender.send(input).is_err() {
                        return;
                    }
                }
            }
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name("buttons".to_owned()).spawn(body).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bouncing_contact_is_one_event() {
        for (levels, events) in [
            ("0011", vec![false, true]),
            ("00101011", vec![false, true]),
            ("0000", vec![false]),
            ("01010", vec![]),
            ("110011", vec![true, false, true]),
        ] {
            let mut line = Debounced::default();
            let seen: Vec<bool> = levels.chars().filter_map(|level| line.look(level == '1')).collect();
            assert_eq!(seen, events, "{levels}");
        }
    }

    #[test]
    fn an_emergency_stop_acts_at_its_first_contact() {
        for (levels, events) in [
            ("0000", vec![]),
            ("01", vec![true]),
            ("1", vec![true]),
            ("0101011", vec![true]),
            ("01111010100", vec![true, false]),
            ("010010", vec![true, false, true]),
        ] {
            let mut stop = EmergencyStop::default();
            let seen: Vec<bool> = levels.chars().filter_map(|level| stop.look(level == '1')).collect();
            assert_eq!(seen, events, "{levels}");
        }
    }
}
