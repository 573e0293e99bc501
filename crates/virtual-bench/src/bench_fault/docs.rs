//! The table of kinds for documentation and help.

use super::kinds::{BENCH_KINDS, Group};
use std::fmt::Write as _;

/// Every kind as it is written, one per line.
pub fn bench_fault_usages() -> String {
    BENCH_KINDS.iter().map(|kind| kind.usage() + "\n").collect()
}

/// Every kind with its meaning, in Markdown.
pub fn bench_fault_table() -> String {
    let mut out = String::from("| order | default | what it does |\n|---|---|---|\n");
    for group in Group::ALL {
        for kind in BENCH_KINDS.iter().filter(|kind| kind.group == group) {
            let usual = kind.amount.map(|amount| format!("{} {}", amount.usual, amount.unit)).unwrap_or_default();
            let _ = writeln!(out, "| `{}` | {usual} | {} |", kind.usage(), kind.doc);
        }
    }
    out
}
