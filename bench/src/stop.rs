//! Requests from outside to end the run: Ctrl-C, SIGTERM, SIGHUP, or a test.

use std::future::Future;
use std::pin::Pin;

/// Ends with the reason when the run is to stop.
pub struct Stop(Pin<Box<dyn Future<Output = String>>>);

impl Stop {
    /// Never.
    pub fn never() -> Self {
        Self(Box::pin(std::future::pending()))
    }

    /// When this future ends.
    pub fn when(future: impl Future<Output = String> + 'static) -> Self {
        Self(Box::pin(future))
    }

    /// At the first of the signals that ask a program to end. Later ones are swallowed: the rails are being switched
    /// off already, and nothing may interrupt that.
    ///
    /// # Errors
    /// When the operating system refuses the handlers.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        Ok(Self::when(async move {
            let name = tokio::select! {
                _ = interrupt.recv() => "Ctrl-C",
                _ = terminate.recv() => "SIGTERM",
                _ = hang_up.recv() => "SIGHUP",
            };
            format!("stopped by {name}")
        }))
    }

    pub(crate) fn requested(self) -> Pin<Box<dyn Future<Output = String>>> {
        self.0
    }
}
