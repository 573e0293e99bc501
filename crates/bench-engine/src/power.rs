//! The one owner of power: which rails are meant to be on, whether they are, and what cut them.
//!
//! Steps switch rails through it. It detects every cut (by watchdog, guard, lid, current limit, or an expander that reset
//! itself) before the next reading is judged. From then on it switches only towards the safe state.

use crate::lateness::{Late, Lateness};
use async_trait::async_trait;
use bench_instruments::{Clock, Disturbance, GuardState, InstrumentError, Panel, RailReading, Rails, Supply, Switches};
use bench_run::{BenchTime, Contact, Verdict};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::watch;

/// A watchdog may act after this share of its nominal time (TPS3431 data sheet, t_WD: 10 % with an external capacitor).
const EARLY_WATCHDOG: f64 = 0.85;
/// A rail below this share of its voltage has collapsed.
const COLLAPSED: f64 = 0.75;
/// A supply below this share of its voltage is bad if it delivers little: a good one leaves the wires three percent at its
/// limit. It may be so for a moment while the load changes, so it counts only when something else did not pass.
const SAGS: f64 = 0.93;
/// A supply may take this much longer than its rise time.
const SLOW_RISE: Duration = Duration::from_millis(20);
/// A rail that delivers more than this share of its limit has collapsed because of what it feeds.
const OVERLOADED: f64 = 0.5;
/// Less lateness cannot have made the guard act, so the text of the cut does not mention it.
const WORTH_NAMING: Duration = Duration::from_millis(50);
/// Measurements in a row that must show a collapsed rail: a single one may fall in the middle of a change.
const AGREE: u8 = 2;

/// Who took the power away.
#[derive(Debug, Clone, PartialEq)]
pub enum CutBy {
    /// The watchdog, because the kicks were late: by how much and why.
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
    /// The guard is gone, so the bench may not continue.
    GuardLost,
}

/// The power is off, or must go off, without the run's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    pub by: CutBy,
    /// Text for the person who must act.
    pub text: String,
    pub at: BenchTime,
}

impl Cut {
    /// The verdict of the steps that were running.
    pub fn verdict(&self) -> Verdict {
        match self.by {
            CutBy::Lid | CutBy::Emergency => Verdict::Aborted,
            CutBy::CurrentLimit { .. } => Verdict::Fail,
            CutBy::Watchdog(_) | CutBy::Guard | CutBy::Fixture | CutBy::GuardLost => Verdict::Error,
        }
    }

    /// Whether rails may still be on, so that the modem can be switched off in order.
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
    /// Those that were good once in this run, on or off.
    proven: BTreeSet<String>,
    /// The rail that was low when last measured, and how many times in a row it was.
    low: Option<(String, u8)>,
    /// What [`Power::check_next`] checks next.
    next: usize,
}

/// A supply that is low although little is drawn. Of a rail that the module makes, that says nothing of the bench.
fn is_weak(supply: &Supply, reading: RailReading) -> bool {
    reading.volts < SAGS * supply.volts && reading.amps < OVERLOADED * supply.current_limit_amps && !supply.of_module
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
    /// Level of the watchdog's line.
    level: Cell<bool>,
    kicked_at: Cell<Option<BenchTime>>,
    /// When a kick last came so late that the watchdog may have acted before it.
    let_go_at: Cell<Option<BenchTime>>,
    /// When the switches of the rails were last seen to be as they were set.
    seen_at: Cell<Option<BenchTime>>,
    /// How many running steps switch rails themselves.
    switching: Cell<usize>,
}

