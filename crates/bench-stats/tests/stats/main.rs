//! The figures agree with SciPy's and with worked examples from the literature.
#![allow(clippy::unwrap_used)] // all of it is test code

use bench_run::{Limits, Verdict};
use bench_stats::{
    Acceptance, GaugeError, GaugeStudy, NailLog, NailReading, NailState, NailTrend, Refusal, Sample, UnitRun,
    capability, gauge, histogram, pareto, suggest, wilson, yields,
};
use proptest::prelude::*;
use serde_json::Value;

const TOLERANCE: f64 = 1e-9;

fn reference() -> Value {
    serde_json::from_str(include_str!("reference.json")).unwrap()
}

fn close(what: &str, ours: Option<f64>, theirs: &Value) {
    match (ours, theirs.as_f64()) {
        (Some(ours), Some(theirs)) => {
            let error = (ours - theirs).abs() / theirs.abs().max(1.0);
            assert!(error < TOLERANCE, "{what}: {ours} instead of {theirs}");
        }
        (ours, theirs) => assert_eq!(ours, theirs, "{what}"),
    }
}

fn sample(values: impl IntoIterator<Item = f64>) -> Sample {
    let mut sample = Sample::default();
    values.into_iter().for_each(|value| sample.push(value));
    sample
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn capability_as_scipy_has_it() {
    for case in reference()["capability"].as_array().unwrap() {
        let limits = Limits { min: case["low"].as_f64(), max: case["high"].as_f64() };
        let computed = capability(&sample(numbers(&case["values"])), &limits);
        close("mean", Some(computed.mean), &case["mean"]);
        close("sd", computed.sd, &case["sd"]);
        close("sd within", computed.sd_within, &case["sd_within"]);
        close("cp", computed.cp, &case["cp"]);
        close("cpk", computed.cpk, &case["cpk"]);
        close("pp", computed.pp, &case["pp"]);
        close("ppk", computed.ppk, &case["ppk"]);
        for (at, name) in ["low", "high"].iter().enumerate() {
            let side = |pair: Option<(f64, f64)>| pair.map(|pair| if at == 0 { pair.0 } else { pair.1 });
            close(&format!("cpk {name}"), side(computed.cpk_95), &case["cpk_95"][at]);
            close(&format!("ppk {name}"), side(computed.ppk_95), &case["ppk_95"][at]);
        }
    }
}

/// Thirty values with a Cpk of 1.33: the lower bound is about 0.97, which is why it is always shown.
#[test]
fn few_values_say_little() {
    let half = (1.0 / (9.0 * 30.0) + 1.33_f64.powi(2) / 58.0).sqrt() * 1.959_963_984_540_054;
    assert!((1.33 - half - 0.97).abs() < 0.005);
    for values in [vec![], vec![1.0], vec![2.0, 2.0, 2.0], vec![f64::NAN, f64::INFINITY]] {
        let computed = capability(&sample(values), &Limits::between(0.0, 5.0));
        assert_eq!((computed.cpk, computed.ppk, computed.cp), (None, None, None));
    }
}

#[test]
fn shares_as_scipy_has_them() {
    for case in reference()["wilson"].as_array().unwrap() {
        let count = |name: &str| usize::try_from(case[name].as_u64().unwrap()).unwrap();
        let computed = wilson(count("good"), count("all")).unwrap();
        close("low", Some(computed.low), &case["low"]);
        close("high", Some(computed.high), &case["high"]);
    }
    assert_eq!(wilson(0, 0), None);
}

#[test]
fn gauge_studies_as_scipy_has_them() {
    for case in reference()["gauge"].as_array().unwrap() {
        let part = |part: &Value| part.as_array().unwrap().iter().map(numbers).collect();
        let readings = case["readings"].as_array().unwrap().iter().map(part).collect();
        let computed = gauge(&GaugeStudy { readings }, &Limits::between(0.0, 12.0)).unwrap();
        for (at, name) in ["parts", "appraisers", "interaction", "error"].iter().enumerate() {
            close(name, Some(computed.sums_of_squares[at]), &case["sums_of_squares"][at]);
        }
        close("p", Some(computed.interaction_p), &case["interaction_p"]);
        close("repeatability", Some(computed.repeatability), &case["repeatability"]);
        close("reproducibility", Some(computed.reproducibility), &case["reproducibility"]);
        close("interaction", Some(computed.interaction), &case["interaction"]);
        close("grr", Some(computed.grr), &case["grr"]);
        close("part", Some(computed.part), &case["part"]);
        close("total", Some(computed.total), &case["total"]);
        close("percent", computed.grr_percent, &case["grr_percent"]);
        assert_eq!(computed.ndc.map(u64::from), case["ndc"].as_u64());
        close("tolerance", computed.tolerance_percent, &Value::from(50.0 * computed.grr));
    }
}

/// The study of 10 parts, 3 appraisers and 3 trials that AIAG's manual works through (MSA, 4th edition, figures III-B 15 and
/// 16; analysis of variance with the interaction pooled): EV 0.200, AV 0.227, GRR 0.302, PV 1.042, TV 1.085, %GRR 27.9, ndc 4.
#[test]
fn the_example_of_aiag() {
    let [a, b, c]: [[[f64; 10]; 3]; 3] = [
        [
            [0.29, -0.56, 1.34, 0.47, -0.80, 0.02, 0.59, -0.31, 2.26, -1.36],
            [0.41, -0.68, 1.17, 0.50, -0.92, -0.11, 0.75, -0.20, 1.99, -1.25],
            [0.64, -0.58, 1.27, 0.64, -0.84, -0.21, 0.66, -0.17, 2.01, -1.31],
        ],
        [
            [0.08, -0.47, 1.19, 0.01, -0.56, -0.20, 0.47, -0.63, 1.80, -1.68],
            [0.25, -1.22, 0.94, 1.03, -1.20, 0.22, 0.55, 0.08, 2.12, -1.62],
            [0.07, -0.68, 1.34, 0.20, -1.28, 0.06, 0.83, -0.34, 2.19, -1.50],
        ],
        [
            [0.04, -1.38, 0.88, 0.14, -1.46, -0.29, 0.02, -0.46, 1.77, -1.49],
            [-0.11, -1.13, 1.09, 0.20, -1.07, -0.67, 0.01, -0.56, 1.45, -1.77],
            [-0.15, -0.96, 0.67, 0.11, -1.45, -0.49, 0.21, -0.49, 1.87, -2.16],
        ],
    ];
    let cell = |trials: &[[f64; 10]; 3], part: usize| trials.iter().map(|trial| trial[part]).collect::<Vec<_>>();
    let readings = (0..10).map(|part| vec![cell(&a, part), cell(&b, part), cell(&c, part)]).collect();
    let computed = gauge(&GaugeStudy { readings }, &Limits { min: None, max: None }).unwrap();
    let rows = [
        ("parts", computed.sums_of_squares[0], 88.3619, 5e-5),
        ("appraisers", computed.sums_of_squares[1], 3.1673, 5e-5),
        ("interaction", computed.sums_of_squares[2], 0.3590, 5e-5),
        ("equipment", computed.sums_of_squares[3], 2.7589, 5e-5),
        ("EV", computed.repeatability, 0.199_933, 5e-7),
        ("AV", computed.reproducibility, 0.226_838, 5e-7),
        ("GRR", computed.grr, 0.302_37, 5e-6),
        ("PV", computed.part, 1.042_33, 5e-6),
        ("TV", computed.total, 1.085, 5e-4),
        ("%GRR", computed.grr_percent.unwrap(), 27.86, 5e-3),
    ];
    for (what, ours, printed, digits) in rows {
        assert!((ours - printed).abs() <= digits, "{what}: {ours} instead of {printed}");
    }
    assert!(computed.pooled);
    assert_eq!((computed.ndc, computed.acceptance), (Some(4), Some(Acceptance::Marginal)));
}

#[test]
fn studies_without_a_result_are_refused() {
    let study = |parts: usize, seats: usize, trials: usize| vec![vec![vec![1.0; trials]; seats]; parts];
    let mut unbalanced = study(3, 2, 2);
    unbalanced[1][0].push(1.0);
    let mut missing = study(3, 2, 2);
    missing[2][1][0] = f64::NAN;
    let rows = [
        (study(1, 2, 2), Err(GaugeError::TooSmall { parts: 1, appraisers: 2, trials: 2 })),
        (study(2, 2, 1), Err(GaugeError::TooSmall { parts: 2, appraisers: 2, trials: 1 })),
        (vec![], Err(GaugeError::TooSmall { parts: 0, appraisers: 0, trials: 0 })),
        (unbalanced, Err(GaugeError::Unbalanced)),
        (missing, Err(GaugeError::Missing)),
    ];
    for (readings, expected) in rows {
        assert_eq!(gauge(&GaugeStudy { readings }, &Limits::at_least(0.0)).map(|_| ()), expected);
    }
    // A count that never varies: no error and no nonsensical figure.
    let flat = gauge(&GaugeStudy { readings: study(3, 2, 2) }, &Limits::exactly(1.0)).unwrap();
    assert_eq!((flat.grr, flat.grr_percent, flat.tolerance_percent, flat.ndc), (0.0, None, None, None));
    assert_eq!(flat.acceptance, None);
}

/// iSixSigma's example: 0.10, 0.05 and 0.008 defects per unit give a rolled yield of e^-0.158; by counts of 1,000 units the
/// product of the steps' yields is 0.9 · 0.95 · 0.992.
#[test]
fn yields_count_units_and_not_runs() {
    const PASS: Option<Verdict> = Some(Verdict::Pass);
    const FAIL: Option<Verdict> = Some(Verdict::Fail);
    let good = [("a", PASS, PASS, 1), ("b", PASS, PASS, 1)];
    let retried = [("a", PASS, PASS, 1), ("b", FAIL, PASS, 2)];
    let bad = [("a", FAIL, FAIL, 1), ("b", None, Some(Verdict::Skipped), 0)];
    let run = |unit, verdict, steps| UnitRun { unit, verdict, steps };
    let computed = yields([
        run("1", Verdict::Pass, &good),
        run("2", Verdict::Pass, &retried),
        run("3", Verdict::Fail, &bad),
        run("3", Verdict::Fail, &bad),
        run("3", Verdict::Pass, &good),
        run("4", Verdict::Error, &bad),
        run("4", Verdict::Pass, &good),
        run("5", Verdict::Aborted, &bad),
        run("6", Verdict::Fail, &bad),
        run("1", Verdict::Fail, &bad),
    ]);
    assert_eq!((computed.runs, computed.units, computed.bench_errors, computed.aborted), (10, 5, 1, 1));
    assert_eq!(
        (computed.first_pass, computed.rescued_by_retry, computed.rescued_by_retest, computed.passed),
        (2, 1, 1, 3)
    );
    assert_eq!(computed.first_pass_yield.unwrap().share, 0.4);
    // a: 3 of 5 at once; b: 2 of 3 in which it ran.
    assert!((computed.rolled_yield.unwrap() - 3.0 / 5.0 * 2.0 / 3.0).abs() < TOLERANCE);
    assert!((computed.normalised_yield.unwrap() - 0.4_f64.sqrt()).abs() < TOLERANCE);
    assert_eq!(computed.defects_per_unit, Some(3.0 / 5.0));
    assert_eq!((computed.steps[1].rescued, computed.steps[0].bad), (1, 2));

    let ten = [("x", PASS, PASS, 1)];
    let one_bad = [("x", FAIL, FAIL, 1)];
    let names: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    let computed = yields(names.iter().enumerate().map(|(n, name)| {
        if n < 100 { run(name.as_str(), Verdict::Fail, &one_bad) } else { run(name, Verdict::Pass, &ten) }
    }));
    assert!((computed.rolled_yield.unwrap() - 0.9).abs() < TOLERANCE);
    assert_eq!(yields::<&str>([]).first_pass_yield, None);
}

#[test]
fn causes_by_weight() {
    let computed = pareto(["b", "a", "b", "c", "b", "a"].map(str::to_owned));
    let rows: Vec<(&str, usize)> = computed.iter().map(|slice| (slice.what.as_str(), slice.count)).collect();
    assert_eq!(rows, [("b", 3), ("a", 2), ("c", 1)]);
    assert!((computed[1].cumulated - 5.0 / 6.0).abs() < TOLERANCE && (computed[2].cumulated - 1.0).abs() < TOLERANCE);
}

#[test]
fn limits_from_good_units() {
    let values: Vec<f64> = (0..100).map(|n| 3.3 + 0.01 * (f64::from(n % 5) - 2.0)).collect();
    let good = sample(values.iter().copied());
    let sd = good.sd().unwrap();
    let plan = Limits::between(3.2, 3.4);
    let close = |ours: Option<f64>, expected: f64| assert!((ours.unwrap() - expected).abs() < 1e-12, "{ours:?}");
    let computed = suggest(&values, &plan, None).unwrap();
    close(computed.limits.min, good.mean - 5.0 * sd);
    close(computed.limits.max, good.mean + 5.0 * sd);
    assert!(!computed.bound_by_plan);
    let guarded = suggest(&values, &plan, Some(0.02)).unwrap();
    assert_eq!(guarded.guard, 0.04);
    close(guarded.limits.min, 3.24);
    close(guarded.limits.max, 3.36);
    assert!(guarded.bound_by_plan);
    let one_sided = suggest(&values, &Limits::at_least(3.2), None).unwrap();
    assert_eq!(one_sided.limits.max, None);
    // One far unit among many good ones: the limits include it.
    let mut far = values.clone();
    far[50] = 3.39;
    let included = suggest(&far, &plan, None).unwrap();
    assert!(included.limits.max.unwrap() >= 3.39 && included.from_range);
    let few: Vec<f64> = (0..29).map(f64::from).collect();
    let rows = [
        (&few, plan, None, Refusal::TooFew(29)),
        (&values, plan, Some(0.045), Refusal::InGuardBand),
        (&values, Limits::between(3.0, 3.5), Some(0.15), Refusal::GuardBandFillsLimits(0.3, 0.5)),
        (&values, Limits::between(3.29, 3.4), None, Refusal::OutsidePlan),
    ];
    for (values, plan, gauge, expected) in rows {
        assert_eq!(suggest(values, &plan, gauge), Err(expected));
    }
    assert!(suggest(&[1.0; 50], &plan, None).is_err() && suggest(&[3.3; 50], &plan, None).unwrap().constant);
}

/// The same value with the rounding of arithmetic, and with one digit up or down now and then.
#[test]
fn noise_is_no_variation() {
    let rounding = |at: usize| [0.3, 0.1 + 0.2, 0.7 - 0.4][at % 3];
    let digit = |at: usize| 0.3 + if at % 30 == 7 { 0.001 } else { 0.0 };
    let limits = Limits::between(0.0, 1.0);
    for (name, value) in [("rounding", &rounding as &dyn Fn(usize) -> f64), ("digit", &digit)] {
        let values: Vec<f64> = (0..90).map(value).collect();
        let cell = |part: usize, seat: usize| (0..3).map(|trial| values[part * 9 + seat * 3 + trial]).collect();
        let readings = (0..10).map(|part| (0..3).map(|seat| cell(part, seat)).collect()).collect();
        let study = gauge(&GaugeStudy { readings }, &limits).unwrap();
        assert_eq!((study.grr, study.part, study.acceptance, study.ndc), (0.0, 0.0, None, None), "{name}");
        assert_eq!((study.grr_percent, study.tolerance_percent), (None, None), "{name}");
        let computed = capability(&sample(values.iter().copied()), &limits);
        assert!(computed.is_constant(), "{name}: {computed:?}");
        assert_eq!((computed.cp, computed.cpk, computed.pp, computed.ppk), (None, None, None, None), "{name}");
        assert!(histogram(&values, 24).len() <= 2, "{name}");
        let readings: Vec<_> =
            values.iter().map(|value| NailReading { of_limit: Some(*value), retried: false }).collect();
        let trend = nail_trend(&readings);
        assert_eq!((trend.per_thousand, trend.cycles_left, trend.state), (None, None, NailState::Good), "{name}");
    }
    // A gauge that does not vary, and units that do: nothing to divide by.
    let exact = (0..10).map(|part| vec![vec![f64::from(part); 3]; 3]).collect();
    let study = gauge(&GaugeStudy { readings: exact }, &Limits::between(0.0, 10.0)).unwrap();
    assert_eq!((study.grr_percent, study.ndc, study.acceptance), (Some(0.0), None, Some(Acceptance::Acceptable)));
    let json = serde_json::to_value(study).unwrap();
    assert!(json.get("ndc").is_some_and(Value::is_null), "{json}");
}

fn nail_trend(readings: &[NailReading]) -> NailTrend {
    let mut log = NailLog::default();
    readings.iter().for_each(|reading| log.push(*reading));
    log.trend(0)
}

#[test]
fn wear_of_a_nail_is_reported_before_it_fails_a_module() {
    let runs = |count: usize, of_limit: &dyn Fn(usize) -> f64| -> Vec<NailReading> {
        (0..count).map(|at| NailReading { of_limit: Some(of_limit(at)), retried: false }).collect()
    };
    let steady = nail_trend(&runs(1_000, &|at| 0.1 + 0.001 * (at % 7) as f64));
    assert_eq!((steady.state, steady.cycles), (NailState::Good, 1_000));
    // Grows by 0.3 in 1,000 cycles: at 0.4 now, 2,000 left; and later 500.
    let growing = nail_trend(&runs(1_000, &|at| 0.1 + 0.0003 * at as f64));
    assert_eq!(growing.state, NailState::Good);
    assert!((growing.cycles_left.unwrap() - 2_000.0).abs() < 1e-6);
    let late = nail_trend(&runs(2_500, &|at| 0.1 + 0.0003 * at as f64));
    assert_eq!(late.state, NailState::Warn);
    assert!((late.cycles_left.unwrap() - 500.0).abs() < 1e-6 && late.lately.unwrap() < 1.0);
    let mut retries = runs(500, &|_| 0.1);
    retries.iter_mut().rev().step_by(20).take(8).for_each(|run| run.retried = true);
    assert_eq!(nail_trend(&retries).state, NailState::Warn);
    assert_eq!(nail_trend(&[]).state, NailState::Good);
}

proptest! {
    #[test]
    fn every_value_is_in_one_bar(values in prop::collection::vec(prop::num::f64::ANY, 0..200), most in 1..40_usize) {
        let bars = histogram(&values, most);
        let finite = values.iter().filter(|value| value.is_finite()).count();
        prop_assert_eq!(bars.iter().map(|bar| bar.count).sum::<usize>(), finite);
        prop_assert!(bars.len() <= most.max(1));
        prop_assert!(bars.windows(2).all(|pair| pair[0].to == pair[1].from));
    }

    #[test]
    fn capability_never_panics(values in prop::collection::vec(prop::num::f64::ANY, 0..50), low in prop::num::f64::ANY) {
        let computed = capability(&sample(values), &Limits::at_least(low));
        prop_assert!(computed.cp.is_none());
        let figures = [computed.sd, computed.sd_within, computed.cpk, computed.ppk];
        prop_assert!(figures.into_iter().flatten().all(f64::is_finite), "{:?}", computed);
    }
}
