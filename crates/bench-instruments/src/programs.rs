//! Programs that are not ours: steps of kind `external`.

use crate::InstrumentError;
use async_trait::async_trait;
use std::path::PathBuf;
use std::time::Duration;

/// How to start a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramOrder {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its working folder.
    pub folder: PathBuf,
    /// Environment variables that are added to those of the bench.
    pub environment: Vec<(String, String)>,
    /// Where its standard error goes.
    pub log: Option<PathBuf>,
    /// Whether a last line without an end is an error.
    pub whole_lines: bool,
    /// Longest silence between an answer of the bench and its next line, by the wall clock.
    pub silence: Duration,
}

/// What came from a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramSays {
    Line(String),
    /// It did what no program may do: why. It was killed.
    Broken(String),
    Ended(ProgramExit),
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProgramExit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Processes that it had started and left running. They were killed.
    pub left_behind: u32,
    /// The end of what it wrote to standard error.
    pub last_words: String,
}

impl ProgramExit {
    /// Whether it ended by itself, without an error, and left nothing behind.
    pub fn is_orderly(&self) -> bool {
        self.code == Some(0) && self.left_behind == 0
    }
}

impl std::fmt::Display for ProgramExit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(0), _) if self.left_behind > 0 => {
                write!(f, "it ended and left {} process(es) of its own running, which were killed", self.left_behind)?;
            }
            (Some(code), _) => write!(f, "it ended with code {code}")?,
            (None, Some(signal)) => write!(f, "it was ended by signal {signal}")?,
            (None, None) => f.write_str("it ended")?,
        }
        match self.last_words.lines().rev().find(|line| !line.trim().is_empty()) {
            None => Ok(()),
            Some(words) => write!(f, ": {}", words.trim()),
        }
    }
}

/// Starts programs and talks with them, one line at a time. A program never outlives its step: what is not needed any
/// more is killed, with everything that it started.
#[async_trait(?Send)]
pub trait Programs {
    /// A program will be started: gets ready for it.
    fn prepare(&self) {}
    /// Starts a program and returns its number.
    ///
    /// # Errors
    /// [`InstrumentError::Program`] when it cannot be started.
    async fn start(&self, order: &ProgramOrder) -> Result<u32, InstrumentError>;
    /// Sends a line, which has no line break.
    ///
    /// # Errors
    /// [`InstrumentError::Program`] for a program that does not run.
    async fn send(&self, program: u32, line: &str) -> Result<(), InstrumentError>;
    /// Waits for what the program says next. On the virtual bench, time stops meanwhile.
    ///
    /// # Errors
    /// [`InstrumentError::Program`] after its end.
    async fn next(&self, program: u32) -> Result<ProgramSays, InstrumentError>;
    /// Kills a program and what it started; does nothing after its end. Does not wait.
    fn kill(&self, program: u32);
    /// Waits, by the wall clock, until every program has ended. Returns whether they have.
    async fn ended(&self, within: Duration) -> bool;
}

/// A bench that starts no programs.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrograms;

fn none<T>() -> Result<T, InstrumentError> {
    Err(InstrumentError::Program("this bench starts no programs".to_owned()))
}

#[async_trait(?Send)]
impl Programs for NoPrograms {
    async fn start(&self, _: &ProgramOrder) -> Result<u32, InstrumentError> {
        none()
    }
    async fn send(&self, _: u32, _: &str) -> Result<(), InstrumentError> {
        none()
    }
    async fn next(&self, _: u32) -> Result<ProgramSays, InstrumentError> {
        none()
    }
    fn kill(&self, _: u32) {}
    async fn ended(&self, _: Duration) -> bool {
        true
    }
}

/// Files that a step adds to the folder of its run.
pub trait RunFiles {
    /// Where a log of this name goes; `None` where nothing is kept.
    fn log(&self, name: &str) -> Option<PathBuf>;
    /// Keeps a copy of a file under this name.
    ///
    /// # Errors
    /// Why it cannot be kept, as a sentence.
    fn attach(&self, name: &str, from: &std::path::Path) -> Result<AttachedFile, String>;
}

/// A file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedFile {
    pub name: String,
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// A run that keeps no files.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRunFiles;

impl RunFiles for NoRunFiles {
    fn log(&self, _: &str) -> Option<PathBuf> {
        None
    }
    /// Succeeds and keeps nothing: a study of many runs, or a replay, does not need the file.
    fn attach(&self, name: &str, _: &std::path::Path) -> Result<AttachedFile, String> {
        Ok(AttachedFile { name: name.to_owned(), bytes: 0, sha256: String::new() })
    }
}
