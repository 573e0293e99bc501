use super::*;
use crate::fault::{Defects, Fault};
use crate::testing::{dut, fixture};
use virtual_nrf52840::{Driven, Pull, Strength};

const MS: u64 = 1_000_000;

struct Bench {
    circuit: Circuit,
    commands: Commands,
    ports: Ports,
    contacts: Vec<u8>,
    now_ns: u64,
    family: bench_plan::DutFamily,
}

fn bench(faults: &[&str]) -> Bench {
    let (fixture, family) = (fixture(), dut("b4xx"));
    let faults: Vec<Fault> = faults.iter().map(|text| text.parse().unwrap()).collect();
    faults.iter().for_each(|fault| fault.check(&family, &fixture).unwrap());
    let circuit = Circuit::new(&fixture, &family, 7, &Defects::of(&faults));
    let mut commands = circuit.commands().clone();
    // Default state of a bench: link off the nails, all feeds closed.
    commands.loopback = true;
    for nail in &mut commands.nails {
        if let NailCommand::Feed(closed) = nail {
            *closed = true;
        }
    }
    let contacts = fixture.nails.keys().map(|contact| contact.0).collect();
    let mut bench = Bench { circuit, commands, ports: Ports::default(), contacts, now_ns: 0, family };
    bench.apply();
    bench
}

impl Bench {
    fn apply(&mut self) {
        self.circuit.command(self.commands.clone(), self.now_ns);
    }
    fn pass(&mut self, ns: u64) {
        let end = self.now_ns + ns;
        while let Some(at) = self.circuit.next_step_ns()
            && at <= end
        {
            self.now_ns = at;
            self.circuit.step(at);
        }
        self.now_ns = end;
    }
    fn place(&self, contact: u8) -> usize {
        self.contacts.iter().position(|other| *other == contact).unwrap()
    }
    fn nail(&mut self, contact: u8, state: BitState) {
        let place = self.place(contact);
        self.commands.nails[place] = NailCommand::Io(state);
        self.apply();
    }
    fn feed(&mut self, contact: u8, closed: bool) {
        let place = self.place(contact);
        self.commands.nails[place] = NailCommand::Feed(closed);
        self.apply();
    }
    /// Index of a rail in the order of the file: 3V3, VCC, VUSB, VBUS_MODEM.
    fn rail(&mut self, rail: usize, on: bool) {
        self.commands.rails[rail].on_since_ns = on.then_some(self.now_ns);
        self.apply();
    }
    fn powered(mut self) -> Self {
        self.rail(0, true);
        self.pass(50 * MS);
        self.ports.powered = true;
        self.circuit.set_ports(&self.ports);
        self
    }
    fn port(&mut self, contact: u8, driven: Option<bool>, pull: Pull) {
        let port = usize::from(self.family.contact(Contact(contact)).unwrap().port.unwrap().index());
        let driven = driven.map(|level| Driven { level, strength: Strength::Standard });
        self.ports.states[port] = PortState { driven, pull, input_connected: true, taken_by_peripheral: false };
        self.circuit.set_ports(&self.ports);
    }
    fn level(&mut self, contact: u8) -> bool {
        let port = self.family.contact(Contact(contact)).unwrap().port.unwrap().index();
        self.circuit.port_levels() >> port & 1 == 1
    }
    fn volts(&mut self, contact: u8) -> f64 {
        self.circuit.nail_volts(Contact(contact)).unwrap()
    }
    /// Bus volts and amperes with the source at this voltage joined to a contact.
    fn push(&mut self, contact: u8, volts: f64) -> (f64, f64) {
        let nail = &self.circuit.wiring.nails[self.place(contact)];
        let (bank, channel, ..) = nail.mux.unwrap();
        (self.commands.mux_banks, self.commands.mux_channel) = (1 << bank, channel);
        self.commands.source = Some(DacOutput { volts, ohms: 1.0 });
        self.apply();
        self.pass(1000 * MS);
        let bus = self.circuit.bus_volts();
        let amps = (volts - bus) / (self.circuit.wiring.source_series_ohms + 1.0);
        (self.commands.mux_banks, self.commands.source) = (0, None);
        self.apply();
        (bus, amps)
    }
    fn discharge(&mut self, on: bool) {
        self.commands.rails.iter_mut().for_each(|rail| rail.discharge = on);
        self.apply();
    }
    /// Reading of an ohm-meter with 0.2 V behind 1 kohm.
    fn ohms(&mut self, contact: u8) -> f64 {
        let nail = &self.circuit.wiring.nails[self.place(contact)];
        let (bank, channel, ..) = nail.mux.unwrap();
        (self.commands.mux_banks, self.commands.mux_channel) = (1 << bank, channel);
        self.commands.source = Some(DacOutput { volts: 0.2, ohms: 1.0 });
        self.apply();
        self.pass(5000 * MS);
        let volts = self.circuit.bus_volts();
        (self.commands.mux_banks, self.commands.source) = (0, None);
        self.apply();
        let series = self.circuit.wiring.source_series_ohms + 1.0;
        volts * series / (0.2 - volts)
    }
}

