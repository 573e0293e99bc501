//! Builds the firmware for the chip, even with a toolchain that lacks its core library.

use crate::steps::run;
use crate::{Failed, cargo, root};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "thumbv7em-none-eabihf";

/// Path of the image for the bench and the tests, relative to the root of the repository.
const IMAGE: &str = "target/firmware/dut-firmware.elf";

/// Set to build `core` from source although the prebuilt one is installed.
const FORCE_BUILD_STD: &str = "XTASK_FORCE_BUILD_STD";

/// Where `core` for the chip comes from.
enum Core {
    /// The toolchain has it.
    Installed,
    /// Built from the toolchain's own source. This is an unstable feature of cargo, hence RUSTC_BOOTSTRAP.
    FromSource,
}

/// Builds the image and copies it to [`IMAGE`]. Fast when nothing changed.
pub fn build() -> Result<PathBuf, Failed> {
    let core = find_core()?;
    compile(&core, &["build", "--release", "--locked"], &[])?;

    let image = root().join(IMAGE);
    let built = root().join("dut-firmware/target").join(TARGET).join("release/dut-firmware");
    let bytes = fs::read(&built).map_err(|error| cannot("read", &built, &error))?;
    replace(&image, &bytes)?;
    // Hash of the flash contents, not of the ELF file, which also names the build folders for the debugger.
    let flash = flash_contents(&bytes)?;
    println!("{IMAGE}: {} bytes on flash, their sha256 {}", flash.len(), hex(&Sha256::digest(&flash)));
    Ok(image)
}

/// Clippy over the firmware.
pub fn lint() -> Result<(), Failed> {
    compile(&find_core()?, &["clippy", "--release", "--locked"], &["--", "-D", "warnings"])
}

fn compile(core: &Core, arguments: &[&str], last: &[&str]) -> Result<(), Failed> {
    let mut command = Command::new(cargo());
    command.current_dir(root().join("dut-firmware")).args(arguments);
    command.env("CARGO_TARGET_DIR", root().join("dut-firmware/target"));
    // Flags from outside would replace those of dut-firmware/.cargo/config.toml, and the image would not link.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    if let Core::FromSource = core {
        command.arg("-Zbuild-std=core,alloc").env("RUSTC_BOOTSTRAP", "1");
    }
    command.args(last);
    run(&format!("(in dut-firmware) cargo {} {}", arguments.join(" "), last.join(" ")), &mut command)
}

/// Finds a `core` for the chip and fetches one if necessary.
fn find_core() -> Result<Core, Failed> {
    let forced = env::var_os(FORCE_BUILD_STD).is_some_and(|value| !value.is_empty() && value != "0");
    if !forced {
        if core_is_installed()? {
            return Ok(Core::Installed);
        }
        println!("this toolchain has no core library for {TARGET}; asking rustup for it");
        if rustup(&["target", "add", TARGET]) && core_is_installed()? {
            return Ok(Core::Installed);
        }
    }
    if core_source_is_installed()? || (rustup(&["component", "add", "rust-src"]) && core_source_is_installed()?) {
        println!("building the core library for {TARGET} from the toolchain's source");
        return Ok(Core::FromSource);
    }
    Err(Failed::new(format!(
        "no core library for {TARGET}, and none to be had.\n  \
         With rustup and a network:  rustup target add {TARGET}\n  \
         With a distribution's Rust: install its package with the source (often `rust-src`), this builds the rest.\n  \
         The toolchain asked is the one that `rustc --print sysroot` names."
    )))
}

fn core_is_installed() -> Result<bool, Failed> {
    let folder = rustc(&["--print", "target-libdir", "--target", TARGET])?;
    let Ok(files) = fs::read_dir(folder) else { return Ok(false) };
    Ok(files.flatten().any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    }))
}

fn core_source_is_installed() -> Result<bool, Failed> {
    let sysroot = rustc(&["--print", "sysroot"])?;
    Ok(Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists())
}

