//! `program`: writes the test firmware into the module by the debug probe, unless it is already there, and starts it.

use crate::diagnose::short::{Meter, SHORT_OHMS};
use crate::reach;
use crate::reset::without_noise;
use crate::resolve;
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{ProgramError, ProgramJob, ProgramProgress, Programmed};
use bench_plan::{Amps, LimitsOf, ParamProblem, Reach, Resolved, Seconds, Spanned, Surroundings};
use bench_run::{Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::INITIAL_BAUD;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rail that supplies the MCU; none on a desk.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    supply: Option<Spanned<String>>,
    /// Stores what is on the module before it is overwritten, and writes it back at the end of the run.
    #[serde(default)]
    put_back: bool,
    /// Allows erasing a module whose access port is locked, with all its content.
    #[serde(default)]
    recover_locked: bool,
    /// Current that `supply` delivers to a running MCU, whatever is in its flash. It distinguishes a dead MCU from a
    /// probe that does not reach it.
    #[serde(default)]
    alive: Option<LimitsOf<Amps>>,
    /// Longest time that it may take.
    #[serde(default = "default_within")]
    within: Seconds,
}

fn default_within() -> Seconds {
    Seconds::new(30.0)
}

pub struct Program {
    /// `None` on a desk.
    supply: Option<String>,
    put_back: bool,
    recover_locked: bool,
    alive: Option<Limits>,
    verified: MeasurementSpec,
    seconds: MeasurementSpec,
}

/// A reset contact below this share of the supply keeps the MCU in reset.
const IN_RESET: f64 = 0.3;
/// The programmer gives up by itself before that.
const TIMEOUT: Duration = Duration::from_secs(90);

