//! A valid station file, and its possible mistakes.

#![allow(clippy::expect_used)] // the helpers below are tests too

mod plan_support;

use bench_plan::{Correction, Day, Overdue, Source, Station};
use plan_support::{changed, check_fixture, fixture_text, render};

const STATION: &str = r#"format = 1
name = "line-2-eol-1"
fixture = "b-series"
fixture_serial = "FX-0007"
overdue = "mark"

[[calibration]]
chip = "adc"
gain = 1.0004
date = 2026-01-10
due = 2027-01-10
certificate = "K-2231"

[[calibration]]
chip = "power-3v3"
offset = 2e-5
date = 2026-03-01
due = 2026-09-01

[[nest]]
name = "A"
link = "/dev/ttyAMA3"
gpio = { lid = 16, pass = 26 }
"#;

fn parse(text: &str) -> Result<Station, String> {
    let fixture = check_fixture(&fixture_text()).expect("the repository's fixture");
    Station::parse(&Source::new("station.toml", text), &fixture).map_err(|problem| render(&problem))
}

fn problem(from: &str, to: &str) -> String {
    parse(&changed(STATION, from, to)).expect_err("the station is broken")
}

#[test]
fn what_the_file_leaves_out_comes_from_the_fixture() {
    let station = parse(STATION).expect("right");
    assert_eq!((station.name.as_str(), station.fixture_serial.as_str()), ("line-2-eol-1", "FX-0007"));
    assert_eq!(station.overdue, Overdue::Mark);
    let nest = station.nest("A").expect("there");
    assert_eq!((nest.i2c_bus, nest.link.as_str(), nest.ble.as_deref()), (Some(1), "/dev/ttyAMA3", Some("hci0")));
    let gpio = |line: Option<bench_plan::GpioLine>| line.map(|line| (line.gpio, line.active_low));
    assert_eq!((gpio(nest.lid), gpio(nest.start)), (Some((16, true)), Some((6, true))));
    let lamps: Vec<(&str, u8)> = nest.lamps.iter().map(|(name, line)| (name.as_str(), line.gpio)).collect();
    assert_eq!(lamps, [("busy", 24), ("error", 25), ("fail", 23), ("pass", 26)]);
    assert_eq!(nest.watchdog, Some(17));
    let corrections = station.corrections("A");
    assert_eq!(corrections["adc"], Correction { gain: 1.0004, offset: 0.0 });
    assert!((corrections["power-3v3"].apply(0.1) - 0.10002).abs() < 1e-12);
}

#[test]
fn an_emergency_stop_is_a_line_as_the_others() {
    const LID: &str = "lid = { gpio = 5, active = \"low\" }";
    let with = |line: &str| check_fixture(&changed(&fixture_text(), LID, &format!("{LID}\n{line}")));
    let fixture = with("emergency = { gpio = 12, active = \"low\" }").expect("right");
    let of = |gpio: &str| {
        let text = changed(STATION, "lid = 16", gpio);
        let station = Station::parse(&Source::new("station.toml", text), &fixture).expect("right");
        station.nest("A").expect("there").emergency.map(|line| (line.gpio, line.active_low))
    };
    assert_eq!([of("lid = 16"), of("emergency = 13")], [Some((12, true)), Some((13, true))]);
    assert_eq!(parse(STATION).expect("right").nest("A").expect("there").emergency, None, "a fixture without");
    let twice = with("emergency = { gpio = 17, active = \"low\" }").map(drop).map_err(|problem| render(&problem));
    assert!(twice.expect_err("GPIO 17 is the watchdog's").contains("GPIO 17 of the controller is used twice"));
}

#[test]
fn a_calibration_counts_from_its_day_to_its_last_day() {
    let station = parse(STATION).expect("right");
    let overdue = |year, month, day| -> Vec<&str> {
        station.overdue_on(Day { year, month, day }, "A").map(|calibration| calibration.chip.as_str()).collect()
    };
    assert_eq!(overdue(2026, 9, 1), Vec::<&str>::new());
    assert_eq!(overdue(2026, 9, 2), ["power-3v3"]);
    assert_eq!(overdue(2026, 2, 28), ["power-3v3"], "not calibrated yet: the clock or the file is wrong");
    assert_eq!(overdue(2027, 1, 11), ["adc", "power-3v3"]);
}

