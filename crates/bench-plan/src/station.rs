//! A station: one controller, its fixture, its connected devices, and the calibrations of its instruments. From
//! `station.toml`, which belongs to one place on one line and not to the project.

use crate::hooks::{Hooks, RawHooks};
use crate::names::nearest_help;
use crate::reading::parse_file;
use crate::{ChipKind, Fixture, GpioLine, ParamProblem, Problem, Source, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// Station text as typed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStation {
    /// Version of this format: 1.
    #[schemars(with = "u8")]
    format: Spanned<u8>,
    /// Title for people and for the record: "line-2-end-of-line-1".
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// Name of the file in `fixtures/`, without its extension.
    #[schemars(with = "String")]
    fixture: Spanned<String>,
    /// Serial number on the fixture's label.
    #[schemars(with = "String")]
    fixture_serial: Spanned<String>,
    /// What to do with an instrument whose calibration has expired.
    #[serde(default)]
    overdue: Overdue,
    /// Whether a separate guard process holds the rails next to each run; `false` for a fixture that only its watchdog
    /// protects.
    #[serde(default = "with_guard")]
    guard: bool,
    /// Programs that are asked before each unit and get the record after it.
    #[serde(default)]
    hooks: Option<RawHooks>,
    #[serde(default)]
    calibration: Vec<RawCalibration>,
    #[schemars(length(min = 1))]
    nest: Vec<RawNest>,
}

const fn with_guard() -> bool {
    true
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawCalibration {
    /// Id of a chip of the fixture: an ADC or a power monitor.
    #[schemars(with = "String")]
    chip: Spanned<String>,
    /// Nest that the chip belongs to; optional when there is only one nest.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    nest: Option<Spanned<String>>,
    /// Factor for a reading.
    #[serde(default)]
    #[schemars(with = "Option<f64>")]
    gain: Option<Spanned<f64>>,
    /// Offset added after that, in volts (ADC) or amperes (power monitor).
    #[serde(default)]
    #[schemars(with = "Option<f64>")]
    offset: Option<Spanned<f64>>,
    /// Day of the calibration.
    #[schemars(with = "String")]
    date: Spanned<toml::value::Datetime>,
    /// Last day of its validity.
    #[schemars(with = "String")]
    due: Spanned<toml::value::Datetime>,
    /// Number of the certificate, or name of the technician.
    #[serde(default)]
    certificate: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawNest {
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// `/dev/i2c-<bus>` [default: the fixture file's].
    #[serde(default)]
    #[schemars(with = "Option<u8>")]
    i2c_bus: Option<Spanned<u8>>,
    /// The controller's UART [default: the fixture file's].
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    link: Option<Spanned<String>>,
    /// Debug probe to use: "VID:PID:SERIAL", as `probe-rs list` shows it [default: the only one].
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    probe: Option<Spanned<String>>,
    /// Bluetooth adapter, which nests may share [default: the fixture file's].
    #[serde(default)]
    ble: Option<String>,
    /// GPIO numbers that differ from the fixture file's, by purpose: "lid", "start", "emergency", "watchdog", "edges",
    /// or the name of a lamp.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, u8>")]
    gpio: BTreeMap<Spanned<String>, Spanned<u8>>,
}

/// What to do with a run while a calibration has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overdue {
    /// Refuse the run.
    #[default]
    Refuse,
    /// Note it in the record of each run.
    Mark,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    pub name: String,
    /// Name of the fixture file.
    pub fixture: String,
    pub fixture_serial: String,
    pub overdue: Overdue,
    /// Whether a run requires a guard, to start and to continue.
    pub guard: bool,
    pub hooks: Option<Hooks>,
    pub calibrations: Vec<Calibration>,
    pub nests: Vec<StationNest>,
}

/// Corrections of one instrument, and their validity.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Chip of the fixture.
    pub chip: String,
    pub nest: String,
    pub correction: Correction,
    pub date: Day,
    pub due: Day,
    pub certificate: String,
}

/// Corrects a reading: `gain * reading + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correction {
    pub gain: f64,
    /// In the unit of the reading.
    pub offset: f64,
}

impl Correction {
    pub const NONE: Self = Self { gain: 1.0, offset: 0.0 };

    #[must_use]
    pub fn apply(self, reading: f64) -> f64 {
        self.gain * reading + self.offset
    }
}

/// A calendar day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

