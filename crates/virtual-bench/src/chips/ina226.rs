//! INA226 power monitor (Texas Instruments SBOS547).

use super::{I2cDevice, WordAccess};

const CONFIG: u8 = 0;
const SHUNT: u8 = 1;
const BUS: u8 = 2;
const POWER: u8 = 3;
const CURRENT: u8 = 4;
const CALIBRATION: u8 = 5;
const MASK: u8 = 6;
const ALERT_LIMIT: u8 = 7;
const MANUFACTURER_ID: u8 = 0xFE;
const DIE_ID: u8 = 0xFF;

const CONFIG_RESET: u16 = 0x4127;
const RESET: u16 = 0x8000;
const CONVERSION_READY: u16 = 0x0008;
/// Bits of the mask register that can be written.
const MASK_WRITABLE: u16 = 0xFC03;
const AVERAGES: [u32; 8] = [1, 4, 16, 64, 128, 256, 512, 1024];
const CONVERSION_US: [u32; 8] = [140, 204, 332, 588, 1100, 2116, 4156, 8244];
const SHUNT_STEP_VOLTS: f64 = 2.5e-6;
const BUS_STEP_VOLTS: f64 = 1.25e-3;

#[derive(Debug, Clone)]
pub struct Ina226 {
    config: u16,
    shunt: i16,
    bus: u16,
    calibration: u16,
    mask: u16,
    alert_limit: u16,
    access: WordAccess,
    read_word: u16,
    /// When the present series of conversions began; `None`: none runs.
    began_ns: Option<u64>,
    /// How many results were delivered.
    delivered: u64,
}

impl Default for Ina226 {
    /// State after power-on: converts shunt and bus continuously.
    fn default() -> Self {
        Self {
            config: CONFIG_RESET,
            shunt: 0,
            bus: 0,
            calibration: 0,
            mask: 0,
            alert_limit: 0,
            access: WordAccess::default(),
            read_word: 0,
            began_ns: Some(0),
            delivered: 0,
        }
    }
}

impl Ina226 {
    /// How many samples are averaged.
    pub fn averages(&self) -> u32 {
        AVERAGES[usize::from(self.config >> 9 & 7)]
    }

    fn converts(&self) -> (bool, bool) {
        (self.config & 1 != 0, self.config & 2 != 0)
    }
    fn is_continuous(&self) -> bool {
        self.config & 4 != 0
    }

    /// Time from one result to the next.
    fn cycle_ns(&self) -> u64 {
        let (shunt, bus) = self.converts();
        let time =
            |on: bool, shift: u16| u64::from(CONVERSION_US[usize::from(self.config >> shift & 7)]) * u64::from(on);
        (time(bus, 6) + time(shunt, 3)) * 1000 * u64::from(self.averages())
    }

    /// Whether a conversion ended for which [`Ina226::deliver`] has not yet received the voltages.
    pub fn is_due(&self, at_ns: u64) -> bool {
        self.began_ns.is_some_and(|began| {
            let ended = at_ns.saturating_sub(began).checked_div(self.cycle_ns()).unwrap_or(0);
            ended > self.delivered && (self.is_continuous() || self.delivered == 0)
        })
    }

    /// The result of all conversions up to now: voltage across the shunt and at the bus pin.
    pub fn deliver(&mut self, shunt_volts: f64, bus_volts: f64, at_ns: u64) {
        let Some(began) = self.began_ns else { return };
        let (shunt, bus) = self.converts();
        if shunt {
            self.shunt = (shunt_volts / SHUNT_STEP_VOLTS).round().clamp(-32768.0, 32767.0) as i16;
        }
        if bus {
            self.bus = (bus_volts / BUS_STEP_VOLTS).round().clamp(0.0, 32767.0) as u16;
        }
        self.delivered = at_ns.saturating_sub(began).checked_div(self.cycle_ns()).unwrap_or(0);
        self.mask |= CONVERSION_READY;
        if !self.is_continuous() {
            self.began_ns = None;
        }
    }

    /// Data sheet, equation 3: current = shunt x calibration / 2048.
    fn current(&self) -> i16 {
        let product = i32::from(self.shunt) * i32::from(self.calibration) / 2048;
        product.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
    }

    fn restart(&mut self, at_ns: u64) {
        self.mask &= !CONVERSION_READY;
        self.delivered = 0;
        self.began_ns = (self.converts() != (false, false)).then_some(at_ns);
    }
}

impl I2cDevice for Ina226 {
    fn start(&mut self, _at_ns: u64) {
        self.access.start();
    }

    fn write(&mut self, byte: u8, at_ns: u64) -> bool {
        match self.access.write(byte) {
            Some((CONFIG, value)) if value & RESET != 0 => {
                *self = Self { access: self.access.clone(), ..Self::default() };
                self.restart(at_ns);
            }
            Some((CONFIG, value)) => {
                self.config = value;
                self.restart(at_ns);
            }
            Some((CALIBRATION, value)) => self.calibration = value & 0x7FFF,
            Some((MASK, value)) => self.mask = self.mask & !MASK_WRITABLE | value & MASK_WRITABLE,
            Some((ALERT_LIMIT, value)) => self.alert_limit = value,
            _ => {}
        }
        true
    }

