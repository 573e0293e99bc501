//! `supply-current`: measures the module's current idle, busy and in its deepest sleep, and checks that it wakes up.

use crate::reach;
use crate::resolve::{self, can_drive};
use crate::resource;
use crate::restart::{self, STARTS, WOKEN};
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::DutError;
use bench_plan::{Amps, Coverage, LimitsOf, ParamProblem, Reach, Resolved, Spanned, Surroundings, nearest_help};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{Job, Port, Reply, Request};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rail that supplies the MCU.
    #[schemars(with = "String")]
    supply: Spanned<String>,
    /// Its current while the firmware waits for the bench.
    idle: LimitsOf<Amps>,
    /// While the processor executes without a pause.
    busy: LimitsOf<Amps>,
    /// In System OFF.
    sleep: LimitsOf<Amps>,
    /// Currents of other rails at the same time, by the rail's name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, LimitsOf<Amps>>")]
    others: BTreeMap<Spanned<String>, LimitsOf<Amps>>,
    /// Name of the pin that wakes the module when it goes high.
    #[schemars(with = "String")]
    wake: Spanned<String>,
    /// Rate of the link after the module woke; 1000000 when left out.
    #[serde(default)]
    baud: Option<u32>,
}

pub struct SupplyCurrent {
    supply: String,
    wake: (Contact, Port),
    baud: u32,
    idle: MeasurementSpec,
    busy: MeasurementSpec,
    sleep: MeasurementSpec,
    wakes: MeasurementSpec,
    others: Vec<(String, MeasurementSpec)>,
}

/// Much longer than one measurement of the monitor (5.2 ms), with the bus and a busy controller around it. A reading
/// that ends later is void.
const BUSY_MS: u16 = 40;
/// Time from the request until the module is idle.
const SETTLE: Duration = Duration::from_millis(20);
/// Delay after the start of the busy time.
const BUSY_SETTLE: Duration = Duration::from_millis(2);
/// How long the wake contact is high.
const HELD: Duration = Duration::from_millis(2);