#[track_caller]
fn near(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} is not {expected} within {tolerance}");
}

#[test]
fn resistances_of_a_good_module_without_power() {
    let mut bench = bench(&[]);
    // (contact, lowest, highest ohms)
    for (contact, low, high) in [
        (10, 125e3, 150e3), // 3V3
        (2, 470e3, 730e3),  // VCC
        (16, 85e3, 115e3),  // VUSB
        (74, 85e3, 115e3),  // modem VBUS
        (23, 5e6, 1e9),     // A0
        (14, 1e6, 1e13),    // NC
        (73, 4.5e3, 4.9e3), // SIM_DATA through its pull-up to SIM_VCC
        (1, 0.0, 4.0),      // GND
    ] {
        let ohms = bench.ohms(contact);
        assert!((low..high).contains(&ohms), "contact {contact}: {ohms}");
    }
}

#[test]
fn supplies_rise_carry_the_load_and_fall() {
    let mut bench = bench(&[]);
    bench.discharge(true);
    bench.pass(300 * MS);
    bench.commands.rails[0].discharge = false;
    bench.rail(0, true);
    bench.pass(MS / 2);
    near(bench.circuit.rail_reading(0).0, 1.65, 0.15);
    bench.pass(20 * MS);
    let (volts, amps) = bench.circuit.rail_reading(0);
    near(volts, 3.3, 0.02);
    near(amps, 6.3e-3 + 24e-6, 0.7e-3);
    assert!(bench.circuit.next_step_ns().is_none(), "settled");
    // Off through the discharge resistor of 100 ohm: 22 uF make 2.2 ms.
    bench.rail(0, false);
    bench.commands.rails[0].discharge = true;
    bench.apply();
    bench.pass(2_200_000);
    near(bench.circuit.logic_volts(), 3.3 * (-1.0f64).exp(), 0.35);
    bench.pass(30 * MS);
    near(bench.circuit.logic_volts(), 0.0, 0.01);
}

#[test]
fn an_exponential_is_one() {
    // 3V3 without discharge: capacitor and load alone; compare with the closed form.
    let mut bench = bench(&[]);
    bench.rail(0, true);
    bench.pass(20 * MS);
    let (farads, ohms) = (bench.circuit.wiring.parts.logic_farads, bench.circuit.wiring.parts.logic_load_ohms);
    bench.circuit.wiring.logic_amps = 1e-12;
    let start = bench.circuit.logic_volts();
    bench.rail(0, false);
    for ms in [10u64, 40, 100] {
        let now = bench.now_ns;
        bench.pass(20 * MS + ms * MS - now);
        near(bench.circuit.logic_volts(), start * (-(ms as f64) * 1e-3 / (farads * ohms)).exp(), 0.05);
    }
}

#[test]
fn drivers_and_pulls_against_a_nail() {
    let mut bench = bench(&[]).powered();
    bench.port(23, Some(true), Pull::None);
    bench.nail(23, BitState::Low);
    // 170 ohm up against 1 kohm down.
    near(bench.volts(23), 3.3 * 1025.0 / 1195.0, 0.08);
    assert!(bench.level(23));
    bench.port(23, None, Pull::Up);
    near(bench.volts(23), 3.3 * 1.025 / 14.2, 0.05);
    assert!(!bench.level(23));
    bench.nail(23, BitState::Float);
    near(bench.volts(23), 3.3, 0.02);
    bench.port(23, None, Pull::Down);
    near(bench.volts(23), 0.0, 0.01);
    // The expander's 100 kohm against the port's 13 kohm.
    bench.nail(23, BitState::PullUp);
    near(bench.volts(23), 3.3 * 13.0 / 114.0, 0.06);
}

