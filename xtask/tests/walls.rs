//! The walls between the crates: allowed dependencies, libraries that only one crate may name, crates that may print.
//!
//! The tables are the walls. A change to them is a decision and also belongs in `ARCHITECTURE.md`.
#![allow(clippy::unwrap_used)] // all of it is test code

#[path = "walls/picture.rs"]
mod picture;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each crate, and the crates of this workspace that it depends on. Dev-dependencies do not count.
const MAY_USE: &[(&str, &str)] = &[
    (
        "bench",
        "bench-coverage bench-engine bench-hooks bench-instruments bench-journal bench-operator bench-pi bench-plan bench-programs bench-real \
         bench-replay bench-report bench-run bench-stats bench-steps bench-store bench-swd bench-sync bench-virtual dut-protocol \
         virtual-bench virtual-dut",
    ),
    ("bench-bluez", "bench-instruments bench-run"),
    (
        "bench-coverage",
        "bench-engine bench-instruments bench-journal bench-plan bench-report bench-run bench-stats bench-steps bench-virtual virtual-bench",
    ),
    (
        "bench-engine",
        "bench-instruments bench-journal bench-plan bench-report bench-run bench-steps bench-swd dut-protocol",
    ),
    ("bench-hooks", "bench-instruments bench-journal bench-plan bench-programs bench-report"),
    ("bench-instruments", "bench-plan bench-run dut-protocol"),
    ("bench-journal", "bench-run"),
    (
        "bench-operator",
        "bench-engine bench-hooks bench-instruments bench-journal bench-plan bench-real bench-report bench-run bench-stats \
         bench-steps bench-store bench-sync bench-virtual",
    ),
    ("bench-pi", "bench-instruments bench-plan"),
    ("bench-plan", "bench-run dut-protocol"),
    ("bench-programs", "bench-instruments"),
    (
        "bench-real",
        "bench-bluez bench-engine bench-instruments bench-pi bench-plan bench-programs bench-run bench-steps bench-swd dut-protocol",
    ),
    ("bench-replay", "bench-engine bench-instruments bench-report bench-run bench-steps dut-protocol"),
    ("bench-report", "bench-run bench-stats"),
    ("bench-run", ""),
    ("bench-stats", "bench-run"),
    ("bench-steps", "bench-instruments bench-plan bench-run dut-protocol"),
    ("bench-store", "bench-journal bench-report bench-run bench-stats"),
    ("bench-swd", "bench-instruments bench-run"),
    ("bench-sync", "bench-run bench-store"),
    (
        "bench-virtual",
        "bench-engine bench-instruments bench-plan bench-programs bench-run bench-steps bench-swd virtual-bench",
    ),
    ("book", ""),
    ("core-differential", "cortex-m4f"),
    ("cortex-m4f", ""),
    ("dut-protocol", ""),
    (
        "swarm",
        "bench-engine bench-instruments bench-journal bench-plan bench-replay bench-report bench-run bench-steps \
         bench-store bench-virtual virtual-bench",
    ),
    ("virtual-bench", "bench-instruments bench-plan bench-run dut-protocol virtual-nrf52840"),
    ("virtual-dut", "bench-instruments"),
    ("virtual-nrf52840", "cortex-m4f"),
    ("virtual-pi", "bench-instruments bench-plan bench-run virtual-bench virtual-dut"),
    ("virtual-pi-kernel", ""),
    ("xtask", ""),
];

