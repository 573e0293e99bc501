use super::*;

const DEBUGGER: UsbId = (0x0d28, 0x0204);
const BRIDGE: UsbId = (0x10c4, 0xea60);

fn probe(id: UsbId, serial: Option<&str>) -> Probe {
    Probe { name: "A probe".to_owned(), id, serial: serial.map(str::to_owned), is_denied: false }
}

fn port(name: &str, id: UsbId, serial: Option<&str>) -> Port {
    let link = |folder: &str, of: &str| Some(format!("/dev/serial/{folder}/{of}"));
    Port {
        name: format!("/dev/{name}"),
        id,
        serial: serial.map(str::to_owned),
        by_id: link("by-id", serial.unwrap_or("same")),
        by_path: link("by-path", name),
        denied: None,
    }
}

fn devices(probes: &[Probe], ports: &[Port]) -> Devices {
    Devices { probes: probes.to_vec(), ports: ports.to_vec() }
}

/// What a person answers, and what is plugged in then, at once and a second later.
type Turn<'t> = (&'t str, Devices, Devices);

fn steady(answer: &str, devices: Devices) -> Turn<'_> {
    (answer, devices.clone(), devices)
}

/// The questions, and how it ended.
fn dialogue(begin: Devices, turns: &[Turn<'_>]) -> (Vec<String>, Next) {
    let (mut finder, mut next) = Finder::begin(begin);
    let mut asked = Vec::new();
    for (answer, at_once, later) in turns {
        match next {
            Next::Ask(question) => asked.push(question),
            ended => panic!("ended before {answer:?}: {ended:?}"),
        }
        next = finder.answered(answer, at_once.clone(), later.clone());
    }
    (asked, next)
}

fn found(next: Next) -> (String, String, Option<String>) {
    match next {
        Next::Found(found) => (found.probe.selector(), found.link, found.note),
        other => panic!("{other:?}"),
    }
}

fn stopped(next: Next) -> (String, String) {
    match next {
        Next::Stop(Trouble { message, help }) => (message, help),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_of_each_needs_no_unplugging() {
    let (a, b) = (probe(DEBUGGER, Some("77")), port("ttyUSB0", BRIDGE, Some("0001")));
    let all = devices(std::slice::from_ref(&a), std::slice::from_ref(&b));
    let (asked, next) = dialogue(all.clone(), &[steady("y", all.clone())]);
    assert!(asked[0].contains("A probe (0d28:0204, 77)") && asked[0].contains("/dev/ttyUSB0"), "{asked:?}");
    assert_eq!(found(next), ("0d28:0204:77".to_owned(), "/dev/serial/by-id/0001".to_owned(), None));
    for no in ["", "n", "what"] {
        let (_, next) = dialogue(all.clone(), &[steady(no, all.clone())]);
        assert_eq!(next, Next::Ask("Unplug the debug probe, then press Enter.".to_owned()), "{no:?}");
    }
}

#[test]
fn a_probe_with_a_port_answers_both_questions() {
    let (mine, its) = (probe(DEBUGGER, Some("77")), port("ttyACM0", DEBUGGER, Some("77")));
    let (other, others) = (probe(DEBUGGER, Some("78")), port("ttyACM1", DEBUGGER, Some("78")));
    let without = devices(std::slice::from_ref(&other), std::slice::from_ref(&others));
    let with = devices(&[other, mine], &[others, its]);
    let (asked, next) = dialogue(with.clone(), &[steady("", without), steady("", with)]);
    assert_eq!(
        asked,
        ["Unplug the debug probe, then press Enter.", "Plug the debug probe in again, then press Enter."]
    );
    assert_eq!(found(next), ("0d28:0204:77".to_owned(), "/dev/serial/by-id/77".to_owned(), None));
}

#[test]
fn a_probe_with_several_ports_asks_which() {
    let mine = probe(DEBUGGER, Some("77"));
    let ports = [port("ttyACM0", DEBUGGER, Some("77")), port("ttyACM1", DEBUGGER, Some("77"))];
    let with = devices(&[mine], &ports);
    let turns = [steady("", with.clone()), steady("3", with.clone()), steady("two", with.clone()), steady("2", with)];
    let (asked, next) = dialogue(Devices::default(), &turns);
    assert_eq!(asked[0], "No debug probe is plugged in. Plug it in, then press Enter.");
    assert!(asked[1].contains("  2. /dev/ttyACM1") && asked[1] == asked[2] && asked[2] == asked[3], "{asked:?}");
    // The ports of one device share its serial number: only their names by socket differ.
    let (_, link, note) = found(next);
    assert_eq!(link, "/dev/serial/by-id/77");
    assert_eq!(note, None);
}

#[test]
fn a_separate_adapter_is_asked_for() {
    let (mine, adapter) = (probe(DEBUGGER, Some("77")), port("ttyUSB1", BRIDGE, None));
    let stranger = port("ttyUSB0", (0x0403, 0x6001), Some("A5"));
    let ports = |own: bool| if own { vec![stranger.clone(), adapter.clone()] } else { vec![stranger.clone()] };
    let all = devices(std::slice::from_ref(&mine), &ports(true));
    let (asked, next) = dialogue(
        all.clone(),
        &[
            steady("", devices(&[], &ports(true))),
            steady("", all.clone()),
            steady("", devices(std::slice::from_ref(&mine), &ports(false))),
            steady("", all),
        ],
    );
    assert_eq!(
        asked[2..],
        ["Unplug the serial adapter, then press Enter.", "Plug the serial adapter in again, then press Enter."]
    );
    let (_, link, note) = found(next);
    assert_eq!(link, "/dev/serial/by-id/same");
    assert!(note.unwrap().contains("no serial number"));
}

#[test]
fn names_that_stay() {
    let none = |mut port: Port| {
        (port.by_id, port.by_path) = (None, None);
        port
    };
    let (plain, twin) = (port("ttyUSB0", BRIDGE, None), port("ttyUSB1", BRIDGE, None));
    let numbered = port("ttyUSB0", BRIDGE, Some("1"));
    let rows: [(&Port, &[Port], &str, bool); 5] = [
        (&numbered, std::slice::from_ref(&numbered), "/dev/serial/by-id/1", false),
        (&plain, std::slice::from_ref(&plain), "/dev/serial/by-id/same", true),
        (&plain, &[plain.clone(), twin.clone()], "/dev/serial/by-path/ttyUSB0", true),
        (&none(plain.clone()), std::slice::from_ref(&plain), "/dev/ttyUSB0", false),
        (&none(numbered.clone()), &[], "/dev/ttyUSB0", false),
    ];
    for (port, all, link, noted) in rows {
        let (name, note) = stable(port, all);
        assert_eq!((name.as_str(), note.is_some()), (link, noted), "{port:?} among {}", all.len());
    }
}

#[test]
fn what_goes_wrong_has_words() {
    let (mine, other) = (probe(DEBUGGER, Some("77")), probe(DEBUGGER, Some("78")));
    let adapter = port("ttyUSB0", BRIDGE, Some("1"));
    let nothing = Devices::default();
    let one = devices(std::slice::from_ref(&mine), &[]);
    let denied = Probe { is_denied: true, ..mine.clone() };
    let closed = Port { denied: Some("join the group".to_owned()), ..adapter.clone() };
    let twin = probe(DEBUGGER, None);
    let step = |at_once: &Devices, later: &Devices| ("", at_once.clone(), later.clone());
    // What is plugged in at first, the turns after it, the message, the help.
    let rows: Vec<(Devices, Vec<Turn<'_>>, &str, &str)> = vec![
        (nothing.clone(), vec![step(&nothing, &nothing)], "no debug probe appeared", "carries data"),
        (
            nothing.clone(),
            vec![step(&nothing, &devices(&[], std::slice::from_ref(&adapter)))],
            "no debug probe appeared, but a serial port: /dev/ttyUSB0",
            "probe-rs",
        ),
        // Nobody unplugged it.
        (one.clone(), vec![step(&one, &one), step(&one, &one)], "no debug probe appeared", "start again"),
        (nothing.clone(), vec![step(&one, &nothing)], "A probe (0d28:0204, 77) appeared and vanished again", "cable"),
        (
            nothing.clone(),
            vec![step(&nothing, &devices(&[mine.clone(), other], &[]))],
            "more than one debug probe appeared",
            "one device at a time",
        ),
        (nothing.clone(), vec![step(&nothing, &devices(&[denied], &[]))], "may not be used by this user", "udev"),
        (
            devices(std::slice::from_ref(&twin), &[]),
            vec![
                step(&devices(std::slice::from_ref(&twin), &[]), &devices(std::slice::from_ref(&twin), &[])),
                step(&nothing, &devices(&[twin.clone(), twin.clone()], &[])),
            ],
            "2 debug probes are alike",
            "serial number",
        ),
        (nothing.clone(), vec![step(&one, &one), step(&one, &one)], "no serial port appeared", "driver"),
        (
            nothing.clone(),
            vec![step(&one, &one), step(&devices(std::slice::from_ref(&mine), std::slice::from_ref(&adapter)), &one)],
            "/dev/ttyUSB0 (10c4:ea60, 1) appeared and vanished again",
            "cable",
        ),
        (
            nothing.clone(),
            vec![
                step(&one, &one),
                step(
                    &one,
                    &devices(std::slice::from_ref(&mine), &[adapter.clone(), port("ttyUSB1", BRIDGE, Some("2"))]),
                ),
            ],
            "more than one serial adapter appeared",
            "one device at a time",
        ),
        (
            nothing.clone(),
            vec![step(&one, &one), step(&one, &devices(std::slice::from_ref(&mine), &[closed]))],
            "the serial port /dev/ttyUSB0 may not be used by this user",
            "join the group",
        ),
    ];
    for (begin, turns, message, help) in rows {
        let (said, advice) = stopped(dialogue(begin, &turns).1);
        assert!(said.contains(message) && advice.contains(help), "{message}: {said}; {advice}");
    }
}

#[test]
fn bluetooth_of_the_system() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (adapters, expected) in
        [(names(&[]), None), (names(&["hci1", "hci0"]), Some("hci0")), (names(&["hci3", "hci2"]), Some("hci2"))]
    {
        assert_eq!(bluetooth(&adapters), expected);
    }
}

/// The file is read back as it was meant, whatever the names.
#[test]
fn the_file_is_a_station() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (fixture, _) = bench_engine::Project::find(Some(&root), None).fixture_and_families("desk").unwrap();
    let strange = Probe { name: "A \"probe\"\nof # two lines".to_owned(), ..probe(DEBUGGER, Some("7\"7")) };
    let found = Found {
        probe: strange,
        port: port("ttyUSB0", BRIDGE, None),
        link: "/dev/serial/by-id/a \\ b".to_owned(),
        note: None,
    };
    for adapter in [Some("hci0"), None] {
        let text = station("a \"desk\"", "desk", &found, adapter);
        let station = bench_plan::Station::parse(&bench_plan::Source::new("station.toml", text.as_str()), &fixture);
        let station = station.unwrap_or_else(|problem| panic!("{problem}\n{text}"));
        assert_eq!((station.name.as_str(), station.fixture.as_str()), ("a \"desk\"", "desk"));
        let nest = &station.nests[0];
        assert_eq!((nest.link.as_str(), nest.ble.as_deref()), ("/dev/serial/by-id/a \\ b", adapter));
        assert_eq!(nest.probe.as_deref(), Some("0d28:0204:7\"7"));
    }
}
