//! USBD: full-speed USB device with EasyDMA, modelled transaction by transaction.
//!
//! Not modelled: isochronous endpoints, suspend and wake-up, the drivers of D+ and D- (DPDMVALUE), the time a transfer
//! takes in EasyDMA, and data toggles (every transaction counts as received the first time).

use super::{Common, Peripheral, index};
use crate::fabric::Fabric;
use crate::time::{MICROSECOND, NEVER, Time};

mod event {
    pub const USBRESET: u8 = 0;
    pub const STARTED: u8 = 1;
    /// Register of endpoint 0; the others follow.
    pub const ENDEPIN: u8 = 2;
    pub const EP0DATADONE: u8 = 10;
    pub const ENDEPOUT: u8 = 12;
    pub const SOF: u8 = 21;
    pub const USBEVENT: u8 = 22;
    pub const EP0SETUP: u8 = 23;
    pub const EPDATA: u8 = 24;
    /// Neither ENDISOIN nor ENDISOOUT.
    pub const ALL: u32 = 0x1EF_F7FF;
}

mod short {
    pub const EP0DATADONE_STARTEPIN0: u8 = 0;
    pub const EP0DATADONE_STARTEPOUT0: u8 = 1;
    pub const EP0DATADONE_EP0STATUS: u8 = 2;
    pub const ENDEPOUT0_EP0STATUS: u8 = 3;
    pub const ENDEPOUT0_EP0RCVOUT: u8 = 4;
    pub const ALL: u32 = 0x1F;
}

const NAME: &str = "USBD";
const ENDPOINTS: usize = 8;
const CAUSE_READY: u32 = 1 << 11;
/// From ENABLE to EVENTCAUSE.READY; the specification gives no figure.
const START_UP: Time = 100 * MICROSECOND;
const MAXCNT_MASK: u32 = 0x7F;
/// In bmRequestType: the data stage goes to the host.
const TO_HOST: u8 = 0x80;
const SET_ADDRESS: u8 = 0x05;

/// Answer of the device to a transaction of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsbAnswer {
    /// Answer to IN: a data packet, which may be empty.
    Data(Vec<u8>),
    /// ACK: the device accepted the packet.
    Ack,
    /// NAK: not now.
    Nak,
    /// STALL: the endpoint is halted, or the request is not supported.
    Stall,
    /// No answer: not attached, another address, or no such endpoint.
    Silent,
}

/// PTR, MAXCNT, AMOUNT.
#[derive(Debug, Clone, Copy, Default)]
struct Dma {
    pointer: u32,
    size: u32,
    amount: u32,
}

#[derive(Debug, Clone, Default)]
struct In {
    dma: Dma,
    /// Waits for the host.
    packet: Option<Vec<u8>>,
    halted: bool,
}

#[derive(Debug, Clone, Default)]
struct Out {
    dma: Dma,
    /// Data from the host that EasyDMA has not fetched yet.
    packet: Vec<u8>,
    size: u32,
    /// Accepts the next packet of the host.
    accepts: bool,
    halted: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Usbd {
    common: Common,
    enable: bool,
    pull_up: bool,
    ready_at: Time,
    event_cause: u32,
    address: u8,
    /// Address that takes effect after the status stage.
    new_address: Option<u8>,
    setup: [u8; 8],
    /// EP0STATUS was triggered: the status stage may end.
    status_allowed: bool,
    stalled: bool,
    inputs: [In; ENDPOINTS],
    outputs: [Out; ENDPOINTS],
    in_enabled: u32,
    out_enabled: u32,
    ep_status: u32,
    data_status: u32,
    dtoggle: u32,
    dpdm_value: u32,
    low_power: u32,
    iso: [u32; 2],
    frame: u32,
}

impl Usbd {
    pub fn new() -> Usbd {
        Usbd {
            common: Common::new(0x27, NAME, event::ALL, short::ALL),
            enable: false,
            pull_up: false,
            ready_at: NEVER,
            event_cause: 0,
            address: 0,
            new_address: None,
            setup: [0; 8],
            status_allowed: false,
            stalled: false,
            inputs: Default::default(),
            outputs: Default::default(),
            in_enabled: 1,
            out_enabled: 1,
            ep_status: 0,
            data_status: 0,
            dtoggle: 0x100,
            dpdm_value: 0,
            low_power: 0,
            iso: [0; 2],
            frame: 0,
        }
    }

