//! A program that gets one text and returns another: a hook of the station.

use crate::frames::{FromKeeper, Start, ToKeeper};
use crate::host::KeeperCommand;
use bench_instruments::{ProgramExit, ProgramOrder};
use std::io::{BufRead, BufReader, Write};

/// What a program came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Lines of its standard output.
    pub lines: Vec<String>,
    /// What it did that no program may do.
    pub broken: Option<String>,
    pub exit: ProgramExit,
}

impl Finished {
    /// Whether it ended in order, with code 0.
    pub fn is_orderly(&self) -> bool {
        self.broken.is_none() && self.exit.is_orderly()
    }
}

/// Runs a program to its end: writes `input` to it, then closes its input, and collects what it says. Blocks, at most
/// for the order's `silence` after its last line.
///
/// # Errors
/// When no process can be started for it. What the program itself does wrong is in the result.
pub fn run_once(keeper: &KeeperCommand, order: &ProgramOrder, input: &str) -> std::io::Result<Finished> {
    let (mut child, mut to) = keeper.start()?;
    let say = |to: &mut std::process::ChildStdin, frame: &ToKeeper| {
        let text = serde_json::to_string(frame).map_err(std::io::Error::other)?;
        writeln!(to, "{text}").and_then(|()| to.flush())
    };
    say(&mut to, &ToKeeper::Start(Start::from(order)))?;
    // A program that ended before it read everything says so itself.
    let _ = say(&mut to, &ToKeeper::Say(input.to_owned())).and_then(|()| say(&mut to, &ToKeeper::Close));
    let mut finished = Finished { lines: Vec::new(), broken: None, exit: ProgramExit::default() };
    let mut has_ended = false;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(FromKeeper::Line(line)) => finished.lines.push(line),
                Ok(FromKeeper::Broken(why)) => finished.broken = Some(why),
                Ok(FromKeeper::Ended { code, signal, left_behind, last_words }) => {
                    finished.exit = ProgramExit { code, signal, left_behind, last_words };
                    has_ended = true;
                    break;
                }
                Err(error) => return Err(std::io::Error::other(error)),
            }
        }
    }
    drop(to);
    let _ = child.wait();
    if !has_ended {
        return Err(std::io::Error::other("the process that keeps it ended: was it killed?"));
    }
    Ok(finished)
}
