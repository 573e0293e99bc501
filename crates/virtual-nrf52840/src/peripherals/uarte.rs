//! UARTE: UART with EasyDMA.

use std::collections::VecDeque;

use super::{Common, Peripheral};
use crate::BusDefects;
use crate::fabric::Fabric;
use crate::ports::{ALL_PORTS, PORT_COUNT};
use crate::time::{NEVER, Time};

mod event {
    pub const CTS: u8 = 0;
    pub const NCTS: u8 = 1;
    pub const RXDRDY: u8 = 2;
    pub const ENDRX: u8 = 4;
    pub const TXDRDY: u8 = 7;
    pub const ENDTX: u8 = 8;
    pub const ERROR: u8 = 9;
    pub const RXTO: u8 = 17;
    pub const RXSTARTED: u8 = 19;
    pub const TXSTARTED: u8 = 20;
    pub const TXSTOPPED: u8 = 22;
    /// Every event above.
    pub const ALL: u32 = 0x005A_0397;
}

const SHORT_ENDRX_STARTRX: u8 = 5;
const SHORT_ENDRX_STOPRX: u8 = 6;
const ERROR_OVERRUN: u32 = 1;
const ERROR_FRAMING: u32 = 4;
const ERROR_BREAK: u32 = 8;
const ENABLED: u32 = 8;
const DISCONNECTED: u32 = 1 << 31;
/// Bytes the receiver can hold while it has no buffer.
const FIFO_SIZE: usize = 5;
/// STOPRX takes effect after the duration of this many bytes; reception continues until then.
const STOP_BYTES: u64 = 5;
const MAXCNT_MASK: u32 = 0xFFFF;

/// A DMA buffer in use.
#[derive(Debug, Clone)]
struct Transfer {
    pointer: u32,
    size: u32,
    done: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Uarte {
    common: Common,
    number: u8,
    error_source: u32,
    enable: u32,
    /// RTS, TXD, CTS, RXD.
    psel: [u32; 4],
    baudrate: u32,
    config: u32,
    rx_pointer: u32,
    rx_size: u32,
    rx_amount: u32,
    tx_pointer: u32,
    tx_size: u32,
    tx_amount: u32,

    receiving: bool,
    rx: Option<Transfer>,
    fifo: VecDeque<u8>,
    rx_stops_at: Time,
    tx: Option<Transfer>,
    /// When the stop bit of the byte now on the line ends.
    byte_ends_at: Time,
    tx_byte: u8,
    stop_tx: bool,
    cts_high: bool,
    cts_ignored: bool,
    rts_dead: bool,
}

impl Uarte {
    pub fn new(id: u8, name: &'static str, number: u8, defects: &BusDefects) -> Uarte {
        let shorts = 1 << SHORT_ENDRX_STARTRX | 1 << SHORT_ENDRX_STOPRX;
        Uarte {
            common: Common::new(id, name, event::ALL, shorts),
            number,
            error_source: 0,
            enable: 0,
            psel: [u32::MAX; 4],
            baudrate: 0x0400_0000,
            config: 0,
            rx_pointer: 0,
            rx_size: 0,
            rx_amount: 0,
            tx_pointer: 0,
            tx_size: 0,
            tx_amount: 0,
            receiving: false,
            rx: None,
            fifo: VecDeque::new(),
            rx_stops_at: NEVER,
            tx: None,
            byte_ends_at: NEVER,
            tx_byte: 0,
            stop_tx: false,
            cts_high: false,
            cts_ignored: defects.cts_ignored,
            rts_dead: defects.rts_dead,
        }
    }

    pub fn is_enabled(&self) -> bool {
        self.enable == ENABLED
    }

    fn port(&self, signal: usize) -> Option<usize> {
        let psel = self.psel[signal];
        let port = (psel & 0x3F) as usize;
        (self.is_enabled() && psel & DISCONNECTED == 0 && port < PORT_COUNT).then_some(port)
    }

    pub fn txd_port(&self) -> Option<usize> {
        self.port(1)
    }

    pub fn rxd_port(&self) -> Option<usize> {
        self.port(3)
    }

    /// The real rate: the 16 MHz clock divided by a whole number.
    pub fn baud(&self, fabric: &Fabric) -> u32 {
        (fabric.hfclk.hertz() / self.divider() as f64) as u32
    }

    fn divider(&self) -> u64 {
        ((1 << 32) / u64::from(self.baudrate.max(0x1_0000))).max(1)
    }

    fn byte_time(&self, fabric: &Fabric) -> Time {
        let parity = u64::from(self.config >> 1 & 7 == 7);
        let extra_stop = u64::from(self.config >> 4 & 1);
        fabric.hfclk.span(self.divider() * (10 + parity + extra_stop))
    }

    fn flow_control(&self) -> bool {
        self.config & 1 != 0
    }

