//! What the screen says, in the operator's language: `crates/bench-operator/messages/*.ftl`.

use fluent_bundle::{FluentArgs, FluentBundle, FluentResource, FluentValue};

/// Languages with a file of messages; the first is the one that others are compared with.
pub const LANGUAGES: [&str; 2] = ["en", "de"];

const FILES: [&str; LANGUAGES.len()] = [include_str!("../messages/en.ftl"), include_str!("../messages/de.ftl")];

macro_rules! keys {
    ($($key:ident = $name:literal),* $(,)?) => {
        /// Every message that the screen has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Key { $($key),* }

        impl Key {
            #[cfg(test)]
            const ALL: &'static [Key] = &[$(Key::$key),*];

            /// Its name in the files.
            const fn name(self) -> &'static str {
                match self { $(Key::$key => $name),* }
            }
        }
    };
}

keys! {
    Operator = "operator",
    NobodyLoggedOn = "nobody-logged-on",
    VirtualBench = "virtual-bench",
    NestStatus = "nest",
    BigScan = "big-scan",
    BigStart = "big-start",
    BigWait = "big-wait",
    BigPass = "big-pass",
    BigFail = "big-fail",
    BigError = "big-error",
    BigAborted = "big-aborted",
    BigStopped = "big-stopped",
    DoScan = "do-scan",
    DoPutIn = "do-put-in",
    DoWait = "do-wait",
    DoRemove = "do-remove",
    DoShip = "do-ship",
    DoRetest = "do-retest",
    DoRepair = "do-repair",
    DoCallTechnician = "do-call-technician",
    DoRetestThenCall = "do-retest-then-call",
    DoTestAgain = "do-test-again",
    DoRefused = "do-refused",
    DoStopped = "do-stopped",
    DoRelease = "do-release",
    StoppedContact = "stopped-contact",
    StoppedStep = "stopped-step",
    StoppedError = "stopped-error",
    GoldenNever = "golden-never",
    GoldenOverdue = "golden-overdue",
    GoldenDrifted = "golden-drifted",
    RepairOpen = "repair-open",
    RepairShort = "repair-short",
    RepairBridge = "repair-bridge",
    RepairPart = "repair-part",
    RepairExchanged = "repair-exchanged",
    RepairWrongModel = "repair-wrong-model",
    RepairNoAnswer = "repair-no-answer",
    RepairSupply = "repair-supply",
    RepairNothing = "repair-nothing",
    RepairLookAt = "repair-look-at",
    Elapsed = "elapsed",
    ElapsedOf = "elapsed-of",
    Steps = "steps",
    PowerOn = "power-on",
    PowerOff = "power-off",
    Stopping = "stopping",
    StoppingWithin = "stopping-within",
    Silent = "silent",
    RailsOffAfter = "rails-off-after",
    Took = "took",
    Front = "front",
    Back = "back",
    HeaderLeft = "header-left",
    HeaderRight = "header-right",
    ContactsAtFault = "contacts-at-fault",
    ShiftCounts = "shift-counts",
    ShiftYield = "shift-yield",
    ShiftWaiting = "shift-waiting",
    ShiftLast = "shift-last",
    KeysWork = "keys-work",
    AskAbort = "ask-abort",
    AskAbortKeys = "ask-abort-keys",
    AskLeave = "ask-leave",
    AskLeaveKeys = "ask-leave-keys",
    AskLetIn = "ask-let-in",
    AskLetInOperator = "ask-let-in-operator",
    AskRelease = "ask-release",
    AskReleaseOperator = "ask-release-operator",
    AskReleaseTechnician = "ask-release-technician",
    AskReleaseEngineer = "ask-release-engineer",
    AskBadgeTechnician = "ask-badge-technician",
    AskBadgeEngineer = "ask-badge-engineer",
    AskPin = "ask-pin",
    WhyPassedAlready = "why-passed-already",
    WhyInRepair = "why-in-repair",
    WhyTooManyErrors = "why-too-many-errors",
    AskCause = "ask-cause",
    AskCauseBadge = "ask-cause-badge",
    CauseHint = "cause-hint",
    CauseRuns = "cause-runs",
    CauseHeld = "cause-held",
    CauseEnded = "cause-ended",
    NoticeNoFailedStep = "notice-no-failed-step",
    NoticeNoTechnician = "notice-no-technician",
    Leaving = "leaving",
    LeavingWithin = "leaving-within",
    TooSmall = "too-small",
    NoticePutIn = "notice-put-in",
    NoticeCloseLid = "notice-close-lid",
    NoticeLidOpened = "notice-lid-opened",
    NoticeEmergency = "notice-emergency",
    NoticeReleaseEmergency = "notice-release-emergency",
    NoticeBrokenOff = "notice-broken-off",
    LabelNone = "label-none",
    LabelUnknown = "label-unknown",
    LabelOtherModel = "label-other-model",
    LabelShort = "label-short",
    LabelLong = "label-long",
    LabelCharacter = "label-character",
    LabelBefore = "label-before",
    LabelSecretFirst = "label-secret-first",
    LabelTwo = "label-two",
    NoticeTwice = "notice-twice",
    NoticeAllBusy = "notice-all-busy",
    NoticeRefused = "notice-refused",
    NoticeHello = "notice-hello",
    NoticeLoggedOff = "notice-logged-off",
    NoticeBadgeFirst = "notice-badge-first",
    NoticeAnswerFirst = "notice-answer-first",
    NoticeMayNot = "notice-may-not",
    NoticeNoBadge = "notice-no-badge",
    NoticeWrongPin = "notice-wrong-pin",
    NoticeReleased = "notice-released",
    NoticeAsks = "notice-asks",
    NoticeNoAnswer = "notice-no-answer",
    PromptYesNo = "prompt-yes-no",
    PromptYes = "prompt-yes",
    PromptNo = "prompt-no",
    PromptCannotPress = "prompt-cannot-press",
    PromptType = "prompt-type",
    PromptTypeUnit = "prompt-type-unit",
    PromptTypeText = "prompt-type-text",
    PromptPattern = "prompt-pattern",
    PromptCannotType = "prompt-cannot-type",
    PromptLeft = "prompt-left",
    PromptPicture = "prompt-picture",
    PromptElsewhere = "prompt-elsewhere",
}

