//! The controller's interfaces: clock, I2C bus, link, edge line. All share one world.

use crate::world::{TimerId, World};
use async_trait::async_trait;
use bench_instruments::{Clock, EdgeLine, EdgeTrace, InstrumentError, Link};
use bench_run::BenchTime;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};
use futures_util::future::LocalBoxFuture;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

pub type SharedWorld = Rc<RefCell<World>>;

const NS_PER_US: u64 = 1000;

/// Virtual time.
#[derive(Clone)]
pub struct VirtualClock(pub(crate) SharedWorld);

impl Clock for VirtualClock {
    fn now(&self) -> BenchTime {
        BenchTime::from_micros(self.0.borrow().now_ns() / NS_PER_US)
    }

    fn sleep_until(&self, at: BenchTime) -> LocalBoxFuture<'static, ()> {
        Box::pin(Sleep::new(&self.0, at.as_micros().saturating_mul(NS_PER_US)))
    }
}

/// Ends at a virtual time.
pub(crate) struct Sleep {
    world: SharedWorld,
    at_ns: u64,
    timer: Option<TimerId>,
}

impl Sleep {
    pub fn new(world: &SharedWorld, at_ns: u64) -> Self {
        Self { world: Rc::clone(world), at_ns, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut world = this.world.borrow_mut();
        if let Some(timer) = this.timer.take() {
            world.cancel_timer(timer);
        }
        if world.now_ns() >= this.at_ns {
            return Poll::Ready(());
        }
        this.timer = Some(world.set_timer(this.at_ns, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // The borrow cannot fail: the world is borrowed only while it moves, and it drops no sleeper then.
        if let (Some(timer), Ok(mut world)) = (self.timer, self.world.try_borrow_mut()) {
            world.cancel_timer(timer);
        }
    }
}

/// The fixture's I2C bus. Clones share it.
#[derive(Clone)]
pub struct VirtualI2c(pub(crate) SharedWorld);

impl ErrorType for VirtualI2c {
    type Error = ErrorKind;
}

impl I2c for VirtualI2c {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        self.0.borrow_mut().i2c(address, operations)
    }
}

/// The controller's UART.
pub struct VirtualLink(pub(crate) SharedWorld);

#[async_trait(?Send)]
impl Link for VirtualLink {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), InstrumentError> {
        let mut world = self.0.borrow_mut();
        let now = world.now_ns();
        world.rig.send(bytes, now);
        Ok(())
    }

    async fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), InstrumentError> {
        poll_fn(|context| {
            let uart = &mut self.0.borrow_mut().rig.uart;
            if uart.received.is_empty() {
                uart.receiver = Some(context.waker().clone());
                return Poll::Pending;
            }
            into.append(&mut uart.received);
            Poll::Ready(Ok(()))
        })
        .await
    }

    async fn set_baud(&mut self, baud: u32) -> Result<(), InstrumentError> {
        let sent_at_ns = self.0.borrow().rig.sent_at_ns();
        Sleep::new(&self.0, sent_at_ns).await;
        self.0.borrow_mut().rig.uart.baud = baud;
        Ok(())
    }

    fn discard_input(&mut self) {
        self.0.borrow_mut().rig.uart.received.clear();
    }
}

/// The controller's input behind the Schmitt buffer.
pub struct VirtualEdgeLine(pub(crate) SharedWorld);

impl EdgeLine for VirtualEdgeLine {
    fn begin(&self) -> Result<(), InstrumentError> {
        self.0.borrow_mut().rig.begin_edges();
        Ok(())
    }

    fn end(&self) -> Result<EdgeTrace, InstrumentError> {
        Ok(self.0.borrow_mut().rig.edges.end())
    }
}
