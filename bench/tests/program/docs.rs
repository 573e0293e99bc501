//! The documentation against the program: examples print what the page shows, commands parse, every key is described.
//!
//! The ```` ```console ```` blocks of a page run one after the other in one copy of the repository's data. A block under
//! `<!-- file: PATH -->` is written to that file of the copy at its turn. One under `<!-- step of: PATH -->` is a step
//! that is added to that file, or replaces the step with its id. `UPDATE_DOCS=1` writes into the pages what the program
//! prints; `[..]` and `...` remain where they still fit.

use crate::support::{for_all, output, root, text};
use book::{Block, Page, pages};
use serde_json::Value;
use snapbox::Data;
use snapbox::filter::NormalizeToExpected;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What the examples need of the repository.
const DATA: [&str; 3] = ["clients", "fixtures", "plans"];
const IMAGE: &str = "target/firmware/dut-firmware.elf";
/// What an example may start. Everything else belongs in a block of the language `sh`, which is not run.
const HARMLESS: [&str; 9] = ["bench", "cat", "echo", "exit", "grep", "head", "ls", "printf", "touch"];

/// A folder like the repository's root, for the examples of one page.
struct Sandbox {
    folder: tempfile::TempDir,
    /// Of the command before.
    code: i32,
}

impl Sandbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in DATA {
            copy(&root().join(name), &folder.path().join(name));
        }
        fs::create_dir_all(folder.path().join("target/firmware")).unwrap();
        assert!(root().join(IMAGE).is_file(), "no firmware image: run `cargo xtask firmware` first");
        fs::copy(root().join(IMAGE), folder.path().join(IMAGE)).unwrap();
        Self { folder, code: 0 }
    }

    /// What the command prints, both streams in their order.
    fn run(&mut self, command: &str) -> String {
        let other = started(command).into_iter().find(|words| !HARMLESS.contains(&words[0].as_str()));
        if let Some(words) = other {
            return format!("not run: {} is none of {HARMLESS:?}; write it into a block of `sh`\n", words[0]);
        }
        if command == "echo $?" {
            return format!("{}\n", self.code);
        }
        let program = Path::new(env!("CARGO_BIN_EXE_bench")).parent().unwrap();
        let mut path = OsString::from(program);
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1\n{command}")]).current_dir(self.folder.path());
        shell.env("PATH", path).env("NO_COLOR", "1").env("TERM", "dumb").env("LC_ALL", "C.UTF-8");
        // Help is wrapped to the width of a terminal, if there is one.
        shell.stdin(Stdio::null());
        let output = shell.output().unwrap();
        self.code = output.status.code().unwrap_or(-1);
        text(&output.stdout)
    }

    /// Writes what the block says into its file, if it has one.
    fn take(&self, block: &Block) -> bool {
        let Some(name) = block.file.as_ref().or(block.step_of.as_ref()) else { return false };
        let path = self.folder.path().join(name);
        let content = match block.step_of {
            None => block.code.clone(),
            Some(_) => with_step(&fs::read_to_string(&path).unwrap(), &block.code),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        true
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The plan with this step at its end, or in place of the step with the same id.
fn with_step(plan: &str, step: &str) -> String {
    const BEGIN: &str = "[[step]]";
    let id = |step: &str| step.lines().find(|line| line.starts_with("id = ")).map(str::to_owned);
    let mut steps: Vec<String> = plan.split(BEGIN).map(|step| step.trim_end().to_owned()).collect();
    let new = step.trim_end().strip_prefix(BEGIN).unwrap().to_owned();
    match steps.iter_mut().skip(1).find(|old| id(old) == id(&new)) {
        Some(old) => *old = new,
        None => steps.push(new),
    }
    steps.join(&format!("\n\n{BEGIN}")) + "\n"
}

/// Commands of a console block, each with what it prints. A command continues in lines that begin with `> `.
fn commands(code: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in code.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), String::new()));
        } else if let Some((command, output)) = commands.last_mut() {
            match line.strip_prefix("> ").filter(|_| output.is_empty()) {
                Some(more) => *command = format!("{command}\n{more}"),
                None => *output += &format!("{line}\n"),
            }
        }
    }
    commands
}

