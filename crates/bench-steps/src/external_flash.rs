//! `external-flash`: the flash chip on the module answers, is the right part, erases, and keeps what is written over
//! all four data lines.
//! The step uses one sector, the scratch sector. The firmware saves its content and restores it at the end, over one
//! line. Before anything is written over four lines, a few bytes that were written over one line are read over four: an
//! open line would send quad writes to other addresses.

mod access;

use crate::resource;
use crate::{Kind, Nest, Procedure, StepError, StepLog};
use access::{Access, SECTOR};
use async_trait::async_trait;
use bench_plan::{ParamProblem, Resolved, Spanned, Surroundings};
use bench_run::{Defect, Diagnosis, Limits, MeasurementSpec, MeasurementUnit};
use dut_protocol::{Checksum, Port};
use std::time::Duration;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Number of the sector of 4096 bytes that is erased and written; the last one when left out.
    #[serde(default)]
    #[schemars(with = "Option<u32>")]
    scratch_sector: Option<Spanned<u32>>,
}

pub struct ExternalFlash {
    spi: SpiPorts,
    /// JEDEC ids that the model's flash may have, and the names of the parts.
    ids: Vec<[u8; 3]>,
    parts: String,
    scratch: u32,
    specs: Specs,
}

/// The first two data lines as plain SPI.
#[derive(Debug, Clone, Copy)]
struct SpiPorts {
    sck: Port,
    mosi: Port,
    miso: Port,
    chip_select: Port,
}

struct Specs {
    id: MeasurementSpec,
    line_errors: MeasurementSpec,
    not_erased: MeasurementSpec,
    pattern_errors: MeasurementSpec,
    not_put_back: MeasurementSpec,
    others: MeasurementSpec,
}

impl Specs {
    fn all(&self) -> Vec<MeasurementSpec> {
        let Specs { id, line_errors, not_erased, pattern_errors, not_put_back, others } = self;
        [id, line_errors, not_erased, pattern_errors, not_put_back, others].into_iter().cloned().collect()
    }
}

/// Offsets of the written places in the scratch sector. The rest stays erased.
const PATTERN_AT: u32 = 0x000;
const INVERSE_AT: u32 = 0x200;
const PATTERN_BYTES: usize = 512;
const PROBE_AT: u32 = 0xE00;
/// Every data line carries both levels, alone and against the others.
const PROBE: [u8; 16] =
    [0x12, 0x48, 0x84, 0x21, 0xED, 0xB7, 0x7B, 0xDE, 0x00, 0xFF, 0x0F, 0xF0, 0x5A, 0xA5, 0x3C, 0xC3];
/// Start of the flash, where Device OS keeps its files.
const SAMPLE_BYTES: u32 = SECTOR;

impl Kind for ExternalFlash {
    const NAME: &'static str = "external-flash";
    type Params = Params;

    fn resolve(params: Params, around: &Surroundings<'_>) -> Result<Resolved<Box<dyn Procedure>>, ParamProblem> {
        let port = |name: &str| {
            around.dut.internal(name).ok_or_else(|| {
                ParamProblem::new(format!("the family {} names no internal port {name}", around.dut.name))
            })
        };
        let spi = SpiPorts {
            sck: port("QSPI_SCK")?,
            mosi: port("QSPI_IO0")?,
            miso: port("QSPI_IO1")?,
            chip_select: port("QSPI_CS")?,
        };
        let model = around.model;
        let sectors = model.external_flash_bytes / SECTOR;
        // The sample and the sector before it must stay out of the way.
        let first = SAMPLE_BYTES / SECTOR + 1;
        let scratch = match params.scratch_sector {
            None => sectors.saturating_sub(1),
            Some(number) if (first..sectors).contains(number.get_ref()) => *number.get_ref(),
            Some(number) => {
                let text = format!("sector {} cannot be the scratch sector", number.get_ref());
                return Err(ParamProblem::new(text)
                    .at(number.span(), "no such sector, or too near the beginning")
                    .help(format!("the external flash of a {} allows {first} to {}", model.name, sectors - 1)));
            }
        };
        let spec = |name: &str, limits| MeasurementSpec {
            name: name.into(),
            unit: MeasurementUnit::One,
            limits,
            contacts: Vec::new(),
        };
        let none = Limits::exactly(0.0);
        let specs = Specs {
            id: spec("flash.id-matches", Limits::exactly(1.0)),
            line_errors: spec("flash.quad-line-errors", none),
            not_erased: spec("flash.bits-not-erased", none),
            pattern_errors: spec("flash.pattern-errors", none),
            not_put_back: spec("flash.sectors-not-put-back", none),
            others: spec("flash.other-areas-changed", none),
        };
        Ok(Resolved {
            measurements: specs.all(),
            coverage: Vec::new(),
            uses: resource::list(&[resource::QSPI]),
            shares: resource::list(&[resource::DUT]),
            default_timeout: Duration::from_secs(20),
            procedure: Box::new(ExternalFlash {
                spi,
                ids: model.external_flash_ids.clone(),
                parts: model.external_flash_parts.join(" or "),
                scratch: scratch * SECTOR,
                specs,
            }),
        })
    }
}

