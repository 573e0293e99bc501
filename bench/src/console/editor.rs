//! The line editor, in a thread of its own: the run goes on while a person types. The only place that names `rustyline`.

use super::terminal::Settings;
use super::words::{Names, complete};
use bench_engine::Failed;
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Helper};
use std::cell::RefCell;
use std::io::{BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PROMPT: &str = "bench> ";

/// What the run wants from the person.
enum Wanted {
    /// A command.
    Line,
    /// The Enter key, while something is being shown.
    Enter,
}

/// Lines of a person, or of a file.
pub(super) struct Editor {
    ask: Sender<Wanted>,
    lines: RefCell<UnboundedReceiver<Option<String>>>,
    is_terminal: bool,
    /// Of the terminal, restored at the end.
    _settings: Settings,
}

impl Editor {
    /// # Errors
    /// When the terminal cannot be used, or the system starts no thread.
    pub fn start(names: Names) -> Result<Self, Failed> {
        let settings = Settings::now();
        let is_terminal = std::io::stdin().is_terminal();
        let (ask, wanted) = channel();
        let (answer, lines) = unbounded_channel();
        let body = move || if is_terminal { edit(names, &wanted, &answer) } else { read(&wanted, &answer) };
        let thread = std::thread::Builder::new().name("editor".to_owned()).spawn(body);
        thread.map_err(|error| Failed::bench(format!("no thread for the line editor: {error}")))?;
        Ok(Self { ask, lines: RefCell::new(lines), is_terminal, _settings: settings })
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Waits for a command; `None` when the person leaves.
    pub async fn line(&self) -> Option<String> {
        self.next(Wanted::Line).await
    }

    /// Waits for the Enter key.
    pub async fn enter(&self) {
        self.next(Wanted::Enter).await;
    }

    // Only the one step of the console asks.
    #[allow(clippy::await_holding_refcell_ref)]
    async fn next(&self, wanted: Wanted) -> Option<String> {
        self.ask.send(wanted).ok()?;
        let mut lines = self.lines.borrow_mut();
        lines.recv().await.flatten()
    }
}

/// Without a terminal: a file of commands.
fn read(wanted: &Receiver<Wanted>, answer: &UnboundedSender<Option<String>>) {
    let mut lines = std::io::stdin().lock().lines();
    for want in wanted {
        let line = match want {
            Wanted::Line => lines.next().and_then(Result::ok),
            // A file has no Enter key: what is watched ends by itself.
            Wanted::Enter => continue,
        };
        if answer.send(line).is_err() {
            return;
        }
    }
}

fn edit(names: Names, wanted: &Receiver<Wanted>, answer: &UnboundedSender<Option<String>>) {
    let config = Config::builder().completion_type(CompletionType::List).build();
    let editor = rustyline::Editor::<Words, MemHistory>::with_history(config, MemHistory::new());
    let Ok(mut editor) = editor else {
        let _ = answer.send(None);
        return;
    };
    editor.set_helper(Some(Words(names)));
    for want in wanted {
        let line = match want {
            Wanted::Line => match editor.readline(PROMPT) {
                Ok(line) => {
                    // A line that is not remembered can be typed again.
                    let _ = editor.add_history_entry(line.as_str());
                    Some(line)
                }
                // Ctrl-C, Ctrl-D, or a terminal that is gone.
                Err(_) => None,
            },
            Wanted::Enter => {
                let mut line = String::new();
                let _ = std::io::stdin().lock().read_line(&mut line);
                Some(line)
            }
        };
        if answer.send(line).is_err() {
            return;
        }
    }
}

/// Completes names.
struct Words(Names);

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(line.get(..at).unwrap_or(line), &self.0))
    }
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}
