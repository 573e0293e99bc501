//! `bench bug-report`: a run and what is around it, in one file that may leave the site.

use super::replay::plan_of;
use super::report::find;
use super::{print, write_report};
use crate::host;
use bench_engine::{Failed, Loaded, Project, VERSION, sha256};
use bench_journal::{JournalContents, LARGEST_JOURNAL, read_regular, safe_name, shown, to_bytes};
use bench_replay::{ANSWERS_FILE, Hider, Tape, pack};
use bench_report::{RunRecord, junit};
use bench_run::{Entry, PartHash, Provenance};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const AFTER: &str = "\
The archive holds the run's journal, its JUnit report and its recorded answers; the texts of plan, fixture and module; \
the station file; and facts about this computer and what is plugged into it. `bench replay ARCHIVE` repeats the run.

It never holds: numbers of modem and SIM card (others take their place, and the steps still see the same), mobile \
secrets, keys, what was on the module before, environment variables, names of users and of their folders.

Example: bench bug-report reports/P042AN0000DEMO1";

#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(crate) struct BugReportArgs {
    /// The run: its folder, its journal, or a unit's folder (then its latest run).
    pub run: PathBuf,
    /// The archive [default: bug-report-RUN.tar.gz].
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Lists what would be in the archive, and writes nothing.
    #[arg(long, conflicts_with = "output")]
    pub list: bool,
    /// Replaces the unit's serial number by another of the same product.
    #[arg(long)]
    pub hide_serial: bool,
    /// The station file.
    #[arg(long, value_name = "FILE", default_value = bench_real::DEFAULT_FILE)]
    pub station: PathBuf,
    /// The plan [default: the one of this project with the name in the record].
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
}

/// The files of an archive, and what to say about them.
struct Report {
    files: BTreeMap<String, Vec<u8>>,
    remarks: Vec<String>,
}

pub(crate) fn bug_report(root: Option<&Path>, args: &BugReportArgs) -> Result<u8, Failed> {
    let journal = find(&args.run)?;
    let refused = |error: String| Failed::Usage(miette::miette!("{}: {error}", shown(&journal)));
    let bytes = read_regular(&journal, LARGEST_JOURNAL).map_err(|error| refused(error.reason.to_string()))?;
    let contents = bench_journal::parse(&bytes).map_err(|error| refused(error.to_string()))?;
    if contents.entries.is_empty() {
        return Err(refused("it is empty: no run began".to_owned()));
    }
    let record = RunRecord::from_entries(&contents.entries);
    let outgoing = Outgoing::new(args.hide_serial.then_some(record.serial.as_str()));
    let mut report = Report { files: BTreeMap::new(), remarks: Vec::new() };
    report.add_run(&journal, bytes, &contents, &outgoing)?;
    let provenance = record.provenance.clone().unwrap_or_default();
    report.add_project(root, args, &provenance, &outgoing);
    report.add_station(&args.station, &outgoing);
    report.add_json("timing.json", &timing(&record), &outgoing);
    let place = json!({ "host": host::facts(), "now": host::devices() });
    report.add_json("computer.json", &place, &outgoing);
    report.add_about(&record, &outgoing);

    let folder = format!("bug-report-{}", safe_name(&outgoing.text(&record.run_id)));
    let listed = report.listed();
    if args.list {
        print(&listed);
        return Ok(0);
    }
    let files = report.files.into_iter().map(|(path, bytes)| (format!("{folder}/{path}"), bytes)).collect();
    let archive = pack(&files).map_err(|error| Failed::bench(format_args!("the archive cannot be made: {error}")))?;
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{folder}.tar.gz")));
    write_report(&output, &archive)?;
    print(&format!("{listed}{}: {} bytes\n", shown(&output), archive.len()));
    Ok(0)
}

/// Changes texts so that they may leave the site.
struct Outgoing {
    hider: Hider,
    home: Option<String>,
}

