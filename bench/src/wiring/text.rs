//! The wires as tables for a terminal or a printer.

use super::{Nail, Wiring};
use std::fmt::Write as _;

pub(crate) fn text(wiring: &Wiring) -> String {
    let mut out = format!("{} ({})\n", wiring.title, wiring.fixture);
    if let Some(board) = &wiring.board {
        let _ = write!(out, "\n{}", super::board::text(board));
    }
    // A desk has no bed: its board is all there is.
    if wiring.board.is_some() && wiring.chips.is_empty() {
        return out;
    }
    out.push_str("\nContacts\n");
    let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let name_width = width(&mut wiring.contacts.iter().map(|wires| wires.name.chars().count()));
    let wire_width = width(
        &mut wiring.contacts.iter().filter(|wires| wires.nail != Nail::None).map(|wires| wires.wire.chars().count()),
    );
    let measure_width =
        width(&mut wiring.contacts.iter().filter_map(|wires| wires.measure.as_ref()).map(|text| text.chars().count()));
    for wires in &wiring.contacts {
        let line = format!(
            "  {:>3}  {:name_width$}  {:wire_width$}  {:measure_width$}  {}",
            wires.contact,
            wires.name,
            wires.wire,
            wires.measure.as_deref().unwrap_or_default(),
            wires.extras.join("; ")
        );
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push_str("\nController\n");
    for pin in &wiring.controller {
        let _ = writeln!(out, "  GPIO {:>2}  {}", pin.gpio, pin.leads_to);
    }
    for chip in &wiring.chips {
        let _ = writeln!(out, "\n{} ({}, I2C {})", chip.id, chip.part, chip.address);
        let pin_width = width(&mut chip.pins.iter().map(|(pin, _)| pin.chars().count()));
        for (pin, leads_to) in &chip.pins {
            let _ = writeln!(out, "  {pin:pin_width$}  {leads_to}");
        }
    }
    out
}
