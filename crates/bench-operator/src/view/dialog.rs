//! A question over the nests.

use super::Screen;
use crate::allow::why_key;
use crate::app::{Allow, Asked, Mode};
use crate::people::Role;
use crate::texts::Key;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, screen: &Screen<'_>) {
    let texts = &screen.app.texts;
    let orderly = super::whole_seconds(screen.app.setup.orderly);
    let (question, answers) = match &screen.app.mode {
        Mode::Work => return,
        Mode::Abort(nests) => {
            let numbers: Vec<String> = nests.iter().map(|nest| (nest + 1).to_string()).collect();
            let values =
                [("nests", numbers.join(", ").into()), ("count", nests.len().into()), ("seconds", orderly.into())];
            (texts.with(Key::AskAbort, &values), texts.say(Key::AskAbortKeys))
        }
        Mode::Leave => (texts.with(Key::AskLeave, &[("seconds", orderly.into())]), texts.say(Key::AskLeaveKeys)),
        Mode::Allow(allow) => allow_question(screen, allow),
    };
    let width = area.width.saturating_sub(4).clamp(10, 76);
    let room = usize::from(width.saturating_sub(4));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let wrap = |text: &str, style: Style| -> Vec<Line<'static>> {
        textwrap::wrap(text, room).into_iter().map(|line| Line::styled(line.into_owned(), style)).collect()
    };
    let mut lines = wrap(&question, bold);
    lines.push(Line::default());
    lines.extend(wrap(&answers, Style::new()));
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let place = Rect {
        x: area.x + (area.width.saturating_sub(width)) / 2,
        y: area.y + (area.height - height) / 2,
        width: width.min(area.width),
        height,
    };
    let block = Block::bordered()
        .border_type(BorderType::Double)
        .border_style(screen.look.warning())
        .padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

fn allow_question(screen: &Screen<'_>, allow: &Allow) -> (String, String) {
    let texts = &screen.app.texts;
    let (question, of_role) = match &allow.asked {
        Asked::Unit(unit, why) => {
            let why = texts.say(why_key(*why));
            let question = texts.with(Key::AskLetIn, &[("serial", unit.serial.clone().into()), ("why", why.into())]);
            (question, [Key::AskLetInOperator, Key::AskBadgeTechnician, Key::AskBadgeEngineer])
        }
        Asked::Release(suspicion) => {
            let why = crate::stopped::say(suspicion, texts);
            let question = texts.with(Key::AskRelease, &[("nest", (allow.nest + 1).into()), ("why", why.into())]);
            (question, [Key::AskReleaseOperator, Key::AskReleaseTechnician, Key::AskReleaseEngineer])
        }
        Asked::Cause(step) => {
            let serial = screen.app.nests.get(allow.nest).and_then(|nest| nest.unit());
            let serial = serial.map(|unit| unit.serial.clone()).unwrap_or_default();
            let question = texts.with(Key::AskCause, &[("step", step.clone().into()), ("serial", serial.into())]);
            (question, [Key::AskCauseBadge; 3])
        }
    };
    let answers = match (&allow.badge, allow.role) {
        (Some(badge), _) => {
            let name = screen.app.setup.rules.person(badge).map_or(badge.as_str(), |person| person.name.as_str());
            texts.with(Key::AskPin, &[("person", name.to_owned().into())])
        }
        (None, Role::Operator) => texts.say(of_role[0]),
        (None, Role::Technician) => texts.say(of_role[1]),
        (None, Role::Engineer) => texts.say(of_role[2]),
    };
    (question, answers)
}
