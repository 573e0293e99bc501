//! Loads and stores.

use crate::bus::Bus;
use crate::cache::RAM_BASE;
use crate::core::Core;
use crate::exception::Trap;
use crate::mpu::Access;

/// The private peripheral bus is this mebibyte.
const PRIVATE: u32 = 0xE00;

impl Core {
    /// Loads 1, 2 or 4 bytes, zero-extended.
    #[inline(always)]
    pub(crate) fn load<B: Bus>(&mut self, bus: &mut B, address: u32, bytes: u32) -> Result<u32, Trap> {
        if !self.state.guarded {
            let offset = address.wrapping_sub(RAM_BASE) as usize;
            if let Some(word) = word_in(bus.ram(), offset, bytes) {
                self.state.cycles += 1;
                return Ok(word);
            }
            if let Some(word) = word_in(bus.code(), address as usize, bytes) {
                self.state.cycles += 1;
                return Ok(word);
            }
        }
        self.load_as(bus, address, bytes, self.state.privileged())
    }

    /// Stores the low 1, 2 or 4 bytes.
    #[inline(always)]
    pub(crate) fn store<B: Bus>(&mut self, bus: &mut B, address: u32, bytes: u32, value: u32) -> Result<(), Trap> {
        if !self.state.guarded {
            let offset = address.wrapping_sub(RAM_BASE) as usize;
            if put_word(bus.ram_mut(), offset, bytes, value) {
                self.state.cycles += 1;
                return Ok(());
            }
        }
        self.store_as(bus, address, bytes, value, self.state.privileged())
    }

    /// Loads with the given privileges.
    #[inline(never)]
    pub(crate) fn load_as<B: Bus>(
        &mut self,
        bus: &mut B,
        address: u32,
        bytes: u32,
        privileged: bool,
    ) -> Result<u32, Trap> {
        self.state.cycles += 1;
        self.check(address, bytes, Access::Read, privileged)?;
        if address >> 20 == PRIVATE {
            return self.load_private(bus, address, bytes, privileged);
        }
        if address.is_multiple_of(bytes) {
            return self.read_plain(bus, address, bytes).ok_or_else(|| self.bus_fault(address));
        }
        self.check_splittable(address)?;
        let mut word = 0;
        for n in 0..bytes {
            let at = address.wrapping_add(n);
            word |= self.read_plain(bus, at, 1).ok_or_else(|| self.bus_fault(at))? << (8 * n);
        }
        Ok(word)
    }

    /// Stores with the given privileges.
    #[inline(never)]
    pub(crate) fn store_as<B: Bus>(
        &mut self,
        bus: &mut B,
        address: u32,
        bytes: u32,
        value: u32,
        privileged: bool,
    ) -> Result<(), Trap> {
        self.state.cycles += 1;
        self.check(address, bytes, Access::Write, privileged)?;
        if address >> 20 == PRIVATE {
            return self.store_private(bus, address, bytes, value, privileged);
        }
        if address.is_multiple_of(bytes) {
            return self.write_plain(bus, address, bytes, value).ok_or_else(|| self.bus_fault(address));
        }
        self.check_splittable(address)?;
        for n in 0..bytes {
            let at = address.wrapping_add(n);
            self.write_plain(bus, at, 1, value >> (8 * n) & 0xFF).ok_or_else(|| self.bus_fault(at))?;
        }
        Ok(())
    }

    /// An aligned read of memory or the bus, without any check.
    pub(crate) fn read_plain<B: Bus>(&mut self, bus: &mut B, address: u32, bytes: u32) -> Option<u32> {
        if let Some(word) = word_in(bus.ram(), address.wrapping_sub(RAM_BASE) as usize, bytes) {
            return Some(word);
        }
        if let Some(word) = word_in(bus.code(), address as usize, bytes) {
            return Some(word);
        }
        let word = bus.read(address, bytes, self.state.began);
        self.look_at_bus(bus);
        word
    }

    fn write_plain<B: Bus>(&mut self, bus: &mut B, address: u32, bytes: u32, value: u32) -> Option<()> {
        if put_word(bus.ram_mut(), address.wrapping_sub(RAM_BASE) as usize, bytes, value) {
            return Some(());
        }
        let mask = low_bytes(bytes);
        let done = bus.write(address, bytes, value & mask, self.state.began);
        self.forget_old_code(bus);
        self.look_at_bus(bus);
        done
    }

