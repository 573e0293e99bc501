//! `pwm` and `crystal` against a module whose edges follow from its requests.

use crate::bed::{Setup, silent};
use crate::plans::World;
use crate::steps::{step, story};
use bench_instruments::{DutError, EdgeTrace};
use bench_run::Contact;
use dut_protocol::{CRYSTAL_LED_HZ, Port, PortSet, PwmRequest, Refusal, Reply, Request};
use std::cell::RefCell;
use std::time::Duration;

const PWM: &str = "kind = 'pwm'\npins = ['A0', 'A1', 'A6', 'D4']\ntones = ['500 Hz', '4 kHz']\n\
                   duties = ['20 %', '50 %', '80 %']\nfrequency_error = { min = '-0.5 %', max = '0.5 %' }\n\
                   duty_error = { min = '-2 %', max = '2 %' }";
const CRYSTAL: &str = "kind = 'crystal'\npin = ['D4']\nerror = { min = '-50 ppm', max = '50 ppm' }";

/// Contacts of the tests with their ports.
const PORTS: [(u8, (u8, u8)); 4] = [(23, (0, 3)), (33, (0, 4)), (45, (0, 5)), (66, (1, 8))];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    Open(u8),
    UnitDead(u8),
    Exchanged(u8, u8),
    /// The first carries the signal of the second, which carries none.
    Moved(u8, u8),
    /// Percent.
    Slow(u8, f64),
    Duty(u8, f64),
    CrystalPpm(f64),
    CrystalDead,
}

struct Module {
    defect: Defect,
    running: Vec<PwmRequest>,
    crystal_at: Option<Port>,
}

thread_local! {
    static MODULE: RefCell<Module> =
        const { RefCell::new(Module { defect: Defect::None, running: Vec::new(), crystal_at: None }) };
}

fn port_of(contact: u8) -> Option<Port> {
    PORTS.iter().find(|(known, _)| *known == contact).and_then(|(_, (bank, pin))| Port::from_bank(*bank, *pin))
}

impl Module {
    fn seen(&self, contact: Contact, window: Duration) -> EdgeTrace {
        let quiet = EdgeTrace::default();
        let at = match self.defect {
            Defect::Open(open) if open == contact.0 => return quiet,
            Defect::Moved(_, from) if from == contact.0 => return quiet,
            Defect::Moved(to, from) if to == contact.0 => from,
            Defect::Exchanged(a, b) if a == contact.0 => b,
            Defect::Exchanged(a, b) if b == contact.0 => a,
            _ => contact.0,
        };
        let Some(port) = port_of(at) else { return quiet };
        if self.crystal_at == Some(port) {
            let ppm = if let Defect::CrystalPpm(ppm) = self.defect { ppm } else { 12.0 };
            return EdgeTrace::square(f64::from(CRYSTAL_LED_HZ) * (1.0 + ppm * 1e-6), 0.5, window);
        }
        let report = |pwm: &PwmRequest| {
            let output = pwm.outputs.iter().flatten().find(|output| output.port == port)?;
            Some((pwm.unit, f64::from(pwm.frequency_hz), f64::from(output.duty_permille) / 1000.0))
        };
        match (self.running.iter().find_map(report), self.defect) {
            (Some((unit, ..)), Defect::UnitDead(dead)) if unit == dead => quiet,
            (Some((_, hz, duty)), Defect::Slow(slow, percent)) if slow == contact.0 => {
                EdgeTrace::square(hz * (1.0 - percent / 100.0), duty, window)
            }
            (Some((_, hz, duty)), Defect::Duty(off, percent)) if off == contact.0 => {
                EdgeTrace::square(hz, duty + percent / 100.0, window)
            }
            (Some((_, hz, duty)), _) => EdgeTrace::square(hz, duty, window),
            (None, _) => quiet,
        }
    }
}

fn answer(request: &Request) -> Result<Reply, DutError> {
    MODULE.with_borrow_mut(|module| match request {
        Request::StartPwm(pwm) => {
            module.running.retain(|other| other.unit != pwm.unit);
            module.running.push(*pwm);
            Ok(Reply::Done)
        }
        Request::StopPwm => {
            module.running.clear();
            Ok(Reply::Done)
        }
        Request::LeadCrystal { .. } if module.defect == Defect::CrystalDead => {
            Err(DutError::Refused(Refusal::NotRunning))
        }
        Request::LeadCrystal { port } => {
            module.crystal_at = Some(*port);
            Ok(Reply::Done)
        }
        Request::LeaveCrystal => {
            module.crystal_at = None;
            Ok(Reply::Done)
        }
        // A still contact is tested without PWM; here nothing moves it.
        Request::ApplyVector(_) => Ok(Reply::Levels(PortSet::EMPTY)),
        other => panic!("unexpected {other:?}"),
    })
}

fn setup(defect: Defect) -> Setup {
    MODULE.set(Module { defect, running: Vec::new(), crystal_at: None });
    let edges = |contact, window| MODULE.with_borrow(|module| module.seen(contact, window));
    Setup { powered: true, answers: answer, edges, ..Setup::default() }
}

/// Functions that still run in the module.
fn still_running() -> bool {
    MODULE.with_borrow(|module| !module.running.is_empty() || module.crystal_at.is_some())
}

