//! Replaces the kernel's clock by that of the virtual fixture, so that a busy machine slows the program under test but
//! does not make it late.
//!
//! `VIRTUAL_PI_CLOCK` names the file that holds the fixture's time. Calls served from it:
//!
//! - `clock_gettime` of the monotonic clocks;
//! - time-outs of `epoll_wait`, `poll` and `ppoll`, `nanosleep` and `clock_nanosleep`: an alarm on the socket of `wire.rs` ends
//!   the wait at the moment of virtual time;
//! - time-outs of futexes (`syscall`), by checking again and again.
//!
//! Time-outs inside the kernel (`SO_RCVTIMEO`, `VTIME`) stay as they are.

use crate::{fail, server};
use libc::{c_int, c_long, c_uint, c_void, clockid_t, nfds_t, pollfd, sigset_t, timespec};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Kinds of connections, as in `wire.rs`.
const ALARM: u8 = 3;
const PROCESS: u8 = 4;
/// Initial value of the clock: programs subtract from it.
const EPOCH_NS: u64 = 1_000_000_000_000;
/// The shortest wait before a futex is checked again. A thread that wakes too often keeps time from passing.
const LOOK_NS: u64 = 2_000_000;
/// The exit code when the fixture's process is gone.
const GONE: c_int = 70;
const SECOND_NS: u64 = 1_000_000_000;

/// The fixture's time in nanoseconds, in memory that its process writes.
struct VirtualClock {
    now_ns: &'static AtomicU64,
    /// Open while this process lives: the fixture watches its threads.
    _present: UnixStream,
}

static CLOCK: OnceLock<Option<VirtualClock>> = OnceLock::new();

thread_local! {
    /// The connection of this thread, for one alarm at a time.
    static ALARM_CLOCK: RefCell<Option<UnixStream>> = const { RefCell::new(None) };
}

fn clock() -> Option<&'static VirtualClock> {
    CLOCK.get_or_init(open).as_ref()
}

fn open() -> Option<VirtualClock> {
    let file = File::open(std::env::var_os("VIRTUAL_PI_CLOCK")?).ok()?;
    let mut present = server()?;
    present.write_all(&[PROCESS, 0]).ok()?;
    // The answer comes when this process is on the list; from then on no time passes without it.
    present.read_exact(&mut [0]).ok()?;
    // SAFETY: a new mapping of a file that is longer than that and is never made shorter; it lives as long as the
    // process.
    let page = unsafe {
        libc::mmap(std::ptr::null_mut(), size_of::<u64>(), libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: mapped above, at the beginning of a page, and only read here.
    Some(VirtualClock { now_ns: unsafe { &*page.cast::<AtomicU64>() }, _present: present })
}

impl VirtualClock {
    fn now(&self) -> u64 {
        EPOCH_NS + self.now_ns.load(Ordering::Acquire)
    }
}

/// The real call, behind this library.
fn real_syscall() -> unsafe extern "C" fn(c_long, ...) -> c_long {
    static REAL: OnceLock<unsafe extern "C" fn(c_long, ...) -> c_long> = OnceLock::new();
    *REAL.get_or_init(|| {
        // SAFETY: looks up a name, and the C library's `syscall` has this type.
        unsafe {
            let found = libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr());
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_long, ...) -> c_long>(found)
        }
    })
}

/// A system call of the kernel itself.
///
/// # Safety
/// As of the call.
pub unsafe fn kernel(number: c_long, arguments: [usize; 6]) -> c_long {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: as the caller's own call.
    unsafe { real_syscall()(number, a, b, c, d, e, f) }
}

fn is_monotonic(id: clockid_t) -> bool {
    let monotonic =
        [libc::CLOCK_MONOTONIC, libc::CLOCK_MONOTONIC_RAW, libc::CLOCK_MONOTONIC_COARSE, libc::CLOCK_BOOTTIME];
    monotonic.contains(&id)
}

