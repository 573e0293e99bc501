//! Turns the packets received in both directions into measurements and one diagnosis.

use super::{Ble, Specs};
use crate::{StepError, StepLog};
use bench_instruments::Advert;
use bench_run::{Defect, Diagnosis, MeasurementSpec, Verdict, judge};
use dut_protocol::{BLE_CHANNEL_MHZ, BLE_CHANNELS, BleReport, BleTag};
use std::collections::BTreeSet;

/// Decibels below the expected level from which the antenna is not connected. A degraded antenna (broken trace, wrong
/// matching part) costs 10 to 25 dB.
const NO_ANTENNA_DB: f64 = 30.0;
/// Others on the band do not spoil as large a share and leave the rest alone.
const BAD_RECEIVER_PERCENT: f64 = 45.0;
/// In one percent.
const PPM: f64 = 1e4;

/// One direction, by channel.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Received {
    pub packets: [u32; 3],
    /// Sums of the signal strengths, dBm.
    sums: [f64; 3],
    /// Reported by the module only.
    pub broken: u32,
    /// Packets of other devices; of the bench, other devices that sent them.
    pub others: u32,
    /// Carrier errors, percent, where the receiver reports them.
    carrier_errors: Vec<f64>,
}

impl Received {
    /// The adverts that `tag_of` recognises.
    pub fn by_bench(adverts: &[Advert], tag_of: impl Fn(&Advert) -> Option<BleTag>) -> Self {
        let mut received = Self::default();
        let mut others: BTreeSet<[u8; 6]> = BTreeSet::new();
        for advert in adverts {
            let Some(tag) = tag_of(advert) else {
                others.insert(advert.address);
                continue;
            };
            let Some(place) = BLE_CHANNELS.iter().position(|channel| *channel == tag.channel) else { continue };
            received.packets[place] += 1;
            received.sums[place] += advert.rssi_dbm;
            let hertz = f64::from(BLE_CHANNEL_MHZ[place]) * 1e6;
            received.carrier_errors.extend(advert.carrier_offset_hz.map(|offset| 100.0 * offset / hertz));
        }
        received.others = u32::try_from(others.len()).unwrap_or(u32::MAX);
        received
    }

    /// The module's report for one channel.
    pub fn by_module(&mut self, place: usize, report: &BleReport) {
        if let (Some(packets), Some(sum)) = (self.packets.get_mut(place), self.sums.get_mut(place)) {
            let mean_dbm = report.rssi.map_or(0.0, |rssi| f64::from(rssi.mean_tenths_dbm) / 10.0);
            *packets = report.heard.into();
            *sum = mean_dbm * f64::from(report.heard);
            self.broken += u32::from(report.broken);
            self.others += u32::from(report.others);
        }
    }

    pub fn total(&self) -> u32 {
        self.packets.iter().sum()
    }

    /// dBm; `None` where nothing was received.
    fn level(&self, place: usize) -> Option<f64> {
        let packets = self.packets.get(place).filter(|packets| **packets > 0)?;
        Some(self.sums.get(place)? / f64::from(*packets))
    }

    /// Mean over everything received, dBm.
    fn mean_level(&self) -> Option<f64> {
        (self.total() > 0).then(|| self.sums.iter().sum::<f64>() / f64::from(self.total()))
    }

    /// Percent; `None` where the receiver does not report it.
    fn carrier_error(&self) -> Option<f64> {
        let errors = &self.carrier_errors;
        (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
    }
}

/// Expected values of one direction.
pub(super) struct Direction<'a> {
    pub specs: &'a Specs,
    pub expected_dbm: f64,
}

impl Direction<'_> {
    fn record(&self, log: &dyn StepLog, received: &Received) {
        for (place, (packets, level)) in self.specs.packets.iter().zip(&self.specs.levels).enumerate() {
            log.measured(&packets.name, Some(f64::from(received.packets[place])));
            // Without packets there is no level to judge; the missing packets are reported instead.
            if let Some(dbm) = received.level(place) {
                log.measured(&level.name, Some(dbm));
            }
        }
    }

    fn enough_packets(&self, received: &Received, place: usize) -> bool {
        self.specs.packets.get(place).is_none_or(|spec| fits(spec, f64::from(received.packets[place])))
    }

    fn right_level(&self, received: &Received, place: usize) -> bool {
        match (self.specs.levels.get(place), received.level(place)) {
            (Some(spec), Some(dbm)) => fits(spec, dbm),
            _ => true,
        }
    }

    /// Missing decibels; 0 where all levels are right or nothing was received.
    fn lacking(&self, received: &Received) -> f64 {
        let wrong = (0..BLE_CHANNELS.len()).any(|place| !self.right_level(received, place));
        match received.mean_level() {
            Some(dbm) if wrong => self.expected_dbm - dbm,
            _ => 0.0,
        }
    }

    fn few_on(&self, received: &Received) -> Vec<u8> {
        let few = |place: &usize| !self.enough_packets(received, *place);
        (0..BLE_CHANNELS.len()).filter(few).map(|place| BLE_CHANNELS[place]).collect()
    }
}

