//! What bench and keeper say to each other, a line of JSON each.

use bench_instruments::ProgramOrder;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ToKeeper {
    Start(Start),
    Say(String),
    /// The program gets no more input.
    Close,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    pub command: Vec<String>,
    pub folder: PathBuf,
    pub environment: Vec<(String, String)>,
    pub log: Option<PathBuf>,
    pub whole_lines: bool,
    pub silence_ms: u64,
}

impl From<&ProgramOrder> for Start {
    fn from(order: &ProgramOrder) -> Self {
        Self {
            command: order.command.clone(),
            folder: order.folder.clone(),
            environment: order.environment.clone(),
            log: order.log.clone(),
            whole_lines: order.whole_lines,
            silence_ms: u64::try_from(order.silence.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Start {
    pub fn silence(&self) -> Duration {
        Duration::from_millis(self.silence_ms)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FromKeeper {
    Line(String),
    Broken(String),
    Ended { code: Option<i32>, signal: Option<i32>, left_behind: u32, last_words: String },
}
