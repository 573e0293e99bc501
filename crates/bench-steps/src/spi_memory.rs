//! `spi-memory`: an SPI master of the module writes to an F-RAM of the fixture and reads back, in every mode and at every
//! clock of the plan.
//!
//! The part works in modes 0 and 3: it samples at the rising edge of the clock and changes its output at the falling
//! one. In mode 1 the master changes MOSI at the edge at which the part samples, and holds the old level for longer (20
//! ns) than the part needs (5 ns). The part therefore receives everything one bit late, so it is sent one bit early. In
//! mode 2 it receives the right bits in the same way. What was written in these modes is read back in mode 0. This
//! tests CPOL in mode 3 and CPHA in mode 1; the sampling of MISO is tested in modes 0 and 3 only.

use crate::bus_peer::{self, EdgesSeen, Master, defect, joined_to, line_defects, nonce, wrong_bits};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resolve};
use async_trait::async_trait;
use bench_instruments::DutError;
use bench_plan::{Coverage, Hertz, ParamProblem, PeerPart, Quantity, Resolved, Spanned, Surroundings};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::check::SPI_KILOHERTZ;
use dut_protocol::{Refusal, Reply, Request, SpiMasterRequest, SpiRequest};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Memory of the fixture; its lines select the bus.
    #[schemars(with = "String")]
    peer: Spanned<String>,
    /// SPI modes; all four when left out.
    #[serde(default = "all_modes")]
    #[schemars(with = "Vec<u8>", length(min = 1), inner(range(max = 3)))]
    modes: Spanned<Vec<u8>>,
    /// Clocks for writing and reading, in mode 0.
    #[schemars(with = "Vec<Hertz>", length(min = 1))]
    frequencies: Spanned<Vec<Spanned<Hertz>>>,
    /// The rail that supplies the ports.
    #[schemars(with = "String")]
    supply: Spanned<String>,
}

fn all_modes() -> Spanned<Vec<u8>> {
    Spanned::new(0..0, vec![0, 1, 2, 3])
}

pub struct SpiMemory {
    peer: String,
    master: Master,
    supply: String,
    id: MeasurementSpec,
    modes: Vec<(u8, MeasurementSpec)>,
    /// In kilohertz.
    clocks: Vec<(u16, MeasurementSpec)>,
}

/// FM25V02A (its data sheet): continuation codes, maker, family and density, revision.
const ID: [u8; 9] = [0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0xC2, 0x22, 0x08];
const WRITE_ENABLE: u8 = 0x06;
const WRITE: u8 = 0x02;
const READ: u8 = 0x03;
const READ_ID: u8 = 0x9F;
/// Address and length of the written block.
const PLACE: u16 = 0x0100;
const BYTES: usize = 16;
/// Clock for the test of modes: these concern the edges, not the speed.
const CALM_KILOHERTZ: u16 = 1_000;
const MOSI: &str = "MOSI";
const SCK: &str = "SCK";