#[async_trait(?Send)]
impl Procedure for ExternalFlash {
    async fn run(&self, nest: &Nest, log: &dyn StepLog) -> Result<(), StepError> {
        nest.join_link().await?;
        let flash = Access { nest, spi: self.spi };
        self.identify(&flash, log).await?;
        let before = self.checksums_around(&flash).await?;
        let held = flash.keep(self.scratch).await?;
        let exercised = self.exercise(&flash, log).await;
        let put_back = self.put_back(&flash, log, held).await;
        let changed = match &exercised {
            Ok(()) => self.judge_others(&flash, log, &before).await,
            Err(_) => Ok(()),
        };
        exercised.and(put_back).and(changed)
    }
}

impl ExternalFlash {
    fn defect(&self, log: &dyn StepLog, text: String) -> StepError {
        log.diagnosed(Diagnosis { defect: Defect::Other, contacts: Vec::new(), text: text.clone() });
        StepError::Dut(text)
    }

    async fn identify(&self, flash: &Access<'_>, log: &dyn StepLog) -> Result<(), StepError> {
        let id = match flash.identify().await? {
            Some(id) => id,
            None => {
                log.measured(&self.specs.id.name, Some(0.0));
                let text = "the external flash on the module is absent or dead: it does not answer";
                return Err(self.defect(log, text.to_owned()));
            }
        };
        let matches = self.ids.contains(&id);
        log.measured(&self.specs.id.name, Some(f64::from(u8::from(matches))));
        if matches {
            return Ok(());
        }
        let [maker, kind, size] = id;
        let text = format!(
            "the external flash on the module is the wrong part: it answers with id {maker:02x} {kind:02x} {size:02x}, \
             expected is a {}",
            self.parts
        );
        Err(self.defect(log, text))
    }

    /// The sectors before and behind the scratch sector, and a sample.
    fn areas(&self) -> Vec<(u32, u32)> {
        let end = 1u32 << self.ids.first().map_or(22, |id| id[2]).clamp(16, 24);
        let behind = self.scratch + SECTOR;
        let mut areas = vec![(0, SAMPLE_BYTES), (self.scratch - SECTOR, SECTOR)];
        // Behind the last sector, addresses wrap to 0, which the sample covers. Take one more sector before it instead.
        areas.push((if behind < end { behind } else { self.scratch - 2 * SECTOR }, SECTOR));
        areas
    }

    async fn checksums_around(&self, flash: &Access<'_>) -> Result<Vec<u32>, StepError> {
        let mut sums = Vec::new();
        for (address, length) in self.areas() {
            sums.push(flash.checksum(address, length).await?);
        }
        Ok(sums)
    }

    /// Erases the scratch sector and writes to it. After an error its content is undefined.
    async fn exercise(&self, flash: &Access<'_>, log: &dyn StepLog) -> Result<(), StepError> {
        flash.erase(self.scratch).await?;
        flash.write_plain(self.scratch + PROBE_AT, &PROBE).await?;
        let over_one = flash.read_plain(self.scratch + PROBE_AT, PROBE.len() as u32).await?;
        let over_four = flash.read(self.scratch + PROBE_AT, PROBE.len() as u32).await?;
        let line_errors = wrong_bits(&over_four, &over_one);
        log.measured(&self.specs.line_errors.name, Some(f64::from(line_errors)));
        if line_errors > 0 {
            return Err(self.defect(log, describe_lines(&over_four, &over_one)));
        }

        let erased = self.not_erased(flash).await?;
        log.measured(&self.specs.not_erased.name, Some(f64::from(erased.bits)));
        if erased.bits > 0 {
            let text = format!(
                "external flash: bad sector at {:#08x}: {} bits stay 0 after an erase, the first at {:#08x}",
                self.scratch,
                erased.bits,
                self.scratch + erased.first
            );
            self.defect(log, text);
        }

        let pattern = pattern();
        let inverse: Vec<u8> = pattern.iter().map(|byte| !byte).collect();
        let mut errors = 0;
        for (at, bytes) in [(PATTERN_AT, &pattern), (INVERSE_AT, &inverse)] {
            flash.write(self.scratch + at, bytes).await?;
            errors += self.wrong_bits_at(flash, at, bytes).await?;
        }
        log.measured(&self.specs.pattern_errors.name, Some(f64::from(errors)));
        if errors > 0 && erased.bits == 0 {
            let text = format!(
                "external flash: {errors} of {} bits written at {:#08x} read back wrong",
                2 * 8 * PATTERN_BYTES,
                self.scratch
            );
            self.defect(log, text);
        }
        Ok(())
    }

