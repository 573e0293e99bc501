//! `bench virtual-dut`.

use super::{print, say};
use crate::cli::VirtualDutArgs;
use bench_engine::{self as engine, Failed, Loaded, Project, Recorder, Stop};
use bench_instruments::{BleAir, Clock, InstrumentError};
use bench_journal::Journal;
use bench_run::Verdict;
use bench_steps::{Kinds, Nest};
use bench_virtual::{self as virtual_run, Order};
use futures_util::future::{Either, select};
use std::cell::Cell;
use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use virtual_bench::VirtualBench;
use virtual_dut::{HostLink, serve_probe};

/// Vendor and product of a Black Magic Probe, by which `probe-rs` finds one on the network.
const BLACK_MAGIC: &str = "1d50:6018";
/// The chip runs in the time of the programs that use it.
const REAL_TIME: f64 = 1.0;
/// Between two checks for news, in virtual time.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// So late, a module may look slow or dead to other programs.
const LATE: Duration = Duration::from_millis(100);
/// Least time between two lines about it.
const LATE_AGAIN: Duration = Duration::from_secs(5);

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

pub(crate) fn virtual_dut(root: Option<&Path>, args: &VirtualDutArgs) -> Result<u8, Failed> {
    let loaded = Project::find(root, Some(&args.plan)).load(&args.plan, &Kinds::default())?;
    let Some(family) = loaded.family() else { return Err(bench("the plan's family got lost")) };
    let firmware = bench_engine::read_firmware(args.firmware.as_deref().unwrap_or(&loaded.firmware_path))?;
    let serial = match &args.serial {
        Some(serial) => super::run::serial_number(serial, &loaded)?,
        None => virtual_run::serial(family, &loaded.plan.model, args.seed),
    };
    let faults = virtual_run::parse_faults(&args.faults)?;
    let order = Order {
        blank: args.blank,
        faults: &faults,
        pace: Some(REAL_TIME),
        ..Order::of(&loaded, &firmware, &serial, args.seed)
    };
    let world = virtual_run::build(&order)?;
    let recorder = Recorder::new(Journal::in_memory(), world.clock(), Vec::new());
    let nest = virtual_run::nest(&world, &loaded.fixture, family, &serial, &recorder)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(bench)?;
    runtime.block_on(async {
        let stop = Stop::on_signals(say).map_err(bench)?;
        let listener = TcpListener::bind(&args.probe).await.map_err(|error| {
            Failed::Usage(miette::miette!(
                help = "--probe 127.0.0.1:0 takes any port that is free",
                "no probe at {}: {error}",
                args.probe
            ))
        })?;
        let place = args.link.clone().unwrap_or_default();
        let mut link = HostLink::open(&place, dut_protocol::INITIAL_BAUD).await.map_err(|error| {
            Failed::Usage(miette::miette!(help = "--link 127.0.0.1:0 takes any port that is free", "no link: {error}"))
        })?;
        let rate = if link.follows_rate() { "baud at first" } else { "baud always" };
        let at = listener.local_addr().map_err(bench)?;
        let flash = flash_words(args, loaded.fixture.desk.is_some());
        print(&format!(
            "module  {} {serial}, {flash}, in real time\n\
             probe   a Black Magic Probe: probe-rs ... --probe {BLACK_MAGIC}:{at}\n\
             link    {}, {} {rate}\n\
             Ctrl-C ends it.\n",
            loaded.plan.model,
            link.name(),
            dut_protocol::INITIAL_BAUD
        ));
        let shown = Cell::new(0);
        let served = serve(&world, &nest, &loaded, listener, &mut link, args.air);
        let watched = watch(&world, &*nest.clock, &shown);
        let served = async {
            match select(pin!(watched), pin!(served)).await {
                Either::Left((never, _)) => match never {},
                Either::Right((ended, _)) => ended,
            }
        };
        let (requested, _) = stop.split();
        let served_until_stopped = async {
            match select(pin!(served), pin!(requested)).await {
                Either::Left((Err(error), _)) => Err(bench(error)),
                Either::Left((Ok(never), _)) => match never {},
                Either::Right(..) => Ok(Verdict::Pass.exit_code()),
            }
        };
        let ended = world.run(served_until_stopped).await.map_err(bench)?;
        tell_reports(&world, &shown);
        count_reports(&world);
        // What other programs saw of it late, they may have taken for something else.
        print(&format!("behind  real time by {:.1} ms at most\n", world.behind().as_secs_f64() * 1e3));
        ended
    })
}

