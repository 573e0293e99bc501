//! Does actions, one after the other, and takes back at the end what they left.

use super::read::{Action, PortState, Transfer, hex};
use crate::bus_peer::BusLine;
use crate::diagnose::short::charged_ohms;
use crate::signal::Signal;
use crate::{Nest, StepError, adc, modem, restart};
use bench_instruments::{BleAir, DutError, OPEN_OHMS};
use bench_run::MeasurementUnit;
use dut_protocol::{
    BLE_COMPANY, I2cMasterRequest, I2cOutcome, INITIAL_BAUD, PortSet, PortVector, PwmOutput, PwmRequest, Refusal,
    Reply, Request, SpiMasterRequest,
};
use std::fmt::Write as _;
use std::time::Duration;

/// What an action came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Done {
    /// In the base unit.
    pub value: Option<f64>,
    pub unit: Option<MeasurementUnit>,
    /// What was answered, in words.
    pub text: Option<String>,
    pub bytes: Option<Vec<u8>>,
}

impl Done {
    fn reading(value: f64, unit: MeasurementUnit) -> Self {
        Self { value: Some(value), unit: Some(unit), ..Self::default() }
    }

    fn level(high: bool) -> Self {
        Self::reading(f64::from(u8::from(high)), MeasurementUnit::One)
    }

    fn of_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes: Some(bytes.clone()), ..Self::reading(number(&bytes), MeasurementUnit::One) }
    }

    /// The action with what it came to: "measure volts at 23 (A0): 1.653 V".
    pub fn describe(&self, what: &str) -> String {
        let shown = self.show();
        if shown.is_empty() { what.to_owned() } else { format!("{what}: {shown}") }
    }

    /// "1.653 V", "9f 00"; nothing for an action that returns nothing.
    pub fn show(&self) -> String {
        let mut shown = match (self.value, self.unit) {
            (Some(value), Some(MeasurementUnit::Ohms)) if value >= OPEN_OHMS => {
                format!("open, {} or more", MeasurementUnit::Ohms.show(OPEN_OHMS))
            }
            (Some(value), Some(unit)) if self.bytes.is_none() => unit.show(value),
            _ => String::new(),
        };
        if let Some(bytes) = &self.bytes {
            shown = if bytes.is_empty() { "no bytes".to_owned() } else { hex(bytes) };
        }
        if let Some(text) = self.text.as_ref().filter(|text| !text.is_empty()) {
            let _ = write!(shown, "{}{text}", if shown.is_empty() { "" } else { ": " });
        }
        shown
    }
}

/// The first bytes as one number, the highest first: as many as a reading holds exactly.
fn number(bytes: &[u8]) -> f64 {
    const MOST: usize = 6;
    bytes.iter().take(MOST).fold(0.0, |number, byte| number * 256.0 + f64::from(*byte))
}

/// Time for a port to reach its level.
const PORT_SETTLES_US: u16 = 100;
/// Between two advertisements.
const ADVERTISE_EVERY: Duration = Duration::from_millis(100);

/// Does the actions of one step.
#[derive(Default)]
pub struct Worker {
    link_is_joined: bool,
    /// The module got its supply since it was last greeted.
    is_fresh: bool,
    used: Used,
}

/// What has to be taken back.
#[derive(Default)]
struct Used {
    nails: bool,
    bus: bool,
    peers: bool,
    ports: PortSet,
    pwm: bool,
    ble: bool,
    nfc: bool,
}