/// Asks the compiler that cargo will use in the firmware's folder.
fn rustc(arguments: &[&str]) -> Result<String, Failed> {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&compiler)
        .args(arguments)
        .current_dir(root().join("dut-firmware"))
        .output()
        .map_err(|error| Failed::new(format!("cannot start {}: {error}", compiler.display())))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failed::new(format!("{} {} failed: {said}", compiler.display(), arguments.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns whether rustup installed it. Without rustup or a network it cannot, and the caller uses another way.
fn rustup(arguments: &[&str]) -> bool {
    match run(&format!("rustup {}", arguments.join(" ")), Command::new("rustup").args(arguments)) {
        Ok(()) => true,
        Err(failed) => {
            println!("{}", failed.what);
            false
        }
    }
}

/// Writes a temporary file and renames it, so that no reader sees half an image. Keeps an equal file and its date.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| cannot("create", folder, &error))?;
    }
    let temporary = path.with_extension(format!("elf.{}", std::process::id()));
    fs::write(&temporary, bytes).map_err(|error| cannot("write", &temporary, &error))?;
    fs::rename(&temporary, path).map_err(|error| cannot("write", path, &error))
}

fn cannot(do_what: &str, path: &Path, error: &std::io::Error) -> Failed {
    Failed::new(format!("cannot {do_what} {}: {error}", path.display()))
}

/// Flash contents that a programmer writes: all PT_LOAD segments of a 32-bit little-endian ELF.
fn flash_contents(elf: &[u8]) -> Result<Vec<u8>, Failed> {
    const PT_LOAD: u32 = 1;
    let contents = || -> Option<Vec<u8>> {
        let word = |at: usize| Some(u32::from_le_bytes(elf.get(at..at.checked_add(4)?)?.try_into().ok()?));
        let half = |at: usize| Some(u16::from_le_bytes(elf.get(at..at.checked_add(2)?)?.try_into().ok()?));
        if elf.get(..6)? != b"\x7fELF\x01\x01" {
            return None;
        }
        let (table, entry_size, entries) = (word(28)? as usize, usize::from(half(42)?), usize::from(half(44)?));
        let mut contents = Vec::new();
        for n in 0..entries {
            let entry = table.checked_add(n * entry_size)?;
            if word(entry)? == PT_LOAD {
                let (begin, size) = (word(entry + 4)? as usize, word(entry + 16)? as usize);
                contents.extend(elf.get(begin..begin.checked_add(size)?)?);
            }
        }
        Some(contents)
    };
    contents().ok_or_else(|| Failed::new("the linker's output is not a complete 32-bit little-endian ELF"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header, then its program headers, each (type, contents), then the contents.
    fn elf(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut elf = vec![0; 52];
        elf[..6].copy_from_slice(b"\x7fELF\x01\x01");
        elf[28] = 52;
        elf[42] = 32;
        elf[44] = segments.len() as u8;
        let mut begin = 52 + 32 * segments.len();
        for (kind, contents) in segments {
            let mut header = [0; 32];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            header[4..8].copy_from_slice(&(begin as u32).to_le_bytes());
            header[16..20].copy_from_slice(&(contents.len() as u32).to_le_bytes());
            elf.extend(header);
            begin += contents.len();
        }
        elf.extend(segments.iter().flat_map(|(_, contents)| *contents));
        elf
    }

    #[test]
    fn flash_contents_are_the_loaded_ones() {
        let whole = elf(&[(1, b"vectors"), (4, b"note"), (1, b"code")]);
        type Row<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
        let rows: &[Row] = &[
            ("two loaded, one note", &whole, Some(b"vectorscode")),
            ("nothing loaded", &elf(&[]), Some(b"")),
            ("cut off in the contents", &whole[..whole.len() - 1], None),
            ("cut off in the headers", &whole[..60], None),
            ("another file", &b"#!/bin/sh\n".repeat(9), None),
            ("empty", b"", None),
        ];
        for (what, bytes, expected) in rows {
            assert_eq!(flash_contents(bytes).ok().as_deref(), *expected, "{what}");
        }
    }

    #[test]
    fn an_equal_image_is_left_alone_and_another_replaced() {
        let folder = env::temp_dir().join(format!("xtask-{}", std::process::id()));
        let image = folder.join("firmware/image.elf");
        let written = |bytes: &[u8]| {
            assert!(replace(&image, bytes).is_ok());
            assert_eq!(fs::read(&image).unwrap(), bytes);
            fs::metadata(&image).unwrap().modified().unwrap()
        };
        let first = written(b"one");
        assert_eq!(written(b"one"), first);
        written(b"another");
        let left: Vec<_> =
            fs::read_dir(folder.join("firmware")).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["image.elf"], "nothing half-written stays behind");
        fs::remove_dir_all(folder).unwrap();
    }
}
