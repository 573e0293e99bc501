//! ADS1115 16-bit ADC (Texas Instruments SBAS444).

use super::{I2cDevice, WordAccess};

const CONVERSION: u8 = 0;
const CONFIG: u8 = 1;
const LOW_THRESHOLD: u8 = 2;
const HIGH_THRESHOLD: u8 = 3;

const CONFIG_RESET: u16 = 0x8583;
const START: u16 = 0x8000;
const SINGLE_SHOT: u16 = 0x0100;
/// Waking up from power-down before a single conversion.
const WAKE_NS: u64 = 25_000;
/// Samples per second, by the DR field.
const RATES: [u32; 8] = [8, 16, 32, 64, 128, 250, 475, 860];
/// Full scale in volts, by the PGA field.
const FULL_SCALE_VOLTS: [f64; 8] = [6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256];
/// Which inputs are compared, by the MUX field; `None` is ground.
const INPUTS: [(u8, Option<u8>); 8] =
    [(0, Some(1)), (0, Some(3)), (1, Some(3)), (2, Some(3)), (0, None), (1, None), (2, None), (3, None)];

/// A conversion under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conversion {
    pub positive: u8,
    pub negative: Option<u8>,
    pub full_scale_volts: f64,
    pub done_at_ns: u64,
}

#[derive(Debug, Clone)]
pub struct Ads1115 {
    config: u16,
    conversion: u16,
    thresholds: [u16; 2],
    access: WordAccess,
    read_word: u16,
    running: Option<Conversion>,
    /// Nominal conversion time over the real one; the data sheet allows 0.9 to 1.1.
    rate_factor: f64,
}

impl Ads1115 {
    pub fn new(rate_factor: f64) -> Self {
        Self {
            config: CONFIG_RESET & !START,
            conversion: 0,
            thresholds: [0x8000, 0x7FFF],
            access: WordAccess::default(),
            read_word: 0,
            running: None,
            rate_factor,
        }
    }

    /// The conversion to finish with [`Ads1115::finish`] when it is due.
    pub fn running(&self) -> Option<Conversion> {
        self.running
    }

    /// Ends the running conversion with the voltage between its inputs.
    pub fn finish(&mut self, volts: f64) {
        let Some(done) = self.running.take() else { return };
        let code = (volts / done.full_scale_volts * 32768.0).round().clamp(-32768.0, 32767.0);
        self.conversion = code as i16 as u16;
        if self.config & SINGLE_SHOT == 0 {
            self.running = Some(self.conversion_from(done.done_at_ns, 0));
        }
    }

    fn conversion_from(&self, at_ns: u64, wake_ns: u64) -> Conversion {
        let field = |shift: u16| usize::from(self.config >> shift & 7);
        let (positive, negative) = INPUTS[field(12)];
        let span_ns = 1e9 / f64::from(RATES[field(5)]) / self.rate_factor;
        Conversion {
            positive,
            negative,
            full_scale_volts: FULL_SCALE_VOLTS[field(9)],
            done_at_ns: at_ns + wake_ns + span_ns as u64,
        }
    }
}

impl I2cDevice for Ads1115 {
    fn start(&mut self, _at_ns: u64) {
        self.access.start();
    }

    fn write(&mut self, byte: u8, at_ns: u64) -> bool {
        match self.access.write(byte) {
            Some((CONFIG, value)) => {
                let was_continuous = self.config & SINGLE_SHOT == 0;
                self.config = value & !START;
                if value & SINGLE_SHOT == 0 {
                    self.running = Some(self.conversion_from(at_ns, if was_continuous { 0 } else { WAKE_NS }));
                } else if value & START != 0 && self.running.is_none() {
                    self.running = Some(self.conversion_from(at_ns, WAKE_NS));
                }
            }
            Some((register @ (LOW_THRESHOLD | HIGH_THRESHOLD), value)) => {
                self.thresholds[usize::from(register - LOW_THRESHOLD)] = value;
            }
            _ => {}
        }
        true
    }

