/// Whether this can be a serial port: Windows names them `COM1` and so on.
///
/// # Errors
/// When there is no such port now.
pub(crate) fn is_port(device: &str) -> std::io::Result<bool> {
    let ports = serialport::available_ports().map_err(std::io::Error::other)?;
    let there = ports.iter().any(|port| port.port_name.eq_ignore_ascii_case(device));
    if there { Ok(true) } else { Err(std::io::ErrorKind::NotFound.into()) }
}

/// Returns what the user must do to get access to a device.
pub fn how_to_be_allowed(_device: &str) -> String {
    "another program has it, or the user needs the right to use it".to_owned()
}
