//! Checks the bench on the systems where plans are written: it compiles there, and on Windows its output equals that on
//! Linux.

use crate::steps::{Steps, run};
use crate::suite::Job;
use crate::{Failed, cargo, dist, firmware, mode, others, root, target_folder};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const MACOS: &str = "aarch64-apple-darwin";
/// Environment variable with a C compiler for macOS.
const MACOS_CC: &str = "CC_aarch64_apple_darwin";
/// Stand-in for a C compiler. `cargo check` does not link, so SQLite's C code may be empty. The two cases answer the
/// query for the kind of compiler.
const NO_COMPILER: &str = "\
#!/bin/sh
case \"$1\" in
-E) echo '\"clang\"' ;;
'-?') exit 1 ;;
esac
while [ $# -gt 1 ]; do [ \"$1\" = -o ] && : > \"$2\"; shift; done
";

/// After `on-windows`: runs what has been built.
pub const BUILT: &str = "--built";

/// Compiles for Windows and macOS. Running is a separate job.
pub fn check(steps: &mut Steps, skipped: &others::Skipped) -> Result<Option<Job>, Failed> {
    steps.time("check for macOS", || check_macos(skipped))?;
    let target = dist::WINDOWS.target;
    dist::add_std(target)?;
    let has_std = if dist::has_std(target)? { Ok(()) } else { Err(format!("rustup target add {target}")) };
    if let Err(missing) = has_std.and_then(|()| others::has_windows_compiler()) {
        skipped.add("the_bench_compiles_for_windows", &missing)?;
        skipped.add("a_plan_passes_on_windows", &missing)?;
        return Ok(None);
    }
    steps.time("build for Windows", build)?;
    if let Err(missing) = others::has_wine() {
        skipped.add("a_plan_passes_on_windows", &missing)?;
        return Ok(None);
    }
    let program = std::env::current_exe().map_err(|error| Failed::new(format!("where is xtask: {error}")))?;
    let mut command = Command::new(program);
    command.current_dir(root()).args(["on-windows", BUILT]);
    Ok(Some(Job { name: "the same on Windows".to_owned(), command }))
}

fn check_macos(skipped: &others::Skipped) -> Result<(), Failed> {
    dist::add_std(MACOS)?;
    if !dist::has_std(MACOS)? {
        return skipped.add("the_bench_compiles_for_macos", &format!("rustup target add {MACOS}"));
    }
    let mut command = Command::new(cargo());
    command.current_dir(root()).args(["check", "--locked", "--workspace", "--target", MACOS]);
    dist::without_linux(&mut command, MACOS);
    if std::env::var_os(MACOS_CC).is_none() {
        let compiler = root().join("target/no-compiler");
        dist::write(&compiler, NO_COMPILER.as_bytes())?;
        mode::set_mode(&compiler, 0o755).map_err(|error| dist::cannot("change", &compiler, &error))?;
        command.env(MACOS_CC, compiler);
        let reason = format!("no C compiler for macOS: {MACOS_CC} names one; all Rust code was checked");
        skipped.add("the_c_code_of_sqlite_compiles_for_macos", &reason)?;
    }
    run(&format!("cargo check --workspace --target {MACOS}"), &mut command)
}

fn build() -> Result<PathBuf, Failed> {
    dist::build(dist::WINDOWS, dist::Effort::Quick)
}

/// Builds both programs and compares them.
pub fn on_windows(steps: &mut Steps) -> Result<(), Failed> {
    others::has_windows_compiler().and_then(|()| others::has_wine()).map_err(Failed::new)?;
    steps.time("firmware", firmware::build)?;
    // Built like the tests, so that nothing is built twice.
    steps.cargo("", &["build", "--workspace", "--locked", "--bin", "bench"])?;
    steps.time("build for Windows", build)?;
    steps.time("compare", compare)
}

/// Commands for both programs, in a folder three levels below the root. Each row uses the results of the rows before
/// it.
const ROWS: [&str; 21] = [
    "run ../../../plans/b404x.toml --virtual --serial P042AN0000DEMO1 --seed 7 --reports reports",
    "run ../../../plans/b404x.toml --virtual --seed 8 --fault short:36-38@100 --reports reports",
    "run ../../../plans/b404x.toml --virtual --seed 9 --fault open:36 --reports reports --quiet --junit junit.xml",
    "run crlf/b404x.toml --virtual --serial P042AN0000DEMO1 --seed 7 --reports crlf/reports --quiet",
    "run ../../../plans/b404x.toml --virtual --serial tooshort",
    "check ../../../plans/b404x.toml",
    "check crlf/misspelt.toml",
    "coverage ../../../plans/b404x.toml --faults open:36 --faults short:36-38@* --good 1 --quick --json",
    "report reports/P042AN0000DEMO1 --html page.html --stdf unit.stdf",
    "report reports/P042AN0000DEMO1 --csv",
    "verify reports",
    "store add",
    "store info",
    "stats",
    "export --csv all.csv --jsonl all.jsonl --junit all.xml --stdf all.stdf",
    "faults ../../../plans/b404x.toml",
    "pins b404x",
    "doctor --virtual b-series",
    "init",
    "operator ../../../plans/b404x.toml --virtual",
    "operator --help",
];

/// Commands that must report that Windows does not support them.
const REFUSED: [&str; 3] =
    ["run ../../../plans/b404x.toml --serial P042AN0000DEMO1", "doctor", "guard b-series --i2c-bus 1"];

/// Runs every row with both programs and reports the first difference in output, files and exit code.
pub fn compare() -> Result<(), Failed> {
    let folder = root().join("target/on-windows");
    // Fails if none exists.
    let _ = fs::remove_dir_all(&folder);
    let wine = Wine::start(&root().join("target/wine"))?;
    let native = target_folder().join("debug/bench");
    let for_windows = target_folder().join(dist::WINDOWS.target).join("debug/bench.exe");
    let (linux_folder, windows_folder) = (folder.join("linux"), folder.join("windows"));
    write_crlf(&linux_folder)?;
    write_crlf(&windows_folder)?;
    let mut differ = Vec::new();
    for row in ROWS {
        let arguments: Vec<&str> = row.split(' ').collect();
        let on_linux = said(&folder, Command::new(&native).args(&arguments).current_dir(&linux_folder))?;
        let on_windows = said(&folder, wine.command(&for_windows).args(&arguments).current_dir(&windows_folder))?;
        println!("exit code {:?}, {:6} bytes: bench {row}", on_linux.code.unwrap_or(-1), on_linux.out.len());
        differ.extend(difference(&on_linux, &on_windows).map(|what| format!("bench {row}: {what}")));
    }
    for row in REFUSED {
        let on_windows = said(&folder, wine.command(&for_windows).args(row.split(' ')).current_dir(&windows_folder))?;
        if on_windows.code == Some(0) || !on_windows.errors.contains("Raspberry Pi with Linux") {
            differ.push(format!("bench {row}: exit code {:?}\n{}", on_windows.code, on_windows.errors));
        }
    }
    differ.extend(
        compare_line_ends(&linux_folder)
            .and_then(|()| same_files(&linux_folder, &windows_folder))
            .err()
            .map(|failed| failed.to_string()),
    );
    if !differ.is_empty() {
        return Err(Failed::new(differ.join("\n")));
    }
    println!("{} commands print and write the same on Windows as on Linux, {} refuse", ROWS.len(), REFUSED.len());
    Ok(())
}

/// The journal of a plan does not depend on its line ends.
fn compare_line_ends(folder: &Path) -> Result<(), Failed> {
    let serial = "reports/P042AN0000DEMO1";
    same_files(&folder.join(serial), &folder.join("crlf").join(serial))
}

struct Said {
    code: Option<i32>,
    out: Vec<u8>,
    errors: String,
}

/// Redirects to files in `folder`: a pipe would stay open while Wine's own processes, which inherit it, live.
fn said(folder: &Path, command: &mut Command) -> Result<Said, Failed> {
    let (out, errors) = (folder.join("out"), folder.join("errors"));
    let fresh = |path: &Path| {
        // Fails if none exists.
        let _ = fs::remove_file(path);
        fs::File::create(path).map_err(|error| dist::cannot("write", path, &error))
    };
    command.stdin(std::process::Stdio::null()).stdout(fresh(&out)?).stderr(fresh(&errors)?);
    let status = command.status();
    let status = status.map_err(|error| Failed::new(format!("{}: {error}", command.get_program().display())))?;
    let read = |path: &Path| fs::read(path).map_err(|error| dist::cannot("read", path, &error));
    let errors = String::from_utf8_lossy(&read(&errors)?).into_owned();
    Ok(Said { code: status.code(), out: read(&out)?, errors })
}

fn difference(linux: &Said, windows: &Said) -> Option<String> {
    if let Some(line) = first_difference(&linux.out, &windows.out) {
        return Some(format!("the standard output differs at {line}\n{}", windows.errors));
    }
    // Wine itself may print something, too.
    if !windows.errors.contains(&linux.errors) {
        return Some(format!("Linux says\n{}\nand Windows\n{}", linux.errors, windows.errors));
    }
    let codes = (linux.code, windows.code);
    (codes.0 != codes.1).then(|| format!("exit codes {codes:?}\n{}", windows.errors))
}

/// Lines with durations of the computer.
const TOOK: [&str; 3] = [" faulty modules a minute, ", " journals read in ", "\"faults_per_minute\""];

fn first_difference(first: &[u8], other: &[u8]) -> Option<String> {
    let took = |line: &[u8]| TOOK.iter().any(|took| String::from_utf8_lossy(line).contains(took));
    let lines = |bytes: &[u8]| {
        bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| !took(line)).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let (first, other) = (lines(first), lines(other));
    let at = (0..first.len().max(other.len())).find(|at| first.get(*at) != other.get(*at))?;
    let line =
        |lines: &[Vec<u8>]| lines.get(at).map_or("(nothing)".into(), |line| String::from_utf8_lossy(line).into_owned());
    Some(format!("line {}:\n  Linux:   {:?}\n  Windows: {:?}", at + 1, line(&first), line(&other)))
}

/// Every file in both folders, byte for byte.
fn same_files(first: &Path, other: &Path) -> Result<(), Failed> {
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).map_err(|error| dist::cannot("read", folder, &error))?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        Ok::<_, Failed>(names)
    };
    if names(first)? != names(other)? {
        return Err(Failed::new(format!("{} and {} hold different files", first.display(), other.display())));
    }
    for name in names(first)? {
        let (first, other) = (first.join(&name), other.join(&name));
        let read = |path: &Path| fs::read(path).map_err(|error| dist::cannot("read", path, &error));
        if first.is_dir() {
            same_files(&first, &other)?;
        } else if !OWN.iter().any(|own| name == *own)
            && let Some(line) = first_difference(&read(&first)?, &read(&other)?)
        {
            return Err(Failed::new(format!("{} differs at {line}", first.display())));
        }
    }
    Ok(())
}

