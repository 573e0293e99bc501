//! Decides whose turn it is among steps that wait only for resources.
//!
//! Resource names are mapped to small numbers once, and steps with the same uses and shares form one class. The members
//! of a class conflict with the same steps, so only the first waiting member of each can make a difference. A round
//! therefore checks one step of each class and the new ones, however many wait.

use crate::Step;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

#[derive(Debug, Default)]
pub(crate) struct Turns {
    class_of: Vec<usize>,
    classes: Vec<Class>,
    resources: Vec<Resource>,
    /// Steps that hold their resources: few, even in a long plan. They run, or are being cleaned up.
    holding: Vec<usize>,
    /// Steps that started to wait for resources since the last round.
    new: Vec<usize>,
    /// For a step whose turn has come: the number of steps that held its resources by then and have not released them
    /// since.
    ahead: Vec<usize>,
    /// For a holder: the steps that count it as ahead of them.
    behind: Vec<Vec<usize>>,
    /// Classes with a step that has no step ahead of it.
    active: BTreeSet<usize>,
    /// Number of this round.
    round: u64,
    /// Whether the next round can have another result than the last.
    changed: bool,
}

/// Steps with the same uses and shares.
#[derive(Debug, Default)]
struct Class {
    uses: Vec<usize>,
    /// Without those that it also uses.
    shares: Vec<usize>,
    /// Waiting members with no step ahead of them: only the first can start, and no step may overtake it any more.
    first: BinaryHeap<Reverse<usize>>,
}

#[derive(Debug, Default)]
struct Resource {
    users: Vec<usize>,
    sharers: Vec<usize>,
    /// The last round in which a step that may not be overtaken waited to use it, and to share it.
    claimed_for_use: u64,
    claimed_for_sharing: u64,
}

impl Turns {
    pub(crate) fn new(steps: &[&Step]) -> Self {
        let mut turns = Self { ahead: vec![0; steps.len()], behind: vec![Vec::new(); steps.len()], ..Self::default() };
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut classes: HashMap<[Vec<usize>; 2], usize> = HashMap::new();
        for step in steps {
            let [uses, mut shares] = [&step.uses, &step.shares].map(|names| {
                let number = |name| {
                    let next = numbers.len();
                    *numbers.entry(name).or_insert(next)
                };
                names
                    .iter()
                    .map(String::as_str)
                    .map(number)
                    .collect::<BTreeSet<usize>>()
                    .into_iter()
                    .collect::<Vec<_>>()
            });
            shares.retain(|resource| !uses.contains(resource));
            let key = [uses, shares];
            let class = classes.get(&key).copied().unwrap_or_else(|| {
                let [uses, shares] = key.clone();
                turns.classes.push(Class { uses, shares, ..Class::default() });
                classes.insert(key, turns.classes.len() - 1);
                turns.classes.len() - 1
            });
            turns.class_of.push(class);
        }
        turns.resources.resize_with(numbers.len(), Resource::default);
        turns
    }

    /// From now on the step waits only for resources.
    pub(crate) fn wait(&mut self, step: usize) {
        self.new.push(step);
        self.changed = true;
    }

    /// Returns the steps that hold their resources, in no order.
    pub(crate) fn holding(&self) -> &[usize] {
        &self.holding
    }

