//! Draws the crates and their dependencies from the table of the walls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Column of a crate, in boxes, and its group. Its height follows from its dependencies.
const PLACES: &[(&str, f64, Group)] = &[
    ("bench", 2.6, Group::Program),
    ("bench-bluez", 1.0, Group::Device),
    ("bench-coverage", 3.7, Group::Program),
    ("bench-engine", 2.9, Group::Run),
    ("bench-hooks", 0.4, Group::Program),
    ("bench-instruments", 3.4, Group::Device),
    ("bench-journal", 0.0, Group::Record),
    ("bench-operator", 1.6, Group::Program),
    ("bench-pi", 2.0, Group::Device),
    ("bench-plan", 3.0, Group::Pure),
    ("bench-programs", 5.2, Group::Device),
    ("bench-real", 2.2, Group::Run),
    ("bench-replay", 4.5, Group::Run),
    ("bench-report", 1.0, Group::Pure),
    ("bench-run", 1.4, Group::Pure),
    ("bench-stats", 1.1, Group::Pure),
    ("bench-steps", 3.0, Group::Run),
    ("bench-store", 0.0, Group::Record),
    ("bench-swd", 4.0, Group::Device),
    ("bench-sync", 0.0, Group::Record),
    ("bench-virtual", 3.4, Group::Run),
    ("core-differential", 6.0, Group::Emulated),
    ("cortex-m4f", 5.4, Group::Emulated),
    ("dut-protocol", 3.4, Group::Pure),
    ("swarm", 4.9, Group::Program),
    ("virtual-bench", 5.0, Group::Emulated),
    ("virtual-dut", 6.0, Group::Emulated),
    ("virtual-nrf52840", 5.0, Group::Emulated),
    ("virtual-pi", 5.4, Group::Emulated),
];

/// Standalone crates, which are not drawn.
const ALONE: [&str; 3] = ["book", "virtual-pi-kernel", "xtask"];

#[derive(Clone, Copy, PartialEq)]
enum Group {
    Program,
    Run,
    Pure,
    Device,
    Record,
    Emulated,
}

const GROUPS: [(Group, &str, &str); 6] = [
    (Group::Program, "#f6d5a8", "what people use"),
    (Group::Run, "#f9eaa5", "one run"),
    (Group::Pure, "#cfe8c6", "text and facts in, values out"),
    (Group::Device, "#c9def2", "the real world behind traits"),
    (Group::Record, "#dfd3ee", "what happened"),
    (Group::Emulated, "#f3cbd3", "the emulated world"),
];

const BOX: (f64, f64) = (128.0, 34.0);
const STEP: (f64, f64) = (142.0, 78.0);
const MARGIN: f64 = 18.0;

type Uses<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Returns the picture, or the crate that has no place in it.
pub fn rooms(may_use: &[(&str, &str)]) -> Result<String, String> {
    let drawn = |name: &str| !ALONE.contains(&name);
    let uses: Uses = may_use
        .iter()
        .filter(|(name, _)| drawn(name))
        .map(|(name, used)| (*name, used.split_whitespace().collect()))
        .collect();
    if let Some(name) = uses.keys().find(|name| place(name).is_none()) {
        return Err(format!("{name} needs a row in PLACES of xtask/tests/walls/picture.rs, or one in ALONE"));
    }
    let top = uses.keys().map(|name| level(&uses, name)).max().unwrap_or(0);
    let at = |name: &str| {
        let (across, _) = place(name).unwrap_or((0.0, Group::Pure));
        (MARGIN + across * STEP.0, MARGIN + f64::from(top - level(&uses, name)) * STEP.1)
    };
    let (width, height) = (2.0 * MARGIN + 6.0 * STEP.0 + BOX.0, 2.0 * MARGIN + f64::from(top) * STEP.1 + BOX.1 + 70.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<title>The crates, each above those that it depends on</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#ffffff\"/>\n"
    );
    for (name, used) in &uses {
        for below in direct(&uses, used) {
            let ((x, y), (to_x, to_y)) = (at(name), at(below));
            let (x, y, to_x) = (x + BOX.0 / 2.0, y + BOX.1, to_x + BOX.0 / 2.0);
            let bend = (to_y - y) / 2.0;
            line(
                &mut svg,
                format_args!(
                    "<path d=\"M{x:.0} {y:.0}C{x:.0} {:.0} {to_x:.0} {:.0} {to_x:.0} {to_y:.0}\" fill=\"none\" \
                     stroke=\"#66717d\" stroke-width=\"1.3\"/>",
                    y + bend,
                    to_y - bend
                ),
            );
        }
    }
    for name in uses.keys() {
        let (x, y) = at(name);
        boxed(&mut svg, x, y, fill(place(name).map_or(Group::Pure, |(_, group)| group)), name);
    }
    for (row, (_, fill, meaning)) in GROUPS.iter().enumerate() {
        let (column, row) = ((row % 3) as f64, (row / 3) as f64);
        let (x, y) = (MARGIN + column * 290.0, height - MARGIN - 44.0 + row * 26.0);
        line(
            &mut svg,
            format_args!(
                "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"22\" height=\"16\" rx=\"3\" fill=\"{fill}\" stroke=\"#66717d\"/>\
                 <text x=\"{:.0}\" y=\"{:.0}\" fill=\"#1d2329\">{meaning}</text>",
                x + 30.0,
                y + 13.0
            ),
        );
    }
    svg += "</svg>\n";
    Ok(svg)
}

fn line(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = writeln!(svg, "{what}");
}

fn boxed(svg: &mut String, x: f64, y: f64, fill: &str, name: &str) {
    let (width, height) = BOX;
    line(
        svg,
        format_args!(
            "<rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width}\" height=\"{height}\" rx=\"5\" fill=\"{fill}\" \
             stroke=\"#3c454e\"/><text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#1d2329\">{name}</text>",
            x + width / 2.0,
            y + height / 2.0 + 4.5
        ),
    );
}

fn place(name: &str) -> Option<(f64, Group)> {
    PLACES.iter().find(|(placed, ..)| *placed == name).map(|(_, across, group)| (*across, *group))
}

fn fill(group: Group) -> &'static str {
    GROUPS.iter().find(|(other, ..)| *other == group).map_or("#ffffff", |(_, fill, _)| fill)
}

/// Above everything that it depends on.
fn level(uses: &Uses<'_>, name: &str) -> i32 {
    uses.get(name).into_iter().flatten().map(|below| level(uses, below) + 1).max().unwrap_or(0)
}

/// Omits dependencies that another one implies, which would add lines but no information.
fn direct<'a>(uses: &Uses<'a>, used: &BTreeSet<&'a str>) -> Vec<&'a str> {
    fn reaches(uses: &Uses<'_>, from: &str, to: &str) -> bool {
        uses.get(from).into_iter().flatten().any(|next| *next == to || reaches(uses, next, to))
    }
    let hidden = |name: &&&str| used.iter().any(|other| other != *name && reaches(uses, other, name));
    used.iter().filter(|name| !hidden(name)).copied().collect()
}