    pub fn tx_busy(&self) -> bool {
        self.tx.is_some()
    }

    pub fn can_receive(&self) -> bool {
        self.receiving && self.rxd_port().is_some()
    }

    /// The level this UARTE drives on the port. TXD idles high (bytes are passed whole, not as edges); RTS is low while
    /// the receive buffer has room.
    pub fn drives(&self, port: usize) -> Option<bool> {
        if self.txd_port() == Some(port) {
            return Some(true);
        }
        if self.flow_control() && self.port(0) == Some(port) && !self.rts_dead {
            return Some(!(self.receiving && self.rx_stops_at == NEVER && self.fifo.is_empty()));
        }
        None
    }

    /// RTS may have changed.
    fn rts_dirty(&self, fabric: &mut Fabric) {
        if self.flow_control() {
            fabric.dirty_ports = ALL_PORTS;
        }
    }

    pub fn watches_inputs(&self) -> bool {
        self.flow_control() && self.port(2).is_some() && !self.cts_ignored
    }

    /// The level at CTS: high holds transmission back.
    pub fn sense(&mut self, fabric: &mut Fabric, levels: u64) {
        if !self.watches_inputs() {
            self.cts_high = false;
            return;
        }
        self.look_at_cts(fabric, levels);
        if !self.cts_high && self.tx.is_some() && self.byte_ends_at == NEVER {
            self.next_byte(fabric);
        }
    }

    fn look_at_cts(&mut self, fabric: &mut Fabric, levels: u64) {
        let high = self.port(2).is_some_and(|port| levels & 1 << port != 0);
        if high != self.cts_high {
            self.cts_high = high;
            self.common.raise(fabric, if high { event::NCTS } else { event::CTS });
        }
    }

    /// A byte has arrived completely on RXD.
    pub fn receive(&mut self, fabric: &mut Fabric, byte: u8, framing_error: bool) {
        if !self.can_receive() {
            return;
        }
        if framing_error {
            let is_break = if byte == 0 { ERROR_BREAK } else { 0 };
            self.error(fabric, ERROR_FRAMING | is_break);
        }
        if self.fifo.len() == FIFO_SIZE {
            self.error(fabric, ERROR_OVERRUN);
            return;
        }
        self.fifo.push_back(byte);
        self.common.raise(fabric, event::RXDRDY);
        self.drain_fifo(fabric);
        self.rts_dirty(fabric);
    }

    fn error(&mut self, fabric: &mut Fabric, source: u32) {
        self.error_source |= source;
        self.common.raise(fabric, event::ERROR);
    }

    fn drain_fifo(&mut self, fabric: &mut Fabric) {
        while let Some(rx) = self.rx.as_mut().filter(|rx| rx.done < rx.size) {
            let Some(byte) = self.fifo.pop_front() else { return };
            fabric.dma_write(self.common.name, rx.pointer.wrapping_add(rx.done), &[byte]);
            rx.done += 1;
            if rx.done == rx.size {
                self.end_rx(fabric);
            }
        }
    }

    fn end_rx(&mut self, fabric: &mut Fabric) {
        if let Some(rx) = self.rx.take() {
            self.rx_amount = rx.done;
            self.common.raise(fabric, event::ENDRX);
            if self.common.has_short(SHORT_ENDRX_STARTRX) {
                self.start_rx(fabric);
            }
            if self.common.has_short(SHORT_ENDRX_STOPRX) {
                self.stop_rx(fabric);
            }
        }
    }

    fn start_rx(&mut self, fabric: &mut Fabric) {
        if !self.is_enabled() {
            return;
        }
        self.receiving = true;
        self.rx_stops_at = NEVER;
        self.rx = Some(Transfer { pointer: self.rx_pointer, size: self.rx_size, done: 0 });
        self.common.raise(fabric, event::RXSTARTED);
        if self.rx_size == 0 {
            // Without this exception ENDRX_STARTRX would start empty transfers forever.
            self.rx = None;
            self.rx_amount = 0;
            self.common.raise(fabric, event::ENDRX);
        }
        self.drain_fifo(fabric);
        self.rts_dirty(fabric);
    }

    fn stop_rx(&mut self, fabric: &mut Fabric) {
        if self.receiving && self.rx_stops_at == NEVER {
            self.rx_stops_at = fabric.now + STOP_BYTES * self.byte_time(fabric);
            self.rts_dirty(fabric);
        }
    }

    /// FLUSHRX: moves the rest of the FIFO to the buffer.
    fn flush_rx(&mut self, fabric: &mut Fabric) {
        let mut amount = 0;
        while amount < self.rx_size {
            let Some(byte) = self.fifo.pop_front() else { break };
            fabric.dma_write(self.common.name, self.rx_pointer.wrapping_add(amount), &[byte]);
            amount += 1;
        }
        self.rx_amount = amount;
        self.common.raise(fabric, event::ENDRX);
    }

