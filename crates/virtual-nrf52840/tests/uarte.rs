//! UARTE.

#![allow(clippy::unwrap_used)] // a helper that fails is a test that fails

mod common;

use common::{Lab, MICROSECOND, MILLISECOND};
use virtual_nrf52840::Stop;

const UARTE0: u32 = 0x4000_2000;
const RAM: u32 = 0x2000_1000;
const ENDRX: u32 = UARTE0 + 0x110;
const RXTO: u32 = UARTE0 + 0x144;
const ENDTX: u32 = UARTE0 + 0x120;
const ERRORSRC: u32 = UARTE0 + 0x480;
/// 115200 baud.
const BAUDRATE: u32 = 0x01D6_0000;

/// A UARTE0 that is on, TXD P0.06, RXD P0.08, 115200 baud, `size` bytes to receive.
fn uart(size: u32) -> Lab {
    let mut lab = Lab::new();
    for (offset, value) in [(0x50C, 6), (0x514, 8), (0x524, BAUDRATE), (0x534, RAM), (0x538, size), (0x500, 8)] {
        lab.write(UARTE0 + offset, value);
    }
    lab
}

fn arrive(lab: &mut Lab, bytes: &[u8]) {
    for byte in bytes {
        lab.run(87 * MICROSECOND);
        lab.chip.uart_rx_byte(0, *byte, false);
    }
}

fn ram(lab: &Lab, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    lab.chip.read_ram(RAM, &mut bytes).unwrap();
    bytes
}

fn send(lab: &mut Lab, bytes: &[u8]) {
    for (n, word) in bytes.chunks(4).enumerate() {
        let mut full = [0; 4];
        full[..word.len()].copy_from_slice(word);
        lab.write(RAM + 0x800 + 4 * n as u32, u32::from_le_bytes(full));
    }
    lab.write(UARTE0 + 0x544, RAM + 0x800);
    lab.write(UARTE0 + 0x548, bytes.len() as u32);
    lab.write(UARTE0 + 0x008, 1);
}

#[test]
fn rates_are_whole_divisions_of_16_mhz() {
    // BAUDRATE, actual rate of the product specification
    let rows = [
        (0x0004_F000, 1205),
        (0x0027_5000, 9598),
        (0x003A_F000, 14401),
        (0x01D6_0000, 115107),
        (0x03B0_0000, 231884),
        (0x0740_0000, 457142),
        (0x0F00_0000, 941176),
        (0x1000_0000, 1_000_000),
    ];
    for (register, baud) in rows {
        let mut lab = uart(1);
        assert_eq!(lab.chip.uart_rx_baud(0), None, "not receiving yet");
        lab.write(UARTE0 + 0x524, register);
        lab.write(UARTE0, 1);
        assert_eq!(lab.chip.uart_rx_baud(0), Some(baud));
        send(&mut lab, b"xy");
        lab.run(20 * MILLISECOND);
        let sent = std::mem::take(&mut lab.bench.sent);
        assert_eq!(
            sent.iter().map(|(uart, byte, rate, _)| (*uart, *byte, *rate)).collect::<Vec<_>>(),
            [(0, b'x', baud), (0, b'y', baud)]
        );
        let bit_ns = (sent[1].3 - sent[0].3) as f64 / 10.0;
        // `baud` is rounded to a whole number.
        assert!((bit_ns * f64::from(baud) / 1e9 - 1.0).abs() < 1e-3, "{bit_ns}");
    }
}

#[test]
fn sending_raises_its_events_and_stops_on_request() {
    let mut lab = uart(1);
    send(&mut lab, b"hello");
    assert_eq!(lab.read(UARTE0 + 0x150), 1, "TXSTARTED");
    assert!(lab.chip.uart_tx_busy(0));
    lab.run(2 * 87 * MICROSECOND);
    assert_eq!(lab.read(UARTE0 + 0x11C), 1, "TXDRDY");
    assert_eq!(lab.read(ENDTX), 0);
    lab.write(UARTE0 + 0x00C, 1);
    assert_eq!(lab.read(UARTE0 + 0x158), 0, "the byte under way is finished first");
    lab.run(87 * MICROSECOND);
    assert_eq!([lab.read(UARTE0 + 0x158), lab.read(ENDTX), lab.read(UARTE0 + 0x54C)], [1, 1, 3]);
    assert_eq!(lab.bench.sent.len(), 3);
    assert!(!lab.chip.uart_tx_busy(0));
    lab.assert_quiet();
}

#[test]
fn parity_and_second_stop_bit_take_time() {
    // CONFIG, bits per byte
    for (config, bits) in [(0x00, 10), (0x0E, 11), (0x10, 11), (0x1E, 12)] {
        let mut lab = uart(1);
        lab.write(UARTE0 + 0x56C, config);
        lab.write(UARTE0 + 0x524, 0x1000_0000);
        let start = lab.chip.now_ns();
        send(&mut lab, b"x");
        lab.run(MILLISECOND);
        assert_eq!(lab.bench.sent[0].3 - start, bits * MICROSECOND);
    }
}

