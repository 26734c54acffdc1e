//! Tables that fit: what is too wide loses columns that can be spared, then breaks the text of others.

use blindsight_client::printable;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, TableStyle};

/// Rows of text in aligned columns: the first ones, of text, to the left; the others, of figures, to the
/// right.
#[derive(Debug)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
    texts: usize,
    /// Columns that may be left out, the first to go first.
    spare: Vec<String>,
}

/// A table as it is drawn.
#[derive(Debug, PartialEq, Eq)]
pub struct Drawn {
    pub head: Vec<String>,
    pub body: Vec<String>,
    /// The headings of the columns that were left out.
    pub left_out: Vec<String>,
}

/// What the rule below the headings is made of.
const RULE: char = '─';
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill(RULE));
/// Blanks between columns.
const GAP: u16 = 2;

impl Table {
    /// A table with these headings. A line break in one is a place where it may be broken.
    pub fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        let headings = headings.into_iter().map(Into::into).collect();
        Self { headings, rows: vec![], texts: 1, spare: vec![] }
    }

    /// So many columns are text.
    pub fn texts(mut self, columns: usize) -> Self {
        self.texts = columns;
        self
    }

    /// Columns that may be left out where there is no room, by their headings, the first to go first.
    pub fn spare<S: Into<String>>(mut self, headings: impl IntoIterator<Item = S>) -> Self {
        self.spare = headings.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.into()).into_owned()).collect());
    }

    /// The table with all columns, unbroken, or within so many.
    pub fn draw(&self, width: Option<usize>) -> Drawn {
        let mut left_out = vec![];
        let Some(width) = width else { return drawn(self.grid(&left_out, None), left_out) };
        let mut spare = self.spare.iter();
        while natural_width(&self.grid(&left_out, Some(usize::MAX))) > width {
            let Some(column) = spare.next() else { break };
            left_out.push(column.clone());
        }
        drawn(self.grid(&left_out, Some(width)), left_out)
    }

    /// The columns that are not left out.
    fn grid(&self, left_out: &[String], width: Option<usize>) -> comfy_table::Table {
        let kept: Vec<usize> =
            (0..self.headings.len()).filter(|&c| !left_out.contains(&self.headings[c])).collect();
        let heading =
            |&c: &usize| if width.is_some() { self.headings[c].clone() } else { unbroken(&self.headings[c]) };
        let mut grid = comfy_table::Table::new();
        grid.load_style(STYLE);
        grid.set_header(kept.iter().map(heading));
        for row in &self.rows {
            grid.add_row(kept.iter().map(|&c| row.get(c).map_or("", String::as_str)));
        }
        if let Some(width) = width.and_then(|width| u16::try_from(width).ok()) {
            grid.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        for (column, &c) in grid.column_iter_mut().zip(&kept) {
            column.set_padding((0, if Some(&c) == kept.last() { 0 } else { GAP }));
            if c >= self.texts {
                column
                    .set_constraint(ColumnConstraint::ContentWidth)
                    .set_cell_alignment(CellAlignment::Right);
            }
        }
        grid
    }
}

/// A heading in one line.
pub fn unbroken(heading: &str) -> String {
    heading.replace("-\n", "-").replace('\n', " ")
}

fn natural_width(grid: &comfy_table::Table) -> usize {
    grid.lines().map(|line| line.trim_end().chars().count()).max().unwrap_or(0)
}

fn drawn(grid: comfy_table::Table, left_out: Vec<String>) -> Drawn {
    let mut head: Vec<String> = grid.lines().map(|line| line.trim_end().to_string()).collect();
    let rule = head.iter().position(|line| line.starts_with(RULE)).map_or(0, |rule| rule + 1);
    let body = head.split_off(rule);
    Drawn { head, body, left_out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["layer", "hops", "key-\nswitches"]).spare(["hops"]);
        table.row(["conv", "50", "7"]);
        table.row(["dense one", "104", "22"]);
        table
    }

    fn lines(drawn: &Drawn) -> Vec<&str> {
        drawn.head.iter().chain(&drawn.body).map(String::as_str).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let drawn = table().draw(None);
        let expected = [
            "layer      hops  key-switches",
            "─────────────────────────────",
            "conv         50             7",
            "dense one   104            22",
        ];
        assert_eq!(lines(&drawn), expected);
        assert!(drawn.left_out.is_empty());
    }

    #[test]
    fn what_is_too_wide_loses_a_spare_column_and_then_breaks_text() {
        let drawn = table().draw(Some(20));
        assert_eq!(drawn.left_out, ["hops"]);
        assert_eq!(drawn.body, ["conv              7", "dense one        22"]);
        let drawn = table().draw(Some(16));
        assert_eq!(drawn.body, ["conv           7", "dense         22", "one"]);
    }

    #[test]
    fn a_cell_is_one_line_whatever_is_in_it() {
        let mut table = Table::new(["class"]);
        table.row(["7\nwarning: all is well"]);
        assert_eq!(lines(&table.draw(None)).len(), 3);
    }
}