    /// Returns the steps whose turn it is, in the plan's order; they hold their resources from now on.
    pub(crate) fn start(&mut self) -> Vec<usize> {
        let mut starts = Vec::new();
        if !std::mem::take(&mut self.changed) {
            return starts;
        }
        self.round += 1;
        // In the plan's order: new steps, and the first waiting step of each class.
        let new = self.new.drain(..).map(|step| Reverse((step, None)));
        let waiting = self.active.iter().filter_map(|&class| {
            let Reverse(step) = self.classes[class].first.peek()?;
            Some(Reverse((*step, Some(class))))
        });
        let mut candidates: BinaryHeap<Reverse<(usize, Option<usize>)>> = new.chain(waiting).collect();
        while let Some(Reverse((step, waited_in))) = candidates.pop() {
            let class = self.class_of[step];
            let held = waited_in.is_none() && self.holding.contains(&step);
            if held || self.is_blocked(class) {
                let is_first = waited_in.is_some() || self.count_ahead(step) == 0;
                if is_first {
                    if waited_in.is_none() {
                        self.put_first(step);
                    }
                    self.claim(class);
                }
                continue;
            }
            self.take(step);
            starts.push(step);
            if waited_in.is_none() {
                continue;
            }
            let Class { uses, first, .. } = &mut self.classes[class];
            first.pop();
            match first.peek() {
                None => {
                    self.active.remove(&class);
                }
                // One of its members now holds the resources.
                Some(_) if !uses.is_empty() => {}
                Some(Reverse(next)) => candidates.push(Reverse((*next, Some(class)))),
            }
        }
        starts
    }

    /// Frees the step's resources.
    pub(crate) fn let_go(&mut self, step: usize) {
        let Some(place) = self.holding.iter().position(|holder| *holder == step) else { return };
        self.changed = true;
        self.holding.swap_remove(place);
        let Class { uses, shares, .. } = &self.classes[self.class_of[step]];
        uses.iter().for_each(|resource| self.resources[*resource].users.retain(|holder| *holder != step));
        shares.iter().for_each(|resource| self.resources[*resource].sharers.retain(|holder| *holder != step));
        for waiting in std::mem::take(&mut self.behind[step]) {
            self.ahead[waiting] -= 1;
            if self.ahead[waiting] == 0 {
                self.put_first(waiting);
            }
        }
    }

    /// Frees everything; nothing will start.
    pub(crate) fn clear(&mut self) {
        self.holding.clear();
    }

    fn take(&mut self, step: usize) {
        self.holding.push(step);
        let Class { uses, shares, .. } = &self.classes[self.class_of[step]];
        uses.iter().for_each(|resource| self.resources[*resource].users.push(step));
        shares.iter().for_each(|resource| self.resources[*resource].sharers.push(step));
    }

    fn put_first(&mut self, step: usize) {
        let class = self.class_of[step];
        self.classes[class].first.push(Reverse(step));
        self.active.insert(class);
    }

    /// Whether the class's resources are held, or awaited by a step that may not be overtaken.
    fn is_blocked(&self, class: usize) -> bool {
        let Class { uses, shares, .. } = &self.classes[class];
        let is_used = |resource: &Resource| !resource.users.is_empty() || resource.claimed_for_use == self.round;
        let is_shared =
            |resource: &Resource| !resource.sharers.is_empty() || resource.claimed_for_sharing == self.round;
        uses.iter().map(|resource| &self.resources[*resource]).any(|resource| is_used(resource) || is_shared(resource))
            || shares.iter().map(|resource| &self.resources[*resource]).any(is_used)
    }

    fn claim(&mut self, class: usize) {
        let Class { uses, shares, .. } = &self.classes[class];
        uses.iter().for_each(|resource| self.resources[*resource].claimed_for_use = self.round);
        shares.iter().for_each(|resource| self.resources[*resource].claimed_for_sharing = self.round);
    }

    /// Counts the holders that delay a step whose turn has come.
    fn count_ahead(&mut self, step: usize) -> usize {
        let Class { uses, shares, .. } = &self.classes[self.class_of[step]];
        let mut holders: Vec<usize> = self.holding.iter().copied().filter(|holder| *holder == step).collect();
        for resource in uses.iter().map(|resource| &self.resources[*resource]) {
            holders.extend(resource.users.iter().chain(&resource.sharers));
        }
        shares.iter().for_each(|resource| holders.extend(&self.resources[*resource].users));
        holders.sort_unstable();
        holders.dedup();
        holders.iter().for_each(|holder| self.behind[*holder].push(step));
        self.ahead[step] = holders.len();
        holders.len()
    }
}
