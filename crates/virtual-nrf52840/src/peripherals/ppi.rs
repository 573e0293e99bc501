//! PPI: connects events to tasks without the CPU.

use super::index;

/// Channels with programmable end points; 20 to 31 are fixed.
const PROGRAMMABLE: usize = 20;
const CHANNELS: usize = 32;
const GROUPS: usize = 6;

/// Event and task addresses of channels 20 to 31 (product specification, "Pre-programmed channels").
const FIXED: [(u32, u32); 12] = [
    (0x4000_8140, 0x4000_1000), // TIMER0.COMPARE[0] -> RADIO.TXEN
    (0x4000_8140, 0x4000_1004), // TIMER0.COMPARE[0] -> RADIO.RXEN
    (0x4000_8144, 0x4000_1010), // TIMER0.COMPARE[1] -> RADIO.DISABLE
    (0x4000_1128, 0x4000_F000), // RADIO.BCMATCH -> AAR.START
    (0x4000_1100, 0x4000_F000), // RADIO.READY -> CCM.KSGEN
    (0x4000_1104, 0x4000_F004), // RADIO.ADDRESS -> CCM.CRYPT
    (0x4000_1104, 0x4000_8044), // RADIO.ADDRESS -> TIMER0.CAPTURE[1]
    (0x4000_110C, 0x4000_8048), // RADIO.END -> TIMER0.CAPTURE[2]
    (0x4000_B140, 0x4000_1000), // RTC0.COMPARE[0] -> RADIO.TXEN
    (0x4000_B140, 0x4000_1004), // RTC0.COMPARE[0] -> RADIO.RXEN
    (0x4000_B140, 0x4000_800C), // RTC0.COMPARE[0] -> TIMER0.CLEAR
    (0x4000_B140, 0x4000_8000), // RTC0.COMPARE[0] -> TIMER0.START
];

#[derive(Debug, Clone)]
pub(crate) struct Ppi {
    enabled: u32,
    end_points: [(u32, u32); CHANNELS],
    forks: [u32; CHANNELS],
    groups: [u32; GROUPS],
}

impl Ppi {
    pub fn new() -> Ppi {
        let mut end_points = [(0, 0); CHANNELS];
        end_points[PROGRAMMABLE..].copy_from_slice(&FIXED);
        Ppi { enabled: 0, end_points, forks: [0; CHANNELS], groups: [0; GROUPS] }
    }

    /// Collects the addresses of the tasks to trigger when peripheral `id` generates `event`.
    pub fn tasks_of(&self, id: u8, event: u8, tasks: &mut Vec<u32>) {
        let address = 0x4000_0100 + u32::from(id) * 0x1000 + u32::from(event) * 4;
        for n in (0..CHANNELS).filter(|n| self.enabled & 1 << n != 0 && self.end_points[*n].0 == address) {
            tasks.extend([self.end_points[n].1, self.forks[n]].iter().filter(|task| **task != 0));
        }
    }

    /// Channel, register and address of the end points in use that were not in use `before`.
    pub fn new_end_points(&self, before: &Ppi) -> Vec<(u8, &'static str, u32)> {
        let in_use = |ppi: &Ppi, n: usize| {
            let (event, task) = ppi.end_points[n];
            [("EEP", event), ("TEP", task), ("FORK.TEP", ppi.forks[n])]
                .map(|(register, address)| (register, if ppi.enabled >> n & 1 != 0 { address } else { 0 }))
        };
        let fresh = |n: usize| {
            let pairs = in_use(self, n).into_iter().zip(in_use(before, n));
            pairs.filter(|(new, old)| new.1 != 0 && new != old).map(move |(new, _)| (n as u8, new.0, new.1))
        };
        (0..CHANNELS).flat_map(fresh).collect()
    }

    /// Events (peripheral id, number) that enabled channels listen to.
    pub fn listened(&self) -> Vec<(u8, u8)> {
        (0..CHANNELS)
            .filter(|n| self.enabled & 1 << n != 0)
            .map(|n| self.end_points[n].0)
            .filter(|address| *address >= 0x4000_0000)
            .map(|address| (((address >> 12) & 0x3F) as u8, (((address & 0xFFF).wrapping_sub(0x100) / 4) & 0x1F) as u8))
            .collect()
    }

    pub fn read(&self, offset: u32) -> Option<u32> {
        if let Some(n) = index(offset, 0x510, 8, PROGRAMMABLE as u32) {
            return Some(self.end_points[n].0);
        }
        if let Some(n) = index(offset, 0x514, 8, PROGRAMMABLE as u32) {
            return Some(self.end_points[n].1);
        }
        if let Some(n) = index(offset, 0x800, 4, GROUPS as u32) {
            return Some(self.groups[n]);
        }
        if let Some(n) = index(offset, 0x910, 4, CHANNELS as u32) {
            return Some(self.forks[n]);
        }
        matches!(offset, 0x500 | 0x504 | 0x508).then_some(self.enabled)
    }

    pub fn write(&mut self, offset: u32, value: u32) -> bool {
        if let Some(n) = index(offset, 0x000, 8, GROUPS as u32) {
            self.enabled |= if value & 1 != 0 { self.groups[n] } else { 0 };
        } else if let Some(n) = index(offset, 0x004, 8, GROUPS as u32) {
            self.enabled &= !if value & 1 != 0 { self.groups[n] } else { 0 };
        } else if let Some(n) = index(offset, 0x510, 8, PROGRAMMABLE as u32) {
            self.end_points[n].0 = value;
        } else if let Some(n) = index(offset, 0x514, 8, PROGRAMMABLE as u32) {
            self.end_points[n].1 = value;
        } else if let Some(n) = index(offset, 0x800, 4, GROUPS as u32) {
            self.groups[n] = value;
        } else if let Some(n) = index(offset, 0x910, 4, CHANNELS as u32) {
            self.forks[n] = value;
        } else {
            match offset {
                0x500 => self.enabled = value,
                0x504 => self.enabled |= value,
                0x508 => self.enabled &= !value,
                _ => return false,
            }
        }
        true
    }
}
