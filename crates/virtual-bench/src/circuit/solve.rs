//! From commands and ports to voltages.

use super::elements::Parts;
use super::parts::{EXPANDER_OUTPUT_OHMS, EXPANDER_PULL_UP_OHMS, OVERLOAD_KNEE_VOLTS, POWER_ON_VOLTS, STUCK_OHMS};
use super::{Circuit, Conducting, NailCommand, NailPlace, Supply, Trial, Wiring};
use crate::chips::BitState;
use crate::netlist::{Values, Voltages};
use std::collections::BTreeSet;
use virtual_nrf52840::{Pull, Strength};

/// Series resistance of a capacitor, which is a voltage source in the network, ohms.
const CAPACITOR_OHMS: f64 = 0.01;
/// Most rounds until the one-way parts agree; far more than any fault has needed.
pub(super) const MAX_ROUNDS: usize = 256;
/// From this round on only one part changes its state at a time, so that two cannot swap endlessly.
const CAREFUL_ROUNDS: usize = 8;

/// Role of the capacitors in a solution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Capacitors {
    /// Everything has settled; no current flows into them.
    Open,
    /// They hold their charge: this instant.
    Hold,
    /// They charge in a step of this many seconds.
    Step(f64),
}

impl Circuit {
    /// Solves for the present instant.
    pub(super) fn solve_now(&mut self) {
        let capacitors = if self.transient.is_some() { Capacitors::Hold } else { Capacitors::Open };
        let mut volts = std::mem::take(&mut self.volts);
        let mut conducting = self.conducting.clone();
        self.solve(capacitors, Trial::default(), &mut conducting, &mut volts);
        self.levels = self.wiring.levels_in(&volts);
        (self.volts, self.conducting, self.dirty) = (volts, conducting, false);
    }

    /// Solves for hypothetical levels on the link; changes nothing.
    pub(super) fn solve_trial(&mut self, trial: Trial) -> Voltages {
        let capacitors = if self.transient.is_some() { Capacitors::Hold } else { Capacitors::Open };
        let mut volts = Voltages::default();
        let mut conducting = self.conducting.clone();
        self.solve(capacitors, trial, &mut conducting, &mut volts);
        volts
    }

    pub(super) fn solve(
        &mut self,
        capacitors: Capacitors,
        trial: Trial,
        conducting: &mut Conducting,
        volts: &mut Voltages,
    ) {
        let (mut base, mut values) = std::mem::take(&mut self.scratch);
        base.copy_from(&self.wiring.fixed);
        self.add_linear_parts(&mut base, capacitors, trial);
        let mut undecided = BTreeSet::new();
        let mut agreed = false;
        conducting.regulator.forget_failure();
        for round in 0..self.max_rounds {
            values.copy_from(&base);
            self.add_one_way_parts(&mut values, conducting);
            self.wiring.netlist.solve(&values, &mut self.workspace, volts);
            self.solutions += 1;
            // Only the late rounds of a search are recorded: it may fail.
            let before = (round >= self.max_rounds / 2).then(|| conducting.clone());
            if !self.reconsider(volts, conducting, round >= CAREFUL_ROUNDS) {
                agreed = true;
                break;
            }
            if let Some(before) = before {
                self.name_turned(&before, conducting, &mut undecided);
            }
        }
        self.scratch = (base, values);
        if !agreed {
            self.unsettled.add(self.now_ns, undecided);
        }
    }

    /// Adds all parts but the fixed ones and those that conduct one way.
    pub(super) fn add_linear_parts(&self, values: &mut impl Parts, capacitors: Capacitors, trial: Trial) {
        self.add_commands(values, trial);
        self.add_ports(values, trial);
        self.add_peers(values);
        self.add_usb(values, trial);
        self.add_modem(values);
        self.add_nfc(values, trial);
        self.add_capacitors(values, capacitors);
    }

