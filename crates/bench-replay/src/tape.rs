//! The lines of a recording, and the file that holds them.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use thiserror::Error;

/// Name of a recording in the folder of its run.
pub const ANSWERS_FILE: &str = "answers.jsonl.gz";

/// Version of the lines.
pub(crate) const FORMAT: u16 = 1;

/// Lines are on the disk after this time, so that most of a recording survives the end of the program.
const FLUSH_AFTER: Duration = Duration::from_secs(2);
/// Longest wait for the disk at the end of a run.
const END_WITHIN: Duration = Duration::from_secs(10);
/// Largest recording, bytes without compression; a run has a hundredth of that.
const LARGEST: u64 = 1 << 30;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub(crate) enum Line {
    Head(Head),
    Exchange(Exchange),
    State(State),
    /// The controller was late: nothing ran between these times.
    Late {
        from_us: u64,
        to_us: u64,
    },
    /// The last line: without it, the recording is not complete.
    End {
        exchanges: u64,
        /// What the bench did not model, so that a pass was none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        doubts: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) format: u16,
    /// Version and commit of the bench.
    pub(crate) bench: String,
    /// Version of the messages of the firmware.
    pub(crate) protocol: u16,
    /// Hash of their table, hexadecimal.
    pub(crate) schema: String,
    /// Bench time at which the recording begins, microseconds.
    pub(crate) at_us: u64,
    /// IMEI on the unit's label, if it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) imei: Option<String>,
    /// Whether a person allowed to erase a locked module.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) may_erase_locked: bool,
    /// What the instruments say without being asked anything: names, contacts, ranges.
    pub(crate) facts: Value,
}

/// One call of an instrument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// Calls in the order in which they began; lines are in the order in which they ended.
    pub(crate) seq: u64,
    /// The step that asked; absent for the work of the run itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) attempt: u8,
    pub(crate) instrument: String,
    pub(crate) call: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) arguments: Vec<Value>,
    /// Absent when the caller no longer waited.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) answer: Option<Value>,
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
    /// When the call itself kept the controller busy: begin, counted from the begin of the call, and length.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) busy_us: Vec<(u64, u64)>,
}

/// A line that is read often, or a part that is checked often: only changes are recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) of: String,
    pub(crate) value: Value,
    pub(crate) at_us: u64,
    /// How long reading it keeps the controller busy.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(crate) busy_us: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes references
fn is_zero(value: &u8) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes references
fn is_none(value: &u64) -> bool {
    *value == 0
}

/// `null` is an answer, too.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Why a recording cannot be used.
#[derive(Debug, Error)]
pub enum TapeError {
    #[error("{}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{}: the recording is damaged after line {line}: {detail}", path.display())]
    Damaged { path: PathBuf, line: usize, detail: String },
    #[error("{}: the recording ends after line {line}, before the run's end", path.display())]
    Ends { path: PathBuf, line: usize },
    #[error(
        "{}: recorded in format {found}, this program reads format {FORMAT}: use the version of bench that recorded it",
        path.display()
    )]
    OtherFormat { path: PathBuf, found: u16 },
}

/// A recording that was read.
#[derive(Debug, Clone)]
pub struct Tape {
    pub(crate) head: Head,
    /// In the order of the file.
    pub(crate) lines: Vec<Line>,
    pub(crate) doubts: Vec<String>,
}

