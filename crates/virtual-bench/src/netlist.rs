//! Resistive networks, solved by star-mesh elimination.
//!
//! Eliminating a node replaces the star of its conductances by the equivalent mesh between its neighbours. Only sums,
//! products and quotients of positive numbers occur, nothing is subtracted: a milliohm bond next to a teraohm of
//! leakage costs no digits, where Gaussian elimination of the same matrix would lose the leakage altogether.
//!
//! The order of elimination depends only on which pairs of nodes may be joined, so it is found once, in
//! [`NetlistBuilder::build`]. A circuit with some 150 nodes, most of them with two or three neighbours, then solves in
//! a few microseconds.
//!
//! Most solutions differ from the one before in a few values. The contributions of each star to its neighbours are
//! kept; a star is recomputed only when one of its inputs has changed. Every sum is taken in the same order as in a
//! full solution, so the result is the same to the last bit.

use std::collections::{BTreeMap, BTreeSet};

/// A node of the network. The reference (0 V) is not a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u32);

/// An edge: two nodes between which a conductance may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge(u32);

/// Collects nodes and edges.
#[derive(Debug, Default)]
pub struct NetlistBuilder {
    nodes: u32,
    edges: BTreeMap<(Node, Node), Edge>,
}

impl Node {
    /// Place in the order in which the nodes were made.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl NetlistBuilder {
    pub fn node(&mut self) -> Node {
        self.nodes += 1;
        Node(self.nodes - 1)
    }

    /// Returns the edge between two different nodes, the same one for every call.
    ///
    /// # Panics
    /// If `a` and `b` are the same node, which is a bug in the caller.
    pub fn edge(&mut self, a: Node, b: Node) -> Edge {
        assert!(a != b, "a node cannot be joined to itself");
        let next = Edge(self.edges.len() as u32);
        *self.edges.entry((a.min(b), a.max(b))).or_insert(next)
    }

    /// Finds the order of elimination: always the node with the fewest neighbours left.
    pub fn build(mut self) -> Netlist {
        let mut neighbours = vec![BTreeSet::new(); self.nodes as usize];
        for &(a, b) in self.edges.keys() {
            neighbours[a.0 as usize].insert(b);
            neighbours[b.0 as usize].insert(a);
        }
        let mut left: BTreeSet<Node> = (0..self.nodes).map(Node).collect();
        let mut stars = Vec::with_capacity(left.len());
        let (mut spokes, mut mesh) = (Vec::new(), Vec::new());
        while let Some(node) = left.iter().copied().min_by_key(|node| neighbours[node.0 as usize].len()) {
            left.remove(&node);
            let around: Vec<Node> = std::mem::take(&mut neighbours[node.0 as usize]).into_iter().collect();
            let (first_spoke, first_mesh) = (spokes.len() as u32, mesh.len() as u32);
            for (at, &a) in around.iter().enumerate() {
                neighbours[a.0 as usize].remove(&node);
                spokes.push((a, self.edge(node, a)));
                for &b in &around[at + 1..] {
                    mesh.push(self.edge(a, b));
                    neighbours[a.0 as usize].insert(b);
                    neighbours[b.0 as usize].insert(a);
                }
            }
            stars.push(Star { node, first_spoke, spokes: around.len() as u32, first_mesh });
        }
        let mut ends = vec![(Node(0), Node(0)); self.edges.len()];
        for (&pair, edge) in &self.edges {
            ends[edge.0 as usize] = pair;
        }
        Netlist::new(self.nodes as usize, ends, stars, spokes, mesh)
    }
}

/// One step of the elimination.
#[derive(Debug)]
struct Star {
    node: Node,
    first_spoke: u32,
    spokes: u32,
    first_mesh: u32,
}

/// The shape of a network, ready to be solved for any values.
#[derive(Debug)]
pub struct Netlist {
    nodes: usize,
    /// By edge: the nodes that it joins.
    ends: Vec<(Node, Node)>,
    stars: Vec<Star>,
    spokes: Vec<(Node, Edge)>,
    mesh: Vec<Edge>,
    /// The star of each node, and the one that each edge is a spoke of.
    star_of_node: Vec<u32>,
    star_of_edge: Vec<u32>,
    /// By node: the spokes whose stars contribute to it, in the order of the stars.
    given_to_node: Lists,
    /// By edge: the places in the meshes that add to it, in the same order.
    given_to_edge: Lists,
    /// The spoke that each place in a mesh comes from.
    spoke_of_mesh: Vec<u32>,
}