/// Keys of a journal's entries whose texts a person or a device wrote.
const WORDS: [&str; 4] = ["text", "reason", "raw", "lot"];
/// A number that the plan has hashed: all numbers of an issuer can be tried.
const HASHED: &str = "sha256:";
const HASH_DIGITS: usize = 20;

impl Outgoing {
    fn new(serial: Option<&str>) -> Self {
        let home = std::env::home_dir().map(|home| home.to_string_lossy().into_owned());
        let home = home.filter(|home| home.len() > 1);
        Self { hider: Hider::new(serial, bench_steps::modem::is_nobodys), home }
    }

    /// Hides everything, in a text without hashes and ids.
    fn words(&self, text: &str) -> String {
        let text = self.text(text);
        let mut parts = text.split(HASHED);
        let mut hidden = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
            hidden.push_str(HASHED);
            hidden.push_str(if digits == HASH_DIGITS { "hidden" } else { &part[..digits] });
            hidden.push_str(&part[digits..]);
        }
        self.hider.text(&hidden)
    }

    /// Hides the home folder and the serial number.
    fn text(&self, text: &str) -> String {
        let text = self.hider.without_serial(text);
        let Some(home) = &self.home else { return text };
        let mut parts = text.split(home.as_str());
        let mut hidden = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            // Another folder may begin with the same letters.
            let is_whole = !part.starts_with(|next: char| next.is_alphanumeric() || matches!(next, '-' | '_' | '.'));
            hidden.push_str(if is_whole { "~" } else { home });
            hidden.push_str(part);
        }
        hidden
    }

    /// An entry of a journal, with every text hidden.
    fn value(&self, value: &mut Value, key: &str) {
        match value {
            Value::String(text) if WORDS.contains(&key) => *text = self.words(text),
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value, key)),
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| self.value(value, key)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn entry(&self, entry: &Entry) -> Option<Entry> {
        let mut value = serde_json::to_value(entry).ok()?;
        self.value(&mut value, "");
        serde_json::from_value(value).ok()
    }
}

