//! The programs of a station around each unit: an interlock before it, and who gets its record after it.

use crate::prompts::{Prompts, newest};
use crate::support::{bench, text};
use crate::terminal::{Terminal, found_below};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A station's hooks, and the place where their programs leave what they got.
struct Station {
    prompts: Prompts,
}

impl Station {
    /// `section` is the content of `[hooks]`.
    fn new(section: &str) -> Self {
        let prompts = Prompts::new("5 min");
        std::fs::write(prompts.folder.path().join("hooks.toml"), format!("[hooks]\n{section}\n")).unwrap();
        Self { prompts }
    }

    fn folder(&self) -> &Path {
        self.prompts.folder.path()
    }

    fn waiting(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.prompts.reports().join("after-unit"));
        entries.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    fn run(&self, seed: &str) -> (i32, String) {
        let (plan, reports, hooks) = (self.prompts.plan(), self.prompts.reports(), self.folder().join("hooks.toml"));
        let mut command = bench(&["run", plan.to_str().unwrap(), "--virtual", "--seed", seed, "--lot", "7"]);
        command.args(["--reports", reports.to_str().unwrap(), "--hooks", hooks.to_str().unwrap()]);
        command.args(["--answer", "led=y", "--answer", "meter=1.2 V"]);
        let out = command.stdin(Stdio::null()).output().unwrap();
        let flat = format!("{}{}", text(&out.stdout), text(&out.stderr));
        (out.status.code().unwrap(), flat.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

#[test]
fn the_interlock_allows_refuses_or_gives_no_answer() {
    let rows = [
        ("before_unit = ['sh', '-c', 'cat > asked.json']", 0, ""),
        (
            "before_unit = ['sh', '-c', 'echo the route is: repair; exit 1']",
            3,
            "P042AV000000001 is not to be tested: the route is: repair",
        ),
        ("before_unit = ['sh', '-c', 'echo no such unit >&2; exit 9']", 3, "is not to be tested: no such unit"),
        ("before_unit = ['sh', '-c', 'sleep 60']\ntimeout = '300 ms'", 2, "before_unit, sh: it said nothing for 300ms"),
        ("before_unit = ['sh', '-c', 'kill -9 $$']", 2, "before_unit, sh: it was ended by signal 9"),
        ("before_unit = ['no-such-program-here']", 2, "no-such-program-here"),
        ("before_unit = []", 3, "no program is named"),
        ("before = ['sh']", 3, "did you mean `before_unit`?"),
        ("timeout = '1 s'", 3, "[hooks] names no program"),
        ("before_unit = ['sh']\ntimeout = '60 min'", 3, "from some milliseconds to 5 min"),
    ];
    for (section, code, said) in rows {
        let station = Station::new(section);
        let (ended, output) = station.run("1");
        assert_eq!(ended, code, "{section}\n{output}");
        assert!(output.contains(said), "{section}\n{output}");
        // Nothing was tested without its answer.
        assert_eq!(station.prompts.reports().exists(), code == 0, "{section}");
        if code == 0 {
            let asked = std::fs::read_to_string(station.folder().join("asked.json")).unwrap();
            let asked: serde_json::Value = serde_json::from_str(&asked).unwrap();
            let expected = serde_json::json!({
                "format": 1, "serial": "P042AV000000001", "model": "b404x", "plan": "prompts", "station": null,
                "nest": null, "lot": "7",
            });
            assert_eq!(asked, expected);
        }
    }
}

/// A server that is away changes no verdict, and gets everything when it is back.
#[test]
fn records_wait_for_a_server_that_is_away() {
    // `ready` is the server.
    let hook = "after_unit = ['sh', '-c', 'test -e ready || { echo the server is away; exit 1; }; cat >> got.jsonl; \
                echo >> got.jsonl']";
    let station = Station::new(hook);
    for (seed, waiting) in [("1", 1), ("2", 2)] {
        let (code, output) = station.run(seed);
        assert_eq!(code, 0, "{output}");
        let said = format!("after_unit, sh: the server is away; {waiting} record(s) wait in");
        assert!(output.contains(&said), "{output}");
        assert_eq!(station.waiting().len(), waiting);
    }
    std::fs::write(station.folder().join("ready"), "").unwrap();
    let (code, output) = station.run("3");
    assert_eq!(code, 0, "{output}");
    assert!(!output.contains("after_unit"), "{output}");
    assert_eq!(station.waiting(), Vec::<PathBuf>::new());
    let got = std::fs::read_to_string(station.folder().join("got.jsonl")).unwrap();
    let serials: Vec<String> = got
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(record["verdict"], "pass", "{record}");
            record["serial"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(serials, ["P042AV000000001", "P042AV000000002", "P042AV000000003"], "the oldest first");
}

#[test]
fn on_the_operator_s_screen_a_unit_is_refused_and_a_record_is_offered() {
    let before = "grep -q P042AV000000001 || { echo send it to station 4; exit 1; }";
    let section = format!("before_unit = ['sh', '-c', '{before}']\nafter_unit = ['sh', '-c', 'cat > got.json']");
    let station = Station::new(&section);
    let rules = station.folder().join("rules.toml");
    std::fs::write(&rules, "begin = \"scan\"\nbell = false\n").unwrap();
    let (plan, reports) = (station.prompts.plan(), station.prompts.reports());
    let hooks = station.folder().join("hooks.toml");
    let mut all = vec!["operator", plan.to_str().unwrap(), "--virtual", "--reports", reports.to_str().unwrap()];
    all.extend(["--rules", rules.to_str().unwrap(), "--hooks", hooks.to_str().unwrap()]);
    let mut screen = Terminal::run(&bench(&all), 80, 24);
    screen.wait_for("Scan the label");
    screen.send(b"P042AV000000002 MOBILESECRET\r");
    screen.wait_for("Refused: the module is not tested");
    screen.wait_for("send it to station 4");
    // No error of the bench: three of them would stop the nest.
    screen.wait_for("0 error");
    screen.send(b"P042AV000000001 MOBILESECRET\r");
    screen.wait_for("Is the LED green?");
    screen.wait_for("without an answer the test ends");
    screen.send(b"1");
    screen.wait_for("What does the meter show?");
    screen.send(b"1.2 V\r");
    screen.wait_for("Good: send it to the next station");
    let got = station.folder().join("got.json");
    screen.repeat_until(|_| (), "Good: send it to the next station");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(300);
    while (!got.exists() || !station.waiting().is_empty()) && std::time::Instant::now() < deadline {
        screen.shows_within(&|_| false, std::time::Duration::from_millis(200));
    }
    screen.send(b"\x1b[21~");
    assert_eq!(screen.code(), Some(0));
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(&got).unwrap()).unwrap();
    assert_eq!((record["serial"].as_str(), record["verdict"].as_str()), (Some("P042AV000000001"), Some("pass")));
    assert!(newest(&reports).finished);
    assert_eq!(found_below(station.folder(), "MOBILESECRET"), None);
}