fn nanoseconds(time: &timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(SECOND_NS).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

fn span(nanoseconds: u64) -> timespec {
    timespec { tv_sec: (nanoseconds / SECOND_NS) as libc::time_t, tv_nsec: (nanoseconds % SECOND_NS) as libc::c_long }
}

/// Result of a wait.
enum Waited {
    /// One of the descriptors is ready.
    Ready,
    Rang,
    /// Interrupted by a signal; errno is set.
    Interrupted,
    /// There is no alarm: the caller waits as it would without this library.
    Unable,
}

/// Waits for these descriptors or the alarm.
fn wait(clock: &VirtualClock, fds: &mut Vec<pollfd>, until_ns: u64, mask: *const sigset_t) -> Waited {
    let waited = ALARM_CLOCK.try_with(|alarm| {
        let mut alarm = alarm.try_borrow_mut().ok()?;
        if alarm.is_none() {
            let mut stream = server()?;
            stream.write_all(&[ALARM, 0]).ok()?;
            *alarm = Some(stream);
        }
        let stream = alarm.as_mut()?;
        if clock.now() < until_ns {
            // If the fixture's process is gone, the wait below notices.
            let _ = stream.write_all(&(until_ns - EPOCH_NS).to_ne_bytes());
        }
        fds.push(pollfd { fd: stream.as_raw_fd(), events: libc::POLLIN, revents: 0 });
        loop {
            let rings = clock.now() >= until_ns;
            let none = span(0);
            let limit = if rings { &raw const none } else { std::ptr::null() };
            // SAFETY: descriptors of this slice, the caller's mask or none.
            let count = unsafe {
                kernel(
                    libc::SYS_ppoll,
                    [fds.as_mut_ptr() as usize, fds.len(), limit as usize, mask as usize, size_of::<u64>(), 0],
                )
            };
            if count < 0 {
                return Some(Waited::Interrupted);
            }
            let (last, others) = fds.split_last()?;
            if others.iter().any(|fd| fd.revents != 0) {
                return Some(Waited::Ready);
            }
            if rings {
                return Some(Waited::Rang);
            }
            if last.revents != 0 {
                let mut rang = [0; 8];
                if stream.read_exact(&mut rang).is_err() {
                    // The fixture's process has ended, and time with it. Nothing else would ever end this process.
                    // SAFETY: ends the process without running any of its code.
                    unsafe { libc::_exit(GONE) };
                }
                if u64::from_ne_bytes(rang) + EPOCH_NS >= until_ns {
                    return Some(Waited::Rang);
                }
            }
        }
    });
    waited.ok().flatten().unwrap_or(Waited::Unable)
}

/// # Safety
/// As of the function of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(id: clockid_t, time: *mut timespec) -> c_int {
    if is_monotonic(id)
        && let Some(clock) = clock()
    {
        // SAFETY: the caller's timespec.
        unsafe { *time = span(clock.now()) };
        return 0;
    }
    // SAFETY: as the caller's own call.
    unsafe { kernel(libc::SYS_clock_gettime, [id as usize, time as usize, 0, 0, 0, 0]) as c_int }
}

/// # Safety
/// As of the function of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut libc::epoll_event,
    most: c_int,
    timeout_ms: c_int,
) -> c_int {
    let real = |timeout_ms: c_int| {
        let arguments = [epoll as usize, events as usize, most as usize, timeout_ms as isize as usize, 0, 8];
        // SAFETY: as the caller's own call.
        unsafe { kernel(libc::SYS_epoll_pwait, arguments) as c_int }
    };
    let Some((clock, span_ms)) = clock().zip(u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0)) else {
        return real(timeout_ms);
    };
    let until_ns = clock.now() + span_ms * 1_000_000;
    loop {
        let mut fds = vec![pollfd { fd: epoll, events: libc::POLLIN, revents: 0 }];
        match wait(clock, &mut fds, until_ns, std::ptr::null()) {
            Waited::Ready => match real(0) {
                // Another thread has taken it.
                0 => {}
                count => return count,
            },
            Waited::Rang => return real(0),
            Waited::Interrupted => return -1,
            Waited::Unable => return real(timeout_ms),
        }
    }
}

/// # Safety
/// As of the function of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ppoll(
    fds: *mut pollfd,
    count: nfds_t,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let real = |timeout: *const timespec| {
        let arguments = [fds as usize, count as usize, timeout as usize, mask as usize, size_of::<u64>(), 0];
        // SAFETY: as the caller's own call.
        unsafe { kernel(libc::SYS_ppoll, arguments) as c_int }
    };
    // SAFETY: a timespec or null, as the call has it.
    let asked = unsafe { timeout.as_ref() }.map(nanoseconds).filter(|span| *span > 0);
    let (Some(clock), Some(asked)) = (clock(), asked) else { return real(timeout) };
    let once_more = || real(&raw const NOW);
    let mut own = match count {
        0 => Vec::new(),
        // SAFETY: as many as the caller says.
        _ => unsafe { std::slice::from_raw_parts(fds, count as usize) }.to_vec(),
    };
    match wait(clock, &mut own, clock.now().saturating_add(asked), mask) {
        Waited::Ready | Waited::Rang => once_more(),
        Waited::Interrupted => -1,
        Waited::Unable => real(timeout),
    }
}

