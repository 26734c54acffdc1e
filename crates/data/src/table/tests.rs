use std::path::PathBuf;

use blindsight_network::{Metadata, Shape};

use super::*;
use crate::{Dataset, InputSource, Samples, Split};

/// A table in a file of its own, removed at its end.
struct Written(PathBuf);

impl Written {
    fn new(test: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("blindsight-table-{test}-{}.csv", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn row(&self, index: u64) -> Result<Vec<f64>, String> {
        let source = InputSource::Numbered { path: self.0.clone(), index };
        source.load(&spec()).map(|input| input.values).map_err(|error| error.to_string())
    }

    fn all(&self) -> Result<(Vec<Vec<f64>>, Vec<usize>), String> {
        let data = Dataset::open(&self.0, Split::Test, &spec());
        data.and_then(|data| data.inputs(0..data.len())).map_err(|error| error.to_string())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Two numbers, three classes.
fn spec() -> InputSpec {
    InputSpec::new(Shape::vector(2), Metadata::new(Shape::vector(2), 3))
}

#[test]
fn features_have_the_names_of_the_columns_of_values() {
    let long = "x".repeat(99);
    for (n, (header, expected)) in [
        ("a,Label,b", Some(vec!["a", "b"])),
        (",  age in years ,height,class", Some(vec!["age in years", "height"])),
        ("\"a, b\";c;label", Some(vec!["a, b", "c"])),
        (&format!("{long},b,label"), Some(vec![&long[..40], "b"])),
        ("pixel0,pixel1,label", None),
        ("1.5,-2,0", None),
        (" ,b,label", None),
    ]
    .into_iter()
    .enumerate()
    {
        let delimiter = if header.contains(';') { ";" } else { "," };
        let columns = if header.starts_with(",  ") { 4 } else { 3 };
        let text = format!("{header}\n{}\n", vec!["1"; columns].join(delimiter));
        let table = Written::new(&format!("features-{n}"), text.as_bytes());
        let data = Dataset::open(&table.0, Split::Train, &spec()).expect("a table");
        let found = data.samples().features().map(<[String]>::to_vec);
        assert_eq!(found, expected.map(|names| names.into_iter().map(String::from).collect()), "{header:?}");
    }
}

#[test]
fn the_label_is_the_column_of_that_name_or_else_the_last() {
    let expected = (vec![vec![1.0, 2.0], vec![-0.5, 4e3]], vec![2, 0]);
    for (n, text) in [
        "a,label,b\n1,2,2\n-0.5,0,4e3\n",
        "a,Label,b\r\n1,2.0, 2\r\n-.5,0.0,4000\r\n",
        "a,b,class\n1,2,2\n-0.5,4e3,0\n",
        "a;b;class\n\"1\";2;2\n-0.5;4e3;0",
        "a\tb\tclass\n1\t2\t2\n-0.5\t4e3\t0\n",
        ",a,b,class\n0,1,2,2\n1,-0.5,4e3,0\n",
        "\u{feff}a,b,label\n1,2,2\n-0.5,4e3,0\n",
    ]
    .iter()
    .enumerate()
    {
        let table = Written::new(&format!("label-{n}"), text.as_bytes());
        assert_eq!(table.all(), Ok(expected.clone()), "{text:?}");
        assert_eq!(table.row(1), Ok(vec![-0.5, 4e3]), "{text:?}");
    }
}

#[test]
fn a_table_without_labels_is_an_input_and_no_data_set() {
    let table = Written::new("unlabelled", b"a,b\n1,2\n3,4\n");
    assert_eq!(table.row(1), Ok(vec![3.0, 4.0]));
    let said = table.all().unwrap_err();
    assert!(said.contains("a label for each sample") && said.contains("column `label`"), "{said}");
    assert_eq!(Samples::open(&table.0, Split::Test, &spec()).unwrap().len(), 2);
}

#[test]
fn columns_named_as_pixels_are_pixels() {
    for (n, header) in ["label,pixel0,pixel1", "label,1x1,1x2", "label,pixel_1,pixel_2"].iter().enumerate() {
        let text = format!("{header}\n1,51,255\n");
        let table = Written::new(&format!("pixels-{n}"), text.as_bytes());
        assert_eq!(table.all(), Ok((vec![vec![0.2, 1.0]], vec![1])));
    }
    let wrong = Written::new("pixel-range", b"label,pixel0,pixel1\n1,51,256\n");
    let said = wrong.all().unwrap_err();
    assert!(said.contains("row 0, column \"pixel1\"") && said.contains("from 0 to 255"), "{said}");
}

#[test]
fn numbers_of_a_vector_are_normalised_as_the_model_says() {
    let metadata =
        Metadata { mean: vec![1.0, 10.0], std: vec![2.0, 4.0], ..Metadata::new(Shape::vector(2), 3) };
    let spec = InputSpec::new(Shape::vector(2), metadata);
    let table = Written::new("normalised", b"a,b,label\n5,2,0\n");
    let data = Dataset::open(&table.0, Split::Test, &spec).unwrap();
    assert_eq!(data.input(0).unwrap().values, [2.0, -2.0]);
}

#[test]
fn what_is_wrong_is_said_with_its_row_and_column() {
    let cases: [(&str, &[u8], &[&str]); 12] = [
        ("text", b"a,b,label\n1,2,0\n1,high,0\n", &["row 1, column \"b\"", "a finite number", "\"high\""]),
        ("nan", b"a,b,label\nNaN,2,0\n", &["row 0, column \"a\"", "\"NaN\""]),
        ("inf", b"a,b,label\n1,1e999,0\n", &["column \"b\"", "1e999"]),
        ("empty", b"a,b,label\n1,,0\n", &["column \"b\"", "nothing"]),
        ("no-label", b"a,b,label\n1,2,\n", &["column \"label\"", "a label"]),
        ("short", b"a,b,label\n1,2,0\n1,2\n", &["row 1", "3 columns", "found 2"]),
        ("long", b"a,b,label\n1,2,0,7\n", &["row 0", "3 columns", "found 4"]),
        ("wide", b"a,b,c,d,label\n1,2,3,4,0\n", &["2 columns of values", "4 beside the labels"]),
        ("narrow", b"label\n0\n", &["2 columns of values", "found 0"]),
        ("rows", b"a,b,label\n", &["rows after the header", "none"]),
        ("bytes", b"a,b,label\n1,\xff\xfe,0\n", &["row 0", "UTF-8"]),
        ("class", b"a,b,label\n1,2,3\n", &["labels below 3", "3 at sample 0"]),
    ];
    for (test, bytes, words) in cases {
        let said = Written::new(test, bytes).all().expect_err(test);
        assert!(words.iter().all(|word| said.contains(word)), "{test}: {said}");
    }
    let said = Written::new("past", b"a,b,label\n1,2,0\n").row(1).unwrap_err();
    assert!(said.contains("a row below 1") && said.contains("row 1"), "{said}");
}

/// Else the rest of the file would be one cell.
#[test]
fn an_open_quotation_mark_does_not_swallow_the_file() {
    let bytes = [&b"a,b,label\n1,\""[..], &vec![b'7'; (limits::ROW_BYTES + (1 << 20)) as usize]].concat();
    let said = Written::new("quotation", &bytes).all().unwrap_err();
    assert!(said.contains("in one row"), "{said}");
}
