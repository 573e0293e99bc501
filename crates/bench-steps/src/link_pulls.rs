//! `link-pulls`: internal pull-up and pull-down of the port behind the link's TX, which the firmware lets go of for a moment.

use crate::diagnose::divider;
use crate::resolve;
use crate::resource;
use crate::restart;
use crate::{Kind, Nest, Procedure, Record, StepError};
use async_trait::async_trait;
use bench_instruments::{DutError, OPEN_OHMS};
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, Resolved, Spanned, Surroundings};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, Unit, Verdict, judge};
use dut_protocol::{INITIAL_BAUD, Pull, Reply, Request, TX_LENT_MS};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Of both pulls.
    ohms: LimitsOf<Ohms>,
    /// The rail that supplies the MCU.
    #[schemars(with = "String")]
    supply: Spanned<String>,
    /// Rate of the link afterwards; 1000000 when left out.
    #[serde(default)]
    baud: Option<u32>,
}

pub struct LinkPulls {
    tx: Contact,
    supply: String,
    baud: u32,
    up: MeasurementSpec,
    down: MeasurementSpec,
}

/// Restart of the firmware up to where it lets go of TX.
const STARTS: Duration = Duration::from_millis(5);
/// The whole of it, with the rest of the start.
const LENT: Duration = Duration::from_millis(TX_LENT_MS as u64 + 20);

impl Kind for LinkPulls {
    const NAME: &'static str = "link-pulls";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let tx = around.fixture.link.dut_tx;
        let supply = resolve::supply(around.fixture, params.supply)?;
        let spec = |which: &str| MeasurementSpec {
            name: format!("{}.pull-{which}", resolve::pin_name(around.dut, tx)),
            unit: Unit::Ohms,
            limits: params.ohms.limits(),
            contacts: vec![tx],
        };
        let (up, down) = (spec("up"), spec("down"));
        Ok(Resolved {
            measurements: vec![up.clone(), down.clone()],
            coverage: vec![Coverage { contact: tx, aspects: vec!["pull-up", "pull-down"] }],
            uses: resource::list(&[resource::DUT, resource::MEASURE_BUS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(5),
            procedure: Box::new(LinkPulls { tx, supply, baud: params.baud.unwrap_or(1_000_000), up, down }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for LinkPulls {
    async fn run(&self, nest: &Nest, record: &dyn Record) -> Result<(), StepError> {
        nest.join_link().await?;
        let supply = nest.supply_volts(&self.supply).await?;
        let up = self.pulled(nest, Pull::Up, INITIAL_BAUD, 0.0).await?;
        let up = divider(nest.bus.source_ohms(), supply - up, up);
        // The source ends below the supply's upper tolerance; what matters is that it is measured.
        let down = self.pulled(nest, Pull::Down, self.baud, supply).await?;
        let down = divider(nest.bus.source_ohms(), down, supply - down);
        record.measured(&self.up.name, Some(up));
        record.measured(&self.down.name, Some(down));
        let fits = |spec: &MeasurementSpec, ohms| judge(&spec.limits, Some(ohms)) == Verdict::Pass;
        if !fits(&self.up, up) || !fits(&self.down, down) {
            let shown = |ohms: f64| if ohms >= OPEN_OHMS { "none".to_owned() } else { Unit::Ohms.show(ohms) };
            let label = nest.label(self.tx);
            let text =
                format!("contact {label}: internal pulls out of tolerance (up {}, down {})", shown(up), shown(down));
            record.diagnosed(Diagnosis { defect: Defect::MissingPull, contacts: vec![self.tx], text });
        }
        Ok(())
    }
}

impl LinkPulls {
    /// Voltage of TX under load while its port has this pull. Leaves the firmware greeted.
    async fn pulled(&self, nest: &Nest, pull: Pull, baud: u32, source_volts: f64) -> Result<f64, StepError> {
        match nest.ask(Request::LendTx { pull }).await? {
            Reply::Done => {}
            other => return Err(DutError::OutOfTurn(other).into()),
        }
        let ends = nest.clock.now() + LENT;
        // The reply is out; the restart follows.
        nest.settle(STARTS).await;
        nest.leave_link().await?;
        let volts = nest.bus.loaded_volts(self.tx, source_volts).await;
        let late = nest.clock.now() + Duration::from_millis(20) > ends;
        let rest = ends.0.saturating_sub(nest.clock.now().0);
        nest.settle(Duration::from_micros(rest)).await;
        nest.join_link().await?;
        restart::greet_again(nest, baud, "it lent its TX").await?;
        if late {
            return Err(StepError::Bench("the fixture took too long to measure TX while it was let go".to_owned()));
        }
        Ok(volts?)
    }
}
