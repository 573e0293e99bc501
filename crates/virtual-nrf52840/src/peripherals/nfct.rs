//! NFCT: tag of type A with EasyDMA, modelled frame by frame.
//!
//! Not modelled: anticollision bit by bit (every select command names a whole part of the identifier), frames without
//! parity bits, MODULATIONCTRL and the antenna's voltage.

use super::{Common, Peripheral};
use crate::fabric::Fabric;
use crate::nfc::{NFC_CARRIER_HZ, NfcFrame};
use crate::time::{MICROSECOND, NEVER, SECOND, Time};

mod event {
    pub const READY: u8 = 0;
    pub const FIELDDETECTED: u8 = 1;
    pub const FIELDLOST: u8 = 2;
    pub const TXFRAMESTART: u8 = 3;
    pub const TXFRAMEEND: u8 = 4;
    pub const RXFRAMESTART: u8 = 5;
    pub const RXFRAMEEND: u8 = 6;
    pub const ERROR: u8 = 7;
    pub const RXERROR: u8 = 10;
    pub const ENDRX: u8 = 11;
    pub const ENDTX: u8 = 12;
    pub const AUTOCOLRESSTARTED: u8 = 14;
    pub const SELECTED: u8 = 19;
    pub const STARTED: u8 = 20;
    /// Includes COLLISION, which this model never generates.
    pub const ALL: u32 = 0x1C_5CFF;
}

mod short {
    pub const FIELDDETECTED_ACTIVATE: u8 = 0;
    pub const FIELDLOST_SENSE: u8 = 1;
    pub const TXFRAMEEND_ENABLERXDATA: u8 = 5;
    pub const ALL: u32 = 0x23;
}

const NAME: &str = "NFCT";
/// Longest time from ACTIVATE to READY.
const RAMP_UP: Time = 500 * MICROSECOND;
/// Periods of the carrier between a reader's frame and a hardware answer (ISO/IEC 14443-3, 6.2.1.1, last bit 0).
const ANSWER_DELAY: u64 = 1172;
/// Grid for the start of answers, in periods of the carrier.
const GRID: u64 = 128;

/// ERRORSTATUS.
const FRAME_DELAY_TIMEOUT: u32 = 1;
/// FRAMESTATUS.RX.
const CRC_ERROR: u32 = 1;
const OVERRUN: u32 = 1 << 3;

/// FRAMECONFIG of both directions.
const PARITY: u32 = 1;
const CRC: u32 = 1 << 4;

const WAKE_IDLE: u8 = 0x26;
const WAKE_ALL: u8 = 0x52;
/// Select commands by cascade level.
const SELECT: [u8; 3] = [0x93, 0x95, 0x97];
const WHOLE_ANTICOLLISION: u8 = 0x20;
const WHOLE_SELECT: u8 = 0x70;
/// First byte of a part of the identifier that is followed by another part, and the bit of the answer that announces
/// it.
const CASCADE_TAG: u8 = 0x88;
const CASCADE: u8 = 0x04;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Disabled,
    Sense,
    RampUp,
    Active,
}

/// States of a tag of type A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Card {
    Idle,
    Ready { level: usize, slept: bool },
    Selected,
    Asleep,
}

#[derive(Debug, Clone)]
struct Sending {
    frame: NfcFrame,
    begins: Time,
    ends: Time,
    has_begun: bool,
    /// The answer of the hardware to a select command for the last part.
    selects: bool,
    /// Requested by STARTTX.
    ordered: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Nfct {
    common: Common,
    state: State,
    card: Card,
    field: bool,
    /// Ignores frames.
    deaf: bool,
    ready_at: Time,
    listens: bool,
    /// End of the reader's last frame.
    heard_at: Time,
    sending: Option<Sending>,
    error_status: u32,
    frame_status: u32,
    delay_min: u32,
    delay_max: u32,
    delay_mode: u32,
    pointer: u32,
    max_length: u32,
    tx_config: u32,
    tx_amount: u32,
    rx_config: u32,
    rx_amount: u32,
    /// NFCID1_LAST, 2ND_LAST, 3RD_LAST.
    id: [u32; 3],
    auto: u32,
    sens_res: u32,
    sel_res: u32,
    powered: u32,
}

impl Nfct {
    pub fn new(field: bool, deaf: bool) -> Nfct {
        Nfct {
            common: Common::new(0x05, NAME, event::ALL, short::ALL),
            state: State::Disabled,
            card: Card::Idle,
            field,
            deaf,
            ready_at: NEVER,
            listens: false,
            heard_at: 0,
            sending: None,
            error_status: 0,
            frame_status: 0,
            delay_min: 0x480,
            delay_max: 0x1000,
            delay_mode: 1,
            pointer: 0,
            max_length: 0,
            tx_config: 0x17,
            tx_amount: 0,
            rx_config: 0x15,
            rx_amount: 0,
            id: [0x6363, 0, 0],
            auto: 2,
            sens_res: 1,
            sel_res: 0,
            powered: 1,
        }
    }

