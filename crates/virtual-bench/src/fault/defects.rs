//! Changes by the ordered faults, grouped by the part of the virtual bench that applies them.

use super::kinds::Effect;
use super::{Fault, Terminal};
use crate::bench_fault::BenchDamage;
use crate::flash::FlashFaults;
use bench_plan::DutFamily;
use bench_run::Contact;
use virtual_nrf52840::ChipIdentity;

/// All differences from a good module in a good fixture, except in the chip itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Defects {
    /// Contacts that are swapped on the module.
    pub swapped: Vec<(Contact, Contact)>,
    pub empty_nest: bool,
    pub open: Vec<Contact>,
    /// Additional ohms between nail and contact.
    pub cold: Vec<(Contact, f64)>,
    pub joints: Vec<Joint>,
    pub loads: Vec<Load>,
    /// Ports whose high-side (true) or low-side driver always conducts.
    pub stuck: Vec<(Contact, bool)>,
    pub lost_pulls: Vec<Contact>,
    /// With the factor by which the resistance grew.
    pub weak_pulls: Vec<(Contact, f64)>,
    pub weak_drivers: Vec<(Contact, f64)>,
    pub mcu_dead: bool,
    pub vusb_undetected: bool,
    /// Registers of UICR that an earlier program wrote: offset and value.
    pub uicr: Vec<(u32, u32)>,
    pub flash: FlashFaults,
    pub modem: ModemDefects,
    /// Remaining tuning of the NFC coil, 0 to 1.
    pub nfc_tuning: f64,
    pub radio_loss_db: f64,
    pub adapter_deaf: bool,
    /// No device but module and adapter advertises.
    pub room_quiet: bool,
    pub probe: ProbeDefects,
    pub link_cut: bool,
    pub slow_link: bool,
    /// The model in the nest, if it is not the ordered one.
    pub model: Option<String>,
}

/// Two nets that are joined.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Joint {
    pub a: Terminal,
    pub b: Terminal,
    pub ohms: f64,
    /// For descriptions of the network.
    pub label: &'static str,
}

/// A part that draws a constant current.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Load {
    /// From a rail: amperes, or more than it can deliver.
    Rail(String, Option<f64>),
    /// From the supply of the microcontroller, amperes.
    Logic(f64),
}

/// Defects of the modem, its card, its antenna and its lines, which are named as the microcontroller sees them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ModemDefects {
    /// The type that is fitted instead.
    pub wrong: Option<String>,
    pub dead: bool,
    pub late: bool,
    pub never_off: bool,
    pub brown_out: bool,
    pub boot_current: bool,
    pub tx_dead: bool,
    pub rx_dead: bool,
    pub cts_dead: bool,
    pub rts_dead: bool,
    pub flow_swapped: bool,
    pub sim_absent: bool,
    pub sim_dead: bool,
    pub sim_carrier: bool,
    pub iccid_unreadable: bool,
    pub imei_unreadable: bool,
    pub imei_default: bool,
    pub path_loss_db: f64,
    pub usb_dead: bool,
    /// No defects: the habits that it has instead of drawn ones.
    pub habits: Vec<String>,
}

/// Defects of the debug probe and its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProbeDefects {
    pub absent: bool,
    pub open: bool,
    /// Number of transfers before the connection is lost.
    pub lost_after: Option<u64>,
}

impl Default for Defects {
    fn default() -> Self {
        Self {
            swapped: Vec::new(),
            empty_nest: false,
            open: Vec::new(),
            cold: Vec::new(),
            joints: Vec::new(),
            loads: Vec::new(),
            stuck: Vec::new(),
            lost_pulls: Vec::new(),
            weak_pulls: Vec::new(),
            weak_drivers: Vec::new(),
            mcu_dead: false,
            vusb_undetected: false,
            uicr: Vec::new(),
            flash: FlashFaults::default(),
            modem: ModemDefects::default(),
            nfc_tuning: 1.0,
            radio_loss_db: 0.0,
            adapter_deaf: false,
            room_quiet: false,
            probe: ProbeDefects::default(),
            link_cut: false,
            slow_link: false,
            model: None,
        }
    }
}

impl Defects {
    pub fn of(faults: &[Fault]) -> Self {
        let mut defects = Self::default();
        for fault in faults {
            if let Effect::World(change) = fault.kind.effect {
                change(fault, &mut defects);
            }
        }
        defects
    }

    /// Adds what a bench does that is in series with the module, or looks the same from there.
    pub fn add_bench(&mut self, bench: &BenchDamage) {
        self.cold.extend(&bench.worn);
        self.open.extend(&bench.lifted);
        self.swapped.extend(&bench.exchanged);
        self.empty_nest |= bench.nest_is_empty;
        self.adapter_deaf |= bench.air.deaf;
        self.radio_loss_db += bench.air.loss_db;
        self.probe.lost_after = self.probe.lost_after.or(bench.probe.lost_after);
    }

    pub(super) fn join(&mut self, a: Terminal, b: Terminal, ohms: f64, label: &'static str) {
        self.joints.push(Joint { a, b, ohms, label });
    }

    /// The contact that is connected in place of `contact`.
    pub fn led_to(&self, contact: Contact) -> Contact {
        self.swapped.iter().fold(contact, |contact, &(a, b)| match contact {
            _ if contact == a => b,
            _ if contact == b => a,
            _ => contact,
        })
    }
}

/// Changes a chip that already has tolerances of its own.
pub(crate) fn damage(chip: &mut ChipIdentity, dut: &DutFamily, faults: &[Fault]) {
    for fault in faults {
        if let Effect::Chip(change) = fault.kind.effect {
            change(fault, dut, chip);
        }
    }
}
