//! The person at a virtual desk, who does what is asked, in a person's time.

use async_trait::async_trait;
use bench_instruments::{Answer, Chore, Clock, InstrumentError, NfcReader, Person, Pn532Reader, Question, Task};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use virtual_bench::{People, VirtualBench, VirtualHands, VirtualI2c};

/// To read a request, and to do it.
const TAKES: Duration = Duration::from_secs(3);
/// Address of the chip that stands for the one in a telephone.
const PHONE: u8 = 0x24;

/// A person outside of the virtual bench, who answers in wall time.
pub struct Outsider {
    person: Rc<dyn Person>,
    people: People,
}

impl Outsider {
    pub fn new(world: &VirtualBench, person: Rc<dyn Person>) -> Self {
        Self { person, people: world.people() }
    }
}

#[async_trait(?Send)]
impl Person for Outsider {
    async fn act(&self, task: &Task) -> Result<(), InstrumentError> {
        let _waits = self.people.wait();
        self.person.act(task).await
    }

    async fn tell(&self, task: &Task) -> Result<String, InstrumentError> {
        let _waits = self.people.wait();
        self.person.tell(task).await
    }

    async fn ask(&self, question: &Question) -> Result<Answer, InstrumentError> {
        let _waits = self.people.wait();
        self.person.ask(question).await
    }
}

/// Does the chores of a desk. What a plan asks goes to somebody outside.
pub struct VirtualPerson {
    outside: Rc<dyn Person>,
    hands: VirtualHands,
    clock: Rc<dyn Clock>,
    /// A telephone's own bus.
    phone: Option<VirtualI2c>,
}

impl VirtualPerson {
    pub fn new(world: &VirtualBench, phone: bool, outside: Rc<dyn Person>) -> Self {
        Self { outside, hands: world.hands(), clock: world.clock(), phone: phone.then(|| world.i2c()) }
    }

    /// What the telephone shows.
    async fn read_tag(&self) -> Result<Option<String>, InstrumentError> {
        let Some(bus) = self.phone.clone() else { return Ok(None) };
        let phone = Pn532Reader::start(Rc::new(RefCell::new(bus)), PHONE, Rc::clone(&self.clock))?;
        phone.set_field(phone.strongest()).await?;
        let shown = match phone.find().await? {
            Some(_) => bench_steps::read_tag(&phone).await?,
            None => None,
        };
        phone.set_field(0).await?;
        Ok(shown)
    }
}

#[async_trait(?Send)]
impl Person for VirtualPerson {
    async fn act(&self, task: &Task) -> Result<(), InstrumentError> {
        self.clock.sleep(TAKES).await;
        match task.chore {
            Chore::SwitchOn => self.hands.switch_board(true),
            Chore::PlugUsb => self.hands.plug_usb(true),
            // The telephone is good, and so is the network.
            Chore::Confirm => {}
            Chore::ReadTag => return Err(InstrumentError::NotDone("a tag is read, not done".to_owned())),
        }
        Ok(())
    }

    async fn tell(&self, task: &Task) -> Result<String, InstrumentError> {
        self.clock.sleep(TAKES).await;
        match task.chore {
            Chore::ReadTag => Ok(self.read_tag().await?.unwrap_or_default()),
            Chore::SwitchOn | Chore::PlugUsb | Chore::Confirm => {
                Err(InstrumentError::NotDone("there is nothing to read".to_owned()))
            }
        }
    }

    /// A virtual desk has no eyes: it does not know what an LED looks like.
    async fn ask(&self, question: &Question) -> Result<Answer, InstrumentError> {
        self.outside.ask(question).await
    }
}