    /// Whether the tag waits for a field.
    pub fn senses(&self) -> bool {
        self.state == State::Sense
    }

    // ---- the reader's side ----

    /// The carrier appears or disappears.
    pub fn set_field(&mut self, fabric: &mut Fabric, field: bool) {
        if field == std::mem::replace(&mut self.field, field) || self.state == State::Disabled {
            return;
        }
        if field {
            self.field_detected(fabric);
            return;
        }
        self.forget_reader();
        self.ready_at = NEVER;
        self.common.raise(fabric, event::FIELDLOST);
        if self.common.has_short(short::FIELDLOST_SENSE) {
            self.state = State::Sense;
        }
    }

    fn field_detected(&mut self, fabric: &mut Fabric) {
        if self.state != State::Sense {
            return;
        }
        self.common.raise(fabric, event::FIELDDETECTED);
        if self.common.has_short(short::FIELDDETECTED_ACTIVATE) {
            self.activate(fabric);
        }
    }

    fn forget_reader(&mut self) {
        self.sending = None;
        self.listens = false;
        self.card = Card::Idle;
    }

    /// The reader has just sent a frame.
    pub fn hear(&mut self, fabric: &mut Fabric, frame: &NfcFrame) {
        if self.state != State::Active || !self.field || self.deaf || self.sending.is_some() {
            return;
        }
        self.heard_at = fabric.now;
        let automatic = self.auto & 1 == 0;
        if automatic && self.card != Card::Selected {
            self.resolve(fabric, frame);
        } else if self.listens {
            self.receive(fabric, frame);
        }
    }

    /// Wake-up, anticollision and selection, which need no software.
    fn resolve(&mut self, fabric: &mut Fabric, frame: &NfcFrame) {
        let slept = matches!(self.card, Card::Asleep | Card::Ready { slept: true, .. });
        let parts = self.parts();
        if frame.last_bits == 7 {
            let wakes = frame.bytes == [WAKE_ALL] || frame.bytes == [WAKE_IDLE] && self.card != Card::Asleep;
            if wakes {
                self.card = Card::Ready { level: 0, slept };
                self.common.raise(fabric, event::AUTOCOLRESSTARTED);
                self.answer(fabric, NfcFrame::plain(&(self.sens_res as u16).to_le_bytes()), false);
            }
            return;
        }
        let Card::Ready { level, .. } = self.card else { return };
        let Some(part) = parts.get(level) else { return };
        let checked = part.iter().fold(0, |sum, byte| sum ^ byte);
        let whole: Vec<u8> = part.iter().copied().chain([checked]).collect();
        if frame.bytes == [SELECT[level], WHOLE_ANTICOLLISION] {
            self.answer(fabric, NfcFrame::plain(&whole), false);
            return;
        }
        let is_meant = match frame.checked() {
            Some([command, WHOLE_SELECT, rest @ ..]) => *command == SELECT[level] && *rest == *whole,
            _ => false,
        };
        if !is_meant {
            self.card = if slept { Card::Asleep } else { Card::Idle };
            return;
        }
        let last = level + 1 == parts.len();
        self.card = if last { Card::Selected } else { Card::Ready { level: level + 1, slept } };
        let selected = self.sel_res as u8 & !CASCADE | if last { 0 } else { CASCADE };
        self.answer(fabric, NfcFrame::with_crc(&[selected]), last);
    }