/// Libraries that only one or two crates may use, so that they can be replaced and no other crate waits for them to
/// compile.
const LIBRARIES: &[(&str, &str)] = &[
    ("ads1x1x", "bench-instruments"),
    ("argon2", "bench-operator"),
    ("bluer", "bench-bluez"),
    ("clap", "bench"),
    ("clap_complete", "bench"),
    ("console", "bench"),
    ("crossterm", "bench-operator"),
    ("csv", "bench-report"),
    ("dbus", "bench-bluez"),
    ("flate2", "bench-replay"),
    ("evalexpr", "bench-steps"),
    ("fluent-bundle", "bench-operator"),
    ("image", "bench-operator"),
    ("indicatif", "bench"),
    ("ina226", "bench-instruments"),
    ("junit-report", "bench-report"),
    ("libc", "virtual-pi-kernel"),
    ("mcp4728", "bench-instruments"),
    ("mdbook-driver", "book"),
    ("parquet", "bench-report"),
    ("pn532", "bench-instruments"),
    ("postcard", "dut-protocol"),
    ("probe-rs", "bench-swd"),
    ("pulldown-cmark", "book"),
    ("ratatui", "bench-operator"),
    ("ratatui-image", "bench-operator"),
    ("regex", "bench-instruments bench-steps"),
    ("resvg", "bench-operator"),
    ("rppal", "bench-pi"),
    ("rustix", "bench bench-programs virtual-pi"),
    ("rusqlite", "bench-store bench-sync"),
    ("rustyline", "bench"),
    ("serialport", "bench-instruments bench-operator virtual-dut"),
    ("statrs", "bench-stats"),
    ("tar", "bench-replay"),
    ("tokio-postgres", "bench-sync"),
    ("tui-big-text", "bench-operator"),
];

/// Text and facts in, values out: these crates never wait.
const PURE: &str = "bench-plan bench-report bench-run bench-stats";

/// The only crates outside `virtual-*` that may depend on the virtual bench.
const KNOW_VIRTUAL: &str = "bench bench-coverage bench-operator bench-virtual swarm";

/// Programs, which may use standard output. The libraries below them report to their callers.
const MAY_PRINT: &str = "bench book core-differential swarm xtask";

/// The last resort of a program that hangs in its safe state.
const MAY_EXIT: &[&str] = &["crates/bench-engine/src/stop.rs"];

/// Where one system differs from another: one module for each concern, and the crates that only Linux compiles.
const SYSTEMS: &[&str] = &[
    "bench/src/console/terminal/",
    "crates/bench-bluez/src/lib.rs",
    "crates/bench-engine/src/signals/",
    "crates/bench-instruments/src/device/",
    "crates/bench-journal/src/filesystem/",
    "crates/bench-pi/src/lib.rs",
    "crates/bench-programs/src/system/",
    "crates/bench-real/src/process/",
    "crates/virtual-dut/src/pty/",
    "crates/virtual-pi-kernel/src/",
    "crates/virtual-pi/src/",
    "xtask/src/mode/",
];

struct Package {
    folder: PathBuf,
    uses: BTreeSet<String>,
    /// Of tests as well.
    uses_anywhere: BTreeSet<String>,
}

type Packages = BTreeMap<String, Package>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn packages() -> Packages {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let answer = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    let read = |package: &serde_json::Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let names = |normal_only: bool| {
            let wanted = dependencies.iter().filter(|entry| !normal_only || entry["kind"].is_null());
            wanted.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
        };
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let folder = manifest.parent().unwrap().to_owned();
        (
            package["name"].as_str().unwrap().to_owned(),
            Package { folder, uses: names(true), uses_anywhere: names(false) },
        )
    };
    metadata["packages"].as_array().unwrap().iter().map(read).collect()
}

/// Violations of the dependency table.
fn broken_walls(packages: &Packages, may_use: &[(&str, &str)]) -> Vec<String> {
    let rows: BTreeMap<&str, BTreeSet<String>> = may_use.iter().map(|(name, used)| (*name, words(used))).collect();
    let mut wrong = Vec::new();
    for (name, package) in packages {
        let Some(allowed) = rows.get(name.as_str()) else {
            wrong.push(format!(
                "{name} is new: add a row for it to MAY_USE in xtask/tests/walls.rs, and a line to the table of rooms in \
                 ARCHITECTURE.md"
            ));
            continue;
        };
        let used: BTreeSet<String> = package.uses.iter().filter(|used| packages.contains_key(*used)).cloned().collect();
        wrong.extend(used.difference(allowed).map(|more| {
            format!(
                "{name} must not depend on {more}; if it has to, change MAY_USE in xtask/tests/walls.rs and say why"
            )
        }));
        wrong.extend(
            allowed.difference(&used).map(|less| {
                format!("{name} no longer depends on {less}: take it out of MAY_USE in xtask/tests/walls.rs")
            }),
        );
    }
    let gone = rows.keys().filter(|name| !packages.contains_key(**name));
    wrong.extend(gone.map(|name| format!("there is no crate {name}: take its row out of MAY_USE")));
    wrong
}

