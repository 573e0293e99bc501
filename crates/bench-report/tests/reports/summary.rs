use crate::runs;
use bench_report::{RunRecord, Style, builders::RunBuilder, summary};
use bench_run::{Defect, Entry, Verdict};

fn shown(entries: &[Entry]) -> String {
    summary(&runs::record(entries), Style { colour: false, width: 80 })
}

#[test]
fn pages() {
    insta::assert_snapshot!("pass", shown(&runs::pass()));
    insta::assert_snapshot!("pass_at_second_attempt", shown(&runs::pass_at_second_attempt()));
    insta::assert_snapshot!("pass_after_void_attempts", shown(&runs::pass_after_void_attempts()));
    insta::assert_snapshot!("fail", shown(&runs::fail()));
    insta::assert_snapshot!("fail_without_diagnosis", shown(&runs::fail_without_diagnosis()));
    insta::assert_snapshot!("error", shown(&runs::error()));
    insta::assert_snapshot!("aborted", shown(&runs::aborted()));
    insta::assert_snapshot!("not_finished", shown(&runs::not_finished()));
    insta::assert_snapshot!("rails_unknown", shown(&runs::rails_unknown()));
    insta::assert_snapshot!("empty", summary(&RunRecord::from_entries::<bench_run::Entry>(&[]), Style::default()));
}

#[test]
fn the_width_is_kept() {
    for (what, entries) in runs::all() {
        for width in [40, 52, 80, 200] {
            let page = summary(&runs::record(&entries), Style { colour: false, width });
            for line in page.lines() {
                assert!(line.chars().count() <= width, "{what} in {width} columns: {line}");
            }
        }
    }
}

#[test]
fn colours_add_nothing_but_colours() {
    for (what, entries) in runs::all() {
        let plain = shown(&entries);
        assert!(!plain.contains('\u{1b}'), "{what}");
        let coloured = summary(&runs::record(&entries), Style { colour: true, width: 80 });
        assert!(coloured.starts_with("\u{1b}["), "{what}");
        let mut stripped = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, escape)) = rest.split_once("\u{1b}[") {
            stripped.push_str(before);
            rest = escape.split_once('m').unwrap().1;
        }
        stripped.push_str(rest);
        assert_eq!(stripped, plain, "{what}");
    }
}

#[test]
fn every_verdict_says_what_to_do() {
    let rows = [
        (runs::pass(), "PASS", ""),
        (runs::fail(), "FAIL", "Send the module to repair."),
        (runs::error(), "ERROR", "Call the technician"),
        (runs::aborted(), "ABORTED", "Test it again."),
        (runs::not_finished(), "NOT FINISHED", "call the technician"),
        (runs::rails_unknown(), "ERROR", "Call the technician"),
    ];
    for (entries, word, order) in rows {
        let page = shown(&entries);
        assert!(page.starts_with(word) && page.replace('\n', " ").contains(order), "{page}");
    }
}

/// Text from a scanner or a module must not control the operator's terminal.
#[test]
fn no_control_character_reaches_the_screen() {
    let nasty = "\u{1b}[2JPASS\u{7}\r\nx\u{9b}31m";
    let entries = RunBuilder::new(nasty, nasty)
        .plan(&[(nasty, nasty, 1)])
        .step(nasty)
        .volts(nasty, 9.0, 0.0, 1.0)
        .diagnosis(Defect::Other, &[1], nasty)
        .note(nasty)
        .end_because(Verdict::Fail, nasty)
        .stopping(nasty)
        .unsafe_because(nasty)
        .run_end_because(Verdict::Fail, nasty);
    let page = summary(&RunRecord::from_entries(&entries).with_run_folder(nasty), Style::default());
    assert!(page.chars().all(|c| c == '\n' || !c.is_control()), "{page:?}");
    assert!(page.starts_with("FAIL"));
}