fn fits(spec: &MeasurementSpec, value: f64) -> bool {
    judge(&spec.limits, Some(value)) == Verdict::Pass
}

pub(super) fn defect(log: &dyn StepLog, text: String) -> StepError {
    log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text: text.clone() });
    StepError::Dut(text)
}

impl Ble {
    /// Records all measurements and returns the diagnosis.
    pub(super) fn judge(&self, log: &dyn StepLog, heard: &Received, hears: &Received) -> Result<(), StepError> {
        for (direction, received) in self.directions().iter().zip([heard, hears]) {
            direction.record(log, received);
        }
        let came = hears.total() + hears.broken;
        if came > 0 {
            log.measured(&self.broken.name, Some(100.0 * f64::from(hears.broken) / f64::from(came)));
        }
        if let Some(spec) = &self.carrier_error {
            match heard.carrier_error() {
                Some(percent) => log.measured(&spec.name, Some(percent)),
                None if heard.total() > 0 => {
                    return Err(StepError::Bench(
                        "the controller's Bluetooth does not report carrier errors: leave `carrier_error` out \
                         of the step, or use an adapter that does"
                            .to_owned(),
                    ));
                }
                None => {}
            }
        }
        if let Some(text) = self.busy(heard, hears) {
            return Err(StepError::Bench(text));
        }
        match self.conclusion(heard, hears) {
            Some(text) => Err(defect(log, text)),
            None => Ok(()),
        }
    }

    /// What arrives has the right strength, and too much of it is lost or broken: a weak radio would look different, others
    /// on the band would not.
    fn busy(&self, heard: &Received, hears: &Received) -> Option<String> {
        let [sending, hearing] = self.directions();
        let pairs = [(&sending, heard), (&hearing, hears)];
        let right = pairs.iter().all(|(direction, received)| {
            received.total() > 0 && (0..BLE_CHANNELS.len()).all(|place| direction.right_level(received, place))
        });
        if !right {
            return None;
        }
        let lossy = pairs.iter().all(|(direction, received)| direction.few_on(received).len() > 1);
        let share = 100.0 * f64::from(hears.broken) / f64::from((hears.total() + hears.broken).max(1));
        // A receiver that spoils half of what reaches it is a bad one.
        (lossy || !fits(&self.broken, share) && share < BAD_RECEIVER_PERCENT).then(|| {
            format!(
                "BLE: {} packets from the module and {} to it arrived, {share:.0} % of them corrupted, all in the right strength: the \
                 band is busy, or the Bluetooth adapter has a bad antenna cable; test again when it is quiet",
                heard.total(),
                hears.total()
            )
        })
    }

    /// Returns the one defect that explains all observations.
    fn conclusion(&self, heard: &Received, hears: &Received) -> Option<String> {
        let [sending, hearing] = self.directions();
        match (heard.total(), hears.total()) {
            (0, 0) => {
                return Some(
                    "BLE radio dead: nothing received on any channel, neither by the bench nor by the module"
                        .to_owned(),
                );
            }
            (0, _) => {
                return Some(
                    "BLE transmitter dead: the module receives, but the bench receives nothing from it".to_owned(),
                );
            }
            (_, 0) if hears.broken > 0 => {
                return Some(format!("BLE receiver: all {} packets reached the module corrupted", hears.broken));
            }
            (_, 0) => {
                return Some(
                    "BLE receiver dead: the bench receives the module, but the module receives nothing".to_owned(),
                );
            }
            _ => {}
        }
        let (sends, receives) = (sending.lacking(heard), hearing.lacking(hears));
        if sends >= NO_ANTENNA_DB && receives >= NO_ANTENNA_DB {
            return Some(format!(
                "BLE antenna missing or open: {sends:.0} dB too weak from the module, {receives:.0} dB to it"
            ));
        }
        let side = |decibels: f64, what: &str| match decibels {
            0.0 => None,
            weaker if weaker > 0.0 => Some(format!("weak by {weaker:.0} dB {what}")),
            stronger => Some(format!("too strong by {:.0} dB {what}", -stronger)),
        };
        let sides = [side(sends, "from the module"), side(receives, "to the module")];
        let sides: Vec<String> = sides.into_iter().flatten().collect();
        if !sides.is_empty() {
            return Some(format!("BLE {}", sides.join(" and ")));
        }
        let few = [("sent by", sending.few_on(heard)), ("received by", hearing.few_on(hears))];
        if let Some((what, channels)) = few.iter().find(|(_, channels)| !channels.is_empty()) {
            return Some(format!("BLE: packets {what} the module are missing on channels {channels:?}"));
        }
        if let (Some(spec), Some(percent)) = (&self.carrier_error, heard.carrier_error())
            && !fits(spec, percent)
        {
            return Some(format!(
                "the 32 MHz crystal on the module is off by {:+.0} ppm: its BLE carrier shows it",
                percent * PPM
            ));
        }
        let share = 100.0 * f64::from(hears.broken) / f64::from((hears.total() + hears.broken).max(1));
        (!fits(&self.broken, share)).then(|| format!("BLE: {share:.0} % of the packets reach the module corrupted"))
    }
}