impl Tape {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`TapeError`], also for a recording that was cut off.
    pub fn read(path: &Path) -> Result<Self, TapeError> {
        let file = File::open(path).map_err(|error| TapeError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(BufReader::new(GzDecoder::new(file)), path)
    }

    /// The same from memory; `path` is for messages.
    ///
    /// # Errors
    /// As [`Tape::read`].
    pub fn read_bytes(bytes: &[u8], path: &Path) -> Result<Self, TapeError> {
        Self::parse(BufReader::new(GzDecoder::new(bytes)), path)
    }

    fn parse(reader: impl BufRead, path: &Path) -> Result<Self, TapeError> {
        let path = || path.to_owned();
        let (mut head, mut lines, mut doubts) = (None, Vec::new(), None);
        for (number, text) in reader.take(LARGEST).lines().enumerate() {
            let damaged = |detail: String| TapeError::Damaged { path: path(), line: number, detail };
            let text = match text {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(TapeError::Ends { path: path(), line: number });
                }
                Err(error) => return Err(damaged(error.to_string())),
            };
            if doubts.is_some() {
                return Err(damaged("lines follow its end".to_owned()));
            }
            match (number, serde_json::from_str(&text)) {
                (0, Ok(Line::Head(of))) if of.format != FORMAT => {
                    return Err(TapeError::OtherFormat { path: path(), found: of.format });
                }
                (0, Ok(Line::Head(of))) => head = Some(of),
                (0, _) | (_, Ok(Line::Head(_))) => return Err(damaged("it has no head, or two".to_owned())),
                (_, Ok(Line::End { exchanges, doubts: of })) => {
                    let read = lines.iter().filter(|line| matches!(line, Line::Exchange(_))).count();
                    if u64::try_from(read).ok() != Some(exchanges) {
                        return Err(damaged(format!("{exchanges} exchanges were recorded, {read} are there")));
                    }
                    doubts = Some(of);
                }
                (_, Ok(line)) => lines.push(line),
                (_, Err(error)) => return Err(damaged(error.to_string())),
            }
        }
        match (head, doubts) {
            (Some(head), Some(doubts)) => Ok(Self { head, lines, doubts }),
            (Some(_), None) => Err(TapeError::Ends { path: path(), line: lines.len() + 1 }),
            (None, _) => Err(TapeError::Damaged { path: path(), line: 0, detail: "it is empty".to_owned() }),
        }
    }

    /// The recording as its file.
    ///
    /// # Errors
    /// When it cannot be compressed.
    pub fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let exchanges = self.calls() as u64;
        let head = std::iter::once(Line::Head(self.head.clone()));
        let end = std::iter::once(Line::End { exchanges, doubts: self.doubts.clone() });
        let lines = head.chain(self.lines.iter().cloned()).chain(end);
        crate::archive::compressed(lines.map(|line| serde_json::to_string(&line).unwrap_or_default()))
    }

    /// Calls and their answers, in the order in which the calls began.
    pub(crate) fn exchanges(&self) -> Vec<&Exchange> {
        let exchange = |line: &'_ Line| matches!(line, Line::Exchange(_));
        let mut exchanges: Vec<&Exchange> = self
            .lines
            .iter()
            .filter(|line| exchange(line))
            .filter_map(|line| match line {
                Line::Exchange(exchange) => Some(exchange),
                _ => None,
            })
            .collect();
        exchanges.sort_by_key(|exchange| exchange.seq);
        exchanges
    }

    /// IMEI on the unit's label, if it was given.
    pub fn imei(&self) -> Option<&str> {
        self.head.imei.as_deref()
    }

    /// Whether a person allowed to erase a locked module.
    pub fn may_erase_locked(&self) -> bool {
        self.head.may_erase_locked
    }

    /// Version and commit of the bench that recorded it.
    pub fn recorded_by(&self) -> &str {
        &self.head.bench
    }

    /// Number of recorded calls.
    pub fn calls(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line, Line::Exchange(_))).count()
    }
}

/// What a recording cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub lines: u64,
    /// Bytes before and after compression.
    pub bytes: u64,
    pub compressed: u64,
}

/// Writes lines from a thread of its own, so that no step waits for the disk.
pub(crate) struct Writer {
    lines: Option<mpsc::Sender<String>>,
    done: Receiver<io::Result<Written>>,
}

impl Writer {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create_new(path)?;
        let (lines, queue) = mpsc::channel();
        let (end, done) = mpsc::sync_channel(1);
        let body = move || {
            // The receiver is gone when the run no longer waits.
            let _ = end.send(write_all(file, &queue));
        };
        std::thread::Builder::new().name("answers".into()).spawn(body)?;
        Ok(Self { lines: Some(lines), done })
    }

    pub(crate) fn write(&self, line: &Line) {
        if let (Some(lines), Ok(text)) = (&self.lines, serde_json::to_string(line)) {
            // A writer that failed says so at the end.
            let _ = lines.send(text);
        }
    }

    pub(crate) fn finish(&mut self) -> io::Result<Written> {
        self.lines = None;
        match self.done.recv_timeout(END_WITHIN) {
            Ok(written) => written,
            Err(RecvTimeoutError::Timeout) => Err(io::Error::other("the disk does not answer")),
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("its thread ended early")),
        }
    }
}

