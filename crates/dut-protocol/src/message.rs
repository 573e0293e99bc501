//! The table of requests and replies. Units stand in the names.

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
/// Ports that can be watched for edges at a time (GPIOTE channels; the spec, section 'Interrupts').
pub const EDGE_CHANNELS: usize = 8;
/// PWM units of the chip, and the outputs of each.
pub const PWM_UNITS: usize = 4;
pub const PWM_OUTPUTS: usize = 4;
/// Frequency of the square wave that [`Request::LeadCrystal`] makes: the crystal's 32768 Hz divided by 64.
pub const CRYSTAL_LED_HZ: u32 = 512;
/// Longest that the firmware waits for the 32.768 kHz crystal to start; good ones take a quarter of a second.
pub const CRYSTAL_START_MS: u32 = 1_000;
/// Bytes of retained memory (the spec, section 'Retained memory').
pub const RETAINED_BYTES: u16 = 3068;

/// Asked by the bench.
///
/// `Hello` must stay the first variant with these two fields, here and in [`Reply`]: it is how a bench and a firmware of
/// different versions tell each other so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub enum Request {
    /// Must come first: the firmware refuses everything else until version and schema were found equal. It always
    /// answers with [`Reply::Hello`] and its own two numbers, equal or not.
    Hello { version: u16, schema: u64 },
    /// Who are you? Answered by [`Reply::Identity`].
    Identify,
    /// Talk at another rate from now on. The reply still comes at the old rate. When no valid frame arrives at the new
    /// rate within [`BAUD_TRIAL_MS`], the firmware goes back to [`crate::INITIAL_BAUD`]. It also does so when bytes
    /// but no frame come for that long after the link was silent: the bench may have been restarted.
    SetBaud { baud: u32 },
    /// Put ports into the named states, all at once, wait `settle_us`, then read every port. One test vector is one
    /// such frame. Ports that stand in no set keep their state.
    ApplyVector(PortVector),
    /// Levels of all ports, without changing anything.
    ReadPorts,
    /// Every port but the link's back to high impedance, input disconnected.
    ReleasePorts,
    /// One-shot SAADC conversions of one input, answered by [`Reply::Samples`].
    SampleAdc(AdcRequest),
    /// One full-duplex exchange in SPI mode 0 on any four ports, clocked by software at about 2 MHz or less:
    /// chip select low, `write` out, then `read` bytes in, chip select high. Answered by [`Reply::Bytes`].
    SpiTransfer(SpiRequest),
    /// Start something long; accepted at once ([`Reply::JobAccepted`]), finished later ([`Reply::JobDone`]).
    StartJob(Job),
    /// State of a job, for a bench that may have missed [`Reply::JobDone`].
    PollJob { job: u8 },
    /// How long the link may be without a valid frame before every port is released. 100..=60000.
    SetLinkTimeout { timeout_ms: u16 },
    /// Restart the chip (SYSRESETREQ); the reply goes out first.
    Restart,
    /// Clocks and USB supply as the chip sees them, answered by [`Reply::Status`].
    ReadStatus,
    /// Watches a port for edges on an interrupt channel of its own, with the pull that the last vector gave it. Answered
    /// by [`Reply::Channel`]. At most [`EDGE_CHANNELS`] ports are watched at a time; one more is refused with
    /// [`Refusal::NoChannelLeft`].
    WatchEdges { port: Port, edges: Edges },
    /// What every channel counted since it was opened or last taken, answered by [`Reply::EdgeCounts`]; counts anew.
    TakeEdgeCounts,
    /// Closes every channel.
    UnwatchEdges,
    /// Fills the retained memory with the pseudo-random bytes of `seed`, or their complement.
    FillRetained { seed: u32, inverse: bool },
    /// Compares the retained memory with what [`Request::FillRetained`] would have written, answered by
    /// [`Reply::Retained`].
    CheckRetained { seed: u32, inverse: bool },
    /// The flash chip on the module, through QSPI.
    Flash(FlashRequest),
    /// Restart the chip as [`Request::Restart`] does, and keep TX (P0.06) as an input with this pull for
    /// [`TX_LENT_MS`] before the link starts again; the reply goes out first. RX (P0.08) is driven strongly, high with the
    /// pull-up and low with the pull-down, from [`RX_DRIVEN_AFTER_MS`] on for [`RX_DRIVEN_MS`]: whoever drives the line must
    /// be off it by then.
    LendTx { pull: Pull },
    /// Switch the chip off (System OFF) until the port becomes high, which has a pull-down, or until a reset: then it
    /// starts anew. The reply goes out first. Refused with [`Refusal::OutOfRange`] while the port is high.
    SystemOff { wake: Port },
    /// Attach to USB as a serial port (CDC-ACM) with these ids that sends back what it gets. Started anew if it runs.
    StartUsb { vendor: u16, product: u16 },
    /// Detach from USB.
    StopUsb,
    /// Sends the bytes back in [`Reply::Bytes`].
    Echo { bytes: Vec<u8, BUS_MAX_BYTES> },
    /// A transfer by one of the chip's SPI masters. [`Refusal::NotRunning`] if it does not come to its end.
    SpiMaster(SpiMasterRequest),
    /// A transfer by one of the chip's I2C masters.
    I2cMaster(I2cMasterRequest),
    /// Hardware flow control of the link for a while.
    FlowControl(FlowControlRequest),
    /// Lets a PWM unit run, or run with other values, until [`Request::StopPwm`] or until the ports are released.
    StartPwm(PwmRequest),
    /// Stops every PWM unit and releases the ports that it drove.
    StopPwm,
    /// Starts the 32.768 kHz crystal and leads it, divided to [`CRYSTAL_LED_HZ`], to a port, without the processor.
    /// Answered once the crystal runs; refused with [`Refusal::NotRunning`] when it does not within
    /// [`CRYSTAL_START_MS`], and with [`Refusal::Busy`] while interrupt channels are open: it needs one of them.
    LeadCrystal { port: Port },
    /// Back to the internal oscillator; the port is released.
    LeaveCrystal,
    /// From now on these ports, and no others, keep their state when ports are released by [`Request::ReleasePorts`]: the
    /// modem's lines, while the contacts are tested. Silence on the link releases them nevertheless.
    HoldPorts { ports: PortSet },
    /// Opens the modem's UART; opened anew if it is open. What was received before is thrown away.
    OpenModem(ModemUart),
    /// Closes the modem's UART and releases its ports.
    CloseModem,
    /// Hands bytes to the modem; [`Refusal::Busy`] when there was no place for all of them (some may have gone), [`Refusal::NotRunning`]
    /// while the UART is closed.
    WriteModem { bytes: Vec<u8, MODEM_MAX_BYTES> },
    /// What the modem has said since the last time, answered by [`Reply::Modem`]. Does not wait.
    ReadModem,
    /// The radio.
    Ble(BleRequest),
    /// Be an NFC tag ([`crate::Tag`]) whose record carries `nonce`, until [`Request::StopNfc`]; counts anew. Refused with
    /// [`Refusal::NfcPadsArePorts`] when UICR gives the antenna's pads to GPIO.
    StartNfc { nonce: u64 },
    /// No tag any more. What was counted stays.
    StopNfc,
    /// What the tag has seen, answered by [`Reply::Nfc`].
    ReadNfc,
}

