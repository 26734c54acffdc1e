//! Text for a terminal: paragraphs, facts and tables, each line within its width, with colours.
//!
//! Whatever is put on a page loses the characters that steer a terminal; the page alone sets styles, and what
//! prints it takes them away where they have no place.

use crate::table::{Table, unbroken};
use anstyle::{AnsiColor, Style};
use blindsight_client::printable;
use std::borrow::Cow;
use textwrap::{Options, WordSplitter};
use unicode_width::UnicodeWidthStr;

/// What is shown on a page.
pub trait Shown {
    fn show(&self, page: &mut Page);
}

/// A page, from its top.
#[derive(Debug)]
pub struct Page {
    text: String,
    /// How long lines may be; as long as they are where there is no limit.
    width: Option<usize>,
}

/// Pairs of a name and what it is.
#[derive(Debug, Default)]
pub struct Facts(Vec<(String, String)>);

const TITLE: Style = Style::new().bold();
const NAME: Style = AnsiColor::Cyan.on_default();
const ASIDE: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Of failures.
pub const BAD: Style = AnsiColor::Red.on_default().bold();

impl Page {
    /// An empty page.
    pub fn new(width: Option<usize>) -> Self {
        Self { text: String::new(), width }
    }

    /// All that stands on it.
    pub fn text(&self) -> &str {
        self.text.trim_end()
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// What the page, or the part that begins, is about.
    pub fn title(&mut self, text: impl AsRef<str>) {
        self.styled(TITLE, text.as_ref());
    }

    /// A paragraph.
    pub fn say(&mut self, text: impl AsRef<str>) {
        self.styled(Style::new(), text.as_ref());
    }

    /// What is beside the point.
    pub fn aside(&mut self, text: impl AsRef<str>) {
        self.styled(ASIDE, text.as_ref());
    }

    /// What came out well.
    pub fn good(&mut self, text: impl AsRef<str>) {
        self.styled(GOOD, text.as_ref());
    }

    /// What did not.
    pub fn bad(&mut self, text: impl AsRef<str>) {
        self.styled(BAD, text.as_ref());
    }

    /// A paragraph that begins with a name and hangs below it.
    pub fn item(&mut self, name: &str, text: impl AsRef<str>) {
        self.hanging(NAME, &format!("{name}: "), 2, text.as_ref());
    }

    /// What is to be known before anything is relied on.
    pub fn warning(&mut self, text: impl AsRef<str>) {
        self.hanging(WARNING, "warning: ", 2, text.as_ref());
    }

    /// Facts, what they are below each other.
    pub fn facts(&mut self, facts: Facts) {
        let column = facts.0.iter().map(|(name, _)| name.width()).max().unwrap_or(0) + 2;
        for (name, value) in &facts.0 {
            let padded = format!("{name}{}", " ".repeat(column - name.width()));
            self.hanging(NAME, &padded, column, value);
        }
    }

    /// A table, and what it had no room for.
    pub fn table(&mut self, table: &Table) {
        let drawn = table.draw(self.width);
        drawn.head.iter().for_each(|line| self.line(TITLE, line));
        drawn.body.iter().for_each(|line| self.line(Style::new(), line));
        if !drawn.left_out.is_empty() {
            let columns: Vec<_> = drawn.left_out.iter().map(|heading| unbroken(heading)).collect();
            self.aside(format!("(with --wide also: {})", columns.join(", ")));
        }
    }

    /// A command to copy: in one line, or else each part in its own.
    pub fn command(&mut self, parts: &[String]) {
        let whole = parts.join(" ");
        let fits = self.width.is_none_or(|width| whole.width() + 2 <= width);
        let command = if fits { whole } else { parts.join(" \\\n") };
        command.lines().for_each(|line| self.line(Style::new(), &format!("  {}", printable(line))));
    }

    /// Lines that are drawn: they stay as they are.
    pub fn picture(&mut self, lines: &str) {
        lines.lines().for_each(|line| self.line(Style::new(), line));
    }

    fn styled(&mut self, style: Style, text: &str) {
        for paragraph in text.split('\n') {
            let paragraph = printable(paragraph);
            for line in self.wrapped(&paragraph, "", "") {
                self.line(style, &line);
            }
        }
    }

    /// A paragraph that begins with `name`; its other lines begin with so many blanks.
    fn hanging(&mut self, style: Style, name: &str, blanks: usize, text: &str) {
        let (name, text) = (printable(name), printable(text));
        // The first line leaves room for the name, which is not to be broken.
        let (room, indent) = (" ".repeat(name.width()), " ".repeat(blanks));
        let lines = self.wrapped(&text, &room, &indent);
        let first = lines.first().and_then(|line| line.get(room.len()..)).unwrap_or_default();
        let name = if first.is_empty() { name.trim_end() } else { &name };
        self.text.push_str(&format!("{style}{name}{style:#}{first}\n"));
        lines.iter().skip(1).for_each(|line| self.line(Style::new(), line));
    }

    /// Lines within the width. A word that is longer than a line, such as a path, stays whole: nobody could
    /// copy it otherwise.
    fn wrapped<'a>(&self, text: &'a str, first: &'a str, others: &'a str) -> Vec<Cow<'a, str>> {
        let options = Options::new(self.width.unwrap_or(usize::MAX))
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        textwrap::wrap(text, options.initial_indent(first).subsequent_indent(others))
    }

    fn line(&mut self, style: Style, line: &str) {
        self.text.push_str(&format!("{style}{line}{style:#}\n"));
    }
}

