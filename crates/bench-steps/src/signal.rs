//! Frequency and duty of a periodic signal, from its edges.

use bench_instruments::{Edge, EdgeTrace};

/// Frequency and duty of a signal; 0 Hz for one that does not move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Signal {
    pub hz: f64,
    /// Share of the time that it is high, 0 to 1.
    pub duty: f64,
}

/// Fewest rising edges that make a frequency.
const FEWEST_PERIODS: usize = 3;

impl Signal {
    /// The frequency is the slope of the fitted line through the times of all rising edges; the duty is the median of
    /// the high times. An occasional late time stamp changes neither, and a lost edge only leaves a gap.
    pub fn of(trace: &EdgeTrace) -> Self {
        let still = Self { hz: 0.0, duty: f64::from(u8::from(trace.high_before)) };
        let rising: Vec<f64> = trace.edges.iter().filter(|edge| edge.rising).map(|edge| edge.at_ns as f64).collect();
        if rising.len() < FEWEST_PERIODS {
            return still;
        }
        let Some(typical) = median(rising.windows(2).map(|pair| pair[1] - pair[0]).collect()) else { return still };
        let high_times = trace.edges.windows(2).filter_map(|pair| match pair {
            [Edge { rising: true, at_ns: rose }, Edge { rising: false, at_ns: fell }] => Some((fell - rose) as f64),
            _ => None,
        });
        match (slope(&rising, typical), median(high_times.collect())) {
            (Some(period), Some(high)) => Self { hz: 1e9 / period, duty: high / period },
            _ => still,
        }
    }

    pub fn is_still(&self) -> bool {
        self.hz == 0.0
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => values.get(middle).copied(),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Nanoseconds per period, by least squares. Each edge gets the number of its nearest period, counted from the previous
/// edge, so that a lost edge is skipped.
fn slope(times: &[f64], typical: f64) -> Option<f64> {
    if typical <= 0.0 {
        return None;
    }
    let first = *times.first()?;
    let mut number = 0.0;
    let mut points = vec![(0.0, 0.0)];
    for pair in times.windows(2) {
        number += ((pair[1] - pair[0]) / typical).round();
        points.push((number, pair[1] - first));
    }
    let n = points.len() as f64;
    let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0 / n, sum.1 + point.1 / n));
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0 && covariance > 0.0).then_some(covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const WINDOW: Duration = Duration::from_millis(20);

    #[test]
    fn square_waves_whole_late_and_with_gaps() {
        for (hz, duty) in [(500.0, 0.1), (1000.0, 0.5), (4000.0, 0.85), (512.0, 0.5)] {
            let whole = EdgeTrace::square(hz, duty, WINDOW);
            let mut late = whole.clone();
            late.edges.iter_mut().step_by(5).for_each(|edge| edge.at_ns += 1_000);
            let mut lost = whole.clone();
            lost.edges.remove(4);
            lost.edges.remove(7);
            for (trace, tolerance) in [(whole, 1e-6), (late, 1e-3), (lost, 1e-6)] {
                let signal = Signal::of(&trace);
                assert!((signal.hz / hz - 1.0).abs() < tolerance, "{hz} Hz: {signal:?}");
                assert!((signal.duty - duty).abs() < 0.005, "{duty}: {signal:?}");
            }
        }
    }

    #[test]
    fn what_does_not_move_has_no_frequency() {
        for (duty, level) in [(0.0, 0.0), (1.0, 1.0)] {
            assert_eq!(Signal::of(&EdgeTrace::square(1e3, duty, WINDOW)), Signal { hz: 0.0, duty: level });
        }
        // Two pulses prove nothing.
        let mut few = EdgeTrace::square(1e3, 0.5, WINDOW);
        few.edges.truncate(4);
        assert!(Signal::of(&few).is_still());
        let mut stuck_clock = EdgeTrace::square(1e3, 0.5, WINDOW);
        stuck_clock.edges.iter_mut().for_each(|edge| edge.at_ns = 7);
        assert!(Signal::of(&stuck_clock).is_still());
    }
}
