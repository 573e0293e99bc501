//! The hooks of a station: a program that is asked before each unit is tested, and one that gets the record of each run.
//!
//! The first one may refuse a unit: the interlock of a plant's system. The second one changes nothing: a record that it
//! did not take waits in a folder on the disk, and is offered again. A record may be offered twice, when the bench ends
//! between the program's end and the removal of the file.

use bench_instruments::ProgramOrder;
use bench_journal::{read_text, shown, write_whole};
use bench_plan::Hooks;
use bench_programs::{Finished, KeeperCommand, run_once};
use bench_report::{ReportError, RunRecord, json_line};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Folder below the reports with the records that `after_unit` did not take yet.
pub const WAITING: &str = "after-unit";
/// Largest record that is read back, bytes.
const LARGEST: u64 = 64 * 1024 * 1024;
/// So many records are refused before the rest waits for the next time: the server is probably away.
const MOST_REFUSED: usize = 3;
/// Characters of a program's words that are shown.
const MOST_WORDS: usize = 300;

/// What is known of a unit before its test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFacts {
    pub serial: String,
    pub model: String,
    pub plan: String,
    /// `None` on the virtual bench.
    pub station: Option<String>,
    pub nest: Option<String>,
    pub lot: Option<String>,
}

impl UnitFacts {
    /// One line of JSON.
    fn json(&self) -> String {
        let Self { serial, model, plan, station, nest, lot } = self;
        let facts = serde_json::json!({
            "format": 1, "serial": serial, "model": model, "plan": plan, "station": station, "nest": nest, "lot": lot,
        });
        facts.to_string()
    }
}

/// Why a unit is not tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAllowed {
    /// The program said no, in its words.
    Refused(String),
    /// It gave no answer.
    Broken(String),
}

/// What became of the records that waited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    pub taken: usize,
    pub waiting: usize,
    /// Why one was not taken.
    pub trouble: Option<String>,
}

/// The hooks of a station, with where their programs run.
#[derive(Debug, Clone)]
pub struct StationHooks {
    hooks: Hooks,
    /// Folder of the file that names them: working folder of the programs.
    folder: PathBuf,
    keeper: KeeperCommand,
}

impl StationHooks {
    /// `file` names the hooks.
    ///
    /// # Errors
    /// When the system does not name this program's file, which keeps other programs.
    pub fn new(hooks: Hooks, file: &Path) -> io::Result<Self> {
        Ok(Self::kept_by(hooks, file, KeeperCommand::this_program()?))
    }

    fn kept_by(hooks: Hooks, file: &Path, keeper: KeeperCommand) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { hooks, folder: folder.to_owned(), keeper }
    }

    fn run(&self, command: &[String], input: &str) -> io::Result<Finished> {
        let order = ProgramOrder {
            command: command.to_vec(),
            folder: self.folder.clone(),
            environment: Vec::new(),
            log: None,
            whole_lines: false,
            silence: self.hooks.timeout,
        };
        run_once(&self.keeper, &order, input)
    }

    /// Asks whether the unit may be tested. Blocks until the program ends.
    ///
    /// # Errors
    /// Why it may not.
    pub fn before(&self, unit: &UnitFacts) -> Result<(), NotAllowed> {
        let Some(command) = &self.hooks.before_unit else { return Ok(()) };
        let name = command.first().map_or("", String::as_str);
        match self.run(command, &unit.json()) {
            Err(error) => Err(NotAllowed::Broken(format!("before_unit, {name}: {error}"))),
            Ok(finished) => judge(name, &finished),
        }
    }

    pub fn has_after(&self) -> bool {
        self.hooks.after_unit.is_some()
    }

    /// Puts the record of a run on the disk for `after_unit`. Runs nothing.
    ///
    /// # Errors
    /// When the disk refuses, or when the record cannot be written as JSON.
    pub fn keep(&self, record: &RunRecord, reports: &Path) -> Result<(), ReportError> {
        if !self.has_after() {
            return Ok(());
        }
        let folder = reports.join(WAITING);
        fs::create_dir_all(&folder)?;
        let text = json_line(record)?;
        write_whole(&folder.join(file_name(record)), |to| to.write_all(text.as_bytes()))?;
        Ok(())
    }

    /// Offers `after_unit` the records that wait, the oldest first. Blocks.
    pub fn deliver(&self, reports: &Path) -> Delivery {
        let mut delivery = Delivery::default();
        let Some(command) = &self.hooks.after_unit else { return delivery };
        let folder = reports.join(WAITING);
        let files = match waiting(&folder) {
            Ok(files) => files,
            Err(error) => {
                delivery.trouble = Some(format!("{}: {error}", shown(&folder)));
                return delivery;
            }
        };
        for file in files {
            if delivery.waiting >= MOST_REFUSED {
                delivery.waiting += 1;
                continue;
            }
            match self.offer(command, &file) {
                Ok(()) => delivery.taken += 1,
                Err(why) => {
                    delivery.waiting += 1;
                    delivery.trouble.get_or_insert(why);
                }
            }
        }
        delivery
    }

    fn offer(&self, command: &[String], file: &Path) -> Result<(), String> {
        let name = command.first().map_or("", String::as_str);
        let text = read_text(file, LARGEST).map_err(|error| format!("{}: {}", shown(file), io::Error::from(error)))?;
        match self.run(command, text.trim_end()) {
            Err(error) => Err(format!("after_unit, {name}: {error}")),
            Ok(finished) if finished.is_orderly() => {
                fs::remove_file(file).map_err(|error| format!("{}: {error}", shown(file)))
            }
            Ok(finished) => Err(format!("after_unit, {name}: {}", why(&finished))),
        }
    }
}

