//! RADIO as a Bluetooth Low Energy transceiver of 1 Mbit/s: ramps, packets from and to RAM, RSSI, carriers. The other
//! modes, address matching lists, bit counters, clear channel assessment and the direction finding are not modelled.

mod coding;

use super::{Common, Peripheral, index};
use crate::board::RadioPacket;
use crate::fabric::Fabric;
use crate::tick_clock::HF_MILLIHERTZ;
use crate::time::{MICROSECOND, NANOSECOND, NEVER, Time};
use coding::Format;

mod event {
    pub const READY: u8 = 0;
    pub const ADDRESS: u8 = 1;
    pub const PAYLOAD: u8 = 2;
    pub const END: u8 = 3;
    pub const DISABLED: u8 = 4;
    pub const RSSIEND: u8 = 7;
    pub const CRCOK: u8 = 12;
    pub const CRCERROR: u8 = 13;
    pub const TXREADY: u8 = 21;
    pub const RXREADY: u8 = 22;
    pub const PHYEND: u8 = 27;
    pub const ALL: u32 = 0x1F | 1 << RSSIEND | 3 << CRCOK | 3 << TXREADY | 1 << PHYEND;
}

mod short {
    pub const READY_START: u8 = 0;
    pub const END_DISABLE: u8 = 1;
    pub const DISABLED_TXEN: u8 = 2;
    pub const DISABLED_RXEN: u8 = 3;
    pub const ADDRESS_RSSISTART: u8 = 4;
    pub const END_START: u8 = 5;
    pub const DISABLED_RSSISTOP: u8 = 8;
    pub const TXREADY_START: u8 = 18;
    pub const RXREADY_START: u8 = 19;
    pub const PHYEND_DISABLE: u8 = 20;
    pub const PHYEND_START: u8 = 21;
    pub const ALL: u32 = 0x3F | 1 << DISABLED_RSSISTOP | 3 << TXREADY_START | 3 << PHYEND_DISABLE;
}

/// Ramp-up with MODECNF0.RU at its default, and with the fast one; ramp-down of the transmitter.
const RAMP: Time = 140 * MICROSECOND;
const FAST_RAMP: Time = 40 * MICROSECOND;
const TX_DISABLE: Time = 6 * MICROSECOND;
const BYTE: Time = 8 * MICROSECOND;
/// Delay of a bit through the receiver.
const RX_CHAIN: Time = 9_400 * NANOSECOND;
/// One measurement of the signal strength.
const RSSI_SAMPLE: Time = 250 * NANOSECOND;
const BLE_1MBIT: u32 = 3;
const PREAMBLE_BYTES: u64 = 1;
/// Largest frequency error at which the receiver locks on a carrier.
const LOCK_HZ: f64 = 250e3;
/// Measured signal strength without a signal.
const NOISE_DBM: f64 = -100.0;
/// Levels of TXPOWER (as signed values), dBm.
const POWERS: [i8; 16] = [8, 7, 6, 5, 4, 3, 2, 0, -4, -8, -12, -16, -20, -40, -30, -56];

/// Numbers as in STATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Disabled = 0,
    RxRampUp = 1,
    RxIdle = 2,
    Rx = 3,
    TxRampUp = 9,
    TxIdle = 10,
    Tx = 11,
    TxDisable = 12,
}

/// Radiation of the antenna.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Emission {
    /// Centre frequency.
    pub carrier_hz: f64,
    /// Power at the antenna pin.
    pub dbm: f64,
    /// A packet is being sent; otherwise a bare carrier.
    pub modulated: bool,
}

/// A packet on its way, in either direction.
#[derive(Debug, Clone)]
struct Passing {
    packet: RadioPacket,
    format: Format,
    /// Length of the payload as decoded by this side.
    payload: usize,
    /// ADDRESS was raised.
    addressed: bool,
    /// PAYLOAD was raised.
    loaded: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Radio {
    common: Common,
    /// A defect: the antenna neither sends nor receives.
    deaf_and_mute: bool,
    state: State,
    next_at: Time,
    passing: Option<Passing>,
    rssi_at: Time,
    rssi_sample: u32,
    packet_ptr: u32,
    frequency: u32,
    tx_power: u32,
    mode: u32,
    pcnf: [u32; 2],
    bases: [u32; 2],
    prefixes: [u32; 2],
    tx_address: u32,
    rx_addresses: u32,
    crc_config: u32,
    crc_poly: u32,
    crc_init: u32,
    tifs: u32,
    whitening: u32,
    mode_config: u32,
    powered: u32,
    crc_ok: bool,
    rx_match: u32,
    rx_crc: u32,
}

impl Radio {
    pub fn new(deaf_and_mute: bool) -> Radio {
        Radio {
            common: Common::new(0x01, "RADIO", event::ALL, short::ALL),
            deaf_and_mute,
            state: State::Disabled,
            next_at: NEVER,
            passing: None,
            rssi_at: NEVER,
            rssi_sample: 0x7F,
            packet_ptr: 0,
            frequency: 2,
            tx_power: 0,
            mode: 0,
            pcnf: [0; 2],
            bases: [0; 2],
            prefixes: [0; 2],
            tx_address: 0,
            rx_addresses: 0,
            crc_config: 0,
            crc_poly: 0,
            crc_init: 0,
            tifs: 0,
            whitening: 0x40,
            mode_config: 0x200,
            powered: 1,
            crc_ok: false,
            rx_match: 0,
            rx_crc: 0,
        }
    }

