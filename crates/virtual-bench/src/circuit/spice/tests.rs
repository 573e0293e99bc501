//! Another solver for the same network: what ngspice finds must be what this one found.

use super::*;
use crate::chips::{BitState, DacOutput};
use crate::circuit::Supply;
use crate::fault::{Defects, Fault, Joint, Load, Terminal, all_faults};
use crate::modem::ModemLoad;
use crate::peers::PinOutputs;
use crate::random::{Purpose, Random};
use crate::testing::{boron, dut, fixture};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use virtual_nrf52840::{Driven, PortState, Pull, Strength};

/// Names a folder in which skipped tests leave a file with the reason.
const SKIPPED: &str = "BENCH_SKIPPED";
/// States for each fixture and family, about.
const STATES: usize = 170;
/// Processes of the other solver at a time.
const PROCESSES: usize = 2;
/// Agreement: this, or this share of the voltage.
const VOLTS: f64 = 1e-3;
const SHARE: f64 = 1e-3;
/// A part this near to its knee may be seen on either side of it.
const KNEE_VOLTS: f64 = 1e-5;

/// One state of one network.
struct State {
    name: String,
    circuit: Circuit,
}

fn one_of<T: Copy>(random: &mut Random, choices: &[T]) -> T {
    choices[(random.bits() % choices.len() as u64) as usize]
}

fn flip(random: &mut Random) -> bool {
    random.bits().is_multiple_of(2)
}

/// Drives the fixture and the chip as no plan would, so that diodes conduct and supplies limit.
fn disturb(circuit: &mut Circuit, random: &mut Random) {
    let mut commands = circuit.commands().clone();
    for nail in &mut commands.nails {
        *nail = match nail {
            NailCommand::Io(_) => {
                let states = [BitState::High, BitState::Low, BitState::PullUp, BitState::Float, BitState::Float];
                NailCommand::Io(one_of(random, &states))
            }
            NailCommand::Feed(_) => NailCommand::Feed(!random.bits().is_multiple_of(5)),
        };
    }
    for rail in &mut commands.rails {
        rail.on_since_ns = (!random.bits().is_multiple_of(4)).then_some(0);
        rail.discharge = random.bits().is_multiple_of(4);
    }
    commands.mux_channel = (random.bits() % 16) as u8;
    commands.mux_banks = one_of(random, &[0, 1, 2, 4, 8, 16, 6]);
    commands.source = flip(random).then(|| DacOutput { volts: random.between(0.0, 3.3), ohms: 1.0 });
    commands.loopback = flip(random);
    commands.peers.iter_mut().for_each(|joined| *joined = flip(random));
    (commands.usb, commands.nfc) = (flip(random), flip(random));
    let peers = commands.peers.len();
    circuit.command(commands, 0);
    for peer in 0..peers {
        let outputs = PinOutputs { driven: random.bits() as u8, high: random.bits() as u8 };
        circuit.set_peer_outputs(peer, outputs);
    }
    circuit.set_usb_pull_up(flip(random));
    circuit.set_modem(ModemLoad {
        amps: one_of(random, &[0.0, 0.02, 0.4]),
        sim_on: flip(random),
        usb_attached: flip(random),
        ri_high: one_of(random, &[None, Some(false), Some(true)]),
    });
    // Some are looked at while their capacitors still move.
    let end = one_of(random, &[300_000, 3_000_000, 500_000_000]);
    pass(circuit, end);
    let mut ports = Ports { powered: circuit.logic_volts() > POWER_ON_VOLTS, ..Ports::default() };
    for state in &mut ports.states {
        let strength = one_of(random, &[Strength::Standard, Strength::High]);
        let level = flip(random);
        *state = PortState {
            driven: flip(random).then_some(Driven { level, strength }),
            pull: one_of(random, &[Pull::None, Pull::Up, Pull::Down]),
            input_connected: true,
            taken_by_peripheral: false,
        };
    }
    circuit.set_ports(&ports);
    circuit.settle(end);
    pass(circuit, end + 200_000);
}

fn pass(circuit: &mut Circuit, end_ns: u64) {
    while let Some(at) = circuit.next_step_ns()
        && at <= end_ns
    {
        circuit.step(at);
    }
    circuit.catch_up(end_ns);
}

