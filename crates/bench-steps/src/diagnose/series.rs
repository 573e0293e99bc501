//! Diagnoses the resistance in series with a contact's diodes: none, a bad joint, or an open.

use crate::{Nest, StepLog};
use bench_run::{Contact, Defect, Diagnosis, MeasurementSpec, MeasurementUnit, Verdict, judge};

/// Measurement of one diode.
pub(crate) struct Look<'s> {
    pub spec: &'s MeasurementSpec,
    /// Voltage over the diode and its series resistance.
    pub volts: f64,
    pub amps: f64,
    pub wanted_amps: f64,
}

/// Measurements at one contact: towards its supply, from ground.
pub(crate) struct Joint<'s> {
    pub contact: Contact,
    /// Families whose modules also fit into the nest but do not connect this contact.
    pub nothing_on: &'s [String],
    pub looks: Vec<Look<'s>>,
}

impl<'s> Joint<'s> {
    pub fn new(contact: Contact, nothing_on: &'s [String]) -> Self {
        Self { contact, nothing_on, looks: Vec::new() }
    }
}

const NOTHING_FLOWS: &str =
    "no current flows into any of the contacts: is a module in the nest, is its supply joined inside?";
/// Less than this share of the wanted current counts as no current.
const NO_CURRENT: f64 = 0.1;

impl Look<'_> {
    fn is_good(&self) -> bool {
        judge(&self.spec.limits, Some(self.volts)) == Verdict::Pass
    }
    fn no_current(&self) -> bool {
        self.amps < NO_CURRENT * self.wanted_amps
    }
    fn too_little(&self) -> bool {
        self.spec.limits.min.is_some_and(|min| self.volts < min)
    }
}

/// No current flows into any of several contacts: the nails do not touch the module, or the module has no ground.
pub(crate) fn nothing_flows(joints: &[Joint<'_>]) -> bool {
    joints.len() > 2 && joints.iter().all(|joint| !joint.looks.is_empty() && joint.looks.iter().all(Look::no_current))
}

/// Diagnoses every contact with a diode outside its limits. Diodes of one chip are nearly alike, so the good ones show
/// how much resistance a bad one has in series.
pub(crate) fn judge_joints(nest: &Nest, log: &dyn StepLog, joints: &[Joint<'_>]) {
    let is_ground = |info: &&bench_plan::ContactInfo| info.functions.contains(&bench_plan::Function::Ground);
    let grounds: Vec<Contact> = nest.family.contacts.iter().filter(is_ground).map(|info| info.contact).collect();
    // Only then every measurement flows through one contact that is not under test.
    let only_ground = grounds.as_slice().first().copied().filter(|_| grounds.len() == 1 && all_from_ground(joints));
    if nothing_flows(joints) {
        let (contacts, text) = match only_ground {
            Some(ground) => {
                let label = nest.label(ground);
                (grounds, format!("contact {label}: open, no current flows from ground into any contact"))
            }
            None => (Vec::new(), NOTHING_FLOWS.to_owned()),
        };
        let defect = if contacts.is_empty() { Defect::Other } else { Defect::Open };
        log.diagnosed(Diagnosis { defect, contacts, text });
        return;
    }
    if let Some(ground) = only_ground
        && let Some(ohms) = common_ohms(joints)
    {
        let (label, shown) = (nest.label(ground), MeasurementUnit::Ohms.show(ohms));
        let text = format!("contact {label}: cold joint, {shown} or more in series with the diodes of all contacts");
        log.diagnosed(Diagnosis { defect: Defect::Open, contacts: grounds, text });
        return;
    }
    let bad = joints.iter().filter(|joint| !joint.looks.iter().all(Look::is_good));
    bad.for_each(|joint| log.diagnosed(name(nest, joint, joints)));
}

fn all_from_ground(joints: &[Joint<'_>]) -> bool {
    joints.iter().flat_map(|joint| &joint.looks).all(|look| look.spec.name.ends_with("from-ground"))
}

/// Excess voltage that most of several diodes share because of a common cause: how far the median is above the limit.
fn common_ohms(joints: &[Joint<'_>]) -> Option<f64> {
    let mut above: Vec<f64> = joints
        .iter()
        .flat_map(|joint| &joint.looks)
        .filter(|look| !look.no_current())
        .filter_map(|look| Some((look.volts - look.spec.limits.max?) / look.amps))
        .collect();
    above.sort_by(f64::total_cmp);
    let median = above.get(above.len() / 2).copied()?;
    (above.len() > 2 && median > 0.0).then_some(median)
}

fn name(nest: &Nest, joint: &Joint<'_>, all: &[Joint<'_>]) -> Diagnosis {
    let label = nest.label(joint.contact);
    let looks = &joint.looks;
    if looks.iter().all(Look::no_current) && !joint.nothing_on.is_empty() {
        let others = joint.nothing_on.join(" or ");
        let text = format!("contact {label}: open, or this is a module of family {others}, which has nothing there");
        // The two are distinguished when the model is read, and when the contact is measured with power.
        return Diagnosis { defect: Defect::Open, contacts: Vec::new(), text };
    }
    let (defect, text) = if looks.iter().all(Look::no_current) {
        (Defect::Open, format!("contact {label}: open, no current flows into its protection diodes"))
    } else if let Some(missing) = looks.iter().find(|look| look.no_current()) {
        let way = if missing.spec.name.ends_with("from-ground") { "from ground" } else { "to its supply" };
        (Defect::Other, format!("contact {label}: its protection diode {way} is missing: damaged pad"))
    } else if let Some(look) = looks.iter().find(|look| look.too_little()) {
        let volts = MeasurementUnit::Volts.show(look.volts);
        (Defect::Short, format!("contact {label}: joined to a supply or ground, only {volts} where a diode should be"))
    } else {
        let worst = looks.iter().enumerate().filter(|(_, look)| !look.is_good());
        let ohms = worst.map(|(place, look)| (look.volts - typical(all, place, look)) / look.amps).fold(0.0, f64::max);
        let shown = MeasurementUnit::Ohms.show(ohms);
        (Defect::Open, format!("contact {label}: cold joint, about {shown} in series with its protection diodes"))
    };
    Diagnosis { defect, contacts: vec![joint.contact], text }
}

/// Median of the good contacts' voltages over the same diode; they carry about the same current.
fn typical(all: &[Joint<'_>], place: usize, look: &Look<'_>) -> f64 {
    let good = all.iter().filter_map(|joint| joint.looks.get(place)).filter(|other| other.is_good());
    let mut volts: Vec<f64> = good.map(|other| other.volts).collect();
    volts.sort_by(f64::total_cmp);
    let limit = look.spec.limits.max.unwrap_or(look.volts);
    volts.get(volts.len() / 2).copied().unwrap_or(limit)
}