/// The files that are each system's own: SQLite's contain times of files and paths, and a series of runs has a random
/// name.
const OWN: [&str; 3] = ["store.sqlite", "store.seals.sqlite", "run-numbers"];

/// A plan as saved by Windows editors, and one with a mistake.
fn write_crlf(folder: &Path) -> Result<(), Failed> {
    let plans = root().join("plans");
    for file in dist::files(&plans.join("parts"))?.into_iter().chain([plans.join("b404x.toml")]) {
        let text =
            fs::read_to_string(&file).map_err(|error| dist::cannot("read", &file, &error))?.replace('\n', "\r\n");
        let name = file.strip_prefix(&plans).unwrap_or(&file);
        dist::write(&folder.join("crlf").join(name), format!("\u{feff}{text}").as_bytes())?;
        if !name.starts_with("parts") {
            dist::write(&folder.join("crlf/misspelt.toml"), format!("{text}misspelt = 1\r\n").as_bytes())?;
        }
    }
    Ok(())
}

/// A separate Windows installation in a folder.
struct Wine {
    folder: PathBuf,
}

impl Wine {
    fn start(folder: &Path) -> Result<Self, Failed> {
        let wine = Self { folder: folder.to_owned() };
        let system = folder.join("drive_c/windows/system32");
        if !system.is_dir() {
            fs::create_dir_all(folder).map_err(|error| dist::cannot("make", folder, &error))?;
            said(folder, wine.command(Path::new("wineboot")).arg("--init"))?;
        }
        let random = system.join("bcryptprimitives.dll");
        if !random.exists() {
            let mut compile = Command::new(dist::WINDOWS.linker);
            compile.arg("-shared").arg("-o").arg(&random).arg(root().join("xtask/wine/bcryptprimitives.c"));
            run("a library that this Wine lacks", compile.arg("-ladvapi32"))?;
        }
        Ok(wine)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("wine");
        command.arg(program).env("WINEPREFIX", &self.folder).env("WINEDEBUG", "-all");
        // Keeps Wine from offering downloads and from opening a screen.
        command.env("WINEDLLOVERRIDES", "mscoree,mshtml=").env_remove("DISPLAY");
        command
    }
}

