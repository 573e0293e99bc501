//! Which requests the firmware refuses before it touches anything.

use crate::{
    ADC_MAX_SAMPLES, AdcInput, AdcRequest, BLE_CHANNELS, BLE_POWERS_DBM, BUS_MAX_BYTES, BleRequest, DriveStrength,
    FLASH_MAX_BYTES, FlashRequest, FlowControlRequest, I2cMasterRequest, Job, MODEM_BAUDS, ModemUart, PWM_UNITS, Port,
    PortSet, PortVector, PwmRequest, Refusal, Request, SPI_MAX_BYTES, SUPPORTED_BAUDS, SpiMasterRequest, SpiRequest,
};

/// Longest settling time of a vector.
pub const MAX_SETTLE_US: u16 = 10_000;
/// Longest job.
pub const MAX_JOB_MS: u16 = 10_000;
/// Longest time that [`Job::Busy`] occupies the processor: well below the firmware's watchdog and the time that the
/// link's buffer covers.
pub const MAX_BUSY_MS: u16 = 50;
/// Longest key press: the emergency switch-off of a modem takes 23 s.
pub const MAX_PRESS_MS: u16 = 30_000;
/// Frequencies in Hz at which a PWM unit has at least a hundred steps of duty, within its 15-bit counter.
pub const PWM_HZ: core::ops::RangeInclusive<u32> = 100..=200_000;
/// Acquisition times that SAADC.CH.CONFIG.TACQ supports, in microseconds.
pub const ACQUISITION_TIMES_US: [u8; 6] = [3, 5, 10, 15, 20, 40];

/// Clock rates that every SPIM supports, in kHz.
pub const SPI_KILOHERTZ: [u16; 7] = [125, 250, 500, 1_000, 2_000, 4_000, 8_000];
/// Device addresses: all that the I2C specification does not reserve.
pub const I2C_ADDRESSES: core::ops::RangeInclusive<u8> = 0x08..=0x77;
/// Longest time without taking received bytes ([`FlowControlRequest::pause_ms`]).
pub const MAX_FLOW_PAUSE_MS: u16 = 500;
/// Longest time with flow control ([`FlowControlRequest::for_ms`]).
pub const MAX_FLOW_MS: u16 = 1_000;

/// P0.06 (TX) and P0.08 (RX) carry the link on every model.
pub const LINK_PORTS: PortSet = set(&[(0, 6), (0, 8)]);
/// P0.00 and P0.01 belong to the 32.768 kHz crystal, P0.18 is the reset pad.
pub const RESERVED_PORTS: PortSet = set(&[(0, 0), (0, 1), (0, 18)]);
/// P0.09 and P0.10 belong to NFC unless UICR.NFCPINS says otherwise.
pub const NFC_PORTS: PortSet = set(&[(0, 9), (0, 10)]);

const fn set(ports: &[(u8, u8)]) -> PortSet {
    let mut set = PortSet::EMPTY;
    let mut n = 0;
    while n < ports.len() {
        if let Some(port) = Port::from_bank(ports[n].0, ports[n].1) {
            set = set.with(port);
        }
        n += 1;
    }
    set
}

/// Which ports a request may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRules {
    reserved: PortSet,
}

impl PortRules {
    /// Creates the rules. `nfc_pads_are_gpio`: UICR.NFCPINS assigns P0.09 and P0.10 to GPIO.
    pub const fn new(nfc_pads_are_gpio: bool) -> Self {
        Self { reserved: if nfc_pads_are_gpio { RESERVED_PORTS } else { RESERVED_PORTS.union(NFC_PORTS) } }
    }

    /// Every port that a request may name. "Release all ports" releases these.
    pub const fn usable(self) -> PortSet {
        PortSet::ALL.minus(LINK_PORTS).minus(self.reserved)
    }

    /// Checks whether a request may name this port.
    ///
    /// # Errors
    /// [`Refusal::LinkPort`] or [`Refusal::ReservedPort`].
    pub fn check_port(self, port: Port) -> Result<(), Refusal> {
        if LINK_PORTS.contains(port) {
            Err(Refusal::LinkPort(port))
        } else if self.reserved.contains(port) {
            Err(Refusal::ReservedPort(port))
        } else {
            Ok(())
        }
    }

