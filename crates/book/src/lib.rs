//! The pages of the documentation: what they link to, what can be linked to, and the code blocks in them.

mod links;
mod page;
mod stage;

pub use links::{broken_links, links_of};
pub use page::{Block, Page, pages};
pub use stage::{BOOK, stage};
