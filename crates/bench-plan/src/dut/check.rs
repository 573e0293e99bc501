//! Checks a family file as typed: returns a checked family, or the first mistake at its place.

use super::file::{ActiveLevel, ContactFile, FamilyFile, InternalPortFile, ModelFile, ModemFile, ModemLineFile};
use super::places::{At, Places, line_of};
use super::spec::contradiction;
use super::{ContactInfo, DutFamily, Function, InternalPort, Model, ModemLine, ModemWiring, PwmChannel, Spread};
use crate::names::nearest_help;
use crate::reading::{parse_file, parse_table};
use crate::{Problem, Source};
use bench_run::Contact;
use dut_protocol::Port;
use std::collections::BTreeMap;

/// SAADC inputs of the nRF52840 and their ports (product specification, SAADC and pin assignments).
const ADC_PORTS: [&str; 8] = ["P0.02", "P0.03", "P0.04", "P0.05", "P0.28", "P0.29", "P0.30", "P0.31"];

type Checked<T = ()> = Result<T, Box<Problem>>;

impl DutFamily {
    /// Reads and checks a family file.
    ///
    /// # Errors
    /// The first mistake with its place: broken TOML, unknown keys or names, a contact or port listed twice, functions
    /// without what they need, limits that cross, an unlisted source, or a statement of the spec that contradicts the
    /// file without a `doubt`.
    pub fn parse(source: &Source) -> Result<Self, Box<Problem>> {
        let file: FamilyFile = parse_file(source)?;
        let checker = Checker { source, places: Places(parse_table(source)?) };
        checker.finite()?;
        checker.sources(&file)?;
        checker.numbers(&file)?;
        checker.ports(&file)?;
        for (index, contact) in file.contacts.iter().enumerate() {
            checker.contact(index, contact, &file)?;
        }
        checker.limits(&file)?;
        checker.names(&file)?;
        let modem = file.modem.as_ref().map(|modem| checker.modem(modem, &file)).transpose()?;
        Ok(resolve(file, modem))
    }
}

struct Checker<'s> {
    source: &'s Source,
    places: Places<'s>,
}

