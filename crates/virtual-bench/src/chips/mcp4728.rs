//! MCP4728 12-bit DAC with four outputs (Microchip DS22187). LDAC is tied low: outputs follow at once.

use super::I2cDevice;

const INTERNAL_REFERENCE_VOLTS: f64 = 2.048;
/// Output resistance of a driven output, ohms.
const OUTPUT_OHMS: f64 = 1.0;
/// Longest time that writing the EEPROM takes (typical 25 ms).
const EEPROM_WRITE_NS: u64 = 50_000_000;

const GENERAL_CALL_RESET: u8 = 0x06;
const GENERAL_CALL_UPDATE: u8 = 0x08;
const GENERAL_CALL_WAKE: u8 = 0x09;

/// State of one output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DacOutput {
    pub volts: f64,
    pub ohms: f64,
}

/// Registers of one channel. After delivery: internal reference, gain 1, 0 V.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Channel {
    internal_reference: bool,
    power_down: u8,
    double: bool,
    code: u16,
}

impl Channel {
    const DELIVERED: Self = Self { internal_reference: true, power_down: 0, double: false, code: 0 };

    /// The second and third byte of a multi-write, single write or read.
    fn from_bytes(high: u8, low: u8) -> Self {
        Self {
            internal_reference: high & 0x80 != 0,
            power_down: high >> 5 & 3,
            double: high & 0x10 != 0,
            code: u16::from_be_bytes([high & 0x0F, low]),
        }
    }
    fn to_bytes(self) -> [u8; 2] {
        let flags = u8::from(self.internal_reference) << 7 | self.power_down << 5 | u8::from(self.double) << 4;
        [flags | (self.code >> 8) as u8, self.code as u8]
    }
}

/// Meaning of the bytes in the current transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// Nothing came yet.
    None,
    FastWrite,
    /// Every third byte names a channel.
    MultiWrite,
    /// From a channel on, two bytes each, EEPROM included.
    SequentialWrite,
    SingleWrite,
    PowerDown,
    /// The rest is ignored.
    Done,
}

#[derive(Debug, Clone)]
pub struct Mcp4728 {
    supply_volts: f64,
    channels: [Channel; 4],
    eeprom: [Channel; 4],
    eeprom_busy_until_ns: u64,
    command: Command,
    channel: usize,
    high: Option<u8>,
    read_at: usize,
    general_call: bool,
}

impl Mcp4728 {
    pub fn new(supply_volts: f64) -> Self {
        Self {
            supply_volts,
            channels: [Channel::DELIVERED; 4],
            eeprom: [Channel::DELIVERED; 4],
            eeprom_busy_until_ns: 0,
            command: Command::None,
            channel: 0,
            high: None,
            read_at: 0,
            general_call: false,
        }
    }

    /// Voltage and output resistance of channel 0..=3.
    pub fn output(&self, channel: u8) -> DacOutput {
        let channel = self.channels[usize::from(channel) & 3];
        let down = |ohms: f64| DacOutput { volts: 0.0, ohms };
        match channel.power_down {
            0 => {
                let full_scale = match (channel.internal_reference, channel.double) {
                    (true, true) => 2.0 * INTERNAL_REFERENCE_VOLTS,
                    (true, false) => INTERNAL_REFERENCE_VOLTS,
                    // Gain is ignored with the supply as reference.
                    (false, _) => self.supply_volts,
                };
                let volts = (full_scale * f64::from(channel.code) / 4096.0).min(self.supply_volts);
                DacOutput { volts, ohms: OUTPUT_OHMS }
            }
            1 => down(1e3),
            2 => down(100e3),
            _ => down(500e3),
        }
    }

    /// The next transaction goes to address 0, the general call.
    pub fn start_general_call(&mut self) {
        self.command = Command::None;
        self.general_call = true;
    }

