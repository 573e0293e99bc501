//! Registers without behaviour in the model, and unknown registers: reads return what was written, and accesses to
//! unknown ones are reported.

use std::collections::BTreeMap;

/// Words by address; a word never written reads zero.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storage {
    words: BTreeMap<u32, u32>,
}

impl Storage {
    pub fn read(&self, address: u32) -> u32 {
        self.words.get(&address).copied().unwrap_or(0)
    }

    pub fn write(&mut self, address: u32, value: u32) {
        self.words.insert(address, value);
    }

    pub fn reset(&mut self) {
        self.words.clear();
    }
}

/// Whether firmware may use the register, with the written value, without any behaviour.
pub(crate) fn is_plain(address: u32, written: Option<u32>) -> bool {
    match address {
        // MWU: REGIONEN and REGIONENSET enable it.
        0x4002_0510 | 0x4002_0514 => written.is_none_or(|regions| regions == 0),
        // Its other registers have no effect while no region is enabled.
        0x4002_0100..=0x4002_06FC => true,
        // Undocumented registers that errata workarounds of the vendor's start-up code write.
        0x4000_0EE4 | 0x4000_053C | 0x4000_568C | 0x4000_173C | 0x4000_0EC0 => true,
        // The same for the USB device (anomalies 171 and 187).
        0x4006_EC00 | 0x4006_EC14 | 0x4006_ED14 => true,
        _ => false,
    }
}

/// Name of the block at an APB or AHB address, for diagnostics.
pub(crate) fn block_name(address: u32) -> &'static str {
    match address >> 12 {
        0x4_0001 => "RADIO",
        0x4_0003 => "SPIM0/TWIM0",
        0x4_0004 => "SPIM1/TWIM1",
        0x4_0005 => "NFCT",
        0x4_000E => "ECB",
        0x4_000F => "CCM/AAR",
        0x4_0012 => "QDEC",
        0x4_0013 => "COMP/LPCOMP",
        0x4_001C => "PWM0",
        0x4_001D => "PDM",
        0x4_001E => "NVMC/ACL",
        0x4_001F => "PPI",
        0x4_0020 => "MWU",
        0x4_0021 => "PWM1",
        0x4_0022 => "PWM2",
        0x4_0023 => "SPIM2",
        0x4_0025 => "I2S",
        0x4_0026 => "FPU",
        0x4_0027 => "USBD",
        0x4_0029 => "QSPI",
        0x4_002D => "PWM3",
        0x4_002F => "SPIM3",
        0x5_0000 => "GPIO",
        0x5_002A | 0x5_002B => "CRYPTOCELL",
        _ => "unknown peripheral",
    }
}
