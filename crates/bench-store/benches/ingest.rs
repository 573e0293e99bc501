//! Cost of reading a journal into the store: the fast reader for a run that simply passed, and the general reader.
//!
//! Journals are those below `BENCH_REPORTS`, or below `reports/` of the repository, where `cargo xtask demo` leaves
//! one.

use bench_store::{Facts, Shapes};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::path::{Path, PathBuf};

fn journals() -> Vec<Vec<u8>> {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports");
    let folder = std::env::var_os("BENCH_REPORTS").map_or_else(usual, PathBuf::from);
    let runs = bench_journal::find_runs(&folder).unwrap_or_default();
    runs.iter().filter_map(|run| std::fs::read(&run.journal).ok()).collect()
}

fn ingest(criterion: &mut Criterion) {
    let journals = journals();
    if journals.is_empty() {
        println!("no journal found: run `cargo xtask demo`, or set BENCH_REPORTS");
        return;
    }
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(journals.len() as u64));
    type Read = fn(&[u8], &Shapes) -> Result<Facts, bench_store::Refused>;
    for (name, read) in [("quick", Facts::read as Read), ("any", Facts::read_any as Read)] {
        group.bench_function(name, |bencher| {
            let shapes = Shapes::default();
            bencher.iter(|| journals.iter().filter(|journal| read(journal, &shapes).is_ok()).count());
        });
    }
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
