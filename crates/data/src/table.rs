//! Tables: `.csv` files with a header line.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use csv::{ReaderBuilder, StringRecord};

use crate::array::Values;
use crate::error::check;
use crate::labels::{Labels, Names};
use crate::{Error, InputSpec, limits};

/// A table's columns, and its rows one after the other.
pub(crate) struct Table {
    place: String,
    reader: csv::Reader<Metered<BufReader<File>>>,
    left: Rc<Cell<u64>>,
    header: StringRecord,
    columns: Columns,
    row: StringRecord,
    rows: u64,
}

/// What the columns of a table hold.
#[derive(Debug, PartialEq)]
struct Columns {
    /// The columns of the input's values, in order.
    values: Vec<usize>,
    label: Option<usize>,
    /// Whether the values are pixels from 0 to 255.
    are_pixels: bool,
}

/// All that a table has.
#[derive(Debug)]
pub(crate) struct Content {
    pub values: Values,
    pub labels: Labels,
    pub rows: usize,
    /// What the header calls the values.
    pub features: Option<Vec<String>>,
}

impl Table {
    /// Opens a table and reads its header, which must have as many columns of values as the network takes.
    pub fn open(path: &Path, spec: &InputSpec) -> Result<Self, Error> {
        let place = path.display().to_string();
        let file = File::open(path).map_err(|source| Error::io(path, source))?;
        let length = file.metadata().map_err(|source| Error::io(path, source))?.len();
        check(&place, "bytes of a table", length, limits::TABLE_BYTES)?;
        let mut source = BufReader::new(file);
        let first = source.fill_buf().map_err(|source| Error::io(path, source))?;
        let delimiter = delimiter(first);
        let left = Rc::new(Cell::new(limits::ROW_BYTES));
        let metered = Metered { source, left: left.clone() };
        let mut builder = ReaderBuilder::new();
        let mut reader = builder.delimiter(delimiter).flexible(true).from_reader(metered);
        let header = reader.headers().map_err(|error| damaged(&place, "the header", &error))?.clone();
        let columns = Columns::of(&header, spec, &place)?;
        Ok(Self { place, reader, left, header, columns, row: StringRecord::new(), rows: 0 })
    }

    /// The values of one row, which is number `index` from 0; others are not looked at.
    pub fn nth(mut self, index: u64) -> Result<Values, Error> {
        while self.read()? {
            if self.rows == index + 1 {
                let mut values = self.empty();
                self.append(&mut values)?;
                return Ok(values);
            }
        }
        let found = format!("row {index}");
        Err(Error::unfit(&self.place, format!("a row below {}, the number of rows", self.rows), found))
    }

    /// All rows.
    pub fn content(mut self) -> Result<Content, Error> {
        let (mut values, mut labels) = (self.empty(), Names::default());
        while self.read()? {
            self.check_size()?;
            self.append(&mut values)?;
            if let Some(column) = self.columns.label {
                let label = self.row.get(column).unwrap_or_default().trim();
                if label.is_empty() {
                    return Err(Error::unfit(self.cell(column), "a label", "nothing"));
                }
                labels.push(label, &self.place)?;
            }
        }
        if self.rows == 0 {
            return Err(Error::unfit(&self.place, "rows after the header", "none"));
        }
        let labels = self.columns.label.map_or(Labels::None, |_| labels.finish());
        Ok(Content { values, labels, rows: self.rows as usize, features: self.features() })
    }

    /// The names of the columns of values; `None` where they say nothing: numbers of pixels, or a name that
    /// is empty or a number.
    fn features(&self) -> Option<Vec<String>> {
        let names = || self.columns.values.iter().map(|&column| self.header[column].trim());
        let is_name = |name: &str| !name.is_empty() && name.parse::<f64>().is_err();
        (!self.columns.are_pixels && names().all(is_name)).then(|| names().map(cut).collect())
    }

    fn empty(&self) -> Values {
        if self.columns.are_pixels { Values::Bytes(vec![]) } else { Values::Numbers(vec![]) }
    }

    fn check_size(&self) -> Result<(), Error> {
        let each = if self.columns.are_pixels { 1 } else { size_of::<f64>() as u64 };
        let bytes = (self.rows * self.columns.values.len() as u64).saturating_mul(each);
        check(&self.place, "bytes of values in memory", bytes, limits::ARRAY_BYTES)?;
        check(&self.place, "rows", self.rows, limits::SAMPLES)
    }