    /// Centre of the channel, with the error of the chip's clock.
    fn carrier_hz(&self, fabric: &Fabric) -> f64 {
        let base = if self.frequency & 0x100 != 0 { 2_360.0 } else { 2_400.0 };
        let ratio = fabric.hfclk.hertz() * 1000.0 / HF_MILLIHERTZ as f64;
        (base + f64::from(self.frequency & 0x7F)) * 1e6 * ratio
    }

    fn power_dbm(&self, fabric: &mut Fabric) -> f64 {
        let asked = self.tx_power as u8 as i8;
        if !POWERS.contains(&asked) {
            fabric.not_supported("RADIO", "this TXPOWER");
        }
        f64::from(asked)
    }

    pub fn emission(&self, fabric: &mut Fabric) -> Option<Emission> {
        let modulated = match self.state {
            State::Tx => true,
            State::TxIdle => false,
            _ => return None,
        };
        let emission = Emission { carrier_hz: self.carrier_hz(fabric), dbm: self.power_dbm(fabric), modulated };
        (!self.deaf_and_mute).then_some(emission)
    }

    fn logical_address(&self, number: u32, format: &Format) -> Vec<u8> {
        let base = self.bases[usize::from(number != 0)];
        let prefix = self.prefixes[number as usize / 4 % 2] >> (8 * (number % 4));
        format.address(base, prefix as u8)
    }

    fn format(&self, fabric: &mut Fabric) -> Option<Format> {
        if self.mode != BLE_1MBIT {
            fabric.not_supported("RADIO", "any mode but Bluetooth's 1 Mbit/s");
            return None;
        }
        Format::of(self.pcnf[0], self.pcnf[1], self.crc_config).map_err(|what| fabric.not_supported("RADIO", what)).ok()
    }

    fn crc_of(&self, format: &Format, address: &[u8], pdu: &[u8]) -> u32 {
        let covered = if format.skips_address { pdu.to_vec() } else { [address, pdu].concat() };
        coding::crc(&covered, format.crc, self.crc_poly, self.crc_init)
    }

