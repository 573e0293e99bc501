//! `bench-check`: the instruments check each other before the module is touched, so that none of their faults is taken
//! for one of the module.
//!
//! Nothing here depends on the module, which may be good, bad or absent: rails are switched on with their feeds open, the
//! source is read with no contact joined, and a multiplexer is tried with a nail that the bench itself holds low.

mod rail;

use crate::{Kind, Nest, Procedure, StepError, StepLog};
use crate::{resource, source};
use async_trait::async_trait;
use bench_instruments::{InstrumentError, OPEN_OHMS};
use bench_plan::{ChipKind, Fixture, Function, NailWiring, ParamProblem, Resolved, Surroundings};
use bench_run::{Contact, Limits, MeasurementSpec, MeasurementUnit};
use rail::RailUnderTest;
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

pub struct BenchCheck {
    rails: Vec<RailUnderTest>,
    /// Ground nails that the multiplexers reach.
    grounds: Vec<Contact>,
    /// Nails that drive, chosen so that every bank and every address line is used at both levels.
    probes: Vec<ProbeNail>,
    address_lines: usize,
    /// What may feed the module besides the rails: the link relay and the fixture's memories.
    feeders: String,
    /// The USB lines behind the fixture's USB switch.
    usb: Vec<Contact>,
    /// A contact that leads nowhere, with a nail that drives and a channel.
    nowhere: Option<Contact>,
    nail_volts: f64,
    /// Both ends of the fixture's NFC coil, if it leads to nails.
    coil: Option<[Contact; 2]>,
    source_error: MeasurementSpec,
    line_error: MeasurementSpec,
    source: String,
    adc: String,
    highest_volts: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProbeNail {
    contact: Contact,
    bank: u8,
    channel: u8,
    ohms: u32,
}

/// Readings that must agree.
const LOOKS: usize = 3;
/// Less than this share of a rail's voltage comes from somewhere else.
const FED_SHARE: f64 = 0.6;
/// Pull-downs of a USB host: 14.25 to 24.8 kohm (USB 2.0).
const HOST_OHMS: std::ops::RangeInclusive<f64> = 10e3..=30e3;
/// A rail below this is off.
const OFF_VOLTS: f64 = 0.3;
/// Test voltage below the first diode of an unpowered module.
const LOW_VOLTS: f64 = 0.2;
/// Levels of the source with nothing joined.
const LEVELS: [f64; 4] = [LOW_VOLTS, 1.0, 2.5, 4.5];
/// More noise than an ADC has.
const NOISE_VOLTS: f64 = 4e-3;
/// A held nail through its multiplexer reads its series resistor, or less when the module conducts too.
const HELD_FACTOR: f64 = 1.3;
/// Multiplexer, switch and wire of a ground nail.
const GROUND_OHMS: f64 = 10.0;
/// Share of a nail's level that is left when the source loads it through its resistor.
const HALVED: std::ops::RangeInclusive<f64> = 0.38..=0.62;
/// A ground that is shorted to a rail on the module is still held by the rail's discharge resistor.
const LIFTED_OHMS: f64 = 30.0;
/// A nail that is held low, seen through a coil.
const COIL_OHMS: f64 = 5e3;

impl Kind for BenchCheck {
    const NAME: &'static str = "bench-check";
    type Params = Params;

