//! One function for each kind of record. Names in comments are those of the specification (STDF V4).

use super::bytes::{File, Payload};
use super::{ALL, HEAD, Test};
use crate::record::{MeasurementRecord, RunRecord};
use bench_run::{Contact, Verdict};
use std::io::{self, Write};

/// What the header names: the same for all runs of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    model: String,
    lot: String,
    node: String,
    plan: String,
    plan_sha256: String,
    bench_version: String,
    bench_commit: String,
}

impl Header {
    pub(super) fn of(record: &RunRecord) -> Self {
        let made_of = record.provenance.clone().unwrap_or_default();
        Self {
            model: record.model.clone(),
            lot: record.lot.clone().unwrap_or_default(),
            node: super::station_of(record).to_owned(),
            plan: made_of.plan,
            plan_sha256: made_of.plan_sha256,
            bench_version: made_of.bench_version,
            bench_commit: made_of.bench_commit,
        }
    }
}

/// FAR and MIR.
pub(super) fn master<W: Write>(file: &mut File<W>, of: &Header, started: u32) -> io::Result<()> {
    // FAR: CPU_TYPE, STDF_VER
    file.push(0, 10, Payload::default().u1(2).u1(4))?;
    let mir = Payload::default()
        .u4(started) // SETUP_T
        .u4(started) // START_T
        .u1(1) // STAT_NUM
        .u1(b'P') // MODE_COD: production
        .u1(b' ') // RTST_COD
        .u1(b' ') // PROT_COD
        .u2(u16::MAX) // BURN_TIM: not known
        .u1(b' ') // CMOD_COD
        .text(&of.lot) // LOT_ID
        .text(&of.model) // PART_TYP
        .text(&of.node) // NODE_NAM
        .text("bench") // TSTR_TYP
        .text(&of.plan) // JOB_NAM
        .text(&of.plan_sha256) // JOB_REV
        .empty(2) // SBLOT_ID, OPER_NAM
        .text("bench") // EXEC_TYP
        .text(&of.bench_version) // EXEC_VER
        .text("end-of-line") // TEST_COD
        .empty(1) // TST_TEMP
        .text(&of.bench_commit) // USER_TXT
        .empty(2) // AUX_FILE, PKG_TYP
        .text(&of.model) // FAMLY_ID
        .empty(5) // DATE_COD, FACIL_ID, FLOOR_ID, PROC_ID, OPER_FRQ
        .text(&of.plan) // SPEC_NAM
        .text(&of.plan_sha256) // SPEC_VER
        .empty(7); // FLOW_ID, SETUP_ID, DSGN_REV, ENG_ID, ROM_COD, SERL_NUM, SUPR_NAM
    file.push(1, 10, mir)
}

/// SDR: a nest with its fixture.
pub(super) fn site<W: Write>(
    file: &mut File<W>,
    site: u8,
    name: &str,
    fixture: Option<&(String, String)>,
) -> io::Result<()> {
    let (fixture, hash) = fixture.map_or(("", ""), |(fixture, hash)| (fixture, hash));
    let sdr = Payload::default()
        .u1(HEAD)
        .u1(site) // each site is its own group
        .u1(1) // SITE_CNT
        .u1(site) // SITE_NUM
        .empty(4) // HAND_TYP, HAND_ID, CARD_TYP, CARD_ID
        .text("nest") // LOAD_TYP
        .text(name) // LOAD_ID
        .text(fixture) // DIB_TYP
        .text(hash) // DIB_ID
        .empty(8); // CABL, CONT, LASR, EXTR: _TYP and _ID
    file.push(1, 80, sdr)
}

/// PMR: a contact of the module. Its index is its number, so that FAIL_PIN needs no table.
pub(super) fn pin<W: Write>(file: &mut File<W>, contact: Contact) -> io::Result<()> {
    let name = contact.to_string();
    let pmr = Payload::default()
        .u2(contact.0.into()) // PMR_INDX
        .u2(0) // CHAN_TYP
        .text("") // CHAN_NAM
        .text(&name) // PHY_NAM
        .text(&format!("contact {name}")) // LOG_NAM
        .u1(HEAD)
        .u1(1);
    file.push(1, 60, pmr)
}

