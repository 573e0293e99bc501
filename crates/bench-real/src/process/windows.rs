use std::os::windows::process::CommandExt;
use std::process::Command;

/// From `winbase.h`.
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;

/// Ctrl-C does not reach it.
pub(crate) fn leave_group(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}