    /// The identifier in pieces of four bytes, one for each cascade level.
    fn parts(&self) -> Vec<[u8; 4]> {
        let [last, second, third] = self.id.map(u32::to_be_bytes);
        let cascaded = |[_, a, b, c]: [u8; 4]| [CASCADE_TAG, a, b, c];
        match self.sens_res >> 6 & 3 {
            0 => vec![last],
            1 => vec![cascaded(second), last],
            _ => vec![cascaded(third), cascaded(second), last],
        }
    }

    fn answer(&mut self, fabric: &mut Fabric, frame: NfcFrame, selects: bool) {
        let begins = self.heard_at + periods(ANSWER_DELAY);
        self.send(fabric, frame, begins, selects, false);
    }

    fn send(&mut self, fabric: &mut Fabric, frame: NfcFrame, begins: Time, selects: bool, ordered: bool) {
        let ends = begins + periods(frame.periods());
        self.sending = Some(Sending { frame, begins, ends, has_begun: false, selects, ordered });
        fabric.touch(self.common.id);
    }

    /// A frame for the software.
    fn receive(&mut self, fabric: &mut Fabric, frame: &NfcFrame) {
        self.listens = false;
        self.common.raise(fabric, event::RXFRAMESTART);
        let length = frame.bytes.len();
        let kept = length.min(self.max_length as usize);
        if kept > 0 {
            fabric.dma_write(NAME, self.pointer, &frame.bytes[..kept]);
        }
        self.rx_amount = match frame.last_bits {
            8 => (length as u32) << 3,
            bits => (length as u32 - 1) << 3 | u32::from(bits),
        };
        let wrong_crc = self.rx_config & CRC != 0 && frame.checked().is_none();
        let status = if wrong_crc { CRC_ERROR } else { 0 } | if kept < length { OVERRUN } else { 0 };
        self.common.raise(fabric, event::RXFRAMEEND);
        self.common.raise(fabric, event::ENDRX);
        if status != 0 {
            self.frame_status |= status;
            self.common.raise(fabric, event::RXERROR);
        }
    }

    // ---- the chip's side ----

    fn activate(&mut self, fabric: &mut Fabric) {
        self.state = State::RampUp;
        self.card = Card::Idle;
        self.ready_at = fabric.now + RAMP_UP;
        fabric.touch(self.common.id);
    }

    fn start_tx(&mut self, fabric: &mut Fabric) {
        if self.state != State::Active {
            return;
        }
        if self.tx_config & PARITY == 0 {
            fabric.not_supported(NAME, "frames without parity bits");
        }
        let (bytes, bits) = (self.tx_amount >> 3 & 0x1FF, self.tx_amount & 7);
        let length = (bytes + u32::from(bits > 0)).min(self.max_length);
        let data: Vec<u8> = (0..length).map_while(|at| fabric.dma_read(NAME, self.pointer.wrapping_add(at))).collect();
        let frame = match (self.tx_config & CRC != 0, bits) {
            (true, 0) => NfcFrame::with_crc(&data),
            (_, 0) => NfcFrame::plain(&data),
            (_, bits) => NfcFrame { bytes: data, last_bits: bits as u8 },
        };
        self.common.raise(fabric, event::STARTED);
        let (earliest, latest) =
            (self.heard_at + periods(self.delay_min.into()), self.heard_at + periods(self.delay_max.into()));
        let begins = match self.delay_mode {
            0 => fabric.now,
            1 => earliest.max(fabric.now),
            2 => latest,
            _ => self.grid_from(earliest.max(fabric.now), earliest),
        };
        if begins < fabric.now || self.delay_mode != 0 && begins > latest {
            self.error_status |= FRAME_DELAY_TIMEOUT;
            self.common.raise(fabric, event::ERROR);
            return;
        }
        self.send(fabric, frame, begins, false, true);
    }

    /// The first moment from `wanted` on that is a whole number of grid steps after `first`.
    fn grid_from(&self, wanted: Time, first: Time) -> Time {
        let step = periods(GRID);
        first + (wanted - first).div_ceil(step) * step
    }

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        match offset {
            0x000 => self.activate(fabric),
            0x004 => {
                self.forget_reader();
                (self.state, self.ready_at) = (State::Disabled, NEVER);
            }
            0x008 => {
                self.forget_reader();
                (self.state, self.ready_at) = (State::Sense, NEVER);
                if self.field {
                    self.field_detected(fabric);
                }
            }
            0x00C => self.start_tx(fabric),
            0x01C => self.listens = self.state == State::Active,
            0x024 => self.card = Card::Idle,
            0x028 => self.card = Card::Asleep,
            _ => return false,
        }
        true
    }

