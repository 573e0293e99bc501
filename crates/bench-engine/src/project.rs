//! Finds and reads the files that belong to a plan.

use bench_instruments::Image;
use bench_journal::{read_regular, read_text, shown};
use bench_plan::{
    DutFamily, Fixture, ParamProblem, Plan, PlanHead, PlanText, Problem, Problems, Repairs, Source, all_mistakes,
    check_plan, nearest, nearest_help,
};
use bench_run::{PartHash, PlannedStep, Provenance};
use bench_steps::{ImageFile, Kinds, Nest, Procedure, ProgramPlace};
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
    #[error("{0}")]
    Several(Box<Problems>),
}

impl FileError {
    /// For people, with the place in the file.
    pub fn report(self) -> miette::Report {
        match self {
            FileError::Unreadable { path, error, help } => miette::miette!(help = help, "{}: {error}", shown(&path)),
            FileError::Wrong(problem) => miette::Report::new(*problem),
            FileError::Several(problems) => miette::Report::new(*problems),
        }
    }
}

impl FileError {
    /// The mistake, so that the search for others can continue after it.
    fn problem(self) -> Box<Problem> {
        match self {
            FileError::Wrong(problem) => problem,
            FileError::Unreadable { path, error, help } => {
                let nowhere = Source::new(shown(&path), "");
                Box::new(Problem::new(&nowhere, format!("{}: {error}", shown(&path))).help(help))
            }
            FileError::Several(problems) => {
                let nothing = || Problem::new(&Source::new("", ""), "no mistake");
                Box::new(problems.problems.into_iter().next().unwrap_or_else(nothing))
            }
        }
    }

