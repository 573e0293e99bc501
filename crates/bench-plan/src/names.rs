//! Names that are not in a closed list: which one was meant.

/// How to see a list that is too long for a message.
const LISTS: &[(&str, &str)] = &[
    ("contacts", "`bench pins MODEL` lists the contacts"),
    ("faults", "`bench faults` lists the faults"),
    ("habits", "docs/explanation/virtual-bench.md lists the habits"),
    ("functions", "`bench pins MODEL` lists the functions of every contact"),
    ("keys", "`bench schema` prints the keys of every kind of file"),
    ("kinds", "docs/reference/step-kinds.md describes the kinds, and `bench schema plan` lists them"),
    ("lines", "`bench fixture NAME --wiring` lists the lines"),
    ("pins", "`bench pins MODEL` lists the pins"),
    ("steps", "`bench plan PLAN` lists the steps"),
];

/// Names in one line of a message at most.
const LONGEST_LIST: usize = 72;

/// Returns the nearest known name, if it is near enough to suggest.
pub fn nearest<'n>(name: &str, candidates: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
    let in_common = |candidate: &str| {
        let pairs = lower.chars().zip(candidate.to_lowercase().chars().collect::<Vec<_>>());
        pairs.take_while(|(own, other)| own == other).count()
    };
    candidates
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, candidate)| {
            // Few wrong letters, or the same beginning ("retries" for "retry").
            *distance <= candidate.chars().count().max(3) / 3
                || strsim::jaro_winkler(&lower, &candidate.to_lowercase()) > 0.87
        })
        // Beginnings are typed right, and a wrong letter is more likely than one too many.
        .min_by_key(|(distance, candidate)| {
            let differs = candidate.chars().count() != lower.chars().count();
            (*distance, std::cmp::Reverse(in_common(candidate)), differs)
        })
        .map(|(_, candidate)| candidate)
}

/// The help for a name that is not in a closed list, in one line: "did you mean `title`?"; without a near name, the
/// list if it is short, and otherwise how to see it. `what` is what the list holds: "keys", "pins".
pub fn nearest_help<'n>(name: &str, candidates: impl Iterator<Item = &'n str> + Clone, what: &str) -> String {
    if let Some(meant) = nearest(name, candidates.clone()) {
        return format!("did you mean `{meant}`?");
    }
    let list: Vec<&str> = candidates.collect();
    let joined = list.join(", ");
    if list.is_empty() {
        return format!("there are no {what} here");
    }
    if joined.chars().count() <= LONGEST_LIST {
        return format!("known {what}: {joined}");
    }
    let how = LISTS.iter().find(|(of, _)| *of == what).map(|(_, how)| *how);
    how.map_or_else(|| format!("known {what}: {joined}"), |how| format!("{} {what} are known; {how}", list.len()))
}
