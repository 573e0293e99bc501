//! The kinds of work that CoreMark does, in a program of its own for the chip: a linked list that is searched and sorted,
//! products of matrices, a state machine over text, and a checksum of all of it.
#![no_std]
#![no_main]

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

#[unsafe(link_section = ".vectors")]
#[unsafe(no_mangle)]
pub static VECTORS: [unsafe extern "C" fn() -> !; 1] = [start];

/// Rounds left, and the checksum; read from outside. In RAM that is never cleared: the program sets them.
static mut ROUNDS: u32 = 0;
static mut SUM: u32 = 0;

const ITEMS: usize = 64;
const SIDE: usize = 12;

#[derive(Clone, Copy)]
struct Item {
    key: i16,
    next: u8,
}

fn crc16(mut value: u32, mut crc: u16) -> u16 {
    for _ in 0..32 {
        let carry = (value as u16 ^ crc) & 1;
        value >>= 1;
        crc >>= 1;
        if carry != 0 {
            crc ^= 0xA001;
        }
    }
    crc
}

fn list(seed: u32, mut crc: u16) -> u16 {
    let mut items = [Item { key: 0, next: 0 }; ITEMS];
    let mut state = seed;
    for (n, item) in items.iter_mut().enumerate() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *item = Item { key: (state >> 16) as i16, next: (n as u8 + 1) % ITEMS as u8 };
    }
    // Sorted by insertion into a second chain.
    let mut order = [0u8; ITEMS];
    for n in 0..ITEMS {
        let mut place = n;
        while place > 0 && items[order[place - 1] as usize].key > items[n].key {
            order[place] = order[place - 1];
            place -= 1;
        }
        order[place] = n as u8;
    }
    for pair in 0..ITEMS - 1 {
        items[order[pair] as usize].next = order[pair + 1];
    }
    let mut at = order[0];
    for _ in 0..ITEMS {
        crc = crc16(items[at as usize].key as u32, crc);
        at = items[at as usize].next;
    }
    crc
}

fn matrix(seed: u32, mut crc: u16) -> u16 {
    let (mut a, mut b) = ([[0i16; SIDE]; SIDE], [[0i16; SIDE]; SIDE]);
    for row in 0..SIDE {
        for column in 0..SIDE {
            a[row][column] = (seed as usize + 3 * row + column) as i16;
            b[row][column] = (seed as usize * 7 + row + 5 * column) as i16;
        }
    }
    for row in 0..SIDE {
        for column in 0..SIDE {
            let sum: i32 = (0..SIDE).map(|n| i32::from(a[row][n]) * i32::from(b[n][column])).sum();
            crc = crc16(sum as u32, crc);
        }
    }
    crc
}

fn states(seed: u32, mut crc: u16) -> u16 {
    const TEXT: &[u8] = b"5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,T0.3e-1F,";
    let mut state = 0u32;
    for (n, byte) in TEXT.iter().enumerate() {
        state = match (state, byte ^ (seed as u8 & n as u8 & 1)) {
            (_, b',') => 0,
            (0, b'+' | b'-') => 1,
            (0..=2, b'0'..=b'9') => 2,
            (0..=2, b'.') => 3,
            (3, b'0'..=b'9') => 3,
            (2 | 3, b'e') => 4,
            (4, b'+' | b'-') => 5,
            (4 | 5, b'0'..=b'9') => 5,
            _ => 6,
        };
        crc = crc16(state, crc);
    }
    crc
}

unsafe extern "C" fn start() -> ! {
    // SAFETY: the only program on the chip; reads from outside happen while the chip is stopped.
    unsafe {
        let mut crc = 0xFFFF;
        let mut round = 0;
        loop {
            crc = states(round, matrix(round, list(round, crc)));
            round += 1;
            write_volatile(addr_of_mut!(SUM), u32::from(crc));
            write_volatile(addr_of_mut!(ROUNDS), round);
            let _ = read_volatile(addr_of_mut!(ROUNDS));
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
