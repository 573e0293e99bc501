//! From a wrong reading to the contact at fault.

pub(crate) mod held;
pub(crate) mod link;
pub(crate) mod pattern;
pub(crate) mod short;
