//! Reads a `.env` file by rules under which the shell, Docker Compose and systemd agree on every value.
//!
//! # Problem
//! Each program that reads `.env` files has other rules for `$`, `\` and quotes. A library replaces `$word` inside a
//! password by a variable that is not set, so the password loses its end, and no message says so.
//!
//! # How it works
//! A line is `NAME=value`, `export NAME=value`, a comment or empty. A value in single quotes holds as it is and may have
//! several lines. A value in double quotes or without quotes must not contain `\`, `$` or a backtick; one without quotes
//! ends at white space, after which only a comment may follow. Other lines are rejected if they set a variable of
//! the service. Values of other programs in the same file are skipped.
//!
//! # Tests
//! `dotenv_values_hold_as_written_or_are_rejected` in `service/tests/config/exact_values.rs`.

/// A line that cannot be read exactly, without its text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineFault {
    pub(super) line: usize,
    pub(super) message: &'static str,
    pub(super) fix: &'static str,
}

const SINGLE_QUOTES: &str =
    "put single quotes around a value that has spaces, quotes, $, \\ or a backtick";

/// Returns the variables of a file in their order, and the faults of lines that set none.
pub(super) fn parse(text: &str) -> (Vec<(String, String)>, Vec<LineFault>) {
    let mut reader = Reader {
        rest: text,
        line: 1,
    };
    let (mut variables, mut faults) = (Vec::<(String, String)>::new(), Vec::new());
    while reader.skip_to_assignment() {
        let line = reader.line;
        let fault = |message, fix| LineFault { line, message, fix };
        let Some(name) = reader.read_name() else {
            faults.push(fault("is not an assignment", "expected NAME=value"));
            reader.skip_line();
            continue;
        };
        let value = reader.read_value();
        let is_ours = is_read_by_service(name);
        match value {
            Err(Unterminated) => {
                faults.push(fault("has a quote without an end", SINGLE_QUOTES));
                break;
            }
            Ok(Err(message)) if is_ours => faults.push(fault(message, SINGLE_QUOTES)),
            Ok(Ok(_)) if is_ours && variables.iter().any(|(known, _)| known == name) => {
                let message = "sets a variable that an earlier line has set";
                faults.push(fault(message, "keep one of the two"));
            }
            Ok(Ok(value)) => variables.push((name.to_owned(), value.to_owned())),
            Ok(Err(_)) => {}
        }
    }
    (variables, faults)
}

/// Returns `true` for a variable that this service reads, in any spelling.
pub(super) fn is_read_by_service(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.starts_with("ORDERLY_") || name.starts_with("OTEL_")
}

/// A quote that the file does not close.
struct Unterminated;

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    /// Skips empty lines and comments. Returns `false` at the end of the file.
    fn skip_to_assignment(&mut self) -> bool {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            self.skip_line();
        }
    }

    fn read_name(&mut self) -> Option<&'a str> {
        let mut name = self.read_word();
        self.skip_blanks();
        if name == "export" && !self.rest.starts_with('=') {
            name = self.read_word();
            self.skip_blanks();
        }
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !is_name || !self.rest.starts_with('=') {
            return None;
        }
        self.take(1);
        self.skip_blanks();
        Some(name)
    }

    /// Reads a value and the rest of its line. The inner error says why the value cannot be taken as it is.
    fn read_value(&mut self) -> Result<Result<&'a str, &'static str>, Unterminated> {
        let value = match self.rest.chars().next() {
            Some('\'') => Ok(self.read_quoted('\'')?),
            Some('"') => plain(self.read_quoted('"')?),
            _ => {
                let end = self.rest.find(char::is_whitespace);
                plain(self.take(end.unwrap_or(self.rest.len())))
            }
        };
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let tail = self.take(end);
        let comment = tail.trim_start();
        let is_separated = comment.len() < tail.len();
        match comment.is_empty() || (is_separated && comment.starts_with('#')) {
            true => Ok(value),
            false => Ok(value.and(Err("has text after its value"))),
        }
    }

    fn read_quoted(&mut self, quote: char) -> Result<&'a str, Unterminated> {
        self.take(1);
        let mut is_escaped = false;
        let end = self.rest.find(|c: char| {
            let is_end = c == quote && !is_escaped;
            is_escaped = quote == '"' && c == '\\' && !is_escaped;
            is_end
        });
        let value = self.take(end.ok_or(Unterminated)?);
        self.take(1);
        Ok(value)
    }

    fn read_word(&mut self) -> &'a str {
        let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let end = self.rest.find(|c: char| !is_inside(c));
        self.take(end.unwrap_or(self.rest.len()))
    }

    fn skip_blanks(&mut self) {
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.take(blank);
    }

    fn skip_line(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.take(end);
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

fn plain(value: &str) -> Result<&str, &'static str> {
    let is_special = |c: char| matches!(c, '\\' | '$' | '`' | '"' | '\'');
    match value.contains(is_special) {
        true => Err("has a value that other programs would read differently"),
        false => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let (variables, faults) = parse(text);
        assert_eq!(faults, [], "{text:?}");
        variables.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn reads_quotes_comments_and_exports() {
        let text =
            "# comment\n\nA=1\r\nexport B='two words $x \\n # \"'\n C = \"3\" # three\nD=\nE=a#b";
        let expected = ["1", "two words $x \\n # \"", "3", "", "a#b"];
        assert_eq!(values(text), expected);
        assert_eq!(values("KEY='line\nline'\nB=2"), ["line\nline", "2"]);
    }

    #[test]
    fn rejects_values_that_programs_read_differently() {
        for value in [
            "pa$word",
            "\"pa$word\"",
            "pa\\word",
            "\"a\\\"b\"",
            "`id`",
            "pa\"ss\"",
            "two words",
            "'a'b",
            "'a'#b",
            "'open",
            "\"open",
        ] {
            let (variables, faults) = parse(&format!("\nORDERLY__A={value}"));
            assert_eq!((variables.len(), faults.len()), (0, 1), "{value}");
            assert_eq!(faults[0].line, 2, "{value}");
        }
        assert_eq!(parse("ORDERLY__A=1\nORDERLY__A=1").1[0].line, 2);
        assert_eq!(parse("what is this").1.len(), 1);
        // Other programs may read the same file.
        assert_eq!(values("TAG=${VERSION:-latest}\nB=1"), ["1"]);
    }
}
