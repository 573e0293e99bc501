//! The job of the probe's thread: from the search for the probe to the started program.

use crate::cancel::Cancel;
use crate::failure;
use crate::memory::{Memory, PAGE, Page, UICR, pages};
use crate::programmer::Selection;
use bench_instruments::{Backup, ProgramError, ProgramJob, ProgramPhase, ProgramProgress, Programmed, UicrWord};
use probe_rs::architecture::arm::{DapProbe, RegisterAddress, dp::DpRegisterAddress};
use probe_rs::config::{Registry, TargetSelector};
use probe_rs::flashing::{DownloadOptions, FlashProgress, ProgressEvent, ProgressOperation};
use probe_rs::probe::list::{Accessibility, Lister, ProbeListItem};
use probe_rs::probe::{DebugProbeInfo, DebugProbeSelector, Probe, WireProtocol};
use probe_rs::{Permissions, Session, Target};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

const TARGET: &str = "nRF52840_xxAA";
/// FICR.INFO.PART and FICR.DEVICEID.
const PART: u64 = 0x1000_0100;
const EXPECTED_PART: u32 = 0x52840;
const DEVICE_ID: u64 = 0x1000_0060;
/// UICR.APPROTECT, and its value that locks all kinds of silicon.
const APPROTECT: u16 = 0x208;
const LOCKED: u32 = 0xFFFF_FF00;
const HALT_WITHIN: Duration = Duration::from_millis(500);
/// Line resets without an answer before the job reports that no module answers.
const CALLS: usize = 3;

/// A job and its environment.
pub(crate) struct Task {
    pub job: ProgramJob,
    pub selection: Selection,
    pub khz: u32,
    /// The result is no longer needed.
    pub cancel: Cancel,
}

/// Runs the whole job. Unless it fails, the module runs afterwards.
///
/// `probe-rs` waits by the wall clock: when the controller was busy for a second, a good module looks defective. So the
/// job is retried once; bytes already in the flash stay. A cancelled job fails in the same ways and is not retried.
pub(crate) fn run(task: &Task, lister: &Lister, report: &dyn Fn(ProgramProgress)) -> Result<Programmed, ProgramError> {
    let mut kept = false;
    match attempt(task, lister, report, &mut kept) {
        Err(ProgramError::Page { .. } | ProgramError::Core(_)) if !task.cancel.is_cancelled() => {
            attempt(task, lister, report, &mut kept)
        }
        done => done,
    }
    .map_err(|error| if error.is_of_module() { unless_the_probe_errs(task, lister, error) } else { error })
}

/// Transfers that must carry the same value before a module is blamed.
const STEADY_READS: u32 = 4_000;

/// Blames the module only if the probe reads the port's identification the same each time.
fn unless_the_probe_errs(task: &Task, lister: &Lister, error: ProgramError) -> ProgramError {
    let Ok(Opened { mut probe, .. }) = open(task, lister) else { return error };
    let Some(lines) = probe.try_as_dap_probe() else { return error };
    let identification = RegisterAddress::DpRegister(DpRegisterAddress { address: 0, bank: None });
    let Ok(first) = lines.raw_read_register(identification) else { return error };
    let differs = |lines: &mut dyn DapProbe| lines.raw_read_register(identification).is_ok_and(|read| read != first);
    let wrong = (0..STEADY_READS).filter(|_| differs(&mut *lines)).count();
    match wrong {
        0 => error,
        wrong => ProgramError::Probe(format!("{wrong} of {STEADY_READS} transfers carried a wrong bit ({error})")),
    }
}

