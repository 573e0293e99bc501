//! `modem-signal`: checks that a cell is received through the main antenna, how strongly, and that the modem survives
//! its own transmitter.

use super::at::Talk;
use super::silence::{self, Next, has_booted, restarts};
use super::{ANSWER, Answer, Ended, ModemOn, defect, flag, shares, spec, uses, yes};
use crate::reach;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{Chore, Task};
use bench_plan::{
    Amps, Bound, LimitsOf, ModemDialect, Number, ParamProblem, Reach, Resolved, Seconds, Spanned, Surroundings,
};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Power of the cell's reference signal (RSRP), dBm: what this fixture's antenna or cell simulator gives.
    rsrp_dbm: LimitsOf<Number>,
    /// Below this, dBm, no antenna is connected; between it and the limit the receiver is weak.
    no_antenna_below: Number,
    /// Time for a cell to be received.
    within: Seconds,
    /// The rail that feeds the modem, and its current while the modem is idle. Neither on a desk.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    supply: Option<Spanned<String>>,
    #[serde(default)]
    idle_amps: Option<LimitsOf<Amps>>,
    /// Time for the network to accept the modem. When left out, the step does not wait for a network.
    #[serde(default)]
    registered_within: Option<Seconds>,
}

pub struct ModemSignal {
    no_antenna_below: f64,
    within: Duration,
    supply: Option<String>,
    registered_within: Option<Duration>,
    /// The cell is whatever the room has: a person must say that there is one.
    room: bool,
    heard: MeasurementSpec,
    rsrp: MeasurementSpec,
    restarts: MeasurementSpec,
    registered: MeasurementSpec,
    idle: Option<MeasurementSpec>,
}

const LOOK: Duration = Duration::from_millis(300);
/// The transmitter starts when a cell is received; it is done by then.
const BURST: Duration = Duration::from_millis(250);

