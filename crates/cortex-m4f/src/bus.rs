//! The interface of the core to memory and peripherals.

/// A fault exception that the core has taken, with the registers that describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Exception number: 3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault.
    pub exception: u16,
    /// Configurable fault status: UFSR, BFSR, MMFSR.
    pub cfsr: u32,
    /// HardFault status.
    pub hfsr: u32,
    /// The address that could not be accessed, if known.
    pub address: Option<u32>,
    /// The instruction that faulted.
    pub pc: u32,
}

/// Memory, peripherals, and receiver of the core's reports.
///
/// Addresses of the private peripheral bus (0xE000_0000 to 0xE00F_FFFF) never reach the bus: they are the core's own.
pub trait Bus {
    /// The memory that begins at address 0 and holds most of the code.
    fn code(&self) -> &[u8];

    /// A number that changes with each change of [`Bus::code`].
    fn code_generation(&self) -> u32;

    /// The memory that begins at 0x2000_0000.
    fn ram(&self) -> &[u8];

    /// Mutable access to that memory.
    fn ram_mut(&mut self) -> &mut [u8];

    /// Reads 1, 2 or 4 bytes anywhere else, in the instruction that began at cycle `at`; the address is aligned.
    /// `None`: bus fault.
    fn read(&mut self, address: u32, bytes: u32, at: u64) -> Option<u32>;

    /// Writes 1, 2 or 4 bytes anywhere but to RAM; the address is aligned. `None`: bus fault.
    fn write(&mut self, address: u32, bytes: u32, value: u32, at: u64) -> Option<()>;

    /// Reads two halfwords of code outside of code memory and RAM without side effects, the lower address in the lower
    /// half; `None`: nothing to execute there.
    fn fetch(&self, address: u32) -> Option<u32>;

    /// Called after each [`Bus::read`], [`Bus::write`] and [`Bus::missing`]: returns whether
    /// [`Core::run`](crate::Core::run) must return before the next instruction.
    fn wants_attention(&self) -> bool;

    /// Returns a word of the ROM table at 0xE00F_F000, by which debuggers identify the chip.
    fn rom_table(&self, offset: u32) -> u32;

    /// The core takes a fault exception.
    fn fault(&mut self, fault: Fault, at: u64);

    /// Firmware used a register of the private peripheral bus that has no effect here; `written` if it wrote.
    fn missing(&mut self, block: &'static str, address: u32, written: Option<u32>, at: u64);
}
