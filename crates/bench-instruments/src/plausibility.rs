//! The checks that keep a good module from being blamed for the bench, by name, to measure what each is worth.

use std::fmt;
use std::str::FromStr;

/// One check of the bench on itself. The step `bench-check` is another: a plan can do without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plausibility {
    /// A transfer on the I2C bus that was not acknowledged is repeated.
    RepeatedTransfers,
    /// The pins of port expanders are compared with their latches.
    PinsReadBack,
    /// Source, ADC and multiplexer are looked at again before a module fails.
    SecondOpinion,
    /// The link is looped back for longer before a module is blamed that falls silent or counts wrongly.
    LossyLink,
}

impl Plausibility {
    pub const ALL: [Self; 4] = [Self::RepeatedTransfers, Self::PinsReadBack, Self::SecondOpinion, Self::LossyLink];

    pub fn name(self) -> &'static str {
        match self {
            Self::RepeatedTransfers => "repeated-transfers",
            Self::PinsReadBack => "pins-read-back",
            Self::SecondOpinion => "second-opinion",
            Self::LossyLink => "lossy-link",
        }
    }
}

impl fmt::Display for Plausibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Plausibility {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|check| check.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!("no such check; known: {}", names.join(", "))
        })
    }
}
