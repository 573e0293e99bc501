//! What a plan can see: the smallest defect that it detects in nearly every module, and the largest that the tolerances
//! of good parts excuse.
//!
//! A defect of one kind at one place grows in steps. Detection grows with it, so two searches by halving find both
//! ends, each step with complete runs on modules of different tolerances.

use super::run::RunFindings;
use super::work::Module;
use serde::Serialize;
use virtual_bench::Fault;

/// Share of the modules in which a defect must be detected to count as seen; the rest of it excuses one.
pub const SEEN_SHARE: f64 = 0.95;
/// Steps in each decade.
const STEPS: f64 = 8.0;

/// A kind of fault that has a size.
struct Sizes {
    kind: &'static str,
    /// The defect that nobody would notice, and the worst one.
    harmless: f64,
    worst: f64,
    unit: &'static str,
}

/// In the units that orders take.
const SIZES: &[Sizes] = &[
    Sizes { kind: "cold", harmless: 0.1, worst: 1e5, unit: "ohm" },
    Sizes { kind: "leak", harmless: 1e8, worst: 100.0, unit: "ohm" },
    Sizes { kind: "esd", harmless: 1e8, worst: 10.0, unit: "ohm" },
    Sizes { kind: "short", harmless: 1e8, worst: 0.1, unit: "ohm" },
    Sizes { kind: "overload", harmless: 1e-6, worst: 5.0, unit: "A" },
    Sizes { kind: "sleep-current", harmless: 1e-3, worst: 10.0, unit: "mA" },
    Sizes { kind: "adc-gain", harmless: 0.1, worst: 50.0, unit: "%" },
    Sizes { kind: "adc-offset", harmless: 0.5, worst: 500.0, unit: "mV" },
    Sizes { kind: "crystal", harmless: 5.0, worst: 10_000.0, unit: "ppm" },
    Sizes { kind: "ble-crystal", harmless: 5.0, worst: 900.0, unit: "ppm" },
    Sizes { kind: "ble-weak", harmless: 0.5, worst: 90.0, unit: "dB" },
];

/// The kinds that have a size.
pub fn sized_kinds() -> Vec<&'static str> {
    SIZES.iter().map(|sizes| sizes.kind).collect()
}

/// A defect at one place, in all sizes.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Without its size: `cold:23`.
    pub place: String,
    pub unit: &'static str,
    /// From harmless to the worst.
    orders: Vec<(f64, Fault)>,
}

/// What is seen of a defect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    pub fault: String,
    pub unit: &'static str,
    /// The smallest size that is detected in nearly all modules; `None`: not even the worst is.
    pub seen_from: Option<f64>,
    /// The largest size that is detected in hardly any module; `None`: even the smallest is.
    pub excused_to: Option<f64>,
}

impl Sweep {
    /// All sizes of this fault; `None` for a kind without sizes.
    pub fn of(fault: &Fault) -> Option<Self> {
        let sizes = SIZES.iter().find(|sizes| sizes.kind == fault.kind())?;
        let text = fault.to_string();
        let place = text.split('@').next().unwrap_or(&text).to_owned();
        let (place, sign) = match place.split_once(':') {
            // A number after the colon is the size itself; both signs of it are two sweeps.
            Some((kind, number)) if number.parse::<f64>().is_ok() && !is_at_a_place(sizes.kind) => {
                (kind.to_owned(), if number.starts_with('-') { -1.0 } else { 1.0 })
            }
            _ => (place, 1.0),
        };
        let mark = if is_at_a_place(sizes.kind) { '@' } else { ':' };
        let decades = (sizes.worst / sizes.harmless).log10();
        let count = (decades.abs() * STEPS).ceil();
        let size = |n: f64| sign * rounded(sizes.harmless * 10f64.powf(decades * n / count));
        let order = |n: u32| {
            let size = size(f64::from(n));
            format!("{place}{mark}{size}").parse().ok().map(|fault| (size, fault))
        };
        let orders: Vec<(f64, Fault)> = (0..=count as u32).filter_map(order).collect();
        let place = if sign < 0.0 { format!("{place}, negative") } else { place };
        (!orders.is_empty()).then_some(Self { place, unit: sizes.unit, orders })
    }
}

