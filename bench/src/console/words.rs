//! What was typed at the console: from words to actions, and what may be typed next. No terminal, no instruments.

use bench_plan::{DutFamily, Fixture, Node, Spanned, Tree, nearest, nearest_help, parse_quantity};
use bench_run::MeasurementUnit;
use bench_steps::action::{Form, VERBS, Verb, verb};
use std::time::Duration;

/// A line, understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Nothing,
    /// One action after the other.
    Do(Vec<Node>),
    /// The same readings again and again.
    Watch {
        what: Vec<Node>,
        every: Duration,
        span: Option<Duration>,
    },
    /// Every rail.
    Rails,
    /// Lid, emergency stop and rails.
    Status,
    ScanI2c,
    Help(Option<String>),
    /// Writes what was done so far as a step of a plan.
    Save {
        file: String,
        id: String,
    },
    Quit,
}

/// Names that may be typed.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// Pins, each once, then contacts by number.
    pub pins: Vec<String>,
    pub rails: Vec<String>,
    pub peers: Vec<String>,
}

impl Names {
    pub fn of(family: &DutFamily, fixture: &Fixture) -> Self {
        let mut pins: Vec<String> = Vec::new();
        for info in &family.contacts {
            if !pins.contains(&info.pin) {
                pins.push(info.pin.clone());
            }
        }
        pins.extend(family.contacts.iter().map(|info| info.contact.to_string()));
        Self {
            pins,
            rails: fixture.rails.iter().map(|rail| rail.name.clone()).collect(),
            peers: fixture.peers.iter().map(|peer| peer.id.clone()).collect(),
        }
    }

    /// The name that this is in capital or small letters.
    fn fold<'a>(names: &'a [String], word: &'a str) -> &'a str {
        let exact = names.iter().find(|name| *name == word);
        let same = || names.iter().find(|name| name.eq_ignore_ascii_case(word));
        exact.or_else(same).map_or(word, String::as_str)
    }

    fn pin<'a>(&'a self, word: &'a str) -> &'a str {
        Self::fold(&self.pins, word)
    }

    fn rail<'a>(&'a self, word: &'a str) -> &'a str {
        Self::fold(&self.rails, word)
    }

    fn is_rail(&self, word: &str) -> bool {
        self.rails.iter().any(|rail| rail.eq_ignore_ascii_case(word))
    }
}

/// Commands that are no actions.
pub(crate) const OTHERS: &[(&str, &str)] = &[
    ("rail RAIL on|off", "switches a rail; measures it for a short before it is switched on"),
    ("rail RAIL", "measures a rail: volts and amps"),
    ("rails", "measures every rail"),
    ("measure PIN...", "volts at contacts; or `volts`, `ohms`, `frequency`, `duty` PIN..., `amps RAIL`"),
    ("at COMMAND", "sends an AT command to the modem"),
    ("watch PIN [every TIME] [for TIME]", "measures again and again; Enter ends it"),
    ("scan i2c", "asks every chip of the fixture"),
    ("status", "lid, emergency stop, rails"),
    ("save FILE [STEP]", "writes what was done as a step of kind `sequence`"),
    ("help [COMMAND]", "this list, or one command"),
    ("quit", "switches everything off and leaves; so do Ctrl-C and Ctrl-D"),
];

const COMMANDS: &[&str] = &["rails", "watch", "scan", "status", "save", "help", "quit", "exit", "at"];
const QUANTITIES: &[&str] = &["volts", "ohms", "amps", "frequency", "duty"];
const EVERY: Duration = Duration::from_millis(500);

/// A mistake, and what was probably meant.
type Wrong = (String, String);

fn commands() -> impl Iterator<Item = &'static str> + Clone {
    VERBS.iter().map(|verb| verb.name).chain(COMMANDS.iter().copied()).chain(QUANTITIES.iter().copied())
}

