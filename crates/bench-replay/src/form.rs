//! The written form of what instruments are asked and what they answer.

use bench_instruments::{
    Advert, Answer, AnswerForm, AnswerValue, Chore, ContactSet, Disturbance, DutError, Edge, EdgeTrace, GuardState,
    Injected, InstrumentError, LinkStatistics, NailVector, NfcTarget, ProgramError, ProgramExit, ProgramJob,
    ProgramSays, Programmed, Question, RailReading, Sender, Supply, Task, Unjoined, UsbEcho, UsbIds,
};
use bench_run::{BenchTime, Contact};
use dut_protocol::{JobResult, Refusal, Reply, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// A value in a recording.
pub(crate) trait Form: Sized {
    fn write(&self) -> Value;
    /// `None` for a form that this version does not know.
    fn read(value: Value) -> Option<Self>;
    /// Moves the times in it, because the replay asks later or earlier than the run did.
    fn moved(self, _from: BenchTime, _to: BenchTime) -> Self {
        self
    }
}

/// An argument, which is only written and compared.
pub(crate) trait Argument {
    fn write(&self) -> Value;
}

/// An answer for a call that the recording does not have.
pub(crate) trait Missing: Form {
    fn missing(what: String) -> Self;
    /// The answer where nobody depends on it: putting back what a step left behind.
    fn unneeded(what: String) -> Self {
        Self::missing(what)
    }
}

const OK: &str = "ok";
const ERROR: &str = "error";

impl<T: Form, E: Form> Form for Result<T, E> {
    fn write(&self) -> Value {
        match self {
            Ok(value) => json!({ OK: value.write() }),
            Err(error) => json!({ ERROR: error.write() }),
        }
    }
    fn read(value: Value) -> Option<Self> {
        let Value::Object(fields) = value else { return None };
        let (key, value) = fields.into_iter().next()?;
        match key.as_str() {
            OK => T::read(value).map(Ok),
            ERROR => E::read(value).map(Err),
            _ => None,
        }
    }
    fn moved(self, from: BenchTime, to: BenchTime) -> Self {
        self.map(|value| value.moved(from, to))
    }
}

impl<T: Form> Form for Option<T> {
    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, Form::write)
    }
    fn read(value: Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value).map(Some) }
    }
}

impl Missing for Result<(), InstrumentError> {
    fn missing(what: String) -> Self {
        Err(InstrumentError::NotRecorded(what))
    }
    fn unneeded(_: String) -> Self {
        Ok(())
    }
}

macro_rules! missing {
    ($error:ty, $wrap:expr, $($answer:ty),*) => {
        $(impl Missing for Result<$answer, $error> {
            fn missing(what: String) -> Self {
                Err($wrap(what))
            }
        })*
    };
}

missing!(
    InstrumentError,
    InstrumentError::NotRecorded,
    f64,
    u32,
    String,
    Answer,
    ProgramSays,
    Vec<u8>,
    ContactSet,
    Injected,
    Unjoined,
    RailReading,
    EdgeTrace,
    UsbEcho,
    Vec<Sender>,
    Vec<Advert>,
    Option<NfcTarget>,
    Option<Vec<u8>>
);
missing!(DutError, |what| DutError::Link(InstrumentError::NotRecorded(what)), u32, Reply, JobResult);

/// The end of a job of the debug probe.
pub(crate) struct ProgramEnd {
    pub(crate) outcome: Result<Programmed, ProgramError>,
    /// The module whose content was stored before something was erased. The content is never recorded.
    pub(crate) kept: Option<u64>,
}

impl Form for ProgramEnd {
    fn write(&self) -> Value {
        json!({ "outcome": self.outcome.write(), "kept": self.kept })
    }
    fn read(mut value: Value) -> Option<Self> {
        let kept = value.get("kept")?.as_u64();
        Some(Self { outcome: Form::read(value.get_mut("outcome")?.take())?, kept })
    }
}

impl Missing for ProgramEnd {
    fn missing(what: String) -> Self {
        Self { outcome: Err(ProgramError::Broken(what)), kept: None }
    }
}

impl Missing for () {
    fn missing(_: String) -> Self {}
}

impl Missing for bool {
    fn missing(_: String) -> Self {
        true
    }
}

impl Missing for u64 {
    fn missing(_: String) -> Self {
        0
    }
}

impl Missing for LinkStatistics {
    fn missing(_: String) -> Self {
        Self::default()
    }
}

