//! Colours, and shapes that say the same for people who do not see red and green.

use bench_run::Verdict;
use ratatui::style::{Color, Modifier, Style};

/// Whether colours are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub colour: bool,
}

/// How a verdict is shown: a frame of marks, and a colour for the whole nest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Character that the frame is made of.
    pub frame: char,
    pub style: Style,
}

impl Look {
    fn with(self, style: Style, otherwise: Style) -> Style {
        if self.colour { style } else { otherwise }
    }

    pub(super) fn shape(self, verdict: Verdict) -> Shape {
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        let (frame, foreground, background) = match verdict {
            Verdict::Pass => ('O', Color::Black, Color::Green),
            Verdict::Fail => ('X', Color::White, Color::Red),
            Verdict::Error | Verdict::Skipped => ('!', Color::Black, Color::Yellow),
            Verdict::Aborted => ('-', Color::White, Color::Blue),
        };
        Shape { frame, style: self.with(Style::new().fg(foreground).bg(background), reversed) }
    }

    pub(super) fn warning(self) -> Style {
        let reversed = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
        self.with(Style::new().fg(Color::Black).bg(Color::Yellow).add_modifier(Modifier::BOLD), reversed)
    }

    /// What the operator must notice.
    pub(super) fn accent(self) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        self.with(bold.fg(Color::Cyan), bold)
    }

    pub(super) fn faint(self) -> Style {
        let dim = Style::new().add_modifier(Modifier::DIM);
        self.with(Style::new().fg(Color::Gray), dim)
    }

    pub(super) fn power(self) -> Style {
        let reversed = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
        self.with(Style::new().fg(Color::White).bg(Color::Magenta).add_modifier(Modifier::BOLD), reversed)
    }
}