    fn start_tx(&mut self, fabric: &mut Fabric) {
        if !self.is_enabled() {
            return;
        }
        self.stop_tx = false;
        self.tx = Some(Transfer { pointer: self.tx_pointer, size: self.tx_size, done: 0 });
        self.common.raise(fabric, event::TXSTARTED);
        self.next_byte(fabric);
    }

    fn next_byte(&mut self, fabric: &mut Fabric) {
        let Some(tx) = &self.tx else { return };
        if tx.done == tx.size || self.stop_tx {
            self.tx_amount = tx.done;
            self.tx = None;
            self.byte_ends_at = NEVER;
            self.common.raise(fabric, event::ENDTX);
            if self.stop_tx {
                self.stop_tx = false;
                self.common.raise(fabric, event::TXSTOPPED);
            }
            return;
        }
        let address = tx.pointer.wrapping_add(tx.done);
        // Each byte needs CTS low at its start, even if no change was reported.
        if self.watches_inputs()
            && let Some(levels) = fabric.board(|board, ports, at_ns| board.levels(ports, at_ns))
        {
            self.look_at_cts(fabric, levels);
        }
        // Without flow control, the last level has no meaning.
        self.cts_high &= self.watches_inputs();
        if self.cts_high {
            self.byte_ends_at = NEVER;
            return;
        }
        self.tx_byte = fabric.dma_read(self.common.name, address).unwrap_or(0);
        self.byte_ends_at = fabric.now + self.byte_time(fabric);
        fabric.touch(self.common.id);
    }

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x000 => self.start_rx(fabric),
            0x004 => self.stop_rx(fabric),
            0x008 => self.start_tx(fabric),
            0x00C if self.tx.is_none() => self.common.raise(fabric, event::TXSTOPPED),
            0x00C => {
                self.stop_tx = true;
                if self.byte_ends_at == NEVER {
                    self.next_byte(fabric);
                }
            }
            0x02C => self.flush_rx(fabric),
            _ => return false,
        }
        true
    }

    fn set_enable(&mut self, value: u32, fabric: &mut Fabric) {
        self.enable = value & 0xF;
        match self.enable {
            0 => {
                self.receiving = false;
                (self.rx, self.tx, self.stop_tx) = (None, None, false);
                self.fifo.clear();
                (self.rx_stops_at, self.byte_ends_at) = (NEVER, NEVER);
            }
            ENABLED => {}
            _ => fabric.not_supported(self.common.name, "the UART without EasyDMA (ENABLE other than 8)"),
        }
    }
}

impl Peripheral for Uarte {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        match offset {
            0x480 => Some(self.error_source),
            0x500 => Some(self.enable),
            0x508 | 0x50C | 0x510 | 0x514 => Some(self.psel[(offset as usize - 0x508) / 4]),
            0x524 => Some(self.baudrate),
            0x534 => Some(self.rx_pointer),
            0x538 => Some(self.rx_size),
            0x53C => Some(self.rx_amount),
            0x544 => Some(self.tx_pointer),
            0x548 => Some(self.tx_size),
            0x54C => Some(self.tx_amount),
            0x56C => Some(self.config),
            _ => self.common.read(offset),
        }
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        match offset {
            0x000..=0x0FC => return value & 1 == 0 || self.task(fabric, offset),
            0x480 => self.error_source &= !value,
            0x500 => self.set_enable(value, fabric),
            0x508 | 0x50C | 0x510 | 0x514 => self.psel[(offset as usize - 0x508) / 4] = value,
            0x524 => self.baudrate = value,
            0x534 => self.rx_pointer = value,
            0x538 => self.rx_size = value & MAXCNT_MASK,
            0x544 => self.tx_pointer = value,
            0x548 => self.tx_size = value & MAXCNT_MASK,
            0x56C => self.config = value,
            _ => return self.common.write(offset, value),
        }
        if matches!(offset, 0x500..=0x514 | 0x56C) {
            (fabric.dirty_ports, fabric.sense_dirty) = (ALL_PORTS, true);
        }
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        self.byte_ends_at.min(self.rx_stops_at)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        if self.byte_ends_at == fabric.now {
            let (number, byte, baud) = (self.number, self.tx_byte, self.baud(fabric));
            if self.txd_port().is_some() {
                fabric.board(|board, _, at_ns| board.uart_tx_byte(number, byte, baud, at_ns));
            }
            self.common.raise(fabric, event::TXDRDY);
            if let Some(tx) = &mut self.tx {
                tx.done += 1;
            }
            self.next_byte(fabric);
        }
        if self.rx_stops_at == fabric.now {
            self.rx_stops_at = NEVER;
            self.receiving = false;
            if let Some(rx) = self.rx.take() {
                self.rx_amount = rx.done;
                self.common.raise(fabric, event::ENDRX);
            }
            self.common.raise(fabric, event::RXTO);
        }
    }
}