    // ---- the host's side ----

    /// Whether D+ is pulled up.
    pub fn is_attached(&self, fabric: &Fabric) -> bool {
        self.enable && self.pull_up && fabric.usb_power
    }

    /// The host holds both lines low.
    pub fn bus_reset(&mut self, fabric: &mut Fabric) {
        if !self.is_attached(fabric) {
            return;
        }
        (self.address, self.new_address) = (0, None);
        (self.status_allowed, self.stalled) = (false, false);
        for (input, output) in self.inputs.iter_mut().zip(&mut self.outputs) {
            (input.packet, input.halted) = (None, false);
            (output.accepts, output.halted) = (false, false);
        }
        self.data_status = 0;
        self.common.raise(fabric, event::USBRESET);
    }

    pub fn start_of_frame(&mut self, fabric: &mut Fabric, number: u16) {
        if self.is_attached(fabric) {
            self.frame = u32::from(number & 0x7FF);
            self.common.raise(fabric, event::SOF);
        }
    }

    fn is_meant(&self, fabric: &Fabric, address: u8) -> bool {
        self.is_attached(fabric) && address == self.address
    }

    /// A SETUP transaction, which a device must always take.
    pub fn host_setup(&mut self, fabric: &mut Fabric, address: u8, packet: [u8; 8]) -> UsbAnswer {
        if !self.is_meant(fabric, address) {
            return UsbAnswer::Silent;
        }
        self.setup = packet;
        self.stalled = false;
        self.inputs[0].packet = None;
        self.outputs[0].accepts = false;
        // The peripheral handles SET_ADDRESS by itself.
        let [kind, request, value, ..] = packet;
        let sets_address = (kind, request) == (0, SET_ADDRESS);
        self.new_address = sets_address.then_some(value & 0x7F);
        self.status_allowed = sets_address;
        self.common.raise(fabric, event::EP0SETUP);
        UsbAnswer::Ack
    }

    /// Whether the data stage of the present request goes to the host.
    fn reads(&self) -> bool {
        self.setup[0] & TO_HOST != 0 && self.setup[6..] != [0, 0]
    }

    pub fn host_in(&mut self, fabric: &mut Fabric, address: u8, endpoint: u8) -> UsbAnswer {
        let n = usize::from(endpoint);
        if !self.is_meant(fabric, address) || n >= ENDPOINTS || self.in_enabled >> n & 1 == 0 {
            return UsbAnswer::Silent;
        }
        if n == 0 {
            return self.control_in(fabric);
        }
        if self.inputs[n].halted {
            return UsbAnswer::Stall;
        }
        let Some(packet) = self.inputs[n].packet.take() else { return UsbAnswer::Nak };
        self.data_status |= 1 << n;
        self.common.raise(fabric, event::EPDATA);
        UsbAnswer::Data(packet)
    }

    fn control_in(&mut self, fabric: &mut Fabric) -> UsbAnswer {
        if self.stalled {
            return UsbAnswer::Stall;
        }
        if self.reads() {
            let Some(packet) = self.inputs[0].packet.take() else { return UsbAnswer::Nak };
            self.data_done(fabric);
            return UsbAnswer::Data(packet);
        }
        if !std::mem::take(&mut self.status_allowed) {
            return UsbAnswer::Nak;
        }
        if let Some(address) = self.new_address.take() {
            self.address = address;
        }
        UsbAnswer::Data(Vec::new())
    }

    pub fn host_out(&mut self, fabric: &mut Fabric, address: u8, endpoint: u8, packet: &[u8]) -> UsbAnswer {
        let n = usize::from(endpoint);
        if !self.is_meant(fabric, address) || n >= ENDPOINTS || self.out_enabled >> n & 1 == 0 {
            return UsbAnswer::Silent;
        }
        if n == 0 && self.stalled || self.outputs[n].halted {
            return UsbAnswer::Stall;
        }
        if n == 0 && self.reads() {
            // The status stage.
            let allowed = packet.is_empty() && std::mem::take(&mut self.status_allowed);
            return if allowed { UsbAnswer::Ack } else { UsbAnswer::Nak };
        }
        let output = &mut self.outputs[n];
        if !std::mem::take(&mut output.accepts) {
            return UsbAnswer::Nak;
        }
        output.packet = packet.to_vec();
        output.size = packet.len() as u32;
        if n == 0 {
            self.data_done(fabric);
        } else {
            self.data_status |= 1 << (16 + n);
            self.common.raise(fabric, event::EPDATA);
        }
        UsbAnswer::Ack
    }

