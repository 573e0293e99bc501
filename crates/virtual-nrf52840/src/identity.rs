//! Identity of a piece of silicon: FICR contents and production tolerances.

use std::ops::Range;

/// Identity and tolerances of one chip.
#[derive(Debug, Clone, PartialEq)]
pub struct ChipIdentity {
    /// FICR.DEVICEID.
    pub device_id: u64,
    /// FICR.DEVICEADDR: the 48-bit Bluetooth address (lower bits used).
    pub device_address: u64,
    /// FICR.INFO.PART: 0x52840, or another part fitted by mistake.
    pub part: u32,
    /// FICR.INFO.VARIANT as text, such as `AAD0`. From build code F on, the third letter, the chip comes out of every
    /// hard reset with its access port locked.
    pub variant: [u8; 4],
    /// Seeds the garbage in RAM after power-on and the random number generator.
    pub seed: u64,
    /// Deviations from the ideal chip.
    pub tolerances: Tolerances,
}

impl ChipIdentity {
    /// An ideal chip whose id and address derive from `seed`.
    pub fn from_seed(seed: u64) -> ChipIdentity {
        ChipIdentity {
            device_id: crate::random::mix(seed ^ 0xD1CE),
            device_address: crate::random::mix(seed ^ 0xADD2) & 0xFFFF_FFFF_FFFF,
            part: 0x52840,
            variant: *b"AAD0",
            seed,
            tolerances: Tolerances::default(),
        }
    }
}

/// Deviations of one chip and its crystals. Times are the typical values of the product
/// specification.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerances {
    /// Error of the 32.768 kHz crystal.
    pub lfxo_ppm: f64,
    /// Error of the internal 32.768 kHz oscillator (up to 2 % uncalibrated, 500 ppm calibrated).
    pub lfrc_ppm: f64,
    /// Start-up time of the 32.768 kHz crystal.
    pub lfxo_startup_us: u32,
    /// A 32.768 kHz crystal that never starts.
    pub lfxo_dead: bool,
    /// Start-up time of the 32 MHz crystal.
    pub hfxo_startup_us: u32,
    /// Error of the 32 MHz crystal; affects timers, UART rates and the synthesised 32.768 kHz.
    pub hfxo_ppm: f64,
    /// Error of the internal oscillator, in use until firmware has started the crystal and it runs (15000 is typical,
    /// of either sign).
    pub hfint_ppm: f64,
    /// A 32 MHz crystal that never starts.
    pub hfxo_dead: bool,
    /// Gain error of the SAADC: +0.01 reads 1 % too much.
    pub saadc_gain_error: f64,
    /// Offset of the SAADC before CALIBRATEOFFSET, in volts at the converter (0.6 V is full scale).
    pub saadc_offset_volts: f64,
    /// Offset that remains after CALIBRATEOFFSET, in volts at the converter.
    pub saadc_residual_offset_volts: f64,
    /// Analogue inputs (bit n for AINn) that do not reach the SAADC: they read near 0 V at any voltage.
    pub saadc_dead_inputs: u8,
    /// A range of RAM addresses that loses its contents at every reset and in System OFF.
    pub retained_ram_lost: Option<Range<u32>>,
    /// PWM0 to PWM3 whose outputs never reach a port.
    pub pwm_dead: [bool; 4],
    /// Defects of the bus masters and the UARTs.
    pub buses: BusDefects,
    /// Pairs of ports whose PWM signals are swapped.
    pub pwm_swapped: Vec<(u8, u8)>,
    /// Channels of GPIOTE (bit n for channel n) that never see an edge.
    pub gpiote_dead: u8,
    /// The USB device pulls D+ up but ignores the host.
    pub usb_deaf: bool,
    /// The registers of the radio work, but the antenna neither sends nor receives.
    pub radio_dead: bool,
    /// The NFC tag senses a field but ignores a reader's frames.
    pub nfc_deaf: bool,
    /// Time to write a word of flash.
    pub flash_write_us: u32,
    /// Time to erase a page of flash.
    pub flash_erase_page_us: u32,
    /// Time to erase the whole flash.
    pub flash_erase_all_us: u32,
    /// An address in a page of flash that stays erased after every write.
    pub flash_bad_page: Option<u32>,
}

/// Defects of the serial peripherals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusDefects {
    /// SPIM0 to SPIM3 that never clock.
    pub spim_dead: [bool; 4],
    /// TWIM0 and TWIM1 that never clock.
    pub twim_dead: [bool; 2],
    /// Ports (bit n for port n) that work as GPIO but that no bus master reaches: the master's output does not arrive,
    /// and the master reads a high level.
    pub unreached_ports: u64,
    /// The UARTEs ignore CTS.
    pub cts_ignored: bool,
    /// The UARTEs do not drive RTS.
    pub rts_dead: bool,
}

impl Default for Tolerances {
    fn default() -> Self {
        Tolerances {
            lfxo_ppm: 0.0,
            lfrc_ppm: 0.0,
            lfxo_startup_us: 250_000,
            lfxo_dead: false,
            hfxo_startup_us: 360,
            hfxo_ppm: 0.0,
            hfint_ppm: 0.0,
            hfxo_dead: false,
            saadc_gain_error: 0.0,
            saadc_offset_volts: 0.0,
            saadc_residual_offset_volts: 0.0,
            saadc_dead_inputs: 0,
            retained_ram_lost: None,
            pwm_dead: [false; 4],
            buses: BusDefects::default(),
            pwm_swapped: Vec::new(),
            gpiote_dead: 0,
            usb_deaf: false,
            radio_dead: false,
            nfc_deaf: false,
            flash_write_us: 41,
            flash_erase_page_us: 85_000,
            flash_erase_all_us: 169_000,
            flash_bad_page: None,
        }
    }
}
