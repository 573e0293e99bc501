//! Sets of contacts.

use bench_run::Contact;
use std::fmt;

/// A set of contacts, numbers 0..=127.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ContactSet(u128);

impl ContactSet {
    pub const EMPTY: Self = Self(0);

    pub fn contains(self, contact: Contact) -> bool {
        contact.0 < 128 && self.0 >> contact.0 & 1 == 1
    }
    pub fn insert(&mut self, contact: Contact) {
        debug_assert!(contact.0 < 128, "no module has a contact {contact}");
        self.0 |= 1u128.checked_shl(contact.0.into()).unwrap_or(0);
    }
    pub fn remove(&mut self, contact: Contact) {
        self.0 &= !1u128.checked_shl(contact.0.into()).unwrap_or(0);
    }
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }
    /// Ascending.
    pub fn iter(self) -> impl Iterator<Item = Contact> {
        (0..128u8).filter(move |n| self.0 >> n & 1 == 1).map(Contact)
    }
}

impl FromIterator<Contact> for ContactSet {
    fn from_iter<I: IntoIterator<Item = Contact>>(contacts: I) -> Self {
        let mut set = Self::EMPTY;
        contacts.into_iter().for_each(|contact| set.insert(contact));
        set
    }
}

impl fmt::Debug for ContactSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|contact| contact.0)).finish()
    }
}
