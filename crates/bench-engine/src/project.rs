//! Finds and reads the files that belong to a plan.

use bench_instruments::Image;
use bench_journal::{read_regular, read_text, shown};
use bench_plan::{DutFamily, Fixture, ParamProblem, Plan, PlanHead, PlanText, Problem, Source, check_plan};
use bench_run::{PartHash, PlannedStep, Provenance};
use bench_steps::{ImageFile, Kinds, Nest, Procedure};
use bench_swd::{ImageFormat, parse_image};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use thiserror::Error;

/// A file is missing, unreadable or wrong.
#[derive(Debug, Error)]
pub enum FileError {
    #[error("{path}: {error}", path = shown(path))]
    Unreadable { path: PathBuf, error: std::io::Error, help: String },
    #[error("{0}")]
    Wrong(Box<Problem>),
}

impl FileError {
    /// For people, with the place in the file.
    pub fn report(self) -> miette::Report {
        match self {
            FileError::Unreadable { path, error, help } => miette::miette!(help = help, "{}: {error}", shown(&path)),
            FileError::Wrong(problem) => miette::Report::new(*problem),
        }
    }
}

impl From<Box<Problem>> for FileError {
    fn from(problem: Box<Problem>) -> Self {
        FileError::Wrong(problem)
    }
}

/// Where the Debian package puts plans and fixtures; the archive for Windows has them next to the program.
const INSTALLED: &str = "/usr/share/bench";

/// The folder that holds `fixtures/` and `plans/`.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
}

/// A plan with everything it names, checked.
pub struct Loaded {
    pub plan: Plan<Box<dyn Procedure>>,
    pub fixture: Fixture,
    /// Every module family of the project.
    pub families: Vec<DutFamily>,
    pub firmware_path: PathBuf,
    /// What its steps put into the module besides the firmware, and the hash of each file.
    images: Rc<BTreeMap<ImageFile, Image>>,
    image_hashes: Vec<PartHash>,
    plan_text: PlanText,
    /// Its own text, then that of the fixture that it builds on.
    fixture_texts: Vec<Source>,
    dut_text: Source,
}

impl Loaded {
    /// The family that the plan is for.
    pub fn family(&self) -> Option<&DutFamily> {
        self.families.iter().find(|family| family.name == self.plan.family)
    }

    /// What the plan calls the firmware that it puts into the module.
    pub fn firmware_name(&self) -> String {
        self.plan.firmware.clone()
    }

    /// Gives a nest what the plan's steps put into the module.
    pub fn equip(&self, nest: &mut Nest, firmware: Rc<Image>) {
        (nest.firmware, nest.images) = (firmware, Rc::clone(&self.images));
    }

    /// Notes for the record: what of the plan is left out on a fixture that is built on another.
    pub fn left_out_notes(&self) -> Vec<String> {
        if self.fixture.base.is_none() {
            return Vec::new();
        }
        let note =
            |left: &bench_plan::LeftOut| format!("without {} on {}: {}", left.step, self.fixture.name, left.reason);
        self.plan.left_out.iter().map(note).collect()
    }

    /// The plan's steps as the first line of a journal lists them.
    pub fn planned_steps(&self) -> Vec<PlannedStep> {
        crate::promises(&self.plan)
    }

    /// The plan's own text, then those of its parts.
    pub fn texts(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(self.plan_text.plan()).chain(self.plan_text.parts().iter().map(|part| &part.source))
    }

