//! The debug probe's lines to the emulated chip: transfers take the time of their bits, while the chip continues to
//! run.

use crate::bench_fault::ProbeDamage;
use crate::ends::{SharedWorld, Sleep};
use crate::fault::ProbeDefects;
use crate::random::{Purpose, Random};
use crate::world::World;
use async_trait::async_trait;
use bench_instruments::{SwdAnswer, SwdFault, SwdOperation, SwdRegister, SwdWire};
use virtual_nrf52840::{DapFault, DapRegister};

/// Request, turnaround, acknowledge, turnaround, data with parity.
const BITS_PER_TRANSFER: u64 = 46;
/// Words that are transferred before the chip runs again, so that a transfer of a kibibyte is not instantaneous.
const WORDS_AT_ONCE: usize = 64;
/// Writes that nothing waits for are merged up to this much time.
const OWED_NS: u64 = 50_000;
/// A repeated poll for the end of an operation is answered when the operation ends, at the latest after this time. How
/// often a program polls depends on the wall clock; virtual time must not.
const AWAIT_NS: u64 = 20_000_000;
const AWAIT_LOOK_NS: u64 = 200_000;
const NS_PER_S: u64 = 1_000_000_000;

/// State and defects of the lines.
#[derive(Debug, Default)]
pub struct SwdLines {
    /// Serial number of the probe.
    probe: Option<String>,
    open: bool,
    /// Transfers so far, and number of transfers after which the connection is lost.
    transfers: u64,
    lost_after: Option<u64>,
    slower: u64,
    wrong_one_in: Option<f64>,
    chance: Option<Random>,
    twice: bool,
    /// The last answer to the probe was that the operation has not ended.
    told_to_wait: bool,
}

impl SwdLines {
    /// As with another probe.
    pub fn repair(&mut self) {
        self.lost_after = None;
    }

    pub fn new(defects: &ProbeDefects, damage: &ProbeDamage, seed: u64) -> Self {
        Self {
            probe: (!defects.absent).then(|| "VIRTUAL-1".to_owned()),
            open: defects.open,
            transfers: 0,
            lost_after: defects.lost_after,
            slower: damage.slower.unwrap_or(1),
            wrong_one_in: damage.wrong_one_in,
            chance: Some(Random::new(seed, Purpose::ProbeLines)),
            twice: damage.twice,
            told_to_wait: false,
        }
    }

    fn are_cut(&self) -> bool {
        self.open || self.lost_after.is_some_and(|after| self.transfers >= after)
    }

    /// Whether a bit of this transfer is wrong: which one.
    fn wrong_bit(&mut self) -> Option<u32> {
        let one_in = self.wrong_one_in?;
        let chance = self.chance.as_mut()?;
        (chance.unit() * one_in < 1.0).then(|| (chance.bits() % 32) as u32)
    }

    /// Successful transfers.
    pub fn transfers(&self) -> u64 {
        self.transfers
    }
}

impl World {
    /// Whether transfers can reach the chip at all. If not, polling takes no time, because its rate depends on the wall
    /// clock.
    fn swd_reaches(&self) -> bool {
        !self.swd.are_cut() && self.chip.is_powered()
    }

    fn swd_transfer(&mut self, register: SwdRegister, write: Option<u32>) -> Result<u32, SwdFault> {
        if self.swd.are_cut() {
            return Err(SwdFault::NoAnswer);
        }
        self.swd.transfers += 1;
        let register = dap(register);
        let flip = self.swd.wrong_bit().map_or(0, |bit| 1 << bit);
        let write = write.map(|value| value ^ flip);
        let done = match write {
            Some(value) => self.chip.dap_write(register, value, &mut self.rig).map(|()| 0),
            None => self.chip.dap_read(register, &mut self.rig).map(|value| value ^ flip),
        };
        done.map_err(|fault| match fault {
            DapFault::NoAnswer => SwdFault::NoAnswer,
            DapFault::Fault => SwdFault::Fault,
        })
    }
}

fn dap(register: SwdRegister) -> DapRegister {
    match register {
        SwdRegister::Dp(address) => DapRegister::Dp(address),
        SwdRegister::Ap(address) => DapRegister::Ap(address),
    }
}

