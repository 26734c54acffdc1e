//! The examples of a help, as they stand there.

/// A command line of this project in a help.
#[derive(Debug, Clone)]
pub struct Example {
    /// As it stands there, in one line.
    pub line: String,
    /// The command's name and its arguments.
    pub words: Vec<String>,
}

/// The examples of a help: lines that begin with two blanks and the command's name, those that they go on in
/// after a backslash joined.
pub fn examples(help: &str) -> Vec<Example> {
    let (mut lines, mut found) = (help.lines(), vec![]);
    while let Some(line) = lines.next() {
        let Some(begun) = line.strip_prefix("  ").filter(|line| line.starts_with("blindsight ")) else {
            continue;
        };
        let mut line = begun.to_string();
        while let Some(more) = line.strip_suffix('\\') {
            line = format!("{}{}", more, lines.next().expect("the example goes on").trim_start());
        }
        found.push(Example { words: words(&line), line });
    }
    found
}

/// The words of a command, without what the shell does with it: comments, files it writes, the background.
fn words(line: &str) -> Vec<String> {
    let command = line.split(" #").next().unwrap_or(line).split(" > ").next().unwrap_or(line);
    command.split_whitespace().filter(|word| *word != "&").map(String::from).collect()
}
