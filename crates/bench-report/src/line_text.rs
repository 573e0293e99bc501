//! Many runs as text for a terminal.

use crate::text::{name, one_line};
use bench_run::{LateRecord, MeasurementUnit, NOT_BLAMED};
use bench_stats::{
    Bar, Capability, ControllerStat, Interval, MeasurementStat, NailState, Overview, Slice, TrendPoint, Yields, differ,
};
use std::fmt::Write as _;

/// Rows of a Pareto.
const MOST_CAUSES: usize = 10;

/// Rows of the table of measurements.
const MOST_MEASUREMENTS: usize = 12;

/// Columns of a bar.
const BAR: usize = 40;

/// Rows of a trend.
const TREND_ROWS: usize = 8;

/// Returns the overview in words, tables and plots.
pub fn line_text(overview: &Overview) -> String {
    let mut text = String::new();
    let days = match &overview.days {
        Some((first, last)) if first == last => format!(", {}", name(first)),
        Some((first, last)) => format!(", {} to {}", name(first), name(last)),
        None => String::new(),
    };
    let _ = writeln!(text, "{}{days}", one_line(&overview.asked));
    for line in about_days(overview) {
        let _ = writeln!(text, "{line}");
    }
    total(&mut text, &overview.total);
    groups(&mut text, overview);
    steps(&mut text, &overview.total);
    causes(&mut text, "Steps that failed the unit", "", &overview.failing_steps);
    causes(&mut text, "Contacts at fault", "contact ", &overview.contacts);
    measurements(&mut text, overview);
    broken_series(&mut text, overview);
    for stat in &overview.measurements {
        details(&mut text, stat);
    }
    nails(&mut text, overview);
    controllers(&mut text, overview);
    text
}

