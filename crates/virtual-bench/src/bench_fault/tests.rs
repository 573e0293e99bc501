use super::{BENCH_KINDS, BenchFault, Group, all_bench_faults};
use crate::testing;
use std::collections::BTreeSet;

#[test]
fn every_listed_fault_parses_back_and_can_be_had() {
    let mut kinds = BTreeSet::new();
    for (dut, fixture) in [(testing::dut("b4xx"), testing::fixture()), testing::boron()] {
        let all = all_bench_faults(&dut, &fixture);
        kinds.extend(all.iter().map(BenchFault::kind));
        let texts: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), all.len(), "each of them once");
        for fault in &all {
            assert_eq!(&fault.to_string().parse::<BenchFault>().unwrap(), fault);
            assert_eq!(fault.check(&fixture), Ok(()), "{fault}");
            assert!(!fault.words(&fixture).is_empty(), "{fault}");
        }
        let groups: BTreeSet<Group> = all.iter().map(BenchFault::group).collect();
        assert_eq!(groups.len(), Group::ALL.len());
    }
    // A module with an antenna of its own needs no coil in the fixture.
    assert_eq!(kinds.len(), BENCH_KINDS.len(), "of every kind");
}

#[test]
fn mistakes_in_orders_are_explained() {
    let fixture = testing::fixture();
    let rows = [
        ("nail-wron:23", "did you mean `nail-worn`?"),
        ("nail-worn", "write its target: `nail-worn:CONTACT[@OHMS]`"),
        ("nail-worn:A0", "expected the number of a contact, found `A0`"),
        ("nail-worn:23@lots", "expected 0 to 1000000000 ohms, found `lots`"),
        ("nail-open:23@5", "`nail-open` takes no number: `nail-open:CONTACT`"),
        ("link-lost:3", "`link-lost` takes no target: `link-lost[@N]`"),
        ("link-lost@0", "expected 1 to 1000000 bytes, found `0`"),
        ("nail-worn:200", "a nail that fixture b-series does not have"),
        ("chip-silent:io9", "a chip that fixture b-series does not have"),
        ("rail-low:3v3", "did you mean"),
        ("rail-slow:5v", "a rail that fixture b-series does not have"),
        ("switch-open:io5.GPC1", "an output that fixture b-series does not have"),
        ("bank-stuck:7", "it has 5 banks"),
        ("expander-reset:adc", "needs a port expander"),
        ("monitor-stuck:io0", "needs a power monitor"),
    ];
    for (text, expected) in rows {
        let said = match text.parse::<BenchFault>() {
            Err(error) => error.to_string(),
            Ok(fault) => fault.check(&fixture).expect_err(text).to_string(),
        };
        assert!(said.contains(expected), "{text}: {said}");
    }
}