/// With the line ends that Notepad needs.
const README: [&str; 10] = [
    "bench for Windows: the virtual bench, plan checks, reports and statistics.",
    "",
    "Open a terminal in this folder and type",
    "",
    "    .\\bench run plans\\b404x.toml --virtual",
    "    .\\bench check plans\\b404x.toml",
    "    .\\bench --help",
    "",
    "A real fixture needs a Raspberry Pi with Linux. What works on Windows: docs\\how-to\\windows-macos.md",
    "",
];

/// The zip, which is unpacked anywhere: the program finds plans and fixtures next to itself.
pub fn dist(steps: &mut Steps) -> Result<(), Failed> {
    let image = steps.time("firmware", firmware::build)?;
    let program = steps.time("program", || dist::build(dist::WINDOWS, dist::Effort::Whole))?;
    let name = format!("bench-{}-windows-x86_64", env!("CARGO_PKG_VERSION"));
    let path = root().join(format!("target/dist/{name}.zip"));
    steps.time("zip", || {
        dist::write(&path, b"")?;
        let file = fs::File::create(&path).map_err(|error| dist::cannot("write", &path, &error))?;
        let mut zip = Zip { writer: ZipWriter::new(file), folder: name };
        zip.copy(&program, "bench.exe")?;
        zip.copy(&image, "firmware/dut-firmware.elf")?;
        for folder in dist::DATA {
            for file in dist::files(&root().join(folder))? {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                zip.copy(&file, &format!("{folder}/{name}"))?;
            }
        }
        for (file, name) in dist::pages()? {
            zip.copy(&file, &format!("docs/{name}"))?;
        }
        for file in ["CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            zip.copy(&root().join(file), file)?;
        }
        zip.add("README.txt", README.join("\r\n").as_bytes())?;
        zip.writer.finish().map(drop).map_err(|error| Failed::new(format!("{}: {error}", path.display())))
    })?;
    let size = fs::metadata(&path).map_err(|error| dist::cannot("read", &path, &error))?.len();
    println!("{}: {:.1} MB", path.display(), size as f64 / 1e6);
    Ok(())
}

