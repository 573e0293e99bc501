//! The true order of runs. It comes from numbers that only grow; a wall clock is information.
//!
//! A controller without a battery starts in 1970 or at its last shutdown, and jumps when the network comes. Files get new
//! times when they are copied. So each run has a number of its station's series, which is kept next to the journals.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Position of a run in its station's series, and what the controller knew of the time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunOrder {
    /// Number of the run in its series, from 1.
    pub number: u64,
    /// The series: a folder of reports starts a new one when it is empty. Absent on the virtual bench, where the same
    /// order gives the same record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub series: Option<String>,
    /// The system's id of its last start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub boot: Option<String>,
    /// Time since then, microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uptime_us: Option<u64>,
    /// Whether the wall clock can be trusted. Absent on the virtual bench, which has no date.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub clock: Option<WallClock>,
}

/// How far the date of a run can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum WallClock {
    /// Set from a source of time.
    Synchronised {
        /// The source: "ntp", or the name of a battery clock.
        by: String,
    },
    /// No source of time has set it since the controller started.
    NotSynchronised,
    /// It is certainly wrong.
    Implausible {
        /// Why.
        reason: String,
    },
}

/// Dates outside these years are no test dates, microseconds since 1970: 2020-01-01 and 2100-01-01.
const PLAUSIBLE_US: std::ops::Range<i64> = 1_577_836_800_000_000..4_102_444_800_000_000;

/// Whether a date, in microseconds since 1970, can be that of a test.
pub fn is_plausible(started_us: i64) -> bool {
    PLAUSIBLE_US.contains(&started_us)
}

/// Whether the day of a run may be believed. Records of older versions do not state their clock: a plausible date counts.
pub fn has_trusted_day(order: Option<&RunOrder>, started_us: Option<i64>) -> bool {
    let trusted = match order.and_then(|order| order.clock.as_ref()) {
        None | Some(WallClock::Synchronised { .. }) => true,
        Some(WallClock::NotSynchronised | WallClock::Implausible { .. }) => false,
    };
    trusted && started_us.is_some_and(is_plausible)
}

/// Converts a date (RFC 3339) to microseconds since 1970.
pub fn microseconds(rfc3339: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(rfc3339, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000)).ok()
}

/// What places a run among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed<'a> {
    /// Station and series; runs of one series are ordered by their numbers.
    pub station: Option<&'a str>,
    /// See [`RunOrder::series`].
    pub series: Option<&'a str>,
    /// `None` in records of older versions.
    pub number: Option<u64>,
    /// Microseconds since 1970, if [trusted](has_trusted_day).
    pub trusted_us: Option<i64>,
    /// Distinguishes runs that nothing else does; the run's id.
    pub tie: &'a str,
}

/// Returns the indices of the runs in their true order.
///
/// Runs of one series have the order of their numbers, whatever their clocks say. Different series are merged by trusted
/// dates: a run without one has that of the last run before it in its series, or else of the next. Runs without a number
/// come before those with one, by their dates. The result does not depend on the order of the input.
pub fn true_order(runs: &[Placed<'_>]) -> Vec<usize> {
    let mut series: BTreeMap<(Option<&str>, Option<&str>), Vec<usize>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        // Older records have no series. They belong to the station.
        series.entry((run.station, run.series)).or_default().push(index);
    }
    let mut keys: Vec<(i64, Placed<'_>, usize)> = Vec::with_capacity(runs.len());
    for members in series.values_mut() {
        members.sort_by_key(|index| (runs[*index].number, runs[*index].trusted_us, runs[*index].tie));
        let first = members.iter().find_map(|index| runs[*index].number.and(runs[*index].trusted_us));
        let mut before = None;
        for index in members {
            let run = &runs[*index];
            let at = match run.number {
                None => run.trusted_us.map(|at| first.map_or(at, |first| at.min(first))),
                Some(_) => {
                    before = run.trusted_us.max(before).or(first);
                    before
                }
            };
            keys.push((at.unwrap_or(i64::MIN), *run, *index));
        }
    }
    keys.sort_by_key(|(at, run, index)| (*at, run.station, run.series, run.number, run.trusted_us, run.tie, *index));
    keys.into_iter().map(|(_, _, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400_000_000;
    const BASE: i64 = 1_800_000_000_000_000;

    fn run(station: &'static str, number: u64, day: Option<i64>) -> Placed<'static> {
        let trusted_us = day.map(|day| BASE + day * DAY);
        Placed { station: Some(station), series: None, number: Some(number), trusted_us, tie: "" }
    }

    #[test]
    fn numbers_decide_and_dates_only_merge() {
        let rows: [(&str, Vec<Placed<'_>>, &[usize]); 4] = [
            ("a clock that went back", vec![run("a", 1, Some(9)), run("a", 2, Some(3))], &[0, 1]),
            ("copied in another order", vec![run("a", 3, None), run("a", 1, None), run("a", 2, None)], &[1, 2, 0]),
            (
                "two stations",
                vec![run("a", 1, Some(1)), run("a", 2, Some(5)), run("b", 1, Some(3)), run("b", 2, None)],
                &[0, 2, 3, 1],
            ),
            (
                "older records come first",
                vec![run("a", 1, Some(4)), Placed { number: None, ..run("a", 0, Some(9)) }],
                &[1, 0],
            ),
        ];
        for (what, runs, expected) in rows {
            assert_eq!(true_order(&runs), expected, "{what}");
        }
    }

    #[test]
    fn days_that_are_believed() {
        let order = |clock| RunOrder { clock, ..RunOrder::default() };
        let ntp = || Some(WallClock::Synchronised { by: "ntp".to_owned() });
        for (order, at, trusted) in [
            (None, Some(BASE), true),
            (None, Some(0), false),
            (None, Some(4_323_000_000_000_000), false),
            (None, None, false),
            (Some(order(ntp())), Some(BASE), true),
            (Some(order(ntp())), Some(0), false),
            (Some(order(Some(WallClock::NotSynchronised))), Some(BASE), false),
        ] {
            assert_eq!(has_trusted_day(order.as_ref(), at), trusted, "{order:?} {at:?}");
        }
    }

    fn names<'a>(listed: &[Placed<'a>]) -> Vec<(Option<&'a str>, Option<u64>)> {
        true_order(listed).into_iter().map(|at| (listed[at].station, listed[at].number)).collect()
    }

    proptest! {
        /// Whatever the clocks say and however the files are listed, a station's runs keep their order.
        #[test]
        fn no_clock_and_no_copying_changes_the_order(
            runs in prop::collection::vec((0..3_usize, prop::option::of(-500..500_i64)), 0..40),
            shuffle in any::<u64>(),
        ) {
            let mut numbers = [0_u64; 3];
            let stations = ["a", "b", "c"];
            let mut listed: Vec<Placed<'_>> = runs.iter().map(|(station, day)| {
                numbers[*station] += 1;
                run(stations[*station], numbers[*station], *day)
            }).collect();
            let before = names(&listed);
            for station in stations {
                let of: Vec<_> = before.iter().filter(|(of, _)| *of == Some(station)).map(|(_, number)| *number).collect();
                prop_assert!(of.is_sorted());
            }
            let mut state = shuffle;
            // A key that is asked for once: another each time would be no order.
            listed.sort_by_cached_key(|_| { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); state });
            prop_assert_eq!(names(&listed), before);
        }
    }
}
