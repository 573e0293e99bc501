//! The kinds of faults of a bench, one entry each: syntax, effect, what names it, which ones a bench can have. Parser,
//! text, `--help`, list, documentation and coverage read this table.

use super::damage::{BenchDamage, BitDamage, DiskDamage};
use super::happenings::Happening;
use super::list::{self, Site};
use super::{Amount, BenchFault, Indistinguishable, TargetKind};
use bench_plan::{DutFamily, Fixture};

/// Everything about a kind of fault of the bench.
pub struct BenchFaultKind {
    /// Its name in orders: `nail-worn`.
    pub name: &'static str,
    pub target: TargetKind,
    pub amount: Option<Amount>,
    /// Its effect, in one sentence.
    pub doc: &'static str,
    pub group: Group,
    pub(super) needs: fn(&BenchFault, &Fixture) -> Result<(), &'static str>,
    /// Words of which an error must contain one, in lower case.
    pub(super) words: fn(&BenchFault, &Fixture) -> Vec<String>,
    pub(super) indistinguishable: fn(&BenchFault, &DutFamily, &Fixture) -> Option<Indistinguishable>,
    /// The faults of this kind that a bench is measured with.
    pub(super) listed: fn(&Site<'_>) -> Vec<BenchFault>,
    pub(super) effect: fn(&BenchFault, &Fixture, &mut BenchDamage),
}

/// The part of the bench that a kind is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Nails,
    Switches,
    Expanders,
    Instruments,
    Rails,
    Link,
    Probe,
    Radios,
    Controller,
    People,
}

impl Group {
    pub const ALL: [Group; 10] = [
        Group::Nails,
        Group::Switches,
        Group::Expanders,
        Group::Instruments,
        Group::Rails,
        Group::Link,
        Group::Probe,
        Group::Radios,
        Group::Controller,
        Group::People,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Group::Nails => "nails",
            Group::Switches => "switches",
            Group::Expanders => "expanders and their bus",
            Group::Instruments => "ADC, DAC, monitors",
            Group::Rails => "rails",
            Group::Link => "link",
            Group::Probe => "debug probe",
            Group::Radios => "radios",
            Group::Controller => "controller",
            Group::People => "people",
        }
    }
}

const NS_PER_MS: f64 = 1e6;

const fn amount(placeholder: &'static str, unit: &'static str, usual: f64, least: f64, most: f64) -> Option<Amount> {
    Some(Amount { placeholder, unit, usual, least, most })
}

fn nothing(_: &BenchFault, _: &Fixture) -> Result<(), &'static str> {
    Ok(())
}
fn a_bed(_: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    fixture.bed.as_ref().map(drop).ok_or("a bed of nails")
}
fn a_probe(_: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    fixture.probe.as_ref().map(drop).ok_or("a debug probe")
}
fn a_radio(_: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    fixture.ble.as_ref().map(drop).ok_or("a Bluetooth adapter")
}
fn a_reader(_: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    fixture.nfc.map(drop).ok_or("an NFC reader")
}
fn a_coil(_: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    fixture.nfc.and_then(|nfc| nfc.coil).map(drop).ok_or("an NFC coil")
}
fn a_lid(_: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    let lid = fixture.bed.as_ref().and_then(|bed| bed.controller.lid.as_ref());
    lid.map(drop).ok_or("a lid switch")
}
fn a_mux(fault: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    let joined = |contact: &bench_run::Contact| fixture.nail(*contact).is_some_and(|nail| nail.mux.is_some());
    if fault.nails().iter().all(joined) { Ok(()) } else { Err("a nail on the measure bus") }
}
fn an_expander(fault: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    let kind = fault.chip_index(fixture).and_then(|index| fixture.chips.get(index)).map(|chip| chip.kind);
    if kind == Some(bench_plan::ChipKind::Mcp23017) { Ok(()) } else { Err("a port expander") }
}
fn a_monitor(fault: &BenchFault, fixture: &Fixture) -> Result<(), &'static str> {
    let kind = fault.chip_index(fixture).and_then(|index| fixture.chips.get(index)).map(|chip| chip.kind);
    if matches!(kind, Some(bench_plan::ChipKind::Ina226 { .. })) { Ok(()) } else { Err("a power monitor") }
}

fn never(_: &BenchFault, _: &DutFamily, _: &Fixture) -> Option<Indistinguishable> {
    None
}

/// A nail is in series with the contact: what it does, a joint of the module can do.
fn as_a_joint(fault: &BenchFault, dut: &DutFamily, _: &Fixture) -> Option<Indistinguishable> {
    let labels: Vec<String> = fault.nails().into_iter().map(|contact| dut.label(contact)).collect();
    Some(Indistinguishable {
        because: format!(
            "nail and contact {} are in series, with nothing between them that could be measured by itself",
            labels.join(", ")
        ),
        found_by: "the nail's trend over many modules, the same contact failing on several modules, the golden module",
    })
}

fn as_a_leak(fault: &BenchFault, dut: &DutFamily, _: &Fixture) -> Option<Indistinguishable> {
    let labels: Vec<String> = fault.nails().into_iter().map(|contact| dut.label(contact)).collect();
    Some(Indistinguishable {
        because: format!("a path between the nails of {} is parallel to one on the module", labels.join(" and ")),
        found_by: "`bench doctor` with an empty nest, the same contacts failing on several modules",
    })
}

