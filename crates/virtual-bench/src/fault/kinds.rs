//! The kinds of fault, one entry each: syntax, requirements, location, effect, defect class, documentation. Parser,
//! text, `--help`, list, schema, documentation and coverage read this table.

use super::defects::{Defects, Load};
use super::list::{self, Site};
use super::syntax::{Amount, Syntax};
use super::{Fault, Terminal};
use crate::circuit;
use bench_plan::{ContactInfo, DutFamily, Function};
use virtual_nrf52840::ChipIdentity;

/// Everything about a kind of fault.
pub struct FaultKind {
    /// Its name in orders: `open`.
    pub name: &'static str,
    pub syntax: Syntax,
    /// Its effect on the module or the bench, in one sentence.
    pub doc: &'static str,
    pub(super) defective: Defective,
    pub(super) needs: Need,
    pub(super) location: Location,
    /// Class of defects that occur equally often, as `fixtures/defect-rates.toml` names it.
    pub(super) class: Class,
    /// The faults of this kind that a module in a fixture can have, for lists and coverage.
    pub(super) listed: fn(&Site<'_>) -> Vec<Fault>,
    pub(super) effect: Effect,
}

/// What needs repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defective {
    Module,
    /// Like `Module`, but an empty module shows the fault in another way than a programmed one.
    ModuleWhileProgrammed,
    /// The bench: the expected verdict is `error`, not `fail`.
    Bench,
    BenchWhileProgramming,
    /// Nothing: a good module that does what some modules do. The expected verdict is `pass`.
    Nothing,
}

