//! For analysis of many runs: the lines of the CSV as Parquet, with types.

use crate::record::RunRecord;
use crate::table::{Row, rows};
use crate::text::contact_list;
use ::parquet::basic::Compression;
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use ::parquet::errors::ParquetError as LibraryError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::parser::parse_message_type;
use bench_run::microseconds;
use std::io::Write;
use std::sync::Arc;

/// Rows that are in memory before they are written.
const GROUP_ROWS: usize = 50_000;

/// Bytes of text that are in memory before they are written: names can be long.
const GROUP_BYTES: usize = 64 << 20;

/// The columns of the CSV in their order; `started_at` is a point in time, and its text is the last column.
const SCHEMA: &str = "message measurements {
    REQUIRED BYTE_ARRAY serial (STRING);
    REQUIRED BYTE_ARRAY run_id (STRING);
    REQUIRED BYTE_ARRAY model (STRING);
    OPTIONAL BYTE_ARRAY plan (STRING);
    REQUIRED BYTE_ARRAY step (STRING);
    REQUIRED BYTE_ARRAY kind (STRING);
    REQUIRED INT32 attempt;
    REQUIRED BOOLEAN counts;
    REQUIRED BYTE_ARRAY measurement (STRING);
    OPTIONAL DOUBLE value;
    OPTIONAL BYTE_ARRAY raw (STRING);
    REQUIRED BYTE_ARRAY unit (STRING);
    OPTIONAL DOUBLE min;
    OPTIONAL DOUBLE max;
    REQUIRED BYTE_ARRAY verdict (STRING);
    REQUIRED BYTE_ARRAY step_verdict (STRING);
    REQUIRED BYTE_ARRAY contacts (STRING);
    REQUIRED INT64 at_us;
    OPTIONAL BYTE_ARRAY lot (STRING);
    OPTIONAL BYTE_ARRAY station (STRING);
    OPTIONAL BYTE_ARRAY nest (STRING);
    OPTIONAL BYTE_ARRAY operator (STRING);
    OPTIONAL INT64 started_at (TIMESTAMP(MICROS,true));
    REQUIRED BYTE_ARRAY run_verdict (STRING);
    OPTIONAL BYTE_ARRAY started_at_text (STRING);
}";

/// Why a Parquet file could not be made.
#[derive(Debug, thiserror::Error)]
#[error("Parquet: {0}")]
pub struct ParquetError(#[from] LibraryError);

/// The values of one column, and for each row whether it has one (1) or not (0).
struct Values<T> {
    values: Vec<T>,
    present: Vec<i16>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new(), present: Vec::new() }
    }
}

impl<T> Values<T> {
    fn push(&mut self, value: Option<T>) {
        self.present.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    /// Writes all values, and forgets them. The library ignores `present` for a column that is required.
    fn write<D: DataType<T = T>>(&mut self, to: &mut SerializedColumnWriter<'_>) -> Result<(), LibraryError> {
        to.typed::<D>().write_batch(&self.values, Some(&self.present), None)?;
        self.values.clear();
        self.present.clear();
        Ok(())
    }
}

enum Column {
    Text(Values<ByteArray>),
    Double(Values<f64>),
    Int(Values<i32>),
    Long(Values<i64>),
    Bool(Values<bool>),
}

/// One cell of a row.
enum Cell<'a> {
    Text(Option<&'a str>),
    Double(Option<f64>),
    Int(i32),
    Long(Option<i64>),
    Bool(bool),
}

impl Cell<'_> {
    fn column(&self) -> Column {
        match self {
            Cell::Text(_) => Column::Text(Values::default()),
            Cell::Double(_) => Column::Double(Values::default()),
            Cell::Int(_) => Column::Int(Values::default()),
            Cell::Long(_) => Column::Long(Values::default()),
            Cell::Bool(_) => Column::Bool(Values::default()),
        }
    }
}

