//! Intercepts a program's system calls for a Raspberry Pi's I2C bus and GPIO chip, so that unmodified `rppal` drives
//! the virtual bench of another process. For tests only.
//!
//! The loader loads it before libc (`LD_PRELOAD`). `VIRTUAL_PI` names the socket of the other process; without it every
//! call goes to the kernel. Intercepted calls:
//!
//! - `ioctl` on `/dev/i2c-*`: I2C_FUNCS, I2C_SLAVE, I2C_RDWR; and `read` and `write` there;
//! - `ioctl` on `/dev/gpiochip*`: GPIO_GET_CHIPINFO, and GPIO_V2_GET_LINE for edge events;
//! - the monotonic clock and time-outs, in the fixture's time: see `time.rs`.
//!
//! The wire format is in `wire.rs` of `virtual-pi`: `[1, address, n]` and n times `[direction, length (2), bytes if
//! written]`, answered by `[errno, bytes read]`; `[2, gpio]` opens a stream of the kernel's own event records; `[3, 0]`
//! and then moments in nanoseconds (8 bytes), each echoed when it is reached, unless the next was sent first; `[4, 0]`,
//! answered by one byte, makes this process a participant while the connection is open.

mod time;

use libc::{c_int, c_ulong, c_void, size_t, ssize_t};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

const I2C_SLAVE_FORCE: c_ulong = 0x0703;
const I2C_TENBIT: c_ulong = 0x0704;
const I2C_FUNCS: c_ulong = 0x0705;
const I2C_SLAVE: c_ulong = 0x0706;
const I2C_RDWR: c_ulong = 0x0707;
const I2C_PEC: c_ulong = 0x0708;
const I2C_M_RD: u16 = 1;
/// I2C_FUNC_I2C: plain transfers.
const FUNC_I2C: c_ulong = 1;
/// struct gpiochip_info: name, label, lines.
const GPIO_GET_CHIPINFO: c_ulong = 0x8044_B401;
/// struct gpio_v2_line_request.
const GPIO_V2_GET_LINE: c_ulong = 0xC250_B407;
/// Offset of the file descriptor in it.
const LINE_REQUEST_FD: usize = 588;
const GPIO_LINES: u32 = 58;

/// Slave address of each open bus.
static BUSES: Mutex<BTreeMap<c_int, u8>> = Mutex::new(BTreeMap::new());
/// Whether any bus is open: `read` and `write` of everything else must stay fast.
static ANY_BUS: AtomicBool = AtomicBool::new(false);
static WIRE: Mutex<Option<UnixStream>> = Mutex::new(None);

/// struct i2c_msg
#[repr(C)]
struct Message {
    address: u16,
    flags: u16,
    length: u16,
    bytes: *mut u8,
}

/// struct i2c_rdwr_ioctl_data
#[repr(C)]
struct Transfer {
    messages: *mut Message,
    count: u32,
}

fn server() -> Option<UnixStream> {
    UnixStream::connect(std::env::var_os("VIRTUAL_PI")?).ok()
}

fn fail(number: c_int) -> c_int {
    // SAFETY: errno of this thread.
    unsafe { *libc::__errno_location() = number };
    -1
}

fn address_of(fd: c_int) -> Option<u8> {
    if !ANY_BUS.load(Ordering::Relaxed) {
        return None;
    }
    BUSES.lock().unwrap_or_else(PoisonError::into_inner).get(&fd).copied()
}

fn is_bus(fd: c_int) -> bool {
    let link = std::fs::read_link(format!("/proc/self/fd/{fd}"));
    link.is_ok_and(|path| path.to_string_lossy().starts_with("/dev/i2c-"))
}

