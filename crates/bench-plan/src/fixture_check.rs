//! Checks a fixture text: returns a checked fixture, or the first mistake.

use crate::fixture_desk;
use crate::fixture_file::{RawChip, RawChipType, RawController, RawFixture, RawLevel, RawLine, RawProbe, RawRail};
use crate::names::nearest_help;
use crate::plan_text::line_of;
use crate::reading::parse_file;
use crate::{
    AnalogChannel, Bed, Chip, ChipIndex, ChipKind, ContactInfo, Controller, DutFamily, Fixture, Function, GpioLine,
    IoBit, LinkWiring, MeasureBus, ParamProblem, Probe, Problem, Quantity, Rail, Safety, Source, UsbWiring, Watchdog,
};
use bench_run::{Contact, MeasurementUnit};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use toml::Spanned;

pub(crate) type Checked<T> = Result<T, ParamProblem>;

impl Fixture {
    /// Reads and checks a fixture. `families` are all known module families and must include those that the fixture
    /// takes.
    ///
    /// # Errors
    /// The first mistake found, at its place in the text.
    pub fn parse(source: &Source, families: &[&DutFamily]) -> Result<Self, Box<Problem>> {
        if fixture_desk::is_desk(source)? {
            return fixture_desk::parse(source, families);
        }
        let raw: RawFixture = parse_file(source)?;
        Checker::new(source).fixture(raw, families).map_err(|problem| problem.in_file(source, 0..0))
    }
}