    // ---- tasks ----

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x000 => self.ramp_up(fabric, State::TxRampUp),
            0x004 => self.ramp_up(fabric, State::RxRampUp),
            0x008 => self.start(fabric),
            0x00C => self.stop(),
            0x010 => self.disable(fabric),
            0x014 => self.rssi_at = fabric.now + RSSI_SAMPLE,
            0x018 => self.rssi_at = NEVER,
            _ => return false,
        }
        fabric.touch(self.common.id);
        true
    }

    fn ramp_up(&mut self, fabric: &mut Fabric, state: State) {
        if self.powered == 0 || self.state != State::Disabled {
            return;
        }
        self.state = state;
        self.next_at = fabric.now + if self.mode_config & 1 != 0 { FAST_RAMP } else { RAMP };
    }

    fn start(&mut self, fabric: &mut Fabric) {
        match self.state {
            State::TxIdle => self.begin_packet(fabric),
            State::RxIdle => (self.state, self.next_at) = (State::Rx, NEVER),
            _ => {}
        }
    }

    fn stop(&mut self) {
        match self.state {
            State::Tx => self.state = State::TxIdle,
            State::Rx => self.state = State::RxIdle,
            _ => return,
        }
        (self.passing, self.next_at) = (None, NEVER);
    }

    fn disable(&mut self, fabric: &mut Fabric) {
        self.passing = None;
        match self.state {
            State::TxRampUp | State::TxIdle | State::Tx => {
                (self.state, self.next_at) = (State::TxDisable, fabric.now + TX_DISABLE);
            }
            State::TxDisable => {}
            // A receiver switches off at once. DISABLED also comes when the radio was already off.
            State::Disabled | State::RxRampUp | State::RxIdle | State::Rx => self.disabled(fabric),
        }
    }

    fn disabled(&mut self, fabric: &mut Fabric) {
        (self.state, self.next_at) = (State::Disabled, NEVER);
        if self.common.has_short(short::DISABLED_RSSISTOP) {
            self.rssi_at = NEVER;
        }
        self.common.raise(fabric, event::DISABLED);
        let again = (self.common.has_short(short::DISABLED_TXEN), self.common.has_short(short::DISABLED_RXEN));
        if again != (false, false) && self.tifs != 0 {
            fabric.not_supported("RADIO", "TIFS");
        }
        match again {
            (true, _) => self.ramp_up(fabric, State::TxRampUp),
            (false, true) => self.ramp_up(fabric, State::RxRampUp),
            (false, false) => {}
        }
    }

    // ---- sending ----

    fn begin_packet(&mut self, fabric: &mut Fabric) {
        let Some(format) = self.format(fabric) else { return };
        let name = self.common.name;
        let byte =
            |fabric: &mut Fabric, n: usize| fabric.dma_read(name, self.packet_ptr.wrapping_add(n as u32)).unwrap_or(0);
        let length = byte(fabric, format.header() - 1);
        let payload = format.payload(length);
        let mut pdu: Vec<u8> = (0..format.header() + payload).map(|n| byte(fabric, n)).collect();
        let address = self.logical_address(self.tx_address & 7, &format);
        pdu.extend(coding::crc_bytes(self.crc_of(&format, &address, &pdu), format.crc));
        if format.whitened {
            coding::whiten(&mut pdu, self.whitening);
        }
        let bytes = PREAMBLE_BYTES + (address.len() + pdu.len()) as u64;
        let begin = fabric.now;
        let packet = RadioPacket {
            carrier_hz: self.carrier_hz(fabric),
            dbm: self.power_dbm(fabric),
            bytes: [address, pdu].concat(),
            begin_ns: begin / NANOSECOND,
            end_ns: (begin + bytes * BYTE) / NANOSECOND,
        };
        self.state = State::Tx;
        self.next_at = begin + (PREAMBLE_BYTES + u64::from(format.address)) * BYTE;
        self.passing = Some(Passing { packet, format, payload, addressed: false, loaded: false });
    }

    // ---- receiving ----

    /// Receives a packet whose preamble begins now, with its strength at the antenna pin.
    pub fn hear(&mut self, fabric: &mut Fabric, packet: &RadioPacket) {
        let off_hz = (packet.carrier_hz - self.carrier_hz(fabric)).abs();
        if self.deaf_and_mute || self.state != State::Rx || self.passing.is_some() || off_hz > LOCK_HZ {
            return;
        }
        let Some(format) = self.format(fabric) else { return };
        let is_for = |number: &u32| {
            self.rx_addresses >> number & 1 == 1 && packet.bytes.starts_with(&self.logical_address(*number, &format))
        };
        let Some(number) = (0..8).find(is_for) else { return };
        self.rx_match = number;
        let mut header: Vec<u8> = packet.bytes.iter().copied().skip(usize::from(format.address)).collect();
        header.truncate(format.header());
        if format.whitened {
            coding::whiten(&mut header, self.whitening);
        }
        let payload = format.payload(header.last().copied().unwrap_or(0));
        self.next_at = fabric.now + (PREAMBLE_BYTES + u64::from(format.address)) * BYTE + RX_CHAIN;
        self.passing = Some(Passing { packet: packet.clone(), format, payload, addressed: false, loaded: false });
        fabric.touch(self.common.id);
    }

    /// Writes the received packet to RAM. Returns whether its CRC is right.
    fn deliver(&mut self, fabric: &mut Fabric, passing: &Passing) -> bool {
        let Passing { packet, format, payload, .. } = passing;
        let (address, rest) = packet.bytes.split_at(usize::from(format.address).min(packet.bytes.len()));
        let pdu_bytes = format.header() + payload;
        let whole = pdu_bytes + usize::from(format.crc);
        // Beyond the end of the sent packet comes noise: any bytes that do not continue it.
        let noise = (0..whole).map(|n| (n as u8).wrapping_mul(0x9D) ^ 0x5A);
        let mut data: Vec<u8> = rest.iter().copied().chain(noise.skip(rest.len())).take(whole).collect();
        if format.whitened {
            coding::whiten(&mut data, self.whitening);
        }
        let (pdu, received) = data.split_at(pdu_bytes);
        fabric.dma_write(self.common.name, self.packet_ptr, pdu);
        self.rx_crc = received.iter().fold(0, |crc, byte| crc << 8 | u32::from(byte.reverse_bits()));
        self.rx_crc == self.crc_of(format, address, pdu)
    }

    /// Handles the end of a part of the packet.
    fn pass(&mut self, fabric: &mut Fabric, mut passing: Passing) {
        let sends = self.state == State::Tx;
        if !passing.addressed {
            passing.addressed = true;
            self.common.raise(fabric, event::ADDRESS);
            if self.common.has_short(short::ADDRESS_RSSISTART) {
                self.rssi_at = fabric.now + RSSI_SAMPLE;
            }
            self.next_at = fabric.now + (passing.format.header() + passing.payload) as u64 * BYTE;
            self.passing = Some(passing);
        } else if !passing.loaded {
            passing.loaded = true;
            self.common.raise(fabric, event::PAYLOAD);
            // Without a CRC the end would be now, but a deadline must be later than now.
            self.next_at = fabric.now + (u64::from(passing.format.crc) * BYTE).max(NANOSECOND);
            self.passing = Some(passing);
        } else if sends {
            if !self.deaf_and_mute {
                fabric.board(|board, _, _| board.radio_sent(&passing.packet));
            }
            self.end(fabric, State::TxIdle);
        } else {
            self.crc_ok = self.deliver(fabric, &passing);
            self.common.raise(fabric, if self.crc_ok { event::CRCOK } else { event::CRCERROR });
            self.end(fabric, State::RxIdle);
        }
    }

    fn end(&mut self, fabric: &mut Fabric, state: State) {
        (self.state, self.passing, self.next_at) = (state, None, NEVER);
        self.common.raise(fabric, event::END);
        self.common.raise(fabric, event::PHYEND);
        let has = |bit| self.common.has_short(bit);
        if has(short::END_DISABLE) || has(short::PHYEND_DISABLE) {
            self.disable(fabric);
        } else if has(short::END_START) || has(short::PHYEND_START) {
            self.start(fabric);
        }
    }

    fn ready(&mut self, fabric: &mut Fabric, state: State) {
        (self.state, self.next_at) = (state, NEVER);
        let (event, short) = match state {
            State::TxIdle => (event::TXREADY, short::TXREADY_START),
            _ => (event::RXREADY, short::RXREADY_START),
        };
        self.common.raise(fabric, event::READY);
        self.common.raise(fabric, event);
        if self.common.has_short(short::READY_START) || self.common.has_short(short) {
            self.start(fabric);
        }
    }

    /// Negated dBm, as in RSSISAMPLE.
    fn sample_strength(&self) -> u32 {
        let receives = self.state == State::Rx || self.state == State::RxIdle;
        let dbm = match &self.passing {
            Some(passing) if receives => passing.packet.dbm,
            _ => NOISE_DBM,
        };
        (-dbm).round().clamp(0.0, 127.0) as u32
    }

    fn register(&mut self, offset: u32) -> Option<&mut u32> {
        Some(match offset {
            0x504 => &mut self.packet_ptr,
            0x508 => &mut self.frequency,
            0x50C => &mut self.tx_power,
            0x510 => &mut self.mode,
            0x514 | 0x518 => &mut self.pcnf[index(offset, 0x514, 4, 2)?],
            0x51C | 0x520 => &mut self.bases[index(offset, 0x51C, 4, 2)?],
            0x524 | 0x528 => &mut self.prefixes[index(offset, 0x524, 4, 2)?],
            0x52C => &mut self.tx_address,
            0x530 => &mut self.rx_addresses,
            0x534 => &mut self.crc_config,
            0x538 => &mut self.crc_poly,
            0x53C => &mut self.crc_init,
            0x544 => &mut self.tifs,
            0x554 => &mut self.whitening,
            0x650 => &mut self.mode_config,
            _ => return None,
        })
    }
}

