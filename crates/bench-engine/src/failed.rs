//! Why something could not even be done: the caller's mistake or the bench's, in words.

use crate::FileError;

/// A command failed before a run began, or outside of it.
#[derive(Debug)]
pub enum Failed {
    /// The user's files or arguments, in the words that the user needs.
    Usage(miette::Report),
    /// The bench itself.
    Bench(miette::Report),
}

impl Failed {
    /// A failure of the bench, with these words.
    pub fn bench(error: impl std::fmt::Display) -> Self {
        Failed::Bench(miette::miette!("{error}"))
    }
}

impl From<FileError> for Failed {
    fn from(error: FileError) -> Self {
        Failed::Usage(error.report())
    }
}
