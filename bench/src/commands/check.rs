//! `bench check`: everything resolved, nothing powered.

use super::{print, print_json, show};
use crate::cli::{CheckArgs, EXIT_USAGE, Failed};
use crate::{Loaded, Project};
use bench_plan::DutFamily;
use bench_run::Contact;
use bench_steps::Kinds;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

#[derive(Serialize)]
struct Checked {
    plan: String,
    model: String,
    fixture: String,
    steps: usize,
    measurements: usize,
    contacts: Vec<Covered>,
}

#[derive(Serialize)]
struct Covered {
    contact: Contact,
    pin: String,
    /// What is seen of it -> the steps that see it.
    by: BTreeMap<&'static str, Vec<String>>,
}

pub(crate) fn check(root: Option<&Path>, args: &CheckArgs) -> Result<u8, Failed> {
    let mut all = Vec::new();
    let mut bad = 0;
    for path in &args.plans {
        match Project::find(root, Some(path)).load(path, &Kinds::default()) {
            Ok(loaded) => {
                let checked = coverage(&loaded);
                if !args.json {
                    print(&render(&path.display().to_string(), &checked));
                }
                all.push(checked);
            }
            // One wrong plan says nothing about the others.
            Err(error) => {
                show(&error.report());
                bad += 1;
            }
        }
    }
    if args.json {
        print_json(&all)?;
    }
    Ok(if bad == 0 { 0 } else { EXIT_USAGE })
}

fn coverage(loaded: &Loaded) -> Checked {
    let mut by_contact: BTreeMap<Contact, BTreeMap<&'static str, Vec<String>>> = BTreeMap::new();
    let contacts = loaded.family().map(|family| &family.contacts).into_iter().flatten();
    for info in contacts {
        by_contact.entry(info.contact).or_default();
    }
    for planned in &loaded.plan.steps {
        for one in &planned.coverage {
            let by = by_contact.entry(one.contact).or_default();
            one.aspects.iter().for_each(|aspect| by.entry(aspect).or_default().push(planned.step.id.clone()));
        }
    }
    let pin = |contact| {
        let info = loaded.family().and_then(|family: &DutFamily| family.contact(contact));
        info.map_or_else(String::new, |info| info.pin.clone())
    };
    Checked {
        plan: loaded.plan.name.clone(),
        model: loaded.plan.model.clone(),
        fixture: loaded.plan.fixture.clone(),
        steps: loaded.plan.steps.len(),
        measurements: loaded.plan.steps.iter().map(|planned| planned.step.measurements.len()).sum(),
        contacts: by_contact.into_iter().map(|(contact, by)| Covered { contact, pin: pin(contact), by }).collect(),
    }
}

fn render(path: &str, checked: &Checked) -> String {
    let mut text = String::new();
    let covered = checked.contacts.iter().filter(|one| !one.by.is_empty()).count();
    let _ = writeln!(
        text,
        "{path}: good. Model {}, fixture {}, {} steps, {} measurements, {covered} of {} contacts covered.",
        checked.model,
        checked.fixture,
        checked.steps,
        checked.measurements,
        checked.contacts.len()
    );
    let width = checked.contacts.iter().map(|one| one.pin.chars().count()).max().unwrap_or(0);
    for one in &checked.contacts {
        let steps: BTreeSet<&str> = one.by.values().flatten().map(String::as_str).collect();
        let aspects: Vec<&str> = one.by.keys().copied().collect();
        let steps: Vec<&str> = steps.into_iter().collect();
        let (what, whom) = match aspects.as_slice() {
            [] => ("NOT COVERED".to_owned(), String::new()),
            aspects => (aspects.join(", "), format!("  [{}]", steps.join(", "))),
        };
        let _ = writeln!(text, "  {:>3}  {:width$}  {what}{whom}", one.contact.0, one.pin);
    }
    text
}
