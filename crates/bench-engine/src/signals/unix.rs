use futures_util::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Everything that asks a program to end, but for what it cannot survive.
const ASK_TO_END: [(SignalKind, &str); 8] = [
    (SignalKind::interrupt(), "Ctrl-C"),
    (SignalKind::terminate(), "SIGTERM"),
    (SignalKind::hangup(), "SIGHUP"),
    (SignalKind::quit(), "SIGQUIT"),
    (SignalKind::user_defined1(), "SIGUSR1"),
    (SignalKind::user_defined2(), "SIGUSR2"),
    (SignalKind::alarm(), "SIGALRM"),
    (SignalKind::from_raw(SIGABRT), "SIGABRT"),
];
/// These numbers are the same on x86 and ARM, and on Linux and macOS.
const SIGABRT: i32 = 6;
/// A file reached the limit on the size of files.
const SIGXFSZ: i32 = 25;

pub(crate) struct Signals(Vec<(Signal, &'static str)>);

impl Signals {
    pub(crate) fn new() -> std::io::Result<Self> {
        // Heard and ignored: a file that may not grow is then an error of the write, and not the end of the program.
        let _ = signal(SignalKind::from_raw(SIGXFSZ))?;
        ASK_TO_END.iter().map(|(kind, name)| Ok((signal(*kind)?, *name))).collect::<std::io::Result<_>>().map(Self)
    }

    pub(crate) async fn next(&mut self) -> &'static str {
        let each = self.0.iter_mut().map(|(signal, name)| Box::pin(async move { (signal.recv().await, *name) }));
        select_all(each).await.0.1
    }
}