    fn resolve(_: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let fixture = around.fixture;
        let Some(bed) = &fixture.bed else {
            return Err(ParamProblem::new(format!("fixture {} has no instruments to check", fixture.name)));
        };
        let chip = |index: usize| fixture.chips.get(index).map_or_else(String::new, |chip| chip.id.clone());
        let rails: Vec<RailUnderTest> = fixture
            .rails
            .iter()
            .enumerate()
            .filter(|(_, rail)| rail.load_ohms.is_none())
            .map(|(index, rail)| RailUnderTest::of(fixture, index, rail))
            .collect();
        let grounds: Vec<Contact> = fixture
            .nails
            .values()
            .filter(|nail| matches!(nail.wiring, NailWiring::Ground { .. }) && nail.mux.is_some())
            .map(|nail| nail.contact)
            .collect();
        let highest_volts = match fixture.chips.get(bed.measure_bus.source.chip).map(|chip| chip.kind) {
            Some(ChipKind::Mcp4728 { reference_volts }) => reference_volts,
            _ => 0.0,
        };
        let spec = |name: &str, most: f64| MeasurementSpec {
            name: name.to_owned(),
            unit: MeasurementUnit::Volts,
            limits: Limits::between(-most, most),
            contacts: Vec::new(),
        };
        let check = BenchCheck {
            address_lines: bed.measure_bus.address.len(),
            coil: fixture.nfc.and_then(|nfc| nfc.coil).map(|coil| coil.contacts),
            probes: probes(around, bed.measure_bus.address.len()),
            feeders: feeders(fixture),
            usb: usb_lines(around),
            nowhere: nowhere(around),
            nail_volts: fixture.nail_volts,
            source_error: spec("source.error", source::tolerance(highest_volts)),
            line_error: spec("line.error", source::LINE_VOLTS),
            source: chip(bed.measure_bus.source.chip),
            adc: chip(bed.measure_bus.sense.chip),
            rails,
            grounds,
            highest_volts,
        };
        let of_rails = check.rails.iter().flat_map(|rail| [&rail.zero, &rail.idle_volts, &rail.load]);
        Ok(Resolved {
            measurements: of_rails.chain([&check.source_error, &check.line_error]).cloned().collect(),
            coverage: Vec::new(),
            uses: resource::list(&[
                resource::NAILS,
                resource::MEASURE_BUS,
                resource::RAILS,
                resource::NFC,
                resource::USB_HOST,
            ]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(check),
        })
    }
}

/// Enough nails that each bank and each level of each address line has one.
fn probes(around: &Surroundings<'_>, lines: usize) -> Vec<ProbeNail> {
    let fixture = around.fixture;
    let mut missing: BTreeSet<(bool, u8, bool)> = BTreeSet::new();
    // With a stuck address line the nail must not lead to one that is held low by itself.
    let held = |bank: u8, channel: u8| {
        fixture
            .nails
            .values()
            .any(|nail| nail.mux == Some((bank, channel)) && !matches!(nail.wiring, NailWiring::Io { .. }))
    };
    let needs = |nail: &ProbeNail| {
        let tells = |line: &u8| !held(nail.bank, nail.channel ^ 1 << line);
        let lines = (0..lines as u8).filter(tells).map(|line| (true, line, nail.channel >> line & 1 == 1));
        lines.chain([(false, nail.bank, true)]).collect::<Vec<_>>()
    };
    // No later step would notice that nothing is measured there.
    let unseen = |nail: &ProbeNail| around.dut.contact(nail.contact).is_some_and(|info| info.port.is_none());
    let all: Vec<ProbeNail> = fixture
        .nails
        .values()
        .filter_map(|nail| match (&nail.wiring, nail.mux) {
            (NailWiring::Io { series_ohms, .. }, Some((bank, channel))) => {
                Some(ProbeNail { contact: nail.contact, bank, channel, ohms: *series_ohms as u32 })
            }
            _ => None,
        })
        .collect();
    all.iter().for_each(|nail| missing.extend(needs(nail)));
    let mut chosen = Vec::new();
    for nail in &all {
        // Two of each bank: with one, a dead channel would look like a dead bank.
        let of_bank = chosen.iter().filter(|other: &&ProbeNail| other.bank == nail.bank).count();
        if needs(nail).iter().any(|need| missing.contains(need)) || of_bank < 2 || unseen(nail) {
            needs(nail).iter().for_each(|need| {
                missing.remove(need);
            });
            chosen.push(*nail);
        }
    }
    chosen
}

/// In words, for a person who must find which of them is stuck.
fn feeders(fixture: &Fixture) -> String {
    let peers: Vec<String> = fixture.peers.iter().map(|peer| format!("the switches of {}", peer.id)).collect();
    std::iter::once("the link relay".to_owned()).chain(peers).collect::<Vec<_>>().join(", ")
}

fn can_drive(fixture: &Fixture, contact: Contact) -> bool {
    fixture.nail(contact).is_some_and(|nail| nail.mux.is_some() && matches!(nail.wiring, NailWiring::Io { .. }))
}

/// The data lines that the fixture's USB switch joins to the host, if nails reach them.
fn usb_lines(around: &Surroundings<'_>) -> Vec<Contact> {
    if around.fixture.usb.is_none() {
        return Vec::new();
    }
    let lines = around.dut.with_function(Function::Usb).filter(|info| !info.functions.contains(&Function::Power));
    lines.map(|info| info.contact).filter(|contact| can_drive(around.fixture, *contact)).collect()
}

fn nowhere(around: &Surroundings<'_>) -> Option<Contact> {
    let free = around.dut.with_function(Function::Nc).filter(|info| info.port.is_none()).map(|info| info.contact);
    free.into_iter().find(|contact| can_drive(around.fixture, *contact))
}

/// What was read at one level of the source, volts.
struct Level {
    off_by: f64,
    line: f64,
}

#[async_trait(?Send)]
impl Procedure for BenchCheck {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        self.zero(nest, log).await?;
        // A level that an unpowered module may see, whatever the multiplexers do.
        self.level(nest, LOW_VOLTS).await?;
        self.at_rest(nest).await?;
        nest.released_after(self.banks(nest)).await?;
        nest.released_after(self.switch_of_source(nest)).await?;
        self.source(nest, log).await?;
        self.grounds(nest).await?;
        nest.released_after(self.coil(nest)).await?;
        self.usb_switch(nest).await?;
        for rail in &self.rails {
            let looked = rail.alone(nest, log, &self.feeders).await;
            // Whatever was found: off, discharged, feeds closed.
            let off = nest.rails.alone(&rail.name, false).await;
            looked?;
            off?;
            rail.feeds(nest).await?;
        }
        Ok(())
    }
}

fn bench<T>(text: String) -> Result<T, StepError> {
    Err(StepError::Bench(text))
}

impl BenchCheck {
    /// With every rail off, the monitors show nothing.
    async fn zero(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        for rail in &self.rails {
            let RailUnderTest { name, monitor, zero_amps, .. } = rail;
            let mut sum = 0.0;
            let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
            for _ in 0..LOOKS {
                let reading = nest.rails.measure(name).await?;
                if reading.volts > OFF_VOLTS {
                    let volts = MeasurementUnit::Volts.show(reading.volts);
                    let feeders = &self.feeders;
                    return bench(if reading.volts > FED_SHARE * rail.volts {
                        format!("rail {name} carries {volts} although it is off: check its switch and its discharge")
                    } else {
                        format!(
                            "rail {name} carries {volts} although it is off: something else feeds the module; check {feeders}"
                        )
                    });
                }
                sum += reading.amps;
                (least, most) = (least.min(reading.amps), most.max(reading.amps));
            }
            let mean = if rail.feeds_ports { nest.rails.fine_amps(name).await? } else { sum / LOOKS as f64 };
            nest.zero_amps.borrow_mut().insert(name.clone(), mean);
            log.measured(&rail.zero.name, Some(mean));
            if mean.abs() > *zero_amps {
                return bench(format!(
                    "rail {name}: its monitor {monitor} shows {} although the rail is off: calibrate or replace it",
                    MeasurementUnit::Amps.show(mean)
                ));
            }
            if most - least > *zero_amps {
                return bench(format!(
                    "rail {name}: its monitor {monitor} is noisy, {} between readings of nothing: check its shunt's wires",
                    MeasurementUnit::Amps.show(most - least)
                ));
            }
        }
        Ok(())
    }