    fn add_commands(&self, values: &mut impl Parts, trial: Trial) {
        let wiring = &self.wiring;
        for (nail, command) in wiring.nails.iter().zip(&self.commands.nails) {
            match (nail.wiring, *command) {
                (NailPlace::Io { series_ohms }, NailCommand::Io(state)) => match state {
                    BitState::High => {
                        let ohms = series_ohms + EXPANDER_OUTPUT_OHMS;
                        values.driver(nail.node, wiring.nail_volts, ohms, "nail driven high");
                    }
                    BitState::Low => {
                        values.driver(nail.node, 0.0, series_ohms + EXPANDER_OUTPUT_OHMS, "nail driven low");
                    }
                    BitState::PullUp => {
                        let ohms = series_ohms + EXPANDER_PULL_UP_OHMS;
                        values.driver(nail.node, wiring.nail_volts, ohms, "nail pulled up");
                    }
                    BitState::Float => {}
                },
                (NailPlace::Rail { feed, ohms }, NailCommand::Feed(true)) => {
                    values.resistor(feed, ohms, "switch from the rail to the nail");
                }
                (NailPlace::Ground { ohms }, NailCommand::Feed(true)) => {
                    values.driver(nail.node, 0.0, ohms, "switch from the nail to ground");
                }
                _ => {}
            }
            if let Some((bank, channel, edge, ohms)) = nail.mux
                && channel == self.commands.mux_channel
                && self.commands.mux_banks >> bank & 1 == 1
            {
                values.resistor(edge, ohms, "switch of the measure bus");
            }
        }
        for loose in wiring.loose.iter().filter(|loose| loose.touches) {
            values.resistor(loose.edge, loose.ohms, "nail on its contact");
        }
        for (rail, command) in wiring.rails.iter().zip(&self.commands.rails) {
            if command.discharge {
                values.driver(rail.node, 0.0, rail.discharge_ohms, "discharge of the rail");
            }
        }
        for (n, rail) in wiring.rails.iter().enumerate() {
            if let Some(load) = self.load_ohms(n) {
                values.driver(rail.node, 0.0, load, "load on the rail");
            }
        }
        if let Some(source) = self.commands.source {
            values.driver(wiring.bus, source.volts, source.ohms + wiring.source_series_ohms, "source");
        }
        if let Some(node) = wiring.controller_tx.node
            && !self.commands.loopback
            && !wiring.link_cut
        {
            // The controller's TX idles high.
            let level = if trial.controller_tx_low { 0.0 } else { wiring.nail_volts };
            values.driver(node, level, wiring.controller_tx.series_ohms, "TX of the controller");
        }
    }

    fn add_ports(&self, values: &mut impl Parts, trial: Trial) {
        if !self.chip_runs {
            return;
        }
        for (n, (place, state)) in self.wiring.ports.iter().zip(&self.ports).enumerate() {
            let Some(place) = place else { continue };
            let parts = &self.wiring.parts.ports[n];
            let mut driven = state.driven;
            if let (Some((port, level)), Some(driver)) = (trial.port, &mut driven)
                && port == n
            {
                driver.level = level;
            }
            if let Some(driver) = driven {
                let ohms = match driver.strength {
                    Strength::Standard => parts.standard_ohms,
                    Strength::High => parts.high_drive_ohms,
                };
                let (edge, what) = match driver.level {
                    true => (place.to_logic, "port driven high"),
                    false => (place.to_ground, "port driven low"),
                };
                values.resistor(edge, ohms, what);
            }
            if !place.lost_pulls {
                match state.pull {
                    Pull::Up => values.resistor(place.to_logic, parts.pull_up_ohms, "pull-up of the port"),
                    Pull::Down => values.resistor(place.to_ground, parts.pull_down_ohms, "pull-down of the port"),
                    Pull::None => {}
                }
                // The reset pad has its pull-up in hardware.
                if n == super::build::RESET_PORT && state.pull == Pull::None {
                    values.resistor(place.to_logic, parts.pull_up_ohms, "pull-up of the reset pad");
                }
            }
            match place.stuck {
                Some(true) => values.resistor(place.to_logic, STUCK_OHMS, "ordered: stuck high"),
                Some(false) => values.resistor(place.to_ground, STUCK_OHMS, "ordered: stuck low"),
                None => {}
            }
        }
    }

    fn add_capacitors(&self, values: &mut impl Parts, capacitors: Capacitors) {
        let what = "capacitors of the supply";
        for (net, &charge) in self.wiring.nets.iter().zip(&self.charge) {
            let (edge, node, ground) = (net.to_ground, net.node, self.wiring.ground);
            match capacitors {
                Capacitors::Open => {}
                Capacitors::Hold => {
                    values.battery(edge, node, ground, charge, CAPACITOR_OHMS, what);
                }
                Capacitors::Step(seconds) => {
                    let ohms = seconds / net.farads;
                    values.battery(edge, node, ground, charge, ohms, what);
                }
            }
        }
    }

