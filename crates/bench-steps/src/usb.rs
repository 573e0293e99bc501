//! `usb`: checks that the MCU detects its USB supply, pulls up D+ and only D+, enumerates with the family's ids, and
//! returns what it receives.

use crate::diagnose::divider;
use crate::reach;
use crate::resolve::{self, pin_name};
use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{DutError, OPEN_OHMS, UsbEcho, UsbIds};
use bench_plan::{
    ContactInfo, Coverage, Function, LimitsOf, Ohms, ParamProblem, Reach, Resolved, Seconds, Spanned, Surroundings,
    Volts,
};
use bench_run::{Contact, Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit, Verdict, judge};
use dut_protocol::{Reply, Request};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rail at the module's USB supply, which must be on.
    #[schemars(with = "String")]
    rail: Spanned<String>,
    /// The pull-up on D+.
    pull_up: LimitsOf<Ohms>,
    /// D- at rest.
    idle: LimitsOf<Volts>,
    /// Longest time for enumeration and echo; 5 s when left out.
    #[serde(default)]
    within: Option<Seconds>,
}

pub struct Usb {
    rail: String,
    plus: Contact,
    minus: Contact,
    ids: UsbIds,
    within: Duration,
    gone: MeasurementSpec,
    seen: MeasurementSpec,
    pull_up: MeasurementSpec,
    idle: MeasurementSpec,
    enumerates: MeasurementSpec,
    wrong: MeasurementSpec,
}

/// Time until a rail is down or up and the MCU has noticed.
const SUPPLY_SETTLE: Duration = Duration::from_millis(20);
/// From the order to the pull-up.
const ATTACH_SETTLE: Duration = Duration::from_millis(20);
/// More than one packet; each byte depends on its place.
const ECHO_BYTES: u32 = 150;