/// Whether orders of this kind name a contact or a rail before the size.
fn is_at_a_place(kind: &str) -> bool {
    matches!(kind, "cold" | "leak" | "esd" | "short" | "overload")
}

/// Two digits: enough for a size, and no order is as long as a number can be.
fn rounded(size: f64) -> f64 {
    let unit = 10f64.powf(size.abs().log10().floor() - 1.0);
    let digits = (size / unit).round();
    format!("{:.12}", digits * unit).parse().unwrap_or(size)
}

/// A search for the first size at which something holds.
#[derive(Debug, Clone, Copy)]
struct Search {
    /// It does not hold below; it holds from here on, or nowhere.
    low: usize,
    high: usize,
}

impl Search {
    fn asks(self) -> Option<usize> {
        (self.low < self.high).then_some((self.low + self.high) / 2)
    }
    fn learns(&mut self, at: usize, holds: bool) {
        if holds {
            self.high = at;
        } else {
            self.low = at + 1;
        }
    }
}

/// All sweeps at once, so that each round of runs is as long as possible.
pub struct Sweeping<'s> {
    sweeps: &'s [Sweep],
    /// For each: detected in nearly all, detected in more than hardly any.
    searches: Vec<[Search; 2]>,
    seeds: Vec<u64>,
    gone: Vec<String>,
}

impl<'s> Sweeping<'s> {
    pub fn new(sweeps: &'s [Sweep], seeds: Vec<u64>, gone: Vec<String>) -> Self {
        let whole = |sweep: &Sweep| Search { low: 0, high: sweep.orders.len() };
        Self { sweeps, searches: sweeps.iter().map(|sweep| [whole(sweep); 2]).collect(), seeds, gone }
    }

    fn asked(&self) -> Vec<(usize, usize)> {
        let mut asked = Vec::new();
        for (index, searches) in self.searches.iter().enumerate() {
            for size in searches.iter().filter_map(|search| search.asks()) {
                if !asked.contains(&(index, size)) {
                    asked.push((index, size));
                }
            }
        }
        asked
    }

    /// The modules of the next round; none at the end.
    pub fn next_round(&self) -> Vec<Module> {
        let module = |fault: &Fault, seed: &u64| Module {
            seed: *seed,
            faults: vec![fault.clone()],
            gone: self.gone.clone(),
            ..Module::default()
        };
        self.asked()
            .into_iter()
            .filter_map(|(index, size)| self.sweeps.get(index)?.orders.get(size))
            .flat_map(|(_, fault)| self.seeds.iter().map(move |seed| module(fault, seed)))
            .collect()
    }

