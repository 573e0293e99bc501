//! What the controller's kernel says of the run's thread.

use bench_instruments::{ControllerLoad, LoadSample};
use std::time::Duration;

/// Reads `/proc`; a kernel without these counters says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLoad;

impl ControllerLoad for SystemLoad {
    fn sample(&self) -> Option<LoadSample> {
        let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        parse(&schedule, &stat)
    }
}

/// Time on a processor and time spent waiting for one, both in nanoseconds (Documentation/scheduler/sched-stats.rst), and
/// field 12 of `stat`, the major faults (proc(5)).
fn parse(schedule: &str, stat: &str) -> Option<LoadSample> {
    let mut spans = schedule.split_whitespace().map_while(|word| word.parse().ok()).map(Duration::from_nanos);
    let (computed, waited_for_processor) = (spans.next()?, spans.next()?);
    // The name in field 2 may hold blanks and brackets.
    let behind_name = stat.rsplit_once(')')?.1;
    let page_reads = behind_name.split_whitespace().nth(12 - 3)?.parse().ok()?;
    Some(LoadSample { waited_for_processor, computed, page_reads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_lines_are_read() {
        let stat = "4242 (a (strange) name) S 1 1 1 0 -1 4194304 100 200 37 4 5 6 7 8 20 0 3 0 99 100 200";
        let expected = LoadSample {
            waited_for_processor: Duration::from_nanos(2_000_000),
            computed: Duration::from_nanos(1_000_000),
            page_reads: 37,
        };
        assert_eq!(parse("1000000 2000000 17\n", stat), Some(expected));
        for (schedule, stat) in [("", stat), ("1", stat), ("1 2 3", ""), ("1 2 3", "1 (x) S"), ("a b c", stat)] {
            assert_eq!(parse(schedule, stat), None, "{schedule:?} {stat:?}");
        }
    }
}