    fn tag_state(&self) -> u32 {
        match (self.state, &self.sending) {
            (State::Disabled | State::Sense, _) => 0,
            (State::RampUp, _) => 2,
            (State::Active, Some(sending)) if sending.has_begun => 6,
            (State::Active, Some(_)) => 5,
            (State::Active, None) if self.listens => 4,
            (State::Active, None) => 3,
        }
    }

    fn sent(&mut self, fabric: &mut Fabric, sending: &Sending) {
        fabric.board(|board, _, at_ns| board.nfc_frame(&sending.frame, at_ns));
        if sending.selects {
            self.common.raise(fabric, event::SELECTED);
        }
        if sending.ordered {
            self.common.raise(fabric, event::TXFRAMEEND);
            self.common.raise(fabric, event::ENDTX);
            if self.common.has_short(short::TXFRAMEEND_ENABLERXDATA) {
                self.listens = true;
            }
        }
    }
}

/// Duration of a number of periods of the carrier.
fn periods(count: u64) -> Time {
    count * SECOND / NFC_CARRIER_HZ
}

impl Peripheral for Nfct {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        let value = match offset {
            0x404 => self.error_status,
            0x40C => self.frame_status,
            0x410 => self.tag_state(),
            0x420 => u32::from(self.card == Card::Asleep),
            // FIELDPRESENT, LOCKDETECT.
            0x43C => u32::from(self.field) * 3,
            0x504 => self.delay_min,
            0x508 => self.delay_max,
            0x50C => self.delay_mode,
            0x510 => self.pointer,
            0x514 => self.max_length,
            0x518 => self.tx_config,
            0x51C => self.tx_amount,
            0x520 => self.rx_config,
            0x524 => self.rx_amount,
            0x590 | 0x594 | 0x598 => self.id[(offset as usize - 0x590) / 4],
            0x59C => self.auto,
            0x5A0 => self.sens_res,
            0x5A4 => self.sel_res,
            0xFFC => self.powered,
            _ => return self.common.read(offset),
        };
        Some(value)
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if offset < 0x100 {
            return value & 1 == 0 || self.task(fabric, offset);
        }
        match offset {
            0x404 => self.error_status &= !value,
            0x40C => self.frame_status &= !value,
            0x504 => self.delay_min = value & 0xFFFF,
            0x508 => self.delay_max = value & 0xF_FFFF,
            0x50C => self.delay_mode = value & 3,
            0x510 => self.pointer = value,
            0x514 => self.max_length = value & 0x1FF,
            0x518 => self.tx_config = value & 0x17,
            0x51C => self.tx_amount = value & 0xFFF,
            0x520 => self.rx_config = value & 0x15,
            0x590 | 0x594 | 0x598 => self.id[(offset as usize - 0x590) / 4] = value,
            0x59C => self.auto = value & 3,
            0x5A0 => self.sens_res = value & 0xFFFF,
            0x5A4 => self.sel_res = value & 0xFF,
            // Undocumented: switching off and on resets the whole block.
            0xFFC if value & 1 == 0 => *self = Nfct { powered: 0, ..Nfct::new(self.field, self.deaf) },
            0xFFC => self.powered = 1,
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, _fabric: &Fabric) -> Time {
        let sending = self.sending.as_ref().map_or(NEVER, |sending| match sending.has_begun {
            false => sending.begins,
            true => sending.ends,
        });
        sending.min(self.ready_at)
    }

    fn act(&mut self, fabric: &mut Fabric) {
        if self.ready_at <= fabric.now {
            self.ready_at = NEVER;
            self.state = State::Active;
            self.common.raise(fabric, event::READY);
        }
        match &mut self.sending {
            Some(sending) if !sending.has_begun && sending.begins <= fabric.now => {
                sending.has_begun = true;
                if sending.ordered {
                    self.common.raise(fabric, event::TXFRAMESTART);
                }
            }
            Some(sending) if sending.has_begun && sending.ends <= fabric.now => {
                if let Some(sent) = self.sending.take() {
                    self.sent(fabric, &sent);
                }
            }
            _ => {}
        }
    }
}