impl Peripheral for Radio {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        let value = match offset {
            0x400 => u32::from(self.crc_ok),
            0x408 => self.rx_match,
            0x40C => self.rx_crc,
            0x548 => self.rssi_sample,
            0x550 => self.state as u32,
            0xFFC => self.powered,
            _ => match self.register(offset) {
                Some(register) => *register,
                None => return self.common.read(offset),
            },
        };
        Some(value)
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if offset < 0x100 {
            return value & 1 == 0 || self.task(fabric, offset);
        }
        match offset {
            0xFFC => {
                if value & 1 == 0 {
                    *self = Radio { powered: 0, ..Radio::new(self.deaf_and_mute) };
                }
                self.powered = value & 1;
            }
            // Bit 6 is hard-wired.
            0x554 => self.whitening = value & 0x7F | 0x40,
            _ => match self.register(offset) {
                Some(register) => *register = value,
                None => return self.common.write(offset, value),
            },
        }
        fabric.touch(self.common.id);
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        self.next_at.min(self.rssi_at)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        if self.rssi_at <= fabric.now {
            self.rssi_at = NEVER;
            self.rssi_sample = self.sample_strength();
            self.common.raise(fabric, event::RSSIEND);
        }
        if self.next_at > fabric.now {
            return;
        }
        match (self.state, self.passing.take()) {
            (State::TxRampUp, _) => self.ready(fabric, State::TxIdle),
            (State::RxRampUp, _) => self.ready(fabric, State::RxIdle),
            (State::TxDisable, _) => self.disabled(fabric),
            (_, Some(passing)) => self.pass(fabric, passing),
            (_, None) => self.next_at = NEVER,
        }
    }
}
