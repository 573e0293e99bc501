//! `bench init --desk`: without a person it shows the file, and with one it looks for what was plugged in.

#[cfg(target_os = "linux")]
use crate::support::bench;
use crate::support::{output, text};
#[cfg(target_os = "linux")]
use crate::terminal::Terminal;

#[test]
fn without_a_terminal_it_shows_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desk.toml");
    let done = output(&["init", "--desk", file.to_str().unwrap()]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(3), "{said}");
    for expected in ["there is no terminal", "fixture = \"desk\"", "link = ", "probe = ", "desk.toml"] {
        assert!(said.contains(expected), "{expected} is missing in {said}");
    }
    assert!(!file.exists());
    for (arguments, expected) in [
        (&["init", "--desk", "--fixture", "b-series"][..], "the fixture b-series has no [desk]"),
        (&["init", "--desk", "--fixture", "dessk"], "did you mean `desk`"),
        (&["init", "--fixture", "desk"], "--desk"),
        (&["init", "--desk", "a.toml", "--file", "b.toml"], "cannot be used with"),
    ] {
        let done = output(arguments);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

/// The real lists of this computer. Where a probe is plugged in, it is left alone.
#[cfg(target_os = "linux")]
#[test]
fn without_a_probe_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("desk.toml");
    let mut screen = Terminal::run(&bench(&["init", "--desk", file.to_str().unwrap()]), 100, 30);
    screen.wait_for("ebug probe");
    if screen.text().contains("No debug probe is plugged in. Plug it in, then press Enter.") {
        screen.send(b"\r");
        screen.wait_for("no debug probe appeared");
        let (code, said) = screen.left_behind();
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("nothing was written") && said.contains("carries data"), "{said}");
    }
    assert!(!file.exists() && !file.with_extension("key").exists());
}
