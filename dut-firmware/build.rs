//! Passes the memory map to the linker and the commit to the firmware.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Sources of the image, relative to this folder.
const SOURCES: [&str; 6] = ["src", "build.rs", "Cargo.toml", "Cargo.lock", "memory.x", "../crates/dut-protocol"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::copy("memory.x", out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());

    println!("cargo::rerun-if-env-changed=GIT_HASH");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let hash = env::var("GIT_HASH").ok().filter(|hash| !hash.is_empty()).or_else(hash_from_git);
    let hash: String = hash.unwrap_or_else(|| "unknown".to_owned()).chars().take(24).collect();
    println!("cargo::rustc-env=GIT_HASH={hash}");
    Ok(())
}

/// The commit in twelve digits, with `-dirty` appended when one of [`SOURCES`] differs from it.
fn hash_from_git() -> Option<String> {
    let head_log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&head_log).exists() {
        println!("cargo::rerun-if-changed={head_log}"); // grows with every commit and checkout
    }
    // A fixed length: `--short` gives more digits in a repository with more objects.
    let hash: String = git(&["rev-parse", "HEAD"])?.chars().take(12).collect();
    // No lock to refresh the index: a commit may be in progress.
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(SOURCES);
    let dirty = !git(&status)?.is_empty();
    Some(if dirty { format!("{hash}-dirty") } else { hash })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
