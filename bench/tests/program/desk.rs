//! A module on a desk, without instruments: what is found, and what a person is told.

use crate::support::{for_all, output, root, text as in_utf_8};
use std::fs;
use std::process::Output;

/// Both streams.
fn text(out: &Output) -> String {
    format!("{}{}", in_utf_8(&out.stdout), in_utf_8(&out.stderr))
}

fn run(model: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let plan = format!("plans/desk-{model}.toml");
    let reports = folder.path().to_str().unwrap();
    output(&[&["run", &plan, "--virtual", "--reports", reports], more].concat())
}

#[test]
fn good_modules_of_every_model_pass() {
    let models = ["b402", "b404", "b404x", "b523", "b524", "boron"];
    let rows: Vec<_> = models.iter().flat_map(|model| ["1", "2", "3"].map(|seed| (*model, seed))).collect();
    for_all(&rows, |(model, seed)| {
        let out = run(model, &["--seed", seed]);
        let errors = in_utf_8(&out.stderr);
        let (warned, written) = (errors.find("is stored first"), errors.find("pass     program"));
        let warned_first = warned.is_some() && warned < written;
        let put_back = text(&out).contains("the module holds again what was on it");
        let good = out.status.code() == Some(0) && put_back && warned_first;
        if good { Ok(()) } else { Err(format!("{model}, seed {seed}: {}", text(&out))) }
    });
}

/// A fault, the exit code, and what must be in the text.
const FAULTS: [(&str, i32, &[&str]); 26] = [
    ("short:40-42", 1, &["40 (D3)", "42 (D2)", "joined"]),
    ("short:23-33@100", 1, &["23 (A0)", "33 (A1)", "joined"]),
    ("short:32-34", 1, &["32 (MODE)", "34 (RST)", "restarts"]),
    ("short:20-gnd", 1, &["20 (D1)", "held low"]),
    ("short:20-3v3", 1, &["20 (D1)", "held high", "3V3"]),
    ("stuck-low:50", 1, &["50 (MISO)", "held low"]),
    ("lost-pull:68", 1, &["68 (D5)", "pull"]),
    ("leak:23-gnd", 1, &["23 (A0)", "leak to ground"]),
    ("adc-dead:23", 1, &["23 (A0)", "analog input"]),
    ("adc-gain:-5", 1, &["ADC", "gain"]),
    ("crystal:200", 1, &["32.768 kHz", "off by"]),
    ("crystal-dead", 1, &["32.768 kHz", "does not start"]),
    ("retained-lost", 1, &["retained memory"]),
    ("flash-absent", 1, &["external flash"]),
    ("flash-bad-block", 1, &["external flash"]),
    ("wrong-model:b524", 1, &["wrong model", "B524"]),
    ("usb-dead", 1, &["USB", "two cables"]),
    ("nfc-antenna", 1, &["NFC antenna"]),
    ("nfc-dead", 1, &["its NFC is dead"]),
    ("ble-antenna", 1, &["BLE", "antenna"]),
    ("ble-dead", 1, &["BLE"]),
    ("modem-dead", 1, &["modem does not switch on"]),
    ("sim-absent", 1, &["SIM"]),
    ("cell-antenna", 1, &["cellular antenna"]),
    // The bench cannot tell whose fault these are.
    ("dead-link", 2, &["RX", "TX", "cable"]),
    ("swdio-open", 2, &["debug probe", "SWDIO"]),
];

#[test]
fn what_a_module_shows_by_itself_is_found_and_named() {
    for_all(&FAULTS, |(fault, code, words)| {
        let out = run("b404x", &["--fault", fault]);
        // Words may be on two lines.
        let said = text(&out).split_whitespace().collect::<Vec<_>>().join(" ");
        if out.status.code() != Some(*code) {
            return Err(format!("{fault} is not {code}: {said}"));
        }
        match words.iter().find(|word| !said.contains(**word)) {
            Some(word) => Err(format!("{fault} says nothing of {word}: {said}")),
            None => Ok(()),
        }
    });
}