/// Says which runs have no trusted day. Nothing when days play no part: a virtual bench has none.
pub(crate) fn about_days(overview: &Overview) -> Vec<String> {
    let undated = (overview.undated > 0 && overview.days.is_some())
        .then(|| format!("{} runs have no trusted day: they are in no hour.", overview.undated));
    let left_out = (overview.left_out > 0)
        .then(|| format!("{} runs are left out because they have no trusted day.", overview.left_out));
    undated.into_iter().chain(left_out).collect()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn with_bounds(interval: Option<Interval>) -> String {
    match interval {
        Some(Interval { share, low, high }) => {
            format!("{}  (95 %: {:.2} to {:.2})", percent(share), low * 100.0, high * 100.0)
        }
        None => "-".to_owned(),
    }
}

fn total(text: &mut String, of: &Yields) {
    let _ = writeln!(
        text,
        "{} runs on {} units; {} ended by the bench, {} aborted: these say nothing about a unit.",
        of.runs, of.units, of.bench_errors, of.aborted
    );
    if of.returned > 0 {
        let _ = writeln!(
            text,
            "{} units were tested again, and for the first time before or elsewhere: they are not in the yields.",
            of.returned
        );
    }
    let _ = writeln!(
        text,
        "  first-pass yield    {}, {} of {} units",
        with_bounds(of.first_pass_yield),
        of.first_pass,
        of.units
    );
    let _ = writeln!(text, "  after retests       {}", with_bounds(of.final_yield));
    let _ = writeln!(
        text,
        "  rescued             {} by repeating a step, {} by testing again",
        of.rescued_by_retry, of.rescued_by_retest
    );
    if let (Some(rolled), Some(normalised), Some(defects)) = (of.rolled_yield, of.normalised_yield, of.defects_per_unit)
    {
        let _ = writeln!(
            text,
            "  rolled yield        {}; {} for each of {} steps; {defects:.4} failed first attempts a unit",
            percent(rolled),
            percent(normalised),
            of.steps.len()
        );
    }
}

fn groups(text: &mut String, overview: &Overview) {
    if overview.groups.is_empty() {
        return;
    }
    let width = overview.groups.iter().map(|group| name(&group.name).chars().count()).max().unwrap_or(0).max(4);
    let _ = writeln!(
        text,
        "\n{:width$}  {:>7}  {:>10}  {:>10}  {:>7}  {:>7}  {:>7}",
        "", "units", "first pass", "in the end", "rescued", "errors", "aborted"
    );
    for group in &overview.groups {
        let of = &group.yields;
        let share =
            |interval: Option<Interval>| interval.map_or_else(|| "-".to_owned(), |interval| percent(interval.share));
        let _ = writeln!(
            text,
            "{:width$}  {:>7}  {:>10}  {:>10}  {:>7}  {:>7}  {:>7}",
            name(&group.name),
            of.units,
            share(of.first_pass_yield),
            share(of.final_yield),
            of.rescued_by_retry + of.rescued_by_retest,
            of.bench_errors,
            of.aborted
        );
    }
}

fn steps(text: &mut String, of: &Yields) {
    let mut weak: Vec<_> = of.steps.iter().filter(|step| step.first_pass < step.units).collect();
    if weak.is_empty() {
        return;
    }
    weak.sort_by(|a, b| (a.first_pass * b.units).cmp(&(b.first_pass * a.units)));
    let width = weak.iter().map(|step| name(&step.step).chars().count()).max().unwrap_or(0);
    let _ = writeln!(text, "\nSteps that did not always pass at once");
    for step in weak.into_iter().take(MOST_CAUSES) {
        let share = percent(step.first_pass as f64 / step.units as f64);
        let _ = writeln!(
            text,
            "  {:width$}  {share:>9} of {} units; {} rescued, {} bad",
            name(&step.step),
            step.units,
            step.rescued,
            step.bad
        );
    }
}

fn causes(text: &mut String, title: &str, prefix: &str, slices: &[Slice]) {
    let Some(most) = slices.first().map(|slice| slice.count) else { return };
    let width = slices
        .iter()
        .take(MOST_CAUSES)
        .map(|slice| prefix.len() + name(&slice.what).chars().count())
        .max()
        .unwrap_or(0);
    let _ = writeln!(text, "\n{title}");
    for slice in slices.iter().take(MOST_CAUSES) {
        let cause = format!("{prefix}{}", name(&slice.what));
        let bar = bar(slice.count, most, BAR / 2);
        let _ = writeln!(
            text,
            "  {cause:width$}  {bar:20}  {:>6}  {:>8}  {:>8} so far",
            slice.count,
            percent(slice.share),
            percent(slice.cumulated)
        );
    }
    if slices.len() > MOST_CAUSES {
        let rest: usize = slices.iter().skip(MOST_CAUSES).map(|slice| slice.count).sum();
        let _ = writeln!(text, "  and {} others, {rest} times", slices.len() - MOST_CAUSES);
    }
}

/// A bar of eighths of a character.
fn bar(count: usize, most: usize, width: usize) -> String {
    let eighths = (count * width * 8).checked_div(most).unwrap_or(0).max(usize::from(count > 0));
    let mut bar = "█".repeat(eighths / 8);
    if let Some(part) = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8) {
        bar.push_str(part);
    }
    bar
}

fn index(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn measurements(text: &mut String, overview: &Overview) {
    // The figures that count are those against the limits of now.
    let able: Vec<_> =
        overview.measurements.iter().filter(|stat| stat.newest && stat.capability.ppk.is_some()).collect();
    let constant = overview.measurements.iter().filter(|stat| stat.newest && stat.capability.is_constant()).count();
    if able.is_empty() {
        if constant > 0 {
            let _ = writeln!(text, "\n{constant} measurements have no variation at their resolution.");
        }
        return;
    }
    let weak = able.iter().filter(|stat| stat.capability.ppk.is_some_and(|ppk| ppk < 1.33)).count();
    let of = able.len();
    let _ = writeln!(text, "\nMeasurements, the least capable first: {weak} of {of} have a Ppk below 1.33");
    let _ = writeln!(
        text,
        "  {:>6}  {:>15}  {:>6}  {:>6}  {:>7}  {:>5}  measurement, limits",
        "Ppk", "95 %", "Cpk", "Cp", "n", "bad"
    );
    for stat in able.into_iter().take(MOST_MEASUREMENTS) {
        let Capability { n, cp, cpk, ppk, ppk_95, .. } = stat.capability;
        let bounds = ppk_95.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.2} to {high:.2}"));
        let _ = writeln!(
            text,
            "  {:>6}  {bounds:>15}  {:>6}  {:>6}  {n:>7}  {:>5}  {}, {}",
            index(ppk),
            index(cpk),
            index(cp),
            stat.bad,
            path(stat),
            stat.limits.show(stat.unit)
        );
    }
    if constant > 0 {
        let _ = writeln!(text, "  {constant} others have no variation at their resolution.");
    }
}

