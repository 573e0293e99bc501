//! A nest after its run: the verdict over the whole of it, readable from afar.

use super::edge::EdgeStyles;
use super::style::Shape;
use super::{Screen, big, seconds};
use crate::advice::ranges;
use crate::nest::Finished;
use crate::texts::Key;
use bench_run::{Contact, Verdict};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Clear, Paragraph};

/// Rows of the smallest large letters, and of the smallest pane that gives them up.
const ROOM_FOR_LETTERS: u16 = 4;
const LEAST_WITH_LETTERS: u16 = 6;

fn word(verdict: Verdict) -> Key {
    match verdict {
        Verdict::Pass => Key::BigPass,
        Verdict::Fail => Key::BigFail,
        Verdict::Error | Verdict::Skipped => Key::BigError,
        Verdict::Aborted => Key::BigAborted,
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>, title: &str, finished: &Finished) {
    let verdict = finished.ended.verdict;
    let shape = screen.look.shape(verdict);
    frame.render_widget(Clear, area);
    frame.buffer_mut().set_style(area, shape.style);
    surround(frame, area, shape);
    let title = format!(" {title}  {} ", finished.unit.serial);
    frame.buffer_mut().set_stringn(area.x + 2, area.y, &title, usize::from(area.width.saturating_sub(4)), shape.style);

    let inside = area.inner(ratatui::layout::Margin { horizontal: if area.width >= 40 { 2 } else { 1 }, vertical: 1 });
    let width = usize::from(inside.width.max(1));
    let texts = &screen.app.texts;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let wrapped = |text: &str, style: Style| -> Vec<Line<'static>> {
        textwrap::wrap(text, width).into_iter().map(|line| Line::styled(line.into_owned(), style)).collect()
    };
    let order = wrapped(&finished.advice.order, bold);
    let bad = finished.ended.record.as_ref().map(|record| record.contacts_at_fault.as_slice()).unwrap_or_default();
    let named = if bad.is_empty() { Vec::new() } else { wrapped(&contacts(bad, texts), bold) };
    let picture = picture(screen, bad, inside.width);
    let mut details: Vec<Line<'_>> =
        finished.advice.details.iter().flat_map(|text| wrapped(text, Style::new())).collect();
    let off = finished.rails_off_after.map(|after| {
        let millis = format!("{:.1}", after.as_secs_f64() * 1e3);
        texts.with(Key::RailsOffAfter, &[("millis", millis.into())])
    });
    details.extend(off.iter().flat_map(|text| wrapped(text, Style::new())));
    if screen.app.may_find_cause(finished) {
        details.extend(wrapped(&texts.say(Key::CauseHint), Style::new()));
    }
    details.push(Line::from(texts.with(Key::Took, &[("seconds", seconds(finished.took).into())])));
    let remove = wrapped(&texts.say(Key::DoRemove), bold);

    // From the most to the least important; what has no place is left out, large letters shrink.
    let mut room = usize::from(inside.height);
    let mut take = |lines: Vec<Line<'static>>, keep: usize| {
        let fits = lines.len() + keep <= room;
        if fits {
            room -= lines.len();
        }
        if fits { lines } else { Vec::new() }
    };
    let letters = usize::from(if inside.height >= LEAST_WITH_LETTERS { ROOM_FOR_LETTERS } else { 1 });
    let order = take(order, letters.max(1));
    let named = take(named, letters);
    let picture = take(picture, letters);
    let remove = take(remove, letters);
    let kept = room.saturating_sub(details.len()).max(letters.min(room));
    details.truncate(room - kept);

    let word = texts.say(word(verdict));
    let high = big::rows(&word, inside.width, u16::try_from(kept).unwrap_or(u16::MAX));
    big::draw(
        frame,
        Rect { height: high.min(inside.height), ..inside },
        &word,
        shape.style.add_modifier(Modifier::BOLD),
    );
    let below = inside.height.saturating_sub(high);
    let text: Vec<Line<'_>> = order.into_iter().chain(named).chain(picture).chain(details).collect();
    let (top, bottom) = (inside.y + high, u16::try_from(remove.len()).unwrap_or(0));
    frame.render_widget(Paragraph::new(text), Rect { y: top, height: below, ..inside });
    let foot = Rect { y: (inside.y + inside.height).saturating_sub(bottom), height: bottom, ..inside };
    frame.render_widget(Paragraph::new(remove), foot);
}

fn contacts(bad: &[Contact], texts: &crate::texts::Texts) -> String {
    texts.with(Key::ContactsAtFault, &[("contacts", ranges(bad).into()), ("count", bad.len().into())])
}

/// The module's edge with the bad contacts marked; nothing when none is.
fn picture(screen: &Screen<'_>, bad: &[Contact], columns: u16) -> Vec<Line<'static>> {
    if bad.is_empty() || screen.edge.height(columns) == 0 {
        return Vec::new();
    }
    let texts = &screen.app.texts;
    let bold = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
    let looks = EdgeStyles { good: Style::new(), bad: bold, number: Style::new().add_modifier(Modifier::BOLD) };
    let mut lines = screen.edge.lines(bad, columns, looks);
    let (first, second) =
        if screen.edge.is_card { (Key::Front, Key::Back) } else { (Key::HeaderLeft, Key::HeaderRight) };
    // Which row is which, where it costs no place of its own.
    for (line, key) in [(1, first), (2, second)] {
        if let Some(line) = lines.get_mut(line)
            && line.width() + 2 + texts.say(key).chars().count() <= usize::from(columns)
        {
            line.push_span(format!("  {}", texts.say(key)));
        }
    }
    lines
}

/// A frame of the verdict's own mark: its shape shows it without its colour.
fn surround(frame: &mut Frame<'_>, area: Rect, shape: Shape) {
    let buffer = frame.buffer_mut();
    for position in area.positions() {
        let (column, row) = (position.x - area.x, position.y - area.y);
        let horizontal = row == 0 || row + 1 == area.height;
        let vertical = column == 0 || column + 1 == area.width;
        if (horizontal && column % 2 == 0) || vertical {
            buffer[position].set_char(shape.frame);
        }
    }
}
