//! SW-DP and the registers of its access ports, without the memories and registers behind them (ARM Debug Interface
//! v5.2; nRF52840 product specification, chapter "Debug and trace").

/// DPIDR of the nRF52840.
const DPIDR: u32 = 0x2BA0_1477;
const AHB_AP_IDR: u32 = 0x2477_0011;
const CTRL_AP_IDR: u32 = 0x0288_0000;
/// Address of the ROM table, with its valid bits.
const AHB_AP_BASE: u32 = 0xE00F_F003;
/// After this many high bits in a row the line is reset.
const LINE_RESET_BITS: u32 = 50;
/// Takes SWJ-DP from JTAG to SWD, lowest bit first.
const JTAG_TO_SWD: u16 = 0xE79E;

const STICKY_ERROR: u32 = 1 << 5;
const POWER_REQUESTS: u32 = 1 << 30 | 1 << 28;
/// CSW bits that can be written: protection, auto-increment, size.
const CSW_WRITABLE: u32 = 0x7F00_0037;
const CSW_DEVICE_ENABLED: u32 = 1 << 6;
const CSW_RESET: u32 = 0x2300_0002;

/// Why a transfer of a debug probe failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DapFault {
    /// No answer on the line: no power, or no line reset yet.
    NoAnswer,
    /// The access failed, or the error of an earlier access was not cleared.
    Fault,
}

/// Target of an access to an access port's register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// The value of the register itself.
    Value(u32),
    /// Memory, through the AHB access port.
    Memory { address: u32, bytes: u32 },
    /// A register of CTRL-AP.
    Control(u8),
}

/// State of the line.
#[derive(Debug, Clone)]
pub(crate) struct DebugPort {
    /// High bits in a row, on the line.
    ones: u32,
    /// Bits after a line reset while the port may still speak JTAG.
    switch: Option<(u32, u16)>,
    speaks_swd: bool,
    /// The line was reset, and no transfer came since.
    line_was_reset: bool,
    /// DPIDR was read since the line was reset.
    connected: bool,
    select: u32,
    control: u32,
    sticky_error: bool,
    csw: u32,
    tar: u32,
    read_buffer: u32,
}

impl DebugPort {
    pub fn new() -> DebugPort {
        DebugPort {
            ones: 0,
            switch: None,
            speaks_swd: false,
            line_was_reset: false,
            connected: false,
            select: 0,
            control: 0,
            sticky_error: false,
            csw: CSW_RESET,
            tar: 0,
            read_buffer: 0,
        }
    }

    /// Levels that the probe clocks out outside of a transfer, lowest bit first.
    pub fn sequence(&mut self, bits: u64, length: u8) {
        for n in 0..length.min(64) {
            self.clock(bits >> n & 1 != 0);
        }
    }

    fn clock(&mut self, high: bool) {
        if let Some((taken, word)) = self.switch {
            let word = word | u16::from(high) << taken;
            self.switch = (taken < 15).then_some((taken + 1, word));
            self.speaks_swd |= taken == 15 && word == JTAG_TO_SWD;
        } else if !high && self.ones >= LINE_RESET_BITS && !self.speaks_swd {
            // The first low bit is the lowest of the switching sequence.
            self.switch = Some((1, 0));
        }
        self.ones = if high { self.ones + 1 } else { 0 };
        if self.ones == LINE_RESET_BITS {
            (self.switch, self.connected) = (None, false);
            self.line_was_reset = self.speaks_swd;
        }
    }

    /// Whether the debugger keeps the debug logic powered: "debug interface mode".
    pub fn is_powered_up(&self) -> bool {
        self.control & POWER_REQUESTS != 0
    }

    /// Address of the AHB access port (TAR).
    pub fn memory_address(&self) -> u32 {
        self.tar
    }

    /// Decodes these address bits to the access port and its register.
    pub fn meant(&self, address: u8) -> (u8, u8) {
        ((self.select >> 24) as u8, (self.select & 0xF0) as u8 | address & 0xC)
    }

    pub fn read(&mut self, address: u8) -> Result<u32, DapFault> {
        let address = address & 0xC;
        if address == 0 && self.line_was_reset {
            (self.line_was_reset, self.connected) = (false, true);
        }
        if !self.connected {
            return Err(DapFault::NoAnswer);
        }
        Ok(match (address, self.select & 0xF) {
            (0x0, _) => DPIDR,
            (0x4, 0) => self.control | self.control << 1 & POWER_REQUESTS << 1 | u32::from(self.sticky_error) << 5,
            (0x4, _) => 0,
            // RESEND and RDBUFF.
            _ => self.read_buffer,
        })
    }

    pub fn write(&mut self, address: u8, value: u32) -> Result<(), DapFault> {
        if !self.connected {
            return Err(DapFault::NoAnswer);
        }
        match address & 0xC {
            // ABORT: STKERRCLR; nothing else is ever set.
            0x0 => self.sticky_error &= value & 4 == 0,
            0x4 if self.select & 0xF == 0 => self.control = value & !STICKY_ERROR & !(POWER_REQUESTS << 1),
            0x8 => self.select = value,
            _ => {}
        }
        Ok(())
    }

    /// Returns the target of a register of the selected access port. `open`: the AHB access port is not locked.
    pub(super) fn access(&mut self, address: u8, open: bool, write: Option<u32>) -> Result<Behind, DapFault> {
        if !self.connected {
            return Err(DapFault::NoAnswer);
        }
        if self.sticky_error || !self.is_powered_up() {
            self.sticky_error = true;
            return Err(DapFault::Fault);
        }
        match self.meant(address) {
            (0, 0xFC) => Ok(Behind::Value(AHB_AP_IDR)),
            (0, 0xF8) => Ok(Behind::Value(AHB_AP_BASE)),
            (0, 0xF4) => Ok(Behind::Value(0)),
            (0, 0x00) => {
                if let Some(value) = write {
                    self.csw = self.csw & !CSW_WRITABLE | value & CSW_WRITABLE;
                }
                Ok(Behind::Value(self.csw | if open { CSW_DEVICE_ENABLED } else { 0 }))
            }
            (0, 0x04) => {
                self.tar = write.unwrap_or(self.tar);
                Ok(Behind::Value(self.tar))
            }
            (0, 0x0C) if open => Ok(self.data()),
            (0, register @ 0x10..=0x1C) if open => {
                Ok(Behind::Memory { address: self.tar & !0xF | u32::from(register & 0xC), bytes: 4 })
            }
            (0, 0x0C | 0x10..=0x1C) => Err(self.failed()),
            (1, 0xFC) => Ok(Behind::Value(CTRL_AP_IDR)),
            (1, register) => Ok(Behind::Control(register)),
            // No such access port, no such register.
            _ => Ok(Behind::Value(0)),
        }
    }

    /// DRW: accesses the size in CSW and increments the address within 10 bits.
    fn data(&mut self) -> Behind {
        let bytes = match self.csw & 7 {
            0 => 1,
            1 => 2,
            _ => 4,
        };
        let address = self.tar;
        if self.csw >> 4 & 3 != 0 {
            self.tar = address & !0x3FF | address.wrapping_add(bytes) & 0x3FF;
        }
        Behind::Memory { address, bytes }
    }

    /// Records a failed access: all following accesses fail until the error is cleared.
    pub fn failed(&mut self) -> DapFault {
        self.sticky_error = true;
        DapFault::Fault
    }

    pub fn keep(&mut self, value: u32) {
        self.read_buffer = value;
    }
}