    /// Goes to the next row, if there is one.
    fn read(&mut self) -> Result<bool, Error> {
        self.left.set(limits::ROW_BYTES);
        let place = || format!("row {}", self.rows);
        let more = self.reader.read_record(&mut self.row);
        let more = more.map_err(|error| damaged(&self.place, &place(), &error))?;
        let (expected, found) = (self.header.len(), self.row.len());
        if more && found != expected {
            let place = format!("{}, {}", self.place, place());
            return Err(Error::unfit(
                place,
                format!("{expected} columns as in the header"),
                found.to_string(),
            ));
        }
        self.rows += u64::from(more);
        Ok(more)
    }

    /// Appends the values of the row that was read.
    fn append(&self, values: &mut Values) -> Result<(), Error> {
        for &column in &self.columns.values {
            let text = self.row.get(column).unwrap_or_default().trim();
            let wrong = |expected: &str| {
                let found = if text.is_empty() { "nothing".into() } else { format!("{:?}", cut(text)) };
                Error::unfit(self.cell(column), expected, found)
            };
            match values {
                Values::Bytes(bytes) => {
                    bytes.push(text.parse().map_err(|_| wrong("a pixel, a whole number from 0 to 255"))?);
                }
                Values::Numbers(numbers) => {
                    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
                    numbers.push(number.ok_or_else(|| wrong("a finite number"))?);
                }
            }
        }
        Ok(())
    }

    /// The place of a cell of the row that was read.
    fn cell(&self, column: usize) -> String {
        let name = cut(self.header.get(column).unwrap_or_default());
        format!("{}, row {}, column {name:?}", self.place, self.rows - 1)
    }
}

impl Columns {
    fn of(header: &StringRecord, spec: &InputSpec, place: &str) -> Result<Self, Error> {
        let wanted = spec.shape().elements();
        let named = header.iter().position(|name| name.trim().eq_ignore_ascii_case("label"));
        let mut values: Vec<usize> = (0..header.len()).filter(|column| Some(*column) != named).collect();
        // What pandas writes unless it is told not to: the row's own number, in a column without a name.
        if values.len() > wanted && values.first() == Some(&0) && header[0].trim().is_empty() {
            values.remove(0);
        }
        let label = named.or_else(|| if values.len() == wanted + 1 { values.pop() } else { None });
        if values.len() != wanted {
            let expected = format!("{wanted} columns of values, and one of labels where there are labels");
            let beside = named.map_or("", |_| " beside the labels");
            return Err(Error::unfit(place, expected, format!("{}{beside}", values.len())).remedy(
                "the first line names the columns; the one called `label`, else the last, is the label",
            ));
        }
        let are_pixels = values.iter().all(|&column| is_pixel(header[column].trim()));
        Ok(Self { values, label, are_pixels })
    }
}

/// Whether a column's name says that it holds a pixel: `pixel7`, `7x12` (row and column).
fn is_pixel(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("pixel"));
    numbered && digits(name[5..].trim_start_matches('_'))
        || name.split_once('x').is_some_and(|(row, column)| digits(row) && digits(column))
}

/// Which of comma, semicolon and tab the header line has most of.
fn delimiter(start: &[u8]) -> u8 {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: &u8| line.iter().filter(|byte| *byte == delimiter).count();
    // Of equals the last is the largest.
    *b"\t;,".iter().max_by_key(|delimiter| count(delimiter)).expect("three of them")
}

/// A text of the file, cut to a readable length.
fn cut(text: &str) -> String {
    text.chars().take(40).collect()
}

fn damaged(place: &str, row: &str, error: &csv::Error) -> Error {
    let found = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "bytes that are none".to_string(),
        _ => error.to_string(),
    };
    Error::unfit(format!("{place}, {row}"), "text in UTF-8 with columns between delimiters", found)
}

/// A source that gives no more bytes to one row than a row may have, so that an open quotation mark does not
/// make a row of the rest of the file.
struct Metered<R> {
    source: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            let limit = limits::ROW_BYTES;
            return Err(io::Error::other(format!(
                "more than {limit} bytes in one row (an open quotation mark?)"
            )));
        }
        let count = self.source.read(buffer)?;
        self.left.set(self.left.get().saturating_sub(count as u64));
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