fn path(stat: &MeasurementStat) -> String {
    format!("{} {}/{}", name(&stat.plan), name(&stat.step), name(&stat.name))
}

/// Where limits changed, figures before and after are not comparable.
fn broken_series(text: &mut String, overview: &Overview) {
    let same = |a: &&MeasurementStat, b: &&MeasurementStat| (&a.plan, &a.step, &a.name) == (&b.plan, &b.step, &b.name);
    let all: Vec<&MeasurementStat> = overview.measurements.iter().collect();
    let broken: Vec<_> = all.chunk_by(same).filter(|segments| segments.len() > 1).collect();
    if broken.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nMeasurements whose limits changed: each part against its own limits");
    for segments in broken.iter().take(MOST_MEASUREMENTS) {
        let _ = writeln!(text, "  {}", path(segments[0]));
        for stat in *segments {
            let day = stat.since.day.as_deref().map(|day| format!(" on {}", name(day))).unwrap_or_default();
            let _ = writeln!(
                text,
                "    since run {}{day}: limits {}, {} values, Cpk {}, Ppk {}, {} bad{}",
                name(&stat.since.run),
                stat.limits.show(stat.unit),
                stat.capability.n,
                index(stat.capability.cpk),
                index(stat.capability.ppk),
                stat.bad,
                if stat.newest { "; the newest" } else { "" }
            );
        }
    }
    if broken.len() > MOST_MEASUREMENTS {
        let _ = writeln!(text, "  and {} others", broken.len() - MOST_MEASUREMENTS);
    }
}

/// What to say in place of an index.
pub(crate) fn verdict_of_spread(stat: &MeasurementStat) -> Option<String> {
    stat.capability.is_constant().then(|| match stat.capability.resolution {
        Some(step) => format!("no variation at this resolution ({})", stat.unit.show(step)),
        None => "no variation at this resolution".to_owned(),
    })
}

