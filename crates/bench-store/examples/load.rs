//! Cost of a year's production: `cargo run --release -p bench-store --example load -- store RUNS FILE` fills a store
//! from journals in memory; `... -- journals RUNS FOLDER` writes journals, for `bench store rebuild`.

use bench_store::synthetic::{Production, fill};
use bench_store::{Shapes, Store};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, runs, place] = arguments.as_slice() else { return Err("store|journals RUNS PLACE".into()) };
    let (runs, place): (u64, &Path) = (runs.parse()?, Path::new(place));
    let production = Production::default();
    let began = Instant::now();
    if what == "journals" {
        for number in 0..runs {
            let (path, bytes) = production.journal(number);
            let path = place.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(place))?;
            std::fs::write(path, bytes)?;
        }
    } else {
        let (mut store, shapes) = (Store::open_or_create(place)?, Shapes::default());
        for first in (0..runs).step_by(500) {
            let journals: Vec<_> = (first..runs.min(first + 500)).map(|number| production.journal(number)).collect();
            fill(&mut store, &shapes, &journals)?;
        }
    }
    println!("{runs} runs in {:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}
