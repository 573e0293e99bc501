//! A probe driver for lines that the bench itself serves: the probe's thread sends requests, the owner of the lines
//! answers.
//!
//! `probe-rs` opens it through a separate lister, which has this one probe and does not scan USB: nests share nothing,
//! and a run finds the same probe on every machine.

use bench_instruments::{SwdAnswer, SwdFault, SwdOperation, SwdRegister};
use probe_rs::CoreStatus;
use probe_rs::architecture::arm::sequences::ArmDebugSequence;
use probe_rs::architecture::arm::{
    ArmCommunicationInterface, ArmDebugInterface, ArmError, DapError, DapProbe, RawDapAccess, RegisterAddress,
};
use probe_rs::probe::list::{Lister, ProbeListItem, ProbeLister};
use probe_rs::probe::{
    DebugProbe, DebugProbeError, DebugProbeInfo, DebugProbeSelector, Probe, ProbeCreationError, ProbeFactory,
    WireProtocol,
};
use std::fmt;
use std::sync::Arc;

/// Ids of pid.codes for tests: no product has them.
const VENDOR: u16 = 0x1209;
const PRODUCT: u16 = 0x0001;
const NAME: &str = "Virtual SWD probe";
const MOST_KHZ: u32 = 10_000;
/// Number of queued writes that are sent without waiting for a read: some pages.
const MOST_QUEUED: usize = 4096;
/// ABORT, and its bits that clear the sticky errors.
const ABORT: u8 = 0x0;
const CLEAR_ERRORS: u32 = 0x1E;

/// Requests operations at a clock rate and waits for their results; `None`: the lines are no longer served.
pub(crate) type Ask = Arc<dyn Fn(Vec<SwdOperation>, u32) -> Option<SwdAnswer> + Send + Sync>;

/// Creates a lister that finds only probes with these serial numbers, all of them at the same lines.
pub(crate) fn lister(serials: Vec<String>, ask: Ask) -> Lister {
    let lines = serials.into_iter().map(|serial| Lines { serial, ask: Arc::clone(&ask) }).collect();
    Lister::with_lister(Box::new(TheseProbes { lines }))
}

#[derive(Clone)]
struct Lines {
    serial: String,
    ask: Ask,
}

struct TheseProbes {
    lines: Vec<Lines>,
}

impl fmt::Debug for TheseProbes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lister of {NAME} {:?}", self.lines.iter().map(|lines| &lines.serial).collect::<Vec<_>>())
    }
}

impl ProbeLister for TheseProbes {
    fn open(&self, selector: &DebugProbeSelector) -> Result<Probe, DebugProbeError> {
        match self.lines.iter().find(|lines| selector.matches_probe(&info(&lines.serial))).cloned() {
            Some(lines) => Ok(Probe::new(WireProbe { lines, khz: 1000, queue: Vec::new() })),
            None => not_found(),
        }
    }

    fn list_with_access(&self, selector: Option<&DebugProbeSelector>) -> Vec<ProbeListItem> {
        let infos = self.lines.iter().map(|lines| info(&lines.serial));
        infos
            .filter(|info| selector.is_none_or(|selector| selector.matches_probe(info)))
            .map(ProbeListItem::accessible)
            .collect()
    }
}

fn not_found<T>() -> Result<T, DebugProbeError> {
    Err(DebugProbeError::ProbeCouldNotBeCreated(ProbeCreationError::NotFound))
}

/// Only names the kind: the lister opens the probe.
#[derive(Debug)]
struct WireFactory;

impl fmt::Display for WireFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl ProbeFactory for WireFactory {
    fn open(&self, _: &DebugProbeSelector) -> Result<Box<dyn DebugProbe>, DebugProbeError> {
        not_found()
    }

    fn list_probes(&self) -> Vec<ProbeListItem> {
        Vec::new()
    }
}

fn info(serial: &str) -> DebugProbeInfo {
    info_of(VENDOR, PRODUCT, None, Some(serial))
}

fn info_of(vendor: u16, product: u16, interface: Option<u8>, serial: Option<&str>) -> DebugProbeInfo {
    DebugProbeInfo::new(NAME, vendor, product, serial.map(str::to_owned), &WireFactory, interface, false)
}

/// A lister of these probes, none of which can be opened.
#[cfg(test)]
pub(crate) fn closed_probes(probes: &[(u16, u16, Option<u8>, Option<&str>)]) -> Lister {
    let info = |(vendor, product, interface, serial): &(u16, u16, Option<u8>, Option<&str>)| {
        info_of(*vendor, *product, *interface, *serial)
    };
    Lister::with_lister(Box::new(Closed(probes.iter().map(info).collect())))
}

#[cfg(test)]
#[derive(Debug)]
struct Closed(Vec<DebugProbeInfo>);

#[cfg(test)]
impl ProbeLister for Closed {
    fn open(&self, _: &DebugProbeSelector) -> Result<Probe, DebugProbeError> {
        not_found()
    }
    fn list_with_access(&self, _: Option<&DebugProbeSelector>) -> Vec<ProbeListItem> {
        self.0.iter().cloned().map(ProbeListItem::accessible).collect()
    }
}

struct WireProbe {
    lines: Lines,
    khz: u32,
    /// Queued writes.
    queue: Vec<SwdOperation>,
}

impl fmt::Debug for WireProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME} {}", self.lines.serial)
    }
}

impl WireProbe {
    /// Sends what is queued, and waits. A fault is cleared, so that the next access works again.
    fn flush(&mut self) -> Result<Vec<u32>, ArmError> {
        let queue = std::mem::take(&mut self.queue);
        if queue.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.ask(queue)?;
        match answer.fault {
            None => Ok(answer.read),
            Some(SwdFault::NoAnswer) => Err(DapError::NoAcknowledge.into()),
            Some(SwdFault::Fault) => {
                self.ask(vec![write(SwdRegister::Dp(ABORT), vec![CLEAR_ERRORS])])?;
                Err(DapError::FaultResponse.into())
            }
        }
    }