#[test]
fn defects_are_diagnosed() {
    let world = World::new();
    let rows = [
        (PWM, Defect::None, "ok"),
        (PWM, Defect::Open(33), "ok\ncontact 33 (A1): open or held, no edges while port P0.04 has PWM from PWM2"),
        (PWM, Defect::Open(66), "ok\ncontact 66 (D4): open or held, no edges while port P1.08 has PWM from PWM1"),
        (PWM, Defect::UnitDead(2), "ok\nthe MCU's PWM2 is dead: no edges at its contacts 23 (A0), 33 (A1), 45 (A6)"),
        (PWM, Defect::Exchanged(33, 45), "ok\ncontacts 33 (A1) and 45 (A6): each carries the other's PWM"),
        (
            PWM,
            Defect::Moved(23, 45),
            "ok\ncontact 23 (A0): PWM on the wrong contact, it carries the signal of contact 45 (A6)\n\
             contact 45 (A6): open or held, no edges while port P0.05 has PWM from PWM2",
        ),
        (PWM, Defect::Slow(23, 1.0), "ok\ncontact 23 (A0): the frequency of its PWM is off by -1 %"),
        (PWM, Defect::Duty(23, 3.0), "ok\ncontact 23 (A0): the duty of its PWM is off by 3 % of the period"),
        (CRYSTAL, Defect::None, "ok"),
        (CRYSTAL, Defect::CrystalPpm(-49.0), "ok"),
        (CRYSTAL, Defect::CrystalPpm(100.0), "ok\nthe 32.768 kHz crystal on the module is off by +100 ppm"),
        (CRYSTAL, Defect::CrystalPpm(-51.0), "ok\nthe 32.768 kHz crystal on the module is off by -51 ppm"),
        (
            CRYSTAL,
            Defect::CrystalDead,
            "dut: the 32.768 kHz crystal on the module does not start\n\
             the 32.768 kHz crystal on the module does not start",
        ),
        (
            CRYSTAL,
            Defect::Open(66),
            "ok\ncontact 66 (D4): open or held, port P1.08 outputs the crystal's clock and nothing arrives",
        ),
    ];
    for (text, defect, expected) in rows {
        let ran = step(&world, text, setup(defect));
        assert_eq!(story(&ran), expected, "{defect:?}");
        assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{defect:?}");
        assert!(!still_running(), "{defect:?}");
        let promised = &world.check(text).unwrap().steps[0].step.measurements;
        let measured = ran.log.measured.borrow();
        if ran.outcome.is_ok() {
            assert_eq!(measured.len(), promised.len(), "{defect:?}: not all that was promised");
        }
        let fails = promised.iter().any(|spec| {
            let reading = measured.get(&spec.name).copied().flatten();
            reading.is_some() && bench_run::judge(&spec.limits, reading) != bench_run::Verdict::Pass
        });
        assert_eq!(fails, expected != "ok", "{defect:?}: {measured:?}");
    }
}

#[test]
fn an_instrument_error_stops_the_module_and_is_the_benchs_fault() {
    let world = World::new();
    for text in [PWM, CRYSTAL] {
        let calls = step(&world, text, setup(Defect::None)).bed.calls();
        assert!(calls > 3, "{text}");
        let mut left = 0;
        for failing in 0..calls {
            let ran = step(&world, text, Setup { failing_call: Some(failing), ..setup(Defect::None) });
            let report = story(&ran);
            assert!(report.starts_with("bench: io0 does not answer"), "{text}\ncall {failing}: {report}");
            assert_eq!(ran.bed.left_behind(), Vec::<String>::new(), "{text}\ncall {failing}");
            left += u32::from(still_running());
        }
        // Only where stopping itself fails, for two units; the firmware stops when the link falls silent.
        assert!(left <= 2, "{text}: {left} of {calls}");
        let ran = step(&world, text, Setup { answers: |_| Err(silent()), ..setup(Defect::None) });
        assert!(story(&ran).starts_with("dut: the module does not answer"), "{}", story(&ran));
    }
}

#[test]
fn plans_that_cannot_work_are_refused() {
    let mut world = World::new();
    let rows = [
        (PWM, "'A0', 'A1'", "'A0', 'A2'", "contact 35 (A2) has no PWM on this module"),
        (PWM, "'A0', 'A1'", "'A0', 'TX'", "carries the link"),
        (PWM, "'4 kHz'", "'40 kHz'", "40.00 kHz is not a frequency"),
        (PWM, "'4 kHz'", "'4.5 Hz'", "4.500 Hz is not a frequency"),
        (PWM, "['500 Hz', '4 kHz']", "[]", "no tones"),
        (PWM, "'50 %'", "'25 %'", "nearly the same"),
        (PWM, "'50 %', '80 %'", "'50 %'", "2 duties for 3 contacts"),
        (PWM, "'80 %'", "'99 %'", "a duty of 99 %"),
        (CRYSTAL, "['D4']", "['D4', 'D5']", "2 contacts for one clock"),
        (CRYSTAL, "['D4']", "['RX']", "carries the link"),
        (CRYSTAL, "error =", "window = '10 ms'\nerror =", "is outside the allowed time"),
    ];
    let refused =
        |world: &World, text: &str| world.check(text).err().map_or(String::new(), |problem| problem.to_string());
    for (text, from, to, message) in rows {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        let report = refused(&world, &changed);
        assert!(report.contains(message), "{from} -> {to}: {report}");
    }
    world.fixture.bed.as_mut().unwrap().measure_bus.edges_gpio = None;
    for text in [PWM, CRYSTAL] {
        let report = refused(&world, text);
        assert!(report.contains("the fixture b-series cannot time edges"), "{report}");
    }
}
