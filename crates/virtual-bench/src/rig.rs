//! Everything around the emulated chip: the fixture's chips, the circuit, the flash, the link. The chip sees it as its
//! [`Board`], the controller as registers on I2C and bytes on a UART.

mod happen;

use crate::air::Air;
use crate::bench_fault::{BenchDamage, BitDamage, Happening};
use crate::chips::{BitState, ChipModel, DacOutput, FittedChip, I2cDevice, Mcp23017};
use crate::circuit::{Circuit, Commands, LinkLevels, NailCommand, RESET_PORT, RailCommand, Trial};
use crate::edges::EdgeRecorder;
use crate::fault::{Defects, Joint, Terminal};
use crate::flash::{self, ExternalFlash};
use crate::modem::VirtualModem;
use crate::nfc::Field;
use crate::panel::PanelState;
use crate::peers::{FittedPeer, PinOutputs};
use crate::random::{Purpose, Random};
use crate::uart;
use bench_plan::{AnalogChannel, DutFamily, Fixture, IoBit, NailWiring};
use bench_run::Contact;
use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;
use virtual_nrf52840::{Board, FlashCommand, NfcFrame, Ports, Pull, RadioPacket};

/// The UARTE that talks to the modem.
const MODEM_UART: u8 = 1;
/// The UARTE that talks to the bench.
pub const LINK_UART: u8 = 0;

/// Levels between these shares of its supply leave an expander's input as it was (DS20001952, table 2-1).
const INPUT_LOW_SHARE: f64 = 0.2;
const INPUT_HIGH_SHARE: f64 = 0.8;
/// Most that a damaged cable carries (`slow-link`).
const SLOW_LINK_BAUD: u32 = 115_200;
/// Noise of one ADC conversion, in steps.
const ADC_NOISE_STEPS: f64 = 0.6;
/// Updates the lines of the memories after a change.
const PEER_ROUNDS: usize = 4;
const SHUNT_NOISE_VOLTS: f64 = 3e-6;
const BUS_NOISE_VOLTS: f64 = 0.6e-3;
/// Of an INA226: +-81.92 mV.
const FULL_SCALE_SHUNT_VOLTS: f64 = 81.9175e-3;

/// A byte whose stop bit has not come yet.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    at_ns: u64,
    byte: u8,
    baud: u32,
}

/// Which end of the link receives from which.
#[derive(Debug, Clone, Copy, Default)]
struct Hearing {
    controller_hears_itself: bool,
    controller_hears_dut: bool,
    dut_hears_controller: bool,
    dut_hears_itself: bool,
}

/// The controller's UART.
pub struct ControllerUart {
    pub baud: u32,
    sending: VecDeque<InFlight>,
    /// When the last queued byte will have been sent.
    free_at_ns: u64,
    pub received: Vec<u8>,
    pub receiver: Option<Waker>,
}

/// A byte that has arrived at the chip.
pub struct ForChip {
    pub uart: u8,
    pub byte: u8,
    pub baud: u32,
}

pub struct Rig {
    fixture: Fixture,
    chips: Vec<FittedChip>,
    pub(crate) panel: PanelState,
    pub circuit: Circuit,
    pub flash: ExternalFlash,
    pub modem: Option<VirtualModem>,
    modem_revision: Option<u64>,
    /// In the order of the fixture.
    peers: Vec<FittedPeer>,
    pub(crate) field: Field,
    pub uart: ControllerUart,
    pub edges: EdgeRecorder,
    /// Between the antennas, if the controller has one.
    pub air: Option<Air>,
    noise: Random,
    dut_tx_port: Option<usize>,
    dut_rx_port: Option<usize>,
    hearing: Hearing,
    hearing_revision: Option<u64>,
    for_chip: VecDeque<ForChip>,
    /// Set when the chip must stop because a future waits for the event that just happened.
    stop: bool,
    woken: bool,
    /// A fault joins something to the reset contact: check it after every change of a port.
    watch_reset: bool,
    slow_link: bool,
    pub(crate) damage: BenchDamage,
    chance: Random,
    /// Bytes on their way to a controller that gets them late.
    late: VecDeque<(u64, u8)>,
    /// Results of the first conversion of monitors that are stuck.
    first_reading: BTreeMap<usize, (f64, f64)>,
    pub i2c_transactions: u64,
    stall_ns: Option<u64>,
    /// Of the events that are handled now.
    now_ns: u64,
}

