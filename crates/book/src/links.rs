//! Where the links of a page lead.

use crate::Page;
use crate::page::Link;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The links of a page that lead to a file, with the file's path from the root of the repository and the fragment.
///
/// A link into the network is not among them: a test that asks other people's servers fails when they do.
pub fn links_of(page: &Page) -> impl Iterator<Item = (&Link, PathBuf, Option<&str>)> {
    let outside = |target: &str| target.contains("://") || target.starts_with("mailto:");
    let local = page.links.iter().filter(move |link| !outside(&link.target));
    local.map(|link| {
        let (path, fragment) = match link.target.split_once('#') {
            Some((path, fragment)) => (path, Some(fragment)),
            None => (link.target.as_str(), None),
        };
        let folder = page.path.parent().unwrap_or(Path::new(""));
        let path = if path.is_empty() { page.path.clone() } else { plain(&folder.join(path)) };
        (link, path, fragment)
    })
}

/// `a/b/../c` as `a/c`. What leaves the repository keeps its `..` and so exists nowhere in it.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// One line for each link that leads nowhere: page, line, target, and why.
pub fn broken_links(root: &Path, pages: &[Page]) -> Vec<String> {
    let by_path: BTreeMap<&Path, &Page> = pages.iter().map(|page| (page.path.as_path(), page)).collect();
    let mut broken = Vec::new();
    for page in pages {
        for (link, path, fragment) in links_of(page) {
            let why = if !root.join(&path).exists() || path.starts_with("..") {
                format!("there is no {}", path.display())
            } else if link.picture && link.shown.trim().is_empty() {
                "a picture needs a description for those who cannot see it".to_owned()
            } else {
                match (by_path.get(path.as_path()), fragment) {
                    (Some(target), Some(fragment)) if !target.anchors.contains(fragment) => {
                        format!("{} has no heading #{fragment}", path.display())
                    }
                    _ => continue,
                }
            };
            broken.push(format!("{}:{}: {}: {why}", page.path.display(), link.line, link.target));
        }
    }
    broken
}
