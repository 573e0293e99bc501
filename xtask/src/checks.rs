//! Checks of the source that are no tests: spelling, documentation, the oldest Rust that works.

use crate::others::{self, Skipped};
use crate::steps::{Steps, run};
use crate::{Failed, cargo, root};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The spelling checker, pinned to one version: another version knows other words.
const TYPOS: &str = "1.52.0";
/// A reader of STDF that shares no code with ours.
const PYSTDF: &str = "1.4.0";

/// Runs every check. Skips and counts checks whose program is missing.
pub fn run_all(steps: &mut Steps, skipped: &Skipped) -> Result<(), Failed> {
    steps.time("spelling", || spelling(skipped))?;
    documentation(steps)?;
    steps.time("the oldest Rust", || oldest_rust(skipped))?;
    steps.time("dependencies", || dependencies(skipped))
}

fn spelling(skipped: &Skipped) -> Result<(), Failed> {
    match typos() {
        Some(program) => run("typos", Command::new(program).current_dir(root()).args(["--format", "brief"])),
        None => skipped.add("words_are_spelt_correctly", &format!("no `typos`: pip install typos=={TYPOS}")),
    }
}

fn tools() -> PathBuf {
    root().join("target/tools/python")
}

/// The checker of this version: ours, or the one on the path.
fn typos() -> Option<PathBuf> {
    let is_ours = |program: &PathBuf| {
        let version = Command::new(program).arg("--version").stderr(Stdio::null()).output();
        version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with(TYPOS))
    };
    [tools().join("bin/typos"), PathBuf::from("typos")].into_iter().find(is_ours)
}

/// Installs what does not need root: the spelling checker below `target/`, the oldest Rust by rustup.
pub fn install() {
    if typos().is_none() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(tools());
        quietly(pip.arg(format!("typos=={TYPOS}")));
    }
    if !tools().join("pystdf").is_dir() {
        // The second reader of STDF in the tests of reports. They say so if it is missing.
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(tools());
        quietly(pip.arg(format!("pystdf=={PYSTDF}")));
    }
    if let Some(toolchain) = oldest().filter(|toolchain| !has_toolchain(toolchain)) {
        let arguments = ["toolchain", "install", &toolchain, "--profile", "minimal", "--no-self-update"];
        quietly(Command::new("rustup").args(arguments));
    }
}

/// A check that cannot be installed is skipped later, with its reason.
fn quietly(command: &mut Command) {
    let name = format!("{command:?}");
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !done.is_ok_and(|status| status.success()) {
        println!("setup: did not work: {name}");
    }
}

fn documentation(steps: &mut Steps) -> Result<(), Failed> {
    let mut command = Command::new(cargo());
    command.env("RUSTDOCFLAGS", "-D warnings");
    steps.run_command("", command, &["doc", "--workspace", "--no-deps", "--locked"])
}

/// `rust-version` of the workspace, as rustup names the toolchain: "1.91.0".
fn oldest() -> Option<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).ok()?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "))?;
    Some(format!("{}.0", line.trim().trim_matches('"')))
}

fn has_toolchain(toolchain: &str) -> bool {
    others::works("rustup", &["run", toolchain, "rustc", "--version"])
}

fn oldest_rust(skipped: &Skipped) -> Result<(), Failed> {
    let Some(toolchain) = oldest() else {
        return Err(Failed::new("Cargo.toml names no rust-version".to_owned()));
    };
    if !has_toolchain(&toolchain) {
        return skipped
            .add("the_oldest_rust_builds_it", &format!("no Rust {toolchain}: rustup toolchain install {toolchain}"));
    }
    let mut command = Command::new("rustup");
    command.current_dir(root()).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
    command.args([
        "run",
        &toolchain,
        "cargo",
        "check",
        "--locked",
        "--package",
        "bench",
        "--target-dir",
        "target/oldest",
    ]);
    run(&format!("cargo +{toolchain} check --package bench"), &mut command)
}

/// `xtask/tests/licences.rs` checks the licences in any case; only cargo-deny knows vulnerabilities.
fn dependencies(skipped: &Skipped) -> Result<(), Failed> {
    if !others::works("cargo-deny", &["--version"]) {
        let reason = "no cargo-deny: cargo install cargo-deny (a test of xtask checks the licences)";
        return skipped.add("no_dependency_has_a_known_vulnerability", reason);
    }
    run("cargo deny check", Command::new(cargo()).current_dir(root()).args(["deny", "--workspace", "check"]))
}
