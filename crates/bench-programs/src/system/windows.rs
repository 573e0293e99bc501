use std::os::windows::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};

/// From `winbase.h`.
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;

/// Ctrl-C does not reach it.
pub(crate) fn leave_group(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

pub(crate) fn adopt_orphans() {}

pub(crate) fn signal_of(_: ExitStatus) -> Option<i32> {
    None
}

/// Processes that outlive the program are not counted here.
pub(crate) fn survivors(_: u32) -> u32 {
    0
}

/// Kills the program with its tree, by the tool of the system.
pub(crate) fn kill_all(program: u32) {
    let id = program.to_string();
    let kill = Command::new("taskkill")
        .args(["/PID", &id, "/T", "/F"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // It may have ended.
    let _ = kill;
}
