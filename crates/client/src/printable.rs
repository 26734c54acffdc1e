//! Text from plans and servers, fit for a terminal.

use std::borrow::Cow;

/// The text with every character escaped that could move a terminal's cursor, change its state, or reorder
/// what is read: controls (line breaks among them) and marks of direction.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if is_harmful(c) { c.escape_unicode().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Whether a character could make a terminal show something else than it stands for.
pub fn is_harmful(c: char) -> bool {
    let direction = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    c.is_control() || direction.contains(&c) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_the_rest_stays() {
        assert_eq!(printable("größer 数 \u{1f600} 7"), "größer 数 \u{1f600} 7");
        let steering = "\u{1b}[2Jcat\r\n\u{9b}31m\u{7f}\u{202e}dog\0";
        assert_eq!(printable(steering), r"\u{1b}[2Jcat\u{d}\u{a}\u{9b}31m\u{7f}\u{202e}dog\u{0}");
    }
}
