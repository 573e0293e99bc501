//! What people see, at the smallest size that is promised and at a large one.

use super::*;

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];

fn show(name: &str, station: &Station) {
    for (columns, rows) in SIZES {
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), station.draw(columns, rows));
    }
}

fn started(nests: usize) -> Station {
    let mut station = Station::new(nests, Rules::default());
    for number in 1..=u32::try_from(nests).unwrap() {
        station.scan(&label(number));
        station.press(Press::Enter);
    }
    station
}

#[test]
fn one_nest_from_label_to_verdict() {
    let mut station = Station::new(1, Rules::default());
    show("one_empty", &station);
    station.scan(&label(1));
    show("one_ready", &station);
    station.press(Press::Enter);
    station.entries(0, &half(3.31));
    show("one_running", &station);
    station.press(Press::Escape);
    show("one_abort", &station);
    station.press(Press::Escape);
    for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Error, Verdict::Aborted] {
        let mut station = started(1);
        station.ends(0, verdict);
        show(&format!("one_{verdict}"), &station);
    }
}

/// The line's server is away: a small sign, in the smallest window, too, and gone when everything has arrived.
#[test]
fn runs_that_could_not_be_forwarded() {
    let mut station = Station::new(1, Rules::default());
    for (waiting, shown) in [(0, false), (1234, true), (0, false)] {
        station.happens(Input::Waiting(waiting));
        let screen = station.draw(80, 24);
        assert_eq!(screen.contains("(1234 to be sent)") || screen.contains("(1,234 to be sent)"), shown, "{screen}");
    }
}

#[test]
fn several_nests() {
    let mut two = started(2);
    two.entries(0, &half(0.4));
    two.ends(1, Verdict::Fail);
    show("two", &two);
    for nests in [4, 8] {
        let mut station = started(nests);
        for (nest, verdict) in [Verdict::Pass, Verdict::Fail, Verdict::Error, Verdict::Aborted].into_iter().enumerate()
        {
            station.ends(nest, verdict);
        }
        if nests == 8 {
            station.entries(4, &half(3.31));
            station.ends(6, Verdict::Pass);
            station.press(Press::NestStatus(6));
            station.press(Press::Enter);
            station.scan(&label(9));
        }
        show(&format!("nests_{nests}"), &station);
    }
}

#[test]
fn a_boron_and_another_language() {
    let rules = Rules { language: "de".to_owned(), ..Rules::default() };
    let mut station = Station::of("boron", 1, rules);
    station.scan("P044AV000000001 SECRET");
    station.press(Press::Enter);
    let mut entries = run(Verdict::Fail);
    for entry in &mut entries {
        if let Event::Diagnosed { diagnosis, .. } = &mut entry.event {
            diagnosis.contacts.iter_mut().for_each(|contact| contact.0 %= 27);
        }
    }
    station.entries(0, &entries);
    station.happens(Input::FromNest(0, FromNest::Ended(Box::new(ended(Verdict::Fail, &entries)))));
    show("boron_german", &station);
    station.press(Press::Enter);
    station.scan("P042AV000000001");
    show("german_wrong_label", &station);
}

#[test]
fn the_longest_time_of_an_orderly_stop_is_shown_and_counts_down() {
    let mut station = started(2);
    station.app.setup.orderly = Duration::from_millis(30_500);
    station.entries(0, &half(3.31));
    station.press(Press::NestStatus(0));
    station.press(Press::Escape);
    let shown = station.draw(80, 24);
    assert!(shown.contains("at most 31 s"), "{shown}");
    station.press(Press::Enter);
    // Seconds since the order, and what is left.
    for (seconds, left) in [(0, 31), (10, 21), (20, 1), (10, 0)] {
        station.soon(Duration::from_secs(seconds), Input::Tick);
        let shown = station.draw(80, 24);
        assert!(shown.contains(&format!("off in {left} s at most")), "{seconds} s later: {shown}");
    }
    // Ctrl-C: the longest of all nests; the first one has been at it for longer.
    station.press(Press::Interrupt);
    let shown = station.draw(80, 24);
    assert!(shown.contains("switching everything off, at most 31 s"), "{shown}");
    // Nothing to wait for any more.
    station.press(Press::Delete);
    let shown = station.draw(80, 24);
    assert!(!shown.contains("at most") && !shown.contains("off in") && shown.contains("SWITCHING OFF"), "{shown}");
}

#[test]
fn a_nest_that_hangs_says_so() {
    let mut station = started(1);
    station.entries(0, &half(3.31));
    station.soon(Duration::from_secs(61), Input::Tick);
    let shown = station.draw(80, 24);
    assert!(shown.contains("No response for 61 s"), "{shown}");
}

#[test]
fn every_size_is_drawn() {
    for nests in 1..=8 {
        let mut station = started(nests);
        station.entries(0, &half(3.31));
        for nest in 1..nests {
            station.ends(nest, [Verdict::Fail, Verdict::Pass, Verdict::Error, Verdict::Aborted][nest % 4]);
        }
        station.press(Press::NestStatus(0));
        station.press(Press::Escape);
        for (columns, rows) in
            [(1, 1), (3, 50), (200, 2), (40, 16), (41, 17), (79, 23), (80, 24), (133, 37), (300, 100)]
        {
            let shown = station.draw(columns, rows);
            assert_eq!(shown.split('\n').count(), usize::from(rows), "{nests} nests in {columns}x{rows}");
        }
    }
}

/// Without colours, the marks of a frame show its verdict.
#[test]
fn no_two_verdicts_have_the_same_frame() {
    let mut frames: Vec<String> = Vec::new();
    for verdict in [Verdict::Pass, Verdict::Fail, Verdict::Error, Verdict::Aborted] {
        let mut station = started(1);
        station.ends(0, verdict);
        let shown = station.draw(80, 24);
        let bottom = shown.lines().nth(18).unwrap().to_owned();
        assert!(!frames.contains(&bottom), "{verdict}: {bottom}");
        frames.push(bottom);
    }
}
