//! What happens when this program is wrong: release the ports, start anew. The bench sees the restart in
//! `Identity::reset_reason` and in the refusal of everything but `Hello`.

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
