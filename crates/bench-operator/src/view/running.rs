//! A nest while its unit is tested.

use super::style::Look;
use super::{Screen, seconds, whole_seconds};
use crate::live::{Live, Reading};
use crate::nest::{NestStatus, Unit};
use crate::texts::Key;
use bench_run::{Limits, Verdict};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    screen: &Screen<'_>,
    nest: &NestStatus,
    unit: &Unit,
    live: &Live,
) {
    let texts = &screen.app.texts;
    let look = screen.look;
    let width = usize::from(area.width);
    let mut lines: Vec<Line<'_>> = Vec::new();
    lines.push(head(screen, nest, unit, live));
    if let Some(left) = screen.app.orderly_left(nest) {
        let text = texts.with(Key::StoppingWithin, &[("seconds", whole_seconds(left).into())]);
        lines.push(Line::styled(text, look.warning()));
    }

    if let Some(diagnosing) = &nest.diagnosing {
        let text = texts.with(Key::CauseRuns, &[("step", diagnosing.step.clone().into())]);
        lines.push(Line::styled(text, look.warning()));
    }
    if let Some(left) = live.held(screen.app.now()) {
        let text = texts.with(Key::CauseHeld, &[("seconds", whole_seconds(left).into())]);
        lines.push(Line::styled(text, look.power()));
    }

    let elapsed = live.elapsed(screen.app.now(), screen.app.setup.pace);
    let (done, all) = live.progress();
    let part = if all == 0 { 0.0 } else { done as f64 / all as f64 };
    lines.push(Line::styled(bar(part, width), look.accent()));
    let mut time = vec![("elapsed", seconds(elapsed).into())];
    let key = match screen.app.setup.expected {
        Some(expected) => {
            time.push(("expected", seconds(expected).into()));
            Key::ElapsedOf
        }
        None => Key::Elapsed,
    };
    let steps = texts.with(Key::Steps, &[("done", done.into()), ("all", all.into())]);
    lines.push(Line::from(format!("{}   {steps}", texts.with(key, &time))));

    let silent = live.silent(screen.app.now());
    if silent > screen.app.setup.silence {
        let text = texts.with(Key::Silent, &[("seconds", silent.as_secs().into())]);
        lines.extend(
            textwrap::wrap(&text, width.max(1)).into_iter().map(|line| Line::styled(line.into_owned(), look.warning())),
        );
    }
    let left = usize::from(area.height).saturating_sub(lines.len() + 2).max(1);
    for title in live.at_work().take(left.min(3)) {
        lines.push(Line::styled(format!("> {title}"), Style::new().add_modifier(Modifier::BOLD)));
    }
    if let Some(reading) = &live.reading {
        lines.extend(measured(reading, width, look));
    }
    for problem in live.problems.iter().rev() {
        lines.extend(
            textwrap::wrap(&format!("! {problem}"), width.max(1))
                .into_iter()
                .map(|line| Line::styled(line.into_owned(), look.warning())),
        );
    }
    if lines.len() < usize::from(area.height) {
        lines.resize(usize::from(area.height) - 1, Line::default());
        lines.push(Line::styled(texts.say(Key::DoWait), Style::new().add_modifier(Modifier::BOLD)));
    }
    lines.truncate(area.height.into());
    frame.render_widget(Paragraph::new(lines), area);
}

/// The unit, and whether it has power.
pub(super) fn head(screen: &Screen<'_>, nest: &NestStatus, unit: &Unit, live: &Live) -> Line<'static> {
    let (texts, look) = (&screen.app.texts, screen.look);
    let power = match (nest.stopping, live.rails_on()) {
        (true, _) => Span::styled(texts.say(Key::Stopping), look.warning()),
        (false, 0) => Span::styled(texts.say(Key::PowerOff), look.faint()),
        (false, _) => Span::styled(texts.say(Key::PowerOn), look.power()),
    };
    Line::from(vec![Span::styled(format!("{}  ", unit.serial), look.accent()), power])
}

/// How far it is, as a bar.
fn bar(part: f64, width: usize) -> String {
    let label = format!(" {:3.0} %", 100.0 * part);
    let room = width.saturating_sub(label.len());
    let full = ((part * room as f64).round() as usize).min(room);
    format!("{}{}{label}", "█".repeat(full), "░".repeat(room - full))
}

/// The newest value, what it must be, and where it is.
fn measured(reading: &Reading, width: usize, look: Look) -> Vec<Line<'static>> {
    let measurement = &reading.measurement;
    let value = match (measurement.value, &measurement.raw) {
        (Some(value), _) => measurement.unit.show(value),
        (None, Some(raw)) => raw.clone(),
        (None, None) => "-".to_owned(),
    };
    let good = measurement.verdict == Verdict::Pass;
    let style = if good { Style::new() } else { look.warning() };
    let mut lines = vec![Line::from(vec![
        Span::raw(format!("{} = ", measurement.name)),
        Span::styled(value, style.add_modifier(Modifier::BOLD)),
    ])];
    let limits = measurement.limits.show(measurement.unit);
    lines.push(Line::styled(limits, look.faint()));
    if let Some(scale) = measurement.value.and_then(|value| scale(value, &measurement.limits, width.min(60))) {
        lines.push(Line::styled(scale, style));
    }
    lines
}

/// Where a value is between its limits: `   ├───█──────┤   `. `None` when there is no width to show it in.
fn scale(value: f64, limits: &Limits, width: usize) -> Option<String> {
    let (Some(min), Some(max)) = (limits.min, limits.max) else { return None };
    let span = max - min;
    if span <= 0.0 || width < 16 || !value.is_finite() {
        return None;
    }
    // A quarter of the span is shown on either side.
    let last = (width - 1) as f64;
    let at = |value: f64| (((value - min) / span + 0.25) / 1.5 * last).round().clamp(0.0, last) as usize;
    let (low, high, here) = (at(min), at(max), at(value));
    let inside = value >= min && value <= max;
    let mark = |column: usize| match column {
        _ if column == here => {
            if inside {
                '█'
            } else {
                'X'
            }
        }
        _ if column == low => '├',
        _ if column == high => '┤',
        _ if column > low && column < high => '─',
        _ => ' ',
    };
    Some((0..width).map(mark).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_value_lies() {
        let limits = Limits::between(3.0, 4.0);
        let rows = [
            (3.5, Some("   ├──────█──────┤   ")),
            (3.0, Some("   █─────────────┤   ")),
            (2.0, Some("X  ├─────────────┤   ")),
            (9.0, Some("   ├─────────────┤  X")),
            (f64::NAN, None),
        ];
        for (value, expected) in rows {
            assert_eq!(scale(value, &limits, 21).as_deref(), expected, "{value}");
        }
        assert_eq!(scale(1.0, &Limits::exactly(1.0), 21), None);
        assert_eq!(scale(1.0, &Limits::at_most(2.0), 21), None);
    }
}
