//! Pictures of questions in the terminal. `ratatui-image`, `image` and `resvg` are named here only.
//!
//! The terminal is never asked what it can: the answer comes through the keyboard, and not from every terminal. What it
//! can follows from the environment.

use bench_journal::read_regular;
use image::{DynamicImage, ImageError, ImageFormat, ImageReader, Limits, Rgba, RgbaImage};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::crossterm::terminal::window_size;
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::Color;
use ratatui::widgets::Widget;
use ratatui_image::protocol::Protocol;
use ratatui_image::protocol::iterm2::Iterm2;
use ratatui_image::protocol::kitty::Kitty;
use ratatui_image::protocol::sixel::Sixel;
use ratatui_image::{FilterType, FontSize, Image, Resize};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::roxmltree::{Document, ParsingOptions};
use resvg::usvg::{Options, Tree};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fmt::Write;
use std::hash::{BuildHasher, Hasher};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Longest side of a PNG file, pixels. It is checked before memory is taken for them.
const LONGEST_SIDE: u32 = 4096;
/// The longest side of a drawing gets so many pixels.
const SVG_SIDE: u16 = 1024;
/// The largest file, bytes.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Longest side of what is sent to the terminal, pixels: a slow connection takes seconds for more.
const SENT_SIDE: u16 = 800;
/// A character where the terminal does not report its pixels. Rather too small: the picture then keeps to its place.
const CELL: FontSize = FontSize::new(8, 16);
/// Most rows of a picture between lines of text, so that the question above it stays visible.
const INLINE_ROWS: u16 = 16;
/// Columns to the left of a picture between lines of text.
const INDENT: u16 = 3;

/// How a terminal takes pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Graphics {
    Kitty,
    Iterm2,
    Sixel,
}

/// A terminal that shows pictures.
#[derive(Debug, Clone, Copy)]
pub struct PictureTerminal {
    graphics: Graphics,
    cell: FontSize,
    size: Size,
}

impl PictureTerminal {
    /// The terminal of this program. `None`: it shows no pictures, or nothing says that it does.
    pub fn detect() -> Option<Self> {
        let graphics = graphics(|name| std::env::var(name).ok())?;
        let window = window_size().ok()?;
        let size = Size::new(window.columns, window.rows);
        let cell = match (window.width.checked_div(window.columns), window.height.checked_div(window.rows)) {
            (Some(width @ 1..), Some(height @ 1..)) => FontSize::new(width, height),
            _ => CELL,
        };
        Some(Self { graphics, cell, size })
    }

    /// The picture as text for this terminal, which ends on a new line.
    ///
    /// # Errors
    /// The reason why it cannot be drawn, without a full stop.
    pub fn between_lines(self, path: &Path) -> Result<String, String> {
        let columns = self.size.width.saturating_sub(2 * INDENT);
        // One row less than the terminal has: the picture must not scroll while it is drawn.
        let rows = self.size.height.saturating_sub(1).min(INLINE_ROWS);
        Ok(as_text(&self.encode(&load(path)?, Size::new(columns, rows))?))
    }

    #[cfg(test)]
    pub fn kitty(columns: u16, rows: u16) -> Self {
        Self { graphics: Graphics::Kitty, cell: CELL, size: Size::new(columns, rows) }
    }

    fn encode(self, picture: &DynamicImage, room: Size) -> Result<Protocol, String> {
        if room.width == 0 || room.height == 0 {
            return Err("there is no room for it".to_owned());
        }
        let most = |cells: u16, pixels: u16| cells.min((SENT_SIDE / pixels).max(1));
        let room = Size::new(most(room.width, self.cell.width), most(room.height, self.cell.height));
        let resize = Resize::Fit(Some(FilterType::Triangle));
        let size = resize.size_for(picture, self.cell, room);
        let fitted = resize.resize(picture, self.cell, size, None);
        let encoded = match self.graphics {
            Graphics::Kitty => Kitty::new(fitted, size, new_id(), false, true).map(Protocol::Kitty),
            Graphics::Iterm2 => Iterm2::new(fitted, size, false).map(Protocol::ITerm2),
            Graphics::Sixel => Sixel::new(fitted, size, false).map(Protocol::Sixel),
        };
        encoded.map_err(|error| error.to_string())
    }
}

