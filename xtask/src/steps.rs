//! Runs commands one after the other: prints their names, times them, stops at the first failure.

use crate::{Failed, cargo};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The steps so far and how long each took.
pub struct Steps {
    root: PathBuf,
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Creates an empty list; commands run in `root` or a folder below.
    pub fn new(root: PathBuf) -> Self {
        Self { root, done: Vec::new() }
    }

    /// Runs cargo in `folder`, seen from the root.
    pub fn cargo(&mut self, folder: &str, arguments: &[&str]) -> Result<(), Failed> {
        self.run(folder, &cargo(), arguments)
    }

    /// Runs a program in `folder`. Its exit code becomes ours, which distinguishes a module that fails the demo from a
    /// bench that does.
    pub fn run(&mut self, folder: &str, program: &Path, arguments: &[&str]) -> Result<(), Failed> {
        self.run_command(folder, Command::new(program), arguments)
    }

    /// The same with a prepared command.
    pub fn run_command(&mut self, folder: &str, mut command: Command, arguments: &[&str]) -> Result<(), Failed> {
        command.args(arguments).current_dir(self.root.join(folder));
        let place = if folder.is_empty() { String::new() } else { format!("(in {folder}) ") };
        let program = Path::new(command.get_program());
        let name = program.file_stem().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let name = format!("{place}{name} {}", arguments.join(" "));
        let begin = Instant::now();
        let result = run(&name, &mut command);
        self.done.push((name, begin.elapsed()));
        result
    }

    /// Times a chore that is not a single command.
    pub fn time<T>(&mut self, name: &str, chore: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
        let begin = Instant::now();
        let result = chore();
        self.done.push((name.to_owned(), begin.elapsed()));
        result
    }

    /// One line per step, if there was any.
    pub fn print_times(&self) {
        for (name, took) in &self.done {
            println!("{:8.1} s  {name}", took.as_secs_f64());
        }
    }
}

/// Runs `command` with our output as its output.
pub fn run(name: &str, command: &mut Command) -> Result<(), Failed> {
    println!("==> {name}");
    let status = command.status().map_err(|error| Failed::new(format!("cannot start {name}: {error}")))?;
    if status.success() {
        return Ok(());
    }
    // A signal leaves no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Err(Failed { code, ..Failed::new(format!("failed ({status}): {name}")) })
}
