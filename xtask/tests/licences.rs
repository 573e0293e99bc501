//! Every linked crate has a licence that `deny.toml` allows and comes from the registry. The same check as `cargo deny
//! check licenses sources`, for machines without that program.

#![allow(clippy::unwrap_used)] // a helper that cannot continue fails its test

use cargo_metadata::{Metadata, MetadataCommand, Package};
use spdx::{Expression, LicenseReq};
use std::path::{Path, PathBuf};

struct Rules {
    allowed: Vec<String>,
    /// Crate, and its additional licences.
    exceptions: Vec<(String, Vec<String>)>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn words(value: &toml::Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

fn rules() -> Rules {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let file: toml::Table = text.parse().unwrap();
    let licences = file["licenses"].as_table().unwrap();
    let exceptions = licences.get("exceptions").and_then(|value| value.as_array()).cloned().unwrap_or_default();
    let exception = |row: &toml::Value| (row["crate"].as_str().unwrap().to_owned(), words(&row["allow"]));
    Rules { allowed: words(&licences["allow"]), exceptions: exceptions.iter().map(exception).collect() }
}

fn dependencies(manifest: &Path) -> Metadata {
    let locked = ["--locked".to_owned()];
    MetadataCommand::new().manifest_path(manifest).other_options(locked).exec().unwrap()
}

impl Rules {
    /// What is wrong with a crate.
    fn objection(&self, package: &Package) -> Option<String> {
        let Some(text) = &package.license else { return Some("names no licence".to_owned()) };
        let expression = match Expression::parse_mode(text, spdx::ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => return Some(format!("`{text}` is not a licence expression: {error}")),
        };
        let more = self.exceptions.iter().filter(|(name, _)| *name == package.name.as_str());
        let also: Vec<&String> = more.flat_map(|(_, licences)| licences).collect();
        let allows = |licence: &LicenseReq| {
            let name = licence.to_string();
            self.allowed.contains(&name) || also.contains(&&name)
        };
        if !expression.evaluate(allows) {
            return Some(format!("`{text}` is not allowed by deny.toml"));
        }
        let source = package.source.as_ref()?;
        (!source.is_crates_io()).then(|| format!("comes from {source}"))
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let rules = rules();
    let mut wrong = Vec::new();
    for manifest in ["Cargo.toml", "dut-firmware/Cargo.toml"] {
        let all = dependencies(&root().join(manifest));
        assert!(all.packages.len() > 50, "{manifest}: {} packages", all.packages.len());
        let objections = all.packages.iter().filter_map(|package| Some((package, rules.objection(package)?)));
        wrong.extend(objections.map(|(package, text)| format!("{} {}: {text}", package.name, package.version)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_not_allowed_is_refused() {
    let rules = rules();
    let all = dependencies(&root().join("Cargo.toml"));
    let package = all.packages.iter().find(|package| package.name.as_str() == "serde").unwrap();
    for (licence, fits) in [
        ("MIT OR Apache-2.0", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("MIT AND GPL-2.0-or-later", false),
        ("CC-BY-4.0", false),
        ("nonsense", false),
    ] {
        let mut changed = package.clone();
        changed.license = Some(licence.to_owned());
        assert_eq!(rules.objection(&changed).is_none(), fits, "{licence}");
    }
    let mut unnamed = package.clone();
    unnamed.license = None;
    assert!(rules.objection(&unnamed).is_some());
}
