//! Reaction to bugs in this program: releases the ports and restarts. The bench detects the restart by
//! `Identity::reset_reason` and by the refusal of everything except `Hello`.

use crate::{chip, ports};
use core::panic::PanicInfo;
use cortex_m_rt::{ExceptionFrame, exception};
use dut_protocol::check::PortRules;

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    release_and_restart()
}

// SAFETY: the handler returns to nothing and uses no data of the interrupted program.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    release_and_restart()
}

// SAFETY: as above.
#[exception]
unsafe fn DefaultHandler(_: i16) -> ! {
    release_and_restart()
}

fn release_and_restart() -> ! {
    cortex_m::interrupt::disable();
    ports::release(PortRules::new(true).usable());
    chip::restart()
}
