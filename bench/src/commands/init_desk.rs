//! `bench init --desk`.

use super::init::{ask, host, key_of};
use super::{print, say};
use crate::cli::InitArgs;
use crate::finder::{Devices, Finder, Found, Next, Port, Probe, Trouble, bluetooth, station};
use bench_engine::{Failed, FileError, Project};
use bench_journal::{shown, write_whole};
use bench_plan::{Source, Station};
use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

/// A USB device needs some of it to appear completely, and a bad cable shows within it.
const SETTLES: Duration = Duration::from_millis(1_500);
/// Names of serial ports that stay the same, on Linux.
const LINKS: &str = "/dev/serial";
/// The Bluetooth adapters, on Linux.
const ADAPTERS: &str = "/sys/class/bluetooth";

/// This computer and the person at it.
trait Desk {
    fn devices(&mut self) -> Result<Devices, Failed>;
    fn wait(&mut self);
    fn ask(&mut self, question: &str) -> Result<String, Failed>;
}

pub(crate) fn init_desk(root: Option<&Path>, args: &InitArgs, file: &Path) -> Result<u8, Failed> {
    let project = Project::find(root, None);
    let (fixture, _) = project.fixture_and_families(&args.fixture)?;
    if fixture.desk.is_none() {
        let help = "name one that has: --fixture desk, or --fixture desk-boron";
        return Err(Failed::Usage(miette::miette!(help = help, "the fixture {} has no [desk]", fixture.name)));
    }
    if !std::io::stdin().is_terminal() {
        return Err(no_terminal(&args.fixture, file));
    }
    let found = find(&mut Computer)?;
    say(&format!("Debug probe {}, serial port {}.", found.probe.selector(), found.link));
    found.note.iter().for_each(|note| say(&format!("Note: {note}.")));
    let adapters = adapters();
    match bluetooth(&adapters) {
        Some(adapter) => say(&format!("Bluetooth adapter {adapter}.")),
        None => say("No Bluetooth adapter: leave the step out with `bench run ... --without ble`."),
    }
    let name = ask(&mut std::io::stdin().lock(), "Name of this station", &host())?;
    let text = station(&name, &fixture.name, &found, bluetooth(&adapters));
    let source = Source::new(shown(file), text.as_str());
    Station::parse(&source, &fixture).map_err(|problem| Failed::from(FileError::from(problem)))?;
    key_of(file, &name)?;
    write_whole(file, |made| std::io::Write::write_all(made, text.as_bytes()))
        .map_err(|error| Failed::Usage(miette::miette!("{}: {error}", shown(file))))?;
    say(&format!("{} is written. Next: bench fixture {} --wiring", shown(file), fixture.name));
    Ok(0)
}

/// The dialogue, to its end.
fn find(desk: &mut dyn Desk) -> Result<Found, Failed> {
    let (mut finder, mut next) = Finder::begin(desk.devices()?);
    loop {
        match next {
            Next::Ask(question) => {
                let answer = desk.ask(&question)?;
                // What appears for a moment only shows in the first list.
                let at_once = desk.devices()?;
                desk.wait();
                let later = desk.devices()?;
                next = finder.answered(&answer, at_once, later);
            }
            Next::Found(found) => return Ok(*found),
            Next::Stop(Trouble { message, help }) => {
                return Err(Failed::Usage(miette::miette!(help = help, "{message}; nothing was written")));
            }
        }
    }
}

fn no_terminal(fixture: &str, file: &Path) -> Failed {
    let help = format!(
        "run it in a terminal, or write {} by hand:\n\n\
         format = 1\n\
         name = \"my desk\"\n\
         fixture = \"{fixture}\"\n\
         fixture_serial = \"desk\"\n\
         \n\
         [[nest]]\n\
         name = \"A\"\n\
         link = \"/dev/serial/by-id/...\" # the port at the module's TX and RX; COM3 on Windows\n\
         probe = \"2e8a:000c:E6614103E7\"  # of several, as `probe-rs list` shows it\n\
         ble = \"hci0\"                    # if the computer has Bluetooth",
        shown(file)
    );
    Failed::Usage(miette::miette!(help = help, "finding the devices needs a person, and there is no terminal"))
}

struct Computer;

