//! All mistakes of a plan at once: each with its line, its place and what was expected, and none that follows from
//! another one.

use crate::support::{PLAN, output, root, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const BEFORE: &str = "plans/parts/before-power.toml";
const POWER: &str = "plans/parts/power.toml";
const PROGRAM: &str = "plans/parts/program.toml";
const MODEM: &str = "plans/parts/modem.toml";
const BLE: &str = "plans/parts/ble.toml";
const NFC: &str = "plans/parts/nfc.toml";
const FUNCTIONS: &str = "plans/parts/functions.toml";
const BED: &str = "fixtures/b-series.toml";
const DUT: &str = "fixtures/duts/b4xx.toml";

/// A change of one file, the text at which its message points, and a part of what the message says.
pub type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Twenty wrong plans of three mistakes.
pub const WRONG: &[[Row; 3]] = &[
    [
        (PLAN, "model = \"b404x\"", "model = \"b40x\"", "\"b40x\"", "did you mean `b40"),
        (PLAN, "fixture = \"b-series\"", "fixture = \"b-serie\"", "\"b-serie\"", "did you mean `b-series`?"),
        (POWER, "settle = \"20 ms\"", "setle = \"20 ms\"", "setle", "did you mean `settle`?"),
    ],
    [
        (POWER, "min = \"3.2 V\"", "min = \"3,2 V\"", "\"3,2 V\"", "did you mean \"3.2 V\"? Use a point"),
        (POWER, "min = \"1 mA\"", "min = \"1 ma\"", "\"1 ma\"", "did you mean \"1 mA\"?"),
        (POWER, "settle = \"20 ms\"", "settle = 20", "20\n", "expected a time such as"),
    ],
    [
        (POWER, "kind = \"rail-on\"", "kind = \"rails-on\"", "\"rails-on\"", "did you mean `rail-on`?"),
        (POWER, "rail = \"3V3\"", "rail = \"3V33\"", "\"3V33\"", "3V3"),
        (POWER, "title = \"3V3 comes up\"", "title = 33", "33\n", "expected a string"),
    ],
    [
        (BEFORE, "pins = [\"VCC\", \"3V3\"]", "pins = [\"VCC\", \"3V4\"]", "\"3V4\"", "did you mean `3V3`?"),
        (BEFORE, "pins = \"ground\"", "pins = \"grond\"", "\"grond\"", "did you mean `ground`?"),
        (BEFORE, "max = \"20 ohm\"", "max = \"20 furlong\"", "\"20 furlong\"", "known units: ohm, kohm"),
    ],
    [
        (FUNCTIONS, "needs = [\"program\"]", "needs = [\"progam\"]", "\"progam\"", "did you mean `program`?"),
        (FUNCTIONS, "needs = [\"reset\"]", "needs = [\"resett\"]", "\"resett\"", "did you mean `reset`?"),
        (
            NFC,
            "needs = [\"identify\"]",
            "needs = [\"nothing-like-it\"]",
            "\"nothing-like-it\"",
            "`bench plan PLAN` lists",
        ),
    ],
    [
        (
            POWER,
            "{ min = \"3.2 V\", max = \"3.4 V\" }",
            "{ min = \"3.4 V\", max = \"3.2 V\" }",
            "{ min = \"3.4 V\"",
            "at most max",
        ),
        (POWER, "{ min = \"1 mA\", max = \"30 mA\" }", "{}", "{}", "min, max or both"),
        (POWER, "id = \"rail-vcc\"", "id = \"rail vcc\"", "\"rail vcc\"", "expected letters"),
    ],
    [
        (BLE, "on_fail = \"continue\"", "on_fail = \"continu\"", "\"continu\"", "did you mean `continue`?"),
        (BLE, "listens = \"1.2 s\"", "listens = \"1.2 V\"", "\"1.2 V\"", "expected a time"),
        (BLE, "level = { min = -9, max = 9 }", "level = { min = \"-9 V\", max = 9 }", "\"-9 V\"", "without a unit"),
    ],
    [
        (PROGRAM, "kind = \"program\"\n", "", "[[step]]", "`kind` belongs in here"),
        (NFC, "drive = { max = \"27 %\" }", "drive = { max = \"27\" }", "\"27\"", "expected a percentage"),
        (BLE, "needs = [\"identify\"]", "needs = \"identify\"", "\"identify\"", "expected a sequence"),
    ],
    [
        (MODEM, "privacy = \"last-four\"", "privacy = \"last-for\"", "\"last-for\"", "did you mean `last-four`?"),
        (MODEM, "peak_amps = { max = \"700 mA\" }", "peak_amps = { mx = \"700 mA\" }", "mx", "did you mean `max`?"),
        (MODEM, "supply = \"VCC\"", "suply = \"VCC\"", "suply", "did you mean `supply`?"),
    ],
    [
        (
            FUNCTIONS,
            "ohms = \"limits.port-pull\"",
            "ohms = \"limits.port-pul\"",
            "\"limits.port-pul\"",
            "did you mean `port-pull`?",
        ),
        (FUNCTIONS, "wake = \"MODE\"", "wake = \"MOED\"", "\"MOED\"", "did you mean `MODE`?"),
        (FUNCTIONS, "bauds = [115_200, 1_000_000]", "bauds = [115_201, 1_000_000]", "115_201", "expected"),
    ],
    [
        (POWER, "title = \"VCC comes up\"", "title = \"VCC comes up", "\"VCC comes up\n", "expected `\"`"),
        (POWER, "rail = \"VUSB\"", "rail = \"VUSBB\"", "\"VUSBB\"", "VUSB"),
        (BEFORE, "baud = 1_000_000", "baud = 1.5", "1.5", "expected"),
    ],
    [
        (
            PLAN,
            "\"parts/power.toml\"",
            "\"parts/powr.toml\"",
            "\"parts/powr.toml\"",
            "did you mean `parts/power.toml`?",
        ),
        (PLAN, "title = ", "titel = ", "titel", "did you mean `title`?"),
        (PLAN, "firmware = \"dut-firmware\"", "firmware = 5", "5\n", "expected a string"),
    ],
    [
        (
            FUNCTIONS,
            "offset = { min = \"-15 mV\"",
            "offset = { min = \"\u{2212}15 mV\"",
            "\"\u{2212}15 mV\"",
            "did you mean \"-15 mV\"?",
        ),
        (
            FUNCTIONS,
            "linearity = { max = \"6 mV\" }",
            "linearity = { max = \"6mv\" }",
            "\"6mv\"",
            "did you mean \"6 mV\"?",
        ),
        (
            FUNCTIONS,
            "levels = [\"0.1 V\", \"0.6 V\"",
            "levels = [\"0V1\", \"0.6 V\"",
            "\"0V1\"",
            "did you mean \"0.1 V\"?",
        ),
    ],
    [
        (BEFORE, "id = \"supplies\"", "id = \"grounds\"", "id = \"grounds\"\ntitle = \"Every supply", "used before"),
        (BEFORE, "needs = [\"grounds\", \"supplies\"]", "needs = [\"grounds\"]\nretry = 99", "99", "expected 0 to 10"),
        (
            BEFORE,
            "needs = [\"grounds\", \"supplies\"]\npins = { functions = [\"usb\"",
            "needs = [\"grounds\"]\ntimeout = \"0 s\"\npins = { functions = [\"usb\"",
            "\"0 s\"",
            "expected a time",
        ),
    ],
    [
        (PLAN, "include = ", "override.adcc.supply = \"3V3\"\ninclude = ", "adcc", "did you mean `adc`?"),
        (PLAN, "include = ", "leave_out.nfcc = \"no reader\"\ninclude = ", "nfcc", "did you mean `nfc`?"),
        (PLAN, "include = ", "override.ble.listens = \"1,2 s\"\ninclude = ", "\"1,2 s\"", "did you mean \"1.2 s\"?"),
    ],
    [
        (BED, "current_limit = \"500 mA\"", "current_limit = \"500\"", "\"500\"", "expected a current"),
        (BED, "start = { gpio = 6", "start = { gpoi = 6", "gpoi", "did you mean `gpio`?"),
        (BLE, "hears = { min = 14 }", "hear = { min = 14 }", "hear =", "did you mean"),
    ],
    [
        (DUT, "functions = [\"nfc\"]", "functions = [\"nfv\"]", "\"nfv\"", "did you mean `nfc`?"),
        (BED, "pin = \"RGBR\"", "pin = \"RGBX\"", "\"RGBX\"", "expected `RGBR`"),
        (NFC, "kind = \"nfc\"", "kind = \"nfcc\"", "\"nfcc\"", "did you mean `nfc`?"),
    ],
    [
        (FUNCTIONS, "id = \"uart-flow\"", "idd = \"uart-flow\"", "idd", "did you mean `id`?"),
        (FUNCTIONS, "rails = [\"3V3\", \"VUSB\"]", "rails = [\"3V3\", \"VUSP\"]", "\"VUSP\"", "VUSB"),
        (
            FUNCTIONS,
            "pull_up = { min = \"850 ohm\", max = \"1660 ohm\" }",
            "pull_up = [\"850 ohm\", \"1660 ohm\"]",
            "[\"850 ohm\"",
            "expected { min",
        ),
    ],
    [
        (
            POWER,
            "needs = [\"rail-3v3\"]",
            "needs = [\"rail-vbus-modem\"]",
            "\"rail-vbus-modem\"]\nrail = \"VCC\"",
            "circle",
        ),
        (MODEM, "id = \"modem-sim\"", "id = \"modem-sim\"\nmodels = [\"b405\"]", "\"b405\"", "did you mean `b40"),
        (MODEM, "mean_amps = { min = \"20 mA\"", "mean_amps = { min = \"0.02\"", "\"0.02\"", "has no unit"),
    ],
    [
        (BEFORE, "title = \"The bench hears itself\"", "title \"The bench hears itself\"", "title \"", "expected `=`"),
        (FUNCTIONS, "kind = \"drive\"", "kind = \"hydraulics\"", "\"hydraulics\"", "describes the kinds"),
        (
            FUNCTIONS,
            "tx_drive = { max = \"110 ohm\" }",
            "tx_drive = { max = \"1.100,5 ohm\" }",
            "\"1.100,5 ohm\"",
            "did you mean \"1100.5 ohm\"?",
        ),
    ],
];

struct Wrong {
    folder: tempfile::TempDir,
}

impl Wrong {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for from in ["plans", "plans/parts", "fixtures", "fixtures/duts"] {
            fs::create_dir_all(folder.path().join(from)).unwrap();
            for entry in fs::read_dir(root().join(from)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    fs::copy(&path, folder.path().join(from).join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        Self { folder }
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    fn check(&self) -> (Value, String) {
        let plan = self.folder.path().join(PLAN);
        let root = self.folder.path().to_str().unwrap();
        let output = output(&["--root", root, "check", "--json", plan.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        let all: Value = serde_json::from_slice(&output.stdout).unwrap();
        (all[0].clone(), text(&output.stderr).replace(&format!("{root}/"), ""))
    }

    /// The mistakes as file and line, with what the message says.
    fn mistakes(&self, checked: &Value) -> Vec<(String, u64, String)> {
        let folder = format!("{}/", self.folder.path().display());
        let mistakes = checked["mistakes"].as_array().unwrap().iter();
        mistakes
            .map(|one| {
                let said = format!("{}; {}", one["message"].as_str().unwrap(), one["help"].as_str().unwrap_or(""));
                (one["file"].as_str().unwrap().replace(&folder, ""), one["line"].as_u64().unwrap_or(0), said)
            })
            .collect()
    }
}

fn line_of(text: &str, offset: usize) -> u64 {
    text[..offset].matches('\n').count() as u64 + 1
}

#[test]
fn twenty_plans_of_three_mistakes() {
    let (mut seen, mut reported, mut faults) = (0, String::new(), Vec::new());
    for (number, rows) in WRONG.iter().enumerate() {
        let wrong = Wrong::new();
        for (file, old, new, _, _) in rows {
            let before = wrong.read(file);
            assert!(before.contains(old), "{file} does not hold {old:?}");
            wrong.write(file, &before.replacen(old, new, 1));
        }
        let (checked, text) = wrong.check();
        let mistakes = wrong.mistakes(&checked);
        let mut expected: Vec<(&str, u64, &str)> = Vec::new();
        for (file, _, new, at, part) in rows {
            let now = wrong.read(file);
            // The change may be of a word that is elsewhere too: look for the place within the change first.
            let change = now.find(new).filter(|_| new.contains(at.trim_end())).unwrap_or(0);
            let offset = change + now[change..].find(at).unwrap_or_else(|| panic!("{number}: no {at:?} in {file}"));
            expected.push((file, line_of(&now, offset), part));
        }
        for (file, line, part) in &expected {
            match mistakes.iter().find(|(other, at, said)| other == file && at == line && said.contains(part)) {
                Some(_) => seen += 1,
                // What belongs to the place is in the text: the label.
                None if mistakes.iter().any(|(other, at, _)| other == file && at == line) && text.contains(part) => {
                    seen += 1
                }
                None => faults.push(format!("{number}: not reported: {file}:{line} {part}\n{mistakes:#?}")),
            }
        }
        let carets = text.lines().filter(|line| line.contains("╰── ")).count();
        if mistakes.len() != 3 || carets != 3 || !text.ends_with("3 mistakes.\n") {
            faults.push(format!("{number}: {} mistakes, {carets} places\n{text}", mistakes.len()));
        }
        reported += &format!("---- {number}\n{text}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(seen, 60);
    insta::assert_snapshot!(reported);
}

/// A way to put a mistake into a line of a step: the new line, if it suits the line.
pub type Spoil = fn(&str) -> Option<String>;

fn key(line: &str) -> Option<(&str, &str)> {
    line.split_once(" = ")
        .filter(|(key, _)| !key.is_empty() && key.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'))
}

/// Replaces the first quantity of a line, "20 ms".
fn quantity(line: &str, change: impl Fn(&str, &str) -> String) -> Option<String> {
    key(line)?;
    let mut parts: Vec<String> = line.split('"').map(str::to_owned).collect();
    let quantity = parts.iter_mut().skip(1).step_by(2).find(|text| text.parse_quantity().is_some())?;
    let (number, unit) = quantity.parse_quantity()?;
    *quantity = change(&number, &unit);
    Some(parts.join("\""))
}

trait ParseQuantity {
    fn parse_quantity(&self) -> Option<(String, String)>;
}

impl ParseQuantity for String {
    fn parse_quantity(&self) -> Option<(String, String)> {
        let (number, unit) = self.split_once(' ')?;
        number.parse::<f64>().ok()?;
        ["V", "mV", "A", "mA", "ohm", "kohm", "s", "ms"].contains(&unit).then(|| (number.to_owned(), unit.to_owned()))
    }
}

pub const SPOILS: &[(&str, Spoil)] = &[
    ("misspelt key", |line| {
        let (key, rest) = key(line).filter(|(key, _)| key.len() > 3)?;
        Some(format!("{}{} = {rest}", &key[..2], &key[3..]))
    }),
    ("unknown key", |line| line.starts_with("title = ").then(|| format!("wibble = 3 # {line}"))),
    ("comma", |line| quantity(line, |number, unit| format!("{number},5 {unit}").replace(".5,5", ",55"))),
    ("unknown unit", |line| quantity(line, |number, _| format!("{number} furlong"))),
    ("no unit", |line| quantity(line, |number, _| number.to_owned())),
    ("other dimension", |line| quantity(line, |number, _| format!("{number} Hz"))),
    ("title of a wrong type", |line| line.starts_with("title = ").then(|| "title = 5".to_owned())),
    ("no end of a text", |line| line.starts_with("title = ").then(|| line.trim_end_matches('"').to_owned())),
    ("no equals sign", |line| line.starts_with("title = ").then(|| line.replacen(" = ", " ", 1))),
    ("misspelt kind", |line| line.starts_with("kind = ").then(|| format!("{}x\"", line.trim_end_matches('"')))),
    ("unknown kind", |line| line.starts_with("kind = ").then(|| "kind = \"hydraulics\"".to_owned())),
    ("misspelt need", |line| line.starts_with("needs = [\"").then(|| line.replacen("\"]", "q\"]", 1))),
    ("unknown need", |line| line.starts_with("needs = [\"").then(|| "needs = [\"hydraulics\"]".to_owned())),
    ("unknown function", |line| {
        line.contains("functions = [\"").then(|| line.replacen("functions = [\"", "functions = [\"q", 1))
    }),
    ("unknown rail", |line| line.starts_with("rail = ").then(|| "rail = \"hydraulics\"".to_owned())),
    ("misspelt word", |line| (line == "on_fail = \"continue\"").then(|| "on_fail = \"continu\"".to_owned())),
    ("crossed limits", |line| {
        let (head, rest) = line.split_once("min = \"")?;
        let (min, rest) = rest.split_once("\", max = \"")?;
        let (max, tail) = rest.split_once('"')?;
        key(line).map(|_| format!("{head}min = \"{max}\", max = \"{min}\"{tail}"))
    }),
];

/// Small and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

/// The first line of the step that a line is in.
fn step_of(lines: &[String], line: usize) -> usize {
    (0..=line).rev().find(|&above| lines[above].starts_with("[[")).unwrap_or(0)
}

/// Steps of other models are not read beyond the keys that every step has.
fn is_for_all(lines: &[String], line: usize) -> bool {
    let first = step_of(lines, line);
    let step = lines[first + 1..].iter().take_while(|line| !line.starts_with('['));
    lines[first].starts_with("[[step]]") && !step.clone().any(|line| line.starts_with("models = "))
}

#[test]
fn mistakes_at_random_places() {
    let parts = [BEFORE, POWER, PROGRAM, MODEM, BLE, NFC, FUNCTIONS];
    let mut faults = Vec::new();
    for seed in 1..=60 {
        let mut dice = Dice(seed);
        let wrong = Wrong::new();
        let mut texts: Vec<Vec<String>> =
            parts.iter().map(|part| wrong.read(part).lines().map(str::to_owned).collect()).collect();
        let (mut expected, mut steps, mut made) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let number = 1 + dice.below(5);
        while expected.len() < number {
            let (file, (name, spoil)) = (dice.below(parts.len()), SPOILS[dice.below(SPOILS.len())]);
            let line = dice.below(texts[file].len());
            let spoilt = Some(&texts[file][line]).filter(|_| is_for_all(&texts[file], line)).and_then(|old| spoil(old));
            // Two mistakes in a step of an unknown kind cannot be distinguished from one.
            let Some(spoilt) = spoilt.filter(|_| steps.insert((file, step_of(&texts[file], line)))) else { continue };
            made.push(format!("{name}: {}:{} {} -> {spoilt}", parts[file], line + 1, texts[file][line]));
            texts[file][line] = spoilt;
            expected.insert((parts[file].to_owned(), line as u64 + 1));
        }
        for (part, lines) in parts.iter().zip(&texts) {
            wrong.write(part, &(lines.join("\n") + "\n"));
        }
        let (checked, text) = wrong.check();
        let mistakes = wrong.mistakes(&checked);
        let places: BTreeSet<(String, u64)> = mistakes.iter().map(|(file, line, _)| (file.clone(), *line)).collect();
        if places != expected || mistakes.len() != number {
            faults.push(format!("seed {seed}\n{made:#?}\n{text}"));
        }
    }
    assert!(faults.is_empty(), "{} of 60\n{}", faults.len(), faults.join("\n"));
}

/// Files that are no plan at all end the check, and quickly.
#[test]
fn what_is_no_plan() {
    for nonsense in [
        "",
        "format = 1\n",
        "[[step]]\n[[step]]\n",
        "\u{0}\u{1}",
        "name = [[[[",
        "# only a comment\n",
        "a = 1\na = 2\n",
    ] {
        let wrong = Wrong::new();
        wrong.write(PLAN, nonsense);
        let (checked, text) = wrong.check();
        assert!(!wrong.mistakes(&checked).is_empty(), "{nonsense:?}");
        assert!(text.contains("  × "), "{nonsense:?}: {text}");
    }
    let wrong = Wrong::new();
    wrong.write(PLAN, &"[[step]]\nx = 1\n".repeat(300));
    let (checked, _) = wrong.check();
    assert!(wrong.mistakes(&checked).len() <= 50, "nobody reads more");
}