impl Kind for ModemSignal {
    const NAME: &'static str = "modem-signal";
    type Params = Params;
    const REACHES: &'static [Reach] = &[
        Reach {
            key: "rsrp_dbm",
            least: Bound::Value(-141.0, "modems report -140 dBm and below as this"),
            most: Bound::Value(-44.0, "modems report -44 dBm and more as this"),
        },
        reach::amps("idle_amps", "supply"),
    ];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let supply = crate::resolve::rail_unless_desk(around.fixture, params.supply.as_ref())?;
        if supply.is_some() && params.idle_amps.is_none() {
            return Err(ParamProblem::new("no `idle_amps`").help("the modem's current on `supply` while it is idle"));
        }
        let step = ModemSignal {
            no_antenna_below: params.no_antenna_below.get(),
            within: params.within.duration(),
            supply,
            registered_within: params.registered_within.map(Seconds::duration),
            room: around.fixture.desk.is_some(),
            heard: yes("cell.heard"),
            rsrp: spec("cell.rsrp-dbm", MeasurementUnit::One, params.rsrp_dbm.limits()),
            restarts: spec("modem.restarts", MeasurementUnit::One, Limits::exactly(0.0)),
            registered: yes("cell.registered"),
            idle: params
                .idle_amps
                .filter(|_| around.fixture.desk.is_none())
                .map(|amps| spec("modem.idle-current", MeasurementUnit::Amps, amps.limits())),
        };
        let mut measurements = vec![step.heard.clone(), step.rsrp.clone(), step.restarts.clone()];
        measurements.extend(step.idle.clone());
        if step.registered_within.is_some() {
            measurements.push(step.registered.clone());
        }
        Ok(Resolved {
            measurements,
            coverage: Vec::new(),
            uses: uses(),
            shares: shares(),
            default_timeout: step.within + step.registered_within.unwrap_or_default() + Duration::from_secs(40),
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for ModemSignal {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let modem = nest.modem.expect()?;
        let note = |text: String| log.dialogue(text);
        let mut talk = Talk::open(nest, &modem, &note).await?;
        let deadline = nest.clock.now() + self.within;
        let rsrp = loop {
            match ask(&mut talk, modem.part.dialect).await? {
                Heard::Dbm(dbm) => break dbm,
                Heard::Nothing if nest.clock.now() < deadline => nest.settle(LOOK).await,
                Heard::Nothing => {
                    if self.room {
                        nest.person.act(&covered()).await?;
                    }
                    log.measured(&self.heard.name, flag(false));
                    let text =
                        "cellular antenna: no cell received: its path is open, or no cell is in range".to_owned();
                    return Err(defect(log, text));
                }
                Heard::NoAnswer => self.answers_again(nest, log, &modem, &mut talk).await?,
            }
        };
        log.measured(&self.heard.name, flag(true));
        log.measured(&self.rsrp.name, Some(rsrp));
        nest.settle(BURST).await;
        let still = talk.command("AT", ANSWER).await?;
        if has_booted(&modem, &still) {
            log.measured(&self.restarts.name, Some(1.0));
            return Err(restarts(log));
        }
        if !still.is_ok() {
            self.answers_again(nest, log, &modem, &mut talk).await?;
        }
        log.measured(&self.restarts.name, Some(0.0));
        if judge(&self.rsrp.limits, Some(rsrp)) == Verdict::Fail {
            if self.room {
                nest.person.act(&covered()).await?;
            }
            let lacks = self.rsrp.limits.min.map_or(0.0, |limit| limit - rsrp);
            let text = if rsrp < self.no_antenna_below {
                format!("cellular antenna: its path is open or unplugged: only {rsrp:.0} dBm, {lacks:.0} dB too low")
            } else {
                format!("cellular receiver is weak: {rsrp:.0} dBm, {lacks:.0} dB too low: antenna match or receiver")
            };
            defect(log, text);
        }
        if let Some(within) = self.registered_within {
            self.register(nest, log, &mut talk, within).await?;
        }
        if let (Some(idle), Some(supply)) = (&self.idle, &self.supply) {
            log.measured(&idle.name, Some(nest.rails.measure(supply).await?.amps));
        }
        Ok(())
    }
}

fn covered() -> Task {
    let text = "The modem hears no cell, or a weak one only. Is its antenna plugged in, and does another device with the same network (LTE-M, \
                or LTE and 2G) have a good signal at this place?";
    Task { chore: Chore::Confirm, text: text.to_owned() }
}

impl ModemSignal {
    async fn answers_again(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        modem: &ModemOn,
        talk: &mut Talk<'_>,
    ) -> Result<(), StepError> {
        let next = silence::wait(nest, modem, talk).await?;
        if matches!(next, Next::Restarted) {
            log.measured(&self.restarts.name, Some(1.0));
        }
        next.judged(log)
    }

    async fn register(
        &self,
        nest: &Nest,
        log: &dyn StepLog,
        talk: &mut Talk<'_>,
        within: Duration,
    ) -> Result<(), StepError> {
        let deadline = nest.clock.now() + within;
        loop {
            let answer = talk.command("AT+CEREG?", ANSWER).await?;
            let state = answer.values("+CEREG").last().and_then(registration).unwrap_or_default();
            // At home, or roaming.
            if matches!(state, "1" | "5") {
                log.measured(&self.registered.name, flag(true));
                return Ok(());
            }
            if nest.clock.now() >= deadline {
                log.measured(&self.registered.name, flag(false));
                defect(log, format!("modem: the network does not accept it (state {state})"));
                return Ok(());
            }
            nest.settle(LOOK).await;
        }
    }
}

/// The state of registration, from the answer (`0,5`) or from an unsolicited line (`5` or `5,"8a3f","01a2",7`).
fn registration(value: &str) -> Option<&str> {
    let mut fields = value.split(',').map(str::trim);
    let first = fields.next()?;
    let second = fields.next().filter(|field| field.len() == 1 && field.bytes().all(|byte| byte.is_ascii_digit()));
    Some(second.unwrap_or(first))
}

enum Heard {
    Dbm(f64),
    Nothing,
    NoAnswer,
}

async fn ask(talk: &mut Talk<'_>, dialect: ModemDialect) -> Result<Heard, StepError> {
    let commands: &[&str] = match dialect {
        ModemDialect::SaraR4 => &["AT+UCGED=5", "AT+UCGED?"],
        ModemDialect::SaraR5 => &["AT+UCGED=2", "AT+UCGED?"],
        ModemDialect::Quectel => &["AT+QCSQ"],
    };
    let mut last = None;
    for command in commands {
        let answer = talk.command(command, ANSWER).await?;
        if answer.ended == Ended::Silent || answer.echoed {
            return Ok(Heard::NoAnswer);
        }
        last = Some(answer);
    }
    Ok(last.and_then(|answer| rsrp_dbm(&answer, dialect)).map_or(Heard::Nothing, Heard::Dbm))
}

/// From the lines of one dialect.
fn rsrp_dbm(answer: &Answer, dialect: ModemDialect) -> Option<f64> {
    match dialect {
        // +RSRP: <cell>,<earfcn>,"<dBm>"
        ModemDialect::SaraR4 => answer.value("+RSRP")?.split(',').nth(2)?.trim_matches('"').parse().ok(),
        // A header, a short line, then a list whose 11th field is the index of 3GPP TS 36.133, 9.1.4: 0 is below
        // -140 dBm, 97 is -44 dBm or more, 255 unknown.
        ModemDialect::SaraR5 => {
            let list = answer.lines.iter().find(|line| line.split(',').count() > 11)?;
            let index: u16 = list.split(',').nth(10)?.trim().parse().ok()?;
            (index <= 97).then(|| f64::from(index) - 141.0)
        }
        // +QCSQ: "LTE",<rssi>,<rsrp>,<sinr>,<rsrq>
        ModemDialect::Quectel => answer.value("+QCSQ")?.split(',').nth(2)?.trim().parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations() {
        for (value, expected) in
            [("0,5", "5"), ("2,1,\"8a3f\",\"01a2\",7", "1"), ("5", "5"), ("5,\"8a3f\",\"01a2\",7", "5"), ("0, 3", "3")]
        {
            assert_eq!(registration(value), Some(expected), "{value}");
        }
    }

    #[test]
    fn every_dialect_is_read() {
        let rows = [
            (ModemDialect::SaraR4, vec!["+RSRP: 162,5110,\"-085.10\","], Some(-85.1)),
            (ModemDialect::SaraR4, vec![], None),
            (ModemDialect::SaraR5, vec!["+UCGED: 2", "6,4,1,1", "1,2,3,4,5,6,7,8,9,10,56,17,255"], Some(-85.0)),
            (ModemDialect::SaraR5, vec!["+UCGED: 2", "6,4,1,1", "1,2,3,4,5,6,7,8,9,10,255,255,255"], None),
            (ModemDialect::Quectel, vec!["+QCSQ: \"LTE\",-60,-85,150,-9"], Some(-85.0)),
            (ModemDialect::Quectel, vec!["+QCSQ: \"NOSERVICE\""], None),
        ];
        for (dialect, lines, expected) in rows {
            let lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
            let unsolicited = vec!["+CREG: 5".to_owned()];
            let answer = Answer { lines, unsolicited, ended: Ended::Ok, echoed: false, in_digits: false };
            assert_eq!(rsrp_dbm(&answer, dialect), expected, "{answer:?}");
        }
    }
}
