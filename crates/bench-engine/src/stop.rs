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

    /// At the first of the signals that ask a program to end, in order; at the second one at once, whatever that does to a modem
    /// that is on. They are heard by a thread of their own, which also ends the program when even that does not help: at a third
    /// signal, or when the rest of the program hangs. Guard and watchdog switch off then. `say` hears about it.
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

/// After the order to cut the power at once, the rest of the program gets so long. It needs a tenth of a second.
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