#[test]
fn faults_change_what_they_name() {
    let mut open = bench(&["open:23"]).powered();
    open.port(23, Some(true), Pull::None);
    assert!(open.volts(23) < 0.1 && open.level(23));

    let mut short = bench(&["short:36-38@100"]).powered();
    short.port(36, Some(true), Pull::None);
    short.port(38, None, Pull::Down);
    assert!(short.level(38));
    near(short.volts(38), 3.3, 0.15);

    let mut to_ground = bench(&["short:23-gnd"]);
    assert!(to_ground.ohms(23) < 4.0);
    let mut to_rail = bench(&["short:23-3v3@10"]);
    let ohms = to_rail.ohms(23);
    assert!((125e3..150e3).contains(&ohms), "{ohms}");

    let mut stuck = bench(&["stuck-high:23", "stuck-low:33"]).powered();
    stuck.nail(23, BitState::Low);
    stuck.nail(33, BitState::High);
    assert!(stuck.level(23) && !stuck.level(33));
    stuck.port(23, Some(false), Pull::None);
    assert!(stuck.level(23), "stronger than the port's own driver");

    let mut lost = bench(&["lost-pull:23"]).powered();
    lost.port(23, None, Pull::Up);
    assert!(lost.volts(23) < 0.1);

    let mut empty = bench(&["empty-nest"]);
    assert!(empty.ohms(10) > 1e6);
}

/// Supply, ground and NC contacts, and SIM_VCC, which the modem holds at ground: no diode to be seen.
const WITHOUT_DIODES: [u8; 27] =
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 18, 21, 39, 49, 51, 53, 55, 56, 57, 58, 59, 60, 67, 75];
/// Diode from ground only; their nails cannot drive.
const SUPPRESSED: [u8; 2] = [16, 74];

#[test]
fn every_pad_conducts_into_its_supply_and_from_ground() {
    let mut bench = bench(&[]);
    let signals: Vec<u8> = bench
        .contacts
        .iter()
        .copied()
        .filter(|contact| !WITHOUT_DIODES.contains(contact) && !SUPPRESSED.contains(contact))
        .collect();
    assert_eq!(signals.len(), 67 - 29);
    bench.discharge(true);
    for &contact in &signals {
        let (volts, amps) = bench.push(contact, 2.3);
        // Through the diode, its 50 ohm, and the discharge of its supply (SIM lines: through the modem's 10 ohm).
        let held = if [69, 71, 73].contains(&contact) { 10.0 } else { 100.0 };
        let over_diode = volts - amps * held;
        assert!((0.55..0.80).contains(&over_diode), "contact {contact}: {over_diode} V at {amps} A");
    }
    // The ground lifted through one contact, everything floating but the one pad.
    bench.discharge(false);
    for contact in [1, 3, 5, 7, 9, 15, 21, 39, 49, 56] {
        bench.feed(contact, false);
    }
    let (volts, amps) = bench.push(1, 2.7);
    assert!(amps < 20e-6, "nothing to flow to: {volts} V, {amps} A");
    for &contact in &signals {
        bench.nail(contact, BitState::Low);
        let (volts, amps) = bench.push(1, 2.7);
        bench.nail(contact, BitState::Float);
        let over_diode = volts - amps * 1025.0;
        assert!((0.55..0.80).contains(&over_diode), "contact {contact}: {over_diode} V at {amps} A");
    }
    for (contact, rail) in SUPPRESSED.into_iter().zip([2, 3]) {
        bench.commands.rails[rail].discharge = true;
        let (volts, amps) = bench.push(1, 2.7);
        bench.commands.rails[rail].discharge = false;
        let over_diode = volts - amps * 100.0;
        assert!((0.55..0.80).contains(&over_diode), "contact {contact}: {over_diode} V at {amps} A");
    }
}

#[test]
fn bad_joints_and_damaged_pads() {
    // (fault, contact, lowest, highest volts at 2.3 V behind 1 kohm with the supplies held at 0 V)
    for (fault, contact, low, high) in [
        ("cold:11", 11, 0.95, 1.2),
        ("cold:11@1000", 11, 1.4, 1.6),
        ("open:69", 69, 2.29, 2.31),
        ("swap:11-13", 11, 0.7, 0.95),
        // The exchanged neighbour leads nowhere.
        ("swap:51-53", 51, 2.2, 2.31),
        ("swap:59-61", 61, 2.2, 2.31),
        ("esd:46@100", 46, 0.15, 0.25),
        ("leak:17-gnd@500", 17, 0.6, 0.77),
    ] {
        let mut bench = bench(&[fault]);
        bench.discharge(true);
        let (volts, _) = bench.push(contact, 2.3);
        assert!((low..high).contains(&volts), "{fault}: {volts}");
    }
    let mut blind = bench(&["vusb-detect-lost"]).powered();
    blind.rail(2, true);
    blind.pass(50 * MS);
    assert!(blind.circuit.usb_volts() == 0.0 && blind.circuit.rail_reading(2).0 > 4.9);
    let mut hungry = bench(&["sleep-current:3"]);
    let mut good = bench(&[]);
    for bench in [&mut hungry, &mut good] {
        bench.rail(0, true);
        bench.pass(50 * MS);
    }
    near(hungry.circuit.rail_reading(0).1 - good.circuit.rail_reading(0).1, 3e-3, 0.1e-3);
}