    /// Each bank closes and opens, and the address lines select what they should.
    async fn banks(&self, nest: &Nest) -> Result<(), StepError> {
        let mut dead = Vec::new();
        for probe in &self.probes {
            nest.drive_nail(probe.contact, false).await?;
            let open = nest.bus.unjoined(Some(probe.contact), LOW_VOLTS).await?;
            if open.source - open.line > source::LINE_VOLTS {
                return bench(self.stuck(nest).await?);
            }
            let ohms = self.of_held(nest, probe.contact).await?;
            nest.release_nail(probe.contact).await?;
            if ohms > HELD_FACTOR * f64::from(probe.ohms) {
                dead.push(*probe);
            }
        }
        if dead.is_empty() { Ok(()) } else { bench(self.why_dead(nest, &dead)) }
    }

    /// What a nail that the bench holds low reads.
    async fn of_held(&self, nest: &Nest, contact: Contact) -> Result<f64, StepError> {
        match nest.bus.ohms(contact).await {
            Err(InstrumentError::Energized { volts, .. }) => bench(format!(
                "nail {} carries {} although the bench holds it low and nothing has power: check its driver, {}",
                nest.label(contact),
                MeasurementUnit::Volts.show(volts),
                self.feeders
            )),
            other => Ok(other?),
        }
    }