impl Kind for SpiMemory {
    const NAME: &'static str = "spi-memory";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let peer = bus_peer::peer(around.fixture, &params.peer)?;
        let PeerPart::SpiFram { lines } = peer.part else {
            return Err(ParamProblem::new(format!("`{}` is no SPI memory", peer.id)).at(params.peer.span(), "I2C"));
        };
        let roles = [(SCK, lines.sck), (MOSI, lines.mosi), ("MISO", lines.miso)];
        let master = bus_peer::master(around, &params.peer, "SPIM", &roles, &[("SS", lines.ss)])?;
        let none = Limits::exactly(0.0);
        let mut modes = Vec::new();
        for &mode in params.modes.get_ref() {
            if mode > 3 || modes.iter().any(|(listed, _)| *listed == mode) {
                let text = format!("{mode} is not an SPI mode, or is listed twice");
                return Err(ParamProblem::new(text).at(params.modes.span(), "expected some of 0, 1, 2, 3"));
            }
            modes.push((mode, master.spec(&format!("mode-{mode}.wrong-bits"), MeasurementUnit::One, none)));
        }
        let mut clocks: Vec<(u16, MeasurementSpec)> = Vec::new();
        for hertz in params.frequencies.get_ref() {
            let kilohertz = clock(hertz, &master)?;
            if clocks.iter().all(|(listed, _)| *listed != kilohertz) {
                clocks
                    .push((kilohertz, master.spec(&format!("{kilohertz}-khz.wrong-bits"), MeasurementUnit::One, none)));
            }
        }
        if clocks.is_empty() {
            return Err(ParamProblem::new("no clock frequency is given").at(params.frequencies.span(), "empty"));
        }
        let id = master.spec("id-matches", MeasurementUnit::One, Limits::exactly(1.0));
        let specs =
            [&id].into_iter().chain(modes.iter().map(|(_, spec)| spec)).chain(clocks.iter().map(|(_, spec)| spec));
        Ok(Resolved {
            measurements: specs.cloned().collect(),
            coverage: master
                .lines
                .iter()
                .map(|line| Coverage { contact: line.contact, aspects: vec!["SPI"] })
                .collect(),
            uses: resource::list(&[resource::PORTS, resource::PEERS, resource::NAILS, resource::MEASURE_BUS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(SpiMemory { peer: peer.id.clone(), master, supply, id, modes, clocks }),
        })
    }
}

/// Checks that the master has this clock.
fn clock(hertz: &Spanned<Hertz>, master: &Master) -> Result<u16, ParamProblem> {
    let fast = [16_000, 32_000].into_iter().filter(|_| master.unit == 3);
    let available: Vec<u16> = SPI_KILOHERTZ
        .into_iter()
        .chain(fast)
        .filter(|kilohertz| master.max_hz.is_none_or(|most| u32::from(*kilohertz) * 1_000 <= most))
        .collect();
    let wanted = hertz.get_ref().value();
    available.iter().copied().find(|kilohertz| f64::from(*kilohertz) * 1e3 == wanted).ok_or_else(|| {
        let available: Vec<String> = available.iter().map(ToString::to_string).collect();
        ParamProblem::new(format!("{} has no clock of {}", master.peripheral, MeasurementUnit::Hertz.show(wanted)))
            .at(hertz.span(), "no such clock")
            .help(format!("it has {} kHz", available.join(", ")))
    })
}

#[async_trait(?Send)]
impl Procedure for SpiMemory {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        nest.supply_volts(&self.supply).await?;
        joined_to(nest, &self.peer, self.exercise(nest, log)).await
    }
}

impl SpiMemory {
    async fn exercise(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let id = self.transfer(nest, log, 0, CALM_KILOHERTZ, &[READ_ID], ID.len()).await?;
        log.measured(&self.id.name, Some(f64::from(u8::from(id == ID))));
        if id != ID {
            return Err(self.find_line(nest, log, &id).await?);
        }
        let held = self.read(nest, log, 0, CALM_KILOHERTZ).await?;
        let mut bad = Vec::new();
        for (mode, spec) in &self.modes {
            let bits = self.in_mode(nest, log, *mode).await?;
            log.measured(&spec.name, Some(f64::from(bits)));
            if bits > 0 {
                bad.push(format!("in mode {mode}"));
            }
        }
        for (kilohertz, spec) in &self.clocks {
            let bytes = nonce::<BYTES>(nest, (*kilohertz).into());
            self.write(nest, log, 0, *kilohertz, &bytes).await?;
            let bits = wrong_bits(&self.read(nest, log, 0, *kilohertz).await?, &bytes);
            log.measured(&spec.name, Some(f64::from(bits)));
            if bits > 0 {
                bad.push(format!("at {}", MeasurementUnit::Hertz.show(f64::from(*kilohertz) * 1e3)));
            }
        }
        self.write(nest, log, 0, CALM_KILOHERTZ, &held).await?;
        if !bad.is_empty() {
            let text = format!(
                "{} ({}): bits are wrong {}, although the memory answers with its id",
                self.master.bus,
                self.master.peripheral,
                bad.join(", ")
            );
            let contacts = self.master.lines.iter().map(|line| line.contact).collect();
            defect(log, contacts, text);
        }
        Ok(())
    }

    /// Wrong bits of what is written in this mode; in modes 0 and 3 also of what is read in it.
    async fn in_mode(&self, nest: &Nest, log: &dyn StepLog, mode: u8) -> Result<u32, StepError> {
        let bytes = nonce::<BYTES>(nest, mode.into());
        self.write(nest, log, mode, CALM_KILOHERTZ, &bytes).await?;
        let mut bits = wrong_bits(&self.read(nest, log, 0, CALM_KILOHERTZ).await?, &bytes);
        if mode == 3 {
            bits += wrong_bits(&self.read(nest, log, mode, CALM_KILOHERTZ).await?, &bytes);
        }
        Ok(bits)
    }

    async fn write(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        mode: u8,
        kilohertz: u16,
        bytes: &[u8],
    ) -> Result<(), StepError> {
        let [high, low] = PLACE.to_be_bytes();
        for command in [vec![WRITE_ENABLE], [&[WRITE, high, low], bytes].concat()] {
            let sent = if mode == 1 { one_bit_early(&command) } else { command };
            self.transfer(nest, log, mode, kilohertz, &sent, 0).await?;
        }
        Ok(())
    }

