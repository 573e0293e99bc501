//! The table of requests and replies. Names carry the units.

use crate::{
    BUS_MAX_BYTES, BleReport, BleRequest, FlowControlRequest, I2cMasterRequest, I2cOutcome, MODEM_MAX_BYTES,
    ModemBytes, ModemUart, Port, PortSet, SpiMasterRequest,
};
use heapless::{String, Vec};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Most bytes that one SPI exchange carries.
pub const SPI_MAX_BYTES: usize = 64;
/// Most samples that one [`Request::SampleAdc`] returns.
pub const ADC_MAX_SAMPLES: usize = 32;
/// Most bytes that one request writes to or reads from the external flash; a multiple of four.
pub const FLASH_MAX_BYTES: usize = 64;
/// Most ports that can be watched for edges at a time (GPIOTE channels; the spec, section 'Interrupts').
pub const EDGE_CHANNELS: usize = 8;
/// PWM units of the chip.
pub const PWM_UNITS: usize = 4;
/// Outputs of each PWM unit.
pub const PWM_OUTPUTS: usize = 4;
/// Frequency of the square wave that [`Request::LeadCrystal`] outputs: the crystal's 32768 Hz divided by 64.
pub const CRYSTAL_LED_HZ: u32 = 512;
/// Longest that the firmware waits for the 32.768 kHz crystal to start; good ones take a quarter of a second.
pub const CRYSTAL_START_MS: u32 = 1_000;
/// Most periods of [`Request::TimeCrystal`]: one second.
pub const MAX_CRYSTAL_PERIODS: u16 = 32_768;
/// How long the firmware's watchdog waits.
pub const WATCHDOG_MS: u32 = 2_000;
/// Bytes of retained memory (the spec, section 'Retained memory').
pub const RETAINED_BYTES: u16 = 3068;