impl Kind for Program {
    const NAME: &'static str = "program";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::amps("alive", "supply")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = resolve::supply_unless_desk(around.fixture, params.supply)?;
        if around.fixture.probe.is_none() {
            return Err(ParamProblem::new(format!("the fixture {} has no debug probe", around.fixture.name)).help(
                "give it a section [controller.probe], or leave the step out: the modules must hold the firmware",
            ));
        }
        let spec = |name: &str, unit, limits| MeasurementSpec { name: name.into(), unit, limits, contacts: Vec::new() };
        let verified = spec("firmware.verified", MeasurementUnit::One, Limits::exactly(1.0));
        let seconds = spec("firmware.seconds", MeasurementUnit::Seconds, Limits::at_most(params.within.get()));
        Ok(Resolved {
            measurements: vec![verified.clone(), seconds.clone()],
            coverage: Vec::new(),
            uses: resource::list(&[resource::DUT, resource::MEASURE_BUS]),
            shares: Vec::new(),
            default_timeout: TIMEOUT,
            procedure: Box::new(Program {
                supply,
                put_back: params.put_back,
                recover_locked: params.recover_locked,
                alive: params.alive.map(|amps| amps.limits()),
                verified,
                seconds,
            }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Program {
    fn writes_firmware(&self) -> bool {
        true
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        if nest.firmware.is_empty() {
            return Err(StepError::Bench("no firmware image was given to this run".to_owned()));
        }
        if let Some(supply) = &self.supply {
            nest.supply_volts(supply).await?;
        }
        nest.leave_link().await?;
        let began = nest.clock.now();
        let done = match self.write(nest, log).await {
            Ok(done) => done,
            Err(ProgramError::NoAnswer) => return Err(self.who_is_silent(nest, log).await?),
            Err(error) => {
                // The debug port answers then, and nothing else works.
                let kept = if error.is_of_module() { self.kept_in_reset(nest).await? } else { None };
                return Err(match kept {
                    Some(diagnosis) => {
                        let text = diagnosis.text.clone();
                        log.diagnosed(diagnosis);
                        StepError::Dut(text)
                    }
                    None => failed(log, &error),
                });
            }
        };
        log.measured(&self.verified.name, Some(f64::from(u8::from(done.verified))));
        log.measured(&self.seconds.name, Some((nest.clock.now() - began).as_secs_f64()));
        log.note(describe(&nest.firmware.name, &done));
        if let Some(kept) = nest.safekeeping.kept() {
            log.note(format!("what was on the module before is in {}", kept.file));
        } else if self.put_back && !done.recovered {
            log.note("the test firmware was on the module already: nothing is written back".to_owned());
        }
        Ok(())
    }
}

/// What of a module does not come back, for a person who must know it before.
pub const GOES: &str = "not restored at the end: RAM that is kept over resets, the modem's own settings, and what Device OS \
                    did not save";

impl Program {
    /// Writes the firmware. A locked module is erased only with leave, and the record says before what is lost.
    async fn write(&self, nest: &Nest, log: &dyn StepLog) -> Result<Programmed, ProgramError> {
        let keep = if self.put_back { nest.safekeeping.keep() } else { None };
        if keep.is_some() {
            log.note(GOES.to_owned());
        }
        let job = ProgramJob { images: vec![(*nest.firmware).clone()], keep, ..ProgramJob::default() };
        let allowed = self.recover_locked || nest.may_erase_locked;
        let at_once = ProgramJob { recover_locked: allowed && !self.put_back, ..job.clone() };
        match nest.programmer.program(at_once, &|progress| shown(log, progress)).await {
            Err(ProgramError::Locked) if allowed && self.put_back => {
                let text =
                    "the MCU is locked: what is on it cannot be read, so it is lost, and nothing is written back";
                log.note(text.to_owned());
                let erased = ProgramJob { recover_locked: true, keep: None, ..job };
                nest.programmer.program(erased, &|progress| shown(log, progress)).await
            }
            done => done,
        }
    }
}

/// Progress text for the operator.
pub(crate) fn shown(log: &dyn StepLog, progress: ProgramProgress) {
    let ProgramProgress { phase, done, total } = progress;
    log.progress(&phase.to_string(), done as f64 / total.max(1) as f64);
}

/// "Virtual SWD probe VIRTUAL-1: MCU 0123456789abcdef, dut-firmware: 98304 bytes written, 0 there already, verified".
pub(crate) fn describe(what: &str, done: &Programmed) -> String {
    let Programmed { probe, device_id, written, kept, uicr_written, recovered, verified } = done;
    let uicr = if *uicr_written > 0 { format!(", {uicr_written} words of UICR written") } else { String::new() };
    let verified = if *verified { ", verified" } else { ", not verified" };
    let recovered = if *recovered { ", after erasing a locked module" } else { "" };
    format!(
        "{probe}: MCU {device_id:016x}, {what}: {written} bytes written, {kept} there already{uicr}{verified}{recovered}"
    )
}

/// Turns an error of the programmer into one that addresses who must act: repair or technician.
pub(crate) fn failed(log: &dyn StepLog, error: &ProgramError) -> StepError {
    let text = error.to_string();
    let of_module = error.is_of_module();
    let defect = if of_module { Defect::Other } else { Defect::Bench };
    log.diagnosed(Diagnosis { defect, contacts: Vec::new(), text: text.clone() });
    if of_module { StepError::Dut(text) } else { StepError::Bench(text) }
}

impl Program {
    async fn kept_in_reset(&self, nest: &Nest) -> Result<Option<Diagnosis>, StepError> {
        let Some(reset) = nest.reset_contact() else { return Ok(None) };
        let Some(supply) = &self.supply else { return Ok(None) };
        let supply = nest.supply_volts(supply).await?;
        let rest = nest.bus.volts(reset).await?;
        if rest > IN_RESET * supply {
            return Ok(None);
        }
        let to_ground = Meter::Powered(supply).ohms(nest, reset).await?;
        let (defect, how) = if to_ground < SHORT_OHMS {
            (Defect::StuckLow, format!("held low through {}", MeasurementUnit::Ohms.show(to_ground)))
        } else {
            (
                Defect::MissingPull,
                format!("not pulled up, it rests at {}", MeasurementUnit::Volts.show(without_noise(rest))),
            )
        };
        let text = format!("contact {}: {how}: the MCU is kept in reset", nest.label(reset));
        Ok(Some(Diagnosis { defect, contacts: vec![reset], text }))
    }

    /// No answer to the probe: decides whether the MCU is dead or the probe does not reach it.
    async fn who_is_silent(&self, nest: &Nest, log: &dyn StepLog) -> Result<StepError, StepError> {
        const REACH: &str = "check the pogo pins and the cable of SWDIO and SWDCLK";
        let Some(supply) = &self.supply else {
            let text =
                "the MCU does not answer the debug probe: is the board on, is a module in the nest and in its socket to \
                        the stop, do SWDIO, SWCLK and ground reach the debug connector the right way round?"
                    .to_owned();
            log.diagnosed(Diagnosis { defect: Defect::Bench, contacts: Vec::new(), text: text.clone() });
            return Ok(StepError::Bench(text));
        };
        nest.join_link().await?;
        let talks = nest.dut.connect(INITIAL_BAUD).await.is_ok();
        nest.dut.disconnect().await;
        nest.leave_link().await?;
        let amps = nest.rails.measure(supply).await?.amps;
        let shown = MeasurementUnit::Amps.show(amps);
        let draws = self.alive.as_ref().map(|limits| judge(limits, Some(amps)) == Verdict::Pass);
        let (defect, text) = match (talks, draws) {
            (true, _) => {
                (Defect::Bench, format!("the debug probe does not reach the MCU, whose firmware answers: {REACH}"))
            }
            (false, Some(true)) => (
                Defect::Bench,
                format!("the debug probe does not reach the MCU, which runs ({supply} delivers {shown}): {REACH}"),
            ),
            (false, Some(false)) => (
                Defect::NoAnswer,
                format!("the MCU does not start: no answer to the debug probe, and {supply} delivers {shown}"),
            ),
            (false, None) => (
                Defect::Bench,
                format!(
                    "the MCU answers neither the debug probe nor over the link: {REACH}; if the next module \
                         answers, the MCU of this one does not start"
                ),
            ),
        };
        log.diagnosed(Diagnosis { defect, contacts: Vec::new(), text: text.clone() });
        Ok(if defect == Defect::Bench { StepError::Bench(text) } else { StepError::Dut(text) })
    }
}
