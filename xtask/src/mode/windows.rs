use std::path::Path;

/// Windows has no such bits.
pub fn set_mode(_file: &Path, _mode: u32) -> std::io::Result<()> {
    Ok(())
}
