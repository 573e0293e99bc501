//! What was in a module before it was programmed. It is stored before anything is erased, and the way to the safe state
//! writes it back.

use bench_instruments::{Backup, Image, Keep, ProgramJob};
use std::sync::{Arc, Mutex, PoisonError};

/// Writes a backup to the disk and returns the name of its file.
pub type Store = Arc<dyn Fn(&Backup) -> Result<String, String> + Send + Sync>;

/// A backup and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub backup: Backup,
    pub file: String,
}

/// State for one run.
#[derive(Default)]
pub struct Safekeeping {
    store: Option<Store>,
    kept: Arc<Mutex<Option<Kept>>>,
}

impl Safekeeping {
    pub fn new(store: Store) -> Self {
        Self { store: Some(store), kept: Arc::default() }
    }

    /// For a job that must not lose what is on the module; `None` where nothing can be stored.
    pub fn keep(&self) -> Option<Keep> {
        let (store, kept) = (Arc::clone(self.store.as_ref()?), Arc::clone(&self.kept));
        Some(Keep(Arc::new(move |backup| {
            // A second attempt at the same step finds what the first one has written.
            if kept.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                return Ok(());
            }
            let file = store(backup)?;
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Kept { backup: backup.clone(), file });
            Ok(())
        })))
    }

    /// What must be written back, if anything.
    pub fn kept(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that it was written back.
    pub fn done(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The job that writes a backup into its own module again.
pub fn restoring(backup: &Backup) -> ProgramJob {
    let image = Image { name: "what was on the module".to_owned(), segments: backup.flash.clone() };
    ProgramJob {
        images: vec![image],
        uicr: backup.uicr.clone(),
        only_uicr: true,
        device_id: Some(backup.device_id),
        ..ProgramJob::default()
    }
}
