#![allow(dead_code)] // not every test file uses all of this

use bench_plan::{DutFamily, Source};
use std::path::Path;

pub const FAMILIES: [&str; 3] = ["b4xx", "b5xx", "boron"];

pub fn family_text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/duts/{name}.toml"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn family(name: &str) -> DutFamily {
    match DutFamily::parse(&Source::new(format!("{name}.toml"), family_text(name))) {
        Ok(family) => family,
        Err(problem) => panic!("{name}: {}", report(&problem)),
    }
}

/// A diagnostic as a person sees it, without colour.
pub fn report(problem: &bench_plan::Problem) -> String {
    let mut text = String::new();
    let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none()).with_width(120);
    assert!(handler.render_report(&mut text, problem).is_ok(), "writing to a string cannot fail");
    text
}
