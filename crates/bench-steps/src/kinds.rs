//! The table of kinds.

use crate::{Kind, Procedure};
use bench_plan::{ParamProblem, Reach, Resolved, StepKinds, Surroundings, parse_params};

type Resolve = fn(toml::de::DeTable<'_>, &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem>;

/// One row of the table.
struct Row {
    name: &'static str,
    resolve: Resolve,
    reaches: &'static [Reach],
    schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

/// The kinds that a plan may name; by default the built-in ones.
pub struct Kinds {
    rows: Vec<Row>,
}

impl Default for Kinds {
    fn default() -> Self {
        Self { rows: Vec::new() }
            .with::<crate::bench_check::BenchCheck>()
            .with::<crate::link_loopback::LinkLoopback>()
            .with::<crate::rail_resistance::RailResistance>()
            .with::<crate::continuity::Continuity>()
            .with::<crate::isolation::Isolation>()
            .with::<crate::clamp_diodes::ClampDiodes>()
            .with::<crate::rail_on::RailOn>()
            .with::<crate::quiet::Quiet>()
            .with::<crate::program::Program>()
            .with::<crate::program_production::ProgramProduction>()
            .with::<crate::reset::Reset>()
            .with::<crate::identify::Identify>()
            .with::<crate::interconnect::Interconnect>()
            .with::<crate::pulls::Pulls>()
            .with::<crate::drive::Drive>()
            .with::<crate::adc::Adc>()
            .with::<crate::external_flash::ExternalFlash>()
            .with::<crate::retained::Retained>()
            .with::<crate::supply_current::SupplyCurrent>()
            .with::<crate::link_pulls::LinkPulls>()
            .with::<crate::spi_memory::SpiMemory>()
            .with::<crate::i2c_memory::I2cMemory>()
            .with::<crate::pwm::Pwm>()
            .with::<crate::crystal::Crystal>()
            .with::<crate::interrupts::Interrupts>()
            .with::<crate::pulled_to::PulledTo>()
            .with::<crate::usb::Usb>()
            .with::<crate::enable::Enable>()
            .with::<crate::pair_test::PairTest>()
            .with::<crate::uart_flow::UartFlow>()
            .with::<crate::modem::ModemOnStep>()
            .with::<crate::modem::ModemBoot>()
            .with::<crate::modem::ModemReady>()
            .with::<crate::modem::ModemIdentity>()
            .with::<crate::modem::ModemSim>()
            .with::<crate::modem::ModemSignal>()
            .with::<crate::modem::ModemContacts>()
            .with::<crate::modem::ModemOff>()
            .with::<crate::ble::Ble>()
            .with::<crate::nfc::Nfc>()
            .with::<crate::sequence::Sequence>()
            .with::<crate::external::External>()
            .with::<crate::desk::SwitchOn>()
            .with::<crate::desk::PortShorts>()
            .with::<crate::desk::AdcSelf>()
            .with::<crate::desk::Clocks>()
            .with::<crate::desk::Restarts>()
            .with::<crate::desk::UsbEchoStep>()
            .with::<crate::desk::NfcPhone>()
            .with::<crate::prompt::Prompt>()
    }
}

impl Kinds {
    /// Adds a kind. A later one hides an earlier one of the same name.
    #[must_use]
    pub fn with<K: Kind>(mut self) -> Self {
        self.rows.insert(
            0,
            Row {
                name: K::NAME,
                reaches: K::REACHES,
                resolve: |params, around| K::resolve(parse_params(params)?, around),
                schema: |generator| <K::Params as schemars::JsonSchema>::json_schema(generator),
            },
        );
        self
    }
}

impl StepKinds for Kinds {
    type Procedure = Box<dyn Procedure>;

    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.rows.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names
    }

    fn resolve(
        &self,
        kind: &str,
        params: toml::de::DeTable<'_>,
        around: &Surroundings<'_>,
    ) -> Result<Resolved<Self::Procedure>, ParamProblem> {
        match self.rows.iter().find(|row| row.name == kind) {
            Some(row) => (row.resolve)(params, around),
            None => Err(ParamProblem::new(format!("unknown step kind `{kind}`"))),
        }
    }

    fn is_rested_on(&self, kind: &str) -> bool {
        // Without the firmware's answer, and without a modem that is on, there is no dialogue.
        matches!(kind, "program" | "identify" | "modem-on" | "modem-ready")
    }

    fn reaches(&self, kind: &str) -> &'static [Reach] {
        self.rows.iter().find(|row| row.name == kind).map_or(&[], |row| row.reaches)
    }

    fn measures_for_shorts(&self, procedure: &Self::Procedure) -> Vec<String> {
        procedure.measures_for_shorts()
    }

    fn switches_on(&self, procedure: &Self::Procedure) -> Vec<String> {
        procedure.switches_on()
    }

    fn schemas(&self, generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
        let mut schemas: Vec<_> = self.rows.iter().map(|row| (row.name, (row.schema)(generator))).collect();
        schemas.sort_by_key(|(name, _)| *name);
        schemas
    }
}