impl Checker<'_> {
    fn wrong<T>(&self, path: &[At<'_>], message: String, label: &str, help: String) -> Checked<T> {
        Err(Box::new(Problem::new(self.source, message).at(self.places.of(path), label).help(help)))
    }

    fn line(&self, path: &[At<'_>]) -> usize {
        line_of(&self.source.text, self.places.of(path).start)
    }

    fn finite(&self) -> Checked {
        let Some(place) = self.places.first_not_finite() else { return Ok(()) };
        let problem = Problem::new(self.source, "a limit must be a number").at(place, "no finite number");
        Err(Box::new(problem.help("leave the key out when no source gives a value")))
    }

    /// Checks that every `source` names keys of `[sources]`.
    fn sources(&self, file: &FamilyFile) -> Checked {
        for (key, place) in self.places.strings_below("source") {
            if !file.sources.contains_key(&key) {
                let help = nearest_help(&key, file.sources.keys().map(String::as_str), "sources");
                let problem = Problem::new(self.source, format!("unknown source \"{key}\""));
                return Err(Box::new(problem.at(place, "not in [sources]").help(help)));
            }
        }
        Ok(())
    }

    /// Checks that no contact is listed twice, is in a gap, or is missing.
    fn numbers(&self, file: &FamilyFile) -> Checked {
        let mut seen: BTreeMap<u8, usize> = BTreeMap::new();
        for (index, contact) in file.contacts.iter().enumerate() {
            let path = [At::Key("contact"), index.into(), "number".into()];
            let number = contact.number;
            if let Some(first) = seen.insert(number, index) {
                let line = self.line(&[At::Key("contact"), first.into(), "number".into()]);
                let help = format!("it is also on line {line}, as {}", file.contacts[first].pin);
                return self.wrong(&path, format!("contact {number} is given twice"), "second time", help);
            }
            if let Some(gap) = file.absent.iter().find(|gap| (gap.first..=gap.last).contains(&number)) {
                let help = format!("contacts {} to {} are absent: {}", gap.first, gap.last, gap.reason);
                return self.wrong(&path, format!("contact {number} does not exist"), "in the gap", help);
            }
        }
        if file.contacts.len() != file.contact_count {
            let message = format!("{} contacts are given, not {}", file.contacts.len(), file.contact_count);
            let help = "add the missing [[contact]] or correct the count".to_owned();
            let problem = Problem::new(self.source, message).help(help);
            let at = self.places.of(&["contact_count".into()]);
            return Err(Box::new(problem.at(at, "number of contacts").absent()));
        }
        Ok(())
    }

    /// Checks that a port leads to one place only.
    fn ports(&self, file: &FamilyFile) -> Checked {
        let on_contacts = file.contacts.iter().enumerate().filter_map(|(index, contact)| {
            Some((contact.port?, contact.pin.as_str(), [At::Key("contact"), index.into(), "port".into()]))
        });
        let inside = file.internal_ports.iter().enumerate().map(|(index, internal)| {
            (internal.port, internal.name.as_str(), [At::Key("internal"), index.into(), "port".into()])
        });
        let mut seen: BTreeMap<Port, (&str, [At<'_>; 3])> = BTreeMap::new();
        for (port, name, path) in on_contacts.chain(inside) {
            if let Some((first, first_path)) = seen.insert(port, (name, path)) {
                let help = format!("{first} on line {} uses it", self.line(&first_path));
                return self.wrong(&path, format!("port {port} is used twice"), "second time", help);
            }
        }
        Ok(())
    }

    fn contact(&self, index: usize, contact: &ContactFile, file: &FamilyFile) -> Checked {
        let at = |key: &'static str| [At::Key("contact"), index.into(), key.into()];
        let name = format!("contact {} ({})", contact.number, contact.pin);
        let has = |function| contact.functions.contains(&function);

        let chip_functions = [Function::Gpio, Function::Adc, Function::Pwm, Function::Interrupt];
        if let Some(function) = chip_functions.into_iter().find(|&function| has(function) && contact.port.is_none()) {
            let help = format!("\"{function}\" is done by a port of the nRF52840; give `port = \"P0.03\"`");
            return self.wrong(&at("functions"), format!("{name} has no port"), "needs a port", help);
        }
        self.adc(&at("adc_input"), &at("functions"), &name, contact)?;
        self.pwm(index, &name, contact, file)?;
        self.roles(index, &name, contact)?;

        let levels = Spread { min: contact.min_volts, typ: contact.max_volts, max: contact.abs_max_volts };
        if !levels.is_ordered() {
            let help = "min_volts <= max_volts <= abs_max_volts".to_owned();
            return self.wrong(&at("max_volts"), format!("the voltages of {name} cross"), "out of order", help);
        }
        self.spec(index, &name, contact)
    }

    fn adc(&self, input_path: &[At<'_>], functions_path: &[At<'_>], name: &str, contact: &ContactFile) -> Checked {
        match (contact.functions.contains(&Function::Adc), contact.adc_input) {
            (true, None) => {
                let help = "give `adc_input = 0` to `7`".to_owned();
                self.wrong(functions_path, format!("{name} has function \"adc\" but no ADC input"), "adc", help)
            }
            (false, Some(_)) => {
                let help = "add \"adc\" to its functions or take the input away".to_owned();
                self.wrong(input_path, format!("{name} has an ADC input but no function \"adc\""), "unused", help)
            }
            (true, Some(input)) => {
                let Some(expected) = ADC_PORTS.get(usize::from(input)) else {
                    let help = "the SAADC has inputs 0 to 7".to_owned();
                    return self.wrong(input_path, format!("{name}: no ADC input {input}"), "no such input", help);
                };
                if contact.port.map(|port| port.to_string()).as_deref() == Some(expected) {
                    return Ok(());
                }
                let help = "the chip ties inputs to ports: 0 to 3 are P0.02 to P0.05, 4 to 7 are P0.28 to P0.31";
                let message = format!("{name}: ADC input {input} is {expected}, not the contact's port");
                self.wrong(input_path, message, "another port", help.to_owned())
            }
            (false, None) => Ok(()),
        }
    }

    fn pwm(&self, index: usize, name: &str, contact: &ContactFile, file: &FamilyFile) -> Checked {
        let at = |key: &'static str| [At::Key("contact"), index.into(), "pwm".into(), key.into()];
        let drives = contact.functions.contains(&Function::Pwm) || contact.functions.contains(&Function::Rgb);
        let Some(pwm) = &contact.pwm else {
            if !drives {
                return Ok(());
            }
            let help = "give `pwm = { group = \"...\", instance = 0, channel = 0 }`".to_owned();
            let path = [At::Key("contact"), index.into(), "functions".into()];
            return self.wrong(&path, format!("{name} has no PWM channel"), "needs `pwm`", help);
        };
        if !drives {
            let help = "add \"pwm\" or \"rgb\" to its functions or take `pwm` away".to_owned();
            return self.wrong(
                &at("group")[..3],
                format!("{name} has a PWM channel but no function for it"),
                "unused",
                help,
            );
        }
        if pwm.instance > 3 || pwm.channel > 3 {
            let help = "the nRF52840 has PWM instances 0 to 3 with channels 0 to 3".to_owned();
            return self.wrong(&at("group")[..3], format!("{name}: no such PWM channel"), "out of range", help);
        }
        let same = |other: &ContactFile| {
            other.pwm.as_ref().is_some_and(|own| (own.instance, own.channel) == (pwm.instance, pwm.channel))
        };
        if let Some(other) = file.contacts[..index].iter().find(|other| same(other)) {
            let help = format!("contact {} ({}) has it", other.number, other.pin);
            let message = format!("{name}: PWM {} channel {} is used twice", pwm.instance, pwm.channel);
            return self.wrong(&at("channel"), message, "second time", help);
        }
        let Some(group) = file.pwm_groups.iter().find(|group| group.name == pwm.group) else {
            let groups = file.pwm_groups.iter().map(|group| group.name.as_str());
            let help = nearest_help(&pwm.group, groups, "groups");
            return self.wrong(&at("group"), format!("unknown PWM group \"{}\"", pwm.group), "no such group", help);
        };
        let explained = contact.doubt.is_some() || !contact.spec_doubt.is_empty();
        if group.instance != pwm.instance && !explained {
            let message = format!("{name} is in PWM instance {} but its group in {}", pwm.instance, group.instance);
            let help = "if the sources disagree, say so in `doubt`".to_owned();
            return self.wrong(&at("instance"), message, "contradicts the group", help);
        }
        Ok(())
    }

    /// Checks that a bus contact names its line. Ethernet lines may also be plain SPI lines.
    fn roles(&self, index: usize, name: &str, contact: &ContactFile) -> Checked {
        let needs = |function: &&Function| function.has_roles() && !contact.roles.contains_key(function);
        if let Some(function) = contact.functions.iter().find(needs) {
            let path = [At::Key("contact"), index.into(), "functions".into()];
            let help = format!("give `roles = {{ {function} = \"...\" }}`");
            return self.wrong(
                &path,
                format!("{name} does not say which line of \"{function}\" it is"),
                "which?",
                help,
            );
        }
        for function in contact.roles.keys() {
            let path = [At::Key("contact"), index.into(), "roles".into(), function.name().into()];
            if !function.has_roles() {
                let help = "buses with lines: spi, spi1, uart, i2c, i2c1, ethernet, sim".to_owned();
                return self.wrong(&path, format!("\"{function}\" has no lines"), "no bus", help);
            }
            if !contact.functions.contains(function) && *function != Function::Ethernet {
                let help = format!("add \"{function}\" to its functions or take the role away");
                return self.wrong(
                    &path,
                    format!("{name} has a role in \"{function}\" but not the function"),
                    "unused",
                    help,
                );
            }
        }
        Ok(())
    }

    /// Checks that the spec's statements agree with the file, or that a doubt explains the difference.
    fn spec(&self, index: usize, name: &str, contact: &ContactFile) -> Checked {
        for fact in contact.spec_doubt.keys() {
            if !contact.spec.contains_key(fact) {
                let path = [At::Key("contact"), index.into(), "spec_doubt".into(), fact.key().into()];
                let help = "doubts about the fields of the contact itself belong into `doubt`".to_owned();
                let message = format!("{name}: the spec states no `{}` that could be doubted", fact.key());
                return self.wrong(&path, message, "no difference to explain", help);
            }
        }
        for (fact, stated) in &contact.spec {
            let Some(expected) = contradiction(*fact, stated, contact) else { continue };
            if !contact.spec_doubt.contains_key(fact) {
                let path = [At::Key("contact"), index.into(), "spec".into(), fact.key().into()];
                let message = format!("{name}: the spec's {} contradicts the file", fact.title());
                let help = format!("{expected}; correct one, or explain it in `spec_doubt.{}`", fact.key());
                return self.wrong(&path, message, "the spec's words", help);
            }
        }
        Ok(())
    }

    fn limits(&self, file: &FamilyFile) -> Checked {
        let crossed = |path: &[At<'_>], what: &str| -> Checked {
            self.wrong(path, format!("the limits of {what} cross"), "out of order", "min <= typ <= max".into())
        };
        for (index, supply) in file.supplies.iter().enumerate() {
            let at = |key: &'static str| [At::Key("supply"), index.into(), key.into()];
            let outer = Spread { min: supply.abs_min_volts, typ: supply.volts.max, max: supply.abs_max_volts };
            if !supply.volts.is_ordered() || !outer.is_ordered() {
                return crossed(&at("volts"), &supply.rail);
            }
            for contact in &supply.contacts {
                let contact_file = file.contacts.iter().find(|contact_file| contact_file.number == contact.0);
                if !contact_file.is_some_and(|contact_file| contact_file.functions.contains(&Function::Power)) {
                    let help = "a rail lists contacts with function \"power\"".to_owned();
                    let message = format!("contact {contact} of rail {} is not a power contact", supply.rail);
                    return self.wrong(&at("contacts"), message, "these", help);
                }
            }
        }
        for (index, current) in file.currents.iter().enumerate() {
            if !current.ma.is_ordered() {
                return crossed(&[At::Key("current"), index.into(), "ma".into()], &current.state);
            }
        }
        let gpio = &file.gpio;
        let spreads = [
            ("pull_up_ohms", &gpio.pull_up_ohms),
            ("pull_down_ohms", &gpio.pull_down_ohms),
            ("standard_drive_ma", &gpio.standard_drive_ma),
            ("high_drive_sink_ma", &gpio.high_drive_sink_ma),
            ("high_drive_source_ma", &gpio.high_drive_source_ma),
        ];
        match spreads.into_iter().find(|(_, spread)| !spread.is_ordered()) {
            Some((key, _)) => crossed(&[At::Key("gpio"), key.into()], key),
            None => self.otp(file),
        }
    }

    fn otp(&self, file: &FamilyFile) -> Checked {
        for (index, field) in file.otp.fields.iter().enumerate() {
            let path = [At::Key("otp"), "field".into(), index.into()];
            if field.last < field.first || field.last >= file.otp.bytes {
                let help = format!("first <= last < {:#x}", file.otp.bytes);
                return self.wrong(&path, format!("OTP field {} does not fit", field.name), "this field", help);
            }
            let overlaps = |other: &&super::OtpField| {
                other.range().start < field.range().end && field.range().start < other.range().end
            };
            if let Some(other) = file.otp.fields[..index].iter().find(overlaps) {
                let message = format!("OTP fields {} and {} overlap", other.name, field.name);
                let help = format!("{} is {:#x} to {:#x}", other.name, other.first, other.last);
                return self.wrong(&path, message, "this field", help);
            }
        }
        Ok(())
    }

    /// Checks that every line of the modem leads to an internal port.
    fn modem(&self, modem: &ModemFile, file: &FamilyFile) -> Checked<ModemWiring> {
        let find = |name: &str, path: &[At<'_>]| -> Checked<Port> {
            match file.internal_ports.iter().find(|internal| internal.name == name) {
                Some(internal) => Ok(internal.port),
                None => {
                    let names = file.internal_ports.iter().map(|internal| internal.name.as_str());
                    let help = nearest_help(name, names, "internal ports");
                    self.wrong(path, format!("unknown internal port \"{name}\""), "no such [[internal]]", help)
                }
            }
        };
        let port = |key: &'static str, name: &str| find(name, &[At::Key("modem"), key.into()]);
        let line = |key: &'static str, line: &ModemLineFile| -> Checked<ModemLine> {
            let port = find(&line.port, &[At::Key("modem"), key.into(), "port".into()])?;
            Ok(ModemLine { port, active_high: line.active == ActiveLevel::High })
        };
        let cite = |keys: &[String]| {
            let texts: Vec<&str> = keys.iter().filter_map(|key| file.sources.get(key)).map(String::as_str).collect();
            texts.join("; ")
        };
        Ok(ModemWiring {
            tx: port("tx", &modem.tx)?,
            rx: port("rx", &modem.rx)?,
            cts: port("cts", &modem.cts)?,
            rts: port("rts", &modem.rts)?,
            power: line("power", &modem.power)?,
            reset: line("reset", &modem.reset)?,
            buffer: modem.buffer.as_ref().map(|buffer| line("buffer", buffer)).transpose()?,
            sense: line("sense", &modem.sense)?,
            sense_pull_up: modem.sense_pull_up,
            dtr: modem.dtr.as_ref().map(|dtr| port("dtr", dtr)).transpose()?,
            notes: modem.notes.clone(),
            doubt: modem.doubt.clone(),
            source: cite(&modem.source),
        })
    }

    /// Checks the names that other tables refer to.
    fn names(&self, file: &FamilyFile) -> Checked {
        for (index, model) in file.models.iter().enumerate() {
            if file.models[..index].iter().any(|other| other.name == model.name) {
                let path = [At::Key("model"), index.into(), "name".into()];
                let help = "every model has one table".to_owned();
                return self.wrong(&path, format!("model {} is given twice", model.name), "second time", help);
            }
        }
        let parts: Vec<&str> =
            file.modem.iter().flat_map(|modem| &modem.parts).map(|part| part.name.as_str()).collect();
        for (index, model) in file.models.iter().enumerate() {
            for (item, part) in model.modem_parts.iter().enumerate() {
                if !parts.contains(&part.as_str()) {
                    let path = [At::Key("model"), index.into(), "modem_parts".into(), item.into()];
                    let help = nearest_help(part, parts.iter().copied(), "modems");
                    return self.wrong(&path, format!("unknown modem \"{part}\""), "no such [[modem.part]]", help);
                }
            }
        }
        for (index, shared) in file.shared.iter().enumerate() {
            for (item, pin) in shared.pins.iter().enumerate() {
                let named = |contact: &&ContactFile| contact.pin == *pin || contact.alternate_names.contains(pin);
                if file.contacts.iter().find(named).is_none() {
                    let path = [At::Key("shared"), index.into(), "pins".into(), item.into()];
                    let help = nearest_help(pin, file.contacts.iter().map(|contact| contact.pin.as_str()), "pins");
                    return self.wrong(&path, format!("unknown pin \"{pin}\""), "no such pin", help);
                }
            }
        }
        Ok(())
    }
}

fn resolve(file: FamilyFile, modem: Option<ModemWiring>) -> DutFamily {
    let cite = |keys: &[String]| {
        let texts: Vec<&str> = keys.iter().filter_map(|key| file.sources.get(key)).map(String::as_str).collect();
        texts.join("; ")
    };
    let mut contacts: Vec<ContactInfo> =
        file.contacts.into_iter().map(|contact| resolve_contact(contact, &cite)).collect();
    contacts.sort_by_key(|info| info.contact);
    let platform_id = file.platform.id;
    let models = file.models.into_iter().map(|model| resolve_model(model, platform_id, &cite)).collect();
    let internal = |port: InternalPortFile| InternalPort {
        source: cite(&port.source),
        name: port.name,
        port: port.port,
        hal_pin: port.hal_pin,
        usage: port.usage,
    };
    let internal_ports = file.internal_ports.into_iter().map(internal).collect();
    DutFamily {
        name: file.family,
        title: file.title,
        connector: file.connector,
        layout: file.layout,
        platform: file.platform,
        models,
        contacts,
        absent: file.absent,
        internal_ports,
        modem,
        modem_parts: file.modem.map(|modem| modem.parts).unwrap_or_default(),
        sim: file.sim,
        pads: file.pads,
        rf_connectors: file.rf_connectors,
        pwm_groups: file.pwm_groups,
        buses: file.buses,
        shared: file.shared,
        supplies: file.supplies,
        currents: file.currents,
        gpio: file.gpio,
        adc: file.adc,
        pwm: file.pwm,
        interrupts: file.interrupts,
        environment: file.environment,
        memory: file.memory,
        otp: file.otp,
        notes: file.notes,
        unreached: Vec::new(),
        sources: file.sources,
    }
}

fn resolve_contact(contact: ContactFile, cite: &impl Fn(&[String]) -> String) -> ContactInfo {
    ContactInfo {
        contact: Contact(contact.number),
        pin: contact.pin,
        alternate_names: contact.alternate_names,
        generic_name: contact.generic_name,
        functions: contact.functions.into_iter().collect(),
        direction: contact.direction,
        port: contact.port,
        hal_pin: contact.hal_pin,
        adc_input: contact.adc_input,
        pwm_channel: contact.pwm.as_ref().map(|pwm| PwmChannel { instance: pwm.instance, channel: pwm.channel }),
        pwm_group: contact.pwm.map(|pwm| pwm.group),
        roles: contact.roles,
        min_volts: contact.min_volts,
        max_volts: contact.max_volts,
        abs_max_volts: contact.abs_max_volts,
        pull_up_ohms: contact.pull_up_ohms,
        five_volt_tolerant: contact.five_volt_tolerant,
        notes: contact.notes,
        doubt: contact.doubt,
        source: cite(&contact.source),
        spec: contact.spec,
        spec_doubt: contact.spec_doubt,
    }
}

fn resolve_model(model: ModelFile, platform_id: u32, cite: &impl Fn(&[String]) -> String) -> Model {
    Model {
        name: model.name,
        platform_id,
        modem: model.modem,
        modem_maker: model.modem_maker,
        modem_parts: model.modem_parts,
        iccid_prefixes: model.iccid_prefixes,
        ncp_ids: model.ncp_ids,
        serial_prefixes: model.serial_prefixes,
        technologies: model.technologies,
        region: model.region,
        ethersim: model.ethersim,
        skus: model.skus,
        replacement: model.replacement,
        external_flash_bytes: model.external_flash_bytes,
        external_flash_parts: model.external_flash_parts,
        external_flash_ids: model.external_flash_ids,
        adc_reference: model.adc_reference,
        factory_device_os: model.factory_device_os,
        min_device_os: model.min_device_os,
        notes: model.notes,
        doubt: model.doubt,
        source: cite(&model.source),
    }
}