/// What is in the module's flash: the test firmware, or the image that `--firmware` names.
fn flash_words(args: &VirtualDutArgs, is_desk: bool) -> String {
    match &args.firmware {
        _ if args.blank && is_desk => "with a system of its own".to_owned(),
        _ if args.blank => "empty flash".to_owned(),
        Some(file) => format!("with {}", file.file_name().unwrap_or(file.as_os_str()).to_string_lossy()),
        None => "with the test firmware".to_owned(),
    }
}

/// Says for ever what there is to say about the emulation.
async fn watch(world: &VirtualBench, clock: &dyn Clock, shown: &Cell<usize>) -> Infallible {
    let (began, mut lateness) = (Instant::now(), Lateness::default());
    loop {
        tell_reports(world, shown);
        if let Some(line) = lateness.look(began.elapsed(), world.behind_now()) {
            say(&line);
        }
        clock.sleep(LOOK_EVERY).await;
    }
}

/// Says what the chip reported since the last time: each kind once.
fn tell_reports(world: &VirtualBench, shown: &Cell<usize>) {
    for (text, _) in world.diagnostics_from(shown.get()) {
        say(&format!("report  {text}"));
        shown.set(shown.get() + 1);
    }
}

/// Prints at the end how many there were.
fn count_reports(world: &VirtualBench) {
    let (reports, more) = (world.diagnostics_from(0), world.diagnostics_dropped());
    if reports.is_empty() {
        return;
    }
    let all = reports.iter().map(|(_, times)| times).sum::<u64>() + more;
    print(&format!("reports {all} of the emulated chip, {} kinds\n", reports.len()));
    for (text, times) in reports.iter().filter(|(_, times)| *times > 1) {
        print(&format!("        {times} times {text}\n"));
    }
    if more > 0 {
        print(&format!("        and {more} of further kinds, not kept\n"));
    }
}

/// Decides when to say that the module is behind real time.
#[derive(Debug, Default)]
struct Lateness {
    /// When it was said last, and how late it was.
    said: Option<(Duration, Duration)>,
}

impl Lateness {
    /// `behind`: how late it is at `now`.
    fn look(&mut self, now: Duration, behind: Duration) -> Option<String> {
        if behind < LATE {
            // It has caught up. The next time is not said too soon for that.
            self.said = self.said.map(|(at, _)| (at, Duration::ZERO));
            return None;
        }
        if let Some((at, before)) = self.said
            && (behind <= before || now.saturating_sub(at) < LATE_AGAIN)
        {
            return None;
        }
        self.said = Some((now, behind));
        Some(format!("behind  real time by {} ms now: this computer is too slow or too busy", behind.as_millis()))
    }
}

