//! `identify`: greets the firmware, reads its identity, and reads which model the module is.
//!
//! The firmware image is the same for all models, so the model is read where Particle wrote it: the external flash's
//! size, and its one-time-programmable page with serial number and modem id. The device secret on the same page is
//! never read.

use crate::diagnose::divider;
use crate::diagnose::link::{LinkContacts, silent_module};
use crate::reach;
use crate::resolve::{self, pin_name};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{DutError, OPEN_OHMS};
use bench_plan::{Coverage, DutFamily, LimitsOf, Model, Ohms, ParamProblem, Reach, Resolved, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{INITIAL_BAUD, Identity, Port, Reply, Request, SpiRequest};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Rate to which the link is raised after the greeting.
    baud: u32,
    /// The rail that supplies the module's ports, for the diagnosis of a silent module. None on a desk.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    supply: Option<Spanned<String>>,
    /// The pull-up that the firmware keeps on the link's RX; not measured when left out.
    #[serde(default)]
    rx_pull: Option<LimitsOf<Ohms>>,
    /// The driver that keeps the link's TX high while idle, in its strong mode; not measured when left out.
    #[serde(default)]
    tx_drive: Option<LimitsOf<Ohms>>,
}

pub struct Identify {
    baud: u32,
    /// `None` on a desk.
    supply: Option<String>,
    link: LinkContacts,
    flash: FlashPorts,
    otp_serial: OtpRange,
    otp_modem_id: OtpRange,
    model: String,
    /// Every model the bench knows, to name a wrong one.
    models: Vec<KnownModel>,
    specs: Specs,
}

#[derive(Debug, Clone, Copy)]
struct FlashPorts {
    sck: Port,
    mosi: Port,
    miso: Port,
    chip_select: Port,
}

/// Bytes of the one-time-programmable page.
#[derive(Debug, Clone, Copy)]
struct OtpRange {
    first: u16,
    count: u8,
}

/// Location of a field; refused when the family's file marks any of its bytes as secret.
fn otp_field(dut: &DutFamily, name: &str) -> Result<OtpRange, ParamProblem> {
    let field = dut.otp.field(name).filter(|field| dut.otp.may_read(field.range()));
    let range = field.and_then(|field| {
        let range = field.range();
        Some(OtpRange { first: u16::try_from(range.start).ok()?, count: u8::try_from(range.len()).ok()? })
    });
    range.ok_or_else(|| {
        ParamProblem::new(format!("the family {} has no readable field `{name}` in its OTP memory", dut.name))
    })
}

#[derive(Debug, Clone)]
struct KnownModel {
    name: String,
    flash_ids: Vec<[u8; 3]>,
    ncp_ids: Vec<u8>,
    serial_prefixes: Vec<String>,
}

impl From<&Model> for KnownModel {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.clone(),
            flash_ids: model.external_flash_ids.clone(),
            ncp_ids: model.ncp_ids.clone(),
            serial_prefixes: model.serial_prefixes.clone(),
        }
    }
}

struct Specs {
    baud: MeasurementSpec,
    part: MeasurementSpec,
    ram: MeasurementSpec,
    flash: MeasurementSpec,
    flash_id: MeasurementSpec,
    model: MeasurementSpec,
    serial: MeasurementSpec,
    rx_pull: Option<MeasurementSpec>,
    tx_drive: Option<MeasurementSpec>,
}

impl Specs {
    fn all(&self) -> Vec<MeasurementSpec> {
        let Specs { baud, part, ram, flash, flash_id, model, serial, rx_pull, tx_drive } = self;
        [baud, part, ram, flash, flash_id, model, serial].into_iter().chain(rx_pull).chain(tx_drive).cloned().collect()
    }
}

/// FICR.INFO.PART of the nRF52840.
const PART: f64 = 0x52840 as f64;
/// JEDEC commands of the external flash and its one-time-programmable page (MX25L3233F, MX25R6435F data sheets).
const READ_JEDEC_ID: u8 = 0x9f;
const ENTER_OTP: u8 = 0xb1;
const EXIT_OTP: u8 = 0xc1;
const READ: u8 = 0x03;
/// Fields of that page to read, as the family's file names them.
const SERIAL_FIELD: &str = "serial number";
const MODEM_ID_FIELD: &str = "modem id";

