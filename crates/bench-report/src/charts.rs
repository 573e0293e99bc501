//! Charts as SVG, drawn from numbers: no script, no network, the same bytes for the same numbers.

use bench_run::{Limits, MeasurementUnit};
use bench_stats::{Bar, Slice, TrendPoint};
use maud::{Markup, html};

/// Style of all pages. Colours differ in lightness too, and every state also has a word.
pub(crate) const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;max-width:76rem;margin:1.5rem auto;padding:0 1rem;color:#16202a;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse}td,th{padding:.15rem .7rem .15rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #e3e8ee}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.92em;overflow-wrap:anywhere}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem}.tile{border:1px solid #c9d2dc;border-radius:.4rem;padding:.5rem .9rem}
.tile b{display:block;font-size:1.4rem}.verdict{display:inline-block;font-size:2rem;font-weight:700;padding:.1rem 1rem;border-radius:.3rem;color:#fff}
.pass{background:#1a7f37}.fail{background:#c1121f}.error{background:#7b2d8e}.aborted{background:#8a6d00}
.bad{color:#c1121f;font-weight:600}figure{margin:1rem 0;display:inline-block;vertical-align:top}figcaption{color:#4a5763}
svg text{font:11px system-ui,sans-serif;fill:#16202a}svg .axis{stroke:#8a97a5;fill:none}svg .bar{fill:#3a6ea5}svg .line{stroke:#3a6ea5;fill:none;stroke-width:1.5}
svg .band{fill:#3a6ea5;opacity:.18}svg .limit{stroke:#c1121f;stroke-dasharray:4 3}svg .cum{stroke:#b35900;fill:none;stroke-width:1.5}
@media(prefers-color-scheme:dark){body{background:#12181f;color:#dfe6ee}svg text{fill:#dfe6ee}td,th{border-color:#2b3641}.bad{color:#ff7b86}figcaption{color:#a9b6c3}}
";

/// Returns a complete page in one file.
pub(crate) fn page(title: &str, body: &Markup) -> String {
    html! {
        (maud::DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) }
                link rel="icon" href="data:,";
                style { (maud::PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
    .into_string()
}

/// Two decimals are finer than any screen, and keep the file small.
fn at(value: f64) -> String {
    format!("{value:.2}")
}

/// Maps values between `low` and `high` to positions between `from` and `to`.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub low: f64,
    pub high: f64,
    pub from: f64,
    pub to: f64,
}

impl Scale {
    pub(crate) fn place(&self, value: f64) -> f64 {
        let span = self.high - self.low;
        let share = if bench_stats::differ(self.low, self.high) { (value - self.low) / span } else { 0.5 };
        self.from + share.clamp(-0.02, 1.02) * (self.to - self.from)
    }
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 10.0;
const BASE: f64 = HEIGHT - 24.0;

/// Draws the bars of a distribution with its limits, if they are near enough.
pub(crate) fn histogram(bars: &[Bar], limits: &Limits, unit: MeasurementUnit) -> Markup {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else { return html! {} };
    let span = last.to - first.from;
    let near =
        |limit: Option<f64>| limit.filter(|limit| *limit >= first.from - 2.0 * span && *limit <= last.to + 2.0 * span);
    let shown: Vec<f64> = [near(limits.min), near(limits.max)].into_iter().flatten().collect();
    let low = shown.iter().copied().fold(first.from, f64::min);
    let high = shown.iter().copied().fold(last.to, f64::max);
    let x = Scale { low, high, from: LEFT + 8.0, to: WIDTH - 18.0 };
    let most = bars.iter().map(|bar| bar.count).max().unwrap_or(1) as f64;
    let y = Scale { low: 0.0, high: most, from: BASE, to: 14.0 };
    html! {
        svg width=(WIDTH) height=(HEIGHT) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" {
            @for bar in bars {
                rect class="bar" x=(at(x.place(bar.from))) y=(at(y.place(bar.count as f64)))
                    width=(at((x.place(bar.to) - x.place(bar.from) - 1.0).max(1.0))) height=(at(BASE - y.place(bar.count as f64))) {
                    title { (unit.show(bar.from)) " to " (unit.show(bar.to)) ": " (bar.count) }
                }
            }
            line class="axis" x1=(LEFT) y1=(BASE) x2=(WIDTH - 10.0) y2=(BASE) {}
            @for limit in &shown {
                line class="limit" x1=(at(x.place(*limit))) y1="4" x2=(at(x.place(*limit))) y2=(BASE) {}
            }
            text x=(LEFT) y=(HEIGHT - 8.0) { (unit.show(low)) }
            text x=(WIDTH - 10.0) y=(HEIGHT - 8.0) text-anchor="end" { (unit.show(high)) }
        }
    }
}

/// Draws means over time, with the span between minimum and maximum behind them.
pub(crate) fn trend(points: &[TrendPoint], unit: MeasurementUnit) -> Markup {
    if points.len() < 2 {
        return html! {};
    }
    let low = points.iter().map(|point| point.min).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.max).fold(f64::NEG_INFINITY, f64::max);
    let y = Scale { low, high, from: BASE, to: 14.0 };
    let x = Scale { low: 0.0, high: (points.len() - 1) as f64, from: LEFT + 8.0, to: WIDTH - 18.0 };
    let place = |index: usize, value: f64| format!("{},{}", at(x.place(index as f64)), at(y.place(value)));
    let above = points.iter().enumerate().map(|(index, point)| place(index, point.max));
    let below = points.iter().enumerate().rev().map(|(index, point)| place(index, point.min));
    let band: Vec<String> = above.chain(below).collect();
    let line: Vec<String> = points.iter().enumerate().map(|(index, point)| place(index, point.mean)).collect();
    html! {
        svg width=(WIDTH) height=(HEIGHT) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" {
            polygon class="band" points=(band.join(" ")) {}
            polyline class="line" points=(line.join(" ")) {}
            line class="axis" x1=(LEFT) y1=(BASE) x2=(WIDTH - 10.0) y2=(BASE) {}
            text x=(LEFT) y="11" { (unit.show(high)) }
            text x=(LEFT) y=(BASE - 4.0) { (unit.show(low)) }
            text x=(LEFT) y=(HEIGHT - 8.0) { (points[0].from) }
            text x=(WIDTH - 10.0) y=(HEIGHT - 8.0) text-anchor="end" { (points[points.len() - 1].from) }
        }
    }
}

/// Draws causes by weight, with the line of their sum.
pub(crate) fn pareto(slices: &[Slice], prefix: &str) -> Markup {
    let shown = &slices[..slices.len().min(12)];
    let Some(most) = shown.first().map(|slice| slice.count as f64) else { return html! { p { "none" } } };
    let rows = shown.len() as f64;
    let height = 20.0 * rows + 8.0;
    let x = Scale { low: 0.0, high: most, from: 150.0, to: WIDTH - 90.0 };
    html! {
        svg width=(WIDTH) height=(height) viewBox={ "0 0 " (WIDTH) " " (height) } role="img" {
            @for (index, slice) in shown.iter().enumerate() {
                @let top = 20.0 * index as f64 + 4.0;
                text x="144" y=(at(top + 12.0)) text-anchor="end" { (prefix) (slice.what) }
                rect class="bar" x="150" y=(at(top)) width=(at(x.place(slice.count as f64) - 150.0)) height="15" {}
                text x=(at(x.place(slice.count as f64) + 5.0)) y=(at(top + 12.0)) {
                    (slice.count) ", " (format!("{:.0} %", slice.cumulated * 100.0)) " so far"
                }
            }
        }
    }
}

/// Draws columns with shares between 0 and 1 and a word below each.
pub(crate) fn columns(rows: &[(String, f64, String)]) -> Markup {
    let width = (rows.len() as f64 * 34.0 + 20.0).max(120.0);
    let y = Scale { low: 0.0, high: 1.0, from: BASE, to: 20.0 };
    html! {
        svg width=(width) height=(HEIGHT) viewBox={ "0 0 " (width) " " (HEIGHT) } role="img" {
            @for (index, (word, share, title)) in rows.iter().enumerate() {
                @let left = 10.0 + 34.0 * index as f64;
                rect class="bar" x=(at(left)) y=(at(y.place(*share))) width="28" height=(at(BASE - y.place(*share))) { title { (title) } }
                text x=(at(left + 14.0)) y=(at(y.place(*share) - 4.0)) text-anchor="middle" { (format!("{:.0}", share * 100.0)) }
                text x=(at(left + 14.0)) y=(HEIGHT - 8.0) text-anchor="middle" { (word) }
            }
        }
    }
}
