//! Events of every kind with arbitrary contents.

use bench_run::{
    BenchKind, Contact, Defect, Diagnosis, DiagnosisRun, Event, LateRecord, Limits, Measurement, MeasurementSpec,
    MeasurementUnit, PartHash, PlannedStep, Provenance, RunOrder, Tally, Verdict, WallClock,
};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..12)
}

fn text() -> impl Strategy<Value = String> {
    // Control characters, line ends and quotes included: none may break a line.
    prop_oneof![any::<String>(), Just("\n".to_owned()), Just("\"}\r\n{\u{0}\u{2028}".to_owned()), "[a-z0-9]{1,8}"]
}

fn number() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    NORMAL | SUBNORMAL | ZERO | POSITIVE | NEGATIVE
}

fn verdict() -> impl Strategy<Value = Verdict> {
    select(vec![Verdict::Pass, Verdict::Fail, Verdict::Error, Verdict::Skipped, Verdict::Aborted])
}

fn contacts() -> impl Strategy<Value = Vec<Contact>> {
    prop::collection::vec(any::<u8>().prop_map(Contact), 0..3)
}

fn unit() -> impl Strategy<Value = MeasurementUnit> {
    select(vec![
        MeasurementUnit::Volts,
        MeasurementUnit::Amps,
        MeasurementUnit::Ohms,
        MeasurementUnit::Hertz,
        MeasurementUnit::Seconds,
        MeasurementUnit::Percent,
        MeasurementUnit::One,
    ])
}

fn measurement() -> impl Strategy<Value = Measurement> {
    let limits = (of(number()), of(number())).prop_map(|(min, max)| Limits { min, max });
    (text(), of(number()), of(text()), unit(), limits, verdict(), contacts()).prop_map(
        |(name, value, raw, unit, limits, verdict, contacts)| Measurement {
            name,
            value,
            raw,
            unit,
            limits,
            verdict,
            contacts,
        },
    )
}

fn spec() -> impl Strategy<Value = MeasurementSpec> {
    let limits = (of(number()), of(number())).prop_map(|(min, max)| Limits { min, max });
    (text(), unit(), limits, contacts()).prop_map(|(name, unit, limits, contacts)| MeasurementSpec {
        name,
        unit,
        limits,
        contacts,
    })
}

fn diagnosis() -> impl Strategy<Value = Diagnosis> {
    use Defect::{
        Bench, Leak, MissingPull, NoAnswer, Open, Other, Overload, Short, ShortToGround, ShortToRail, StuckHigh,
        StuckLow, WrongModel, WrongVoltage,
    };
    let defect = select(vec![
        Open,
        Short,
        ShortToGround,
        ShortToRail,
        StuckHigh,
        StuckLow,
        MissingPull,
        Leak,
        Overload,
        WrongVoltage,
        WrongModel,
        NoAnswer,
        Bench,
        Other,
    ]);
    (defect, contacts(), text()).prop_map(|(defect, contacts, text)| Diagnosis { defect, contacts, text })
}

fn bench_kind() -> impl Strategy<Value = BenchKind> {
    prop_oneof![
        (text(), prop::option::of(text()), prop::option::of(text()), prop::collection::vec(text(), 0..3)).prop_map(
            |(station, nest, fixture_serial, overdue)| BenchKind::Real { station, nest, fixture_serial, overdue }
        ),
        (any::<u64>(), prop::collection::vec(text(), 0..3))
            .prop_map(|(seed, faults)| BenchKind::Virtual { seed, faults }),
        (text(), text()).prop_map(|(of, recorded_by)| BenchKind::Replay { of, recorded_by }),
    ]
}

fn planned() -> impl Strategy<Value = Vec<PlannedStep>> {
    let promised = prop::collection::vec(spec(), 0..3);
    let step = (text(), text(), text(), any::<usize>(), any::<Option<u8>>(), promised).prop_map(
        |(id, kind, title, measurements, attempts, promised)| PlannedStep {
            id,
            kind,
            title,
            measurements,
            attempts,
            promised,
        },
    );
    prop::collection::vec(step, 0..3)
}

fn parts() -> impl Strategy<Value = Vec<PartHash>> {
    prop::collection::vec((text(), text()).prop_map(|(path, sha256)| PartHash { path, sha256 }), 0..3)
}

