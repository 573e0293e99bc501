//! The PN532's commands, and its exchanges with a tag of type A.

use std::collections::BTreeMap;
use virtual_nrf52840::NfcFrame;

mod command {
    pub const GET_FIRMWARE_VERSION: u8 = 0x02;
    pub const READ_REGISTER: u8 = 0x06;
    pub const WRITE_REGISTER: u8 = 0x08;
    pub const SAM_CONFIGURATION: u8 = 0x14;
    pub const RF_CONFIGURATION: u8 = 0x32;
    pub const IN_DATA_EXCHANGE: u8 = 0x40;
    pub const IN_COMMUNICATE_THRU: u8 = 0x42;
    pub const IN_DESELECT: u8 = 0x44;
    pub const IN_LIST_PASSIVE_TARGET: u8 = 0x4A;
    pub const IN_RELEASE: u8 = 0x52;
}

/// Items of RFConfiguration.
mod item {
    pub const FIELD: u8 = 0x01;
    pub const TIMINGS: u8 = 0x02;
    pub const RETRIES_COM: u8 = 0x04;
    pub const RETRIES: u8 = 0x05;
    /// Analog settings for tags of type A at 106 kbit/s; CIU_CWGsP is the third of the eleven.
    pub const ANALOG_A: u8 = 0x0A;
}

/// PN532, version 1.6, with support of type A, type B and NFCIP.
const VERSION: [u8; 4] = [0x32, 0x01, 0x06, 0x07];
const ANALOG_BYTES: usize = 11;
const STRENGTH_PLACE: usize = 2;
/// Register CIU_CWGsP: conductance of the transmitter's upper driver while the carrier is not modulated.
const STRENGTH_REGISTER: u16 = 0x6318;
const STRENGTH_MASK: u8 = 0x3F;
/// Conductance, in the register's steps, at which half of the voltage is lost in the driver: a guess that makes the
/// field follow the register over a decade, as a matched antenna does.
const HALF_STEPS: f64 = 20.0;

/// Errors in the answers of the commands.
const OK: u8 = 0x00;
const TIMEOUT: u8 = 0x01;
const CRC_ERROR: u8 = 0x02;
const NOT_ACCEPTABLE: u8 = 0x27;

const WAKE_IDLE: u8 = 0x26;
const HALT: [u8; 2] = [0x50, 0x00];
const SELECT: [u8; 3] = [0x93, 0x95, 0x97];
const CASCADE_TAG: u8 = 0x88;
const CASCADE: u8 = 0x04;
/// Tries to find a tag that never end.
const FOR_EVER: u8 = 0xFF;

/// From the carrier to the first frame: tags need 5 ms (ISO/IEC 14443-3, 5.1).
const GUARD_NS: u64 = 5_000_000;
/// Timeout of an answer to wake-up and selection, and pause before the next try.
const RESOLVE_NS: u64 = 1_000_000;
const PAUSE_NS: u64 = 4_000_000;
/// Shortest time between a tag's frame and the reader's next (ISO/IEC 14443-3, 6.2.1.2).
const NEXT_FRAME_NS: u64 = 90_000;

/// Outcome of a command.
pub enum Outcome {
    Done(Vec<u8>),
    /// The result comes later.
    Working,
    Unknown,
}

#[derive(Debug, Clone, Default)]
enum Work {
    #[default]
    None,
    List {
        tries_left: u8,
        stage: Stage,
        sens_res: [u8; 2],
        id: Vec<u8>,
    },
    Exchange {
        data: Vec<u8>,
        tries_left: u8,
    },
    /// Sends a tag to sleep, which does not answer.
    Halt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    WakeUp,
    /// By cascade level.
    Anticollision(usize),
    Select(usize),
}

#[derive(Debug, Clone)]
pub struct Reader {
    configured: bool,
    field_on: bool,
    /// CIU_CWGsP.
    strength: u8,
    registers: BTreeMap<u16, u8>,
    exchange_ns: u64,
    exchange_retries: u8,
    list_retries: u8,
    has_target: bool,
    work: Work,
    /// A frame on its way, and when it ends.
    sending: Option<(u64, NfcFrame)>,
    /// No answer is expected any more then.
    deadline_ns: Option<u64>,
    result: Option<Vec<u8>>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            configured: false,
            field_on: false,
            strength: STRENGTH_MASK,
            registers: BTreeMap::new(),
            // 51.2 ms, no further tries for exchanges, endless ones for tags.
            exchange_ns: retry_timeout_ns(0x0A),
            exchange_retries: 0,
            list_retries: FOR_EVER,
            has_target: false,
            work: Work::None,
            sending: None,
            deadline_ns: None,
            result: None,
        }
    }
}