impl Kind for Usb {
    const NAME: &'static str = "usb";
    type Params = Params;
    const REACHES: &'static [Reach] = &[reach::ohms("pull_up"), reach::volts("idle")];

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let place = params.rail.span();
        let rail = resolve::rail(around.fixture, &params.rail)?.name.clone();
        if around.fixture.usb.is_none() {
            return Err(ParamProblem::new("this fixture joins no USB host to the module")
                .at(place, "in this step")
                .help("give the fixture file a [usb] section, or leave the step out"));
        }
        let data = |sign: char| {
            let is_data = |info: &&ContactInfo| info.functions.contains(&Function::Usb) && info.pin.ends_with(sign);
            around.dut.contacts.iter().find(is_data).map(|info| info.contact)
        };
        let (Some(plus), Some(minus)) = (data('+'), data('-')) else {
            let text = format!("the family {} has no contacts for USB D+ and D-", around.dut.name);
            return Err(ParamProblem::new(text).at(place, "in this step"));
        };
        let supply = resolve::rail_contacts(around.fixture, &rail);
        let spec = |name: &str, unit, limits, contacts: &[Contact]| MeasurementSpec {
            name: name.to_owned(),
            unit,
            limits,
            contacts: contacts.to_vec(),
        };
        let (one, none, both) = (Limits::exactly(1.0), Limits::exactly(0.0), [plus, minus]);
        let name = |contact, what: &str| format!("{}.{what}", pin_name(around.dut, contact));
        let usb = Usb {
            ids: UsbIds { vendor: around.dut.platform.usb_vendor, product: around.dut.platform.usb_product_serial },
            within: params.within.map_or(Duration::from_secs(5), |within| within.duration()),
            gone: spec("usb.supply-seen-when-off", MeasurementUnit::One, none, &supply),
            seen: spec("usb.supply-seen", MeasurementUnit::One, one, &supply),
            pull_up: spec(&name(plus, "usb-pull-up"), MeasurementUnit::Ohms, params.pull_up.limits(), &[plus]),
            idle: spec(&name(minus, "usb-idle"), MeasurementUnit::Volts, params.idle.limits(), &[minus]),
            enumerates: spec("usb.enumerates", MeasurementUnit::One, one, &both),
            wrong: spec("usb.wrong-bytes", MeasurementUnit::One, none, &both),
            rail,
            plus,
            minus,
        };
        let covers =
            |contact: &Contact, aspects: &[&'static str]| Coverage { contact: *contact, aspects: aspects.to_vec() };
        let mut coverage: Vec<Coverage> =
            both.iter().map(|contact| covers(contact, &["function", "swapped"])).collect();
        coverage.extend(supply.iter().map(|contact| covers(contact, &["function"])));
        let Usb { gone, seen, pull_up, idle, enumerates, wrong, .. } = &usb;
        Ok(Resolved {
            measurements: [gone, seen, pull_up, idle, enumerates, wrong].into_iter().cloned().collect(),
            coverage,
            uses: resource::list(&[resource::USB_HOST, resource::NAILS, resource::MEASURE_BUS, resource::RAILS]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(2) + usb.within,
            procedure: Box::new(usb),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for Usb {
    fn switches_on(&self) -> Vec<String> {
        vec![self.rail.clone()]
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        nest.release_nails().await?;
        self.look_at_supply(nest, log).await?;
        self.done(nest, Request::StartUsb { vendor: self.ids.vendor, product: self.ids.product }).await?;
        let outcome = self.attached(nest, log).await;
        let released = nest.bus.release().await;
        let parted = nest.usb_switch.join(false).await;
        let stopped = self.done(nest, Request::StopUsb).await;
        outcome?;
        released.and(parted)?;
        stopped
    }
}

impl Usb {
    async fn done(&self, nest: &Nest, request: Request) -> Result<(), StepError> {
        match nest.ask(request).await? {
            Reply::Done => Ok(()),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    fn defect(&self, log: &dyn StepLog, defect: Defect, contacts: &[Contact], text: String) -> StepError {
        log.diagnosed(Diagnosis { defect, contacts: contacts.to_vec(), text: text.clone() });
        StepError::Dut(text)
    }

    /// The supply goes and comes back, whatever the result.
    async fn look_at_supply(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.rail_off(&self.rail).await?;
        nest.settle(SUPPLY_SETTLE).await;
        let gone = self.is_detected(nest).await;
        nest.rails.on(&self.rail).await?;
        nest.settle(SUPPLY_SETTLE).await;
        let (gone, seen) = (gone?, self.is_detected(nest).await?);
        log.measured(&self.gone.name, Some(f64::from(u8::from(gone))));
        log.measured(&self.seen.name, Some(f64::from(u8::from(seen))));
        let rail = &self.rail;
        match (gone, seen) {
            (false, true) => Ok(()),
            (false, false) => {
                let text = format!("USB supply not detected: rail {rail} is on, but the MCU does not see it");
                Err(self.defect(log, Defect::Other, &[], text))
            }
            (true, _) => {
                let text = format!("USB supply detected although rail {rail} is off: something else feeds it");
                Err(self.defect(log, Defect::Other, &[], text))
            }
        }
    }

    async fn is_detected(&self, nest: &Nest) -> Result<bool, StepError> {
        match nest.ask(Request::ReadStatus).await? {
            Reply::Status(status) => Ok(status.usb_detected),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    async fn attached(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.settle(ATTACH_SETTLE).await;
        let [plus, minus] = [self.pull_up_of(nest, self.plus).await?, self.pull_up_of(nest, self.minus).await?];
        let at_rest = nest.bus.volts(self.minus).await?;
        nest.bus.release().await?;
        log.measured(&self.pull_up.name, Some(plus));
        log.measured(&self.idle.name, Some(at_rest));
        let fits = |spec: &MeasurementSpec, value| judge(&spec.limits, Some(value)) == Verdict::Pass;
        let pulled = fits(&self.pull_up, plus);
        if !pulled || !fits(&self.idle, at_rest) {
            let (plus_label, minus_label) = (nest.label(self.plus), nest.label(self.minus));
            let (defect, contacts, text) = if !pulled && fits(&self.pull_up, minus) {
                let text = format!("contacts {plus_label} and {minus_label}: swapped, the USB pull-up is on D-");
                (Defect::Other, vec![self.plus, self.minus], text)
            } else if plus >= OPEN_OHMS {
                let text = format!(
                    "USB: the module pulls D+ (contact {plus_label}) up through no resistor: its USB device is dead"
                );
                (Defect::MissingPull, Vec::new(), text)
            } else if !pulled {
                let text =
                    format!("contact {plus_label}: USB pull-up out of tolerance, {}", MeasurementUnit::Ohms.show(plus));
                (Defect::MissingPull, vec![self.plus], text)
            } else {
                let text = format!("contact {minus_label}: USB D- rests at {}", MeasurementUnit::Volts.show(at_rest));
                (Defect::WrongVoltage, vec![self.minus], text)
            };
            return Err(self.defect(log, defect, &contacts, text));
        }
        nest.usb_switch.join(true).await?;
        self.echo(nest, log).await
    }

    /// From the voltages with and without the bench's load against 0 V.
    async fn pull_up_of(&self, nest: &Nest, contact: Contact) -> Result<f64, StepError> {
        let free = nest.bus.volts(contact).await?;
        let loaded = nest.bus.loaded_volts(contact, 0.0).await?;
        Ok(divider(nest.bus.source_ohms(), free - loaded, loaded))
    }

    async fn echo(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let bytes: Vec<u8> = (0..ECHO_BYTES).map(|n| (n.wrapping_mul(0x9E37_79B1) >> 24) as u8).collect();
        // The firmware's serial number is the chip's id: a neighbouring nest's module has the same ids.
        let serial = match nest.ask(Request::Identify).await? {
            Reply::Identity(identity) => format!("{:016x}", identity.device_id),
            other => return Err(DutError::OutOfTurn(other).into()),
        };
        let outcome = nest.usb.echo(self.ids, &serial, &bytes, self.within).await?;
        let enumerated = matches!(outcome, UsbEcho::Received(_));
        log.measured(&self.enumerates.name, Some(f64::from(u8::from(enumerated))));
        let received = match outcome {
            UsbEcho::Received(received) => received,
            UsbEcho::NoDevice { others } => {
                let ids = self.ids;
                let seen: Vec<String> = others.iter().map(ToString::to_string).collect();
                let text = if seen.is_empty() {
                    format!("USB: D+ is pulled up, but the module does not enumerate as {ids}")
                } else {
                    format!("USB: the module does not enumerate as {ids}; the host sees {}", seen.join(", "))
                };
                return Err(self.defect(log, Defect::Other, &[], text));
            }
        };
        let differ = received.iter().zip(&bytes).filter(|(is, should)| is != should).count();
        let wrong = differ + received.len().abs_diff(bytes.len());
        log.measured(&self.wrong.name, Some(wrong as f64));
        if wrong > 0 {
            let text = format!("USB: {wrong} of {} bytes did not come back as they were sent", bytes.len());
            self.defect(log, Defect::Other, &[], text);
        }
        Ok(())
    }
}
