//! Requests from outside to end the run: Ctrl-C, SIGTERM, SIGHUP, or a test.

use futures_util::future::select;
use std::future::Future;
use std::pin::Pin;
use tokio::sync::watch;

type Wait<T> = Pin<Box<dyn Future<Output = T>>>;

/// Ends with the reason when the run is to stop.
pub struct Stop {
    requested: Wait<String>,
    /// Ends when nothing may be waited for any more on the way to the safe state.
    at_once: Wait<()>,
}

impl Stop {
    /// Never.
    pub fn never() -> Self {
        Self::when(std::future::pending())
    }

    /// When this future ends.
    pub fn when(future: impl Future<Output = String> + 'static) -> Self {
        Self { requested: Box::pin(future), at_once: Box::pin(std::future::pending()) }
    }

    /// A stop, and the handle by which another thread orders it.
    pub fn by_handle() -> (StopHandle, Self) {
        let (sender, receiver) = watch::channel(Wanted::GoOn);
        let (mut orders, mut urgent) = (receiver.clone(), receiver);
        let requested = async move {
            // A handle that went away asks for nothing any more.
            match orders.wait_for(|wanted| !matches!(wanted, Wanted::GoOn)).await.as_deref() {
                Ok(Wanted::Stop(reason) | Wanted::AtOnce(reason)) => reason.clone(),
                Ok(Wanted::GoOn) | Err(_) => std::future::pending().await,
            }
        };
        let at_once = async move {
            if urgent.wait_for(|wanted| matches!(wanted, Wanted::AtOnce(_))).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let stop = Self { requested: Box::pin(requested), at_once: Box::pin(at_once) };
        (StopHandle(sender), stop)
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

    /// Also when what `event` makes ends, and then nothing may be waited for either. It is made twice: the way to the safe
    /// state looks for itself.
    #[must_use]
    pub fn or_at_once<F: Future<Output = String> + 'static>(self, event: impl Fn() -> F) -> Self {
        let (first, second) = (Box::pin(event()), Box::pin(event()));
        let Self { requested, at_once } = self;
        Self {
            requested: Box::pin(async move { select(requested, first).await.factor_first().0 }),
            at_once: Box::pin(async move {
                select(at_once, second).await;
            }),
        }
    }

    /// When to stop, and when to stop waiting for anything.
    pub fn split(self) -> (Wait<String>, Wait<()>) {
        (self.requested, self.at_once)
    }
}

enum Wanted {
    GoOn,
    Stop(String),
    AtOnce(String),
}

/// Orders the end of a run from another thread. Dropping it orders nothing.
pub struct StopHandle(watch::Sender<Wanted>);

impl StopHandle {
    /// The run ends, and everything is switched off in order: a modem in its own time.
    pub fn stop(&self, reason: &str) {
        self.0.send_if_modified(|wanted| {
            let first = matches!(wanted, Wanted::GoOn);
            if first {
                *wanted = Wanted::Stop(reason.to_owned());
            }
            first
        });
    }

    /// The rails go off now, whatever that does to a modem that is on. Also after [`StopHandle::stop`].
    pub fn stop_at_once(&self, reason: &str) {
        self.0.send_replace(Wanted::AtOnce(reason.to_owned()));
    }
}