/// Numbers that JSON does not have are texts.
mod real {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Real {
        Number(f64),
        Text(String),
    }

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        let real = if value.is_finite() { Real::Number(*value) } else { Real::Text(value.to_string()) };
        real.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Real::deserialize(deserializer)? {
            Real::Number(value) => Ok(value),
            Real::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

/// Forms through a mirror of the type, which the compiler compares with it.
macro_rules! mirrored {
    ($($type:ident by $mirror:ident),* $(,)?) => {
        $(impl Form for $type {
            fn write(&self) -> Value {
                $mirror::serialize(self, serde_json::value::Serializer).unwrap_or_default()
            }
            fn read(value: Value) -> Option<Self> {
                $mirror::deserialize(value).ok()
            }
        })*
    };
}

/// Forms of types that have one of their own.
macro_rules! own_form {
    ($($type:ty),* $(,)?) => {
        $(impl Form for $type {
            fn write(&self) -> Value {
                serde_json::to_value(self).unwrap_or_default()
            }
            fn read(value: Value) -> Option<Self> {
                serde_json::from_value(value).ok()
            }
        })*
    };
}

own_form!(
    (),
    bool,
    u8,
    u16,
    u32,
    u64,
    usize,
    String,
    Contact,
    Reply,
    JobResult,
    Vec<u8>,
    Vec<usize>,
    Vec<String>,
    Vec<Contact>
);

impl Form for f64 {
    fn write(&self) -> Value {
        real::serialize(self, serde_json::value::Serializer).unwrap_or_default()
    }
    fn read(value: Value) -> Option<Self> {
        real::deserialize(value).ok()
    }
}

impl Form for Duration {
    fn write(&self) -> Value {
        json!(u64::try_from(self.as_micros()).unwrap_or(u64::MAX))
    }
    fn read(value: Value) -> Option<Self> {
        value.as_u64().map(Duration::from_micros)
    }
}

impl Form for ContactSet {
    fn write(&self) -> Value {
        json!(self.iter().collect::<Vec<Contact>>())
    }
    fn read(value: Value) -> Option<Self> {
        let contacts: Vec<Contact> = serde_json::from_value(value).ok()?;
        contacts.iter().all(|contact| contact.0 < 128).then(|| contacts.into_iter().collect())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "InstrumentError", rename_all = "kebab-case")]
enum InstrumentErrorForm {
    Chip {
        chip: String,
        detail: String,
    },
    Implausible {
        chip: String,
        detail: String,
    },
    NotWired(Contact),
    Energized {
        contact: Contact,
        #[serde(with = "real")]
        volts: f64,
    },
    NoSuchRail(String),
    NoSuchPeer(String),
    Link(String),
    Gpio(String),
    Usb(String),
    Ble(String),
    PowerCut(String),
    Unsafe(String),
    NoEdgeLine,
    NoNfcReader,
    NoInstruments(String),
    Nobody(String),
    NotDone(String),
    CannotSay(String),
    Program(String),
    NotRecorded(String),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AnswerValue", rename_all = "kebab-case")]
enum AnswerValueForm {
    Yes,
    No,
    Choice(usize),
    Number(#[serde(with = "real")] f64),
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Answer")]
struct AnswerRecord {
    #[serde(with = "AnswerValueForm")]
    value: AnswerValue,
    by: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DutError", rename_all = "kebab-case")]
enum DutErrorForm {
    Silent { attempts: u32, garbled: u32 },
    Unknown,
    Refused(Refusal),
    OtherProtocol { version: u16, schema: u64 },
    JobLate(u8),
    JobLost(u8),
    OutOfTurn(Reply),
    Link(#[serde(with = "InstrumentErrorForm")] InstrumentError),
}

/// What a page of flash cannot be. The error holds one of these words.
mod what {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    const WORDS: [&str; 4] = ["read", "erased", "written", "changed"];

    pub fn serialize<S: Serializer>(value: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'static str, D::Error> {
        let text = String::deserialize(deserializer)?;
        WORDS.into_iter().find(|word| *word == text).ok_or_else(|| D::Error::custom("no such word"))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProgramError", rename_all = "kebab-case")]
enum ProgramErrorForm {
    NoProbe {
        wanted: String,
        seen: String,
    },
    Ambiguous {
        seen: String,
    },
    Denied {
        probe: String,
    },
    Busy {
        probe: String,
        with: String,
    },
    Probe(String),
    NoAnswer,
    Lost {
        during: String,
    },
    Late(u64),
    Broken(String),
    Image {
        name: String,
        why: String,
    },
    NotKept(String),
    OtherModule {
        found: u64,
        expected: u64,
    },
    Locked,
    StaysLocked,
    OtherPart {
        found: u32,
        expected: u32,
    },
    Page {
        address: u32,
        #[serde(with = "what")]
        what: &'static str,
        detail: String,
    },
    Flash {
        address: u32,
        expected: u32,
        read: u32,
    },
    Uicr {
        address: u32,
        expected: u32,
        read: u32,
    },
    Core(String),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Programmed")]
struct ProgrammedForm {
    probe: String,
    device_id: u64,
    written: u64,
    kept: u64,
    uicr_written: u32,
    recovered: bool,
    verified: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Injected")]
struct InjectedForm {
    #[serde(with = "real")]
    volts: f64,
    #[serde(with = "real")]
    amps: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Unjoined")]
struct UnjoinedForm {
    #[serde(with = "real")]
    source: f64,
    #[serde(with = "real")]
    line: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RailReading")]
struct RailReadingForm {
    #[serde(with = "real")]
    volts: f64,
    #[serde(with = "real")]
    amps: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Supply")]
struct SupplyForm {
    #[serde(with = "real")]
    volts: f64,
    #[serde(with = "real")]
    current_limit_amps: f64,
    #[serde(default, skip_serializing_if = "is_false")]
    of_module: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes references
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LinkStatistics")]
struct LinkStatisticsForm {
    sent: u64,
    received: u64,
    repeated: u64,
    garbled: u64,
    late: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NfcTarget")]
struct NfcTargetForm {
    id: Vec<u8>,
    select_answer: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Sender")]
struct SenderForm {
    address: [u8; 6],
    #[serde(with = "real")]
    rssi_dbm: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Advert")]
struct AdvertForm {
    address: [u8; 6],
    company: u16,
    data: Vec<u8>,
    #[serde(with = "real")]
    rssi_dbm: f64,
    at: BenchTime,
    carrier_offset_hz: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Disturbance", rename_all = "kebab-case")]
enum DisturbanceForm {
    Reset { chip: String },
    Silent { chip: String, detail: String },
    Stuck { chip: String, pin: String, high: bool },
    Changed { chip: String, detail: String },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProgramSays", rename_all = "kebab-case")]
enum ProgramSaysForm {
    Line(String),
    Broken(String),
    Ended(#[serde(with = "ProgramExitForm")] ProgramExit),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProgramExit")]
struct ProgramExitForm {
    code: Option<i32>,
    signal: Option<i32>,
    left_behind: u32,
    last_words: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "GuardState", rename_all = "kebab-case")]
enum GuardStateForm {
    Alive,
    Acted(String),
    Gone(String),
}

mirrored!(
    InstrumentError by InstrumentErrorForm,
    DutError by DutErrorForm,
    ProgramError by ProgramErrorForm,
    Programmed by ProgrammedForm,
    Injected by InjectedForm,
    Unjoined by UnjoinedForm,
    RailReading by RailReadingForm,
    Supply by SupplyForm,
    LinkStatistics by LinkStatisticsForm,
    NfcTarget by NfcTargetForm,
    Sender by SenderForm,
    Disturbance by DisturbanceForm,
    GuardState by GuardStateForm,
    Answer by AnswerRecord,
    ProgramSays by ProgramSaysForm,
);

impl Form for Advert {
    fn write(&self) -> Value {
        AdvertForm::serialize(self, serde_json::value::Serializer).unwrap_or_default()
    }
    fn read(value: Value) -> Option<Self> {
        AdvertForm::deserialize(value).ok()
    }
    fn moved(self, from: BenchTime, to: BenchTime) -> Self {
        Self { at: to + (self.at - from), ..self }
    }
}

macro_rules! lists {
    ($($type:ty),*) => {
        $(impl Form for Vec<$type> {
            fn write(&self) -> Value {
                self.iter().map(Form::write).collect()
            }
            fn read(value: Value) -> Option<Self> {
                let Value::Array(values) = value else { return None };
                values.into_iter().map(Form::read).collect()
            }
            fn moved(self, from: BenchTime, to: BenchTime) -> Self {
                self.into_iter().map(|one| one.moved(from, to)).collect()
            }
        })*
    };
}

lists!(Sender, Advert);

/// The times of the edges, rising and falling in turn from the first: a trace of a crystal has thousands.
impl Form for EdgeTrace {
    fn write(&self) -> Value {
        let first = self.edges.first().map_or(0, |edge| edge.at_ns);
        let mut before = first;
        let spans = self.edges.iter().map(|edge| {
            let span = edge.at_ns.saturating_sub(std::mem::replace(&mut before, edge.at_ns));
            // Two edges of the same direction may follow each other.
            json!(if edge.rising { span.cast_signed() } else { !span.cast_signed() })
        });
        json!({ "high_before": self.high_before, "first_ns": first, "spans_ns": spans.collect::<Value>() })
    }
    fn read(value: Value) -> Option<Self> {
        let mut at_ns = value.get("first_ns")?.as_u64()?;
        let edge = |span: &Value| {
            let span = span.as_i64()?;
            let rising = span >= 0;
            at_ns = at_ns.checked_add(if rising { span } else { !span }.cast_unsigned())?;
            Some(Edge { at_ns, rising })
        };
        let edges = value.get("spans_ns")?.as_array()?.iter().map(edge).collect::<Option<Vec<_>>>()?;
        Some(EdgeTrace { high_before: value.get("high_before")?.as_bool()?, edges })
    }
}

const NO_DEVICE: &str = "no-device";
const RECEIVED: &str = "received";

impl Form for UsbEcho {
    fn write(&self) -> Value {
        match self {
            UsbEcho::NoDevice { others } => {
                json!({ NO_DEVICE: others.iter().map(|ids| (ids.vendor, ids.product)).collect::<Vec<_>>() })
            }
            UsbEcho::Received(bytes) => json!({ RECEIVED: bytes }),
        }
    }
    fn read(value: Value) -> Option<Self> {
        if let Some(bytes) = value.get(RECEIVED) {
            return serde_json::from_value(bytes.clone()).ok().map(UsbEcho::Received);
        }
        let others: Vec<(u16, u16)> = serde_json::from_value(value.get(NO_DEVICE)?.clone()).ok()?;
        Some(UsbEcho::NoDevice {
            others: others.into_iter().map(|(vendor, product)| UsbIds { vendor, product }).collect(),
        })
    }
}

macro_rules! arguments {
    ($($type:ty),*) => {
        $(impl Argument for $type {
            fn write(&self) -> Value {
                Form::write(self)
            }
        })*
    };
}

arguments!(bool, u8, u16, u32, f64, Contact, Duration);

impl Argument for &str {
    fn write(&self) -> Value {
        json!(self)
    }
}

impl Argument for &[u8] {
    fn write(&self) -> Value {
        json!(self)
    }
}

impl Argument for Option<Contact> {
    fn write(&self) -> Value {
        json!(self.map(|contact| contact.0))
    }
}

impl Argument for Option<u32> {
    fn write(&self) -> Value {
        json!(self)
    }
}

impl Argument for Request {
    fn write(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Argument for UsbIds {
    fn write(&self) -> Value {
        json!(self.to_string())
    }
}

impl Argument for NailVector {
    fn write(&self) -> Value {
        let sets = [("high", self.high), ("low", self.low), ("pull_up", self.pull_up), ("float", self.float)];
        let used = sets.into_iter().filter(|(_, set)| !set.is_empty());
        Value::Object(used.map(|(name, set)| (name.to_owned(), set.write())).collect())
    }
}

/// What is to be done; the words for it may change.
impl Argument for &Task {
    fn write(&self) -> Value {
        json!(match self.chore {
            Chore::SwitchOn => "switch-on",
            Chore::PlugUsb => "plug-usb",
            Chore::ReadTag => "read-tag",
            Chore::Confirm => "confirm",
        })
    }
}

/// What can be answered; the words for it and the limits may change.
impl Argument for &Question {
    fn write(&self) -> Value {
        let form = match &self.form {
            AnswerForm::Confirm => json!("confirm"),
            AnswerForm::Choice(choices) => json!({ "choices": choices }),
            AnswerForm::Number { unit, .. } => json!({ "unit": unit }),
            AnswerForm::Text { pattern } => json!({ "pattern": pattern }),
        };
        json!({ "name": self.name, "form": form })
    }
}

/// What is to be done, and not the bytes: a newer firmware is programmed in the same way.
impl Argument for ProgramJob {
    fn write(&self) -> Value {
        // Of a job that writes back what was on the module, no part may leave the site: it may hold keys.
        let uicr = self.uicr.iter().filter(|_| !self.only_uicr);
        json!({
            "images": self.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(),
            "uicr": uicr.map(|word| (word.offset, word.value)).collect::<Vec<_>>(),
            "erase_rest": self.erase_rest,
            "recover_locked": self.recover_locked,
            "lock": self.lock,
            "keep": self.keep.is_some(),
            "only_uicr": self.only_uicr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Debug;

    /// Through the text of a line.
    fn again<T: Form>(value: &T) -> Option<T> {
        T::read(serde_json::from_str(&value.write().to_string()).unwrap())
    }

    fn comes_back<T: Form + PartialEq + Debug>(value: T) {
        assert_eq!(again(&value), Some(value));
    }

    #[test]
    fn errors_come_back() {
        use InstrumentError as E;
        let word = || "word".to_owned();
        let errors = [
            E::Chip { chip: word(), detail: word() },
            E::Implausible { chip: word(), detail: word() },
            E::NotWired(Contact(3)),
            E::Energized { contact: Contact(4), volts: 0.1 + 0.2 },
            E::NoSuchRail(word()),
            E::PowerCut(word()),
            E::NoEdgeLine,
            E::NoNfcReader,
            E::NotDone(word()),
            E::CannotSay(word()),
        ];
        for error in errors {
            comes_back(error.clone());
            comes_back(Err::<(), _>(error.clone()));
            comes_back(DutError::Link(error));
        }
        comes_back(DutError::Silent { attempts: 4, garbled: 1 });
        comes_back(DutError::Refused(Refusal::OutOfRange));
        comes_back(DutError::OutOfTurn(Reply::Done));
        comes_back(ProgramError::Page { address: 7, what: "erased", detail: word() });
        comes_back(ProgramError::Page { address: 7, what: "written", detail: word() });
        comes_back(ProgramError::OtherModule { found: u64::MAX, expected: 1 });
        comes_back(Disturbance::Changed { chip: word(), detail: word() });
        comes_back(GuardState::Acted(word()));
    }

    #[test]
    fn answers_come_back() {
        comes_back(Ok::<_, InstrumentError>(Some(NfcTarget { id: vec![4, 5], select_answer: 0 })));
        comes_back(Ok::<_, InstrumentError>(None::<NfcTarget>));
        comes_back(Ok::<_, InstrumentError>(None::<Vec<u8>>));
        comes_back(UsbEcho::Received(vec![1, 2]));
        comes_back(UsbEcho::NoDevice { others: vec![UsbIds { vendor: 0x2B04, product: 7 }] });
        comes_back([3, 127].into_iter().map(Contact).collect::<ContactSet>());
        comes_back(Some(Supply { volts: 3.3, current_limit_amps: f64::INFINITY, of_module: true }));
        comes_back(Ok::<_, InstrumentError>(None::<RailReading>));
        let values = [
            AnswerValue::Yes,
            AnswerValue::No,
            AnswerValue::Choice(2),
            AnswerValue::Number(0.1 + 0.2),
            AnswerValue::Text("AB12".to_owned()),
        ];
        for value in values {
            comes_back(Ok::<_, InstrumentError>(Answer { value, by: Some("0042".to_owned()) }));
        }
        comes_back(Answer { value: AnswerValue::Yes, by: None });
        let advert = Advert {
            address: [1, 2, 3, 4, 5, 6],
            company: 7,
            data: vec![8],
            rssi_dbm: -61.25,
            at: BenchTime(90),
            carrier_offset_hz: None,
        };
        comes_back(vec![advert.clone()]);
        assert_eq!(advert.moved(BenchTime(50), BenchTime(150)).at, BenchTime(190), "heard 40 us after the call");
        assert!(again(&f64::NAN).unwrap().is_nan());
    }

    proptest! {
        #[test]
        fn numbers_come_back_to_the_last_bit(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let back = again(&value).unwrap();
            prop_assert!(value.is_nan() && back.is_nan() || value.to_bits() == back.to_bits(), "{value} {back}");
        }

        #[test]
        fn traces_come_back(
            high_before in any::<bool>(),
            from in 0..u64::MAX / 2,
            edges in proptest::collection::vec((0..1_u64 << 40, any::<bool>()), 0..20),
        ) {
            let mut at_ns = from;
            let edge = |(span, rising)| {
                at_ns += span;
                Edge { at_ns, rising }
            };
            let trace = EdgeTrace { high_before, edges: edges.into_iter().map(edge).collect() };
            prop_assert_eq!(again(&trace), Some(trace));
        }
    }
}