/// The coil's own resistance is small against that of a nail: joined for ever, it is a short of both NFC contacts.
fn as_a_joined_coil(fault: &BenchFault, _: &DutFamily, fixture: &Fixture) -> Option<Indistinguishable> {
    let coil = fixture.nfc.and_then(|nfc| nfc.coil)?;
    (fault.output(fixture) == Some(coil.switch)).then(|| Indistinguishable {
        because: "the coil's few ohms between both NFC contacts are those of a short on the module".to_owned(),
        found_by: "`bench doctor` with an empty nest",
    })
}

fn as_exchanged_lines(_: &BenchFault, _: &DutFamily, _: &Fixture) -> Option<Indistinguishable> {
    Some(Indistinguishable {
        because: "two exchanged wires and two exchanged lines of the module lead to the same places".to_owned(),
        found_by: "every module failing in the same way, the golden module",
    })
}

fn chip_words(fault: &BenchFault, fixture: &Fixture) -> Vec<String> {
    fault
        .chip_index(fixture)
        .and_then(|index| fixture.chips.get(index))
        .map(|chip| chip.id.to_lowercase())
        .into_iter()
        .collect()
}

/// The rail by its name, or its monitor.
fn rail_words(fault: &BenchFault, fixture: &Fixture) -> Vec<String> {
    let rail = fault.rail_index(fixture).and_then(|index| fixture.rails.get(index));
    rail.map(|rail| format!("rail {}", rail.name.to_lowercase())).into_iter().collect()
}

/// A monitor by its id, or as that of its rail.
fn monitor_words(fault: &BenchFault, fixture: &Fixture) -> Vec<String> {
    let index = fault.chip_index(fixture);
    let rail = fixture.rails.iter().find(|rail| Some(rail.monitor) == index);
    chip_words(fault, fixture)
        .into_iter()
        .chain(rail.map(|rail| format!("rail {}", rail.name.to_lowercase())))
        .collect()
}

fn nail_words(fault: &BenchFault, _: &Fixture) -> Vec<String> {
    fault
        .nails()
        .into_iter()
        .flat_map(|contact| [format!("nail {contact}"), format!("nail of contact {contact}")])
        .collect()
}

fn output_words(fault: &BenchFault, fixture: &Fixture) -> Vec<String> {
    fault.output(fixture).map(|bit| list::words_of(bit, fixture)).unwrap_or_default()
}

fn bank_words(fault: &BenchFault, _: &Fixture) -> Vec<String> {
    match fault.target {
        super::Target::Bank(number) => vec![format!("bank {number}")],
        _ => Vec::new(),
    }
}

fn words(of: &[&str]) -> Vec<String> {
    of.iter().map(|word| (*word).to_owned()).collect()
}

fn bank_bit(fault: &BenchFault, fixture: &Fixture) -> Option<bench_plan::IoBit> {
    let super::Target::Bank(number) = fault.target else { return None };
    fixture.bed.as_ref()?.measure_bus.banks.get(usize::from(number)).copied()
}

/// When something happens that happens once: the first steps have run, and the module has power.
const MIDDLE_NS: u64 = 1_500_000_000;