fn write_all(file: File, queue: &Receiver<String>) -> io::Result<Written> {
    let mut to = GzEncoder::new(Counted { to: BufWriter::new(file), bytes: 0 }, Compression::default());
    let mut written = Written::default();
    let mut dirty = false;
    loop {
        match queue.recv_timeout(FLUSH_AFTER) {
            Ok(line) => {
                to.write_all(line.as_bytes())?;
                to.write_all(b"\n")?;
                written.lines += 1;
                written.bytes += line.len() as u64 + 1;
                dirty = true;
            }
            Err(RecvTimeoutError::Timeout) if dirty => {
                to.flush()?;
                dirty = false;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let mut counted = to.finish()?;
    counted.flush()?;
    counted.to.get_ref().sync_all()?;
    written.compressed = counted.bytes;
    Ok(written)
}

struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn head() -> Line {
        Line::Head(Head {
            format: FORMAT,
            bench: "0.1.0 (test)".to_owned(),
            protocol: 1,
            schema: "0".to_owned(),
            at_us: 5,
            imei: None,
            may_erase_locked: false,
            facts: json!({}),
        })
    }

    fn exchange(seq: u64, answer: Option<Value>) -> Line {
        Line::Exchange(Exchange {
            seq,
            step: Some("a".to_owned()),
            attempt: 1,
            instrument: "measure-bus".to_owned(),
            call: "volts".to_owned(),
            arguments: vec![json!(23)],
            answer,
            from_us: 10,
            to_us: 30,
            busy_us: vec![(2, 3)],
        })
    }

    fn bytes(lines: &[Line]) -> Vec<u8> {
        crate::archive::compressed(lines.iter().map(|line| serde_json::to_string(line).unwrap())).unwrap()
    }

    #[test]
    fn lines_come_back_in_the_order_of_the_calls() {
        let end = Line::End { exchanges: 3, doubts: vec!["a part".to_owned()] };
        let lines = [head(), exchange(2, None), exchange(0, Some(Value::Null)), exchange(1, Some(json!(1.5))), end];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ANSWERS_FILE);
        let mut writer = Writer::create(&path).unwrap();
        lines.iter().for_each(|line| writer.write(line));
        let written = writer.finish().unwrap();
        assert_eq!((written.lines, written.compressed), (5, std::fs::metadata(&path).unwrap().len()));
        let tape = Tape::read(&path).unwrap();
        let answers: Vec<_> = tape.exchanges().into_iter().map(|exchange| exchange.answer.clone()).collect();
        assert_eq!(answers, [Some(Value::Null), Some(json!(1.5)), None]);
        assert_eq!(tape.doubts, ["a part"]);
        assert!(Writer::create(&path).is_err(), "a recording is never overwritten");
    }

    #[test]
    fn what_is_not_a_whole_recording_is_refused() {
        let end = || Line::End { exchanges: 1, doubts: Vec::new() };
        let other = Line::Head(Head { format: 9, ..serde_json::from_value(json!(head())).unwrap() });
        let rows: [(&[Line], &str); 6] = [
            (&[], "it is empty"),
            (&[head(), exchange(0, None)], "ends after line 2"),
            (&[head(), end()], "1 exchanges were recorded, 0 are there"),
            (&[exchange(0, None), end()], "it has no head"),
            (&[head(), exchange(0, None), end(), exchange(1, None)], "lines follow its end"),
            (&[other], "format 9"),
        ];
        for (lines, expected) in rows {
            let error = Tape::read_bytes(&bytes(lines), Path::new("x")).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let whole = bytes(&[head(), exchange(0, None), end()]);
        assert!(Tape::read_bytes(&whole, Path::new("x")).is_ok());
        for length in 0..whole.len() {
            assert!(Tape::read_bytes(&whole[..length], Path::new("x")).is_err(), "{length} bytes");
        }
    }
}
