//! A board on a desk, as wires: what its file says in words becomes nails of the simulated circuit, and a hand becomes
//! switches that no chip drives.

use crate::ends::SharedWorld;
use bench_plan::{
    Chip, ChipKind, DutFamily, Fixture, Function, HandSwitch, IoBit, Nail, NailWiring, NfcWiring, Rail, UsbWiring,
};
use std::borrow::Cow;
use std::time::Duration;

/// No chip has this index.
const HAND: usize = usize::MAX;

/// The switch of the board's supply.
pub(crate) const BOARD: IoBit = IoBit { chip: HAND, bit: 0 };
/// The USB cable from the module to the computer.
pub(crate) const USB_CABLE: IoBit = IoBit { chip: HAND, bit: 1 };
/// Soldered.
const JOINED: IoBit = IoBit { chip: HAND, bit: 2 };
/// Does not exist.
const NEVER: IoBit = IoBit { chip: HAND, bit: 3 };

/// Of a board's copper and its connector.
const TRACE_OHMS: f64 = 0.05;
/// A board has no discharge transistor.
const NO_DISCHARGE_OHMS: f64 = 1e6;
const RISE: Duration = Duration::from_millis(2);
/// Of a board's regulator and traces.
const SUPPLY_OHMS: f64 = 0.1;

/// High level of a serial adapter's TX.
const ADAPTER_VOLTS: f64 = 3.3;

/// What a person at the desk has switched and plugged.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hands {
    pub board_on: bool,
    pub usb_plugged: bool,
}

impl Hands {
    /// The level of a switch that a hand moves; `None` for a bit of a chip.
    pub fn level(self, bit: IoBit) -> Option<bool> {
        (bit.chip == HAND).then_some(match bit {
            BOARD => self.board_on,
            USB_CABLE => self.usb_plugged,
            JOINED => true,
            _ => false,
        })
    }
}

/// Moves what a person at a desk can move. Nothing is on or plugged at first.
pub struct VirtualHands(pub(crate) SharedWorld);

impl VirtualHands {
    /// The board's own supply.
    pub fn switch_board(&self, on: bool) {
        self.change(|hands| hands.board_on = on);
    }
    /// The cable between the computer and the module's USB connector.
    pub fn plug_usb(&self, plugged: bool) {
        self.change(|hands| hands.usb_plugged = plugged);
    }
    fn change(&self, how: impl FnOnce(&mut Hands)) {
        let mut world = self.0.borrow_mut();
        let now = world.now_ns();
        how(&mut world.rig.panel.hands);
        world.rig.panel_changed(now);
    }
}

/// The fixture as the circuit is built from it. That of a bed of nails is as its file says.
pub(crate) fn as_wired<'f>(fixture: &'f Fixture, dut: &DutFamily) -> Cow<'f, Fixture> {
    let Some(desk) = &fixture.desk else { return Cow::Borrowed(fixture) };
    let mut wired = fixture.clone();
    let mut join = |contact, wiring| {
        wired.nails.insert(contact, Nail { contact, wiring, mux: None });
    };
    for info in dut.contacts.iter().filter(|info| info.functions.contains(&Function::Ground)) {
        join(info.contact, NailWiring::Ground { feed: JOINED, feed_ohms: TRACE_OHMS });
    }
    for (index, supply) in desk.supplies.iter().enumerate() {
        for contact in supply.contacts.iter().filter(|contact| dut.contact(**contact).is_some()) {
            join(*contact, NailWiring::Rail { rail: index, feed: JOINED, feed_ohms: TRACE_OHMS });
        }
    }
    let usb = dut.contacts.iter().filter(|info| desk.usb.is_some() && info.functions.contains(&Function::Usb));
    let signals = usb.map(|info| info.contact).chain([fixture.link.dut_tx, fixture.link.dut_rx]);
    let signals: Vec<_> = signals.filter(|contact| !wired.nails.contains_key(contact)).collect();
    for contact in signals {
        let wiring = NailWiring::Io { io: NEVER, series_ohms: 1e3 };
        wired.nails.insert(contact, Nail { contact, wiring, mux: None });
    }
    let rail = |supply: &bench_plan::HandSupply| Rail {
        name: supply.name.clone(),
        volts: supply.volts,
        enable: match supply.with {
            HandSwitch::Board => BOARD,
            HandSwitch::Usb => USB_CABLE,
        },
        discharge: NEVER,
        discharge_ohms: NO_DISCHARGE_OHMS,
        monitor: HAND,
        current_limit_amps: supply.current_limit_amps,
        rise_time: RISE,
        series_ohms: SUPPLY_OHMS,
        pin: supply.name.clone(),
        load_ohms: None,
        optional: false,
    };
    wired.rails = desk.supplies.iter().map(rail).collect();
    wired.usb = desk.usb.is_some().then_some(UsbWiring { switch: USB_CABLE });
    if desk.phone.is_some() {
        wired.nfc = Some(NfcWiring { reader: wired.chips.len(), coil: None });
        wired.chips.push(Chip { id: "phone".to_owned(), kind: ChipKind::Pn532, address: 0x24 });
    }
    wired.nail_volts = ADAPTER_VOLTS;
    wired.desk = None;
    Cow::Owned(wired)
}