/// Message from the bench to the firmware.
///
/// `Hello` must stay the first variant with these two fields, here and in [`Reply`]: through it a bench and a firmware
/// of different versions detect the difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub enum Request {
    /// Must come first: the firmware refuses everything else until version and schema are equal. It always answers with
    /// [`Reply::Hello`] and its own two numbers, equal or not.
    Hello {
        /// [`crate::PROTOCOL_VERSION`] of the bench.
        version: u16,
        /// [`crate::schema_hash`] of the bench.
        schema: u64,
    },
    /// Asks which chip and firmware this is. Answered by [`Reply::Identity`].
    Identify,
    /// Changes the baud rate of the link. The reply still comes at the old rate. When no valid frame arrives at the new
    /// rate within [`BAUD_TRIAL_MS`], the firmware returns to [`crate::INITIAL_BAUD`]. It also returns when, after a
    /// silence, bytes but no valid frame arrive for that long: the bench may have been restarted.
    SetBaud {
        /// Bits per second, one of [`crate::SUPPORTED_BAUDS`].
        baud: u32,
    },
    /// Puts ports into the given states, all at once, waits `settle_us`, then reads every port. One test vector is one
    /// such frame. Ports in none of the sets keep their state.
    ApplyVector(PortVector),
    /// Reads the levels of all ports without changing anything.
    ReadPorts,
    /// Returns every port except the link's to high impedance, input disconnected.
    ReleasePorts,
    /// Converts one input with the SAADC in one-shot mode. Answered by [`Reply::Samples`].
    SampleAdc(AdcRequest),
    /// One full-duplex exchange in SPI mode 0 on any four ports, clocked by software at about 2 MHz or less:
    /// chip select low, `write` out, then `read` bytes in, chip select high. Answered by [`Reply::Bytes`].
    SpiTransfer(SpiRequest),
    /// Starts a long operation: accepted at once ([`Reply::JobAccepted`]), finished later ([`Reply::JobDone`]).
    StartJob(Job),
    /// Asks for the state of a job, for a bench that may have missed [`Reply::JobDone`].
    PollJob {
        /// Number from [`Reply::JobAccepted`].
        job: u8,
    },
    /// Sets how long the link may be without a valid frame before every port is released.
    SetLinkTimeout {
        /// 100..=60000.
        timeout_ms: u16,
    },
    /// Restarts the chip (SYSRESETREQ). The reply is sent first.
    Restart,
    /// Reads the state of clocks and USB supply from the chip. Answered by [`Reply::Status`].
    ReadStatus,
    /// Watches a port for edges on its own interrupt channel, with the pull that the last vector set. Answered by
    /// [`Reply::Channel`]. Refused with [`Refusal::NoChannelLeft`] when [`EDGE_CHANNELS`] ports are already watched.
    WatchEdges {
        /// The input.
        port: Port,
        /// Which edges to count.
        edges: Edges,
    },
    /// Returns what every channel counted since it was opened or last read, and resets the counts to 0. Answered by
    /// [`Reply::EdgeCounts`].
    TakeEdgeCounts,
    /// Closes every channel.
    UnwatchEdges,
    /// Fills the retained memory with the pseudo-random bytes of `seed`, or their complement.
    FillRetained {
        /// Seed of the pseudo-random bytes.
        seed: u32,
        /// Writes the complement.
        inverse: bool,
    },
    /// Compares the retained memory with what [`Request::FillRetained`] would have written. Answered by
    /// [`Reply::Retained`].
    CheckRetained {
        /// As in [`Request::FillRetained`].
        seed: u32,
        /// As in [`Request::FillRetained`].
        inverse: bool,
    },
    /// Accesses the flash chip on the module through QSPI.
    Flash(FlashRequest),
    /// Restarts the chip as [`Request::Restart`] does, and keeps TX (P0.06) as an input with this pull for
    /// [`TX_LENT_MS`] before the link starts again. The reply is sent first. From [`RX_DRIVEN_AFTER_MS`] on, the
    /// firmware drives RX (P0.08) at high strength for [`RX_DRIVEN_MS`]: high with the pull-up, low with the pull-down.
    /// The bench must stop driving that line before.
    LendTx {
        /// Pull of TX while it is an input.
        pull: Pull,
    },
    /// Switches the chip off (System OFF) until the port, which has a pull-down, goes high, or until a reset. The chip
    /// then restarts. The reply is sent first. Refused with [`Refusal::OutOfRange`] while the port is high.
    SystemOff {
        /// Port whose high level wakes the chip.
        wake: Port,
    },
    /// Attaches to USB as a serial port (CDC-ACM) that echoes what it receives. Restarts it if it runs already.
    StartUsb {
        /// `idVendor` of the device descriptor.
        vendor: u16,
        /// `idProduct` of the device descriptor.
        product: u16,
    },
    /// Detaches from USB.
    StopUsb,
    /// Sends the bytes back in [`Reply::Bytes`].
    Echo {
        /// The bytes to send back.
        bytes: Vec<u8, BUS_MAX_BYTES>,
    },
    /// Runs a transfer on one of the chip's SPI masters. Refused with [`Refusal::NotRunning`] if it does not complete.
    SpiMaster(SpiMasterRequest),
    /// Runs a transfer on one of the chip's I2C masters.
    I2cMaster(I2cMasterRequest),
    /// Switches hardware flow control of the link on for a limited time.
    FlowControl(FlowControlRequest),
    /// Starts a PWM unit, or changes its values, until [`Request::StopPwm`] or until the ports are released.
    StartPwm(PwmRequest),
    /// Stops every PWM unit and releases the ports that it drove.
    StopPwm,
    /// Starts the 32.768 kHz crystal and outputs it on a port, divided to [`CRYSTAL_LED_HZ`], without the processor.
    /// Answered once the crystal runs. Refused with [`Refusal::NotRunning`] when it does not run within
    /// [`CRYSTAL_START_MS`], and with [`Refusal::Busy`] while interrupt channels are open, because it needs one of
    /// them.
    LeadCrystal {
        /// The output.
        port: Port,
    },
    /// Returns to the internal oscillator and releases the port.
    LeaveCrystal,
    /// Starts the 32.768 kHz crystal, counts this many of its periods with the clock of the 32 MHz crystal, and returns to
    /// the internal oscillator. Answered by [`Reply::Crystal`]. Refused with [`Refusal::NotRunning`] when the crystal
    /// does not run within [`CRYSTAL_START_MS`], and with [`Refusal::Busy`] while it is led to a port.
    TimeCrystal {
        /// 1024..=[`MAX_CRYSTAL_PERIODS`].
        periods: u16,
    },
    /// Executes nothing any more and feeds the watchdog no longer, so that the watchdog restarts the chip within
    /// [`WATCHDOG_MS`]. The reply is sent first, and all ports are released.
    StarveWatchdog,
    /// Sets the ports that keep their state across [`Request::ReleasePorts`], replacing the set before: the modem's
    /// lines while the contacts are tested. Silence on the link still releases them.
    HoldPorts {
        /// All ports to hold; empty: none.
        ports: PortSet,
    },
    /// Opens the modem's UART, or reopens it. Bytes received before are discarded.
    OpenModem(ModemUart),
    /// Closes the modem's UART and releases its ports.
    CloseModem,
    /// Sends bytes to the modem. Refused with [`Refusal::Busy`] when the buffer is too full for all of them (some may
    /// have been sent), with [`Refusal::NotRunning`] while the UART is closed.
    WriteModem {
        /// The bytes to send to the modem.
        bytes: Vec<u8, MODEM_MAX_BYTES>,
    },
    /// Returns what the modem has sent since the last such request. Does not wait. Answered by [`Reply::Modem`].
    ReadModem,
    /// Operates the radio.
    Ble(BleRequest),
    /// Acts as an NFC tag ([`crate::Tag`]) until [`Request::StopNfc`], and resets the counts to 0. Refused with
    /// [`Refusal::NfcPadsArePorts`] when UICR assigns the antenna's pads to GPIO.
    StartNfc {
        /// Number of the run, which the tag's record carries.
        nonce: u64,
    },
    /// Stops acting as a tag. The counts stay.
    StopNfc,
    /// Reads what the tag has seen. Answered by [`Reply::Nfc`].
    ReadNfc,
}