impl fmt::Display for Day {
    /// "2026-11-25".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// One nest, with everything that differs from the fixture file.
#[derive(Debug, Clone, PartialEq)]
pub struct StationNest {
    pub name: String,
    /// `None` on a desk.
    pub i2c_bus: Option<u8>,
    pub link: String,
    pub probe: Option<String>,
    pub ble: Option<String>,
    pub lid: Option<GpioLine>,
    pub start: Option<GpioLine>,
    pub emergency: Option<GpioLine>,
    pub lamps: BTreeMap<String, GpioLine>,
    /// `None` on a desk.
    pub watchdog: Option<u8>,
    pub edges: Option<u8>,
}

/// Larger corrections mean a broken instrument, not an inaccurate one.
const LARGEST_GAIN_ERROR: f64 = 0.05;
/// Volts or amperes; the same.
const LARGEST_OFFSET: f64 = 0.05;
/// GPIO of the Pi's header.
const LAST_GPIO: u8 = 27;

type Checked<T> = Result<T, ParamProblem>;

impl Station {
    /// Returns the fixture that the station names, before the fixture's own file is read.
    ///
    /// # Errors
    /// The first mistake in the station file.
    pub fn fixture_of(source: &Source) -> Result<Spanned<String>, Box<Problem>> {
        let raw: RawStation = parse_file(source)?;
        check_format(&raw).map_err(|problem| problem.in_file(source, 0..0))?;
        Ok(raw.fixture)
    }

    /// Reads and checks a station whose fixture is known.
    ///
    /// # Errors
    /// The first mistake found, at its place in the text.
    pub fn parse(source: &Source, fixture: &Fixture) -> Result<Self, Box<Problem>> {
        let raw: RawStation = parse_file(source)?;
        check(raw, fixture).map_err(|problem| problem.in_file(source, 0..0))
    }

    pub fn nest(&self, name: &str) -> Option<&StationNest> {
        self.nests.iter().find(|nest| nest.name == name)
    }

    /// Returns the calibrations of a nest that have expired on this day, or are not valid yet.
    pub fn overdue_on(&self, today: Day, nest: &str) -> impl Iterator<Item = &Calibration> {
        let out = move |calibration: &&Calibration| calibration.due < today || today < calibration.date;
        let nest = nest.to_owned();
        self.calibrations.iter().filter(move |calibration| calibration.nest == nest).filter(out)
    }

