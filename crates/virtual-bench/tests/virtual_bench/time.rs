//! Virtual time: order, exactness, no hang.

use crate::hands::{Io, run, setup};
use bench_instruments::with_deadline;
use bench_run::BenchTime;
use embedded_hal::i2c::I2c;
use futures_util::future::join_all;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use virtual_bench::RunError;

#[test]
fn sleepers_wake_in_order_at_their_moment() {
    let setup = setup("b404x", &[], 1);
    let clock = setup.bench.clock();
    let woken = Rc::new(RefCell::new(Vec::new()));
    run(
        &setup,
        join_all([30_000u64, 10_000, 20_000, 10_000, 0].into_iter().enumerate().map(|(n, us)| {
            let (clock, woken) = (Rc::clone(&clock), Rc::clone(&woken));
            async move {
                clock.sleep_until(BenchTime::from_micros(us)).await;
                woken.borrow_mut().push((n, clock.now().as_micros()));
            }
        })),
    );
    assert_eq!(*woken.borrow(), [(4, 0), (1, 10_000), (3, 10_000), (2, 20_000), (0, 30_000)]);
}

#[test]
fn timeouts_are_exact_and_cancelled_sleepers_leave_nothing() {
    let setup = setup("b404x", &[], 1);
    let clock = setup.bench.clock();
    run(&setup, async {
        let never = std::future::pending::<()>();
        let at = BenchTime::from_micros(12_345);
        assert!(with_deadline(&*clock, at, never).await.is_err());
        assert_eq!(clock.now(), at);
        // The deadline of an hour is dropped with the future; the run ends long before.
        let quick = clock.sleep(Duration::from_millis(1));
        with_deadline(&*clock, clock.now() + Duration::from_secs(3600), quick).await.unwrap();
        assert_eq!(clock.now().as_micros(), 13_345);
    });
}

#[test]
fn i2c_takes_the_time_of_its_bits() {
    let setup = setup("b404x", &[], 1);
    let clock = setup.bench.clock();
    run(&setup, async {
        let before = clock.now();
        // Address, register, repeated start with address, two bytes: 45 bits and four conditions at 400 kHz.
        setup.bench.i2c().write_read(0x20, &[0], &mut [0; 2]).unwrap();
        let span = clock.now() - before;
        assert!((112..=130).contains(&span.as_micros()), "{span:?}");
    });
}

#[test]
fn absent_chips_do_not_answer() {
    use embedded_hal::i2c::{Error, ErrorKind, NoAcknowledgeSource};
    let setup = setup("b404x", &[], 1);
    run(&setup, async {
        let error = setup.bench.i2c().write(0x50, &[0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
    });
}

#[test]
fn a_stuck_run_ends_with_an_error() {
    let setup = setup("b404x", &[], 1);
    let clock = setup.bench.clock();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let result = runtime.block_on(setup.bench.run(async {
        clock.sleep(Duration::from_millis(500)).await;
        std::future::pending::<()>().await;
    }));
    assert_eq!(result, Err(RunError::Stuck { since_ms: 500 }));
}

#[test]
fn other_tasks_of_the_runtime_get_their_turn() {
    let setup = setup("b404x", &[], 1);
    let clock = setup.bench.clock();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let result = runtime.block_on(async {
        tokio::spawn(async move { sender.send("from outside").unwrap() });
        let waits = async {
            // Two virtual hours in small steps: long enough for the other task, and no deadlock if it never comes.
            let long = async {
                for _ in 0..7200 {
                    clock.sleep(Duration::from_secs(1)).await;
                }
            };
            match futures_util::future::select(receiver, std::pin::pin!(long)).await {
                futures_util::future::Either::Left((said, _)) => said.unwrap(),
                futures_util::future::Either::Right(_) => "nothing",
            }
        };
        setup.bench.run(waits).await
    });
    assert_eq!(result, Ok("from outside"));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let record = |seed| {
        let setup = setup("b404x", &[], seed);
        let mut hands = setup.hands.clone();
        let readings = run(&setup, async {
            hands.power_up().await;
            let hello = hands.hello().await;
            hands.nail(23, Io::High);
            let (volts, amps) = hands.rail_reading("3V3");
            let bits = [hands.volts(23).await, hands.ohms(33, 5).await, volts, amps].map(f64::to_bits);
            (hello, bits, hands.clock.now())
        });
        (readings, setup.bench.stats())
    };
    assert_eq!(record(5), record(5));
    assert_ne!(record(5).0.1, record(6).0.1, "another seed is another bench");
}

#[test]
fn a_pace_slows_down() {
    use crate::hands::{FIRMWARE, dut, fixture};
    use virtual_bench::{VirtualBench, VirtualConfig};
    let (fixture, dut, firmware) = (fixture(), dut("b4xx"), std::fs::read(FIRMWARE).unwrap());
    let bench = VirtualBench::new(VirtualConfig {
        fixture: &fixture,
        dut: &dut,
        model: "b404x",
        firmware: Some(&firmware),
        seed: 1,
        faults: &[],
        bench_faults: &[],
        serial: None,
        pace: Some(10.0),
    })
    .unwrap();
    let clock = bench.clock();
    // The runtime's clock jumps to the next sleeper instead of waiting.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let span = runtime.block_on(async {
        let began = tokio::time::Instant::now();
        bench.run(clock.sleep(Duration::from_secs(500))).await.unwrap();
        began.elapsed()
    });
    // 500 virtual seconds, ten times as fast.
    assert!((49_900..50_200).contains(&span.as_millis()), "{span:?}");
}

/// A person takes wall time, also on a bench that is as fast as it can be.
#[test]
fn a_person_has_the_time_of_the_wall() {
    let setup = setup("b404x", &[], 1);
    let clock = setup.bench.clock();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let spans = runtime.block_on(async {
        let timed = async {
            let began = tokio::time::Instant::now();
            clock.sleep(Duration::from_secs(500)).await;
            let before = began.elapsed();
            let asked = setup.bench.people().wait();
            clock.sleep(Duration::from_secs(20)).await;
            let asking = began.elapsed() - before;
            // An answer from outside ends the wait early.
            let (answer, answered) = tokio::sync::oneshot::channel();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                let _ = answer.send("yes");
            });
            let since = clock.now();
            assert_eq!(answered.await, Ok("yes"));
            let waited = clock.now() - since;
            drop(asked);
            clock.sleep(Duration::from_secs(500)).await;
            [before, asking, waited, began.elapsed()]
        };
        setup.bench.run(timed).await.unwrap()
    });
    let [before, asking, waited, all] = spans.map(|span| span.as_millis());
    assert_eq!(before, 0, "nobody is waited for");
    assert!((19_900..20_100).contains(&asking), "{asking}");
    assert!((2_900..3_100).contains(&waited), "{waited}");
    assert!((22_900..23_200).contains(&all), "{all}");
}

/// Tokio's budget must not return control to the runtime in the middle of an instant: virtual time would advance by an
/// amount that depends on the wall clock.
#[test]
fn locks_cost_no_virtual_time() {
    let setup = setup("b404x", &[], 1);
    let clock = setup.bench.clock();
    run(&setup, async {
        let lock = tokio::sync::Mutex::new(0);
        for _ in 0..1000 {
            *lock.lock().await += 1;
        }
        assert_eq!(clock.now(), BenchTime::ZERO);
    });
}