/// `kept`: what the module held has been stored. A second attempt finds what the first one has written.
fn attempt(
    task: &Task,
    lister: &Lister,
    report: &dyn Fn(ProgramProgress),
    kept: &mut bool,
) -> Result<Programmed, ProgramError> {
    let job = &task.job;
    let pages = pages(&job.images)?;
    let cancel = &task.cancel;
    let Opened { info, probe, heard } = open(task, lister)?;
    let attached = attach(task, lister, probe);
    let (mut session, recovered) = attached.map_err(|error| match error {
        // No module answered in the first place.
        ProgramError::Lost { .. } if !heard => ProgramError::NoAnswer,
        error => error,
    })?;
    let (device_id, mut done) = match check(&mut session, cancel) {
        Ok(checked) => checked,
        Err(error) => {
            // The reset at the start of the check has locked the port of silicon that locks itself.
            drop(session);
            cancel.check()?;
            return Err(if see_locked(task, lister).is_ok() { ProgramError::Locked } else { error });
        }
    };
    done.probe = format!("{} {}", info.identifier, info.serial_number.as_deref().unwrap_or("without serial number"));
    (done.device_id, done.recovered) = (device_id, recovered);

    if let Some(expected) = job.device_id.filter(|expected| *expected != device_id) {
        return Err(ProgramError::OtherModule { found: device_id, expected });
    }

    if job.erase_rest {
        memory(&mut session, "while the flash was erased", cancel)?.erase_all()?;
    }
    let found = compare(&mut session, &pages, report, cancel)?;
    done.kept = found.kept;
    done.written =
        found.blank.iter().chain(&found.other).map(|address| pages.get(address).map_or(0, Page::wanted)).sum();
    if let Some(keep) = job.keep.as_ref().filter(|_| !*kept && !found.before.is_empty()) {
        let contents = memory(&mut session, "while UICR was read", cancel)?.page(UICR)?;
        let flash = found.before.iter().map(|(address, bytes)| (*address, Arc::from(bytes.as_slice()))).collect();
        let words = uicr_words(&contents).filter(|word| word.value != u32::MAX);
        (keep.0)(&Backup { device_id, flash, uicr: words.collect() }).map_err(ProgramError::NotKept)?;
        *kept = true;
    }
    write(&mut session, &pages, &found.blank, false, report, cancel)?;
    write(&mut session, &pages, &found.other, true, report, cancel)?;
    read_back(&mut session, &pages, found.blank.iter().chain(&found.other), report, cancel)?;
    done.uicr_written = write_uicr(&mut session, &job.uicr, job.only_uicr, cancel)?;
    if job.lock {
        done.uicr_written += write_uicr(&mut session, &[UicrWord { offset: APPROTECT, value: LOCKED }], false, cancel)?;
    }
    done.verified = true;
    cancel.check()?;
    let started = session.core(0).and_then(|mut core| core.reset());
    if job.lock {
        // The port is locked from the reset on: the result can no longer be read, only whether the port is locked.
        drop(session);
        see_locked(task, lister)?;
    } else {
        started.map_err(|error| failure::in_session(&error, START))?;
    }
    Ok(done)
}

fn see_locked(task: &Task, lister: &Lister) -> Result<(), ProgramError> {
    let Opened { probe, .. } = open(task, lister)?;
    match session(probe, Permissions::new()) {
        Err(error) if failure::is_locked(&error) => Ok(()),
        Err(error) => Err(failure::in_session(&error, "when the lock was checked")),
        Ok(_) => Err(ProgramError::Core("its access port was locked, but is still open".to_owned())),
    }
}

const START: &str = "when the program was started";

fn memory<'s>(session: &'s mut Session, during: &'static str, cancel: &Cancel) -> Result<Memory<'s>, ProgramError> {
    cancel.check()?;
    let core = session.core(0).map_err(|error| failure::in_session(&error, during))?;
    Ok(Memory::new(core, during, cancel.clone()))
}

struct Opened {
    info: DebugProbeInfo,
    probe: Probe,
    /// The module has answered. Not every probe supports this query.
    heard: bool,
}

/// Whether these are interfaces of one probe, any of which will do. Two probes with the same serial number, as some
/// makers sell them, have the same interfaces.
fn is_one_probe(items: &[&ProbeListItem]) -> bool {
    let name = |item: &&ProbeListItem| (item.info.vendor_id, item.info.product_id, item.info.serial_number.clone());
    let same = items.windows(2).all(|pair| matches!(pair, [a, b] if name(a) == name(b)));
    let interfaces: BTreeSet<_> = items.iter().map(|item| item.info.interface).collect();
    same && interfaces.len() == items.len()
}