/// Timeouts are given as powers of two of 100 us.
fn retry_timeout_ns(code: u8) -> u64 {
    match code {
        0 => u64::MAX / 4,
        code => 100_000 << (code - 1).min(15),
    }
}

impl Reader {
    pub fn field(&self) -> f64 {
        let steps = f64::from(self.strength);
        if self.field_on { steps / (steps + HALF_STEPS) } else { 0.0 }
    }

    pub fn next_event_ns(&self) -> Option<u64> {
        self.sending.as_ref().map(|(at, _)| *at).or(self.deadline_ns)
    }

    pub fn take_result(&mut self) -> Option<Vec<u8>> {
        self.result.take()
    }

    pub fn abort(&mut self) {
        self.work = Work::None;
        (self.sending, self.deadline_ns, self.result) = (None, None, None);
    }

    pub fn command(&mut self, code: u8, data: &[u8], ready_ns: u64) -> Outcome {
        self.abort();
        let needs_field = code >= command::RF_CONFIGURATION;
        if needs_field && !self.configured {
            // Until then the chip is in low-battery mode.
            return Outcome::Unknown;
        }
        match (code, data) {
            (command::GET_FIRMWARE_VERSION, []) => Outcome::Done(VERSION.to_vec()),
            (command::SAM_CONFIGURATION, [1..=4, ..]) => {
                self.configured = true;
                Outcome::Done(Vec::new())
            }
            (command::READ_REGISTER, data) => self.read_registers(data),
            (command::WRITE_REGISTER, data) => self.write_registers(data),
            (command::RF_CONFIGURATION, [item, data @ ..]) => self.configure(*item, data),
            (command::IN_LIST_PASSIVE_TARGET, [1..=2, 0x00, ..]) => {
                self.list(ready_ns);
                Outcome::Working
            }
            (command::IN_DATA_EXCHANGE, [target, data @ ..]) => self.exchange(Some(*target), data, ready_ns),
            (command::IN_COMMUNICATE_THRU, data) => self.exchange(None, data, ready_ns),
            (command::IN_DESELECT | command::IN_RELEASE, [_]) => {
                if !std::mem::take(&mut self.has_target) || !self.field_on {
                    return Outcome::Done(vec![OK]);
                }
                self.work = Work::Halt;
                self.send(NfcFrame::with_crc(&HALT), ready_ns);
                Outcome::Working
            }
            _ => Outcome::Unknown,
        }
    }

    fn read_registers(&self, data: &[u8]) -> Outcome {
        if data.is_empty() || !data.len().is_multiple_of(2) {
            return Outcome::Unknown;
        }
        let value = |address: u16| match address {
            STRENGTH_REGISTER => self.strength,
            other => self.registers.get(&other).copied().unwrap_or(0),
        };
        Outcome::Done(data.chunks_exact(2).map(|pair| value(u16::from_be_bytes([pair[0], pair[1]]))).collect())
    }

    fn write_registers(&mut self, data: &[u8]) -> Outcome {
        if data.is_empty() || !data.len().is_multiple_of(3) {
            return Outcome::Unknown;
        }
        for triple in data.chunks_exact(3) {
            match u16::from_be_bytes([triple[0], triple[1]]) {
                STRENGTH_REGISTER => self.strength = triple[2] & STRENGTH_MASK,
                other => drop(self.registers.insert(other, triple[2])),
            }
        }
        Outcome::Done(Vec::new())
    }

    fn configure(&mut self, item: u8, data: &[u8]) -> Outcome {
        match (item, data) {
            (item::FIELD, [value]) => {
                self.field_on = value & 1 == 1;
                self.has_target &= self.field_on;
            }
            (item::TIMINGS, [_, _, exchange]) => self.exchange_ns = retry_timeout_ns(*exchange),
            (item::RETRIES_COM, [retries]) => self.exchange_retries = *retries,
            (item::RETRIES, [_, _, list]) => self.list_retries = *list,
            (item::ANALOG_A, settings) if settings.len() == ANALOG_BYTES => {
                self.strength = settings[STRENGTH_PLACE] & STRENGTH_MASK;
            }
            _ => return Outcome::Unknown,
        }
        Outcome::Done(Vec::new())
    }

    fn list(&mut self, ready_ns: u64) {
        self.has_target = false;
        let begins = if std::mem::replace(&mut self.field_on, true) { ready_ns } else { ready_ns + GUARD_NS };
        self.work =
            Work::List { tries_left: self.list_retries, stage: Stage::WakeUp, sens_res: [0; 2], id: Vec::new() };
        self.send(NfcFrame::short(WAKE_IDLE), begins);
    }

