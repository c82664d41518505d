//! The form that every text in the configuration has, whichever source it comes from.
//!
//! # Problem
//! `echo` ends a secret with a line break, a copied value has a blank at its end, an editor writes a byte order mark. URL
//! parsers drop some of these silently and keep others: a database URL with a line break at its end connects to the
//! database `orderly\n`.
//!
//! # How it works
//! A value holds exactly as it is written, or it is rejected with the name of its setting. Control characters, white
//! space at either end and a byte order mark are rejected; the message names the character and never shows the value. A
//! PEM block (RFC 7468) consists of lines, so it may have line breaks. A file with a secret may end with one line break,
//! which is not part of the secret.
//!
//! # Tests
//! `rejects_control_characters_and_outer_blanks_in_every_source` in `service/tests/config/exact_values.rs`.

use serde_json::Value;

/// A text that does not have the form, without the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TextFault {
    pub(super) message: String,
    pub(super) fix: &'static str,
}

/// Returns the fault of a text, or of the first text of a list that has one.
pub(super) fn value_fault(value: &Value) -> Option<TextFault> {
    match value {
        Value::String(text) => text_fault(text),
        Value::Array(list) => list.iter().find_map(value_fault),
        _ => None,
    }
}

/// Returns the fault of a text.
pub(super) fn text_fault(text: &str) -> Option<TextFault> {
    let is_pem = text.starts_with("-----BEGIN ");
    let is_forbidden = |c: &char| c.is_control() && !(is_pem && matches!(c, '\n' | '\r'));
    let fault = |message, fix| Some(TextFault { message, fix });
    if text.starts_with('\u{feff}') {
        return fault("begins with a byte order mark".into(), SAVE_WITHOUT_MARK);
    }
    if let Some(control) = text.chars().find(is_forbidden) {
        let name = match control {
            '\0' => "NUL".into(),
            '\n' => "a line feed".into(),
            '\r' => "a carriage return".into(),
            '\t' => "a tab".into(),
            other => format!("U+{:04X}", u32::from(other)),
        };
        let message = format!("contains a control character: {name}");
        return fault(message, "remove it; `printf %s` writes no line break");
    }
    let has_outer_space =
        text.starts_with(char::is_whitespace) || (text.ends_with(char::is_whitespace) && !is_pem);
    if has_outer_space {
        let message = "begins or ends with white space".into();
        return fault(message, "remove the white space");
    }
    None
}

/// The fix for a file or value that begins with U+FEFF.
pub(super) const SAVE_WITHOUT_MARK: &str = "save it as UTF-8 without a byte order mark";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_texts_without_control_characters_and_outer_blanks() {
        let pem = "-----BEGIN PRIVATE KEY-----\r\nMC4C\r\n-----END PRIVATE KEY-----\r\n";
        for text in ["", "orderly", "two words", "лампа", pem] {
            assert_eq!(text_fault(text), None, "{text:?}");
        }
    }

    #[test]
    fn rejects_each_invisible_change() {
        for text in [
            "o1\n",
            "o1\r\n",
            "\to1",
            "o\0x",
            "o1\u{7f}",
            "o1\u{85}",
            " o1",
            "o1\u{a0}",
            "\u{feff}o1",
            "-----BEGIN PRIVATE KEY-----\0",
        ] {
            assert!(text_fault(text).is_some(), "{text:?}");
        }
        let list = serde_json::json!(["10.0.0.0/8", "10.0.0.1\n"]);
        assert!(value_fault(&list).is_some());
    }
}