/// Internal pull of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Pull {
    /// Pull-up.
    Up,
    /// Pull-down.
    Down,
}

/// How long [`Request::LendTx`] leaves the link's TX undriven.
pub const TX_LENT_MS: u16 = 60;
/// When RX starts to be driven, from the beginning of [`TX_LENT_MS`].
pub const RX_DRIVEN_AFTER_MS: u16 = 15;
/// How long RX is driven.
pub const RX_DRIVEN_MS: u16 = 40;

impl Request {
    /// Whether the request may be sent again although the first copy may have been executed. After a lost reply the
    /// bench repeats only such requests, unless the firmware can recognise the duplicate by its sequence number.
    pub const fn is_repeatable(&self) -> bool {
        !matches!(
            self,
            Request::StartJob(_)
                | Request::Restart
                | Request::SpiTransfer(_)
                | Request::WatchEdges { .. }
                | Request::TakeEdgeCounts
                | Request::Flash(_)
                | Request::LendTx { .. }
                | Request::SystemOff { .. }
                | Request::StarveWatchdog
                | Request::SpiMaster(_)
                | Request::I2cMaster(_)
                | Request::FlowControl(_)
                | Request::WriteModem { .. }
                | Request::ReadModem
        )
    }
}

/// How long the firmware waits for a valid frame at the new rate after [`Request::SetBaud`].
pub const BAUD_TRIAL_MS: u32 = 250;
/// Silence on the link after which a freshly started firmware releases all ports.
pub const DEFAULT_LINK_TIMEOUT_MS: u16 = 1_000;

/// New states for any number of ports. The sets must not overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PortVector {
    /// Push-pull outputs, high.
    pub high: PortSet,
    /// Push-pull outputs, low.
    pub low: PortSet,
    /// Inputs with the internal pull-up.
    pub pull_up: PortSet,
    /// Inputs with the internal pull-down.
    pub pull_down: PortSet,
    /// Inputs without pull.
    pub float: PortSet,
    /// Drive strength of the outputs of this vector.
    pub strength: DriveStrength,
    /// Time between setting and reading, 0..=10000.
    pub settle_us: u16,
}

/// Output stage of a port (nRF52840 PIN_CNF.DRIVE: S0S1 or H0H1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum DriveStrength {
    /// Standard drive (S0S1).
    #[default]
    Standard,
    /// High drive (H0H1).
    High,
}

/// Conversions of one input ([`Request::SampleAdc`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AdcRequest {
    /// What to convert.
    pub input: AdcInput,
    /// Reference and gain.
    pub range: AdcRange,
    /// 3, 5, 10, 15, 20 or 40.
    pub acquisition_us: u8,
    /// 1..=[`ADC_MAX_SAMPLES`].
    pub count: u8,
}

/// Input of the SAADC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum AdcInput {
    /// AIN0..=AIN7.
    Ain(u8),
    /// The chip's own supply.
    Vdd,
}

/// 12-bit conversions: code 4095 is the named full scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum AdcRange {
    /// Reference VDD/4 with gain 1/4: full scale is VDD.
    Ratiometric,
    /// Internal 0.6 V with gain 1/6: full scale is 3.6 V.
    Internal3V6,
}

/// One exchange clocked by software ([`Request::SpiTransfer`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SpiRequest {
    /// Clock.
    pub sck: Port,
    /// Data to the device.
    pub mosi: Port,
    /// Data from the device.
    pub miso: Port,
    /// Chip select, active low.
    pub chip_select: Port,
    /// Bytes to write first.
    pub write: Vec<u8, SPI_MAX_BYTES>,
    /// Number of bytes to read then, 0..=[`SPI_MAX_BYTES`].
    pub read: u8,
}

