//! What the screen shows: widgets from the state, nothing else.

mod bars;
mod big;
mod dialog;
pub mod edge;
mod pane;
mod question;
mod running;
mod style;
mod verdict;

pub use edge::EdgeMap;
pub use style::Look;

use super::app::{App, Mode};
use super::picture::Pictures;
use super::texts::Key;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::Paragraph;
use std::time::Duration;

/// Everything that is drawn.
pub struct Screen<'a> {
    pub app: &'a App,
    pub edge: &'a EdgeMap,
    pub look: Look,
    pub pictures: &'a Pictures,
}

/// Below this nothing useful has its place.
const LEAST: (u16, u16) = (40, 16);

pub fn draw(frame: &mut Frame<'_>, screen: &Screen<'_>) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let values = [("columns", LEAST.0.into()), ("rows", LEAST.1.into())];
        let text = screen.app.texts.with(Key::TooSmall, &values);
        let lines = textwrap::wrap(&text, usize::from(area.width.max(1))).join("\n");
        return frame.render_widget(Paragraph::new(lines), area);
    }
    let [head, nests, shift, notice, typed, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    bars::head(frame, head, screen);
    for (index, place) in grid(nests, screen.app.nests.len()).into_iter().enumerate() {
        pane::draw(frame, place, screen, index);
    }
    pane::draw_question(frame, nests, screen);
    bars::shift(frame, shift, screen);
    bars::notice(frame, notice, screen);
    bars::typed(frame, typed, screen);
    bars::keys(frame, keys, screen);
    if !matches!(screen.app.mode, Mode::Work) {
        dialog::draw(frame, nests, screen);
    }
}

/// Places for so many nests: as square as their number allows.
fn grid(area: Rect, count: usize) -> Vec<Rect> {
    let columns = match count {
        0 | 1 => 1,
        2..=4 => 2,
        5 | 6 => 3,
        _ => 4,
    };
    let rows = count.div_ceil(columns).max(1);
    let bands = Layout::vertical(vec![Constraint::Fill(1); rows]).split(area);
    let places =
        bands.iter().flat_map(|band| Layout::horizontal(vec![Constraint::Fill(1); columns]).split(*band).to_vec());
    places.take(count).collect()
}

/// Rounded up: of a longest time, never less than it is.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// "10.4": tenths of a second are enough for people.
fn seconds(span: Duration) -> String {
    format!("{:.1}", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nest_has_a_place_of_its_own() {
        for count in 1..=8 {
            let places = grid(Rect::new(0, 1, 80, 18), count);
            assert_eq!(places.len(), count);
            for (index, place) in places.iter().enumerate() {
                assert!(place.width >= 20 && place.height >= 9, "{count}: {place:?}");
                assert!(places[..index].iter().all(|other| !other.intersects(*place)), "{count}: {place:?}");
            }
        }
    }
}
