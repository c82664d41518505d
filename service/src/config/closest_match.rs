//! Guesses which name a mistyped one was meant to be.

/// The candidate nearest to `typed`, if it is near enough to be a slip of the fingers.
pub(super) fn closest_match<'a>(typed: &str, candidates: &'a [String]) -> Option<&'a str> {
    let (distance, best) = (candidates.iter())
        .map(|candidate| (edit_distance(typed, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + typed.chars().count() / 5).then_some(best)
}

/// How many letters must be put in, left out or changed to turn one word into the other (Levenshtein 1966), one row
/// of the table at a time.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_differing_letters() {
        assert_eq!(edit_distance("port", "port"), 0);
        assert_eq!(edit_distance("prot", "port"), 2);
        assert_eq!(edit_distance("http_port", "http.port"), 1);
        assert_eq!(edit_distance("", "port"), 4);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn returns_none_without_close_match() {
        let known = ["http.port".to_owned(), "log.filter".to_owned()];
        assert_eq!(closest_match("http.prot", &known), Some("http.port"));
        assert_eq!(closest_match("cache.lifetime", &known), None);
    }
}