    /// Released, and with nothing powered, every nail is low.
    async fn at_rest(&self, nest: &Nest) -> Result<(), StepError> {
        let high: Vec<String> =
            nest.nails.read().await?.iter().map(|contact| format!("nail {}", nest.label(contact))).collect();
        match high.as_slice() {
            [] => Ok(()),
            high => bench(format!(
                "{} is high although it is released and nothing has power: check its driver, {}",
                high.join(", "),
                self.feeders
            )),
        }
    }

    /// A contact that leads nowhere shows whether the source still loads the line when it is switched off.
    async fn switch_of_source(&self, nest: &Nest) -> Result<(), StepError> {
        let Some(contact) = self.nowhere else { return Ok(()) };
        nest.drive_nail(contact, true).await?;
        let volts = nest.bus.volts(contact).await;
        nest.release_nail(contact).await?;
        let volts = volts?;
        // The source at 0 V behind its resistor halves what the nail drives; a short on the module does something else.
        let share = volts / self.nail_volts;
        if HALVED.contains(&share) {
            return bench(format!(
                "nail {} drives {} and the measure bus reads {}: the switch of the source does not open",
                nest.label(contact),
                MeasurementUnit::Volts.show(self.nail_volts),
                MeasurementUnit::Volts.show(volts)
            ));
        }
        Ok(())
    }

    /// The USB switch joins the host's pull-downs to the lines, and takes them off.
    async fn usb_switch(&self, nest: &Nest) -> Result<(), StepError> {
        let Some(&line) = self.usb.first() else { return Ok(()) };
        let off = nest.bus.ohms(line).await?;
        let others_off = match self.usb.get(1) {
            Some(other) => nest.bus.ohms(*other).await?,
            None => off,
        };
        if HOST_OHMS.contains(&off) && HOST_OHMS.contains(&others_off) {
            return bench(format!(
                "both USB lines show the host's pull-downs, {}: the USB switch does not open",
                MeasurementUnit::Ohms.show(off)
            ));
        }
        nest.usb_switch.join(true).await?;
        let on = nest.bus.ohms(line).await;
        nest.usb_switch.join(false).await?;
        let on = on?;
        if on > *HOST_OHMS.end() {
            return bench(format!(
                "the host's pull-down does not reach contact {}, {}: the USB switch does not close, or its cable is off",
                nest.label(line),
                MeasurementUnit::Ohms.show(on)
            ));
        }
        Ok(())
    }

