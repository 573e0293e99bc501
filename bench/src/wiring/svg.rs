//! The wires as a picture: the module's contacts in two columns, as they lie on both sides of its edge, each with the wire
//! that leads to it.

use super::{ContactWires, Nail, Wiring};
use maud::{Markup, PreEscaped, html};

const WIDTH: f64 = 1_240.0;
const MIDDLE: f64 = WIDTH / 2.0;
/// Half of the board's width in the picture.
const BOARD: f64 = 90.0;
const HEAD: f64 = 64.0;
const ROW: f64 = 21.0;

const STYLE: &str = "\
svg { font: 12px system-ui, sans-serif; background: #fff; } text { fill: #222; } .title { font-size: 16px; font-weight: 600; }
.board { fill: #1e5b3a; } .on { fill: #fff; font-weight: 600; } .right { text-anchor: end; } .low { fill: #666; }
line { stroke-width: 2; } .io { stroke: #2a6fb0; } .supply { stroke: #b3261e; } .ground { stroke: #222; } .none { stroke: #bbb; stroke-dasharray: 3 3; }";

/// The board with its wires and jumpers if the fixture is one, else the bed.
pub(crate) fn svg(wiring: &Wiring) -> String {
    if let Some(board) = &wiring.board {
        return super::board_svg::svg(board, &wiring.title, &wiring.fixture);
    }
    // Even numbers lie on one side, odd ones on the other (M.2); a header is drawn the same way.
    let (left, right): (Vec<&ContactWires>, Vec<_>) = wiring.contacts.iter().partition(|wires| wires.contact % 2 == 1);
    let rows = left.len().max(right.len());
    let height = HEAD + ROW * (rows as f64 + 1.0);
    let view = format!("0 0 {WIDTH} {height}");
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(view) width=(WIDTH) height=(height) role="img" {
            title { "Wires of " (wiring.title) }
            style { (PreEscaped(STYLE)) }
            text class="title" x="10" y="24" { (wiring.title) " (" (wiring.fixture) ")" }
            text class="low" x="10" y="44" { "blue: expander, red: supply, black: ground, grey: no nail; * also reaches the measure bus" }
            rect class="board" x=(MIDDLE - BOARD) y=(HEAD - 8.0) width=(2.0 * BOARD) height=(ROW * rows as f64 + 16.0) rx="6" {}
            @for (n, wires) in left.iter().enumerate() { (contact(wires, HEAD + ROW * (n as f64 + 0.5), true)) }
            @for (n, wires) in right.iter().enumerate() { (contact(wires, HEAD + ROW * (n as f64 + 0.5), false)) }
        }
    };
    format!("{}\n", drawn.into_string())
}

fn contact(wires: &ContactWires, y: f64, on_left: bool) -> Markup {
    let class = match wires.nail {
        Nail::Io => "io",
        Nail::Supply => "supply",
        Nail::Ground => "ground",
        Nail::None => "none",
    };
    let side = if on_left { -1.0 } else { 1.0 };
    let edge = MIDDLE + side * BOARD;
    let far = edge + side * 40.0;
    let star = if wires.measure.is_some() { " *" } else { "" };
    let also = if wires.extras.is_empty() { String::new() } else { format!("; {}", wires.extras.join("; ")) };
    let label = format!("{}{star}{also}", wires.wire);
    html! {
        g {
            title { (wires.contact) " " (wires.name) ": " (wires.wire) (also) @if let Some(measure) = &wires.measure { ", measured by " (measure) } }
            line class=(class) x1=(edge) x2=(far) y1=(y) y2=(y) {}
            text class=(if on_left { "on" } else { "on right" }) x=(edge - side * 6.0) y=(y + 4.0) { (wires.contact) " " (wires.name) }
            text class=(if on_left { "right" } else { "" }) x=(far + side * 6.0) y=(y + 4.0) { (label) }
        }
    }
}
