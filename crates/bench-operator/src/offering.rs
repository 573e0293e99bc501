//! Offers the records of runs to the station's program, next to the tests.

use super::input::Input;
use bench_hooks::{Delivery, StationHooks};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Between two looks for records that wait.
const LOOK: Duration = Duration::from_secs(2);
/// Between two tries of records that were not taken.
const AGAIN: Duration = Duration::from_secs(30);

/// Offers what waits in its own thread, until the receiver is gone. Reports trouble once, until it changes.
///
/// # Errors
/// When the system cannot start a thread.
pub(super) fn listen(hooks: Arc<StationHooks>, reports: &Path, sender: Sender<Input>) -> std::io::Result<()> {
    if !hooks.has_after() {
        return Ok(());
    }
    let reports = reports.to_owned();
    let body = move || {
        let mut last = None;
        loop {
            let Delivery { trouble, .. } = hooks.deliver(&reports);
            let pause = if trouble.is_some() { AGAIN } else { LOOK };
            if trouble != last
                && let Some(text) = &trouble
                && sender.send(Input::Trouble(text.clone())).is_err()
            {
                return;
            }
            last = trouble;
            std::thread::sleep(pause);
        }
    };
    std::thread::Builder::new().name("hooks".to_owned()).spawn(body).map(drop)
}
