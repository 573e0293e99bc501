//! What to do with a unit after its run.

use super::rules::{Rules, UnitPast};
use super::texts::{Key, Texts};
use bench_engine::Ended;
use bench_report::RunRecord;
use bench_run::{Contact, Defect, Diagnosis, Verdict};

/// What to do with a unit: first the instruction, then details that help to carry it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    pub order: String,
    pub details: Vec<String>,
}

/// Decides what to do with a unit. `past` is what was known about it before this run.
pub fn advise(ended: &Ended, past: &UnitPast, rules: &Rules, texts: &Texts) -> Advice {
    let again = |verdict, allowed: usize| allowed.saturating_sub(past.in_a_row(verdict));
    let mut details: Vec<String> = ended.record.iter().flat_map(|record| repairs(record, texts)).collect();
    let order = match ended.verdict {
        Verdict::Pass => texts.say(Key::DoShip),
        Verdict::Fail => match again(Verdict::Fail, rules.retest.after_fail) {
            0 => texts.say(Key::DoRepair),
            times => texts.with(Key::DoRetest, &[("times", times.into())]),
        },
        Verdict::Error | Verdict::Skipped => {
            details.extend(ended.reason.clone());
            match again(Verdict::Error, rules.retest.after_error) {
                0 => texts.say(Key::DoCallTechnician),
                _ => texts.say(Key::DoRetestThenCall),
            }
        }
        Verdict::Aborted => {
            details.extend(ended.reason.clone());
            texts.say(if ended.is_refused { Key::DoRefused } else { Key::DoTestAgain })
        }
    };
    if ended.verdict == Verdict::Fail && details.is_empty() {
        details.extend(ended.reason.clone());
    }
    details.dedup();
    Advice { order, details }
}

/// One line for each kind of defect with its contacts, in the words of a repair bench.
fn repairs(record: &RunRecord, texts: &Texts) -> Vec<String> {
    let mut opens: Vec<Contact> = Vec::new();
    let mut lines = Vec::new();
    for diagnosis in &record.diagnoses {
        match diagnosis.defect {
            Defect::Open => opens.extend(&diagnosis.contacts),
            _ => lines.push(repair(diagnosis, texts)),
        }
    }
    if !opens.is_empty() {
        let contacts = texts.with(Key::RepairOpen, &contacts(&opens));
        lines.insert(0, contacts);
    }
    // The words of the diagnosis are the bench's own, and exact.
    lines.extend(record.diagnoses.iter().map(|diagnosis| diagnosis.text.clone()));
    lines.dedup();
    lines
}

fn contacts(numbers: &[Contact]) -> [(&'static str, fluent_bundle::FluentValue<'static>); 2] {
    [("contacts", ranges(numbers).into()), ("count", numbers.len().into())]
}

fn repair(diagnosis: &Diagnosis, texts: &Texts) -> String {
    let key = match diagnosis.defect {
        Defect::Short => Key::RepairShort,
        Defect::ShortToGround | Defect::ShortToRail | Defect::Leak | Defect::StuckHigh | Defect::StuckLow => {
            Key::RepairBridge
        }
        Defect::MissingPull => Key::RepairPart,
        Defect::Exchanged => Key::RepairExchanged,
        Defect::WrongModel => return texts.say(Key::RepairWrongModel),
        Defect::NoAnswer => return texts.say(Key::RepairNoAnswer),
        Defect::Overload | Defect::WrongVoltage => Key::RepairSupply,
        Defect::Bench => return texts.say(Key::RepairNothing),
        Defect::Open | Defect::Other => Key::RepairLookAt,
    };
    if diagnosis.contacts.is_empty() {
        return diagnosis.text.clone();
    }
    texts.with(key, &contacts(&diagnosis.contacts))
}

/// Formats contact numbers, such as "12, 36-38": three or more in a row become a range.
pub fn ranges(contacts: &[Contact]) -> String {
    let mut numbers: Vec<u8> = contacts.iter().map(|contact| contact.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut parts: Vec<(u8, u8)> = Vec::new();
    for number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let show = |(first, last): (u8, u8)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    };
    parts.into_iter().map(show).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Aborted, Error, Fail, Pass};

    #[test]
    fn numbers_in_a_row() {
        let rows: [(&[u8], &str); 6] = [
            (&[], ""),
            (&[7], "7"),
            (&[38, 36], "36, 38"),
            (&[36, 37, 38], "36-38"),
            (&[1, 2, 9, 10, 11, 255], "1, 2, 9-11, 255"),
            (&[5, 5], "5"),
        ];
        for (numbers, expected) in rows {
            let contacts: Vec<Contact> = numbers.iter().map(|number| Contact(*number)).collect();
            assert_eq!(ranges(&contacts), expected);
        }
    }

    #[test]
    fn the_order_follows_the_verdict_and_the_rules() {
        let texts = Texts::new("en").unwrap();
        let rules = Rules::default();
        let rows: [(Verdict, &[Verdict], Key); 9] = [
            (Pass, &[], Key::DoShip),
            (Fail, &[], Key::DoRetest),
            (Fail, &[Fail], Key::DoRepair),
            (Fail, &[Fail, Pass], Key::DoRetest),
            (Error, &[], Key::DoRetestThenCall),
            (Error, &[Error, Error], Key::DoCallTechnician),
            (Verdict::Skipped, &[Error, Error], Key::DoCallTechnician),
            (Aborted, &[Fail, Fail], Key::DoTestAgain),
            (Fail, &[Aborted, Error], Key::DoRetest),
        ];
        for (verdict, before, key) in rows {
            let ended = Ended { verdict, reason: Some("why".to_owned()), record: None, is_refused: false };
            let past = UnitPast { verdicts: before.to_vec(), ..UnitPast::default() };
            let advice = advise(&ended, &past, &rules, &texts);
            let expected = texts.with(key, &[("times", 1.into())]);
            assert_eq!(advice.order, expected, "{verdict} after {before:?}");
            assert_eq!(advice.details.is_empty(), verdict == Pass, "{verdict}");
        }
    }
}
