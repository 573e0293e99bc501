use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, wait};
use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

/// What Ctrl-C and a closed terminal send does not reach it.
pub(crate) fn leave_group(command: &mut Command) {
    command.process_group(0);
}

/// From now on a descendant whose parent ends becomes a child of this process, so that it is never lost.
pub(crate) fn adopt_orphans() {
    // Refused by kernels before 3.4 only; the process group is left then.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(getpid()));
}

pub(crate) fn signal_of(status: ExitStatus) -> Option<i32> {
    status.signal()
}

/// Descendants of this process that run. `program` is the id of the first of them, which leads a group. Call it only
/// after somebody waited for the program itself.
pub(crate) fn survivors(program: u32) -> u32 {
    // Those that ended are children by now; nobody else waits for them. As orphans are adopted, no child means no descendant.
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(Errno::CHILD) if cfg!(target_os = "linux") => return 0,
            Err(_) => break,
        }
    }
    match descendants() {
        Some(found) => u32::try_from(found.len()).unwrap_or(u32::MAX),
        None => u32::from(group(program).is_some_and(|group| rustix::process::test_kill_process_group(group).is_ok())),
    }
}

/// Kills the program's group, and every descendant of this process.
pub(crate) fn kill_all(program: u32) {
    if let Some(group) = group(program) {
        // It may have ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    for pid in descendants().unwrap_or_default() {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn group(program: u32) -> Option<Pid> {
    i32::try_from(program).ok().and_then(Pid::from_raw)
}

/// Running processes below this one; `None` on a system without `/proc`.
fn descendants() -> Option<Vec<Pid>> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut seen_self = false;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        seen_self |= pid == getpid().as_raw_nonzero().get();
        // It may have ended since.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some((parent, true)) = parent_and_running(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    if !seen_self {
        return None;
    }
    let (mut found, mut open) = (Vec::new(), vec![getpid().as_raw_nonzero().get()]);
    while let Some(parent) = open.pop() {
        for pid in children.remove(&parent).unwrap_or_default() {
            found.extend(Pid::from_raw(pid));
            open.push(pid);
        }
    }
    Some(found)
}

/// From `/proc/PID/stat`. The name in it may hold anything, parentheses and spaces too.
fn parent_and_running(stat: &str) -> Option<(i32, bool)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some((parent, !matches!(state, "Z" | "X")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_of_processes_with_strange_names() {
        let rows = [
            ("12 (sh) S 7 12 12 0", Some((7, true))),
            ("12 (a) b) c) Z 7 12", Some((7, false))),
            ("12 (x", None),
            ("", None),
        ];
        for (stat, expected) in rows {
            assert_eq!(parent_and_running(stat), expected, "{stat}");
        }
    }
}
