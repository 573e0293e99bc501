//! Finds the debug probe and the serial port of a desk: what is missing while it is unplugged, and there again afterwards,
//! is the one that is meant. A core without devices: lists go in, questions and a result come out.

use std::fmt::Write as _;

/// What is plugged into this computer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Devices {
    pub probes: Vec<Probe>,
    pub ports: Vec<Port>,
}

/// Vendor and product of a USB device.
pub(crate) type UsbId = (u16, u16);

/// A debug probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    pub name: String,
    pub id: UsbId,
    pub serial: Option<String>,
    /// Whether the system refuses it to this user.
    pub is_denied: bool,
}

/// A serial port over USB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Port {
    /// "/dev/ttyACM0", "COM3".
    pub name: String,
    pub id: UsbId,
    pub serial: Option<String>,
    /// Below `/dev/serial/by-id`: named after the device.
    pub by_id: Option<String>,
    /// Below `/dev/serial/by-path`: named after the USB socket.
    pub by_path: Option<String>,
    /// If the system refuses it to this user: what that user can do.
    pub denied: Option<String>,
}

impl Probe {
    /// As the station file names it.
    pub fn selector(&self) -> String {
        let serial = self.serial.iter().map(|serial| format!(":{serial}")).collect::<String>();
        format!("{:04x}:{:04x}{serial}", self.id.0, self.id.1)
    }

    fn is_same_device(&self, port: &Port) -> bool {
        self.id == port.id && self.serial == port.serial
    }
}

/// What was found, as the station file needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub probe: Probe,
    pub port: Port,
    /// The name of the port that stays the same.
    pub link: String,
    /// What the person should know about that name.
    pub note: Option<String>,
}

/// Why nothing was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub message: String,
    pub help: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// A question. After the answer, the caller lists the devices twice, with a second in between.
    Ask(String),
    Found(Box<Found>),
    Stop(Trouble),
}

/// What is being found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Probe,
    Port,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Probe => "debug probe",
            What::Port => "serial adapter",
        }
    }
}

#[derive(Debug, Clone)]
enum State {
    /// Is this probe with this port right?
    Confirm(Box<(Probe, Port)>),
    Unplug(What),
    /// What was there while it was unplugged.
    Plug(What, Devices),
    /// Which of the probe's own ports is it?
    Choose(Vec<Port>),
}

pub(crate) struct Finder {
    state: State,
    probe: Option<Probe>,
    /// The last list, in which two of a kind show.
    now: Devices,
}

impl Finder {
    /// The first question.
    pub fn begin(now: Devices) -> (Self, Next) {
        let mut finder = Self { state: State::Unplug(What::Probe), probe: None, now };
        let next = match (finder.now.probes.as_slice(), finder.now.ports.as_slice()) {
            ([probe], [port]) => {
                let question = format!(
                    "Debug probe: {}\nSerial port: {}\nNothing else is plugged in. Is this the probe on the module, and the port at its \
                     TX and RX? [y/N]",
                    words(probe),
                    port_words(port)
                );
                finder.state = State::Confirm(Box::new((probe.clone(), port.clone())));
                Next::Ask(question)
            }
            _ => finder.look_for(What::Probe),
        };
        (finder, next)
    }

