//! Other people's programs that some tests talk to: installed where that is possible, and what was skipped without them.

use crate::{Failed, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Packages of Debian: a message bus, and a stand-in for BlueZ on it.
const PACKAGES: [&str; 2] = ["dbus", "python3-dbusmock"];
/// Tells whether all of them are there.
const LOOK: [(&str, &[&str]); 2] =
    [("dbus-daemon", &["--version"]), ("/usr/bin/python3", &["-c", "import dbus, dbusmock"])];
/// Names the folder in which a skipped test leaves a file with its reason.
const VARIABLE: &str = "BENCH_SKIPPED";

/// Installs what is missing. Where that cannot be done the tests that need it are skipped, and say so.
pub fn install() -> Result<(), Failed> {
    if LOOK.iter().all(|(program, arguments)| works(program, arguments)) {
        return Ok(());
    }
    let packages = PACKAGES.join(" ");
    if !is_root() || !works("apt-get", &["--version"]) {
        println!("setup: tests that need {packages} will be skipped; on Debian, `apt-get install {packages}` as root");
        return Ok(());
    }
    println!("setup: installing {packages}");
    let apt = |arguments: &[&str]| works("apt-get", arguments);
    if !(apt(&["update"]) && apt(&[&["install", "--yes", "--no-install-recommends"], &PACKAGES[..]].concat())) {
        println!("setup: {packages} cannot be installed; the tests that need them will be skipped");
    }
    Ok(())
}

fn works(program: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Tests that were skipped in this run.
pub struct Skipped {
    folder: PathBuf,
}

impl Skipped {
    pub fn none_yet() -> Result<Self, Failed> {
        let folder = root().join("target/skipped");
        // There may be none from before.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .map_err(|error| Failed::new(format!("cannot make {}: {error}", folder.display())))?;
        Ok(Self { folder })
    }

    /// What the tests must find in their environment.
    pub fn variable(&self) -> (&'static str, &Path) {
        (VARIABLE, &self.folder)
    }

    /// One line for each, and how many.
    pub fn print(&self) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut skipped: Vec<(String, String)> = files
            .map(|file| {
                let reason = fs::read_to_string(file.path()).unwrap_or_default();
                (file.file_name().to_string_lossy().into_owned(), reason.trim().to_owned())
            })
            .collect();
        skipped.sort();
        println!("{} tests skipped for want of other programs", skipped.len());
        for (test, reason) in skipped {
            println!("  {test}: {reason}");
        }
    }
}
