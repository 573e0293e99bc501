//! A board as a picture to print and to plug by: each wire is one row, from the device's pin over its colour to the
//! connector's pin and the module's contact behind it; then the jumpers with their states, and what is done by hand.

use super::board::{behind, to};
use bench_plan::{Board, Jumper, JumperState, Wire, WireColour};
use maud::{Markup, PreEscaped, html};

const WIDTH: f64 = 1_100.0;
const EDGE: f64 = 10.0;
const ROW: f64 = 20.0;
/// Above a group of wires, for the name of the device or the connector.
const GAP: f64 = 28.0;
/// Right ends of the devices, left edge of the board, its connectors, and the module on it.
const DEVICES: f64 = 190.0;
const BOARD: f64 = 470.0;
const CONNECTORS: (f64, f64) = (490.0, 660.0);
const MODULE: (f64, f64) = (760.0, WIDTH - EDGE - 20.0);
/// Characters of a line over the whole width, in any usual font.
const LINE: usize = 150;

/// No colour alone carries a meaning: each wire has its colour's name, each jumper the word of its state.
const STYLE: &str = "\
svg { font: 12px system-ui, sans-serif; background: #fff; } text { fill: #111; } .title { font-size: 16px; font-weight: 600; }
.name { font-weight: 600; } .low { fill: #555; } .right { text-anchor: end; } .middle { text-anchor: middle; }
.box { fill: #f4f4f4; stroke: #111; } .board { fill: #eef3ee; stroke: #111; stroke-width: 2; } .module { fill: #fff; stroke: #111; stroke-width: 2; }
.casing { stroke: #111; stroke-width: 5; } .core { stroke-width: 3; } .trace { stroke: #777; } .pin { fill: #fff; stroke: #111; } .cap { fill: #111; }
.label { fill: #fff; }
@media (prefers-color-scheme: dark) { svg { background: #181818; } text { fill: #eee; } .low { fill: #aaa; } .box { fill: #262626; stroke: #ccc; }
.board { fill: #202a22; stroke: #ccc; } .module { fill: #181818; stroke: #ccc; } .casing { stroke: #ccc; } .trace { stroke: #888; } .pin { fill: #181818; stroke: #ccc; }
.cap { fill: #eee; } .label { fill: #181818; } }";

fn paint(colour: WireColour) -> &'static str {
    match colour {
        WireColour::Black => "#111",
        WireColour::Brown => "#7a4a1e",
        WireColour::Red => "#d11",
        WireColour::Orange => "#f08000",
        WireColour::Yellow => "#f7d000",
        WireColour::Green => "#1a9a3a",
        WireColour::Blue => "#2060d0",
        WireColour::Violet => "#8a3fc0",
        WireColour::Grey => "#888",
        WireColour::White => "#fff",
    }
}

/// A wire with its place, and the groups that it begins.
struct Row<'b> {
    wire: &'b Wire,
    y: f64,
    new_device: bool,
    new_connector: bool,
}

fn rows(board: &Board, top: f64) -> (Vec<Row<'_>>, f64) {
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(board.wires.len());
    let mut y = top;
    for wire in &board.wires {
        let before = rows.last().map(|row| row.wire);
        let new_device = before.is_none_or(|before| before.from.of != wire.from.of);
        let new_connector = before.is_none_or(|before| before.to.of != wire.to.of);
        if new_device || new_connector {
            y += GAP;
        }
        rows.push(Row { wire, y, new_device, new_connector });
        y += ROW;
    }
    (rows, y)
}

/// Breaks a text into lines between words.
fn lines(text: &str, length: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > length {
            lines.push(word.to_owned());
        } else {
            let space = if line.is_empty() { "" } else { " " };
            *line = format!("{line}{space}{word}");
        }
    }
    lines
}

/// Lines of text below each other, and where they end.
fn paragraph(text: &str, x: f64, y: f64, class: &str) -> (Markup, f64) {
    let lines = lines(text, LINE);
    let end = y + 16.0 * lines.len() as f64;
    let drawn = html! {
        @for (n, line) in lines.iter().enumerate() { text class=(class) x=(x) y=(y + 16.0 * n as f64) { (line) } }
    };
    (drawn, end)
}

pub(crate) fn svg(board: &Board, title: &str, fixture: &str) -> String {
    let (source, y) = paragraph(&format!("Source: {}", board.source), EDGE, 44.0, "low");
    let doubts = format!("{} doubts: bench fixture {fixture} --wiring lists them.", board.doubts.len());
    let (doubts, board_top) = match board.doubts.is_empty() {
        true => (html! {}, y),
        false => paragraph(&doubts, EDGE, y, "low"),
    };
    let (rows, wires_end) = rows(board, board_top + 22.0);
    let jumpers_top = wires_end + 30.0;
    let board_end = match board.jumpers.len() {
        0 => wires_end + 10.0,
        count => jumpers_top + ROW * count as f64 + 10.0,
    };
    let mut steps = Vec::with_capacity(board.steps.len());
    let mut y = board_end + 48.0;
    for (n, step) in board.steps.iter().enumerate() {
        let (drawn, end) = paragraph(&format!("{}. {step}", n + 1), EDGE, y, "");
        steps.push(drawn);
        y = end + 4.0;
    }
    let height = if steps.is_empty() { board_end + EDGE } else { y + EDGE };
    let view = format!("0 0 {WIDTH} {height}");
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(view) width=(WIDTH) height=(height) role="img" {
            title { "Wires and jumpers of " (board.name) }
            style { (PreEscaped(STYLE)) }
            text class="title" x=(EDGE) y="24" { (title) " (" (fixture) ")" }
            (source) (doubts)
            rect class="board" x=(BOARD) y=(board_top) width=(WIDTH - EDGE - BOARD) height=(board_end - board_top) rx="8" {}
            text class="name" x=(BOARD + 10.0) y=(board_top + 18.0) { (board.name) }
            (boxes(&rows))
            @for (n, row) in rows.iter().enumerate() { (wire(n + 1, row)) }
            @for (n, jumper) in board.jumpers.iter().enumerate() { (draw_jumper(jumper, jumpers_top + ROW * n as f64)) }
            @if !steps.is_empty() { text class="name" x=(EDGE) y=(board_end + 28.0) { "By hand" } }
            @for step in &steps { (step) }
        }
    };
    format!("{}\n", drawn.into_string())
}

/// Devices, connectors and the module behind the rows.
fn boxes(rows: &[Row<'_>]) -> Markup {
    // From the row where a group begins to the last one before the next.
    let groups = |begins: &dyn Fn(&Row<'_>) -> bool| -> Vec<(usize, usize)> {
        let starts: Vec<usize> = (0..rows.len()).filter(|n| rows.get(*n).is_some_and(begins)).collect();
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([rows.len().saturating_sub(1)]);
        starts.iter().copied().zip(ends).collect()
    };
    let at = |n: usize| rows.get(n).map_or(0.0, |row| row.y);
    let name = |n: usize, of: &dyn Fn(&Wire) -> String| rows.get(n).map_or_else(String::new, |row| of(row.wire));
    let frame = |x: f64, width: f64, (first, last): (usize, usize), name: String| {
        let top = at(first) - ROW / 2.0 - 14.0;
        html! {
            rect class="box" x=(x) y=(top) width=(width) height=(at(last) + ROW / 2.0 - top) rx="4" {}
            text class="name" x=(x + 6.0) y=(top + 13.0) { (name) }
        }
    };
    let behind: Vec<usize> = (0..rows.len()).filter(|n| rows.get(*n).is_some_and(|row| !is_bare(row.wire))).collect();
    let (first, last) = (behind.first().copied(), behind.last().copied());
    html! {
        @for group in groups(&|row| row.new_device) {
            (frame(EDGE, DEVICES - EDGE, group, name(group.0, &|wire| wire.from.of.clone())))
        }
        @for group in groups(&|row| row.new_connector) {
            (frame(CONNECTORS.0, CONNECTORS.1 - CONNECTORS.0, group, name(group.0, &|wire| wire.to.of.clone())))
        }
        @if let (Some(first), Some(last)) = (first, last) {
            @let top = at(first) - ROW / 2.0 - 16.0;
            rect class="module" x=(MODULE.0) y=(top) width=(MODULE.1 - MODULE.0) height=(at(last) + ROW / 2.0 + 4.0 - top) rx="6" {}
            text class="name" x=(MODULE.0 + 8.0) y=(top + 14.0) { "Module" }
        }
    }
}

/// Whether the wire ends at the board, such as a probe's ground.
fn is_bare(wire: &Wire) -> bool {
    wire.contact.is_none() && wire.pin.is_none()
}

fn wire(number: usize, Row { wire, y, .. }: &Row<'_>) -> Markup {
    let label = format!("{number}  {}", wire.colour.name());
    let label = wire.level.as_ref().map_or(label.clone(), |level| format!("{label}, up to {level}"));
    // Wide enough for the words in any usual font.
    let width = 8.0 * label.chars().count() as f64 + 8.0;
    let middle = (DEVICES + CONNECTORS.0) / 2.0;
    let why = wire.why.iter().map(|why| format!(": {why}")).collect::<String>();
    html! {
        g {
            title { (number) ". " (wire.from.of) " " (wire.from.pin) " to " (to(wire)) ", " (behind(wire)) (why) }
            line class="casing" x1=(DEVICES) x2=(CONNECTORS.0) y1=(y) y2=(y) {}
            line class="core" stroke=(paint(wire.colour)) x1=(DEVICES) x2=(CONNECTORS.0) y1=(y) y2=(y) {}
            rect class="label" x=(middle - width / 2.0) y=(y - 8.0) width=(width) height="16" rx="3" {}
            text class="middle" x=(middle) y=(y + 4.0) { (label) }
            text class="right" x=(DEVICES - 8.0) y=(y + 4.0) { (wire.from.pin) }
            text x=(CONNECTORS.0 + 8.0) y=(y + 4.0) { (wire.to.pin) }
            @if !is_bare(wire) {
                line class="trace" x1=(CONNECTORS.1) x2=(MODULE.0) y1=(y) y2=(y) {}
                text x=(MODULE.0 + 8.0) y=(y + 4.0) { (behind(wire)) }
            }
        }
    }
}

/// Two pins, with a cap over them if it is on.
fn draw_jumper(jumper: &Jumper, y: f64) -> Markup {
    let x = CONNECTORS.0;
    let (class, word) = match jumper.state {
        JumperState::Off => ("pin", "OFF"),
        JumperState::On => ("cap", "ON"),
    };
    html! {
        g {
            title { (jumper.name) ", " (word) ": " (jumper.why) }
            @if jumper.state == JumperState::On { rect class="cap" x=(x - 3.0) y=(y - 5.0) width="32" height="10" rx="5" {} }
            rect class=(class) x=(x) y=(y - 4.0) width="8" height="8" {}
            rect class=(class) x=(x + 18.0) y=(y - 4.0) width="8" height="8" {}
            text class="name" x=(x + 40.0) y=(y + 4.0) { (word) }
            text class="name" x=(x + 76.0) y=(y + 4.0) { (jumper.name) }
            text x=(x + 156.0) y=(y + 4.0) { (jumper.joins) }
        }
    }
}