    pub(crate) fn look_at_bus<B: Bus>(&mut self, bus: &B) {
        if bus.wants_attention() {
            self.state.bus_waits = true;
            self.state.raise();
        }
    }

    fn bus_fault(&mut self, address: u32) -> Trap {
        self.state.fault_address = address;
        Trap::BusData
    }

    fn check(&mut self, address: u32, bytes: u32, access: Access, privileged: bool) -> Result<(), Trap> {
        if !self.state.guarded {
            return Ok(());
        }
        if self.state.system.traps_unaligned() && !address.is_multiple_of(bytes) {
            return Err(Trap::Unaligned);
        }
        let urgent = self.execution_priority() < 0;
        let last = address.wrapping_add(bytes - 1);
        let mpu = &self.state.system.mpu;
        // The MPU does not cover the private peripheral bus.
        if address >> 20 == PRIVATE
            || mpu.permits(address, access, privileged, urgent) && mpu.permits(last, access, privileged, urgent)
        {
            return Ok(());
        }
        self.state.fault_address = address;
        Err(Trap::MpuData)
    }

    /// Whether the MPU allows executing the instruction at `pc`.
    pub(crate) fn may_execute(&self, pc: u32, bytes: u32) -> bool {
        let mpu = &self.state.system.mpu;
        if !mpu.is_on() {
            return true;
        }
        let (privileged, urgent) = (self.state.privileged(), self.execution_priority() < 0);
        let last = pc.wrapping_add(bytes - 1);
        mpu.permits(pc, Access::Execute, privileged, urgent) && mpu.permits(last, Access::Execute, privileged, urgent)
    }

    /// Unaligned accesses are split, but not in device memory and the system's space (A3.2.1).
    fn check_splittable(&self, address: u32) -> Result<(), Trap> {
        match address >> 29 {
            2 | 5 | 6 | 7 => Err(Trap::Unaligned),
            _ => Ok(()),
        }
    }

    // ---- the private peripheral bus ----

    fn load_private<B: Bus>(&mut self, bus: &mut B, address: u32, bytes: u32, privileged: bool) -> Result<u32, Trap> {
        if !address.is_multiple_of(bytes) {
            return Err(Trap::Unaligned);
        }
        if !privileged {
            return Err(self.bus_fault(address));
        }
        let word = self.read_private(bus, address & !3).ok_or_else(|| self.bus_fault(address))?;
        let mask = low_bytes(bytes);
        Ok(word >> (8 * (address & 3)) & mask)
    }

    fn store_private<B: Bus>(
        &mut self,
        bus: &mut B,
        address: u32,
        bytes: u32,
        value: u32,
        privileged: bool,
    ) -> Result<(), Trap> {
        if !address.is_multiple_of(bytes) {
            return Err(Trap::Unaligned);
        }
        if !privileged && !self.user_may_write(address) {
            return Err(self.bus_fault(address));
        }
        let shift = 8 * (address & 3);
        let mask = low_bytes(bytes);
        self.write_private(bus, address & !3, (value & mask) << shift, mask << shift);
        Ok(())
    }
}

/// A mask of 1, 2 or 4 bytes.
fn low_bytes(bytes: u32) -> u32 {
    u32::MAX >> (32 - 8 * bytes)
}

/// A little-endian value of 1, 2 or 4 bytes; `None`: not in this memory.
#[inline(always)]
fn word_in(memory: &[u8], offset: usize, bytes: u32) -> Option<u32> {
    match bytes {
        1 => memory.get(offset).map(|byte| u32::from(*byte)),
        2 => memory.get(offset..)?.first_chunk().map(|bytes| u32::from(u16::from_le_bytes(*bytes))),
        _ => memory.get(offset..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)),
    }
}

/// `false`: not in this memory.
#[inline(always)]
fn put_word(memory: &mut [u8], offset: usize, bytes: u32, value: u32) -> bool {
    let Some(rest) = memory.get_mut(offset..) else { return false };
    match bytes {
        1 => rest.first_mut().map(|byte| *byte = value as u8).is_some(),
        2 => rest.first_chunk_mut().map(|bytes| *bytes = (value as u16).to_le_bytes()).is_some(),
        _ => rest.first_chunk_mut().map(|bytes| *bytes = value.to_le_bytes()).is_some(),
    }
}
