//! Why a command could not start: a mistake of the caller or of the bench, as text for people.

use crate::FileError;

/// A command failed before a run began, or outside of it.
#[derive(Debug)]
pub enum Failed {
    /// A mistake in the user's files or arguments, worded for the user.
    Usage(miette::Report),
    /// The unit may not be tested, says the program that the station asks. Nothing was powered.
    Refused(miette::Report),
    /// A failure of the bench itself.
    Bench(miette::Report),
}

impl Failed {
    /// Makes a failure of the bench with this message.
    pub fn bench(error: impl std::fmt::Display) -> Self {
        Failed::Bench(miette::miette!("{error}"))
    }
}

impl From<FileError> for Failed {
    fn from(error: FileError) -> Self {
        Failed::Usage(error.report())
    }
}
