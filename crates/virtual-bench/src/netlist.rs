//! Resistive networks, solved by star-mesh elimination.
//!
//! Eliminating a node replaces the star of its conductances by the equivalent mesh between its neighbours. Only sums,
//! products and quotients of positive numbers occur, nothing is subtracted: a milliohm bond next to a teraohm of
//! leakage costs no digits, where Gaussian elimination of the same matrix would lose the leakage altogether.
//!
//! The order of elimination depends only on which pairs of nodes may be joined, so it is found once, in
//! [`NetlistBuilder::build`]. A circuit with some 150 nodes, nearly all of them between two or three others, then
//! solves in a few microseconds.

use std::collections::{BTreeMap, BTreeSet};

/// A node of the network. The reference (0 V) is not a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(u32);

/// A place between two nodes where a conductance may stand.
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

    /// The place between two different nodes; the same one when asked twice.
    ///
    /// # Panics
    /// If `a` and `b` are the same node: that is a mistake of the program, no network has such a place.
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
        Netlist { nodes: self.nodes as usize, ends, stars, spokes, mesh }
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
    /// Joins the two nodes of an edge by a resistance, in parallel to what is there.
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

/// Memory that repeated solutions share.
#[derive(Debug, Default)]
pub struct Workspace {
    values: Option<Values>,
    total: Vec<f64>,
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

    /// Writes the voltage of every node to `volts`. A node that is joined to nothing is at 0 V.
    pub fn solve(&self, values: &Values, workspace: &mut Workspace, volts: &mut Voltages) {
        let work = workspace.values.get_or_insert_with(|| self.values());
        work.copy_from(values);
        let Values { between, to_reference, current } = work;
        workspace.total.clear();
        for star in &self.stars {
            let spokes = self.spokes_of(star);
            let k = star.node.0 as usize;
            let total = to_reference[k] + spokes.iter().map(|(_, edge)| between[edge.0 as usize]).sum::<f64>();
            workspace.total.push(total);
            let mut mesh = star.first_mesh as usize;
            for (at, &(neighbour, edge)) in spokes.iter().enumerate() {
                let share = between[edge.0 as usize] / total;
                let pairs = spokes.len() - at - 1;
                if share > 0.0 {
                    to_reference[neighbour.0 as usize] += share * to_reference[k];
                    current[neighbour.0 as usize] += share * current[k];
                    for (&joined, &(_, other)) in self.mesh[mesh..mesh + pairs].iter().zip(&spokes[at + 1..]) {
                        between[joined.0 as usize] += share * between[other.0 as usize];
                    }
                }
                mesh += pairs;
            }
        }
        volts.0.clear();
        volts.0.resize(self.nodes, 0.0);
        for (star, &total) in self.stars.iter().zip(&workspace.total).rev() {
            let inflow: f64 = self
                .spokes_of(star)
                .iter()
                .map(|&(neighbour, edge)| between[edge.0 as usize] * volts.0[neighbour.0 as usize])
                .sum();
            let k = star.node.0 as usize;
            volts.0[k] = if total > 0.0 { (current[k] + inflow) / total } else { 0.0 };
        }
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