impl Report {
    fn add(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.to_owned(), bytes.into());
    }

    fn add_json(&mut self, path: &str, value: &Value, outgoing: &Outgoing) {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.add(path, outgoing.text(&text) + "\n");
    }

    /// Journal, JUnit report and recording. A journal in which something was hidden has a new chain.
    fn add_run(
        &mut self,
        journal: &Path,
        bytes: Vec<u8>,
        contents: &JournalContents,
        outgoing: &Outgoing,
    ) -> Result<(), Failed> {
        let hidden: Option<Vec<Entry>> = contents.entries.iter().map(|entry| outgoing.entry(entry)).collect();
        let hidden = hidden.ok_or_else(|| Failed::bench("an entry of the journal cannot be written again"))?;
        let bytes = if hidden == contents.entries {
            bytes
        } else {
            self.remarks.push(
                "numbers, paths or the serial number in the journal were replaced, and its lines chained again"
                    .to_owned(),
            );
            to_bytes(&hidden)
        };
        let seal = bench_journal::parse(&bytes).ok().and_then(|run| run.seal);
        let record = RunRecord::from_entries(&hidden).with_seal(seal);
        let text = junit(std::slice::from_ref(&record)).map_err(Failed::bench)?;
        self.add("run/journal.jsonl", bytes);
        self.add("run/junit.xml", text);
        let answers = journal.with_file_name(ANSWERS_FILE);
        if !answers.exists() {
            self.remarks.push("no recorded answers: `bench run --record-answers` records them".to_owned());
            return Ok(());
        }
        match Tape::read(&answers) {
            Ok(mut tape) => {
                outgoing.hider.tape(&mut tape);
                let bytes = tape.to_bytes().map_err(Failed::bench)?;
                self.add(&format!("run/{ANSWERS_FILE}"), bytes);
            }
            // What cannot be read cannot be hidden.
            Err(error) => self.remarks.push(format!("the recorded answers are left out: {error}")),
        }
        Ok(())
    }

    /// Today's texts of what the run was made of.
    fn add_project(&mut self, root: Option<&Path>, args: &BugReportArgs, then: &Provenance, outgoing: &Outgoing) {
        let project = Project::find(root, args.plan.as_deref());
        match plan_of(&project, args.plan.as_deref(), None, then) {
            Ok(loaded) => self.add_texts(&loaded, then, outgoing),
            Err(Failed::Usage(error) | Failed::Refused(error) | Failed::Bench(error)) => {
                self.remarks.push(format!("without the texts of plan and fixture: {error}"));
            }
        }
    }

    fn add_texts(&mut self, loaded: &Loaded, then: &Provenance, outgoing: &Outgoing) {
        let name = |source: &bench_plan::Source| {
            let path = Path::new(&source.name);
            path.file_name().map_or_else(|| "unnamed".to_owned(), |name| name.to_string_lossy().into_owned())
        };
        let plan = loaded.texts().map(|source| ("plan", source));
        let fixture = loaded.fixture_texts().iter().map(|source| ("fixture", source));
        for (folder, source) in plan.chain(fixture).chain([("module", loaded.dut_text())]) {
            self.add(&format!("project/{folder}/{}", name(source)), outgoing.text(&source.text));
        }
        let now = loaded.provenance(&[]);
        let same_parts = |parts: &[PartHash], of: &[PartHash]| parts == of;
        let is_same = (&now.plan_sha256, &now.fixture_sha256, &now.dut_file_sha256)
            == (&then.plan_sha256, &then.fixture_sha256, &then.dut_file_sha256)
            && same_parts(&now.plan_parts, &then.plan_parts);
        if !is_same {
            self.remarks.push("plan, fixture or module file were changed since the run".to_owned());
        }
    }

    /// Comments may hold anything, and a certificate may name a person: neither is copied.
    fn add_station(&mut self, file: &Path, outgoing: &Outgoing) {
        let Ok(text) = std::fs::read_to_string(file) else { return };
        let Ok(mut station) = text.parse::<toml::Table>() else {
            self.remarks.push(format!("without {}: it cannot be read", outgoing.text(&shown(file))));
            return;
        };
        if let Some(toml::Value::Array(calibrations)) = station.get_mut("calibration") {
            for calibration in calibrations.iter_mut().filter_map(toml::Value::as_table_mut) {
                calibration.remove("certificate");
            }
        }
        self.add("station.toml", outgoing.text(&station.to_string()));
    }

    fn add_about(&mut self, record: &RunRecord, outgoing: &Outgoing) {
        let files: BTreeMap<&String, String> = self.files.iter().map(|(path, bytes)| (path, sha256(bytes))).collect();
        let about = json!({
            "format": 1,
            "packed_by": VERSION,
            "protocol": dut_protocol::PROTOCOL_VERSION,
            "schema": format!("{:016x}", dut_protocol::schema_hash()),
            "run": record.run_id,
            "serial": record.serial,
            "model": record.model,
            "verdict": record.verdict,
            "run_by": record.bench,
            "provenance": record.provenance,
            "remarks": self.remarks,
            "sha256": files,
        });
        self.add_json("about.json", &about, outgoing);
    }

    fn listed(&self) -> String {
        let mut text = String::new();
        for (path, bytes) in &self.files {
            let _ = writeln!(text, "{:>9} bytes  {path}", bytes.len());
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "note: {remark}");
        }
        text
    }
}

/// How late the controller was, and how long each step took.
fn timing(record: &RunRecord) -> Value {
    let attempt = |attempt: &bench_report::Attempt| {
        json!({
            "attempt": attempt.number,
            "started_us": attempt.started_us,
            "ended_us": attempt.ended_us,
            "late": attempt.late,
            "void": attempt.void,
        })
    };
    let steps = record
        .steps
        .iter()
        .map(|step| json!({ "step": step.id, "attempts": step.attempts.iter().map(attempt).collect::<Value>() }));
    json!({ "duration_us": record.duration_us, "steps": steps.collect::<Value>() })
}