#[test]
fn shorted_and_overloaded_rails() {
    let mut short = bench(&["short:3v3-gnd"]);
    assert!(short.ohms(10) < 4.0);
    short.rail(0, true);
    short.pass(50 * MS);
    let (volts, amps) = short.circuit.rail_reading(0);
    assert!(volts < 0.2, "{volts}");
    near(amps, 0.6, 1e-6);

    let mut overload = bench(&["overload:3v3"]);
    let ohms = overload.ohms(10);
    assert!((125e3..150e3).contains(&ohms), "no short to the ohm-meter: {ohms}");
    overload.rail(0, true);
    overload.pass(50 * MS);
    let (volts, amps) = overload.circuit.rail_reading(0);
    near(amps, 0.6, 1e-6);
    assert!((0.6..2.5).contains(&volts), "{volts}");

    let mut light = bench(&["overload:3v3@0.1"]);
    light.rail(0, true);
    light.pass(50 * MS);
    let (volts, amps) = light.circuit.rail_reading(0);
    near(volts, 3.28, 0.03);
    near(amps, 0.107, 0.005);
}

/// Activity of the chip, and lowest and highest current of the module.
type Row = (fn(&mut Activity), f64, f64);

#[test]
fn the_chip_draws_what_it_is_busy_with() {
    let mut bench = bench(&[]).powered();
    let mut now = Activity::default();
    const MS_BUSY: fn(&mut Activity) = |now| now.run_ns += MS;
    // (what passes, lowest and highest milliamperes of the rail)
    let rows: [Row; 6] = [
        (MS_BUSY, 5.6, 7.0),
        (|now| (now.sleep_ns, now.hfxo_running) = (now.sleep_ns + MS, true), 1.2, 1.6),
        (|now| (now.run_ns, now.sleep_ns) = (now.run_ns + MS / 2, now.sleep_ns + MS / 2), 3.4, 4.3),
        (|now| (now.sleep_ns, now.hfxo_running) = (now.sleep_ns + MS, false), 0.040, 0.052),
        (|now| now.off_ns += MS, 0.0236, 0.0297),
        (MS_BUSY, 5.6, 7.0),
    ];
    for (row, (pass, low, high)) in rows.into_iter().enumerate() {
        pass(&mut now);
        bench.circuit.set_activity(now);
        bench.circuit.settle_ports(bench.now_ns);
        bench.pass(50 * MS);
        let milliamps = bench.circuit.rail_reading(0).1 * 1e3;
        assert!((low..high).contains(&milliamps), "{row}: {milliamps} mA");
    }
}

#[test]
fn every_ground_and_supply_contact_proves_itself() {
    let mut good = bench(&[]);
    let mut bad = bench(&["open:56", "open:12"]);
    for (name, bench, expected) in [("good", &mut good, true), ("open", &mut bad, false)] {
        // Only one ground contact closed: the supply's current must come back through it.
        let grounds = [1, 3, 5, 7, 9, 15, 21, 39, 49, 56];
        grounds.iter().for_each(|contact| bench.feed(*contact, *contact == 56));
        bench.rail(0, true);
        bench.pass(50 * MS);
        assert_eq!(bench.circuit.logic_volts() > 3.0, expected, "{name}: ground");
        grounds.iter().for_each(|contact| bench.feed(*contact, true));
        bench.feed(10, false);
        bench.pass(5000 * MS);
        assert_eq!(bench.circuit.logic_volts() > 3.0, expected, "{name}: supply");
    }
}

#[test]
fn an_idle_link_feeds_an_unpowered_module_unless_the_relay_takes_it_off() {
    let mut bench = bench(&[]);
    near(bench.circuit.logic_volts(), 0.0, 0.03);
    bench.commands.loopback = false;
    bench.apply();
    bench.pass(500 * MS);
    assert!(bench.circuit.logic_volts() > 1.0, "through the clamp of RX: {}", bench.circuit.logic_volts());
}