    fn read(&mut self, _at_ns: u64) -> u8 {
        if self.access.wants_word() {
            self.read_word = match self.access.pointer & 3 {
                CONVERSION => self.conversion,
                CONFIG => self.config | if self.running.is_none() { START } else { 0 },
                LOW_THRESHOLD => self.thresholds[0],
                _ => self.thresholds[1],
            };
        }
        self.access.read(self.read_word)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::OneChip;
    use super::*;
    use ads1x1x::{Ads1x1x, DataRate16Bit, FullScaleRange, TargetAddr, channel};
    use embedded_hal::i2c::I2c;

    #[test]
    fn reset_values() {
        let mut bus = OneChip::new(0x48, Ads1115::new(1.0));
        for (register, expected) in [(0u8, 0x0000u16), (1, 0x8583), (2, 0x8000), (3, 0x7FFF)] {
            let mut word = [0; 2];
            bus.write_read(0x48, &[register], &mut word).unwrap();
            assert_eq!(u16::from_be_bytes(word), expected, "register {register}");
        }
    }

    #[test]
    fn single_shot_timing_and_codes() {
        // (config, inputs, conversion time in ns, volts, code)
        for (config, inputs, span, volts, code) in [
            (0xC183u16, (0, None), 7_812_500, 3.072, 16384i16), // 6.144 V, 128 SPS
            (0xD3E3, (1, None), 1_162_790, 1.0, 8000),          // 4.096 V, 860 SPS
            (0x8503, (0, Some(1)), 125_000_000, -2.048, -32768), // 2.048 V, 8 SPS, differential
            (0xFBE3, (3, None), 1_162_790, 1.0, 32767),         // 0.256 V: over range
        ] {
            let mut bus = OneChip::new(0x48, Ads1115::new(1.0));
            bus.now_ns.set(1000);
            let [high, low] = config.to_be_bytes();
            bus.write(0x48, &[1, high, low]).unwrap();
            let running = bus.device.borrow().running().unwrap();
            assert_eq!((running.positive, running.negative), inputs);
            assert!(running.done_at_ns.abs_diff(1000 + WAKE_NS + span) < 2000, "{running:?}");
            let mut word = [0; 2];
            bus.write_read(0x48, &[1], &mut word).unwrap();
            assert_eq!(u16::from_be_bytes(word) & START, 0, "busy");
            bus.device.borrow_mut().finish(volts);
            bus.write_read(0x48, &[1], &mut word).unwrap();
            assert_eq!(u16::from_be_bytes(word), config | START, "idle again");
            bus.write_read(0x48, &[0], &mut word).unwrap();
            assert_eq!(i16::from_be_bytes(word), code);
        }
    }

    #[test]
    fn a_slow_chip_takes_longer() {
        let mut chip = Ads1115::new(0.9);
        [1, 0xC1, 0xE3].into_iter().for_each(|byte| assert!(chip.write(byte, 0)));
        assert!(chip.running().unwrap().done_at_ns > 1_290_000);
    }

    #[test]
    fn through_the_driver_crate() {
        let bus = OneChip::new(0x48, Ads1115::new(1.0));
        let mut driver = Ads1x1x::new_ads1115(bus.share(), TargetAddr::default());
        driver.set_data_rate(DataRate16Bit::Sps860).unwrap();
        driver.set_full_scale_range(FullScaleRange::Within4_096V).unwrap();
        // The driver sets the start bit with every change of a setting, so a conversion of its default inputs runs.
        bus.device.borrow_mut().finish(0.0);
        assert!(driver.read(channel::SingleA1).is_err(), "would block");
        assert_eq!(bus.device.borrow().running().unwrap().positive, 1);
        bus.device.borrow_mut().finish(3.3);
        assert_eq!(driver.read(channel::SingleA1).unwrap(), 26400);
    }

    #[test]
    fn continuous_mode_goes_on() {
        let bus = OneChip::new(0x48, Ads1115::new(1.0));
        let driver = Ads1x1x::new_ads1115(bus.share(), TargetAddr::default());
        let Ok(mut driver) = driver.into_continuous() else { panic!("the mode could not be changed") };
        bus.device.borrow_mut().finish(1.024);
        assert_eq!(driver.read().unwrap(), 16384);
        assert!(bus.device.borrow().running().is_some());
    }
}
