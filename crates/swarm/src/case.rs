//! What the swarm tests: every shipped plan on its fixture, and some on the boards.

use bench_engine::{Failed, Loaded, Project, read_firmware};
use bench_instruments::Image;
use bench_plan::{ChipKind, DutFamily, GpioLine, NailWiring, SupplyRole};
use bench_run::Provenance;
use bench_steps::Kinds;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use virtual_bench::{BenchFault, Fault, all_bench_faults, all_faults};

/// How often each is drawn, and its name: that of the plan's file, with `@FIXTURE` for another fixture than its own.
pub const CASES: &[(u64, &str)] = &[
    (8, "b404x"),
    (3, "b402"),
    (3, "b404"),
    (4, "b523"),
    (4, "b524"),
    (5, "boron"),
    (1, "b404x-pair-test"),
    (1, "b402@eval-board"),
    (1, "b404x@eval-board"),
    (1, "b524@eval-board"),
    (1, "b404x@mikroe-gen3"),
    (1, "b523@mikroe-gen3"),
    (1, "desk-b402"),
    (1, "desk-b404"),
    (1, "desk-b404x"),
    (1, "desk-b523"),
    (1, "desk-b524"),
    (1, "desk-boron"),
];

/// Of the emergency stop, which the shipped fixtures leave to whoever builds one.
const EMERGENCY: GpioLine = GpioLine { gpio: 26, active_low: true };

/// A plan, ready to run. It stays in its thread.
pub struct Case {
    pub loaded: Loaded,
    pub family: DutFamily,
    pub firmware: Vec<u8>,
    pub image: Rc<Image>,
    pub provenance: Provenance,
    /// Every fault of its module.
    pub faults: Vec<Fault>,
    /// Every fault of its bench.
    pub bench_faults: Vec<BenchFault>,
    /// Port expanders, by their names.
    pub expanders: Vec<String>,
    /// Rails with their current limits in microamperes.
    pub rails: Vec<(String, u64)>,
}

impl Case {
    /// Reads the plan `name` of the project at `root`.
    ///
    /// # Errors
    /// All mistakes of its files; a missing firmware image.
    pub fn load(root: &Path, name: &str) -> Result<Self, Failed> {
        let (plan, fixture) = match name.split_once('@') {
            Some((plan, fixture)) => (plan, Some(fixture)),
            None => (name, None),
        };
        let file = root.join("plans").join(format!("{plan}.toml"));
        let mut loaded = Project::find(Some(root), Some(&file)).load_on(&file, fixture, &Kinds::default())?;
        if let Some(bed) = &mut loaded.fixture.bed {
            bed.controller.emergency.get_or_insert(EMERGENCY);
        }
        let family = loaded.family().cloned().ok_or_else(|| Failed::bench("the plan's family got lost"))?;
        let firmware = read_firmware(&loaded.firmware_path)?;
        let fits = |of: &&DutFamily| loaded.fixture.families.contains(&of.name);
        let models =
            loaded.families.iter().filter(fits).flat_map(|of| of.models.iter().map(|model| model.name.clone()));
        let others: Vec<String> = models.filter(|model| *model != loaded.plan.model).collect();
        let faults = all_faults(&family, &loaded.fixture, &others, family.model(&loaded.plan.model));
        let chips = loaded.fixture.chips.iter().filter(|chip| matches!(chip.kind, ChipKind::Mcp23017));
        Ok(Self {
            image: bench_virtual::image(&loaded, &firmware)?,
            provenance: loaded.provenance(&firmware),
            expanders: chips.map(|chip| chip.id.clone()).collect(),
            rails: loaded.fixture.rails.iter().map(|rail| (rail.name.clone(), microamperes(rail))).collect(),
            bench_faults: all_bench_faults(&family, &loaded.fixture),
            family,
            firmware,
            faults,
            loaded,
        })
    }

    /// Whether the fixture feeds the rail; else the module makes it, and its switch is that of a load.
    pub fn is_supplied(&self, rail: &str) -> bool {
        self.loaded.fixture.rails.iter().any(|of| of.name == rail && of.load_ohms.is_none())
    }

    /// Whether instruments switch and measure the rails.
    pub fn has_rails(&self) -> bool {
        self.loaded.fixture.bed.is_some()
    }

    /// Whether this rail of the fixture feeds a part of the module with one of these roles.
    pub fn feeds(&self, rail: &str, roles: &[SupplyRole]) -> bool {
        let wiring = |contact| self.loaded.fixture.nail(contact).map(|nail| &nail.wiring);
        let contacts = roles.iter().filter_map(|role| self.family.supply_contact(*role));
        contacts.filter_map(|info| wiring(info.contact)).any(|wiring| match wiring {
            NailWiring::Rail { rail: index, .. } => {
                self.loaded.fixture.rails.get(*index).is_some_and(|of| of.name == rail)
            }
            _ => false,
        })
    }

    /// Longest time from the program's death to the last supply off.
    pub fn off_within(&self) -> Duration {
        self.loaded.fixture.bed.as_ref().map_or(Duration::ZERO, |bed| bed.safety.off_within)
    }

    /// Longest bench time that a run may take: every step twice, as often as the plan and the lateness rule repeat it, and
    /// the way to the safe state.
    pub fn longest(&self) -> Duration {
        let steps = self.loaded.plan.steps.iter().map(|planned| &planned.step);
        let attempts: Duration = steps.map(|step| step.timeout * (u32::from(step.retry) + 1) * 2).sum();
        attempts + Duration::from_secs(120)
    }
}

fn microamperes(rail: &bench_plan::Rail) -> u64 {
    (rail.current_limit_amps * 1e6) as u64
}
