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
        let deadline = nest.clock.now() + DETECTED_WITHIN;
        let mut detected = self.is_detected(nest).await?;
        while !detected && nest.clock.now() < deadline {
            nest.settle(LOOK).await;
            detected = self.is_detected(nest).await?;
        }
        log.measured(&self.detected.name, flag(detected));
        if !detected {
            let text = "USB: the MCU does not detect the supply of its USB connector: try another cable and port; if it \
                        stays so, VUSB does not reach the MCU";
            return Err(defect(log, text.to_owned()));
        }
        let UsbIds { vendor, product } = self.ids;
        done(nest.ask(Request::StartUsb { vendor, product }).await?)?;
        let outcome = self.echo(nest, log).await;
        let stopped = nest.ask(Request::StopUsb).await;
        outcome?;
        stopped.map(drop)
    }
}

impl UsbEchoStep {
    async fn is_detected(&self, nest: &Nest) -> Result<bool, StepError> {
        match nest.ask(Request::ReadStatus).await? {
            Reply::Status(status) => Ok(status.usb_detected),
            other => Err(super::out_of_turn(other)),
        }
    }

    async fn echo(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let bytes: Vec<u8> = (0..BYTES).map(|n| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect();
        let serial = match nest.ask(Request::Identify).await? {
            Reply::Identity(identity) => format!("{:016x}", identity.device_id),
            other => return Err(super::out_of_turn(other)),
        };
        let received = match nest.usb.echo(self.ids, &serial, &bytes, self.within).await? {
            UsbEcho::Received(received) => received,
            UsbEcho::NoDevice { .. } => {
                log.measured(&self.enumerates.name, flag(false));
                let ids = self.ids;
                let text = format!(
                    "USB: the module detects the supply, but this computer sees no device {ids}: a cable without data \
                     lines, or D+, D- or the MCU's USB is dead"
                );
                return Err(defect(log, text));
            }
        };
        log.measured(&self.enumerates.name, flag(true));
        let differ = received.iter().zip(&bytes).filter(|(is, should)| is != should).count();
        let wrong = differ + received.len().abs_diff(bytes.len());
        log.measured(&self.wrong.name, Some(wrong as f64));
        if wrong > 0 {
            let _ = defect(log, format!("USB: {wrong} of {} bytes did not come back as they were sent", bytes.len()));
        }
        Ok(())
    }
}
