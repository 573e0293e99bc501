//! One unit on one page: everything on record, readable offline years later.

use crate::charts::{self, Scale};
use crate::record::{Attempt, MeasurementRecord, RunRecord, StepRecord};
use crate::summary::advice;
use crate::text::{self, name};
use bench_run::{BenchKind, Contact, Measurement, MeasurementUnit, Verdict};
use maud::{Markup, html};
use std::collections::BTreeMap;

const WIDTH: f64 = 900.0;

/// Returns the page: one file, no script, nothing from the network.
pub fn unit_page(record: &RunRecord) -> String {
    let (word, class) = verdict(record);
    let unit = format!("{} {}", name(&record.model.to_uppercase()), name(&record.serial));
    let body = html! {
        h1 { (unit) }
        p { span class={ "verdict " (class) } { (word) } }
        @if let Some(reason) = &record.reason { p { (reason) } }
        @for doubt in &record.doubts { p class="bad" { (doubt) } }
        @if !record.diagnoses.is_empty() {
            h2 { "Found" }
            ul { @for diagnosis in &record.diagnoses { li { (diagnosis.text) } } }
        }
        @let advice = advice(record);
        @if !advice.is_empty() {
            h2 { "What to do" }
            @for order in advice { p { (order) } }
        }
        h2 { "Contacts" }
        (contacts(record))
        h2 { "Measurements" }
        @for step in record.steps.iter().filter(|step| step.was_started()) { (measurements(step)) }
        (series(record, "Currents in the order in which they were measured", |measurement| measurement.unit == MeasurementUnit::Amps))
        (series(record, "Radio levels, dBm", |measurement| measurement.name.ends_with("-dbm")))
        h2 { "When each step ran" }
        (gantt(record))
        @if !record.notes.is_empty() {
            h2 { "Notes" }
            ul { @for note in &record.notes { li { @if let Some(step) = &note.step { code { (name(step)) } " " } (note.text) } } }
        }
        h2 { "Made with" }
        (provenance(record))
    };
    // maud escapes what HTML gives a meaning to, and nothing else.
    text::lines(&charts::page(&format!("{unit} {word}"), &body))
}

fn verdict(record: &RunRecord) -> (&'static str, &'static str) {
    match record.verdict {
        _ if !record.finished => ("NOT FINISHED", "error"),
        _ if record.diagnosis_run.is_some() => ("DIAGNOSIS, NOT A TEST", "aborted"),
        Verdict::Pass => ("PASS", "pass"),
        Verdict::Fail => ("FAIL", "fail"),
        Verdict::Error | Verdict::Skipped => ("BENCH ERROR", "error"),
        Verdict::Aborted => ("ABORTED", "aborted"),
    }
}

fn last_taken(record: &RunRecord) -> impl Iterator<Item = (&StepRecord, &MeasurementRecord)> {
    let of = |step| {
        StepRecord::last(step)
            .into_iter()
            .flat_map(move |last: &Attempt| last.measurements.iter().map(move |measured| (step, measured)))
    };
    record.steps.iter().flat_map(of)
}

/// How a contact is drawn: not by colour alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    AtFault,
    Measured,
    Named,
}

impl Look {
    const ALL: [Look; 3] = [Look::Measured, Look::AtFault, Look::Named];

    const fn fill(self) -> &'static str {
        match self {
            Look::AtFault => "#c1121f",
            Look::Measured => "#2f855a",
            Look::Named => "none",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Look::AtFault => "at fault",
            Look::Measured => "measured",
            Look::Named => "named only by an attempt that was repeated, or by a diagnosis of the bench",
        }
    }
}