/// Violations of the library table.
fn strayed_libraries(packages: &Packages, libraries: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (library, owners) in libraries {
        let naming = packages.iter().filter(|(_, package)| package.uses.contains(*library));
        let naming: BTreeSet<String> = naming.map(|(name, _)| name.clone()).collect();
        if naming != words(owners) {
            let naming = naming.into_iter().collect::<Vec<_>>().join(" ");
            wrong.push(format!("{library} belongs to {owners} alone; now it is named by: {naming}"));
        }
    }
    wrong
}

/// All direct and indirect dependencies of a crate.
fn below(packages: &Packages, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(package) = open.pop().and_then(|name| packages.get(&name)) {
        open.extend(package.uses.iter().filter(|used| found.insert((*used).clone())).cloned());
    }
    found
}

/// Rules that hold regardless of the tables.
fn broken_rules(packages: &Packages) -> Vec<String> {
    let (pure, know_virtual) = (words(PURE), words(KNOW_VIRTUAL));
    let is_virtual = |name: &str| name.starts_with("virtual-") || name == "bench-virtual";
    let mut wrong = Vec::new();
    for (name, package) in packages {
        if package.uses_anywhere.contains("bench") {
            wrong.push(format!("{name} names bench: nothing below reaches up into the program"));
        }
        let below = below(packages, name);
        if pure.contains(name) && below.contains("tokio") {
            wrong.push(format!("{name} waits for nothing and has no tokio below it"));
        }
        if !is_virtual(name)
            && !know_virtual.contains(name)
            && let Some(reached) = below.iter().find(|below| is_virtual(below))
        {
            wrong.push(format!("{name} must not know that there is a virtual bench; it reaches {reached}"));
        }
    }
    wrong
}

#[test]
fn every_crate_depends_on_what_it_may_and_on_nothing_else() {
    let packages = packages();
    let mut wrong = broken_walls(&packages, MAY_USE);
    wrong.extend(strayed_libraries(&packages, LIBRARIES));
    wrong.extend(broken_rules(&packages));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A check that reads nothing would always pass.
#[test]
fn a_broken_wall_is_seen() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("a", "b"), ("b", "")], ""),
        (&[("a", "b"), ("b", ""), ("c", "")], "c is new: add a row"),
        (&[("a", "b"), ("b", "a")], "b must not depend on a"),
        (&[("a", ""), ("b", "")], "a no longer depends on b"),
        (&[("a", "b")], "there is no crate b"),
        (&[("a", "b probe"), ("b", "")], ""),
        (&[("a", "b"), ("b", "probe")], "probe belongs to a alone; now it is named by: b"),
        (&[("a", "b bench"), ("b", ""), ("bench", "")], "a names bench"),
        (&[("a", "b"), ("b", "virtual-bench")], "a must not know that there is a virtual bench"),
        (&[("bench-plan", "x"), ("x", "tokio")], "bench-plan waits for nothing"),
    ];
    for (crates, expected) in rows {
        let package = |uses: &str| Package { folder: PathBuf::new(), uses: words(uses), uses_anywhere: words(uses) };
        let packages = crates.iter().map(|(name, uses)| ((*name).to_owned(), package(uses))).collect();
        let mut wrong = broken_walls(&packages, &[("a", "b"), ("b", "")]);
        let probe = crates.iter().any(|(_, uses)| uses.contains("probe"));
        wrong.extend(strayed_libraries(&packages, if probe { &[("probe", "a")] } else { &[] }));
        wrong.extend(broken_rules(&packages));
        let seen = wrong.iter().any(|text| text.contains(expected));
        assert!(if expected.is_empty() { wrong.is_empty() } else { seen }, "{crates:?}: {wrong:?}");
    }
}