impl Rig {
    pub fn new(
        fixture: &Fixture,
        dut: &DutFamily,
        flash: ExternalFlash,
        modem: Option<VirtualModem>,
        seed: u64,
        defects: &Defects,
        mut damage: BenchDamage,
    ) -> Self {
        let mut chips = FittedChip::all(fixture, seed);
        let taken: Vec<u8> = chips.iter().map(|chip| chip.address).collect();
        for (index, of_chip) in &damage.chips {
            let free = (0x50..0x78).find(|address| !taken.contains(address));
            if let (true, Some(chip), Some(free)) = (of_chip.moved, chips.get_mut(*index), free) {
                chip.address = free;
            }
        }
        let mut chance = Random::new(seed, Purpose::BenchFaults);
        for (contact, every_ns) in damage.loose.clone() {
            let first = Happening::Nail { contact, touches: true, every_ns };
            damage.happenings.repeat(0, first, &mut chance);
        }
        let port_of = |contact: Contact| dut.contact(contact)?.port.map(|port| usize::from(port.index()));
        let reset =
            dut.contacts.iter().find(|info| info.port.is_some_and(|port| usize::from(port.index()) == RESET_PORT));
        let reset = reset.map(|info| Terminal::Contact(info.contact));
        let ties_reset = |joint: &Joint| reset.as_ref().is_some_and(|reset| joint.a == *reset || joint.b == *reset);
        let mut rig = Self {
            chips,
            panel: PanelState::new(fixture),
            circuit: Circuit::on_bench(fixture, dut, seed, defects, &damage),
            flash,
            modem,
            modem_revision: None,
            peers: FittedPeer::all(fixture, seed),
            field: Field::new(fixture),
            uart: ControllerUart {
                baud: dut_protocol::INITIAL_BAUD,
                sending: VecDeque::new(),
                free_at_ns: 0,
                received: Vec::new(),
                receiver: None,
            },
            edges: EdgeRecorder::new(fixture.nail_volts, seed),
            air: fixture.ble.as_ref().map(|radio| Air::new(radio, seed, defects, &damage.air)),
            noise: Random::new(seed, Purpose::Noise),
            dut_tx_port: port_of(fixture.link.dut_tx),
            dut_rx_port: port_of(fixture.link.dut_rx),
            hearing: Hearing::default(),
            hearing_revision: None,
            for_chip: VecDeque::new(),
            stop: false,
            woken: false,
            watch_reset: defects.joints.iter().any(ties_reset),
            slow_link: defects.slow_link,
            damage,
            chance,
            late: VecDeque::new(),
            first_reading: BTreeMap::new(),
            i2c_transactions: 0,
            stall_ns: None,
            now_ns: 0,
            fixture: fixture.clone(),
        };
        rig.apply_commands(0);
        rig
    }

    // ---- time ----

    /// Time of the next event that the chip does not cause.
    pub fn next_event_ns(&self) -> Option<u64> {
        let byte = self.uart.sending.front().map(|byte| byte.at_ns);
        let late = self.late.front().map(|(at, _)| *at);
        let byte = byte.into_iter().chain(late).chain(self.damage.happenings.next_ns()).min();
        let conversions = self.chips.iter().filter_map(|chip| match &chip.model {
            ChipModel::Adc { chip, .. } => chip.running().map(|running| running.done_at_ns),
            _ => None,
        });
        let modem = self.modem.as_ref().and_then(VirtualModem::next_event_ns);
        let advertisement = self.air.as_ref().and_then(Air::next_event_ns);
        let radio = modem.into_iter().chain(advertisement);
        let chips = conversions.chain(self.next_nfc_event_ns()).chain(self.panel.next_event_ns());
        byte.into_iter().chain(self.circuit.next_step_ns()).chain(chips).chain(radio).min()
    }

