//! `switch-on`: asks the person to switch the board on.

use super::{PERSON, desk, flag, yes};
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_instruments::{Chore, Task};
use bench_plan::{ParamProblem, Resolved, Surroundings};
use bench_run::MeasurementSpec;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

pub struct SwitchOn {
    task: Task,
    on: MeasurementSpec,
}

/// From the supply to the MCU's first instruction, with margin.
const STARTS: Duration = Duration::from_millis(200);

impl Kind for SwitchOn {
    const NAME: &'static str = "switch-on";
    type Params = Params;

    fn resolve(_: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let desk = desk(around)?;
        let text = format!(
            "Wire everything as `bench fixture {} --wiring` shows, with both antennas on the module. Then switch {} on: {}.",
            around.fixture.name, desk.board, desk.switch_on
        );
        let step = SwitchOn { task: Task { chore: Chore::SwitchOn, text }, on: yes("board.on") };
        Ok(Resolved {
            measurements: vec![step.on.clone()],
            coverage: Vec::new(),
            uses: resource::list(&[resource::DUT]),
            shares: Vec::new(),
            default_timeout: PERSON,
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for SwitchOn {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.person.act(&self.task).await?;
        nest.settle(STARTS).await;
        log.measured(&self.on.name, flag(true));
        Ok(())
    }
}
