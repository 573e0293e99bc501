//! The source of the book: the pages of `docs/` and some from elsewhere, with links that hold in a book.
//!
//! The pages are written to be read in the repository too, where links may leave `docs/`. A book has nothing outside.

use crate::{Page, links_of, pages};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Pages of the repository, and where the book has them.
const GUESTS: [(&str, &str); 3] = [
    ("ARCHITECTURE.md", "explanation/architecture.md"),
    ("CHANGELOG.md", "changelog.md"),
    ("crates/core-differential/README.md", "explanation/core-differential.md"),
];

/// The book's settings, from the root of the repository.
pub const BOOK: &str = "docs/book.toml";

/// Where a file of the repository is in the book.
fn in_book(path: &Path) -> Option<PathBuf> {
    let guest = GUESTS.iter().find(|(from, _)| path == Path::new(from));
    guest.map(|(_, to)| PathBuf::from(to)).or_else(|| path.strip_prefix("docs").ok().map(PathBuf::from))
}

/// Writes the book's source into `folder`, which is made.
///
/// # Errors
///
/// A page cannot be read, or the folder cannot be written.
pub fn stage(root: &Path, folder: &Path) -> io::Result<()> {
    copy(&root.join("docs"), &folder.join("src"))?;
    fs::copy(root.join(BOOK), folder.join("book.toml"))?;
    let mut all = pages(root)?;
    for (guest, _) in GUESTS {
        if !all.iter().any(|page| page.path == Path::new(guest)) {
            all.push(Page::parse(guest.into(), fs::read_to_string(root.join(guest))?));
        }
    }
    for page in &all {
        if let Some(place) = in_book(&page.path) {
            let file = folder.join("src").join(&place);
            fs::create_dir_all(file.parent().unwrap_or(folder))?;
            fs::write(file, with_links_of_the_book(page, &place))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else if entry.file_name() != "book.toml" {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A link to what the book has leads there; of any other the text remains.
fn with_links_of_the_book(page: &Page, place: &Path) -> String {
    let mut text = page.text.clone();
    let links: Vec<_> = links_of(page).collect();
    for (link, path, fragment) in links.into_iter().rev() {
        let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
        let whole = &page.text[link.at.clone()];
        let replaced = match in_book(&path) {
            // `](target)` ends every link of these pages; the text before it may hold a picture.
            Some(target) => match whole.rfind(&format!("]({}", link.target)) {
                Some(end) => format!("{}]({}{fragment})", &whole[..end], relative(place, &target)),
                None => continue,
            },
            None if link.picture => continue,
            None => link.shown.clone(),
        };
        text.replace_range(link.at.clone(), &replaced);
    }
    text
}

fn relative(from: &Path, to: &Path) -> String {
    let up = from.components().count() - 1;
    let to: Vec<_> = to.iter().map(|part| part.to_string_lossy()).collect();
    "../".repeat(up) + &to.join("/")
}