/// Finds the selected probe.
fn open(task: &Task, lister: &Lister) -> Result<Opened, ProgramError> {
    task.cancel.check()?;
    // A probe on the network is listed only when selected by its address.
    let all = match task.selection.on_network() {
        Some(selector) => lister.list_with_access(Some(&selector)),
        None => lister.list_all_with_access(),
    };
    let name = |info: &DebugProbeInfo| {
        let serial = info.serial_number.as_deref().unwrap_or("?");
        let interface = info.interface.map(|interface| format!("-{interface}")).unwrap_or_default();
        format!("{} {:04x}:{:04x}{interface} {serial}", info.identifier, info.vendor_id, info.product_id)
    };
    let meant: Vec<&ProbeListItem> = all.iter().filter(|item| task.selection.fits(&item.info)).collect();
    let seen = || match all.as_slice() {
        [] => "none is plugged in".to_owned(),
        all => format!("plugged in: {}", all.iter().map(|item| name(&item.info)).collect::<Vec<_>>().join(", ")),
    };
    let item = match meant.as_slice() {
        [item] => *item,
        [item, ..] if is_one_probe(&meant) => *item,
        [_, ..] => return Err(ProgramError::Ambiguous { seen: seen() }),
        [] => return Err(ProgramError::NoProbe { wanted: task.selection.words(), seen: seen() }),
    };
    if item.accessibility == Accessibility::PermissionDenied {
        return Err(ProgramError::Denied { probe: name(&item.info) });
    }
    let probe = lister.open(DebugProbeSelector::from(&item.info));
    let mut probe = probe.map_err(|error| failure::at_opening(&error, &name(&item.info)))?;
    let prepared = probe.select_protocol(WireProtocol::Swd).and_then(|()| probe.set_speed(task.khz));
    prepared.map_err(|error| failure::at_opening(&error, &name(&item.info)))?;
    probe.attach_to_unspecified().map_err(|error| failure::in_session(&error, "when the probe was opened"))?;
    // `probe-rs` itself retries for five seconds.
    let heard = probe.try_as_dap_probe().map(|lines| (0..CALLS).any(|_| answers(lines)));
    task.cancel.check()?;
    if heard == Some(false) {
        return Err(ProgramError::NoAnswer);
    }
    Ok(Opened { info: item.info.clone(), probe, heard: heard.is_some() })
}

/// Checks whether a module answers: line reset, switch from JTAG to SWD, line reset, and a read of the port's
/// identification.
fn answers(lines: &mut dyn DapProbe) -> bool {
    let reset = |lines: &mut dyn DapProbe| lines.swj_sequence(51, (1 << 51) - 1);
    let identification = RegisterAddress::DpRegister(DpRegisterAddress { address: 0, bank: None });
    let called = reset(lines)
        .and_then(|()| lines.swj_sequence(16, 0xE79E))
        .and_then(|()| reset(lines))
        .and_then(|()| lines.swj_sequence(3, 0));
    called.is_ok() && lines.raw_read_register(identification).is_ok()
}

/// Opens a session. Returns it and whether the module had to be erased for it.
fn attach(task: &Task, lister: &Lister, probe: Probe) -> Result<(Session, bool), ProgramError> {
    let first = session(probe, Permissions::new());
    let error = match first {
        Ok(session) => return Ok((session, false)),
        Err(error) => error,
    };
    if !failure::is_locked(&error) {
        return Err(failure::in_session(&error, "at the beginning"));
    }
    if !task.job.recover_locked {
        return Err(ProgramError::Locked);
    }
    let Opened { probe, .. } = open(task, lister)?;
    match session(probe, Permissions::new().allow_erase_all()) {
        Ok(session) => Ok((session, true)),
        Err(error) => Err(match failure::in_session(&error, "while a locked module was erased") {
            ProgramError::Core(_) => ProgramError::StaysLocked,
            error => error,
        }),
    }
}

/// Description of the chip. Parsing those of all chips takes a tenth of a second on a controller, so it is done once.
fn target() -> Option<&'static Target> {
    static KNOWN: OnceLock<Option<Target>> = OnceLock::new();
    KNOWN.get_or_init(|| Registry::from_builtin_families().get_target_by_name(TARGET).ok()).as_ref()
}

/// Starts to parse it, so that it is ready for the first module.
pub(crate) fn read_target_early() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // Without the thread it is parsed when needed.
        let _ = std::thread::Builder::new().name("target".to_owned()).spawn(target);
    });
}

fn session(probe: Probe, permissions: Permissions) -> Result<Session, probe_rs::Error> {
    let target = match target() {
        Some(target) => target.clone(),
        // Repeated to get the error.
        None => Registry::from_builtin_families().get_target_by_name(TARGET)?,
    };
    probe.attach_with_registry(TargetSelector::Specified(target), permissions, &Registry::new())
}

