//! Which attempt the run is working on at this moment.
//!
//! All steps share the instruments of a nest, and steps overlap. An instrument that has to know whose call it answers,
//! such as the one that records a run, asks here.

use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// One attempt at a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Id of the step.
    pub step: Rc<str>,
    pub attempt: u8,
}

thread_local! {
    // A run never leaves its thread.
    static ASKING: RefCell<Option<Asker>> = const { RefCell::new(None) };
}

/// Returns the attempt whose procedure is being polled; `None` for the work of the run itself, such as the owner of
/// power, the way to the safe state, and what tidies up after a step.
pub fn asking() -> Option<Asker> {
    ASKING.with_borrow(Clone::clone)
}

/// Puts the asker before back, also after a panic.
struct Back(Option<Asker>);

impl Drop for Back {
    fn drop(&mut self) {
        ASKING.set(self.0.take());
    }
}

/// Runs `work` as this attempt.
pub(crate) async fn as_attempt<T>(step: &str, attempt: u8, work: impl Future<Output = T>) -> T {
    let asker = Asker { step: step.into(), attempt };
    let mut work = pin!(work);
    std::future::poll_fn(move |context: &mut Context<'_>| -> Poll<T> {
        let _back = Back(ASKING.replace(Some(asker.clone())));
        work.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_instruments::{Clock, ManualClock};
    use futures_util::future::join;
    use std::time::Duration;

    #[test]
    fn overlapping_attempts_are_distinguished() {
        let clock = ManualClock::new();
        let asked = RefCell::new(Vec::new());
        let body = |ms| {
            let (clock, asked) = (&clock, &asked);
            async move {
                for _ in 0..2 {
                    clock.sleep(Duration::from_millis(ms)).await;
                    asked.borrow_mut().push(asking().map(|asker| (asker.step.to_string(), asker.attempt)));
                }
            }
        };
        let outside = async {
            clock.sleep(Duration::from_millis(25)).await;
            asked.borrow_mut().push(asking().map(|asker| (asker.step.to_string(), asker.attempt)));
        };
        clock.run(join(join(as_attempt("a", 1, body(20)), as_attempt("b", 2, body(30))), outside));
        let (a, b) = (Some(("a".to_owned(), 1)), Some(("b".to_owned(), 2)));
        assert_eq!(asked.into_inner(), [a.clone(), None, b.clone(), a, b]);
        assert_eq!(asking(), None);
    }
}
