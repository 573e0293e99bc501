//! The fixture's own hardware, which works without software: the lid cuts the rails, the watchdog cuts the rails and
//! resets the port expanders. Also the controller's lines to them.

use crate::desk::Hands;
use crate::ends::SharedWorld;
use bench_instruments::{InputLine, InstrumentError, OutputLine, Panel};
use bench_plan::{Bed, Fixture};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// State of lid, buttons, lamps and watchdog.
pub(crate) struct PanelState {
    lid_closed: bool,
    lid_cuts_rails: bool,
    start_pressed: bool,
    emergency_pressed: bool,
    pub hands: Hands,
    lamps: BTreeSet<String>,
    watchdog: Watchdog,
}

/// The timer. Bridged, as by a service jumper, until the controller takes its lines.
struct Watchdog {
    bridged: bool,
    timeout_ns: u64,
    level: bool,
    kicked_ns: u64,
    expired: bool,
    /// How often it acted after a first kick.
    acted: u32,
}

impl PanelState {
    pub fn new(fixture: &Fixture) -> Self {
        Self {
            lid_closed: true,
            lid_cuts_rails: fixture
                .bed
                .as_ref()
                .is_some_and(|bed| bed.safety.lid_cuts_rails && bed.controller.lid.is_some()),
            start_pressed: false,
            emergency_pressed: false,
            hands: Hands::default(),
            lamps: BTreeSet::new(),
            watchdog: Watchdog {
                bridged: true,
                timeout_ns: fixture
                    .bed
                    .as_ref()
                    .map_or(u64::MAX, |bed| u64::try_from(bed.safety.watchdog.timeout.as_nanos()).unwrap_or(u64::MAX)),
                level: false,
                kicked_ns: 0,
                expired: false,
                acted: 0,
            },
        }
    }

    /// Whether the rails' common enable is active.
    pub fn rails_enabled(&self) -> bool {
        (self.lid_closed || !self.lid_cuts_rails) && !self.watchdog.expired
    }

    pub fn set_lid(&mut self, closed: bool) {
        self.lid_closed = closed;
    }

    /// Whether the watchdog holds the port expanders in reset; they do not answer then.
    pub fn expanders_in_reset(&self) -> bool {
        self.watchdog.expired
    }

    pub fn watchdog_acted(&self) -> u32 {
        self.watchdog.acted
    }

    /// When the watchdog will act without a kick.
    pub fn next_event_ns(&self) -> Option<u64> {
        let timer = &self.watchdog;
        (!timer.bridged && !timer.expired).then(|| timer.kicked_ns.saturating_add(timer.timeout_ns))
    }

    /// Whether the watchdog acts now.
    pub fn expires(&mut self, now_ns: u64) -> bool {
        let due = self.next_event_ns().is_some_and(|at| now_ns >= at);
        if due {
            self.watchdog.expired = true;
            self.watchdog.acted += 1;
        }
        due
    }

    fn arm(&mut self, now_ns: u64) {
        // State after power-up: no kick yet.
        self.watchdog.expired |= self.watchdog.bridged;
        self.watchdog.bridged = false;
        self.watchdog.kicked_ns = now_ns;
    }

    /// An edge is a kick.
    fn set_watchdog(&mut self, level: bool, now_ns: u64) {
        let timer = &mut self.watchdog;
        if timer.level != level {
            timer.level = level;
            timer.kicked_ns = now_ns;
            timer.expired = false;
        }
    }
}

/// Function of one line of the controller.
#[derive(Clone)]
enum Wire {
    Lid,
    Start,
    Emergency,
    Lamp(String),
    Watchdog,
}

struct VirtualLine {
    world: SharedWorld,
    wire: Wire,
}

impl InputLine for VirtualLine {
    fn is_active(&self) -> Result<bool, InstrumentError> {
        let panel = &self.world.borrow().rig.panel;
        Ok(match self.wire {
            Wire::Lid => panel.lid_closed,
            Wire::Start => panel.start_pressed,
            Wire::Emergency => panel.emergency_pressed,
            Wire::Lamp(_) | Wire::Watchdog => false,
        })
    }
}

impl OutputLine for VirtualLine {
    fn set(&self, active: bool) -> Result<(), InstrumentError> {
        let mut world = self.world.borrow_mut();
        let now = world.now_ns();
        match &self.wire {
            Wire::Watchdog => {
                world.rig.panel.set_watchdog(active, now);
                world.rig.panel_changed(now);
            }
            Wire::Lamp(name) if active => {
                world.rig.panel.lamps.insert(name.clone());
            }
            Wire::Lamp(name) => {
                world.rig.panel.lamps.remove(name);
            }
            Wire::Lid | Wire::Start | Wire::Emergency => {}
        }
        Ok(())
    }
}

/// Takes the controller's lines to this hardware; from now on the watchdog needs kicks.
pub(crate) fn lines(world: &SharedWorld, fixture: &PanelLines) -> Panel {
    {
        let mut world = world.borrow_mut();
        let now = world.now_ns();
        world.rig.panel.arm(now);
        world.rig.panel_changed(now);
    }
    let line = |wire: Wire| Rc::new(VirtualLine { world: Rc::clone(world), wire });
    let lamps: BTreeMap<String, Rc<dyn OutputLine>> =
        fixture.lamps.iter().map(|name| (name.clone(), line(Wire::Lamp(name.clone())) as Rc<dyn OutputLine>)).collect();
    Panel {
        lid: fixture.lid.then(|| line(Wire::Lid) as Rc<dyn InputLine>),
        start: fixture.start.then(|| line(Wire::Start) as Rc<dyn InputLine>),
        emergency: fixture.emergency.then(|| line(Wire::Emergency) as Rc<dyn InputLine>),
        lamps,
        watchdog: Some(line(Wire::Watchdog)),
        guard: None,
    }
}

/// Which of them the fixture has.
#[derive(Default)]
pub(crate) struct PanelLines {
    lid: bool,
    start: bool,
    emergency: bool,
    lamps: Vec<String>,
}

impl PanelLines {
    pub fn of(fixture: &Fixture) -> Self {
        let Some(Bed { controller, .. }) = &fixture.bed else { return Self::default() };
        Self {
            lid: controller.lid.is_some(),
            start: controller.start.is_some(),
            emergency: controller.emergency.is_some(),
            lamps: controller.lamps.keys().cloned().collect(),
        }
    }
}

/// The operator's hand.
pub(crate) fn move_lid(world: &SharedWorld, closed: bool) {
    let mut world = world.borrow_mut();
    let now = world.now_ns();
    world.rig.panel.lid_closed = closed;
    world.rig.panel_changed(now);
}

pub(crate) fn press_start(world: &SharedWorld, pressed: bool) {
    world.borrow_mut().rig.panel.start_pressed = pressed;
}

/// Only the line to the controller; what the switch cuts by itself is the fixture's wiring and not modelled.
pub(crate) fn press_emergency(world: &SharedWorld, pressed: bool) {
    world.borrow_mut().rig.panel.emergency_pressed = pressed;
}

pub(crate) fn lamps(world: &SharedWorld) -> Vec<String> {
    world.borrow().rig.panel.lamps.iter().cloned().collect()
}
