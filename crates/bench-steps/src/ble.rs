//! `ble`: the module's radio as Bluetooth Low Energy, in both directions, on each of the three advertising channels.
//!
//! First the module advertises and the bench listens, then the bench advertises and the module listens to each channel
//! in turn. Both adverts carry a nonce of this run, so that a module in the neighbouring nest does not count.

mod ears;
mod judge;

use crate::bus_peer::nonce;
use crate::reach;
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_instruments::{Advert, DutError};
use bench_plan::{Bound, LimitsOf, Number, ParamProblem, Percent, Reach, Resolved, Seconds, Spanned, Surroundings};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{BLE_CHANNELS, BLE_COMPANY, BleNonce, BleReport, BleRequest, BleTag, Refusal, Reply, Request};
use futures_util::future::{Either, select};
use judge::{Direction, Received};
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Packets of the module that the bench must receive on each channel.
    heard: LimitsOf<Number>,
    /// Packets of the bench that the module must receive on each channel.
    hears: LimitsOf<Number>,
    /// Largest difference of the signal strength from the fixture file's figure, decibels, in both directions.
    level: LimitsOf<Number>,
    /// Share of packets that reach the module with a wrong checksum.
    broken: LimitsOf<Percent>,
    /// Largest carrier error. Leave it out where the controller's receiver does not report it.
    #[serde(default)]
    carrier_error: Option<LimitsOf<Percent>>,
    /// How long the bench listens to all channels, 100 ms to 10 s; 750 ms when left out.
    #[serde(default)]
    #[schemars(with = "Option<Seconds>")]
    listens: Option<Spanned<Seconds>>,
    /// How long the module listens to each channel, 100 ms to 5 s; 250 ms when left out.
    #[serde(default)]
    #[schemars(with = "Option<Seconds>")]
    module_listens: Option<Spanned<Seconds>>,
    /// Between two rounds of advertising, of module and bench, 20 ms to 1 s; 20 ms when left out.
    #[serde(default)]
    #[schemars(with = "Option<Seconds>")]
    interval: Option<Spanned<Seconds>>,
}

/// Promised measurements of one direction, by channel.
struct Specs {
    packets: Vec<MeasurementSpec>,
    levels: Vec<MeasurementSpec>,
}

pub struct Ble {
    listens: Duration,
    module_listens: Duration,
    interval: Duration,
    /// What the fixture expects at the bench and at the module, dBm.
    expected_dbm: [f64; 2],
    heard: Specs,
    hears: Specs,
    broken: MeasurementSpec,
    carrier_error: Option<MeasurementSpec>,
}

/// 150 kHz at 2.4 GHz is the most that a sender may be off (Bluetooth Core 5, volume 6, part A, 3.1); receivers follow
/// little more.
const CARRIER_PERCENT: f64 = 0.02;
const LISTENS: Duration = Duration::from_millis(750);
const MODULE_LISTENS: Duration = Duration::from_millis(250);
const INTERVAL: Duration = Duration::from_millis(20);
const LISTENS_WITHIN: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(10);
const MODULE_LISTENS_WITHIN: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(5);
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(1);

/// Transmit power of the module: the middle of its range.
const MODULE_DBM: i8 = 0;
/// Longest pause between requests. The firmware stops everything when the link is silent for longer.
const KEEP_ALIVE: Duration = Duration::from_millis(300);
/// The module's time for listening comes from an oscillator that is off by up to 2 %.
const SLOW_CLOCK: f64 = 0.03;
const LOOK: Duration = Duration::from_millis(5);
/// Longest time after the end of listening in which a report may still say "not yet".
const PATIENCE: Duration = Duration::from_millis(200);
/// Distinguishes the nonces of the two directions.
const MODULE_SENDS: u32 = 1;
const BENCH_SENDS: u32 = 2;

fn span(
    given: Option<&Spanned<Seconds>>,
    usual: Duration,
    within: &RangeInclusive<Duration>,
) -> Result<Duration, ParamProblem> {
    let Some(given) = given else { return Ok(usual) };
    let span = given.get_ref().duration();
    if within.contains(&span) {
        return Ok(span);
    }
    Err(ParamProblem::new(format!("{} is outside the allowed time", given.get_ref()))
        .at(given.span(), "too short or too long")
        .help(format!("expected {:?} to {:?}", within.start(), within.end())))
}

