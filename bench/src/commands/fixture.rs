//! `bench fixture`.

use super::{print, print_json, write_report};
use crate::cli::FixtureArgs;
use crate::wiring::{Wiring, svg, text};
use bench_engine::{Failed, Project};
use bench_plan::DutFamily;
use std::path::Path;

pub(crate) fn fixture(root: Option<&Path>, args: &FixtureArgs) -> Result<u8, Failed> {
    let project = Project::find(root, None);
    let (fixture, families) = project.fixture_and_families(&args.fixture)?;
    let wiring = Wiring::of(&fixture, &families);
    if let Some(path) = &args.svg {
        write_report(path, svg(&wiring).as_bytes())?;
    }
    if let Some(path) = &args.spice {
        let has = |family: &&DutFamily| args.model.as_ref().is_none_or(|model| family.model(model).is_some());
        let fitting = fixture.families.iter().filter_map(|name| families.iter().find(|family| family.name == *name));
        let Some(family) = fitting.clone().find(has) else {
            let models = fitting.flat_map(|family| &family.models).map(|model| model.name.as_str());
            let wanted = args.model.as_deref().unwrap_or_default();
            let help = bench_plan::nearest_help(wanted, models, "models");
            return Err(Failed::Usage(miette::miette!(
                help = help,
                "the fixture {} takes no such model",
                fixture.name
            )));
        };
        write_report(path, virtual_bench::spice_deck(&fixture, family, args.seed).as_bytes())?;
    }
    if args.json {
        print_json(&wiring)?;
    } else if args.wiring || (args.svg.is_none() && args.spice.is_none()) {
        print(&text(&wiring));
        if let Some(instructions) = &fixture.instructions {
            print(&format!("\nBy hand\n{}\n", instructions.trim_end()));
        }
    }
    Ok(0)
}
