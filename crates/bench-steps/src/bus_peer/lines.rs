//! Finds the faulty line of a bus: tests each line as a plain port against its nail, then counts its edges under the
//! bus master.

use super::{BusLine, Master};
use crate::{Nest, StepError};
use bench_instruments::{ContactSet, DutError, NailVector};
use bench_run::{Contact, Defect, Diagnosis};
use dut_protocol::{EDGE_CHANNELS, Edges, PortSet, PortVector, Reply, Request};

const SETTLE_US: u16 = 50;

/// Tests each line as a plain port, both ways, with the fixture's memory disconnected. Returns nothing when all lines
/// are good.
pub(crate) async fn line_defects(nest: &Nest, master: &Master) -> Result<Vec<Diagnosis>, StepError> {
    nest.peers.disconnect_all().await?;
    nest.release_nails().await?;
    let all: PortSet = master.lines.iter().map(|line| line.port).collect();
    let contacts: ContactSet = master.lines.iter().map(|line| line.contact).collect();
    let mut seen = Vec::with_capacity(master.lines.len());
    for line in &master.lines {
        let high = [line.port].into_iter().collect();
        nest.vector(PortVector { high, low: all.minus(high), settle_us: SETTLE_US, ..Default::default() }).await?;
        seen.push(nest.nails.read().await?.intersection(contacts));
    }
    nest.vector(PortVector { float: all, ..Default::default() }).await?;
    let mut deaf = Vec::with_capacity(master.lines.len());
    for line in &master.lines {
        let driven: ContactSet = [line.contact].into_iter().collect();
        let vector = NailVector { high: driven, low: contacts.minus(driven), ..Default::default() };
        nest.nails.set(vector).await?;
        let levels = match nest.ask(Request::ReadPorts).await? {
            Reply::Levels(levels) => levels.intersection(all),
            other => return Err(DutError::OutOfTurn(other).into()),
        };
        deaf.push(levels != [line.port].into_iter().collect());
    }
    nest.release_nails().await?;
    Ok(diagnose(nest, master, &seen, &deaf))
}

/// Diagnoses lines. `seen`: by line, the contacts that are high while only this line's port drives high. `deaf`:
/// whether its port did not follow its nail.
fn diagnose(nest: &Nest, master: &Master, seen: &[ContactSet], deaf: &[bool]) -> Vec<Diagnosis> {
    let just = |contact: Contact| -> ContactSet { [contact].into_iter().collect() };
    let mut diagnoses = Vec::new();
    let mut exchanged = ContactSet::EMPTY;
    for (a, line) in master.lines.iter().enumerate() {
        for (b, other) in master.lines.iter().enumerate().skip(a + 1) {
            if seen[a] == just(other.contact) && seen[b] == just(line.contact) {
                let mut contacts = vec![line.contact, other.contact];
                contacts.sort_unstable();
                let labels: Vec<String> = contacts.iter().map(|contact| nest.label(*contact)).collect();
                let text = format!("contacts {}: exchanged", labels.join(" and "));
                diagnoses.push(Diagnosis { defect: Defect::Other, contacts, text });
                exchanged = exchanged.union(just(line.contact)).union(just(other.contact));
            }
        }
    }
    for (n, line) in master.lines.iter().enumerate() {
        if exchanged.contains(line.contact) || seen[n] == just(line.contact) && !deaf[n] {
            continue;
        }
        let name = line.describe(nest, &master.bus);
        let others: Vec<String> = seen[n].minus(just(line.contact)).iter().map(|other| nest.label(other)).collect();
        let text = if !others.is_empty() {
            format!("{name}: joined to, or high together with, {}", others.join(", "))
        } else if !seen[n].contains(line.contact) {
            format!("{name}: open or held low, the level of port {} does not reach the nail", line.port)
        } else {
            format!("{name}: port {} does not follow the nail", line.port)
        };
        diagnoses.push(Diagnosis { defect: Defect::Open, contacts: vec![line.contact], text });
    }
    diagnoses
}

/// Edges that the chip counted at the ports of a bus during a transfer, by line.
pub(crate) struct EdgesSeen(Vec<u32>);

impl EdgesSeen {
    /// Counts falling edges while `transfer` is executed.
    pub async fn during(nest: &Nest, master: &Master, transfer: Request) -> Result<Self, StepError> {
        let counted = Self::count(nest, master, transfer).await;
        let closed = nest.ask(Request::UnwatchEdges).await;
        let counts = counted?;
        closed?;
        Ok(Self(counts))
    }

    async fn count(nest: &Nest, master: &Master, transfer: Request) -> Result<Vec<u32>, StepError> {
        nest.ask(Request::UnwatchEdges).await?;
        let mut channels = Vec::with_capacity(master.lines.len());
        for line in &master.lines {
            match nest.ask(Request::WatchEdges { port: line.port, edges: Edges::Falling }).await? {
                Reply::Channel { channel } => channels.push(usize::from(channel)),
                other => return Err(DutError::OutOfTurn(other).into()),
            }
        }
        nest.ask(transfer).await?;
        match nest.ask(Request::TakeEdgeCounts).await? {
            Reply::EdgeCounts(counts) => Ok(channels.iter().map(|channel| counts[channel % EDGE_CHANNELS]).collect()),
            other => Err(DutError::OutOfTurn(other).into()),
        }
    }

    /// Returns the lines of these roles on which no edge was counted.
    pub fn silent<'a>(&self, master: &'a Master, roles: &[&str]) -> Vec<&'a BusLine> {
        let lines = master.lines.iter().zip(&self.0);
        lines.filter(|(line, count)| roles.contains(&line.role) && **count == 0).map(|(line, _)| line).collect()
    }
}