#[test]
fn what_a_desk_does_not_have_is_left_out_by_name() {
    let out = run("b404x", &["--without", "nfc", "--without", "modem-ready"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    for step in ["nfc", "modem-ready", "modem-identity", "modem-sim", "modem-signal", "modem-off"] {
        assert!(text(&out).contains(&format!("without {step}: left out by --without")), "{}", text(&out));
    }
    let out = run("b404x", &["--keep"]);
    assert_eq!(out.status.code(), Some(0), "a module that holds the firmware: {}", text(&out));
    assert!(!text(&out).contains("bytes written") && text(&out).contains("without program"), "{}", text(&out));
    for (arguments, words) in [
        (&["--without", "nfs"][..], "did you mean `nfc`"),
        (&["--without", "switch-on"], "nothing of the plan is left"),
    ] {
        let out = run("b404x", arguments);
        assert_eq!(out.status.code(), Some(3), "{}", text(&out));
        assert!(text(&out).contains(words), "{}", text(&out));
    }
    let out = output(&["run", "plans/b404x.toml", "--virtual", "--without", "nfc"]);
    assert_eq!(out.status.code(), Some(3), "a line tests all of its plan: {}", text(&out));
}

#[test]
fn what_needs_instruments_is_refused_with_what_to_do() {
    let rows: [(&[&str], &str); 4] = [
        (&["doctor", "--virtual", "desk"], "has no instruments to check"),
        (&["operator", "plans/desk-b404x.toml", "--virtual"], "no start button"),
        (&["run", "plans/desk-b404x.toml", "--fixture", "b-series", "--virtual"], "plans/b404x.toml"),
        (&["run", "plans/b404x.toml", "--fixture", "desk", "--virtual"], "plans/desk-b404x.toml"),
    ];
    for (arguments, words) in rows {
        let out = output(arguments);
        assert_eq!(out.status.code(), Some(3), "{arguments:?}: {}", text(&out));
        assert!(text(&out).contains(words), "{arguments:?}: {}", text(&out));
    }
}

#[test]
fn a_desk_file_that_cannot_be_is_refused_with_what_to_do() {
    let good = fs::read_to_string(root().join("fixtures/desk.toml")).unwrap();
    let rows = [
        ("pin = \"3V3\"", "pin = \"3V4\"", "did you mean `3V3`?"),
        ("voltage = \"3.8 V\"", "voltage = \"5.5 V\"", "too much for VCC"),
        ("board = \"the evaluation board\"", "board = \" \"", "the board's name is empty"),
        ("dut_tx = 36", "dut_tx = 38", "the same contact"),
        ("dut_tx = 36", "dut_tx = 23", "is no UART pin"),
        ("with = \"usb\"", "with = \"cable\"", "known values: board, usb"),
        ("contacts = [47]", "contacts = [99]", "no contact 99"),
        ("[desk]\n", "[desk]\nwatchdog = 17\n", "watchdog"),
    ];
    for (from, to, words) in rows {
        let folder = tempfile::tempdir().unwrap();
        for place in ["fixtures/duts", "plans/parts"] {
            fs::create_dir_all(folder.path().join(place)).unwrap();
        }
        for (place, name) in [
            ("fixtures/duts", "b4xx.toml"),
            ("fixtures/duts", "b5xx.toml"),
            ("plans", "desk-b404x.toml"),
            ("plans/parts", "desk.toml"),
        ] {
            fs::copy(root().join(place).join(name), folder.path().join(place).join(name)).unwrap();
        }
        assert!(good.contains(from), "{from}");
        fs::write(folder.path().join("fixtures/desk.toml"), good.replacen(from, to, 1)).unwrap();
        let root = folder.path().to_str().unwrap();
        let plan = folder.path().join("plans/desk-b404x.toml");
        let out = output(&["--root", root, "check", plan.to_str().unwrap()]);
        assert_eq!(out.status.code(), Some(3), "{to}: {}", text(&out));
        assert!(text(&out).contains(words), "{to}: {}", text(&out));
    }
}

#[test]
fn the_picture_of_the_desk_is_the_fixture_s() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = folder.path().join("desk.svg");
    let out = output(&["fixture", "desk", "--svg", drawn.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out));
    let drawn = fs::read_to_string(drawn).unwrap();
    let path = root().join("docs/pictures/desk.svg");
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        fs::write(&path, &drawn).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == drawn, "desk.svg is old: run with UPDATE_PICTURES=1");
}