/// Class of defects that occur equally often.
pub(super) enum Class {
    One(&'static str),
    /// The class that the function picks from these.
    Pick(&'static [&'static str], fn(&Fault) -> &'static str),
}

/// Requirements of a fault, beyond the contacts and rails that its order names.
pub(super) enum Need {
    Nothing,
    /// A contact that leads to a port of the microcontroller.
    Port,
    /// A contact with this property: its name for people, and its test.
    Contact(&'static str, fn(&ContactInfo) -> bool),
    /// Both contacts are outputs of one PWM unit.
    SamePwmUnit,
    /// Another model of the family.
    Model,
    Modem,
    /// A modem type that the virtual bench knows.
    KnownModem,
    /// A modem, and a habit that the virtual bench knows.
    KnownHabit,
    /// A debug probe in the fixture.
    Probe,
}

/// Location of a fault.
pub(super) enum Location {
    /// At the contacts, rails and ground that its order names.
    Named,
    /// At the contact of the UART that has this role (RTS, CTS), in capitals, as the order names it.
    UartRole,
    /// No contact: a diagnosis must use one of these words, in lower case.
    Words(&'static [&'static str]),
}

/// What a fault changes. The bench detects it by measuring, or not at all.
pub(super) enum Effect {
    /// The circuit, the modem, the memory, the air, the probe or the link.
    World(fn(&Fault, &mut Defects)),
    /// The chip, after its own tolerances were drawn.
    Chip(fn(&Fault, &DutFamily, &mut ChipIdentity)),
}
use Class::{One, Pick};
use Defective::{Bench, BenchWhileProgramming, Module, ModuleWhileProgrammed};
use Effect::{Chip, World};
use Location::{Named, UartRole, Words};

/// Factor of the resistance of a damaged output stage.
const WEAK_DRIVER_FACTOR: f64 = 5.0;
/// Factor of the resistance of damaged pulls: so small that only a leak overrides their level.
const WEAK_PULL_FACTOR: f64 = 2.0;
/// Gain of the 3.6 V range, to which an ordered offset refers.
const WIDEST_ADC_GAIN: f64 = 1.0 / 6.0;
/// An address in the sector that `flash-bad-block` spoils: the last one, as addresses wrap around at the flash's size.
const BAD_SECTOR: u32 = u32::MAX;
/// An address in the page that `mcu-flash-page` spoils: a page that every image uses.
const BAD_PAGE: u32 = 0x3000;
/// FICR.INFO.VARIANT of build code F: from F on, the chip locks itself at every hard reset.
const SELF_LOCKING: [u8; 4] = *b"AAF0";
/// FICR.INFO.PART of the smaller sister, which fits the same pads.
const OTHER_PART: u32 = 0x52833;
/// Offset of UICR.NFCPINS, and its value with PROTECT off: the pads are ports.
const NFC_PADS_ARE_PORTS: (u32, u32) = (0x20C, 0xFFFF_FFFE);
/// UICR.APPROTECT, with a value that locks every kind of silicon.
const ACCESS_PORT_LOCKED: (u32, u32) = (0x208, 0xFFFF_FF00);
/// Remaining tuning of the coil with a wrong capacitor, and without any.
const DETUNED: f64 = 0.5;
const UNTUNED: f64 = 0.1;
/// Without its antenna the end of the trace still radiates a little.
const WITHOUT_ANTENNA_DB: f64 = 40.0;
const WITHOUT_CELL_ANTENNA_DB: f64 = 33.0;
const WEAK_CELL_DB: f64 = 20.0;

const OHMS: &str = "ohms";
const PPM: &str = "parts per million";

const MCU_PART: &str = "part of the microcontroller defective";
const MCU_PORT: &str = "port of the microcontroller defective";
const MODEM: &str = "modem, its lines and supply";
const ANTENNA: &str = "antenna";
const CRYSTAL: &str = "crystal";
const SIM: &str = "SIM";
const FLASH: &str = "external flash";
const BENCH: &str = "the bench itself";
const HABIT: &str = "a habit, no defect";

const CONTACT: Syntax = Syntax::Contact(None);

/// The table. Its order is the order of lists.
pub static KINDS: &[FaultKind] = &[
    FaultKind {
        name: "open",
        syntax: CONTACT,
        doc: "The nail does not reach the contact, or the joint behind the contact is broken.",
        defective: Module,
        needs: Need::Nothing,
        location: Named,
        class: One("open joint"),
        listed: |site| site.contacts(|_| true),
        effect: World(|fault, defects| defects.open.push(fault.contact())),
    },
    FaultKind {
        name: "short",
        syntax: Syntax::Ends(Amount { placeholder: "OHMS", unit: OHMS, usual: Some(0.0) }),
        doc: "Two contacts, rails or ground are joined; without a number by a solder bridge.",
        defective: Module,
        needs: Need::Nothing,
        location: Named,
        class: Pick(&SHORTS, class_of_short),
        listed: list::shorts,
        effect: World(|fault, defects| {
            let (a, b) = fault.ends();
            defects.join(a, b, fault.amount(), "ordered: a short");
        }),
    },
    FaultKind {
        name: "stuck-high",
        syntax: CONTACT,
        doc: "The port's high-side driver conducts whenever the module is powered.",
        defective: Module,
        needs: Need::Port,
        location: Named,
        class: One(MCU_PORT),
        listed: |site| site.contacts(has_port),
        effect: World(|fault, defects| defects.stuck.push((fault.contact(), true))),
    },
    FaultKind {
        name: "stuck-low",
        syntax: CONTACT,
        doc: "The port's low-side driver conducts whenever the module is powered.",
        defective: Module,
        needs: Need::Port,
        location: Named,
        class: One(MCU_PORT),
        listed: |site| site.contacts(has_port),
        effect: World(|fault, defects| defects.stuck.push((fault.contact(), false))),
    },
    FaultKind {
        name: "lost-pull",
        syntax: CONTACT,
        doc: "Neither of the port's pull resistors works.",
        defective: Module,
        needs: Need::Port,
        location: Named,
        class: One(MCU_PORT),
        listed: |site| site.contacts(has_pulls),
        effect: World(|fault, defects| defects.lost_pulls.push(fault.contact())),
    },
    FaultKind {
        name: "weak-pull",
        syntax: CONTACT,
        doc: "The port's pull resistors have twice their resistance.",
        defective: Module,
        needs: Need::Port,
        location: Named,
        class: One(MCU_PORT),
        listed: |site| site.contacts(has_pulls),
        effect: World(|fault, defects| defects.weak_pulls.push((fault.contact(), WEAK_PULL_FACTOR))),
    },
    FaultKind {
        name: "weak-driver",
        syntax: CONTACT,
        doc: "The port's drivers have five times their resistance: a damaged output stage.",
        defective: Module,
        needs: Need::Port,
        location: Named,
        class: One(MCU_PORT),
        listed: |site| site.contacts(drives),
        effect: World(|fault, defects| defects.weak_drivers.push((fault.contact(), WEAK_DRIVER_FACTOR))),
    },
    FaultKind {
        name: "cold",
        syntax: Syntax::Contact(Some(Amount { placeholder: "OHMS", unit: OHMS, usual: Some(200.0) })),
        doc: "Resistance in series between nail and contact, 200 ohm without a number: a cold solder joint, dirt.",
        defective: Module,
        needs: Need::Nothing,
        location: Named,
        class: One("cold joint"),
        listed: |site| site.contacts(|info| !has(info, Function::Nc)),
        effect: World(|fault, defects| defects.cold.push((fault.contact(), fault.amount()))),
    },
    FaultKind {
        name: "esd",
        syntax: Syntax::Contact(Some(Amount { placeholder: "OHMS", unit: OHMS, usual: Some(2e3) })),
        doc: "A discharge damaged the pad: a path to ground on the chip's side, 2 kohm without a number.",
        defective: Module,
        needs: Need::Contact("silicon that a discharge can damage", circuit::is_protected),
        location: Named,
        class: One("pad damaged by a discharge"),
        listed: |site| site.contacts(list::is_signal),
        effect: World(|fault, defects| {
            let pad = Terminal::Contact(fault.contact());
            defects.join(pad, Terminal::Ground, fault.amount(), "ordered: a damaged pad");
        }),
    },
    FaultKind {
        name: "leak",
        syntax: Syntax::ContactAndEnd(Amount { placeholder: "OHMS", unit: OHMS, usual: Some(100e3) }),
        doc: "A weak path to a rail or to ground, 100 kohm without a number: flux, moisture.",
        defective: Module,
        needs: Need::Nothing,
        location: Named,
        class: One("leak (contamination)"),
        listed: list::leaks,
        effect: World(|fault, defects| {
            let (from, to) = fault.ends();
            defects.join(from, to, fault.amount(), "ordered: a leak");
        }),
    },
    FaultKind {
        name: "swap",
        syntax: Syntax::Pair { example: "20-22" },
        doc: "Two neighbouring contacts lead to each other's place on the module.",
        defective: Module,
        needs: Need::Nothing,
        location: Named,
        class: One("lines exchanged"),
        listed: list::swaps,
        effect: World(|fault, defects| defects.swapped.push(fault.pair())),
    },
    FaultKind {
        name: "overload",
        syntax: Syntax::Rail(Amount { placeholder: "AMPS", unit: "amperes", usual: None }),
        doc: "Something on the module draws this current from the rail; without a number three times what the supply can deliver.",
        defective: Module,
        needs: Need::Nothing,
        location: Named,
        class: One("supply overloaded"),
        listed: |site| site.rails(),
        effect: World(|fault, defects| defects.loads.push(Load::Rail(fault.rail(), fault.amount))),
    },
    FaultKind {
        name: "dead-mcu",
        syntax: Syntax::Alone,
        doc: "The microcontroller never starts.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["does not start", "mcu"]),
        class: One("microcontroller dead"),
        listed: |site| site.once(true),
        effect: World(|_, defects| defects.mcu_dead = true),
    },
    FaultKind {
        name: "adc-gain",
        syntax: Syntax::Number {
            placeholder: "PERCENT",
            unit: "percent",
            most: 50.0,
            positive: false,
            whole: false,
            usual: None,
        },
        doc: "The ADC reads all inputs too high (positive) or too low.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["adc"]),
        class: One(MCU_PART),
        listed: |site| site.numbers(&[5.0, -5.0]),
        effect: Chip(|fault, _, chip| chip.tolerances.saadc_gain_error += fault.amount() / 100.0),
    },
    FaultKind {
        name: "adc-offset",
        syntax: Syntax::Number {
            placeholder: "MILLIVOLTS",
            unit: "millivolts",
            most: 1000.0,
            positive: false,
            whole: false,
            usual: None,
        },
        doc: "The ADC adds a voltage to all inputs, as seen at a contact in the 3.6 V range.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["adc"]),
        class: One(MCU_PART),
        listed: |site| site.numbers(&[50.0, -50.0]),
        effect: Chip(|fault, _, chip| {
            // An offset that the calibration removes is no defect. The residue is at the converter, after the gain.
            chip.tolerances.saadc_residual_offset_volts += fault.amount() / 1000.0 * WIDEST_ADC_GAIN;
        }),
    },
    FaultKind {
        name: "adc-dead",
        syntax: CONTACT,
        doc: "The analog input behind the contact reads 0 V; the port works.",
        defective: Module,
        needs: Need::Contact("an analog input", |info| info.adc_input.is_some()),
        location: Named,
        class: One(MCU_PART),
        listed: |site| site.contacts(|info| info.adc_input.is_some()),
        effect: Chip(|fault, dut, chip| {
            let input = dut.contact(fault.contact()).and_then(|info| info.adc_input);
            chip.tolerances.saadc_dead_inputs |= input.map_or(0, |input| 1 << input);
        }),
    },
    FaultKind {
        name: "retained-lost",
        syntax: Syntax::Alone,
        doc: "The retained memory loses what is written to it at a reset.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["retained"]),
        class: One(MCU_PART),
        listed: |site| site.once(true),
        effect: Chip(|_, dut, chip| {
            let (first, bytes) = (dut.memory.retained_base, dut.memory.retained_region_bytes);
            chip.tolerances.retained_ram_lost = Some(first..first + bytes);
        }),
    },
    FaultKind {
        name: "sleep-current",
        syntax: Syntax::Number {
            placeholder: "MILLIAMPS",
            unit: "milliamperes",
            most: 500.0,
            positive: true,
            whole: false,
            usual: Some(1.0),
        },
        doc: "The module draws more on 3V3 in every state, 1 mA without a number.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["sleep", "current", "draws"]),
        class: One(MCU_PART),
        listed: |site| site.numbers(&[1.0]),
        effect: World(|fault, defects| defects.loads.push(Load::Logic(fault.amount() * 1e-3))),
    },
    FaultKind {
        name: "vusb-detect-lost",
        syntax: Syntax::Alone,
        doc: "The chip does not see the voltage at its USB supply pin.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["usb"]),
        class: One(MCU_PART),
        listed: |site| site.once(true),
        effect: World(|_, defects| defects.vusb_undetected = true),
    },
    FaultKind {
        name: "usb-dead",
        syntax: Syntax::Alone,
        doc: "The USB device attaches and never answers.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["usb"]),
        class: One(MCU_PART),
        listed: |site| site.once(true),
        effect: Chip(|_, _, chip| chip.tolerances.usb_deaf = true),
    },
    FaultKind {
        name: "pwm-dead",
        syntax: Syntax::Index { placeholder: "UNIT", range: 0..=3 },
        doc: "No output of this PWM unit reaches its port.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["pwm"]),
        class: One(MCU_PART),
        listed: list::pwm_units,
        effect: Chip(|fault, _, chip| set(&mut chip.tolerances.pwm_dead, fault)),
    },
    FaultKind {
        name: "pwm-wrong",
        syntax: Syntax::Pair { example: "23-33" },
        doc: "Two contacts of one PWM unit carry each other's signal.",
        defective: Module,
        needs: Need::SamePwmUnit,
        location: Named,
        class: One(MCU_PART),
        listed: list::pwm_pairs,
        effect: Chip(|fault, dut, chip| {
            let port = |contact| dut.contact(contact)?.port.map(|port| port.index());
            let (a, b) = fault.pair();
            chip.tolerances.pwm_swapped.extend(port(a).zip(port(b)));
        }),
    },
    FaultKind {
        name: "spim-dead",
        syntax: Syntax::Index { placeholder: "UNIT", range: 0..=3 },
        doc: "This SPI master of the chip never clocks.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["spim"]),
        class: One(MCU_PART),
        listed: |site| site.masters("SPIM"),
        effect: Chip(|fault, _, chip| set(&mut chip.tolerances.buses.spim_dead, fault)),
    },
    FaultKind {
        name: "twim-dead",
        syntax: Syntax::Index { placeholder: "UNIT", range: 0..=1 },
        doc: "This I2C master of the chip never clocks.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["twim"]),
        class: One(MCU_PART),
        listed: |site| site.masters("TWIM"),
        effect: Chip(|fault, _, chip| set(&mut chip.tolerances.buses.twim_dead, fault)),
    },
    FaultKind {
        name: "bus-line-dead",
        syntax: CONTACT,
        doc: "No SPI or I2C master of the chip reaches the port behind the contact; as a port it works.",
        defective: Module,
        needs: Need::Contact("a line of SPI or I2C", list::is_bus_line),
        location: Named,
        class: One(MCU_PART),
        listed: |site| site.contacts(list::is_bus_line),
        effect: Chip(|fault, dut, chip| {
            let port = dut.contact(fault.contact()).and_then(|info| info.port);
            chip.tolerances.buses.unreached_ports |= port.map_or(0, |port| 1 << port.index());
        }),
    },
    FaultKind {
        name: "flow-dead",
        syntax: Syntax::OneOf(&["rts", "cts"]),
        doc: "The link's UART ignores CTS, or does not drive RTS.",
        defective: Module,
        needs: Need::Nothing,
        location: UartRole,
        class: One(MCU_PART),
        listed: list::flow_lines,
        effect: Chip(|fault, _, chip| match fault.word() {
            "rts" => chip.tolerances.buses.rts_dead = true,
            _ => chip.tolerances.buses.cts_ignored = true,
        }),
    },
    FaultKind {
        name: "interrupt-dead",
        syntax: Syntax::Index { placeholder: "CHANNEL", range: 0..=7 },
        doc: "An interrupt channel (GPIOTE) of the chip never sees an edge.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["interrupt"]),
        class: One(MCU_PART),
        listed: list::interrupt_channels,
        effect: Chip(|fault, _, chip| chip.tolerances.gpiote_dead |= 1 << fault.index()),
    },
    FaultKind {
        name: "crystal",
        syntax: Syntax::Number {
            placeholder: "PPM",
            unit: PPM,
            most: 100_000.0,
            positive: false,
            whole: false,
            usual: Some(100.0),
        },
        doc: "Error of the 32.768 kHz crystal in parts per million, 100 without a number.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["crystal"]),
        class: One(CRYSTAL),
        listed: |site| site.numbers(&[100.0, -100.0]),
        effect: Chip(|fault, _, chip| chip.tolerances.lfxo_ppm = fault.amount()),
    },
    FaultKind {
        name: "crystal-dead",
        syntax: Syntax::Alone,
        doc: "The 32.768 kHz crystal does not start.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["crystal"]),
        class: One(CRYSTAL),
        listed: |site| site.once(true),
        effect: Chip(|_, _, chip| chip.tolerances.lfxo_dead = true),
    },
    FaultKind {
        name: "mcu-flash-page",
        syntax: Syntax::Alone,
        doc: "A page of the microcontroller's flash stays erased.",
        defective: ModuleWhileProgrammed,
        needs: Need::Nothing,
        location: Words(&["bad flash"]),
        class: One("microcontroller's flash"),
        listed: |site| site.once(site.has_probe()),
        effect: Chip(|_, _, chip| chip.tolerances.flash_bad_page = Some(BAD_PAGE)),
    },
    FaultKind {
        name: "locked",
        syntax: Syntax::Alone,
        doc: "The microcontroller's access port is locked (APPROTECT).",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["locked"]),
        class: One("microcontroller locked or another one"),
        listed: |site| site.once(site.has_probe()),
        effect: World(|_, defects| defects.uicr.push(ACCESS_PORT_LOCKED)),
    },
    FaultKind {
        name: "self-locking",
        syntax: Syntax::Alone,
        doc: "Silicon of a later revision, which comes out of every hard reset with its access port locked.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["locked"]),
        class: One("microcontroller locked or another one"),
        listed: |site| site.once(site.has_probe()),
        effect: Chip(|_, _, chip| chip.variant = SELF_LOCKING),
    },
    FaultKind {
        name: "wrong-mcu",
        syntax: Syntax::Alone,
        doc: "Another microcontroller was fitted.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["is another one"]),
        class: One("microcontroller locked or another one"),
        listed: |site| site.once(site.has_probe()),
        effect: Chip(|_, _, chip| chip.part = OTHER_PART),
    },
    FaultKind {
        name: "flash-absent",
        syntax: Syntax::Alone,
        doc: "The external flash is not fitted.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["flash"]),
        class: One(FLASH),
        listed: |site| site.once(true),
        effect: World(|_, defects| defects.flash.absent = true),
    },
    FaultKind {
        name: "flash-bad-block",
        syntax: Syntax::Alone,
        doc: "A sector of the external flash cannot be erased.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["flash"]),
        class: One(FLASH),
        listed: |site| site.once(true),
        effect: World(|_, defects| defects.flash.bad_sector = Some(BAD_SECTOR)),
    },
    FaultKind {
        name: "flash-line-open",
        syntax: Syntax::Index { placeholder: "LINE", range: 2..=3 },
        doc: "IO2 or IO3 between chip and external flash is open.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["flash"]),
        class: One(FLASH),
        listed: |site| site.indices(2..=3),
        effect: World(|fault, defects| defects.flash.open_lines |= 1 << fault.index()),
    },
    FaultKind {
        name: "wrong-model",
        syntax: Syntax::Word { placeholder: "MODEL", example: "b524", missing: "the model is missing" },
        doc: "Another model than the plan expects is in the nest.",
        defective: Module,
        needs: Need::Model,
        location: Words(&["wrong model"]),
        class: One("wrong model in the nest"),
        listed: |site| site.other_models(),
        effect: World(|fault, defects| defects.model = Some(fault.word().to_owned())),
    },
    FaultKind {
        name: "ble-antenna",
        syntax: Syntax::Alone,
        doc: "The Bluetooth antenna is missing, or the path to it is open.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["ble antenna"]),
        class: One(ANTENNA),
        listed: |site| site.once(site.fixture.ble.is_some()),
        effect: World(|_, defects| defects.radio_loss_db += WITHOUT_ANTENNA_DB),
    },
    FaultKind {
        name: "ble-weak",
        syntax: Syntax::Number {
            placeholder: "DECIBELS",
            unit: "decibels",
            most: 100.0,
            positive: true,
            whole: false,
            usual: Some(20.0),
        },
        doc: "Loss between radio and antenna in both directions, 20 dB without a number.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["ble weak"]),
        class: One(ANTENNA),
        listed: |site| site.numbers_if(site.fixture.ble.is_some(), &[20.0]),
        effect: World(|fault, defects| defects.radio_loss_db += fault.amount()),
    },
    FaultKind {
        name: "ble-dead",
        syntax: Syntax::Alone,
        doc: "The radio neither sends nor receives.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["ble radio dead"]),
        class: One(MCU_PART),
        listed: |site| site.once(site.fixture.ble.is_some()),
        effect: Chip(|_, _, chip| chip.tolerances.radio_dead = true),
    },
    FaultKind {
        name: "ble-crystal",
        syntax: Syntax::Number {
            placeholder: "PPM",
            unit: PPM,
            most: 1_000.0,
            positive: false,
            whole: false,
            usual: Some(60.0),
        },
        doc: "Error of the 32 MHz crystal in parts per million, 60 without a number: radio, timers and UART depend on it.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["32 mhz crystal"]),
        class: One(CRYSTAL),
        listed: |site| site.numbers_if(site.fixture.ble.is_some(), &[60.0, -60.0]),
        effect: Chip(|fault, _, chip| chip.tolerances.hfxo_ppm = fault.amount()),
    },
    FaultKind {
        name: "nfc-dead",
        syntax: Syntax::Alone,
        doc: "The NFC tag senses a field and ignores a reader's commands.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["nfc"]),
        class: One(MCU_PART),
        listed: |site| site.once(site.fixture.nfc.is_some()),
        effect: Chip(|_, _, chip| chip.tolerances.nfc_deaf = true),
    },
    FaultKind {
        name: "nfc-antenna",
        syntax: Syntax::Alone,
        doc: "The tuning capacitors of the NFC antenna, or its connector, have no contact.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["nfc antenna"]),
        class: One("NFC antenna circuit"),
        listed: |site| site.once(site.fixture.nfc.is_some()),
        effect: World(|_, defects| defects.nfc_tuning *= UNTUNED),
    },
    FaultKind {
        name: "nfc-detuned",
        syntax: Syntax::Alone,
        doc: "A tuning capacitor of the NFC antenna has a wrong value.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["nfc"]),
        class: One("NFC antenna circuit"),
        listed: |site| site.once(site.fixture.nfc.is_some()),
        effect: World(|_, defects| defects.nfc_tuning *= DETUNED),
    },
    FaultKind {
        name: "nfc-as-ports",
        syntax: Syntax::Alone,
        doc: "UICR gives the NFC pads to GPIO: an earlier program wrote it, and only an erased chip has it back.",
        defective: Module,
        needs: Need::Nothing,
        location: Words(&["nfc"]),
        class: One(MCU_PART),
        listed: |site| site.once(site.fixture.nfc.is_some()),
        effect: World(|_, defects| defects.uicr.push(NFC_PADS_ARE_PORTS)),
    },
    FaultKind {
        name: "modem-dead",
        syntax: Syntax::Alone,
        doc: "The modem never switches on.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem does not switch on"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.dead = true),
    },
    FaultKind {
        name: "modem-late",
        syntax: Syntax::Alone,
        doc: "The modem boots half a minute late.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem boots too late", "modem does not answer in time"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.late = true),
    },
    FaultKind {
        name: "modem-never-off",
        syntax: Syntax::Alone,
        doc: "Neither a command nor the key switches the modem off.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem does not switch off"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.never_off = true),
    },
    FaultKind {
        name: "modem-brown-out",
        syntax: Syntax::Alone,
        doc: "A bad joint in the modem's supply inside the module: it restarts when the transmitter starts.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem's supply"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.brown_out = true),
    },
    FaultKind {
        name: "modem-boot-current",
        syntax: Syntax::Alone,
        doc: "The modem draws 300 mA too much while it boots: a damaged part of its supply.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem draws"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.boot_current = true),
    },
    FaultKind {
        name: "modem-tx-dead",
        syntax: Syntax::Alone,
        doc: "The line TX between microcontroller and modem is open, named as the microcontroller sees it.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem uart tx"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.tx_dead = true),
    },
    FaultKind {
        name: "modem-rx-dead",
        syntax: Syntax::Alone,
        doc: "The line RX between microcontroller and modem is open, named as the microcontroller sees it.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem uart rx"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.rx_dead = true),
    },
    FaultKind {
        name: "modem-cts-dead",
        syntax: Syntax::Alone,
        doc: "The line CTS between microcontroller and modem is open, named as the microcontroller sees it.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem uart cts"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.cts_dead = true),
    },
    FaultKind {
        name: "modem-rts-dead",
        syntax: Syntax::Alone,
        doc: "The line RTS between microcontroller and modem is open, named as the microcontroller sees it.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem uart rts"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.rts_dead = true),
    },
    FaultKind {
        name: "modem-flow-swapped",
        syntax: Syntax::Alone,
        doc: "RTS and CTS between microcontroller and modem are exchanged.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["rts and cts are exchanged"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.flow_swapped = true),
    },
    FaultKind {
        name: "sim-absent",
        syntax: Syntax::Alone,
        doc: "No SIM card is fitted.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["sim: no card"]),
        class: One(SIM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.sim_absent = true),
    },
    FaultKind {
        name: "sim-contact",
        syntax: Syntax::Alone,
        doc: "The SIM card does not answer.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["sim: the card does not answer"]),
        class: One(SIM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.sim_dead = true),
    },
    FaultKind {
        name: "sim-carrier",
        syntax: Syntax::Alone,
        doc: "The SIM card belongs to another carrier.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["sim: wrong carrier"]),
        class: One(SIM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.sim_carrier = true),
    },
    FaultKind {
        name: "iccid-unreadable",
        syntax: Syntax::Alone,
        doc: "The SIM card's number cannot be read.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["sim: its number"]),
        class: One(SIM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.iccid_unreadable = true),
    },
    FaultKind {
        name: "imei-unreadable",
        syntax: Syntax::Alone,
        doc: "The modem's IMEI cannot be read.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["imei"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.imei_unreadable = true),
    },
    FaultKind {
        name: "imei-default",
        syntax: Syntax::Alone,
        doc: "The IMEI was never written: it is the one that every blank modem has.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["imei"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.imei_default = true),
    },
    FaultKind {
        name: "cell-antenna",
        syntax: Syntax::Alone,
        doc: "The path to the cellular antenna is open.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["cellular antenna"]),
        class: One(ANTENNA),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.path_loss_db = WITHOUT_CELL_ANTENNA_DB),
    },
    FaultKind {
        name: "cell-weak",
        syntax: Syntax::Alone,
        doc: "The modem receives 20 dB too little.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["cellular receiver"]),
        class: One(ANTENNA),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.path_loss_db = WEAK_CELL_DB),
    },
    FaultKind {
        name: "modem-usb-dead",
        syntax: Syntax::Alone,
        doc: "The modem's USB does not see the voltage on VBUS.",
        defective: Module,
        needs: Need::Modem,
        location: Words(&["modem's usb"]),
        class: One(MODEM),
        listed: |site| site.once(site.dut.modem.is_some()),
        effect: World(|_, defects| defects.modem.usb_dead = true),
    },
    FaultKind {
        name: "wrong-modem",
        syntax: Syntax::Word { placeholder: "TYPE", example: "SARA-R410M", missing: "write which modem is fitted" },
        doc: "Another type of modem is fitted.",
        defective: Module,
        needs: Need::KnownModem,
        location: Words(&["wrong modem"]),
        class: One("wrong modem"),
        listed: |site| site.other_modems(),
        effect: World(|fault, defects| defects.modem.wrong = Some(fault.word().to_owned())),
    },
    FaultKind {
        name: "modem-habit",
        syntax: Syntax::Word { placeholder: "HABIT", example: "chatty", missing: "write which habit the modem has" },
        doc: "No fault: the good modem has this habit and no other; without an order, habits are drawn with the seed.",
        defective: Defective::Nothing,
        needs: Need::KnownHabit,
        location: Words(&["habit"]),
        class: One(HABIT),
        listed: |_| Vec::new(),
        effect: World(|fault, defects| defects.modem.habits.push(fault.word().to_owned())),
    },
    FaultKind {
        name: "dead-link",
        syntax: Syntax::Alone,
        doc: "The bench's own cable: the controller's TX and RX are cut before the relay.",
        defective: Bench,
        needs: Need::Nothing,
        location: Words(&["cable"]),
        class: One(BENCH),
        listed: |site| site.once(true),
        effect: World(|_, defects| defects.link_cut = true),
    },
    FaultKind {
        name: "slow-link",
        syntax: Syntax::Alone,
        doc: "The bench's own cable carries 115200 baud and nothing faster.",
        defective: Bench,
        needs: Need::Nothing,
        location: Words(&["cable"]),
        class: One(BENCH),
        listed: |site| site.once(true),
        effect: World(|_, defects| defects.slow_link = true),
    },
    FaultKind {
        name: "deaf-adapter",
        syntax: Syntax::Alone,
        doc: "The controller's Bluetooth adapter receives nothing: its antenna or its driver.",
        defective: Bench,
        needs: Need::Nothing,
        location: Words(&["bluetooth adapter"]),
        class: One(BENCH),
        listed: |site| site.once(site.fixture.ble.is_some()),
        effect: World(|_, defects| defects.adapter_deaf = true),
    },
    FaultKind {
        name: "quiet-room",
        syntax: Syntax::Alone,
        doc: "No fault: no other Bluetooth device is near, so that a dead radio looks like a deaf adapter.",
        defective: Defective::Nothing,
        needs: Need::Nothing,
        location: Words(&["bluetooth adapter"]),
        class: One(BENCH),
        // A good module passes in it.
        listed: |site| site.once(false),
        effect: World(|_, defects| defects.room_quiet = true),
    },
    FaultKind {
        name: "empty-nest",
        syntax: Syntax::Alone,
        doc: "No module is in the nest.",
        defective: Bench,
        needs: Need::Nothing,
        location: Words(&["in the nest"]),
        class: One(BENCH),
        listed: |site| site.once(true),
        effect: World(|_, defects| defects.empty_nest = true),
    },
    FaultKind {
        name: "probe-absent",
        syntax: Syntax::Alone,
        doc: "No debug probe is plugged in.",
        defective: Bench,
        needs: Need::Probe,
        location: Words(&["no debug probe"]),
        class: One(BENCH),
        listed: |site| site.once(site.has_probe()),
        effect: World(|_, defects| defects.probe.absent = true),
    },
    FaultKind {
        name: "swdio-open",
        syntax: Syntax::Alone,
        doc: "The nail of SWDIO does not reach its pad.",
        defective: Bench,
        needs: Need::Probe,
        location: Words(&["swdio"]),
        class: One(BENCH),
        listed: |site| site.once(site.has_probe()),
        effect: World(|_, defects| defects.probe.open = true),
    },
    FaultKind {
        name: "swclk-open",
        syntax: Syntax::Alone,
        doc: "The nail of SWDCLK does not reach its pad.",
        defective: Bench,
        needs: Need::Probe,
        location: Words(&["swdio"]),
        class: One(BENCH),
        listed: |site| site.once(site.has_probe()),
        effect: World(|_, defects| defects.probe.open = true),
    },
    FaultKind {
        name: "probe-lost",
        syntax: Syntax::Number {
            placeholder: "TRANSFERS",
            unit: "transfers",
            most: 1e15,
            positive: true,
            whole: true,
            usual: Some(30_000.0),
        },
        doc: "The debug probe's lines fail after so many transfers; without a number in the middle of writing the test firmware.",
        defective: BenchWhileProgramming,
        needs: Need::Probe,
        location: Words(&["swdio"]),
        class: One(BENCH),
        listed: |site| site.numbers_if(site.has_probe(), &[30_000.0]),
        effect: World(|fault, defects| defects.probe.lost_after = Some(fault.amount() as u64)),
    },
];

