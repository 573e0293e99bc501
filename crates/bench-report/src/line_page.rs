//! Many runs on one page for supervisors: yield, hours, stations, causes, capability, nails.

use crate::charts;
use crate::line_text::{about_days, delay, late_controllers, verdict_of_spread};
use bench_run::NOT_BLAMED;
use bench_stats::{Group, Interval, MeasurementStat, NailState, Overview};
use maud::{Markup, html};

/// Number of measurements in the table.
const MOST_MEASUREMENTS: usize = 60;

/// Returns the page: one file, no script, nothing from the network.
pub fn line_page(overview: &Overview) -> String {
    let days = overview.days.as_ref().map(|(first, last)| format!("{first} to {last}")).unwrap_or_default();
    let worn: Vec<_> = overview.nails.iter().filter(|nail| nail.trend.state == NailState::Warn).collect();
    let body = html! {
        h1 { "The line: " (overview.asked) }
        p { (days) }
        @for line in about_days(overview) { p { (line) } }
        (tiles(overview))
        @if !overview.hours.is_empty() {
            h2 { "First-pass yield by hour, %" }
            (charts::columns(&overview.hours.iter().map(|hour| {
                let share = hour.first_pass as f64 / hour.units.max(1) as f64;
                (format!("{:02}", hour.hour), share, format!("{} of {} units", hour.first_pass, hour.units))
            }).collect::<Vec<_>>()))
        }
        @if !overview.groups.is_empty() { h2 { "Parts" } (groups(&overview.groups)) }
        figure { figcaption { "Steps that failed the unit" } (charts::pareto(&overview.failing_steps, "")) }
        figure { figcaption { "Contacts at fault" } (charts::pareto(&overview.contacts, "contact ")) }
        h2 { "Nails" }
        @if worn.is_empty() { p { (overview.nails.len()) " checked, none worn." } }
        @else {
            table {
                tr { th { "to clean or replace" } th { "contact" } th class="n" { "cycles" } th class="n" { "of its limit" } th class="n" { "cycles left" } th class="n" { "second attempts" } th class="n" { "modules failed in a row" } }
                @for nail in worn {
                    tr {
                        td { (nail.place) } td { (nail.contact) } td class="n" { (nail.trend.cycles) }
                        td class="n" { (nail.trend.lately.map(share).unwrap_or_default()) }
                        td class="n" { (nail.trend.cycles_left.map(|left| format!("{left:.0}")).unwrap_or_default()) }
                        td class="n" { (share(nail.trend.retries)) }
                        td class="n" { (nail.trend.failed_in_a_row) }
                    }
                }
            }
        }
        @if late_controllers(overview).next().is_some() { h2 { "Controllers that were late" } (controllers(overview)) }
        h2 { "Measurements, the least capable first" }
        @for stat in overview.measurements.iter().filter(|stat| !stat.histogram.is_empty()) { (details(stat)) }
        (measurements(overview))
    };
    charts::page(&format!("The line: {}", overview.asked), &body)
}

fn controllers(overview: &Overview) -> Markup {
    html! {
        p { "A step counts as late when the controller was late by " (NOT_BLAMED.as_millis()) " ms or more. A void attempt is repeated and does not count against the module." }
        table {
            tr { th { "station" } th class="n" { "share" } th class="n" { "late runs" } th class="n" { "runs" } th class="n" { "void attempts" } th { "worst delay" } }
            @for controller in late_controllers(overview) {
                tr {
                    td { (controller.place) } td class="n" { (share(controller.share())) } td class="n" { (controller.late) } td class="n" { (controller.runs) }
                    td class="n" { (controller.voids) } td { (controller.worst.as_ref().map(delay).unwrap_or_default()) }
                }
            }
        }
    }
}

fn share(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn bounded(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "-".to_owned(), |interval| share(interval.share))
}

