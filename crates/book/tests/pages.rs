//! The links of the documentation lead somewhere.
#![allow(clippy::unwrap_used)] // all of it is test code

use book::{Page, broken_links, pages, stage};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages(&root()).unwrap();
    assert!(pages.len() > 20, "only {} pages were read", pages.len());
    assert!(pages.iter().map(|page| page.links.len()).sum::<usize>() > 60, "too few links to say anything");
    let broken = broken_links(&root(), &pages);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A check that sees nothing would pass for ever.
#[test]
fn a_broken_link_is_seen() {
    let rows: &[(&str, &str)] = &[
        ("[a](two.md)", ""),
        ("[a](two.md#the-end)", ""),
        ("[a](two.md#the-end-1)", ""),
        ("[a](#here)\n\n# `Here`", ""),
        ("[a](https://example.com/nowhere)", ""),
        ("![a picture](two.md)", ""),
        ("[a](../Cargo.toml)", ""),
        ("`[a](three.md)`\n\n```sh\n[a](three.md)\n```", ""),
        ("[a](three.md)", "docs/one.md:1: three.md: there is no docs/three.md"),
        ("\n\ntext [a\nb][c]\n\n[c]: three.md", "docs/one.md:3: three.md: there is no docs/three.md"),
        ("[a](two.md#end)", "docs/one.md:1: two.md#end: docs/two.md has no heading #end"),
        ("[a](two.md#the-end-2)", "docs/two.md has no heading #the-end-2"),
        ("[a](#there)\n\n# `Here`", "docs/one.md has no heading #there"),
        ("[a](../../outside.md)", "there is no ../outside.md"),
        ("![](two.md)", "a picture needs a description"),
    ];
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("docs")).unwrap();
    fs::write(folder.path().join("Cargo.toml"), "").unwrap();
    let two = "# The end\n\n## The `end`";
    fs::write(folder.path().join("docs/two.md"), two).unwrap();
    for (text, expected) in rows {
        fs::write(folder.path().join("docs/one.md"), text).unwrap();
        let page = |name: &str, text: &str| Page::parse(Path::new("docs").join(name), text.to_owned());
        let broken = broken_links(folder.path(), &[page("one.md", text), page("two.md", two)]).join("\n");
        assert_eq!(broken.is_empty(), expected.is_empty(), "{text}: {broken}");
        assert!(broken.contains(expected), "{text}: {broken}");
    }
}

/// mdBook passes over a page that the summary does not name.
#[test]
fn the_book_names_every_page_once_and_its_links_hold() {
    let folder = tempfile::tempdir().unwrap();
    stage(&root(), folder.path()).unwrap();
    let src = folder.path().join("src");
    let mut staged = Vec::new();
    markdown(&src, Path::new(""), &mut staged);
    let summary = staged.iter().find(|page| page.path == Path::new("SUMMARY.md")).unwrap();
    for page in staged.iter().filter(|page| page.path != Path::new("SUMMARY.md")) {
        let times = book::links_of(summary).filter(|(_, path, _)| *path == page.path).count();
        assert_eq!(times, 1, "docs/SUMMARY.md names {} {times} times", page.path.display());
    }
    // It becomes the list at the side, not a page.
    fs::remove_file(src.join("SUMMARY.md")).unwrap();
    staged.retain(|page| page.path != Path::new("SUMMARY.md"));
    let broken = broken_links(&src, &staged);
    assert!(broken.is_empty(), "in the book: {}", broken.join("\n"));
}

fn markdown(root: &Path, folder: &Path, found: &mut Vec<Page>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let path = folder.join(entry.unwrap().file_name());
        if root.join(&path).is_dir() {
            markdown(root, &path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(Page::parse(path.clone(), fs::read_to_string(root.join(path)).unwrap()));
        }
    }
}
