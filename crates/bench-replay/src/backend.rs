//! A replay as what a run happens on.

use crate::player::{PlayedClock, Player};
use crate::tape::{Line, Tape};
use bench_engine::{Backend, DiskWait, Failed, Loaded, Outcome, Recorder, rail_observer};
use bench_instruments::{Clock, ManualClock, Person, Programs, UnknownLoad};
use bench_run::{BenchKind, BenchTime, Event, Provenance};
use bench_steps::{Ends, Nest};
use futures_util::future::LocalBoxFuture;
use std::cell::OnceCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::task::coop::unconstrained;

/// How often the runtime gets a chance to deliver signals.
const YIELD_AFTER: Duration = Duration::from_millis(20);

/// Answers from a recording; its clock jumps from one answer to the next.
pub struct ReplayBackend {
    tape: Tape,
    /// Id of the recorded run.
    run_id: String,
    clock: ManualClock,
    player: OnceCell<Rc<Player>>,
}

impl ReplayBackend {
    /// Makes the bench for one replay of the run with this id.
    pub fn new(tape: Tape, run_id: &str) -> Self {
        let clock = ManualClock::new();
        clock.advance(Duration::from_micros(tape.head.at_us));
        Self { tape, run_id: run_id.to_owned(), clock, player: OnceCell::new() }
    }

    /// What was asked and what was not; `None` before the run.
    pub fn player(&self) -> Option<&Player> {
        self.player.get().map(|player| &**player)
    }

    /// When the recorded controller was late.
    fn late(&self) -> VecDeque<(BenchTime, BenchTime)> {
        let late = self.tape.lines.iter().filter_map(|line| match line {
            Line::Late { from_us, to_us } => Some((BenchTime(*from_us), BenchTime(*to_us))),
            _ => None,
        });
        late.collect()
    }
}

impl Backend for ReplayBackend {
    fn clock(&self) -> Rc<dyn Clock> {
        Rc::new(self.clock.clone())
    }

    fn disk_wait(&self) -> DiskWait {
        DiskWait::Blocking
    }

    fn started(&self, loaded: &Loaded, provenance: Provenance, serial: &str) -> Event {
        Event::RunStarted {
            run_id: format!("replay-{}", self.run_id),
            serial: serial.to_owned(),
            model: loaded.plan.model.clone(),
            started_at: None,
            order: None,
            bench: Box::new(BenchKind::Replay {
                of: self.run_id.clone(),
                recorded_by: self.tape.recorded_by().to_owned(),
            }),
            lot: None,
            diagnosis: None,
            provenance: Box::new(provenance),
            steps: loaded.planned_steps(),
        }
    }

    fn nest<'a>(
        &'a self,
        loaded: &'a Loaded,
        serial: &'a str,
        recorder: &'a Rc<Recorder>,
    ) -> LocalBoxFuture<'a, Result<Nest, Failed>> {
        let made = || {
            let family = loaded.family().ok_or_else(|| Failed::bench("the plan's family got lost"))?;
            let player = Player::new(&self.tape, self.clock.clone(), rail_observer(recorder));
            let incomplete = "the recording lacks what the instruments say of themselves";
            let player = Rc::new(player.ok_or_else(|| Failed::bench(incomplete))?);
            let _ = self.player.set(Rc::clone(&player));
            let ends = Ends {
                clock: Rc::new(PlayedClock(Rc::clone(&player))),
                dut: player.clone(),
                usb: player.clone(),
                programmer: player.clone(),
                ble: player.clone(),
                panel: player.panel(),
                load: Rc::new(UnknownLoad),
            };
            let person = Rc::clone(&player) as Rc<dyn Person>;
            let programs = Rc::clone(&player) as Rc<dyn Programs>;
            Ok(Nest { person, programs, ..Nest::on(player, ends, family, serial) })
        };
        Box::pin(std::future::ready(made()))
    }

    fn drive<'a>(&'a self, run: LocalBoxFuture<'a, Outcome>) -> LocalBoxFuture<'a, Result<Outcome, String>> {
        Box::pin(jump(self.clock.clone(), self.late(), run))
    }

    fn notes(&self) -> Vec<String> {
        vec![format!("a replay of run {}, recorded by bench {}", self.run_id, self.tape.recorded_by())]
    }

    /// Those of the recorded run: what was not modelled then is not in the answers, either.
    fn doubts(&self) -> Vec<String> {
        self.tape.doubts.clone()
    }
}

/// Records that the run must be polled, and wakes the task that polls it.
struct Signal {
    woken: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        if let Some(outer) = self.outer.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            outer.wake_by_ref();
        }
    }
}

/// Whenever everything waits, moves the clock to the next time that something waits for.
async fn jump(
    clock: ManualClock,
    mut late: VecDeque<(BenchTime, BenchTime)>,
    run: LocalBoxFuture<'_, Outcome>,
) -> Result<Outcome, String> {
    let signal = Arc::new(Signal { woken: AtomicBool::new(true), outer: Mutex::new(None) });
    let waker = Waker::from(Arc::clone(&signal));
    // Without tokio's budget, which would depend on how often the run was polled.
    let mut run = Box::pin(unconstrained(run));
    poll_fn(move |context| {
        *signal.outer.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        let began = Instant::now();
        loop {
            if signal.woken.swap(false, Ordering::AcqRel) {
                if let Poll::Ready(outcome) = run.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Poll::Ready(Ok(outcome));
                }
                continue;
            }
            let Some(next) = clock.next_wake() else {
                return Poll::Ready(Err(format!("at {} everything waits for nothing", clock.now())));
            };
            clock.advance(woken_at(next, &mut late) - clock.now());
            if began.elapsed() > YIELD_AFTER {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    })
    .await
}

/// When a sleeper that is due at `due` really wakes: after the controller's delay, if it was late then.
fn woken_at(due: BenchTime, late: &mut VecDeque<(BenchTime, BenchTime)>) -> BenchTime {
    while late.front().is_some_and(|(_, to)| *to <= due) {
        late.pop_front();
    }
    match late.front() {
        Some((from, to)) if *from <= due => *to,
        _ => due,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_controller_wakes_late() {
        let mut late = VecDeque::from([(BenchTime(10), BenchTime(20)), (BenchTime(30), BenchTime(35))]);
        let woken: Vec<u64> = [5, 10, 15, 20, 29, 31, 40]
            .into_iter()
            .map(|due| woken_at(BenchTime(due), &mut late).as_micros())
            .collect();
        assert_eq!(woken, [5, 20, 20, 20, 29, 35, 40]);
    }
}