/// The block with what was printed, and what is wrong with it.
fn run_block(sandbox: &mut Sandbox, block: &Block) -> (String, Vec<String>) {
    let (mut written, mut wrong) = (String::new(), Vec::new());
    let commands = commands(&block.code);
    for (at, (command, expected)) in commands.iter().enumerate() {
        let printed = Data::text(sandbox.run(command));
        let expected = Data::text(expected);
        let printed = NormalizeToExpected::new().redact().normalize(printed, &expected);
        let difference = difference(&expected, &printed);
        wrong.extend(difference.map(|difference| format!("$ {command}\n{difference}")));
        let shown = commands.get(at + 1).is_some_and(|(next, _)| next == "echo $?");
        if sandbox.code != 0 && command != "echo $?" && !shown {
            wrong.push(format!("$ {command}\nends with {}: show that by `$ echo $?`", sandbox.code));
        }
        let printed = printed.to_string();
        let end = if printed.is_empty() || printed.ends_with('\n') { "" } else { "\n" };
        written += &format!("$ {}\n{printed}{end}", command.replace('\n', "\n> "));
    }
    (written, wrong)
}

fn difference(expected: &Data, printed: &Data) -> Option<String> {
    if without_times(expected.to_string().trim_end()) == without_times(printed.to_string().trim_end()) {
        return None;
    }
    let mut text = String::new();
    let names: (&dyn std::fmt::Display, &dyn std::fmt::Display) = (&"the page", &"the program");
    snapbox::report::write_diff(
        &mut text,
        expected,
        printed,
        Some(names.0),
        Some(names.1),
        snapbox::report::Palette::plain(),
    )
    .unwrap();
    Some(text)
}

/// Times of the virtual bench move by a little with every change of the firmware; what they belong to does not.
fn without_times(text: &str) -> String {
    let time = regex_lite::Regex::new(r" *[0-9]+(\.[0-9]+)? (s|ms|us)\b").unwrap();
    time.replace_all(text, " TIME").into_owned()
}

fn is_example(block: &Block) -> bool {
    block.language == "console" || block.file.is_some() || block.step_of.is_some()
}

#[test]
fn examples_print_what_the_pages_show() {
    let all = pages(&root()).unwrap();
    let with_examples = |page: &&Page| page.blocks.iter().any(|block| block.language == "console");
    let pages: Vec<&Page> = all.iter().filter(with_examples).collect();
    assert!(pages.len() >= 3, "only {} pages have examples", pages.len());
    let changed = Mutex::new(Vec::new());
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    for_all(&pages, |page| {
        let mut sandbox = Sandbox::new();
        for block in
            all.iter().filter(|other| page.files_of.as_ref() == Some(&other.path)).flat_map(|page| &page.blocks)
        {
            sandbox.take(block);
        }
        let (mut wrong, mut now) = (Vec::new(), page.text.clone());
        let mut written = Vec::new();
        for block in page.blocks.iter().filter(|block| is_example(block)) {
            if sandbox.take(block) {
                continue;
            }
            let (code, mistakes) = run_block(&mut sandbox, block);
            wrong.extend(mistakes.iter().map(|mistake| format!("{}:{}: {mistake}", page.path.display(), block.line)));
            written.push((block.at.clone(), code));
        }
        for (at, code) in written.into_iter().rev() {
            now.replace_range(at, &code);
        }
        changed.lock().unwrap().push((page.path.clone(), now));
        if wrong.is_empty() || update { Ok(()) } else { Err(wrong.join("\n")) }
    });
    if update {
        for (path, now) in changed.into_inner().unwrap() {
            fs::write(root().join(path), now).unwrap();
        }
    }
}

/// Every program in a line of the shell, as words, without redirections and comments.
fn started(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let (mut word, mut quote, mut any) = (String::new(), None, false);
    for one in line.chars().chain([' ']) {
        match (quote, one) {
            (None, '\'' | '"') => (quote, any) = (Some(one), true),
            (Some(open), _) if open == one => quote = None,
            (None, '#') if !any => break,
            (None, '|' | ';' | '&') => {
                all.last_mut().unwrap().extend(any.then(|| std::mem::take(&mut word)));
                any = false;
                all.push(Vec::new());
            }
            (None, ' ') => {
                all.last_mut().unwrap().extend(any.then(|| std::mem::take(&mut word)));
                any = false;
            }
            _ => {
                word.push(one);
                any = true;
            }
        }
    }
    for words in &mut all {
        if let Some(at) = words.iter().position(|word| [">", "<", ">>"].contains(&word.as_str())) {
            words.truncate(at);
        }
    }
    all.retain(|words| !words.is_empty());
    all
}