/// Halts the core at its reset and checks that it is the right microcontroller.
fn check(session: &mut Session, cancel: &Cancel) -> Result<(u64, Programmed), ProgramError> {
    const DURING: &str = "at the beginning";
    let mut core = session.core(0).map_err(|error| failure::in_session(&error, DURING))?;
    core.reset_and_halt(HALT_WITHIN).map_err(|error| failure::in_session(&error, DURING))?;
    let mut memory = Memory::new(core, DURING, cancel.clone());
    let found = memory.word(PART)?;
    if found != EXPECTED_PART {
        return Err(ProgramError::OtherPart { found, expected: EXPECTED_PART });
    }
    let device_id = u64::from(memory.word(DEVICE_ID + 4)?) << 32 | u64::from(memory.word(DEVICE_ID)?);
    let nothing = Programmed {
        probe: String::new(),
        device_id,
        written: 0,
        kept: 0,
        uicr_written: 0,
        recovered: false,
        verified: false,
    };
    Ok((device_id, nothing))
}

/// State of the pages before writing.
#[derive(Default)]
struct Found {
    /// Bytes that are already correct.
    kept: u64,
    /// Erased pages, by address.
    blank: Vec<u32>,
    /// Pages with other contents.
    other: Vec<u32>,
    /// What both hold now, by address.
    before: BTreeMap<u32, Vec<u8>>,
}

fn compare(
    session: &mut Session,
    pages: &BTreeMap<u32, Page>,
    report: &dyn Fn(ProgramProgress),
    cancel: &Cancel,
) -> Result<Found, ProgramError> {
    let mut memory = memory(session, "while the flash was compared", cancel)?;
    let mut found = Found::default();
    for (n, (address, page)) in pages.iter().enumerate() {
        let contents = memory.page(*address)?;
        if page.is_in(&contents) {
            found.kept += page.wanted();
            report(progress(ProgramPhase::Compare, n + 1, pages.len()));
            continue;
        }
        if contents.iter().all(|byte| *byte == 0xFF) {
            found.blank.push(*address);
        } else {
            found.other.push(*address);
        }
        found.before.insert(*address, contents);
        report(progress(ProgramPhase::Compare, n + 1, pages.len()));
    }
    Ok(found)
}

fn progress(phase: ProgramPhase, pages: usize, of: usize) -> ProgramProgress {
    ProgramProgress { phase, done: pages as u64 * u64::from(PAGE), total: of as u64 * u64::from(PAGE) }
}

fn write(
    session: &mut Session,
    pages: &BTreeMap<u32, Page>,
    addresses: &[u32],
    erase: bool,
    report: &dyn Fn(ProgramProgress),
    cancel: &Cancel,
) -> Result<(), ProgramError> {
    const DURING: &str = "while the flash was written";
    if addresses.is_empty() {
        return Ok(());
    }
    cancel.check()?;
    let mut loader = session.target().flash_loader();
    for address in addresses {
        for (offset, bytes) in pages.get(address).map(Page::runs).unwrap_or_default() {
            let added = loader.add_data(u64::from(address + offset), &bytes);
            added.map_err(|error| failure::in_session(&error, DURING))?;
        }
    }
    let (mut phase, mut done) = (ProgramPhase::Write, 0);
    let total = addresses.len() as u64 * u64::from(PAGE);
    let mut options = DownloadOptions::default();
    options.skip_erase = !erase;
    options.progress = FlashProgress::new(|event| match event {
        ProgressEvent::Started(operation) => {
            done = 0;
            phase =
                if matches!(operation, ProgressOperation::Erase) { ProgramPhase::Erase } else { ProgramPhase::Write };
        }
        ProgressEvent::Progress { size, .. } => {
            done += size;
            report(ProgramProgress { phase, done: done.min(total), total });
            if cancel.is_cancelled() {
                // The callback cannot return an error, and a probe that is not wrapped would continue to the last page.
                // The thread catches this unwinding like a panic.
                std::panic::resume_unwind(Box::new("cancelled"));
            }
        }
        _ => {}
    });
    loader.commit(session, options).map_err(|error| failure::in_session(&error, DURING))
}

fn read_back<'a>(
    session: &mut Session,
    pages: &BTreeMap<u32, Page>,
    addresses: impl Iterator<Item = &'a u32> + Clone,
    report: &dyn Fn(ProgramProgress),
    cancel: &Cancel,
) -> Result<(), ProgramError> {
    let mut memory = memory(session, "while the flash was verified", cancel)?;
    let of = addresses.clone().count();
    for (n, address) in addresses.enumerate() {
        let contents = memory.page(*address)?;
        if let Some((offset, expected, read)) = pages.get(address).and_then(|page| page.difference(&contents)) {
            return Err(ProgramError::Flash { address: address + offset, expected, read });
        }
        report(progress(ProgramPhase::Verify, n + 1, of));
    }
    Ok(())
}

