//! Contacts that a plan does not test, each with the reason.

use crate::plan_head::Unread;
use crate::plan_text::PlanText;
use crate::reading::read_table;
use crate::{Coverage, DutFamily, NotCovered, Problem, RawPinSelector};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::DeValue;

/// Contacts that no step of the plan covers, and the reason.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNotCovered {
    /// When left out: all contacts that no step covers and no other entry names.
    #[serde(default)]
    pins: Option<RawPinSelector>,
    /// The reason, for readers who ask what is not tested.
    #[schemars(with = "String")]
    reason: Spanned<String>,
}

/// Checks the lists of all files against what the steps cover.
pub(crate) fn not_covered<'c>(
    text: &PlanText,
    lists: Vec<Unread<'_>>,
    dut: &DutFamily,
    covered: impl Iterator<Item = (&'c str, &'c Coverage)> + Clone,
) -> Result<Vec<NotCovered>, Box<Problem>> {
    let mut named: Vec<NotCovered> = Vec::new();
    let mut rest = None;
    for entry in lists.into_iter().flatten() {
        let span = entry.span();
        let DeValue::Array(entries) = entry.into_inner() else {
            let help = "expected [[not_covered]]".to_owned();
            return Err(text.problem("`not_covered` is not a list".into(), span, "here", help));
        };
        for entry in entries {
            let span = entry.span();
            let DeValue::Table(table) = entry.into_inner() else {
                let help = "expected [[not_covered]]".to_owned();
                return Err(text.problem("`not_covered` is not a list of tables".into(), span, "here", help));
            };
            let raw: RawNotCovered =
                read_table(table, Some(span.clone()), &[]).map_err(|problem| text.locate(problem, &span))?;
            let reason = raw.reason.get_ref().trim().to_owned();
            if reason.is_empty() {
                let help = "give the reason why no step tests these contacts".to_owned();
                return Err(text.problem(
                    "contacts are left out for no reason".into(),
                    raw.reason.span(),
                    "empty",
                    help,
                ));
            }
            let Some(pins) = raw.pins else {
                if rest.replace(reason).is_some() {
                    let help = "only one entry can be without `pins`".to_owned();
                    return Err(text.problem("two reasons for all the rest".into(), span, "the second one", help));
                }
                continue;
            };
            for contact in pins.resolve(dut).map_err(|problem| text.locate(problem, &span))? {
                let label = dut.label(contact);
                if let Some((step, _)) = covered.clone().find(|(_, coverage)| coverage.contact == contact) {
                    let message = format!("contact {label} is covered, by step `{step}`");
                    let help = "remove it: the reason no longer applies".to_owned();
                    return Err(text.problem(message, pins.span(), "names it", help));
                }
                if named.iter().any(|coverage| coverage.contact == contact) {
                    let help = "one reason for each contact".to_owned();
                    return Err(text.problem(format!("contact {label} has two reasons"), pins.span(), "again", help));
                }
                named.push(NotCovered { contact, reason: reason.clone() });
            }
        }
    }
    if let Some(reason) = rest {
        let seen: BTreeSet<_> = covered
            .map(|(_, coverage)| coverage.contact)
            .chain(named.iter().map(|coverage| coverage.contact))
            .collect();
        let others = dut.contacts.iter().map(|info| info.contact).filter(|contact| !seen.contains(contact));
        named.extend(others.map(|contact| NotCovered { contact, reason: reason.clone() }));
    }
    named.sort_by_key(|coverage| coverage.contact);
    Ok(named)
}
