//! Access port protection (APPROTECT) of both kinds of silicon.

use crate::fabric::ResetCause;
use crate::identity::ChipIdentity;
use crate::peripherals::clock_power::ClockPower;
use crate::peripherals::nvmc::Nvmc;

/// UICR.APPROTECT, and its values that leave the port open.
const APPROTECT: u32 = 0x208;
const OPEN_BEFORE_F: u8 = 0xFF;
const OPEN_FROM_F: u8 = 0x5A;
/// First build code (third letter of the variant) whose firmware must open the port, too.
const BUILD_CODE_F: u8 = b'F';

/// Whether a debugger can access more than CTRL-AP.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessLock {
    /// UICR opened the port at the last reset.
    locked: bool,
    /// The port opens only when the firmware opens it, too.
    by_firmware: bool,
    /// CTRL-AP erased the chip: open until the next hard reset.
    erased: bool,
}

impl AccessLock {
    pub fn reset(&mut self, nvmc: &Nvmc, identity: &ChipIdentity, cause: ResetCause) {
        let value = nvmc.read_uicr(APPROTECT) as u8;
        self.by_firmware = identity.variant[2] >= BUILD_CODE_F;
        self.locked = value != if self.by_firmware { OPEN_FROM_F } else { OPEN_BEFORE_F };
        if !matches!(cause, ResetCause::Software | ResetCause::Lockup) {
            self.erased = false;
        }
    }

    /// CTRL-AP has begun to erase everything.
    pub fn erased(&mut self) {
        self.erased = true;
    }

    pub fn is_erasing(&self) -> bool {
        self.erased
    }

    pub fn is_open(&self, power: &ClockPower) -> bool {
        self.erased || !self.locked && (!self.by_firmware || power.leaves_access_port_open())
    }
}
