//! `usb-echo`: a person joins the module's USB connector to this computer; the module detects the supply, enumerates, and
//! returns what it receives.

use super::{PERSON, defect, desk, done, flag, spec, yes};
use crate::{Kind, Nest, Procedure, StepError, StepLog, resource};
use async_trait::async_trait;
use bench_instruments::{Chore, Task, UsbEcho, UsbIds};
use bench_plan::{ParamProblem, Resolved, Seconds, Surroundings};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{Reply, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Longest time for enumeration and echo; 10 s when left out.
    #[serde(default)]
    within: Option<Seconds>,
}

pub struct UsbEchoStep {
    task: Task,
    again: Task,
    ids: UsbIds,
    within: Duration,
    detected: MeasurementSpec,
    enumerates: MeasurementSpec,
    wrong: MeasurementSpec,
}

const LOOK: Duration = Duration::from_millis(100);
/// From the plug to the supply, with a hub in between.
const DETECTED_WITHIN: Duration = Duration::from_secs(3);
/// More than one packet; each byte depends on its place.
const BYTES: u32 = 150;

impl Kind for UsbEchoStep {
    const NAME: &'static str = "usb-echo";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let desk = desk(around)?;
        let Some(connector) = &desk.usb else {
            return Err(ParamProblem::new(format!(
                "no connector of {} leads to the module's USB",
                around.fixture.name
            ))
            .help("name it in [desk]: usb = \"...\", or leave the step out"));
        };
        let platform = &around.dut.platform;
        let text = format!("Join {connector} to this computer.");
        let step = UsbEchoStep {
            task: Task { chore: Chore::PlugUsb, text },
            again: Task {
                chore: Chore::PlugUsb,
                text: format!(
                    "Nothing was found. Join {connector} to this computer again, with a cable and a port with which another \
                     USB device works."
                ),
            },
            ids: UsbIds { vendor: platform.usb_vendor, product: platform.usb_product_serial },
            within: params.within.map_or(Duration::from_secs(10), Seconds::duration),
            detected: yes("usb.supply-detected"),
            enumerates: yes("usb.enumerates"),
            wrong: spec("usb.wrong-bytes", MeasurementUnit::One, Limits::exactly(0.0)),
        };
        Ok(Resolved {
            measurements: vec![step.detected.clone(), step.enumerates.clone(), step.wrong.clone()],
            coverage: Vec::new(),
            uses: resource::list(&[resource::USB_HOST]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: PERSON + step.within,
            procedure: Box::new(step),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for UsbEchoStep {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        if !self.is_detected(nest).await? {
            nest.person.act(&self.task).await?;
        }
        let mut tried = self.attempt(nest).await?;
        if !matches!(tried, Tried::Answered(_)) {
            // A cable that only charges, or a tired port, is no defect of the module.
            nest.person.act(&self.again).await?;
            tried = self.attempt(nest).await?;
        }
        self.judge(log, &tried)
    }
}

/// What became of one cable.
enum Tried {
    NoSupply,
    NoDevice,
    /// Bytes that came back.
    Answered(Vec<u8>),
}

impl UsbEchoStep {
    async fn is_detected(&self, nest: &Nest) -> Result<bool, StepError> {
        match nest.ask(Request::ReadStatus).await? {
            Reply::Status(status) => Ok(status.usb_detected),
            other => Err(super::out_of_turn(other)),
        }
    }

    async fn attempt(&self, nest: &Nest) -> Result<Tried, StepError> {
        let deadline = nest.clock.now() + DETECTED_WITHIN;
        while !self.is_detected(nest).await? {
            if nest.clock.now() >= deadline {
                return Ok(Tried::NoSupply);
            }
            nest.settle(LOOK).await;
        }
        let UsbIds { vendor, product } = self.ids;
        done(nest.ask(Request::StartUsb { vendor, product }).await?)?;
        let outcome = self.echo(nest).await;
        let stopped = nest.ask(Request::StopUsb).await;
        let tried = outcome?;
        stopped?;
        Ok(tried)
    }

    async fn echo(&self, nest: &Nest) -> Result<Tried, StepError> {
        let serial = match nest.ask(Request::Identify).await? {
            Reply::Identity(identity) => format!("{:016x}", identity.device_id),
            other => return Err(super::out_of_turn(other)),
        };
        Ok(match nest.usb.echo(self.ids, &serial, &bytes(), self.within).await? {
            UsbEcho::Received(received) => Tried::Answered(received),
            UsbEcho::NoDevice { .. } => Tried::NoDevice,
        })
    }

    fn judge(&self, log: &dyn StepLog, tried: &Tried) -> Result<(), StepError> {
        log.measured(&self.detected.name, flag(!matches!(tried, Tried::NoSupply)));
        let received = match tried {
            Tried::NoSupply => {
                let text = "USB: the MCU does not detect the supply of its USB connector, with two cables: VUSB does not \
                            reach the MCU";
                return Err(defect(log, text.to_owned()));
            }
            Tried::NoDevice => {
                log.measured(&self.enumerates.name, flag(false));
                let ids = self.ids;
                let text = format!(
                    "USB: the module detects the supply, but this computer sees no device {ids}, with two cables: D+, D- \
                     or the MCU's USB"
                );
                return Err(defect(log, text));
            }
            Tried::Answered(received) => received,
        };
        log.measured(&self.enumerates.name, flag(true));
        let bytes = bytes();
        let differ = received.iter().zip(&bytes).filter(|(is, should)| is != should).count();
        let wrong = differ + received.len().abs_diff(bytes.len());
        log.measured(&self.wrong.name, Some(wrong as f64));
        if wrong > 0 {
            let _ = defect(log, format!("USB: {wrong} of {} bytes did not come back as they were sent", bytes.len()));
        }
        Ok(())
    }
}

fn bytes() -> Vec<u8> {
    (0..BYTES).map(|n| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect()
}
