//! How often which defect occurs: a file that the test engineer edits.

use super::glob;
use bench_plan::{Problem, Source, nearest};
use schemars::JsonSchema;
use serde::Deserialize;
use virtual_bench::{Fault, KINDS};

const FORMAT: u32 = 1;

/// The file, checked.
#[derive(Debug, Default)]
pub struct Rates {
    classes: Vec<Class>,
}

/// Defects that occur equally often.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// A class of `bench faults --json`, or, with `faults`, any name.
    pub name: String,
    /// Patterns of faults (`*` any text, `?` one character), for a class of your own. The first class with a pattern that
    /// fits a fault counts, before the class that the fault has by its kind.
    #[serde(default)]
    faults: Vec<String>,
    /// Modules in a million that have each of these faults.
    pub per_million: f64,
    /// Within which factor the figure is known, with a confidence of 90 %: 3 is from a third to three times the figure.
    #[serde(default = "usual_range")]
    pub range: f64,
    /// Where the figure is from, or `assumed`.
    pub source: String,
}

/// An assumption is hardly better.
fn usual_range() -> f64 {
    10.0
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(default)]
    #[schemars(with = "Vec<Class>")]
    class: Vec<toml::Spanned<Class>>,
}

impl Rates {
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(source: &Source) -> Result<Self, Box<Problem>> {
        let file: File = toml::from_str(&source.text).map_err(|error| {
            let problem = Problem::new(source, error.message());
            Box::new(match error.span() {
                Some(span) => problem.at(span, "here"),
                None => problem,
            })
        })?;
        if file.format != FORMAT {
            let text = format!("format {} of defect rates is unknown", file.format);
            return Err(Box::new(Problem::new(source, text).help(format!("this bench reads format = {FORMAT}"))));
        }
        let is_rate = |rate: f64| (0.0..=1e6).contains(&rate);
        if let Some(wrong) = file.class.iter().find(|class| !is_rate(class.get_ref().per_million)) {
            let class = wrong.get_ref();
            let text = format!("{} in a million is no rate, in class \"{}\"", class.per_million, class.name);
            let problem = Problem::new(source, text).at(wrong.span(), "this class");
            return Err(Box::new(problem.help("`per_million` is a number from 0 to 1000000")));
        }
        if let Some(wrong) = file.class.iter().find(|class| !(1.0..=1e3).contains(&class.get_ref().range)) {
            let class = wrong.get_ref();
            let text = format!("{} is no range of a rate, in class \"{}\"", class.range, class.name);
            let problem = Problem::new(source, text).at(wrong.span(), "this class");
            return Err(Box::new(problem.help("`range` is a factor from 1 to 1000: 3 is from a third to three times")));
        }
        if let Some(wrong) = file.class.iter().find(|class| class.get_ref().source.trim().is_empty()) {
            let text = format!("the class \"{}\" has no source", wrong.get_ref().name);
            let problem = Problem::new(source, text).at(wrong.span(), "this class");
            return Err(Box::new(problem.help("say where the figure is from, or write \"assumed\"")));
        }
        let classes = || KINDS.iter().flat_map(|kind| kind.classes().iter().copied());
        let is_known = |class: &Class| !class.faults.is_empty() || classes().any(|name| name == class.name);
        if let Some(unknown) = file.class.iter().find(|class| !is_known(class.get_ref())) {
            let name = &unknown.get_ref().name;
            let problem = Problem::new(source, format!("no kind of fault is in the class \"{name}\""));
            let help = match nearest(name, classes()) {
                Some(meant) => format!("did you mean \"{meant}\"? A class of your own needs `faults`"),
                None => "`bench faults --json` lists the classes; a class of your own needs `faults`".to_owned(),
            };
            return Err(Box::new(problem.at(unknown.span(), "this class").help(help)));
        }
        Ok(Self { classes: file.class.into_iter().map(toml::Spanned::into_inner).collect() })
    }

    /// The class of a fault.
    pub fn of(&self, fault: &Fault) -> Option<&Class> {
        let by_pattern = |class: &&Class| class.faults.iter().any(|pattern| glob::names(pattern, fault));
        let by_kind = |class: &&Class| class.faults.is_empty() && class.name == fault.class();
        self.classes.iter().find(by_pattern).or_else(|| self.classes.iter().find(by_kind))
    }

    /// JSON Schema of the file, for editors.
    pub fn file_schema() -> schemars::Schema {
        schemars::schema_for!(File)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Rates, String> {
        Rates::parse(&Source::new("rates.toml", text)).map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_first_class_that_fits_counts() {
        let rates = parse(
            r#"
            format = 1
            class = [
              { name = "weak", faults = ["short:*@*"], per_million = 2.0, source = "a" },
              { name = "open joint", per_million = 20.0, source = "c" },
              { name = "bridge", faults = ["short:*"], per_million = 10.0, source = "b" },
            ]
            "#,
        )
        .unwrap();
        let name = |fault: &str| rates.of(&fault.parse().unwrap()).map(|class| class.name.as_str());
        assert_eq!(name("short:36-38@100"), Some("weak"));
        assert_eq!(name("short:36-38"), Some("bridge"));
        assert_eq!(name("open:23"), Some("open joint"), "by its kind");
        assert_eq!(name("cold:23"), None);
    }

    /// A figure without a source is an assumption and says so, and nobody knows it exactly.
    #[test]
    fn the_shipped_rates_say_where_they_are_from() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/defect-rates.toml");
        let rates = parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(rates.classes.len() > 20, "{}", rates.classes.len());
        for class in &rates.classes {
            let Class { name, per_million, range, source, .. } = class;
            let is_assumed = source.starts_with("assumed");
            assert!(is_assumed || source.contains("http") || source.starts_with("not a defect"), "{name}: {source}");
            assert_eq!(*range > 1.0, *per_million > 0.0, "{name}: {per_million}, range {range}");
        }
    }

    #[test]
    fn mistakes() {
        let class = |rest: &str| {
            format!("format = 1\n[[class]]\nname = \"a\"\nfaults = [\"open:*\"]\nsource = \"b\"\n{rest}\n")
        };
        for (text, expected) in [
            ("format = 2".to_owned(), "format 2"),
            (class("per_million = -1.0"), "-1 in a million"),
            (class("per_million = nan"), "NaN in a million"),
            (class("per_million = 1.0\nrate = 2"), "unknown field"),
            (class(""), "missing field `per_million`"),
            (class("per_million = 1.0\nrange = 0.5"), "0.5 is no range of a rate"),
            (class("per_million = 1.0\nrange = nan"), "NaN is no range"),
            (class("per_million = 1.0").replace("\"b\"", "\" \""), "has no source"),
            (
                "format = 1\n[[class]]\nname = \"open jiont\"\nper_million = 1.0\nsource = \"a\"".to_owned(),
                "no kind of fault",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
