//! Who works at the bench, and who may allow what the rules forbid.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde::Deserialize;

/// What a person may allow. Each role may also do what the roles before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    #[default]
    Operator,
    Technician,
    Engineer,
}

/// A person with a badge.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// What the scanner reads from the badge.
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub role: Role,
    /// Argon2 hash of the PIN, in PHC form.
    #[serde(default)]
    pin: Option<String>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Person {
    /// What is wrong with it, in words.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.pin {
            Some(pin) => match PasswordHash::new(pin) {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("the `pin` of `{}` is no argon2 hash", self.id)),
            },
            None if self.role > Role::Operator => Err(format!("`{}` may allow things and has no PIN", self.id)),
            None => Ok(()),
        }
    }

    /// Whether this is the person's PIN. Takes some tens of milliseconds, so that nobody can try out many PINs.
    pub fn has_pin(&self, typed: &str) -> bool {
        let Some(Ok(hash)) = self.pin.as_deref().map(PasswordHash::new) else { return false };
        Argon2::default().verify_password(typed.as_bytes(), &hash).is_ok()
    }
}

/// Hashes a PIN for a rules file, which holds the hash and not the PIN.
///
/// # Errors
/// When the system provides no random numbers.
pub fn hash_pin(pin: &str) -> Result<String, String> {
    Argon2::default().hash_password(pin.as_bytes()).map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_known_by_its_hash() {
        let pin = hash_pin("4711").unwrap();
        assert!(pin.starts_with("$argon2id$") && !pin.contains("4711"), "{pin}");
        assert_ne!(pin, hash_pin("4711").unwrap(), "salted");
        let person = |pin| Person { id: "t1".into(), name: "T".into(), role: Role::Technician, pin };
        let with = person(Some(pin));
        for (typed, right) in [("4711", true), ("4712", false), ("", false), ("4711 ", false)] {
            assert_eq!(with.has_pin(typed), right, "{typed:?}");
        }
        assert!(!person(None).has_pin(""));
        assert!(!format!("{with:?}").contains("argon2"));
    }
}
