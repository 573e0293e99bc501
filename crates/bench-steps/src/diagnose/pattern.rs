//! Interconnect test patterns, and what the answers show about each contact. Pure.
//!
//! Every contact gets its own code (modified counting: neither all zeros nor all ones, Goel and McMahon), with one
//! vector per bit and its complement (Wagner). Each vector is applied twice: with its ones driven and its zeros held by
//! pulls, then the other way round. No two strong drivers ever oppose each other, and a short has a defined answer.

/// One parallel vector: the wanted level of each contact, by index.
pub(crate) type Vector = Vec<bool>;

/// The vectors for `n` contacts: one per bit of the codes, each followed by its complement.
pub(crate) fn vectors(n: usize) -> Vec<Vector> {
    let codes = n + 2;
    let bits = usize::BITS - (codes - 1).leading_zeros();
    (0..bits)
        .flat_map(|bit| {
            let vector: Vector = (1..=n).map(|code| code >> bit & 1 == 1).collect();
            let complement = vector.iter().map(|level| !level).collect();
            [vector, complement]
        })
        .collect()
}

/// Which half of a vector is driven; the other half is held by pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driven {
    Ones,
    Zeros,
}

/// How often a contact in one state was read high.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub high: u32,
    pub all: u32,
}

impl Count {
    fn add(&mut self, high: bool) {
        self.all += 1;
        self.high += u32::from(high);
    }
    fn always_high(self) -> bool {
        self.high == self.all
    }
    fn never_high(self) -> bool {
        self.high == 0
    }
}

/// Answers of one contact in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    pub driven_high: Count,
    pub driven_low: Count,
    pub pulled_high: Count,
    pub pulled_low: Count,
}

impl Answers {
    pub(crate) fn add(&mut self, driven: Driven, wanted: bool, read: bool) {
        match (driven, wanted) {
            (Driven::Ones, true) => self.driven_high.add(read),
            (Driven::Ones, false) => self.pulled_low.add(read),
            (Driven::Zeros, true) => self.pulled_high.add(read),
            (Driven::Zeros, false) => self.driven_low.add(read),
        }
    }
    /// Number of vectors whose answer was not the wanted level.
    pub(crate) fn wrong(self) -> u32 {
        (self.driven_high.all - self.driven_high.high)
            + (self.pulled_high.all - self.pulled_high.high)
            + self.driven_low.high
            + self.pulled_low.high
    }
    fn all_high(self) -> bool {
        [self.driven_high, self.driven_low, self.pulled_high, self.pulled_low].iter().all(|count| count.always_high())
    }
    fn all_low(self) -> bool {
        [self.driven_high, self.driven_low, self.pulled_high, self.pulled_low].iter().all(|count| count.never_high())
    }
    /// The driver has no effect: the level is that of the reader's own pull.
    fn follows_pulls(self) -> bool {
        self.driven_high.never_high()
            && self.pulled_low.never_high()
            && self.driven_low.always_high()
            && self.pulled_high.always_high()
    }
    fn driver_obeyed(self) -> bool {
        self.driven_high.always_high() && self.driven_low.never_high()
    }
}

/// Class of a contact's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Good,
    Open,
    StuckHigh,
    StuckLow,
    /// The contact follows drivers, but the port's own pull is missing.
    PullLost,
    /// Another contact's level leaks in.
    Disturbed,
}

