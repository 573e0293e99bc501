//! The schedule as lines of text.

use super::{Bar, Chart, show};
use std::fmt::Write as _;

/// Where it is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Columns, 40 at least.
    pub width: usize,
    /// Whether block characters are shown there.
    pub blocks: bool,
}

/// Fewer columns than this say nothing.
const LEAST_BARS: usize = 16;
const WIDEST_ID: usize = 28;

pub(crate) fn text(chart: &Chart, look: Look) -> String {
    let look = Look { width: look.width.max(40), ..look };
    let mut text = figures(chart, look);
    let critical_mark = if look.blocks { '█' } else { '#' };
    let other_mark = if look.blocks { '▒' } else { '=' };
    let id_width = chart.steps.iter().map(|bar| bar.step.chars().count()).max().unwrap_or(0).clamp(4, WIDEST_ID);
    // "pins          0.80 s   2.50 s  |bars|"
    let with_begins = id_width + 22 + LEAST_BARS <= look.width;
    let left = if with_begins { id_width + 18 } else { id_width + 9 };
    let columns = look.width.saturating_sub(left + 4).max(LEAST_BARS);

    let head = |id: &str, begins: &str, takes: &str| {
        let id: String = id.chars().take(id_width).collect();
        if with_begins {
            format!("{id:id_width$} {begins:>8} {takes:>8}")
        } else {
            format!("{id:id_width$} {takes:>8}")
        }
    };
    let end = show(chart.schedule_seconds);
    let gap = columns.saturating_sub(1 + end.chars().count());
    let _ = writeln!(text, "\n{}  0{:gap$}{end}", head("step", "begins", "takes"), "");
    for bar in &chart.steps {
        let mark = if bar.critical { critical_mark } else { other_mark };
        let begins = if bar.begins_seconds == 0.0 { "0".to_owned() } else { show(bar.begins_seconds) };
        let head = head(&bar.step, &begins, &show(bar.takes_seconds));
        let (from, to) = cells(bar, chart.schedule_seconds, columns);
        let drawn: String = (0..columns).map(|n| if (from..to).contains(&n) { mark } else { ' ' }).collect();
        let _ = writeln!(text, "{head} |{drawn}|");
    }
    let _ = writeln!(text, "{critical_mark} critical   {other_mark} not");
    text
}

/// The columns that a bar fills: at least one.
fn cells(bar: &Bar, whole: f64, columns: usize) -> (usize, usize) {
    let place = |seconds: f64| if whole > 0.0 { seconds / whole * columns as f64 } else { 0.0 };
    let from = (place(bar.begins_seconds) as usize).min(columns.saturating_sub(1));
    let to = (place(bar.begins_seconds + bar.takes_seconds).round() as usize).clamp(from + 1, columns.max(from + 1));
    (from, to)
}

fn figures(chart: &Chart, look: Look) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} ({}): {} steps, times from {}",
        chart.title,
        chart.model,
        chart.steps.len(),
        chart.times_from
    );
    let _ = writeln!(text, "  run                {:>8}", show(chart.run_seconds));
    let _ = writeln!(
        text,
        "  critical path      {:>8}   the run takes {:.2} times as long",
        show(chart.critical_seconds),
        chart.run_over_critical
    );
    let _ = writeln!(
        text,
        "  one after another  {:>8}   the run takes {:.0} % of that",
        show(chart.one_by_one_seconds),
        100.0 * chart.run_over_one_by_one
    );
    let legs: Vec<String> = chart.critical_path.iter().map(leg).collect();
    for line in wrapped("Critical path: ", &legs, look) {
        let _ = writeln!(text, "{line}");
    }
    text
}

/// "reset", or "12 steps that need ports for themselves (3.20 s): pulls, drive, ...".
fn leg(leg: &super::Leg) -> String {
    match &leg.resource {
        None => leg.steps.join(", "),
        Some(resource) => format!(
            "{} steps that keep {resource} from each other ({}): {}",
            leg.steps.len(),
            show(leg.seconds),
            leg.steps.join(", ")
        ),
    }
}

/// The legs joined by arrows, broken between words, further lines indented.
fn wrapped(begin: &str, legs: &[String], look: Look) -> Vec<String> {
    let arrow = if look.blocks { " → " } else { " > " };
    let mut lines = vec![String::from(begin.trim_end())];
    for word in legs.join(arrow).split_whitespace() {
        let fits = lines.last().is_some_and(|line| line.chars().count() + 1 + word.chars().count() <= look.width);
        match lines.last_mut() {
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines
}
