//! One-shot conversions.

use crate::Irqs;
use dut_protocol::{ADC_MAX_SAMPLES, AdcInput, AdcRange, AdcRequest, Refusal};
use embassy_nrf::Peri;
use embassy_nrf::peripherals::{P0_02, P0_03, P0_04, P0_05, P0_28, P0_29, P0_30, P0_31, SAADC};
use embassy_nrf::saadc::{AnyInput, ChannelConfig, Config, Gain, Input, Reference, Saadc, Time, VddInput};
use heapless::Vec;

/// The converter and its inputs.
pub struct Adc {
    saadc: Peri<'static, SAADC>,
    /// AIN0 to AIN7.
    inputs: [AnyInput<'static>; 8],
}

impl Adc {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        saadc: Peri<'static, SAADC>,
        ain0: Peri<'static, P0_02>,
        ain1: Peri<'static, P0_03>,
        ain2: Peri<'static, P0_04>,
        ain3: Peri<'static, P0_05>,
        ain4: Peri<'static, P0_28>,
        ain5: Peri<'static, P0_29>,
        ain6: Peri<'static, P0_30>,
        ain7: Peri<'static, P0_31>,
    ) -> Self {
        let inputs = [
            ain0.degrade_saadc(),
            ain1.degrade_saadc(),
            ain2.degrade_saadc(),
            ain3.degrade_saadc(),
            ain4.degrade_saadc(),
            ain5.degrade_saadc(),
            ain6.degrade_saadc(),
            ain7.degrade_saadc(),
        ];
        Self { saadc, inputs }
    }

    /// 12-bit samples, one after the other. Slightly negative codes happen near 0 V.
    pub async fn sample(&mut self, request: &AdcRequest) -> Result<Vec<i16, ADC_MAX_SAMPLES>, Refusal> {
        let mut channel = match request.input {
            AdcInput::Ain(number) => {
                let input = self.inputs.get_mut(usize::from(number)).ok_or(Refusal::OutOfRange)?;
                ChannelConfig::single_ended(input.reborrow())
            }
            AdcInput::Vdd => ChannelConfig::single_ended(VddInput),
        };
        (channel.reference, channel.gain) = match request.range {
            AdcRange::Ratiometric => (Reference::VDD1_4, Gain::Gain1_4),
            AdcRange::Internal3V6 => (Reference::Internal, Gain::Gain1_6),
        };
        channel.time = match request.acquisition_us {
            3 => Time::_3US,
            5 => Time::_5US,
            10 => Time::_10US,
            15 => Time::_15US,
            20 => Time::_20US,
            40 => Time::_40US,
            _ => return Err(Refusal::OutOfRange),
        };

        let mut saadc = Saadc::new(self.saadc.reborrow(), Irqs, Config::default(), [channel]);
        // The offset changes with temperature, and a unit may come warm from the previous station.
        saadc.calibrate().await;
        let mut samples = Vec::new();
        for _ in 0..request.count {
            let mut sample = [0];
            saadc.sample(&mut sample).await;
            samples.push(sample[0]).map_err(|_| Refusal::OutOfRange)?;
        }
        Ok(samples)
    }
}