#[test]
fn receiving_fills_the_buffer_and_takes_the_next() {
    let mut lab = uart(4);
    lab.write(UARTE0 + 0x200, 1 << 5); // ENDRX_STARTRX
    lab.write(UARTE0, 1);
    assert_eq!(lab.read(UARTE0 + 0x14C), 1, "RXSTARTED");
    lab.write(UARTE0 + 0x534, RAM + 4); // the next buffer, while the first is in use
    arrive(&mut lab, b"abc");
    assert_eq!(lab.read(ENDRX), 0);
    assert_eq!(lab.read(UARTE0 + 0x108), 1, "RXDRDY");
    arrive(&mut lab, b"def");
    assert_eq!([lab.read(ENDRX), lab.read(UARTE0 + 0x53C)], [1, 4]);
    assert_eq!(ram(&lab, 6), b"abcdef");
}

#[test]
fn stopping_ends_the_buffer_early() {
    let mut lab = uart(64);
    lab.write(UARTE0, 1);
    arrive(&mut lab, b"abc");
    lab.write(UARTE0 + 0x004, 1);
    arrive(&mut lab, b"de");
    assert_eq!([lab.read(ENDRX), lab.read(RXTO)], [0, 0], "stopping takes the time of some bytes");
    lab.run(MILLISECOND);
    assert_eq!([lab.read(ENDRX), lab.read(RXTO), lab.read(UARTE0 + 0x53C)], [1, 1, 5]);
    lab.chip.uart_rx_byte(0, b'f', false);
    lab.write(UARTE0, 1);
    arrive(&mut lab, b"g");
    assert_eq!(ram(&lab, 5), b"gbcde", "what arrives after the stop is lost");
}

#[test]
fn without_a_buffer_the_fifo_keeps_five_bytes() {
    let mut lab = uart(2);
    lab.write(UARTE0, 1);
    arrive(&mut lab, b"abcdefg");
    assert_eq!(lab.read(ERRORSRC), 0);
    arrive(&mut lab, b"h");
    assert_eq!([lab.read(ERRORSRC), lab.read(UARTE0 + 0x124)], [1, 1], "overrun");
    lab.write(ERRORSRC, 1);
    assert_eq!(lab.read(ERRORSRC), 0);
    lab.write(UARTE0 + 0x004, 1);
    lab.run(MILLISECOND);
    lab.write(UARTE0 + 0x534, RAM + 2);
    lab.write(UARTE0 + 0x538, 64);
    lab.write(ENDRX, 0);
    lab.write(UARTE0 + 0x02C, 1); // FLUSHRX
    assert_eq!([lab.read(ENDRX), lab.read(UARTE0 + 0x53C)], [1, 5]);
    assert_eq!(ram(&lab, 7), b"abcdefg");
}

#[test]
fn framing_errors_and_breaks() {
    for (byte, expected) in [(b'x', 4), (0, 4 | 8)] {
        let mut lab = uart(2);
        lab.write(UARTE0, 1);
        lab.chip.uart_rx_byte(0, byte, true);
        assert_eq!([lab.read(ERRORSRC), lab.read(UARTE0 + 0x124), lab.read(UARTE0 + 0x108)], [expected, 1, 1]);
    }
}

#[test]
fn bytes_are_lost_unless_everything_is_set_up() {
    // register, value that breaks reception
    for (offset, value) in [(0x500, 0), (0x514, 0x8000_0008)] {
        let mut lab = uart(2);
        lab.write(UARTE0 + offset, value);
        lab.write(UARTE0, 1);
        arrive(&mut lab, b"a");
        assert_eq!(lab.read(UARTE0 + 0x108), 0, "{offset:#x}");
    }
}

#[test]
fn txd_idles_high_and_lets_go() {
    let mut lab = uart(1);
    let driven = |lab: &Lab| lab.chip.ports().states[6].driven.map(|driven| driven.level);
    assert_eq!(driven(&lab), Some(true));
    assert_eq!(lab.chip.uart_ports(0), (Some(6), Some(8)));
    lab.write(UARTE0 + 0x500, 0);
    assert_eq!(driven(&lab), None);
}

