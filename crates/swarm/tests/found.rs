//! What the swarm found, smallest form first: none of it may come back.

use std::path::{Path, PathBuf};
use swarm::{Alone, Case, Scenario, check};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The run, and what was wrong.
const FOUND: &[(&str, &str)] = &[
    (
        "plan=b404x seed=43144 events=[stall@6829072us+2613684us]",
        "the watchdog cut between a void attempt and its repetition: the step ended twice on record",
    ),
    (
        "plan=desk-b524 seed=974114 events=[observer-panic@31482967us]",
        "an error of the bench after the last step did not hold against its own record",
    ),
    (
        "plan=desk-b524 seed=548690 events=[stall@21045615us+1096905us]",
        "the sense line of a modem was read after the firmware had let it go, and the modem was taken for on",
    ),
    ("plan=b523 seed=246835 events=[supply:3V3:2@1018773us]", "a supply that delivers nothing failed the module"),
    ("plan=b404x seed=225862 events=[supply:VUSB:23@1932683us]", "the same, with the USB supply"),
];

#[test]
fn what_was_found_once_holds() {
    let mut wrong = Vec::new();
    for (text, what) in FOUND {
        let scenario: Scenario = text.parse().unwrap();
        let case = Case::load(&root(), &scenario.plan).unwrap_or_else(|error| panic!("{error:?}"));
        let ran = check(&case, &scenario, &Alone::default()).unwrap_or_else(|error| panic!("{error:?}"));
        wrong.extend(ran.violations.iter().map(|violation| format!("{text}: {violation} ({what})")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