/// One part of a transfer.
enum Part<'a> {
    Write(&'a [u8]),
    Read(&'a mut [u8]),
}

/// Passes a transfer to the other process; the error is the kernel's number.
fn transfer(address: u8, parts: &mut [Part<'_>]) -> Result<(), c_int> {
    let mut request = vec![1, address, u8::try_from(parts.len()).map_err(|_| libc::EINVAL)?];
    let mut expected = 0;
    for part in parts.iter() {
        let (direction, length) = match part {
            Part::Write(bytes) => (0, bytes.len()),
            Part::Read(bytes) => (1, bytes.len()),
        };
        request.push(direction);
        request.extend(u16::try_from(length).map_err(|_| libc::EINVAL)?.to_le_bytes());
        match part {
            Part::Write(bytes) => request.extend_from_slice(bytes),
            Part::Read(bytes) => expected += bytes.len(),
        }
    }
    let mut wire = WIRE.lock().unwrap_or_else(PoisonError::into_inner);
    if wire.is_none() {
        *wire = server();
    }
    let stream = wire.as_mut().ok_or(libc::ENODEV)?;
    let mut answer = || -> std::io::Result<(c_int, Vec<u8>)> {
        stream.write_all(&request)?;
        let mut number = [0];
        stream.read_exact(&mut number)?;
        let mut bytes = vec![0; if number[0] == 0 { expected } else { 0 }];
        stream.read_exact(&mut bytes)?;
        Ok((c_int::from(number[0]), bytes))
    };
    let (number, bytes) = answer().map_err(|_| libc::EIO)?;
    if number != 0 {
        return Err(number);
    }
    let mut rest = bytes.as_slice();
    for part in parts {
        if let Part::Read(into) = part {
            let (head, tail) = rest.split_at(into.len());
            into.copy_from_slice(head);
            rest = tail;
        }
    }
    Ok(())
}

/// # Safety
/// As of the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    match request & 0xFFFF_FFFF {
        I2C_FUNCS if is_bus(fd) => {
            ANY_BUS.store(true, Ordering::Relaxed);
            BUSES.lock().unwrap_or_else(PoisonError::into_inner).insert(fd, 0);
            // SAFETY: the caller passes a pointer for the functions.
            unsafe { *argument.cast::<c_ulong>() = FUNC_I2C };
            0
        }
        I2C_SLAVE | I2C_SLAVE_FORCE if address_of(fd).is_some() => {
            BUSES.lock().unwrap_or_else(PoisonError::into_inner).insert(fd, argument as usize as u8);
            0
        }
        I2C_TENBIT | I2C_PEC if address_of(fd).is_some() => 0,
        I2C_RDWR if address_of(fd).is_some() => {
            // SAFETY: the caller passes a transfer with as many messages as it states.
            let messages = unsafe {
                let transfer = &*argument.cast::<Transfer>();
                std::slice::from_raw_parts(transfer.messages, transfer.count as usize)
            };
            let mut parts: Vec<Part<'_>> = messages
                .iter()
                .map(|message| {
                    let length = usize::from(message.length);
                    if message.flags & I2C_M_RD != 0 {
                        // SAFETY: the caller's buffer of that length, unused elsewhere during the call.
                        Part::Read(unsafe { std::slice::from_raw_parts_mut(message.bytes, length) })
                    } else {
                        // SAFETY: as above.
                        Part::Write(unsafe { std::slice::from_raw_parts(message.bytes, length) })
                    }
                })
                .collect();
            let address = messages.first().map_or(0, |message| message.address as u8);
            match transfer(address, &mut parts) {
                Ok(()) => messages.len() as c_int,
                Err(number) => fail(number),
            }
        }
        GPIO_GET_CHIPINFO => {
            let mut info = [0u8; 68];
            info[..9].copy_from_slice(b"gpiochip0");
            info[32..47].copy_from_slice(b"pinctrl-bcm2711");
            info[64..].copy_from_slice(&GPIO_LINES.to_ne_bytes());
            // SAFETY: the caller passes a struct gpiochip_info, which has this size.
            unsafe { std::ptr::copy_nonoverlapping(info.as_ptr(), argument.cast(), info.len()) };
            0
        }
        GPIO_V2_GET_LINE => {
            // SAFETY: the first offset is at the beginning of the struct.
            let gpio = unsafe { *argument.cast::<u32>() } as u8;
            let Some(mut stream) = server() else { return fail(libc::ENODEV) };
            if stream.write_all(&[2, gpio]).is_err() {
                return fail(libc::EIO);
            }
            // SAFETY: the struct is longer than that.
            unsafe { *argument.byte_add(LINE_REQUEST_FD).cast::<c_int>() = stream.into_raw_fd() };
            0
        }
        // SAFETY: as the caller's own call.
        _ => unsafe {
            time::kernel(libc::SYS_ioctl, [fd as usize, request as usize, argument as usize, 0, 0, 0]) as c_int
        },
    }
}

/// # Safety
/// As of the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(fd: c_int, buffer: *mut c_void, length: size_t) -> ssize_t {
    match address_of(fd) {
        Some(address) => {
            // SAFETY: the caller's buffer.
            let into = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
            match transfer(address, &mut [Part::Read(into)]) {
                Ok(()) => length as ssize_t,
                Err(number) => fail(number) as ssize_t,
            }
        }
        // SAFETY: as the caller's own call.
        None => unsafe { time::kernel(libc::SYS_read, [fd as usize, buffer as usize, length, 0, 0, 0]) as ssize_t },
    }
}

/// # Safety
/// As of the system call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, buffer: *const c_void, length: size_t) -> ssize_t {
    match address_of(fd) {
        Some(address) => {
            // SAFETY: the caller's buffer.
            let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), length) };
            match transfer(address, &mut [Part::Write(bytes)]) {
                Ok(()) => length as ssize_t,
                Err(number) => fail(number) as ssize_t,
            }
        }
        // SAFETY: as the caller's own call.
        None => unsafe { time::kernel(libc::SYS_write, [fd as usize, buffer as usize, length, 0, 0, 0]) as ssize_t },
    }
}