impl Kind for Identify {
    const NAME: &'static str = "identify";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("rx_pull"), reach::ohms("tx_drive")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply_unless_desk(around.fixture, params.supply)?;
        if supply.is_none() && (params.rx_pull.is_some() || params.tx_drive.is_some()) {
            return Err(ParamProblem::new(format!("the fixture {} measures no contact", around.fixture.name))
                .help("take `rx_pull` and `tx_drive` out"));
        }
        let port = |name: &str| {
            around.dut.internal(name).ok_or_else(|| {
                ParamProblem::new(format!("the family {} names no internal port {name}", around.dut.name))
            })
        };
        let flash = FlashPorts {
            sck: port("QSPI_SCK")?,
            mosi: port("QSPI_IO0")?,
            miso: port("QSPI_IO1")?,
            chip_select: port("QSPI_CS")?,
        };
        let link = LinkContacts { tx: around.fixture.link.dut_tx, rx: around.fixture.link.dut_rx };
        let both = vec![link.tx.min(link.rx), link.tx.max(link.rx)];
        let spec = |name: &str, unit, limits, contacts: &[Contact]| MeasurementSpec {
            name: name.into(),
            unit,
            limits,
            contacts: contacts.to_vec(),
        };
        let yes = Limits::exactly(1.0);
        let specs = Specs {
            baud: spec("link.baud", MeasurementUnit::One, Limits::exactly(f64::from(params.baud)), &both),
            part: spec("mcu.part", MeasurementUnit::One, Limits::exactly(PART), &[]),
            ram: spec("mcu.ram-kib", MeasurementUnit::One, Limits::exactly(f64::from(around.dut.memory.ram_kib)), &[]),
            flash: spec(
                "mcu.flash-kib",
                MeasurementUnit::One,
                Limits::exactly(f64::from(around.dut.memory.flash_kib)),
                &[],
            ),
            flash_id: spec("flash.id-known", MeasurementUnit::One, yes, &[]),
            model: spec("model.matches", MeasurementUnit::One, yes, &[]),
            serial: spec("serial.matches", MeasurementUnit::One, yes, &[]),
            rx_pull: params.rx_pull.map(|ohms| {
                let name = format!("{}.pull-up", pin_name(around.dut, link.rx));
                spec(&name, MeasurementUnit::Ohms, ohms.limits(), &[link.rx])
            }),
            tx_drive: params.tx_drive.map(|ohms| {
                let name = format!("{}.drive-high", pin_name(around.dut, link.tx));
                spec(&name, MeasurementUnit::Ohms, ohms.limits(), &[link.tx])
            }),
        };
        Ok(Resolved {
            measurements: specs.all(),
            coverage: both
                .iter()
                .map(|&contact| {
                    let mut aspects = vec!["open", "stuck high", "stuck low", "link"];
                    if contact == link.rx && specs.rx_pull.is_some() {
                        aspects.push("pull-up");
                    }
                    if contact == link.tx && specs.tx_drive.is_some() {
                        aspects.push("driver");
                    }
                    Coverage { contact, aspects }
                })
                .collect(),
            uses: resource::list(&[resource::DUT, resource::NAILS, resource::MEASURE_BUS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(Identify {
                baud: params.baud,
                supply,
                link,
                flash,
                otp_serial: otp_field(around.dut, SERIAL_FIELD)?,
                otp_modem_id: otp_field(around.dut, MODEM_ID_FIELD)?,
                model: around.model.name.clone(),
                models: all_models(around.families),
                specs,
            }),
        })
    }
}

fn all_models(families: &[&DutFamily]) -> Vec<KnownModel> {
    families.iter().flat_map(|family| &family.models).map(KnownModel::from).collect()
}

#[async_trait(?Send)]
impl Procedure for Identify {
    /// The firmware listens at the rate of the conversation, and would not hear a greeting at the first one.
    async fn before_repetition(&self, nest: &Nest) {
        // A module that does not answer this does not answer the greeting, either.
        let _ = nest.request(Request::SetBaud { baud: INITIAL_BAUD }).await;
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let baud = match nest.dut.connect(self.baud).await {
            Ok(baud) => baud,
            Err(DutError::Silent { .. }) => return self.explain_silence(nest, log).await,
            Err(error) => return Err(nest.silent(error).await),
        };
        log.measured(&self.specs.baud.name, Some(f64::from(baud)));
        self.measure_link_contacts(nest, log).await?;

        let identity = match nest.ask(Request::Identify).await? {
            Reply::Identity(identity) => identity,
            other => return Err(DutError::OutOfTurn(other).into()),
        };
        log.note(describe(&identity));
        log.measured(&self.specs.part.name, Some(f64::from(identity.part)));
        log.measured(&self.specs.ram.name, Some(f64::from(identity.ram_kib)));
        log.measured(&self.specs.flash.name, Some(f64::from(identity.flash_kib)));

        let said = self.ask_flash(nest).await?;
        self.judge_model(nest, log, &said);
        Ok(())
    }
}

/// Content of the module's external flash.
#[derive(Debug, Clone, PartialEq)]
struct FlashSays {
    jedec: [u8; 3],
    /// `None` when the page was never written.
    serial: Option<String>,
    modem_id: Option<u8>,
}

impl Identify {
    /// Measured now, because the firmware is known to run and the relay keeps the controller's TX off the contact.
    async fn measure_link_contacts(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let looks = [(self.link.rx, &self.specs.rx_pull), (self.link.tx, &self.specs.tx_drive)];
        if looks.iter().all(|(_, spec)| spec.is_none()) {
            return Ok(());
        }
        let Some(supply) = &self.supply else { return Ok(()) };
        let supply = nest.supply_volts(supply).await?;
        nest.leave_link().await?;
        let mut seen = Vec::new();
        for (contact, spec) in looks {
            if let Some(spec) = spec {
                seen.push((contact, spec, nest.bus.loaded_volts(contact, 0.0).await));
            }
        }
        nest.join_link().await?;
        for (contact, spec, volts) in seen {
            let volts = volts?;
            let ohms = divider(nest.bus.source_ohms(), supply - volts, volts);
            log.measured(&spec.name, Some(ohms));
            if judge(&spec.limits, Some(ohms)) != Verdict::Pass {
                let (label, shown) = (nest.label(contact), MeasurementUnit::Ohms.show(ohms));
                let (defect, text) = if contact == self.link.tx {
                    (Defect::Other, format!("contact {label}: drives high through {shown}: weak driver or cold joint"))
                } else if ohms >= OPEN_OHMS {
                    (Defect::MissingPull, format!("contact {label}: no pull-up"))
                } else {
                    (Defect::MissingPull, format!("contact {label}: pull-up out of tolerance, {shown}"))
                };
                log.diagnosed(Diagnosis { defect, contacts: vec![contact], text });
            }
        }
        Ok(())
    }

