//! The USB device: a serial port (CDC-ACM) that echoes what it receives. It exists only between the start and stop
//! requests; otherwise the peripheral is off.

use crate::Irqs;
use core::fmt::Write;
use dut_protocol::Refusal;
use embassy_executor::Spawner;
use embassy_futures::join::join;
use embassy_futures::select::{Either, select};
use embassy_nrf::peripherals::USBD;
use embassy_nrf::usb::Driver;
use embassy_nrf::usb::vbus_detect::HardwareVbusDetect;
use embassy_nrf::{Peri, pac};
use embassy_sync::blocking_mutex::raw::ThreadModeRawMutex;
use embassy_sync::signal::Signal;
use embassy_usb::class::cdc_acm::{CdcAcmClass, State};
use embassy_usb::{Builder, Config};

/// Strings in the host's list of devices, which distinguish this firmware from Device OS.
const MAKER: &str = "End-of-line test bench";
const PRODUCT: &str = "Module under test (echo)";
/// Hexadecimal digits of the chip's id, by which a host distinguishes modules.
const SERIAL_DIGITS: usize = 16;
/// Largest packet of a full-speed bulk endpoint, and of endpoint 0.
const PACKET: usize = 64;

/// Ids to attach with.
#[derive(Clone, Copy)]
pub struct Ids {
    pub vendor: u16,
    pub product: u16,
}

/// The last request.
static ORDER: Signal<ThreadModeRawMutex, Option<Ids>> = Signal::new();

pub fn start(spawner: Spawner, usbd: Peri<'static, USBD>) {
    if let Ok(task) = device(usbd) {
        spawner.spawn(task);
    }
}

/// Attaches with these ids, or detaches.
pub fn order(ids: Option<Ids>) -> Result<(), Refusal> {
    // The driver waits endlessly for the supply; the refusal informs a bench that has not switched it on.
    if ids.is_some() && !pac::POWER.usbregstatus().read().vbusdetect() {
        return Err(Refusal::NotRunning);
    }
    ORDER.signal(ids);
    Ok(())
}

#[embassy_executor::task]
async fn device(mut usbd: Peri<'static, USBD>) {
    let mut order = None;
    loop {
        order = match order {
            None => ORDER.wait().await,
            Some(ids) => match select(serve(usbd.reborrow(), ids), ORDER.wait()).await {
                Either::First(never) => never,
                Either::Second(next) => next,
            },
        };
        // Dropping the driver does not switch the peripheral off.
        pac::USBD.usbpullup().write(|pull| pull.set_connect(false));
        pac::USBD.enable().write(|usbd| usbd.set_enable(false));
    }
}

async fn serve(usbd: Peri<'_, USBD>, ids: Ids) -> Option<Ids> {
    let driver = Driver::new(usbd, Irqs, HardwareVbusDetect::new(Irqs));
    let mut config = Config::new(ids.vendor, ids.product);
    config.manufacturer = Some(MAKER);
    config.product = Some(PRODUCT);
    // Two nests' modules have the same ids.
    let mut serial = heapless::String::<SERIAL_DIGITS>::new();
    // It has room for 64 bits.
    let _ = write!(serial, "{:016x}", crate::chip::device_id());
    config.serial_number = Some(&serial);
    config.max_packet_size_0 = PACKET as u8;
    // One function: the plain communications device that every host supports, without association descriptors.
    config.composite_with_iads = false;
    (config.device_class, config.device_sub_class, config.device_protocol) = (0x02, 0x00, 0x00);

    let (mut descriptor, mut bos, mut control) = ([0; 96], [0; 16], [0; PACKET]);
    let mut state = State::new();
    let mut builder = Builder::new(driver, config, &mut descriptor, &mut bos, &mut [], &mut control);
    let class = CdcAcmClass::new(&mut builder, &mut state, PACKET as u16);
    let mut device = builder.build();
    join(device.run(), echo(class)).await;
    None
}

async fn echo<'d, D: embassy_usb::driver::Driver<'d>>(mut class: CdcAcmClass<'d, D>) {
    let mut packet = [0; PACKET];
    loop {
        class.wait_connection().await;
        while let Ok(length) = class.read_packet(&mut packet).await {
            let Some(got) = packet.get(..length) else { break };
            if class.write_packet(got).await.is_err() {
                break;
            }
        }
    }
}