    /// Something loads the line although no bank is enabled: the bank whose nail changes the load.
    async fn stuck(&self, nest: &Nest) -> Result<String, StepError> {
        for probe in &self.probes {
            nest.drive_nail(probe.contact, false).await?;
            let held = nest.bus.unjoined(Some(probe.contact), LOW_VOLTS).await?;
            nest.release_nail(probe.contact).await?;
            let free = nest.bus.unjoined(Some(probe.contact), LOW_VOLTS).await?;
            if (free.line - held.line).abs() > source::LINE_VOLTS {
                return Ok(format!(
                    "the measure bus reaches contact {} although no bank is enabled: the enable of bank {} is stuck, or one of \
                     its channels",
                    nest.label(probe.contact),
                    probe.bank
                ));
            }
        }
        Ok(format!(
            "the source does not reach the measure bus, or something loads it although no contact is joined: check the switch \
             of the source, and the line between {} and {}",
            self.source, self.adc
        ))
    }

    /// What all dead nails have in common, and no other has.
    fn why_dead(&self, nest: &Nest, dead: &[ProbeNail]) -> String {
        let fits = |is: &dyn Fn(&ProbeNail) -> bool| {
            self.probes.iter().all(|probe| is(probe) == dead.contains(probe)) && dead.iter().any(is)
        };
        let first = dead[0];
        let nails: Vec<String> = dead.iter().map(|probe| format!("nail {}", nest.label(probe.contact))).collect();
        if fits(&|_| true) {
            return format!(
                "no nail reaches the measure bus: check the switch of the source, {} and {}, and the supply of the multiplexers",
                self.source, self.adc
            );
        }
        let is_class = |is: &dyn Fn(&ProbeNail) -> bool| {
            let class = self.probes.iter().filter(|probe| is(probe)).count();
            dead.iter().all(is) && dead.len() > 1 && 2 * dead.len() >= class
        };
        if fits(&|probe| probe.bank == first.bank) && dead.len() > 1 {
            return format!(
                "no nail of bank {} reaches the measure bus: check its multiplexer and its enable",
                first.bank
            );
        }
        for line in 0..self.address_lines {
            for level in [false, true] {
                if is_class(&|probe| (probe.channel >> line & 1 == 1) == level) {
                    let stuck = if level { "low" } else { "high" };
                    return format!("the multiplexers' address line {line} is stuck {stuck}: {}", nails.join(", "));
                }
            }
        }
        format!(
            "{} do not reach the measure bus: check their channels of the multiplexer and its address lines",
            nails.join(", ")
        )
    }

    /// DAC and ADC agree at one level, and both ends of the series resistor, where no current flows.
    async fn level(&self, nest: &Nest, level: f64) -> Result<Level, StepError> {
        let mut seen: Vec<(f64, f64)> = Vec::new();
        for _ in 0..LOOKS {
            let reading = nest.bus.unjoined(None, level).await?;
            seen.push((reading.source, reading.line));
        }
        let mean = |pick: fn(&(f64, f64)) -> f64| seen.iter().map(pick).sum::<f64>() / seen.len() as f64;
        let spread = |pick: fn(&(f64, f64)) -> f64| {
            let all = || seen.iter().map(pick);
            all().fold(f64::NEG_INFINITY, f64::max) - all().fold(f64::INFINITY, f64::min)
        };
        let (source, line) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let (of_source, adc) = (&self.source, &self.adc);
        // Not of the line, which a multiplexer may load.
        let unsteady = spread(|pair| pair.0);
        if unsteady > NOISE_VOLTS {
            return bench(format!(
                "the source (DAC {of_source}) and the ADC {adc} are noisy: {} between readings of one voltage",
                MeasurementUnit::Volts.show(unsteady)
            ));
        }
        let off_by = source - level;
        if !source::is_right(level, source) {
            return bench(format!(
                "the source (DAC {of_source}) and the ADC {adc} do not agree: {} ordered, {} read, {} are allowed: check their \
                 references, then calibrate",
                MeasurementUnit::Volts.show(level),
                MeasurementUnit::Volts.show(source),
                MeasurementUnit::Volts.show(source::tolerance(level))
            ));
        }
        Ok(Level { off_by, line: line - source })
    }