fn has(info: &ContactInfo, function: Function) -> bool {
    info.functions.contains(&function)
}

fn has_port(info: &ContactInfo) -> bool {
    info.port.is_some()
}

/// The NFC antenna's pads are not GPIO: neither their pulls nor their drivers are ever on.
fn has_pulls(info: &ContactInfo) -> bool {
    has_port(info) && !has(info, Function::Nfc)
}

fn drives(info: &ContactInfo) -> bool {
    has_pulls(info) && !has(info, Function::Reset)
}

/// Marks the unit that the fault numbers.
fn set(dead: &mut [bool], fault: &Fault) {
    if let Some(dead) = dead.get_mut(usize::from(fault.index())) {
        *dead = true;
    }
}

const SHORTS: [&str; 4] = [
    "bridge to a neighbour, weak (flux, whisker)",
    "rail shorted",
    "bridge to a neighbour",
    "signal shorted to ground or supply",
];

fn class_of_short(fault: &Fault) -> &'static str {
    let (a, b) = fault.ends();
    let is_net = |end: &Terminal| !matches!(end, Terminal::Contact(_));
    SHORTS[match (is_net(&a), is_net(&b)) {
        _ if fault.amount() != 0.0 => 0,
        (true, true) => 1,
        (false, false) => 2,
        _ => 3,
    }]
}
