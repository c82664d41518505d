//! The rules that texts share: one normal form, no invisible characters, lengths in characters.
//!
//! # Problem
//! A keyboard of macOS writes `é` as one character, another program as `e` and an accent. Both look the same, and
//! compare as different names, passwords and searches. A direction mark turns a name around on the page, a zero-width
//! space makes two names that look alike.
//!
//! # How it works
//! A text is brought into Unicode's normal form C first (UAX #15), then its characters are counted and checked. For a
//! search, [`search_key`] also removes differences of case and of compatibility forms, by the tables of Unicode and not by
//! the locale of the database, which in the locale `C` knows ASCII only. Joiners stay: Persian, Hindi and emoji need
//! them.
//!
//! # Tests
//! `texts_are_stored_in_normal_form` and `search_finds_every_case_in_every_locale` in `service/tests/api`.

use unicode_normalization::UnicodeNormalization as _;

use super::validation::{ValidationCode, ValidationError};

/// Returns a text in normal form if it has 1 to `max` characters, no control or invisible formatting characters (a
/// NUL byte cannot even be stored: PostgreSQL manual 8.3) and is not blank.
///
/// # Errors
/// Returns `blank`, `too_long` (more than `max` characters) or `control_character`.
pub(crate) fn parse_short_text(text: String, max: usize) -> Result<String, ValidationError> {
    let text: String = text.nfc().collect();
    if text.chars().all(is_blank) {
        return Err(ValidationError::new(
            ValidationCode::Blank,
            "must not be blank",
        ));
    }
    if text.chars().count() > max {
        return Err(ValidationError::new(
            ValidationCode::TooLong,
            format!("must have at most {max} characters"),
        ));
    }
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(ValidationError::new(
            ValidationCode::ControlCharacter,
            "must not contain control characters, zero-width spaces or direction marks",
        ));
    }
    Ok(text)
}

/// Soft hyphen, zero-width space, line and paragraph separator, direction marks, and other formatting characters that
/// RFC 8264 (section 9.13) excludes from names. The joiners U+200C and U+200D and variation selectors are not among them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// White space, and characters that show nothing where they stand alone.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{115f}' | '\u{1160}' | '\u{200c}' | '\u{200d}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'
                ..='\u{fe0f}' | '\u{ffa0}'
        )
}

/// Returns the form of a text in which a search compares it: without differences of case (`ß` is `ss`, the three
/// sigmas are one) and of compatibility forms (full-width letters, ligatures).
pub(crate) fn search_key(text: &str) -> String {
    let compatible = text.nfkc();
    // Upper case first: some letters have several lower-case forms, and one upper-case form.
    let folded = compatible
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    folded.nfkc().collect()
}

/// Declares a text type with a length limit: its doc comment, then `pub Name, 200`.
macro_rules! short_text_type {
    ($(#[$doc:meta])* $visibility:vis $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $visibility struct $name(String);

        impl $name {
            /// The most characters it may have.
            const MAX_LENGTH: usize = $max;

            /// Normalizes and checks the text (see `parse_short_text`).
            ///
            /// # Errors
            /// Returns `blank`, `too_long` or `control_character`.
            $visibility fn parse(text: String) -> Result<Self, $crate::domain::validation::ValidationError> {
                $crate::domain::text::parse_short_text(text, Self::MAX_LENGTH).map(Self)
            }

            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use short_text_type;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(text: &str) -> &'static str {
        parse_short_text(text.to_owned(), 5).map_or_else(|e| e.code.as_str(), |_| "ok")
    }

    #[test]
    fn length_limit_counts_characters_of_normal_form() {
        assert_eq!(code("ééééé"), "ok");
        assert_eq!(code("éééééé"), "too_long");
        assert_eq!(code(&"e\u{301}".repeat(5)), "ok");
        assert_eq!(code(&"e\u{301}".repeat(6)), "too_long");
        // Five characters that have only a decomposed normal form.
        assert_eq!(code(&"\u{958}".repeat(5)), "too_long");
    }

    #[test]
    fn rejects_blank_text_and_control_characters() {
        for blank in ["", " \u{a0}", "\u{3000}", "\u{200d}", "\u{3164} \u{2800}"] {
            assert_eq!(code(blank), "blank", "{blank:?}");
        }
        for control in ["a\0b", "a\nb", "a\u{85}", "a\u{2028}b"] {
            assert_eq!(code(control), "control_character", "{control:?}");
        }
        for invisible in [
            "a\u{200b}",
            "\u{202e}a",
            "a\u{2066}",
            "\u{feff}a",
            "a\u{ad}b",
        ] {
            assert_eq!(code(invisible), "control_character", "{invisible:?}");
        }
        // A Persian name and an emoji of several characters.
        for joined in ["علی\u{200c}", "👩\u{200d}🚀", "❤\u{fe0f}"] {
            assert_eq!(code(joined), "ok", "{joined:?}");
        }
    }

    #[test]
    fn search_key_is_equal_for_texts_that_look_alike() {
        for (one, other) in [
            ("CAFÉ", "cafe\u{301}"),
            ("ЛАМПА", "лампа"),
            ("ΛΑΜΠΑΣ", "λαμπας"),
            ("ΛΑΜΠΑΣ", "λαμπασ"),
            ("Straße", "STRASSE"),
            ("ｌａｍｐ", "LAMP"),
            ("ﬁne", "FINE"),
            ("ǅ", "ǆ"),
            ("Ա", "ա"),
        ] {
            assert_eq!(search_key(one), search_key(other), "{one} {other}");
        }
        assert_ne!(search_key("café"), search_key("cafe"));
    }

    proptest! {
        #[test]
        fn returns_accepted_text_in_normal_form(text in "\\PC{1,5}") {
            if let Ok(accepted) = parse_short_text(text.clone(), 5) {
                prop_assert_eq!(&accepted, &text.nfc().collect::<String>());
                prop_assert_eq!(parse_short_text(accepted.clone(), 5), Ok(accepted));
            }
        }

        #[test]
        fn search_key_ignores_case_and_normal_form(text in "\\PC{0,8}") {
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(search_key(&text), search_key(&decomposed));
            prop_assert_eq!(search_key(&text), search_key(&search_key(&text)));
        }
    }
}