/// Reads one line.
///
/// # Errors
/// What is wrong, and what to type.
pub(crate) fn parse(line: &str, names: &Names) -> Result<Command, Wrong> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((first, rest)) = words.split_first() else { return Ok(Command::Nothing) };
    let first = first.to_lowercase();
    match (first.as_str(), rest) {
        ("quit" | "exit", _) => Ok(Command::Quit),
        ("help" | "?", rest) => Ok(Command::Help(rest.first().map(|word| word.to_lowercase()))),
        ("rails", _) => Ok(Command::Rails),
        ("status", _) => Ok(Command::Status),
        ("scan", [what]) if what.eq_ignore_ascii_case("i2c") => Ok(Command::ScanI2c),
        ("scan", _) => Err(("scan what?".to_owned(), "`scan i2c` asks every chip of the fixture".to_owned())),
        ("save", [file]) => Ok(Command::Save { file: (*file).to_owned(), id: "from-console".to_owned() }),
        ("save", [file, id]) => Ok(Command::Save { file: (*file).to_owned(), id: (*id).to_owned() }),
        ("save", _) => Err(("save where?".to_owned(), "for example `save plans/my-step.toml divider`".to_owned())),
        ("watch", rest) => watch(rest, names),
        ("rail", [rail]) => Ok(Command::Do(rail_readings(names.rail(rail)))),
        ("at", _) => {
            let text = after(line, 1);
            // `at AT+CSQ`, and `AT+CSQ` alone as below.
            if text.is_empty() {
                return Err(("which command?".to_owned(), "for example `at AT+CSQ`".to_owned()));
            }
            Ok(Command::Do(vec![table(vec![("modem", text_node(text))])]))
        }
        (word, _) if word.starts_with("at+") || word == "ati" => {
            Ok(Command::Do(vec![table(vec![("modem", text_node(line.trim()))])]))
        }
        (word, rest) if QUANTITIES.contains(&word) => measure(word, rest, names),
        ("measure", [quantity, rest @ ..]) if QUANTITIES.contains(&quantity.to_lowercase().as_str()) => {
            measure(&quantity.to_lowercase(), rest, names)
        }
        ("measure", rest) => measure("volts", rest, names),
        (word, rest) => match verb(&word.replace('-', "_")) {
            Some(verb) if matches!(verb.form, Form::Text) => {
                Ok(Command::Do(vec![table(vec![(verb.name, text_node(after(line, 1)))])]))
            }
            Some(verb) => action(verb, rest, names).map(Command::Do),
            None => {
                let help = nearest(word, commands()).map(|meant| format!("did you mean `{meant}`?"));
                Err((
                    format!("unknown command `{word}`"),
                    help.unwrap_or_else(|| "`help` lists the commands".to_owned()),
                ))
            }
        },
    }
}

/// The text after the first words, as it was typed.
fn after(line: &str, words: usize) -> &str {
    let mut rest = line.trim_start();
    for _ in 0..words {
        rest = rest.trim_start_matches(|c: char| !c.is_whitespace()).trim_start();
    }
    rest.trim_end()
}

fn text_node(text: &str) -> Node {
    Node::of(Tree::Text(text.to_owned()))
}

fn table(entries: Vec<(&str, Node)>) -> Node {
    let entries = entries.into_iter().map(|(key, value)| (Spanned::new(0..0, key.to_owned()), value));
    Node::of(Tree::Table(entries.collect()))
}

fn rail_readings(rail: &str) -> Vec<Node> {
    let reading = |quantity| table(vec![("measure", text_node(quantity)), ("rail", text_node(rail))]);
    vec![reading("volts"), reading("amps")]
}

fn measure(quantity: &str, places: &[&str], names: &Names) -> Result<Command, Wrong> {
    if places.is_empty() {
        let example = if quantity == "amps" { "amps 3V3" } else { "volts A0 23" };
        return Err((format!("{quantity} of what?"), format!("for example `{example}`")));
    }
    let reading = |place: &&str| {
        let at = if quantity == "amps" || quantity == "volts" && names.is_rail(place) {
            ("rail", text_node(names.rail(place)))
        } else {
            ("at", text_node(names.pin(place)))
        };
        table(vec![("measure", text_node(quantity)), at])
    };
    Ok(Command::Do(places.iter().map(reading).collect()))
}

