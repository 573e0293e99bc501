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
    (
        "plan=b404x seed=1 events=[supply:3V3:1000@2051346us]",
        "a supply that sags failed the module: no rail was below the voltage of a collapse",
    ),
    (
        "plan=desk-b404 seed=185753 events=[]",
        "a modem that an earlier user left at another rate was deaf when that was set back, and a good module got an error",
    ),
    (
        "plan=b523 seed=198500 events=[expander:io1@2757763us]",
        "an expander of nails was reset in the middle of a step that then wrote all of its registers: the module failed",
    ),
    (
        "plan=b524 seed=765663 blank events=[signal@24222781us bench:no-handles]",
        "a rule of the swarm: a run that a person stopped is an error when its record cannot be read back",
    ),
    (
        "plan=b402 seed=586090 events=[supply:VUSB:176@5755110us]",
        "a supply that rises slowly when it is switched on again failed the module, which did not see it yet",
    ),
    (
        "plan=b524 seed=521231 events=[stall@222157us+2614734us bench:rail-stuck-on:3V3]",
        "a rail whose switch is stuck was confirmed to be off, while the watchdog held it",
    ),
    (
        "plan=boron seed=83437 events=[bench:output-high:io2.GPB1]",
        "a rule of the swarm: the stuck switch of a load, on a rail that the module makes, feeds nothing",
    ),
    (
        "plan=boron seed=928230 recorded events=[stall@2771708us+124454us]",
        "a rule of the swarm: the replay of a run with a stall lacked the answers of an attempt that is void only there",
    ),
    (
        "plan=desk-b523 seed=205798 recorded events=[signal@21059803us bench:link-noise]",
        "a rule of the swarm: a step that a person stopped had another verdict in the replay",
    ),
    (
        "plan=boron seed=185329 events=[supply:VUSB:1951@1218375us]",
        "a supply that gives little failed a module that then drew little",
    ),
    (
        "plan=b523 seed=147976 events=[signal@4496113us expander:io5@4496810us]",
        "a rule of the swarm: an expander was reset while the rails were discharged, and the module kept its charge",
    ),
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
