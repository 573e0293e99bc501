//! Diagnostics for mistakes in a family file: one each, at its place, with what to do.

mod dut_common;

use bench_plan::{DutFamily, Source};
use dut_common::report;

const SMALL: &str = include_str!("data/small-family.toml");

/// The report after one change of the small family file.
fn after(before: &str, after: &str) -> String {
    assert_eq!(SMALL.matches(before).count(), 1, "the change hits one place: {before}");
    let text = SMALL.replace(before, after);
    match DutFamily::parse(&Source::new("toy.toml", text)) {
        Ok(_) => panic!("accepted: {after}"),
        Err(problem) => report(&problem),
    }
}

#[test]
fn the_small_family_is_right_before_the_change() {
    let family = DutFamily::parse(&Source::new("toy.toml", SMALL));
    assert_eq!(family.map(|family| family.contacts.len()).map_err(|problem| report(&problem)), Ok(4));
}

#[test]
fn unknown_key() {
    insta::assert_snapshot!(after("abs_max_volts = 3.9\nsource = [\"spec\"]", "abs_max_vlots = 3.9\nsource = [\"spec\"]"), @r#"
     x unknown key `abs_max_vlots`
       ,-[toy.toml:45:1]
    44 | max_volts = 3.6
    45 | abs_max_vlots = 3.9
       : ^^^^^^|^^^^^^
       :       `-- no such key
    46 | source = ["spec"]
       `----
     help: did you mean `abs_max_volts`?
    "#);
}

#[test]
fn missing_key() {
    insta::assert_snapshot!(after("pin = \"TX\"\n", ""), @r#"
     x missing key `pin`
       ,-[toy.toml:64:1]
    63 | 
    64 | [[contact]]
       : ^^^^^|^^^^^
       :      `-- `pin` belongs in here
    65 | number = 3
       `----
    "#);
}

#[test]
fn unknown_function() {
    insta::assert_snapshot!(after("[\"gpio\", \"uart\"]", "[\"gpio\", \"uatr\"]"), @r#"
     x unknown value `uatr`
       ,-[toy.toml:67:22]
    66 | pin = "TX"
    67 | functions = ["gpio", "uatr"]
       :                      ^^^|^^
       :                         `-- no such value
    68 | direction = "out"
       `----
     help: did you mean `uart`?
    "#);
}

#[test]
fn not_toml() {
    insta::assert_snapshot!(after("pin = \"TX\"", "pin = TX"), @r#"
     x not valid TOML: invalid boolean
       ,-[toy.toml:66:7]
    65 | number = 3
    66 | pin = TX
       :       ^|
       :        `-- here
    67 | functions = ["gpio", "uart"]
       `----
     help: expected `true`
    "#);
}

#[test]
fn bad_port() {
    insta::assert_snapshot!(after("port = \"P0.06\"", "port = \"P0.42\""), @r#"
     x "P0.42" is not a port of the nRF52840; expected P0.00 to P0.31 or P1.00 to P1.15
       ,-[toy.toml:69:8]
    68 | direction = "out"
    69 | port = "P0.42"
       :        ^^^|^^^
       :           `-- here
    70 | roles = { uart = "TX" }
       `----
    "#);
}

#[test]
fn contact_twice() {
    insta::assert_snapshot!(after("number = 4", "number = 3"), @r#"
     x contact 3 is given twice
       ,-[toy.toml:74:10]
    73 | [[contact]]
    74 | number = 3
       :          |
       :          `-- second time
    75 | pin = "GND"
       `----
     help: it is also on line 65, as TX
    "#);
}

#[test]
fn contact_in_the_gap() {
    insta::assert_snapshot!(after("number = 4", "number = 6"), @r#"
     x contact 6 does not exist
       ,-[toy.toml:74:10]
    73 | [[contact]]
    74 | number = 6
       :          |
       :          `-- in the gap
    75 | pin = "GND"
       `----
     help: contacts 5 to 6 are absent: notch
    "#);
}

#[test]
fn contact_lost() {
    insta::assert_snapshot!(after("contact_count = 4", "contact_count = 5"), @r#"
     x 4 contacts are given, not 5
      ,-[toy.toml:4:17]
    3 | connector = "edge"
    4 | contact_count = 5
      :                 |
      :                 `-- number of contacts
    5 | 
      `----
     help: add the missing [[contact]] or correct the count
    "#);
}

#[test]
fn port_twice() {
    insta::assert_snapshot!(after("port = \"P0.17\"", "port = \"P0.06\""), @r#"
     x port P0.06 is used twice
       ,-[toy.toml:82:8]
    81 | name = "FLASH_CS"
    82 | port = "P0.06"
       :        ^^^|^^^
       :           `-- second time
    83 | usage = "external flash select"
       `----
     help: TX on line 69 uses it
    "#);
}

#[test]
fn adc_without_input() {
    insta::assert_snapshot!(after("adc_input = 1\n", ""), @r#"
     x contact 2 (A0) has function "adc" but no ADC input
       ,-[toy.toml:52:13]
    51 | alternate_names = ["D19"]
    52 | functions = ["gpio", "adc", "pwm"]
       :             ^^^^^^^^^^^|^^^^^^^^^^
       :                        `-- adc
    53 | direction = "bidir"
       `----
     help: give `adc_input = 0` to `7`
    "#);
}

#[test]
fn adc_input_of_another_port() {
    insta::assert_snapshot!(after("adc_input = 1", "adc_input = 4"), @r#"
     x contact 2 (A0): ADC input 4 is P0.28, not the contact's port
       ,-[toy.toml:55:13]
    54 | port = "P0.03"
    55 | adc_input = 4
       :             |
       :             `-- another port
    56 | pwm = { group = "A0", instance = 2, channel = 1 }
       `----
     help: the chip ties inputs to ports: 0 to 3 are P0.02 to P0.05, 4 to 7 are P0.28 to P0.31
    "#);
}

#[test]
fn no_port_for_gpio() {
    insta::assert_snapshot!(after("port = \"P0.06\"\n", ""), @r#"
     x contact 3 (TX) has no port
       ,-[toy.toml:67:13]
    66 | pin = "TX"
    67 | functions = ["gpio", "uart"]
       :             ^^^^^^^^|^^^^^^^
       :                     `-- needs a port
    68 | direction = "out"
       `----
     help: "gpio" is done by a port of the nRF52840; give `port = "P0.03"`
    "#);
}

#[test]
fn pwm_without_channel() {
    insta::assert_snapshot!(after("pwm = { group = \"A0\", instance = 2, channel = 1 }\n", ""), @r#"
     x contact 2 (A0) has no PWM channel
       ,-[toy.toml:52:13]
    51 | alternate_names = ["D19"]
    52 | functions = ["gpio", "adc", "pwm"]
       :             ^^^^^^^^^^^|^^^^^^^^^^
       :                        `-- needs `pwm`
    53 | direction = "bidir"
       `----
     help: give `pwm = { group = "...", instance = 0, channel = 0 }`
    "#);
}

#[test]
fn unknown_pwm_group() {
    insta::assert_snapshot!(after("group = \"A0\"", "group = \"A1\""), @r#"
     x unknown PWM group "A1"
       ,-[toy.toml:56:17]
    55 | adc_input = 1
    56 | pwm = { group = "A1", instance = 2, channel = 1 }
       :                 ^^|^
       :                   `-- no such group
    57 | max_volts = 3.3
       `----
     help: did you mean `A0`?
    "#);
}

#[test]
fn pwm_instance_against_the_group() {
    insta::assert_snapshot!(after("instance = 2, channel", "instance = 1, channel"), @r#"
     x contact 2 (A0) is in PWM instance 1 but its group in 2
       ,-[toy.toml:56:34]
    55 | adc_input = 1
    56 | pwm = { group = "A0", instance = 1, channel = 1 }
       :                                  |
       :                                  `-- contradicts the group
    57 | max_volts = 3.3
       `----
     help: if the sources disagree, say so in `doubt`
    "#);
}

#[test]
fn bus_contact_without_role() {
    insta::assert_snapshot!(after("roles = { uart = \"TX\" }\n", ""), @r#"
     x contact 3 (TX) does not say which line of "uart" it is
       ,-[toy.toml:67:13]
    66 | pin = "TX"
    67 | functions = ["gpio", "uart"]
       :             ^^^^^^^^|^^^^^^^
       :                     `-- which?
    68 | direction = "out"
       `----
     help: give `roles = { uart = "..." }`
    "#);
}

#[test]
fn voltages_cross() {
    insta::assert_snapshot!(after("abs_max_volts = 3.9\nsource", "abs_max_volts = 3.3\nsource"), @r#"
     x the voltages of contact 1 (VCC) cross
       ,-[toy.toml:44:13]
    43 | min_volts = 3.0
    44 | max_volts = 3.6
       :             ^|^
       :              `-- out of order
    45 | abs_max_volts = 3.3
       `----
     help: min_volts <= max_volts <= abs_max_volts
    "#);
}

#[test]
fn rail_limits_cross() {
    insta::assert_snapshot!(after("typ = 3.3, max = 3.6", "typ = 3.7, max = 3.6"), @r#"
     x the limits of VCC cross
        ,-[toy.toml:102:9]
    101 | direction = "into"
    102 | volts = { min = 3.0, typ = 3.7, max = 3.6 }
        :         ^^^^^^^^^^^^^^^^^|^^^^^^^^^^^^^^^^^
        :                          `-- out of order
    103 | source = ["spec"]
        `----
     help: min <= typ <= max
    "#);
}

#[test]
fn rail_on_a_contact_without_power() {
    insta::assert_snapshot!(after("contacts = [1]", "contacts = [3]"), @r#"
     x contact 3 of rail VCC is not a power contact
        ,-[toy.toml:100:12]
     99 | rail = "VCC"
    100 | contacts = [3]
        :            ^|^
        :             `-- these
    101 | direction = "into"
        `----
     help: a rail lists contacts with function "power"
    "#);
}

#[test]
fn unknown_source() {
    insta::assert_snapshot!(after("source = [\"spec\", \"hal\"]", "source = [\"spec\", \"hall\"]"), @r#"
     x unknown source "hall"
       ,-[toy.toml:58:19]
    57 | max_volts = 3.3
    58 | source = ["spec", "hall"]
       :                   ^^^|^^
       :                      `-- not in [sources]
    59 | [contact.spec]
       `----
     help: did you mean `hal`?
    "#);
}

#[test]
fn spec_against_the_file() {
    insta::assert_snapshot!(after("analog_read = true", "analog_read = false"), @r#"
     x contact 2 (A0): the spec's Supports analogRead contradicts the file
       ,-[toy.toml:62:15]
    61 | name = "A0"
    62 | analog_read = false
       :               ^^|^^
       :                 `-- the spec's words
    63 | 
       `----
     help: the functions are gpio, adc, pwm; correct one, or explain it in `spec_doubt.analog_read`
    "#);
}

#[test]
fn doubt_without_difference() {
    insta::assert_snapshot!(after("analog_read = true\n", "analog_read = true\n[contact.spec_doubt]\ntone = \"really?\"\n"), @r#"
     x contact 2 (A0): the spec states no `tone` that could be doubted
       ,-[toy.toml:64:8]
    63 | [contact.spec_doubt]
    64 | tone = "really?"
       :        ^^^^|^^^^
       :            `-- no difference to explain
    65 | 
       `----
     help: doubts about the fields of the contact itself belong into `doubt`
    "#);
}

#[test]
fn secret_overlapped() {
    insta::assert_snapshot!(after("last = 0x0E", "last = 0x11"), @r#"
     x OTP fields serial number and device secret overlap
        ,-[toy.toml:161:1]
    160 | last = 0x11
    161 | [[otp.field]]
        : ^^^^^^|^^^^^^
        :       `-- this field
    162 | name = "device secret"
        `----
     help: serial number is 0x0 to 0x11
    "#);
}

#[test]
fn not_a_number() {
    insta::assert_snapshot!(after("min_hz = 4.0", "min_hz = nan"), @r#"
     x a limit must be a number
        ,-[toy.toml:129:10]
    128 | [pwm]
    129 | min_hz = nan
        :          ^|^
        :           `-- no finite number
    130 | default_hz = 500.0
        `----
     help: leave the key out when no source gives a value
    "#);
}

#[test]
fn unknown_pin_shared() {
    insta::assert_snapshot!(after("pins = [\"TX\"]", "pins = [\"TXD\"]"), @r#"
     x unknown pin "TXD"
       ,-[toy.toml:93:9]
    92 | [[shared]]
    93 | pins = ["TXD"]
       :         ^^|^^
       :           `-- no such pin
    94 | users = ["link"]
       `----
     help: did you mean `TX`?
    "#);
}
