use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Whether this can be a serial port.
///
/// # Errors
/// When there is no such file.
pub(crate) fn is_port(device: &str) -> std::io::Result<bool> {
    fs::metadata(device).map(|meta| meta.file_type().is_char_device())
}

/// Returns what the user must do to get access to a device.
pub fn how_to_be_allowed(device: &str) -> String {
    let group = fs::metadata(device).ok().and_then(|meta| group_name(meta.gid()));
    match group {
        Some(group) => {
            format!("it belongs to the group `{group}`: run `sudo usermod -aG {group} $USER`, then log in again")
        }
        None => "the user needs the right to read and write it".to_owned(),
    }
}

fn group_name(gid: u32) -> Option<String> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_to_join_is_named() {
        // Every Linux has the group of number 0.
        assert_eq!(group_name(0).as_deref(), Some("root"));
        assert_eq!(group_name(u32::MAX), None);
        assert!(how_to_be_allowed("/dev/null").contains("usermod -aG root"));
    }
}