impl Worker {
    /// Does an action. `say` gets what is spoken with the modem.
    ///
    /// # Errors
    /// Those of a step: [`StepError::Dut`] where the module is at fault.
    pub async fn perform(&mut self, nest: &Nest, action: &Action, say: &dyn Fn(String)) -> Result<Done, StepError> {
        let volts = |value| Done::reading(value, MeasurementUnit::Volts);
        match action {
            Action::Rail { rail, on } => self.switch(nest, rail, *on).await.map(|()| Done::default()),
            Action::Drive { contact, high } => {
                self.used.nails = true;
                nest.drive_nail(*contact, *high).await.map(|()| Done::default())
            }
            Action::Release { contact: Some(contact) } => nest.release_nail(*contact).await.map(|()| Done::default()),
            Action::Release { contact: None } => Ok(nest.nails.release_all().await.map(|()| Done::default())?),
            Action::Read { contact } => Ok(Done::level(nest.nails.read().await?.contains(*contact))),
            Action::Volts { contact } => {
                self.used.bus = true;
                Ok(volts(nest.bus.volts(*contact).await?))
            }
            Action::Ohms { contact } => {
                self.used.bus = true;
                Ok(Done::reading(nest.bus.ohms(*contact).await?, MeasurementUnit::Ohms))
            }
            Action::RailVolts { rail } => Ok(volts(nest.rails.measure(rail).await?.volts)),
            Action::RailAmps { rail } => Ok(Done::reading(nest.rails.measure(rail).await?.amps, MeasurementUnit::Amps)),
            Action::Frequency { contact, window } => {
                self.used.bus = true;
                let signal = Signal::of(&nest.edges.capture(*contact, *window).await?);
                Ok(Done::reading(signal.hz, MeasurementUnit::Hertz))
            }
            Action::Duty { contact, window } => {
                self.used.bus = true;
                let signal = Signal::of(&nest.edges.capture(*contact, *window).await?);
                Ok(Done::reading(100.0 * signal.duty, MeasurementUnit::Percent))
            }
            Action::Source { contact, volts: ordered } => {
                self.used.bus = true;
                Ok(volts(nest.bus.hold(*contact, *ordered).await?))
            }
            Action::Port { port, state, .. } => {
                self.greeted(nest).await?;
                let set = PortSet::EMPTY.with(*port);
                self.used.ports = self.used.ports.with(*port);
                nest.vector(vector(set, *state)).await.map(|_| Done::default())
            }
            Action::ReadPort { port, .. } => {
                self.greeted(nest).await?;
                match nest.ask(Request::ReadPorts).await? {
                    Reply::Levels(levels) => Ok(Done::level(levels.contains(*port))),
                    other => Err(DutError::OutOfTurn(other).into()),
                }
            }
            Action::Adc { port, input, range, supply, .. } => {
                self.greeted(nest).await?;
                let full_scale = adc::full_scale(nest, *range, supply).await?;
                nest.vector(vector(PortSet::EMPTY.with(*port), PortState::Input)).await?;
                adc::sample(nest, *input, *range, full_scale).await.map(volts)
            }
            Action::Pwm { port, unit, channel, hz, duty_permille, .. } => {
                self.greeted(nest).await?;
                self.used.pwm = true;
                let mut outputs = [None; dut_protocol::PWM_OUTPUTS];
                if let Some(output) = outputs.get_mut(usize::from(*channel)) {
                    *output = Some(PwmOutput { port: *port, duty_permille: *duty_permille });
                }
                let request = PwmRequest { unit: *unit, frequency_hz: *hz, outputs };
                nest.ask(Request::StartPwm(request)).await.map(|_| Done::default())
            }
            Action::PwmOff => {
                self.greeted(nest).await?;
                nest.ask(Request::StopPwm).await.map(|_| Done::default())
            }
            Action::I2c(transfer) => {
                self.joined_to(nest, transfer).await?;
                i2c(nest, transfer).await.map(Done::of_bytes)
            }
            Action::Spi(transfer) => {
                self.joined_to(nest, transfer).await?;
                spi(nest, transfer).await.map(Done::of_bytes)
            }
            Action::Modem { command, within, capture } => {
                self.greeted(nest).await?;
                let (is_ok, lines) = modem::command(nest, command, *within, say).await?;
                let text = lines.join(" | ");
                let value = match capture {
                    None => Some(f64::from(u8::from(is_ok))),
                    Some(pattern) => pattern.captures(&text).and_then(|found| found.get(1)?.as_str().parse().ok()),
                };
                Ok(Done { value, unit: Some(MeasurementUnit::One), text: Some(text), bytes: None })
            }
            Action::BleScan { window } => {
                let senders = nest.ble.senders(*window).await?;
                let shown = |sender: &bench_instruments::Sender| {
                    let address: Vec<String> = sender.address.iter().map(|byte| format!("{byte:02X}")).collect();
                    format!("{} {:.0} dBm", address.join(":"), sender.rssi_dbm)
                };
                let text = senders.iter().map(shown).collect::<Vec<_>>().join(", ");
                let count = Done::reading(senders.len() as f64, MeasurementUnit::One);
                Ok(Done { text: Some(text), ..count })
            }
            Action::BleAdvertise { data } => {
                self.used.ble = true;
                Ok(nest.ble.advertise(BLE_COMPANY, data, ADVERTISE_EVERY).await.map(|()| Done::default())?)
            }
            Action::BleStop => Ok(nest.ble.stop().await.map(|()| Done::default())?),
            Action::NfcField { on } => {
                self.used.nfc = true;
                nest.nfc.join(*on).await?;
                let strength = if *on { nest.nfc.strongest() } else { 0 };
                Ok(nest.nfc.set_field(strength).await.map(|()| Done::default())?)
            }
            Action::NfcFind => {
                let found = nest.nfc.find().await?;
                Ok(found.map_or_else(|| Done::of_bytes(Vec::new()), |target| Done::of_bytes(target.id)))
            }
            Action::NfcExchange { data } => Ok(Done::of_bytes(nest.nfc.exchange(data).await?.unwrap_or_default())),
            Action::Wait { span } => {
                nest.settle(*span).await;
                Ok(Done::default())
            }
            Action::Note { .. } => Ok(Done::default()),
        }
    }

