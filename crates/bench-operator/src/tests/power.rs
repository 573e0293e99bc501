//! From the key to the rails: the screen's orders carried out on the virtual bench, in its time.

use super::*;
use bench_engine::{self as engine, Recorder, Stop, StopHandle};
use bench_instruments::Clock;
use bench_journal::Journal;
use bench_steps::Kinds;
use bench_virtual::Order;
use futures_util::future::join;
use std::pin::pin;

/// What was pressed before Del, and how long before.
const SITUATIONS: &[(&str, &[Press], Duration)] = &[
    ("while it runs", &[], Duration::ZERO),
    ("while a label is typed", &[Press::Character('P')], Duration::ZERO),
    ("asked whether to abort", &[Press::Escape], Duration::from_secs(1)),
    ("asked whether to leave", &[Press::EndShift], Duration::from_secs(1)),
    ("while it is switched off in order", &[Press::Escape, Press::Enter], Duration::from_millis(30)),
    ("while the modem is switched off in order", &[Press::Escape, Press::Enter], Duration::from_millis(700)),
    ("while the screen is being left", &[Press::Interrupt], Duration::from_millis(700)),
];
/// After two rails are on, which only the module needs; the modem is on at the last two.
const MOMENTS: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(3_500), Duration::from_millis(5_500)];
const LONGEST: Duration = Duration::from_millis(50);

fn carry_out(actions: &[Action], stop: &StopHandle) {
    for action in actions {
        if let Action::Stop { reason, at_once, .. } = action {
            if *at_once { stop.stop_at_once(reason) } else { stop.stop(reason) }
        }
    }
}

#[test]
fn from_del_to_the_last_rail_off_it_is_50_ms_at_most() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("plans/b404x.toml");
    let loaded = Project::find(Some(&root), Some(&file)).load(&file, &Kinds::default()).unwrap();
    let firmware = engine::read_firmware(&loaded.firmware_path).unwrap();
    let family = loaded.family().unwrap();
    let (mut slowest, mut powered) = (Duration::ZERO, 0);
    for (what, before, earlier) in SITUATIONS {
        for after in MOMENTS {
            let order = Order { blank: false, ..Order::of(&loaded, &firmware, "P042AV000000001", 1) };
            let world = bench_virtual::build(&order).unwrap();
            let started = bench_virtual::started(&loaded, Provenance::default(), &serial(1), 1, &[]);
            let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
            let mut nest = bench_virtual::nest(&world, &loaded.fixture, family, &serial(1), &recorder).unwrap();
            loaded.equip(&mut nest, bench_virtual::image(&loaded, &firmware).unwrap());
            let (handle, stop) = Stop::by_handle();
            let mut station = Station::new(1, Rules::default());
            station.scan(&label(1));
            station.press(Press::Enter);
            let (clock, hand): (Rc<dyn Clock>, _) = (world.clock(), &world);
            let operator = async {
                while hand.rails_on().iter().filter(|on| **on).count() < 2 {
                    clock.sleep(Duration::from_millis(1)).await;
                }
                clock.sleep(after).await;
                for press in *before {
                    carry_out(&station.press(*press), &handle);
                }
                clock.sleep(*earlier).await;
                let was_on = hand.rails_on().contains(&true);
                let pressed_at = clock.now();
                carry_out(&station.press(Press::Delete), &handle);
                while hand.rails_on().contains(&true) {
                    clock.sleep(Duration::from_millis(1)).await;
                }
                (was_on, clock.now() - pressed_at)
            };
            let run = engine::run(&loaded.plan, &nest, &recorder, started, stop);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let both = pin!(join(run, operator));
            let (outcome, (was_on, took)) = runtime.block_on(world.run(both)).unwrap();
            assert_eq!(outcome.verdict, Verdict::Aborted, "{what}, after {after:?}: {:?}", outcome.reason);
            assert!(took <= LONGEST, "{what}, after {after:?}: {took:?}");
            slowest = slowest.max(took);
            powered += usize::from(was_on);
        }
    }
    assert!(powered >= 15, "in {powered} situations only was anything on");
    println!("{powered} times with power on: all rails off after {slowest:?} at most");
}
