//! SECURITY.md against what there is.

use std::fs;
use std::path::Path;

/// Each row of the table of threats names tests, as `file::function` below `crates/`, or says that there are
/// none; and each of them exists.
#[test]
fn every_test_that_the_table_of_threats_names_exists() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(crates.join("../SECURITY.md")).expect("the page");
    let (_, table) = page.split_once("\n## Threats\n").expect("the table");
    let (table, _) = table.split_once("\n## ").expect("what comes after it");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().expect("a last column");
        if tests == "none" {
            continue;
        }
        for test in tests.split(", ") {
            let (file, function) =
                test.trim_matches('`').split_once("::").unwrap_or_else(|| panic!("{test}"));
            let source = fs::read_to_string(crates.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert!(source.contains(&format!("fn {function}(")), "{test} does not exist");
        }
    }
}
