//! The properties of one modem: times, answers, its card. Drawn for every seed.

use super::habits::{CardNumber, Habits};
use crate::fault::ModemDefects;
use crate::random::{Purpose, Random};
use bench_plan::{DutFamily, Model, ModemDialect};

/// Times of one type in milliseconds, from and to. Data sheets give limits; these are values of real units.
struct Times {
    /// Shortest and longest press of the power key that switches on.
    on_press: (u64, u64),
    /// From the accepted press to V_INT or STATUS.
    sense: (u64, u64),
    /// From the accepted press to the first answer.
    ready: (u64, u64),
    /// From the command to off.
    off: (u64, u64),
    /// Shortest press that switches off.
    off_press: u64,
}

/// SARA-R4 accepts the key at once, SARA-R5 after a second, EG91 after half a second.
fn times(dialect: ModemDialect) -> Times {
    match dialect {
        ModemDialect::SaraR4 => Times {
            on_press: (150, 3_200),
            sense: (20, 60),
            ready: (3_800, 5_500),
            off: (1_500, 4_000),
            off_press: 1_500,
        },
        ModemDialect::SaraR5 => Times {
            on_press: (1_000, 2_000),
            sense: (30, 120),
            ready: (3_000, 4_500),
            off: (900, 2_500),
            off_press: 1_500,
        },
        ModemDialect::Quectel => Times {
            on_press: (500, 3_000),
            sense: (10_000, 10_800),
            ready: (12_000, 13_000),
            off: (2_500, 9_000),
            off_press: 650,
        },
    }
}

/// Identity of this modem.
#[derive(Debug, Clone)]
pub(super) struct Character {
    pub dialect: ModemDialect,
    pub maker: &'static str,
    pub model: String,
    pub firmware: &'static str,
    pub imei: Option<String>,
    pub sim: Sim,
    /// Settings that the last user left.
    pub stored_baud: u32,
    pub on_press_ms: (u64, u64),
    pub off_press_ms: u64,
    pub sense_ms: u64,
    pub ready_ms: u64,
    pub off_ms: u64,
    /// From the first answer to the reception of a cell, and from there to the network's answer.
    pub search_ms: u64,
    pub attach_ms: u64,
    /// From the first answer to a card that is ready.
    pub sim_ms: u64,
    pub rsrp_dbm: f64,
    /// Amperes at 3.8 V.
    pub boot_amps: f64,
    pub idle_amps: f64,
    pub burst_amps: f64,
    /// Between the contacts and the modem's own supply pins.
    pub supply_ohms: f64,
    pub habits: Habits,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sim {
    Absent,
    Dead,
    Fitted { iccid: Option<String>, imsi: String },
}

/// Additional current of a damaged part while the modem boots.
const LEAKS_AMPS: f64 = 0.3;
/// IMEI of modems that were never given their own.
const BLANK_IMEI: &str = "004999010640000";

impl Character {
    pub fn new(
        dut: &DutFamily,
        types: &[ModemType],
        model: &Model,
        seed: u64,
        defects: &ModemDefects,
        habits: Habits,
    ) -> Option<Self> {
        let mut random = Random::new(seed, Purpose::Modem);
        let wrong = defects.wrong.as_deref();
        let name = wrong.or(model.modem_parts.first().map(String::as_str))?;
        let part = types.iter().find(|modem| modem.name == name)?;
        let times = times(part.dialect);
        let mut draw = |(low, high): (u64, u64)| random.between(low as f64, high as f64) as u64;
        let (sense_ms, mut ready_ms, off_ms) = (draw(times.sense), draw(times.ready), draw(times.off));
        let (search_ms, attach_ms, sim_ms) = (draw((1_500, 2_500)), draw((800, 1_600)), draw((200, 700)));
        if defects.late {
            ready_ms += 30_000;
        }
        let used = random.unit() < 0.3;
        let imei = match () {
            () if defects.imei_unreadable => None,
            () if defects.imei_default => Some(BLANK_IMEI.to_owned()),
            () => Some(luhn(part.type_allocation, 14, &mut random)),
        };
        let (boot, idle, burst) = match part.dialect {
            ModemDialect::SaraR4 => (0.090, 0.012, 0.38),
            ModemDialect::SaraR5 => (0.080, 0.014, 0.39),
            ModemDialect::Quectel => (0.150, 0.022, 0.65),
        };
        Some(Self {
            dialect: part.dialect,
            maker: part.maker,
            model: part.model.to_owned(),
            firmware: part.firmware,
            imei,
            sim: sim(dut, model, defects, habits.card_number, &mut random),
            stored_baud: habits.baud.unwrap_or(if used { part.runtime_baud } else { part.default_baud }),
            on_press_ms: times.on_press,
            off_press_ms: times.off_press,
            sense_ms,
            ready_ms,
            off_ms,
            search_ms,
            attach_ms,
            sim_ms: sim_ms + habits.card_ms,
            rsrp_dbm: random.between(-88.0, -80.0) - defects.path_loss_db,
            boot_amps: random.within(boot, 0.1) + if defects.boot_current { LEAKS_AMPS } else { 0.0 },
            idle_amps: random.within(idle, 0.15),
            burst_amps: random.within(burst, 0.1),
            supply_ohms: if defects.brown_out { 5.0 } else { 0.05 },
            habits,
        })
    }
}

/// A real type of modem, by its answers.
pub struct ModemType {
    name: &'static str,
    dialect: ModemDialect,
    maker: &'static str,
    model: &'static str,
    firmware: &'static str,
    type_allocation: &'static str,
    default_baud: u32,
    runtime_baud: u32,
}

/// Modems that this bench can simulate. The form of the answers is from the makers' manuals.
pub const TYPES: [ModemType; 3] = [
    ModemType {
        name: "SARA-R410M",
        dialect: ModemDialect::SaraR4,
        maker: "u-blox",
        model: "SARA-R410M-02B",
        firmware: "L0.0.00.00.05.08 [Apr 17 2019 19:34:02]",
        type_allocation: "35275309",
        default_baud: 115_200,
        runtime_baud: 460_800,
    },
    ModemType {
        name: "SARA-R510S",
        dialect: ModemDialect::SaraR5,
        maker: "u-blox",
        model: "SARA-R510S-01B",
        firmware: "02.05",
        type_allocation: "35488111",
        default_baud: 115_200,
        runtime_baud: 460_800,
    },
    ModemType {
        name: "EG91-E",
        dialect: ModemDialect::Quectel,
        maker: "Quectel",
        model: "EG91",
        firmware: "EG91EFBR06A08M4G",
        type_allocation: "86634504",
        default_baud: 115_200,
        runtime_baud: 921_600,
    },
];

impl ModemType {
    pub fn name(&self) -> &'static str {
        self.name
    }
}

