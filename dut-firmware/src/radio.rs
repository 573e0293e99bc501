//! RADIO by register, as Bluetooth Low Energy of 1 Mbit/s: one packet out, one packet in, a bare carrier. A vendor's
//! stack is not needed and could not be made to stay on one channel.

use core::future::poll_fn;
use core::sync::atomic::{Ordering, compiler_fence};
use core::task::Poll;
use dut_protocol::{BLE_CHANNEL_MHZ, BLE_CHANNELS};
use embassy_nrf::interrupt::{self, InterruptExt};
use embassy_nrf::pac;
use embassy_nrf::pac::radio::vals::{Crcstatus, Endian, Len, Mode, Skipaddr, State};
use embassy_sync::waitqueue::AtomicWaker;

/// Header and payload of a legacy advertisement.
pub const MOST_PAYLOAD: usize = 37;
pub const MOST_BYTES: usize = 2 + MOST_PAYLOAD;

/// Channel and format of packets.
#[derive(Clone, Copy)]
pub struct Air {
    pub mhz: u16,
    pub access_address: u32,
    /// Channel number for whitening; `None`: no whitening.
    pub whitened_for: Option<u8>,
}

impl Air {
    /// One of the advertising channels.
    pub fn advertising(channel: u8) -> Self {
        let place = BLE_CHANNELS.iter().position(|known| *known == channel).unwrap_or(0);
        Self { mhz: BLE_CHANNEL_MHZ[place], access_address: 0x8E89_BED6, whitened_for: Some(channel) }
    }

    /// The direct test mode.
    pub fn test(mhz: u16) -> Self {
        Self { mhz, access_address: 0x7176_4129, whitened_for: None }
    }
}

/// A received packet.
pub struct Heard {
    pub is_whole: bool,
    pub dbm: i8,
}

static WAKER: AtomicWaker = AtomicWaker::new();

pub fn start() {
    // SAFETY: the handler below touches only RADIO's interrupt enables and the waker, which may be used at any time.
    unsafe { interrupt::RADIO.enable() };
}

/// Tunes the radio, which is off.
pub fn tune(air: Air, dbm: i8) {
    let radio = pac::RADIO;
    radio.mode().write(|mode| mode.set_mode(Mode::Ble1mbit));
    radio.frequency().write(|frequency| frequency.set_frequency((air.mhz - 2_400) as u8));
    // The register takes the level in dBm as it is.
    radio.txpower().write(|power| power.0 = u32::from(dbm as u8));
    radio.pcnf0().write(|format| {
        format.set_lflen(8);
        format.set_s0len(true);
    });
    radio.pcnf1().write(|format| {
        format.set_maxlen(MOST_PAYLOAD as u8);
        format.set_balen(3);
        format.set_endian(Endian::Little);
        format.set_whiteen(air.whitened_for.is_some());
    });
    radio.base0().write_value(air.access_address << 8);
    radio.prefix0().write(|prefix| prefix.set_ap0((air.access_address >> 24) as u8));
    radio.txaddress().write(|address| address.set_txaddress(0));
    radio.rxaddresses().write(|addresses| addresses.set_addr0(true));
    radio.crccnf().write(|crc| {
        crc.set_len(Len::Three);
        crc.set_skipaddr(Skipaddr::Skip);
    });
    radio.crcpoly().write(|crc| crc.set_crcpoly(0x00_065B));
    radio.crcinit().write(|crc| crc.set_crcinit(0x55_5555));
    radio.datawhiteiv().write(|initial| initial.set_datawhiteiv(air.whitened_for.unwrap_or(0)));
}

/// Sends a packet, header first, then switches off.
pub async fn send(packet: &[u8; MOST_BYTES]) {
    let radio = pac::RADIO;
    radio.packetptr().write_value(packet.as_ptr() as u32);
    radio.shorts().write(|shorts| {
        shorts.set_ready_start(true);
        shorts.set_end_disable(true);
    });
    radio.events_disabled().write_value(0);
    radio.intenset().write(|enabled| enabled.set_disabled(true));
    // The radio reads the packet from here on.
    compiler_fence(Ordering::SeqCst);
    radio.tasks_txen().write_value(1);
    until(|| radio.events_disabled().read() != 0).await;
}

/// Starts to listen. Received data is written to `packet`, which must stay valid until the radio is off.
pub fn listen(packet: &mut [u8; MOST_BYTES]) {
    let radio = pac::RADIO;
    radio.packetptr().write_value(packet.as_mut_ptr() as u32);
    radio.shorts().write(|shorts| {
        shorts.set_ready_start(true);
        shorts.set_address_rssistart(true);
    });
    radio.events_end().write_value(0);
    radio.tasks_rxen().write_value(1);
}

/// Waits for the end of a packet. Receives nothing more until [`listen_on`].
pub async fn heard() -> Heard {
    let radio = pac::RADIO;
    radio.intenset().write(|enabled| enabled.set_end(true));
    until(|| radio.events_end().read() != 0).await;
    // The radio has written the packet by here.
    compiler_fence(Ordering::SeqCst);
    let is_whole = radio.crcstatus().read().crcstatus() == Crcstatus::CrcOk;
    // The register holds the negated dBm value.
    Heard { is_whole, dbm: -(radio.rssisample().read().rssisample() as i8) }
}

/// Continues to listen after a received packet.
pub fn listen_on() {
    pac::RADIO.events_end().write_value(0);
    pac::RADIO.tasks_start().write_value(1);
}

/// Starts a bare carrier.
pub fn carrier() {
    pac::RADIO.shorts().write(|_| {});
    pac::RADIO.tasks_txen().write_value(1);
}

/// Switches off from any state; takes a few microseconds.
pub fn off() {
    let radio = pac::RADIO;
    radio.intenclr().write(|disabled| disabled.0 = u32::MAX);
    radio.shorts().write(|_| {});
    radio.tasks_disable().write_value(1);
    while radio.state().read().state() != State::Disabled {}
}

async fn until(mut done: impl FnMut() -> bool) {
    poll_fn(|context| {
        // First the waker, then the event: one between the two is then not lost.
        WAKER.register(context.waker());
        if done() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Wakes the task that waits for the radio.
pub struct InterruptHandler;

impl interrupt::typelevel::Handler<interrupt::typelevel::RADIO> for InterruptHandler {
    unsafe fn on_interrupt() {
        // The events stay for the woken task.
        pac::RADIO.intenclr().write(|disabled| disabled.0 = u32::MAX);
        WAKER.wake();
    }
}