struct Zip {
    writer: ZipWriter<fs::File>,
    /// The only folder at the top.
    folder: String,
}

impl Zip {
    fn copy(&mut self, from: &Path, to: &str) -> Result<(), Failed> {
        let bytes = fs::read(from).map_err(|error| dist::cannot("read", from, &error))?;
        self.add(to, &bytes)
    }

    fn add(&mut self, to: &str, bytes: &[u8]) -> Result<(), Failed> {
        let name = format!("{}/{to}", self.folder);
        let failed = |error: &dyn std::fmt::Display| Failed::new(format!("{name}: {error}"));
        self.writer.start_file(name.as_str(), SimpleFileOptions::default()).map_err(|error| failed(&error))?;
        self.writer.write_all(bytes).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found() {
        let said = |code, out: &str, errors: &str| Said { code: Some(code), out: out.into(), errors: errors.into() };
        let linux = || said(0, "a\nb\n", "late\n");
        for (windows, expected) in [
            (linux(), None),
            (said(0, "a\nb\n", "wine: no screen\nlate\n"), None),
            (said(0, "a\nb", "late\n"), Some("line 2:\n  Linux:   \"b\\n\"\n  Windows: \"b\"")),
            (said(0, "a\nb\nc", "late\n"), Some("line 3:\n  Linux:   \"(nothing)\"\n  Windows: \"c\"")),
            (said(0, "a\nb\n", ""), Some("Linux says")),
            (said(1, "a\nb\n", "late\n"), Some("exit codes (Some(0), Some(1))")),
        ] {
            let text = difference(&linux(), &windows);
            assert!(
                match (&text, expected) {
                    (Some(text), Some(expected)) => text.contains(expected),
                    (text, expected) => text.is_none() && expected.is_none(),
                },
                "{text:?} for {expected:?}"
            );
        }
    }
}
