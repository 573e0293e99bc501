//! Many runs on all cores, and what they came to.

use crate::case::Case;
use crate::draw;
use crate::panics;
use crate::random::Random;
use crate::rule::{Rule, Violation};
use crate::run::run;
use crate::scenario::Scenario;
use crate::shrink::shrink;
use crate::stage::End;
use crate::verdict::{Alone, check};
use bench_engine::Failed;
use bench_run::Verdict;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Violations after which no further run begins: they probably have few causes.
const ENOUGH: u64 = 20;
/// Violations that are shrunk.
const SHRUNK: usize = 8;

/// What is asked of the swarm.
pub struct Swarm {
    /// The project with its plans.
    pub root: PathBuf,
    pub seed: u64,
    pub threads: usize,
    /// So many runs at most.
    pub runs: u64,
    /// Only this case.
    pub only: Option<&'static str>,
}

/// What one run came to, without its times.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub scenario: Scenario,
    pub end: End,
    pub verdict: Option<Verdict>,
    pub reason: String,
    pub violations: Vec<Violation>,
}

/// What all runs came to, in their order.
#[derive(Debug, Default)]
pub struct Findings {
    pub lines: Vec<Line>,
    /// Runs that the module or fixture cannot have.
    pub refused: usize,
    pub shrunk: Vec<(Scenario, Violation)>,
    /// Of no run.
    pub others: Vec<Violation>,
}

/// Good runs, whose records say when something can happen.
#[derive(Default)]
struct Moments(Mutex<BTreeMap<&'static str, Arc<OnceLock<Vec<u64>>>>>);

impl Moments {
    /// The first thread that needs it makes the run, the others wait.
    fn of(&self, name: &'static str, case: &Case) -> Arc<OnceLock<Vec<u64>>> {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().clone();
        place.get_or_init(|| {
            let entries = run(case, &Scenario::plain(name)).map(|ran| ran.entries).unwrap_or_default();
            entries.iter().map(|entry| entry.at_us.as_micros()).collect()
        });
        place
    }
}

/// What a thread has loaded.
#[derive(Default)]
struct Cases(BTreeMap<String, Rc<Case>>);

impl Cases {
    fn get(&mut self, root: &Path, name: &str) -> Result<Rc<Case>, Failed> {
        if let Some(case) = self.0.get(name) {
            return Ok(Rc::clone(case));
        }
        let case = Rc::new(Case::load(root, name)?);
        self.0.insert(name.to_owned(), Rc::clone(&case));
        Ok(case)
    }
}

/// What all threads share.
struct Shared<'a> {
    swarm: &'a Swarm,
    next: AtomicU64,
    stop: AtomicBool,
    violations: AtomicU64,
    moments: Moments,
    alone: Alone,
    lines: Mutex<BTreeMap<u64, Option<Line>>>,
}

impl Swarm {
    /// Runs until `go_on` is false, the ordered number is reached, or enough is wrong. Calls `seen` after each run.
    ///
    /// # Errors
    /// When a plan or the firmware cannot be read.
    pub fn go(&self, go_on: &(dyn Fn() -> bool + Sync), seen: &(dyn Fn(&Line) + Sync)) -> Result<Findings, Failed> {
        let shared = Shared {
            swarm: self,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            violations: AtomicU64::new(0),
            moments: Moments::default(),
            alone: Alone::default(),
            lines: Mutex::default(),
        };
        let worker = || shared.work(go_on, seen).inspect_err(|_| shared.stop.store(true, Ordering::Relaxed));
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads.max(1)).map(|_| scope.spawn(worker)).collect();
            let ends: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            ends.into_iter().try_for_each(|end| end.unwrap_or_else(|_| Err(Failed::bench("a worker panicked"))))
        })?;
        let lines = shared.lines.into_inner().unwrap_or_else(PoisonError::into_inner);
        let refused = lines.values().filter(|line| line.is_none()).count();
        let mut findings = Findings { lines: lines.into_values().flatten().collect(), refused, ..Findings::default() };
        findings.shrunk = self.shrunk(&findings.lines, &shared.alone)?;
        findings.others = panics::elsewhere().into_iter().map(|text| Violation::new(Rule::Panic, text)).collect();
        findings.others.extend(threads_left());
        Ok(findings)
    }

    /// One of each rule and set of kinds first: the others probably have the same causes.
    fn shrunk(&self, lines: &[Line], alone: &Alone) -> Result<Vec<(Scenario, Violation)>, Failed> {
        let mut cases = Cases::default();
        let (mut seen, mut shrunk) = (BTreeSet::new(), Vec::new());
        for line in lines {
            for violation in &line.violations {
                if shrunk.len() >= SHRUNK {
                    return Ok(shrunk);
                }
                let case = cases.get(&self.root, &line.scenario.plan)?;
                let (small, found) = shrink(&case, &line.scenario, violation, alone);
                let kinds: BTreeSet<String> = small.events.iter().map(|event| event.kind.to_string()).collect();
                if seen.insert((found.rule, kinds)) {
                    shrunk.push((small, found));
                }
            }
        }
        Ok(shrunk)
    }
}

