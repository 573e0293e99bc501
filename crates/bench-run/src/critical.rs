//! The least time that a plan can take, whatever the order in which its steps are started.
//!
//! Two things make a plan long: steps that wait for each other (`needs`, `after`), and steps that exclude each other
//! because they use the same resources (a *crowd*). For any subset of a crowd, the run takes at least as long as what
//! must come before the first member, plus all members one after the other, plus what must come after the last. The
//! largest such sum over all subsets of all crowds is the lower bound; a chain of steps is the case of a subset with
//! one step. What must come before a step is computed in the same way from the steps that it waits for, directly or
//! through others.

use crate::Step;
use std::time::Duration;

/// A lower bound, with the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriticalPath {
    /// No run of the plan with these times is shorter.
    pub least: Duration,
    /// The steps that cause it, in the order in which they must run; their times add up to `least`.
    pub legs: Vec<Leg>,
}

/// A part of the critical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leg {
    /// Index of a step in the plan.
    Step(usize),
    /// Steps that exclude each other, ascending.
    Crowd { steps: Vec<usize>, resource: String },
}

impl Leg {
    pub fn steps(&self) -> &[usize] {
        match self {
            Leg::Step(step) => std::slice::from_ref(step),
            Leg::Crowd { steps, .. } => steps,
        }
    }
}

/// Returns the critical path of a plan in which every step passes at the first attempt. `takes` holds each step's time;
/// a missing one counts as zero.
pub fn critical_path(steps: &[Step], takes: &[Duration]) -> CriticalPath {
    let micros = |time: &Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut takes: Vec<u64> = takes.iter().take(steps.len()).map(micros).collect();
    takes.resize(steps.len(), 0);
    let graph = Graph::of(steps);
    let plan = Timed { takes, crowds: crowds(steps) };

    let mut ahead = vec![Stretch::default(); steps.len()];
    for &step in &graph.order {
        let before = reached(step, &graph.waits);
        let after_them = plan.chains(&before, graph.order.iter().rev(), &graph.followers, Stretch::then_after);
        ahead[step] = plan.longest(&before, &ahead, &after_them);
    }
    let mut behind = vec![Stretch::default(); steps.len()];
    for &step in graph.order.iter().rev() {
        let after = reached(step, &graph.followers);
        let before_them = plan.chains(&after, graph.order.iter(), &graph.waits, Stretch::then_before);
        behind[step] = plan.longest(&after, &before_them, &behind);
    }
    let longest = plan.longest(&vec![true; steps.len()], &ahead, &behind);
    CriticalPath { least: Duration::from_micros(longest.micros), legs: longest.legs }
}

/// Steps in topological order, and the edges in both directions.
struct Graph {
    order: Vec<usize>,
    waits: Vec<Vec<usize>>,
    followers: Vec<Vec<usize>>,
}

impl Graph {
    fn of(steps: &[Step]) -> Self {
        let waits = |step: &Step| {
            step.needs.iter().chain(&step.after).copied().filter(|earlier| *earlier < steps.len()).collect()
        };
        let waits: Vec<Vec<usize>> = steps.iter().map(waits).collect();
        let mut followers = vec![Vec::new(); steps.len()];
        for (step, first) in waits.iter().enumerate() {
            first.iter().for_each(|earlier| followers[*earlier].push(step));
        }
        let mut placed = vec![false; steps.len()];
        let mut order = Vec::with_capacity(steps.len());
        // A checked plan has no cycle. In any other, the steps of the cycle are left out.
        loop {
            let ready = |step: &usize| !placed[*step] && waits[*step].iter().all(|earlier| placed[*earlier]);
            let next: Vec<usize> = (0..steps.len()).filter(ready).collect();
            if next.is_empty() {
                return Self { order, waits, followers };
            }
            next.iter().for_each(|step| placed[*step] = true);
            order.extend(next);
        }
    }
}

