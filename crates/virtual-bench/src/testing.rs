//! The real fixture and module files, for tests.

use bench_plan::{DutFamily, Fixture, Model, Source};

fn source(path: &str) -> Source {
    let full = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{full}: {error}"));
    Source::new(path, text)
}

pub fn dut(name: &str) -> DutFamily {
    DutFamily::parse(&source(&format!("fixtures/duts/{name}.toml"))).unwrap_or_else(|problem| panic!("{problem}"))
}

pub fn fixture() -> Fixture {
    let (b4xx, b5xx) = (dut("b4xx"), dut("b5xx"));
    Fixture::parse(&source("fixtures/b-series.toml"), &[&b4xx, &b5xx]).unwrap_or_else(|problem| panic!("{problem}"))
}

pub fn boron() -> (DutFamily, Fixture) {
    let family = dut("boron");
    let fixture =
        Fixture::parse(&source("fixtures/boron.toml"), &[&family]).unwrap_or_else(|problem| panic!("{problem}"));
    (family, fixture)
}

pub fn model<'d>(dut: &'d DutFamily, name: &str) -> &'d Model {
    dut.model(name).unwrap_or_else(|| panic!("no model {name}"))
}
