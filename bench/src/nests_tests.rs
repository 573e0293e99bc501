//! Eight nests on one controller: what goes wrong in one leaves the others' records as they would be alone.

use crate::abort_tests::GONE;
use bench_engine::{Ended, FromNest, NestThread, OneRun, Project, Stop};
use bench_run::{Entry, Verdict};
use bench_steps::Kinds;
use bench_virtual::{self as virtual_run, Order, VirtualBackend};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

/// What is put into a nest.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Put {
    Good,
    /// With this fault.
    Faulty(&'static str),
    /// The thread of the nest falls over.
    Panics,
}

type Message = (usize, FromNest);

fn start(nest: usize, put: Put, reports: PathBuf, sender: Sender<Message>) -> NestThread {
    let work = move |observer, stop: Stop| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let file = root.join("plans/b404x.toml");
        let mut loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default())?;
        let gone: Vec<String> = GONE.iter().map(|id| (*id).to_owned()).collect();
        loaded.plan.take_out(&gone);
        let firmware = bench_engine::read_firmware(&loaded.firmware_path)?;
        let seed = nest as u64 + 1;
        let specs: Vec<String> = match put {
            Put::Faulty(fault) => vec![fault.to_owned()],
            Put::Good => Vec::new(),
            Put::Panics => panic!("the thread of nest {nest} fell over"),
        };
        let faults = virtual_run::parse_faults(&specs)?;
        let serial = format!("P042AN0000NEST{nest}");
        let order = Order { faults: &faults, ..Order::of(&loaded, &firmware, &serial, seed) };
        let backend = VirtualBackend { world: virtual_run::build(&order)?, seed, faults: specs, person: None };
        let provenance = loaded.provenance(&firmware);
        let image = virtual_run::image(&loaded, &firmware)?;
        let unit_run = OneRun {
            may_erase_locked: false,
            diagnosis: None,
            hold_ends: None,
            answers: None,
            loaded: &loaded,
            firmware: image,
            provenance,
            serial: &serial,
            lot: None,
            imei: None,
            key: None,
            reports: &reports,
            notes: &[],
            wrap: None,
        };
        unit_run.run(&backend, vec![observer], || Ok(stop))
    };
    let send = move |message| {
        let _ = sender.send((nest, message));
    };
    NestThread::start(format!("nest-{nest}"), work, send).unwrap()
}

/// Runs these modules at once, and returns of each nest what it recorded and how it ended.
fn run(modules: &[(usize, Put)]) -> Vec<(usize, Vec<Entry>, Ended)> {
    // A folder for each: in a common one they would share the numbers of runs.
    let folder = tempfile::tempdir().unwrap();
    let (sender, messages) = channel();
    let _threads: Vec<NestThread> = modules
        .iter()
        .map(|(nest, put)| start(*nest, *put, folder.path().join(nest.to_string()), sender.clone()))
        .collect();
    drop(sender);
    let mut nests: Vec<(usize, Vec<Entry>, Option<Ended>)> =
        modules.iter().map(|(nest, _)| (*nest, Vec::new(), None)).collect();
    for (nest, what) in messages {
        let (_, entries, ended) = nests.iter_mut().find(|(number, ..)| *number == nest).unwrap();
        match what {
            FromNest::Entry(entry) => entries.push(*entry),
            FromNest::Ended(end) => *ended = Some(*end),
            FromNest::Held(left) => panic!("held for {left:?}"),
        }
    }
    nests.into_iter().map(|(nest, entries, ended)| (nest, entries, ended.unwrap())).collect()
}

#[test]
fn eight_nests_at_once_record_what_each_records_alone() {
    let all: Vec<(usize, Put)> = (0..8).map(|nest| (nest, Put::Good)).collect();
    let together = run(&all);
    for (nest, entries, ended) in &together {
        assert_eq!(ended.verdict, Verdict::Pass, "nest {nest}: {:?}", ended.reason);
        assert!(entries.len() > 100);
    }
    // The five that stay good, with the worst on the others: a module that never hears, a thread that falls over, a short.
    let mut troubled = all.clone();
    troubled[1].1 = Put::Faulty("open:38");
    troubled[4].1 = Put::Panics;
    troubled[6].1 = Put::Faulty("short:10-gnd@0.5");
    for (nest, entries, ended) in run(&troubled) {
        match troubled[nest].1 {
            Put::Good => {
                assert_eq!(ended.verdict, Verdict::Pass, "nest {nest}");
                assert!(entries == together[nest].1, "nest {nest} recorded something else next to troubled ones");
            }
            Put::Faulty(fault) => assert_eq!(ended.verdict, Verdict::Fail, "{fault}: {:?}", ended.reason),
            Put::Panics => {
                assert_eq!(ended.verdict, Verdict::Error);
                assert!(ended.reason.as_ref().is_some_and(|why| why.contains("fell over")), "{:?}", ended.reason);
            }
        }
    }
    // And alone.
    let (_, entries, _) = run(&all[3..4]).remove(0);
    assert!(entries == together[3].1, "alone it records the same");
}
