//! A buffered UART that is opened and closed at run time, on ports chosen at opening.

use crate::Irqs;
use dut_protocol::Port;
use embassy_nrf::buffered_uarte::{Baudrate, BufferedUarte, InterruptHandler};
use embassy_nrf::gpio::AnyPin;
use embassy_nrf::interrupt::typelevel::Binding;
use embassy_nrf::ppi::{ConfigurableChannel, Group};
use embassy_nrf::{Peri, timer, uarte};

/// Resources from which the driver is created at each opening.
pub struct Parts<U, T, C, R, G>
where
    U: uarte::Instance,
    T: timer::Instance,
    C: ConfigurableChannel,
    R: ConfigurableChannel,
    G: Group,
{
    pub uarte: Peri<'static, U>,
    pub byte_counter: Peri<'static, T>,
    pub count_channel: Peri<'static, C>,
    pub restart_channel: Peri<'static, R>,
    pub group: Peri<'static, G>,
}

/// Ports of the flow control.
#[derive(Clone, Copy)]
pub struct FlowPorts {
    pub rts: Port,
    pub cts: Port,
}

/// The lines of a UART, named from the microcontroller's side.
#[derive(Clone, Copy)]
pub struct Lines {
    pub tx: Port,
    pub rx: Port,
    pub flow: Option<FlowPorts>,
}

impl<U, T, C, R, G> Parts<U, T, C, R, G>
where
    U: uarte::Instance,
    T: timer::Instance,
    C: ConfigurableChannel,
    R: ConfigurableChannel,
    G: Group,
    Irqs: Binding<U::Interrupt, InterruptHandler<U>>,
{
    /// Creates the driver.
    ///
    /// # Safety
    /// The previous driver no longer exists, and no other uses the ports.
    pub unsafe fn open(
        &self,
        lines: Lines,
        baud: u32,
        received: &'static mut [u8],
        to_send: &'static mut [u8],
    ) -> BufferedUarte<'static> {
        let mut config = uarte::Config::default();
        config.baudrate = baud_rate(baud);
        // SAFETY: promised by the caller.
        let (uarte, byte_counter, count_channel, restart_channel, group, tx, rx) = unsafe {
            (
                self.uarte.clone_unchecked(),
                self.byte_counter.clone_unchecked(),
                self.count_channel.clone_unchecked(),
                self.restart_channel.clone_unchecked(),
                self.group.clone_unchecked(),
                AnyPin::steal(lines.tx.index()),
                AnyPin::steal(lines.rx.index()),
            )
        };
        let (counter, count, restart) = (byte_counter, count_channel, restart_channel);
        match lines.flow {
            None => BufferedUarte::new(uarte, counter, count, restart, group, rx, tx, Irqs, config, received, to_send),
            Some(FlowPorts { rts, cts }) => {
                // SAFETY: promised by the caller.
                let (cts, rts) = unsafe { (AnyPin::steal(cts.index()), AnyPin::steal(rts.index())) };
                BufferedUarte::new_with_rtscts(
                    uarte, counter, count, restart, group, rx, tx, cts, rts, Irqs, config, received, to_send,
                )
            }
        }
    }
}

/// The driver's name of the rate, one of [`dut_protocol::MODEM_BAUDS`].
pub fn baud_rate(baud: u32) -> Baudrate {
    match baud {
        9_600 => Baudrate::Baud9600,
        19_200 => Baudrate::Baud19200,
        38_400 => Baudrate::Baud38400,
        57_600 => Baudrate::Baud57600,
        230_400 => Baudrate::Baud230400,
        250_000 => Baudrate::Baud250000,
        460_800 => Baudrate::Baud460800,
        921_600 => Baudrate::Baud921600,
        1_000_000 => Baudrate::Baud1m,
        _ => Baudrate::Baud115200,
    }
}
