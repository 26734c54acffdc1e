//! The README's Rust lines are those of the crate's page, which run as a test there.

/// The lines of code, without comments and blanks.
fn code<'t>(lines: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    lines
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn the_readme_shows_what_runs() {
    let readme = include_str!("../../../README.md");
    let (_, block) = readme.split_once("```rust,ignore\n").expect("a block of Rust");
    let (block, _) = block.split_once("```").expect("its end");
    let page = include_str!("../src/lib.rs");
    let page = code(page.lines().filter_map(|line| line.strip_prefix("//! ")));
    let mut rest = page.iter();
    for line in code(block.lines()) {
        assert!(rest.any(|tested| *tested == line), "{line} is not tested, or in another place");
    }
}
