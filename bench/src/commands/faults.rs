//! `bench faults`: everything that can be ordered of the virtual bench.

use super::{print, print_json};
use crate::cli::FaultsArgs;
use bench_engine::{Failed, Loaded, Project};
use bench_steps::Kinds;
use serde::Serialize;
use std::path::Path;
use virtual_bench::{BENCH_KINDS, BenchFault, BenchFaultKind, Fault, FaultKind, KINDS};

pub(crate) fn faults(root: Option<&Path>, args: &FaultsArgs) -> Result<u8, Failed> {
    let Some(plan) = &args.plan else { return kinds(args) };
    let loaded = Project::find(root, Some(plan)).load(plan, &Kinds::default())?;
    let specs: Vec<String> = match args.bench {
        true => listed_of_bench(&loaded).iter().map(ToString::to_string).collect(),
        false => listed(&loaded).iter().map(ToString::to_string).collect(),
    };
    if args.json {
        print_json(&specs)?;
    } else {
        print(&specs.iter().map(|spec| format!("{spec}\n")).collect::<String>());
    }
    Ok(0)
}

/// A kind of fault, for other programs.
#[derive(Serialize)]
struct Kind {
    name: &'static str,
    /// How it is written.
    usage: String,
    /// What it does.
    doc: &'static str,
    /// Classes of `fixtures/defect-rates.toml`.
    classes: &'static [&'static str],
}

fn kinds(args: &FaultsArgs) -> Result<u8, Failed> {
    if args.bench {
        let kind =
            |kind: &'static BenchFaultKind| Kind { name: kind.name, usage: kind.usage(), doc: kind.doc, classes: &[] };
        if args.json {
            print_json(&BENCH_KINDS.iter().map(kind).collect::<Vec<_>>())?;
        } else {
            print(&virtual_bench::bench_fault_usages());
        }
    } else if args.json {
        let kind = |kind: &'static FaultKind| Kind {
            name: kind.name,
            usage: kind.usage(),
            doc: kind.doc,
            classes: kind.classes(),
        };
        print_json(&KINDS.iter().map(kind).collect::<Vec<_>>())?;
    } else {
        print(&virtual_bench::fault_usages());
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

/// Every fault of the plan's bench.
pub(crate) fn listed_of_bench(loaded: &Loaded) -> Vec<BenchFault> {
    loaded.family().map_or_else(Vec::new, |family| virtual_bench::all_bench_faults(family, &loaded.fixture))
}

#[cfg(test)]
mod tests {
    use super::listed;
    use bench_engine::{Project, read_firmware};
    use bench_steps::Kinds;
    use bench_virtual::{Order, build};
    use std::path::Path;
    use virtual_bench::Fault;

    /// No fault of the list is refused, and each reads back from what is printed. Whether it is found is another question.
    #[test]
    fn every_listed_fault_can_be_ordered() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (plan, at_least) in [("plans/b404x.toml", 600), ("plans/boron.toml", 400)] {
            let file = root.join(plan);
            let loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
            let firmware = read_firmware(&loaded.firmware_path).unwrap();
            let faults = listed(&loaded);
            assert!(faults.len() >= at_least, "{plan}: {}", faults.len());
            for fault in faults {
                let again: Fault = fault.to_string().parse().unwrap();
                assert_eq!(again.to_string(), fault.to_string(), "{plan}");
                let order = Order { faults: &[again], ..Order::of(&loaded, &firmware, "P042AV000000001", 1) };
                assert!(build(&order).is_ok(), "{plan}: {fault} is refused");
            }
        }
    }
}
