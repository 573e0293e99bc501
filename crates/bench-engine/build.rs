//! Names the commit that the program was built from, for `--version` and every record.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../../.git/HEAD");
    println!("cargo:rerun-if-changed=../../.git/logs/HEAD");
    println!("cargo:rerun-if-env-changed=BENCH_COMMIT");
    let from_git = || {
        let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = std::env::var("BENCH_COMMIT").ok().or_else(from_git).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=BENCH_COMMIT={commit}");
}