    fn read(&mut self, _at_ns: u64) -> u8 {
        if self.access.wants_word() {
            self.read_word = match self.access.pointer {
                CONFIG => self.config,
                SHUNT => self.shunt as u16,
                BUS => self.bus,
                POWER => (u32::from(self.current().unsigned_abs()) * u32::from(self.bus) / 20_000).min(0xFFFF) as u16,
                CURRENT => self.current() as u16,
                CALIBRATION => self.calibration,
                MASK => {
                    let mask = self.mask;
                    self.mask &= !CONVERSION_READY;
                    mask
                }
                ALERT_LIMIT => self.alert_limit,
                MANUFACTURER_ID => 0x5449,
                DIE_ID => 0x2260,
                _ => 0,
            };
        }
        self.access.read(self.read_word)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::OneChip;
    use super::*;
    use embedded_hal::i2c::I2c;

    fn register(bus: &mut OneChip<Ina226>, register: u8) -> u16 {
        let mut word = [0; 2];
        bus.write_read(0x40, &[register], &mut word).unwrap();
        u16::from_be_bytes(word)
    }

    #[test]
    fn reset_values() {
        let mut bus = OneChip::new(0x40, Ina226::default());
        for (address, expected) in [
            (CONFIG, 0x4127),
            (SHUNT, 0),
            (BUS, 0),
            (POWER, 0),
            (CURRENT, 0),
            (CALIBRATION, 0),
            (MASK, 0),
            (ALERT_LIMIT, 0),
            (MANUFACTURER_ID, 0x5449),
            (DIE_ID, 0x2260),
        ] {
            assert_eq!(register(&mut bus, address), expected, "register {address}");
        }
    }

    #[test]
    fn the_data_sheets_worked_example() {
        // SBOS547, table 1: 2 mohm shunt, 10 A, CAL = 2560, 1 mA per bit, bus at 11.98 V.
        let mut bus = OneChip::new(0x40, Ina226::default());
        bus.write(0x40, &[CALIBRATION, 0x0A, 0x00]).unwrap();
        bus.device.borrow_mut().deliver(20e-3, 11.98, 2_200_000);
        let read = [SHUNT, BUS, CURRENT, POWER].map(|address| register(&mut bus, address));
        assert_eq!(read, [0x1F40, 0x2570, 0x2710, 0x12B8 - 1 + 1], "{read:x?}");
    }

    #[test]
    fn conversion_times() {
        // (config, cycle in microseconds)
        for (config, cycle_us) in [
            (0x4127u16, 2200u64),
            (0x4527, 16 * 2200),
            (0x4003 | 0x0007, 280),
            (0x4125, 1100),
            (0x4FFF, 1024 * 2 * 8244),
        ] {
            let mut bus = OneChip::new(0x40, Ina226::default());
            bus.now_ns.set(5_000);
            let [high, low] = config.to_be_bytes();
            bus.write(0x40, &[CONFIG, high, low]).unwrap();
            let device = bus.device.borrow();
            assert!(!device.is_due(5_000 + cycle_us * 1000 - 1), "{config:#06x}: too early");
            assert!(device.is_due(5_000 + cycle_us * 1000), "{config:#06x}: too late");
        }
    }

    #[test]
    fn triggered_once_and_ready_flag() {
        let mut bus = OneChip::new(0x40, Ina226::default());
        bus.write(0x40, &[CONFIG, 0x41, 0x23]).unwrap();
        assert!(bus.device.borrow().is_due(2_200_000));
        bus.device.borrow_mut().deliver(-1e-3, 3.3, 2_200_000);
        assert!(!bus.device.borrow().is_due(100_000_000), "one result only");
        assert_eq!(register(&mut bus, MASK), CONVERSION_READY);
        assert_eq!(register(&mut bus, MASK), 0, "reading clears it");
        assert_eq!(register(&mut bus, SHUNT) as i16, -400);
    }

    #[test]
    fn through_the_driver_crate() {
        let bus = OneChip::new(0x40, Ina226::default());
        let mut driver = ina226::INA226::new(bus.share(), 0x40);
        assert_eq!(driver.manufacturer_id().unwrap(), 0x5449);
        assert_eq!(driver.die_id().unwrap(), 0x2260);
        driver
            .set_configuration(&ina226::Config {
                avg: ina226::AVG::_4,
                vbusct: ina226::VBUSCT::_588us,
                vshct: ina226::VSHCT::_588us,
                mode: ina226::MODE::ShuntBusVoltageContinuous,
            })
            .unwrap();
        assert_eq!(bus.device.borrow().averages(), 4);
        assert!(bus.device.borrow().is_due(4 * 2 * 588_000));
        bus.device.borrow_mut().deliver(0.45e-3, 3.3, 4_704_000);
        assert!((driver.bus_voltage_millivolts().unwrap() - 3300.0).abs() < 1.3);
        assert!((driver.shunt_voltage_microvolts().unwrap() - 450.0).abs() < 2.6);
    }
}