fn order() -> impl Strategy<Value = RunOrder> {
    let clock = prop_oneof![
        text().prop_map(|by| WallClock::Synchronised { by }),
        Just(WallClock::NotSynchronised),
        text().prop_map(|reason| WallClock::Implausible { reason }),
    ];
    (any::<u64>(), of(text()), of(text()), any::<Option<u64>>(), prop::option::of(clock))
        .prop_map(|(number, series, boot, uptime_us, clock)| RunOrder { number, series, boot, uptime_us, clock })
}

fn diagnosis_run() -> impl Strategy<Value = DiagnosisRun> {
    let ids = || prop::collection::vec(text(), 0..3);
    (ids(), ids(), ids(), any::<u16>(), any::<bool>(), any::<Option<u64>>()).prop_map(
        |(chosen, needed, absent, repeat, until_fail, hold_s)| DiagnosisRun {
            chosen,
            needed,
            absent,
            repeat,
            until_fail,
            hold_s,
        },
    )
}

fn started() -> impl Strategy<Value = Event> {
    (
        text(),
        text(),
        text(),
        (of(text()), prop::option::of(order())),
        bench_kind(),
        (of(text()), prop::option::of(diagnosis_run())),
        prop::array::uniform8(text()),
        (parts(), parts()),
        planned(),
    )
        .prop_map(
            |(
                run_id,
                serial,
                model,
                (started_at, order),
                bench,
                (lot, diagnosis),
                words,
                (plan_parts, images),
                steps,
            )| {
                let [
                    bench_version,
                    bench_commit,
                    plan,
                    plan_sha256,
                    dut_file_sha256,
                    fixture,
                    fixture_sha256,
                    firmware_sha256,
                ] = words;
                let provenance = Provenance {
                    bench_version,
                    bench_commit,
                    plan,
                    plan_sha256,
                    plan_parts,
                    dut_file_sha256,
                    fixture,
                    fixture_sha256,
                    firmware_sha256,
                    images,
                };
                let (bench, provenance) = (Box::new(bench), Box::new(provenance));
                Event::RunStarted {
                    run_id,
                    serial,
                    model,
                    started_at,
                    order: order.map(Box::new),
                    bench,
                    lot,
                    diagnosis: diagnosis.map(Box::new),
                    provenance,
                    steps,
                }
            },
        )
}

fn tally() -> impl Strategy<Value = Tally> {
    prop::array::uniform8(any::<usize>()).prop_map(
        |[steps, passed, failed, errors, skipped, aborted, measurements, contacts]| Tally {
            steps,
            passed,
            failed,
            errors,
            skipped,
            aborted,
            measurements,
            contacts,
        },
    )
}

fn late() -> impl Strategy<Value = LateRecord> {
    (any::<u64>(), text()).prop_map(|(us, cause)| LateRecord { us, cause })
}

pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        started(),
        (text(), any::<u8>()).prop_map(|(step, attempt)| Event::StepStarted { step, attempt }),
        (text(), any::<u8>(), measurement()).prop_map(|(step, attempt, measurement)| Event::Measured {
            step,
            attempt,
            measurement
        }),
        (text(), any::<u8>(), diagnosis()).prop_map(|(step, attempt, diagnosis)| Event::Diagnosed {
            step,
            attempt,
            diagnosis
        }),
        (of(text()), text()).prop_map(|(step, text)| Event::Note { step, text }),
        (of(text()), text()).prop_map(|(step, text)| Event::Dialogue { step, text }),
        (text(), any::<u8>(), verdict(), of(text()), of(verdict()), any::<bool>(), of(late())).prop_map(
            |(step, attempt, verdict, reason, procedure, retried, late)| Event::StepEnded {
                step,
                attempt,
                verdict,
                reason,
                procedure,
                retried,
                late
            }
        ),
        (text(), any::<bool>(), of(number())).prop_map(|(rail, on, volts)| Event::RailSwitched { rail, on, volts }),
        text().prop_map(|reason| Event::Stopping { reason }),
        (any::<bool>(), of(text())).prop_map(|(confirmed, reason)| Event::SafeState { confirmed, reason }),
        (verdict(), of(text()), tally()).prop_map(|(verdict, reason, tally)| Event::RunEnded {
            verdict,
            reason,
            tally
        }),
    ]
}