    /// Returns the corrections of a nest, by chip.
    pub fn corrections(&self, nest: &str) -> BTreeMap<String, Correction> {
        let own = self.calibrations.iter().filter(|calibration| calibration.nest == nest);
        own.map(|calibration| (calibration.chip.clone(), calibration.correction)).collect()
    }
}

fn check_format(raw: &RawStation) -> Checked<()> {
    match *raw.format.get_ref() {
        1 => Ok(()),
        other => Err(ParamProblem::new(format!("station format {other} is unknown"))
            .at(raw.format.span(), "unknown format")
            .help("this bench reads format = 1")),
    }
}

fn not_empty(text: &Spanned<String>, what: &str) -> Checked<String> {
    match text.get_ref().trim() {
        "" => Err(ParamProblem::new(format!("the {what} is empty")).at(text.span(), "empty")),
        text => Ok(text.to_owned()),
    }
}

fn check(raw: RawStation, fixture: &Fixture) -> Checked<Station> {
    check_format(&raw)?;
    let mut claims = Claims::default();
    let mut nests = Vec::with_capacity(raw.nest.len());
    for nest in &raw.nest {
        nests.push(check_nest(nest, fixture, &mut claims)?);
    }
    if nests.is_empty() {
        return Err(ParamProblem::new("the station has no nest").help("add a [[nest]] with a name"));
    }
    if raw.nest.len() > 1
        && let Some(nest) = raw.nest.iter().find(|nest| nest.probe.is_none())
    {
        return Err(ParamProblem::new(format!("nest `{}` names no probe", nest.name.get_ref()))
            .at(nest.name.span(), "which of them is it?")
            .help(
                "with more than one nest each names its own: probe = \"VID:PID:SERIAL\", as `probe-rs list` shows it",
            ));
    }
    let mut calibrations = Vec::with_capacity(raw.calibration.len());
    for raw_calibration in &raw.calibration {
        let calibration = check_calibration(raw_calibration, fixture, &nests)?;
        if calibrations
            .iter()
            .any(|before: &Calibration| before.chip == calibration.chip && before.nest == calibration.nest)
        {
            return Err(ParamProblem::new(format!("`{}` is calibrated twice", calibration.chip))
                .at(raw_calibration.chip.span(), "again")
                .help("keep the newer one"));
        }
        calibrations.push(calibration);
    }
    Ok(Station {
        name: not_empty(&raw.name, "station's name")?,
        fixture: raw.fixture.into_inner(),
        fixture_serial: not_empty(&raw.fixture_serial, "fixture's serial number")?,
        overdue: raw.overdue,
        guard: raw.guard,
        hooks: raw.hooks.map(RawHooks::check).transpose()?,
        calibrations,
        nests,
    })
}

/// Users of the controller's resources.
#[derive(Default)]
struct Claims(BTreeMap<String, String>);

impl Claims {
    fn claim(&mut self, what: String, user: String, span: std::ops::Range<usize>) -> Checked<()> {
        match self.0.insert(what.clone(), user.clone()) {
            None => Ok(()),
            Some(before) => Err(ParamProblem::new(format!("{what} is used twice"))
                .at(span, format!("for {user}, and for {before}"))
                .help("give each nest its own")),
        }
    }
}

fn check_nest(raw: &RawNest, fixture: &Fixture, claims: &mut Claims) -> Checked<StationNest> {
    let name = not_empty(&raw.name, "nest's name")?;
    let at = raw.name.span();
    claims.claim(format!("the name `{name}`"), "another nest".to_owned(), at.clone())?;
    let Some(bed) = &fixture.bed else { return check_desk(raw, name, fixture, claims) };
    let controller = &bed.controller;
    let place = |span: Option<std::ops::Range<usize>>| span.unwrap_or(at.clone());
    let i2c_bus = raw.i2c_bus.as_ref().map_or(controller.i2c_bus, |bus| *bus.get_ref());
    claims.claim(
        format!("/dev/i2c-{i2c_bus}"),
        format!("nest {name}"),
        place(raw.i2c_bus.as_ref().map(Spanned::span)),
    )?;
    let link = raw.link.as_ref().map_or_else(|| fixture.link.device.clone(), |link| link.get_ref().clone());
    claims.claim(link.clone(), format!("nest {name}"), place(raw.link.as_ref().map(Spanned::span)))?;
    if let Some(probe) = &raw.probe {
        // Two ways to write it are one probe.
        let written = probe.get_ref().trim().to_ascii_lowercase().replace("0x", "");
        claims.claim(format!("probe {written}"), format!("nest {name}"), probe.span())?;
    }
    let mut lines = Gpios { raw, claims, nest: &name, roles: Vec::new() };
    let line = |line: GpioLine, gpio| GpioLine { gpio, ..line };
    let lid = controller.lid.map(|lid| lines.get("lid", lid.gpio).map(|gpio| line(lid, gpio))).transpose()?;
    let start =
        controller.start.map(|start| lines.get("start", start.gpio).map(|gpio| line(start, gpio))).transpose()?;
    let emergency = controller.emergency;
    let emergency = emergency.map(|stop| lines.get("emergency", stop.gpio).map(|gpio| line(stop, gpio))).transpose()?;
    let watchdog = lines.get("watchdog", bed.safety.watchdog.kick)?;
    let edges = bed.measure_bus.edges_gpio.map(|gpio| lines.get("edges", gpio)).transpose()?;
    let mut lamps = BTreeMap::new();
    for (lamp, wiring) in &controller.lamps {
        lamps.insert(lamp.clone(), line(*wiring, lines.get(lamp, wiring.gpio)?));
    }
    lines.nothing_else()?;
    Ok(StationNest {
        i2c_bus: Some(i2c_bus),
        link,
        probe: raw.probe.as_ref().map(|probe| probe.get_ref().clone()),
        ble: raw.ble.clone().or_else(|| fixture.ble.as_ref().map(|ble| ble.adapter.clone())),
        lid,
        start,
        emergency,
        lamps,
        watchdog: Some(watchdog),
        edges,
        name,
    })
}

/// A desk: a serial port, a probe, perhaps a Bluetooth adapter, and nothing that the bench switches.
fn check_desk(raw: &RawNest, name: String, fixture: &Fixture, claims: &mut Claims) -> Checked<StationNest> {
    if let Some(bus) = &raw.i2c_bus {
        return Err(ParamProblem::new(format!("the fixture {} has no I2C bus", fixture.name))
            .at(bus.span(), "nothing is on it")
            .help("take `i2c_bus` out: a desk has no instruments"));
    }
    if let Some(line) = raw.gpio.keys().next() {
        return Err(ParamProblem::new(format!("the fixture {} has no `{}`", fixture.name, line.get_ref()))
            .at(line.span(), "no such line")
            .help("take it out: a desk has no lid, no lamps and no watchdog"));
    }
    let Some(link) = &raw.link else {
        return Err(ParamProblem::new(format!("nest `{name}` names no serial port"))
            .at(raw.name.span(), "which one leads to the module?")
            .help("`bench init --desk` finds it; by hand: link = \"/dev/serial/by-id/...\", or \"COM3\" on Windows"));
    };
    claims.claim(link.get_ref().clone(), format!("nest {name}"), link.span())?;
    Ok(StationNest {
        i2c_bus: None,
        link: not_empty(link, "nest's link")?,
        probe: raw.probe.as_ref().map(|probe| probe.get_ref().clone()),
        ble: raw.ble.clone(),
        lid: None,
        start: None,
        emergency: None,
        lamps: BTreeMap::new(),
        watchdog: None,
        edges: None,
        name,
    })
}

/// Resolves the GPIO numbers of one nest, in the order of the requests.
struct Gpios<'a> {
    raw: &'a RawNest,
    claims: &'a mut Claims,
    nest: &'a str,
    roles: Vec<String>,
}

