//! Checks the fixture itself before a shift, with an empty nest: each instrument that tests modules tests another one
//! through the existing loops (nail to measure bus, source to ADC, TX to RX).

use crate::Nest;
use bench_instruments::{ContactSet, InstrumentError, NailVector, OPEN_OHMS};
use bench_plan::{Fixture, NailWiring};
use bench_run::{Contact, MeasurementUnit};
use std::time::Duration;

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    /// What was measured; or what is wrong and what to do about it.
    pub seen: Result<String, String>,
}

/// A rail below this is off.
const OFF_VOLTS: f64 = 0.3;
/// Tolerance of a rail's voltage without load, as a share of it.
const RAIL_TOLERANCE: f64 = 0.05;
/// Of source and ADC together.
const LOOP_VOLTS: f64 = 0.006;
/// Level of a driving nail at the measure bus.
const NAIL_TOLERANCE: f64 = 0.05;
/// Residual voltage of a nail that drives low.
const LOW_VOLTS: f64 = 0.05;
/// Switch, nail wire and multiplexer of a ground.
const GROUND_OHMS: f64 = 20.0;
/// Above this a ground switch is open.
const LIFTED_OHMS: f64 = 20e3;
const SETTLE: Duration = Duration::from_millis(2);
const DISCHARGE: Duration = Duration::from_millis(400);
/// Bytes that are sent around the link's loop-back.
const LOOP_BYTES: &[u8] = &[0x00, 0xff, 0x55, 0xaa, 0x7e, b'b', b'e', b'n', b'c', b'h'];

/// Runs all checks, in an order that never powers what was not checked before. Calls `report` with each finding as soon
/// as it is known and returns the number of failed checks. Leaves rails off and nails released.
///
/// # Errors
/// When an instrument fails a command. No further check is possible then.
pub async fn doctor(nest: &Nest, fixture: &Fixture, report: &dyn Fn(&Finding)) -> Result<usize, InstrumentError> {
    let mut rounds = Rounds { nest, fixture, report, failed: 0 };
    let looked = rounds.all().await;
    let off = nest.rails.all_off().await;
    let released = nest.nails.release_all().await;
    looked.and(off).and(released).map(|()| rounds.failed)
}

struct Rounds<'a> {
    nest: &'a Nest,
    fixture: &'a Fixture,
    report: &'a dyn Fn(&Finding),
    failed: usize,
}

