//! `program-production`: writes what the customer gets into the module, at the end: images, words of UICR, the lock.

use crate::program::{describe, failed, shown};
use crate::resolve;
use crate::resource;
use crate::{ImageFile, Kind, Nest, Procedure, StepError, StepLog};
use async_trait::async_trait;
use bench_instruments::{Image, ProgramError, ProgramJob, UicrWord};
use bench_plan::{ParamProblem, Resolved, Seconds, Spanned, Surroundings};
use bench_run::{Limits, MeasurementSpec, MeasurementUnit};
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rail that supplies the MCU.
    #[schemars(with = "String")]
    supply: Spanned<String>,
    /// Boot loader, system, application: whatever belongs into the flash.
    #[schemars(with = "Vec<ImageParams>")]
    images: Spanned<Vec<ImageParams>>,
    /// Words of the user information configuration registers.
    #[serde(default)]
    #[schemars(with = "Vec<WordParams>")]
    uicr: Option<Spanned<Vec<WordParams>>>,
    /// Whether everything else is erased: the test firmware and its words of UICR too.
    #[serde(default = "yes")]
    erase_rest: bool,
    /// Whether the access port is locked at the end. Only erasing the whole module unlocks it.
    #[serde(default)]
    lock: bool,
    /// Longest time for programming.
    #[serde(default = "default_within")]
    within: Seconds,
}

#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct ImageParams {
    /// An ELF (.elf), Intel HEX (.hex) or plain file (.bin), relative to the plan.
    file: String,
    /// Where a plain file begins in the flash.
    #[serde(default)]
    at: Option<u32>,
}

#[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct WordParams {
    /// From the beginning of UICR, such as 0x80 for CUSTOMER[0].
    at: u16,
    /// One word.
    #[serde(default)]
    value: Option<u32>,
    /// The unit's serial number, as ASCII, filled up to whole words with 0xFF.
    #[serde(default)]
    serial: bool,
}

fn yes() -> bool {
    true
}

fn default_within() -> Seconds {
    Seconds::new(60.0)
}

/// The programmer gives up by itself before that.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Last word of UICR: REGOUT0 and its neighbours are below.
const UICR_END: u16 = 0x308;
/// UICR.APPROTECT belongs to the lock.
const APPROTECT: u16 = 0x208;
/// Maximum characters of a serial number, and its padding.
const SERIAL_BYTES: usize = 15;
const ERASED: u8 = 0xFF;
const WORD: usize = 4;

enum Word {
    Value(UicrWord),
    Serial { at: u16 },
}

impl Word {
    fn of(params: &WordParams) -> Result<Word, ParamProblem> {
        let at = params.at;
        let word = match (params.value, params.serial) {
            (Some(value), false) => Word::Value(UicrWord { offset: at, value }),
            (None, true) => Word::Serial { at },
            _ => {
                return Err(ParamProblem::new(format!("no content is given for {at:#x}"))
                    .help("give it either `value = 0x12345678` or `serial = true`"));
            }
        };
        if !at.is_multiple_of(WORD as u16) || word.offsets().end > UICR_END {
            return Err(ParamProblem::new(format!("no word of UICR is at {at:#x}"))
                .help(format!("offsets are multiples of 4 below {UICR_END:#x}")));
        }
        Ok(word)
    }

    /// Checks a word of UICR.
    fn offsets(&self) -> std::ops::Range<u16> {
        match self {
            Word::Value(word) => word.offset..word.offset.saturating_add(WORD as u16),
            Word::Serial { at } => *at..at.saturating_add(SERIAL_BYTES.next_multiple_of(WORD) as u16),
        }
    }

    fn words(&self, serial: &str) -> Vec<UicrWord> {
        match self {
            Word::Value(word) => vec![*word],
            Word::Serial { at } => {
                let word = |bytes: &[u8]| {
                    let mut word = [ERASED; WORD];
                    word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                    u32::from_le_bytes(word)
                };
                let words = serial.as_bytes().chunks(WORD).map(word);
                (*at..).step_by(WORD).zip(words).map(|(offset, value)| UicrWord { offset, value }).collect()
            }
        }
    }
}

pub struct ProgramProduction {
    supply: String,
    images: Vec<ImageFile>,
    words: Vec<Word>,
    erase_rest: bool,
    lock: bool,
    verified: MeasurementSpec,
    seconds: MeasurementSpec,
}

impl Kind for ProgramProduction {
    const NAME: &'static str = "program-production";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let place = params.supply.span();
        let supply = resolve::supply(around.fixture, params.supply)?;
        if around.fixture.probe.is_none() {
            let text = format!("the fixture {} has no debug probe", around.fixture.name);
            return Err(ParamProblem::new(text)
                .at(place, "in this step")
                .help("give it a section [controller.probe], or leave the step out"));
        }
        let images = images(&params.images)?;
        let words = params.uicr.as_ref().map(words).transpose()?.unwrap_or_default();
        let spec = |name: &str, unit, limits| MeasurementSpec { name: name.into(), unit, limits, contacts: Vec::new() };
        let verified = spec("production.verified", MeasurementUnit::One, Limits::exactly(1.0));
        let seconds = spec("production.seconds", MeasurementUnit::Seconds, Limits::at_most(params.within.get()));
        Ok(Resolved {
            measurements: vec![verified.clone(), seconds.clone()],
            coverage: Vec::new(),
            uses: resource::list(&[resource::DUT]),
            shares: Vec::new(),
            default_timeout: TIMEOUT,
            procedure: Box::new(ProgramProduction {
                supply,
                images,
                words,
                erase_rest: params.erase_rest,
                lock: params.lock,
                verified,
                seconds,
            }),
        })
    }
}