/// State of the check: the chips read so far, and the user of each resource.
pub(crate) struct Checker<'a> {
    source: &'a Source,
    /// "io0.GPA3" or "bank 1, channel 7" -> its user, and where the file says so.
    claims: BTreeMap<String, (String, Range<usize>)>,
    chips: Vec<Chip>,
    /// The families that the fixture takes.
    pub(crate) families: Vec<&'a DutFamily>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(source: &'a Source) -> Self {
        Self { source, claims: BTreeMap::new(), chips: Vec::new(), families: Vec::new() }
    }

    fn fixture(mut self, raw: RawFixture, families: &[&'a DutFamily]) -> Checked<Fixture> {
        if *raw.format.get_ref() != 1 {
            return Err(ParamProblem::new(format!("fixture format {} is unknown", raw.format.get_ref()))
                .at(raw.format.span(), "unknown format")
                .help("this bench reads format = 1"));
        }
        self.take_families(&raw.families, families)?;
        for chip in &raw.chips {
            self.chip(chip)?;
        }
        let i2c_hz = i2c_speed(&raw.controller)?;
        let watchdog = &raw.safety.watchdog;
        let controller = self.controller(&raw.controller, &watchdog.kick)?;
        let probe = raw.controller.probe.as_ref().map(|probe| self.probe(probe)).transpose()?;
        let safety = check_safety(&raw, controller.lid.is_some())?;
        let link = LinkWiring {
            device: raw.link.device,
            dut_rx: self.uart_contact(&raw.link.dut_rx)?,
            dut_tx: self.uart_contact(&raw.link.dut_tx)?,
            series_ohms: raw.link.series.get(),
        };
        let link_relay = self.io(&raw.link.connect, "the link relay")?;
        if link.dut_rx == link.dut_tx {
            return Err(ParamProblem::new("the module's RX and TX are the same contact")
                .at(raw.link.dut_tx.span(), "same as dut_rx")
                .help("expected two contacts"));
        }
        let usb = match &raw.usb {
            Some(usb) => Some(UsbWiring { switch: self.io(&usb.switch, "the USB switch")? }),
            None => None,
        };
        let ble = raw.ble.as_ref().map(crate::fixture_ble::check).transpose()?;
        let bus = &raw.measure_bus;
        let measure_bus = MeasureBus {
            sense: self.analog(&bus.sense, RawChipType::Ads1115, "the measure bus")?,
            source_sense: self.analog(&bus.source_sense, RawChipType::Ads1115, "the sense of the source")?,
            source: self.analog(&bus.source, RawChipType::Mcp4728, "the source")?,
            source_series_ohms: above_zero(&bus.source_series)?,
            unpowered_volts: above_zero(&bus.unpowered_limit)?,
            source_enable: self.io(&bus.source_enable, "the source's switch")?,
            mux_ohms: bus.mux_resistance.get(),
            address: self.mux_address(&bus.address)?,
            banks: {
                let banks = bus.banks.get_ref().iter().enumerate();
                banks.map(|(bank, io)| self.io(io, format!("mux bank {bank}"))).collect::<Checked<_>>()?
            },
            edges_gpio: bus
                .edges
                .as_ref()
                .map(|edges| self.gpio(&edges.gpio, "the edges of the measure bus"))
                .transpose()?,
        };
        if measure_bus.banks.is_empty() {
            return Err(ParamProblem::new("the measure bus has no banks").at(bus.banks.span(), "empty"));
        }
        let mut rails = Vec::with_capacity(raw.rail.len());
        for rail in &raw.rail {
            let rail = self.rail(rail, &rails)?;
            rails.push(rail);
        }
        let nails = self.bed(&raw.bed, &rails, measure_bus.banks.len())?;
        let unwired = self.unwired(&raw.bed, &nails)?;
        self.every_contact_is_named(&nails, &unwired, &raw.families)?;
        let peers = self.peers(&raw.peer, &nails)?;
        let nfc = raw.nfc.as_ref().map(|nfc| self.nfc(nfc, &nails)).transpose()?;
        Ok(Fixture {
            base: None,
            instructions: None,
            board: None,
            title: raw.title.unwrap_or_else(|| raw.name.clone()),
            name: raw.name,
            revision: raw.revision,
            families: self.families.iter().map(|family| family.name.clone()).collect(),
            bed: Some(Bed { i2c_hz, controller, safety, measure_bus, link_relay }),
            desk: None,
            probe,
            chips: self.chips,
            link,
            usb,
            ble,
            nail_volts: above_zero(&raw.bed.nail_supply)?,
            rails,
            nails,
            pairs: Vec::new(),
            unwired,
            joined: BTreeMap::new(),
            peers,
            nfc,
        })
    }

    pub(crate) fn take_families(
        &mut self,
        wanted: &Spanned<Vec<Spanned<String>>>,
        families: &[&'a DutFamily],
    ) -> Checked<()> {
        for name in wanted.get_ref() {
            let family = families.iter().find(|family| family.name == *name.get_ref()).ok_or_else(|| {
                ParamProblem::new(format!("unknown module family `{}`", name.get_ref()))
                    .at(name.span(), "no such family")
                    .help(nearest_help(name.get_ref(), families.iter().map(|family| family.name.as_str()), "families"))
            })?;
            self.families.push(family);
        }
        if self.families.is_empty() {
            return Err(ParamProblem::new("the fixture takes no module family").at(wanted.span(), "empty"));
        }
        Ok(())
    }

    /// Registers the user of an exclusive resource.
    pub(crate) fn claim(&mut self, thing: String, user: String, span: Range<usize>) -> Checked<()> {
        if let Some((first, at)) = self.claims.get(&thing) {
            let line = line_of(self.source, at.start);
            return Err(ParamProblem::new(format!("{thing} is used twice: by {first} and by {user}"))
                .at(span, "used before")
                .help(format!("its first use is in line {line}; every bit, channel and address has one user")));
        }
        self.claims.insert(thing, (user, span));
        Ok(())
    }

    fn chip(&mut self, raw: &RawChip) -> Checked<()> {
        let id = raw.id.get_ref();
        if id.is_empty() || id.contains('.') {
            return Err(ParamProblem::new(format!("{id:?} cannot be a chip's id"))
                .at(raw.id.span(), "not an id")
                .help("expected a name without dots, such as \"io0\""));
        }
        if self.chips.iter().any(|chip| chip.id == *id) {
            return Err(ParamProblem::new(format!("duplicate chip id `{id}`"))
                .at(raw.id.span(), "used before")
                .help("every chip needs a unique name"));
        }
        let chip_type = *raw.chip_type.get_ref();
        let address = *raw.address.get_ref();
        let (lowest, highest) = match chip_type {
            RawChipType::Mcp23017 => (0x20, 0x27),
            RawChipType::Ads1115 => (0x48, 0x4B),
            RawChipType::Mcp4728 => (0x60, 0x67),
            RawChipType::Ina226 => (0x40, 0x4F),
            RawChipType::Pn532 => (0x24, 0x24),
        };
        if !(lowest..=highest).contains(&address) {
            return Err(ParamProblem::new(format!("{} cannot have the address {address:#04x}", chip_name(chip_type)))
                .at(raw.address.span(), "out of range")
                .help(format!("expected {lowest:#04x} to {highest:#04x}")));
        }
        self.claim(format!("I2C address {address:#04x}"), format!("chip `{id}`"), raw.address.span())?;
        let kind = match chip_type {
            RawChipType::Mcp23017 => ChipKind::Mcp23017,
            RawChipType::Ads1115 => ChipKind::Ads1115,
            RawChipType::Mcp4728 => ChipKind::Mcp4728 { reference_volts: needed(raw, &raw.reference, "reference")? },
            RawChipType::Ina226 => ChipKind::Ina226 { shunt_ohms: needed(raw, &raw.shunt, "shunt")? },
            RawChipType::Pn532 => ChipKind::Pn532,
        };
        if chip_type != RawChipType::Mcp4728 {
            not_wanted(raw, raw.reference.as_ref().map(Spanned::span), "reference")?;
        }
        if chip_type != RawChipType::Ina226 {
            not_wanted(raw, raw.shunt.as_ref().map(Spanned::span), "shunt")?;
        }
        self.chips.push(Chip { id: id.clone(), kind, address });
        Ok(())
    }

    pub(crate) fn chip_named(&self, id: &str, span: Range<usize>) -> Checked<(ChipIndex, &Chip)> {
        self.chips.iter().enumerate().find(|(_, chip)| chip.id == id).ok_or_else(|| {
            ParamProblem::new(format!("unknown chip `{id}`")).at(span, "no such chip").help(nearest_help(
                id,
                self.chips.iter().map(|chip| chip.id.as_str()),
                "chips",
            ))
        })
    }

    /// Resolves "io0.GPA3", which must have no other user.
    pub(crate) fn io(&mut self, text: &Spanned<String>, user: impl Display) -> Checked<IoBit> {
        const EXPECTED: &str = "expected a chip and one of its pins GPA0 to GPA7 or GPB0 to GPB7, such as \"io0.GPA3\"";
        let form = || {
            ParamProblem::new(format!("{:?} is not an expander bit", text.get_ref()))
                .at(text.span(), "not a bit")
                .help(EXPECTED)
        };
        let (id, pin) = text.get_ref().split_once('.').ok_or_else(form)?;
        let (chip, chip_info) = self.chip_named(id, text.span())?;
        if chip_info.kind != ChipKind::Mcp23017 {
            return Err(ParamProblem::new(format!("chip `{id}` is not a port expander"))
                .at(text.span(), "not an expander")
                .help(EXPECTED));
        }
        let bit = match pin.as_bytes() {
            [b'G', b'P', b'A', digit @ b'0'..=b'7'] => digit - b'0',
            [b'G', b'P', b'B', digit @ b'0'..=b'7'] => digit - b'0' + 8,
            _ => return Err(form()),
        };
        self.claim(text.get_ref().clone(), user.to_string(), text.span())?;
        Ok(IoBit { chip, bit })
    }

    /// Resolves "adc.AIN0" or "dac.VOUTA", which must have no other user.
    fn analog(&mut self, text: &Spanned<String>, wanted: RawChipType, user: &str) -> Checked<AnalogChannel> {
        let (prefix, first, example) =
            if wanted == RawChipType::Ads1115 { ("AIN", b'0', "adc.AIN0") } else { ("VOUT", b'A', "dac.VOUTA") };
        let form = |what: String| {
            ParamProblem::new(what)
                .at(text.span(), "not a channel")
                .help(format!("expected {} and one of its four channels, such as \"{example}\"", chip_name(wanted)))
        };
        let malformed = || form(format!("{:?} is not an analog channel", text.get_ref()));
        let (id, pin) = text.get_ref().split_once('.').ok_or_else(malformed)?;
        let (chip, chip_info) = self.chip_named(id, text.span())?;
        let fits = matches!(
            (wanted, chip_info.kind),
            (RawChipType::Ads1115, ChipKind::Ads1115) | (RawChipType::Mcp4728, ChipKind::Mcp4728 { .. })
        );
        if !fits {
            return Err(form(format!("chip `{id}` is not {}", chip_name(wanted))));
        }
        let channel = match pin.strip_prefix(prefix).map(str::as_bytes) {
            Some([letter]) => letter.checked_sub(first).filter(|channel| *channel < 4).ok_or_else(malformed)?,
            _ => return Err(malformed()),
        };
        self.claim(text.get_ref().clone(), user.to_owned(), text.span())?;
        Ok(AnalogChannel { chip, channel })
    }

    fn mux_address(&mut self, raw: &Spanned<Vec<Spanned<String>>>) -> Checked<[IoBit; 4]> {
        let bits = raw.get_ref().iter().enumerate();
        let bits: Vec<IoBit> =
            bits.map(|(bit, io)| self.io(io, format!("mux address bit {bit}"))).collect::<Checked<_>>()?;
        <[IoBit; 4]>::try_from(bits).map_err(|bits| {
            ParamProblem::new(format!("a mux address of {} bits", bits.len()))
                .at(raw.span(), "not four")
                .help("expected four expander bits, the least significant first: a bank has 16 channels")
        })
    }

    fn controller(&mut self, raw: &RawController, kick: &Spanned<u8>) -> Checked<Controller> {
        let controller = Controller {
            board: raw.board.clone(),
            i2c_bus: raw.i2c_bus,
            i2c_sda: self.gpio(&raw.i2c_sda, "I2C data")?,
            i2c_scl: self.gpio(&raw.i2c_scl, "I2C clock")?,
            link_tx: self.gpio(&raw.link_tx, "the link's TX")?,
            link_rx: self.gpio(&raw.link_rx, "the link's RX")?,
            lid: raw.lid.as_ref().map(|line| self.line(line, "the lid switch")).transpose()?,
            start: raw.start.as_ref().map(|line| self.line(line, "the start button")).transpose()?,
            emergency: raw.emergency.as_ref().map(|line| self.line(line, "the emergency stop")).transpose()?,
            lamps: {
                let lamps = raw.lamps.iter();
                lamps
                    .map(|(name, line)| Ok((name.clone(), self.line(line, &format!("lamp `{name}`"))?)))
                    .collect::<Checked<_>>()?
            },
        };
        self.gpio(kick, "the watchdog")?;
        Ok(controller)
    }

    pub(crate) fn probe(&self, raw: &RawProbe) -> Checked<Probe> {
        Ok(Probe {
            adapter: raw.adapter.clone(),
            usb: raw.usb.clone(),
            pads: raw.pads.clone(),
            reset: raw.reset.as_ref().map(|contact| self.known_contact(contact)).transpose()?,
        })
    }

    fn line(&mut self, raw: &RawLine, user: &str) -> Checked<GpioLine> {
        Ok(GpioLine { gpio: self.gpio(&raw.gpio, user)?, active_low: raw.active == RawLevel::Low })
    }

    fn gpio(&mut self, raw: &Spanned<u8>, user: &str) -> Checked<u8> {
        let gpio = *raw.get_ref();
        if gpio > 27 {
            return Err(ParamProblem::new(format!("GPIO {gpio} is not on the header"))
                .at(raw.span(), "no such GPIO")
                .help("expected 0 to 27"));
        }
        self.claim(format!("GPIO {gpio} of the controller"), user.to_owned(), raw.span())?;
        Ok(gpio)
    }

    fn rail(&mut self, raw: &RawRail, before: &[Rail]) -> Checked<Rail> {
        let name = raw.name.get_ref();
        if before.iter().any(|rail| rail.name == *name) {
            return Err(ParamProblem::new(format!("duplicate rail `{name}`")).at(raw.name.span(), "used before"));
        }
        let (monitor, chip) = self.chip_named(raw.monitor.get_ref(), raw.monitor.span())?;
        let ChipKind::Ina226 { shunt_ohms } = chip.kind else {
            return Err(ParamProblem::new(format!("chip `{}` is not a power monitor", chip.id))
                .at(raw.monitor.span(), "not an INA226")
                .help("expected the id of an ina226"));
        };
        let limit = above_zero(&raw.current_limit)?;
        // 81.92 mV across the shunt is the full scale of the INA226 (SBOS547, section 7.5).
        if limit * shunt_ohms > 0.081_92 {
            let seen = MeasurementUnit::Amps.show(0.081_92 / shunt_ohms);
            return Err(ParamProblem::new(format!("monitor `{}` cannot see the rail's limit", chip.id))
                .at(raw.current_limit.span(), format!("it sees {seen} at most"))
                .help("expected a lower limit or a smaller shunt: the INA226 measures up to 81.92 mV across it"));
        }
        self.claim(format!("monitor `{}`", raw.monitor.get_ref()), format!("rail {name}"), raw.monitor.span())?;
        Ok(Rail {
            pin: raw.pin.clone().unwrap_or_else(|| name.clone()),
            volts: above_zero(&raw.voltage)?,
            enable: self.io(&raw.enable, format!("the switch of rail {name}"))?,
            discharge: self.io(&raw.discharge, format!("the discharge of rail {name}"))?,
            discharge_ohms: above_zero(&raw.discharge_resistance)?,
            monitor,
            current_limit_amps: limit,
            rise_time: raw.rise_time.duration(),
            series_ohms: raw.series.get(),
            load_ohms: raw.load.as_ref().map(above_zero).transpose()?,
            optional: raw.optional,
            name: name.clone(),
        })
    }

    /// Resolves a contact that every family of the fixture must have.
    pub(crate) fn known_contact(&self, raw: &Spanned<u8>) -> Checked<Contact> {
        let contact = Contact(*raw.get_ref());
        for family in &self.families {
            if family.contact(contact).is_none() {
                return Err(ParamProblem::new(format!("{} has no contact {contact}", family.name))
                    .at(raw.span(), "no such contact")
                    .help(match (family.contacts.first(), family.contacts.last()) {
                        (Some(first), Some(last)) => format!(
                            "its {} contacts lie between {} and {}",
                            family.contacts.len(),
                            first.contact,
                            last.contact
                        ),
                        _ => "the family has no contacts".to_owned(),
                    }));
            }
        }
        Ok(contact)
    }

    pub(crate) fn uart_contact(&self, raw: &Spanned<u8>) -> Checked<Contact> {
        let contact = self.known_contact(raw)?;
        match self.infos(contact).find(|(_, info)| !info.functions.contains(&Function::Uart)) {
            None => Ok(contact),
            Some((family, _)) => {
                Err(ParamProblem::new(format!("contact {} of {} is no UART pin", family.label(contact), family.name))
                    .at(raw.span(), "no UART")
                    .help("expected the contact of the module's RX or TX"))
            }
        }
    }

    /// Returns each family's description of a contact.
    pub(crate) fn infos(&self, contact: Contact) -> impl Iterator<Item = (&'a DutFamily, &'a ContactInfo)> {
        self.families.iter().filter_map(move |family| family.contact(contact).map(|info| (*family, info)))
    }
}

fn chip_name(chip_type: RawChipType) -> &'static str {
    match chip_type {
        RawChipType::Mcp23017 => "an MCP23017",
        RawChipType::Ads1115 => "an ADS1115",
        RawChipType::Mcp4728 => "an MCP4728",
        RawChipType::Ina226 => "an INA226",
        RawChipType::Pn532 => "a PN532",
    }
}