/// States of one kind of module: good ones, and with every kind of fault.
fn states(fixture: &Fixture, family: &DutFamily, random: &mut Random) -> Vec<State> {
    let mut states = Vec::new();
    for seed in 1..=4 {
        let mut circuit = Circuit::new(fixture, family, seed, &Defects::default());
        states.push(State { name: format!("{} {seed}, all off", family.name), circuit });
        circuit = Circuit::new(fixture, family, seed, &Defects::default());
        circuit.power_up();
        states.push(State { name: format!("{} {seed}, all on", family.name), circuit });
    }
    let faults = all_faults(family, fixture, &[], None);
    // What takes supplies to their limits.
    let heavy = |fault: &&Fault| {
        let defects = Defects::of(std::slice::from_ref(*fault));
        let is_rail = |joint: &Joint| {
            matches!(
                (&joint.a, &joint.b),
                (Terminal::Rail(_), Terminal::Ground) | (Terminal::Ground, Terminal::Rail(_))
            )
        };
        defects.loads.iter().any(|load| matches!(load, Load::Rail(..))) || defects.joints.iter().any(is_rail)
    };
    for fault in faults.iter().filter(heavy) {
        for seed in 5..=7 {
            let mut circuit = Circuit::new(fixture, family, seed, &Defects::of(std::slice::from_ref(fault)));
            circuit.power_up();
            states.push(State { name: format!("{} {seed}, all on, {fault}", family.name), circuit });
        }
    }
    for fault in faults.iter().step_by((faults.len() / STATES).max(1)) {
        let seed = 1 + random.bits() % 1000;
        // Of a good module as well, now and then: its tolerances are others than before.
        let faults: Vec<Fault> = if random.bits().is_multiple_of(8) { vec![] } else { vec![fault.clone()] };
        let name = format!("{} {seed}, {}", family.name, faults.first().map_or("good".into(), ToString::to_string));
        let mut circuit = Circuit::new(fixture, family, seed, &Defects::of(&faults));
        disturb(&mut circuit, random);
        states.push(State { name, circuit });
    }
    states
}

/// What the other solver found: by deck, the nodes and their voltages.
fn other(folder: &Path, decks: &[(usize, String)]) -> Vec<(usize, Vec<(String, f64)>)> {
    let mut script = String::from("* all decks, one after the other\n.control\nset numdgt=12\n");
    for (n, deck) in decks {
        let file = folder.join(format!("{n}.cir"));
        std::fs::write(&file, deck).unwrap();
        script.push_str(&format!("source {}\nop\necho DECK {n}\nprint all\nremcirc\n", file.display()));
    }
    script.push_str("quit\n.endc\n.end\n");
    let file = folder.join(format!("all-{}.cir", decks[0].0));
    std::fs::write(&file, script).unwrap();
    let output = Command::new("ngspice").arg("-b").arg(&file).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut solutions: Vec<(usize, Vec<(String, f64)>)> = Vec::new();
    for line in text.lines() {
        if let Some(n) = line.strip_prefix("DECK ") {
            solutions.push((n.trim().parse().unwrap(), Vec::new()));
        } else if let (Some((name, value)), Some((_, nodes))) = (line.split_once(" = "), solutions.last_mut())
            && let Ok(value) = value.trim().parse()
        {
            nodes.push((name.trim().to_owned(), value));
        }
    }
    solutions
}

/// The deck with the voltages of this solver as first guess.
fn with_guesses(deck: &str, circuit: &Circuit) -> String {
    let names = readable(&circuit.wiring.names);
    let nodes = circuit.wiring.netlist.nodes().zip(&names);
    let guesses: String =
        nodes.map(|(node, name)| format!(".nodeset v({name})={:e}\n", circuit.volts.at(node))).collect();
    deck.replace("\n.op\n", &format!("\n{guesses}.op\n"))
}

/// Whether every one-way part is on the right side of its knee at these voltages.
fn contradiction(circuit: &Circuit, at: impl Fn(Node) -> f64) -> Option<String> {
    let (wiring, conducting) = (&circuit.wiring, &circuit.conducting);
    let ground = at(wiring.ground);
    let logic = at(wiring.nets[wiring.logic].node) - ground - POWER_ON_VOLTS;
    let diodes = wiring.diodes.iter().zip(&conducting.diodes);
    let overloads = wiring.overloads.iter().zip(&conducting.overloads);
    let above = diodes
        .map(|(diode, on)| (diode.what, at(diode.anode) - at(diode.cathode) - diode.volts, *on))
        .chain(overloads.map(|(part, on)| ("overload", at(part.node) - ground - OVERLOAD_KNEE_VOLTS, *on)))
        .chain([("running module", logic, conducting.logic)]);
    for (what, above, on) in above {
        if if on { above < -KNEE_VOLTS } else { above > KNEE_VOLTS } {
            return Some(format!("{what}: conducts is {on}, {above} V above its knee"));
        }
    }
    for (n, rail) in wiring.rails.iter().enumerate() {
        let Some(volts) = circuit.supply_volts(n) else { continue };
        // As a voltage at its own resistance.
        let (drop, most) = (volts - at(rail.node), rail.limit_amps * rail.series_ohms);
        let right = match conducting.supplies[n] {
            Supply::Regulates => (-KNEE_VOLTS..most + KNEE_VOLTS).contains(&drop),
            Supply::Limits => drop > most - KNEE_VOLTS,
            Supply::Blocks => drop < KNEE_VOLTS,
        };
        if !right {
            return Some(format!("supply {n}: {:?}, {drop} V across its resistance", conducting.supplies[n]));
        }
    }
    if let Some(regulator) = &wiring.regulator
        && !regulator.agrees(at, wiring, conducting.regulator, KNEE_VOLTS)
    {
        return Some(format!("converter of 3V3: {:?}", conducting.regulator));
    }
    None
}