    // ---- the chip's side ----

    fn data_done(&mut self, fabric: &mut Fabric) {
        self.common.raise(fabric, event::EP0DATADONE);
        if self.common.has_short(short::EP0DATADONE_STARTEPIN0) {
            self.start_in(fabric, 0);
        }
        if self.common.has_short(short::EP0DATADONE_STARTEPOUT0) {
            self.start_out(fabric, 0);
        }
        if self.common.has_short(short::EP0DATADONE_EP0STATUS) {
            self.status_allowed = true;
        }
    }

    /// EasyDMA from RAM to the endpoint's buffer.
    fn start_in(&mut self, fabric: &mut Fabric, n: usize) {
        let Dma { pointer, size, .. } = self.inputs[n].dma;
        let packet: Option<Vec<u8>> = (0..size).map(|at| fabric.dma_read(NAME, pointer.wrapping_add(at))).collect();
        self.inputs[n].dma.amount = size;
        self.inputs[n].packet = Some(packet.unwrap_or_else(|| vec![0; size as usize]));
        self.ep_status |= 1 << n;
        self.common.raise(fabric, event::STARTED);
        self.common.raise(fabric, event::ENDEPIN + n as u8);
    }

    /// EasyDMA from the endpoint's buffer to RAM.
    fn start_out(&mut self, fabric: &mut Fabric, n: usize) {
        let output = &mut self.outputs[n];
        let length = output.packet.len().min(output.dma.size as usize);
        output.dma.amount = length as u32;
        let (pointer, packet) = (output.dma.pointer, std::mem::take(&mut output.packet));
        // Endpoint 0 waits for EP0RCVOUT.
        output.accepts = n != 0;
        if length > 0 {
            fabric.dma_write(NAME, pointer, &packet[..length]);
        }
        self.ep_status |= 1 << (16 + n);
        self.common.raise(fabric, event::STARTED);
        self.common.raise(fabric, event::ENDEPOUT + n as u8);
        if n == 0 && self.common.has_short(short::ENDEPOUT0_EP0STATUS) {
            self.status_allowed = true;
        }
        if n == 0 && self.common.has_short(short::ENDEPOUT0_EP0RCVOUT) {
            self.outputs[0].accepts = true;
        }
    }

    fn task(&mut self, fabric: &mut Fabric, offset: u32) -> bool {
        if !self.enable {
            fabric.not_supported(NAME, "a task while not enabled");
            return true;
        }
        if let Some(n) = index(offset, 0x004, 4, ENDPOINTS as u32) {
            self.start_in(fabric, n);
        } else if let Some(n) = index(offset, 0x028, 4, ENDPOINTS as u32) {
            self.start_out(fabric, n);
        } else {
            match offset {
                0x04C => self.outputs[0].accepts = true,
                0x050 => self.status_allowed = true,
                0x054 => self.stalled = true,
                0x024 | 0x048 => fabric.not_supported(NAME, "isochronous transfers"),
                0x058 | 0x05C => fabric.not_supported(NAME, "driving D+ and D- (DPDMDRIVE)"),
                _ => return false,
            }
        }
        true
    }

    fn set_enable(&mut self, fabric: &mut Fabric, enable: bool) {
        if enable == self.enable {
            return;
        }
        let common = self.common.clone();
        *self = Usbd { common, enable, ..Usbd::new() };
        self.ready_at = if enable { fabric.now + START_UP } else { NEVER };
    }