    fn ask(&self, operations: Vec<SwdOperation>) -> Result<SwdAnswer, DebugProbeError> {
        let gone = || DebugProbeError::Other("the lines are no longer served".to_owned());
        (self.lines.ask)(operations, self.khz.saturating_mul(1000)).ok_or_else(gone)
    }

    fn queue(&mut self, operation: SwdOperation) -> Result<(), ArmError> {
        self.queue.push(operation);
        if self.queue.len() < MOST_QUEUED { Ok(()) } else { self.flush().map(drop) }
    }
}

fn register(address: RegisterAddress) -> SwdRegister {
    match address {
        RegisterAddress::DpRegister(_) => SwdRegister::Dp(address.lsb()),
        RegisterAddress::ApRegister(address) => SwdRegister::Ap(address),
    }
}

fn write(register: SwdRegister, values: Vec<u32>) -> SwdOperation {
    SwdOperation::Write { register, values }
}

fn not_swd(what: &'static str) -> DebugProbeError {
    DebugProbeError::InterfaceNotAvailable { interface_name: what }
}

impl RawDapAccess for WireProbe {
    fn raw_read_register(&mut self, address: RegisterAddress) -> Result<u32, ArmError> {
        let mut value = [0];
        self.raw_read_block(address, &mut value)?;
        Ok(value[0])
    }

    fn raw_read_block(&mut self, address: RegisterAddress, values: &mut [u32]) -> Result<(), ArmError> {
        self.queue.push(SwdOperation::Read { register: register(address), times: values.len() });
        let read = self.flush()?;
        if read.len() != values.len() {
            return Err(DapError::Protocol(WireProtocol::Swd).into());
        }
        values.copy_from_slice(&read);
        Ok(())
    }

    fn raw_write_register(&mut self, address: RegisterAddress, value: u32) -> Result<(), ArmError> {
        self.raw_write_block(address, &[value])
    }

    fn raw_write_block(&mut self, address: RegisterAddress, values: &[u32]) -> Result<(), ArmError> {
        self.queue(write(register(address), values.to_vec()))
    }

    fn raw_flush(&mut self) -> Result<(), ArmError> {
        self.flush().map(drop)
    }

    fn jtag_sequence(&mut self, _: u8, _: bool, _: u64) -> Result<(), DebugProbeError> {
        Err(not_swd("JTAG"))
    }

    fn swj_sequence(&mut self, bit_len: u8, bits: u64) -> Result<(), DebugProbeError> {
        self.queue.push(SwdOperation::Sequence { bits, length: bit_len });
        Ok(())
    }

    fn swj_pins(&mut self, _: u32, _: u32, _: u32) -> Result<u32, DebugProbeError> {
        // The fixture controls the reset pad.
        Err(DebugProbeError::CommandNotSupportedByProbe { command_name: "swj_pins" })
    }

    fn into_probe(self: Box<Self>) -> Box<dyn DebugProbe> {
        self
    }

    fn core_status_notification(&mut self, _: CoreStatus) -> Result<(), DebugProbeError> {
        Ok(())
    }
}

impl DapProbe for WireProbe {}

impl DebugProbe for WireProbe {
    fn get_name(&self) -> &str {
        NAME
    }

    fn speed_khz(&self) -> u32 {
        self.khz
    }

    fn set_speed(&mut self, speed_khz: u32) -> Result<u32, DebugProbeError> {
        if speed_khz == 0 {
            return Err(DebugProbeError::UnsupportedSpeed(speed_khz));
        }
        self.khz = speed_khz.min(MOST_KHZ);
        Ok(self.khz)
    }

    fn attach(&mut self) -> Result<(), DebugProbeError> {
        Ok(())
    }

    fn detach(&mut self) -> Result<(), probe_rs::Error> {
        Ok(())
    }

    fn target_reset(&mut self) -> Result<(), DebugProbeError> {
        Err(DebugProbeError::CommandNotSupportedByProbe { command_name: "target_reset" })
    }

    fn target_reset_assert(&mut self) -> Result<(), DebugProbeError> {
        Err(DebugProbeError::CommandNotSupportedByProbe { command_name: "target_reset_assert" })
    }

    fn target_reset_deassert(&mut self) -> Result<(), DebugProbeError> {
        Err(DebugProbeError::CommandNotSupportedByProbe { command_name: "target_reset_deassert" })
    }

    fn select_protocol(&mut self, protocol: WireProtocol) -> Result<(), DebugProbeError> {
        match protocol {
            WireProtocol::Swd => Ok(()),
            WireProtocol::Jtag => Err(DebugProbeError::UnsupportedProtocol(protocol)),
        }
    }

    fn active_protocol(&self) -> Option<WireProtocol> {
        Some(WireProtocol::Swd)
    }

    fn has_arm_interface(&self) -> bool {
        true
    }

    fn try_get_arm_debug_interface<'probe>(
        self: Box<Self>,
        sequence: Arc<dyn ArmDebugSequence>,
    ) -> Result<Box<dyn ArmDebugInterface + 'probe>, (Box<dyn DebugProbe>, ArmError)> {
        Ok(ArmCommunicationInterface::create(self, sequence, false))
    }

    fn into_probe(self: Box<Self>) -> Box<dyn DebugProbe> {
        self
    }

    fn try_as_dap_probe(&mut self) -> Option<&mut dyn DapProbe> {
        Some(self)
    }
}
