//! `bench fixture`.

use super::{print, print_json};
use crate::Project;
use crate::cli::{Failed, FixtureArgs};
use crate::wiring::{Wiring, svg, text};
use std::path::Path;

pub(crate) fn fixture(root: Option<&Path>, args: &FixtureArgs) -> Result<u8, Failed> {
    let project = Project::find(root, None);
    let (fixture, families) = project.fixture_and_families(&args.fixture)?;
    let wiring = Wiring::of(&fixture, &families);
    if let Some(path) = &args.svg {
        std::fs::write(path, svg(&wiring))
            .map_err(|error| Failed::Bench(miette::miette!("{}: {error}", path.display())))?;
    }
    if args.json {
        print_json(&wiring)?;
    } else if args.wiring || args.svg.is_none() {
        print(&text(&wiring));
        if let Some(instructions) = &fixture.instructions {
            print(&format!("\nBy hand\n{}\n", instructions.trim_end()));
        }
    }
    Ok(0)
}