fn sim(dut: &DutFamily, model: &Model, defects: &ModemDefects, form: CardNumber, random: &mut Random) -> Sim {
    let ethersim = dut.sim.iter().flat_map(|sim| &sim.ethersim_iccid_prefixes).next();
    let prefix = match (model.ethersim, ethersim, model.iccid_prefixes.first()) {
        (Some(true), Some(prefix), _) | (_, _, Some(prefix)) => prefix.as_str(),
        _ => "894450",
    };
    let prefix = if defects.sim_carrier { "893407" } else { prefix };
    let iccid = card_number(prefix, form, random);
    let imsi = format!("31026{}", (0..10).map(|_| random.digit()).collect::<String>());
    if defects.sim_absent {
        Sim::Absent
    } else if defects.sim_dead {
        Sim::Dead
    } else {
        Sim::Fitted { iccid: (!defects.iccid_unreadable).then_some(iccid), imsi }
    }
}

/// The card's number as its modem writes it.
fn card_number(prefix: &str, form: CardNumber, random: &mut Random) -> String {
    let plain = luhn(prefix, 18, random);
    let without_last = plain.get(..18).unwrap_or_default();
    let last = plain.bytes().last().unwrap_or_default();
    match form {
        CardNumber::Plain | CardNumber::OtherCommand => plain,
        CardNumber::Padded(pad) => format!("{plain}{pad}"),
        CardNumber::Twenty => format!("{plain}7"),
        CardNumber::Eighteen => without_last.to_owned(),
        CardNumber::Hexadecimal => format!("{}D{}", &without_last[..10], &without_last[10..]),
        CardNumber::NoCheckDigit => format!("{without_last}{}", (last - b'0' + 5) % 10),
        CardNumber::Quoted => format!("\"{plain}\""),
    }
}

/// Digits up to `length`, and the check digit of ISO/IEC 7812.
fn luhn(prefix: &str, length: usize, random: &mut Random) -> String {
    let mut digits = prefix.to_owned();
    while digits.len() < length {
        digits.push(random.digit());
    }
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(n, digit)| {
            let digit = u32::from(digit - b'0') * if n % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    digits.push(char::from(b'0' + ((10 - sum % 10) % 10) as u8));
    digits
}