fn watch(words: &[&str], names: &Names) -> Result<Command, Wrong> {
    let ends = words.iter().position(|word| ["every", "for"].contains(word)).unwrap_or(words.len());
    let (what, times) = words.split_at(ends);
    let line = what.join(" ");
    let what = match what.first() {
        None => {
            return Err(("watch what?".to_owned(), "for example `watch 23` or `watch rail 3V3 every 1 s`".to_owned()));
        }
        Some(first) if verb(first).is_some() || QUANTITIES.contains(first) || *first == "rail" => parse(&line, names)?,
        Some(_) => parse(&format!("measure {line}"), names)?,
    };
    let Command::Do(what) = what else {
        return Err(("this gives no reading".to_owned(), "for example `watch 23`".to_owned()));
    };
    let (mut every, mut span) = (EVERY, None);
    let mut rest = times;
    while let Some((word, after)) = rest.split_first() {
        let (time, left) = quantity(after);
        let wrong = || (format!("`{word}` how long?"), format!("for example `{word} 2 s`"));
        let time = time.and_then(|text| parse_quantity(&text).ok());
        let Some((seconds, MeasurementUnit::Seconds)) = time else { return Err(wrong()) };
        let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        match *word {
            "every" => every = time.max(Duration::from_millis(10)),
            _ => span = Some(time),
        }
        rest = left;
    }
    Ok(Command::Watch { what, every, span })
}

/// A quantity, whose unit may be a word of its own, and the rest.
fn quantity<'w, 'a>(words: &'w [&'a str]) -> (Option<String>, &'w [&'a str]) {
    match words {
        [] => (None, words),
        [number, unit, rest @ ..]
            if number.parse::<f64>().is_ok() && parse_quantity(&format!("{number} {unit}")).is_ok() =>
        {
            (Some(format!("{number} {unit}")), rest)
        }
        [one, rest @ ..] => (Some((*one).to_owned()), rest),
    }
}

/// The value of a key, from the words after it, and the rest.
fn value<'w, 'a>(form: Form, words: &'w [&'a str], names: &Names) -> Result<(Node, &'w [&'a str]), Wrong> {
    let Some((first, rest)) = words.split_first() else {
        return Err(("something is missing".to_owned(), format!("expected {}", form.expected())));
    };
    let one = |text: &str| Ok((text_node(text), rest));
    match form {
        Form::Pin | Form::PinOr(_) => one(names.pin(first)),
        Form::Rail => one(names.rail(first)),
        Form::Peer => one(Names::fold(&names.peers, first)),
        Form::Word(known) => one(known.iter().find(|word| word.eq_ignore_ascii_case(first)).copied().unwrap_or(first)),
        Form::Truth => match first.to_lowercase().as_str() {
            "on" | "high" | "1" | "true" | "yes" => Ok((Node::of(Tree::Truth(true)), rest)),
            "off" | "low" | "0" | "false" | "no" => Ok((Node::of(Tree::Truth(false)), rest)),
            other => Err((format!("`{other}` is neither on nor off"), "expected on or off, high or low".to_owned())),
        },
        Form::Whole => match first.parse() {
            Ok(number) => Ok((Node::of(Tree::Integer(number)), rest)),
            Err(_) => Err((format!("`{first}` is no whole number"), format!("expected {}", form.expected()))),
        },
        Form::Time | Form::Volts | Form::Frequency | Form::Share => {
            let (text, rest) = quantity(words);
            Ok((text_node(&text.unwrap_or_default()), rest))
        }
        Form::Bytes => {
            let is_byte =
                |word: &&&str| word.len().is_multiple_of(2) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            let count = words.iter().take_while(is_byte).count();
            let (bytes, rest) = words.split_at(count);
            Ok((text_node(&bytes.join(" ")), rest))
        }
        Form::Text | Form::Pattern => Ok((text_node(&words.join(" ")), &[])),
    }
}