/// What a program that was asked said.
fn judge(name: &str, finished: &Finished) -> Result<(), NotAllowed> {
    if finished.is_orderly() {
        return Ok(());
    }
    // A program that ends by itself with a code of its own says no. Everything else is no answer.
    match (&finished.broken, finished.exit.code) {
        (None, Some(code)) if code != 0 => {
            let words = words(finished);
            let said = if words.is_empty() { format!("{name} ended with code {code}, without a word") } else { words };
            Err(NotAllowed::Refused(said))
        }
        _ => Err(NotAllowed::Broken(format!("before_unit, {name}: {}", why(finished)))),
    }
}

fn why(finished: &Finished) -> String {
    finished.broken.clone().unwrap_or_else(|| {
        let words = words(finished);
        if words.is_empty() { finished.exit.to_string() } else { words }
    })
}

/// What it wrote for people: its output, or else its last words. On one line, and not too long.
fn words(finished: &Finished) -> String {
    let said = finished.lines.join(" ");
    let said = if said.trim().is_empty() { finished.exit.last_words.as_str() } else { said.as_str() };
    let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect()
}

/// Of the unit and the folder of its run, which no other run has.
fn file_name(record: &RunRecord) -> String {
    let run = record.run_folder.as_deref().and_then(|folder| Path::new(folder).file_name());
    let run = run.map_or_else(|| record.run_id.clone(), |name| name.to_string_lossy().into_owned());
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' }).collect()
    };
    format!("{}_{}.json", plain(&record.serial), plain(&run))
}

/// The files that wait, the oldest first. Without the folder nothing does.
fn waiting(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let since = entry.metadata().and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((since, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_instruments::ProgramExit;

    fn finished(lines: &[&str], broken: Option<&str>, code: Option<i32>, last_words: &str) -> Finished {
        Finished {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            broken: broken.map(str::to_owned),
            exit: ProgramExit { code, last_words: last_words.to_owned(), ..ProgramExit::default() },
        }
    }

    #[test]
    fn only_a_program_that_ends_with_its_own_code_refuses() {
        let refused = |words: &str| Err(NotAllowed::Refused(words.to_owned()));
        let broken = |words: &str| Err(NotAllowed::Broken(format!("before_unit, mes: {words}")));
        let killed = Finished {
            exit: ProgramExit { signal: Some(9), ..ProgramExit::default() },
            ..finished(&[], None, None, "")
        };
        let left = Finished {
            exit: ProgramExit { code: Some(0), left_behind: 2, ..ProgramExit::default() },
            ..finished(&[], None, None, "")
        };
        let long = "x".repeat(1000);
        let rows = [
            (finished(&[], None, Some(0), "a warning"), Ok(())),
            (finished(&["not", " released \u{1b}[2J"], None, Some(1), "trace"), refused("not released [2J")),
            (finished(&[], None, Some(7), "line 1\nroute unknown\n"), refused("line 1 route unknown")),
            (finished(&[], None, Some(7), ""), refused("mes ended with code 7, without a word")),
            (finished(&[&long], None, Some(1), ""), refused(&long[..300])),
            (finished(&[], Some("it said nothing for 10s"), None, ""), broken("it said nothing for 10s")),
            (finished(&["half"], Some("it said nothing for 10s"), Some(1), ""), broken("it said nothing for 10s")),
            (killed, broken("it was ended by signal 9")),
            (left, broken("it ended and left 2 process(es) of its own running, which were killed")),
        ];
        for (finished, expected) in rows {
            assert_eq!(judge("mes", &finished), expected, "{finished:?}");
        }
    }

    #[test]
    fn a_file_is_named_for_its_unit_and_its_run() {
        let record = |folder: Option<&str>| RunRecord {
            serial: "P042/..".to_owned(),
            run_id: "virtual-1-ab".to_owned(),
            run_folder: folder.map(str::to_owned),
            ..RunRecord::from_entries::<bench_run::Entry>(&[])
        };
        assert_eq!(file_name(&record(Some("reports/P042/0003 x"))), "P042_.._0003_x.json");
        assert_eq!(file_name(&record(None)), "P042_.._virtual-1-ab.json");
    }

    #[test]
    fn what_waits_is_kept_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(waiting(&folder.path().join("none")).unwrap(), Vec::<PathBuf>::new());
        for (name, age) in [("b.json", 10), ("a.json", 5), ("c.txt", 1), (".new", 1)] {
            let path = folder.path().join(name);
            fs::write(&path, "{}").unwrap();
            let at = SystemTime::now() - std::time::Duration::from_secs(age);
            fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        }
        let names: Vec<String> = waiting(folder.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["b.json", "a.json"]);
    }
}