/// Which edges a channel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Edges {
    /// Low to high.
    Rising,
    /// High to low.
    Falling,
    /// Both directions.
    Both,
}

/// An operation on the external flash ([`Request::Flash`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum FlashRequest {
    /// Reads the JEDEC manufacturer, type and capacity. Answered by three [`Reply::Bytes`].
    Identify,
    /// Erases one sector of 4096 bytes.
    EraseSector {
        /// First byte of the sector.
        address: u32,
    },
    /// Writes within one page of 256 bytes.
    Write {
        /// First byte, a multiple of four.
        address: u32,
        /// The contents; their number is a multiple of four.
        bytes: Vec<u8, FLASH_MAX_BYTES>,
    },
    /// Reads a few bytes. Answered by [`Reply::Bytes`].
    Read {
        /// First byte, a multiple of four.
        address: u32,
        /// Bytes, a multiple of four, at most [`FLASH_MAX_BYTES`].
        length: u8,
    },
    /// Computes a [`crate::Checksum`]. Answered by [`Reply::Checksum`].
    Checksum {
        /// First byte, a multiple of four.
        address: u32,
        /// Bytes, a multiple of four, 4..=65536.
        length: u32,
    },
    /// Reads a sector over one data line into the firmware's memory. The copy stays there until the next such request
    /// or a restart. Answered by [`Reply::Checksum`] of the sector.
    KeepSector {
        /// First byte of the sector.
        address: u32,
    },
    /// Erases the kept sector and writes the copy back over one data line. Answered by [`Reply::Checksum`] of what the
    /// sector then holds; refused with [`Refusal::OutOfRange`] when nothing is kept.
    PutBackSector,
}

/// Settings of one PWM unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PwmRequest {
    /// 0..=3.
    pub unit: u8,
    /// 100..=200000, the same for all outputs.
    pub frequency_hz: u32,
    /// By channel; at least one.
    pub outputs: [Option<PwmOutput>; PWM_OUTPUTS],
}

/// One output of a PWM unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PwmOutput {
    /// The output.
    pub port: Port,
    /// Share of the period that the port is high, 0..=1000.
    pub duty_permille: u16,
}

/// An operation that takes longer than a request may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Job {
    /// Counts rising edges on an input.
    CountEdges {
        /// The input.
        port: Port,
        /// How long to count, 1..=10000.
        window_ms: u16,
    },
    /// Does nothing for a while. Proves that the firmware serves other requests meanwhile.
    Wait {
        /// 0..=10000.
        ms: u16,
    },
    /// Keeps the processor and its FPU executing without a pause. The firmware serves nothing else meanwhile.
    Busy {
        /// 1..=[`crate::check::MAX_BUSY_MS`].
        ms: u16,
    },
    /// Presses a key: drives a port to a level, then to the opposite level, and keeps it there. A release of the port
    /// ends the job early; the job then does not drive the port again, and its result is shorter than the request.
    Press {
        /// The output.
        port: Port,
        /// Level while the key is pressed.
        high: bool,
        /// How long, 1..=[`crate::check::MAX_PRESS_MS`].
        ms: u16,
    },
}

/// What a finished job reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum JobResult {
    /// [`Job::CountEdges`] ended.
    Edges {
        /// Rising edges counted.
        rising: u32,
        /// How long the job counted.
        window_us: u32,
    },
    /// Any other job ended.
    Waited {
        /// How long the job lasted.
        ms: u16,
    },
}

/// State of a job ([`Request::PollJob`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum JobState {
    /// No such job, or its result is no longer kept.
    Unknown,
    /// The job has not ended.
    Running,
    /// The job ended with this result.
    Done(JobResult),
}