fn is_there() -> bool {
    let quiet = Command::new("ngspice").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn ngspice_finds_the_same_voltages() {
    // Not by println, whose output is hidden for a passing test.
    let mut out = std::io::stderr();
    if !is_there() {
        let reason = "needs ngspice (`apt-get install ngspice`, or `cargo xtask setup`)";
        writeln!(out, "ngspice ... SKIPPED: {reason}").unwrap();
        if let Some(folder) = std::env::var_os(SKIPPED) {
            std::fs::write(Path::new(&folder).join("ngspice"), format!("{reason}\n")).unwrap();
        }
        return;
    }
    let mut random = Random::new(11, Purpose::Noise);
    let (b_series, (boron, boron_fixture)) = (fixture(), boron());
    let mut all = states(&b_series, &dut("b4xx"), &mut random);
    all.extend(states(&b_series, &dut("b5xx"), &mut random));
    all.extend(states(&boron_fixture, &boron, &mut random));
    let decks: Vec<(usize, String)> =
        all.iter_mut().enumerate().map(|(n, state)| (n, state.circuit.spice(&state.name))).collect();

    let folder = Folder(std::env::temp_dir().join(format!("bench-ngspice-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let mut solutions: Vec<(usize, Vec<(String, f64)>)> = std::thread::scope(|scope| {
        let parts = decks.chunks(decks.len().div_ceil(PROCESSES));
        let running: Vec<_> = parts.map(|part| scope.spawn(|| other(&folder.0, part))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });

    assert_eq!(solutions.len(), all.len());

    // Current limits throw ngspice to and fro in a few wild states. There it begins at this solver's voltages: it stays
    // there only if they are a solution.
    let lost: Vec<usize> = solutions.iter().filter(|(_, nodes)| nodes.is_empty()).map(|(n, _)| *n).collect();
    let led: Vec<(usize, String)> = lost.iter().map(|n| (*n, with_guesses(&decks[*n].1, &all[*n].circuit))).collect();
    if !led.is_empty() {
        solutions.retain(|(_, nodes)| !nodes.is_empty());
        solutions.extend(other(&folder.0, &led));
    }
    assert!(led.len() * 50 < all.len(), "ngspice found no solution of its own for {lost:?}");

    let (mut worst, mut compared, mut wrong) = ((0.0, String::new()), 0, Vec::new());
    let (mut diodes, mut limits, mut transients) = (0, 0, 0);
    for (n, nodes) in solutions {
        let State { name, circuit } = &all[n];
        let names = readable(&circuit.wiring.names);
        let theirs: Vec<Option<f64>> =
            names.iter().map(|name| nodes.iter().find(|(node, _)| node == name).map(|(_, volts)| *volts)).collect();
        for (node, (name_of_node, volts)) in circuit.wiring.netlist.nodes().zip(names.iter().zip(&theirs)) {
            let mine = circuit.volts.at(node);
            let Some(volts) = volts else {
                wrong.push(format!("{name}: no voltage of {name_of_node}"));
                break;
            };
            let difference = (mine - volts).abs();
            compared += 1;
            if difference > worst.0 {
                worst = (difference, format!("{name}, {name_of_node}"));
            }
            if difference > VOLTS.max(SHARE * volts.abs()) {
                wrong.push(format!("{name}: {name_of_node} at {mine} V, by ngspice {volts} V"));
            }
        }
        let at = |node: Node| theirs[node.index()].unwrap_or(f64::NAN);
        wrong.extend(contradiction(circuit, at).map(|text| format!("{name}: {text}")));
        wrong.extend(circuit.doubt().map(|doubt| format!("{name}: {doubt}")));
        diodes += circuit.conducting.diodes.iter().filter(|on| **on).count();
        limits += circuit.conducting.supplies.iter().filter(|supply| **supply == Supply::Limits).count();
        transients += usize::from(circuit.transient.is_some());
    }
    writeln!(
        out,
        "ngspice: {} states, {compared} voltages, {diodes} diodes conducting, {limits} supplies in their limit, \
         {transients} states with moving capacitors, {} begun at this solver's voltages; worst difference {:.3e} V ({})",
        all.len(),
        led.len(),
        worst.0,
        worst.1
    )
    .unwrap();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), compared, wrong.join("\n"));
    assert!(all.len() > 400 && diodes > 1000 && limits > 20 && transients > 50, "too few of what matters");
}