    async fn switch(&mut self, nest: &Nest, rail: &str, on: bool) -> Result<(), StepError> {
        if on {
            self.is_fresh = true;
            return Ok(nest.rails.on(rail).await?);
        }
        // An idle TX would feed a module without power through its RX.
        nest.leave_link().await?;
        self.link_is_joined = false;
        nest.rail_off(rail).await
    }

    /// Connects the link, and greets a module that has started since.
    async fn greeted(&mut self, nest: &Nest) -> Result<(), StepError> {
        if !self.link_is_joined {
            nest.join_link().await?;
            self.link_is_joined = true;
        }
        if self.is_fresh {
            nest.settle(restart::STARTS).await;
            restart::greet_again(nest, INITIAL_BAUD, "it got its power").await?;
            self.is_fresh = false;
        }
        Ok(())
    }

    async fn joined_to(&mut self, nest: &Nest, transfer: &Transfer) -> Result<(), StepError> {
        self.greeted(nest).await?;
        self.used.peers = true;
        let lines = transfer.master.lines.iter().map(|line| line.port);
        self.used.ports = lines.fold(self.used.ports, PortSet::with);
        Ok(nest.peers.connect(&transfer.peer).await?)
    }

    /// Takes back what the actions left, however they ended. Rails stay as they are.
    ///
    /// # Errors
    /// The first one; everything is tried.
    pub async fn finish(&mut self, nest: &Nest) -> Result<(), StepError> {
        let used = std::mem::take(&mut self.used);
        let mut finished = Ok(());
        if used.pwm {
            finished = finished.and(nest.ask(Request::StopPwm).await.map(drop));
        }
        if used.ports != PortSet::EMPTY {
            finished = finished.and(nest.vector(vector(used.ports, PortState::Input)).await.map(drop));
        }
        if used.peers {
            finished = finished.and(nest.peers.disconnect_all().await.map_err(StepError::from));
        }
        if used.nails {
            finished = finished.and(nest.nails.release_all().await.map_err(StepError::from));
        }
        if used.bus || used.nails {
            finished = finished.and(nest.bus.release().await.map_err(StepError::from));
        }
        if used.ble {
            finished = finished.and(BleAir::stop(&*nest.ble).await.map_err(StepError::from));
        }
        if used.nfc {
            finished = finished.and(nest.nfc.set_field(0).await.map_err(StepError::from));
            finished = finished.and(nest.nfc.join(false).await.map_err(StepError::from));
        }
        finished
    }
}

