//! `key=value` pairs in the format of the W3C Baggage header, which `OTEL_*` variables use.

use percent_encoding::percent_decode_str;

use super::postgres_url::check_escapes;

/// Parses entries of the form `key=value` with percent-encoded values. Returns `None` if an entry has no key or no
/// `=`, a broken escape or a control character, or if a key is there twice.
pub(super) fn parse<T: AsRef<str>>(entries: &[T]) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::<(String, String)>::new();
    for entry in entries {
        let (key, value) = entry.as_ref().split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        check_escapes(value).ok()?;
        let value = percent_decode_str(value).decode_utf8().ok()?;
        let is_key = !key.is_empty() && key.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
        let is_duplicate = pairs
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(key));
        if !is_key || is_duplicate || value.contains(char::is_control) {
            return None;
        }
        pairs.push((key.to_owned(), value.into_owned()));
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn parses_pairs_as_a_whole() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = vec![pair("a", "1=1"), pair("b.c", "x, y"), pair("d", "")];
        assert_eq!(parse(&["a=1=1", " b.c = x%2C%20y ", "d="]), Some(expected));
        assert_eq!(parse::<&str>(&[]), Some(Vec::new()));
        for wrong in [
            "a", "=1", "", "a b=1", "ä=1", "a=%zz", "a=%", "a=%ff", "a=%0a",
        ] {
            assert_eq!(parse(&[wrong]), None, "{wrong}");
        }
        assert_eq!(parse(&["a=1", "A=2"]), None);
    }
}
