use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// As they were; dropping this restores them: a run may end while a line is being typed.
pub(crate) struct Settings(Option<Termios>);

impl Settings {
    pub(crate) fn now() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            // A terminal that is gone needs no settings.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, settings);
        }
    }
}