/// Returns the steps that are reachable from this one, without itself.
fn reached(from: usize, edges: &[Vec<usize>]) -> Vec<bool> {
    let mut reached = vec![false; edges.len()];
    let mut open = edges[from].clone();
    while let Some(step) = open.pop() {
        if !std::mem::replace(&mut reached[step], true) {
            open.extend(&edges[step]);
        }
    }
    reached
}

/// Returns sets of mutually exclusive steps.
struct Crowd {
    steps: Vec<usize>,
    resource: String,
}

/// Each step alone; the users of each resource; and these with those of its sharers that use another resource.
fn crowds(steps: &[Step]) -> Vec<Crowd> {
    let mut crowds: Vec<Crowd> =
        (0..steps.len()).map(|step| Crowd { steps: vec![step], resource: String::new() }).collect();
    let mut resources: Vec<&String> = steps.iter().flat_map(|step| &step.uses).collect();
    resources.sort_unstable();
    resources.dedup();
    for resource in &resources {
        for second in &resources {
            let among = |index: &usize| {
                let step = &steps[*index];
                step.uses.contains(resource) || step.shares.contains(resource) && step.uses.contains(second)
            };
            let members: Vec<usize> = (0..steps.len()).filter(among).collect();
            // Most pairs add no member.
            if crowds.iter().all(|crowd| crowd.steps != members) {
                let only_users = members.iter().all(|index| steps[*index].uses.contains(resource));
                let resource = if only_users { (*resource).clone() } else { format!("{resource} or {second}") };
                crowds.push(Crowd { steps: members, resource });
            }
        }
    }
    crowds
}

/// A chain of steps and its time.
#[derive(Debug, Clone, Default)]
struct Stretch {
    micros: u64,
    legs: Vec<Leg>,
}

impl Stretch {
    fn then_after(step: usize, rest: &Self) -> Vec<Leg> {
        [&[Leg::Step(step)], rest.legs.as_slice()].concat()
    }
    fn then_before(step: usize, rest: &Self) -> Vec<Leg> {
        [rest.legs.as_slice(), &[Leg::Step(step)]].concat()
    }
}

struct Timed {
    takes: Vec<u64>,
    crowds: Vec<Crowd>,
}