    /// Checks whether the firmware may execute `request`. Does not check whether a job slot is free.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub fn check(self, request: &Request) -> Result<(), Refusal> {
        match request {
            Request::ApplyVector(vector) => self.check_vector(vector),
            Request::SampleAdc(adc) => check_adc(adc),
            Request::SpiTransfer(spi) => self.check_spi(spi),
            Request::StartJob(Job::CountEdges { port, window_ms }) => {
                self.check_port(*port)?;
                within((1..=MAX_JOB_MS).contains(window_ms))
            }
            Request::StartJob(Job::Wait { ms }) => within(*ms <= MAX_JOB_MS),
            Request::StartJob(Job::Press { port, high: _, ms }) => {
                self.check_port(*port)?;
                within((1..=MAX_PRESS_MS).contains(ms))
            }
            Request::StartJob(Job::Busy { ms }) => within((1..=MAX_BUSY_MS).contains(ms)),
            Request::WatchEdges { port, edges: _ } | Request::SystemOff { wake: port } => self.check_port(*port),
            Request::Flash(flash) => check_flash(flash),
            Request::SpiMaster(spi) => self.check_spi_master(spi),
            Request::I2cMaster(i2c) => self.check_i2c_master(i2c),
            Request::FlowControl(flow) => self.check_flow(flow),
            Request::StartPwm(pwm) => self.check_pwm(pwm),
            Request::LeadCrystal { port } => self.check_port(*port),
            Request::TimeCrystal { periods } => within((1024..=crate::MAX_CRYSTAL_PERIODS).contains(periods)),
            Request::OpenModem(modem) => self.check_modem(modem),
            Request::HoldPorts { ports } => self.check_held(*ports),
            Request::Ble(ble) => check_ble(ble),
            Request::SetBaud { baud } => within(SUPPORTED_BAUDS.contains(baud)),
            Request::SetLinkTimeout { timeout_ms } => within((100..=60_000).contains(timeout_ms)),
            Request::Hello { .. }
            | Request::Identify
            | Request::ReadPorts
            | Request::ReleasePorts
            | Request::PollJob { .. }
            | Request::ReadStatus
            | Request::TakeEdgeCounts
            | Request::UnwatchEdges
            | Request::FillRetained { .. }
            | Request::CheckRetained { .. }
            | Request::LendTx { .. }
            | Request::StartUsb { .. }
            | Request::StopUsb
            | Request::Echo { .. }
            | Request::StopPwm
            | Request::LeaveCrystal
            | Request::StarveWatchdog
            | Request::CloseModem
            | Request::WriteModem { .. }
            | Request::ReadModem
            | Request::StartNfc { .. }
            | Request::StopNfc
            | Request::ReadNfc
            | Request::Restart => Ok(()),
        }
    }

    fn check_vector(self, vector: &PortVector) -> Result<(), Refusal> {
        let PortVector { high, low, pull_up, pull_down, float, strength, settle_us } = *vector;
        let (DriveStrength::Standard | DriveStrength::High) = strength; // every value is valid; a new one must be considered here
        within(settle_us <= MAX_SETTLE_US)?;
        let mut named = PortSet::EMPTY;
        for set in [high, low, pull_up, pull_down, float] {
            if let Some(bit) = set.beyond_last_port() {
                return Err(Refusal::NoSuchPort(bit));
            }
            if let Some(port) = named.intersection(set).first() {
                return Err(Refusal::Overlap(port));
            }
            named = named.union(set);
        }
        named.iter().try_for_each(|port| self.check_port(port))
    }

    fn check_held(self, ports: PortSet) -> Result<(), Refusal> {
        match ports.beyond_last_port() {
            Some(bit) => Err(Refusal::NoSuchPort(bit)),
            None => ports.iter().try_for_each(|port| self.check_port(port)),
        }
    }

    fn check_modem(self, modem: &ModemUart) -> Result<(), Refusal> {
        let ModemUart { tx, rx, flow, baud } = *modem;
        match flow {
            Some(flow) => self.check_ports(&[tx, rx, flow.rts, flow.cts])?,
            None => self.check_ports(&[tx, rx])?,
        }
        within(MODEM_BAUDS.contains(&baud))
    }

    fn check_spi(self, spi: &SpiRequest) -> Result<(), Refusal> {
        self.check_ports(&[spi.sck, spi.mosi, spi.miso, spi.chip_select])?;
        within(usize::from(spi.read) <= SPI_MAX_BYTES)
    }

    fn check_spi_master(self, spi: &SpiMasterRequest) -> Result<(), Refusal> {
        self.check_ports(&[spi.sck, spi.mosi, spi.miso, spi.chip_select])?;
        let fast = spi.unit == 3 && matches!(spi.kilohertz, 16_000 | 32_000);
        within(
            spi.unit <= 3
                && spi.mode <= 3
                && (fast || SPI_KILOHERTZ.contains(&spi.kilohertz))
                && bus_bytes(spi.write.len(), spi.read),
        )
    }

    fn check_i2c_master(self, i2c: &I2cMasterRequest) -> Result<(), Refusal> {
        self.check_ports(&[i2c.sda, i2c.scl])?;
        within(
            i2c.unit <= 1
                && matches!(i2c.kilohertz, 100 | 400)
                && I2C_ADDRESSES.contains(&i2c.address)
                && bus_bytes(i2c.write.len(), i2c.read),
        )
    }

    fn check_flow(self, flow: &FlowControlRequest) -> Result<(), Refusal> {
        self.check_ports(&[flow.rts, flow.cts])?;
        let FlowControlRequest { pause_ms, for_ms, .. } = *flow;
        within(pause_ms <= MAX_FLOW_PAUSE_MS && (1..=MAX_FLOW_MS).contains(&for_ms) && pause_ms < for_ms)
    }

    fn check_pwm(self, pwm: &PwmRequest) -> Result<(), Refusal> {
        let mut named = PortSet::EMPTY;
        for output in pwm.outputs.iter().flatten() {
            named = self.check_another(named, output.port)?;
            within(output.duty_permille <= 1000)?;
        }
        within(usize::from(pwm.unit) < PWM_UNITS && PWM_HZ.contains(&pwm.frequency_hz) && named != PortSet::EMPTY)
    }

    /// Checks that the ports differ and that a request may name each.
    fn check_ports(self, ports: &[Port]) -> Result<(), Refusal> {
        ports.iter().try_fold(PortSet::EMPTY, |named, port| self.check_another(named, *port)).map(drop)
    }

    fn check_another(self, named: PortSet, port: Port) -> Result<PortSet, Refusal> {
        self.check_port(port)?;
        if named.contains(port) { Err(Refusal::Overlap(port)) } else { Ok(named.with(port)) }
    }
}

