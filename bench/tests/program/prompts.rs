//! Questions of a plan to a person: at a terminal, and answered with the command.

use crate::support::{bench, root, text};
use crate::terminal::Terminal;
use bench_journal::JournalContents;
use bench_run::{Event, Verdict};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const HEAD: &str = r#"
format = 1
name = "prompts"
model = "b404x"
fixture = "b-series"
firmware = "dut-firmware"

[[step]]
id = "shorts"
kind = "rail-resistance"
ohms = { min = "200 ohm" }

[[step]]
id = "rail-3v3"
kind = "rail-on"
needs = ["shorts"]
rail = "3V3"
volts = { min = "3.2 V", max = "3.4 V" }
amps = { max = "100 mA" }
settle = "20 ms"

[[step]]
id = "led"
kind = "prompt"
needs = ["rail-3v3"]
text = "Is the LED green?"
picture = "pictures/led.svg"
picture_text = "the LED next to the antenna"
timeout = "LED_TIMEOUT"

[[step]]
id = "meter"
kind = "prompt"
needs = ["led"]
text = "What does the meter show?"
limits = { min = "1 V", max = "2 V" }
"#;
const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"2\" height=\"2\"/>";

/// A plan next to its picture, inside of the project.
pub struct Prompts {
    pub folder: TempDir,
}

impl Prompts {
    pub fn new(timeout: &str) -> Self {
        let folder = tempfile::tempdir_in(root().join("target")).unwrap();
        std::fs::create_dir(folder.path().join("pictures")).unwrap();
        std::fs::write(folder.path().join("pictures/led.svg"), SVG).unwrap();
        std::fs::write(folder.path().join("prompts.toml"), HEAD.replace("LED_TIMEOUT", timeout)).unwrap();
        Self { folder }
    }

    pub fn plan(&self) -> PathBuf {
        self.folder.path().join("prompts.toml")
    }

    pub fn reports(&self) -> PathBuf {
        self.folder.path().join("reports")
    }

    fn arguments(&self) -> Vec<String> {
        let (plan, reports) = (self.plan(), self.reports());
        ["run", plan.to_str().unwrap(), "--virtual", "--reports", reports.to_str().unwrap()].map(str::to_owned).into()
    }

    fn terminal(&self) -> Terminal {
        self.terminal_of("xterm-256color")
    }

    fn terminal_of(&self, term: &str) -> Terminal {
        let arguments = self.arguments();
        Terminal::run_as(term, &bench(&arguments.iter().map(String::as_str).collect::<Vec<_>>()), 100, 40)
    }

    /// Without a terminal.
    fn run(&self, more: &[&str]) -> (i32, String) {
        let arguments = self.arguments();
        let all: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let out = bench(&all).stdin(std::process::Stdio::null()).output().unwrap();
        (out.status.code().unwrap(), format!("{}{}", text(&out.stdout), text(&out.stderr)))
    }
}

pub fn newest(reports: &Path) -> JournalContents {
    let run = bench_journal::latest(reports, None).unwrap().unwrap();
    bench_journal::read(&run.journal).unwrap()
}