impl Rounds<'_> {
    async fn all(&mut self) -> Result<(), InstrumentError> {
        self.panel();
        self.link().await?;
        self.rails_off().await?;
        self.source_loop().await?;
        self.nails().await?;
        self.grounds().await?;
        self.rails().await
    }

    fn record(&mut self, what: impl Into<String>, seen: Result<String, String>) {
        self.failed += usize::from(seen.is_err());
        (self.report)(&Finding { what: what.into(), seen });
    }

    fn label(&self, contact: Contact) -> String {
        format!("contact {}", self.nest.label(contact))
    }

    fn panel(&mut self) {
        let panel = &self.nest.panel;
        let looks = [
            ("lid", panel.lid.clone(), true, "close the lid, or check its switch and GPIO"),
            ("emergency stop", panel.emergency.clone(), false, "release it, or check its line"),
            ("start button", panel.start.clone(), false, "it is pressed, or its line is shorted"),
        ];
        for (what, line, expected, help) in looks {
            let Some(line) = line else { continue };
            let seen = match line.is_active() {
                Ok(active) if active == expected => Ok(if expected { "closed" } else { "not pressed" }.to_owned()),
                Ok(_) => Err(help.to_owned()),
                Err(error) => Err(error.to_string()),
            };
            self.record(what, seen);
        }
    }

    async fn link(&mut self) -> Result<(), InstrumentError> {
        self.nest.relay.set_loopback(true).await?;
        self.nest.clock.sleep(SETTLE).await;
        let back = self.nest.dut.echo(LOOP_BYTES, None).await?;
        let seen = if back == LOOP_BYTES {
            Ok(format!("{} bytes around the relay", back.len()))
        } else {
            Err(format!(
                "{} of {} bytes came back: check {}, its cable and the link relay",
                back.iter().zip(LOOP_BYTES).filter(|(sent, other)| sent == other).count(),
                LOOP_BYTES.len(),
                self.fixture.link.device
            ))
        };
        self.record("link", seen);
        Ok(())
    }

    async fn rails_off(&mut self) -> Result<(), InstrumentError> {
        self.nest.rails.all_off().await?;
        self.nest.clock.sleep(DISCHARGE).await;
        for rail in self.nest.rails.names() {
            let volts = self.nest.rails.measure(&rail).await?.volts;
            let seen = if volts < OFF_VOLTS {
                Ok(format!("off, {}", MeasurementUnit::Volts.show(volts)))
            } else {
                Err(format!(
                    "{} although it is off: check its switch, the pull-down at the switch, and its discharge",
                    MeasurementUnit::Volts.show(volts)
                ))
            };
            self.record(format!("rail {rail}"), seen);
        }
        Ok(())
    }

    /// Checks source, its switch, multiplexer and ADC, up to the highest voltage that an unpowered nest may see.
    async fn source_loop(&mut self) -> Result<(), InstrumentError> {
        let Some(contact) = self.fixture.nails.values().find(|nail| nail.mux.is_some() && is_io(&nail.wiring)) else {
            return Ok(());
        };
        let Some(bed) = &self.fixture.bed else { return Ok(()) };
        let most = bed.measure_bus.unpowered_volts;
        let mut worst = 0.0_f64;
        for share in [0.2, 0.5, 0.9] {
            let volts = self.nest.bus.loaded_volts(contact.contact, most * share).await?;
            worst = if (volts - most * share).abs() > worst.abs() { volts - most * share } else { worst };
        }
        let seen = if worst.abs() <= LOOP_VOLTS {
            Ok(format!("within {}", MeasurementUnit::Volts.show(worst.abs())))
        } else {
            Err(format!(
                "off by {}: check the source's switch, the DAC's reference and the ADC's supply; is a module in the nest?",
                MeasurementUnit::Volts.show(worst)
            ))
        };
        self.record("source to ADC", seen);
        Ok(())
    }

    async fn nails(&mut self) -> Result<(), InstrumentError> {
        let wired = self.nest.nails.wired();
        let supply = self.fixture.nail_volts;
        let nails: Vec<(Contact, bool)> = self
            .fixture
            .nails
            .values()
            .filter(|nail| is_io(&nail.wiring))
            .map(|nail| (nail.contact, nail.mux.is_some()))
            .collect();
        let mut well = 0;
        for (contact, on_bus) in &nails {
            let high = ContactSet::from_iter([*contact]);
            let vector = NailVector { high, low: wired.minus(high), ..NailVector::default() };
            self.nest.nails.set(vector).await?;
            self.nest.clock.sleep(SETTLE).await;
            let read = self.nest.nails.read().await?;
            let others: Vec<String> = read.minus(high).iter().map(|other| self.nest.label(other)).collect();
            let mut wrong = Vec::new();
            if !read.contains(*contact) {
                wrong.push("drives high and reads low: shorted, or its expander bit is dead".to_owned());
            }
            if !others.is_empty() {
                wrong.push(format!("moves {} too: a short between their nails or wires", others.join(", ")));
            }
            if *on_bus {
                let volts = self.nest.bus.volts(*contact).await?;
                if (volts - supply).abs() > NAIL_TOLERANCE * supply {
                    wrong.push(format!(
                        "drives {} and the measure bus reads {}: wrong bit, wrong multiplexer channel, or a broken wire",
                        MeasurementUnit::Volts.show(supply),
                        MeasurementUnit::Volts.show(volts)
                    ));
                }
                let vector = NailVector { low: wired, ..NailVector::default() };
                self.nest.nails.set(vector).await?;
                self.nest.clock.sleep(SETTLE).await;
                let volts = self.nest.bus.volts(*contact).await?;
                if volts.abs() > LOW_VOLTS {
                    wrong.push(format!("drives low and the measure bus reads {}", MeasurementUnit::Volts.show(volts)));
                }
            }
            if wrong.is_empty() {
                well += 1;
            } else {
                let what = format!("nail of {}", self.label(*contact));
                self.record(what, Err(wrong.join("; ")));
            }
        }
        self.nest.nails.release_all().await?;
        if well > 0 {
            self.record("nails", Ok(format!("{well} of {} drive, read and reach the measure bus", nails.len())));
        }
        Ok(())
    }

    async fn grounds(&mut self) -> Result<(), InstrumentError> {
        let grounds: Vec<Contact> = self
            .fixture
            .nails
            .values()
            .filter(|nail| matches!(nail.wiring, NailWiring::Ground { .. }) && nail.mux.is_some())
            .map(|nail| nail.contact)
            .collect();
        let mut well = 0;
        for contact in &grounds {
            let closed = self.nest.bus.ohms(*contact).await?;
            self.nest.rails.feed(*contact, false).await?;
            self.nest.clock.sleep(SETTLE).await;
            let lifted = self.nest.bus.ohms(*contact).await;
            self.nest.rails.feed(*contact, true).await?;
            let seen = match lifted {
                _ if closed > GROUND_OHMS => Err(format!(
                    "{} to ground with its switch closed: a broken wire, or the switch does not close",
                    MeasurementUnit::Ohms.show(closed.min(OPEN_OHMS))
                )),
                Ok(lifted) if lifted < LIFTED_OHMS => Err(format!(
                    "{} to ground with its switch open: the switch is stuck, or a module is in the nest",
                    MeasurementUnit::Ohms.show(lifted)
                )),
                // It floats at some voltage: lifted as well.
                Ok(_) | Err(InstrumentError::Energized { .. }) => {
                    well += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let what = format!("ground at {}", self.label(*contact));
            self.record(what, seen);
        }
        if well > 0 {
            self.record("grounds", Ok(format!("{well} of {} close and open", grounds.len())));
        }
        Ok(())
    }

    /// Checks each rail alone, and each of its nails.
    async fn rails(&mut self) -> Result<(), InstrumentError> {
        let fixture = self.fixture;
        for rail in &fixture.rails {
            let name = &rail.name;
            if rail.load_ohms.is_some() {
                continue;
            }
            let contacts = self.nest.rails.contacts(name);
            self.nest.rails.discharge(name, false).await?;
            let mut ohms = OPEN_OHMS;
            for contact in &contacts {
                match self.nest.bus.ohms(*contact).await {
                    Ok(seen) => ohms = ohms.min(seen),
                    Err(InstrumentError::NotWired(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            if let Err(error) = self.nest.rails.clear_for_power(name, ohms) {
                self.record(format!("rail {name}"), Err(format!("{error}; it was not switched on")));
                continue;
            }
            self.nest.rails.on(name).await?;
            self.nest.clock.sleep(SETTLE).await;
            let reading = self.nest.rails.measure(name).await?;
            let mut seen = if (reading.volts - rail.volts).abs() > RAIL_TOLERANCE * rail.volts {
                Err(format!(
                    "{} in place of {}: check its regulator, its switch and the monitor",
                    MeasurementUnit::Volts.show(reading.volts),
                    MeasurementUnit::Volts.show(rail.volts)
                ))
            } else {
                Ok(format!(
                    "on, {} at {}",
                    MeasurementUnit::Volts.show(reading.volts),
                    MeasurementUnit::Amps.show(reading.amps)
                ))
            };
            for contact in contacts {
                match self.nest.bus.volts(contact).await {
                    Ok(volts) if (volts - rail.volts).abs() > RAIL_TOLERANCE * rail.volts && seen.is_ok() => {
                        let label = self.label(contact);
                        let volts = MeasurementUnit::Volts.show(volts);
                        seen = Err(format!("{volts} at {label}: a broken wire, or its feed switch does not close"));
                    }
                    Ok(_) | Err(InstrumentError::NotWired(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            self.nest.rails.off(name).await?;
            self.record(format!("rail {name}"), seen);
            self.nest.clock.sleep(DISCHARGE).await;
            let volts = self.nest.rails.measure(name).await?.volts;
            if volts >= OFF_VOLTS {
                let volts = MeasurementUnit::Volts.show(volts);
                self.record(
                    format!("rail {name}"),
                    Err(format!("{volts} after it was discharged: check its discharge")),
                );
            }
        }
        Ok(())
    }
}

fn is_io(wiring: &NailWiring) -> bool {
    matches!(wiring, NailWiring::Io { .. })
}
