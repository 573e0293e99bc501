//! All ports at once, by register.
//!
//! The HAL's pin types drive one pin each and own it; a test vector drives any of 48 and they must change together.

use dut_protocol::{DriveStrength, Port, PortSet, PortVector};
use embassy_nrf::pac::gpio::{
    Gpio,
    regs::PinCnf,
    vals::{Dir, Drive, Input, Pull},
};
use embassy_nrf::pac::{self, common};

const BANKS: [(Gpio, u32); 2] = [(pac::P0, 0), (pac::P1, 32)];

/// PIN_CNF of a port.
pub fn configuration(port: Port) -> common::Reg<PinCnf, common::RW> {
    let bank = if port.bank() == 0 { pac::P0 } else { pac::P1 };
    bank.pin_cnf(usize::from(port.pin()))
}

/// The 32 bits of a set that belong to the bank that begins at bit `first`.
fn of_bank(set: PortSet, first: u32) -> u32 {
    (set.0 >> first) as u32
}

/// Sets the ports of a checked vector to their states.
///
/// Ports are released before others are driven, so that no two outputs conflict in between; every output gets its level
/// before it is enabled. Within a bank all levels change in one write and all outputs are enabled in one.
pub fn apply(vector: &PortVector) {
    let PortVector { high, low, pull_up, pull_down, float, strength, settle_us: _ } = *vector;
    let inputs = pull_up.union(pull_down).union(float);
    let outputs = high.union(low);

    for (bank, first) in BANKS {
        bank.dirclr().write(|bits| bits.0 = of_bank(inputs, first));
    }
    for (set, pull) in [(pull_up, Pull::Pullup), (pull_down, Pull::Pulldown), (float, Pull::Disabled)] {
        for port in set.iter() {
            configuration(port).write(|port| {
                port.set_dir(Dir::Input);
                port.set_input(Input::Connect);
                port.set_pull(pull);
            });
        }
    }

    // An input that becomes an output keeps its pull until it is driven, so that it never floats.
    for port in outputs.iter() {
        configuration(port).modify(|port| {
            port.set_input(Input::Connect); // the level that an output reads back reveals a short
            port.set_drive(match strength {
                DriveStrength::Standard => Drive::S0s1,
                DriveStrength::High => Drive::H0h1,
            });
        });
    }
    for (bank, first) in BANKS {
        bank.out().modify(|bits| bits.0 = bits.0 & !of_bank(low, first) | of_bank(high, first));
    }
    for (bank, first) in BANKS {
        bank.dirset().write(|bits| bits.0 = of_bank(outputs, first));
    }
    for port in outputs.iter() {
        configuration(port).modify(|port| port.set_pull(Pull::Disabled));
    }
}

/// Levels of all ports; one whose input is disconnected reads 0.
pub fn levels() -> PortSet {
    let read = |bank: Gpio| u64::from(bank.in_().read().0);
    PortSet(read(pac::P0) | read(pac::P1) << 32).intersection(PortSet::ALL)
}

/// High impedance, input disconnected, no pull: the state after reset.
pub fn release(set: PortSet) {
    for (bank, first) in BANKS {
        bank.dirclr().write(|bits| bits.0 = of_bank(set, first));
    }
    for port in set.iter() {
        configuration(port).write(|port| port.set_input(Input::Disconnect));
    }
    for (bank, first) in BANKS {
        bank.outclr().write(|bits| bits.0 = of_bank(set, first));
    }
}

/// Connects a port's input buffer without changing anything else.
pub fn connect_input(port: Port) {
    configuration(port).modify(|port| port.set_input(Input::Connect));
}

/// Level of one port.
pub fn is_high(port: Port) -> bool {
    let bank = if port.bank() == 0 { pac::P0 } else { pac::P1 };
    bank.in_().read().0 >> port.pin() & 1 == 1
}

/// Level of one output.
pub fn set(port: Port, high: bool) {
    let bank = if port.bank() == 0 { pac::P0 } else { pac::P1 };
    let bit = 1 << port.pin();
    if high { bank.outset().write(|bits| bits.0 = bit) } else { bank.outclr().write(|bits| bits.0 = bit) }
}

/// Makes a port an output with this level, or changes its level.
pub fn drive(port: Port, high: bool) {
    set(port, high);
    configuration(port).write(|port| {
        port.set_dir(Dir::Output);
        port.set_input(Input::Connect);
        port.set_drive(Drive::S0s1);
    });
}

/// State of a port, to be restored later.
pub struct Saved {
    port: Port,
    configuration: PinCnf,
    high: bool,
}

impl Saved {
    pub fn of(port: Port) -> Self {
        let bank = if port.bank() == 0 { pac::P0 } else { pac::P1 };
        let high = bank.out().read().0 >> port.pin() & 1 == 1;
        Self { port, configuration: configuration(port).read(), high }
    }

    /// A port that is in `ports` is restored to the state after reset.
    pub fn forget(&mut self, ports: PortSet) {
        if ports.contains(self.port) {
            let mut released = PinCnf(0);
            released.set_input(Input::Disconnect);
            (self.configuration, self.high) = (released, false);
        }
    }

    pub fn restore(&self) {
        let driven = self.configuration.dir() == Dir::Output;
        if driven {
            set(self.port, self.high);
        }
        configuration(self.port).write_value(self.configuration);
        if !driven {
            set(self.port, self.high);
        }
    }
}
