//! A question of the plan on its nest.

use super::{Screen, big, running, whole_seconds};
use crate::app::Mode;
use crate::nest::{NestStatus, State};
use crate::questions::{CANNOT_KEY, OpenQuestion};
use crate::texts::Key;
use bench_instruments::AnswerForm;
use bench_journal::shown;
use bench_run::MeasurementUnit;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// In fewer rows a picture is no help.
const LEAST_PICTURE: u16 = 4;

/// Draws the question of this nest with what answers it, if there is one. `focused`: keys answer this one.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>, nest: &NestStatus, focused: bool) {
    let (State::Running(unit, live), Some(open)) = (&nest.state, &nest.question) else { return };
    let texts = &screen.app.texts;
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let width = usize::from(area.width.max(1));
    let wrap = |text: &str, style: Style| -> Vec<Line<'static>> {
        textwrap::wrap(text, width).into_iter().map(|line| Line::styled(line.into_owned(), style)).collect()
    };
    let mut lines = vec![running::head(screen, nest, unit, live)];
    lines.extend(wrap(&open.question.text, bold));
    if let Some(picture) = &open.question.picture {
        let file = open.question.picture_text.clone().unwrap_or_else(|| shown(picture));
        lines.extend(wrap(&texts.with(Key::PromptPicture, &[("file", file.into())]), Style::new()));
    }
    let mut below = Vec::new();
    if focused {
        below.extend(answers(screen, open, &wrap));
    } else {
        below.extend(wrap(&texts.say(Key::PromptElsewhere), screen.look.faint()));
    }
    if let Some(left) = open.left(screen.app.now()) {
        let text = texts.with(Key::PromptLeft, &[("seconds", whole_seconds(left).into())]);
        below.extend(wrap(&text, screen.look.faint()));
    }
    let all = lines.len() + below.len();
    let room = usize::from(area.height).saturating_sub(all);
    let word = texts.say(Key::PromptYesNo);
    let rows = u16::try_from(room).unwrap_or(u16::MAX).saturating_sub(1);
    let picture = open.question.picture.as_deref();
    let picture = picture.filter(|path| focused && rows > LEAST_PICTURE && screen.pictures.has_place(path));
    let is_confirm = focused && picture.is_none() && matches!(open.question.form, AnswerForm::Confirm);
    let high = if is_confirm && rows > 3 { big::rows(&word, area.width, rows) } else { 0 };
    let top = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height);
    frame.render_widget(Paragraph::new(lines), Rect { height: top, ..area });
    let mut y = area.y + top;
    if high > 1 {
        big::draw(frame, Rect { y: y + 1, height: high, ..area }, &word, screen.look.accent());
        y += high + 1;
    }
    if let Some(path) = picture {
        // Where the terminal draws the picture itself, it would be over a dialog.
        if matches!(screen.app.mode, Mode::Work) {
            screen.pictures.draw(frame, Rect { y: y + 1, height: rows - 1, ..area }, path);
        }
        y += rows + 1;
    }
    let height = area.bottom().saturating_sub(y);
    frame.render_widget(Paragraph::new(below), Rect { y, height, ..area });
}

/// The keys that answer, or what to type and what was typed.
fn answers(
    screen: &Screen<'_>,
    open: &OpenQuestion,
    wrap: &dyn Fn(&str, Style) -> Vec<Line<'static>>,
) -> Vec<Line<'static>> {
    let texts = &screen.app.texts;
    let key = |key: char, what: &str| {
        let style = screen.look.accent();
        Line::from(vec![
            Span::styled(format!(" {key} "), style.add_modifier(Modifier::REVERSED)),
            Span::styled(format!(" {what}"), style),
        ])
    };
    let mut lines = Vec::new();
    match &open.question.form {
        AnswerForm::Confirm => {
            lines.push(key('1', &texts.say(Key::PromptYes)));
            lines.push(key('2', &texts.say(Key::PromptNo)));
        }
        AnswerForm::Choice(choices) => {
            lines.extend(choices.iter().zip('1'..='9').map(|(choice, digit)| key(digit, choice)));
        }
        AnswerForm::Number { unit: MeasurementUnit::One, .. } => {
            lines.extend(wrap(&texts.say(Key::PromptType), Style::new()));
        }
        AnswerForm::Number { unit, .. } => {
            let text = texts.with(Key::PromptTypeUnit, &[("example", unit.show(1.0).into())]);
            lines.extend(wrap(&text, Style::new()));
        }
        AnswerForm::Text { pattern } => {
            lines.extend(wrap(&texts.say(Key::PromptTypeText), Style::new()));
            if let Some(pattern) = pattern {
                let text = texts.with(Key::PromptPattern, &[("pattern", pattern.clone().into())]);
                lines.extend(wrap(&text, screen.look.faint()));
            }
        }
    }
    if open.has_keys() {
        lines.push(key(CANNOT_KEY, &texts.say(Key::PromptCannotPress)));
    } else {
        let typed = screen.app.answer_shown().unwrap_or_default();
        lines.push(Line::styled(format!("> {typed}_"), screen.look.accent()));
        lines.extend(wrap(&texts.say(Key::PromptCannotType), Style::new()));
    }
    lines
}
