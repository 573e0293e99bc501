//! A random program: initial state of the machine, and instructions.

use crate::kinds::{Fragment, GROUPS, Kind, unit};
use crate::layout::{STACK_ABOVE, WINDOW_END, WINDOW_WORDS};
use crate::rng::Rng;

/// State set before a program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// r0 to r12.
    pub registers: [u32; 13],
    pub lr: u32,
    pub sp: u32,
    /// N, Z, C, V, Q and GE.
    pub apsr: u32,
    pub fpscr: u32,
    pub singles: [u32; 32],
    /// Data area and stack.
    pub window: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub seed: u64,
    pub number: u64,
    pub state: State,
    pub units: Vec<Fragment>,
}

/// Makes the programs of a seed.
pub struct Generator {
    pub kinds: Vec<Kind>,
    /// Groups with the indices of their kinds and their weight.
    groups: Vec<(Vec<usize>, u32)>,
}

impl Generator {
    /// `only` names a group, or a kind; without it every group is used. An unknown name is an error.
    pub fn new(only: Option<&str>) -> Result<Generator, String> {
        let kinds = crate::kinds::kinds();
        let groups: Vec<(Vec<usize>, u32)> = GROUPS
            .iter()
            .map(|(group, weight)| {
                let wanted = |kind: &Kind| {
                    kind.group == *group && only.is_none_or(|only| only == kind.group || only == kind.name)
                };
                let indices = kinds.iter().enumerate().filter(|(_, kind)| wanted(kind)).map(|(index, _)| index);
                (indices.collect(), *weight)
            })
            .filter(|(indices, _): &(Vec<usize>, u32)| !indices.is_empty())
            .collect();
        match (groups.is_empty(), only) {
            (true, only) => Err(format!("no group or kind named {}", only.unwrap_or("(none)"))),
            (false, _) => Ok(Generator { kinds, groups }),
        }
    }

    /// Returns the same program for the same numbers, regardless of other programs.
    pub fn program(&self, seed: u64, number: u64) -> Program {
        let mut rng = Rng::new(seed, number);
        let state = State::random(&mut rng);
        let count = rng.range(4, 16);
        let units = (0..count).map(|_| unit(&self.kinds, self.choose(&mut rng), &mut rng)).collect();
        Program { seed, number, state, units }
    }

    fn choose(&self, rng: &mut Rng) -> usize {
        let total = self.groups.iter().map(|(_, weight)| weight).sum();
        let mut at = rng.below(total);
        for (indices, weight) in &self.groups {
            if at < *weight {
                return rng.pick(indices);
            }
            at -= weight;
        }
        // Not reached: `at` is below the sum of the weights.
        0
    }
}

impl State {
    fn random(rng: &mut Rng) -> State {
        State {
            registers: std::array::from_fn(|_| rng.integer()),
            lr: rng.integer(),
            sp: WINDOW_END - STACK_ABOVE - 4 * rng.below(8),
            apsr: rng.below(32) << 27 | rng.below(16) << 16,
            fpscr: rng.fpscr(),
            singles: std::array::from_fn(|_| if rng.chance(15) { rng.integer() } else { rng.single() }),
            window: (0..WINDOW_WORDS).map(|_| if rng.bit() == 0 { rng.integer() } else { rng.single() }).collect(),
        }
    }
}
