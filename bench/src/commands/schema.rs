//! `bench schema`.

use super::print_json;
use crate::cli::{SchemaArgs, SchemaOf};
use bench_coverage::Rates;
use bench_engine::{Failed, Project};
use bench_plan::{ChipKind, DutFamily, SchemaNames, fixture_schema, plan_part_schema, plan_schema, station_schema};
use bench_steps::Kinds;
use std::path::Path;

pub(crate) fn schema(root: Option<&Path>, args: &SchemaArgs) -> Result<u8, Failed> {
    let names = || names(&Project::find(root, None));
    let schema = match args.of {
        SchemaOf::Plan => plan_schema(&Kinds::default(), &names()),
        SchemaOf::Part => plan_part_schema(&Kinds::default(), &names()),
        SchemaOf::Fixture => fixture_schema(&names()),
        SchemaOf::Station => station_schema(&names()),
        SchemaOf::Dut => DutFamily::file_schema(),
        SchemaOf::Rates => Rates::file_schema(),
        SchemaOf::Program => return print_json(&bench_steps::protocol_schema()).map(|()| 0),
        SchemaOf::Fault => return print_json(&virtual_bench::fault_schema()).map(|()| 0),
    };
    print_json(&schema)?;
    Ok(0)
}

/// The names in the files of a project. A file with a mistake gives none: the schema is then less strict, and the
/// editor can still help to correct it.
fn names(project: &Project) -> SchemaNames {
    let families: Vec<DutFamily> =
        project.families().unwrap_or_default().into_iter().map(|(_, family)| family).collect();
    let mut names = SchemaNames::default();
    for family in &families {
        names.families.insert(family.name.clone());
        names.models.extend(family.models.iter().map(|model| model.name.clone()));
        names.modems.extend(family.modem_parts.iter().map(|part| part.name.clone()));
        for info in family.contacts.iter() {
            names.pins.insert(info.pin.clone());
            names.pins.extend(info.alternate_names.iter().cloned());
        }
    }
    let families: Vec<&DutFamily> = families.iter().collect();
    for name in project.fixture_names() {
        let Ok((_, fixture)) = project.fixture(&name, &families) else { continue };
        names.rails.extend(fixture.rails.iter().map(|rail| rail.name.clone()));
        names.peers.extend(fixture.peers.iter().map(|peer| peer.id.clone()));
        let measures = |kind: &ChipKind| matches!(kind, ChipKind::Ads1115 | ChipKind::Ina226 { .. });
        let chips = fixture.chips.iter().filter(|chip| measures(&chip.kind));
        names.instruments.extend(chips.map(|chip| chip.id.clone()));
        names.fixtures.insert(name);
    }
    names
}
