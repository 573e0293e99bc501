//! One file with all that a report of a run needs.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use tar::{Archive, Builder, Header};

/// Largest archive that is unpacked, bytes; one of a run has a hundredth of that.
const LARGEST: u64 = 1 << 30;

/// Packs files, each with its path in the archive.
///
/// # Errors
/// When a path is too long.
pub fn pack(files: &BTreeMap<String, Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, bytes) in files {
        // Neither who packs it nor when.
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, path, bytes.as_slice())?;
    }
    archive.into_inner()?.finish()
}

/// Reads the files of an archive. Nothing is written to the disk.
///
/// # Errors
/// When it is no such archive, or is damaged.
pub fn unpack(bytes: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut archive = Archive::new(GzDecoder::new(bytes).take(LARGEST));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(path, content);
    }
    Ok(files)
}

/// Lines as one compressed file.
pub(crate) fn compressed(lines: impl Iterator<Item = String>) -> io::Result<Vec<u8>> {
    let mut to = GzEncoder::new(Vec::new(), Compression::default());
    for line in lines {
        to.write_all(line.as_bytes())?;
        to.write_all(b"\n")?;
    }
    to.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_and_damage_is_seen() {
        let files: BTreeMap<_, _> = [("a/b.txt", b"text".to_vec()), ("a/empty", Vec::new())]
            .map(|(path, bytes)| (path.to_owned(), bytes))
            .into();
        let packed = pack(&files).unwrap();
        assert_eq!(unpack(&packed).unwrap(), files);
        assert_eq!(packed, pack(&files).unwrap(), "the same files, the same archive");
        assert!(unpack(&packed[..packed.len() / 2]).is_err());
        assert!(unpack(b"no archive").is_err());
    }
}