    /// Takes the runs of a round.
    pub fn learn(&mut self, runs: &[RunFindings]) {
        let asked = self.asked();
        for ((index, size), runs) in asked.into_iter().zip(runs.chunks(self.seeds.len().max(1))) {
            let detected = runs.iter().filter(|run| run.is_detected()).count() as f64 / runs.len().max(1) as f64;
            let Some([nearly_all, some]) = self.searches.get_mut(index) else { continue };
            if nearly_all.asks() == Some(size) {
                nearly_all.learns(size, detected >= SEEN_SHARE);
            }
            if some.asks() == Some(size) {
                some.learns(size, detected > 1.0 - SEEN_SHARE);
            }
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        let size = |sweep: &Sweep, at: usize| sweep.orders.get(at).map(|(size, _)| size.abs());
        self.sweeps
            .iter()
            .zip(&self.searches)
            .map(|(sweep, [nearly_all, some])| Seen {
                fault: sweep.place.clone(),
                unit: sweep.unit,
                seen_from: size(sweep, nearly_all.high),
                excused_to: some.high.checked_sub(1).and_then(|at| size(sweep, at)),
            })
            .collect()
    }
}

/// The table, places with equal rows together.
pub fn sweep_table(seen: &[Seen]) -> String {
    use std::fmt::Write as _;
    let mut rows: Vec<(Vec<&str>, String, String)> = Vec::new();
    for one in seen {
        let show =
            |size: Option<f64>, none: &str| size.map_or_else(|| none.to_owned(), |size| with_unit(size, one.unit));
        let (from, to) = (show(one.seen_from, "never"), show(one.excused_to, "nothing"));
        let kind = |fault: &str| fault.split(':').next().unwrap_or_default().to_owned();
        let same = |row: &&mut (Vec<&str>, String, String)| {
            row.1 == from && row.2 == to && row.0.first().is_some_and(|first| kind(first) == kind(&one.fault))
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.0.push(&one.fault),
            None => rows.push((vec![&one.fault], from, to)),
        }
    }
    let mut out = String::from("| defect | detected in 95 % from | excused up to |\n|---|---|---|\n");
    for (faults, from, to) in rows {
        let kind = faults.first().and_then(|fault| fault.split(':').next()).unwrap_or_default();
        let places: Vec<&str> =
            faults.iter().filter_map(|fault| fault.split_once(':').map(|(_, place)| place)).collect();
        let name = match places.len() {
            0 => faults.join(", "),
            _ => format!("{kind}: {}", places.join(", ")),
        };
        let _ = writeln!(out, "| {name} | {from} | {to} |");
    }
    out
}

fn with_unit(size: f64, unit: &str) -> String {
    match unit {
        "ohm" if size >= 1e6 => format!("{} Mohm", size / 1e6),
        "ohm" if size >= 1e3 => format!("{} kohm", size / 1e3),
        "A" if size < 1.0 => format!("{} mA", rounded(size * 1e3)),
        "mA" if size < 1.0 => format!("{} uA", rounded(size * 1e3)),
        _ => format!("{size} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_run::Verdict;

    fn sweep(text: &str) -> Sweep {
        Sweep::of(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn sizes_go_from_harmless_to_the_worst() {
        for (text, place, first, last) in [
            ("cold:23", "cold:23", "cold:23@0.1", "cold:23@100000"),
            ("leak:23-gnd", "leak:23-gnd", "leak:23-gnd@100000000", "leak:23-gnd@100"),
            ("sleep-current", "sleep-current", "sleep-current:0.001", "sleep-current:10"),
            ("adc-gain:-5", "adc-gain, negative", "adc-gain:-0.1", "adc-gain:-50"),
            ("overload:3v3", "overload:3v3", "overload:3v3@0.000001", "overload:3v3@5"),
        ] {
            let sweep = sweep(text);
            let texts: Vec<String> = sweep.orders.iter().map(|(_, fault)| fault.to_string()).collect();
            assert_eq!(sweep.place, place);
            assert_eq!(texts.first().map(String::as_str), Some(first), "{text}");
            assert_eq!(texts.last().map(String::as_str), Some(last), "{text}");
        }
        assert!(Sweep::of(&"dead-mcu".parse().unwrap()).is_none());
    }

    /// Modules that detect from their own threshold on.
    #[test]
    fn both_ends_are_found() {
        let run = |detected: bool| RunFindings {
            verdict: if detected { Verdict::Fail } else { Verdict::Pass },
            ..RunFindings::broken(String::new())
        };
        // (least and largest threshold among 20 modules, seen from, excused to)
        for (least, most, from, to) in [
            (30.0, 30.0, Some(32.0), Some(24.0)),
            (10.0, 100.0, Some(100.0), Some(13.0)),
            (1e9, 1e9, None, Some(100_000.0)),
            (0.0, 0.0, Some(0.1), None),
        ] {
            let sweeps = [sweep("cold:23")];
            let mut sweeping = Sweeping::new(&sweeps, (1..=20).collect(), Vec::new());
            let mut rounds = 0;
            loop {
                let modules = sweeping.next_round();
                if modules.is_empty() {
                    break;
                }
                rounds += 1;
                let ohms = |module: &Module| {
                    let text = module.faults[0].to_string();
                    text.split('@').nth(1).map_or(200.0, |ohms| ohms.parse::<f64>().unwrap())
                };
                let threshold = |seed: u64| least + (most - least) * (seed - 1) as f64 / 19.0;
                let runs: Vec<RunFindings> =
                    modules.iter().map(|module| run(ohms(module) >= threshold(module.seed))).collect();
                sweeping.learn(&runs);
            }
            let seen = &sweeping.seen()[0];
            assert_eq!((seen.seen_from, seen.excused_to), (from, to), "{least} to {most}");
            assert!(rounds <= 7, "{rounds} rounds");
        }
    }
}