fn tiles(overview: &Overview) -> Markup {
    let of = &overview.total;
    let bounds = |interval: Option<Interval>| {
        interval.map_or_else(String::new, |interval| {
            format!(", 95 %: {:.2} to {:.2}", interval.low * 100.0, interval.high * 100.0)
        })
    };
    let tile = |figure: String, of: String| html! { div class="tile" { b { (figure) } span { (of) } } };
    html! {
        div class="tiles" {
            (tile(bounded(of.first_pass_yield), format!("first-pass yield, {} of {} units{}", of.first_pass, of.units, bounds(of.first_pass_yield))))
            (tile(bounded(of.final_yield), format!("in the end{}", bounds(of.final_yield))))
            @if let Some(rolled) = of.rolled_yield { (tile(share(rolled), format!("rolled yield of {} steps", of.steps.len()))) }
            (tile((of.rescued_by_retry + of.rescued_by_retest).to_string(), format!("units rescued, {} by retest", of.rescued_by_retest)))
            @if of.returned > 0 { (tile(of.returned.to_string(), "units tested again whose first test was before or elsewhere".to_owned())) }
            (tile(of.bench_errors.to_string(), format!("runs ended by the bench, {} aborted", of.aborted)))
        }
    }
}

fn groups(groups: &[Group]) -> Markup {
    html! {
        table {
            tr { th {} th class="n" { "units" } th class="n" { "first pass" } th class="n" { "in the end" } th class="n" { "rescued" } th class="n" { "bench errors" } }
            @for group in groups {
                tr {
                    td { (group.name) } td class="n" { (group.yields.units) }
                    td class="n" { (bounded(group.yields.first_pass_yield)) } td class="n" { (bounded(group.yields.final_yield)) }
                    td class="n" { (group.yields.rescued_by_retry + group.yields.rescued_by_retest) } td class="n" { (group.yields.bench_errors) }
                }
            }
        }
    }
}

fn details(stat: &MeasurementStat) -> Markup {
    html! {
        figure {
            figcaption { code { (stat.step) "/" (stat.name) } " " (stat.plan) ", limits " (stat.limits.show(stat.unit)) @if let Some(words) = verdict_of_spread(stat) { ", " (words) } @if let Some(note) = &stat.note { "; " (note) } }
            (charts::histogram(&stat.histogram, &stat.limits, stat.unit))
            (charts::trend(&stat.trend, stat.unit))
        }
    }
}

fn measurements(overview: &Overview) -> Markup {
    let index = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    // A series that broke is shown as a whole.
    let able: Vec<_> =
        overview.measurements.iter().filter(|stat| stat.capability.ppk.is_some() || stat.note.is_some()).collect();
    html! {
        table {
            tr { th { "measurement" } th { "plan" } th { "limits" } th class="n" { "n" } th class="n" { "mean" } th class="n" { "Cp" } th class="n" { "Cpk" }
                 th class="n" { "Ppk" } th class="n" { "95 %" } th class="n" { "bad" } }
            @for stat in able.iter().take(MOST_MEASUREMENTS) {
                @let of = &stat.capability;
                tr {
                    td { code { (stat.step) "/" (stat.name) } } td { (stat.plan) } td { (stat.limits.show(stat.unit)) @if !stat.newest { ", replaced" } @if let Some(note) = &stat.note { br; (note) } } td class="n" { (of.n) }
                    td class="n" { (stat.unit.show(of.mean)) } td class="n" { (index(of.cp)) } td class="n" { (index(of.cpk)) }
                    td class={ "n" @if of.ppk.is_some_and(|ppk| ppk < 1.33) { " bad" } } { (index(of.ppk)) }
                    td class="n" { @if let Some((low, high)) = of.ppk_95 { (format!("{low:.2} to {high:.2}")) } }
                    td class="n" { (stat.bad) }
                }
            }
        }
        @if able.len() > MOST_MEASUREMENTS { p { "and " (able.len() - MOST_MEASUREMENTS) " more" } }
    }
}