    /// Adds all the mistakes after the first one, which `check` finds with that one repaired.
    pub fn with_others<T>(self, mut check: impl FnMut(&Repairs) -> Result<T, FileError>) -> Self {
        let FileError::Wrong(first) = self else { return self };
        let mut problems = all_mistakes(first, |repairs| check(repairs).map_err(FileError::problem));
        match problems.problems.pop() {
            // Alone and no file: everything that can be said.
            Some(only) if problems.problems.is_empty() => FileError::Wrong(Box::new(only)),
            last => {
                problems.problems.extend(last);
                FileError::Several(Box::new(problems))
            }
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
    /// Where the programs of its steps run.
    program_place: Rc<ProgramPlace>,
    /// What its questions show, by their names in the plan.
    pictures: Rc<BTreeMap<String, PathBuf>>,
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
        nest.pictures = Rc::clone(&self.pictures);
        nest.program_place = Rc::clone(&self.program_place);
        nest.dut_rx = self.fixture.bed.as_ref().map(|_| self.fixture.link.dut_rx);
    }

    /// Leaves out the steps that write the test firmware: the module holds it already.
    /// Returns notes for the record.
    pub fn keep_firmware(&mut self) -> Vec<String> {
        let reason = "the module keeps the firmware that it holds (--keep)";
        let ids = self.plan.leave_out(|procedure| procedure.writes_firmware(), reason);
        ids.iter().map(|id| format!("without {id}: {reason}")).collect()
    }

    /// Leaves out the steps that ask a person: a study runs the plan many times, and has nobody to ask. Returns their ids.
    pub fn leave_out_questions(&mut self) -> Vec<String> {
        self.plan.leave_out(|procedure| procedure.question().is_some(), "nobody answers in a study")
    }

    /// Notes for the record: on a fixture that is built on another, why the plan allows it and what is left out there.
    pub fn left_out_notes(&self) -> Vec<String> {
        if self.fixture.base.is_none() {
            return Vec::new();
        }
        let fixture = &self.fixture.name;
        let allowed = self.plan.reason_here.iter().map(|reason| format!("on {fixture}: {reason}"));
        let note = |left: &bench_plan::LeftOut| format!("without {} on {fixture}: {}", left.step, left.reason);
        allowed.chain(self.plan.left_out.iter().map(note)).collect()
    }

    /// The plan's steps as the first line of a journal lists them.
    pub fn planned_steps(&self) -> Vec<PlannedStep> {
        crate::promises(&self.plan)
    }

    /// The plan's own text, then those of its parts.
    pub fn texts(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(self.plan_text.plan()).chain(self.plan_text.parts().iter().map(|part| &part.source))
    }

    /// The fixture's own text, then that of the fixture that it builds on.
    pub fn fixture_texts(&self) -> &[Source] {
        &self.fixture_texts
    }

    /// The text of the module family.
    pub fn dut_text(&self) -> &Source {
        &self.dut_text
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
    read_or(path, || help.into())
}

/// The same, with a help that takes time to find.
fn read_or(path: &Path, help: impl FnOnce() -> String) -> Result<Source, FileError> {
    match read_text(path, LARGEST_FILE).map_err(std::io::Error::from) {
        Ok(text) => Ok(Source::new(shown(path), text)),
        Err(error) => Err(FileError::Unreadable { path: path.to_owned(), error, help: help() }),
    }
}

/// A part of a plan, named in the plan.
fn part(path: &Path, named: &str) -> Result<Source, ParamProblem> {
    match read_text(path, LARGEST_FILE).map_err(std::io::Error::from) {
        Ok(text) => Ok(Source::new(shown(path), text)),
        Err(error) => {
            // Named as the plan would name them.
            let folder = named.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
            let names = names_of_files(path.parent().unwrap_or(Path::new("")));
            let names: Vec<String> = names.iter().map(|name| format!("{folder}{name}.toml")).collect();
            let help = match nearest(named, names.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "paths of parts are relative to the plan that names them".to_owned(),
            };
            let problem = ParamProblem::new(format!("{} cannot be read: {error}", shown(path)));
            Err(problem.label("no readable file").help(help))
        }
    }
}

/// Which plan may be meant by a path that no file has.
fn plan_help(plan: &Path) -> String {
    let name = plan.file_stem().unwrap_or_default().to_string_lossy();
    let names = names_of_files(plan.parent().unwrap_or(Path::new("")));
    match nearest(&name, names.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{}`?", shown(&plan.with_file_name(format!("{meant}.toml")))),
        None => "name a plan, for example plans/b404x.toml".to_owned(),
    }
}

/// Names of the TOML files of a folder, without their extension, in order.
fn names_of_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    let mut names: Vec<String> =
        files.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
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

    /// Where the programs of a plan in this folder run. The folders are absolute: a program has a working folder of its
    /// own.
    fn program_place(&self, folder: &Path) -> ProgramPlace {
        let here = std::env::current_dir().unwrap_or_default();
        // A project of one's own need not have it.
        let next_to_it = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
        let roots = [Some(here.join(&self.root)), Some(PathBuf::from(INSTALLED)), next_to_it];
        let mut places = roots.into_iter().flatten().map(|root| root.join(PYTHON_CLIENT));
        ProgramPlace { folder: here.join(folder), python: places.find(|python| python.is_dir()) }
    }

    /// Every module family, by file name.
    pub fn families(&self) -> Result<Vec<(Source, DutFamily)>, FileError> {
        let repairs = Repairs::default();
        self.families_with(&repairs).map_err(|error| error.with_others(|repairs| self.families_with(repairs)))
    }

    fn families_with(&self, repairs: &Repairs) -> Result<Vec<(Source, DutFamily)>, FileError> {
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
            let source = repairs.of(read(path, help)?);
            let family = DutFamily::parse(&source)?;
            Ok((source, family))
        };
        paths.iter().map(parse).collect()
    }

    /// The fixture with its texts: its own, then that of the one that it builds on.
    pub fn fixture(&self, name: &str, families: &[&DutFamily]) -> Result<(Vec<Source>, Fixture), FileError> {
        let with = |repairs: &Repairs| self.fixture_with(name, families, repairs);
        with(&Repairs::default()).map_err(|error| error.with_others(with))
    }

    fn fixture_with(
        &self,
        name: &str,
        families: &[&DutFamily],
        repairs: &Repairs,
    ) -> Result<(Vec<Source>, Fixture), FileError> {
        let path = self.below(&format!("fixtures/{name}.toml"));
        let source = repairs.of(read_or(&path, || self.fixture_help(name))?);
        let Some(base) = Fixture::base_of(&source)? else {
            let fixture = Fixture::parse(&source, families)?;
            return Ok((vec![source], fixture));
        };
        let path = self.below(&format!("fixtures/{}.toml", base.get_ref()));
        if !path.is_file() {
            let problem = Problem::new(&source, format!("there is no fixture `{}`", base.get_ref()))
                .at(base.span(), "no such file")
                .help(self.fixture_help(base.get_ref()));
            return Err(Box::new(problem).into());
        }
        let under = repairs.of(read(&path, "the fixture's `base` names this file")?);
        let fixture = Fixture::parse(&under, families)?.with_jumpers(&source, families)?;
        Ok((vec![source, under], fixture))
    }

    /// Names of the fixtures, in order.
    pub fn fixture_names(&self) -> Vec<String> {
        // Files next to the fixtures that are none.
        let others = ["defect-rates", "operator"];
        let mut names = names_of_files(&self.below("fixtures"));
        names.retain(|name| !others.contains(&name.as_str()));
        names
    }

    /// Which fixture may be meant by a name that no file has.
    fn fixture_help(&self, name: &str) -> String {
        nearest_help(name, self.fixture_names().iter().map(String::as_str), "fixtures")
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

    /// Refuses a misspelt name of another fixture. A project without the board's file is none: it tests on the bed only.
    fn check_also_on(&self, head: &PlanHead, plan: &Source) -> Result<(), FileError> {
        let names = self.fixture_names();
        for row in &head.also_on {
            let name = row.fixture.get_ref();
            let meant = nearest(name, names.iter().map(String::as_str)).filter(|_| !names.contains(name));
            if let Some(meant) = meant {
                let problem = Problem::new(plan, format!("there is no fixture `{name}`"))
                    .at(row.fixture.span(), "no such file")
                    .help(format!("did you mean `{meant}`?"));
                return Err(Box::new(problem).into());
            }
        }
        Ok(())
    }

    /// Loads the plan for another fixture than it names: a smaller one that is built on it.
    ///
    /// # Errors
    /// All mistakes of the plan and of the files that it names.
    pub fn load_on(&self, plan: &Path, fixture: Option<&str>, kinds: &Kinds) -> Result<Loaded, FileError> {
        let with = |repairs: &Repairs| self.load_with(plan, fixture, kinds, repairs);
        with(&Repairs::default()).map_err(|error| error.with_others(with))
    }

    fn load_with(
        &self,
        plan: &Path,
        fixture: Option<&str>,
        kinds: &Kinds,
        repairs: &Repairs,
    ) -> Result<Loaded, FileError> {
        let plan_text = repairs.of(read_or(plan, || plan_help(plan))?);
        let head = PlanHead::parse(&plan_text)?;
        let folder = plan.parent().unwrap_or(Path::new(""));
        let plan_text =
            PlanText::gather(plan_text, |path| part(&folder.join(path), path).map(|part| repairs.of(part)))?;
        let texts = self.families_with(repairs)?;
        let known: Vec<&DutFamily> = texts.iter().map(|(_, family)| family).collect();
        let named = fixture.unwrap_or(head.fixture.get_ref());
        if !self.below(&format!("fixtures/{named}.toml")).is_file() {
            let problem = Problem::new(plan_text.plan(), format!("there is no fixture `{named}`"))
                .at(head.fixture.span(), if fixture.is_some() { "in place of this one" } else { "no such file" })
                .help(self.fixture_help(named));
            return Err(Box::new(problem).into());
        }
        self.check_also_on(&head, plan_text.plan())?;
        let (fixture_texts, fixture) = self.fixture_with(named, &known, repairs)?;
        if fixture.name != *head.fixture.get_ref() {
            let (_, own) = self.fixture_with(head.fixture.get_ref(), &known, repairs)?;
            same_kind(&own, &fixture).map_err(|problem| {
                problem.at(head.fixture.span(), "made for this one").in_file(plan_text.plan(), head.fixture.span())
            })?;
        }
        let checked = check_plan(&plan_text, &known, &fixture, kinds)?;
        let dut_text = texts.iter().find(|(_, family)| family.name == checked.family).map(|(text, _)| text.clone());
        let firmware_path = self.firmware(&checked.firmware);
        let dut_text = dut_text.unwrap_or_else(|| Source::new("", ""));
        let families = texts.into_iter().map(|(_, family)| family).collect();
        let (images, mut image_hashes) = read_images(&checked, folder)?;
        let (pictures, picture_hashes) = find_pictures(&checked, folder)?;
        image_hashes.extend(picture_hashes);
        image_hashes.extend(find_scripts(&checked, folder)?);
        let program_place = Rc::new(self.program_place(folder));
        let images = Rc::new(images);
        Ok(Loaded {
            plan: checked,
            fixture,
            families,
            firmware_path,
            images,
            image_hashes,
            program_place,
            pictures: Rc::new(pictures),
            plan_text,
            fixture_texts,
            dut_text,
        })
    }
}

/// A plan for instruments says nothing on a desk, and the other way round.
fn same_kind(own: &Fixture, other: &Fixture) -> Result<(), ParamProblem> {
    match (&own.desk, &other.desk) {
        (None, Some(_)) => Err(ParamProblem::new(format!("`{}` is a desk: it has no instruments", other.name))
            .help("take a plan that is made for a desk, such as plans/desk-b404x.toml")),
        (Some(_), None) => Err(ParamProblem::new(format!("`{}` is no desk: it has instruments", other.name))
            .help("take a plan that uses them, such as plans/b404x.toml")),
        _ => Ok(()),
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

/// Folder of the Python package for the programs of plans.
const PYTHON_CLIENT: &str = "clients/python";

/// What a file of a program is called, if it must be there.
const SCRIPTS: [&str; 7] = ["js", "lua", "pl", "ps1", "py", "rb", "sh"];

/// Hashes of the files of the plan's programs: what they do decides the verdict.
fn find_scripts(plan: &Plan<Box<dyn Procedure>>, folder: &Path) -> Result<Vec<PartHash>, FileError> {
    let mut hashes: Vec<PartHash> = Vec::new();
    for planned in &plan.steps {
        for (place, name) in planned.procedure.program().iter().enumerate() {
            let (named, path) = (Path::new(name), folder.join(name));
            let is_script = named.extension().is_some_and(|end| SCRIPTS.iter().any(|script| end == *script));
            let must_be = named.is_relative() && (is_script || place == 0 && named.components().count() > 1);
            if hashes.iter().any(|hash| hash.path == *name) || !(must_be || path.is_file()) {
                continue;
            }
            let bytes = read_regular(&path, LARGEST_FILE).map_err(std::io::Error::from).map_err(|error| {
                let files = std::fs::read_dir(path.parent().unwrap_or(folder)).into_iter().flatten().flatten();
                let names: Vec<String> = files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
                let own = named.file_name().unwrap_or_default().to_string_lossy();
                let id = &planned.step.id;
                let help = match nearest(&own, names.iter().map(String::as_str)) {
                    Some(meant) => format!("the step `{id}` starts it; did you mean `{meant}`?"),
                    None => format!("the step `{id}` starts it; paths are relative to the plan"),
                };
                FileError::Unreadable { path: path.clone(), error, help }
            })?;
            hashes.push(PartHash { path: name.clone(), sha256: sha256(&bytes) });
        }
    }
    Ok(hashes)
}

/// The largest picture, bytes: more than any screen shows.
const LARGEST_PICTURE: u64 = 16 * 1024 * 1024;
/// How a PNG file begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The pictures of the plan's questions, each once. They are opened again when they are shown.
fn find_pictures(
    plan: &Plan<Box<dyn Procedure>>,
    folder: &Path,
) -> Result<(BTreeMap<String, PathBuf>, Vec<PartHash>), FileError> {
    let (mut pictures, mut hashes) = (BTreeMap::new(), Vec::new());
    for planned in &plan.steps {
        let Some(named) = planned.procedure.question().and_then(|question| question.picture.as_deref()) else {
            continue;
        };
        let name = named.to_string_lossy().into_owned();
        if pictures.contains_key(&name) {
            continue;
        }
        let path = folder.join(named);
        let help = format!("the step `{}` shows this picture; paths are relative to the plan", planned.step.id);
        let unreadable = |error| FileError::Unreadable { path: path.clone(), error, help: help.clone() };
        let bytes = read_regular(&path, LARGEST_PICTURE).map_err(std::io::Error::from).map_err(unreadable)?;
        let is_svg = path.extension().is_some_and(|extension| extension == "svg");
        let (good, format) = if is_svg { (has_svg(&bytes), "SVG") } else { (bytes.starts_with(PNG), "PNG") };
        if !good {
            return Err(unreadable(std::io::Error::other(format!("this is no {format} file"))));
        }
        hashes.push(PartHash { path: name.clone(), sha256: sha256(&bytes) });
        pictures.insert(name, path);
    }
    Ok((pictures, hashes))
}

fn has_svg(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| text.contains("<svg"))
}

/// The firmware image, as bytes.
pub fn read_firmware(path: &Path) -> Result<Vec<u8>, FileError> {
    read_regular(path, LARGEST_FILE).map_err(std::io::Error::from).map_err(|error| FileError::Unreadable {
        path: path.to_owned(),
        error,
        help: "build the test firmware with `cargo xtask firmware`, or name an image with --firmware".into(),
    })
}
