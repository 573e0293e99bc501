//! The one owner of power: what is meant to be on, whether it is, and who took it away.
//!
//! Steps switch rails through it. A cut by anybody (watchdog, guard, lid, current limit, an expander that reset itself) is noticed
//! here before the next reading is judged; from then on nothing is switched but into the safe state.

use crate::lateness::{Late, Lateness};
use async_trait::async_trait;
use bench_instruments::{Clock, Disturbance, GuardState, InstrumentError, Panel, RailReading, Rails, Switches};
use bench_run::{BenchTime, Contact, Verdict};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::watch;

/// A watchdog's timer may be short by so much (TPS3431 data sheet, t_WD: 10 % with an external capacitor).
const EARLY_WATCHDOG: f64 = 0.85;
/// A rail below this share of its voltage has collapsed.
const COLLAPSED: f64 = 0.75;
/// A rail that delivers more than this share of its limit has collapsed because of what it feeds.
const OVERLOADED: f64 = 0.5;
/// Less lateness than this makes no guard act.
const WORTH_NAMING: Duration = Duration::from_millis(50);
/// Glances in a row that must agree that a rail has collapsed: one of them may be in the middle of a change.
const AGREE: u8 = 2;

/// Who took the power away.
#[derive(Debug, Clone, PartialEq)]
pub enum CutBy {
    /// The kicks were late, and why.
    Watchdog(Late),
    Guard,
    Lid,
    Emergency,
    /// The supply's own limit, which acts on what the module draws.
    CurrentLimit {
        contacts: Vec<Contact>,
    },
    /// A chip of the fixture.
    Fixture,
    /// The bench itself may not continue: its guard is gone.
    GuardLost,
}

/// The power is off, or must go off, without the run's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    pub by: CutBy,
    /// For the person who must act.
    pub text: String,
    pub at: BenchTime,
}

impl Cut {
    /// What it makes of the steps that ran.
    pub fn verdict(&self) -> Verdict {
        match self.by {
            CutBy::Lid | CutBy::Emergency => Verdict::Aborted,
            CutBy::CurrentLimit { .. } => Verdict::Fail,
            CutBy::Watchdog(_) | CutBy::Guard | CutBy::Fixture | CutBy::GuardLost => Verdict::Error,
        }
    }

    /// Whether rails may still be on: then the modem may be switched off in order.
    pub fn leaves_power(&self) -> bool {
        self.by == CutBy::GuardLost
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[derive(Default)]
struct State {
    /// Rails that are meant to be on.
    on: BTreeSet<String>,
    /// Those of `on` whose voltage was judged good.
    settled: BTreeSet<String>,
    /// The rail whose last glance was low, and how many were.
    low: Option<(String, u8)>,
    /// What [`Power::check_next`] checks next.
    next: usize,
}

/// The owner of the power of one nest, for one run.
pub struct Power {
    clock: Rc<dyn Clock>,
    rails: Rc<dyn Rails>,
    switches: Rc<dyn Switches>,
    panel: Panel,
    lateness: Rc<Lateness>,
    state: RefCell<State>,
    cut: watch::Sender<Option<Cut>>,
    /// Of the watchdog's line.
    level: Cell<bool>,
    kicked_at: Cell<Option<BenchTime>>,
    /// When the switches of the rails were last seen to be as they were set.
    seen_at: Cell<Option<BenchTime>>,
    /// Steps at work that switch rails themselves.
    switching: Cell<usize>,
}

/// A step that may switch rails is running. While this exists, no other code judges the voltages of its rails.
pub struct Switching<'a>(&'a Power);

impl Drop for Switching<'_> {
    fn drop(&mut self) {
        self.0.switching.set(self.0.switching.get().saturating_sub(1));
    }
}

