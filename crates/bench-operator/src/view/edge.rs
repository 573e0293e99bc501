//! The module's edge as a picture: where each contact is, and which are at fault.

use bench_plan::{DutFamily, Layout};
use bench_run::Contact;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Both rows of contacts, as they lie over each other; `None` where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeMap {
    pub rows: [Vec<Option<Contact>>; 2],
    /// The faces of a card's edge, not the two rows of a header.
    pub is_card: bool,
}

impl EdgeMap {
    pub fn of(family: &DutFamily) -> Self {
        let has = |number: u8| family.contacts.iter().any(|info| info.contact.0 == number);
        let contact = |number: u8| has(number).then_some(Contact(number));
        let last = family.contacts.iter().map(|info| info.contact.0).max().unwrap_or(0);
        let rows = match family.layout {
            // The notch stays empty.
            Layout::CardEdge => {
                [(1..=last).step_by(2).map(contact).collect(), (2..=last).step_by(2).map(contact).collect()]
            }
            Layout::Headers { first_row_ends, second_row_ends_at } => {
                let second = (first_row_ends.saturating_add(1)..=last).rev().map(contact);
                let opposite = std::iter::repeat_n(None, usize::from(second_row_ends_at).saturating_sub(1));
                [(1..=first_row_ends.min(last)).map(contact).collect(), opposite.chain(second).collect()]
            }
        };
        Self { rows, is_card: family.layout == Layout::CardEdge }
    }

    /// Columns of the picture when a contact takes so many.
    fn width(&self, cell: usize) -> usize {
        cell * self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Columns for a contact in this room; 0 when the picture has no place.
    fn cell(&self, columns: usize) -> usize {
        (1..=4).rev().find(|cell| self.width(*cell) <= columns).unwrap_or(0)
    }

    /// Rows of the picture in this room, 0 when it has no place.
    pub fn height(&self, columns: u16) -> u16 {
        if self.cell(columns.into()) == 0 { 0 } else { 4 }
    }

    /// Numbers of the bad contacts above and below, between them one mark for each contact.
    pub fn lines(&self, bad: &[Contact], columns: u16, looks: EdgeStyles) -> Vec<Line<'static>> {
        let cell = self.cell(columns.into());
        if cell == 0 {
            return Vec::new();
        }
        let marks = |row: &[Option<Contact>]| {
            let mark = |place: &Option<Contact>| match place {
                None => Span::raw(" ".repeat(cell)),
                Some(contact) if bad.contains(contact) => Span::styled(pad("X", cell), looks.bad),
                Some(_) => Span::styled(pad("│", cell), looks.good),
            };
            Line::from(row.iter().map(mark).collect::<Vec<_>>())
        };
        let [front, back] = &self.rows;
        let numbers = |row: &[Option<Contact>]| Line::styled(numbers(row, bad, cell), looks.number);
        vec![numbers(front), marks(front), marks(back), numbers(back)]
    }
}

/// How the parts of the picture look.
#[derive(Debug, Clone, Copy)]
pub struct EdgeStyles {
    pub good: Style,
    pub bad: Style,
    pub number: Style,
}

/// The mark in the first column of its place; wide ones are filled but for a gap.
fn pad(mark: &str, cell: usize) -> String {
    let marks = mark.repeat(cell.saturating_sub(1).max(1));
    format!("{marks:cell$}")
}

/// The numbers of bad contacts at their places, as far as they do not run into each other.
fn numbers(row: &[Option<Contact>], bad: &[Contact], cell: usize) -> String {
    let mut line = String::new();
    for (place, contact) in row.iter().enumerate() {
        let Some(contact) = contact.filter(|contact| bad.contains(contact)) else { continue };
        let at = place * cell;
        if line.is_empty() || line.len() < at {
            line = format!("{line:at$}{contact}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_engine::Project;
    use std::path::Path;

    fn map(model: &str) -> EdgeMap {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let families = Project::find(Some(&root), None).families().unwrap();
        EdgeMap::of(families.iter().map(|(_, family)| family).find(|family| family.model(model).is_some()).unwrap())
    }

    fn text(map: &EdgeMap, bad: &[u8], columns: u16) -> String {
        let bad: Vec<Contact> = bad.iter().map(|number| Contact(*number)).collect();
        let style = Style::new();
        let lines = map.lines(&bad, columns, EdgeStyles { good: style, bad: style, number: style });
        let line = |line: &Line<'_>| line.spans.iter().map(|span| span.content.as_ref()).collect::<String>();
        lines.iter().map(|row| line(row).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_contact_has_its_place_once() {
        for (model, count, columns) in [("b404x", 67, 38), ("b524", 67, 38), ("boron", 27, 16)] {
            let map = map(model);
            let mut all: Vec<u8> = map.rows.iter().flatten().flatten().map(|contact| contact.0).collect();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count, "{model}");
            assert_eq!(map.width(1), columns, "{model}");
        }
    }

    #[test]
    fn drawn() {
        let mut all = String::new();
        for (model, bad, columns) in [
            ("b404x", &[23_u8, 36, 37, 38, 75][..], 38),
            ("b404x", &[23, 36, 38], 78),
            ("boron", &[1, 16, 27], 40),
            ("b404x", &[], 37),
        ] {
            all.push_str(&format!("{model} {bad:?} in {columns}\n{}\n", text(&map(model), bad, columns)));
        }
        insta::assert_snapshot!(all);
    }
}
