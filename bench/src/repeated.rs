//! What the last units on a nest have in common: a line under the summary of a run. It never changes the verdict.

use bench_report::RunRecord;
use bench_run::Verdict;
use bench_stats::{RepeatRule, RepeatedCauses};
use std::path::Path;
use std::time::SystemTime;

/// How many of the last runs are read. Several nests may write into the same folder.
const RUNS: usize = 60;

/// Returns what the last different units on the nest of this run have in common, if that points at the bench. Runs that
/// cannot be read say nothing.
pub(crate) fn suspicion(reports: &Path, run: &RunRecord, rule: RepeatRule) -> Option<String> {
    if matches!(run.verdict, Verdict::Pass | Verdict::Aborted) {
        return None;
    }
    let written = |path: &Path| path.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut journals: Vec<_> = bench_journal::find_runs(reports).ok()?.into_iter().map(|run| run.journal).collect();
    journals.sort_by_cached_key(|journal| std::cmp::Reverse(written(journal)));
    journals.truncate(RUNS);
    let mut nest = RepeatedCauses::default();
    for journal in bench_journal::in_true_order(journals) {
        let Ok(earlier) = bench_store::examine_file(&journal).usable() else { continue };
        if is_same_nest(&earlier, run) {
            nest.take(&earlier.repeat_run());
        }
    }
    let found = nest.suspicion(rule)?;
    Some(format!("{found}; call the technician (`bench doctor` checks the fixture)"))
}

/// Whether two runs were on the same nest of the same station, with the same fixture.
pub(crate) fn is_same_nest(one: &RunRecord, other: &RunRecord) -> bool {
    let place = |run: &RunRecord| {
        let station = run.bench.as_ref().and_then(|bench| bench.station().map(str::to_owned));
        let fixture = run.provenance.as_ref().map(|made_of| made_of.fixture.clone());
        (station, run.nest.clone(), fixture)
    };
    place(one) == place(other)
}
