//! One nest.

use super::{Screen, big, question, running, verdict};
use crate::nest::State;
use crate::texts::Key;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>, index: usize) {
    let app = screen.app;
    let nest = &app.nests[index];
    let focused = app.focus == index && app.nests.len() > 1;
    let mark = if focused { ">" } else { "" };
    let title = format!("{mark}{} {}", app.texts.say(Key::NestStatus), index + 1);
    if let State::Done(finished) = &nest.state {
        return verdict::draw(frame, area, screen, &title, finished);
    }
    let (border, style) =
        if focused { (BorderType::Double, screen.look.accent()) } else { (BorderType::Plain, Style::new()) };
    let block = Block::bordered().border_type(border).border_style(style).title(format!(" {title} "));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    match &nest.state {
        State::Empty => match &nest.stopped {
            None => {
                let due = nest.golden_due.as_ref().map(|due| format!("\n{}", due.say(&app.texts))).unwrap_or_default();
                let text = app.texts.say(Key::DoScan) + &due;
                order(frame, inside, screen, Key::BigScan, &text, None);
            }
            Some(suspicion) => {
                let why = crate::stopped::say(suspicion, &app.texts);
                let text = format!("{}\n{why}\n{}", app.texts.say(Key::DoStopped), app.texts.say(Key::DoRelease));
                order(frame, inside, screen, Key::BigStopped, &text, None);
            }
        },
        State::Ready(unit) => {
            let text = app.texts.say(Key::DoPutIn);
            order(frame, inside, screen, Key::BigStart, &text, Some(&unit.serial));
        }
        State::Running(..) if nest.question.is_some() => {
            let is_focused = app.focus == index;
            let is_covered = is_focused && app.asked().is_some() && borrows(area, app.nests.len());
            if !is_covered {
                question::draw(frame, inside, screen, nest, is_focused);
            }
        }
        State::Running(unit, live) => {
            // The large word only where the test itself has its place too.
            const TEST: u16 = 11;
            let high = if inside.height >= TEST + 4 {
                big::rows(&app.texts.say(Key::BigWait), inside.width, inside.height - TEST)
            } else {
                0
            };
            if high > 1 {
                big::draw(frame, Rect { height: high, ..inside }, &app.texts.say(Key::BigWait), Style::new());
            }
            let high = if high > 1 { high } else { 0 };
            let rest = Rect { y: inside.y + high, height: inside.height - high, ..inside };
            running::draw(frame, rest, screen, nest, unit, live);
        }
        State::Done(_) => {}
    }
}

/// Room for a question with its answers. A smaller nest borrows the place of others while it has the focus.
const QUESTION: (u16, u16) = (44, 15);

/// Whether the question on the nest with this place is drawn over the other nests while it has the focus.
fn borrows(own: Rect, count: usize) -> bool {
    count > 1 && (own.width < QUESTION.0 || own.height < QUESTION.1)
}

/// Draws the question on the nest in focus over the other nests, if its own place is too small.
pub(super) fn draw_question(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let Some(nest) = screen.app.asked().and_then(|_| screen.app.nests.get(screen.app.focus)) else { return };
    let count = screen.app.nests.len();
    let own = super::grid(area, count).get(screen.app.focus).copied().unwrap_or(area);
    if !borrows(own, count) {
        return;
    }
    let title = format!(" {} {} ", screen.app.texts.say(Key::NestStatus), screen.app.focus + 1);
    let block = Block::bordered().border_type(BorderType::Double).border_style(screen.look.warning()).title(title);
    let inside = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    question::draw(frame, inside, screen, nest, true);
}

/// A word in large letters, and what it means.
fn order(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>, word: Key, order: &str, serial: Option<&str>) {
    let texts = &screen.app.texts;
    let mut lines: Vec<Line<'_>> = Vec::new();
    lines.extend(serial.map(|serial| Line::styled(serial.to_owned(), screen.look.accent()).centered()));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let wrapped = textwrap::wrap(order, usize::from(area.width.max(1)));
    lines.extend(wrapped.into_iter().map(|line| Line::styled(line.into_owned(), bold).centered()));
    let text = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height);
    let word = texts.say(word);
    let high = big::rows(&word, area.width, area.height.saturating_sub(text));
    let all = (high + text).min(area.height);
    let top = area.y + (area.height - all) / 2;
    if area.height > text {
        big::draw(frame, Rect { y: top, height: high, ..area }, &word, screen.look.accent());
    }
    frame.render_widget(Paragraph::new(lines), Rect { y: top + all - text, height: text, ..area });
}
