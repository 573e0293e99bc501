//! Requests from outside to end the run: a signal, another thread, or a test.

use crate::signals::Signals;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::watch;

type Wait<T> = Pin<Box<dyn Future<Output = T>>>;

/// Ends with the reason when the run is to stop.
pub struct Stop {
    requested: Wait<String>,
    /// Ends when the way to the safe state may no longer wait for anything.
    at_once: Wait<()>,
}

impl Stop {
    /// Never stops the run.
    pub fn never() -> Self {
        Self::when(std::future::pending())
    }

    /// Stops the run when `future` ends, with the reason that it returns.
    pub fn when(future: impl Future<Output = String> + 'static) -> Self {
        Self { requested: Box::pin(future), at_once: Box::pin(std::future::pending()) }
    }

    /// The same, which waits for nothing any more from the end of `at_once` on.
    #[must_use]
    pub fn and_at_once(self, at_once: impl Future<Output = ()> + 'static) -> Self {
        Self { at_once: Box::pin(at_once), ..self }
    }

    /// Makes a stop, and the handle with which another thread orders it.
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

    /// Stops in order at the first signal that asks the program to end, and at once at the second, even if that damages a
    /// modem that is on. A separate thread receives the signals. It ends the program at a third signal, or when the rest of
    /// the program hangs; guard and watchdog then switch the rails off. Before it ends the program, it calls `say`.
    ///
    /// # Errors
    /// When the operating system refuses the handlers or the thread.
    pub fn on_signals(say: fn(&str)) -> std::io::Result<Self> {
        let (order, stop) = Self::by_handle();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let listen = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error))),
            };
            runtime.block_on(async {
                match Signals::new() {
                    Ok(signals) => {
                        let _ = ready.send(Ok(()));
                        obey(signals, &order, say).await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
        is_ready.recv().map_err(std::io::Error::other)??;
        Ok(stop)
    }

    /// When to stop, and when to stop waiting for anything.
    pub fn split(self) -> (Wait<String>, Wait<()>) {
        (self.requested, self.at_once)
    }
}

/// How long the rest of the program may take after the order to cut the power. It needs a tenth of a second.
const LAST_RESORT: Duration = Duration::from_secs(30);
/// Exit code of an error of the bench.
const EXIT_HUNG: i32 = 2;

async fn obey(mut signals: Signals, order: &StopHandle, say: fn(&str)) {
    let first = signals.next().await;
    order.stop(&format!("stopped by {first}"));
    let second = signals.next().await;
    order.stop_at_once(&format!("stopped at once by a second signal, {second}"));
    let third = tokio::time::timeout(LAST_RESORT, signals.next()).await;
    say(match third {
        Ok(_) => "ended by a third signal: guard and watchdog switch the fixture off; make sure that they did",
        Err(_) => "the bench hangs: it ends, and guard and watchdog switch the fixture off; make sure that they did",
    });
    std::process::exit(EXIT_HUNG);
}

enum Wanted {
    GoOn,
    Stop(String),
    AtOnce(String),
}

/// Orders the end of a run from another thread. Dropping it orders nothing.
pub struct StopHandle(watch::Sender<Wanted>);

impl StopHandle {
    /// Ends the run and switches everything off in order, the modem in its own time.
    pub fn stop(&self, reason: &str) {
        self.0.send_if_modified(|wanted| {
            let first = matches!(wanted, Wanted::GoOn);
            if first {
                *wanted = Wanted::Stop(reason.to_owned());
            }
            first
        });
    }

    /// Switches the rails off now, even if that damages a modem that is on. Works after [`StopHandle::stop`], too.
    pub fn stop_at_once(&self, reason: &str) {
        self.0.send_replace(Wanted::AtOnce(reason.to_owned()));
    }
}