/// What the record says of the step: its notes, its readings, and how its only attempt ended.
pub fn answered(run: &JournalContents, id: &str) -> String {
    let lines = run.entries.iter().filter_map(|entry| match &entry.event {
        Event::Note { step: Some(step), text } if step == id => Some(text.clone()),
        Event::Measured { step, measurement, .. } if step == id => {
            Some(format!("{} = {:?}", measurement.name, measurement.value))
        }
        Event::StepEnded { step, verdict, reason, .. } if step == id => {
            Some(format!("{verdict}: {}", reason.as_deref().unwrap_or("-")))
        }
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub fn is_safe(run: &JournalContents) -> bool {
    run.entries.iter().any(|entry| matches!(entry.event, Event::SafeState { confirmed: true, .. }))
}

/// What a person does, the exit code, and what the record says of the step `led`.
type Row = (&'static str, &'static str, fn(&mut Terminal), i32, &'static str);

#[test]
fn at_a_terminal_a_question_is_answered_refused_or_left_open() {
    let rows: [Row; 6] = [
        (
            "answered",
            "5 min",
            |screen| {
                screen.wait_for("Without an answer within 5 min the step is an error.");
                screen.wait_for("(the LED next to the antenna)");
                screen.send(b"maybe\r");
                screen.wait_for("That is no answer: \"maybe\" is neither yes nor no; type y or n.");
                screen.send(b"y\r");
                screen.wait_for("What does the meter show?");
                screen.send(b"1500\r");
                screen.wait_for("\"1500\" has no unit");
                screen.send(b"1500 mV\r");
            },
            0,
            "question: Is the LED green? (y or n)\nanswer: yes, by terminal\nanswer = Some(1.0)\npass: -",
        ),
        (
            "not as expected",
            "5 min",
            |screen| screen.send(b"n\r"),
            1,
            "question: Is the LED green? (y or n)\nanswer: no, by terminal\nanswer = Some(0.0)\n\
             fail: answer is 0, expected exactly 1",
        ),
        (
            "refused",
            "5 min",
            |screen| screen.send(b"?\r"),
            2,
            "question: Is the LED green? (y or n)\nerror: the person at the bench cannot say: Is the LED green?",
        ),
        // In wall time, although the virtual bench is as fast as it can be.
        (
            "timed out",
            "1500 ms",
            |_| (),
            2,
            "question: Is the LED green? (y or n)\nerror: nobody answered within 1.5s: Is the LED green?",
        ),
        (
            "SIGTERM",
            "5 min",
            |screen| screen.signal("-TERM"),
            4,
            "question: Is the LED green? (y or n)\naborted: stopped by SIGTERM",
        ),
        (
            "Ctrl-C",
            "5 min",
            |screen| screen.send(b"\x03"),
            4,
            "question: Is the LED green? (y or n)\naborted: stopped by Ctrl-C",
        ),
    ];
    for (how, timeout, act, code, expected) in rows {
        let prompts = Prompts::new(timeout);
        let mut screen = prompts.terminal();
        screen.wait_for(">> Is the LED green?");
        screen.wait_for("if you cannot say:");
        act(&mut screen);
        assert_eq!(screen.code(), Some(code), "{how}");
        let run = newest(&prompts.reports());
        assert_eq!(answered(&run, "led"), expected, "{how}");
        assert!(is_safe(&run), "{how}");
        let passed =
            run.entries.iter().any(|entry| matches!(entry.event, Event::RunEnded { verdict: Verdict::Pass, .. }));
        assert_eq!(passed, code == 0, "{how}");
    }
}

/// A terminal that answers no queries: what it can follows from its name, and what is typed stays an answer.
#[test]
fn a_picture_is_drawn_where_the_terminal_shows_pictures() {
    let (kitty, sixel) = (b"\x1b_G".as_slice(), b"\x1bP".as_slice());
    let rows: [(&str, &[&[u8]]); 5] =
        [("xterm-kitty", &[kitty]), ("foot", &[sixel]), ("xterm-256color", &[]), ("dumb", &[]), ("screen", &[])];
    for (term, expected) in rows {
        let prompts = Prompts::new("5 min");
        let mut screen = prompts.terminal_of(term);
        screen.wait_for("if you cannot say:");
        screen.wait_for("(the LED next to the antenna)");
        let came: Vec<&[u8]> = [kitty, sixel].into_iter().filter(|sequence| screen.received(sequence)).collect();
        assert_eq!(came, expected, "{term}\n{}", screen.text());
        screen.send(b"n\r");
        assert_eq!(screen.code(), Some(1), "{term}");
        assert_eq!(
            answered(&newest(&prompts.reports()), "led"),
            "question: Is the LED green? (y or n)\nanswer: no, by terminal\nanswer = Some(0.0)\n\
             fail: answer is 0, expected exactly 1",
            "{term}"
        );
    }
}

#[test]
fn without_a_terminal_answers_come_with_the_command() {
    let prompts = Prompts::new("5 min");
    let file = prompts.folder.path().join("answers.toml");
    std::fs::write(&file, "led = \"no\"\nmeter = \"1.2 V\"\n").unwrap();
    let file = file.to_str().unwrap();
    let wrong = prompts.folder.path().join("wrong.toml");
    std::fs::write(&wrong, "led = \"yes\"\nmeter = 1\n").unwrap();
    let wrong = wrong.to_str().unwrap();
    let rows: [(&[&str], i32, &str); 13] = [
        (&["--answer", "led=yes", "--answer", "meter=1.2 V"], 0, ""),
        // What is on the command line comes first.
        (&["--answers", file, "--answer", "led=y"], 0, ""),
        (&["--answers", file], 1, "the person answered no, expected yes: Is the LED green?"),
        (&["--answer", "led=y", "--answer", "meter=2.2 V"], 1, "the person answered 2.200 V"),
        (&["--answer", "led=?", "--answer", "meter=1.2 V"], 2, "cannot say: Is the LED green?"),
        (&[], 3, "the plan asks a person in `led` (and 1 more), and there is no terminal"),
        (&["--answer", "led=y"], 3, "the plan asks a person in `meter`, and there is no terminal"),
        (&["--answer", "let=y"], 3, "did you mean `led`?"),
        (&["--answer", "shorts=y"], 3, "known prompts: led, meter"),
        (&["--answer", "led"], 3, "there is no `=`"),
        (&["--answer", "led=perhaps"], 3, "\"perhaps\" is neither yes nor no; type y or n"),
        (&["--answer", "led=y", "--answer", "led=y"], 3, "led is answered twice"),
        (&["--answers", wrong], 3, "wrong.toml:2: invalid type: integer `1`, expected a string"),
    ];
    for (arguments, code, said) in rows {
        let _ = std::fs::remove_dir_all(prompts.reports());
        let (ended, output) = prompts.run(arguments);
        assert_eq!(ended, code, "{arguments:?}\n{output}");
        let flat = output.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(said), "{arguments:?}: {said}\n{output}");
        // A usage error comes before the record.
        assert_eq!(prompts.reports().exists(), code != 3, "{arguments:?}");
        if code == 0 {
            assert!(answered(&newest(&prompts.reports()), "led").contains("answer: yes, by --answer"), "{arguments:?}");
        }
    }
}

/// A picture is part of what a run is made of.
#[test]
fn a_picture_is_there_when_the_plan_is_loaded_and_hashed() {
    let prompts = Prompts::new("5 min");
    let hashes = || {
        let (code, output) = prompts.run(&["--answer", "led=y", "--answer", "meter=1.2 V"]);
        assert_eq!(code, 0, "{output}");
        let run = newest(&prompts.reports());
        let Event::RunStarted { provenance, .. } = &run.entries[0].event else { panic!("{:?}", run.entries[0]) };
        provenance.images.iter().map(|image| (image.path.clone(), image.sha256.clone())).collect::<Vec<_>>()
    };
    let before = hashes();
    assert_eq!(before.len(), 1);
    assert_eq!(before[0].0, "pictures/led.svg");
    let picture = prompts.folder.path().join("pictures/led.svg");
    std::fs::write(&picture, SVG.replace('2', "3")).unwrap();
    std::fs::remove_dir_all(prompts.reports()).unwrap();
    assert_ne!(hashes()[0].1, before[0].1);
    let check = |expected: &str| {
        let (code, output) = prompts.run(&["--answer", "led=y", "--answer", "meter=1.2 V"]);
        assert_eq!(code, 3, "{output}");
        assert!(output.contains(expected), "{output}");
        assert!(output.contains("the step `led` shows this picture"), "{output}");
    };
    std::fs::write(&picture, "no picture").unwrap();
    check("this is no SVG file");
    std::fs::remove_file(&picture).unwrap();
    check("pictures/led.svg");
}

fn station(prompts: &Prompts) -> Terminal {
    station_of("xterm-256color", prompts)
}

fn station_of(term: &str, prompts: &Prompts) -> Terminal {
    let rules = prompts.folder.path().join("rules.toml");
    let person = "begin = \"scan\"\nbell = false\n[[person]]\nid = \"OP-7\"\nname = \"Ada\"\n";
    std::fs::write(&rules, person).unwrap();
    let (plan, reports) = (prompts.plan(), prompts.reports());
    let mut all = vec!["operator", plan.to_str().unwrap(), "--virtual", "--reports", reports.to_str().unwrap()];
    all.extend(["--rules", rules.to_str().unwrap()]);
    Terminal::run_as(term, &bench(&all), 80, 24)
}

#[test]
fn the_operator_s_screen_draws_a_picture_and_keys_go_on_answering() {
    let rows: [(&str, &[u8]); 2] = [("xterm-kitty", b"\x1b_G"), ("foot", b"\x1bP")];
    for (term, sequence) in rows {
        let prompts = Prompts::new("5 min");
        let mut screen = station_of(term, &prompts);
        screen.wait_for("Scan the label");
        screen.send(b"P042AV000000001 MOBILESECRET\r");
        screen.wait_for("without an answer the test ends as a bench error");
        screen.wait_for_bytes(sequence);
        screen.send(b"2");
        screen.wait_for("1 fail");
        screen.send(b"\x1b[21~");
        assert_eq!(screen.code(), Some(0), "{term}");
    }
}

#[test]
fn on_the_operator_s_screen_a_question_is_answered_refused_or_left_open() {
    let asked = "question: Is the LED green? (y or n)\n";
    let rows: [Row; 6] = [
        (
            "answered",
            "5 min",
            |screen| {
                screen.send(b"1");
                screen.wait_for("What does the meter show?");
                screen.send(b"1.2 V\r");
                screen.wait_for("Good: send it to the next station");
            },
            0,
            "answer: yes, by OP-7\nanswer = Some(1.0)\npass: -",
        ),
        (
            "not as expected",
            "5 min",
            |screen| {
                screen.send(b"2");
                screen.wait_for("1 fail");
            },
            0,
            "answer: no, by OP-7\nanswer = Some(0.0)\nfail: answer is 0, expected exactly 1",
        ),
        (
            "refused",
            "5 min",
            |screen| {
                screen.send(b"0");
                screen.wait_for("1 error");
            },
            0,
            "error: the person at the bench cannot say: Is the LED green?",
        ),
        (
            "timed out",
            "1500 ms",
            |screen| screen.wait_for("1 error"),
            0,
            "error: nobody answered within 1.5s: Is the LED green?",
        ),
        ("SIGTERM", "5 min", |screen| screen.signal("-TERM"), 4, "aborted: stopped by SIGTERM"),
        ("Ctrl-C", "5 min", |screen| screen.send(b"\x03"), 4, "aborted: stopped by Ctrl-C"),
    ];
    for (how, timeout, act, code, expected) in rows {
        let prompts = Prompts::new(timeout);
        let mut screen = station(&prompts);
        screen.wait_for("Scan the label");
        screen.send(b"OP-7\r");
        screen.wait_for("Hello Ada");
        screen.send(b"P042AV000000001 MOBILESECRET\r");
        screen.wait_for("Is the LED green?");
        // What is typed at once after the label would be a part of it.
        screen.wait_for("without an answer the test ends as a bench error");
        act(&mut screen);
        if code == 0 {
            // F10: the end of the shift.
            screen.send(b"\x1b[21~");
        }
        assert_eq!(screen.code(), Some(code), "{how}");
        let run = newest(&prompts.reports());
        assert_eq!(answered(&run, "led"), format!("{asked}{expected}"), "{how}");
        assert!(is_safe(&run), "{how}");
        assert_eq!(crate::terminal::found_below(&prompts.reports(), "MOBILESECRET"), None, "{how}");
    }
}

/// A study runs a plan hundreds of times and asks nobody; a replay has the answers of the run.
#[test]
fn studies_leave_questions_out_and_a_replay_knows_the_answers() {
    let prompts = Prompts::new("5 min");
    let plan = prompts.plan();
    let plan = plan.to_str().unwrap();
    let ended = |arguments: &[&str]| {
        let out = bench(arguments).stdin(std::process::Stdio::null()).output().unwrap();
        (out.status.code(), format!("{}{}", text(&out.stdout), text(&out.stderr)))
    };
    let (code, shown) = ended(&["plan", plan]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("without led, meter: nobody answers in a study"), "{shown}");
    assert!(shown.contains("rail-3v3"), "{shown}");
    let (code, output) = prompts.run(&["--answer", "led=n", "--answer", "meter=1.2 V", "--record-answers", "--quiet"]);
    assert_eq!(code, 1, "{output}");
    let run = bench_journal::latest(&prompts.reports(), None).unwrap().unwrap();
    let again = prompts.folder.path().join("again");
    let folder = run.folder.to_str().unwrap();
    let (code, shown) = ended(&["replay", folder, "--plan", plan, "--reports", again.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(answered(&newest(&again), "led").contains("answer: no, by --answer"), "{shown}");
}