/// The table. Its order is the order of lists.
pub static BENCH_KINDS: &[BenchFaultKind] = &[
    // ---- nails
    BenchFaultKind {
        name: "nail-worn",
        target: TargetKind::Nail,
        amount: amount("OHMS", "ohms", 20.0, 0.0, 1e9),
        doc: "The nail's tip is worn or dirty: resistance in series with the contact.",
        group: Group::Nails,
        needs: nothing,
        words: nail_words,
        indistinguishable: as_a_joint,
        listed: |site| site.nails_with(&[5.0, 20.0, 80.0]),
        effect: |fault, _, damage| damage.worn.extend(fault.nails().into_iter().map(|nail| (nail, fault.amount()))),
    },
    BenchFaultKind {
        name: "nail-open",
        target: TargetKind::Nail,
        amount: None,
        doc: "The nail touches nothing.",
        group: Group::Nails,
        needs: nothing,
        words: nail_words,
        indistinguishable: as_a_joint,
        listed: |site| site.nails(),
        effect: |fault, _, damage| damage.lifted.extend(fault.nails()),
    },
    BenchFaultKind {
        name: "nail-intermittent",
        target: TargetKind::Nail,
        amount: amount("MS", "milliseconds between two openings", 700.0, 60.0, 1e6),
        doc: "The nail loses its touch for 1 to 50 ms now and then.",
        group: Group::Nails,
        needs: nothing,
        words: nail_words,
        indistinguishable: as_a_joint,
        listed: |site| site.nails(),
        effect: |fault, _, damage| {
            for nail in fault.nails() {
                damage.loose.push((nail, (fault.amount() * NS_PER_MS) as u64));
            }
        },
    },
    BenchFaultKind {
        name: "nail-dirty",
        target: TargetKind::Nails,
        amount: OHMS_50K,
        doc: "Dirt joins two nails: a resistance between them.",
        group: Group::Nails,
        needs: nothing,
        words: nail_words,
        indistinguishable: as_a_leak,
        listed: |site| site.neighbouring_nails(),
        effect: |fault, _, damage| {
            if let [a, b] = fault.nails()[..] {
                damage.dirt.push((a, b, fault.amount().max(0.1)));
            }
        },
    },
    BenchFaultKind {
        name: "nail-exchanged",
        target: TargetKind::Nails,
        amount: None,
        doc: "Two nails are wired to each other's place.",
        group: Group::Nails,
        needs: nothing,
        words: nail_words,
        indistinguishable: as_exchanged_lines,
        listed: |site| site.neighbouring_nails(),
        effect: |fault, _, damage| {
            if let [a, b] = fault.nails()[..] {
                damage.exchanged.push((a, b));
            }
        },
    },
    // ---- switches
    BenchFaultKind {
        name: "mux-dead",
        target: TargetKind::Nail,
        amount: None,
        doc: "The channel of the multiplexer that joins this nail to the measure bus never closes.",
        group: Group::Switches,
        needs: a_mux,
        words: |fault, fixture| nail_words(fault, fixture).into_iter().chain(words(&["multiplexer"])).collect(),
        indistinguishable: never,
        listed: |site| site.nails_on_the_bus(),
        effect: |fault, _, damage| damage.dead_channels.extend(fault.nails()),
    },
    BenchFaultKind {
        name: "bank-stuck",
        target: TargetKind::Bank,
        amount: None,
        doc: "The enable of this bank of multiplexers is stuck: one of its channels is always closed.",
        group: Group::Switches,
        needs: a_bed,
        words: bank_words,
        indistinguishable: never,
        listed: |site| site.banks(),
        effect: |fault, fixture, damage| damage.bit(bank_bit(fault, fixture), BitDamage::Switch(true)),
    },
    BenchFaultKind {
        name: "switch-open",
        target: TargetKind::Output,
        amount: None,
        doc: "The switch or relay behind this output never closes.",
        group: Group::Switches,
        needs: a_bed,
        words: output_words,
        indistinguishable: never,
        listed: |site| site.switches(true),
        effect: |fault, fixture, damage| damage.bit(fault.output(fixture), BitDamage::Switch(false)),
    },
    BenchFaultKind {
        name: "switch-closed",
        target: TargetKind::Output,
        amount: None,
        doc: "The switch or relay behind this output never opens.",
        group: Group::Switches,
        needs: a_bed,
        words: output_words,
        indistinguishable: as_a_joined_coil,
        // A rail that stays on is a kind of its own.
        listed: |site| site.switches(false),
        effect: |fault, fixture, damage| damage.bit(fault.output(fixture), BitDamage::Switch(true)),
    },
    // ---- expanders and the bus
    BenchFaultKind {
        name: "output-high",
        target: TargetKind::Output,
        amount: None,
        doc: "This pin of a port expander is stuck high.",
        group: Group::Expanders,
        needs: a_bed,
        words: output_words,
        indistinguishable: never,
        listed: |site| site.outputs(),
        effect: |fault, fixture, damage| damage.bit(fault.output(fixture), BitDamage::Pin(true)),
    },
    BenchFaultKind {
        name: "output-low",
        target: TargetKind::Output,
        amount: None,
        doc: "This pin of a port expander is stuck low.",
        group: Group::Expanders,
        needs: a_bed,
        words: output_words,
        indistinguishable: never,
        listed: |site| site.outputs(),
        effect: |fault, fixture, damage| damage.bit(fault.output(fixture), BitDamage::Pin(false)),
    },
    BenchFaultKind {
        name: "chip-silent",
        target: TargetKind::Chip,
        amount: None,
        doc: "The chip does not answer.",
        group: Group::Expanders,
        needs: a_bed,
        words: chip_words,
        indistinguishable: never,
        listed: |site| site.chips(|_| true),
        effect: |fault, fixture, damage| damage.chip(fault.chip_index(fixture), |chip| chip.silent = true),
    },
    BenchFaultKind {
        name: "chip-moved",
        target: TargetKind::Chip,
        amount: None,
        doc: "The chip is strapped to another address.",
        group: Group::Expanders,
        needs: a_bed,
        words: chip_words,
        indistinguishable: never,
        listed: |site| site.chips(|_| true),
        effect: |fault, fixture, damage| damage.chip(fault.chip_index(fixture), |chip| chip.moved = true),
    },
    BenchFaultKind {
        name: "chip-nack",
        target: TargetKind::Chip,
        amount: amount("N", "transfers", 50.0, 1.0, 1e6),
        doc: "The chip does not acknowledge one transfer of N, at random.",
        group: Group::Expanders,
        needs: a_bed,
        words: chip_words,
        indistinguishable: never,
        listed: |site| site.chips_with(|_| true, &[50.0, 10.0]),
        effect: |fault, fixture, damage| {
            damage.chip(fault.chip_index(fixture), |chip| chip.nack_one_in = Some(fault.amount()));
        },
    },
    BenchFaultKind {
        name: "expander-reset",
        target: TargetKind::Chip,
        amount: amount("MS", "milliseconds after the start", 1500.0, 0.0, 1e6),
        doc: "A glitch resets the port expander once.",
        group: Group::Expanders,
        needs: an_expander,
        words: chip_words,
        indistinguishable: never,
        listed: |site| site.chips_with(|kind| kind == bench_plan::ChipKind::Mcp23017, &[100.0, 1500.0, 6000.0]),
        effect: |fault, fixture, damage| {
            if let Some(index) = fault.chip_index(fixture) {
                damage.happenings.at((fault.amount() * NS_PER_MS) as u64, Happening::ResetExpander(index));
            }
        },
    },
    BenchFaultKind {
        name: "bus-low",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds", 20.0, 0.1, 1e5),
        doc: "Something holds the I2C bus low once, for this long.",
        group: Group::Expanders,
        needs: a_bed,
        words: |_, _| words(&["i2c"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[1.0, 20.0, 300.0]),
        effect: |fault, _, damage| {
            damage.bus_low = Some((MIDDLE_NS, MIDDLE_NS + (fault.amount() * NS_PER_MS) as u64));
        },
    },
    // ---- instruments
    BenchFaultKind {
        name: "bench-adc-offset",
        target: TargetKind::Nothing,
        amount: amount("MV", "millivolts", 20.0, -3000.0, 3000.0),
        doc: "The fixture's ADC adds a voltage to every reading.",
        group: Group::Instruments,
        needs: a_bed,
        words: |_, _| words(&["adc"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[20.0, -20.0, 5.0]),
        effect: |fault, _, damage| damage.adc.offset_volts += fault.amount() * 1e-3,
    },
    BenchFaultKind {
        name: "bench-adc-gain",
        target: TargetKind::Nothing,
        amount: amount("PERCENT", "percent", 2.0, -50.0, 50.0),
        doc: "The reference of the fixture's ADC is off: every reading is too high or too low.",
        group: Group::Instruments,
        needs: a_bed,
        words: |_, _| words(&["adc"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[2.0, -2.0, 5.0, -5.0]),
        effect: |fault, _, damage| damage.adc.gain_error += fault.amount() / 100.0,
    },
    BenchFaultKind {
        name: "bench-adc-noise",
        target: TargetKind::Nothing,
        amount: amount("MV", "millivolts", 10.0, 0.0, 3000.0),
        doc: "The readings of the fixture's ADC are noisy.",
        group: Group::Instruments,
        needs: a_bed,
        words: |_, _| words(&["adc"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[10.0, 100.0]),
        effect: |fault, _, damage| damage.adc.noise_volts += fault.amount() * 1e-3,
    },
    BenchFaultKind {
        name: "bench-adc-stuck",
        target: TargetKind::Nothing,
        amount: amount("MV", "millivolts", 0.0, -6000.0, 6000.0),
        doc: "The fixture's ADC always reads the same.",
        group: Group::Instruments,
        needs: a_bed,
        words: |_, _| words(&["adc"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[0.0, 1000.0, 3300.0]),
        effect: |fault, _, damage| damage.adc.stuck_volts = Some(fault.amount() * 1e-3),
    },
    BenchFaultKind {
        name: "bench-dac-offset",
        target: TargetKind::Nothing,
        amount: amount("MV", "millivolts", 20.0, -3000.0, 3000.0),
        doc: "The fixture's DAC adds a voltage to its output.",
        group: Group::Instruments,
        needs: a_bed,
        words: |_, _| words(&["dac", "source"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[20.0, -20.0]),
        effect: |fault, _, damage| damage.dac.offset_volts += fault.amount() * 1e-3,
    },
    BenchFaultKind {
        name: "bench-dac-gain",
        target: TargetKind::Nothing,
        amount: amount("PERCENT", "percent", 2.0, -50.0, 50.0),
        doc: "The reference of the fixture's DAC is off: every voltage is too high or too low.",
        group: Group::Instruments,
        needs: a_bed,
        words: |_, _| words(&["dac", "source"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[2.0, -2.0, 5.0, -5.0]),
        effect: |fault, _, damage| damage.dac.gain_error += fault.amount() / 100.0,
    },
    BenchFaultKind {
        name: "bench-dac-noise",
        target: TargetKind::Nothing,
        amount: amount("MV", "millivolts", 10.0, 0.0, 3000.0),
        doc: "The output of the fixture's DAC is noisy.",
        group: Group::Instruments,
        needs: a_bed,
        words: |_, _| words(&["dac", "source"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[10.0, 100.0]),
        effect: |fault, _, damage| damage.dac.noise_volts += fault.amount() * 1e-3,
    },
    BenchFaultKind {
        name: "bench-dac-stuck",
        target: TargetKind::Nothing,
        amount: amount("MV", "millivolts", 0.0, 0.0, 5000.0),
        doc: "The fixture's DAC always gives the same voltage.",
        group: Group::Instruments,
        needs: a_bed,
        words: |_, _| words(&["dac", "source"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[0.0, 200.0]),
        effect: |fault, _, damage| damage.dac.stuck_volts = Some(fault.amount() * 1e-3),
    },
    BenchFaultKind {
        name: "monitor-offset",
        target: TargetKind::Chip,
        amount: amount("MA", "milliamperes", 3.0, -5000.0, 5000.0),
        doc: "The power monitor adds a current to every reading.",
        group: Group::Instruments,
        needs: a_monitor,
        words: monitor_words,
        indistinguishable: never,
        listed: |site| site.chips(is_monitor),
        effect: |fault, fixture, damage| {
            damage.monitor(fault.chip_index(fixture), |monitor| monitor.offset_amps += fault.amount() * 1e-3);
        },
    },
    BenchFaultKind {
        name: "monitor-gain",
        target: TargetKind::Chip,
        amount: amount("PERCENT", "percent", 2.0, -50.0, 50.0),
        doc: "The reference of the power monitor is off: voltages and currents are too high or too low.",
        group: Group::Instruments,
        needs: a_monitor,
        words: monitor_words,
        indistinguishable: never,
        listed: |site| site.chips_with(is_monitor, &[2.0, -10.0]),
        effect: |fault, fixture, damage| {
            damage.monitor(fault.chip_index(fixture), |monitor| {
                monitor.gain_error += fault.amount() / 100.0;
                monitor.bus_gain_error += fault.amount() / 100.0;
            });
        },
    },
    BenchFaultKind {
        name: "monitor-noise",
        target: TargetKind::Chip,
        amount: amount("MA", "milliamperes", 2.0, 0.0, 5000.0),
        doc: "The currents of the power monitor are noisy.",
        group: Group::Instruments,
        needs: a_monitor,
        words: monitor_words,
        indistinguishable: never,
        listed: |site| site.chips(is_monitor),
        effect: |fault, fixture, damage| {
            damage.monitor(fault.chip_index(fixture), |monitor| monitor.noise_amps += fault.amount() * 1e-3);
        },
    },
    BenchFaultKind {
        name: "monitor-stuck",
        target: TargetKind::Chip,
        amount: None,
        doc: "The power monitor shows the result of its first conversion for ever.",
        group: Group::Instruments,
        needs: a_monitor,
        words: monitor_words,
        indistinguishable: never,
        listed: |site| site.chips(is_monitor),
        effect: |fault, fixture, damage| {
            damage.monitor(fault.chip_index(fixture), |monitor| monitor.stuck = true);
        },
    },
    BenchFaultKind {
        name: "monitor-saturated",
        target: TargetKind::Chip,
        amount: None,
        doc: "The power monitor shows its full scale of current.",
        group: Group::Instruments,
        needs: a_monitor,
        words: monitor_words,
        indistinguishable: never,
        listed: |site| site.chips(is_monitor),
        effect: |fault, fixture, damage| {
            damage.monitor(fault.chip_index(fixture), |monitor| monitor.saturated = true);
        },
    },
    BenchFaultKind {
        name: "monitor-shunt",
        target: TargetKind::Chip,
        amount: amount("FACTOR", "times the resistance of the file", 5.0, 0.01, 100.0),
        doc: "Another shunt is fitted than the fixture's file says.",
        group: Group::Instruments,
        needs: a_monitor,
        words: monitor_words,
        indistinguishable: never,
        listed: |site| site.chips_with(is_monitor, &[5.0, 0.2]),
        effect: |fault, fixture, damage| {
            damage.monitor(fault.chip_index(fixture), |monitor| monitor.shunt_factor = Some(fault.amount()));
        },
    },
    // ---- rails
    BenchFaultKind {
        name: "rail-off-voltage",
        target: TargetKind::Rail,
        amount: amount("PERCENT", "percent", -5.0, -60.0, 60.0),
        doc: "The rail's supply gives another voltage.",
        group: Group::Rails,
        needs: nothing,
        words: rail_words,
        indistinguishable: never,
        listed: |site| site.rails_with(&[-5.0, 5.0, -20.0]),
        effect: |fault, fixture, damage| {
            damage.rail(fault.rail_index(fixture), |rail| rail.volts_error += fault.amount() / 100.0);
        },
    },
    BenchFaultKind {
        name: "rail-ripple",
        target: TargetKind::Rail,
        amount: amount("MV", "millivolts, peak to peak", 300.0, 0.0, 3000.0),
        doc: "A ripple of 400 Hz is on the rail.",
        group: Group::Rails,
        needs: nothing,
        words: rail_words,
        indistinguishable: never,
        listed: |site| site.rails(),
        effect: |fault, fixture, damage| {
            let Some(rail) = fault.rail_index(fixture) else { return };
            damage.rail(Some(rail), |rail| rail.ripple_volts = fault.amount() * 1e-3);
            damage.happenings.at(1_250_000, Happening::Ripple { rail, up: true, half_ns: 1_250_000 });
        },
    },
    BenchFaultKind {
        name: "rail-slow",
        target: TargetKind::Rail,
        amount: amount("MS", "milliseconds", 60.0, 0.0, 10_000.0),
        doc: "The rail rises slowly.",
        group: Group::Rails,
        needs: nothing,
        words: rail_words,
        indistinguishable: never,
        listed: |site| site.rails(),
        effect: |fault, fixture, damage| {
            damage.rail(fault.rail_index(fixture), |rail| rail.rise_ns = Some((fault.amount() * NS_PER_MS) as u64));
        },
    },
    BenchFaultKind {
        name: "rail-limit",
        target: TargetKind::Rail,
        amount: amount("MA", "milliamperes", 15.0, 0.1, 1e5),
        doc: "The rail's current limit is set too low.",
        group: Group::Rails,
        needs: nothing,
        words: rail_words,
        indistinguishable: never,
        listed: |site| site.rails_with(&[15.0, 3.0]),
        effect: |fault, fixture, damage| {
            damage.rail(fault.rail_index(fixture), |rail| rail.limit_amps = Some(fault.amount() * 1e-3));
        },
    },
    BenchFaultKind {
        name: "rail-no-discharge",
        target: TargetKind::Rail,
        amount: None,
        doc: "The discharge resistor of the rail is missing.",
        group: Group::Rails,
        needs: nothing,
        words: rail_words,
        indistinguishable: never,
        listed: |site| site.rails(),
        effect: |fault, fixture, damage| damage.rail(fault.rail_index(fixture), |rail| rail.no_discharge = true),
    },
    BenchFaultKind {
        name: "rail-stuck-on",
        target: TargetKind::Rail,
        amount: None,
        doc: "The switch of the rail never opens; the common enable of the supplies works.",
        group: Group::Rails,
        needs: nothing,
        words: rail_words,
        indistinguishable: never,
        listed: |site| site.rails(),
        effect: |fault, fixture, damage| damage.rail(fault.rail_index(fixture), |rail| rail.stuck_on = true),
    },
    // ---- link
    BenchFaultKind {
        name: "link-lost",
        target: TargetKind::Nothing,
        amount: amount("N", "bytes", 300.0, 1.0, 1e6),
        doc: "One byte of N gets lost between controller and module, in both directions.",
        group: Group::Link,
        needs: nothing,
        words: link_words,
        indistinguishable: never,
        listed: |site| site.amounts(&[30.0, 300.0, 3000.0]),
        effect: |fault, _, damage| damage.link.lose_one_in = Some(fault.amount()),
    },
    BenchFaultKind {
        name: "link-doubled",
        target: TargetKind::Nothing,
        amount: amount("N", "bytes", 300.0, 1.0, 1e6),
        doc: "One byte of N arrives twice.",
        group: Group::Link,
        needs: nothing,
        words: link_words,
        indistinguishable: never,
        listed: |site| site.amounts(&[30.0, 300.0, 3000.0]),
        effect: |fault, _, damage| damage.link.double_one_in = Some(fault.amount()),
    },
    BenchFaultKind {
        name: "link-noise",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds between two bursts", 150.0, 0.1, 1e6),
        doc: "Bursts of noise on the line: some bytes arrive that nobody sent.",
        group: Group::Link,
        needs: nothing,
        words: link_words,
        indistinguishable: never,
        listed: |site| site.amounts(&[10.0, 150.0]),
        effect: |fault, _, damage| {
            let every_ns = (fault.amount() * NS_PER_MS) as u64;
            damage.happenings.at(every_ns, Happening::Noise { every_ns });
        },
    },
    BenchFaultKind {
        name: "link-unplugged",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds", 400.0, 1.0, 1e6),
        doc: "The line is interrupted once in the middle of the run, for this long.",
        group: Group::Link,
        needs: nothing,
        words: link_words,
        indistinguishable: never,
        listed: |site| site.amounts(&[30.0, 400.0, 100_000.0]),
        effect: |fault, _, damage| {
            let from = 2 * MIDDLE_NS;
            damage.link.gone = Some((from, from + (fault.amount() * NS_PER_MS) as u64));
        },
    },
    BenchFaultKind {
        name: "link-shared",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds between two writes", 300.0, 1.0, 1e6),
        doc: "A second program writes on the controller's UART.",
        group: Group::Link,
        needs: nothing,
        words: link_words,
        indistinguishable: never,
        listed: |site| site.amounts(&[40.0, 300.0]),
        effect: |fault, _, damage| {
            let every_ns = (fault.amount() * NS_PER_MS) as u64;
            damage.happenings.at(every_ns, Happening::Intruder { every_ns });
        },
    },
    BenchFaultKind {
        name: "link-late",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds", 30.0, 0.0, 10_000.0),
        doc: "The controller gets received bytes this much later.",
        group: Group::Link,
        needs: nothing,
        words: link_words,
        indistinguishable: never,
        listed: |site| site.amounts(&[30.0, 300.0]),
        effect: |fault, _, damage| damage.link.late_ns = (fault.amount() * NS_PER_MS) as u64,
    },
    // ---- probe
    BenchFaultKind {
        name: "probe-unplugged",
        target: TargetKind::Nothing,
        amount: amount("TRANSFERS", "transfers", 4_000.0, 0.0, 1e9),
        doc: "The probe is unplugged after this many transfers.",
        group: Group::Probe,
        needs: a_probe,
        words: |_, _| words(&["probe", "swdio"]),
        indistinguishable: never,
        listed: |site| if site.fixture.probe.is_some() { site.amounts(&[0.0, 100.0, 4_000.0]) } else { Vec::new() },
        effect: |fault, _, damage| damage.probe.lost_after = Some(fault.amount() as u64),
    },
    BenchFaultKind {
        name: "probe-slow",
        target: TargetKind::Nothing,
        amount: amount("FACTOR", "times", 20.0, 1.0, 10_000.0),
        doc: "Each transfer of the probe takes this many times as long.",
        group: Group::Probe,
        needs: a_probe,
        words: |_, _| words(&["probe", "swdio"]),
        indistinguishable: never,
        listed: |site| if site.fixture.probe.is_some() { site.amounts(&[5.0, 20.0]) } else { Vec::new() },
        effect: |fault, _, damage| damage.probe.slower = Some(fault.amount() as u64),
    },
    BenchFaultKind {
        name: "probe-wrong",
        target: TargetKind::Nothing,
        amount: amount("N", "transfers", 1000.0, 1.0, 1e9),
        doc: "One transfer of the probe in N carries a wrong bit.",
        group: Group::Probe,
        needs: a_probe,
        words: |_, _| words(&["probe", "swdio"]),
        indistinguishable: never,
        listed: |site| if site.fixture.probe.is_some() { site.amounts(&[100.0, 1000.0]) } else { Vec::new() },
        effect: |fault, _, damage| damage.probe.wrong_one_in = Some(fault.amount()),
    },
    BenchFaultKind {
        name: "probe-twice",
        target: TargetKind::Nothing,
        amount: None,
        doc: "Two probes with the same serial number are plugged in.",
        group: Group::Probe,
        needs: a_probe,
        words: |_, _| words(&["probe", "swdio"]),
        indistinguishable: never,
        listed: |site| site.once(site.fixture.probe.is_some()),
        effect: |_, _, damage| damage.probe.twice = true,
    },
    // ---- radios
    BenchFaultKind {
        name: "ble-deaf",
        target: TargetKind::Nothing,
        amount: None,
        doc: "The controller's Bluetooth adapter receives nothing.",
        group: Group::Radios,
        needs: a_radio,
        words: ble_words,
        indistinguishable: never,
        listed: |site| site.once(site.fixture.ble.is_some()),
        effect: |_, _, damage| damage.air.deaf = true,
    },
    BenchFaultKind {
        name: "ble-gone",
        target: TargetKind::Nothing,
        amount: None,
        doc: "The controller's Bluetooth adapter is gone: every call fails.",
        group: Group::Radios,
        needs: a_radio,
        words: ble_words,
        indistinguishable: never,
        listed: |site| site.once(site.fixture.ble.is_some()),
        effect: |_, _, damage| damage.air.gone = true,
    },
    BenchFaultKind {
        name: "ble-loss",
        target: TargetKind::Nothing,
        amount: amount("DB", "decibels", 10.0, 0.0, 200.0),
        doc: "The adapter's antenna is displaced: more loss in both directions.",
        group: Group::Radios,
        needs: a_radio,
        words: ble_words,
        indistinguishable: |fault, _, _| {
            (fault.amount() < 30.0).then(|| Indistinguishable {
                because: "the loss between both antennas does not say at which of them it is; no other device of the \
                          room is received through the fixture's shield"
                    .to_owned(),
                found_by: "the golden module, every module failing in the same way",
            })
        },
        listed: |site| if site.fixture.ble.is_some() { site.amounts(&[3.0, 10.0]) } else { Vec::new() },
        effect: |fault, _, damage| damage.air.loss_db += fault.amount(),
    },
    BenchFaultKind {
        name: "ble-busy",
        target: TargetKind::Nothing,
        amount: amount("PERCENT", "percent", 50.0, 0.0, 100.0),
        doc: "Others on the band destroy this share of the packets.",
        group: Group::Radios,
        needs: a_radio,
        words: ble_words,
        indistinguishable: never,
        listed: |site| if site.fixture.ble.is_some() { site.amounts(&[20.0, 50.0, 90.0]) } else { Vec::new() },
        effect: |fault, _, damage| damage.air.busy_share = fault.amount() / 100.0,
    },
    BenchFaultKind {
        name: "nfc-mute",
        target: TargetKind::Nothing,
        amount: None,
        doc: "The NFC reader answers the controller and makes no field.",
        group: Group::Radios,
        needs: a_reader,
        words: nfc_words,
        indistinguishable: nfc_indistinguishable,
        listed: |site| site.once(site.fixture.nfc.is_some()),
        effect: |_, _, damage| damage.air.nfc_field = Some(0.0),
    },
    BenchFaultKind {
        name: "nfc-weak",
        target: TargetKind::Nothing,
        amount: amount("PERCENT", "percent", 50.0, 0.0, 100.0),
        doc: "The field of the NFC reader is weaker: this share is left.",
        group: Group::Radios,
        needs: a_reader,
        words: nfc_words,
        indistinguishable: nfc_indistinguishable,
        listed: |site| site.amounts_if(site.fixture.nfc.is_some(), &[80.0, 50.0]),
        effect: |fault, _, damage| damage.air.nfc_field = Some(fault.amount() / 100.0),
    },
    BenchFaultKind {
        name: "nfc-coil-open",
        target: TargetKind::Nothing,
        amount: None,
        doc: "The coil of the fixture that reaches the module's NFC contacts is broken.",
        group: Group::Radios,
        needs: a_coil,
        words: nfc_words,
        indistinguishable: never,
        listed: |site| site.once(site.fixture.nfc.and_then(|nfc| nfc.coil).is_some()),
        effect: |_, _, damage| damage.air.nfc_coil_open = true,
    },
    // ---- controller
    BenchFaultKind {
        name: "stalls",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds", 100.0, 0.0, 1e6),
        doc: "The controller stops three times in a run, each time for this long.",
        group: Group::Controller,
        needs: nothing,
        words: |_, _| words(&["late", "controller", "watchdog"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[20.0, 100.0, 400.0, 2000.0]),
        effect: |fault, _, damage| {
            let ns = (fault.amount() * NS_PER_MS) as u64;
            for at in [700_000_000, 2_000_000_000, 5_000_000_000] {
                damage.happenings.at(at, Happening::Stall { ns });
            }
        },
    },
    BenchFaultKind {
        name: "disk-slow",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds a write", 30.0, 0.0, 10_000.0),
        doc: "Each write of the journal takes this long.",
        group: Group::Controller,
        needs: nothing,
        words: disk_words,
        indistinguishable: never,
        listed: |site| site.amounts(&[30.0, 1000.0, 8000.0]),
        effect: |fault, _, damage| damage.controller.disk = DiskDamage::Slow(fault.amount() * 1e-3),
    },
    BenchFaultKind {
        name: "disk-full",
        target: TargetKind::Nothing,
        amount: amount("BYTES", "bytes", 20_000.0, 0.0, 1e12),
        doc: "The disk of the journal is full after this many bytes.",
        group: Group::Controller,
        needs: nothing,
        words: disk_words,
        indistinguishable: never,
        listed: |site| site.amounts(&[0.0, 3_000.0, 20_000.0]),
        effect: |fault, _, damage| damage.controller.disk = DiskDamage::Full(fault.amount() as u64),
    },
    BenchFaultKind {
        name: "no-handles",
        target: TargetKind::Nothing,
        amount: None,
        doc: "The controller has no file handle left: what was written cannot be opened to be read back.",
        group: Group::Controller,
        needs: nothing,
        words: disk_words,
        indistinguishable: never,
        listed: |site| site.once(true),
        effect: |_, _, damage| damage.controller.disk = DiskDamage::NoHandles,
    },
    BenchFaultKind {
        name: "clock-step",
        target: TargetKind::Nothing,
        amount: amount("SECONDS", "seconds", 3600.0, -4e9, 4e9),
        doc: "The controller's clock is wrong by this much when a run begins.",
        group: Group::Controller,
        needs: nothing,
        words: |_, _| words(&["clock"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[3600.0, -3600.0, -1.8e9]),
        effect: |fault, _, damage| damage.controller.clock_step_s = Some(fault.amount()),
    },
    // ---- people
    BenchFaultKind {
        name: "lid-bounces",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds", 4.0, 0.1, 1e5),
        doc: "The switch of the lid opens for this long, just after the start.",
        group: Group::People,
        needs: a_lid,
        words: |_, _| words(&["lid"]),
        indistinguishable: never,
        listed: |site| site.amounts_if(list::has_lid(site.fixture), &[1.0, 4.0, 40.0]),
        effect: |fault, _, damage| {
            damage.happenings.at(30_000_000, Happening::Lid { closed: false });
            let ns = (fault.amount() * NS_PER_MS) as u64;
            damage.happenings.at(30_000_000 + ns, Happening::Lid { closed: true });
        },
    },
    BenchFaultKind {
        name: "lid-opened",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds after the start", 2000.0, 0.0, 1e6),
        doc: "Somebody opens the lid in the middle of a run.",
        group: Group::People,
        needs: a_lid,
        words: |_, _| words(&["lid"]),
        indistinguishable: never,
        listed: |site| site.amounts_if(list::has_lid(site.fixture), &[100.0, 2000.0]),
        effect: |fault, _, damage| {
            damage.happenings.at((fault.amount() * NS_PER_MS) as u64, Happening::Lid { closed: false });
        },
    },
    BenchFaultKind {
        name: "module-removed",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds after the start", 2000.0, 0.0, 1e6),
        doc: "The module loses touch with all nails in the middle of a run, under a lid that seems closed.",
        group: Group::People,
        needs: a_bed,
        words: |_, _| words(&["nest", "module is not", "seated", "lost touch"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[300.0, 2000.0, 6000.0]),
        effect: |fault, _, damage| {
            damage.happenings.at((fault.amount() * NS_PER_MS) as u64, Happening::Module { seated: false });
        },
    },
    BenchFaultKind {
        name: "module-late",
        target: TargetKind::Nothing,
        amount: amount("MS", "milliseconds after the start", 300.0, 0.0, 1e6),
        doc: "The module is pressed into the nest only after the start.",
        group: Group::People,
        needs: a_bed,
        words: |_, _| words(&["nest", "module is not", "seated", "lost touch"]),
        indistinguishable: never,
        listed: |site| site.amounts(&[30.0, 300.0]),
        effect: |fault, _, damage| {
            damage.happenings.at(0, Happening::Module { seated: false });
            damage.happenings.at((fault.amount() * NS_PER_MS) as u64, Happening::Module { seated: true });
        },
    },
    BenchFaultKind {
        name: "labels-exchanged",
        target: TargetKind::Nothing,
        amount: None,
        doc: "The scanned label belongs to another good module of the same model.",
        group: Group::People,
        needs: nothing,
        words: |_, _| words(&["label", "serial"]),
        indistinguishable: |_, _, _| {
            Some(Indistinguishable {
                because: "another module under the scanner and a wrong label on the module are the same mismatch"
                    .to_owned(),
                found_by: "scanning the label of the module in the nest again",
            })
        },
        listed: |site| site.once(true),
        effect: |_, _, damage| damage.other_module = true,
    },
    BenchFaultKind {
        name: "wrong-button",
        target: TargetKind::Nothing,
        amount: None,
        doc: "The button of another nest was pressed: this nest is empty.",
        group: Group::People,
        needs: a_bed,
        words: |_, _| words(&["nest", "module is not", "seated"]),
        indistinguishable: never,
        listed: |site| site.once(true),
        effect: |_, _, damage| damage.nest_is_empty = true,
    },
];

const OHMS_50K: Option<Amount> = amount("OHMS", "ohms", 50e3, 0.1, 1e9);

fn is_monitor(kind: bench_plan::ChipKind) -> bool {
    matches!(kind, bench_plan::ChipKind::Ina226 { .. })
}

fn link_words(_: &BenchFault, _: &Fixture) -> Vec<String> {
    words(&["link", "uart", "serial port", "the line"])
}
fn ble_words(_: &BenchFault, _: &Fixture) -> Vec<String> {
    words(&["bluetooth", "adapter"])
}
fn nfc_words(_: &BenchFault, _: &Fixture) -> Vec<String> {
    words(&["nfc", "reader", "coil"])
}
fn disk_words(_: &BenchFault, _: &Fixture) -> Vec<String> {
    words(&["disk", "journal", "record", "space"])
}

fn nfc_indistinguishable(_: &BenchFault, _: &DutFamily, fixture: &Fixture) -> Option<Indistinguishable> {
    fixture.nfc.map(|_| Indistinguishable {
        because: "only a tag sees the reader's field, and the only tag is the module's".to_owned(),
        found_by: "the golden module, every module failing in the same way",
    })
}
