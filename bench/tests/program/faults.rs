//! Every defect that this plan claims to find is found, and the right contacts are named.

use crate::support::{AFTER_THE_VECTORS, Done, ShortPlan, for_all, root, run, run_plan};
use bench_plan::{DutFamily, Function, Source};
use bench_run::{Contact, Defect, Event, Verdict};
use virtual_bench::{Fault, Terminal, neighbours};

fn family() -> DutFamily {
    let path = root().join("fixtures/duts/b4xx.toml");
    DutFamily::parse(&Source::new("b4xx.toml", std::fs::read_to_string(path).unwrap())).unwrap()
}

fn gpio() -> Vec<Contact> {
    let contacts: Vec<Contact> = family().with_function(Function::Gpio).map(|info| info.contact).collect();
    assert_eq!(contacts.len(), 24);
    contacts
}

fn short(a: Terminal, b: Terminal, ohms: f64) -> Fault {
    format!("short:{a}-{b}@{ohms}").parse().unwrap()
}

/// A fault with what must be named: this defect of these contacts, nothing else.
type Row = (Fault, Defect, Vec<u8>);

fn opens() -> Vec<Row> {
    gpio()
        .into_iter()
        .map(|contact| (format!("open:{contact}").parse().unwrap(), Defect::Open, vec![contact.0]))
        .collect()
}

fn shorts_of_neighbours() -> Vec<Row> {
    let gpio = gpio();
    let both = |(a, b): &(Contact, Contact)| gpio.contains(a) && gpio.contains(b);
    let pairs: Vec<(Contact, Contact)> = neighbours(&family()).into_iter().filter(both).collect();
    assert_eq!(pairs.len(), 17, "{pairs:?}");
    let row = |(a, b): (Contact, Contact), ohms| {
        (short(Terminal::Contact(a), Terminal::Contact(b), ohms), Defect::Short, vec![a.0.min(b.0), a.0.max(b.0)])
    };
    pairs.into_iter().flat_map(|pair| [row(pair, 0.0), row(pair, 100.0)]).collect()
}

fn shorts_to_supplies() -> Vec<Row> {
    let row =
        |contact: Contact, to: Terminal, defect| (short(Terminal::Contact(contact), to, 0.0), defect, vec![contact.0]);
    let both = |contact| {
        let rail = Terminal::Rail("3v3".into());
        [row(contact, Terminal::Ground, Defect::ShortToGround), row(contact, rail, Defect::ShortToRail)]
    };
    gpio().into_iter().flat_map(both).collect()
}

fn check(done: &Done, (fault, defect, contacts): &Row) -> Result<(), String> {
    let right_kind = done.diagnoses().iter().all(|one| one.defect == *defect);
    // The resistance in a diagnosis is that of the short.
    let ordered = (fault.kind() == "short")
        .then(|| fault.to_string().split_once('@').map_or(0.0, |(_, ohms)| ohms.parse().unwrap()));
    let reported = done.diagnoses().iter().find_map(|one| ohms_in(&one.text));
    let right_ohms = ordered.is_none_or(|ordered| reported.is_some_and(|reported| (reported - ordered).abs() < 5.0));
    if done.code == 1 && done.named() == *contacts && right_kind && right_ohms {
        return Ok(());
    }
    Err(format!("{fault}: exit {}, named {:?} ({})", done.code, done.named(), done.diagnosis_text()))
}