/// A terminal keeps pictures by their ids, also those of other programs.
fn new_id() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d]).max(1)
}

/// What the variables of the environment say. `TERM` comes first: it is also right through `ssh`, and other variables
/// may be those of a terminal from which this one was started.
fn graphics(variable: impl Fn(&str) -> Option<String>) -> Option<Graphics> {
    let value = |name: &str| variable(name).filter(|value| !value.is_empty());
    let term = value("TERM")?;
    // They pass pictures on only with settings that nobody can see from here.
    let multiplexed = ["TMUX", "STY", "ZELLIJ"].iter().any(|name| value(name).is_some())
        || ["tmux", "screen"].iter().any(|name| term.starts_with(name));
    if multiplexed {
        return None;
    }
    let by_term = match term.split('-').next()? {
        "xterm" if term == "xterm-kitty" => Some(Graphics::Kitty),
        "xterm" if term == "xterm-ghostty" => Some(Graphics::Kitty),
        "xterm" => by_program(&value),
        "wezterm" => Some(Graphics::Iterm2),
        "foot" | "mlterm" | "contour" => Some(Graphics::Sixel),
        _ => None,
    };
    // Kitty finds its picture by a colour, and the screen has none then.
    by_term.filter(|graphics| *graphics != Graphics::Kitty || value("NO_COLOR").is_none())
}

/// Terminals that call themselves xterm and are more.
fn by_program(value: &impl Fn(&str) -> Option<String>) -> Option<Graphics> {
    match value("TERM_PROGRAM").as_deref() {
        Some("iTerm.app" | "WezTerm" | "mintty") => return Some(Graphics::Iterm2),
        Some("ghostty") => return Some(Graphics::Kitty),
        Some(_) => return None,
        None => {}
    }
    let is_iterm = value("LC_TERMINAL").is_some_and(|name| name == "iTerm2");
    if is_iterm || value("WEZTERM_PANE").is_some() {
        return Some(Graphics::Iterm2);
    }
    value("KITTY_WINDOW_ID").map(|_| Graphics::Kitty)
}

/// Reads and decodes a picture.
fn load(path: &Path) -> Result<DynamicImage, String> {
    let bytes = read_regular(path, LARGEST_FILE).map_err(|error| std::io::Error::from(error).to_string())?;
    decode(&bytes)
}

/// The pixels of a PNG or SVG file on white: drawings with a transparent ground are made for paper.
fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let picture = if bytes.starts_with(PNG) { decode_png(bytes)? } else { decode_svg(bytes)? };
    let mut ground = RgbaImage::from_pixel(picture.width(), picture.height(), Rgba([255; 4]));
    image::imageops::overlay(&mut ground, &picture, 0, 0);
    Ok(ground.into())
}

fn png(bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
    ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png)
}

fn decode_png(bytes: &[u8]) -> Result<RgbaImage, String> {
    let broken = |error| match error {
        ImageError::Limits(_) => format!("the PNG file is too large; at most {LONGEST_SIDE} pixels a side are shown"),
        error => format!("the PNG file is broken: {error}"),
    };
    let (width, height) = png(bytes).into_dimensions().map_err(broken)?;
    if width.max(height) > LONGEST_SIDE {
        return Err(format!("the PNG file has {width} x {height} pixels; at most {LONGEST_SIDE} a side are shown"));
    }
    let mut reader = png(bytes);
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    reader.limits(limits);
    Ok(reader.decode().map_err(broken)?.into_rgba8())
}