    fn first_byte(&mut self, byte: u8, at_ns: u64) -> bool {
        self.channel = usize::from(byte >> 1 & 3);
        self.command = match byte >> 5 {
            0b000 | 0b001 => {
                self.channel = 0;
                self.high = Some(byte);
                Command::FastWrite
            }
            0b010 => match byte >> 3 & 3 {
                0b00 => Command::MultiWrite,
                // While the EEPROM is being written, new write commands to it are refused.
                0b10 if at_ns >= self.eeprom_busy_until_ns => Command::SequentialWrite,
                0b11 if at_ns >= self.eeprom_busy_until_ns => Command::SingleWrite,
                _ => Command::Done,
            },
            0b100 => {
                self.flags(byte, |channel, on| channel.internal_reference = on);
                Command::Done
            }
            0b110 => {
                self.flags(byte, |channel, on| channel.double = on);
                Command::Done
            }
            0b101 => {
                self.channels[0].power_down = byte >> 2 & 3;
                self.channels[1].power_down = byte & 3;
                Command::PowerDown
            }
            _ => Command::Done,
        };
        true
    }

    /// One bit per channel in the lower half of a command byte, channel A first.
    fn flags(&mut self, byte: u8, set: impl Fn(&mut Channel, bool)) {
        for (n, channel) in self.channels.iter_mut().enumerate() {
            set(channel, byte & 8 >> n != 0);
        }
    }

    /// Two bytes with all settings of the present channel.
    fn store(&mut self, high: u8, low: u8, eeprom_at_ns: Option<u64>) {
        let value = Channel::from_bytes(high, low);
        self.channels[self.channel] = value;
        if let Some(at_ns) = eeprom_at_ns {
            self.eeprom[self.channel] = value;
            self.eeprom_busy_until_ns = at_ns + EEPROM_WRITE_NS;
        }
    }
}

impl I2cDevice for Mcp4728 {
    fn start(&mut self, _at_ns: u64) {
        self.command = Command::None;
        self.general_call = false;
        self.high = None;
        self.read_at = 0;
    }

    fn write(&mut self, byte: u8, at_ns: u64) -> bool {
        if self.general_call {
            match byte {
                GENERAL_CALL_RESET => self.channels = self.eeprom,
                GENERAL_CALL_WAKE => self.channels.iter_mut().for_each(|channel| channel.power_down = 0),
                // The outputs follow at once anyway.
                GENERAL_CALL_UPDATE => {}
                _ => return false,
            }
            return true;
        }
        match (self.command, self.high.take()) {
            (Command::None, _) => return self.first_byte(byte, at_ns),
            (Command::FastWrite, Some(high)) => {
                let channel = &mut self.channels[self.channel];
                channel.power_down = high >> 4 & 3;
                channel.code = u16::from_be_bytes([high & 0x0F, byte]);
                self.channel = (self.channel + 1) % 4;
            }
            (Command::MultiWrite, Some(high)) => {
                self.store(high, byte, None);
                // The next byte names a channel again.
                self.command = Command::None;
            }
            (Command::SequentialWrite, Some(high)) => {
                self.store(high, byte, Some(at_ns));
                self.channel += 1;
                if self.channel == 4 {
                    self.command = Command::Done;
                }
            }
            (Command::SingleWrite, Some(high)) => {
                self.store(high, byte, Some(at_ns));
                self.command = Command::Done;
            }
            (Command::PowerDown, _) => {
                self.channels[2].power_down = byte >> 6 & 3;
                self.channels[3].power_down = byte >> 4 & 3;
                self.command = Command::Done;
            }
            (Command::Done, _) => {}
            (_, None) => self.high = Some(byte),
        }
        true
    }

