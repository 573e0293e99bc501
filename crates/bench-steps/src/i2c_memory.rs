//! `i2c-memory`: an I2C master of the module writes to an EEPROM of the fixture and reads back, at every clock of the
//! plan.
//!
//! First the idle lines: a bus that is held low is diagnosed by line, and the fixture's pull-ups are measured at the
//! contacts. Each run permanently writes two pages; the part endures a million writes of a page.

use crate::bus_peer::{self, BusLine, EdgesSeen, Master, defect, joined_to, line_defects, nonce, wrong_bits};
use crate::diagnose::divider;
use crate::reach;
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resolve};
use async_trait::async_trait;
use bench_instruments::DutError;
use bench_plan::{
    Coverage, Hertz, LimitsOf, Ohms, ParamProblem, PeerPart, Quantity, Reach, Resolved, Spanned, Surroundings,
};
use bench_run::{Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{I2cMasterRequest, I2cOutcome, PortSet, PortVector, Reply, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Memory of the fixture; its lines select the bus.
    #[schemars(with = "String")]
    peer: Spanned<String>,
    /// 100 kHz, 400 kHz.
    #[schemars(with = "Vec<Hertz>", length(min = 1))]
    frequencies: Spanned<Vec<Spanned<Hertz>>>,
    /// Pull-up of each line, at the contact: the fixture's resistor in parallel with any of the module.
    pull_up: LimitsOf<Ohms>,
    /// The rail that supplies the ports.
    #[schemars(with = "String")]
    supply: Spanned<String>,
}

pub struct I2cMemory {
    peer: String,
    address: u8,
    master: Master,
    supply: String,
    /// By line: SDA, SCL.
    pull_ups: Vec<(BusLine, MeasurementSpec)>,
    /// In kilohertz.
    clocks: Vec<(u16, MeasurementSpec)>,
}

/// Pages to write, one for each clock.
const FIRST_PAGE: u16 = 0x0100;
const PAGE: u16 = 64;
const BYTES: usize = 32;
/// 5 ms at most (24LC256), with the same again as margin before it counts as dead.
const LOOK: Duration = Duration::from_millis(1);
const LOOKS: u32 = 10;
/// A released line must have more than this share of the supply.
const IDLE_SHARE: f64 = 0.8;

impl Kind for I2cMemory {
    const NAME: &'static str = "i2c-memory";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("pull_up")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let peer = bus_peer::peer(around.fixture, &params.peer)?;
        let PeerPart::I2cEeprom { address, lines, .. } = peer.part else {
            return Err(ParamProblem::new(format!("`{}` is no I2C memory", peer.id)).at(params.peer.span(), "SPI"));
        };
        let master = bus_peer::master(around, &params.peer, "TWIM", &[("SDA", lines.sda), ("SCL", lines.scl)], &[])?;
        let pull_up = |line: &BusLine| {
            let name = format!("{}.{}.pull-up", master.bus, line.role);
            let spec = MeasurementSpec {
                name,
                unit: MeasurementUnit::Ohms,
                limits: params.pull_up.limits(),
                contacts: vec![line.contact],
            };
            (*line, spec)
        };
        let pull_ups: Vec<_> = master.lines.iter().map(pull_up).collect();
        let mut clocks: Vec<(u16, MeasurementSpec)> = Vec::new();
        for hertz in params.frequencies.get_ref() {
            let Some(kilohertz) = [100, 400].into_iter().find(|khz| f64::from(*khz) * 1e3 == hertz.get_ref().value())
            else {
                let text = format!("{} has no clock of {}", master.peripheral, hertz.get_ref());
                return Err(ParamProblem::new(text)
                    .at(hertz.span(), "no such clock")
                    .help("it has 100 kHz and 400 kHz"));
            };
            if clocks.iter().all(|(listed, _)| *listed != kilohertz) {
                let name = format!("{kilohertz}-khz.wrong-bits");
                clocks.push((kilohertz, master.spec(&name, MeasurementUnit::One, Limits::exactly(0.0))));
            }
        }
        if clocks.is_empty() {
            return Err(ParamProblem::new("no clock frequency is given").at(params.frequencies.span(), "empty"));
        }
        let specs = pull_ups.iter().map(|(_, spec)| spec).chain(clocks.iter().map(|(_, spec)| spec));
        Ok(Resolved {
            measurements: specs.cloned().collect(),
            coverage: master
                .lines
                .iter()
                .map(|line| Coverage { contact: line.contact, aspects: vec!["I2C", "held low"] })
                .collect(),
            uses: resource::list(&[resource::PORTS, resource::PEERS, resource::NAILS, resource::MEASURE_BUS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(I2cMemory { peer: peer.id.clone(), address, master, supply, pull_ups, clocks }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for I2cMemory {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        let supply = nest.supply_volts(&self.supply).await?;
        joined_to(nest, &self.peer, self.exercise(nest, log, supply)).await
    }
}

impl I2cMemory {
    async fn exercise(&self, nest: &Nest, log: &dyn StepLog, supply: f64) -> Result<(), StepError> {
        let float: PortSet = self.master.lines.iter().map(|line| line.port).collect();
        nest.vector(PortVector { float, ..Default::default() }).await?;
        self.look_at_rest(nest, log, supply).await?;
        let mut bad = Vec::new();
        for (n, (kilohertz, spec)) in self.clocks.iter().enumerate() {
            let place = FIRST_PAGE + PAGE * n as u16;
            let bytes = nonce::<BYTES>(nest, (*kilohertz).into());
            self.write(nest, log, *kilohertz, place, &bytes).await?;
            let read = self.read(nest, log, *kilohertz, place).await?;
            let bits = wrong_bits(&read, &bytes);
            log.measured(&spec.name, Some(f64::from(bits)));
            if bits > 0 {
                bad.push(format!("at {kilohertz} kHz"));
            }
        }
        if !bad.is_empty() {
            let Master { bus, peripheral, .. } = &self.master;
            let contacts = self.master.lines.iter().map(|line| line.contact).collect();
            let text =
                format!("{bus} ({peripheral}): bits are wrong {}, although the memory acknowledges", bad.join(", "));
            defect(log, contacts, text);
        }
        Ok(())
    }

    /// Measures levels and pull-ups of the idle bus.
    async fn look_at_rest(&self, nest: &Nest, log: &dyn StepLog, supply: f64) -> Result<(), StepError> {
        let mut held = Vec::new();
        for (line, spec) in &self.pull_ups {
            let at_rest = nest.bus.volts(line.contact).await?;
            let loaded = nest.bus.loaded_volts(line.contact, 0.0).await?;
            let ohms = divider(nest.bus.source_ohms(), at_rest - loaded, loaded);
            log.measured(&spec.name, Some(ohms));
            if at_rest < IDLE_SHARE * supply {
                held.push((line, at_rest));
            } else if judge(&spec.limits, Some(ohms)) != Verdict::Pass {
                let text = format!(
                    "{}: pulled up through {}, with the fixture's resistor: something on the module pulls too, or this \
                     resistor is wrong",
                    line.describe(nest, &self.master.bus),
                    MeasurementUnit::Ohms.show(ohms)
                );
                log.diagnosed(Diagnosis { defect: Defect::Leak, contacts: vec![line.contact], text });
            }
        }
        if held.is_empty() {
            return Ok(());
        }
        // With the memory disconnected and a kiloohm up: does the line rise now?
        nest.peers.disconnect_all().await?;
        let mut by_module = Vec::new();
        for (line, volts) in &held {
            let lifted = nest.bus.loaded_volts(line.contact, supply).await?;
            if lifted < IDLE_SHARE * supply {
                by_module.push(format!(
                    "{}: held low, {volts:.2} V: the bus is stuck",
                    line.describe(nest, &self.master.bus)
                ));
                log.diagnosed(Diagnosis {
                    defect: Defect::StuckLow,
                    contacts: vec![line.contact],
                    text: by_module.last().cloned().unwrap_or_default(),
                });
            }
        }
        let names: Vec<&str> = held.iter().map(|(line, _)| line.role).collect();
        Err(match by_module.is_empty() {
            false => StepError::Dut(by_module.join("; ")),
            true => StepError::Bench(format!(
                "{} holds {} low, or its pull-up is missing: check this part of the fixture and its switches",
                self.peer,
                names.join(" and ")
            )),
        })
    }

    async fn write(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        kilohertz: u16,
        place: u16,
        bytes: &[u8],
    ) -> Result<(), StepError> {
        let request = self.request(kilohertz, &[&place.to_be_bytes(), bytes].concat(), 0);
        match self.transfer(nest, request.clone()).await? {
            I2cOutcome::Done(_) => Ok(()),
            outcome => Err(self.find_line(nest, log, request, &outcome).await?),
        }
    }

    /// The part does not acknowledge while it writes.
    async fn read(&self, nest: &Nest, log: &dyn StepLog, kilohertz: u16, place: u16) -> Result<Vec<u8>, StepError> {
        let request = self.request(kilohertz, &place.to_be_bytes(), BYTES as u8);
        for _ in 0..LOOKS {
            nest.settle(LOOK).await;
            match self.transfer(nest, request.clone()).await? {
                I2cOutcome::Done(bytes) => return Ok(bytes.to_vec()),
                I2cOutcome::AddressNack => {}
                outcome => return Err(self.find_line(nest, log, request, &outcome).await?),
            }
        }
        Err(self.find_line(nest, log, request, &I2cOutcome::AddressNack).await?)
    }

    fn request(&self, kilohertz: u16, write: &[u8], read: u8) -> I2cMasterRequest {
        let [sda, scl] = std::array::from_fn(|n| self.master.lines[n].port);
        let write = write.iter().copied().collect();
        I2cMasterRequest { unit: self.master.unit, sda, scl, kilohertz, address: self.address, write, read }
    }

    async fn transfer(&self, nest: &Nest, request: I2cMasterRequest) -> Result<I2cOutcome, StepError> {
        match nest.ask(Request::I2cMaster(request)).await? {
            Reply::I2c(outcome) => Ok(outcome),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    /// Diagnoses a failed transfer.
    async fn find_line(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        request: I2cMasterRequest,
        outcome: &I2cOutcome,
    ) -> Result<StepError, StepError> {
        let Master { bus, peripheral, .. } = &self.master;
        let dead = |how: &str| {
            let text = format!("{peripheral} of the MCU, the master of {bus}, {how}: replace the module");
            defect(log, Vec::new(), text)
        };
        let defects = line_defects(nest, &self.master).await?;
        if !defects.is_empty() {
            let texts: Vec<String> = defects.iter().map(|defect| defect.text.clone()).collect();
            defects.into_iter().for_each(|defect| log.diagnosed(defect));
            return Ok(StepError::Dut(texts.join("; ")));
        }
        if let I2cOutcome::Stuck { sda_high: true, scl_high: true } = outcome {
            return Ok(dead("does not clock"));
        }
        nest.peers.connect(&self.peer).await?;
        let edges = EdgesSeen::during(nest, &self.master, Request::I2cMaster(request)).await?;
        let silent = edges.silent(&self.master, &["SDA", "SCL"]);
        Ok(match silent.as_slice() {
            [] => StepError::Bench(format!(
                "{} does not answer on {bus} ({outcome:?}), although both lines move: check this part of the fixture, its \
                 address and its supply",
                self.peer
            )),
            [line] => {
                let name = line.describe(nest, bus);
                let text = format!("{name}: {peripheral} does not drive it, but the plain port works");
                defect(log, vec![line.contact], text)
            }
            _ => dead("drives neither SDA nor SCL"),
        })
    }
}
