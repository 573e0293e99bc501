//! The computer that the bench runs on, as far as a report of a run needs it: no names of it and of its users.

use bench_instruments::usb_serial_ports;
use bench_swd::{FoundProbe, found_probes};
use serde_json::{Value, json};
use std::path::Path;

/// What the system says of itself. What it does not say is absent.
pub(crate) fn facts() -> Value {
    let release = text("/etc/os-release").and_then(|text| {
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(name.trim_matches('"').to_owned())
    });
    let memory = text("/proc/meminfo").and_then(|text| {
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(total.trim().to_owned())
    });
    let processor = text("/proc/cpuinfo").and_then(|text| {
        let named = |line: &str| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned());
        text.lines().find_map(named)
    });
    json!({
        "system": std::env::consts::OS,
        "release": release,
        "kernel": text("/proc/sys/kernel/osrelease"),
        "architecture": std::env::consts::ARCH,
        "machine": text("/proc/device-tree/model"),
        "processor": processor,
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": memory,
    })
}

/// What is plugged in now. Serial numbers of devices are left out.
pub(crate) fn devices() -> Value {
    let ports = usb_serial_ports().unwrap_or_default();
    let ports = ports.iter().map(|port| json!({ "port": port.name, "ids": port.ids.to_string() }));
    // The list of probes has panicked before.
    let probes = std::thread::spawn(found_probes).join().unwrap_or_default();
    let probe = |probe: &FoundProbe| {
        let name = format!("{} {:04x}:{:04x}", probe.name, probe.vendor, probe.product);
        json!({ "probe": name, "may_be_opened": !probe.is_denied })
    };
    json!({
        "usb": usb_devices(Path::new("/sys/bus/usb/devices")),
        "serial_ports": ports.collect::<Value>(),
        "bluetooth": names_in(Path::new("/sys/class/bluetooth")),
        "i2c": names_in(Path::new("/sys/class/i2c-dev")),
        "probes": probes.iter().map(probe).collect::<Value>(),
    })
}

fn text(path: &str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim_matches(['\0', '\n', ' ']).to_owned();
    Some(text).filter(|text| !text.is_empty())
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn usb_devices(folder: &Path) -> Vec<String> {
    let devices = names_in(folder).into_iter().filter_map(|name| {
        let of = |file: &str| text(&folder.join(&name).join(file).to_string_lossy());
        let (vendor, product) = (of("idVendor")?, of("idProduct")?);
        let names: Vec<String> = [of("manufacturer"), of("product")].into_iter().flatten().collect();
        Some(format!("{vendor}:{product} {}", names.join(" ")).trim_end().to_owned())
    });
    devices.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn usb_devices_are_listed_without_serial_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("1-1");
        fs::create_dir(&device).unwrap();
        let files = [("idVendor", "2b04\n"), ("idProduct", "c017\n"), ("product", "B404X\n"), ("serial", "e00fce68\n")];
        for (name, text) in files {
            fs::write(device.join(name), text).unwrap();
        }
        // An interface, which has no ids.
        fs::create_dir(folder.path().join("1-1:1.0")).unwrap();
        assert_eq!(usb_devices(folder.path()), ["2b04:c017 B404X"]);
        assert!(usb_devices(&folder.path().join("absent")).is_empty());
        assert!(facts()["processors"].as_u64().is_some_and(|count| count > 0));
    }
}
