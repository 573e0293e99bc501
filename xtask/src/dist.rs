//! The distribution for a controller: an archive with everything in it, and a Debian package of the same.

use crate::mode::set_mode;
use crate::steps::{Steps, run};
use crate::{Failed, cargo, firmware, others, root, target_folder};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A controller's processor, or a system on which plans are written.
#[derive(Clone, Copy)]
pub struct Machine {
    /// Name for the user.
    pub name: &'static str,
    pub target: &'static str,
    /// Debian's name, if it is a Debian.
    debian: &'static str,
    pub linker: &'static str,
    /// Debian's package of the linker.
    package: &'static str,
}

pub const MACHINES: [Machine; 2] = [
    Machine {
        name: "aarch64",
        target: "aarch64-unknown-linux-gnu",
        debian: "arm64",
        linker: "aarch64-linux-gnu-gcc",
        package: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    },
    Machine {
        name: "x86_64",
        target: "x86_64-unknown-linux-gnu",
        debian: "amd64",
        linker: "cc",
        package: "gcc libc6-dev",
    },
];

pub const WINDOWS: Machine = Machine {
    name: "windows",
    target: "x86_64-pc-windows-gnu",
    debian: "",
    linker: "x86_64-w64-mingw32-gcc",
    package: "gcc-mingw-w64-x86-64",
};

/// Crates that only Linux compiles: the Pi's test doubles.
pub const LINUX_ONLY: [&str; 2] = ["virtual-pi", "virtual-pi-kernel"];

const SHELLS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/bench"),
    ("zsh", "usr/share/zsh/vendor-completions/_bench"),
    ("fish", "usr/share/fish/vendor_completions.d/bench.fish"),
];

/// Installed location of plans, fixtures and the modules' firmware; the program finds them there.
const SHARE: &str = "usr/share/bench";

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds for the machine and writes archive and package to `target/dist`.
pub fn dist(steps: &mut Steps, machine: Machine) -> Result<(), Failed> {
    let image = steps.time("firmware", firmware::build)?;
    let program = steps.time("program", || build(machine, Effort::Whole))?;
    let folder = root().join("target/dist");
    let name = format!("bench-{VERSION}-{}", machine.name);
    let tree = folder.join(&name);
    // Fails if none exists.
    let _ = fs::remove_dir_all(&tree);
    let completions = steps.time("completions", || completions(machine, &program))?;
    steps.time("files", || fill(&tree, &program, &image, &completions))?;
    let archive = folder.join(format!("{name}.tar.gz"));
    let pack = ["-czf", &text(&archive), "-C", &text(&folder), "--owner=0", "--group=0", &name].map(str::to_owned);
    steps.time("archive", || run("tar", Command::new("tar").args(&pack)))?;
    let package = folder.join(format!("bench_{VERSION}_{}.deb", machine.debian));
    steps.time("package", || debian(&tree, &package, machine))?;
    for made in [&archive, &package] {
        let size = fs::metadata(made).map_err(|error| cannot("read", made, &error))?.len();
        println!("{}: {:.1} MB", made.display(), size as f64 / 1e6);
    }
    let size = fs::metadata(&program).map_err(|error| cannot("read", &program, &error))?.len();
    println!("the program itself: {:.1} MB", size as f64 / 1e6);
    Ok(())
}

/// Optimisation of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Across crates, for shipping.
    Whole,
    /// Like the test builds.
    Quick,
}

/// The program for the machine, optimised and without debug symbols.
pub fn build(machine: Machine, effort: Effort) -> Result<PathBuf, Failed> {
    let Machine { target, linker, package, .. } = machine;
    if Command::new(linker).arg("--version").output().is_err() {
        return Err(Failed::new(format!("no {linker}: on Debian, `apt-get install {package}`")));
    }
    add_std(target)?;
    let mut command = Command::new(cargo());
    command.current_dir(root()).args(["build", "--locked", "--bin", "bench", "--target", target]);
    match effort {
        Effort::Whole => {
            command.args(["--package", "bench", "--release"]).env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        }
        // With the features of the whole workspace, like the test builds: for a single package cargo selects other
        // features and recompiles macros and build scripts of half the libraries.
        Effort::Quick => command.arg("--workspace").env("CARGO_PROFILE_DEV_DEBUG", "false"),
    };
    let variable = target.replace('-', "_");
    if machine.name == WINDOWS.name && effort == Effort::Quick {
        without_linux(&mut command, target);
    }
    command
        .env(format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase()), linker)
        .env(format!("CC_{variable}"), linker);
    run(&format!("cargo build --package bench --target {target}"), &mut command)?;
    let profile = if effort == Effort::Whole { "release" } else { "debug" };
    let name = if machine.name == WINDOWS.name { "bench.exe" } else { "bench" };
    Ok(target_folder().join(target).join(profile).join(name))
}

/// Compiles the part of the workspace for another system, without warnings.
pub fn without_linux(command: &mut Command, target: &str) {
    command.args(LINUX_ONLY.iter().flat_map(|name| ["--exclude", *name]));
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.replace('-', "_").to_uppercase());
    command.env(variable, "-Dwarnings");
}

/// Installs the standard library for the target.
pub fn add_std(target: &str) -> Result<(), Failed> {
    if !has_std(target)? {
        // Without rustup the next step reports what is missing.
        let _ = run(&format!("rustup target add {target}"), Command::new("rustup").args(["target", "add", target]));
    }
    Ok(())
}

