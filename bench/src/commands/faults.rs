//! `bench faults`: everything that can be ordered of the virtual bench.

use super::{print, print_json};
use crate::cli::{Failed, FaultsArgs};
use crate::{Loaded, Project};
use bench_steps::Kinds;
use std::path::Path;
use virtual_bench::Fault;

pub(crate) fn faults(root: Option<&Path>, args: &FaultsArgs) -> Result<u8, Failed> {
    let loaded = Project::find(root, Some(&args.plan)).load(&args.plan, &Kinds::default())?;
    let specs: Vec<String> = listed(&loaded).iter().map(ToString::to_string).collect();
    if args.json {
        print_json(&specs)?;
    } else {
        print(&specs.iter().map(|spec| format!("{spec}\n")).collect::<String>());
    }
    Ok(0)
}

/// Every fault of the plan's module in the plan's fixture.
pub(crate) fn listed(loaded: &Loaded) -> Vec<Fault> {
    let Some(family) = loaded.family() else { return Vec::new() };
    let fits = |name: &String| loaded.fixture.families.contains(name);
    let others: Vec<String> = loaded
        .families
        .iter()
        .filter(|family| fits(&family.name))
        .flat_map(|family| family.models.iter().map(|model| model.name.clone()))
        .filter(|name| *name != loaded.plan.model)
        .collect();
    virtual_bench::all_faults(family, &loaded.fixture, &others, family.model(&loaded.plan.model))
}