    /// Counts the bits outside the probe that did not become 1.
    async fn not_erased(&self, flash: &Access<'_>) -> Result<NotErased, StepError> {
        let mut expected = vec![0xFF; SECTOR as usize];
        expected[PROBE_AT as usize..][..PROBE.len()].copy_from_slice(&PROBE);
        if flash.checksum(self.scratch, SECTOR).await? == Checksum::of(&expected) {
            return Ok(NotErased::default());
        }
        let content = flash.read(self.scratch, SECTOR).await?;
        if content == expected {
            return Ok(NotErased { bits: 1, first: 0 });
        }
        let first = content.iter().zip(&expected).position(|(is, should)| is != should).unwrap_or_default();
        Ok(NotErased { bits: wrong_bits(&content, &expected), first: first as u32 })
    }

    /// Reads all bytes only where the checksum shows a difference.
    async fn wrong_bits_at(&self, flash: &Access<'_>, at: u32, bytes: &[u8]) -> Result<u32, StepError> {
        let length = bytes.len() as u32;
        if flash.checksum(self.scratch + at, length).await? == Checksum::of(bytes) {
            return Ok(0);
        }
        // What differed once is wrong, even if a second read agrees.
        Ok(wrong_bits(&flash.read(self.scratch + at, length).await?, bytes).max(1))
    }

    /// `held`: checksum of the previous content.
    async fn put_back(&self, flash: &Access<'_>, log: &dyn StepLog, held: u32) -> Result<(), StepError> {
        let lost = flash.put_back().await? != held;
        log.measured(&self.specs.not_put_back.name, Some(f64::from(u8::from(lost))));
        if lost {
            log.note(format!("the scratch sector at {:#08x} could not be restored", self.scratch));
        }
        Ok(())
    }

    async fn judge_others(&self, flash: &Access<'_>, log: &dyn StepLog, before: &[u32]) -> Result<(), StepError> {
        let after = self.checksums_around(flash).await?;
        let areas = self.areas();
        let changed: Vec<String> = (areas.iter().zip(before.iter().zip(&after)))
            .filter(|(_, (before, after))| before != after)
            .map(|((address, length), _)| format!("{length} bytes at {address:#08x}"))
            .collect();
        log.measured(&self.specs.others.name, Some(changed.len() as f64));
        if !changed.is_empty() {
            self.defect(log, format!("external flash: writing one sector changed others: {}", changed.join(", ")));
        }
        Ok(())
    }
}

#[derive(Default)]
struct NotErased {
    bits: u32,
    /// Offset in the sector.
    first: u32,
}

/// Bytes without a period that a wrong address could match: each depends on its place.
fn pattern() -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let next = |state: &mut u32| {
        // Xorshift (Marsaglia).
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        (*state >> 24) as u8
    };
    (0..PATTERN_BYTES).map(|_| next(&mut state)).collect()
}

/// Counts wrong bits. A missing byte counts as eight.
fn wrong_bits(actual: &[u8], expected: &[u8]) -> u32 {
    let differ: u32 = actual.iter().zip(expected).map(|(is, should)| (is ^ should).count_ones()).sum();
    differ + 8 * expected.len().abs_diff(actual.len()) as u32
}

/// Returns which data lines differ; bit n of each half of a byte travels over IOn.
fn describe_lines(over_four: &[u8], over_one: &[u8]) -> String {
    let wrong = over_four.iter().zip(over_one).fold(0, |wrong, (four, one)| wrong | four ^ one);
    let lines: Vec<String> =
        (0..4).filter(|n| wrong >> n & 1 == 1 || wrong >> (n + 4) & 1 == 1).map(|n| format!("IO{n}")).collect();
    match lines.as_slice() {
        [line] => format!("external flash: its quad line {line} is open or stuck"),
        [first, second] => format!("external flash: its quad lines {first} and {second} are open, stuck or joined"),
        _ => "external flash: it works over one line but not over four (quad mode)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_defects_follow_from_wrong_bits() {
        for (stuck_high, expected) in [
            (0x44u8, "its quad line IO2 is open or stuck"),
            (0x88, "its quad line IO3 is open or stuck"),
            (0xCC, "its quad lines IO2 and IO3 are"),
            (0xFF, "over one line but not over four"),
        ] {
            let seen: Vec<u8> = PROBE.iter().map(|byte| byte | stuck_high).collect();
            assert!(describe_lines(&seen, &PROBE).contains(expected), "{}", describe_lines(&seen, &PROBE));
            let low: Vec<u8> = PROBE.iter().map(|byte| byte & !stuck_high).collect();
            assert_eq!(describe_lines(&low, &PROBE), describe_lines(&seen, &PROBE));
        }
    }

    #[test]
    fn a_missing_byte_is_wrong() {
        assert_eq!(wrong_bits(&[0x0F], &[0x0F, 0x00]), 8);
        assert_eq!(wrong_bits(&[0x0F, 0x81], &[0x0F, 0x80]), 1);
    }
}
