//! Suggests which name a mistyped one was meant to be.

use std::cmp::Reverse;

use strsim::levenshtein;

/// Returns the candidate nearest to `typed` if it is near enough to be a typing error. Among equally near
/// ones, it is the one that begins like `typed` for longest: a name is seldom mistyped at its start.
pub(super) fn closest_match<'a>(typed: &str, candidates: &'a [String]) -> Option<&'a str> {
    let (distance, best) = (candidates.iter())
        .map(|candidate| (levenshtein(typed, candidate), candidate))
        .min_by_key(|(distance, candidate)| {
            (*distance, Reverse(common_prefix(typed, candidate)))
        })?;
    (distance <= 1 + typed.chars().count() / 5).then_some(best)
}

fn common_prefix(one: &str, other: &str) -> usize {
    (one.chars().zip(other.chars()))
        .take_while(|(one, other)| one == other)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_none_without_close_match() {
        let known = ["http.port".to_owned(), "log.filter".to_owned()];
        assert_eq!(closest_match("http.prot", &known), Some("http.port"));
        assert_eq!(closest_match("http_port", &known), Some("http.port"));
        assert_eq!(closest_match("cache.lifetime", &known), None);
        assert_eq!(closest_match("port", &[]), None);
    }
}
