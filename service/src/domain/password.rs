//! Passwords in the clear, and their preparation.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use super::validation::{ValidationCode, ValidationError};

/// A password in the clear, from the request to the hash and no further.
///
/// It is prepared as RFC 8265 (section 4.2, profile `OpaqueString`) defines, so that the same keys on two machines give
/// the same password: each space that is not ASCII becomes U+0020, then follows the normal form C. The case stays.
/// Control characters are rejected. Unlike that profile, characters that some version of Unicode does not know and the
/// joiners inside emoji are accepted, since people do use them (NIST SP 800-63B, section 3.1.1.2).
#[derive(Debug, Clone)]
pub struct Password(SecretString);

impl Password {
    /// At least this many characters (NIST SP 800-63B asks for 8 at least and
    /// 15 where it stands alone).
    const MIN_LENGTH: usize = 12;
    /// At most this many, so that hashing has a bound.
    const MAX_LENGTH: usize = 128;

    /// Prepares a password that a user wants to have, and checks it.
    ///
    /// # Errors
    /// Returns `too_short` below 12 characters, `too_long` above 128, and `control_character`.
    pub fn parse(text: SecretString) -> Result<Self, ValidationError> {
        let prepared = prepare(&text);
        match prepared.expose_secret().chars().count() {
            n if n < Self::MIN_LENGTH => Err(ValidationError::new(
                ValidationCode::TooShort,
                format!("must have at least {} characters", Self::MIN_LENGTH),
            )),
            n if n > Self::MAX_LENGTH => Err(ValidationError::new(
                ValidationCode::TooLong,
                format!("must have at most {} characters", Self::MAX_LENGTH),
            )),
            _ if prepared.expose_secret().contains(is_control) => Err(ValidationError::new(
                ValidationCode::ControlCharacter,
                "must not contain control characters",
            )),
            _ => Ok(Self(prepared)),
        }
    }

    /// The secret itself, for the hasher.
    pub(crate) fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// Returns the forms in which a password given at a log-in may have been hashed: prepared, and as it was typed if that
/// is different, since passwords were hashed without preparation once.
pub(crate) fn hashed_forms(typed: &SecretString) -> Vec<SecretString> {
    let prepared = prepare(typed);
    match prepared.expose_secret() == typed.expose_secret() {
        true => vec![prepared],
        false => vec![prepared, typed.clone()],
    }
}

fn prepare(text: &SecretString) -> SecretString {
    let map_space = |c| if is_non_ascii_space(c) { ' ' } else { c };
    let characters = text.expose_secret().chars().map(map_space);
    characters.nfc().collect::<String>().into()
}

/// Unicode's category Zs without U+0020.
fn is_non_ascii_space(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn prepared(text: &str) -> String {
        let password = Password::parse(text.to_owned().into()).unwrap();
        password.secret().expose_secret().to_owned()
    }

    #[test]
    fn accepts_passwords_of_12_to_128_characters() {
        for letter in ["é", "e\u{301}"] {
            let ok = |n: usize| Password::parse(letter.repeat(n).into()).is_ok();
            assert_eq!([11, 12, 128, 129].map(ok), [false, true, true, false]);
        }
    }

    #[test]
    fn prepares_spaces_and_normal_form_but_not_case() {
        assert_eq!(prepared("cafe\u{301} au lait"), "café au lait");
        assert_eq!(prepared("café\u{a0}au\u{3000}lait"), "café au lait");
        assert_eq!(prepared("Café AU Lait"), "Café AU Lait");
        // Full-width letters are others, and spaces at the ends count.
        assert_eq!(prepared(" ｃａｆｅ au lait "), " ｃａｆｅ au lait ");
        assert_eq!(
            prepared("\u{1112}\u{1161}\u{11ab} au lait ok"),
            "한 au lait ok"
        );
        let emoji = "👩\u{200d}🚀 🫨 to the moon";
        assert_eq!(prepared(emoji), emoji);
        for control in ['\0', '\t', '\n', '\u{7f}', '\u{85}', '\u{2028}'] {
            let text = format!("correct horse{control}battery");
            assert!(Password::parse(text.into()).is_err(), "{control:?}");
        }
    }

    #[test]
    fn log_in_compares_prepared_and_typed_form() {
        let forms = |text: &str| -> Vec<String> {
            let forms = hashed_forms(&text.to_owned().into());
            let exposed = forms.iter().map(|form| form.expose_secret().to_owned());
            exposed.collect()
        };
        assert_eq!(forms("cafe\u{301}"), ["café", "cafe\u{301}"]);
        assert_eq!(forms("café"), ["café"]);
    }

    #[test]
    fn debug_output_hides_password() {
        let password = Password::parse("correct horse battery".to_owned().into()).unwrap();
        assert!(!format!("{password:?}").contains("horse"));
    }
}