fn decode_svg(bytes: &[u8]) -> Result<RgbaImage, String> {
    let broken = |error: &dyn std::fmt::Display| format!("the SVG file is broken: {error}");
    let text = std::str::from_utf8(bytes).map_err(|error| broken(&error))?;
    let syntax = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, syntax).map_err(|error| broken(&error))?;
    // They would be left out, and the picture without them may show something else.
    const OTHER_PICTURES: &str = "other pictures; draw it without them";
    let left_out = [("text", "texts; convert them to paths"), ("image", OTHER_PICTURES), ("feImage", OTHER_PICTURES)];
    for (name, what) in left_out {
        if document.descendants().any(|node| node.tag_name().name() == name) {
            return Err(format!("the SVG file contains {what}"));
        }
    }
    let tree = Tree::from_xmltree(&document, &Options::default()).map_err(|error| broken(&error))?;
    let (wide, high) = (tree.size().width(), tree.size().height());
    let scale = f32::from(SVG_SIDE) / wide.max(high);
    let pixels = |length: f32| (length * scale).round().clamp(1.0, f32::from(SVG_SIDE));
    let (width, height) = (pixels(wide), pixels(high));
    let mut pixmap = Pixmap::new(width as u32, height as u32).ok_or("the SVG file has no size")?;
    resvg::render(&tree, Transform::from_scale(width / wide, height / high), &mut pixmap.as_mut());
    let (width, height) = (pixmap.width(), pixmap.height());
    RgbaImage::from_raw(width, height, pixmap.take_demultiplied()).ok_or_else(|| "the SVG file has no size".to_owned())
}

/// A picture as text. Its rows are made first, so that the terminal does not scroll while it draws.
fn as_text(picture: &Protocol) -> String {
    let area = Rect::from((Position::ORIGIN, picture.size()));
    let mut buffer = Buffer::empty(area);
    Image::new(picture).render(area, &mut buffer);
    let mut text = String::new();
    if let Protocol::Kitty(_) = picture {
        for y in area.rows() {
            text.push_str(&" ".repeat(INDENT.into()));
            for place in y.positions() {
                let cell = &buffer[place];
                if let (true, Color::Rgb(red, green, blue)) = (place.x == 0, cell.fg) {
                    let _ = write!(text, "\x1b[38;2;{red};{green};{blue}m");
                }
                text.push_str(cell.symbol());
            }
            text.push_str("\x1b[39m\n");
        }
        return text;
    }
    let rows = area.height;
    text.push_str(&"\n".repeat(rows.into()));
    let drawn = buffer.cell(Position::ORIGIN).map_or("", |cell| cell.symbol());
    let _ = write!(text, "\x1b[{rows}A\x1b[{INDENT}C\x1b7{drawn}\x1b8\x1b[{rows}B\r");
    text
}

/// Most pictures that are kept: one for each question of a plan in each size of the terminal.
const KEPT: usize = 16;

/// A picture in the room that there is for it.
type Place = (PathBuf, u16, u16);

enum Drawing {
    /// A thread is at it.
    Begun,
    Ready(Protocol),
    Failed,
}

/// The pictures of the operator's screen. Each is read and drawn in a thread of its own: neither a slow disk nor a
/// strange file may delay a key.
pub struct Pictures {
    terminal: Option<PictureTerminal>,
    drawings: RefCell<BTreeMap<Place, Drawing>>,
    sender: Sender<(Place, Drawing)>,
    receiver: Receiver<(Place, Drawing)>,
}

impl Pictures {
    pub fn new(terminal: Option<PictureTerminal>) -> Self {
        let (sender, receiver) = channel();
        Self { terminal, drawings: RefCell::default(), sender, receiver }
    }

    /// Whether the picture gets a place: the terminal shows pictures, and nothing is known against this one.
    pub fn has_place(&self, path: &Path) -> bool {
        while let Ok((place, drawing)) = self.receiver.try_recv() {
            self.keep(place, drawing);
        }
        let drawings = self.drawings.borrow();
        let failed = drawings.iter().any(|((of, ..), drawing)| of == path && matches!(drawing, Drawing::Failed));
        self.terminal.is_some() && !failed
    }

