//! Lids and start buttons of a real fixture.

use super::input::Input;
use bench_instruments::{InputLine, InstrumentError, Panel};
use bench_real::Hand;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Between two looks; a contact that bounces has come to rest after two.
const LOOK: Duration = Duration::from_millis(20);

/// A line that may bounce.
#[derive(Debug, Default)]
struct Debounced {
    last: Option<bool>,
    stable: Option<bool>,
}

impl Debounced {
    /// What the line has come to, when that is news.
    fn look(&mut self, active: bool) -> Option<bool> {
        let settled = self.last.replace(active) == Some(active);
        (settled && self.stable.replace(active) != Some(active)).then_some(active)
    }
}

/// Lid and button of one nest.
#[derive(Debug, Default)]
struct Watched {
    lid: Debounced,
    start: Debounced,
    /// A line that cannot be read was told.
    told: bool,
}

impl Watched {
    fn look(&mut self, nest: usize, panel: &Panel) -> Vec<Input> {
        let mut seen = Vec::new();
        let level = |line: &Option<std::rc::Rc<dyn InputLine>>| line.as_ref().map(|line| line.is_active()).transpose();
        match self.both(level(&panel.lid), level(&panel.start)) {
            Ok((lid, start)) => {
                seen.extend(lid.map(|closed| Input::Lid { nest, closed }));
                // The lid first: the button counts for what it is then.
                seen.extend((start == Some(true)).then_some(Input::StartButton(nest)));
            }
            Err(error) if !self.told => {
                self.told = true;
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

/// Watches them in a thread of its own until nobody listens any more. Virtual nests have none.
///
/// # Errors
/// When the system has no thread to give.
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
}
