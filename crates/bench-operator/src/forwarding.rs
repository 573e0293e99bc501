//! Counts the runs that `bench sync` could not send yet, if it runs at this station.

use super::input::Input;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Between two checks of the outbox.
const LOOK: Duration = Duration::from_secs(10);

/// Reports how many runs wait, whenever that changes, in its own thread until the receiver is gone.
///
/// # Errors
/// When the system cannot start a thread.
pub(super) fn listen(reports: &Path, sender: Sender<Input>) -> std::io::Result<()> {
    let (store, outbox) = (bench_store::default_store(reports), bench_sync::default_outbox(reports));
    let body = move || {
        let mut shown = 0;
        loop {
            // Without an outbox nothing is forwarded; what cannot be read now can be read later.
            let waiting = match outbox.is_file().then(|| bench_sync::state(&store, &outbox)) {
                Some(Ok(state)) => state.waiting,
                Some(Err(_)) => shown,
                None => 0,
            };
            if waiting != shown && sender.send(Input::Waiting(waiting)).is_err() {
                return;
            }
            shown = waiting;
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name("forwarding".to_owned()).spawn(body).map(drop)
}
