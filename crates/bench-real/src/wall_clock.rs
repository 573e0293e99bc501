//! What this controller knows of the time. A Raspberry Pi has no battery clock: it starts in 1970 or at its last
//! shutdown, and jumps when the network comes.

use bench_run::{RunOrder, WallClock, is_plausible};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The position of a run that begins now, without its number.
pub(crate) fn order(now: &jiff::Zoned) -> RunOrder {
    RunOrder {
        number: 0,
        series: None,
        boot: read("/proc/sys/kernel/random/boot_id"),
        uptime_us: read("/proc/uptime").as_deref().and_then(uptime),
        clock: Some(state(now)),
    }
}

/// Whether the date of this controller can be trusted now.
pub fn state(now: &jiff::Zoned) -> WallClock {
    judge(now, &is_synchronised)
}

fn judge(now: &jiff::Zoned, synchronised: &dyn Fn() -> bool) -> WallClock {
    let at_us = now.timestamp().as_microsecond();
    if !is_plausible(at_us) {
        return WallClock::Implausible { reason: format!("the clock says {}", now.strftime("%Y-%m-%d")) };
    }
    if synchronised() { WallClock::Synchronised { by: "ntp".to_owned() } } else { WallClock::NotSynchronised }
}

/// What a person should know before a run; `None` when the date is right.
pub fn notice(clock: &WallClock) -> Option<String> {
    let then = "runs keep their order by number; their day does not count in statistics. Connect the network or set the \
                clock: timedatectl status";
    match clock {
        WallClock::Synchronised { .. } => None,
        WallClock::NotSynchronised => Some(format!("no source of time has set this controller's clock: {then}")),
        WallClock::Implausible { reason } => Some(format!("this controller's clock is wrong, {reason}: {then}")),
    }
}

/// The kernel knows, whichever program sets the clock. `timedatectl` asks it; the file is that of systemd's own program.
fn is_synchronised() -> bool {
    let ask = || {
        let mut command = Command::new("timedatectl");
        command.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).stderr(Stdio::null());
        command.output().ok().filter(|output| output.status.success())
    };
    match ask() {
        Some(output) => output.stdout.trim_ascii() == b"yes",
        None => Path::new("/run/systemd/timesync/synchronized").exists(),
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// "350735.47 234388.90": seconds since the start, and those without work.
fn uptime(text: &str) -> Option<u64> {
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    Some(seconds.parse::<u64>().ok()?.checked_mul(1_000_000)? + hundredths.parse::<u64>().ok()? * 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_a_controller_without_a_battery() {
        let rows = [
            ("1970-01-01T00:00:09[UTC]", true, Some("1970-01-01")),
            ("2107-03-01T00:00:00[UTC]", true, Some("2107-03-01")),
            ("2026-11-29T08:00:00[UTC]", false, Some("no source of time")),
            ("2026-11-29T08:00:00[UTC]", true, None),
        ];
        for (now, synchronised, expected) in rows {
            let now: jiff::Zoned = now.parse().unwrap();
            let said = notice(&judge(&now, &|| synchronised));
            match expected {
                None => assert_eq!(said, None, "{now}"),
                Some(words) => assert!(said.as_deref().unwrap_or_default().contains(words), "{now}: {said:?}"),
            }
        }
    }

    #[test]
    fn uptimes() {
        for (text, expected) in
            [("350735.47 234388.90", Some(350_735_470_000)), ("0.05 0.00", Some(50_000)), ("", None), ("soon", None)]
        {
            assert_eq!(uptime(text), expected, "{text}");
        }
    }
}