impl Column {
    /// Adds a cell; returns the bytes of text that it adds.
    fn push(&mut self, cell: &Cell<'_>) -> usize {
        match (self, cell) {
            (Column::Text(column), Cell::Text(text)) => return push_text(column, *text),
            (Column::Double(column), Cell::Double(number)) => column.push(*number),
            (Column::Int(column), Cell::Int(number)) => column.push(Some(*number)),
            (Column::Long(column), Cell::Long(number)) => column.push(*number),
            (Column::Bool(column), Cell::Bool(yes)) => column.push(Some(*yes)),
            // Columns are made from cells: a cell always has the type of its column.
            _ => debug_assert!(false, "a cell of another type"),
        }
        0
    }

    fn write(&mut self, to: &mut SerializedColumnWriter<'_>) -> Result<(), LibraryError> {
        match self {
            Column::Text(column) => column.write::<ByteArrayType>(to),
            Column::Double(column) => column.write::<DoubleType>(to),
            Column::Int(column) => column.write::<Int32Type>(to),
            Column::Long(column) => column.write::<Int64Type>(to),
            Column::Bool(column) => column.write::<BoolType>(to),
        }
    }
}

/// Most texts are those of the row above: these share its memory.
fn push_text(column: &mut Values<ByteArray>, text: Option<&str>) -> usize {
    let Some(text) = text else {
        column.push(None);
        return 0;
    };
    match column.values.last() {
        Some(above) if above.data() == text.as_bytes() => {
            let above = above.clone();
            column.push(Some(above));
            0
        }
        _ => {
            column.push(Some(ByteArray::from(text)));
            text.len()
        }
    }
}

/// Writes runs one after the other: one row per measurement, in constant memory. Texts are as on record.
pub struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When `to` cannot be written.
    pub fn new(to: W) -> Result<Self, ParquetError> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
        let file = SerializedFileWriter::new(to, schema, properties)?;
        Ok(Self { file, columns: Vec::new(), rows: 0, bytes: 0 })
    }

    /// Writes the measurements of a run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn run(&mut self, record: &RunRecord) -> Result<(), ParquetError> {
        let started_us = record.started_at.as_deref().and_then(microseconds);
        for row in rows(record) {
            self.row(&row, started_us);
            if self.rows >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>, started_us: Option<i64>) {
        let Row { record, step, attempt, taken, .. } = row;
        let measurement = &taken.measurement;
        let contacts = contact_list(&measurement.contacts, " ");
        let text = |text| Cell::Text(Some(text));
        let cells = [
            text(&record.serial),
            text(&record.run_id),
            text(&record.model),
            Cell::Text(record.provenance.as_ref().map(|made_of| made_of.plan.as_str())),
            text(&step.id),
            text(&step.kind),
            Cell::Int(i32::from(attempt.number)),
            Cell::Bool(row.counts),
            text(&measurement.name),
            Cell::Double(measurement.value),
            Cell::Text(measurement.raw.as_deref()),
            text(measurement.unit.symbol()),
            Cell::Double(measurement.limits.min),
            Cell::Double(measurement.limits.max),
            text(measurement.verdict.as_str()),
            text(row.step_verdict()),
            text(&contacts),
            Cell::Long(Some(i64::try_from(taken.at_us.as_micros()).unwrap_or(i64::MAX))),
            Cell::Text(record.lot.as_deref()),
            Cell::Text(row.station()),
            Cell::Text(record.nest.as_deref()),
            Cell::Text(None), // a record names no operator
            Cell::Long(started_us),
            text(record.verdict.as_str()),
            Cell::Text(record.started_at.as_deref()),
        ];
        if self.columns.is_empty() {
            self.columns = cells.iter().map(Cell::column).collect();
        }
        self.bytes += self.columns.iter_mut().zip(&cells).map(|(column, cell)| column.push(cell)).sum::<usize>();
        self.rows += 1;
    }

    fn flush(&mut self) -> Result<(), LibraryError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            column.write(&mut writer)?;
            writer.close()?;
        }
        group.close()?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }

    /// Writes what is still in memory and the end of the file, and returns where it was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<W, ParquetError> {
        self.flush()?;
        Ok(self.file.into_inner()?)
    }
}
