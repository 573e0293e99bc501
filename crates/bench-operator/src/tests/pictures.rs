//! The pictures of the manual, drawn from the screen itself: `UPDATE_PICTURES=1` writes them again.

use super::*;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write;

/// A character of the picture, in its units.
const CELL: (u32, u32) = (9, 19);
const DARK: &str = "#16181d";
const LIGHT: &str = "#d7dae0";

fn colour(colour: Color, otherwise: &'static str) -> &'static str {
    match colour {
        Color::Black => "#16181d",
        Color::Red => "#c22f2f",
        Color::Green => "#2fa84f",
        Color::Yellow => "#e3b341",
        Color::Blue => "#2f5fc2",
        Color::Magenta => "#a347ba",
        Color::Cyan => "#4cc3d9",
        Color::Gray => "#9aa0aa",
        Color::White => "#ffffff",
        _ => otherwise,
    }
}

/// Foreground, background, whether bold.
fn looks(cell: &Cell) -> (&'static str, &'static str, bool) {
    let (fore, back) = (colour(cell.fg, LIGHT), colour(cell.bg, DARK));
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    let (fore, back) = if reversed { (back, fore) } else { (fore, back) };
    (fore, back, cell.modifier.contains(Modifier::BOLD))
}

fn svg(buffer: &Buffer) -> String {
    let area = buffer.area;
    let (wide, high) = (u32::from(area.width) * CELL.0, u32::from(area.height) * CELL.1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" font-family=\"monospace\" \
         font-size=\"15\">\n<rect width=\"{wide}\" height=\"{high}\" fill=\"{DARK}\"/>\n"
    );
    for y in 0..area.height {
        let mut x = 0;
        while x < area.width {
            let look = looks(&buffer[(x, y)]);
            let same = (x..area.width).take_while(|column| looks(&buffer[(*column, y)]) == look);
            let run: Vec<u16> = same.collect();
            let text: String = run.iter().map(|column| buffer[(*column, y)].symbol()).collect();
            let (left, top) = (u32::from(x) * CELL.0, u32::from(y) * CELL.1);
            let length = u32::try_from(run.len()).unwrap() * CELL.0;
            let (fore, back, bold) = look;
            if back != DARK {
                let height = CELL.1;
                writeln!(
                    svg,
                    "<rect x=\"{left}\" y=\"{top}\" width=\"{length}\" height=\"{height}\" fill=\"{back}\"/>"
                )
                .unwrap();
            }
            if !text.trim().is_empty() {
                let weight = if bold { " font-weight=\"bold\"" } else { "" };
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                let base = top + 14;
                writeln!(
                    svg,
                    "<text x=\"{left}\" y=\"{base}\" textLength=\"{length}\" lengthAdjust=\"spacingAndGlyphs\" \
                     xml:space=\"preserve\" fill=\"{fore}\"{weight}>{text}</text>"
                )
                .unwrap();
            }
            x += u16::try_from(run.len()).unwrap();
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Four nests in the middle of a shift.
fn shift() -> Station {
    let mut station = Station::new(4, Rules::default());
    for number in 1..=4 {
        station.scan(&label(number));
        station.press(Press::Enter);
    }
    station.ends(0, Verdict::Pass);
    station.ends(1, Verdict::Fail);
    station.entries(2, &half(3.31));
    station.ends(3, Verdict::Error);
    station
}

#[test]
fn pictures_of_the_manual() {
    let mut station = Station::new(1, Rules::default());
    station.scan(&label(1));
    let ready = svg(station.backend(80, 24).buffer());
    station.press(Press::Enter);
    station.entries(0, &half(3.31));
    let running = svg(station.backend(80, 24).buffer());
    station.press(Press::Escape);
    let abort = svg(station.backend(80, 24).buffer());
    station.press(Press::Escape);
    station.ends(0, Verdict::Fail);
    let fail = svg(station.backend(80, 24).buffer());
    let four = svg(shift().backend(100, 32).buffer());
    let stopped = svg(super::repeated::stopped().backend(100, 32).buffer());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures/operator");
    let pictures = [
        ("ready", ready),
        ("running", running),
        ("abort", abort),
        ("fail", fail),
        ("four", four),
        ("stopped", stopped),
    ];
    for (name, picture) in pictures {
        assert!(roxmltree::Document::parse(&picture).is_ok(), "{name}");
        let path = folder.join(format!("{name}.svg"));
        if std::env::var_os("UPDATE_PICTURES").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &picture).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == picture, "docs/pictures/operator/{name}.svg is out of date: run with UPDATE_PICTURES=1");
    }
}