/// What is wrong with a command that a test cannot run.
fn objection(words: &[String], chores: &str) -> Option<String> {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // `--help` last: everything before it is parsed, and nothing is done.
        ["bench", ref arguments @ ..] => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
            let arguments = arguments.iter().filter(|word| **word != "...");
            let output = command.args(arguments).arg("--help").env("NO_COLOR", "1").output().unwrap();
            (!output.status.success()).then(|| text(&output.stderr))
        }
        ["cargo", "xtask", chore, ..] => {
            let known: BTreeSet<&str> =
                chores.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
            (!known.contains(chore)).then(|| format!("cargo xtask knows no {chore}"))
        }
        _ => None,
    }
}

#[test]
fn commands_that_only_people_run_exist() {
    let xtask = fs::read_to_string(root().join("xtask/src/main.rs")).unwrap();
    let chores = xtask.split_once("usage: cargo xtask").unwrap().1.split_once("\";").unwrap().0;
    let pages: Vec<Page> = pages(&root()).unwrap();
    let mut rows = Vec::new();
    for page in pages.iter().filter(|page| page.path != Path::new("CHANGELOG.md")) {
        for block in page.blocks.iter().filter(|block| block.language == "sh") {
            for (at, line) in block.code.lines().enumerate() {
                let place = format!("{}:{}", page.path.display(), block.line + at);
                rows.extend(started(line).into_iter().map(|words| (place.clone(), words)));
            }
        }
    }
    let checked = rows.iter().filter(|(_, words)| words[0] == "bench" || words.starts_with(&words_of("cargo xtask")));
    assert!(checked.count() > 25, "too few commands to say anything");
    for_all(&rows, |(place, words)| {
        objection(words, chores).map_or(Ok(()), |why| Err(format!("{place}: {}: {why}", words.join(" "))))
    });
}

/// Keys of the formats, by `bench schema`, and the page that describes them.
const FORMATS: [(&str, &str); 5] = [
    ("plan", "docs/reference/plan-format.md"),
    ("part", "docs/reference/plan-format.md"),
    ("fixture", "docs/reference/fixture-format.md"),
    ("dut", "docs/reference/module-format.md"),
    ("station", "docs/reference/station-format.md"),
];
const ACTIONS: &str = "docs/reference/actions.md";
const STEP_KINDS: &str = "docs/reference/step-kinds.md";

fn schema(of: &str) -> Value {
    serde_json::from_slice(&output(&["schema", of]).stdout).unwrap()
}

/// Names of all properties below a part of a schema.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(parts) => {
            for (name, part) in parts {
                if let (true, Value::Object(properties)) = (name == "properties", part) {
                    found.extend(properties.keys().cloned());
                }
                keys(part, found);
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| keys(part, found)),
        _ => {}
    }
}

/// As a word of its own.
fn names(page: &str, key: &str) -> bool {
    let in_word = |one: char| one.is_alphanumeric() || matches!(one, '_' | '-');
    page.match_indices(key)
        .any(|(at, _)| !page[..at].ends_with(in_word) && !page[at + key.len()..].starts_with(in_word))
}

