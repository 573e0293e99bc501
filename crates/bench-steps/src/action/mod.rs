//! Actions: what the kinds of steps do, one at a time, for tests that are not ours.
//!
//! The kinds `sequence` and `external` and the console read the same actions from a plan, from a program and from a
//! keyboard. `verbs` is the table of them, `read` resolves one against module and fixture, `perform` does it. An action
//! that was read can be done: every name in it is known, and the nest has what it needs.

mod perform;
mod read;
mod schema;
mod verbs;

pub use perform::{Done, Worker, clear_rail};
pub use read::{Action, Places, read};
pub(crate) use read::{RESOURCES, hex, pin_of};
pub use schema::{ActionList, action_schema, action_table};
pub use verbs::{Form, Gives, Key, VERBS, Verb, verb};
