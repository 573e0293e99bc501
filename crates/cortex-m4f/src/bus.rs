//! What the core is connected to.

/// A fault exception that the core has taken, with the registers that describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Exception number: 3 HardFault, 4 MemManage, 5 BusFault, 6 UsageFault.
    pub exception: u16,
    /// Configurable fault status: UFSR, BFSR, MMFSR.
    pub cfsr: u32,
    /// HardFault status.
    pub hfsr: u32,
    /// The address that could not be accessed, where there is one.
    pub address: Option<u32>,
    /// The instruction that faulted.
    pub pc: u32,
}

/// Memory, peripherals, and who hears of what the core meets.
///
/// Addresses of the private peripheral bus (0xE000_0000 to 0xE00F_FFFF) never reach the bus: they are the core's own.
pub trait Bus {
    /// The memory that begins at address 0 and holds most of the code.
    fn code(&self) -> &[u8];

    /// Another number after each change of [`Bus::code`].
    fn code_generation(&self) -> u32;

    /// The memory that begins at 0x2000_0000.
    fn ram(&self) -> &[u8];

    /// The same to be written.
    fn ram_mut(&mut self) -> &mut [u8];

    /// Reads 1, 2 or 4 bytes anywhere else, in the instruction that began at cycle `at`; the address is aligned.
    /// `None`: bus fault.
    fn read(&mut self, address: u32, bytes: u32, at: u64) -> Option<u32>;

    /// Writes 1, 2 or 4 bytes anywhere but to RAM; the address is aligned. `None`: bus fault.
    fn write(&mut self, address: u32, bytes: u32, value: u32, at: u64) -> Option<()>;

    /// Two halfwords of code outside of code memory and RAM, the lower address in the lower half, without side
    /// effects; `None`: nothing to execute there.
    fn fetch(&self, address: u32) -> Option<u32>;

    /// Asked after each [`Bus::read`], [`Bus::write`] and [`Bus::missing`]: whether [`Core::run`](crate::Core::run) shall return before
    /// the next instruction.
    fn wants_attention(&self) -> bool;

    /// A word of the ROM table at 0xE00F_F000, by which debuggers find out what they are connected to.
    fn rom_table(&self, offset: u32) -> u32;

    /// The core takes a fault exception.
    fn fault(&mut self, fault: Fault, at: u64);

    /// Firmware used a register of the private peripheral bus that does nothing here; `written` if it wrote.
    fn missing(&mut self, block: &'static str, address: u32, written: Option<u32>, at: u64);
}
