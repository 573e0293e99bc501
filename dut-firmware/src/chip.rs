//! Identity and status of the chip.

use cortex_m::asm;
use dut_protocol::{Identity, Status};
use embassy_nrf::pac;
use embassy_time::Instant;
use heapless::String;

/// Whether UICR.NFCPINS assigns P0.09 and P0.10 to GPIO. A blank UICR assigns them to NFC.
pub fn nfc_pads_are_gpio() -> bool {
    pac::UICR.nfcpins().read().protect() == pac::uicr::vals::Protect::Disabled
}

/// Reads and clears POWER.RESETREAS, so that the next start reports its own reason. Call once.
pub fn take_reset_reason() -> u32 {
    let reason = pac::POWER.resetreas().read();
    pac::POWER.resetreas().write_value(reason); // a 1 clears
    reason.0
}

/// Data of the chip and the image.
pub fn identity(reset_reason: u32) -> Identity {
    let info = pac::FICR.info();
    Identity {
        firmware_version: text(env!("CARGO_PKG_VERSION")),
        git_hash: text(env!("GIT_HASH")),
        device_id: device_id(),
        part: info.part().read().0,
        variant: info.variant().read(),
        ram_kib: info.ram().read().0,
        flash_kib: info.flash().read().0,
        reset_reason,
        uptime_ms: Instant::now().as_millis() as u32,
    }
}

/// FICR.DEVICEID, which no other chip has.
pub fn device_id() -> u64 {
    u64::from(pac::FICR.deviceid(1).read()) << 32 | u64::from(pac::FICR.deviceid(0).read())
}

/// State of clocks and USB supply.
pub fn status() -> Status {
    let usb = pac::POWER.usbregstatus().read();
    let clock = pac::CLOCK.hfclkstat().read();
    let on_crystal = clock.src() == pac::clock::vals::HfclkstatSrc::Xtal;
    Status { usb_detected: usb.vbusdetect(), usb_ready: usb.outputrdy(), crystal_32m: clock.state() && on_crystal }
}

/// As much of `text` as fits.
fn text<const N: usize>(text: &str) -> String<N> {
    text.chars().take(N).filter(char::is_ascii).collect()
}

/// Restarts the chip. Ports are high impedance from here until the firmware receives new requests.
/// Does nothing until the watchdog restarts the chip.
pub fn hang() -> ! {
    cortex_m::interrupt::disable();
    loop {
        asm::wfe();
    }
}

pub fn restart() -> ! {
    asm::dsb();
    cortex_m::peripheral::SCB::sys_reset()
}