    async fn spi(&self, nest: &Nest, write: &[u8], read: u8) -> Result<Vec<u8>, StepError> {
        let FlashPorts { sck, mosi, miso, chip_select } = self.flash;
        let write = write.iter().copied().collect();
        match nest.ask(Request::SpiTransfer(SpiRequest { sck, mosi, miso, chip_select, write, read })).await? {
            // A reply of another length would be read as another module's memory.
            Reply::Bytes(bytes) if bytes.len() == usize::from(read) => Ok(bytes.to_vec()),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    async fn read_otp(&self, nest: &Nest, OtpRange { first, count }: OtpRange) -> Result<Vec<u8>, StepError> {
        let [high, low] = first.to_be_bytes();
        self.spi(nest, &[READ, 0, high, low], count).await
    }

    async fn ask_flash(&self, nest: &Nest) -> Result<FlashSays, StepError> {
        let id = self.spi(nest, &[READ_JEDEC_ID], 3).await?;
        let jedec = <[u8; 3]>::try_from(id.as_slice()).unwrap_or_default();
        self.spi(nest, &[ENTER_OTP], 0).await?;
        let serial = self.read_otp(nest, self.otp_serial).await;
        let modem = self.read_otp(nest, self.otp_modem_id).await;
        self.spi(nest, &[EXIT_OTP], 0).await?;
        let (serial, modem) = (serial?, modem?);
        Ok(FlashSays {
            jedec,
            serial: written(&serial),
            modem_id: modem.first().copied().filter(|id| *id != 0xff && *id != 0x00),
        })
    }

    fn judge_model(&self, nest: &Nest, log: &dyn StepLog, said: &FlashSays) {
        let [maker, kind, size] = said.jedec;
        let known_flash = self.models.iter().any(|model| model.flash_ids.contains(&said.jedec));
        log.measured(&self.specs.flash_id.name, Some(if known_flash { 1.0 } else { 0.0 }));
        if !known_flash {
            log.diagnosed(Diagnosis {
                defect: Defect::Other,
                contacts: Vec::new(),
                text: format!(
                    "the external flash on the module answers with the unknown id {maker:02x} {kind:02x} {size:02x}"
                ),
            });
        }
        let candidates = candidates(&self.models, said);
        log.note(format!(
            "flash id {maker:02x} {kind:02x} {size:02x}, serial {}, modem id {}: {}",
            said.serial.as_deref().unwrap_or("not written"),
            said.modem_id.map_or("not written".to_owned(), |id| format!("{id:#04x}")),
            if candidates.is_empty() { "no known model".to_owned() } else { candidates.join(" or ") },
        ));
        let matches = candidates.iter().any(|name| *name == self.model);
        log.measured(&self.specs.model.name, Some(if matches { 1.0 } else { 0.0 }));
        if !matches {
            let nest_has = match candidates.as_slice() {
                [] => "a module of an unknown model".to_owned(),
                names => format!("a {}", names.join(" or ").to_uppercase().replace(" OR ", " or ")),
            };
            log.diagnosed(Diagnosis {
                defect: Defect::WrongModel,
                contacts: Vec::new(),
                text: format!(
                    "wrong model: {nest_has} is in the nest, the plan is for a {}",
                    self.model.to_uppercase()
                ),
            });
        }
        // A module that has no serial number yet cannot contradict the scanner.
        let same = said.serial.as_deref().is_none_or(|written| written == nest.serial);
        log.measured(&self.specs.serial.name, Some(if same { 1.0 } else { 0.0 }));
        if !same && matches {
            log.diagnosed(Diagnosis {
                defect: Defect::Other,
                contacts: Vec::new(),
                text: format!(
                    "serial number: the module has {}, the scanner read {}: the label belongs to another module",
                    said.serial.as_deref().unwrap_or_default(),
                    nest.serial
                ),
            });
        }
    }

    async fn explain_silence(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        if !nest.loopback_works().await? {
            return Err(StepError::Bench(crate::nest::LOOPBACK_BROKEN.to_owned()));
        }
        let Some(supply) = &self.supply else { return Err(StepError::Bench(crate::nest::UNCHECKED_LINK.to_owned())) };
        let volts = nest.supply_volts(supply).await?;
        let diagnoses = silent_module(nest, self.link, (supply, volts)).await?;
        let reason = diagnoses
            .first()
            .map_or_else(|| "the module does not answer".to_owned(), |diagnosis| diagnosis.text.clone());
        diagnoses.into_iter().for_each(|diagnosis| log.diagnosed(diagnosis));
        Err(StepError::Dut(reason))
    }
}

/// Decodes a text field; `None` when it was never written. A field that is neither blank nor text is an error, not
/// blank.
fn written(field: &[u8]) -> Option<String> {
    let blank = field.iter().all(|&byte| byte == 0xff) || field.iter().all(|&byte| byte == 0x00);
    (!blank).then(|| field.escape_ascii().to_string())
}

/// Returns the models that match everything the flash says.
fn candidates<'a>(models: &'a [KnownModel], said: &FlashSays) -> Vec<&'a str> {
    let by_flash: Vec<&KnownModel> = models.iter().filter(|model| model.flash_ids.contains(&said.jedec)).collect();
    let by_modem = |model: &&KnownModel| said.modem_id.is_none_or(|id| model.ncp_ids.contains(&id));
    let named: Vec<&KnownModel> = by_flash.into_iter().filter(by_modem).collect();
    let has_prefix = |model: &&KnownModel| {
        said.serial
            .as_deref()
            .is_some_and(|serial| model.serial_prefixes.iter().any(|prefix| serial.starts_with(prefix)))
    };
    let by_serial: Vec<&KnownModel> = named.iter().copied().filter(has_prefix).collect();
    // Not every product's prefix is listed: one that no model claims excludes none.
    let chosen = if by_serial.is_empty() { named } else { by_serial };
    chosen.into_iter().map(|model| model.name.as_str()).collect()
}

fn describe(identity: &Identity) -> String {
    let variant =
        identity.variant.to_be_bytes().map(|byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' });
    format!(
        "firmware {} ({}), device id {:016x}, nRF{:x} variant {}, reset reason {:#x}",
        identity.firmware_version,
        identity.git_hash,
        identity.device_id,
        identity.part,
        variant.iter().collect::<String>(),
        identity.reset_reason
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> Vec<KnownModel> {
        let model = |name: &str, flash, ncp: &[u8], prefixes: &[&str]| KnownModel {
            name: name.into(),
            flash_ids: vec![flash],
            ncp_ids: ncp.to_vec(),
            serial_prefixes: prefixes.iter().map(|&prefix| prefix.into()).collect(),
        };
        let (small, large) = ([0xc2, 0x20, 0x16], [0xc2, 0x28, 0x17]);
        vec![
            model("b402", small, &[0x44], &["P006"]),
            model("b404", small, &[0x44], &["P033"]),
            model("b404x", small, &[0x47], &["P042"]),
            model("b523", large, &[0x62], &["P019"]),
            model("b524", large, &[0x62, 0x64], &["P034"]),
        ]
    }

    #[test]
    fn which_model_is_it() {
        type Row = ([u8; 3], Option<&'static str>, Option<u8>, &'static [&'static str]);
        let rows: [Row; 8] = [
            ([0xc2, 0x20, 0x16], Some("P042AB123456789"), Some(0x47), &["b404x"]),
            ([0xc2, 0x20, 0x16], None, Some(0x47), &["b404x"]),
            ([0xc2, 0x20, 0x16], None, None, &["b402", "b404", "b404x"]),
            ([0xc2, 0x20, 0x16], Some("P033AB123456789"), Some(0x44), &["b404"]),
            ([0xc2, 0x20, 0x16], Some("P999AB123456789"), Some(0x44), &["b402", "b404"]),
            ([0xc2, 0x28, 0x17], Some("P034AB123456789"), Some(0x62), &["b524"]),
            ([0xc2, 0x28, 0x17], None, Some(0x62), &["b523", "b524"]),
            ([0xff, 0xff, 0xff], None, None, &[]),
        ];
        for (jedec, serial, modem_id, expected) in rows {
            let said = FlashSays { jedec, serial: serial.map(str::to_owned), modem_id };
            assert_eq!(candidates(&models(), &said), expected, "{said:?}");
        }
    }

    #[test]
    fn only_a_blank_field_says_nothing() {
        for (field, expected) in [
            (&[0xff; 15][..], None),
            (&[0x00; 15], None),
            (b"P042AB123456789", Some("P042AB123456789")),
            (b"P042\xff\x00", Some("P042\\xff\\x00")),
        ] {
            assert_eq!(written(field).as_deref(), expected, "{field:02x?}");
        }
    }
}
