//! `bench virtual-dut`.

use super::print;
use crate::cli::{Failed, VirtualDutArgs};
use crate::engine::{self, Recorder};
use crate::virtual_run::{self, Order};
use crate::{Loaded, Project, Stop, files};
use bench_instruments::InstrumentError;
use bench_journal::Journal;
use bench_run::Verdict;
use bench_steps::{Kinds, Nest};
use futures_util::future::{Either, select};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use tokio::net::TcpListener;
use virtual_bench::VirtualBench;
use virtual_dut::{Pty, serve_probe};

/// Vendor and product of a Black Magic Probe: so `probe-rs` is told of one on the network.
const BLACK_MAGIC: &str = "1d50:6018";
/// The time of the chip is that of the programs that look at it.
const REAL_TIME: f64 = 1.0;

fn bench(error: impl std::fmt::Display) -> Failed {
    Failed::Bench(miette::miette!("{error}"))
}

pub(crate) fn virtual_dut(root: Option<&Path>, args: &VirtualDutArgs) -> Result<u8, Failed> {
    let loaded = Project::find(root, Some(&args.plan)).load(&args.plan, &Kinds::default())?;
    let Some(family) = loaded.family() else { return Err(bench("the plan's family got lost")) };
    let firmware = files::read_firmware(args.firmware.as_deref().unwrap_or(&loaded.firmware_path))?;
    let serial = args.serial.clone().unwrap_or_else(|| virtual_run::serial(family, &loaded.plan.model, args.seed));
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
        let stop = Stop::on_signals().map_err(bench)?;
        let listener = TcpListener::bind(&args.probe).await.map_err(|error| {
            Failed::Usage(miette::miette!(
                help = "--probe 127.0.0.1:0 takes any port that is free",
                "no probe at {}: {error}",
                args.probe
            ))
        })?;
        let mut pty = Pty::new().map_err(bench)?;
        let at = listener.local_addr().map_err(bench)?;
        let flash = if args.blank { "empty flash" } else { "with the test firmware" };
        print(&format!(
            "module  {} {serial}, {flash}, in real time\n\
             probe   a Black Magic Probe: probe-rs ... --probe {BLACK_MAGIC}:{at}\n\
             link    {}, {} baud at first\n\
             Ctrl-C ends it.\n",
            loaded.plan.model,
            pty.name(),
            dut_protocol::INITIAL_BAUD
        ));
        let served = serve(&world, &nest, &loaded, listener, &mut pty);
        let (requested, _) = stop.split();
        let served_until_stopped = async {
            match select(pin!(served), pin!(requested)).await {
                Either::Left((Err(error), _)) => Err(bench(error)),
                Either::Left((Ok(never), _)) => match never {},
                Either::Right(..) => Ok(Verdict::Pass.exit_code()),
            }
        };
        let ended = world.run(served_until_stopped).await.map_err(bench)?;
        // What other programs saw of it late, they may have taken for something else.
        print(&format!("behind  real time by {:.1} ms at most\n", world.behind().as_secs_f64() * 1e3));
        ended
    })
}

/// Powers the module, and serves what leads to it for ever.
async fn serve(
    world: &VirtualBench,
    nest: &Nest,
    loaded: &Loaded,
    listener: TcpListener,
    pty: &mut Pty,
) -> Result<std::convert::Infallible, InstrumentError> {
    let served = async {
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
        let carried = pty.carry(&mut *link, dut_protocol::INITIAL_BAUD);
        select(pin!(probe), pin!(carried)).await.factor_first().0
    };
    engine::kicked(nest, served).await
}
