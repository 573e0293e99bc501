//! The schedule as a picture for a browser: one file, nothing to fetch.

use super::{Bar, Chart, show};
use maud::{Markup, PreEscaped, html};

const WIDTH: f64 = 1_100.0;
/// Room for ids on the left, and for the last label on the right.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 30.0;
const HEAD: f64 = 84.0;
const ROW: f64 = 18.0;
const FOOT: f64 = 12.0;
/// Lines across are this far apart at least.
const TICK: f64 = 70.0;

const STYLE: &str = "\
svg { font: 12px system-ui, sans-serif; background: #fff; } text { fill: #222; } .title { font-size: 16px; font-weight: 600; }
.critical { fill: #b3261e; } .other { fill: #5b8db8; } .tick { stroke: #8886; } .low { fill: #666; } .right { text-anchor: end; } .middle { text-anchor: middle; }
@media (prefers-color-scheme: dark) { svg { background: #181818; } text { fill: #ddd; } .low { fill: #999; } }";

pub(crate) fn svg(chart: &Chart) -> String {
    let height = HEAD + ROW * chart.steps.len() as f64 + FOOT;
    let scale = (WIDTH - LEFT - RIGHT) / chart.schedule_seconds.max(1e-6);
    let figures = format!(
        "Run {}, {:.2} times the critical path of {}; one step after another {}, of which the run is {:.0} %. Times from {}.",
        show(chart.run_seconds),
        chart.run_over_critical,
        show(chart.critical_seconds),
        show(chart.one_by_one_seconds),
        100.0 * chart.run_over_one_by_one,
        chart.times_from
    );
    let view = format!("0 0 {WIDTH} {height}");
    let drawn = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(view) width=(WIDTH) height=(height) role="img" {
            title { "Schedule of " (chart.title) }
            style { (PreEscaped(STYLE)) }
            text class="title" x="10" y="24" { (chart.title) " (" (chart.model) ")" }
            text x="10" y="44" { (figures) }
            rect class="critical" x="10" y="54" width="12" height="10" {}
            text class="low" x="27" y="63" { "on the critical path" }
            rect class="other" x="150" y="54" width="12" height="10" {}
            text class="low" x="167" y="63" { "next to it" }
            @for seconds in ticks(chart.schedule_seconds, scale) {
                line class="tick" x1=(at(seconds, scale)) x2=(at(seconds, scale)) y1=(HEAD - 4.0) y2=(height - FOOT) {}
                text class="low middle" x=(at(seconds, scale)) y=(HEAD - 8.0) { (format!("{seconds} s")) }
            }
            @for (n, one) in chart.steps.iter().enumerate() { (bar(one, HEAD + ROW * n as f64, scale)) }
        }
    };
    format!("{}\n", drawn.into_string())
}

/// To a tenth of a unit of the picture, which is more than enough.
fn at(seconds: f64, scale: f64) -> String {
    format!("{:.1}", LEFT + seconds * scale)
}

fn bar(bar: &Bar, top: f64, scale: f64) -> Markup {
    let class = if bar.critical { "critical" } else { "other" };
    let needs = |what: &str, list: &[String]| {
        if list.is_empty() { String::new() } else { format!("; {what} {}", list.join(", ")) }
    };
    let tooltip = format!(
        "{}: from {} for {}{}{}",
        bar.title,
        show(bar.begins_seconds),
        show(bar.takes_seconds),
        needs("uses", &bar.uses),
        needs("shares", &bar.shares)
    );
    html! {
        g {
            title { (tooltip) }
            text class="right" x=(LEFT - 8.0) y=(top + 12.0) { (bar.step) }
            rect class=(class) x=(at(bar.begins_seconds, scale)) y=(top + 2.0)
                width=(format!("{:.1}", (bar.takes_seconds * scale).max(1.0))) height=(ROW - 5.0) {}
        }
    }
}

/// Round numbers of seconds, not too near each other.
fn ticks(whole: f64, scale: f64) -> Vec<f64> {
    let least = TICK / scale;
    let decade = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * decade).find(|step| *step >= least);
    let step = step.unwrap_or(10.0 * decade);
    let count = (whole / step + 1e-9) as u32;
    // Rounded: 3 x 0.2 is not 0.6.
    (0..=count).map(|n| (f64::from(n) * step * 1e3).round() / 1e3).collect()
}