impl Kind for Ble {
    const NAME: &'static str = "ble";
    type Params = Params;
    const REACHES: &'static [Reach] = &[
        reach::count("heard"),
        reach::count("hears"),
        Reach {
            key: "level",
            least: Bound::Value(-100.0, "a receiver hears nothing that is weaker by so much"),
            most: Bound::Value(100.0, "nothing is sent that is stronger by so much"),
        },
        reach::share("broken"),
        reach::error("carrier_error", CARRIER_PERCENT, "a receiver misses packets whose carrier is off by more"),
    ];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let Some(radio) = &around.fixture.ble else {
            return Err(ParamProblem::new("this fixture has no Bluetooth to receive the module")
                .help("give the fixture file a [ble] section, or leave the step out"));
        };
        let expected_dbm = [f64::from(MODULE_DBM) - radio.path_loss_db, radio.power_dbm - radio.path_loss_db];
        let spec = |name: String, unit, limits| MeasurementSpec { name, unit, limits, contacts: Vec::new() };
        let specs = |what: &str, packets: &LimitsOf<Number>, expected: f64| {
            let Limits { min, max } = params.level.limits();
            let shifted = Limits { min: min.map(|min| expected + min), max: max.map(|max| expected + max) };
            let of = |end: &str, limits: Limits| {
                BLE_CHANNELS
                    .map(|channel| spec(format!("ble.{channel}.{what}{end}"), MeasurementUnit::One, limits))
                    .into()
            };
            Specs { packets: of("", packets.limits()), levels: of("-dbm", shifted) }
        };
        let ble = Ble {
            listens: span(params.listens.as_ref(), LISTENS, &LISTENS_WITHIN)?,
            module_listens: span(params.module_listens.as_ref(), MODULE_LISTENS, &MODULE_LISTENS_WITHIN)?,
            interval: span(params.interval.as_ref(), INTERVAL, &INTERVALS)?,
            expected_dbm,
            heard: specs("heard", &params.heard, expected_dbm[0]),
            hears: specs("hears", &params.hears, expected_dbm[1]),
            broken: spec("ble.broken".into(), MeasurementUnit::Percent, params.broken.limits()),
            carrier_error: params
                .carrier_error
                .map(|limits| spec("ble.carrier-error".into(), MeasurementUnit::Percent, limits.limits())),
        };
        let Ble { heard, hears, broken, carrier_error, .. } = &ble;
        let of = |specs: &Specs| [specs.packets.clone(), specs.levels.clone()].concat();
        Ok(Resolved {
            measurements: [of(heard), of(hears)]
                .concat()
                .into_iter()
                .chain([broken.clone()])
                .chain(carrier_error.clone())
                .collect(),
            coverage: Vec::new(),
            uses: resource::list(&[resource::RADIO]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(5) + ble.listens + 3 * ble.module_listens + ears::LONGEST,
            procedure: Box::new(ble),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Ble {
    fn needs_bluetooth(&self) -> bool {
        true
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let outcome = self.measure(nest, log).await;
        // Stop both, even if one fails. The first error says more.
        let bench_silent = nest.ble.stop().await;
        let module_silent = done(nest, BleRequest::Stop).await;
        outcome?;
        bench_silent?;
        module_silent
    }
}

impl Ble {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let heard = self.listen(nest, log).await?;
        let hears = self.let_listen(nest).await?;
        if heard.total() == 0 || hears.total() == 0 {
            // Silence says nothing about the module before the adapter has proved itself.
            ears::prove(nest, log, &heard, &hears).await?;
        }
        self.judge(log, &heard, &hears)
    }

    /// The module advertises, the bench listens.
    async fn listen(&self, nest: &Nest, log: &dyn StepLog) -> Result<Received, StepError> {
        let nonce: BleNonce = nonce(nest, MODULE_SENDS);
        let rounds = self.listens.as_millis() / self.interval.as_millis() + 2;
        let advertise = BleRequest::Advertise {
            nonce,
            count: u16::try_from(rounds).unwrap_or(u16::MAX),
            interval_ms: millis(self.interval),
            dbm: MODULE_DBM,
        };
        match nest.request(Request::Ble(advertise)).await {
            Ok(_) => {}
            Err(DutError::Refused(Refusal::NotRunning)) => {
                let text = "the 32 MHz crystal on the module does not run: its radio cannot work".to_owned();
                return Err(judge::defect(log, text));
            }
            Err(error) => return Err(nest.silent(error).await),
        }
        let adverts = {
            let scan = pin!(nest.ble.scan(self.listens));
            match select(scan, pin!(keep_alive(nest))).await {
                Either::Left((adverts, _)) => adverts?,
                Either::Right((error, _)) => return Err(error),
            }
        };
        let sent = report(nest).await?.sent;
        done(nest, BleRequest::Stop).await?;
        let received = Received::by_bench(&adverts, |advert: &Advert| {
            BleTag::parse(&advert.data).filter(|tag| advert.company == BLE_COMPANY && tag.nonce == nonce)
        });
        log.note(format!(
            "BLE nonce {} of the module: sent {sent:?} times on channels {BLE_CHANNELS:?}, heard {:?} times",
            hex(&nonce),
            received.packets
        ));
        Ok(received)
    }

    /// The bench advertises, the module listens.
    async fn let_listen(&self, nest: &Nest) -> Result<Received, StepError> {
        let nonce: BleNonce = nonce(nest, BENCH_SENDS);
        let tag = BleTag { nonce, channel: 0, round: 0 };
        nest.ble.advertise(BLE_COMPANY, &tag.bytes(), self.interval).await?;
        let mut received = Received::default();
        for (place, channel) in BLE_CHANNELS.into_iter().enumerate() {
            done(nest, BleRequest::Listen { channel, window_ms: millis(self.module_listens), nonce }).await?;
            received.by_module(place, &self.heard_by_module(nest).await?);
        }
        nest.ble.stop().await?;
        Ok(received)
    }

    /// Waits for the end of the module's listening.
    async fn heard_by_module(&self, nest: &Nest) -> Result<BleReport, StepError> {
        let ready = nest.clock.now() + self.module_listens.mul_f64(1.0 + SLOW_CLOCK);
        while nest.clock.now() < ready {
            nest.clock.sleep_until(ready.min(nest.clock.now() + KEEP_ALIVE)).await;
            let report = report(nest).await?;
            if !report.busy {
                return Ok(report);
            }
        }
        let late = nest.clock.now() + PATIENCE;
        loop {
            let report = report(nest).await?;
            if !report.busy {
                return Ok(report);
            }
            if nest.clock.now() >= late {
                return Err(StepError::Dut("the module does not stop listening: its slow clock is off".to_owned()));
            }
            nest.settle(LOOK).await;
        }
    }

    /// Name of the direction in the text for the repair bench.
    fn directions(&self) -> [Direction<'_>; 2] {
        let direction = |specs, expected_dbm| Direction { specs, expected_dbm };
        [direction(&self.heard, self.expected_dbm[0]), direction(&self.hears, self.expected_dbm[1])]
    }
}

/// Sends requests from time to time until the module does not answer.
async fn keep_alive(nest: &Nest) -> StepError {
    loop {
        nest.settle(KEEP_ALIVE).await;
        if let Err(error) = report(nest).await {
            return error;
        }
    }
}

async fn done(nest: &Nest, request: BleRequest) -> Result<(), StepError> {
    match nest.ask(Request::Ble(request)).await? {
        Reply::Done => Ok(()),
        other => Err(DutError::OutOfTurn(other).into()),
    }
}

async fn report(nest: &Nest) -> Result<BleReport, StepError> {
    match nest.ask(Request::Ble(BleRequest::Report)).await? {
        Reply::Ble(report) => Ok(report),
        other => Err(DutError::OutOfTurn(other).into()),
    }
}

fn millis(span: Duration) -> u16 {
    u16::try_from(span.as_millis()).unwrap_or(u16::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
