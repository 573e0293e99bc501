//! Keys from the terminal. `crossterm` is named here, in `screen` and in `scan_test` only.

use super::input::{Input, Press};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::time::Instant;
use zeroize::Zeroizing;

/// Reads the terminal in its own thread until nobody takes its keys any more. Each key has the time since `began`: the
/// screen may be busy, and only the pauses between keys show what a scanner sent. Nothing waits for the thread:
/// a terminal that is gone may block it for ever.
///
/// # Errors
/// When the system cannot start a thread.
pub(super) fn listen(began: Instant, mut take: impl FnMut(Input) -> bool + Send + 'static) -> std::io::Result<()> {
    let body = move || {
        loop {
            let input = match event::read() {
                Ok(Event::Key(key)) => press(key).map(|press| Input::PressAt(press, began.elapsed())),
                Ok(Event::Paste(text)) => Some(Input::Text(Zeroizing::new(text))),
                Ok(Event::Resize(..)) => Some(Input::Resized),
                Ok(_) => None,
                Err(error) => {
                    take(Input::End(format!("the terminal is gone: {error}")));
                    return;
                }
            };
            if input.is_some_and(|input| !take(input)) {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keyboard".to_owned()).spawn(body).map(drop)
}

pub(crate) fn press(key: KeyEvent) -> Option<Press> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c') if control => Press::Interrupt,
        // A line feed: some scanners end a label with it.
        KeyCode::Char('j' | 'm') if control => Press::Enter,
        KeyCode::Char(character) if control => Press::Control(control_character(character)?),
        // Escape and Enter that came in one piece over a slow line: the question, and no answer to it.
        KeyCode::Enter if key.modifiers.contains(KeyModifiers::ALT) => Press::Escape,
        KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(character) => Press::Character(character),
        KeyCode::Enter => Press::Enter,
        KeyCode::Backspace => Press::Backspace,
        KeyCode::Esc => Press::Escape,
        KeyCode::Delete => Press::Delete,
        KeyCode::Tab => Press::Tab,
        KeyCode::Right | KeyCode::Down => Press::Next,
        KeyCode::BackTab | KeyCode::Left | KeyCode::Up => Press::Previous,
        KeyCode::F(number @ 1..=8) => Press::NestStatus(usize::from(number) - 1),
        KeyCode::F(9) => Press::LogOff,
        KeyCode::F(10) => Press::EndShift,
        KeyCode::F(11) => Press::FindCause,
        KeyCode::F(12) => Press::Language,
        _ => return None,
    })
}

/// The control character that a terminal sends for this key with Ctrl.
fn control_character(key: char) -> Option<char> {
    let code = match key {
        ' ' | '@' => 0,
        'a'..='z' => u32::from(key) - u32::from('a') + 1,
        // The names that `crossterm` gives to FS, GS, RS and US, and those of other terminals.
        '4'..='7' => u32::from(key) - u32::from('4') + 0x1C,
        '\\' => 0x1C,
        ']' => 0x1D,
        '^' => 0x1E,
        '_' => 0x1F,
        _ => return None,
    };
    char::from_u32(code)
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
            (KeyCode::Char('x'), With::CONTROL, Some(Press::Control('\x18'))),
            (KeyCode::Char('5'), With::CONTROL, Some(Press::Control('\x1d'))),
            (KeyCode::Char('ü'), With::CONTROL, None),
            (KeyCode::Tab, With::NONE, Some(Press::Tab)),
            (KeyCode::Char('x'), With::ALT, None),
            (KeyCode::Enter, With::ALT, Some(Press::Escape)),
            (KeyCode::F(2), With::NONE, Some(Press::NestStatus(1))),
            (KeyCode::F(10), With::NONE, Some(Press::EndShift)),
            (KeyCode::F(11), With::NONE, Some(Press::FindCause)),
            (KeyCode::F(13), With::NONE, None),
            (KeyCode::Esc, With::NONE, Some(Press::Escape)),
        ];
        for (code, modifiers, expected) in rows {
            assert_eq!(press(KeyEvent::new(code, modifiers)), expected, "{code:?}");
        }
    }
}
