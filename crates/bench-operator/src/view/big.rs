//! Words in large letters. `tui-big-text` is named here only.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use tui_big_text::{BigText, PixelSize};

/// Columns and rows of a letter in each size, the largest first. The first three consist of whole and half blocks, which
/// the font of a Linux console has; quarters are better than nothing.
const SIZES: [(PixelSize, u16, u16); 4] =
    [(PixelSize::Full, 8, 8), (PixelSize::HalfHeight, 8, 4), (PixelSize::HalfWidth, 4, 8), (PixelSize::Quadrant, 4, 4)];

/// The largest size in which the word fits.
fn size(word: &str, columns: u16, rows: u16) -> Option<(PixelSize, u16, u16)> {
    let letters = u16::try_from(word.chars().count()).unwrap_or(u16::MAX);
    let fits = |(size, width, height): (PixelSize, u16, u16)| {
        // The last column of the last letter and its lowest row are empty.
        let (wide, high) = (letters.saturating_mul(width), height);
        (wide.saturating_sub(1) <= columns && high.saturating_sub(u16::from(height == 8)) <= rows)
            .then_some((size, wide, high))
    };
    SIZES.into_iter().find_map(fits)
}

/// Rows that the word takes in this room, with its margin.
pub(super) fn rows(word: &str, columns: u16, rows: u16) -> u16 {
    size(word, columns, rows).map_or(1, |(_, _, high)| high.min(rows))
}

/// Draws the word in the middle of the area's top, as large as it goes.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, word: &str, style: Style) {
    let Some((size, wide, high)) = size(word, area.width, area.height) else {
        let line = Line::styled(word.to_owned(), style.add_modifier(Modifier::BOLD)).centered();
        return frame.render_widget(Paragraph::new(line), area);
    };
    let wide = wide.min(area.width);
    let place = Rect { x: area.x + (area.width - wide) / 2, width: wide, height: high.min(area.height), ..area };
    let text = BigText::builder().pixel_size(size).style(style).lines(vec![word.to_owned().into()]).build();
    frame.render_widget(text, place);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_large_as_the_room_allows() {
        let rows = [
            ("PASS", 80, 20, Some(PixelSize::Full)),
            ("PASS", 31, 7, Some(PixelSize::Full)),
            ("PASS", 31, 6, Some(PixelSize::HalfHeight)),
            ("PASS", 30, 8, Some(PixelSize::HalfWidth)),
            ("PASS", 18, 4, Some(PixelSize::Quadrant)),
            ("PASS", 14, 4, None),
            ("STÖRUNG", 56, 9, Some(PixelSize::Full)),
            ("STÖRUNG", 18, 9, None),
        ];
        for (word, columns, height, expected) in rows {
            assert_eq!(size(word, columns, height).map(|(size, ..)| size), expected, "{word} in {columns}x{height}");
        }
    }
}
