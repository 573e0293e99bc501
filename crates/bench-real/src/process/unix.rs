use std::os::unix::process::CommandExt;
use std::process::Command;

/// What Ctrl-C and a closed terminal send does not reach it.
pub(crate) fn leave_group(command: &mut Command) {
    command.process_group(0);
}