    /// EPSTALL: EP, IO (1: IN), STALL.
    fn set_stall(&mut self, value: u32) {
        let (n, stall) = ((value & 7) as usize, value >> 8 & 1 != 0);
        if value >> 7 & 1 != 0 {
            self.inputs[n].halted = stall;
        } else {
            self.outputs[n].halted = stall;
        }
    }
}

impl Peripheral for Usbd {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        let dma = |dma: &Dma, field: u32| [dma.pointer, dma.size, dma.amount][field as usize / 4];
        for field in [0, 4, 8] {
            if let Some(n) = index(offset, 0x600 + field, 20, ENDPOINTS as u32) {
                return Some(dma(&self.inputs[n].dma, field));
            }
            if let Some(n) = index(offset, 0x700 + field, 20, ENDPOINTS as u32) {
                return Some(dma(&self.outputs[n].dma, field));
            }
        }
        if let Some(n) = index(offset, 0x420, 4, ENDPOINTS as u32) {
            return Some(u32::from(self.inputs[n].halted));
        }
        if let Some(n) = index(offset, 0x444, 4, ENDPOINTS as u32) {
            return Some(u32::from(self.outputs[n].halted));
        }
        if let Some(n) = index(offset, 0x480, 4, 8) {
            return Some(u32::from(self.setup[n]));
        }
        if let Some(n) = index(offset, 0x4A0, 4, ENDPOINTS as u32) {
            return Some(self.outputs[n].size);
        }
        let value = match offset {
            0x400 => self.event_cause,
            0x468 => self.ep_status,
            0x46C => self.data_status,
            0x470 => u32::from(self.address),
            0x500 => u32::from(self.enable),
            0x504 => u32::from(self.pull_up),
            0x508 => self.dpdm_value,
            0x50C => self.dtoggle,
            0x510 => self.in_enabled,
            0x514 => self.out_enabled,
            0x51C | 0x530 => self.iso[usize::from(offset == 0x530)],
            0x520 => self.frame,
            0x52C => self.low_power,
            _ => return self.common.read(offset),
        };
        Some(value)
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        if offset < 0x100 {
            return value & 1 == 0 || self.task(fabric, offset);
        }
        let dma = |dma: &mut Dma, field: u32| match field {
            0 => dma.pointer = value,
            _ => dma.size = value & MAXCNT_MASK,
        };
        for field in [0, 4] {
            if let Some(n) = index(offset, 0x600 + field, 20, ENDPOINTS as u32) {
                dma(&mut self.inputs[n].dma, field);
                return true;
            }
            if let Some(n) = index(offset, 0x700 + field, 20, ENDPOINTS as u32) {
                dma(&mut self.outputs[n].dma, field);
                return true;
            }
        }
        if let Some(n) = index(offset, 0x4A0, 4, ENDPOINTS as u32) {
            // Any value: the buffer is free, the next packet is accepted. Endpoint 0 waits for EP0RCVOUT.
            self.outputs[n].size = 0;
            self.outputs[n].accepts = n != 0;
            return true;
        }
        match offset {
            0x400 => self.event_cause &= !value,
            0x468 => self.ep_status &= !value,
            0x46C => self.data_status &= !value,
            0x500 => self.set_enable(fabric, value & 1 != 0),
            0x504 => self.pull_up = value & 1 != 0,
            0x508 => self.dpdm_value = value & 0x1F,
            0x50C => self.dtoggle = value & 0x387,
            0x510 | 0x514 => {
                let enabled = if offset == 0x510 { &mut self.in_enabled } else { &mut self.out_enabled };
                *enabled = value & 0x1FF;
                if value >> 8 & 1 != 0 {
                    fabric.not_supported(NAME, "isochronous transfers");
                }
            }
            0x518 => self.set_stall(value),
            0x51C | 0x530 => self.iso[usize::from(offset == 0x530)] = value,
            0x52C => {
                self.low_power = value & 1;
                if self.low_power != 0 {
                    fabric.not_supported(NAME, "suspend (LOWPOWER)");
                }
            }
            _ => return self.common.write(offset, value),
        }
        true
    }

    fn deadline(&self, fabric: &Fabric) -> Time {
        // Without the USB regulator's output the peripheral does not start.
        if fabric.usb_power { self.ready_at } else { NEVER }
    }

    fn act(&mut self, fabric: &mut Fabric) {
        self.ready_at = NEVER;
        self.event_cause |= CAUSE_READY;
        self.common.raise(fabric, event::USBEVENT);
    }
}