    fn exchange(&mut self, target: Option<u8>, data: &[u8], ready_ns: u64) -> Outcome {
        if target.is_some_and(|target| target != 1 || !self.has_target) {
            return Outcome::Done(vec![NOT_ACCEPTABLE]);
        }
        if !self.field_on {
            return Outcome::Done(vec![TIMEOUT]);
        }
        self.work = Work::Exchange { data: data.to_vec(), tries_left: self.exchange_retries };
        self.send(NfcFrame::with_crc(data), ready_ns);
        Outcome::Working
    }

    fn send(&mut self, frame: NfcFrame, begins_ns: u64) {
        self.deadline_ns = None;
        self.sending = Some((begins_ns + frame.airtime_ns(), frame));
    }

    /// Executes what is due; returns the frame that has just been sent.
    pub fn act(&mut self, now_ns: u64) -> Option<NfcFrame> {
        if let Some((_, frame)) = self.sending.take_if(|(at, _)| *at <= now_ns) {
            let wait = match self.work {
                Work::Exchange { .. } => self.exchange_ns,
                _ => RESOLVE_NS,
            };
            self.deadline_ns = Some(now_ns.saturating_add(wait));
            return Some(frame);
        }
        if self.deadline_ns.take_if(|at| *at <= now_ns).is_some() {
            self.nobody_answered(now_ns);
        }
        None
    }

    fn nobody_answered(&mut self, now_ns: u64) {
        match &mut self.work {
            Work::List { tries_left: 0, .. } => self.finish(vec![0]),
            Work::List { tries_left, stage, id, .. } => {
                *tries_left -= u8::from(*tries_left != FOR_EVER);
                *stage = Stage::WakeUp;
                id.clear();
                self.send(NfcFrame::short(WAKE_IDLE), now_ns + PAUSE_NS);
            }
            Work::Exchange { tries_left: 0, .. } => self.finish(vec![TIMEOUT]),
            Work::Exchange { tries_left, data } => {
                *tries_left -= 1;
                let frame = NfcFrame::with_crc(data);
                self.send(frame, now_ns + NEXT_FRAME_NS);
            }
            Work::Halt => self.finish(vec![OK]),
            Work::None => {}
        }
    }

    fn finish(&mut self, result: Vec<u8>) {
        self.abort();
        self.result = Some(result);
    }

    /// A tag has just sent a frame. The reader ignores it unless it waits for one.
    pub fn hear(&mut self, frame: &NfcFrame, now_ns: u64) {
        if self.deadline_ns.is_none_or(|at| at < now_ns) {
            return;
        }
        match std::mem::take(&mut self.work) {
            Work::Exchange { .. } => match frame.checked() {
                Some(data) => self.finish([&[OK], data].concat()),
                None => self.finish(vec![CRC_ERROR]),
            },
            Work::List { tries_left, stage, sens_res, id } => {
                self.resolve(frame, now_ns, tries_left, stage, sens_res, id);
            }
            other => self.work = other,
        }
    }

    fn resolve(
        &mut self,
        frame: &NfcFrame,
        now_ns: u64,
        tries_left: u8,
        stage: Stage,
        sens_res: [u8; 2],
        mut id: Vec<u8>,
    ) {
        let next = now_ns + NEXT_FRAME_NS;
        let (frame, stage, sens_res) = match (stage, frame.bytes.as_slice()) {
            (Stage::WakeUp, &[low, high]) => {
                (NfcFrame::plain(&[SELECT[0], 0x20]), Stage::Anticollision(0), [high, low])
            }
            (Stage::Anticollision(level), part @ [a, b, c, d, check]) if a ^ b ^ c ^ d == *check => {
                let part_of_id = if *a == CASCADE_TAG { &part[1..4] } else { &part[..4] };
                id.extend(part_of_id);
                let select = [&[SELECT[level], 0x70], part].concat();
                (NfcFrame::with_crc(&select), Stage::Select(level), sens_res)
            }
            (Stage::Select(level), _) => match frame.checked() {
                Some([answer]) if answer & CASCADE != 0 && level + 1 < SELECT.len() => {
                    let frame = NfcFrame::plain(&[SELECT[level + 1], 0x20]);
                    (frame, Stage::Anticollision(level + 1), sens_res)
                }
                Some([answer]) => {
                    self.has_target = true;
                    let head = [1, 1, sens_res[0], sens_res[1], *answer, id.len() as u8];
                    return self.finish([&head[..], &id].concat());
                }
                _ => return self.not_understood(tries_left, sens_res, now_ns),
            },
            _ => return self.not_understood(tries_left, sens_res, now_ns),
        };
        self.work = Work::List { tries_left, stage, sens_res, id };
        self.send(frame, next);
    }

    fn not_understood(&mut self, tries_left: u8, sens_res: [u8; 2], now_ns: u64) {
        self.work = Work::List { tries_left, stage: Stage::WakeUp, sens_res, id: Vec::new() };
        self.deadline_ns = None;
        self.nobody_answered(now_ns);
    }
}