/// Lists of numbers, one after the other.
#[derive(Debug)]
struct Lists {
    ends: Vec<u32>,
    numbers: Vec<u32>,
}

impl Lists {
    /// `count` lists of what was put into them, in that order.
    fn of(count: usize, entries: &[(u32, u32)]) -> Lists {
        let mut lists = vec![Vec::new(); count];
        entries.iter().for_each(|&(list, number)| lists[list as usize].push(number));
        let ends = lists.iter().scan(0, |end, list| {
            *end += list.len() as u32;
            Some(*end)
        });
        Lists { ends: ends.collect(), numbers: lists.concat() }
    }

    fn get(&self, list: usize) -> &[u32] {
        let begin = if list == 0 { 0 } else { self.ends[list - 1] };
        &self.numbers[begin as usize..self.ends[list] as usize]
    }
}

/// Conductances and sources of one network. A place without conductance is an open circuit.
#[derive(Debug, Clone, Default)]
pub struct Values {
    /// Siemens, by edge.
    between: Vec<f64>,
    /// Siemens, by node.
    to_reference: Vec<f64>,
    /// Amperes into the node.
    current: Vec<f64>,
}

impl Values {
    /// Joins the two nodes of an edge by a resistance, in parallel to existing conductances.
    pub fn resistor(&mut self, edge: Edge, ohms: f64) {
        self.between[edge.0 as usize] += 1.0 / ohms;
    }
    /// Joins a node to a voltage against the reference through a resistance.
    pub fn driver(&mut self, node: Node, volts: f64, ohms: f64) {
        self.to_reference[node.0 as usize] += 1.0 / ohms;
        self.current[node.0 as usize] += volts / ohms;
    }
    /// Lets a current flow into a node.
    pub fn current(&mut self, node: Node, amps: f64) {
        self.current[node.0 as usize] += amps;
    }
    /// A voltage source in series with a resistance on the way from `from` to `to`: no current flows when `from` is
    /// `volts` above `to`.
    pub fn battery(&mut self, edge: Edge, from: Node, to: Node, volts: f64, ohms: f64) {
        self.resistor(edge, ohms);
        self.current(from, volts / ohms);
        self.current(to, -volts / ohms);
    }
    /// Becomes a copy of `other` without new memory.
    pub fn copy_from(&mut self, other: &Values) {
        self.between.clone_from(&other.between);
        self.to_reference.clone_from(&other.to_reference);
        self.current.clone_from(&other.current);
    }
}

/// Voltages against the reference.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Voltages(Vec<f64>);

impl Voltages {
    pub fn at(&self, node: Node) -> f64 {
        self.0.get(node.0 as usize).copied().unwrap_or(0.0)
    }
}

/// State shared by repeated solutions of one network: the newest values, and the result of each star.
#[derive(Debug, Default)]
pub struct Workspace {
    values: Values,
    /// By star: must be recomputed.
    stale: Vec<bool>,
    /// By star: conductances in all, and current into it.
    total: Vec<f64>,
    current: Vec<f64>,
    spokes: Vec<Spoke>,
    /// Siemens that each place in a mesh adds to its edge.
    mesh: Vec<f64>,
}

/// Share of a spoke in its star, and its contribution to the node at its end.
#[derive(Debug, Clone, Copy, Default)]
struct Spoke {
    siemens: f64,
    /// No share in the star, no contribution.
    is_open: bool,
    to_reference: f64,
    current: f64,
}

/// Calls `changed` for each number that differs, and takes it over. Equal stretches are passed quickly.
fn take_over(old: &mut [f64], new: &[f64], mut changed: impl FnMut(usize)) {
    const STRETCH: usize = 16;
    for (n, (old, new)) in old.chunks_mut(STRETCH).zip(new.chunks(STRETCH)).enumerate() {
        let difference = old.iter().zip(new).fold(0, |all, (a, b)| all | a.to_bits() ^ b.to_bits());
        if difference != 0 {
            let differs = |(at, (a, b)): (usize, (&f64, &f64))| (a.to_bits() != b.to_bits()).then_some(at);
            old.iter().zip(new).enumerate().filter_map(differs).for_each(|at| changed(n * STRETCH + at));
            old.copy_from_slice(new);
        }
    }
}