    /// Executes everything that is due.
    pub fn handle_due(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        if self.panel.expires(now_ns) {
            self.panel_changed(now_ns);
        }
        while let Some(what) = self.damage.happenings.take(now_ns) {
            self.happen(what, now_ns);
        }
        while self.late.front().is_some_and(|(at, _)| *at <= now_ns) {
            if let Some((_, byte)) = self.late.pop_front() {
                self.hand_over(byte);
            }
        }
        if self.circuit.next_step_ns().is_some_and(|at| at <= now_ns) {
            self.deliver_monitors(now_ns);
            self.circuit.step(now_ns);
        }
        for index in 0..self.chips.len() {
            self.finish_conversion(index, now_ns);
        }
        self.act_nfc(now_ns);
        while let Some(&byte) = self.uart.sending.front()
            && byte.at_ns <= now_ns
        {
            self.uart.sending.pop_front();
            let hearing = self.hearing();
            if hearing.controller_hears_itself {
                self.controller_receives(byte.byte, byte.baud);
            }
            if hearing.dut_hears_controller {
                let heard = self.through_cable(byte.byte, byte.baud);
                for _ in 0..self.copies(now_ns) {
                    self.for_chip.push_back(ForChip { uart: LINK_UART, byte: heard, baud: byte.baud });
                }
            }
        }
    }

    /// Passes the supply to the modem, executes what is due in it, and passes its state to the circuit.
    pub fn look_at_modem(&mut self, now_ns: u64) {
        let Some(modem) = &mut self.modem else { return };
        if self.modem_revision != Some(self.circuit.revision()) {
            let (volts, usb_volts) = self.circuit.modem_volts();
            modem.supplied(volts, usb_volts);
        }
        for (byte, baud) in modem.handle_due(now_ns) {
            self.for_chip.push_back(ForChip { uart: MODEM_UART, byte, baud });
        }
        let before = self.circuit.revision();
        self.circuit.set_modem(modem.load(now_ns));
        if self.circuit.revision() != before {
            self.deliver_monitors(now_ns);
            self.circuit.settle(now_ns);
        }
        self.modem_revision = Some(before);
    }

    /// The packet that begins at the module's antenna now, if any.
    pub fn take_packet_for_chip(&mut self, now_ns: u64) -> Option<RadioPacket> {
        let air = self.air.as_mut()?;
        // A packet lost on the way is consumed, too.
        while air.next_event_ns().is_some_and(|at| at <= now_ns) {
            if let Some(packet) = air.due(now_ns) {
                return Some(packet);
            }
        }
        None
    }

    /// The next byte that arrived at the chip's RXD.
    pub fn take_byte_for_chip(&mut self) -> Option<ForChip> {
        self.for_chip.pop_front()
    }

    pub fn clear_stop(&mut self) {
        self.stop = false;
    }

