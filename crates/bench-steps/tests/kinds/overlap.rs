//! Two steps that share the module when it falls silent.

use crate::bed::{Bed, Setup, silent};
use crate::plans::World;
use bench_instruments::ManualClock;
use bench_steps::StepError;
use dut_protocol::{PortSet, Reply, Request};
use futures_util::future::join;
use std::time::Duration;

/// A step that gets no answer disconnects the link to check it: meanwhile the other must not receive its own bytes, and
/// both must come to the same diagnosis.
#[test]
fn one_diagnosis_holds_for_all_overlapping_steps() {
    let world = World::new();
    for (loopback_works, module) in [(true, true), (false, false)] {
        let clock = ManualClock::new();
        let answers = |request: &Request| match request {
            Request::ReadPorts => Ok(Reply::Levels(PortSet::EMPTY)),
            _ => Err(silent()),
        };
        let setup = Setup { powered: true, loopback_works, answers, ..Setup::default() };
        let (bed, nest) = Bed::new(setup, &world.fixture, world.family(), &clock);
        let talks = async {
            for answered in 0..100 {
                if let Err(error) = nest.ask(Request::ReadPorts).await {
                    return (answered, error);
                }
                nest.settle(Duration::from_micros(500)).await;
            }
            panic!("the module was never given up");
        };
        let gives_up = async {
            nest.join_link().await.unwrap();
            nest.settle(Duration::from_millis(3)).await;
            nest.ask(Request::ReleasePorts).await.unwrap_err()
        };
        let ((answered, report), found) = clock.run(async {
            nest.join_link().await.unwrap();
            join(talks, gives_up).await
        });
        assert!((1..99).contains(&answered), "{answered}");
        assert!(!bed.talked_to_itself.get());
        assert_eq!(matches!(found, StepError::Dut(_)), module, "{found}");
        assert_eq!(matches!(report, StepError::Dut(_)), module, "{report}");
        assert_eq!(report.to_string(), found.to_string());

        // Connecting the link resets the diagnosis.
        let again = clock.run(async {
            nest.join_link().await.unwrap();
            nest.ask(Request::ReadPorts).await
        });
        assert_eq!(again.unwrap(), Reply::Levels(PortSet::EMPTY));
    }
}