/// TEST_FLG: bit 6 says that there is no verdict, bit 1 that there is no result, bit 7 that the test failed.
fn test_flag(measured: &MeasurementRecord) -> u8 {
    let (missing, failed) = (measured.measurement.value.is_none(), measured.measurement.verdict == Verdict::Fail);
    let judged = matches!(measured.measurement.verdict, Verdict::Pass | Verdict::Fail);
    u8::from(missing) << 1 | u8::from(!judged) << 6 | u8::from(failed) << 7
}

/// PTR: a reading with its limits.
pub(super) fn parametric<W: Write>(
    file: &mut File<W>,
    test: &Test,
    measured: &MeasurementRecord,
    site: u8,
) -> io::Result<()> {
    let limits = &measured.measurement.limits;
    let (low, high) = (limits.min, limits.max);
    // OPT_FLAG: bit 1 is reserved and set; 2, 3: no specification limit; 6, 7: no test limit.
    let no = |limit: Option<f64>, bits: u8| if limit.is_none() { bits } else { 0 };
    let optional = 0b0000_0010 | no(low, 0b0100_0100) | no(high, 0b1000_1000);
    let ptr = Payload::default()
        .u4(test.number)
        .u1(HEAD)
        .u1(site)
        .u1(test_flag(measured))
        .u1(0b1100_0000 & inclusive(low, high)) // PARM_FLG: a reading on a limit passes
        .r4(measured.measurement.value.unwrap_or(0.0)) // RESULT
        .text(&test.name) // TEST_TXT
        .text("") // ALARM_ID
        .u1(optional)
        .u1(0) // RES_SCAL
        .u1(0) // LLM_SCAL
        .u1(0) // HLM_SCAL
        .r4(low.unwrap_or(0.0)) // LO_LIMIT
        .r4(high.unwrap_or(0.0)) // HI_LIMIT
        .text(measured.measurement.unit.symbol()) // UNITS
        .empty(3) // C_RESFMT, C_LLMFMT, C_HLMFMT
        .r4(low.unwrap_or(0.0)) // LO_SPEC
        .r4(high.unwrap_or(0.0)); // HI_SPEC
    file.push(15, 10, ptr)
}

/// Bits 6 and 7 of PARM_FLG: the limits belong to the interval.
fn inclusive(low: Option<f64>, high: Option<f64>) -> u8 {
    u8::from(low.is_some()) << 6 | u8::from(high.is_some()) << 7
}

/// FTR: a yes, a no, a code.
pub(super) fn functional<W: Write>(
    file: &mut File<W>,
    test: &Test,
    measured: &MeasurementRecord,
    site: u8,
) -> io::Result<()> {
    let measurement = &measured.measurement;
    let failed = measurement.verdict != Verdict::Pass;
    let result = match measurement.value {
        Some(value) => format!("{value}, expected {}", measurement.limits.show(measurement.unit)),
        None => "no reading".to_owned(),
    };
    let contacts = measurement.contacts.iter().copied();
    let pins: Vec<Contact> = contacts.filter(|_| failed).collect();
    push_functional(file, test, site, test_flag(measured) & !0b10, &pins, &result) // there is no result field
}

/// FTR of the unit's diagnosis: FAIL_PIN are the contacts at fault, PROG_TXT is the diagnosis in words.
pub(super) fn contacts_at_fault<W: Write>(
    file: &mut File<W>,
    test: &Test,
    record: &RunRecord,
    site: u8,
) -> io::Result<()> {
    let pins = &record.contacts_at_fault;
    let judged = matches!(record.verdict, Verdict::Pass | Verdict::Fail);
    let flag = u8::from(!judged) << 6 | u8::from(!pins.is_empty()) << 7;
    let texts: Vec<&str> = record.diagnoses.iter().map(|diagnosis| diagnosis.text.as_str()).collect();
    push_functional(file, test, site, flag, pins, &texts.join("; "))
}