pub fn has_std(target: &str) -> Result<bool, Failed> {
    let output = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let output = output.map_err(|error| Failed::new(format!("cannot start rustc: {error}")))?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    Ok(files.into_iter().any(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
}

/// Made by the program itself if it runs here, natively or emulated; otherwise by a build for this computer.
fn completions(machine: Machine, program: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Failed> {
    let mut made = Vec::new();
    for (shell, place) in SHELLS {
        let mut command = if machine.name == std::env::consts::ARCH {
            Command::new(program)
        } else if others::has_controller().is_ok() {
            let mut command = Command::new(others::QEMU);
            command.args(["-L", others::CONTROLLER_ROOT]).arg(program);
            command
        } else {
            let mut command = Command::new(cargo());
            command.args(["run", "--quiet", "--locked", "--package", "bench", "--"]);
            command
        };
        command.current_dir(root()).args(["completions", shell]);
        let output = command.output().map_err(|error| Failed::new(format!("cannot ask for completions: {error}")))?;
        if !output.status.success() {
            return Err(Failed::new(format!(
                "no completions for {shell}: {}",
                String::from_utf8_lossy(&output.stderr)
            )));
        }
        made.push((place, output.stdout));
    }
    Ok(made)
}

/// Folders of a project, whose files are installed as they are.
pub const DATA: [&str; 7] = [
    "clients/examples",
    "clients/python",
    "clients/python/bench_client",
    "fixtures",
    "fixtures/duts",
    "plans",
    "plans/parts",
];

/// Everything at its installed path.
fn fill(tree: &Path, program: &Path, image: &Path, completions: &[(&str, Vec<u8>)]) -> Result<(), Failed> {
    let copy = |from: &Path, to: &str| copy(from, &tree.join(to));
    copy(program, "usr/bin/bench")?;
    mode(&tree.join("usr/bin/bench"), 0o755)?;
    copy(image, &format!("{SHARE}/firmware/dut-firmware.elf"))?;
    for folder in DATA {
        for file in files(&root().join(folder))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            copy(&file, &format!("{SHARE}/{folder}/{name}"))?;
        }
    }
    for (file, name) in pages()? {
        copy(&file, &format!("usr/share/doc/bench/{name}"))?;
    }
    for file in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&root().join(file), &format!("usr/share/doc/bench/{file}"))?;
    }
    copy(&root().join("xtask/dist/60-bench-probes.rules"), "usr/lib/udev/rules.d/60-bench-probes.rules")?;
    copy(&root().join("xtask/dist/bench-operator.service"), "usr/lib/systemd/system/bench-operator.service")?;
    for (place, script) in completions {
        write(&tree.join(place), script)?;
    }
    Ok(())
}

/// Every file of the documentation, with its place below `docs`.
pub fn pages() -> Result<Vec<(PathBuf, String)>, Failed> {
    let docs = root().join("docs");
    let (mut folders, mut pages) = (vec![docs.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| cannot("read", &folder, &error))?;
        folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
        pages.extend(files(&folder)?.into_iter().map(|file| {
            let place = file.strip_prefix(&docs).unwrap_or(&file).components();
            let place: Vec<_> = place.map(|part| part.as_os_str().to_string_lossy()).collect();
            let place = place.join("/");
            (file, place)
        }));
    }
    pages.sort();
    Ok(pages)
}

pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Failed> {
    let entries = fs::read_dir(folder).map_err(|error| cannot("read", folder, &error))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

fn debian(tree: &Path, package: &Path, machine: Machine) -> Result<(), Failed> {
    let control = format!(
        "Package: bench\n\
         Version: {VERSION}\n\
         Architecture: {}\n\
         Maintainer: The authors of bench\n\
         Section: electronics\n\
         Priority: optional\n\
         Depends: libc6, libgcc-s1\n\
         Recommends: bluez\n\
         Description: End-of-line test bench for Particle B Series SoMs and Borons\n \
         Drives a bed of nails from a Raspberry Pi, and without one the virtual bench:\n \
         the real firmware on an emulated module in a simulated fixture.\n",
        machine.debian
    );
    write(&tree.join("DEBIAN/control"), control.as_bytes())?;
    let built = run(
        "dpkg-deb --build",
        Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(tree).arg(package),
    );
    // Omitted from the archive: its systems do not use it.
    let removed = fs::remove_dir_all(tree.join("DEBIAN"));
    built?;
    removed.map_err(|error| cannot("remove", &tree.join("DEBIAN"), &error))
}

pub fn copy(from: &Path, to: &Path) -> Result<(), Failed> {
    let bytes = fs::read(from).map_err(|error| cannot("read", from, &error))?;
    write(to, &bytes)
}

pub fn write(to: &Path, bytes: &[u8]) -> Result<(), Failed> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
    }
    fs::write(to, bytes).map_err(|error| cannot("write", to, &error))?;
    mode(to, 0o644)
}

fn mode(file: &Path, mode: u32) -> Result<(), Failed> {
    set_mode(file, mode).map_err(|error| cannot("change", file, &error))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

pub fn cannot(do_what: &str, path: &Path, error: &std::io::Error) -> Failed {
    Failed::new(format!("cannot {do_what} {}: {error}", path.display()))
}
