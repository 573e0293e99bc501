//! What leaves the site, and what does not.

use crate::support::{PLAN, bench, for_all, root, text};
use bench_journal::{JournalContents, find_runs};
use bench_replay::unpack;
use bench_run::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Output;

/// The B404X's plan, which writes the numbers of modem and card to the journal as they are.
fn without_privacy(folder: &Path, privacy: &str) -> String {
    let modem = fs::read_to_string(root().join("plans/parts/modem.toml")).unwrap();
    fs::write(folder.join("modem.toml"), modem.replace("\"last-four\"", &format!("{privacy:?}"))).unwrap();
    let plan = fs::read_to_string(root().join(PLAN)).unwrap();
    let plan = plan.replace("\"parts/", "\"../../plans/parts/").replace("../../plans/parts/modem", "modem");
    let path = folder.join("changed.toml");
    fs::write(&path, plan).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The program as a user of whom nothing may be in an archive.
fn as_ann(home: &Path, arguments: &[&str]) -> Output {
    let mut command = bench(arguments);
    command.env("HOME", home).env("USER", "ann-the-technician").env("BENCH_PASSWORD", "correct-horse");
    command.output().unwrap()
}

/// A run whose record is in the home folder. Returns the folder of the run.
fn record(plan: &str, extra: &[&str], home: &Path) -> PathBuf {
    let reports = home.join("reports");
    let folder = reports.to_str().unwrap();
    let mut arguments = vec!["run", plan, "--virtual", "--record-answers", "--quiet", "--reports", folder];
    arguments.extend(extra);
    as_ann(home, &arguments);
    find_runs(&reports).unwrap().remove(0).folder
}

/// A recording as text, then the bytes of the modem as text.
fn recording(bytes: &[u8]) -> String {
    let mut plain = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut plain).unwrap();
    let lines: Vec<serde_json::Value> = plain.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let modem = lines.iter().filter_map(|line| line["answer"]["ok"]["Modem"]["bytes"].as_array());
    let said = modem.flatten().filter_map(|byte| Some(char::from(u8::try_from(byte.as_u64()?).ok()?)));
    let said: String = said.collect();
    plain + &said
}

/// Everything that an archive says, by file.
fn contents(archive: &Path) -> BTreeMap<String, String> {
    let files = unpack(&fs::read(archive).unwrap()).unwrap();
    let said = |(path, bytes): (String, Vec<u8>)| {
        let said = if path.ends_with(".gz") { recording(&bytes) } else { text(&bytes) };
        (path, said)
    };
    files.into_iter().map(said).collect()
}