    fn read(&mut self, at_ns: u64) -> u8 {
        let (channel, place) = (self.read_at / 6 % 4, self.read_at % 6);
        self.read_at += 1;
        let [high, low] = if place < 3 { self.channels[channel] } else { self.eeprom[channel] }.to_bytes();
        match place % 3 {
            // RDY, POR, channel, address bits of a chip at 0x60.
            0 => u8::from(at_ns >= self.eeprom_busy_until_ns) << 7 | 0x40 | (channel as u8) << 4,
            1 => high,
            _ => low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::OneChip;
    use super::*;
    use embedded_hal::i2c::I2c;
    use mcp4728::{
        Channel as Which, ChannelState, GainMode, MCP4728, OutputEnableMode, PowerDownMode, VoltageReferenceMode,
    };

    #[test]
    fn commands_of_the_data_sheet() {
        // (bytes, channel, expected output)
        let driven = |volts| DacOutput { volts, ohms: OUTPUT_OHMS };
        for (bytes, channel, expected) in [
            // Fast write to A and B: the reference stays the internal one.
            (&[0x08, 0x00, 0x04, 0x00][..], 0, driven(1.024)),
            (&[0x08, 0x00, 0x04, 0x00], 1, driven(0.512)),
            (&[0x18, 0x00], 0, DacOutput { volts: 0.0, ohms: 1e3 }),
            // Multi-write to C with the supply as reference, then to D with the doubled internal one.
            (&[0x44, 0x08, 0x00, 0x46, 0x98, 0x00], 2, driven(2.5)),
            (&[0x44, 0x08, 0x00, 0x46, 0x98, 0x00], 3, driven(2.048)),
            // Sequential write from C.
            (&[0x54, 0x88, 0x00, 0x84, 0x00], 2, driven(1.024)),
            (&[0x54, 0x88, 0x00, 0x84, 0x00], 3, driven(0.512)),
            // Single write to B, power-down 500 kohm.
            (&[0x5A, 0xE8, 0x00], 1, DacOutput { volts: 0.0, ohms: 500e3 }),
        ] {
            let mut bus = OneChip::new(0x60, Mcp4728::new(5.0));
            bus.write(0x60, bytes).unwrap();
            assert_eq!(bus.device.borrow().output(channel), expected, "{bytes:x?} on channel {channel}");
        }
    }

    #[test]
    fn a_doubled_reference_ends_at_the_supply() {
        let mut bus = OneChip::new(0x60, Mcp4728::new(3.3));
        bus.write(0x60, &[0x40, 0x9F, 0xFF]).unwrap();
        assert_eq!(bus.device.borrow().output(0).volts, 3.3);
    }

    #[test]
    fn the_eeprom_takes_its_time_and_survives_a_reset() {
        let mut bus = OneChip::new(0x60, Mcp4728::new(5.0));
        bus.write(0x60, &[0x58, 0x88, 0x00]).unwrap();
        let mut first = [0];
        bus.read(0x60, &mut first).unwrap();
        assert_eq!(first[0] & 0x80, 0, "busy");
        bus.now_ns.set(EEPROM_WRITE_NS);
        bus.read(0x60, &mut first).unwrap();
        assert_eq!(first[0] & 0x80, 0x80, "ready");
        bus.write(0x60, &[0x00, 0x00]).unwrap();
        assert_eq!(bus.device.borrow().output(0).volts, 0.0);
        bus.device.borrow_mut().start_general_call();
        assert!(bus.device.borrow_mut().write(GENERAL_CALL_RESET, 0));
        assert_eq!(bus.device.borrow().output(0).volts, 1.024, "back from the EEPROM");
    }

    #[test]
    fn through_the_driver_crate() {
        let bus = OneChip::new(0x60, Mcp4728::new(5.0));
        let mut driver = MCP4728::new(bus.share(), 0x60);
        let supply = VoltageReferenceMode::External;
        driver.write_voltage_reference_mode(supply, supply, supply, supply).unwrap();
        driver.fast_write(4095, 2048, 1024, 0).unwrap();
        let volts: Vec<f64> = (0..4).map(|n| bus.device.borrow().output(n).volts).collect();
        assert!(volts.iter().zip([4.9988, 2.5, 1.25, 0.0]).all(|(a, b)| (a - b).abs() < 1e-3), "{volts:?}");
        let state = ChannelState::new()
            .voltage_reference_mode(VoltageReferenceMode::Internal)
            .gain_mode(GainMode::TimesTwo)
            .value(2048);
        driver.multi_write(&[(Which::B, OutputEnableMode::Update, state)]).unwrap();
        assert_eq!(bus.device.borrow().output(1).volts, 2.048);
        let state = state.power_down_mode(PowerDownMode::PowerDownOneHundredK);
        driver.single_write(Which::D, OutputEnableMode::Update, &state).unwrap();
        assert_eq!(bus.device.borrow().output(3).ohms, 100e3);
        let registers = driver.read().unwrap();
        assert_eq!(registers.channel_b_input.channel_state.value, 2048);
        assert_eq!(registers.channel_d_eeprom.channel_state.power_down_mode, PowerDownMode::PowerDownOneHundredK);
    }
}
