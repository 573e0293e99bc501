//! A page as parsed.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Pages outside `docs/` that belong to the documentation.
const TOP_LEVEL: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"];

/// One Markdown file.
#[derive(Debug, Clone)]
pub struct Page {
    /// Relative to the root of the repository.
    pub path: PathBuf,
    pub text: String,
    pub links: Vec<Link>,
    pub blocks: Vec<Block>,
    /// A page whose files the examples of this one need, from a comment `<!-- files of: PAGE -->`.
    pub files_of: Option<PathBuf>,
    /// What a `#fragment` can name.
    pub anchors: BTreeSet<String>,
}

/// A link or a picture.
#[derive(Debug, Clone)]
pub struct Link {
    pub line: usize,
    pub target: String,
    /// Of the whole link in the text.
    pub at: Range<usize>,
    pub picture: bool,
    /// What it shows: the link's text, or the picture's description.
    pub shown: String,
}

/// A fenced code block.
#[derive(Debug, Clone)]
pub struct Block {
    /// Where its first line of code is.
    pub line: usize,
    /// The word after the fence.
    pub language: String,
    pub code: String,
    /// Of the code in the page's text.
    pub at: Range<usize>,
    /// The file named by a comment `<!-- file: PATH -->` right above.
    pub file: Option<String>,
    /// The file named by a comment `<!-- step of: PATH -->` right above: the block is a step of it.
    pub step_of: Option<String>,
}

/// All pages, by path.
///
/// # Errors
///
/// A folder or a page cannot be read.
pub fn pages(root: &Path) -> io::Result<Vec<Page>> {
    let mut found = TOP_LEVEL.map(PathBuf::from).to_vec();
    below(root, Path::new("docs"), &mut found)?;
    found.sort();
    found.into_iter().map(|path| Ok(Page::parse(path.clone(), fs::read_to_string(root.join(path))?))).collect()
}

fn below(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            below(root, &path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
    Ok(())
}

impl Page {
    /// Parses `text`; `path` is relative to the root of the repository.
    pub fn parse(path: PathBuf, text: String) -> Self {
        let (links, blocks, anchors) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut page = Self { path, text: String::new(), links, blocks, files_of: None, anchors };
        let mut state = State::default();
        for (event, at) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            page.take(&text, &mut state, event, at);
        }
        page.text = text;
        page
    }

    fn take(&mut self, text: &str, state: &mut State, event: Event<'_>, at: Range<usize>) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => state.heading = Some((level, String::new())),
            Event::End(TagEnd::Heading(_)) => {
                if let Some((_, words)) = state.heading.take() {
                    self.anchors.insert(state.anchor(&words));
                }
            }
            Event::Start(Tag::Link { dest_url, .. }) => self.link(text, &dest_url, at, false),
            Event::Start(Tag::Image { dest_url, .. }) => self.link(text, &dest_url, at, true),
            Event::End(TagEnd::Link | TagEnd::Image) => {}
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                let comment = state.comment.take().filter(|(.., end)| text[*end..at.start].trim().is_empty());
                let (file, step_of) = match comment {
                    Some((name, true, _)) => (Some(name), None),
                    Some((name, false, _)) => (None, Some(name)),
                    None => (None, None),
                };
                state.block = Some(Block {
                    line: line_of(text, at.start) + 1,
                    language: language.split([',', ' ']).next().unwrap_or_default().to_owned(),
                    code: String::new(),
                    at: at.start..at.start,
                    file,
                    step_of,
                });
            }
            Event::End(TagEnd::CodeBlock) => self.blocks.extend(state.block.take()),
            Event::Html(html) | Event::InlineHtml(html) => {
                let after = |begin| html.trim().strip_prefix(begin)?.strip_suffix("-->").map(str::trim);
                if let Some(name) = after("<!-- file:") {
                    state.comment = Some((name.to_owned(), true, at.end));
                } else if let Some(name) = after("<!-- step of:") {
                    state.comment = Some((name.to_owned(), false, at.end));
                } else if let Some(name) = after("<!-- files of:") {
                    self.files_of = self.path.parent().map(|folder| folder.join(name));
                }
            }
            Event::Text(words) => {
                if let Some(block) = &mut state.block {
                    let begin = if block.code.is_empty() { at.start } else { block.at.start };
                    block.at = begin..at.end;
                    block.code.push_str(&words);
                }
                self.words(state, &words, &at);
            }
            Event::Code(words) => self.words(state, &words, &at),
            _ => {}
        }
    }

    fn link(&mut self, text: &str, target: &str, at: Range<usize>, picture: bool) {
        let link = Link { line: line_of(text, at.start), target: target.to_owned(), at, picture, shown: String::new() };
        self.links.push(link);
    }

    fn words(&mut self, state: &mut State, words: &str, at: &Range<usize>) {
        if let Some((_, heading)) = &mut state.heading {
            heading.push_str(words);
        }
        // A picture may be the text of a link: the words belong to both.
        for link in self.links.iter_mut().rev().take(2).filter(|link| link.at.contains(&at.start)) {
            link.shown.push_str(words);
        }
    }
}

#[derive(Default)]
struct State {
    heading: Option<(HeadingLevel, String)>,
    block: Option<Block>,
    /// The name of a file, whether the block is all of it, and where the comment ends.
    comment: Option<(String, bool, usize)>,
    /// How often each anchor came.
    anchors: BTreeMap<String, usize>,
}

impl State {
    /// As GitHub and mdBook make it: a repeated heading gets a number.
    fn anchor(&mut self, words: &str) -> String {
        let kept = words.trim().chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
        let name: String = kept.map(|one| if one == ' ' { '-' } else { one }).collect::<String>().to_lowercase();
        let count = self.anchors.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}-{}", *count - 1) }
    }
}

/// From 1.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}
