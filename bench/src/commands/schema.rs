//! `bench schema`.

use super::print_json;
use crate::cli::{SchemaArgs, SchemaOf};
use bench_coverage::Rates;
use bench_engine::Failed;
use bench_plan::{DutFamily, fixture_schema, plan_part_schema, plan_schema, station_schema};
use bench_steps::Kinds;

pub(crate) fn schema(args: &SchemaArgs) -> Result<u8, Failed> {
    let schema = match args.of {
        SchemaOf::Plan => plan_schema(&Kinds::default()),
        SchemaOf::Part => plan_part_schema(&Kinds::default()),
        SchemaOf::Fixture => fixture_schema(),
        SchemaOf::Station => station_schema(),
        SchemaOf::Dut => DutFamily::file_schema(),
        SchemaOf::Rates => Rates::file_schema(),
        SchemaOf::Fault => return print_json(&virtual_bench::fault_schema()).map(|()| 0),
    };
    print_json(&schema)?;
    Ok(0)
}