pub(crate) fn above_zero<Q: Quantity>(quantity: &Spanned<Q>) -> Checked<f64> {
    let value = quantity.get_ref().value();
    if value > 0.0 {
        return Ok(value);
    }
    Err(ParamProblem::new(format!("{} is not above zero", quantity.get_ref()))
        .at(quantity.span(), "too small")
        .help(format!("expected {} above zero", Q::EXPECTED)))
}

fn needed<Q: Quantity>(chip: &RawChip, value: &Option<Spanned<Q>>, key: &str) -> Checked<f64> {
    value.as_ref().map_or_else(
        || {
            Err(ParamProblem::new(format!("chip `{}` has no `{key}`", chip.id.get_ref()))
                .at(chip.id.span(), format!("{} needs one", chip_name(*chip.chip_type.get_ref())))
                .help(format!("expected {key} = {}", Q::EXPECTED)))
        },
        above_zero,
    )
}

fn not_wanted(chip: &RawChip, span: Option<Range<usize>>, key: &str) -> Checked<()> {
    span.map_or(Ok(()), |span| {
        Err(ParamProblem::new(format!("{} has no `{key}`", chip_name(*chip.chip_type.get_ref())))
            .at(span, "not used")
            .help(format!("take `{key}` out")))
    })
}

fn i2c_speed(raw: &RawController) -> Checked<u32> {
    let hertz = raw.i2c_speed.get_ref().get();
    if (10_000.0..=400_000.0).contains(&hertz) {
        return Ok(hertz as u32);
    }
    Err(ParamProblem::new(format!("I2C cannot run at {}", MeasurementUnit::Hertz.show(hertz)))
        .at(raw.i2c_speed.span(), "out of range")
        .help("expected \"10 kHz\" to \"400 kHz\": no faster mode is known to all of these chips"))
}

fn check_safety(raw: &RawFixture, has_lid: bool) -> Checked<Safety> {
    let safety = &raw.safety;
    let timeout = &safety.watchdog.timeout;
    above_zero(timeout)?;
    if safety.off_within.get_ref() < timeout.get_ref() {
        return Err(ParamProblem::new("the rails cannot be off before the watchdog acts")
            .at(safety.off_within.span(), format!("shorter than its timeout of {}", timeout.get_ref()))
            .help("expected at least the watchdog's timeout"));
    }
    if *safety.lid_cuts_rails.get_ref() && !has_lid {
        return Err(ParamProblem::new("a lid that cuts the rails, and no lid switch")
            .at(safety.lid_cuts_rails.span(), "no [controller] lid")
            .help(
                "add lid = { gpio = ..., active = ... } to [controller]: the bench must know why the rails are off",
            ));
    }
    Ok(Safety {
        pull_down_ohms: above_zero(&safety.pull_down)?,
        watchdog: Watchdog { kick: *safety.watchdog.kick.get_ref(), timeout: timeout.get_ref().duration() },
        off_within: safety.off_within.get_ref().duration(),
        lid_cuts_rails: *safety.lid_cuts_rails.get_ref(),
        notes: safety.notes.clone(),
    })
}
