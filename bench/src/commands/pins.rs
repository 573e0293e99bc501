//! `bench pins`.

use super::{print, print_json, width};
use crate::cli::PinsArgs;
use bench_engine::{Failed, Project};
use bench_plan::{DutFamily, compare_pins, pin_table};
use std::path::Path;

pub(crate) fn pins(root: Option<&Path>, args: &PinsArgs) -> Result<u8, Failed> {
    let families = Project::find(root, None).families()?;
    let find = |model: &str| -> Result<&DutFamily, Failed> {
        let family = families.iter().map(|(_, family)| family).find(|family| family.model(model).is_some());
        family.ok_or_else(|| {
            let known: Vec<&str> =
                families.iter().flat_map(|(_, family)| &family.models).map(|known| known.name.as_str()).collect();
            Failed::Usage(miette::miette!(
                help = bench_plan::nearest_help(model, known.iter().copied(), "models"),
                "unknown model `{model}`"
            ))
        })
    };
    let family = find(&args.model)?;
    match &args.compare {
        None => {
            let table = pin_table(family, &args.model);
            if args.json { print_json(&table)? } else { print(&table.render(width())) }
        }
        Some(other) => {
            let comparison = compare_pins((find(other)?, other), (family, &args.model));
            if args.json { print_json(&comparison)? } else { print(&comparison.render(width())) }
        }
    }
    Ok(0)
}