impl Power {
    pub fn new(nest: &bench_steps::Nest, lateness: Rc<Lateness>) -> Self {
        Self {
            clock: Rc::clone(&nest.clock),
            rails: Rc::clone(&nest.rails),
            switches: Rc::clone(&nest.switches),
            panel: nest.panel.clone(),
            lateness,
            state: RefCell::default(),
            cut: watch::Sender::new(None),
            level: Cell::new(false),
            kicked_at: Cell::new(None),
            seen_at: Cell::new(None),
            switching: Cell::new(0),
        }
    }

    pub fn lateness(&self) -> &Lateness {
        &self.lateness
    }

    /// The cut, if there was one.
    pub fn cut(&self) -> Option<Cut> {
        self.cut.borrow().clone()
    }

    /// Ends when there is a cut.
    pub async fn until_cut(&self) -> Cut {
        let mut seen = self.cut.subscribe();
        loop {
            if let Some(cut) = seen.borrow_and_update().clone() {
                return cut;
            }
            if seen.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Rails that are meant to be on now.
    pub fn on_now(&self) -> BTreeSet<String> {
        self.state.borrow().on.clone()
    }

    /// What is on now was judged to be good.
    pub fn settled(&self) {
        let mut state = self.state.borrow_mut();
        state.settled = state.on.clone();
    }

    /// A step that switches rails begins.
    pub fn switching(&self) -> Switching<'_> {
        self.switching.set(self.switching.get() + 1);
        Switching(self)
    }

    fn note(&self, by: CutBy, text: String) -> Cut {
        let cut = Cut { by, text, at: self.clock.now() };
        if !cut.leaves_power() {
            self.switches.lock(&cut.text);
        }
        self.cut.send_if_modified(|known| known.is_none() && known.replace(cut.clone()).is_none());
        self.cut().unwrap_or(cut)
    }

    /// What can be known without a transfer: emergency stop, lid, guard, and whether the kicks came in time.
    ///
    /// # Errors
    /// The cut, from now on every time.
    pub fn look(&self) -> Result<(), Cut> {
        if let Some(cut) = self.cut() {
            return Err(cut);
        }
        if let Some(cut) = self.known_author() {
            return Err(cut);
        }
        if let Some(GuardState::Gone(why)) = self.guard_state() {
            let text = format!("the guard of the rails is gone ({why}): nothing is tested without it");
            return Err(self.note(CutBy::GuardLost, text));
        }
        if self.watchdog_may_have_acted() {
            return self.check_all();
        }
        Ok(())
    }

    /// The same, and the switches of the rails are read back, unless no time has passed since that was done last. For the
    /// moment before a reading is judged.
    ///
    /// # Errors
    /// The cut.
    pub fn look_before_judging(&self) -> Result<(), Cut> {
        self.look()?;
        if self.seen_at.get() == Some(self.clock.now()) || self.state.borrow().on.is_empty() {
            return Ok(());
        }
        self.switches.rail_parts().into_iter().try_for_each(|part| self.check(part))?;
        self.seen_at.set(Some(self.clock.now()));
        Ok(())
    }

    /// Everything that can be read back is compared with what was ordered.
    ///
    /// # Errors
    /// The cut.
    pub fn check_all(&self) -> Result<(), Cut> {
        self.cut().map_or(Ok(()), Err)?;
        (0..self.switches.parts()).try_for_each(|part| self.check(part))?;
        self.seen_at.set(Some(self.clock.now()));
        Ok(())
    }

    /// One part or one rail, the next one each time.
    ///
    /// # Errors
    /// The cut.
    pub fn check_next(&self) -> Result<(), Cut> {
        let settled: Vec<String> = {
            let state = self.state.borrow();
            state.settled.intersection(&state.on).cloned().collect()
        };
        let parts = self.switches.parts();
        let next = self.state.borrow().next % (parts + settled.len()).max(1);
        self.state.borrow_mut().next = next + 1;
        match next.checked_sub(parts).and_then(|rail| settled.get(rail)) {
            Some(rail) => self.glance(rail),
            None if next < parts => self.check(next),
            None => Ok(()),
        }
    }

    /// Measures the rails that were good, and reads all switches back: for an attempt that did not pass, before the module is
    /// blamed.
    ///
    /// # Errors
    /// The cut.
    pub async fn check_thoroughly(&self) -> Result<(), Cut> {
        self.look()?;
        self.check_all()?;
        if self.switching.get() > 0 {
            return Ok(());
        }
        let settled = self.state.borrow().settled.clone();
        for rail in settled {
            // A monitor that does not answer is reported by the step that needs it.
            if let Ok(reading) = self.rails.measure(&rail).await
                && self.state.borrow().on.contains(&rail)
                && let Some(supply) = self.switches.supply(&rail)
                && reading.volts < COLLAPSED * supply.volts
            {
                return Err(self.collapsed(&rail, reading));
            }
        }
        Ok(())
    }

    /// A cut whose author shows: emergency stop and lid, which may cut the rails in hardware, and a guard that acted.
    fn known_author(&self) -> Option<Cut> {
        let unwatched =
            |what: &str, error| Some(self.note(CutBy::Fixture, format!("{what} cannot be watched: {error}")));
        match self.panel.emergency.as_ref().map(|emergency| emergency.is_active()) {
            None | Some(Ok(false)) => {}
            Some(Ok(true)) => return Some(self.emergency_pressed()),
            Some(Err(error)) => return unwatched("the emergency stop", error),
        }
        match self.panel.lid.as_ref().map(|lid| lid.is_active()) {
            None | Some(Ok(true)) => {}
            Some(Ok(false)) => return Some(self.lid_opened()),
            Some(Err(error)) => return unwatched("the lid", error),
        }
        match self.guard_state() {
            Some(GuardState::Acted(why)) => Some(self.guard_acted(&why)),
            _ => None,
        }
    }

    fn guard_state(&self) -> Option<GuardState> {
        self.panel.guard.as_ref().map(|guard| guard.state())
    }

    fn check(&self, part: usize) -> Result<(), Cut> {
        let Err(disturbance) = self.switches.check(part) else { return Ok(()) };
        Err(self.attribute(&disturbance))
    }

    /// A chip is not as it was set. Who has a hand in that?
    fn attribute(&self, disturbance: &Disturbance) -> Cut {
        if let Some(cut) = self.cut() {
            return cut;
        }
        if let Some(cut) = self.known_author() {
            return cut;
        }
        if self.watchdog_may_have_acted() {
            let late = self.lateness.since(self.kicked_at.get().unwrap_or_default());
            let text = format!("the watchdog cut the power: {late} ({disturbance})");
            return self.note(CutBy::Watchdog(late), text);
        }
        let text = match disturbance {
            Disturbance::Reset { .. } => {
                format!("{disturbance}, and with it the power: check its supply and its reset line")
            }
            Disturbance::Silent { .. } => {
                format!("{disturbance}: check the fixture's cable and its 3.3 V supply")
            }
            Disturbance::Changed { .. } => format!("{disturbance}: another program is on the fixture's I2C bus"),
        };
        self.note(CutBy::Fixture, text)
    }

    fn emergency_pressed(&self) -> Cut {
        let text = "the emergency stop was pressed: find out why, release it, then test the module again";
        self.note(CutBy::Emergency, text.to_owned())
    }

    fn guard_acted(&self, why: &str) -> Cut {
        let late = self.lateness.since(self.kicked_at.get().unwrap_or_default());
        let because = if late.by >= WORTH_NAMING { format!(" because {late}") } else { String::new() };
        self.note(CutBy::Guard, format!("the guard cut the power{because}: {why}"))
    }

    fn lid_opened(&self) -> Cut {
        self.note(CutBy::Lid, "the lid was opened: close it, then test the module again".to_owned())
    }

    fn glance(&self, rail: &str) -> Result<(), Cut> {
        let judged = self.switching.get() == 0;
        let (Ok(Some(reading)), Some(supply)) = (self.switches.glance(rail), self.switches.supply(rail)) else {
            return Ok(());
        };
        let mut state = self.state.borrow_mut();
        if !judged || reading.volts >= COLLAPSED * supply.volts {
            if state.low.as_ref().is_some_and(|(low, _)| low == rail) {
                state.low = None;
            }
            return Ok(());
        }
        let times = state.low.as_ref().filter(|(low, _)| low == rail).map_or(0, |(_, times)| *times) + 1;
        state.low = Some((rail.to_owned(), times));
        drop(state);
        if times < AGREE {
            return Ok(());
        }
        Err(self.collapsed(rail, reading))
    }

    fn collapsed(&self, rail: &str, reading: RailReading) -> Cut {
        let RailReading { volts, amps } = reading;
        let limit = self.switches.supply(rail).map_or(f64::INFINITY, |supply| supply.current_limit_amps);
        if amps >= OVERLOADED * limit {
            let text =
                format!("rail {rail}: overloaded, {volts:.2} V at {amps:.2} A; its current limit of {limit} A acts");
            return self.note(CutBy::CurrentLimit { contacts: self.rails.contacts(rail) }, text);
        }
        let text = format!(
            "rail {rail} collapsed to {volts:.2} V at {:.0} mA although it is switched on: check its supply and the common \
             enable",
            1e3 * amps
        );
        self.note(CutBy::Fixture, text)
    }

    fn watchdog_may_have_acted(&self) -> bool {
        let (Some(timeout), Some(kicked)) = (self.switches.watchdog_timeout(), self.kicked_at.get()) else {
            return false;
        };
        self.panel.watchdog.is_some() && self.clock.now() - kicked >= timeout.mul_f64(EARLY_WATCHDOG)
    }

    /// Kicks the watchdog, and checks first whether it has acted since the last kick. An output that cannot be set is as good as
    /// no kick: the watchdog acts, which is what it is for.
    pub fn kick(&self) {
        let Some(line) = &self.panel.watchdog else { return };
        // While it acts it holds the expanders in reset, and they do not answer; the kick lets them go, reset.
        let acted = self.watchdog_may_have_acted() && self.cut().is_none();
        self.level.set(!self.level.get());
        let _ = line.set(self.level.get());
        if acted {
            let _ = self.check_all();
        }
        self.kicked_at.set(Some(self.clock.now()));
    }
}

#[async_trait(?Send)]
impl Rails for Power {
    fn names(&self) -> Vec<String> {
        self.rails.names()
    }
    fn contacts(&self, rail: &str) -> Vec<Contact> {
        self.rails.contacts(rail)
    }
    fn clear_for_power(&self, rail: &str, ohms: f64) -> Result<(), InstrumentError> {
        self.rails.clear_for_power(rail, ohms)
    }

