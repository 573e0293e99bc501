//! `bench sync`: what this station tested, on the line's server.

use super::store::{Where, failed, say_alarms};
use super::{print, say};
use crate::cli::EXIT_ERROR;
use bench_engine::Failed;
use bench_journal::shown;
use bench_store::{Alarm, Ledger, ledger_of};
use bench_sync::{SyncError, Synced, state};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Variable with the server's address, so that a password does not appear in the list of processes.
const VARIABLE: &str = "BENCH_SYNC_TO";

const AFTER: &str = "\
You can give the server's address in the environment (BENCH_SYNC_TO) instead: a password then appears in no list of
processes.

Exit codes:
  0  all runs have arrived
  2  some wait: the server cannot be reached, or refuses them; or a journal is refused, or a finished run was
     changed or removed; nothing is lost
  3  the arguments are wrong, or there is no store

Example: bench sync --to postgres://station-3@line-server/tests --every 60";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    place: Where,
    /// The server: postgres://USER@HOST/DATABASE.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Keeps running: sends new journals as they appear, and tries again after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
    /// What waits and what is stuck; asks no server.
    #[arg(long, conflicts_with_all = ["to", "every"])]
    status: bool,
    /// Remembers what has arrived [default: `outbox.sqlite` in the folder of reports].
    #[arg(long, value_name = "FILE")]
    outbox: Option<PathBuf>,
}

pub(crate) fn sync(args: &SyncArgs) -> Result<u8, Failed> {
    if args.status {
        return status(args);
    }
    let Some(to) = args.to.clone().or_else(|| std::env::var(VARIABLE).ok()) else {
        return Err(Failed::Usage(miette::miette!("name the server with --to or in {VARIABLE}")));
    };
    let Some(every) = args.every else {
        let sent = once(args, &to).map_err(|error| reason(args, error))?;
        sent.say();
        print(&sent.line());
        return Ok(if sent.is_complete() { 0 } else { EXIT_ERROR });
    };
    // A network that is down for days is reported once.
    let mut said = String::new();
    let mut before = (Vec::new(), Vec::new());
    loop {
        let now = match once(args, &to) {
            Ok(sent) if sent == Sent::default() => String::new(),
            Ok(sent) => {
                // What has to be looked into is repeated only when it changes.
                if before != (sent.refused.clone(), sent.alarms.clone()) {
                    sent.say();
                    before = (sent.refused.clone(), sent.alarms.clone());
                }
                sent.line()
            }
            Err(error @ SyncError::Server(_)) => format!("runs wait here: {error}\n"),
            Err(error) => return Err(reason(args, error)),
        };
        if !now.is_empty() && now != said {
            say(now.trim_end());
        }
        said = now;
        std::thread::sleep(Duration::from_secs(every));
    }
}

/// What one synchronisation did.
#[derive(PartialEq, Eq, Default)]
struct Sent {
    synced: Synced,
    /// Journals that the store does not take: they are not sent either.
    refused: Vec<(PathBuf, String)>,
    alarms: Vec<Alarm>,
}

impl Sent {
    fn say(&self) {
        for (journal, why) in &self.refused {
            say(&format!("{}: refused: {why}", shown(journal)));
        }
        say_alarms(&self.alarms);
    }

    fn line(&self) -> String {
        let Synced { sent, known, refused, waiting, running } = self.synced;
        let here = self.refused.len();
        format!(
            "{sent} runs sent, {known} were there already, {running} without an end are not sent, {refused} refused by the \
             server, {here} journals refused here, {waiting} wait\n"
        )
    }

    fn is_complete(&self) -> bool {
        self.synced.waiting == 0 && self.refused.is_empty() && self.alarms.is_empty()
    }
}

fn outbox(args: &SyncArgs) -> PathBuf {
    args.outbox.clone().unwrap_or_else(|| bench_sync::default_outbox(&args.place.reports))
}

/// The journals come first: what was tested since is in the store before it is sent.
fn once(args: &SyncArgs, to: &str) -> Result<Sent, SyncError> {
    let ingested = bench_store::add(&args.place.reports, &args.place.file())?;
    let synced = bench_sync::sync(&args.place.file(), &outbox(args), to)?;
    let alarms = Ledger::open(&ledger_of(&args.place.file())).and_then(|ledger| ledger.alarms())?;
    Ok(Sent { synced, refused: ingested.refused, alarms })
}

fn reason(args: &SyncArgs, error: SyncError) -> Failed {
    match error {
        SyncError::Store(error) => failed(error, &args.place.reports),
        error => {
            Failed::Bench(miette::miette!(help = "nothing is lost: run it again when the server is there", "{error}"))
        }
    }
}

fn status(args: &SyncArgs) -> Result<u8, Failed> {
    let state = state(&args.place.file(), &outbox(args)).map_err(|error| reason(args, error))?;
    print(&format!(
        "{} runs have arrived, {} wait, {} of them are refused\n",
        state.arrived,
        state.waiting,
        state.stuck.len()
    ));
    for stuck in &state.stuck {
        print(&format!("  {}: {}\n", stuck.path, stuck.reason));
    }
    Ok(if state.waiting == 0 { 0 } else { EXIT_ERROR })
}