impl Facts {
    /// Adds a fact.
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a page says where it has no styles.
    fn plain(page: &Page) -> String {
        anstream::adapter::strip_str(page.text()).to_string()
    }

    #[test]
    fn facts_are_aligned_and_hang_below_each_other() {
        let mut page = Page::new(Some(20));
        page.facts(Facts::default().fact("key", "one two three four").fact("identity", "").fact("a", "b"));
        assert_eq!(plain(&page), "key       one two\n          three four\nidentity\na         b");
        let mut page = Page::new(None);
        page.facts(Facts::default().fact("key", "one two three four five six"));
        assert_eq!(plain(&page), "key  one two three four five six");
    }

    #[test]
    fn a_path_stays_whole() {
        let mut page = Page::new(Some(10));
        page.say("see /a/long/path-of/some-file here");
        assert_eq!(plain(&page), "see\n/a/long/path-of/some-file\nhere");
    }

    #[test]
    fn what_steers_a_terminal_is_escaped_and_only_pages_set_styles() {
        let mut page = Page::new(None);
        page.say("a\n\u{1b}[2Jb\r");
        page.warning("\u{1b}[0m\nall is well");
        assert_eq!(plain(&page), "a\n\\u{1b}[2Jb\\u{d}\nwarning: \\u{1b}[0m\\u{a}all is well");
        assert!(page.text().contains('\u{1b}'), "warnings have a colour");
    }

    proptest! {
        #[test]
        fn no_line_is_longer_than_the_page_is_wide(words in proptest::collection::vec("[a-z0-9-]{1,12}", 0..60)) {
            let text = words.join(" ");
            let mut page = Page::new(Some(30));
            page.say(&text);
            page.warning(&text);
            page.item("conv1", &text);
            page.facts(Facts::default().fact("a fact", &text).fact("b", &text));
            let plain = plain(&page);
            prop_assert!(plain.lines().all(|line| line.width() <= 30), "{plain}");
            prop_assert_eq!(plain.split_whitespace().filter(|w| *w == "warning:").count(), 1);
            let said = plain.split_whitespace().count();
            // Five times the text, and the names: warning, conv1, a fact, b.
            prop_assert_eq!(said, 5 * words.len() + 5);
        }
    }
}