    /// Draws the picture once it is ready.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, path: &Path) {
        let Some(terminal) = self.terminal else { return };
        let place = (path.to_owned(), area.width, area.height);
        if let Some(drawing) = self.drawings.borrow().get(&place) {
            if let Drawing::Ready(picture) = drawing {
                frame.render_widget(Image::new(picture), area);
            }
            return;
        }
        self.begin(terminal, place);
    }

    /// Waits for a picture that was begun.
    #[cfg(test)]
    pub fn wait(&self) {
        let (place, drawing) = self.receiver.recv().unwrap();
        self.keep(place, drawing);
    }

    fn begin(&self, terminal: PictureTerminal, place: Place) {
        let (sender, begun) = (self.sender.clone(), place.clone());
        let body = move || {
            let room = Size::new(begun.1, begun.2);
            // A panic of a decoder is a picture that cannot be drawn.
            let encoded =
                std::panic::catch_unwind(|| load(&begun.0).and_then(|picture| terminal.encode(&picture, room)));
            let drawing = encoded.ok().and_then(Result::ok).map_or(Drawing::Failed, Drawing::Ready);
            let _ = sender.send((begun, drawing));
        };
        let started = std::thread::Builder::new().name("picture".to_owned()).spawn(body);
        self.keep(place, if started.is_ok() { Drawing::Begun } else { Drawing::Failed });
    }

    fn keep(&self, place: Place, drawing: Drawing) {
        let mut drawings = self.drawings.borrow_mut();
        if drawings.len() >= KEPT && !drawings.contains_key(&place) {
            drawings.clear();
        }
        drawings.insert(place, drawing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png_of(width: u32, height: u32, colour: [u8; 4]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        RgbaImage::from_pixel(width, height, Rgba(colour)).write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// A PNG file that claims to have so many pixels.
    fn claims(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = png_of(1, 1, [0; 4]);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The checksum of a chunk.
    fn crc32(bytes: &[u8]) -> u32 {
        let step = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
    }

    fn svg(size: &str, inside: &str) -> Vec<u8> {
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" {size}>{inside}</svg>").into_bytes()
    }

    const RED: &str = "<rect width=\"100%\" height=\"100%\" fill=\"#f00\"/>";

    /// A name, a file, and its size and first pixel or the reason why it is refused.
    type Row = (&'static str, Vec<u8>, Result<(u32, u32, [u8; 4]), &'static str>);

    #[test]
    fn pictures_are_decoded_or_refused_with_a_reason() {
        let red = [255, 0, 0, 255];
        let white = [255; 4];
        let cut = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - 20);
            bytes
        };
        let deep = "<g>".repeat(20_000) + &"</g>".repeat(20_000);
        let other_file = "<image width=\"2\" height=\"2\" href=\"/etc/hostname\"/>";
        let rows: [Row; 16] = [
            ("PNG", png_of(40, 30, red), Ok((40, 30, red))),
            ("transparent PNG", png_of(2, 2, [0; 4]), Ok((2, 2, white))),
            ("largest PNG", png_of(4096, 1, red), Ok((4096, 1, red))),
            ("wide PNG", png_of(4097, 1, red), Err("the PNG file has 4097 x 1 pixels; at most 4096 a side are shown")),
            ("bomb", claims(1 << 30, 1 << 30), Err("the PNG file is too large; at most 4096 pixels")),
            ("cut PNG", cut(png_of(40, 30, red)), Err("the PNG file is broken: ")),
            ("only the beginning", PNG.to_vec(), Err("the PNG file is broken: ")),
            ("SVG", svg("width=\"20\" height=\"10\"", RED), Ok((1024, 512, red))),
            ("large SVG", svg("width=\"1e6\" height=\"1e6\"", RED), Ok((1024, 1024, red))),
            ("thin SVG", svg("width=\"1e6\" height=\"1\"", RED), Ok((1024, 1, red))),
            ("empty SVG", svg("width=\"2\" height=\"2\"", ""), Ok((1024, 1024, white))),
            ("another file", svg("width=\"2\" height=\"2\"", other_file), Err("the SVG file contains other pictures")),
            (
                "text in SVG",
                svg("width=\"2\" height=\"2\"", "<g><text>led</text></g>"),
                Err("the SVG file contains texts"),
            ),
            ("no size", svg("width=\"0\" height=\"2\"", ""), Err("the SVG file is broken: ")),
            ("deep SVG", svg("width=\"2\" height=\"2\"", &deep), Err("the SVG file is broken: ")),
            ("text", b"led".to_vec(), Err("the SVG file is broken: ")),
        ];
        for (name, bytes, expected) in rows {
            let decoded = decode(&bytes);
            match (decoded, expected) {
                (Ok(picture), Ok((width, height, colour))) => {
                    let picture = picture.into_rgba8();
                    assert_eq!((picture.dimensions(), picture.get_pixel(0, 0).0), ((width, height), colour), "{name}");
                }
                (Err(why), Err(reason)) => assert!(why.starts_with(reason), "{name}: {why}"),
                (decoded, _) => panic!("{name}: {:?}", decoded.map(|picture| (picture.width(), picture.height()))),
            }
        }
    }

    #[test]
    fn the_environment_says_what_the_terminal_can() {
        use Graphics::{Iterm2, Kitty, Sixel};
        let rows: [(&[&str], Option<Graphics>); 21] = [
            (&[], None),
            (&["TERM="], None),
            (&["TERM=dumb"], None),
            (&["TERM=dumb", "KITTY_WINDOW_ID=1"], None),
            (&["TERM=linux", "TERM_PROGRAM=WezTerm"], None),
            (&["TERM=xterm-256color"], None),
            (&["TERM=xterm-256color", "TERM_PROGRAM=Apple_Terminal"], None),
            (&["TERM=xterm-kitty"], Some(Kitty)),
            (&["TERM=xterm-kitty", "NO_COLOR=1"], None),
            (&["TERM=xterm-kitty", "NO_COLOR="], Some(Kitty)),
            (&["TERM=xterm-kitty", "TMUX=/tmp/tmux"], None),
            (&["TERM=screen-256color", "KITTY_WINDOW_ID=1"], None),
            (&["TERM=tmux-256color", "TERM_PROGRAM=tmux"], None),
            (&["TERM=xterm-ghostty"], Some(Kitty)),
            (&["TERM=xterm-256color", "KITTY_WINDOW_ID=1"], Some(Kitty)),
            (&["TERM=xterm-256color", "KITTY_WINDOW_ID=1", "TERM_PROGRAM=vscode"], None),
            (&["TERM=xterm-256color", "TERM_PROGRAM=iTerm.app"], Some(Iterm2)),
            (&["TERM=xterm-256color", "TERM_PROGRAM=WezTerm", "NO_COLOR=1"], Some(Iterm2)),
            (&["TERM=xterm-256color", "LC_TERMINAL=iTerm2"], Some(Iterm2)),
            (&["TERM=foot"], Some(Sixel)),
            (&["TERM=foot-extra"], Some(Sixel)),
        ];
        for (variables, expected) in rows {
            let value = |name: &str| {
                let pair = variables.iter().filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name);
                pair.map(|pair| pair.1.to_owned())
            };
            assert_eq!(graphics(value), expected, "{variables:?}");
        }
    }

    #[test]
    fn between_lines_each_terminal_gets_its_own_sequence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("led.png");
        std::fs::write(&path, png_of(80, 64, [255, 0, 0, 255])).unwrap();
        // 80 x 64 pixels are 10 x 4 characters.
        let rows = [
            (Graphics::Kitty, "\x1b_Gq=2,i=", 4),
            (Graphics::Iterm2, "\x1b]1337;File=inline=1;", 4),
            (Graphics::Sixel, "\x1bP", 4),
        ];
        for (graphics, sequence, lines) in rows {
            let terminal = PictureTerminal { graphics, ..PictureTerminal::kitty(80, 24) };
            let text = terminal.between_lines(&path).unwrap();
            assert!(text.contains(sequence), "{graphics:?}: {text:?}");
            assert_eq!(text.matches('\n').count(), lines, "{graphics:?}: {text:?}");
            let cells = text.matches('\u{10eeee}').count();
            assert_eq!(cells, if graphics == Graphics::Kitty { 40 } else { 0 }, "{graphics:?}");
        }
        let missing = PictureTerminal::kitty(80, 24).between_lines(&folder.path().join("no.png")).unwrap_err();
        assert!(missing.contains("No such file") || missing.contains("cannot find"), "{missing}");
        let narrow = PictureTerminal::kitty(4, 24).between_lines(&path).unwrap_err();
        assert_eq!(narrow, "there is no room for it");
    }
}
