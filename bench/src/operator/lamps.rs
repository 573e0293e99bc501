//! The lamps of the nests. Buttons and lids come as [`super::input::Input`], from whoever reads them.

use super::nest::Lamp;

/// Shows what a nest does to people who do not look at the screen.
pub(crate) trait Lamps {
    /// # Errors
    /// In words, when the lamp cannot be switched; the test goes on without it.
    fn show(&mut self, nest: usize, lamp: Lamp) -> Result<(), String>;
}

/// The virtual bench has the screen only.
pub(crate) struct NoLamps;

impl Lamps for NoLamps {
    fn show(&mut self, _: usize, _: Lamp) -> Result<(), String> {
        Ok(())
    }
}
