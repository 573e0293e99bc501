//! Third-party programs that some tests use: their installation, and the tests skipped without them.

use crate::{Failed, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Programs that belong together.
struct Group {
    /// What is not tested without them.
    what: &'static str,
    /// Packages of Debian.
    packages: &'static [&'static str],
    /// Whether all of them are installed.
    look: &'static [(&'static str, &'static [&'static str])],
}

const GROUPS: [Group; 7] = [
    Group {
        what: "Bluetooth through BlueZ",
        packages: &["dbus", "python3-dbusmock"],
        look: &[("dbus-daemon", &["--version"]), ("/usr/bin/python3", &["-c", "import dbus, dbusmock"])],
    },
    Group {
        what: "forwarding to PostgreSQL",
        packages: &["postgresql"],
        look: &[("sh", &["-c", "ls /usr/lib/postgresql/*/bin/initdb"])],
    },
    Group {
        what: "the emulated core against QEMU",
        packages: &["qemu-system-arm"],
        look: &[("qemu-system-arm", &["--version"])],
    },
    Group {
        what: "the circuit's voltages by another solver",
        packages: &["ngspice"],
        look: &[("ngspice", &["--version"])],
    },
    CONTROLLER,
    WINDOWS_COMPILER,
    WINE,
];

/// A compiler and an emulator for the controller's processor.
const CONTROLLER: Group = Group {
    what: "a plan on the processor of a Raspberry Pi",
    packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "qemu-user-static"],
    look: &[("aarch64-linux-gnu-gcc", &["--version"]), (QEMU, &["--version"])],
};

const WINDOWS_COMPILER: Group = Group {
    what: "whether the bench compiles for Windows",
    packages: &["gcc-mingw-w64-x86-64"],
    look: &[("x86_64-w64-mingw32-gcc", &["--version"])],
};

const WINE: Group =
    Group { what: "a plan on Windows, through Wine", packages: &["wine"], look: &[("wine", &["--version"])] };

/// Runs programs for the controller on this computer.
pub const QEMU: &str = "qemu-aarch64-static";
/// Where Debian puts the controller's libraries.
pub const CONTROLLER_ROOT: &str = "/usr/aarch64-linux-gnu";

/// Environment variable with the folder in which a skipped test leaves a file with its reason.
const VARIABLE: &str = "BENCH_SKIPPED";

/// Installs what is missing. If that fails, the tests that need it are skipped with a message.
pub fn install() -> Result<(), Failed> {
    crate::checks::install();
    let missing: Vec<&Group> = GROUPS.iter().filter(|group| !group.is_there()).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|group| group.packages.iter().copied()).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !is_root() || !works("apt-get", &["--version"]) {
        let what: Vec<&str> = missing.iter().map(|group| group.what).collect();
        println!(
            "setup: not tested: {}; on Debian, `apt-get install {names}` as root makes that possible",
            what.join(", ")
        );
        return Ok(());
    }
    println!("setup: installing {names}");
    let apt = |arguments: &[&str]| works("apt-get", arguments);
    let install = ["install", "--yes", "--no-install-recommends"];
    if !(apt(&["update"]) && apt(&[&install[..], &packages].concat())) {
        println!("setup: {names} cannot be installed; the tests that need them will be skipped");
    }
    Ok(())
}

impl Group {
    fn is_there(&self) -> bool {
        self.look.iter().all(|(program, arguments)| works(program, arguments))
    }

    fn needed(&self) -> Result<(), String> {
        let how = || format!("on Debian, as root: apt-get install {}", self.packages.join(" "));
        if self.is_there() { Ok(()) } else { Err(how()) }
    }
}

/// Checks that programs for the controller can be built and run here; otherwise reports what is missing.
pub fn has_controller() -> Result<(), String> {
    CONTROLLER.needed()
}

/// The same for building a program for Windows.
pub fn has_windows_compiler() -> Result<(), String> {
    WINDOWS_COMPILER.needed()
}

/// The same for running it.
pub fn has_wine() -> Result<(), String> {
    WINE.needed()
}

pub fn works(program: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Tests that were skipped in this run.
pub struct Skipped {
    folder: PathBuf,
}

impl Skipped {
    pub fn none_yet() -> Result<Self, Failed> {
        let folder = root().join("target/skipped");
        // Fails if none exists.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)
            .map_err(|error| Failed::new(format!("cannot make {}: {error}", folder.display())))?;
        Ok(Self { folder })
    }

    /// Environment variables for the tests.
    pub fn variable(&self) -> (&'static str, &Path) {
        (VARIABLE, &self.folder)
    }

    /// Records a skipped test that is not a separate program.
    pub fn add(&self, test: &str, reason: &str) -> Result<(), Failed> {
        let file = self.folder.join(test);
        fs::write(&file, reason).map_err(|error| Failed::new(format!("cannot write {}: {error}", file.display())))
    }

    /// One line for each, and their number.
    pub fn print(&self) {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut skipped: Vec<(String, String)> = files
            .map(|file| {
                let reason = fs::read_to_string(file.path()).unwrap_or_default();
                (file.file_name().to_string_lossy().into_owned(), reason.trim().to_owned())
            })
            .collect();
        skipped.sort();
        println!("{} tests skipped because other programs are missing", skipped.len());
        for (test, reason) in skipped {
            println!("  {test}: {reason}");
        }
    }
}