/// Powers the module, and serves what leads to it for ever.
async fn serve(
    world: &VirtualBench,
    nest: &Nest,
    loaded: &Loaded,
    listener: TcpListener,
    host: &mut HostLink,
    air: bool,
) -> Result<Infallible, InstrumentError> {
    let served = async {
        if loaded.fixture.desk.is_some() {
            world.hands().switch_board(true);
        }
        for rail in &loaded.fixture.rails {
            // Not measured for shorts: nothing can burn here, and a module that is shorted is wanted so.
            nest.rails.clear_for_power(&rail.name, f64::INFINITY)?;
            nest.rails.on(&rail.name).await?;
        }
        nest.relay.set_loopback(false).await?;
        let mut link = world.link();
        let probe = async {
            let ended = serve_probe(listener, Rc::new(world.swd())).await;
            ended.map_err(|error| InstrumentError::Gpio(format!("the probe on the network: {error}")))
        };
        let carried = host.carry(&mut *link);
        let radio = async { if air { carry_air(world, &*nest.clock).await } else { std::future::pending().await } };
        let wired = async { select(pin!(probe), pin!(carried)).await.factor_first().0 };
        select(pin!(wired), pin!(radio)).await.factor_first().0
    };
    engine::kicked(nest, served).await
}

/// How long each look into the air takes: orders wait for its end.
const AIR_LOOK: Duration = Duration::from_millis(20);
const ADVERT_INTERVAL: Duration = Duration::from_millis(20);

/// Is a Bluetooth adapter for another program, over standard input and output.
async fn carry_air(world: &VirtualBench, clock: &dyn Clock) -> Result<Infallible, InstrumentError> {
    let (sender, orders) = std::sync::mpsc::channel::<String>();
    let read = move || {
        let lines = std::io::stdin().lines().map_while(Result::ok);
        lines.into_iter().try_for_each(|line| sender.send(line)).ok();
    };
    std::thread::Builder::new()
        .name("air".to_owned())
        .spawn(read)
        .map_err(|error| InstrumentError::Ble(format!("no thread for the orders on standard input: {error}")))?;
    let air = world.bluetooth();
    loop {
        while let Ok(order) = orders.try_recv() {
            match advertised(&order) {
                Some((company, data)) => air.advertise(company, &data, ADVERT_INTERVAL).await?,
                None => air.stop().await?,
            }
        }
        for advert in air.scan(AIR_LOOK).await? {
            let address = advert.address.map(|byte| format!("{byte:02X}")).join(":");
            let data: String = advert.data.iter().map(|byte| format!("{byte:02x}")).collect();
            print(&format!("air     {address} {:.0} {:04X} {data}\n", advert.rssi_dbm, advert.company));
        }
        clock.sleep(Duration::from_millis(1)).await;
    }
}

/// Company and data of "advertise FFFF 0102"; everything else is silence.
fn advertised(order: &str) -> Option<(u16, Vec<u8>)> {
    let mut words = order.split_whitespace();
    let (Some("advertise"), Some(company), Some(data)) = (words.next(), words.next(), words.next()) else {
        return None;
    };
    let digits: Vec<u8> = data.bytes().collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    Some((u16::from_str_radix(company, 16).ok()?, digits.chunks(2).map(byte).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_for_the_air() {
        assert_eq!(advertised("advertise FFFF 0102ab"), Some((0xFFFF, vec![1, 2, 0xAB])));
        for silence in ["quiet", "", "advertise", "advertise FFFF", "advertise FFFF 0g", "advertise 1FFFF 01"] {
            assert_eq!(advertised(silence), None, "{silence:?}");
        }
    }

    #[test]
    fn lateness_is_said_once_and_again_while_it_grows() {
        // Milliseconds: when, how late, whether it is said.
        let rows = [
            (0, 0, false),
            (10, 99, false),
            (20, 100, true),
            (30, 150, false),
            (5_010, 150, false),
            (5_020, 150, true),
            (10_030, 150, false),
            (10_040, 149, false),
            (15_000, 151, true),
            // Caught up, and late soon after; not yet, and then less than before.
            (15_010, 0, false),
            (15_020, 120, false),
            (20_000, 120, true),
        ];
        let mut lateness = Lateness::default();
        for (now, behind, said) in rows {
            let line = lateness.look(Duration::from_millis(now), Duration::from_millis(behind));
            assert_eq!(line.is_some(), said, "{now} ms: {line:?}");
        }
    }
}