/// An action: its own value, then its keys by name, or in their order without names.
fn action(verb: &Verb, words: &[&str], names: &Names) -> Result<Vec<Node>, Wrong> {
    if words.is_empty() {
        return Err((format!("{} what?", verb.name), format!("expected {}", verb.form.expected())));
    }
    let (own, mut rest) = value(verb.form, words, names)?;
    let mut entries = vec![(verb.name, own)];
    let mut unnamed = verb.keys.iter();
    while let Some((word, after)) = rest.split_first() {
        let named = verb.keys.iter().find(|key| key.name.eq_ignore_ascii_case(word));
        let (key, words) = match named {
            // `drive 66 high` is a level, and so is `rail 3V3 on`; `drive 66 high true` is another way to say it.
            Some(key) if !matches!(key.form, Form::Truth) || matches!(after, ["true" | "false", ..]) => (key, after),
            _ => match unnamed.find(|key| entries.iter().all(|(name, _)| *name != key.name)) {
                Some(key) => (key, rest),
                None => {
                    let keys: Vec<&str> = verb.keys.iter().map(|key| key.name).collect();
                    let help = if keys.is_empty() {
                        format!("`{}` needs nothing more", verb.name)
                    } else {
                        nearest_help(word, keys.into_iter(), "keys")
                    };
                    return Err((format!("`{word}` does not belong to `{}`", verb.name), help));
                }
            },
        };
        let (read, left) = value(key.form, words, names)?;
        entries.push((key.name, read));
        rest = left;
    }
    Ok(vec![table(entries)])
}

/// An action as a plan writes it: `{ drive = "D4", high = true }`.
pub(crate) fn toml(node: &Node) -> String {
    let Tree::Table(entries) = &node.value else { return String::new() };
    let value = |node: &Node| match &node.value {
        Tree::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Tree::Integer(number) => number.to_string(),
        Tree::Float(number) => number.to_string(),
        Tree::Truth(truth) => truth.to_string(),
        Tree::List(_) | Tree::Table(_) | Tree::Null => String::new(),
    };
    let entries: Vec<String> =
        entries.iter().map(|(key, node)| format!("{} = {}", key.get_ref(), value(node))).collect();
    format!("{{ {} }}", entries.join(", "))
}