impl Kind for SupplyCurrent {
    const NAME: &'static str = "supply-current";
    type Params = Params;
    const REACHES: &'static [Reach] = &[
        reach::amps("idle", "supply"),
        reach::amps("busy", "supply"),
        reach::amps("sleep", "supply"),
        reach::amps("others.*", "*"),
    ];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply(around.fixture, params.supply)?;
        let contacts = resolve::rail_contacts(around.fixture, &supply);
        let spec = |rail: &str, what: &str, limits: &LimitsOf<Amps>| MeasurementSpec {
            name: format!("{rail}.{what}"),
            unit: MeasurementUnit::Amps,
            limits: limits.limits(),
            contacts: resolve::rail_contacts(around.fixture, rail),
        };
        let mut others = Vec::new();
        for (name, limits) in &params.others {
            let rail = resolve::rail(around.fixture, name)?;
            others.push((rail.name.clone(), spec(&rail.name, "sleep", limits)));
        }
        let name = &params.wake;
        let info = around.dut.pin(name.get_ref()).filter(|info| can_drive(around.fixture, info.contact));
        let Some((contact, port)) = info.and_then(|info| Some((info.contact, info.port?))) else {
            let text = format!("{} is not a pin with a port and a nail that can drive", name.get_ref());
            let usable = around.dut.contacts.iter().filter(|info| info.port.is_some());
            let pins = usable.filter(|info| can_drive(around.fixture, info.contact)).map(|info| info.pin.as_str());
            let help = nearest_help(name.get_ref(), pins, "pins");
            return Err(ParamProblem::new(text).at(name.span(), "cannot wake the module").help(help));
        };
        let (idle, busy, sleep) = (
            spec(&supply, "idle", &params.idle),
            spec(&supply, "busy", &params.busy),
            spec(&supply, "sleep", &params.sleep),
        );
        let wakes = MeasurementSpec {
            name: "mcu.wakes".into(),
            unit: MeasurementUnit::One,
            limits: Limits::exactly(1.0),
            contacts: vec![contact],
        };
        let mut measurements = vec![idle.clone(), busy.clone(), sleep.clone(), wakes.clone()];
        measurements.extend(others.iter().map(|(_, spec)| spec.clone()));
        Ok(Resolved {
            measurements,
            coverage: contacts.iter().map(|&contact| Coverage { contact, aspects: vec!["current"] }).collect(),
            uses: resource::list(&[resource::DUT, resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: Vec::new(),
            default_timeout: Duration::from_secs(5),
            procedure: Box::new(SupplyCurrent {
                supply,
                wake: (contact, port),
                baud: params.baud.unwrap_or(1_000_000),
                idle,
                busy,
                sleep,
                wakes,
                others,
            }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for SupplyCurrent {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.released_after(self.measure(nest, log)).await
    }
}

impl SupplyCurrent {
    async fn measure(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        nest.release_ports().await?;
        nest.settle(SETTLE).await;
        let idle = self.amps(nest, log, &self.supply, &self.idle).await?;
        let busy = self.while_busy(nest, log).await?;

        match nest.ask(Request::SystemOff { wake: self.wake.1 }).await? {
            Reply::Done => {}
            other => return Err(DutError::OutOfTurn(other).into()),
        }
        nest.settle(SETTLE).await;
        let asleep = self.asleep(nest, log).await?;
        for (rail, spec) in &self.others {
            let amps = self.amps(nest, log, rail, spec).await?;
            if judge(&spec.limits, Some(amps)) == Verdict::Fail {
                self.report(
                    log,
                    rail,
                    format!("draws {} while it sleeps", MeasurementUnit::Amps.show(amps)),
                    &spec.contacts,
                );
            }
        }
        // An excess in every state is one defect, not three.
        let of = [(&self.sleep, asleep, "in deep sleep"), (&self.idle, idle, "idle"), (&self.busy, busy, "busy")];
        let wrong = of.into_iter().find(|(spec, amps, _)| judge(&spec.limits, Some(*amps)) == Verdict::Fail);
        if let Some((_, amps, state)) = wrong {
            // No contact shows where on the module the current flows.
            self.report(log, &self.supply, format!("draws {} {state}", MeasurementUnit::Amps.show(amps)), &[]);
        }
        self.wake(nest, log).await
    }

    fn report(&self, log: &dyn StepLog, rail: &str, what: String, contacts: &[Contact]) {
        let text = format!("supply current: the module {what} from rail {rail}");
        log.diagnosed(Diagnosis { defect: Defect::Other, contacts: contacts.to_vec(), text });
    }

    /// A module that sleeps draws less than the offset of the monitor, which was measured while the rail was off.
    async fn asleep(&self, nest: &Nest, log: &dyn StepLog) -> Result<f64, StepError> {
        let zero = nest.zero_amps.borrow().get(&self.supply).copied().unwrap_or(0.0);
        let amps = nest.rails.fine_amps(&self.supply).await? - zero;
        log.measured(&self.sleep.name, Some(amps));
        Ok(amps)
    }

    async fn amps(&self, nest: &Nest, log: &dyn StepLog, rail: &str, spec: &MeasurementSpec) -> Result<f64, StepError> {
        let amps = nest.rails.measure(rail).await?.amps;
        log.measured(&spec.name, Some(amps));
        Ok(amps)
    }

    async fn while_busy(&self, nest: &Nest, log: &dyn StepLog) -> Result<f64, StepError> {
        let job = match nest.ask(Request::StartJob(Job::Busy { ms: BUSY_MS })).await? {
            Reply::JobAccepted { job } => job,
            other => return Err(DutError::OutOfTurn(other).into()),
        };
        let began = nest.clock.now();
        nest.settle(BUSY_SETTLE).await;
        let amps = self.amps(nest, log, &self.supply, &self.busy).await?;
        log.within(began, Duration::from_millis(BUSY_MS.into()));
        let deadline = nest.clock.now() + Duration::from_millis(500);
        match nest.dut.job_done(job, deadline).await {
            Ok(_) => Ok(amps),
            Err(error) => Err(nest.silent(error).await),
        }
    }

    async fn wake(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let (contact, _) = self.wake;
        nest.drive_nail(contact, true).await?;
        nest.settle(HELD).await;
        nest.release_nail(contact).await?;
        nest.settle(STARTS).await;
        let woken = restart::greet(nest, self.baud).await?;
        let wakes = woken.as_ref().is_some_and(|identity| identity.reset_reason & WOKEN != 0);
        log.measured(&self.wakes.name, Some(f64::from(u8::from(wakes))));
        if wakes {
            return Ok(());
        }
        let label = nest.label(contact);
        let text = match woken {
            Some(identity) => format!(
                "the module did not sleep until contact {label} became high: it reports the reset reason {:#x}",
                identity.reset_reason
            ),
            None => format!("the module does not wake from deep sleep when contact {label} becomes high"),
        };
        log.diagnosed(Diagnosis { defect: Defect::Other, contacts: vec![contact], text: text.clone() });
        // The next step needs a module that is awake.
        if let Some(reset) = nest.reset_contact() {
            restart::by_contact(nest, reset).await?;
            if restart::greet(nest, self.baud).await?.is_some() {
                return Ok(());
            }
        }
        Err(StepError::Dut(text))
    }
}