    /// What follows from an answer, and from what is plugged in right after it and a second later.
    pub fn answered(&mut self, answer: &str, at_once: Devices, later: Devices) -> Next {
        self.now = later.clone();
        match self.state.clone() {
            State::Confirm(pair) => {
                let (probe, port) = *pair;
                if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
                    self.probe = Some(probe);
                    return self.done(port);
                }
                self.look_for(What::Probe)
            }
            State::Unplug(what) => {
                self.state = State::Plug(what, later);
                Next::Ask(format!("Plug the {} in again, then press Enter.", what.name()))
            }
            State::Plug(What::Probe, before) => self.probe_plugged(&before, &at_once, &later),
            State::Plug(What::Port, before) => self.port_plugged(&before, &at_once, &later),
            State::Choose(ports) => {
                let chosen = answer.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                match chosen.and_then(|index| ports.get(index)) {
                    Some(port) => self.done(port.clone()),
                    None => Next::Ask(choice(&ports)),
                }
            }
        }
    }

    fn look_for(&mut self, what: What) -> Next {
        let nothing = match what {
            What::Probe => self.now.probes.is_empty(),
            What::Port => self.now.ports.is_empty(),
        };
        if nothing {
            self.state = State::Plug(what, self.now.clone());
            return Next::Ask(format!("No {0} is plugged in. Plug it in, then press Enter.", what.name()));
        }
        self.state = State::Unplug(what);
        Next::Ask(format!("Unplug the {}, then press Enter.", what.name()))
    }

    fn probe_plugged(&mut self, before: &Devices, at_once: &Devices, later: &Devices) -> Next {
        let appeared = added(&before.probes, &later.probes, same_probe);
        let probe = match appeared.as_slice() {
            [probe] => (*probe).clone(),
            [] => {
                if let Some(gone) = added(&before.probes, &at_once.probes, same_probe).first() {
                    return Next::Stop(vanished(&words(gone)));
                }
                return Next::Stop(no_probe(&added(&before.ports, &later.ports, same_port)));
            }
            several => {
                let names: Vec<String> = several.iter().map(|probe| words(probe)).collect();
                return Next::Stop(several_appeared(What::Probe, &names));
            }
        };
        if probe.is_denied {
            return Next::Stop(Trouble {
                message: format!("the debug probe {} may not be used by this user", words(&probe)),
                help: "the system's rules (udev) must allow it: the Debian package brings 60-bench-probes.rules, which belongs \
                       into /etc/udev/rules.d; then run `sudo udevadm control --reload` and plug the probe in again"
                    .to_owned(),
            });
        }
        // Two of a kind cannot be distinguished later either.
        let alike = later.probes.iter().filter(|other| same_probe(other, &probe)).count();
        if alike > 1 {
            return Next::Stop(Trouble {
                message: format!(
                    "{alike} debug probes are alike: {}, none with a serial number of its own",
                    words(&probe)
                ),
                help: "unplug the others while you test, or use a probe with a serial number".to_owned(),
            });
        }
        let its_ports: Vec<Port> = added(&before.ports, &later.ports, same_port)
            .into_iter()
            .filter(|port| probe.is_same_device(port))
            .cloned()
            .collect();
        self.probe = Some(probe);
        match its_ports.as_slice() {
            [] => self.look_for(What::Port),
            [port] => self.done(port.clone()),
            _ => {
                self.state = State::Choose(its_ports.clone());
                Next::Ask(choice(&its_ports))
            }
        }
    }

    fn port_plugged(&mut self, before: &Devices, at_once: &Devices, later: &Devices) -> Next {
        match added(&before.ports, &later.ports, same_port).as_slice() {
            [port] => self.done((*port).clone()),
            [] => match added(&before.ports, &at_once.ports, same_port).first() {
                Some(gone) => Next::Stop(vanished(&port_words(gone))),
                None => Next::Stop(Trouble {
                    message: "no serial port appeared".to_owned(),
                    help: "is the adapter's cable one that carries data, and has the system a driver for it? `dmesg` says what it saw; \
                           then start again"
                        .to_owned(),
                }),
            },
            several => {
                let names: Vec<String> = several.iter().map(|port| port_words(port)).collect();
                Next::Stop(several_appeared(What::Port, &names))
            }
        }
    }

    /// Chooses the name that stays the same, and refuses a port that may not be used.
    fn done(&self, port: Port) -> Next {
        if let Some(help) = &port.denied {
            return Next::Stop(Trouble {
                message: format!("the serial port {} may not be used by this user", port.name),
                help: help.clone(),
            });
        }
        let Some(probe) = self.probe.clone() else { return Next::Stop(no_probe(&[])) };
        let (link, note) = stable(&port, &self.now.ports);
        Next::Found(Box::new(Found { probe, port, link, note }))
    }
}