/// `from_dut`: the DUT drives and the nail reads. `from_nail`: the nail drives and the DUT reads.
///
/// In the first direction, an open contact leaves the nail alone with its own weak pull-up, so it always reads high. In
/// the second, it leaves the DUT alone with its own pull.
pub(crate) fn look(from_dut: &Answers, from_nail: &Answers) -> Look {
    if from_dut.wrong() == 0 && from_nail.wrong() == 0 {
        Look::Good
    } else if from_nail.follows_pulls() && (from_dut.all_high() || from_dut.wrong() > 0) {
        Look::Open
    } else if from_dut.all_high() && from_nail.all_high() {
        Look::StuckHigh
    } else if from_dut.all_low() && from_nail.all_low() {
        Look::StuckLow
    } else if from_dut.driver_obeyed() && from_nail.driver_obeyed() {
        // A contact that is joined to a neighbour follows that level; a lost pull reads the same each time.
        let steady = |count: Count| count.always_high() || count.never_high();
        if steady(from_dut.pulled_low) && steady(from_dut.pulled_high) { Look::PullLost } else { Look::Disturbed }
    } else {
        Look::Disturbed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_are_different_and_never_constant() {
        for n in 1..=64 {
            let vectors = vectors(n);
            let code = |i: usize| vectors.iter().step_by(2).map(|vector| vector[i]).collect::<Vec<_>>();
            for i in 0..n {
                assert!(code(i).iter().any(|&level| level) && code(i).iter().any(|&level| !level), "{i} of {n}");
                for j in 0..i {
                    assert_ne!(code(i), code(j), "{i} and {j} of {n}");
                }
            }
        }
        assert_eq!(vectors(26).len(), 10);
    }

    /// A net of ideal contacts with defects that answers as the electrical one does.
    #[derive(Debug, Clone, Copy)]
    enum Fault {
        Open(usize),
        Short(usize, usize),
        High(usize),
        Low(usize),
        NoPull(usize),
    }

    fn answers(n: usize, fault: Option<Fault>) -> Vec<(Answers, Answers)> {
        let mut answers = vec![(Answers::default(), Answers::default()); n];
        for vector in vectors(n) {
            for driven in [Driven::Ones, Driven::Zeros] {
                for (i, &wanted) in vector.iter().enumerate() {
                    let joined = |j: usize| match driven {
                        Driven::Ones => vector[i] || vector[j],
                        Driven::Zeros => vector[i] && vector[j],
                    };
                    let (mut nail, mut dut) = (wanted, wanted);
                    match fault {
                        Some(Fault::Open(k)) if k == i => (nail, dut) = (true, driven == Driven::Zeros),
                        Some(Fault::Short(a, b)) if a == i => (nail, dut) = (joined(b), joined(b)),
                        Some(Fault::Short(a, b)) if b == i => (nail, dut) = (joined(a), joined(a)),
                        Some(Fault::High(k)) if k == i => (nail, dut) = (true, true),
                        Some(Fault::Low(k)) if k == i => (nail, dut) = (false, false),
                        // The nail's own pull-up decides where the port's pull is missing.
                        Some(Fault::NoPull(k)) if k == i && driven == Driven::Ones && !wanted => {
                            (nail, dut) = (true, false);
                        }
                        _ => {}
                    }
                    answers[i].0.add(driven, wanted, nail);
                    answers[i].1.add(driven, wanted, dut);
                }
            }
        }
        answers
    }

    proptest! {
        #[test]
        fn each_single_defect_looks_like_itself(n in 2usize..40, a in 0usize..40, b in 0usize..40, kind in 0..6) {
            let (a, b) = (a % n, b % n);
            prop_assume!(a != b);
            let (fault, expected) = match kind {
                0 => (None, Look::Good),
                1 => (Some(Fault::Open(a)), Look::Open),
                2 => (Some(Fault::Short(a, b)), Look::Disturbed),
                3 => (Some(Fault::High(a)), Look::StuckHigh),
                4 => (Some(Fault::Low(a)), Look::StuckLow),
                _ => (Some(Fault::NoPull(a)), Look::PullLost),
            };
            let answers = answers(n, fault);
            for (i, (from_dut, from_nail)) in answers.iter().enumerate() {
                let hit = i == a || (kind == 2 && i == b);
                let expected = if hit && kind != 0 { expected } else { Look::Good };
                // Of a shorted pair, one end may follow only its own driver; the other end shows the short.
                let seen = look(from_dut, from_nail);
                if kind == 2 && hit {
                    prop_assert_ne!(seen, Look::Good);
                } else {
                    prop_assert_eq!(seen, expected, "contact {} of {}", i, n);
                }
            }
        }
    }
}