fn push_functional<W: Write>(
    file: &mut File<W>,
    test: &Test,
    site: u8,
    flag: u8,
    pins: &[Contact],
    result: &str,
) -> io::Result<()> {
    let bits: Vec<u16> = pins.iter().map(|contact| contact.0.into()).collect();
    let ftr = Payload::default()
        .u4(test.number)
        .u1(HEAD)
        .u1(site)
        .u1(flag)
        .u1(0b1111_0111) // OPT_FLAG: only NUM_FAIL is valid; 6 and 7 reserved
        .u4(0) // CYCL_CNT
        .u4(0) // REL_VADR
        .u4(0) // REPT_CNT
        .u4(u32::try_from(bits.len()).unwrap_or(0)) // NUM_FAIL
        .i4(0) // XFAIL_AD
        .i4(0) // YFAIL_AD
        .i2(0) // VECT_OFF
        .u2(0) // RTN_ICNT
        .u2(0) // PGM_ICNT
        .bits(&bits) // FAIL_PIN: bit n is the pin with PMR_INDX n
        .text("") // VECT_NAM
        .text("") // TIME_SET
        .text("") // OP_CODE
        .text(&test.name) // TEST_TXT
        .text("") // ALARM_ID
        .text("") // PROG_TXT
        .text(result) // RSLT_TXT
        .u1(255) // PATG_NUM: none
        .bits(&[]); // SPIN_MAP
    file.push(15, 20, ftr)
}

/// PRR: result of the unit.
pub(super) fn part_result<W: Write>(
    file: &mut File<W>,
    record: &RunRecord,
    site: u8,
    executed: u16,
    (hard, soft): (u16, u16),
    again: bool,
) -> io::Result<()> {
    let failed = record.verdict != Verdict::Pass;
    let abnormal = !record.finished || !matches!(record.verdict, Verdict::Pass | Verdict::Fail);
    // PART_FLG: bit 0 says that it supersedes an earlier part of the same number, 2 abnormal end, 3 failed.
    let flag = u8::from(again) | u8::from(abnormal) << 2 | u8::from(failed) << 3;
    let diagnoses: Vec<&str> = record.diagnoses.iter().map(|diagnoses| diagnoses.text.as_str()).collect();
    let text = if diagnoses.is_empty() { record.reason.clone().unwrap_or_default() } else { diagnoses.join("; ") };
    let prr = Payload::default()
        .u1(HEAD)
        .u1(site)
        .u1(flag)
        .u2(executed) // NUM_TEST
        .u2(hard) // HARD_BIN
        .u2(soft) // SOFT_BIN
        .i2(i16::MIN) // X_COORD: none
        .i2(i16::MIN) // Y_COORD
        .u4(u32::try_from(record.duration_us.as_micros() / 1000).unwrap_or(u32::MAX)) // TEST_T, ms
        .text(&record.serial) // PART_ID
        .text(&text) // PART_TXT
        .u1(0); // PART_FIX
    file.push(5, 20, prr)
}

/// TSR: a test over all parts.
pub(super) fn test_summary<W: Write>(file: &mut File<W>, test: &Test) -> io::Result<()> {
    // OPT_FLAG: bits 3, 6 and 7 reserved and set; 2: TEST_TIM not valid; 0, 1, 4, 5: MIN, MAX, SUMS, SQRS not valid.
    let optional = if test.functional || test.valued == 0 { 0b1111_1111 } else { 0b1100_1100 };
    let tsr = Payload::default()
        .u1(ALL)
        .u1(0)
        .u1(if test.functional { b'F' } else { b'P' }) // TEST_TYP
        .u4(test.number)
        .u4(test.executed)
        .u4(test.failed)
        .u4(u32::MAX) // ALRM_CNT: not known
        .text(&test.name) // TEST_NAM
        .text("") // SEQ_NAME
        .text("") // TEST_LBL
        .u1(optional)
        .r4(0.0) // TEST_TIM
        .r4(test.min)
        .r4(test.max)
        .r4(test.sum)
        .r4(test.squares);
    file.push(10, 30, tsr)
}

/// PCR: parts, retests, aborted, good; functional ones are not distinguished.
pub(super) fn part_counts<W: Write>(file: &mut File<W>, head: u8, site: u8, counts: &[u32; 4]) -> io::Result<()> {
    let [parts, again, aborted, good] = *counts;
    let pcr = Payload::default().u1(head).u1(site).u4(parts).u4(again).u4(aborted).u4(good).u4(u32::MAX);
    file.push(1, 30, pcr)
}
