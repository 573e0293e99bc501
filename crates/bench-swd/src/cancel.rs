//! Cancels the work of a probe's thread: after the cancellation, no transfer reaches the module.
//!
//! `probe-rs` cannot be interrupted. A probe that it drives register by register (CMSIS-DAP, J-Link, Glasgow, the
//! bench's own lines) is therefore wrapped, and the wrapper refuses each transfer once the job is cancelled. Other
//! probes (ST-Link, Black Magic Probe) run their own commands; with those the job ends at its next page or word.

use bench_instruments::ProgramError;
use probe_rs::CoreStatus;
use probe_rs::architecture::arm::sequences::ArmDebugSequence;
use probe_rs::architecture::arm::{
    ArmCommunicationInterface, ArmDebugInterface, ArmError, DapProbe, RawDapAccess, RegisterAddress,
};
use probe_rs::probe::jlink::JLink;
use probe_rs::probe::list::{Lister, ProbeListItem, ProbeLister};
use probe_rs::probe::{DebugProbe, DebugProbeError, DebugProbeSelector, Probe, WireProtocol};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a job has been cancelled. Clones belong to the same job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// # Errors
    /// The job has been cancelled.
    pub fn check(&self) -> Result<(), ProgramError> {
        if self.is_cancelled() { Err(ProgramError::Broken(CANCELLED.to_owned())) } else { Ok(()) }
    }

    fn check_probe(&self) -> Result<(), DebugProbeError> {
        if self.is_cancelled() { Err(DebugProbeError::Other(CANCELLED.to_owned())) } else { Ok(()) }
    }
}

const CANCELLED: &str = "the job was cancelled";

/// A lister whose probes refuse each transfer once the job is cancelled.
pub(crate) fn cancellable(lister: Lister, cancel: Cancel) -> Lister {
    Lister::with_lister(Box::new(CancellableLister { lister, cancel }))
}

#[derive(Debug)]
struct CancellableLister {
    lister: Lister,
    cancel: Cancel,
}

impl ProbeLister for CancellableLister {
    fn open(&self, selector: &DebugProbeSelector) -> Result<Probe, DebugProbeError> {
        self.cancel.check_probe()?;
        let mut probe = self.lister.open(selector.clone())?;
        if probe.try_as_dap_probe().is_none() {
            return Ok(probe);
        }
        let name = probe.get_name();
        // Checks that each driver normally makes itself: `probe-rs` calls the wrapper, not the driver.
        let overrun_detect = Probe::try_into::<JLink>(&mut probe).is_some();
        Ok(Probe::new(CancellableProbe { probe, name, overrun_detect, cancel: self.cancel.clone() }))
    }

    fn list_with_access(&self, selector: Option<&DebugProbeSelector>) -> Vec<ProbeListItem> {
        self.lister.list_with_access(selector)
    }
}

#[derive(Debug)]
struct CancellableProbe {
    probe: Probe,
    name: String,
    overrun_detect: bool,
    cancel: Cancel,
}

impl CancellableProbe {
    /// Returns the wrapped probe for a transfer.
    fn lines(&mut self) -> Result<&mut dyn DapProbe, DebugProbeError> {
        self.cancel.check_probe()?;
        self.probe.try_as_dap_probe().ok_or(DebugProbeError::InterfaceNotAvailable { interface_name: "SWD" })
    }
}

impl RawDapAccess for CancellableProbe {
    fn raw_read_register(&mut self, address: RegisterAddress) -> Result<u32, ArmError> {
        self.lines()?.raw_read_register(address)
    }

    fn raw_read_block(&mut self, address: RegisterAddress, values: &mut [u32]) -> Result<(), ArmError> {
        self.lines()?.raw_read_block(address, values)
    }

    fn raw_write_register(&mut self, address: RegisterAddress, value: u32) -> Result<(), ArmError> {
        self.lines()?.raw_write_register(address, value)
    }

    fn raw_write_block(&mut self, address: RegisterAddress, values: &[u32]) -> Result<(), ArmError> {
        self.lines()?.raw_write_block(address, values)
    }

    fn raw_flush(&mut self) -> Result<(), ArmError> {
        self.lines()?.raw_flush()
    }

    fn configure_jtag(&mut self, skip_scan: bool) -> Result<(), DebugProbeError> {
        self.lines()?.configure_jtag(skip_scan)
    }

    fn jtag_sequence(&mut self, cycles: u8, tms: bool, tdi: u64) -> Result<(), DebugProbeError> {
        self.lines()?.jtag_sequence(cycles, tms, tdi)
    }

    fn swj_sequence(&mut self, bit_len: u8, bits: u64) -> Result<(), DebugProbeError> {
        self.lines()?.swj_sequence(bit_len, bits)
    }

    fn swj_pins(&mut self, pin_out: u32, pin_select: u32, pin_wait: u32) -> Result<u32, DebugProbeError> {
        self.lines()?.swj_pins(pin_out, pin_select, pin_wait)
    }

    fn into_probe(self: Box<Self>) -> Box<dyn DebugProbe> {
        self
    }

    fn core_status_notification(&mut self, state: CoreStatus) -> Result<(), DebugProbeError> {
        self.lines()?.core_status_notification(state)
    }
}

impl DapProbe for CancellableProbe {}

impl DebugProbe for CancellableProbe {
    fn get_name(&self) -> &str {
        &self.name
    }

    fn speed_khz(&self) -> u32 {
        self.probe.speed_khz()
    }