impl Shared<'_> {
    fn work(&self, go_on: &(dyn Fn() -> bool + Sync), seen: &(dyn Fn(&Line) + Sync)) -> Result<(), Failed> {
        let mut cases = Cases::default();
        while go_on() && !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.swarm.runs {
                break;
            }
            let line = self.one(number, &mut cases)?;
            if let Some(line) = &line {
                seen(line);
                let wrong = u64::from(!line.violations.is_empty());
                if self.violations.fetch_add(wrong, Ordering::Relaxed) + wrong >= ENOUGH {
                    self.stop.store(true, Ordering::Relaxed);
                }
            }
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).insert(number, line);
        }
        Ok(())
    }

    fn one(&self, number: u64, cases: &mut Cases) -> Result<Option<Line>, Failed> {
        let mut random = Random::new(self.swarm.seed, number);
        let name = self.swarm.only.unwrap_or_else(|| draw::case_name(&mut random));
        let case = cases.get(&self.swarm.root, name)?;
        let moments = self.moments.of(name, &case);
        let moments = moments.get().map(Vec::as_slice).unwrap_or_default();
        let scenario = draw::scenario(&mut random, name, &case, moments);
        match check(&case, &scenario, &self.alone) {
            Ok(ran) => Ok(Some(Line {
                scenario,
                end: ran.end,
                verdict: ran.verdict,
                reason: ran.reason,
                violations: ran.violations,
            })),
            Err(Failed::Usage(_)) => Ok(None),
            Err(failed) => Err(failed),
        }
    }
}

/// How long threads of journals and probes may take to end; a journal lingers for half a second.
const THREADS_END: u32 = 200;
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(50);

/// Threads of this program besides the one that asks. `None` where the system does not say.
fn threads() -> Option<Vec<String>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    let mut names: Vec<String> = tasks.flatten().filter_map(name).map(|name| name.trim().to_owned()).collect();
    names.sort();
    Some(names)
}

fn threads_left() -> Option<Violation> {
    for _ in 0..THREADS_END {
        if threads()?.len() <= 1 {
            return None;
        }
        std::thread::sleep(BETWEEN);
    }
    let names = threads()?;
    (names.len() > 1).then(|| Violation::new(Rule::ThreadsLeft, names.join(", ")))
}

impl Findings {
    /// Whether every rule held.
    pub fn hold(&self) -> bool {
        self.others.is_empty() && self.lines.iter().all(|line| line.violations.is_empty())
    }

    /// Kinds of events with how many runs had them, and how many different events there were.
    fn events(&self) -> (BTreeMap<&'static str, usize>, usize) {
        let mut kinds = BTreeMap::new();
        let mut different = BTreeSet::new();
        for line in &self.lines {
            let words: BTreeSet<&str> = line.scenario.events.iter().map(|event| event.kind.word()).collect();
            words.into_iter().for_each(|word| *kinds.entry(word).or_default() += 1);
            different.extend(line.scenario.events.iter().map(|event| (&line.scenario.plan, event.kind.to_string())));
        }
        let different: BTreeSet<&String> = different.iter().map(|(_, event)| event).collect();
        (kinds, different.len())
    }

    /// The same for the same seed and number of runs, whatever the number of threads.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (scenario, violation) in &self.shrunk {
            let _ = writeln!(text, "{violation}\n  cargo xtask swarm --reproduce '{scenario}'");
        }
        for violation in &self.others {
            let _ = writeln!(text, "{violation}");
        }
        let mut ends = BTreeMap::<&str, usize>::new();
        for line in &self.lines {
            let end = match (&line.end, line.verdict) {
                (End::Killed, _) => "killed",
                (End::Dropped, _) => "dropped",
                (End::Hung(_), _) => "hung",
                (_, Some(verdict)) => verdict.as_str(),
                (_, None) => "panicked",
            };
            *ends.entry(end).or_default() += 1;
        }
        let listed = |counts: &BTreeMap<&str, usize>| {
            counts.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
        };
        let (kinds, different) = self.events();
        let wrong = self.lines.iter().filter(|line| !line.violations.is_empty()).count();
        let _ = writeln!(text, "endings: {}", listed(&ends));
        let _ = writeln!(text, "runs with each kind of event: {}", listed(&kinds));
        let _ = writeln!(
            text,
            "{} runs, {} refused, {different} different events of {} kinds, {wrong} runs with violations",
            self.lines.len(),
            self.refused,
            kinds.len(),
        );
        text
    }
}