    fn add_one_way_parts(&self, values: &mut Values, conducting: &Conducting) {
        let wiring = &self.wiring;
        let logic = &wiring.nets[wiring.logic];
        for (diode, &on) in wiring.diodes.iter().zip(&conducting.diodes) {
            if on {
                values.battery(diode.edge, diode.anode, diode.cathode, diode.volts, diode.ohms);
            }
        }
        for (n, (rail, supply)) in wiring.rails.iter().zip(&conducting.supplies).enumerate() {
            match (self.supply_volts(n), supply) {
                (Some(volts), Supply::Regulates) => values.driver(rail.node, volts, rail.series_ohms),
                (Some(_), Supply::Limits) => values.current(rail.node, rail.limit_amps),
                _ => {}
            }
        }
        for (overload, &on) in wiring.overloads.iter().zip(&conducting.overloads) {
            if on {
                values.battery(overload.edge, overload.node, wiring.ground, OVERLOAD_KNEE_VOLTS, overload.ohms);
            }
        }
        if let Some(regulator) = &wiring.regulator {
            regulator.add(values, wiring, conducting.regulator);
        }
        if conducting.logic {
            // The current of the running module: nothing at the voltage where it starts, all of it at 3.3 V.
            let ohms = (3.3 - POWER_ON_VOLTS) / wiring.logic_amps;
            values.battery(logic.to_ground, logic.node, wiring.ground, POWER_ON_VOLTS, ohms);
        }
    }

    /// Flips the one-way parts whose voltages contradict their state. Returns whether there were any.
    pub(super) fn reconsider(&self, volts: &Voltages, conducting: &mut Conducting, one_at_a_time: bool) -> bool {
        // Exactly at its knee, a part may be in either state. The direction of a conducting part is checked to the last
        // digit: across 0.06 ohm a picovolt is already more current than that which holds a floating node at 0 V.
        const SLACK_VOLTS: f64 = 1e-9;
        const DIGITS_VOLTS: f64 = 2e-14;
        let wiring = &self.wiring;
        let ground = volts.at(wiring.ground);
        let logic = volts.at(wiring.nets[wiring.logic].node);
        let mut turned = false;
        let mut turn = |state: &mut bool, drop: f64| {
            let wanted = if *state { drop > -DIGITS_VOLTS } else { drop > SLACK_VOLTS };
            if wanted != *state && !(one_at_a_time && turned) {
                (*state, turned) = (wanted, true);
            }
        };
        for (diode, on) in wiring.diodes.iter().zip(&mut conducting.diodes) {
            turn(on, volts.at(diode.anode) - volts.at(diode.cathode) - diode.volts);
        }
        for (overload, on) in wiring.overloads.iter().zip(&mut conducting.overloads) {
            turn(on, volts.at(overload.node) - ground - OVERLOAD_KNEE_VOLTS);
        }
        turn(&mut conducting.logic, logic - ground - POWER_ON_VOLTS);
        for (n, (rail, supply)) in wiring.rails.iter().zip(&mut conducting.supplies).enumerate() {
            let Some(set) = self.supply_volts(n) else { continue };
            let at_rail = volts.at(rail.node);
            let amps = (set - at_rail) / rail.series_ohms;
            let wanted = match *supply {
                Supply::Regulates if amps > rail.limit_amps * (1.0 + 1e-9) => Supply::Limits,
                Supply::Regulates if amps < -1e-9 => Supply::Blocks,
                Supply::Limits if amps < rail.limit_amps * (1.0 - 1e-9) => Supply::Regulates,
                Supply::Blocks if amps > 1e-9 => Supply::Regulates,
                same => same,
            };
            if wanted != *supply && !(one_at_a_time && turned) {
                (*supply, turned) = (wanted, true);
            }
        }
        if let Some(regulator) = &wiring.regulator {
            let wanted = regulator.wanted(volts, wiring, conducting.regulator, !turned);
            if wanted != conducting.regulator && !(one_at_a_time && turned) {
                (conducting.regulator, turned) = (wanted, true);
            }
        }
        turned
    }
}

impl Wiring {
    /// Which ports that reach a contact are high.
    pub(super) fn levels_in(&self, volts: &Voltages) -> u64 {
        let ground = volts.at(self.ground);
        let supply = volts.at(self.nets[self.logic].node) - ground;
        self.ports.iter().enumerate().fold(0, |levels, (n, place)| {
            let high = place
                .as_ref()
                .is_some_and(|place| volts.at(place.node) - ground > supply * self.parts.ports[n].threshold);
            levels | u64::from(high) << n
        })
    }
}
