//! `bench faults`: everything that can be ordered of the virtual bench.

use super::{print, print_json};
use crate::Project;
use crate::cli::{Failed, FaultsArgs};
use bench_steps::Kinds;
use std::path::Path;

pub(crate) fn faults(root: Option<&Path>, args: &FaultsArgs) -> Result<u8, Failed> {
    let loaded = Project::find(root, Some(&args.plan)).load(&args.plan, &Kinds::default())?;
    let Some(family) = loaded.family() else { return Ok(0) };
    let fits = |name: &String| loaded.fixture.families.contains(name);
    let others: Vec<String> = loaded
        .families
        .iter()
        .filter(|family| fits(&family.name))
        .flat_map(|family| family.models.iter().map(|model| model.name.clone()))
        .filter(|name| *name != loaded.plan.model)
        .collect();
    let specs: Vec<String> =
        virtual_bench::all_faults(family, &loaded.fixture, &others).iter().map(ToString::to_string).collect();
    if args.json {
        print_json(&specs)?;
    } else {
        print(&specs.iter().map(|spec| format!("{spec}\n")).collect::<String>());
    }
    Ok(0)
}