impl Timed {
    /// Returns for each step of a set the longest chain of edges inside it; `order` lists every step after those that
    /// its edges lead to.
    fn chains<'o>(
        &self,
        set: &[bool],
        order: impl Iterator<Item = &'o usize>,
        edges: &[Vec<usize>],
        join: fn(usize, &Stretch) -> Vec<Leg>,
    ) -> Vec<Stretch> {
        let mut chains = vec![Stretch::default(); set.len()];
        for &step in order.filter(|step| set[**step]) {
            let inside = edges[step].iter().copied().filter(|next| set[*next]);
            let length = |next: usize| self.takes[next].saturating_add(chains[next].micros);
            if let Some(next) = inside.max_by_key(|next| length(*next)) {
                chains[step] = Stretch { micros: length(next), legs: join(next, &chains[next]) };
            }
        }
        chains
    }

    /// Returns the largest bound over all subsets of all crowds inside a set. The best subset always holds exactly the
    /// members with at least some time before them and at least some time after them, so every pair of these two times
    /// is tried.
    fn longest(&self, set: &[bool], ahead: &[Stretch], behind: &[Stretch]) -> Stretch {
        let mut best = (0, None);
        for crowd in &self.crowds {
            let mut members: Vec<usize> = crowd.steps.iter().copied().filter(|step| set[*step]).collect();
            members.sort_by_key(|step| std::cmp::Reverse(behind[*step].micros));
            for first in &members {
                let least_ahead = ahead[*first].micros;
                let mut sum = 0_u64;
                for (n, last) in members.iter().enumerate() {
                    if ahead[*last].micros < least_ahead {
                        continue;
                    }
                    sum = sum.saturating_add(self.takes[*last]);
                    let bound = least_ahead.saturating_add(sum).saturating_add(behind[*last].micros);
                    if bound > best.0 {
                        let part = members[..=n].iter().copied().filter(|member| ahead[*member].micros >= least_ahead);
                        best = (bound, Some((crowd, part.collect::<Vec<_>>())));
                    }
                }
            }
        }
        let (micros, Some((crowd, mut part))) = best else { return Stretch::default() };
        part.sort_unstable();
        let first = part.iter().copied().min_by_key(|step| ahead[*step].micros);
        let last = part.iter().copied().min_by_key(|step| behind[*step].micros);
        let own = match part.as_slice() {
            [only] => Leg::Step(*only),
            _ => Leg::Crowd { steps: part, resource: crowd.resource.clone() },
        };
        let mut legs = first.map_or_else(Vec::new, |step| ahead[step].legs.clone());
        legs.push(own);
        legs.extend(last.map_or_else(Vec::new, |step| behind[step].legs.clone()));
        Stretch { micros, legs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnFail;

    /// Id, milliseconds, needs, uses, shares.
    type Row = (&'static str, u64, &'static [usize], &'static [&'static str], &'static [&'static str]);

    fn described(rows: &[Row]) -> String {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
        let steps: Vec<Step> = rows
            .iter()
            .map(|(id, _, needs, uses, shares)| Step {
                id: (*id).into(),
                kind: "test".into(),
                title: String::new(),
                needs: needs.to_vec(),
                after: Vec::new(),
                uses: names(uses),
                shares: names(shares),
                timeout: Duration::from_secs(1),
                retry: 0,
                on_fail: OnFail::Stop,
                measurements: Vec::new(),
            })
            .collect();
        let takes: Vec<Duration> = rows.iter().map(|row| Duration::from_millis(row.1)).collect();
        let path = critical_path(&steps, &takes);
        let names = |leg: &Leg| leg.steps().iter().map(|step| rows[*step].0).collect::<Vec<_>>().join("+");
        let show = |leg: &Leg| match leg {
            Leg::Step(_) => names(leg),
            Leg::Crowd { resource, .. } => format!("[{resource}: {}]", names(leg)),
        };
        let legs: Vec<String> = path.legs.iter().map(show).collect();
        format!("{} {}", path.least.as_millis(), legs.join(" > "))
    }

    #[test]
    fn critical_paths_of_small_plans() {
        const DUT: &[&str] = &["dut"];
        let rows: [(&str, &[Row], &str); 6] = [
            ("nothing", &[], "0 "),
            ("needs", &[("a", 5, &[], &[], &[]), ("b", 9, &[], &[], &[]), ("c", 7, &[0], &[], &[])], "12 a > c"),
            (
                "a resource",
                &[("a", 1, &[], &[], &[]), ("b", 9, &[0], &["bus"], &[]), ("c", 7, &[0], &["bus"], &[])],
                "17 a > [bus: b+c]",
            ),
            (
                "only a part of those that use it",
                &[
                    ("a", 1, &[], &["bus"], &[]),
                    ("b", 50, &[0], &[], &[]),
                    ("c", 2, &[1], &["bus"], &[]),
                    ("d", 3, &[1], &["bus"], &[]),
                    ("e", 4, &[2, 3], &[], &[]),
                ],
                "60 a > b > [bus: c+d] > e",
            ),
            (
                "users of a shared resource, with the sharers that use another one",
                &[
                    ("radio", 4, &[], &["radio"], DUT),
                    ("pins", 3, &[], &["ports"], DUT),
                    ("more pins", 2, &[], &["ports"], DUT),
                    ("restart", 9, &[], DUT, &[]),
                ],
                "14 [dut or ports: pins+more pins+restart]",
            ),
            (
                "a crowd before, found among the needs",
                &[
                    ("a", 4, &[], &["bus"], &[]),
                    ("b", 5, &[], &["bus"], &[]),
                    ("c", 6, &[0, 1], &["modem"], &[]),
                    ("d", 1, &[0, 1], &["bus"], &[]),
                ],
                "15 [bus: a+b] > c",
            ),
        ];
        for (what, plan, expected) in rows {
            assert_eq!(described(plan), expected, "{what}");
        }
    }
}