impl Desk for Computer {
    fn devices(&mut self) -> Result<Devices, Failed> {
        let probe = |found: bench_swd::FoundProbe| Probe {
            name: found.name,
            id: (found.vendor, found.product),
            serial: found.serial,
            is_denied: found.is_denied,
        };
        let ports = bench_instruments::usb_serial_ports()
            .map_err(|error| Failed::Bench(miette::miette!("the system does not list its serial ports: {error}")))?;
        let (by_id, by_path) = (links("by-id"), links("by-path"));
        let link = |links: &[(String, String)], name: &str| {
            links.iter().find(|(_, device)| device == name).map(|(link, _)| link.clone())
        };
        let port = |found: bench_instruments::UsbPort| Port {
            by_id: link(&by_id, &found.name),
            by_path: link(&by_path, &found.name),
            denied: denied(&found.name),
            id: (found.ids.vendor, found.ids.product),
            serial: found.serial,
            name: found.name,
        };
        Ok(Devices {
            probes: bench_swd::found_probes().into_iter().map(probe).collect(),
            ports: ports.into_iter().map(port).collect(),
        })
    }

    fn wait(&mut self) {
        std::thread::sleep(SETTLES);
    }

    fn ask(&mut self, question: &str) -> Result<String, Failed> {
        print(&format!("{question} "));
        let mut answer = String::new();
        let length = std::io::BufRead::read_line(&mut std::io::stdin().lock(), &mut answer);
        match length {
            Ok(0) => Err(Failed::Usage(miette::miette!("the answers ended here; nothing was written"))),
            Ok(_) => Ok(answer),
            Err(error) => Err(Failed::Usage(miette::miette!("{error}"))),
        }
    }
}

/// What the user must do to be allowed to use a port. Any other error is no reason to refuse it here: a port of another
/// program may be busy.
fn denied(name: &str) -> Option<String> {
    let error = bench_instruments::can_be_opened(name).err()?;
    (error.kind() == std::io::ErrorKind::PermissionDenied).then(|| bench_instruments::how_to_be_allowed(name))
}

/// The links of a folder below `/dev/serial`, each with the device behind it. None on other systems.
fn links(folder: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(LINKS).join(folder)).into_iter().flatten().flatten();
    let link = |entry: fs::DirEntry| {
        let device = fs::canonicalize(entry.path()).ok()?;
        Some((entry.path().to_str()?.to_owned(), device.to_str()?.to_owned()))
    };
    let mut links: Vec<(String, String)> = entries.filter_map(link).collect();
    links.sort();
    links
}

/// Bluetooth adapters, as the system names them. Connections are listed next to them: "hci0:42".
fn adapters() -> Vec<String> {
    let entries = fs::read_dir(ADAPTERS).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("hci") && !name.contains(':')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A computer of lists, one for each look.
    struct Scripted {
        looks: Vec<Devices>,
        answers: Vec<&'static str>,
        asked: Vec<String>,
    }

    impl Desk for Scripted {
        fn devices(&mut self) -> Result<Devices, Failed> {
            Ok(self.looks.remove(0))
        }
        fn wait(&mut self) {}
        fn ask(&mut self, question: &str) -> Result<String, Failed> {
            self.asked.push(question.to_owned());
            Ok(self.answers.remove(0).to_owned())
        }
    }

    #[test]
    fn the_dialogue_looks_twice_after_each_answer() {
        let id = (0x2e8a, 0x000c);
        let probe = Probe { name: "Debug Probe".to_owned(), id, serial: Some("E6".to_owned()), is_denied: false };
        let port = Port {
            name: "/dev/ttyACM0".to_owned(),
            id,
            serial: Some("E6".to_owned()),
            by_id: None,
            by_path: None,
            denied: None,
        };
        let (none, all) = (Devices::default(), Devices { probes: vec![probe], ports: vec![port] });
        let looks = vec![all.clone(), all.clone(), all.clone(), none.clone(), none, all.clone(), all.clone()];
        let mut desk = Scripted { looks, answers: vec!["n\n", "\n", "\n"], asked: Vec::new() };
        let found = find(&mut desk).unwrap_or_else(|_| panic!("{:?}", desk.asked));
        assert_eq!((found.probe.selector().as_str(), found.link.as_str()), ("2e8a:000c:E6", "/dev/ttyACM0"));
        assert_eq!((desk.asked.len(), desk.looks.len()), (3, 0));

        let looks = vec![Devices::default(); 3];
        let mut desk = Scripted { looks, answers: vec!["\n"], asked: Vec::new() };
        match find(&mut desk) {
            Err(Failed::Usage(report)) => assert!(report.to_string().contains("nothing was written"), "{report}"),
            _ => panic!("nothing can be found here"),
        }
    }
}
