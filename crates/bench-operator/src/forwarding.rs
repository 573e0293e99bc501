//! What `bench sync` has not been able to send, if it runs at this station: a small sign, and nobody's business here.

use super::input::Input;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Between two looks at the outbox.
const LOOK: Duration = Duration::from_secs(10);

/// Tells how many runs wait, whenever that changes, from a thread of its own until nobody listens any more.
///
/// # Errors
/// When the system has no thread to give.
pub(super) fn listen(reports: &Path, sender: Sender<Input>) -> std::io::Result<()> {
    let (store, outbox) = (bench_store::default_store(reports), bench_sync::default_outbox(reports));
    let body = move || {
        let mut told = 0;
        loop {
            // Without an outbox nobody forwards anything; what cannot be read now can be read later.
            let waiting = match outbox.is_file().then(|| bench_sync::state(&store, &outbox)) {
                Some(Ok(state)) => state.waiting,
                Some(Err(_)) => told,
                None => 0,
            };
            if waiting != told && sender.send(Input::Waiting(waiting)).is_err() {
                return;
            }
            told = waiting;
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name("forwarding".to_owned()).spawn(body).map(drop)
}
