//! The lamps of the nests. Buttons and lids come as [`super::input::Input`], from their readers.

use super::nest::Lamp;
use bench_instruments::Panel;
use bench_real::Hand;

/// Shows the state of a nest away from the screen.
pub trait Lamps {
    /// # Errors
    /// Why the lamp cannot be switched; the test continues without it.
    fn show(&mut self, nest: usize, lamp: Lamp) -> Result<(), String>;
}

/// The lamps of a real fixture; a lamp that is not fitted is ignored.
pub struct RealLamps(Vec<Panel>);

impl RealLamps {
    /// Those of the nests, in their order.
    pub fn of(hands: &[Hand]) -> RealLamps {
        RealLamps(hands.iter().map(Hand::panel).collect())
    }
}

impl Lamps for RealLamps {
    fn show(&mut self, nest: usize, lamp: Lamp) -> Result<(), String> {
        let name = match lamp {
            Lamp::Dark | Lamp::Waiting => "",
            Lamp::Running => "busy",
            Lamp::Pass => "pass",
            Lamp::Fail => "fail",
            Lamp::Trouble => "error",
        };
        let shown = self.0.get(nest).map_or(Ok(()), |panel| panel.show(name));
        shown.map_err(|error| format!("the lamps of nest {}: {error}", nest + 1))
    }
}

/// The virtual bench has the screen only.
pub struct NoLamps;

impl Lamps for NoLamps {
    fn show(&mut self, _: usize, _: Lamp) -> Result<(), String> {
        Ok(())
    }
}