/// Message from the firmware to the bench.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub enum Reply {
    /// Answers [`Request::Hello`].
    Hello {
        /// [`crate::PROTOCOL_VERSION`] of the firmware.
        version: u16,
        /// [`crate::schema_hash`] of the firmware.
        schema: u64,
    },
    /// Answers [`Request::Identify`].
    Identity(Identity),
    /// Done, nothing to report ([`Request::SetBaud`], `ReleasePorts`, `SetLinkTimeout`, `Restart`).
    Done,
    /// Levels of all ports; a port whose input is disconnected reads 0.
    Levels(PortSet),
    /// Codes of the SAADC, 12 bits and sign, in the order of conversion.
    Samples(Vec<i16, ADC_MAX_SAMPLES>),
    /// Bytes read.
    Bytes(Vec<u8, SPI_MAX_BYTES>),
    /// A job has started.
    JobAccepted {
        /// Its number.
        job: u8,
    },
    /// Answers [`Request::PollJob`].
    JobState {
        /// Number of the job.
        job: u8,
        /// Its state.
        state: JobState,
    },
    /// A job ended. Sent without a request, with sequence number [`crate::UNASKED`].
    JobDone {
        /// Number of the job.
        job: u8,
        /// Its result.
        result: JobResult,
    },
    /// Answers [`Request::ReadStatus`].
    Status(Status),
    /// Number of the interrupt channel, 0..=7.
    Channel {
        /// Index in [`Reply::EdgeCounts`].
        channel: u8,
    },
    /// By channel; a closed channel has 0.
    EdgeCounts([u32; EDGE_CHANNELS]),
    /// Bits that differ, of `RETAINED_BYTES` x 8.
    Retained {
        /// 0 when the memory kept everything.
        wrong_bits: u32,
    },
    /// See [`crate::Checksum`].
    Checksum {
        /// The 32-bit sum.
        sum: u32,
    },
    /// The firmware received the request and refuses it.
    Refused(Refusal),
    /// How a transfer of [`Request::I2cMaster`] ended.
    I2c(I2cOutcome),
    /// Answers [`Request::ReadModem`].
    Modem(ModemBytes),
    /// Answers [`BleRequest::Report`].
    Ble(BleReport),
    /// Answers [`Request::ReadNfc`].
    Nfc(NfcStatus),
    /// Answers [`Request::TimeCrystal`].
    Crystal {
        /// How long the periods took, by the other crystal.
        us: u32,
    },
}

/// State of clocks and USB supply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Status {
    /// POWER.USBREGSTATUS.VBUSDETECT: VBUS has a voltage.
    pub usb_detected: bool,
    /// POWER.USBREGSTATUS.OUTPUTRDY: the USB regulator is ready.
    pub usb_ready: bool,
    /// The 32 MHz crystal runs.
    pub crystal_32m: bool,
}

/// What the tag has seen since [`Request::StartNfc`]. Counts saturate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct NfcStatus {
    /// A reader's field is present now.
    pub field: bool,
    /// How often a reader selected the tag.
    pub selected: u16,
    /// Commands that a reader sent.
    pub commands: u16,
}

/// What chip and firmware report about themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Identity {
    /// Version of the firmware's package.
    pub firmware_version: String<16>,
    /// Abbreviated commit the firmware was built from, `-dirty` when the tree had changes.
    pub git_hash: String<24>,
    /// `FICR.DEVICEID[1] << 32 | DEVICEID[0]`.
    pub device_id: u64,
    /// FICR.INFO.PART, 0x52840.
    pub part: u32,
    /// FICR.INFO.VARIANT, four ASCII characters ("AAD0").
    pub variant: u32,
    /// FICR.INFO.RAM.
    pub ram_kib: u32,
    /// FICR.INFO.FLASH.
    pub flash_kib: u32,
    /// POWER.RESETREAS at start (cleared after reading).
    pub reset_reason: u32,
    /// Time since the firmware started.
    pub uptime_ms: u32,
}

/// Why the firmware refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Refusal {
    /// The first exchange must be [`Request::Hello`].
    HelloFirst,
    /// The last [`Request::Hello`] named another version or schema than the firmware's. Carries the firmware's.
    OtherProtocol {
        /// [`crate::PROTOCOL_VERSION`] of the firmware.
        version: u16,
        /// [`crate::schema_hash`] of the firmware.
        schema: u64,
    },
    /// The request names the link's own ports.
    LinkPort(Port),
    /// The port belongs to the crystal, the reset pad or another function that the bench must not touch.
    ReservedPort(Port),
    /// A bit or index beyond the 48 ports.
    NoSuchPort(u8),
    /// One port is in two sets of a vector, or has two functions in one request.
    Overlap(Port),
    /// A number is outside the documented range.
    OutOfRange,
    /// All job slots are taken.
    Busy,
    /// The frame was intact but held no known request.
    NotUnderstood,
    /// All interrupt channels are in use.
    NoChannelLeft,
    /// Hardware that the request needs does not run or does not answer, for example the external flash.
    NotRunning,
    /// UICR.NFCPINS assigns P0.09 and P0.10 to GPIO.
    NfcPadsArePorts,
}