/// Returns the contacts that the record names, each as it is drawn. A card has places without a contact (its key), and
/// a record cannot tell which: what it does not name is not drawn.
fn looks(record: &RunRecord) -> BTreeMap<Contact, Look> {
    let attempts = || record.steps.iter().flat_map(|step| &step.attempts);
    let tried = attempts().flat_map(|attempt| &attempt.measurements).flat_map(|taken| &taken.measurement.contacts);
    let diagnoses = attempts().flat_map(|attempt| &attempt.diagnoses).chain(&record.diagnoses);
    let named = tried.chain(diagnoses.flat_map(|diagnosis| &diagnosis.contacts));
    let measured = last_taken(record).flat_map(|(_, taken)| &taken.measurement.contacts);
    // The most serious one comes last and stays.
    let all = named
        .map(|contact| (*contact, Look::Named))
        .chain(measured.map(|contact| (*contact, Look::Measured)))
        .chain(record.contacts_at_fault.iter().map(|contact| (*contact, Look::AtFault)));
    all.filter(|(contact, _)| contact.0 > 0).collect()
}

/// Draws a contact, 28 high; those at fault have a cross.
fn contact(look: Look, left: f64, top: f64, width: f64, cross: &str, title: &str) -> Markup {
    html! {
        rect x=(format!("{left:.1}")) y=(top) width=(format!("{width:.1}")) height="28" fill=(look.fill()) stroke="#8a97a5" {
            title { (title) }
        }
        @if look == Look::AtFault {
            path stroke="#fff" stroke-width=(cross) d=(format!("M{left:.1} {top}l{width:.1} 28m0 -28l-{width:.1} 28")) {}
        }
    }
}

/// Draws the module's edge: odd numbers on the front, even ones on the back.
fn contacts(record: &RunRecord) -> Markup {
    let looks = looks(record);
    let Some((most, _)) = looks.last_key_value() else {
        return html! { p { "No measurement concerns a contact." } };
    };
    let step = (WIDTH / f64::from(most.0.div_ceil(2))).min(26.0);
    let bad: Vec<String> = record.contacts_at_fault.iter().map(Contact::to_string).collect();
    html! {
        svg width=(WIDTH) height="104" viewBox={ "0 0 " (WIDTH) " 104" } role="img" {
            @for (Contact(number), look) in &looks {
                @let left = f64::from((number - 1) / 2) * step;
                @let (top, label) = if number % 2 == 1 { (18.0, 12.0) } else { (58.0, 100.0) };
                (contact(*look, left, top, step - 3.0, "2.5", &format!("contact {number}: {}", look.word())))
                @if *look == Look::AtFault { text x=(format!("{left:.1}")) y=(label) { (number) } }
            }
        }
        p { "Front above: odd numbers from 1; back below: even numbers from 2. "
            @if bad.is_empty() { "None is at fault." }
            @else { "At fault, crossed out: " (bad.join(", ")) "." } }
        (legend(&looks))
    }
}

/// Explains what the map shows: only what is in it.
fn legend(looks: &BTreeMap<Contact, Look>) -> Markup {
    html! {
        ul style="list-style:none;padding:0" {
            @for look in Look::ALL.into_iter().filter(|look| looks.values().any(|of| of == look)) {
                li {
                    svg width="26" height="30" viewBox="0 0 26 30" role="img" { (contact(look, 1.0, 1.0, 18.0, "2", look.word())) }
                    (look.word())
                }
            }
            li { "An empty place: no contact, or one that nothing in this record names." }
        }
    }
}