/// Internal pull of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Pull {
    Up,
    Down,
}

/// How long [`Request::LendTx`] keeps the link's TX from being driven.
pub const TX_LENT_MS: u16 = 60;
/// From the beginning of that time, and for how long, RX is driven.
pub const RX_DRIVEN_AFTER_MS: u16 = 15;
pub const RX_DRIVEN_MS: u16 = 40;

impl Request {
    /// Whether sending it once more does no harm even when the first copy was executed. The bench repeats only such
    /// requests after it lost a reply, unless the firmware can prove by the sequence number that it is a duplicate.
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
                | Request::SpiMaster(_)
                | Request::I2cMaster(_)
                | Request::FlowControl(_)
                | Request::WriteModem { .. }
                | Request::ReadModem
        )
    }
}

/// After [`Request::SetBaud`]: how long the firmware waits for a valid frame at the new rate.
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
    #[default]
    Standard,
    High,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AdcRequest {
    pub input: AdcInput,
    pub range: AdcRange,
    /// 3, 5, 10, 15, 20 or 40.
    pub acquisition_us: u8,
    /// 1..=[`ADC_MAX_SAMPLES`].
    pub count: u8,
}

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SpiRequest {
    pub sck: Port,
    pub mosi: Port,
    pub miso: Port,
    pub chip_select: Port,
    pub write: Vec<u8, SPI_MAX_BYTES>,
    pub read: u8,
}

/// Which edges a channel counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Edges {
    Rising,
    Falling,
    Both,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum FlashRequest {
    /// JEDEC manufacturer, type, capacity: [`Reply::Bytes`] of three.
    Identify,
    /// One sector of 4096 bytes; `address` is its first byte.
    EraseSector { address: u32 },
    /// Up to [`FLASH_MAX_BYTES`] within one page of 256 bytes; address and length are multiples of four.
    Write { address: u32, bytes: Vec<u8, FLASH_MAX_BYTES> },
    /// 1..=[`FLASH_MAX_BYTES`]; address and length are multiples of four. [`Reply::Bytes`].
    Read { address: u32, length: u8 },
    /// [`crate::Checksum`] of 4..=65536 bytes; address and length are multiples of four. [`Reply::Checksum`].
    Checksum { address: u32, length: u32 },
    /// Reads a sector over one line into the firmware's memory, where it stays until the next such request or restart.
    /// `address` is its first byte. [`Reply::Checksum`] of it.
    KeepSector { address: u32 },
    /// Erases that sector and writes over one line what was kept of it. [`Reply::Checksum`] of what the sector holds
    /// then; [`Refusal::OutOfRange`] when nothing is kept.
    PutBackSector,
}

