//! Turns module, fixture and plan texts into a checked plan.
//!
//! Each file is read as typed, then checked. After the check every name is resolved and every limit is sane; later code
//! need not check again. The crate is pure: it takes texts and returns values or one clear diagnostic. It reads no
//! file; `bench` passes the texts.

mod any_limits;
mod document;
mod dut;
mod fixture;
mod fixture_bed;
mod fixture_ble;
mod fixture_board;
mod fixture_check;
mod fixture_desk;
mod fixture_file;
mod fixture_jumpers;
mod fixture_nfc;
mod fixture_peers;
mod hooks;
mod mistakes;
mod named_limits;
mod names;
mod pin_table;
mod pins;
mod plan;
mod plan_check;
mod plan_head;
mod plan_needs;
mod plan_not_covered;
mod plan_steps;
mod plan_text;
mod quantity;
mod reach;
mod reading;
mod schema;
mod schema_shape;
mod source;
mod station;
mod tree;
mod typing;

pub use any_limits::AnyLimits;
pub use dut::*;
pub use fixture::*;
pub use fixture_board::{Board, End, Jumper, JumperState, Wire, WireColour};
pub use hooks::Hooks;
pub use mistakes::{Problems, Repairs, all_mistakes};
pub use names::{nearest, nearest_help};
pub use pin_table::*;
pub use pins::{PinRef, RawPinSelector};
pub use plan::*;
pub use plan_check::check_plan;
pub use plan_head::PlanHead;
pub use plan_text::{PlanPart, PlanText};
pub use quantity::*;
pub use reach::{Bound, Reach};
pub use reading::parse_params;
pub use schema::{fixture_schema, plan_part_schema, plan_schema, station_schema};
pub use schema_shape::SchemaNames;
pub use source::*;
pub use station::{Calibration, Correction, Day, Overdue, Station, StationNest};
pub use toml::Spanned;
pub use tree::{Node, Tree};
pub use typing::number_meant;