    /// Whether a waiting receiver was woken since the last call.
    pub fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }

    // ---- the fixture's own hardware ----

    /// Lid or watchdog may have changed.
    pub(crate) fn panel_changed(&mut self, at_ns: u64) {
        if self.panel.expanders_in_reset() {
            for chip in &mut self.chips {
                if let ChipModel::Expander(chip) = &mut chip.model {
                    *chip = Mcp23017::default();
                }
            }
        }
        self.apply_commands(at_ns);
    }

    // ---- events at the fixture ----

    pub fn reset_expander(&mut self, id: &str, at_ns: u64) {
        let place = self.fixture.chips.iter().position(|chip| chip.id == id);
        if let Some(ChipModel::Expander(chip)) = place.and_then(|place| self.chip_at(place)) {
            *chip = Mcp23017::default();
            self.apply_commands(at_ns);
        }
    }

    pub fn weaken_supply(&mut self, rail: &str, amps: f64, at_ns: u64) {
        if let Some(place) = self.fixture.rails.iter().position(|candidate| candidate.name == rail) {
            self.circuit.limit_supply(place, amps, at_ns);
        }
    }

    // ---- the fixture's chips ----

    pub(crate) fn chip_model(&self, index: usize) -> Option<&ChipModel> {
        self.chips.get(index).map(|chip| &chip.model)
    }

    pub(crate) fn chip_at(&mut self, index: usize) -> Option<&mut ChipModel> {
        self.chips.get_mut(index).map(|chip| &mut chip.model)
    }

    fn bit(&self, bit: IoBit) -> BitState {
        if let Some(high) = self.panel.hands.level(bit) {
            return if high { BitState::High } else { BitState::Float };
        }
        if let Some(BitDamage::Pin(high)) = self.damage.bit_of(bit) {
            return if high { BitState::High } else { BitState::Low };
        }
        match self.chips.get(bit.chip).map(|chip| &chip.model) {
            Some(ChipModel::Expander(chip)) => chip.bit(bit.bit),
            _ => BitState::Float,
        }
    }

    /// Switches have a pull-down, so anything but a driven high is off.
    fn is_high(&self, bit: IoBit) -> bool {
        if let Some(BitDamage::Switch(closed)) = self.damage.bit_of(bit) {
            return closed;
        }
        self.bit(bit) == BitState::High
    }

    /// The DAC's output at the source, deviations included.
    fn source(&self) -> DacOutput {
        let channel = self.fixture.bed.as_ref().map(|bed| bed.measure_bus.source);
        let chip_of = |channel: AnalogChannel| Some((channel, &self.chips.get(channel.chip)?.model));
        match channel.and_then(chip_of) {
            Some((channel, ChipModel::Dac { chip, gain, offset_volts })) => {
                let output = chip.output(channel.channel);
                // A switched-off output is a resistor to ground and has no offset.
                let volts = if output.ohms > 100.0 { 0.0 } else { (output.volts * gain + offset_volts).max(0.0) };
                let volts = self.damage.dac.of(volts).clamp(0.0, 5.5);
                DacOutput { volts, ohms: output.ohms }
            }
            _ => DacOutput { volts: 0.0, ohms: 1e9 },
        }
    }

    /// Passes the commands of the chips to the circuit.
    fn apply_commands(&mut self, at_ns: u64) {
        let bus = self.fixture.bed.as_ref().map(|bed| &bed.measure_bus);
        let enabled = self.panel.rails_enabled();
        let nail = |nail: &bench_plan::Nail| match nail.wiring {
            NailWiring::Io { io, .. } => NailCommand::Io(self.bit(io)),
            NailWiring::Rail { feed, .. } | NailWiring::Ground { feed, .. } => NailCommand::Feed(self.is_high(feed)),
        };
        let before = &self.circuit.commands().rails;
        let stuck_on = |rail: usize| self.damage.rails.get(&rail).is_some_and(|rail| rail.stuck_on);
        let rail = |(index, (rail, before)): (usize, (&bench_plan::Rail, &RailCommand))| RailCommand {
            on_since_ns: ((self.is_high(rail.enable) || stuck_on(index)) && enabled)
                .then(|| before.on_since_ns.unwrap_or(at_ns)),
            discharge: self.is_high(rail.discharge),
        };
        let flag = |set: u32, (n, bit): (usize, &IoBit)| set | u32::from(self.is_high(*bit)) << n;
        let commands = Commands {
            nails: self.fixture.nails.values().map(nail).collect(),
            rails: self.fixture.rails.iter().zip(before).enumerate().map(rail).collect(),
            mux_channel: bus.map_or(0, |bus| bus.address.iter().enumerate().fold(0, flag)) as u8,
            mux_banks: bus.map_or(0, |bus| bus.banks.iter().enumerate().fold(0, flag)),
            source: bus.is_some_and(|bus| self.is_high(bus.source_enable)).then(|| self.source()),
            loopback: self.fixture.bed.as_ref().is_some_and(|bed| !self.is_high(bed.link_relay)),
            peers: self.fixture.peers.iter().map(|peer| self.is_high(peer.select)).collect(),
            usb: self.fixture.usb.is_some_and(|usb| self.is_high(usb.switch)),
            nfc: self.fixture.nfc.and_then(|nfc| nfc.coil).is_some_and(|coil| self.is_high(coil.switch))
                && !self.damage.air.nfc_coil_open,
        };
        if commands != *self.circuit.commands() {
            self.deliver_monitors(at_ns);
            let before = self.circuit.commands().peers.clone();
            let taken_off = |(n, was): (usize, &bool)| (*was && !commands.peers[n]).then_some(n);
            let antenna_moved = commands.nfc != self.circuit.commands().nfc;
            let taken_off: Vec<usize> = before.iter().enumerate().filter_map(taken_off).collect();
            self.circuit.command(commands, at_ns);
            self.edges.forget();
            if antenna_moved {
                self.look_at_field();
            }
            for n in taken_off {
                self.peers[n].taken_off(at_ns);
                self.circuit.set_peer_outputs(n, PinOutputs::default());
            }
            self.settle_peers(at_ns);
        }
    }

    /// Passes the levels of the lines to the joined memories, and their outputs to the lines.
    fn settle_peers(&mut self, at_ns: u64) {
        if !self.circuit.any_peer_joined() {
            return;
        }
        // A part changes its output only at an edge of the clock, which it does not drive: the second pass changes
        // nothing.
        for _ in 0..PEER_ROUNDS {
            let levels = self.circuit.levels();
            let mut moved = false;
            for (n, peer) in self.peers.iter_mut().enumerate() {
                if self.circuit.commands().peers[n] {
                    let outputs = peer.lines(levels.peers[n], at_ns);
                    moved |= self.circuit.set_peer_outputs(n, outputs);
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Gives the power monitors the results of conversions that ended before the voltages change.
    fn deliver_monitors(&mut self, at_ns: u64) {
        for index in 0..self.chips.len() {
            self.deliver_monitor(index, at_ns);
        }
    }

    fn deliver_monitor(&mut self, index: usize, at_ns: u64) {
        let ChipModel::Monitor { chip, rail, shunt_ohms, offset_volts, bus_gain } = &mut self.chips[index].model else {
            return;
        };
        if chip.is_due(at_ns) {
            self.circuit.catch_up(at_ns);
            let (volts, amps) = rail.map_or((0.0, 0.0), |rail| self.circuit.rail_reading(rail));
            let quieter = f64::from(chip.averages()).sqrt();
            let mut shunt = amps * *shunt_ohms + *offset_volts + self.noise.gauss(SHUNT_NOISE_VOLTS / quieter);
            let mut bus = volts * *bus_gain + self.noise.gauss(BUS_NOISE_VOLTS / quieter);
            if let Some(damage) = self.damage.monitors.get(&index) {
                shunt *= damage.shunt_factor.unwrap_or(1.0) * (1.0 + damage.gain_error);
                shunt += damage.offset_amps * *shunt_ohms;
                if damage.noise_amps > 0.0 {
                    shunt += self.chance.gauss(damage.noise_amps * *shunt_ohms);
                }
                bus *= 1.0 + damage.bus_gain_error;
                if damage.saturated {
                    shunt = FULL_SCALE_SHUNT_VOLTS;
                }
                if damage.stuck {
                    (shunt, bus) = *self.first_reading.entry(index).or_insert((shunt, bus));
                }
            }
            chip.deliver(shunt, bus, at_ns);
        }
    }

    fn finish_conversion(&mut self, index: usize, now_ns: u64) {
        let ChipModel::Adc { chip, gain, offset_volts } = &self.chips[index].model else { return };
        let Some(running) = chip.running().filter(|running| running.done_at_ns <= now_ns) else { return };
        let (gain, offset) = (*gain, *offset_volts);
        self.circuit.catch_up(now_ns);
        let positive = self.adc_input_volts(index, running.positive);
        let negative = running.negative.map_or(0.0, |channel| self.adc_input_volts(index, channel));
        let noise = self.noise.gauss(ADC_NOISE_STEPS * running.full_scale_volts / 32768.0);
        if let ChipModel::Adc { chip, .. } = &mut self.chips[index].model {
            let extra = match self.damage.adc.noise_volts {
                sigma if sigma > 0.0 => self.chance.gauss(sigma),
                _ => 0.0,
            };
            chip.finish(self.damage.adc.of((positive - negative) * gain + offset + noise) + extra);
        }
    }

    fn adc_input_volts(&mut self, chip: usize, channel: u8) -> f64 {
        let Some(bed) = &self.fixture.bed else { return 0.0 };
        let wiring = &bed.measure_bus;
        let is = |input: bench_plan::AnalogChannel| input.chip == chip && input.channel == channel;
        let volts = if is(wiring.sense) {
            self.circuit.bus_volts()
        } else if is(wiring.source_sense) {
            let source = self.source();
            self.circuit.source_volts(source)
        } else {
            0.0
        };
        // Protection diodes to ground and to a supply of 5 V.
        volts.clamp(-0.3, 5.3)
    }

    /// Passes the levels at its pins to an expander.
    fn refresh_inputs(&mut self, index: usize) {
        let ChipModel::Expander(chip) = &self.chips[index].model else { return };
        let held = chip.inputs();
        // Pins without a nail lead to switches with pull-downs.
        let mut levels = (0..16).fold(0, |levels, bit| levels | u16::from(chip.bit(bit) == BitState::High) << bit);
        let supply = self.fixture.nail_volts;
        for (place, nail) in self.fixture.nails.values().enumerate() {
            let NailWiring::Io { io, .. } = nail.wiring else { continue };
            if io.chip != index {
                continue;
            }
            let Some(volts) = self.circuit.nail_pin_volts(place) else { continue };
            let mask = 1 << io.bit;
            if self.damage.bit_of(io).is_some() {
                continue;
            }
            let high = volts > INPUT_HIGH_SHARE * supply || volts > INPUT_LOW_SHARE * supply && held & mask != 0;
            levels = if high { levels | mask } else { levels & !mask };
        }
        for ((chip, bit), damage) in &self.damage.bits {
            if let (true, BitDamage::Pin(high)) = (*chip == index, damage) {
                levels = levels & !(1 << bit) | u16::from(*high) << bit;
            }
        }
        if let ChipModel::Expander(chip) = &mut self.chips[index].model {
            chip.set_inputs(levels);
        }
    }

    // ---- I2C, one condition or byte at a time ----

    /// Start condition with an address. Returns the chips that answer: one, or for address 0 all that support the
    /// general call; `None` if none does.
    pub fn i2c_start(&mut self, address: u8, at_ns: u64) -> Option<Addressed> {
        if address == 0 {
            let mut anybody = false;
            for chip in &mut self.chips {
                if let ChipModel::Dac { chip, .. } = &mut chip.model {
                    chip.start(at_ns);
                    chip.start_general_call();
                    anybody = true;
                }
            }
            return anybody.then_some(Addressed::GeneralCall);
        }
        let index = self.chips.iter().position(|chip| chip.address == address)?;
        if let Some(damage) = self.damage.chips.get(&index) {
            let one_in = damage.nack_one_in;
            if damage.silent || one_in.is_some_and(|one_in| self.chance.unit() * one_in < 1.0) {
                return None;
            }
        }
        if self.panel.expanders_in_reset() && matches!(self.chips[index].model, ChipModel::Expander(_)) {
            return None;
        }
        self.chips[index].model.device().start(at_ns);
        Some(Addressed::Chip(index))
    }

    pub fn i2c_write(&mut self, to: Addressed, byte: u8, at_ns: u64) -> bool {
        let acknowledged = match to {
            Addressed::Chip(index) => self.chips[index].model.device().write(byte, at_ns),
            Addressed::GeneralCall => self.chips.iter_mut().fold(false, |any, chip| match &mut chip.model {
                ChipModel::Dac { chip, .. } => chip.write(byte, at_ns) || any,
                _ => any,
            }),
        };
        let changes_wires = |chip: &FittedChip| matches!(chip.model, ChipModel::Expander(_) | ChipModel::Dac { .. });
        match to {
            Addressed::Chip(index) if matches!(self.chips[index].model, ChipModel::Nfc(_)) => self.follow_reader(),
            Addressed::Chip(index) if !changes_wires(&self.chips[index]) => {}
            _ => self.apply_commands(at_ns),
        }
        acknowledged
    }

    pub fn i2c_read(&mut self, from: Addressed, at_ns: u64) -> u8 {
        match from {
            Addressed::Chip(index) => {
                self.circuit.catch_up(at_ns);
                self.refresh_inputs(index);
                self.deliver_monitor(index, at_ns);
                self.chips[index].model.device().read(at_ns)
            }
            Addressed::GeneralCall => 0xFF,
        }
    }

    // ---- edges on the measure bus ----

    pub fn begin_edges(&mut self) {
        let volts = self.circuit.bus_volts();
        self.edges.begin(volts);
    }

    /// Passes the bus to the edge line; cheap unless it records.
    pub fn look_at_edges(&mut self, ports: &Ports, at_ns: u64) {
        if self.edges.is_on() {
            let circuit = &mut self.circuit;
            self.edges.look(ports, at_ns, || circuit.bus_volts());
        }
    }

    // ---- the link ----

    /// Queues bytes in the controller's UART.
    pub fn send(&mut self, bytes: &[u8], now_ns: u64) {
        let span = uart::byte_ns(self.uart.baud);
        for &byte in bytes {
            self.uart.free_at_ns = self.uart.free_at_ns.max(now_ns) + span;
            self.uart.sending.push_back(InFlight { at_ns: self.uart.free_at_ns, byte, baud: self.uart.baud });
        }
    }

    /// When everything queued has been sent.
    pub fn sent_at_ns(&self) -> u64 {
        self.uart.free_at_ns
    }

    /// Effect of the cable on a byte.
    fn through_cable(&self, byte: u8, baud: u32) -> u8 {
        // Each bit smears into the next: a bit reaches a high level only after another high bit.
        if self.slow_link && baud > SLOW_LINK_BAUD { byte & (byte << 1 | 1) } else { byte }
    }

    fn controller_receives(&mut self, byte: u8, sender_baud: u32) {
        let byte = self.through_cable(byte, sender_baud);
        let now_ns = self.now_ns;
        for _ in 0..self.copies(now_ns) {
            self.arrive(uart::receive(byte, sender_baud, self.uart.baud).byte);
        }
    }

    fn hand_over(&mut self, byte: u8) {
        // A serial port of the controller delivers the decoded byte even with a framing error.
        self.uart.received.push(byte);
        if let Some(receiver) = self.uart.receiver.take() {
            receiver.wake();
            (self.stop, self.woken) = (true, true);
        }
    }

    /// A byte passes if its receiver can see both levels; recomputed only after a change.
    fn hearing(&mut self) -> Hearing {
        if self.hearing_revision != Some(self.circuit.revision()) {
            let mut levels = |controller_tx_low: bool, dut_tx: bool| {
                let trial =
                    Trial { controller_tx_low, port: self.dut_tx_port.map(|port| (port, dut_tx)), ..Trial::default() };
                self.circuit.link_levels(trial, self.dut_rx_port)
            };
            let (idle, controller_low, dut_low) = (levels(false, true), levels(true, true), levels(false, false));
            let follows = |end: fn(LinkLevels) -> Option<bool>, low: LinkLevels| {
                end(idle) == Some(true) && end(low) == Some(false)
            };
            self.hearing = Hearing {
                controller_hears_itself: follows(|levels| levels.controller, controller_low),
                controller_hears_dut: follows(|levels| levels.controller, dut_low),
                dut_hears_controller: follows(|levels| levels.dut, controller_low),
                dut_hears_itself: follows(|levels| levels.dut, dut_low),
            };
            self.hearing_revision = Some(self.circuit.revision());
        }
        self.hearing
    }
}

/// Chips that take part in an I2C transfer.
#[derive(Debug, Clone, Copy)]
pub enum Addressed {
    Chip(usize),
    GeneralCall,
}

impl Board for Rig {
    fn levels(&mut self, ports: &Ports, at_ns: u64) -> u64 {
        self.circuit.set_ports(ports);
        let wired = self.circuit.wired_ports();
        let mut levels = ports.levels_unconnected() & !wired | self.circuit.port_levels() & wired;
        if let Some(high) = self.flash.output()
            && ports.states[flash::DATA_OUT].driven.is_none()
        {
            levels = levels & !(1 << flash::DATA_OUT) | u64::from(high) << flash::DATA_OUT;
        }
        if let Some(modem) = &self.modem {
            let (driven, high) = modem.levels(at_ns);
            let own = (0..ports.states.len()).filter(|port| ports.states[*port].driven.is_some());
            let free = !own.fold(0, |set, port| set | 1 << port);
            levels = levels & !(driven & free) | high & free;
        }
        levels
    }

    fn ports_changed(&mut self, ports: &Ports, at_ns: u64) {
        let before = self.circuit.revision();
        self.circuit.set_ports(ports);
        if let Some(modem) = &mut self.modem {
            let next = modem.next_event_ns();
            modem.look_at(ports, at_ns);
            // Its next event may be earlier now.
            self.stop |= modem.next_event_ns() != next;
        }
        if self.watch_reset && self.circuit.revision() != before {
            self.stop = true;
        }
        self.settle_peers(at_ns);
        self.look_at_edges(ports, at_ns);
        // The module pulls the select line up.
        let line = |port: usize, idle: bool| match (ports.states[port].driven, ports.states[port].pull) {
            (Some(driven), _) => driven.level,
            (None, Pull::None) => idle,
            (None, pull) => pull == Pull::Up,
        };
        self.flash.lines(
            !ports.powered || line(flash::CHIP_SELECT, true),
            line(flash::CLOCK, false),
            line(flash::DATA_IN, false),
            at_ns,
        );
    }

    fn analog_volts(&mut self, ain: u8, ports: &Ports, at_ns: u64) -> f64 {
        self.circuit.set_ports(ports);
        self.circuit.catch_up(at_ns);
        self.circuit.analog_volts(ain)
    }

    fn vdd_volts(&mut self) -> f64 {
        self.circuit.logic_volts()
    }

    fn uart_tx_byte(&mut self, uart: u8, byte: u8, baud: u32, at_ns: u64) {
        if uart == MODEM_UART
            && let Some(modem) = &mut self.modem
        {
            modem.byte(byte, baud, at_ns);
            self.stop = true;
        }
        if uart != LINK_UART {
            return;
        }
        self.now_ns = at_ns;
        let hearing = self.hearing();
        if hearing.controller_hears_dut {
            self.controller_receives(byte, baud);
        }
        if hearing.dut_hears_itself {
            self.for_chip.push_back(ForChip { uart: LINK_UART, byte, baud });
            self.stop = true;
        }
    }

    fn flash_command(&mut self, command: &FlashCommand<'_>, read: &mut [u8], at_ns: u64) {
        self.flash.command(command, read, at_ns);
    }

    fn radio_sent(&mut self, packet: &RadioPacket) {
        if let Some(air) = &mut self.air {
            air.module_sent(packet);
        }
    }

    fn nfc_frame(&mut self, frame: &NfcFrame, at_ns: u64) {
        self.tag_sent(frame, at_ns);
        // The reader may have a shorter deadline now.
        self.stop = true;
    }

    fn wants_stop(&mut self) -> bool {
        self.stop
    }
}