/// What one PWM unit is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PwmRequest {
    /// 0..=3.
    pub unit: u8,
    /// 100..=200000, the same for all outputs.
    pub frequency_hz: u32,
    /// By channel; at least one.
    pub outputs: [Option<PwmOutput>; PWM_OUTPUTS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PwmOutput {
    pub port: Port,
    /// Share of the period that the port is high, 0..=1000.
    pub duty_permille: u16,
}

/// Something that takes longer than a request may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Job {
    /// Count rising edges on an input for `window_ms`. 1..=10000.
    CountEdges { port: Port, window_ms: u16 },
    /// Do nothing for a while, 0..=10000; proves that others are served meanwhile.
    Wait { ms: u16 },
    /// Keep the processor (with its FPU) executing without a pause, 1..=[`crate::check::MAX_BUSY_MS`]: nothing else is
    /// served meanwhile.
    Busy { ms: u16 },
    /// Drive a port to a level for so long, then to the other one, and keep it there: a key that is pressed.
    /// 1..=[`crate::check::MAX_PRESS_MS`]. A release of the port ends the job: it does not drive the port again, and its
    /// result is shorter than what was asked for.
    Press { port: Port, high: bool, ms: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum JobResult {
    Edges {
        rising: u32,
        window_us: u32,
    },
    /// How long it lasted.
    Waited {
        ms: u16,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum JobState {
    Unknown,
    Running,
    Done(JobResult),
}

/// Answered by the firmware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Schema)]
pub enum Reply {
    Hello {
        version: u16,
        schema: u64,
    },
    Identity(Identity),
    /// Done, nothing to report ([`Request::SetBaud`], `ReleasePorts`, `SetLinkTimeout`, `Restart`).
    Done,
    /// Levels of all ports; a port whose input is disconnected reads 0.
    Levels(PortSet),
    Samples(Vec<i16, ADC_MAX_SAMPLES>),
    Bytes(Vec<u8, SPI_MAX_BYTES>),
    JobAccepted {
        job: u8,
    },
    JobState {
        job: u8,
        state: JobState,
    },
    /// Unasked: a job ended. Sent with sequence number [`crate::UNASKED`].
    JobDone {
        job: u8,
        result: JobResult,
    },
    Status(Status),
    /// Number of the interrupt channel, 0..=7.
    Channel {
        channel: u8,
    },
    /// By channel; a closed channel has 0.
    EdgeCounts([u32; EDGE_CHANNELS]),
    /// Bits that differ, of `RETAINED_BYTES` x 8.
    Retained {
        wrong_bits: u32,
    },
    /// See [`crate::Checksum`].
    Checksum {
        sum: u32,
    },
    /// The DUT heard the request and says no.
    Refused(Refusal),
    /// How a transfer of [`Request::I2cMaster`] ended.
    I2c(I2cOutcome),
    Modem(ModemBytes),
    Ble(BleReport),
    Nfc(NfcStatus),
}

/// What the chip sees of its surroundings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Status {
    /// POWER.USBREGSTATUS: a voltage is at VUSB, and its regulator is ready.
    pub usb_detected: bool,
    pub usb_ready: bool,
    /// The 32 MHz crystal runs.
    pub crystal_32m: bool,
}

/// What the tag has seen since [`Request::StartNfc`]; counts stay at their highest value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct NfcStatus {
    /// A reader's field is there now.
    pub field: bool,
    /// How often a reader selected the tag.
    pub selected: u16,
    /// Commands of a reader.
    pub commands: u16,
}

/// What the chip and the firmware say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Identity {
    pub firmware_version: String<16>,
    /// Abbreviated commit the firmware was built from, `-dirty` when the tree had changes.
    pub git_hash: String<24>,
    /// `FICR.DEVICEID[1] << 32 | DEVICEID[0]`.
    pub device_id: u64,
    /// FICR.INFO.PART, 0x52840.
    pub part: u32,
    /// FICR.INFO.VARIANT, four ASCII characters ("AAD0").
    pub variant: u32,
    pub ram_kib: u32,
    pub flash_kib: u32,
    /// POWER.RESETREAS as found at start (cleared after reading).
    pub reset_reason: u32,
    pub uptime_ms: u32,
}

/// Why the firmware said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Refusal {
    /// The first exchange must be [`Request::Hello`].
    HelloFirst,
    /// The last [`Request::Hello`] named another version or schema than the firmware's, which are given here.
    OtherProtocol { version: u16, schema: u64 },
    /// The request names the link's own ports.
    LinkPort(Port),
    /// The port belongs to the crystal, the reset pad or another function that the bench must not touch.
    ReservedPort(Port),
    /// A bit or index beyond the 48 ports.
    NoSuchPort(u8),
    /// One port stands in two sets of a vector.
    Overlap(Port),
    /// A number is outside the documented range.
    OutOfRange,
    /// All job slots are taken.
    Busy,
    /// A frame that was whole but held no known request.
    NotUnderstood,
    /// All interrupt channels are in use.
    NoChannelLeft,
    /// Something that the request needs does not run or answer: the external flash.
    NotRunning,
    /// UICR.NFCPINS gives P0.09 and P0.10 to GPIO.
    NfcPadsArePorts,
}