fn word_of(contents: &[u8], offset: usize) -> u32 {
    let bytes = contents.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(u32::MAX, u32::from_le_bytes)
}

fn uicr_words(contents: &[u8]) -> impl Iterator<Item = UicrWord> {
    (0..PAGE as u16).step_by(4).map(|offset| UicrWord { offset, value: word_of(contents, offset.into()) })
}

/// Sets these words of UICR. The other words stay, or with `only` become blank. Returns how many were written.
fn write_uicr(session: &mut Session, words: &[UicrWord], only: bool, cancel: &Cancel) -> Result<u32, ProgramError> {
    if words.is_empty() && !only {
        return Ok(0);
    }
    let mut memory = memory(session, "while UICR was written", cancel)?;
    let contents = memory.page(UICR)?;
    let mut all: BTreeMap<u16, u32> = BTreeMap::new();
    if only {
        all.extend(uicr_words(&contents).map(|word| (word.offset, u32::MAX)));
    }
    all.extend(words.iter().map(|word| (word.offset, word.value)));
    let mut wanted = all;
    wanted.retain(|at, value| word_of(&contents, (*at).into()) != *value);
    if wanted.iter().any(|(at, value)| word_of(&contents, (*at).into()) & value != *value) {
        // Bits only go from 1 to 0: after the erase, all words must be written again.
        for word in uicr_words(&contents).filter(|word| word.value != u32::MAX) {
            wanted.entry(word.offset).or_insert(word.value);
        }
        memory.erase_uicr()?;
    }
    for (at, value) in wanted.iter().filter(|(_, value)| **value != u32::MAX) {
        memory.write_uicr(*at, *value)?;
    }
    let contents = memory.page(UICR)?;
    match wanted.iter().find(|(at, value)| word_of(&contents, (**at).into()) != **value) {
        Some((at, value)) => Err(ProgramError::Uicr {
            address: UICR + u32::from(*at),
            expected: *value,
            read: word_of(&contents, (*at).into()),
        }),
        None => Ok(wanted.len() as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::closed_probes;

    #[test]
    fn the_named_probe_is_found_or_those_that_are_there_are_listed() {
        const PICO: (u16, u16) = (0x2e8a, 0xc);
        let pico = |interface, serial| (PICO.0, PICO.1, interface, serial);
        let two = [pico(None, Some("AA")), pico(None, Some("BB"))];
        let many = [pico(Some(0), Some("AA")), pico(Some(1), Some("AA"))];
        let clones = [pico(Some(0), Some("0123")), pico(Some(0), Some("0123"))];
        // What it comes to: "busy" is a probe that was chosen, and that these probes cannot open.
        let rows: [(&str, &[_], &str); 11] = [
            ("2e8a:000c:aa", &two, "2e8a:000c AA"),
            ("0x2E8A:0xC:BB", &two, "2e8a:000c BB"),
            ("bb", &two, "2e8a:000c BB"),
            ("2e8a:000c", &two, "more than one debug probe is meant"),
            ("2e8a:000c:", &two, "more than one debug probe is meant"),
            ("2e8a:000c:CC", &two, "no debug probe 2e8a:000c CC"),
            ("2e8a:pico", &two, "no debug probe 2e8a:pico"),
            ("", &two[..1], "2e8a:000c AA"),
            ("2e8a:000c:AA", &many, "2e8a:000c-0 AA"),
            ("2e8a:000c-1:AA", &many, "2e8a:000c-1 AA"),
            ("2e8a:000c:0123", &clones, "more than one debug probe is meant"),
        ];
        for (text, probes, expected) in rows {
            let task = Task {
                job: ProgramJob::default(),
                selection: Selection::parse(text),
                khz: 1000,
                cancel: Cancel::default(),
            };
            let error = open(&task, &closed_probes(probes)).err().unwrap().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
            if expected.starts_with("no ") || expected.starts_with("more ") {
                let serial = probes[0].3.unwrap_or_default();
                assert!(error.contains(serial), "those that are plugged in are listed: {error}");
            }
        }
    }
}