#[test]
fn flow_control() {
    let mut lab = uart(2);
    lab.write(UARTE0 + 0x508, 5);
    lab.write(UARTE0 + 0x510, 7);
    lab.write(0x5000_071C, 0x0);
    lab.write(UARTE0 + 0x56C, 1);
    let rts = |lab: &Lab| lab.chip.ports().states[5].driven.map(|driven| driven.level);
    assert_eq!(rts(&lab), Some(true), "not ready to receive");
    lab.write(UARTE0, 1);
    assert_eq!(rts(&lab), Some(false));
    arrive(&mut lab, b"abc");
    assert_eq!(rts(&lab), Some(true), "buffer full");

    lab.force(0, 1 << 7);
    assert_eq!(lab.read(UARTE0 + 0x104), 1, "NCTS");
    send(&mut lab, b"x");
    lab.run(MILLISECOND);
    assert!(lab.bench.sent.is_empty());
    lab.force(0, 0);
    assert_eq!(lab.read(UARTE0 + 0x100), 1, "CTS");
    lab.run(MILLISECOND);
    assert_eq!(lab.bench.sent.len(), 1);
}

/// UARTE0 with RTS P0.05 and CTS P0.07.
fn with_flow_control(size: u32) -> Lab {
    let mut lab = uart(size);
    for (offset, value) in [(0x508, 5), (0x510, 7), (0x56C, 1)] {
        lab.write(UARTE0 + offset, value);
    }
    lab.write(0x5000_071C, 0x0);
    lab
}

#[test]
fn cts_is_looked_at_before_each_byte() {
    let mut lab = with_flow_control(1);
    send(&mut lab, b"abc");
    lab.run(100 * MICROSECOND);
    // The second byte is being sent; the change is not reported to the chip.
    lab.bench.forced_high = 1 << 7;
    lab.run(MILLISECOND);
    assert_eq!(lab.bench.sent.len(), 2);
    assert_eq!([lab.read(UARTE0 + 0x104), lab.read(ENDTX)], [1, 0]);
    let released = lab.chip.now_ns();
    lab.force(0, 0);
    lab.run(MILLISECOND);
    assert_eq!([lab.read(UARTE0 + 0x100), lab.read(ENDTX)], [1, 1]);
    assert_eq!((lab.bench.sent[2].3 - released) / 1_000, 86, "one byte at 115107 baud");
}

#[test]
fn rts_asks_for_a_pause_with_four_bytes_to_spare() {
    let mut lab = with_flow_control(2);
    lab.bench.port_changes.clear();
    lab.write(UARTE0, 1);
    let rts = |lab: &Lab| lab.bench.port_changes.iter().map(|(_, levels)| levels >> 5 & 1).collect::<Vec<_>>();
    assert_eq!(rts(&lab), [0]);
    arrive(&mut lab, b"abc");
    lab.run(MICROSECOND);
    assert_eq!(rts(&lab), [0, 1], "the buffer is full and one more is kept");
    arrive(&mut lab, b"defg");
    assert_eq!(lab.read(ERRORSRC), 0);
    arrive(&mut lab, b"h");
    assert_eq!(lab.read(ERRORSRC), 1, "overrun");
    lab.write(UARTE0 + 0x538, 5);
    lab.write(UARTE0 + 0x534, RAM + 2);
    lab.write(UARTE0, 1);
    assert_eq!(ram(&lab, 7), b"abcdefg");
    assert_eq!(rts(&lab), [0, 1, 0]);
    lab.write(UARTE0 + 0x004, 1);
    assert_eq!(rts(&lab), [0, 1, 0, 1], "STOPRX");
}

#[test]
fn dma_from_flash_is_reported() {
    let mut lab = uart(1);
    lab.write(UARTE0 + 0x544, 0x1000);
    lab.write(UARTE0 + 0x548, 1);
    lab.write(UARTE0 + 0x008, 1);
    let text = lab.chip.diagnostics()[0].to_string();
    assert!(text.starts_with("UARTE0: DMA of 1 bytes at 0x00001000 is outside RAM"), "{text}");
}

#[test]
fn the_board_can_stop_the_run_at_a_byte() {
    let mut lab = uart(1);
    lab.bench.stop_at_byte = true;
    send(&mut lab, b"ab");
    let until = lab.chip.now_ns() + MILLISECOND;
    for n in 0..2 {
        assert_eq!(lab.chip.run_until(until, &mut lab.bench), Stop::BoardAsked);
        assert_eq!(lab.chip.now_ns(), lab.bench.sent[n].3);
    }
    assert_eq!(lab.chip.run_until(until, &mut lab.bench), Stop::Reached);
    assert_eq!(lab.chip.now_ns(), until);
}

#[test]
fn a_wild_pointer_moves_nothing() {
    let mut lab = uart(0xFFFF);
    lab.write(UARTE0 + 0x534, 0xFFFF_FFFF);
    lab.write(UARTE0, 1);
    arrive(&mut lab, b"abc");
    assert_eq!(lab.read(UARTE0 + 0x108), 1);
    assert!(lab.chip.diagnostics()[0].to_string().contains("outside RAM"));
}