/// Only checks, without waiting.
static NOW: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

/// # Safety
/// As of the function of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn poll(fds: *mut pollfd, count: nfds_t, timeout_ms: c_int) -> c_int {
    let limit = u64::try_from(timeout_ms).ok().map(|ms| span(ms * 1_000_000));
    let limit = limit.as_ref().map_or(std::ptr::null(), |limit| &raw const *limit);
    // SAFETY: as the caller's own call.
    unsafe { ppoll(fds, count, limit, std::ptr::null()) }
}

/// # Safety
/// As of the function of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nanosleep(asked: *const timespec, left: *mut timespec) -> c_int {
    // SAFETY: as the caller's own call.
    match unsafe { clock_nanosleep(libc::CLOCK_MONOTONIC, 0, asked, left) } {
        0 => 0,
        number => fail(number),
    }
}

/// # Safety
/// As of the function of the C library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    id: clockid_t,
    flags: c_int,
    asked: *const timespec,
    left: *mut timespec,
) -> c_int {
    let real = || {
        let arguments = [id as usize, flags as usize, asked as usize, left as usize, 0, 0];
        // SAFETY: as the caller's own call.
        let failed = unsafe { kernel(libc::SYS_clock_nanosleep, arguments) } != 0;
        // SAFETY: errno of this thread. This function returns the number itself.
        if failed { unsafe { *libc::__errno_location() } } else { 0 }
    };
    // SAFETY: the caller's timespec.
    let Some((clock, asked)) = clock().zip(unsafe { asked.as_ref() }).filter(|_| is_monotonic(id)) else {
        return real();
    };
    let until_ns = match flags & libc::TIMER_ABSTIME {
        0 => clock.now().saturating_add(nanoseconds(asked)),
        _ => nanoseconds(asked),
    };
    match wait(clock, &mut Vec::new(), until_ns, std::ptr::null()) {
        Waited::Ready | Waited::Rang => 0,
        Waited::Interrupted => {
            // SAFETY: the caller's timespec, or null.
            if let Some(left) = unsafe { left.as_mut() } {
                *left = span(until_ns.saturating_sub(clock.now()));
            }
            libc::EINTR
        }
        Waited::Unable => real(),
    }
}

/// # Safety
/// As of the function of the C library. It takes as many arguments as the call has; more are harmless, because this is
/// built for processors that pass all of them in registers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    // SAFETY: as the caller's own call.
    let real = |d: usize| unsafe { kernel(number, [a, b, c, d, e, f]) };
    if number != libc::SYS_futex {
        return real(d);
    }
    let operation = b as c_int & !libc::FUTEX_PRIVATE_FLAG;
    let waits = matches!(operation, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET);
    // SAFETY: the fourth argument of these is a timespec or null.
    let limit = if waits { unsafe { (d as *const timespec).as_ref() } } else { None };
    let Some((clock, limit)) = clock().zip(limit) else { return real(d) };
    let until_ns = match operation {
        libc::FUTEX_WAIT => clock.now().saturating_add(nanoseconds(limit)),
        _ => nanoseconds(limit),
    };
    // Relative, with the same effect as the other with all bits.
    let wait = libc::FUTEX_WAIT | (b as c_int & libc::FUTEX_PRIVATE_FLAG);
    loop {
        let left = until_ns.saturating_sub(clock.now());
        if left == 0 {
            return fail(libc::ETIMEDOUT).into();
        }
        let look = span(left.max(LOOK_NS));
        // SAFETY: the caller's futex.
        let woken = unsafe { kernel(number, [a, wait as c_uint as usize, c, &raw const look as usize, 0, 0]) };
        // SAFETY: errno of this thread.
        if woken == 0 || unsafe { *libc::__errno_location() } != libc::ETIMEDOUT {
            return woken;
        }
    }
}
