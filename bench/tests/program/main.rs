//! The program as its users run it: on the virtual bench, with the real firmware image.

mod check;
mod faults;
mod good;
mod stops;
mod support;