fn measurements(step: &StepRecord) -> Markup {
    let verdict = step.verdict.map_or("no end", Verdict::as_str);
    let good = step.verdict == Some(Verdict::Pass) && step.attempts.len() == 1;
    html! {
        details open[!good] {
            summary { (name(&step.title)) " " code { (name(&step.id)) } ": " span class=[(!good).then_some("bad")] { (verdict) } }
            @for attempt in &step.attempts {
                @if let Some(line) = about(step, attempt) { p { (line) } }
                table {
                    @for measured in &attempt.measurements {
                        @let taken = &measured.measurement;
                        tr {
                            td { code { (name(&taken.name)) } } td class="n" { (value(taken)) } td { (limit_bar(taken)) }
                            td { (taken.limits.show(taken.unit)) }
                            td class=[(taken.verdict != Verdict::Pass).then_some("bad")] { (taken.verdict) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the remark above the readings of an attempt; nothing when it is the only one and the controller was in time.
fn about(step: &StepRecord, attempt: &Attempt) -> Option<String> {
    let number = attempt.number;
    let lateness = attempt.lateness();
    if let Some(why) = lateness.as_ref().filter(|_| attempt.void) {
        return Some(format!("Attempt {number} {why}"));
    }
    let mut parts = Vec::new();
    if step.attempts.len() > 1 {
        parts.push(format!("Attempt {number}"));
        parts.extend(attempt.reason.clone());
    }
    parts.extend(lateness);
    (!parts.is_empty()).then(|| parts.join(": "))
}

fn value(taken: &Measurement) -> String {
    match (taken.value, &taken.raw) {
        (Some(value), _) => taken.unit.show(value),
        (None, Some(raw)) => name(raw),
        (None, None) => "not measured".to_owned(),
    }
}

/// Draws a reading in its limits: the interval as a bar, the reading as a stroke, which may be outside the bar.
fn limit_bar(taken: &Measurement) -> Markup {
    let (Some(value), (low, high)) = (taken.value, (taken.limits.min, taken.limits.max)) else { return html! {} };
    // An open side is as wide as the distance from the limit to the reading, or the limit's own size.
    let reach = |limit: f64| (value - limit).abs().max(limit.abs() * 0.5).max(f64::MIN_POSITIVE);
    let (low, high) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + 1.2 * reach(low)),
        (None, Some(high)) => (high - 1.2 * reach(high), high),
        (None, None) => return html! {},
    };
    let x = Scale { low, high, from: 20.0, to: 120.0 };
    // Clamped to the room next to the bar.
    let at = (x.from + (if high > low { (value - low) / (high - low) } else { 0.5 }) * 100.0).clamp(4.0, 136.0);
    let colour = if taken.verdict == Verdict::Pass { "#1a7f37" } else { "#c1121f" };
    html! {
        svg width="140" height="14" viewBox="0 0 140 14" {
            rect x="20" y="5" width="100" height="4" fill="#c9d2dc" {}
            rect x=(format!("{:.1}", at - 1.5)) y="1" width="3" height="12" fill=(colour) {}
        }
    }
}

/// Some measurements as columns in time.
fn series(record: &RunRecord, title: &str, wanted: impl Fn(&Measurement) -> bool) -> Markup {
    let mut points: Vec<(u64, &Measurement)> = last_taken(record)
        .filter(|(_, measured)| wanted(&measured.measurement))
        .filter(|(_, measured)| measured.measurement.value.is_some())
        .map(|(_, measured)| (measured.at_us.as_micros(), &measured.measurement))
        .collect();
    points.sort_by_key(|(at, _)| *at);
    if points.is_empty() {
        return html! {};
    }
    let values = || points.iter().filter_map(|(_, measurement)| measurement.value);
    let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    let y = Scale { low, high, from: 120.0, to: 16.0 };
    let room = (WIDTH / points.len() as f64).min(60.0);
    html! {
        h2 { (title) }
        svg width=(WIDTH) height="140" viewBox={ "0 0 " (WIDTH) " 140" } role="img" {
            @for (index, (at, measurement)) in points.iter().enumerate() {
                @let value = measurement.value.unwrap_or(0.0);
                @let (top, bottom) = (y.place(value.max(0.0)), y.place(value.min(0.0)));
                rect class="bar" x=(format!("{:.1}", index as f64 * room)) y=(format!("{top:.1}")) width=(format!("{:.1}", room - 3.0)) height=(format!("{:.1}", (bottom - top).max(1.0))) {
                    title { (name(&measurement.name)) ": " (measurement.unit.show(value)) ", " (format!("{:.3} s", *at as f64 / 1e6)) ", " (measurement.limits.show(measurement.unit)) }
                }
            }
            line class="axis" x1="0" y1=(format!("{:.1}", y.place(0.0))) x2=(WIDTH) y2=(format!("{:.1}", y.place(0.0))) {}
            text x="0" y="11" { (points[0].1.unit.show(high)) } text x="0" y="136" { (points[0].1.unit.show(low)) }
        }
        table { @for (at, measurement) in &points {
            tr { td { code { (name(&measurement.name)) } } td class="n" { (format!("{:.3} s", *at as f64 / 1e6)) } td class="n" { (value(measurement)) } td { (measurement.limits.show(measurement.unit)) } }
        } }
    }
}

fn gantt(record: &RunRecord) -> Markup {
    let end = record.duration_us.as_micros().max(1) as f64;
    let rows: Vec<&StepRecord> = record.steps.iter().filter(|step| step.was_started()).collect();
    let height = 18.0 * rows.len() as f64 + 24.0;
    let x = Scale { low: 0.0, high: end, from: 190.0, to: WIDTH - 4.0 };
    let colour = |verdict: Option<Verdict>| match verdict {
        Some(Verdict::Pass) => "#2f855a",
        Some(Verdict::Fail) => "#c1121f",
        _ => "#7b2d8e",
    };
    html! {
        svg width=(WIDTH) height=(height) viewBox={ "0 0 " (WIDTH) " " (height) } role="img" {
            @for (index, step) in rows.iter().enumerate() {
                @let top = 18.0 * index as f64;
                text x="184" y=(top + 13.0) text-anchor="end" { (name(&step.id)) }
                @for attempt in &step.attempts {
                    @if let (Some(from), to) = (attempt.started_us, attempt.ended_us.unwrap_or(record.duration_us)) {
                        @let left = x.place(from.as_micros() as f64);
                        rect x=(format!("{left:.1}")) y=(top + 3.0) width=(format!("{:.1}", (x.place(to.as_micros() as f64) - left).max(1.0))) height="12" fill=(colour(attempt.verdict)) {
                            title { (name(&step.id)) ", attempt " (attempt.number) ": " (format!("{from} to {to}, ")) (attempt.verdict.map_or("no end", Verdict::as_str)) }
                        }
                    }
                }
            }
            line class="axis" x1="190" y1=(height - 20.0) x2=(WIDTH) y2=(height - 20.0) {}
            text x="190" y=(height - 6.0) { "0" }
            text x=(WIDTH) y=(height - 6.0) text-anchor="end" { (format!("{:.2} s", end / 1e6)) }
        }
    }
}

fn provenance(record: &RunRecord) -> Markup {
    let mut rows: Vec<(&str, String)> = vec![("run", name(&record.run_id))];
    let optional = [
        ("started", record.started_at.as_deref().map(name)),
        ("nest", record.nest.as_deref().map(name)),
        ("lot", record.lot.as_deref().map(name)),
        ("diagnosis of", record.diagnosis_run.as_ref().map(|run| name(&run.chosen.join(", ")))),
        ("what the steps came to", record.diagnosis_run.as_ref().map(|_| record.verdict_of_steps().to_string())),
        ("seal of the journal", record.seal.clone()),
        ("folder", record.run_folder.clone()),
    ];
    rows.extend(optional.into_iter().filter_map(|(what, value)| Some((what, value?))));
    match &record.bench {
        Some(BenchKind::Real { station, .. }) => rows.push(("station", name(station))),
        Some(BenchKind::Virtual { seed, faults }) => {
            rows.push((
                "virtual bench",
                format!(
                    "seed {seed}, faults ordered: {}",
                    if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }
                ),
            ));
        }
        Some(BenchKind::Replay { of, recorded_by }) => {
            rows.push(("replay of run", format!("{}, recorded by bench {}", name(of), name(recorded_by))));
        }
        None => {}
    }
    if let Some(of) = &record.provenance {
        rows.push(("bench", format!("{} ({})", of.bench_version, of.bench_commit)));
        rows.push(("plan", format!("{} {}", of.plan, of.plan_sha256)));
        rows.extend(of.plan_parts.iter().map(|part| ("part of the plan", format!("{} {}", part.path, part.sha256))));
        rows.push(("fixture", format!("{} {}", of.fixture, of.fixture_sha256)));
        rows.push(("module file", of.dut_file_sha256.clone()));
        rows.push(("firmware", of.firmware_sha256.clone()));
        rows.extend(of.images.iter().map(|image| ("image", format!("{} {}", image.path, image.sha256))));
    }
    html! { table { @for (what, value) in rows { tr { td { (what) } td { code { (value) } } } } } }
}