/// Messages in one language.
pub struct Texts {
    language: usize,
    bundle: FluentBundle<FluentResource>,
}

impl Texts {
    /// `None` for a language without a file.
    pub fn new(language: &str) -> Option<Self> {
        Some(Self::numbered(LANGUAGES.iter().position(|code| *code == language)?))
    }

    fn numbered(language: usize) -> Self {
        let language = language % LANGUAGES.len();
        // A test reads every file; what is wrong in one nevertheless is left out and shown by its name.
        let resource = match FluentResource::try_new(FILES[language].to_owned()) {
            Ok(resource) | Err((resource, _)) => resource,
        };
        let mut bundle = FluentBundle::new(LANGUAGES[language].parse().into_iter().collect());
        // Marks around values are for texts of both directions; a terminal may show them as boxes.
        bundle.set_use_isolating(false);
        bundle.add_resource_overriding(resource);
        Self { language, bundle }
    }

    /// The next language.
    pub fn next(&self) -> Self {
        Self::numbered(self.language + 1)
    }

    pub fn say(&self, key: Key) -> String {
        self.with(key, &[])
    }

    pub fn with(&self, key: Key, values: &[(&'static str, FluentValue<'_>)]) -> String {
        self.format(key, values).unwrap_or_else(|| key.name().to_owned())
    }

    fn format(&self, key: Key, values: &[(&'static str, FluentValue<'_>)]) -> Option<String> {
        let mut arguments = FluentArgs::new();
        for (name, value) in values {
            arguments.set(*name, value.clone());
        }
        let pattern = self.bundle.get_message(key.name())?.value()?;
        let mut errors = Vec::new();
        Some(self.bundle.format_pattern(pattern, Some(&arguments), &mut errors).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Names of the values that a message uses: `{ $name ...`.
    fn values(text: &str) -> BTreeSet<&str> {
        text.split('$')
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
            .collect()
    }

    /// Each message with its text, as written.
    fn messages(file: &str) -> Vec<(&str, String)> {
        let mut messages: Vec<(&str, String)> = Vec::new();
        for line in file.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            match line.split_once(" = ").or_else(|| line.split_once(" =")) {
                Some((name, text)) if !line.starts_with(' ') => messages.push((name, text.to_owned())),
                _ => messages.last_mut().unwrap().1.push_str(line),
            }
        }
        messages
    }

    #[test]
    fn every_language_has_every_message_with_the_same_values() {
        for (index, language) in LANGUAGES.iter().enumerate() {
            assert!(FluentResource::try_new(FILES[index].to_owned()).is_ok(), "{language}");
            let names: Vec<&str> = messages(FILES[index]).iter().map(|(name, _)| *name).collect();
            let expected: Vec<&str> = Key::ALL.iter().map(|key| key.name()).collect();
            let missing: Vec<_> = expected.iter().filter(|name| !names.contains(name)).collect();
            let unused: Vec<_> = names.iter().filter(|name| !expected.contains(name)).collect();
            assert!(missing.is_empty() && unused.is_empty(), "{language}: missing {missing:?}, unused {unused:?}");
            assert_eq!(names.len(), expected.len(), "{language}: a message twice");
            for ((name, first), (_, other)) in Key::ALL.iter().map(|key| {
                let of = |file: usize| messages(FILES[file]).into_iter().find(|(name, _)| *name == key.name()).unwrap();
                (of(0), of(index))
            }) {
                assert_eq!(values(&first), values(&other), "{language}: {name}");
            }
        }
    }

    #[test]
    fn values_stand_in_the_text() {
        let texts = Texts::new("en").unwrap();
        let text = texts.with(Key::NoticePutIn, &[("nest", 2.into()), ("serial", "P042".into())]);
        assert!(text.contains('2') && text.contains("P042"), "{text}");
        assert!(Texts::new("xx").is_none());
        let german = texts.next();
        assert_ne!(german.say(Key::DoScan), texts.say(Key::DoScan));
        assert_eq!(german.next().say(Key::DoScan), texts.say(Key::DoScan));
    }
}