    fn set_speed(&mut self, speed_khz: u32) -> Result<u32, DebugProbeError> {
        self.probe.set_speed(speed_khz)
    }

    fn attach(&mut self) -> Result<(), DebugProbeError> {
        self.cancel.check_probe()?;
        self.probe.attach_to_unspecified().map_err(|error| match error {
            probe_rs::Error::Probe(error) => error,
            error => DebugProbeError::Other(error.to_string()),
        })
    }

    // Releases the lines, also after a cancellation.
    fn detach(&mut self) -> Result<(), probe_rs::Error> {
        self.probe.detach()
    }

    fn target_reset(&mut self) -> Result<(), DebugProbeError> {
        self.cancel.check_probe()?;
        self.probe.target_reset()
    }

    fn target_reset_assert(&mut self) -> Result<(), DebugProbeError> {
        self.cancel.check_probe()?;
        self.probe.target_reset_assert()
    }

    fn target_reset_deassert(&mut self) -> Result<(), DebugProbeError> {
        self.probe.target_reset_deassert()
    }

    fn select_protocol(&mut self, protocol: WireProtocol) -> Result<(), DebugProbeError> {
        self.probe.select_protocol(protocol)
    }

    fn active_protocol(&self) -> Option<WireProtocol> {
        self.probe.protocol()
    }

    fn has_arm_interface(&self) -> bool {
        self.probe.has_arm_debug_interface()
    }

    fn try_get_arm_debug_interface<'probe>(
        self: Box<Self>,
        sequence: Arc<dyn ArmDebugSequence>,
    ) -> Result<Box<dyn ArmDebugInterface + 'probe>, (Box<dyn DebugProbe>, ArmError)> {
        let overrun_detect = self.overrun_detect;
        Ok(ArmCommunicationInterface::create(self, sequence, overrun_detect))
    }

    fn into_probe(self: Box<Self>) -> Box<dyn DebugProbe> {
        self
    }

    fn try_as_dap_probe(&mut self) -> Option<&mut dyn DapProbe> {
        Some(self)
    }

    fn get_target_voltage(&mut self) -> Result<Option<f32>, DebugProbeError> {
        self.probe.get_target_voltage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;
    use bench_instruments::{SwdAnswer, SwdOperation};
    use probe_rs::architecture::arm::dp::DpRegisterAddress;
    use std::sync::atomic::AtomicUsize;

    const REGISTER: RegisterAddress = RegisterAddress::DpRegister(DpRegisterAddress { address: 0, bank: None });

    type Transfer = fn(&mut dyn DapProbe) -> Result<(), ArmError>;

    /// Everything that `probe-rs` can do on the lines, and the number of requests it causes: writes wait for the next
    /// read or flush.
    const TRANSFERS: &[(&str, Transfer, usize)] = &[
        ("read", |lines| lines.raw_read_register(REGISTER).map(drop), 1),
        ("read block", |lines| lines.raw_read_block(REGISTER, &mut [0; 3]), 1),
        ("write", |lines| lines.raw_write_register(REGISTER, 1).and_then(|()| lines.raw_flush()), 1),
        ("write block", |lines| lines.raw_write_block(REGISTER, &[1, 2]).and_then(|()| lines.raw_flush()), 1),
        ("write more than is queued", |lines| (0..5000).try_for_each(|_| lines.raw_write_register(REGISTER, 1)), 1),
        ("sequence", |lines| Ok(lines.swj_sequence(51, u64::MAX)?), 0),
    ];

    /// A probe on lines that count requests, opened as a job opens it.
    fn probe() -> (Probe, Cancel, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let ask: wire::Ask = Arc::new(move |operations, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            let read = operations.iter().map(|operation| match operation {
                SwdOperation::Read { times, .. } => *times,
                _ => 0,
            });
            Some(SwdAnswer { read: vec![0; read.sum()], fault: None })
        });
        let cancel = Cancel::default();
        let lister = cancellable(wire::lister(vec!["1".to_owned()], ask), cancel.clone());
        let probes = lister.list_all();
        (lister.open(&probes[0]).unwrap(), cancel, asked)
    }

    #[test]
    fn no_transfer_reaches_the_module_after_cancellation() {
        for (what, transfer, asks) in TRANSFERS {
            let (mut probe, cancel, asked) = probe();
            transfer(probe.try_as_dap_probe().unwrap()).unwrap();
            assert_eq!(asked.load(Ordering::Relaxed), *asks, "{what}");
            cancel.cancel();
            let refused = transfer(probe.try_as_dap_probe().unwrap());
            assert!(refused.is_err(), "{what}");
            assert_eq!(asked.load(Ordering::Relaxed), *asks, "{what}");
        }
    }

    #[test]
    fn queued_writes_are_dropped_when_a_cancelled_probe_is_released() {
        let (mut probe, cancel, asked) = probe();
        probe.attach_to_unspecified().unwrap();
        probe.try_as_dap_probe().unwrap().raw_write_register(REGISTER, 1).unwrap();
        cancel.cancel();
        let sequence = probe_rs::architecture::arm::sequences::DefaultArmSequence::create();
        let interface = probe.try_into_arm_debug_interface(sequence).map_err(|(_, error)| error).unwrap();
        drop(interface);
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_cancelled_job_opens_no_probe() {
        let (_, cancel, asked) = probe();
        cancel.cancel();
        let ask: wire::Ask = Arc::new(|_, _| None);
        let lister = cancellable(wire::lister(vec!["1".to_owned()], ask), cancel);
        let probes = lister.list_all();
        assert!(lister.open(&probes[0]).is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 0);
    }
}