impl Gpios<'_> {
    fn get(&mut self, role: &str, default: u8) -> Checked<u8> {
        self.roles.push(role.to_owned());
        let given = self.raw.gpio.iter().find(|(key, _)| key.get_ref() == role).map(|(_, gpio)| gpio);
        let (gpio, span) = given.map_or((default, self.raw.name.span()), |gpio| (*gpio.get_ref(), gpio.span()));
        if gpio > LAST_GPIO {
            return Err(ParamProblem::new(format!("GPIO {gpio} is not on the header"))
                .at(span, "no such GPIO")
                .help(format!("expected 0 to {LAST_GPIO}")));
        }
        self.claims.claim(format!("GPIO {gpio}"), format!("the {role} of nest {}", self.nest), span)?;
        Ok(gpio)
    }

    fn nothing_else(&self) -> Checked<()> {
        match self.raw.gpio.keys().find(|key| !self.roles.contains(key.get_ref())) {
            None => Ok(()),
            Some(key) => Err(ParamProblem::new(format!("the fixture has no `{}`", key.get_ref()))
                .at(key.span(), "no such line")
                .help(nearest_help(key.get_ref(), self.roles.iter().map(String::as_str), "lines"))),
        }
    }
}

fn check_calibration(raw: &RawCalibration, fixture: &Fixture, nests: &[StationNest]) -> Checked<Calibration> {
    let measures = |kind: &ChipKind| matches!(kind, ChipKind::Ads1115 | ChipKind::Ina226 { .. });
    let measuring = || fixture.chips.iter().filter(|chip| measures(&chip.kind)).map(|chip| chip.id.as_str());
    let chip = raw.chip.get_ref();
    if !measuring().any(|id| id == chip) {
        return Err(ParamProblem::new(format!("the fixture has no measuring chip `{chip}`"))
            .at(raw.chip.span(), "no ADC and no power monitor")
            .help(nearest_help(chip, measuring(), "measuring chips")));
    }
    let nest = match (&raw.nest, nests) {
        (Some(nest), _) => {
            let names = || nests.iter().map(|nest| nest.name.as_str());
            if !names().any(|name| name == nest.get_ref()) {
                return Err(ParamProblem::new(format!("the station has no nest `{}`", nest.get_ref()))
                    .at(nest.span(), "no such nest")
                    .help(nearest_help(nest.get_ref(), names(), "nests")));
            }
            nest.get_ref().clone()
        }
        (None, [only]) => only.name.clone(),
        (None, _) => {
            return Err(ParamProblem::new("which nest's chip is this?")
                .at(raw.chip.span(), "every nest has one")
                .help("add nest = \"...\""));
        }
    };
    let within = |value: &Option<Spanned<f64>>, ideal: f64, most: f64| match value {
        None => Ok(ideal),
        Some(value) if (value.get_ref() - ideal).abs() <= most => Ok(*value.get_ref()),
        Some(value) => Err(ParamProblem::new(format!("{} is not a correction", value.get_ref()))
            .at(value.span(), "the instrument would be broken")
            .help(format!("expected {} to {}", ideal - most, ideal + most))),
    };
    let correction = Correction {
        gain: within(&raw.gain, 1.0, LARGEST_GAIN_ERROR)?,
        offset: within(&raw.offset, 0.0, LARGEST_OFFSET)?,
    };
    let (date, due) = (day(&raw.date)?, day(&raw.due)?);
    if due < date {
        return Err(
            ParamProblem::new("the calibration is due before it was done").at(raw.due.span(), format!("before {date}"))
        );
    }
    Ok(Calibration { chip: chip.clone(), nest, correction, date, due, certificate: raw.certificate.clone() })
}

fn day(raw: &Spanned<toml::value::Datetime>) -> Checked<Day> {
    match raw.get_ref() {
        toml::value::Datetime { date: Some(date), time: None, offset: None } => {
            Ok(Day { year: date.year, month: date.month, day: date.day })
        }
        _ => Err(ParamProblem::new("not a day").at(raw.span(), "no date").help("expected a date such as 2026-11-25")),
    }
}