/// The first column of the table of rooms: paths between backticks.
fn rooms(text: &str) -> Vec<String> {
    let table =
        text.lines().skip_while(|line| !line.starts_with("| room")).skip(2).take_while(|line| line.starts_with('|'));
    let column = table.filter_map(|line| line.split('|').nth(1));
    column
        .flat_map(|cell| cell.split('`').skip(1).step_by(2).map(|path| path.trim_end_matches('/').to_owned()))
        .collect()
}

#[test]
fn the_table_of_rooms_is_whole() {
    let root = root();
    let rooms = rooms(&fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap());
    let mut wrong: Vec<String> = Vec::new();
    for (at, room) in rooms.iter().enumerate() {
        if !root.join(room).exists() {
            wrong.push(format!("ARCHITECTURE.md has a room {room} that does not exist"));
        }
        if rooms[..at].contains(room) {
            wrong.push(format!("ARCHITECTURE.md has the room {room} twice"));
        }
    }
    for (name, package) in packages() {
        let folder = package.folder.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        if !rooms.contains(&folder) {
            wrong.push(format!("{name} has no row in the table of rooms in ARCHITECTURE.md: add `{folder}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_picture_of_the_rooms_shows_the_walls() {
    const NAME: &str = "docs/pictures/rooms.svg";
    let drawn = picture::rooms(MAY_USE).unwrap();
    let path = root().join(NAME);
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        fs::write(&path, &drawn).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == drawn, "{NAME} is not what MAY_USE says: run with UPDATE_PICTURES=1");
}

/// Types of the glossary that do not exist in their crate.
fn unknown_types(glossary: &str, sources_of: impl Fn(&str) -> String) -> Vec<String> {
    const KINDS: [&str; 4] = ["struct", "enum", "trait", "const"];
    let code = glossary.split('`').skip(1).step_by(2);
    let types = code.filter_map(|path| path.split_once("::"));
    let missing = types.filter(|(package, name)| {
        let sources = sources_of(&package.replace('_', "-"));
        let begins = |kind: &&str| {
            let declared = format!("pub {kind} {name}");
            sources.match_indices(&declared).any(|(at, _)| {
                !sources[at + declared.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
            })
        };
        !KINDS.iter().any(begins)
    });
    missing.map(|(package, name)| format!("the glossary names {package}::{name}, which is not there")).collect()
}

#[test]
fn the_types_of_the_glossary_exist() {
    let (packages, text) = (packages(), fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let glossary = text.split_once("## Glossary").unwrap().1;
    let sources_of = |name: &str| {
        let mut found = Vec::new();
        if let Some(package) = packages.get(name) {
            sources(&package.folder.join("src"), &mut found);
        }
        found.iter().map(|file| fs::read_to_string(file).unwrap()).collect::<Vec<_>>().join("\n")
    };
    assert!(glossary.matches("::").count() > 15, "too few types for a meaningful check");
    let wrong = unknown_types(glossary, sources_of);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let example = |_: &str| "pub struct Rails;\npub enum Rail {".to_owned();
    assert_eq!(unknown_types("`a::Rail`, `a::Rai`", example), ["the glossary names a::Rai, which is not there"]);
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Tests may print: cargo shows it only when one fails.
        if stem == "tests" || stem.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Lines that print or end the process. Tests in the same file come last in it, and are left out.
fn outbursts(text: &str) -> Vec<(usize, &'static str)> {
    const PRINTS: [&str; 4] = ["eprintln!", "eprint!", "println!", "print!"];
    const EXIT: &str = "process::exit";
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|two| two[0] == "#[cfg(test)]" && two[1].ends_with('{'));
    let code = lines[..tests.unwrap_or(lines.len())].iter().copied().enumerate();
    let code = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter_map(|(at, line)| {
        let print = PRINTS.into_iter().find(|print| line.contains(print));
        Some((at + 1, print.or_else(|| line.contains(EXIT).then_some(EXIT))?))
    })
    .collect()
}

/// Output of a library would appear in the middle of the operator's screen, and a closed terminal would make it panic.
#[test]
fn nothing_below_the_program_prints_or_ends_the_process() {
    let (root, may_print) = (root(), words(MAY_PRINT));
    let (mut wrong, mut files) = (Vec::new(), 0);
    for (_, package) in packages().iter().filter(|(name, _)| !may_print.contains(*name)) {
        let mut found = Vec::new();
        sources(&package.folder.join("src"), &mut found);
        files += found.len();
        for file in found {
            let shown = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            for (line, what) in outbursts(&fs::read_to_string(&file).unwrap()) {
                if !MAY_EXIT.contains(&shown.as_str()) || what != "process::exit" {
                    wrong.push(format!(
                        "{shown}:{line}: {what}: report to the caller instead, which decides what people see"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(files > 200, "only {files} files were read");
}

#[test]
fn an_outburst_is_seen() {
    let rows: &[(&str, &[(usize, &str)])] = &[
        ("fn f() {\n    println!(\"x\");\n}", &[(2, "println!")]),
        ("    eprintln!(\"x\");", &[(1, "eprintln!")]),
        ("std::process::exit(3);", &[(1, "process::exit")]),
        ("/// println!(\"x\");\n//! print!()", &[]),
        ("#[cfg(test)]\nmod tests {\n    println!();", &[]),
        ("#[cfg(test)]\nmod tests;\nprintln!();", &[(3, "println!")]),
        ("writeln!(text, \"x\")", &[]),
    ];
    for (text, expected) in rows {
        assert_eq!(outbursts(text), *expected, "{text}");
    }
}

/// Lines that hold for one system only.
fn of_one_system(text: &str) -> Vec<usize> {
    let of_one = |line: &str| {
        let condition = line.contains("cfg(") || line.contains("cfg!(") || line.contains("cfg_attr(");
        let system = ["unix", "windows", "target_os", "target_family", "linux", "macos"].into_iter();
        let names = ["std::os::", "signal::unix", "signal::windows"].into_iter();
        (condition && system.into_iter().any(|word| line.contains(word)))
            || names.into_iter().any(|name| line.contains(name))
    };
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| of_one(line)).map(|(at, _)| at + 1).collect()
}

/// Scattered system code is compiled on one system only, and breaks on the others unnoticed.
#[test]
fn what_one_system_has_of_its_own_is_in_one_module_for_each_concern() {
    let root = root();
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for package in packages().values() {
        let mut found = Vec::new();
        sources(&package.folder.join("src"), &mut found);
        for file in found {
            let shown = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let place = SYSTEMS.iter().find(|place| shown.starts_with(**place));
            for line in of_one_system(&fs::read_to_string(&file).unwrap()) {
                match place {
                    Some(place) => drop(seen.insert(*place)),
                    None => wrong.push(format!("{shown}:{line}: belongs into one of the modules of SYSTEMS")),
                }
            }
        }
    }
    wrong
        .extend(SYSTEMS.iter().filter(|place| !seen.contains(**place)).map(|place| format!("{place}: no such module")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn code_of_one_system_is_seen() {
    let rows: &[(&str, &[usize])] = &[
        ("#[cfg(unix)]\nmod unix;", &[1]),
        ("#[cfg(not(target_os = \"linux\"))]", &[1]),
        ("\nif cfg!(windows) {", &[2]),
        ("#[cfg_attr(windows, path = \"x.rs\")]", &[1]),
        ("use std::os::unix::fs::MetadataExt;", &[1]),
        ("use tokio::signal::unix::signal;", &[1]),
        ("// #[cfg(unix)]", &[]),
        ("#[cfg(test)]\nfor two in lines.windows(2) {", &[]),
    ];
    for (text, expected) in rows {
        assert_eq!(of_one_system(text), *expected, "{text}");
    }
}