/// Marks that a step that may switch rails is running. While this exists, no other code judges the rails' voltages.
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
            let_go_at: Cell::new(None),
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

    /// Notes that the rails that are on now were judged good.
    pub fn settled(&self) {
        let mut state = self.state.borrow_mut();
        state.settled = state.on.clone();
        let State { proven, settled, .. } = &mut *state;
        proven.extend(settled.iter().cloned());
    }

    /// Notes that a step that switches rails begins.
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

    /// Checks everything that needs no transfer: emergency stop, lid, guard, and whether the kicks came in time.
    ///
    /// # Errors
    /// The cut, now and on every later call.
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

    /// Does what [`Power::look`] does, and reads the switches of the rails back unless no time has passed since it last
    /// did. Call it just before a reading is judged.
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

    /// Reads back everything that can be, and compares it with what was ordered.
    ///
    /// # Errors
    /// The cut.
    pub fn check_all(&self) -> Result<(), Cut> {
        self.cut().map_or(Ok(()), Err)?;
        (0..self.switches.parts()).try_for_each(|part| self.check(part))?;
        self.seen_at.set(Some(self.clock.now()));
        Ok(())
    }

    /// Checks one part or one rail, each in its turn.
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

    /// Measures the rails that were good, and reads all switches back. Call it when an attempt did not pass, before blaming
    /// the module.
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
            {
                if reading.volts < COLLAPSED * supply.volts {
                    return Err(self.collapsed(&rail, reading));
                }
                if is_weak(&supply, reading) {
                    return Err(self.sags(&rail, reading));
                }
            }
        }
        Ok(())
    }

    /// A step switches a rail on again that was good before: what it then finds is the module's only if the rail is there.
    async fn rises_again(&self, rail: &str) -> Result<(), InstrumentError> {
        let (true, Some(supply)) = (self.state.borrow().proven.contains(rail), self.switches.supply(rail)) else {
            return Ok(());
        };
        let mut reading = self.rails.measure(rail).await?;
        if is_weak(&supply, reading) {
            self.clock.sleep(SLOW_RISE).await;
            reading = self.rails.measure(rail).await?;
        }
        if is_weak(&supply, reading) {
            return Err(InstrumentError::PowerCut(self.sags(rail, reading).text));
        }
        Ok(())
    }

    /// A cut whose author is evident: emergency stop and lid, which may cut the rails in hardware, and a guard that acted.
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

    /// Finds who changed a chip that is not as it was set.
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
                format!("{disturbance} on the I2C bus: check the fixture's cable and its 3.3 V supply")
            }
            Disturbance::Stuck { .. } => {
                format!("{disturbance}: replace the port expander, or find what its line touches")
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

    fn sags(&self, rail: &str, RailReading { volts, amps }: RailReading) -> Cut {
        let text = format!(
            "rail {rail} sags to {volts:.2} V at {:.0} mA, which its supply must deliver: check its supply",
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

    /// Whether the watchdog may have held the rails off within this span: what was measured then says nothing of their
    /// switches.
    pub fn was_held(&self, within: Duration) -> bool {
        self.watchdog_may_have_acted() || self.let_go_at.get().is_some_and(|at| self.clock.now() - at < within)
    }

    /// Kicks the watchdog, after checking whether it has acted since the last kick. If the output cannot be set, the
    /// watchdog gets no kick and cuts the rails, as it should.
    pub fn kick(&self) {
        let Some(line) = &self.panel.watchdog else { return };
        // While it acts it holds the expanders in reset, and they do not answer; the kick lets them go, reset.
        let acted = self.watchdog_may_have_acted();
        self.level.set(!self.level.get());
        let _ = line.set(self.level.get());
        if acted {
            self.let_go_at.set(Some(self.clock.now()));
            if self.cut().is_none() {
                let _ = self.check_all();
            }
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
        self.rails.on(rail).await?;
        self.rises_again(rail).await
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
    async fn alone(&self, rail: &str, on: bool) -> Result<(), InstrumentError> {
        self.look().map_err(|cut| InstrumentError::PowerCut(cut.text))?;
        self.rails.alone(rail, on).await
    }
    async fn load(&self, rail: &str, on: bool) -> Result<(), InstrumentError> {
        self.rails.load(rail, on).await
    }
    async fn fine_amps(&self, rail: &str) -> Result<f64, InstrumentError> {
        self.rails.fine_amps(rail).await
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