#[test]
fn every_key_of_every_format_is_described() {
    let kinds = fs::read_to_string(root().join(STEP_KINDS)).unwrap();
    let actions = fs::read_to_string(root().join(ACTIONS)).unwrap();
    let (mut wrong, mut keys_seen) = (Vec::new(), 0);
    for (format, file) in FORMATS {
        let page = fs::read_to_string(root().join(file)).unwrap();
        let mut schema = schema(format);
        let step = schema["properties"]["step"]["items"]["allOf"].take();
        let steps = step.as_array().cloned().unwrap_or_default();
        for step in steps.iter().map(|step| &step["then"]) {
            let kind = step["title"].as_str().unwrap();
            let section = kinds.split_once(&format!("\n### `{kind}`\n")).map(|(_, rest)| rest.split("\n##").next());
            let Some(section) = section.flatten() else {
                wrong.push(format!("{STEP_KINDS} has no heading ### `{kind}`"));
                continue;
            };
            for key in step["properties"].as_object().unwrap().keys() {
                if !section.contains(&format!("`{key}`")) && !page.contains(&format!("`{key}`")) {
                    wrong.push(format!(
                        "`{kind}` takes `{key}`, which is neither in its section of {STEP_KINDS} nor in {file}"
                    ));
                }
            }
        }
        let mut found = BTreeSet::new();
        keys(&schema, &mut found);
        keys_seen += found.len();
        let known = |key: &String| names(&page, key) || names(&kinds, key) || names(&actions, key);
        let missing = found.iter().filter(|key| !known(key));
        wrong.extend(missing.map(|key| format!("`bench schema {format}` has `{key}`, and {file} does not name it")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(keys_seen > 250, "only {keys_seen} keys");
    assert!(names("`pins`, `ohms`", "ohms") && !names("`pull_ohms`", "ohms") && !names("ohms-x", "ohms"));
}

fn words_of(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Checks that see nothing would pass for ever.
#[test]
fn a_wrong_example_is_seen() {
    let chores = " NAME\n\n  firmware  build it\n  test      all of it\n";
    let commands: &[(&str, &str)] = &[
        ("bench run plans/b404x.toml --virtual --fault 'open:23' # a comment --nonsense", ""),
        ("bench check plans/*.toml | less", ""),
        ("cargo xtask test --under-load", ""),
        ("sudo reboot", ""),
        ("bench run plans/b404x.toml --virtal", "--virtal"),
        ("bench runn plans/b404x.toml", "runn"),
        ("cd x && bench runn", "runn"),
        ("cargo xtask tset", "knows no tset"),
    ];
    for (line, expected) in commands {
        let wrong: String = started(line).iter().filter_map(|words| objection(words, chores)).collect();
        assert_eq!(wrong.is_empty(), expected.is_empty(), "{line}: {wrong}");
        assert!(wrong.contains(expected), "{line}: {wrong}");
    }
    let step = |id: &str, key: &str| format!("[[step]]\nid = \"{id}\"\n{key}\n");
    let plan = with_step(&with_step("head\n", &step("a", "one")), &step("b", "two"));
    assert_eq!(plan, format!("head\n\n{}\n{}", step("a", "one"), step("b", "two")));
    assert_eq!(with_step(&plan, &step("a", "three")), format!("head\n\n{}\n{}", step("a", "three"), step("b", "two")));
    let blocks: &[(&str, &str)] = &[
        ("$ echo one\none\n", ""),
        ("$ echo one two; echo three\none [..]\nthree\n", ""),
        ("$ echo one; echo two; echo three\n...\nthree\n", ""),
        ("$ printf 'a\\n' \\\n>     ; echo b\na\nb\n", ""),
        ("$ exit 3\n$ echo $?\n3\n", ""),
        ("$ echo one\ntwo\n", "-two"),
        ("$ exit 3\n", "ends with 3"),
        ("$ ls; rm -f one\n", "rm is none of"),
        ("$ exit 3\n$ echo $?\n4\n", "-4"),
    ];
    for (code, expected) in blocks {
        let block =
            Block { line: 1, language: "console".into(), code: (*code).into(), at: 0..0, file: None, step_of: None };
        let mut sandbox = Sandbox { folder: tempfile::tempdir().unwrap(), code: 0 };
        let (_, wrong) = run_block(&mut sandbox, &block);
        let wrong = wrong.join("\n").replace(' ', "");
        assert_eq!(wrong.is_empty(), expected.is_empty(), "{code}: {wrong}");
        assert!(wrong.contains(&expected.replace(' ', "")), "{code}: {wrong}");
    }
}

/// The tables of faults and habits in the documentation are made from those in the code.
#[test]
fn the_documentation_lists_what_the_program_has() {
    const VIRTUAL: &str = "docs/explanation/virtual-bench.md";
    let tables = [
        (VIRTUAL, "faults", virtual_bench::fault_table()),
        (VIRTUAL, "habits", virtual_bench::habit_table()),
        (VIRTUAL, "bench faults", virtual_bench::bench_fault_table()),
        (ACTIONS, "actions", bench_steps::action::action_table()),
    ];
    for (file, name, table) in tables {
        let path = root().join(file);
        let mut page = fs::read_to_string(&path).unwrap();
        let (begin, end) = (format!("<!-- {name}: generated -->\n"), format!("<!-- /{name} -->"));
        let (before, rest) = page.split_once(&begin).unwrap();
        let (shown, after) = rest.split_once(&end).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            page = format!("{before}{begin}{table}{end}{after}");
            fs::write(&path, &page).unwrap();
        } else {
            assert!(shown == table, "{} is old: run with UPDATE_DOCS=1", path.display());
        }
    }
}

/// Pictures of the README, recorded from the program in a terminal of 100 columns: file, arguments, exit code.
#[cfg(target_os = "linux")]
const RECORDED: [(&str, &str, i32); 2] = [
    ("run-pass.svg", "bench run plans/b404x.toml --virtual", 0),
    ("run-fail.svg", "bench run plans/b404x.toml --virtual --fault short:36-38@12", 1),
];

#[cfg(target_os = "linux")]
#[test]
fn pictures_show_what_the_terminal_shows() {
    use crate::terminal::Terminal;
    for (name, line, expected) in RECORDED {
        let sandbox = Sandbox::new();
        let mut program = Command::new(env!("CARGO_BIN_EXE_bench"));
        program.args(line.split(' ').skip(1)).current_dir(sandbox.folder.path());
        let (code, screen) = Terminal::run(&program, 100, 80).left_behind();
        assert_eq!(code, Some(expected), "{line}: {screen}");
        // The run's name has a hash over the version of the program.
        let (before, run) = screen.split_once("/virtual-1-").unwrap();
        let screen = format!("{before}/virtual-1-{}", run.get(12..).unwrap());
        let term = anstyle_svg::Term::new().min_width_px(720);
        let picture = term.render_svg(&format!("\x1b[1m$ {line}\x1b[0m\n{screen}\n"));
        let path = root().join("docs/pictures").join(name);
        if std::env::var_os("UPDATE_PICTURES").is_some() {
            fs::write(&path, picture).unwrap();
        } else {
            let kept = fs::read_to_string(&path).unwrap_or_default();
            let same = without_times(&kept) == without_times(&picture);
            assert!(same, "{} is old: run with UPDATE_PICTURES=1", path.display());
        }
    }
}

/// A paragraph or table with figures of its own names the command that makes them.
fn figures_without_command(text: &str) -> Vec<String> {
    const UNITS: [&str; 8] = ["%", "s", "ms", "us", "minutes", "times", "MB", "MIPS"];
    let is_number = |word: &str| {
        let digits = word.trim_matches(|c: char| "*|(,".contains(c));
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok()
    };
    let has_figure = |block: &str| {
        let words: Vec<&str> = block.split_whitespace().collect();
        let unit = |word: &str| UNITS.contains(&word.trim_matches(|c: char| "*|).,;".contains(c)));
        words.windows(2).any(|pair| is_number(pair[0]) && unit(pair[1]))
    };
    let mut in_code = false;
    let prose = text.split("\n\n").filter(|block| {
        let was_in_code = in_code;
        in_code ^= block.matches("```").count() % 2 == 1;
        !was_in_code && !block.starts_with("```")
    });
    let names_command = |block: &str| block.contains("`bench ") || block.contains("`cargo ");
    prose.filter(|block| has_figure(block) && !names_command(block)).map(str::to_owned).collect()
}

#[test]
fn figures_of_the_readme_name_their_command() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let without = figures_without_command(&text);
    assert!(without.is_empty(), "which command makes these figures?\n\n{}", without.join("\n\n"));
    for (block, complains) in [
        ("The plan detects 98.1 % of them.", true),
        ("`bench coverage PLAN`: 98.1 % of them.", false),
        ("A run takes 0.4 s.", true),
        ("| `b404x` | 98.1 % |", true),
        ("| `bench coverage plans/b404x.toml` | **98.1 %** |", false),
        ("Exit code 1, and 67 contacts.", false),
        ("```sh\nsleep 5 s\n```", false),
    ] {
        assert_eq!(!figures_without_command(block).is_empty(), complains, "{block}");
    }
}
