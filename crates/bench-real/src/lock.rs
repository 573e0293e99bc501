//! One bench program on one fixture: a lock that the operating system takes back when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Held for as long as this lives.
#[derive(Debug)]
pub struct FixtureLock {
    _file: File,
}

#[derive(Debug, Error)]
pub enum LockError {
    #[error("the fixture is in use by {holder}")]
    Held { holder: String },
    #[error("the lock {} cannot be made: {error}", path.display())]
    Io { path: PathBuf, error: std::io::Error },
}

/// Where such locks are kept; gone after a restart, as they should be.
pub fn folder() -> PathBuf {
    let system = Path::new("/run/lock");
    if system.is_dir() { system.to_owned() } else { std::env::temp_dir() }
}

impl FixtureLock {
    /// Takes a fixture, by what only one program may use ("i2c-1"), or says who has it. `who` is shown to the next one.
    pub fn take(folder: &Path, what: &str, who: &str) -> Result<Self, LockError> {
        // A port's name may be a path.
        let what: String = what.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = folder.join(format!("bench-{what}.lock"));
        let failed = |error| LockError::Io { path: path.clone(), error };
        let mut file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "another program" } else { holder }.to_owned();
                return Err(LockError::Held { holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // Another user's file can be locked and not written: then it names nobody.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{who}"));
        Ok(Self { _file: file })
    }
}

/// Opens the file for every user, whoever made it. An existing one is opened without the flag that creates: in a folder
/// for everybody, Linux refuses that flag for another user's file. It is not truncated: until the lock is ours, the text
/// is another's.
fn open(path: &Path) -> std::io::Result<File> {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == PermissionDenied => File::open(path),
        Err(error) if error.kind() == NotFound => {
            match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => File::open(path),
                made => made,
            }
        }
        opened => opened,
    }
}

/// This program, for others that meet its lock: "bench (process 123, user ann)".
pub fn holder() -> String {
    let user = ["USER", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = user.as_deref().unwrap_or("unknown");
    format!("bench (process {}, user {user})", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_a_fixture_and_the_second_is_told_who() {
        let folder = tempfile::tempdir().unwrap();
        let take = |bus, who| FixtureLock::take(folder.path(), bus, who);
        let first = take("i2c-1", "bench (process 7, user ann), since the morning").unwrap();
        match take("i2c-1", "bob") {
            Err(LockError::Held { holder }) => assert_eq!(holder, "bench (process 7, user ann), since the morning"),
            other => panic!("{other:?}"),
        }
        let _other_fixture = take("i2c-3", "bob").unwrap();
        drop(first);
        let _second = take("i2c-1", "bob").unwrap();
        match take("i2c-1", "carl") {
            Err(LockError::Held { holder }) => assert_eq!(holder, "bob"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn another_user_s_lock_is_taken_and_respected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench-i2c-1.lock");
        std::fs::write(&path, "ann\n").unwrap();
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions).unwrap();
        let first = FixtureLock::take(folder.path(), "i2c-1", "bob").unwrap();
        assert!(matches!(FixtureLock::take(folder.path(), "i2c-1", "carl"), Err(LockError::Held { .. })));
        drop(first);
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let Err(LockError::Io { path, .. }) = FixtureLock::take(Path::new("/no/such/folder"), "i2c-1", "ann") else {
            panic!("locked")
        };
        assert_eq!(path, Path::new("/no/such/folder/bench-i2c-1.lock"));
    }
}
