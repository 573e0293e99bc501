use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub fn set_mode(file: &Path, mode: u32) -> std::io::Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
}