/// Numbers of 14 digits or more in the dialogue with the modem.
fn numbers(run: &JournalContents) -> BTreeSet<String> {
    let said = run.entries.iter().filter_map(|entry| match &entry.event {
        Event::Dialogue { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let words = said.flat_map(|text| text.split(|letter: char| !letter.is_ascii_hexdigit()));
    words.filter(|word| word.bytes().filter(u8::is_ascii_digit).count() >= 14).map(str::to_owned).collect()
}

/// Pieces of a number that would give it away.
fn pieces(number: &str) -> Vec<String> {
    let digits: Vec<char> = number.chars().collect();
    digits.windows(8).map(|piece| piece.iter().collect()).collect()
}

#[test]
fn numbers_of_modem_and_card_stay_and_the_replay_is_the_same() {
    // The seed decides which numbers the modem has, and how it writes them.
    let rows: [&[&str]; 4] = [
        &["--seed", "7"],
        &["--seed", "24"],
        &["--seed", "7", "--fault", "imei-default"],
        &["--seed", "12", "--fault", "sim-carrier"],
    ];
    for_all(&rows, |extra| {
        let (home, plans) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in(root().join("target")).unwrap());
        let plan = without_privacy(plans.path(), "full");
        let run = record(&plan, extra, home.path());
        let numbers = numbers(&bench_journal::read(&run.join("journal.jsonl")).unwrap());
        let recorded = recording(&fs::read(run.join("answers.jsonl.gz")).unwrap());
        if let Some(unseen) = numbers.iter().find(|number| !recorded.contains(number.as_str())) {
            return Err(format!("{extra:?}: {unseen} cannot be seen in the recording"));
        }
        let archive = home.path().join("archive.tar.gz");
        let (run, output) = (run.to_str().unwrap(), archive.to_str().unwrap());
        let packed = as_ann(home.path(), &["bug-report", run, "--plan", &plan, "--output", output]);
        if numbers.len() < 3 || packed.status.code() != Some(0) {
            return Err(format!("{extra:?}: {numbers:?} {}", text(&packed.stderr)));
        }
        let contents = contents(&archive);
        let known = |number: &&String| !bench_steps::modem::is_nobodys(number);
        for piece in numbers.iter().filter(known).flat_map(|number| pieces(number)) {
            if let Some((path, _)) = contents.iter().find(|(_, text)| text.contains(&piece)) {
                return Err(format!("{extra:?}: {piece} of {numbers:?} is in {path}"));
            }
        }
        let after = tempfile::tempdir().unwrap();
        let replay = ["replay", output, "--plan", &plan, "--reports", after.path().to_str().unwrap()];
        let replayed = as_ann(home.path(), &replay);
        let shown = text(&replayed.stdout);
        match replayed.status.code() == Some(0) && shown.contains(" 0 differ.") && !shown.contains("no longer") {
            true => Ok(()),
            false => Err(format!("{extra:?}: {shown}{}", text(&replayed.stderr))),
        }
    });
}

#[test]
fn hashed_numbers_and_the_label_s_imei_stay_too() {
    let (home, plans) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in(root().join("target")).unwrap());
    let plan = without_privacy(plans.path(), "hashed");
    let run = record(&plan, &["--imei", "490154203237518"], home.path());
    let journal = fs::read_to_string(run.join("journal.jsonl")).unwrap();
    assert!(journal.contains("sha256:"), "the plan hashes numbers");
    let archive = home.path().join("archive.tar.gz");
    let arguments = ["bug-report", run.to_str().unwrap(), "--plan", &plan, "--output", archive.to_str().unwrap()];
    assert_eq!(as_ann(home.path(), &arguments).status.code(), Some(0));
    for (path, text) in contents(&archive) {
        assert!(!text.contains("54203237"), "{path}");
        let hashes = text.match_indices("sha256:").map(|(at, _)| &text[at..]);
        hashes.for_each(|hash| assert!(hash.starts_with("sha256:hidden"), "{path}: {}", &hash[..30]));
    }
    let after = tempfile::tempdir().unwrap();
    let reports = after.path().to_str().unwrap();
    let replay = ["replay", archive.to_str().unwrap(), "--plan", &plan, "--reports", reports];
    let replayed = as_ann(home.path(), &replay);
    assert_eq!(replayed.status.code(), Some(0), "{}", text(&replayed.stdout));
    assert!(text(&replayed.stdout).contains("Same verdicts: fail;"), "the label has another IMEI than the modem");
}

#[test]
fn an_archive_names_nobody() {
    let home = tempfile::tempdir().unwrap();
    let run = record(PLAN, &["--fault", "sim-absent"], home.path());
    let serial = "P042AV000000001";
    fs::write(run.join("before-0011223344556677.hex"), ":00000001FF\n").unwrap();
    let station = home.path().join("station.toml");
    let text_of_station = format!(
        "# ann-the-technician wrote this\nformat = 1\nname = \"line-2\"\nlink = \"{}/tty\"\n[[calibration]]\nchip = \"adc\"\n\
         certificate = \"Ann the technician\"\n",
        home.path().display()
    );
    fs::write(&station, text_of_station).unwrap();
    fs::write(home.path().join("station.key"), "the-key-of-the-station").unwrap();
    let archive = home.path().join("archive.tar.gz");
    let (run, output) = (run.to_str().unwrap(), archive.to_str().unwrap());
    let common = ["bug-report", run, "--hide-serial", "--station", station.to_str().unwrap()];
    let listed = as_ann(home.path(), &[&common[..], &["--list"]].concat());
    assert!(!archive.exists() && listed.status.code() == Some(0), "{}", text(&listed.stderr));
    let packed = as_ann(home.path(), &[&common[..], &["--output", output]].concat());
    assert_eq!(packed.status.code(), Some(0), "{}", text(&packed.stderr));
    let contents = contents(&archive);
    let names: Vec<&str> = contents.keys().map(|path| path.split_once('/').unwrap().1).collect();
    insta::assert_snapshot!(names.join("\n"), @r"
    about.json
    computer.json
    project/fixture/b-series.toml
    project/module/b4xx.toml
    project/plan/b404x.toml
    project/plan/before-power.toml
    project/plan/ble.toml
    project/plan/functions.toml
    project/plan/modem.toml
    project/plan/nfc.toml
    project/plan/power.toml
    project/plan/program.toml
    run/answers.jsonl.gz
    run/journal.jsonl
    run/junit.xml
    station.toml
    timing.json
    ");
    assert!(names.iter().all(|name| text(&listed.stdout).contains(name)), "{}", text(&listed.stdout));
    let secrets = [
        serial,
        "ann-the-technician",
        "Ann the technician",
        "correct-horse",
        "the-key-of-the-station",
        ":00000001FF",
        home.path().to_str().unwrap(),
    ];
    for (path, text) in &contents {
        for secret in secrets {
            assert!(!text.contains(secret) && !path.contains(secret), "{secret} is in {path}");
        }
    }
    let after = tempfile::tempdir().unwrap();
    let replayed = as_ann(home.path(), &["replay", output, "--reports", after.path().to_str().unwrap()]);
    let shown = text(&replayed.stdout);
    assert_eq!(replayed.status.code(), Some(0), "{shown}{}", text(&replayed.stderr));
    assert!(shown.contains("Same verdicts: fail;") && shown.contains(" 0 differ."), "{shown}");
}

#[test]
fn a_run_without_recorded_answers_is_packed_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let reports = home.path().join("reports");
    let folder = reports.to_str().unwrap();
    as_ann(home.path(), &["run", PLAN, "--virtual", "--fault", "short:36-38@12", "-q", "--reports", folder]);
    let run = find_runs(&reports).unwrap().remove(0);
    let archive = home.path().join("archive.tar.gz");
    let (of_run, output) = (run.folder.to_str().unwrap(), archive.to_str().unwrap());
    let packed = as_ann(home.path(), &["bug-report", of_run, "--output", output]);
    assert!(text(&packed.stdout).contains("no recorded answers"), "{}", text(&packed.stdout));
    let files = unpack(&fs::read(&archive).unwrap()).unwrap();
    let journal = files.iter().find(|(path, _)| path.ends_with("/run/journal.jsonl")).unwrap();
    assert!(*journal.1 == fs::read(&run.journal).unwrap(), "nothing had to be hidden");
    let replayed = as_ann(home.path(), &["replay", output]);
    assert_eq!(replayed.status.code(), Some(3));
    assert!(text(&replayed.stderr).contains("--record-answers"), "{}", text(&replayed.stderr));
}
