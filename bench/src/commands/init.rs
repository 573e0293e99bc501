//! `bench init`.

use super::{print, say};
use crate::cli::InitArgs;
use bench_engine::{Failed, Project};
use bench_journal::{StationKey, shown, write_secret, write_whole};
use bench_plan::{Fixture, Source, Station};
use std::io::BufRead;
use std::path::Path;

/// What a person answered.
struct Answers {
    fixture: String,
    name: String,
    fixture_serial: String,
    overdue: String,
    link: String,
    probe: String,
}

pub(crate) fn init(root: Option<&Path>, args: &InitArgs) -> Result<u8, Failed> {
    let file = args.desk.as_ref().unwrap_or(&args.file);
    if file.exists() {
        return Err(Failed::Usage(miette::miette!(
            help = "edit it, or name another with --file",
            "{} exists already",
            shown(file)
        )));
    }
    if args.desk.is_some() {
        return super::init_desk::init_desk(root, args, file);
    }
    let project = Project::find(root, None);
    let mut input = std::io::stdin().lock();
    let mut ask = |question: &str, default: &str| ask(&mut input, question, default);
    let name = ask("Fixture, a file in fixtures/", "b-series")?;
    let (fixture, _) = project.fixture_and_families(&name)?;
    let answers = Answers {
        name: ask("Name of this station", &host())?,
        fixture_serial: ask("Serial number on the fixture's label", "FX-0001")?,
        overdue: ask("When a calibration is over its date: refuse runs, or mark their records", "refuse")?,
        link: ask("The UART to the module", &fixture.link.device)?,
        probe: ask("Debug probe VID:PID:SERIAL, empty for the only one", "")?,
        fixture: name,
    };
    let text = write(&answers, &fixture);
    let source = Source::new(shown(file), text.as_str());
    Station::parse(&source, &fixture).map_err(|problem| Failed::from(bench_engine::FileError::from(problem)))?;
    let failed = |error: std::io::Error| Failed::Usage(miette::miette!("{}: {error}", shown(file)));
    key_of(file, &answers.name)?;
    write_whole(file, |made| made.write_all(text.as_bytes())).map_err(failed)?;
    say(&format!("{} is written. Next: bench doctor", shown(file)));
    Ok(0)
}

/// Makes the key that signs the station's records, if it has none yet.
pub(super) fn key_of(file: &Path, name: &str) -> Result<(), Failed> {
    let key_file = file.with_extension("key");
    if key_file.exists() {
        say(&format!("{} exists and is kept: it signs this station's records", shown(&key_file)));
        return Ok(());
    }
    let key = StationKey::generate().map_err(|error| Failed::Bench(miette::miette!("{error}")))?;
    write_secret(&key_file, &key.secret())
        .map_err(|error| Failed::Usage(miette::miette!("{}: {error}", shown(&key_file))))?;
    say(&format!("{} signs this station's records; keep it secret", shown(&key_file)));
    say("For the list of public keys that `bench verify --keys` reads:");
    print(&format!("{name} {}\n", key.public()));
    Ok(())
}

pub(super) fn ask(input: &mut impl BufRead, question: &str, default: &str) -> Result<String, Failed> {
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    print(&format!("{question}{shown}: "));
    let mut answer = String::new();
    let length = input.read_line(&mut answer).map_err(|error| Failed::Usage(miette::miette!("{error}")))?;
    if length == 0 {
        return Err(Failed::Usage(miette::miette!("the answers ended here; nothing was written")));
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
}

pub(super) fn host() -> String {
    let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    if name.trim().is_empty() { "station-1".to_owned() } else { name.trim().to_owned() }
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn write(answers: &Answers, fixture: &Fixture) -> String {
    let Answers { fixture: fixture_name, name, fixture_serial, overdue, link, probe } = answers;
    let Some(bed) = &fixture.bed else { return String::new() };
    let controller = &bed.controller;
    let mut gpio = vec![format!("watchdog = {}", bed.safety.watchdog.kick)];
    gpio.extend(controller.lid.iter().map(|line| format!("lid = {}", line.gpio)));
    gpio.extend(controller.start.iter().map(|line| format!("start = {}", line.gpio)));
    gpio.extend(bed.measure_bus.edges_gpio.iter().map(|gpio| format!("edges = {gpio}")));
    gpio.extend(controller.lamps.iter().map(|(lamp, line)| format!("{lamp} = {}", line.gpio)));
    let probe_line = if probe.is_empty() {
        "# probe = \"2e8a:000c:E6614103E7\" # of several, as `probe-rs list` shows it".to_owned()
    } else {
        format!("probe = {}", quoted(probe))
    };
    format!(
        "# One station: what is plugged in where. See docs/how-to/raspberry-pi.md; `bench schema station` is for editors.\n\
         format = 1\n\
         name = {}\n\
         fixture = {}\n\
         fixture_serial = {}\n\
         overdue = {} # or \"{}\"\n\
         \n\
         # One entry for each instrument that was calibrated; a reading is multiplied with `gain`, then `offset` is added.\n\
         # [[calibration]]\n\
         # chip = \"adc\"\n\
         # gain = 1.0004\n\
         # offset = 0.0\n\
         # date = 2026-01-10\n\
         # due = 2027-01-10\n\
         # certificate = \"K-2231\"\n\
         \n\
         [[nest]]\n\
         name = \"A\"\n\
         link = {}\n\
         {probe_line}\n\
         # i2c_bus = {}\n\
         # gpio = {{ {} }} # only what differs from the fixture file\n",
        quoted(name),
        quoted(fixture_name),
        quoted(fixture_serial),
        quoted(overdue),
        if overdue == "mark" { "refuse" } else { "mark" },
        quoted(link),
        controller.i2c_bus,
        gpio.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_strange_still_make_a_file_that_is_read_back() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let project = Project::find(Some(&root), None);
        let (fixture, _) = project.fixture_and_families("b-series").unwrap();
        for (name, probe) in [("line 2", ""), ("a \"quoted\" \\ name\u{7f}", "2e8a:000c:E66")] {
            let answers = Answers {
                fixture: "b-series".to_owned(),
                name: name.to_owned(),
                fixture_serial: "FX-1".to_owned(),
                overdue: "mark".to_owned(),
                link: "/dev/ttyAMA0".to_owned(),
                probe: probe.to_owned(),
            };
            let text = write(&answers, &fixture);
            let station = Station::parse(&Source::new("station.toml", text.as_str()), &fixture);
            let station = station.unwrap_or_else(|problem| panic!("{problem}\n{text}"));
            assert_eq!(station.name, name);
            assert_eq!(station.nests[0].probe.as_deref().unwrap_or_default(), probe);
        }
    }
}