/// The name of a port that stays the same, and what to say of it. A name by id is that of the device; without a serial
/// number, another adapter of the same type takes it over.
fn stable(port: &Port, all: &[Port]) -> (String, Option<String>) {
    let has_twin =
        all.iter().any(|other| other.name != port.name && (other.id, &other.serial) == (port.id, &port.serial));
    if let Some(by_id) = port.by_id.clone().filter(|_| port.serial.is_some() || !has_twin) {
        let note = "the adapter has no serial number: plug in no other of its type while you test".to_owned();
        return (by_id, port.serial.is_none().then_some(note));
    }
    match &port.by_path {
        Some(by_path) => {
            let note =
                "adapters of this type have no serial number: the name is that of the USB socket, so use the same one";
            (by_path.clone(), Some(note.to_owned()))
        }
        // Windows and macOS number ports by device.
        None => (port.name.clone(), None),
    }
}

fn same_probe(a: &Probe, b: &Probe) -> bool {
    (a.id, &a.serial) == (b.id, &b.serial)
}

fn same_port(a: &Port, b: &Port) -> bool {
    (&a.name, a.id, &a.serial) == (&b.name, b.id, &b.serial)
}

/// What is in `after` more often than in `before`.
fn added<'d, T>(before: &[T], after: &'d [T], same: fn(&T, &T) -> bool) -> Vec<&'d T> {
    let mut added: Vec<&T> = Vec::new();
    for device in after {
        let was = before.iter().filter(|other| same(other, device)).count();
        let is = after.iter().filter(|other| same(other, device)).count();
        let counted = added.iter().filter(|other| same(other, device)).count();
        if was + counted < is {
            added.push(device);
        }
    }
    added
}

fn words(probe: &Probe) -> String {
    let serial = probe.serial.as_deref().unwrap_or("without serial number");
    format!("{} ({:04x}:{:04x}, {serial})", probe.name, probe.id.0, probe.id.1)
}

fn port_words(port: &Port) -> String {
    let serial = port.serial.as_deref().unwrap_or("without serial number");
    format!("{} ({:04x}:{:04x}, {serial})", port.name, port.id.0, port.id.1)
}

fn choice(ports: &[Port]) -> String {
    let mut text = "The probe has several serial ports. Which one leads to the module's TX and RX?\n".to_owned();
    for (n, port) in ports.iter().enumerate() {
        let _ = writeln!(text, "  {}. {}", n + 1, port_words(port));
    }
    text + "Number:"
}

fn vanished(name: &str) -> Trouble {
    Trouble {
        message: format!("{name} appeared and vanished again"),
        help: "check its cable and the power of the hub; then start again".to_owned(),
    }
}

fn no_probe(ports: &[&Port]) -> Trouble {
    let but = match ports.first() {
        Some(port) => format!(", but a serial port: {}", port_words(port)),
        None => String::new(),
    };
    Trouble {
        message: format!("no debug probe appeared{but}"),
        help: "is its cable one that carries data, and is it a probe that probe-rs knows (CMSIS-DAP, J-Link, ST-Link)? Then start again"
            .to_owned(),
    }
}

fn several_appeared(what: What, names: &[String]) -> Trouble {
    Trouble {
        message: format!("more than one {} appeared: {}", what.name(), names.join(", ")),
        help: "plug in one device at a time, and no hub with others on it; then start again".to_owned(),
    }
}

/// The Bluetooth adapter of the station: the first of the system, or another one.
pub(crate) fn bluetooth(adapters: &[String]) -> Option<&str> {
    let first = adapters.iter().find(|name| *name == "hci0");
    first.or_else(|| adapters.iter().min()).map(String::as_str)
}

/// A station file for a desk.
pub(crate) fn station(name: &str, fixture: &str, found: &Found, bluetooth: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let bluetooth = match bluetooth {
        Some(adapter) => format!("ble = {}\n", quoted(adapter)),
        None => "# ble = \"hci0\" # no Bluetooth adapter was found: run with --without ble\n".to_owned(),
    };
    format!(
        "# A desk: which devices lead to the module. `bench schema station` is for editors.\n\
         format = 1\n\
         name = {}\n\
         fixture = {}\n\
         fixture_serial = \"desk\"\n\
         \n\
         [[nest]]\n\
         name = \"A\"\n\
         link = {}\n\
         probe = {} # {}\n\
         {bluetooth}",
        quoted(name),
        quoted(fixture),
        quoted(&found.link),
        quoted(&found.probe.selector()),
        found.probe.name.replace(char::is_control, " "),
    )
}

#[cfg(test)]
mod tests;
