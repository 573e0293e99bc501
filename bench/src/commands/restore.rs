//! `bench restore`.

use super::{print, say};
use crate::cli::RestoreArgs;
use bench_engine::Failed;
use bench_instruments::{Clock, ProgramProgress, Programmer, TokioClock};
use bench_journal::{LARGEST_JOURNAL, read_text, shown};
use bench_steps::restoring;
use bench_swd::{Selection, SwdProgrammer, backup_of_hex};
use indicatif::ProgressBar;
use std::path::Path;
use std::rc::Rc;

/// Hexadecimal digits of FICR.DEVICEID.
const ID_DIGITS: usize = 16;

pub(crate) fn restore(args: &RestoreArgs) -> Result<u8, Failed> {
    let usage = |help: &'static str, text: String| Failed::Usage(miette::miette!(help = help, "{text}"));
    let device_id = args.mcu.as_deref().map_or_else(|| id_in_name(&args.file), id).ok_or_else(|| {
        usage(
            "a run calls its file before-<MCU>.hex; --mcu gives the number if the file has another name",
            format!("{}: for which MCU is it?", shown(&args.file)),
        )
    })?;
    let text = read_text(&args.file, LARGEST_JOURNAL)
        .map_err(|error| usage("name the file that the run's record names", error.to_string()))?;
    let backup = backup_of_hex(&text, device_id).map_err(|error| {
        usage("the file was changed or cut: nothing was written", format!("{}: {error}", shown(&args.file)))
    })?;
    let selection = args.probe.as_deref().map(Selection::parse).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failed::Bench(miette::miette!("{error}")))?;
    let bar = ProgressBar::new(1);
    let observer = |progress: ProgramProgress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.phase.to_string());
    };
    let done = runtime.block_on(async {
        let clock: Rc<dyn Clock> = Rc::new(TokioClock::start());
        SwdProgrammer::usb(clock, selection).program(restoring(&backup), &observer).await
    });
    bar.finish_and_clear();
    let done = done.map_err(|error| {
        let help = "the file stays as it is: when that is mended, the same command continues";
        Failed::Bench(miette::miette!(help = help, "{error}"))
    })?;
    if done.written == 0 && done.uicr_written == 0 {
        say("nothing to write: the module holds what the file says");
    }
    print(&format!(
        "The module {device_id:016x} holds again what was on it: {} bytes of flash and {} words of UICR written, everything \
         read back and equal.\n",
        done.written, done.uicr_written
    ));
    Ok(0)
}

fn id(text: &str) -> Option<u64> {
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == ID_DIGITS)
}

/// The number in "before-0123456789abcdef.hex".
fn id_in_name(file: &Path) -> Option<u64> {
    id(file.file_stem()?.to_str()?.strip_prefix("before-")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_says_whose_it_is() {
        for (name, expected) in [
            ("reports/x/before-b0f4c76351cf90e7.hex", Some(0xb0f4_c763_51cf_90e7)),
            ("before-0000000000000001.hex", Some(1)),
            ("before-1.hex", None),
            ("b0f4c76351cf90e7.hex", None),
            ("before-b0f4c76351cf90ez.hex", None),
        ] {
            assert_eq!(id_in_name(Path::new(name)), expected, "{name}");
        }
        assert_eq!(id("0xb0f4c76351cf90e7"), Some(0xb0f4_c763_51cf_90e7));
    }
}