#[test]
fn ohm_meter_voltages_open_no_clamp() {
    let mut bench = bench(&[]);
    bench.ohms(23);
    let conducting = &bench.circuit.conducting;
    assert!(conducting.diodes.iter().all(|on| !on), "{conducting:?}");
}

#[test]
fn two_banks_at_once_short_two_contacts() {
    let mut bench = bench(&[]).powered();
    bench.port(23, Some(true), Pull::None);
    bench.port(22, None, Pull::Down);
    assert!(!bench.level(22));
    // Both are channel 4, on banks 1 and 2.
    (bench.commands.mux_banks, bench.commands.mux_channel) = (0b110, 4);
    bench.apply();
    assert!(bench.level(22));
}

#[test]
fn the_same_seed_gives_the_same_bench() {
    let volts = |seed| {
        let mut circuit = Circuit::new(&fixture(), &dut("b4xx"), seed, &Defects::default());
        let mut commands = circuit.commands().clone();
        commands.nails.iter_mut().for_each(|nail| {
            *nail = match nail {
                NailCommand::Io(_) => NailCommand::Io(BitState::High),
                NailCommand::Feed(_) => NailCommand::Feed(true),
            }
        });
        circuit.command(commands, 0);
        circuit.logic_volts()
    };
    assert_eq!(volts(1).to_bits(), volts(1).to_bits());
    let mut seeds = (1..5).map(|seed| {
        let circuit = Circuit::new(&fixture(), &dut("b4xx"), seed, &Defects::default());
        circuit.wiring.parts.logic_load_ohms.to_bits()
    });
    let first = seeds.next().unwrap();
    assert!(seeds.all(|other| other != first));
}

/// A search that ends too early has no valid solution.
#[test]
fn parts_that_do_not_agree_are_a_doubt() {
    let mut bench = bench(&[]);
    bench.discharge(true);
    bench.pass(50 * MS);
    assert_eq!(bench.circuit.doubt(), None);
    // Without power all pads that are driven turn a diode.
    bench.circuit.max_rounds = 1;
    for nail in &mut bench.commands.nails {
        if let NailCommand::Io(state) = nail {
            *state = BitState::High;
        }
    }
    bench.apply();
    bench.circuit.logic_volts();
    let doubt = bench.circuit.doubt().unwrap();
    let (start, rest) = doubt.split_once(" times, first at ").unwrap();
    assert!(start.starts_with("the circuit found no state in which all parts agree, "), "{doubt}");
    assert!(rest.starts_with("0.05") && rest.contains("protection diode to the supply (pad_"), "{doubt}");
}

/// For any drive, short and pull, the one-way parts find a consistent state.
#[test]
fn one_way_parts_always_agree() {
    let (fixture, family) = (fixture(), dut("b4xx"));
    let mut random = crate::random::Random::new(3, crate::random::Purpose::Noise);
    for fault in crate::fault::all_faults(&family, &fixture, &[], None).into_iter().step_by(3) {
        let text = fault.to_string();
        let mut bench = bench(&[&text]);
        bench.commands.loopback = false;
        for rail in 0..4 {
            bench.rail(rail, random.bits().is_multiple_of(2));
        }
        for nail in &mut bench.commands.nails {
            if let NailCommand::Io(state) = nail {
                *state =
                    [BitState::High, BitState::Low, BitState::PullUp, BitState::Float][(random.bits() % 4) as usize];
            }
        }
        bench.apply();
        bench.pass(5 * MS);
        bench.ports.powered = bench.circuit.logic_volts() > 1.7;
        for state in &mut bench.ports.states {
            let level = random.bits().is_multiple_of(2);
            state.driven = (random.bits().is_multiple_of(2)).then_some(Driven { level, strength: Strength::High });
        }
        bench.circuit.set_ports(&bench.ports);
        bench.circuit.settle_ports(bench.now_ns);
        bench.pass(50 * MS);
        let volts = bench.circuit.solved().clone();
        let mut conducting = bench.circuit.conducting.clone();
        let disagree = bench.circuit.reconsider(&volts, &mut conducting, false);
        assert!(!disagree, "{text}: {:?} against {conducting:?}", bench.circuit.conducting.supplies);
        assert_eq!(bench.circuit.doubt(), None, "{text}");
        let top = bench.contacts.clone().into_iter().map(|contact| bench.volts(contact)).fold(0.0, f64::max);
        assert!(top < 5.2, "{text}: {top} V");
    }
}