fn details(text: &mut String, stat: &MeasurementStat) {
    if stat.histogram.is_empty() {
        return;
    }
    let Capability { n, mean, sd, ppk, cpk, .. } = stat.capability;
    let sd = sd.filter(|sd| *sd > 0.0).map_or_else(|| "-".to_owned(), |sd| stat.unit.show(sd));
    let words = verdict_of_spread(stat).map(|words| format!(", {words}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "\n{}: {n} values, mean {}, standard deviation {sd}, Cpk {}, Ppk {}, limits {}{words}",
        path(stat),
        stat.unit.show(mean),
        index(cpk),
        index(ppk),
        stat.limits.show(stat.unit)
    );
    if let Some(note) = &stat.note {
        let _ = writeln!(text, "  {}", one_line(note));
    }
    histogram(text, &stat.histogram, stat.unit);
    trend(text, &stat.trend, stat.unit);
}

fn histogram(text: &mut String, bars: &[Bar], unit: MeasurementUnit) {
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    let edges: Vec<String> = bars.iter().map(|bar| unit.show(bar.from)).collect();
    let width = edges.iter().map(|edge| edge.chars().count()).max().unwrap_or(0);
    for (histogram_bar, edge) in bars.iter().zip(edges) {
        let _ =
            writeln!(text, "  {edge:>width$}  {:BAR$}  {}", bar(histogram_bar.count, most, BAR), histogram_bar.count);
    }
}

/// Draws means as dots, from left to right in time.
fn trend(text: &mut String, points: &[TrendPoint], unit: MeasurementUnit) {
    if points.len() < 2 {
        return;
    }
    let (low, high) = points
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| (low.min(point.mean), high.max(point.mean)));
    let span = if differ(low, high) { high - low } else { 1.0 };
    let row = |mean: f64| ((mean - low) / span * (TREND_ROWS - 1) as f64).round() as usize;
    let labels: Vec<String> =
        (0..TREND_ROWS).map(|at| unit.show(low + span * at as f64 / (TREND_ROWS - 1) as f64)).collect();
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    for at in (0..TREND_ROWS).rev() {
        let dots: String = points.iter().map(|point| if row(point.mean) == at { '•' } else { ' ' }).collect();
        let _ = writeln!(text, "  {:>width$} ┤{}", labels[at], dots.trim_end());
    }
    let (first, last) = (name(&points[0].from), name(&points[points.len() - 1].from));
    let _ = writeln!(text, "  {:width$} └{}", "", "─".repeat(points.len()));
    let _ = writeln!(text, "  {:width$}  {first} to {last}; a dot is the mean of {} values", "", points[0].n);
}

fn nails(text: &mut String, overview: &Overview) {
    let worn: Vec<_> = overview.nails.iter().filter(|nail| nail.trend.state == NailState::Warn).collect();
    if worn.is_empty() {
        if !overview.nails.is_empty() {
            let _ = writeln!(text, "\nNails: {} checked, none worn.", overview.nails.len());
        }
        return;
    }
    let _ = writeln!(text, "\nNails to clean or replace, {} of {}", worn.len(), overview.nails.len());
    for nail in worn {
        let trend = &nail.trend;
        let lately = trend.lately.map_or_else(String::new, |share| format!(", at {} of its limit", percent(share)));
        let left = trend.cycles_left.map_or_else(String::new, |left| format!(", meets it in {left:.0} cycles"));
        let retries = if trend.retries > 0.0 {
            format!(", {} second attempts lately", percent(trend.retries))
        } else {
            String::new()
        };
        let failed = match trend.failed_in_a_row {
            0 | 1 => String::new(),
            units => format!(", the last {units} different modules failed there"),
        };
        let _ = writeln!(
            text,
            "  {}, contact {}: {} cycles{lately}{left}{retries}{failed}",
            name(&nail.place),
            nail.contact,
            trend.cycles
        );
    }
}

fn controllers(text: &mut String, overview: &Overview) {
    let late: Vec<_> = late_controllers(overview).collect();
    if late.is_empty() {
        return;
    }
    let limit = NOT_BLAMED.as_millis();
    let all = overview.controllers.len();
    let _ = writeln!(text, "\nControllers that were late by {limit} ms or more, {} of {all}", late.len());
    let width = late.iter().map(|controller| name(&controller.place).chars().count()).max().unwrap_or(0);
    let _ = writeln!(text, "  {:width$}  {:>9}  {:>7}  {:>7}  {:>7}  worst", "", "share", "late", "runs", "void");
    for controller in late {
        let worst = controller.worst.as_ref().map_or_else(String::new, delay);
        let _ = writeln!(
            text,
            "  {:width$}  {:>9}  {:>7}  {:>7}  {:>7}  {worst}",
            name(&controller.place),
            percent(controller.share()),
            controller.late,
            controller.runs,
            controller.voids
        );
    }
}

/// Those that need attention.
pub(crate) fn late_controllers(overview: &Overview) -> impl Iterator<Item = &ControllerStat> {
    overview.controllers.iter().filter(|controller| controller.late > 0 || controller.voids > 0)
}

/// "640 ms (disk)".
pub(crate) fn delay(late: &LateRecord) -> String {
    format!("{} ms ({})", late.us / 1_000, name(&late.cause))
}