impl Netlist {
    /// Everything open, nothing driven.
    pub fn values(&self) -> Values {
        Values {
            between: vec![0.0; self.ends.len()],
            to_reference: vec![0.0; self.nodes],
            current: vec![0.0; self.nodes],
        }
    }

    #[cfg(test)]
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        (0..self.nodes as u32).map(Node)
    }
    pub fn ends(&self, edge: Edge) -> (Node, Node) {
        self.ends[edge.0 as usize]
    }

    fn new(
        nodes: usize,
        ends: Vec<(Node, Node)>,
        stars: Vec<Star>,
        spokes: Vec<(Node, Edge)>,
        mesh: Vec<Edge>,
    ) -> Netlist {
        let (mut star_of_node, mut star_of_edge) = (vec![0; nodes], vec![0; ends.len()]);
        let (mut to_node, mut to_edge, mut spoke_of_mesh) = (Vec::new(), Vec::new(), Vec::new());
        for (number, star) in stars.iter().enumerate() {
            star_of_node[star.node.0 as usize] = number as u32;
            for at in 0..star.spokes {
                let spoke = star.first_spoke + at;
                let (neighbour, edge) = spokes[spoke as usize];
                star_of_edge[edge.0 as usize] = number as u32;
                to_node.push((neighbour.0, spoke));
                for _ in at + 1..star.spokes {
                    let place = spoke_of_mesh.len() as u32;
                    to_edge.push((mesh[place as usize].0, place));
                    spoke_of_mesh.push(spoke);
                }
            }
        }
        let given_to_node = Lists::of(nodes, &to_node);
        let given_to_edge = Lists::of(ends.len(), &to_edge);
        Netlist {
            nodes,
            ends,
            stars,
            spokes,
            mesh,
            star_of_node,
            star_of_edge,
            given_to_node,
            given_to_edge,
            spoke_of_mesh,
        }
    }

    /// Writes the voltage of every node to `volts`. A node that is joined to nothing is at 0 V.
    pub fn solve(&self, values: &Values, workspace: &mut Workspace, volts: &mut Voltages) {
        if workspace.stale.len() != self.stars.len() || workspace.values.between.len() != self.ends.len() {
            *workspace = self.workspace(values);
        }
        let Workspace { values: old, stale, .. } = workspace;
        take_over(&mut old.between, &values.between, |edge| stale[self.star_of_edge[edge] as usize] = true);
        take_over(&mut old.to_reference, &values.to_reference, |node| stale[self.star_of_node[node] as usize] = true);
        take_over(&mut old.current, &values.current, |node| stale[self.star_of_node[node] as usize] = true);
        for number in 0..self.stars.len() {
            if std::mem::take(&mut workspace.stale[number]) {
                self.eliminate(number, workspace);
            }
        }
        volts.0.clear();
        volts.0.resize(self.nodes, 0.0);
        for (number, star) in self.stars.iter().enumerate().rev() {
            let given = &workspace.spokes[star.first_spoke as usize..][..star.spokes as usize];
            let inflow: f64 = self
                .spokes_of(star)
                .iter()
                .zip(given)
                .map(|(&(neighbour, _), spoke)| spoke.siemens * volts.0[neighbour.0 as usize])
                .sum();
            let total = workspace.total[number];
            volts.0[star.node.0 as usize] =
                if total > 0.0 { (workspace.current[number] + inflow) / total } else { 0.0 };
        }
    }

    fn workspace(&self, values: &Values) -> Workspace {
        let stars = self.stars.len();
        Workspace {
            values: values.clone(),
            stale: vec![true; stars],
            total: vec![0.0; stars],
            current: vec![0.0; stars],
            spokes: vec![Spoke { is_open: true, ..Spoke::default() }; self.spokes.len()],
            mesh: vec![0.0; self.mesh.len()],
        }
    }

    /// Computes one star from the values and the contributions of earlier stars, and marks the later stars whose inputs
    /// change.
    fn eliminate(&self, number: usize, workspace: &mut Workspace) {
        let star = &self.stars[number];
        let k = star.node.0 as usize;
        let Workspace { values, stale, spokes, mesh, .. } = workspace;
        let (mut to_reference, mut current) = (values.to_reference[k], values.current[k]);
        for &from in self.given_to_node.get(k) {
            let from = &spokes[from as usize];
            if !from.is_open {
                to_reference += from.to_reference;
                current += from.current;
            }
        }
        let ends = self.spokes_of(star);
        let first = star.first_spoke as usize;
        for (at, &(_, edge)) in ends.iter().enumerate() {
            let mut siemens = values.between[edge.0 as usize];
            for &place in self.given_to_edge.get(edge.0 as usize) {
                if !spokes[self.spoke_of_mesh[place as usize] as usize].is_open {
                    siemens += mesh[place as usize];
                }
            }
            spokes[first + at].siemens = siemens;
        }
        let total = to_reference + spokes[first..first + ends.len()].iter().map(|spoke| spoke.siemens).sum::<f64>();
        let mut place = star.first_mesh as usize;
        for (at, &(neighbour, _)) in ends.iter().enumerate() {
            let pairs = ends.len() - at - 1;
            let old = spokes[first + at];
            let share = old.siemens / total;
            // A star without conductance has no shares.
            let is_open = share.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater);
            let (given_to_reference, given_current) =
                if is_open { (0.0, 0.0) } else { (share * to_reference, share * current) };
            let new = Spoke { siemens: old.siemens, is_open, to_reference: given_to_reference, current: given_current };
            spokes[first + at] = new;
            let same = old.is_open == new.is_open
                && old.to_reference.to_bits() == new.to_reference.to_bits()
                && old.current.to_bits() == new.current.to_bits();
            stale[self.star_of_node[neighbour.0 as usize] as usize] |= !same;
            for n in 0..pairs {
                let given = if is_open { 0.0 } else { share * spokes[first + at + 1 + n].siemens };
                if given.to_bits() != mesh[place + n].to_bits() || old.is_open != is_open {
                    mesh[place + n] = given;
                    stale[self.star_of_edge[self.mesh[place + n].0 as usize] as usize] = true;
                }
            }
            place += pairs;
        }
        (workspace.total[number], workspace.current[number]) = (total, current);
    }

    fn spokes_of(&self, star: &Star) -> &[(Node, Edge)] {
        &self.spokes[star.first_spoke as usize..][..star.spokes as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Drawn {
        netlist: Netlist,
        nodes: Vec<Node>,
        resistors: Vec<(Node, Node, Edge, f64)>,
        drivers: Vec<(Node, f64, f64)>,
    }

    fn draw(nodes: usize, resistors: &[(usize, usize, f64)], drivers: &[(usize, f64, f64)]) -> Drawn {
        let mut builder = NetlistBuilder::default();
        let nodes: Vec<Node> = (0..nodes).map(|_| builder.node()).collect();
        let resistors = resistors
            .iter()
            .filter(|(a, b, _)| a != b)
            .map(|&(a, b, ohms)| (nodes[a], nodes[b], builder.edge(nodes[a], nodes[b]), ohms))
            .collect();
        let drivers = drivers.iter().map(|&(node, volts, ohms)| (nodes[node], volts, ohms)).collect();
        Drawn { netlist: builder.build(), nodes, resistors, drivers }
    }

    impl Drawn {
        fn solve(&self, scale_driver: impl Fn(usize) -> f64) -> Vec<f64> {
            let mut values = self.netlist.values();
            for &(_, _, edge, ohms) in &self.resistors {
                values.resistor(edge, ohms);
            }
            for (n, &(node, volts, ohms)) in self.drivers.iter().enumerate() {
                values.driver(node, volts * scale_driver(n), ohms);
            }
            let mut volts = Voltages::default();
            self.netlist.solve(&values, &mut Workspace::default(), &mut volts);
            self.nodes.iter().map(|&node| volts.at(node)).collect()
        }
    }

    #[test]
    fn dividers() {
        // (upper resistor to 3.3 V, lower resistor to 0 V, expected volts)
        for (upper, lower, expected) in
            [(1e3, 1e3, 1.65), (13e3, 1e12, 3.3), (1e12, 13e3, 0.0), (2e3, 1e3, 1.1), (1e-3, 1e12, 3.3)]
        {
            let volts = draw(1, &[], &[(0, 3.3, upper), (0, 0.0, lower)]).solve(|_| 1.0)[0];
            assert!((volts - expected).abs() < 1e-6, "{upper} over {lower}: {volts}");
        }
    }

    #[test]
    fn bonds_of_a_milliohm_do_not_hide_a_teraohm() {
        // Two nodes in a milliohm bond, held by two teraohm resistors only: exactly half way.
        let volts = draw(3, &[(0, 1, 1e-3), (1, 2, 1e-3)], &[(0, 2.0, 1e12), (2, 0.0, 1e12)]).solve(|_| 1.0);
        assert!(volts.iter().all(|v| (v - 1.0).abs() < 1e-9), "{volts:?}");
    }

    #[test]
    fn a_node_joined_to_nothing_is_at_zero() {
        assert_eq!(draw(2, &[], &[(0, 1.0, 1.0)]).solve(|_| 1.0), [1.0, 0.0]);
    }

    fn ohms() -> impl Strategy<Value = f64> {
        (-3.0..12.0f64).prop_map(|exponent| 10f64.powf(exponent))
    }

    prop_compose! {
        fn any_network()(nodes in 1usize..12)(
            resistors in prop::collection::vec((0..nodes, 0..nodes, ohms()), 0..24),
            drivers in prop::collection::vec((0..nodes, -5.0..5.0f64, ohms()), 1..6),
            nodes in Just(nodes),
        ) -> Drawn { draw(nodes, &resistors, &drivers) }
    }

    impl std::fmt::Debug for Drawn {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{:?} {:?}", self.resistors, self.drivers)
        }
    }

    proptest! {
        #[test]
        fn what_flows_in_flows_out(network in any_network()) {
            let volts = network.solve(|_| 1.0);
            let at = |node: Node| volts[node.0 as usize];
            for &node in &network.nodes {
                let (mut sum, mut size) = (0.0, 0.0);
                let mut add = |other: f64, ohms: f64| {
                    sum += (other - at(node)) / ohms;
                    size += (other.abs() + at(node).abs()) / ohms;
                };
                for &(a, b, _, ohms) in &network.resistors {
                    if a == node { add(at(b), ohms) } else if b == node { add(at(a), ohms) }
                }
                for &(driven, driver, ohms) in &network.drivers {
                    if driven == node { add(driver, ohms) }
                }
                prop_assert!(sum.abs() <= 1e-12 * size + 1e-30, "residual {sum} of {size}");
            }
        }

        #[test]
        fn a_solution_after_others_is_the_same_to_the_bit(
            network in any_network(),
            changes in prop::collection::vec((0usize..24, ohms(), any::<bool>()), 1..20),
        ) {
            let mut workspace = Workspace::default();
            let mut values = network.netlist.values();
            for (which, ohms, clear) in changes {
                if clear {
                    values = network.netlist.values();
                }
                if let Some(&(_, _, edge, _)) = network.resistors.get(which) {
                    values.resistor(edge, ohms);
                }
                if let Some(&(node, volts, _)) = network.drivers.get(which) {
                    values.driver(node, volts, ohms);
                }
                let (mut again, mut fresh) = (Voltages::default(), Voltages::default());
                network.netlist.solve(&values, &mut workspace, &mut again);
                network.netlist.solve(&values, &mut Workspace::default(), &mut fresh);
                let bits = |volts: &Voltages| volts.0.iter().map(|volt| volt.to_bits()).collect::<Vec<u64>>();
                prop_assert_eq!(bits(&again), bits(&fresh));
            }
        }

        #[test]
        fn drivers_superpose(network in any_network()) {
            let together = network.solve(|_| 1.0);
            let mut summed = vec![0.0; network.nodes.len()];
            for alone in 0..network.drivers.len() {
                let part = network.solve(|n| if n == alone { 1.0 } else { 0.0 });
                summed.iter_mut().zip(part).for_each(|(sum, volts)| *sum += volts);
            }
            for (a, b) in together.iter().zip(&summed) {
                prop_assert!((a - b).abs() < 1e-9, "{a} against {b}");
            }
        }
    }
}
