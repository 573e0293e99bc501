//! Signatures of a station: who recorded a run.
//!
//! A seal shows that a journal is whole, and anyone can compute one. A signature shows that the holder of a station's key
//! made it. The key is Ed25519; what is signed is the seal.

use crate::files::{FileRefused, read_text, write_whole};
use crate::hex::{hex, unhex};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

/// Name of the file in a run's folder.
pub const SIGNATURE_FILE: &str = "journal.sig";

/// Put before what is signed, so that a signature means nothing else.
const PURPOSE: &str = "bench journal seal 1\n";

/// Key and signature files have one line or a few.
const LARGEST: u64 = 1024 * 1024;

/// The secret key of a station.
pub struct StationKey(SigningKey);

impl fmt::Debug for StationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StationKey({})", self.public())
    }
}

/// Why a key or a list of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileRefused),
    /// The system has no random numbers.
    #[error("the system gives no random numbers for a key: {0}")]
    Random(String),
    /// A line is no key.
    #[error("{path}, line {line}: expected {expected}")]
    Line {
        /// Path of the file.
        path: String,
        /// Number of the line, from 1.
        line: usize,
        /// What a line has to be.
        expected: &'static str,
    },
}

impl StationKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| KeyError::Random(error.to_string()))?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// Reads a key file: 64 hexadecimal digits.
    ///
    /// # Errors
    /// When it cannot be read or is something else.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_text(path, LARGEST)?;
        let expected = "a station key, 64 hexadecimal digits; `bench init` makes one";
        let wrong = || KeyError::Line { path: crate::shown(path), line: 1, expected };
        Ok(Self(SigningKey::from_bytes(&unhex(text.trim()).ok_or_else(wrong)?)))
    }

    /// Returns the text of a key file.
    pub fn secret(&self) -> String {
        format!("{}\n", hex(&self.0.to_bytes()))
    }

    /// Returns the public key, 64 hexadecimal digits.
    pub fn public(&self) -> String {
        hex(&self.0.verifying_key().to_bytes())
    }

    /// Signs the seal of a finished run, in the file next to its journal.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn sign(&self, run_folder: &Path, seal: &str) -> io::Result<()> {
        let signature = self.0.sign(format!("{PURPOSE}{seal}").as_bytes());
        let signed = Signed { seal: seal.to_owned(), key: self.public(), signature: hex(&signature.to_bytes()) };
        let text = serde_json::to_string(&signed)?;
        write_whole(&run_folder.join(SIGNATURE_FILE), |file| writeln!(file, "{text}"))
    }
}

#[derive(Serialize, Deserialize)]
struct Signed {
    seal: String,
    key: String,
    signature: String,
}

/// What the signature of a run shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "signature", rename_all = "kebab-case")]
pub enum Signing {
    /// There is none.
    Unsigned,
    /// By a key of the list.
    By {
        /// Name of the station in the list.
        name: String,
    },
    /// By a key that is not in the list.
    Unknown {
        /// The public key.
        key: String,
    },
    /// It is not the signature of this seal, or cannot be read.
    Wrong {
        /// What is wrong with it.
        reason: String,
    },
}

/// Public keys of stations, by key.
#[derive(Debug, Clone, Default)]
pub struct PublicKeys(BTreeMap<String, String>);

impl PublicKeys {
    /// Reads a list: on each line the name of a station and its public key; `#` begins a comment.
    ///
    /// # Errors
    /// When it cannot be read, or a line is something else.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read_text(path, LARGEST)?;
        let mut keys = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let expected = "the name of a station and its public key of 64 hexadecimal digits";
            let wrong = || KeyError::Line { path: crate::shown(path), line: index + 1, expected };
            let (name, key) = line.rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
            unhex::<32>(key).and_then(|key| VerifyingKey::from_bytes(&key).ok()).ok_or_else(wrong)?;
            keys.insert(key.to_lowercase(), name.trim().to_owned());
        }
        Ok(Self(keys))
    }

    /// Checks the signature next to a journal with this seal.
    pub fn check(&self, run_folder: &Path, seal: &str) -> Signing {
        let wrong = |reason: &str| Signing::Wrong { reason: reason.to_owned() };
        let text = match read_text(&run_folder.join(SIGNATURE_FILE), LARGEST) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Signing::Unsigned,
            Err(error) => return wrong(&error.to_string()),
        };
        let Ok(signed) = serde_json::from_str::<Signed>(&text) else { return wrong("not a signature file") };
        if signed.seal != seal {
            return wrong("made for another seal");
        }
        let key = unhex::<32>(&signed.key).and_then(|key| VerifyingKey::from_bytes(&key).ok());
        let signature = unhex::<64>(&signed.signature).map(|bytes| Signature::from_bytes(&bytes));
        let (Some(key), Some(signature)) = (key, signature) else { return wrong("not a signature file") };
        if key.verify(format!("{PURPOSE}{seal}").as_bytes(), &signature).is_err() {
            return wrong("does not match its key");
        }
        match self.0.get(&signed.key.to_lowercase()) {
            Some(name) => Signing::By { name: name.clone() },
            None => Signing::Unknown { key: signed.key },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn signatures_of_known_unknown_and_forging_stations() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (StationKey::generate().unwrap(), StationKey::generate().unwrap());
        let list = folder.path().join("keys");
        fs::write(&list, format!("# of the line\nline 3  {}\n\n", ours.public())).unwrap();
        let keys = PublicKeys::read(&list).unwrap();
        let (seal, other) = ("ab".repeat(32), "cd".repeat(32));
        let check = |seal: &str| keys.check(folder.path(), seal);
        assert_eq!(check(&seal), Signing::Unsigned);
        ours.sign(folder.path(), &seal).unwrap();
        assert_eq!(check(&seal), Signing::By { name: "line 3".to_owned() });
        assert_eq!(check(&other), Signing::Wrong { reason: "made for another seal".to_owned() });
        // A forger keeps the key and the signature, and writes the new seal.
        let file = folder.path().join(SIGNATURE_FILE);
        let text = fs::read_to_string(&file).unwrap().replace(&seal, &other);
        fs::write(&file, text).unwrap();
        assert_eq!(check(&other), Signing::Wrong { reason: "does not match its key".to_owned() });
        theirs.sign(folder.path(), &seal).unwrap();
        assert_eq!(check(&seal), Signing::Unknown { key: theirs.public() });
        fs::write(&file, "{}").unwrap();
        assert_eq!(check(&seal), Signing::Wrong { reason: "not a signature file".to_owned() });
    }

    #[test]
    fn a_key_is_read_back_and_wrong_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("station.key");
        let key = StationKey::generate().unwrap();
        fs::write(&path, key.secret()).unwrap();
        assert_eq!(StationKey::read(&path).unwrap().public(), key.public());
        assert!(!format!("{key:?}").contains(key.secret().trim()));
        fs::write(&path, "123").unwrap();
        assert!(
            StationKey::read(&path).unwrap_err().to_string().contains("station.key, line 1: expected a station key")
        );
        assert!(PublicKeys::read(&path).unwrap_err().to_string().contains("line 1: expected the name of a station"));
    }
}