/// What may follow at the end of this text: where the last word begins, and the words that it may become.
pub(crate) fn complete(text: &str, names: &Names) -> (usize, Vec<String>) {
    let start = text.rfind(char::is_whitespace).map_or(0, |space| space + 1);
    let (before, word) = text.split_at(start);
    let words: Vec<&str> = before.split_whitespace().collect();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let candidates: Vec<String> = match words.as_slice() {
        [] => commands().map(str::to_owned).collect(),
        ["rail"] | ["amps"] => names.rails.clone(),
        ["rail", _] => owned(&["on", "off"]),
        ["drive", _] => owned(&["high", "low"]),
        ["scan"] => owned(&["i2c"]),
        ["help"] => commands().map(str::to_owned).collect(),
        ["i2c" | "spi"] => names.peers.clone(),
        ["save", ..] => Vec::new(),
        ["measure"] => QUANTITIES.iter().map(|word| (*word).to_owned()).chain(names.pins.clone()).collect(),
        ["volts", ..] | ["watch"] => names.pins.iter().chain(&names.rails).cloned().collect(),
        [first, rest @ ..] => match (verb(first), rest) {
            (Some(Verb { form: Form::Word(words), .. }), []) => owned(words),
            (Some(Verb { form: Form::PinOr(word), .. }), []) => {
                names.pins.iter().cloned().chain([(*word).to_owned()]).collect()
            }
            (Some(Verb { form: Form::Pin, .. }), []) | (None, _) => names.pins.clone(),
            (Some(verb), _) => {
                let words = verb.keys.iter().flat_map(|key| match key.form {
                    Form::Word(words) => words.to_vec(),
                    _ => vec![key.name],
                });
                words.map(str::to_owned).collect()
            }
        },
    };
    let fits = |candidate: &String| candidate.get(..word.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(word));
    let mut fitting: Vec<String> = candidates.into_iter().filter(fits).collect();
    fitting.dedup();
    (start, fitting)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Names {
            pins: owned(&["A0", "A1", "D4", "23", "36", "66"]),
            rails: owned(&["VCC", "3V3"]),
            peers: owned(&["eeprom-i2c"]),
        }
    }

    #[test]
    fn lines() {
        let rows = [
            ("rail 3v3 on", r#"{ rail = "3V3", on = true }"#),
            ("RAIL vcc OFF", r#"{ rail = "VCC", on = false }"#),
            ("rail 3v3", r#"{ measure = "volts", rail = "3V3" }; { measure = "amps", rail = "3V3" }"#),
            ("measure 23", r#"{ measure = "volts", at = "23" }"#),
            ("volts a0 vcc", r#"{ measure = "volts", at = "A0" }; { measure = "volts", rail = "VCC" }"#),
            ("ohms 36 38", r#"{ measure = "ohms", at = "36" }; { measure = "ohms", at = "38" }"#),
            ("measure frequency d4", r#"{ measure = "frequency", at = "D4" }"#),
            ("drive 66 high", r#"{ drive = "66", high = true }"#),
            ("release all", r#"{ release = "all" }"#),
            ("port a0 pull-up", r#"{ port = "A0", to = "pull-up" }"#),
            ("port a0 to low", r#"{ port = "A0", to = "low" }"#),
            ("read-port A1", r#"{ read_port = "A1" }"#),
            ("source 1.8 V a0", r#"{ source = "1.8 V", at = "A0" }"#),
            ("pwm d4 1 kHz 50 %", r#"{ pwm = "D4", frequency = "1 kHz", duty = "50 %" }"#),
            ("pwm off", r#"{ pwm = "off" }"#),
            ("at AT+CPIN?", r#"{ modem = "AT+CPIN?" }"#),
            ("AT+COPS=?", r#"{ modem = "AT+COPS=?" }"#),
            ("i2c EEPROM-i2c write 00 10 read 4", r#"{ i2c = "eeprom-i2c", write = "00 10", read = 4 }"#),
            ("wait 5 ms", r#"{ wait = "5 ms" }"#),
            ("wait 5ms", r#"{ wait = "5ms" }"#),
            ("note the lid  is bent", r#"{ note = "the lid  is bent" }"#),
        ];
        for (line, expected) in rows {
            match parse(line, &names()) {
                Ok(Command::Do(nodes)) => {
                    assert_eq!(nodes.iter().map(toml).collect::<Vec<_>>().join("; "), expected, "{line}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn mistakes_say_what_to_type() {
        let rows = [
            ("mesure 23", "did you mean `measure`?"),
            ("drive 66 hi", "high or low"),
            ("rail", "name of a rail"),
            ("measure", "volts A0 23"),
            ("drive 66 high low", "`low` does not belong to `drive`"),
            ("release 66 now", "needs nothing more"),
            ("scan spi", "scan i2c"),
            ("watch", "watch 23"),
            ("watch 23 every soon", "every 2 s"),
            ("save", "save plans"),
        ];
        for (line, expected) in rows {
            let (wrong, help) = parse(line, &names()).expect_err(line);
            assert!(help.contains(expected) || wrong.contains(expected), "{line}: {wrong}; {help}");
        }
    }

    #[test]
    fn completions() {
        let rows: [(&str, usize, &[&str]); 8] = [
            ("ra", 0, &["rail", "rails"]),
            ("rail 3", 5, &["3V3"]),
            ("rail 3V3 o", 9, &["on", "off"]),
            ("drive d", 6, &["D4"]),
            ("drive D4 h", 9, &["high"]),
            ("port A0 pull", 8, &["pull-up", "pull-down"]),
            ("i2c ", 4, &["eeprom-i2c"]),
            ("volts A", 6, &["A0", "A1"]),
        ];
        for (text, start, expected) in rows {
            let (is, words) = complete(text, &names());
            assert_eq!(
                (is, words.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
                (start, expected),
                "{text}"
            );
        }
    }
}