#[test]
fn a_line_that_two_nests_share() {
    let second = "\n[[nest]]\nname = \"B\"\nprobe = \"2e8a:000c:B\"\ni2c_bus = 3\nlink = \"/dev/ttyAMA4\"\ngpio = { start = 7 }\n";
    let text = changed(STATION, "name = \"A\"", "name = \"A\"\nprobe = \"2e8a:000c:A\"");
    let text = changed(&text, "chip = \"adc\"", "chip = \"adc\"\nnest = \"A\"");
    let text = changed(&text, "chip = \"power-3v3\"", "chip = \"power-3v3\"\nnest = \"A\"") + second;
    insta::assert_snapshot!(parse(&text).expect_err("shared"), @r##"
     x GPIO 17 is used twice
       ,-[station.toml:29:8]
    28 | [[nest]]
    29 | name = "B"
       :        ^|^
       :         `-- for the watchdog of nest B, and for the watchdog of nest A
    30 | probe = "2e8a:000c:B"
       `----
     help: give each nest its own
    "##);
}

#[test]
fn a_chip_that_measures_nothing() {
    insta::assert_snapshot!(problem("chip = \"adc\"", "chip = \"dac\""), @r##"
     x the fixture has no measuring chip `dac`
      ,-[station.toml:8:8]
    7 | [[calibration]]
    8 | chip = "dac"
      :        ^^|^^
      :          `-- no ADC and no power monitor
    9 | gain = 1.0004
      `----
     help: did you mean `adc`?
    "##);
}

#[test]
fn a_gpio_that_does_nothing() {
    insta::assert_snapshot!(problem("lid = 16", "lit = 16"), @r##"
     x the fixture has no `lit`
       ,-[station.toml:23:10]
    22 | link = "/dev/ttyAMA3"
    23 | gpio = { lit = 16, pass = 26 }
       :          ^|^
       :           `-- no such line
       `----
     help: did you mean `lid`?
    "##);
}

#[test]
fn a_correction_that_no_instrument_needs() {
    insta::assert_snapshot!(problem("gain = 1.0004", "gain = 1.4"), @r##"
     x 1.4 is not a correction
       ,-[station.toml:9:8]
     8 | chip = "adc"
     9 | gain = 1.4
       :        ^|^
       :         `-- the instrument would be broken
    10 | date = 2026-01-10
       `----
     help: expected 0.95 to 1.05
    "##);
}

#[test]
fn invalid_dates() {
    insta::assert_snapshot!(problem("due = 2026-09-01", "due = 2026-09-01T10:00:00"), @r##"
     x not a day
       ,-[station.toml:18:7]
    17 | date = 2026-03-01
    18 | due = 2026-09-01T10:00:00
       :       ^^^^^^^^^|^^^^^^^^^
       :                `-- no date
    19 |
       `----
     help: expected a date such as 2026-11-25
    "##);
}

#[test]
fn a_probe_is_the_same_however_it_is_written() {
    let nest = |probe: &str, gpio: &str| {
        format!("\n[[nest]]\nname = \"B\"\nprobe = \"{probe}\"\ni2c_bus = 3\nlink = \"/dev/ttyAMA4\"\ngpio = {gpio}\n")
    };
    let text = changed(STATION, "name = \"A\"", "name = \"A\"\nprobe = \"2e8a:000c:AB12\"");
    for probe in ["2e8a:000c:AB12", "2E8A:000C:ab12", "0x2e8a:0x000c:AB12"] {
        let error = parse(&(text.clone() + &nest(probe, "{ start = 7 }"))).expect_err("shared");
        assert!(error.contains("probe 2e8a:000c:ab12 is used twice"), "{error}");
    }
}

#[test]
fn all_mistakes_of_a_station_are_reported() {
    let fixture = check_fixture(&fixture_text()).expect("the repository's fixture");
    let text = changed(STATION, "chip = \"adc\"", "chip = \"adk\"");
    let text = changed(&text, "overdue = ", "overdu = ");
    let source = Source::new("station.toml", changed(&text, "link = \"/dev/ttyAMA3\"", "link = 7"));
    let first = Station::parse(&source, &fixture).expect_err("wrong");
    let all = bench_plan::all_mistakes(first, |repairs| Station::parse(&repairs.of(source.clone()), &fixture));
    let said: Vec<String> = all.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    for part in ["unknown key `overdu`", "no measuring chip `adk`", "invalid type: integer `7`"] {
        assert!(said.iter().any(|said| said.contains(part)), "{part}: {said:?}");
    }
}