fn images(params: &Spanned<Vec<ImageParams>>) -> Result<Vec<ImageFile>, ParamProblem> {
    let wrong = |text: String, help: &str| Err(ParamProblem::new(text).at(params.span(), "here").help(help));
    if params.get_ref().is_empty() {
        return wrong("there is nothing to program".to_owned(), "name at least one image");
    }
    let mut images = Vec::new();
    for ImageParams { file, at } in params.get_ref() {
        let plain = match file.rsplit_once('.').map(|(_, extension)| extension) {
            Some("bin") => true,
            Some("elf" | "hex") => false,
            _ => return wrong(format!("the format of {file} is unknown"), "its name must end in .elf, .hex or .bin"),
        };
        if plain != at.is_some() {
            let help = "a plain file needs `at = 0x30000`; an ELF or HEX file contains its addresses";
            return wrong(format!("where does {file} begin?"), help);
        }
        images.push(ImageFile { file: file.clone(), at: *at });
    }
    Ok(images)
}

fn words(params: &Spanned<Vec<WordParams>>) -> Result<Vec<Word>, ParamProblem> {
    let mut taken = BTreeSet::new();
    let mut words = Vec::new();
    for word in params.get_ref() {
        let word = Word::of(word).map_err(|problem| problem.at(params.span(), "here"))?;
        for offset in word.offsets().step_by(WORD) {
            if !taken.insert(offset) {
                let text = format!("the word at {offset:#x} is written twice");
                return Err(ParamProblem::new(text).at(params.span(), "here"));
            }
        }
        words.push(word);
    }
    if taken.contains(&APPROTECT) {
        return Err(ParamProblem::new(format!("the word at {APPROTECT:#x} is APPROTECT"))
            .at(params.span(), "here")
            .help("`lock = true` writes it, after everything was read back"));
    }
    Ok(words)
}

#[async_trait(?Send)]
impl Procedure for ProgramProduction {
    fn images(&self) -> &[ImageFile] {
        &self.images
    }

    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        let image = |wanted: &ImageFile| {
            let image = nest.images.get(wanted).cloned();
            image.ok_or_else(|| StepError::Bench(format!("the image {} was not given to this run", wanted.file)))
        };
        let images = self.images.iter().map(image).collect::<Result<Vec<Image>, StepError>>()?;
        nest.supply_volts(&self.supply).await?;
        nest.leave_link().await?;
        let began = nest.clock.now();
        let names = images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(", ");
        let job = ProgramJob {
            images,
            uicr: self.words.iter().flat_map(|word| word.words(&nest.serial)).collect(),
            erase_rest: self.erase_rest,
            recover_locked: false,
            lock: self.lock,
            ..ProgramJob::default()
        };
        let done = match nest.programmer.program(job, &|progress| shown(log, progress)).await {
            Ok(done) => done,
            // The probe reached the module when the test firmware was written.
            Err(ProgramError::NoAnswer) => {
                return Err(StepError::Dut("the MCU does not answer the debug probe any more".to_owned()));
            }
            Err(error) => return Err(failed(log, &error)),
        };
        log.measured(&self.verified.name, Some(f64::from(u8::from(done.verified))));
        log.measured(&self.seconds.name, Some((nest.clock.now() - began).as_secs_f64()));
        let locked = if self.lock { ", locked" } else { "" };
        log.note(format!("{}{locked}", describe(&names, &done)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(at: u16, value: Option<u32>, serial: bool) -> WordParams {
        WordParams { at, value, serial }
    }

    #[test]
    fn a_serial_number_fills_whole_words() {
        let words = Word::Serial { at: 0x80 }.words("P042AN0000DEMO1");
        let expected = [(0x80, *b"P042"), (0x84, *b"AN00"), (0x88, *b"00DE"), (0x8C, *b"MO1\xff")];
        let written: Vec<(u16, [u8; 4])> = words.iter().map(|word| (word.offset, word.value.to_le_bytes())).collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn words_of_uicr() {
        for (params, expected) in [
            (vec![word(0x80, Some(1), false), word(0x84, None, true)], Ok(2)),
            (vec![word(0x80, None, true), word(0x8C, Some(1), false)], Err("the word at 0x8c is written twice")),
            (vec![word(0x208, Some(0), false)], Err("the word at 0x208 is APPROTECT")),
            (vec![word(0x82, Some(0), false)], Err("no word of UICR is at 0x82")),
            (vec![word(0x308, Some(0), false)], Err("no word of UICR is at 0x308")),
            (vec![word(0xFFFC, None, true)], Err("no word of UICR is at 0xfffc")),
            (vec![word(0x80, None, false)], Err("no content is given for 0x80")),
            (vec![word(0x80, Some(1), true)], Err("no content is given for 0x80")),
        ] {
            let outcome =
                words(&Spanned::new(0..1, params)).map(|words| words.len()).map_err(|problem| problem.message);
            assert_eq!(outcome, expected.map_err(str::to_owned));
        }
    }
}
