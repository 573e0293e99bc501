//! A board as tables for a terminal or a printer.

use bench_plan::{Board, JumperState, Wire};
use std::fmt::Write as _;

/// The text of the board's tables; empty lists have no heading.
pub(crate) fn text(board: &Board) -> String {
    let mut out = format!("{}\nSource: {}\n", board.name, board.source);
    for doubt in &board.doubts {
        let _ = writeln!(out, "Doubt: {doubt}");
    }
    if !board.jumpers.is_empty() {
        out.push_str("\nJumpers\n");
        out.push_str(&table(board.jumpers.iter().map(|jumper| {
            let state = match jumper.state {
                JumperState::Off => "OFF",
                JumperState::On => "ON",
            };
            let also = jumper.also.iter().map(|name| format!("; {name}")).collect::<String>();
            let place = jumper.place.iter().map(|place| format!("; {place}")).collect::<String>();
            [state.to_owned(), jumper.name.clone(), jumper.joins.clone(), format!("{}{also}{place}", jumper.why)]
        })));
    }
    if !board.wires.is_empty() {
        out.push_str("\nWires, in this order\n");
        out.push_str(&table(board.wires.iter().enumerate().map(|(n, wire)| {
            let why = wire.why.as_deref().unwrap_or_default();
            let level = wire.level.as_ref().map_or_else(String::new, |level| format!("up to {level}"));
            let about: Vec<&str> = [level.as_str(), why].into_iter().filter(|text| !text.is_empty()).collect();
            [
                format!("{}", n + 1),
                format!("{} {}", wire.from.of, wire.from.pin),
                wire.colour.name().to_owned(),
                to(wire),
                behind(wire),
                about.join("; "),
            ]
        })));
    }
    if !board.steps.is_empty() {
        out.push_str("\nBy hand\n");
        out.push_str(&steps(board, "  "));
    }
    out
}

/// What is done by hand, numbered.
pub(crate) fn steps(board: &Board, indent: &str) -> String {
    let row = |(n, step): (usize, &String)| format!("{indent}{}. {step}\n", n + 1);
    board.steps.iter().enumerate().map(row).collect()
}

/// "J3 pin 24", "mikroBUS 1 SCL".
pub(crate) fn to(wire: &Wire) -> String {
    let number = wire.to.pin.chars().all(|digit| digit.is_ascii_digit());
    format!("{} {}{}", wire.to.of, if number { "pin " } else { "" }, wire.to.pin)
}

/// "contact 23 (A0)", "pad SWDIO".
pub(crate) fn behind(wire: &Wire) -> String {
    match (wire.contact, &wire.pin) {
        (Some(contact), Some(pin)) => format!("contact {contact} ({pin})"),
        (Some(contact), None) => format!("contact {contact}"),
        (None, Some(pin)) => format!("pad {pin}"),
        (None, None) => String::new(),
    }
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    for row in &rows {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("  {cell:width$}")).collect();
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}
