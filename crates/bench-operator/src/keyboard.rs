//! Keys from the terminal. `crossterm` is named here and in `screen` only.

use super::input::{Input, Press};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::sync::mpsc::Sender;
use zeroize::Zeroizing;

/// Reads the terminal in its own thread until the receiver is gone. Nothing waits for the thread:
/// a terminal that is gone may block it for ever.
///
/// # Errors
/// When the system cannot start a thread.
pub(super) fn listen(sender: Sender<Input>) -> std::io::Result<()> {
    let body = move || {
        loop {
            let input = match event::read() {
                Ok(Event::Key(key)) => press(key).map(Input::Press),
                Ok(Event::Paste(text)) => Some(Input::Text(Zeroizing::new(text))),
                Ok(Event::Resize(..)) => Some(Input::Resized),
                Ok(_) => None,
                Err(error) => {
                    let _ = sender.send(Input::End(format!("the terminal is gone: {error}")));
                    return;
                }
            };
            if input.is_some_and(|input| sender.send(input).is_err()) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keyboard".to_owned()).spawn(body).map(drop)
}

fn press(key: KeyEvent) -> Option<Press> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if control => Press::Interrupt,
        // A line feed: some scanners end a label with it.
        KeyCode::Char('j') if control => Press::Enter,
        // Escape and Enter that came in one piece over a slow line: the question, and no answer to it.
        KeyCode::Enter if key.modifiers.contains(KeyModifiers::ALT) => Press::Escape,
        KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(character) => Press::Character(character),
        KeyCode::Enter => Press::Enter,
        KeyCode::Backspace => Press::Backspace,
        KeyCode::Esc => Press::Escape,
        KeyCode::Delete => Press::Delete,
        KeyCode::Tab | KeyCode::Right | KeyCode::Down => Press::Next,
        KeyCode::BackTab | KeyCode::Left | KeyCode::Up => Press::Previous,
        KeyCode::F(number @ 1..=8) => Press::NestStatus(usize::from(number) - 1),
        KeyCode::F(9) => Press::LogOff,
        KeyCode::F(10) => Press::EndShift,
        KeyCode::F(12) => Press::Language,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        use KeyModifiers as With;
        let rows = [
            (KeyCode::Char('P'), With::SHIFT, Some(Press::Character('P'))),
            (KeyCode::Char('c'), With::CONTROL, Some(Press::Interrupt)),
            (KeyCode::Char('j'), With::CONTROL, Some(Press::Enter)),
            (KeyCode::Char('x'), With::CONTROL, None),
            (KeyCode::Char('x'), With::ALT, None),
            (KeyCode::Enter, With::ALT, Some(Press::Escape)),
            (KeyCode::F(2), With::NONE, Some(Press::NestStatus(1))),
            (KeyCode::F(10), With::NONE, Some(Press::EndShift)),
            (KeyCode::F(11), With::NONE, None),
            (KeyCode::Esc, With::NONE, Some(Press::Escape)),
        ];
        for (code, modifiers, expected) in rows {
            assert_eq!(press(KeyEvent::new(code, modifiers)), expected, "{code:?}");
        }
    }
}