/// The probe's end of the lines.
pub struct VirtualSwd(pub(crate) SharedWorld);

#[async_trait(?Send)]
impl SwdWire for VirtualSwd {
    fn probes(&self) -> Vec<String> {
        let world = self.0.borrow();
        let copies = if world.swd.twice { 2 } else { 1 };
        world.swd.probe.iter().flat_map(|serial| std::iter::repeat_n(serial.clone(), copies)).collect()
    }

    async fn run(&self, operations: &[SwdOperation], hz: u32) -> SwdAnswer {
        let mut read = Vec::new();
        let slower = self.0.borrow().swd.slower.max(1);
        let mut line = SwdTransfers { world: &self.0, bit_ns: NS_PER_S / u64::from(hz.max(1)) * slower, owed_ns: 0 };
        for operation in operations {
            if let Err(fault) = line.operate(operation, &mut read).await {
                line.pay().await;
                return SwdAnswer { read, fault: Some(fault) };
            }
        }
        line.pay().await;
        SwdAnswer { read, fault: None }
    }
}

struct SwdTransfers<'w> {
    world: &'w SharedWorld,
    bit_ns: u64,
    /// Duration of completed transfers that has not passed yet.
    owed_ns: u64,
}

impl SwdTransfers<'_> {
    async fn operate(&mut self, operation: &SwdOperation, read: &mut Vec<u32>) -> Result<(), SwdFault> {
        if !self.world.borrow().swd_reaches() {
            return match operation {
                SwdOperation::Sequence { .. } => Ok(()),
                _ => Err(SwdFault::NoAnswer),
            };
        }
        match operation {
            SwdOperation::Sequence { bits, length } => {
                self.pass(u64::from(*length)).await;
                self.world.borrow_mut().chip.dap_sequence(*bits, *length);
            }
            SwdOperation::Write { register, values } => {
                for chunk in values.chunks(WORDS_AT_ONCE) {
                    self.pass(BITS_PER_TRANSFER * chunk.len() as u64).await;
                    let mut world = self.world.borrow_mut();
                    chunk.iter().try_for_each(|value| world.swd_transfer(*register, Some(*value)).map(drop))?;
                }
            }
            SwdOperation::Read { register, times } => {
                self.pay().await;
                self.wait_for_chip(*register).await;
                // An access port's value comes with the transfer after it.
                let extra = u64::from(matches!(register, SwdRegister::Ap(_)));
                let mut left = *times;
                while left > 0 {
                    let now = left.min(WORDS_AT_ONCE);
                    left -= now;
                    self.pass(BITS_PER_TRANSFER * (now as u64 + extra)).await;
                    self.pay().await;
                    let mut world = self.world.borrow_mut();
                    for _ in 0..now {
                        read.push(world.swd_transfer(*register, None)?);
                    }
                }
            }
        }
        Ok(())
    }

    async fn pass(&mut self, bits: u64) {
        self.owed_ns += bits * self.bit_ns;
        if self.owed_ns > OWED_NS {
            self.pay().await;
        }
    }

    async fn pay(&mut self) {
        let owed_ns = std::mem::take(&mut self.owed_ns);
        if owed_ns > 0 {
            self.sleep(owed_ns).await;
        }
    }

    async fn sleep(&self, ns: u64) {
        let until = self.world.borrow().now_ns() + ns;
        Sleep::new(self.world, until).await;
    }

    /// See [`AWAIT_NS`].
    async fn wait_for_chip(&self, register: SwdRegister) {
        let is_busy = || self.world.borrow().chip.dap_is_awaited(dap(register));
        let was_told = std::mem::replace(&mut self.world.borrow_mut().swd.told_to_wait, false);
        if !is_busy() {
            return;
        }
        if was_told {
            let until = self.world.borrow().now_ns() + AWAIT_NS;
            while is_busy() && self.world.borrow().now_ns() < until {
                self.sleep(AWAIT_LOOK_NS).await;
            }
        }
        self.world.borrow_mut().swd.told_to_wait = true;
    }
}