    async fn on(&self, rail: &str) -> Result<(), InstrumentError> {
        self.look().map_err(|cut| InstrumentError::PowerCut(cut.text))?;
        // From before the order: a step that is dropped in the middle leaves it on.
        self.state.borrow_mut().on.insert(rail.to_owned());
        self.rails.on(rail).await
    }

    async fn off(&self, rail: &str) -> Result<(), InstrumentError> {
        let off = self.rails.off(rail).await;
        if off.is_ok() {
            let mut state = self.state.borrow_mut();
            state.on.remove(rail);
            state.settled.remove(rail);
        }
        off
    }

    async fn discharge(&self, rail: &str, on: bool) -> Result<(), InstrumentError> {
        self.rails.discharge(rail, on).await
    }
    fn discharge_ohms(&self, rail: &str) -> Result<f64, InstrumentError> {
        self.rails.discharge_ohms(rail)
    }
    async fn measure(&self, rail: &str) -> Result<RailReading, InstrumentError> {
        self.rails.measure(rail).await
    }
    async fn feed(&self, contact: Contact, closed: bool) -> Result<(), InstrumentError> {
        self.rails.feed(contact, closed).await
    }

    async fn all_off(&self) -> Result<(), InstrumentError> {
        let off = self.rails.all_off().await;
        if off.is_ok() {
            let mut state = self.state.borrow_mut();
            state.on.clear();
            state.settled.clear();
        }
        off
    }
}
