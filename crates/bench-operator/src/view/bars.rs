//! The lines above and below the nests.

use super::Screen;
use crate::texts::Key;
use bench_run::Verdict;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

pub(super) fn head(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let app = screen.app;
    let mut parts = vec![Span::styled(format!(" {} ", app.setup.title), screen.look.accent())];
    if app.setup.virtual_bench {
        parts.push(Span::styled(format!(" {} ", app.texts.say(Key::VirtualBench)), screen.look.warning()));
    }
    let who = match &app.operator {
        Some(badge) => {
            let name = app.setup.rules.person(badge).map_or(badge.as_str(), |person| person.name.as_str());
            format!("{}: {name} ", app.texts.say(Key::Operator))
        }
        None if app.setup.rules.person.is_empty() => String::new(),
        None => format!("{} ", app.texts.say(Key::NobodyLoggedOn)),
    };
    frame.render_widget(Paragraph::new(Line::from(parts)), area);
    let wide = u16::try_from(who.chars().count()).unwrap_or(u16::MAX).min(area.width);
    let right = Rect { x: area.x + area.width - wide, width: wide, ..area };
    frame.render_widget(Paragraph::new(who), right);
}

/// Counts, yield and the last units.
pub(super) fn shift(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let (app, shift) = (screen.app, &screen.app.shift);
    let counts = app.texts.with(
        Key::ShiftCounts,
        &[
            ("runs", shift.runs().into()),
            ("passed", shift.passed.into()),
            ("failed", shift.failed.into()),
            ("errors", shift.errors.into()),
            ("aborted", shift.aborted.into()),
        ],
    );
    let percent = shift.first_pass_yield().map_or("-".to_owned(), |part| format!("{:.0} %", 100.0 * part));
    let rate = app.texts.with(Key::ShiftYield, &[("percent", percent.into())]);
    let mut last = vec![Span::raw(format!(" {} ", app.texts.say(Key::ShiftLast)))];
    // All ten fit, with as much of their serial numbers as there is room for.
    let letters = (usize::from(area.width).saturating_sub(10) / 10).saturating_sub(4).clamp(3, 15);
    for unit in shift.last() {
        let tail: String = unit.serial.chars().skip(unit.serial.chars().count().saturating_sub(letters)).collect();
        last.push(Span::styled(format!(" {} ", mark(unit.verdict)), screen.look.shape(unit.verdict).style));
        last.push(Span::raw(format!("{tail} ")));
    }
    let first = Line::from(format!(" {counts}   {rate}"));
    frame.render_widget(Paragraph::new(vec![first, Line::from(last)]), area);
}

/// The mark that the frame around a verdict is made of.
fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Pass => 'O',
        Verdict::Fail => 'X',
        Verdict::Error | Verdict::Skipped => '!',
        Verdict::Aborted => '-',
    }
}

pub(super) fn notice(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let app = screen.app;
    if app.leaving.is_some() {
        let left = app.nests.iter().filter_map(|nest| app.orderly_left(nest)).max();
        let text = match left {
            Some(left) => app.texts.with(Key::LeavingWithin, &[("seconds", super::whole_seconds(left).into())]),
            None => app.texts.say(Key::Leaving),
        };
        let line = Line::styled(format!(" {text} "), screen.look.warning());
        return frame.render_widget(Paragraph::new(line), area);
    }
    let Some(notice) = &app.notice else { return };
    let style = if notice.warning { screen.look.warning() } else { screen.look.accent() };
    frame.render_widget(Paragraph::new(Line::styled(format!(" {} ", notice.text), style)), area);
}

/// What may be shown of what the scanner or the keyboard sent so far. On the right, what the line's server has not got yet.
pub(super) fn typed(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let app = screen.app;
    let line = Line::from(vec![
        Span::styled(" > ", screen.look.accent()),
        Span::raw(app.typed_shown()),
        Span::styled("_", Style::new().add_modifier(Modifier::SLOW_BLINK)),
    ]);
    frame.render_widget(Paragraph::new(line), area);
    if app.waiting > 0 {
        let waiting = app.texts.with(Key::ShiftWaiting, &[("runs", app.waiting.into())]);
        let sign = Line::styled(format!("{waiting} "), screen.look.faint()).right_aligned();
        frame.render_widget(Paragraph::new(sign), area);
    }
}

pub(super) fn keys(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let line = Line::styled(format!(" {}", screen.app.texts.say(Key::KeysWork)), screen.look.faint());
    frame.render_widget(Paragraph::new(line), area);
}
