//! The debug probes on this computer's USB ports.

use probe_rs::probe::list::{Accessibility, Lister, ProbeListItem};

/// A debug probe that `probe-rs` knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundProbe {
    /// "Debugprobe on Pico (CMSIS-DAP)".
    pub name: String,
    pub vendor: u16,
    pub product: u16,
    pub serial: Option<String>,
    /// Whether the system refuses it to this user.
    pub is_denied: bool,
}

/// Lists the probes, each once: one with several interfaces is one probe.
pub fn found_probes() -> Vec<FoundProbe> {
    let items = Lister::new().list_all_with_access();
    let mut seen: Vec<(FoundProbe, Vec<Option<u8>>)> = Vec::new();
    for ProbeListItem { info, accessibility, .. } in items {
        let probe = FoundProbe {
            name: info.identifier.clone(),
            vendor: info.vendor_id,
            product: info.product_id,
            serial: info.serial_number.clone().filter(|serial| !serial.is_empty()),
            is_denied: accessibility == Accessibility::PermissionDenied,
        };
        let is_same = |(other, interfaces): &&mut (FoundProbe, Vec<Option<u8>>)| {
            let alike = (other.vendor, other.product, &other.serial) == (probe.vendor, probe.product, &probe.serial);
            alike && (probe.serial.is_some() || !interfaces.contains(&info.interface))
        };
        match seen.iter_mut().find(is_same) {
            Some((_, interfaces)) => interfaces.push(info.interface),
            None => seen.push((probe, vec![info.interface])),
        }
    }
    seen.into_iter().map(|(probe, _)| probe).collect()
}