    async fn source(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let (mut worst, mut worst_line) = (0.0_f64, 0.0_f64);
        for level in LEVELS.into_iter().filter(|level| *level < self.highest_volts) {
            let Level { off_by, line } = self.level(nest, level).await?;
            worst = if off_by.abs() > worst.abs() { off_by } else { worst };
            worst_line = if line.abs() > worst_line.abs() { line } else { worst_line };
        }
        log.measured(&self.source_error.name, Some(worst));
        log.measured(&self.line_error.name, Some(worst_line));
        if worst_line.abs() > source::LINE_VOLTS {
            return bench(format!(
                "the ADC {} reads {} between both ends of the source's resistor while no current flows: check the switch of the \
                 source and the ADC's inputs",
                self.adc,
                MeasurementUnit::Volts.show(worst_line)
            ));
        }
        Ok(())
    }

    /// The coil that reaches the module's NFC contacts is whole. Its resistance is small against that of a nail.
    async fn coil(&self, nest: &Nest) -> Result<(), StepError> {
        let Some([one, other]) = self.coil else { return Ok(()) };
        if !nest.nails.wired().contains(one) || !nest.nails.wired().contains(other) {
            return Ok(());
        }
        nest.drive_nail(one, false).await?;
        nest.nfc.join(true).await?;
        let ohms = nest.bus.ohms(other).await;
        nest.nfc.join(false).await?;
        let ohms = ohms?;
        if ohms > COIL_OHMS {
            return bench(format!(
                "the fixture's NFC coil does not join contacts {} and {}, {}: check the coil, its switches and its wires",
                nest.label(one),
                nest.label(other),
                MeasurementUnit::Ohms.show(ohms)
            ));
        }
        Ok(())
    }

    /// Each ground switch opens and closes.
    async fn grounds(&self, nest: &Nest) -> Result<(), StepError> {
        for contact in &self.grounds {
            nest.rails.feed(*contact, false).await?;
        }
        let looked = self.lifted_grounds(nest).await;
        let mut closed = Ok(());
        for contact in &self.grounds {
            closed = closed.and(nest.rails.feed(*contact, true).await);
        }
        looked?;
        Ok(closed?)
    }

    async fn lifted_grounds(&self, nest: &Nest) -> Result<(), StepError> {
        let ohms = async |contact: Contact| match nest.bus.ohms(contact).await {
            // It floats at some voltage.
            Err(InstrumentError::Energized { .. }) => Ok(OPEN_OHMS),
            other => other,
        };
        // Each of them: a contact that is open inside the module does not carry what another one is held at.
        let mut low = Vec::new();
        for contact in &self.grounds {
            if ohms(*contact).await? < LIFTED_OHMS {
                low.push(format!("nail {}", nest.label(*contact)));
            }
        }
        match low.len() {
            0 => {}
            1 => return bench(format!("the switch of {} to ground does not open", low.join(""))),
            _ => {
                return bench(format!(
                    "a switch to ground does not open, and holds the others through the module: one of {}; `bench doctor` with \
                     an empty nest names it",
                    low.join(", ")
                ));
            }
        }
        for contact in &self.grounds {
            nest.rails.feed(*contact, true).await?;
            let seen = ohms(*contact).await;
            nest.rails.feed(*contact, false).await?;
            let seen = seen?;
            if seen > GROUND_OHMS {
                return bench(format!(
                    "nail {} does not reach ground, {}: check its switch, its wire and its channel of the multiplexer with the \
                     address lines",
                    nest.label(*contact),
                    MeasurementUnit::Ohms.show(seen)
                ));
            }
        }
        Ok(())
    }
}
