//! `link-pulls`: measures the internal pull-up and pull-down of the port behind the link's TX, which the firmware
//! releases for a moment, and the drive strength of the port behind RX, which it never drives otherwise.

use crate::diagnose::divider;
use crate::reach;
use crate::resolve;
use crate::resource;
use crate::restart;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{DutError, OPEN_OHMS};
use bench_plan::{Coverage, LimitsOf, Ohms, ParamProblem, Reach, Resolved, Spanned, Surroundings};
use bench_run::{BenchTime, Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{INITIAL_BAUD, Pull, RX_DRIVEN_AFTER_MS, RX_DRIVEN_MS, Reply, Request, TX_LENT_MS};
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
    /// Driver and joint of RX, high and low; not measured when left out.
    #[serde(default)]
    #[schemars(with = "Option<LimitsOf<Ohms>>")]
    rx_drive: Option<LimitsOf<Ohms>>,
}

pub struct LinkPulls {
    tx: Contact,
    rx: Contact,
    supply: String,
    baud: u32,
    up: MeasurementSpec,
    down: MeasurementSpec,
    rx_drive: Option<RxDrive>,
}

struct RxDrive {
    high: MeasurementSpec,
    low: MeasurementSpec,
}

/// Time from restart until the firmware releases TX.
const STARTS: Duration = Duration::from_millis(5);
/// Time from the reply until RX is certainly driven.
const DRIVEN: Duration = Duration::from_millis(RX_DRIVEN_AFTER_MS as u64 + 10);
/// Time from the reply during which both are certainly lent; the restart comes after it.
const LENT: Duration = Duration::from_millis((RX_DRIVEN_AFTER_MS + RX_DRIVEN_MS) as u64);
/// Total time, with the rest of the start.
const ANSWERS: Duration = Duration::from_millis(TX_LENT_MS as u64 + 20);

impl Kind for LinkPulls {
    const NAME: &'static str = "link-pulls";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("ohms"), reach::ohms("rx_drive")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let tx = around.fixture.link.dut_tx;
        let supply = resolve::supply(around.fixture, params.supply)?;
        let spec = |which: &str| MeasurementSpec {
            name: format!("{}.pull-{which}", resolve::pin_name(around.dut, tx)),
            unit: MeasurementUnit::Ohms,
            limits: params.ohms.limits(),
            contacts: vec![tx],
        };
        let (up, down) = (spec("up"), spec("down"));
        let rx = around.fixture.link.dut_rx;
        let rx_drive = params.rx_drive.map(|ohms| {
            let spec = |which: &str| MeasurementSpec {
                name: format!("{}.drive-{which}", resolve::pin_name(around.dut, rx)),
                unit: MeasurementUnit::Ohms,
                limits: ohms.limits(),
                contacts: vec![rx],
            };
            RxDrive { high: spec("high"), low: spec("low") }
        });
        let of_rx = rx_drive.as_ref().map(|_| Coverage { contact: rx, aspects: vec!["driver"] });
        let of_tx = Coverage { contact: tx, aspects: vec!["pull-up", "pull-down"] };
        let drives = rx_drive.iter().flat_map(|drive| [drive.high.clone(), drive.low.clone()]);
        Ok(Resolved {
            measurements: [up.clone(), down.clone()].into_iter().chain(drives).collect(),
            coverage: [of_tx].into_iter().chain(of_rx).collect(),
            uses: resource::list(&[resource::DUT, resource::MEASURE_BUS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(5),
            procedure: Box::new(LinkPulls {
                tx,
                rx,
                supply,
                baud: params.baud.unwrap_or(1_000_000),
                up,
                down,
                rx_drive,
            }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for LinkPulls {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let supply = nest.supply_volts(&self.supply).await?;
        let source = nest.bus.source_ohms();
        let high = self.lent(nest, Pull::Up, INITIAL_BAUD, 0.0).await?;
        let up = divider(source, supply - high.tx, high.tx);
        // The source ends below the supply's upper tolerance; only the measured voltage matters.
        let low = self.lent(nest, Pull::Down, self.baud, supply).await?;
        let down = divider(source, low.tx, supply - low.tx);
        log.measured(&self.up.name, Some(up));
        log.measured(&self.down.name, Some(down));
        let fits = |spec: &MeasurementSpec, ohms| judge(&spec.limits, Some(ohms)) == Verdict::Pass;
        let shown = |ohms: f64| if ohms >= OPEN_OHMS { "none".to_owned() } else { MeasurementUnit::Ohms.show(ohms) };
        if !fits(&self.up, up) || !fits(&self.down, down) {
            let label = nest.label(self.tx);
            let text =
                format!("contact {label}: internal pulls out of tolerance (up {}, down {})", shown(up), shown(down));
            log.diagnosed(Diagnosis { defect: Defect::MissingPull, contacts: vec![self.tx], text });
        }
        let Some(drive) = &self.rx_drive else { return Ok(()) };
        let (high, low) = (divider(source, supply - high.rx, high.rx), divider(source, low.rx, supply - low.rx));
        log.measured(&drive.high.name, Some(high));
        log.measured(&drive.low.name, Some(low));
        if !fits(&drive.high, high) || !fits(&drive.low, low) {
            let label = nest.label(self.rx);
            let text = format!(
                "contact {label}: its port drives high through {}, low through {}: weak driver or cold joint",
                shown(high),
                shown(low)
            );
            log.diagnosed(Diagnosis { defect: Defect::Other, contacts: vec![self.rx], text });
        }
        Ok(())
    }
}

/// Voltages under load, in one direction, while the firmware lends the link's ports.
struct Lent {
    tx: f64,
    rx: f64,
}

impl LinkPulls {
    /// TX has this pull and RX drives the same way. The firmware is greeted at the end.
    async fn lent(&self, nest: &Nest, pull: Pull, baud: u32, source_volts: f64) -> Result<Lent, StepError> {
        match nest.ask(Request::LendTx { pull }).await? {
            Reply::Done => {}
            other => return Err(DutError::OutOfTurn(other).into()),
        }
        let replied = nest.clock.now();
        // Before RX is driven, because the bench's own driver is on it until then.
        nest.leave_link().await?;
        nest.settle(STARTS).await;
        let seen = self.loaded(nest, source_volts, replied + DRIVEN).await;
        let late = nest.clock.now() > replied + LENT;
        nest.clock.sleep_until(replied + ANSWERS).await;
        nest.join_link().await?;
        restart::greet_again(nest, baud, "it lent the ports of its link").await?;
        if late {
            let text = "the fixture took too long to measure TX and RX while they were lent";
            return Err(StepError::Bench(text.to_owned()));
        }
        seen
    }

    async fn loaded(&self, nest: &Nest, source_volts: f64, driven_at: BenchTime) -> Result<Lent, StepError> {
        let tx = nest.bus.loaded_volts(self.tx, source_volts).await?;
        if self.rx_drive.is_none() {
            return Ok(Lent { tx, rx: 0.0 });
        }
        nest.clock.sleep_until(driven_at).await;
        Ok(Lent { tx, rx: nest.bus.loaded_volts(self.rx, source_volts).await? })
    }
}