    async fn read(&self, nest: &Nest, log: &dyn StepLog, mode: u8, kilohertz: u16) -> Result<Vec<u8>, StepError> {
        let [high, low] = PLACE.to_be_bytes();
        self.transfer(nest, log, mode, kilohertz, &[READ, high, low], BYTES).await
    }

    fn request(&self, mode: u8, kilohertz: u16, write: &[u8], read: usize) -> SpiMasterRequest {
        let [sck, mosi, miso, chip_select] = self.ports();
        let write = write.iter().copied().collect();
        SpiMasterRequest {
            unit: self.master.unit,
            sck,
            mosi,
            miso,
            chip_select,
            mode,
            kilohertz,
            write,
            read: read as u8,
        }
    }

    /// SCK, MOSI, MISO, SS, in the order in which they were resolved.
    fn ports(&self) -> [dut_protocol::Port; 4] {
        let lines = &self.master.lines;
        std::array::from_fn(|n| lines[n].port)
    }

    async fn transfer(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        mode: u8,
        kilohertz: u16,
        write: &[u8],
        read: usize,
    ) -> Result<Vec<u8>, StepError> {
        let request = Request::SpiMaster(self.request(mode, kilohertz, write, read));
        match nest.request(request).await {
            Ok(Reply::Bytes(bytes)) if bytes.len() == read => Ok(bytes.to_vec()),
            Ok(other) => Err(DutError::OutOfTurn(other).into()),
            Err(DutError::Refused(Refusal::NotRunning)) => {
                let Master { bus, peripheral, .. } = &self.master;
                let text = format!("{peripheral} of the MCU, the master of {bus}, does not clock: replace the module");
                Err(defect(log, Vec::new(), text))
            }
            Err(error) => Err(nest.silent(error).await),
        }
    }

    /// Diagnoses a memory that did not answer correctly.
    async fn find_line(&self, nest: &Nest, log: &dyn StepLog, id: &[u8]) -> Result<StepError, StepError> {
        let Master { bus, peripheral, .. } = &self.master;
        let defects = line_defects(nest, &self.master).await?;
        if !defects.is_empty() {
            let texts: Vec<String> = defects.iter().map(|defect| defect.text.clone()).collect();
            defects.into_iter().for_each(|defect| log.diagnosed(defect));
            return Ok(StepError::Dut(texts.join("; ")));
        }
        nest.peers.connect(&self.peer).await?;
        let [sck, mosi, miso, chip_select] = self.ports();
        let write = [READ_ID].into_iter().collect();
        let by_software = SpiRequest { sck, mosi, miso, chip_select, write, read: ID.len() as u8 };
        match nest.ask(Request::SpiTransfer(by_software)).await? {
            Reply::Bytes(bytes) if bytes == ID => {}
            Reply::Bytes(bytes) => {
                return Ok(StepError::Bench(format!(
                    "{} answers with id {bytes:02x?} instead of {ID:02x?}, although every line of {bus} carries levels both \
                     ways: check this part of the fixture, its switches and its supply",
                    self.peer
                )));
            }
            other => return Err(DutError::OutOfTurn(other).into()),
        }
        let transfer = Request::SpiMaster(self.request(0, CALM_KILOHERTZ, &[READ_ID], ID.len()));
        let edges = EdgesSeen::during(nest, &self.master, transfer).await?;
        let silent = edges.silent(&self.master, &[SCK, MOSI]);
        let line_defect = |lines: &[&bus_peer::BusLine], what: &str| {
            let contacts = lines.iter().map(|line| line.contact).collect();
            let names: Vec<String> = lines.iter().map(|line| line.describe(nest, bus)).collect();
            defect(log, contacts, format!("{}: {what}", names.join("; ")))
        };
        Ok(if !silent.is_empty() {
            line_defect(&silent, &format!("{peripheral} does not drive it, but the plain port works"))
        } else {
            let miso: Vec<&bus_peer::BusLine> = self.master.lines.iter().filter(|line| line.role == "MISO").collect();
            line_defect(&miso, &format!("{peripheral} reads {id:02x?} there, but the plain port reads the memory"))
        })
    }
}

/// Shifts all bits one place earlier. The part receives the first one before anything is sent, so it is lost and must
/// be 0.
fn one_bit_early(bytes: &[u8]) -> Vec<u8> {
    let next = bytes.iter().skip(1).chain([&0]);
    bytes.iter().zip(next).map(|(byte, next)| byte << 1 | next >> 7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_a_bit_late_is_sent_a_bit_early() {
        for (sent, heard_late) in [(&[0x0C][..], &[0x06][..]), (&[0x04, 0x03, 0xFE], &[0x02, 0x01, 0xFF])] {
            assert_eq!(one_bit_early(heard_late), sent);
        }
    }
}
