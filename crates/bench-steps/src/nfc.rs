//! `nfc`: reads the module as an NFC tag. The fixture's reader finds the tag, reads a number of this run from it, and
//! searches the weakest field in which it still answers.

mod record;

use crate::reach;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_instruments::{DutError, InstrumentError, NfcReader};
use bench_plan::{Coverage, LimitsOf, ParamProblem, Percent, Reach, Resolved, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{NfcStatus, Refusal, Reply, Request, TAG_BYTES, TAG_DATA, TAG_READ, TAG_READ_BYTES, TAG_TEXT};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Weakest drive of the reader at which the tag answers, as a share of its strongest.
    drive: LimitsOf<Percent>,
}

pub struct Nfc {
    /// Contacts of the fixture's antenna; none where it is plugged into a connector of the module.
    contacts: Vec<Contact>,
    found: MeasurementSpec,
    record: MeasurementSpec,
    drive: MeasurementSpec,
}

/// Time until the firmware's tag listens and the switches of the antenna are closed.
const TAG_SETTLE: Duration = Duration::from_millis(3);

impl Kind for Nfc {
    const NAME: &'static str = "nfc";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::share("drive")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let Some(wiring) = around.fixture.nfc else {
            return Err(ParamProblem::new(format!("the fixture {} has no NFC reader", around.fixture.name))
                .help("give the fixture file an [nfc] section, or leave the step out"));
        };
        let contacts = wiring.coil.map_or(Vec::new(), |coil| coil.contacts.to_vec());
        let spec = |name: &str, unit, limits| MeasurementSpec {
            name: name.to_owned(),
            unit,
            limits,
            contacts: contacts.clone(),
        };
        let nfc = Nfc {
            found: spec("nfc.found", MeasurementUnit::One, Limits::exactly(1.0)),
            record: spec("nfc.number-read", MeasurementUnit::One, Limits::exactly(1.0)),
            drive: spec("nfc.drive", MeasurementUnit::Percent, params.drive.limits()),
            contacts,
        };
        Ok(Resolved {
            measurements: vec![nfc.found.clone(), nfc.record.clone(), nfc.drive.clone()],
            coverage: nfc
                .contacts
                .iter()
                .map(|contact| Coverage { contact: *contact, aspects: vec!["function", "open"] })
                .collect(),
            uses: resource::list(&[resource::NFC]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(10),
            procedure: Box::new(nfc),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Nfc {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let nonce = nonce(nest);
        self.start(nest, log, nonce).await?;
        let outcome = self.measure(nest, log, nonce).await;
        // Do each of these, even if others fail.
        let off = nest.nfc.set_field(0).await;
        let parted = nest.nfc.join(false).await;
        let stopped = nest.ask(Request::StopNfc).await;
        outcome?;
        off.and(parted)?;
        stopped.map(drop)
    }
}

impl Nfc {
    async fn start(&self, nest: &Nest, log: &dyn StepLog, nonce: u64) -> Result<(), StepError> {
        match nest.request(Request::StartNfc { nonce }).await {
            Ok(Reply::Done) => Ok(()),
            Ok(other) => Err(DutError::OutOfTurn(other).into()),
            Err(DutError::Refused(Refusal::NfcPadsArePorts)) => {
                let text = "NFC: the MCU is set up to use its NFC pads as ports (UICR.NFCPINS)".to_owned();
                Err(self.defect(log, text))
            }
            Err(error) => Err(nest.silent(error).await),
        }
    }

    fn defect(&self, log: &dyn StepLog, text: String) -> StepError {
        log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text: text.clone() });
        StepError::Dut(text)
    }

    async fn measure(&self, nest: &Nest, log: &dyn StepLog, nonce: u64) -> Result<(), StepError> {
        nest.nfc.join(true).await?;
        nest.settle(TAG_SETTLE).await;
        nest.nfc.set_field(nest.nfc.strongest()).await?;
        let tag = nest.nfc.find().await?;
        log.measured(&self.found.name, Some(f64::from(u8::from(tag.is_some()))));
        let Some(tag) = tag else {
            let text = self.why_not_found(nest).await?;
            return Err(self.defect(log, text));
        };
        let id: Vec<String> = tag.id.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = read_tag(&*nest.nfc).await?;
        let expected = format!("{TAG_TEXT}{nonce:016x}");
        log.measured(&self.record.name, Some(f64::from(u8::from(text.as_ref() == Some(&expected)))));
        match &text {
            Some(text) => log.note(format!("tag {} says \"{text}\"", id.join(":"))),
            None => log.note(format!("tag {} has no text record", id.join(":"))),
        }
        if text.as_ref() != Some(&expected) {
            let read = text.map_or("nothing".to_owned(), |text| format!("\"{text}\""));
            let text =
                format!("NFC: the reader finds the tag {}, but reads {read} instead of \"{expected}\"", id.join(":"));
            return Err(self.defect(log, text));
        }
        let drive = self.weakest_drive(nest).await?;
        log.measured(&self.drive.name, Some(drive));
        if judge(&self.drive.limits, Some(drive)) != Verdict::Pass {
            let text = format!(
                "NFC: the tag answers only from {} of the reader's drive on: the antenna circuit is detuned or loaded",
                MeasurementUnit::Percent.show(drive)
            );
            log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text });
        }
        Ok(())
    }

    /// In the strongest field.
    async fn why_not_found(&self, nest: &Nest) -> Result<String, StepError> {
        let status = match nest.ask(Request::ReadNfc).await? {
            Reply::Nfc(status) => status,
            other => return Err(DutError::OutOfTurn(other).into()),
        };
        Ok(match status {
            NfcStatus { field: false, .. } => {
                let labels: Vec<String> = self.contacts.iter().map(|contact| nest.label(*contact)).collect();
                let between = match labels.as_slice() {
                    [] => "the connector, its line to the MCU".to_owned(),
                    labels => format!("the lines from contacts {} to the MCU", labels.join(" and ")),
                };
                format!("NFC antenna: no field reaches the MCU: check {between} and the tuning capacitors")
            }
            NfcStatus { selected: 0, .. } => {
                "NFC: the MCU detects the reader's field but does not answer: its NFC is dead".to_owned()
            }
            _ => "NFC: the MCU receives the reader, but the reader does not receive the MCU".to_owned(),
        })
    }

    /// Weakest working field in percent of the strongest, by bisection between a field that is too weak and one that is
    /// not.
    async fn weakest_drive(&self, nest: &Nest) -> Result<f64, StepError> {
        let strongest = nest.nfc.strongest();
        let (mut too_weak, mut enough) = (0, strongest);
        while enough - too_weak > 1 {
            let middle = too_weak + (enough - too_weak) / 2;
            nest.nfc.set_field(middle).await?;
            match nest.nfc.find().await? {
                Some(_) => enough = middle,
                None => too_weak = middle,
            }
        }
        Ok(100.0 * f64::from(enough) / f64::from(strongest))
    }
}

/// Returns the content of the text record of the tag that a reader has found; `None` if it has none.
///
/// # Errors
/// When the reader fails.
pub async fn read_tag(reader: &dyn NfcReader) -> Result<Option<String>, InstrumentError> {
    let mut memory = Vec::with_capacity(TAG_BYTES);
    let block_bytes = 4;
    for block in (0..TAG_BYTES / block_bytes).step_by(TAG_READ_BYTES / block_bytes) {
        match reader.exchange(&[TAG_READ, block as u8]).await? {
            Some(bytes) => memory.extend(bytes),
            None => return Ok(None),
        }
    }
    Ok(memory.get(TAG_DATA..).and_then(record::text_in))
}

/// Returns a number that is unique to this run and unit, as far as is likely: 64-bit FNV-1a of serial number and time.
pub(crate) fn nonce(nest: &Nest) -> u64 {
    let now = nest.clock.now().as_micros().to_le_bytes();
    let number = nest
        .serial
        .bytes()
        .chain(now)
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
    nest.clock.chosen(number)
}