/// "contacts 36 (TX) and 38 (RX): shorted, 216.1 mohm" -> 0.2161.
fn ohms_in(text: &str) -> Option<f64> {
    let (number, unit) = text.rsplit_once(", ")?.1.split_once(' ')?;
    let scale = match unit {
        "ohm" => 1.0,
        "mohm" => 1e-3,
        "kohm" => 1e3,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

fn check_all(rows: &[Row]) {
    for_all(rows, |row| check(&run(&["--quiet", "--fault", &row.0.to_string()]), row));
}

#[test]
fn every_open_gpio_contact_is_named() {
    check_all(&opens());
}

#[test]
fn every_short_between_neighbours_is_named() {
    check_all(&shorts_of_neighbours());
}

#[test]
fn every_gpio_contact_on_ground_or_3v3_is_named() {
    check_all(&shorts_to_supplies());
}

/// What finds the same before the vectors could; the last two name what the vectors are to name.
const NOT_BEFORE_POWER: [&str; 8] = [
    "isolation-gpio",
    "isolation-other",
    "sim-data-follows",
    "diodes-mcu",
    "diodes-usb",
    "diodes-modem",
    "quiet",
    "reset",
];
/// The shipped plan finds shorts before power and stops. Without that check the firmware's own vectors, and what the
/// nails can measure of a silent module, must name the same contacts.
#[test]
fn without_the_check_before_power_the_vectors_name_the_same() {
    let plan = ShortPlan::without(&[&NOT_BEFORE_POWER[..], &AFTER_THE_VECTORS].concat());

    let mut rows = shorts_of_neighbours();
    rows.extend(shorts_to_supplies());
    // TX on ground also overloads the rail that feeds its driver, which is reported first.
    rows.retain(|(fault, ..)| fault.to_string() != "short:36-gnd");
    // A contact that resets the module whenever it is low, by its pull-down alone too.
    let mode_on_reset = short(Terminal::Contact(Contact(32)), Terminal::Contact(Contact(34)), 0.0);
    rows.push((mode_on_reset, Defect::Short, vec![32, 34]));
    for_all(&rows, |row| check(&run_plan(plan.path(), &["--quiet", "--fault", &row.0.to_string()]), row));
}

#[test]
fn single_faults_and_what_is_said_of_them() {
    let rows = [
        ("open:12", 1, "contact 12 (3V3): open"),
        ("open:56", 1, "contact 56 (GND): open"),
        ("stuck-high:23", 1, "contact 23 (A0): stuck high"),
        ("stuck-low:23", 1, "contact 23 (A0): stuck low"),
        ("stuck-high:36", 1, "contact 36 (TX): stuck high"),
        ("stuck-low:34", 1, "contact 34 (RST): held low through"),
        ("lost-pull:23", 1, "contact 23 (A0): a pull of port P0.03 is missing"),
        ("overload:3v3", 1, "rail 3V3: overloaded"),
        ("overload:vusb", 1, "rail VUSB: overloaded"),
        ("short:36-38@12", 1, "contacts 36 (TX) and 38 (RX): shorted, 1"),
        ("short:8-10", 1, "(contacts 10 (3V3), 12 (3V3)): shorted to rail VCC; it was not switched on"),
        ("short:8-10", 1, "shorted to rail 3V3; it was not switched on"),
        ("short:65-67", 1, "contacts 65 (RGBB) and 67 (SIM_VCC): shorted"),
        ("lost-pull:38", 1, "contact 38 (RX): no pull-up"),
        ("wrong-model:b524", 1, "wrong model: a B524 is in the nest, the plan is for a B404X"),
        ("wrong-model:b404", 1, "wrong model: a B404 is in the nest"),
        ("adc-gain:5", 1, "the MCU's ADC or its reference: all inputs are off by 5"),
        ("adc-offset:-50", 1, "the MCU's ADC: all inputs have an offset of -"),
        // In an empty module, a dead MCU cannot be distinguished from nails that do not reach it.
        ("dead-mcu", 2, "the MCU answers neither the debug probe nor over the link"),
        ("dead-link", 2, ""),
        ("empty-nest", 2, "is one in the nest"),
    ];
    for_all(&rows, |(fault, code, said)| {
        let done = run(&["--quiet", "--fault", fault]);
        if done.code == *code && done.diagnosis_text().contains(said) {
            return Ok(());
        }
        Err(format!("{fault}: exit {}, {}", done.code, done.diagnosis_text()))
    });
}

#[test]
fn a_bad_cable_is_the_fault_of_the_bench_and_says_what_to_check() {
    for (fault, said) in [
        ("dead-link", "check the cable between the controller's UART"),
        // The greeting at the initial rate would work, and the module be blamed for the rest.
        ("slow-link", "hears itself at 115200 baud, but not at 1000000: the cable between the controller's UART"),
    ] {
        let done = run(&["--fault", fault]);
        assert_eq!(done.code, 2, "{fault}");
        // Wrapped to the terminal's width.
        let words = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(said), "{fault}: {}", done.stdout);
        assert!(words.contains("technician"), "{fault}: {}", done.stdout);
    }
}

#[test]
fn a_shorted_rail_is_never_switched_on() {
    for rail in ["3V3", "VCC", "VUSB", "VBUS_MODEM"] {
        let done = run(&["--quiet", "--fault", &format!("short:{}-gnd", rail.to_lowercase())]);
        assert_eq!(done.code, 1, "{rail}");
        assert!(
            done.diagnosis_text().contains(&format!("rail {rail}"))
                && done.diagnosis_text().contains("shorted to ground"),
            "{}",
            done.diagnosis_text()
        );
        let switched =
            done.run.entries.iter().filter(|entry| matches!(entry.event, Event::RailSwitched { on: true, .. }));
        assert_eq!(switched.count(), 0, "{rail}");
        assert!(!done.switched_on(rail));
    }
}

#[test]
fn two_faults_are_both_named() {
    let done = run(&["--quiet", "--fault", "open:23", "--fault", "open:54"]);
    assert_eq!((done.code, done.named()), (1, vec![23, 54]));
    let Some(Event::RunEnded { verdict: Verdict::Fail, .. }) = done.run.entries.last().map(|entry| &entry.event) else {
        panic!("no fail");
    };
}
