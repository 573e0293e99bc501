//! Memories of a family, and which bytes of the one-time-programmable memory may be read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub flash_kib: u32,
    pub ram_kib: u32,
    /// RAM that is kept over a reset and is available to the user, according to the spec.
    pub retained_bytes: u32,
    /// Size of the whole retained region in Device OS' linker file.
    pub retained_region_bytes: u32,
    pub retained_base: u32,
    pub notes: Option<String>,
    pub doubt: Option<String>,
    pub source: Vec<String>,
}

/// Layout of the one-time-programmable memory of the external flash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtpLayout {
    /// Smallest size among the flash parts of the family, bytes.
    pub bytes: u32,
    #[serde(rename = "field")]
    pub fields: Vec<OtpField>,
    pub notes: Option<String>,
    pub source: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtpField {
    pub name: String,
    pub first: u32,
    /// Last byte of the range.
    pub last: u32,
    /// The bench never reads these bytes.
    #[serde(default)]
    pub secret: bool,
    pub notes: Option<String>,
}

impl OtpField {
    pub fn range(&self) -> Range<u32> {
        self.first..self.last.saturating_add(1)
    }
}

impl OtpLayout {
    pub fn field(&self, name: &str) -> Option<&OtpField> {
        self.fields.iter().find(|field| field.name == name)
    }
    /// Whether a read of these bytes stays inside the memory and touches no secret.
    pub fn may_read(&self, bytes: Range<u32>) -> bool {
        let touches = |field: &OtpField| bytes.start < field.range().end && field.range().start < bytes.end;
        bytes.end <= self.bytes && !self.fields.iter().any(|field| field.secret && touches(field))
    }
}