fn vector(ports: PortSet, state: PortState) -> PortVector {
    let still = PortVector { settle_us: PORT_SETTLES_US, ..PortVector::default() };
    match state {
        PortState::High => PortVector { high: ports, ..still },
        PortState::Low => PortVector { low: ports, ..still },
        PortState::Input => PortVector { float: ports, ..still },
        PortState::PullUp => PortVector { pull_up: ports, ..still },
        PortState::PullDown => PortVector { pull_down: ports, ..still },
    }
}

fn line(transfer: &Transfer, role: &str) -> Result<dut_protocol::Port, StepError> {
    let line: Option<&BusLine> = transfer.master.lines.iter().find(|line| line.role == role);
    line.map(|line| line.port).ok_or_else(|| StepError::Bench(format!("{} has no line {role}", transfer.peer)))
}

async fn i2c(nest: &Nest, transfer: &Transfer) -> Result<Vec<u8>, StepError> {
    let request = I2cMasterRequest {
        unit: transfer.master.unit,
        sda: line(transfer, "SDA")?,
        scl: line(transfer, "SCL")?,
        kilohertz: transfer.kilohertz,
        address: transfer.address.unwrap_or_default(),
        write: transfer.write.iter().copied().collect(),
        read: transfer.read,
    };
    let failed =
        |how: &str| Err(StepError::Dut(format!("{} does not reach {}: {how}", transfer.master.bus, transfer.peer)));
    match nest.ask(Request::I2cMaster(request)).await? {
        Reply::I2c(I2cOutcome::Done(bytes)) => Ok(bytes.to_vec()),
        Reply::I2c(I2cOutcome::AddressNack) => failed("its address is not acknowledged"),
        Reply::I2c(I2cOutcome::DataNack) => failed("its data is not acknowledged"),
        Reply::I2c(I2cOutcome::Stuck { sda_high, scl_high }) => {
            failed(&format!("the bus is stuck (SDA {sda_high}, SCL {scl_high})"))
        }
        other => Err(DutError::OutOfTurn(other).into()),
    }
}

async fn spi(nest: &Nest, transfer: &Transfer) -> Result<Vec<u8>, StepError> {
    let request = SpiMasterRequest {
        unit: transfer.master.unit,
        sck: line(transfer, "SCK")?,
        mosi: line(transfer, "MOSI")?,
        miso: line(transfer, "MISO")?,
        chip_select: line(transfer, "SS")?,
        mode: 0,
        kilohertz: transfer.kilohertz,
        write: transfer.write.iter().copied().collect(),
        read: transfer.read,
    };
    match nest.request(Request::SpiMaster(request)).await {
        Ok(Reply::Bytes(bytes)) => Ok(bytes.to_vec()),
        Ok(other) => Err(DutError::OutOfTurn(other).into()),
        Err(DutError::Refused(Refusal::NotRunning)) => {
            Err(StepError::Dut(format!("{} does not clock: replace the module", transfer.master.peripheral)))
        }
        Err(error) => Err(nest.silent(error).await),
    }
}

/// How long the capacitors of a good rail may take to charge through the ohmmeter.
const CHARGES: Duration = Duration::from_millis(300);

/// Measures a rail that is off for a short to ground, and clears it for power. Returns its resistance, ohms. For a console,
/// which has no plan that did it before.
///
/// # Errors
/// When the supply would fold back at this resistance, or no nail reaches the rail.
pub async fn clear_rail(nest: &Nest, rail: &str) -> Result<f64, StepError> {
    let Some(&probe) = nest.rails.contacts(rail).first() else {
        return Err(StepError::Bench(format!("no nail reaches the rail {rail}, so it cannot be measured for a short")));
    };
    let work = charged_ohms(nest, probe, OPEN_OHMS, CHARGES);
    let ohms = nest.undischarged(&[rail], work).await?;
    nest.drained(probe).await?;
    nest.bus.release().await?;
    nest.rails.clear_for_power(rail, ohms)?;
    Ok(ohms)
}