    /// Hashes of everything that decides what the run does.
    pub fn provenance(&self, firmware: &[u8]) -> Provenance {
        let part = |part: &bench_plan::PlanPart| PartHash {
            path: part.path.clone(),
            sha256: sha256(part.source.text.as_bytes()),
        };
        let fixture: String = self.fixture_texts.iter().map(|source| &*source.text).collect();
        Provenance {
            bench_version: env!("CARGO_PKG_VERSION").to_owned(),
            bench_commit: env!("BENCH_COMMIT").to_owned(),
            plan: self.plan.name.clone(),
            plan_sha256: sha256(self.plan_text.plan().text.as_bytes()),
            plan_parts: self.plan_text.parts().iter().map(part).collect(),
            dut_file_sha256: sha256(self.dut_text.text.as_bytes()),
            fixture: self.plan.fixture.clone(),
            fixture_sha256: sha256(fixture.as_bytes()),
            firmware_sha256: sha256(firmware),
            images: self.image_hashes.clone(),
        }
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The largest file of a project, bytes: an image with all of its debug information has a tenth of that.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

pub fn read(path: &Path, help: impl Into<String>) -> Result<Source, FileError> {
    match read_text(path, LARGEST_FILE).map_err(std::io::Error::from) {
        Ok(text) => Ok(Source::new(shown(path), text)),
        Err(error) => Err(FileError::Unreadable { path: path.to_owned(), error, help: help.into() }),
    }
}

/// A part of a plan, named in the plan.
fn part(path: &Path) -> Result<Source, ParamProblem> {
    match read_text(path, LARGEST_FILE).map_err(std::io::Error::from) {
        Ok(text) => Ok(Source::new(shown(path), text)),
        Err(error) => Err(ParamProblem::new(format!("{} cannot be read: {error}", shown(path)))
            .label("no readable file")
            .help("paths of parts are relative to the plan that names them")),
    }
}

impl Project {
    /// `root` as given, else the nearest folder above `file` (or the working folder) with a `fixtures` folder in it, else
    /// where the package installs one.
    pub fn find(root: Option<&Path>, file: Option<&Path>) -> Self {
        if let Some(root) = root {
            return Self { root: root.to_owned() };
        }
        let here = std::env::current_dir().unwrap_or_default();
        let from_file = file.map(|file| here.join(file));
        let above =
            |path: &Path| path.ancestors().find(|folder| folder.join("fixtures/duts").is_dir()).map(Path::to_owned);
        let program = std::env::current_exe().unwrap_or_default();
        let next_to_it = program.parent().map(Path::to_owned);
        let installed = || {
            let places = [Some(PathBuf::from(INSTALLED)), next_to_it];
            places.into_iter().flatten().find(|root| root.join("fixtures/duts").is_dir())
        };
        let folder = from_file.as_deref().and_then(above).or_else(|| above(&here)).or_else(installed);
        let root = folder.unwrap_or_else(|| here.clone());
        // Relative to the user's folder: shorter, and the same on every machine.
        let root = root.strip_prefix(&here).map(Path::to_owned).unwrap_or(root);
        Self { root: if root.as_os_str().is_empty() { PathBuf::from(".") } else { root } }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    fn below(&self, relative: &str) -> PathBuf {
        if self.root == Path::new(".") { PathBuf::from(relative) } else { self.root.join(relative) }
    }

    /// The image of this name: as built here, or as installed.
    pub fn firmware(&self, name: &str) -> PathBuf {
        let built = self.below(&format!("target/firmware/{name}.elf"));
        let installed = self.below(&format!("firmware/{name}.elf"));
        if !built.is_file() && installed.is_file() { installed } else { built }
    }

    /// How often which defect occurs.
    pub fn defect_rates(&self) -> PathBuf {
        self.below("fixtures/defect-rates.toml")
    }

    /// Who may test what, and how often.
    pub fn operator_rules(&self) -> PathBuf {
        self.below("fixtures/operator.toml")
    }

    /// Every module family, by file name.
    pub fn families(&self) -> Result<Vec<(Source, DutFamily)>, FileError> {
        let folder = self.below("fixtures/duts");
        let help = "run bench inside the project, or name its folder with --root";
        let unreadable = |error| FileError::Unreadable { path: folder.clone(), error, help: help.into() };
        let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
            .map_err(unreadable)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        paths.sort();
        let parse = |path: &PathBuf| {
            let source = read(path, help)?;
            let family = DutFamily::parse(&source)?;
            Ok((source, family))
        };
        paths.iter().map(parse).collect()
    }

    /// The fixture with its texts: its own, then that of the one that it builds on.
    pub fn fixture(&self, name: &str, families: &[&DutFamily]) -> Result<(Vec<Source>, Fixture), FileError> {
        let source = read(&self.below(&format!("fixtures/{name}.toml")), "the plan's `fixture` names this file")?;
        let Some(base) = Fixture::base_of(&source)? else {
            let fixture = Fixture::parse(&source, families)?;
            return Ok((vec![source], fixture));
        };
        let path = self.below(&format!("fixtures/{}.toml", base.get_ref()));
        if !path.is_file() {
            let problem = Problem::new(&source, format!("there is no fixture `{}`", base.get_ref()))
                .at(base.span(), "no such file")
                .help(format!("expected {}", shown(&path)));
            return Err(Box::new(problem).into());
        }
        let under = read(&path, "the fixture's `base` names this file")?;
        let fixture = Fixture::parse(&under, families)?.with_jumpers(&source)?;
        Ok((vec![source, under], fixture))
    }

    /// A fixture by its name, with every family of the project, for commands that have no plan.
    pub fn fixture_and_families(&self, name: &str) -> Result<(Fixture, Vec<DutFamily>), FileError> {
        let families: Vec<DutFamily> = self.families()?.into_iter().map(|(_, family)| family).collect();
        let (_, fixture) = self.fixture(name, &families.iter().collect::<Vec<_>>())?;
        Ok((fixture, families))
    }

    /// Reads and checks a plan and all that belongs to it.
    pub fn load(&self, plan: &Path, kinds: &Kinds) -> Result<Loaded, FileError> {
        self.load_on(plan, None, kinds)
    }

    /// Loads the plan for another fixture than it names: a smaller one that is built on it.
    pub fn load_on(&self, plan: &Path, fixture: Option<&str>, kinds: &Kinds) -> Result<Loaded, FileError> {
        let plan_text = read(plan, "name a plan, for example plans/b404x.toml")?;
        let head = PlanHead::parse(&plan_text)?;
        let folder = plan.parent().unwrap_or(Path::new(""));
        let plan_text = PlanText::gather(plan_text, |path| part(&folder.join(path)))?;
        let texts = self.families()?;
        let known: Vec<&DutFamily> = texts.iter().map(|(_, family)| family).collect();
        let named = fixture.unwrap_or(head.fixture.get_ref());
        let fixture_path = self.below(&format!("fixtures/{named}.toml"));
        if !fixture_path.is_file() {
            let problem = Problem::new(plan_text.plan(), format!("there is no fixture `{named}`"))
                .at(head.fixture.span(), if fixture.is_some() { "in place of this one" } else { "no such file" })
                .help(format!("expected {}", shown(&fixture_path)));
            return Err(Box::new(problem).into());
        }
        let (fixture_texts, fixture) = self.fixture(named, &known)?;
        let checked = check_plan(&plan_text, &known, &fixture, kinds)?;
        let dut_text = texts.iter().find(|(_, family)| family.name == checked.family).map(|(text, _)| text.clone());
        let firmware_path = self.firmware(&checked.firmware);
        let dut_text = dut_text.unwrap_or_else(|| Source::new("", ""));
        let families = texts.into_iter().map(|(_, family)| family).collect();
        let (images, image_hashes) = read_images(&checked, folder)?;
        let images = Rc::new(images);
        Ok(Loaded {
            plan: checked,
            fixture,
            families,
            firmware_path,
            images,
            image_hashes,
            plan_text,
            fixture_texts,
            dut_text,
        })
    }
}

type Images = BTreeMap<ImageFile, Image>;

/// The files that the plan's steps put into the module, each once.
fn read_images(plan: &Plan<Box<dyn Procedure>>, folder: &Path) -> Result<(Images, Vec<PartHash>), FileError> {
    let (mut images, mut hashes) = (Images::new(), Vec::new());
    for planned in &plan.steps {
        for wanted in planned.procedure.images() {
            if images.contains_key(wanted) {
                continue;
            }
            let path = folder.join(&wanted.file);
            let help = format!(
                "the step `{}` puts this file into the module; paths are relative to the plan",
                planned.step.id
            );
            let unreadable = |error| FileError::Unreadable { path: path.clone(), error, help: help.clone() };
            let bytes = read_regular(&path, LARGEST_FILE).map_err(std::io::Error::from).map_err(unreadable)?;
            let format = match (wanted.at, path.extension().and_then(|extension| extension.to_str())) {
                (Some(base), _) => ImageFormat::Binary { base },
                (None, Some("hex")) => ImageFormat::Hex,
                (None, _) => ImageFormat::Elf,
            };
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let image = parse_image(&name, &bytes, format);
            images.insert(wanted.clone(), image.map_err(std::io::Error::other).map_err(unreadable)?);
            hashes.push(PartHash { path: wanted.file.clone(), sha256: sha256(&bytes) });
        }
    }
    Ok((images, hashes))
}

/// The firmware image, as bytes.
pub fn read_firmware(path: &Path) -> Result<Vec<u8>, FileError> {
    read_regular(path, LARGEST_FILE).map_err(std::io::Error::from).map_err(|error| FileError::Unreadable {
        path: path.to_owned(),
        error,
        help: "build the test firmware with `cargo xtask firmware`, or name an image with --firmware".into(),
    })
}