fn bus_bytes(write: usize, read: u8) -> bool {
    let read = usize::from(read);
    read <= BUS_MAX_BYTES && write + read > 0
}

/// Bytes of the external flash's sector and page.
const FLASH_SECTOR: u32 = 4096;
const FLASH_PAGE: u32 = 256;

fn check_flash(flash: &FlashRequest) -> Result<(), Refusal> {
    let words = |address: u32, length: usize| address.is_multiple_of(4) && length.is_multiple_of(4);
    within(match flash {
        FlashRequest::Identify | FlashRequest::PutBackSector => true,
        FlashRequest::EraseSector { address } | FlashRequest::KeepSector { address } => {
            address.is_multiple_of(FLASH_SECTOR)
        }
        FlashRequest::Write { address, bytes } => {
            words(*address, bytes.len()) && !bytes.is_empty() && address % FLASH_PAGE + bytes.len() as u32 <= FLASH_PAGE
        }
        FlashRequest::Read { address, length } => {
            words(*address, usize::from(*length)) && (1..=FLASH_MAX_BYTES).contains(&usize::from(*length))
        }
        FlashRequest::Checksum { address, length } => {
            words(*address, *length as usize) && (4..=65_536).contains(length)
        }
    })
}

fn check_ble(ble: &BleRequest) -> Result<(), Refusal> {
    within(match ble {
        BleRequest::Advertise { nonce: _, count, interval_ms, dbm } => {
            (1..=1_000).contains(count) && (20..=1_000).contains(interval_ms) && BLE_POWERS_DBM.contains(dbm)
        }
        BleRequest::Listen { channel, window_ms, nonce: _ } => {
            BLE_CHANNELS.contains(channel) && (1..=5_000).contains(window_ms)
        }
        BleRequest::Carrier { mhz, modulated: _, dbm } => (2_402..=2_480).contains(mhz) && BLE_POWERS_DBM.contains(dbm),
        BleRequest::Stop | BleRequest::Report => true,
    })
}

fn check_adc(adc: &AdcRequest) -> Result<(), Refusal> {
    let input_exists = match adc.input {
        AdcInput::Ain(number) => number <= 7,
        AdcInput::Vdd => true,
    };
    within(
        input_exists
            && ACQUISITION_TIMES_US.contains(&adc.acquisition_us)
            && (1..=ADC_MAX_SAMPLES).contains(&usize::from(adc.count)),
    )
}

fn within(range: bool) -> Result<(), Refusal> {
    if range { Ok(()) } else { Err(Refusal::OutOfRange) }
}
