//! EGU: sixteen software events, also used as software interrupts.

use super::{Common, Peripheral, index};
use crate::fabric::Fabric;

#[derive(Debug, Clone)]
pub(crate) struct Egu {
    common: Common,
}

impl Egu {
    pub fn new(id: u8, name: &'static str) -> Egu {
        Egu { common: Common::new(id, name, 0xFFFF, 0) }
    }
}

impl Peripheral for Egu {
    fn common(&self) -> &Common {
        &self.common
    }

    fn read(&mut self, _fabric: &mut Fabric, offset: u32) -> Option<u32> {
        self.common.read(offset)
    }

    fn write(&mut self, fabric: &mut Fabric, offset: u32, value: u32) -> bool {
        match index(offset, 0x000, 4, 16) {
            Some(n) if value & 1 != 0 => self.common.raise(fabric, n as u8),
            Some(_) => {}
            None => return self.common.write(offset, value),
        }
        true
    }
}
