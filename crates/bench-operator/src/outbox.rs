//! Writes to the terminal in a thread of its own: a terminal that accepts no more output (a connection that hangs) must
//! not block the thread that handles keys, signals and nests.

use std::cell::RefCell;
use std::io::{self, Write, stdout};
use std::rc::Rc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Buffer in which a picture is composed.
#[derive(Clone, Default)]
pub(super) struct Pen(Rc<RefCell<Vec<u8>>>);

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Status {
    busy: bool,
    failed: Option<io::Error>,
}

#[derive(Default)]
struct Shared {
    status: Mutex<Status>,
    changed: Condvar,
}

/// The way to the terminal.
pub(super) struct Outbox {
    pub pen: Pen,
    writer: SyncSender<Vec<u8>>,
    shared: Arc<Shared>,
}

impl Outbox {
    /// # Errors
    /// When the system cannot start a thread.
    pub(super) fn open() -> io::Result<Self> {
        let (writer, pictures) = sync_channel::<Vec<u8>>(1);
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let body = move || {
            for picture in pictures {
                let mut out = stdout().lock();
                let result = out.write_all(&picture).and_then(|()| out.flush());
                let mut status = own.status.lock().unwrap_or_else(PoisonError::into_inner);
                status.busy = false;
                status.failed = status.failed.take().or(result.err());
                own.changed.notify_all();
            }
        };
        std::thread::Builder::new().name("terminal".to_owned()).spawn(body)?;
        Ok(Self { pen: Pen::default(), writer, shared })
    }

    /// Whether the terminal has taken everything so far. While it has not, nothing is drawn: what it shows is then behind,
    /// but never wrong.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(super) fn is_ready(&self) -> io::Result<bool> {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        match &status.failed {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(!status.busy),
        }
    }

    /// Sends what the pen has written. Only when [`is_ready`](Self::is_ready).
    pub(super) fn send(&self) {
        let picture = std::mem::take(&mut *self.pen.0.borrow_mut());
        if picture.is_empty() {
            return;
        }
        self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).busy = true;
        // Its thread ends with this handle only.
        let _ = self.writer.send(picture);
    }

    /// Waits until the terminal has taken everything; `false` when it did not in time.
    pub(super) fn settle(&self, time: Duration) -> bool {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.changed.wait_timeout_while(status, time, |status| status.busy);
        waited.map_or(true, |(status, _)| !status.busy)
    }
}
