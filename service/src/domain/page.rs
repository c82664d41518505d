//! Cursor pagination.
//!
//! A page number skips or repeats rows when others are inserted meanwhile, and
//! `OFFSET` reads all it skips. A cursor names the last row that was seen: the
//! next page starts behind it, at the price of one index look-up. It is opaque
//! to clients (base64url, RFC 4648 section 5), and says which list it belongs
//! to, so that it can't be carried from one list to another.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::validation::{ValidationCode, ValidationError, parse_in_range};

/// Which list a cursor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum List {
    /// Products, oldest first.
    Products = b'p',
    /// Orders of one user, newest first.
    Orders = b'o',
}

/// The last row of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub Uuid);

impl Cursor {
    /// What the client gets.
    pub fn encode(self, list: List) -> String {
        let mut bytes = [0; 17];
        bytes[0] = list as u8;
        bytes[1..].copy_from_slice(self.0.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What the client gave back.
    ///
    /// # Errors
    /// Returns `invalid_cursor` for anything that [`encode`](Self::encode) did not make
    /// for this list.
    pub(crate) fn decode(text: &str, list: List) -> Result<Self, ValidationError> {
        let invalid_cursor = || {
            ValidationError::new(
                ValidationCode::InvalidCursor,
                "must be the next_cursor of an earlier page of this list",
            )
        };
        let bytes: [u8; 17] = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(invalid_cursor)?;
        match bytes.split_first() {
            Some((tag, id)) if *tag == list as u8 => {
                Uuid::from_slice(id).map(Self).map_err(|_| invalid_cursor())
            }
            _ => Err(invalid_cursor()),
        }
    }
}

/// How many rows of a list, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageRequest {
    /// At most this many rows, 1 to 100.
    pub(crate) limit: u8,
    /// Behind this row; from the start if there is none.
    pub(crate) after: Option<Cursor>,
}

impl PageRequest {
    /// Rows in a page when the client does not say.
    pub(crate) const DEFAULT_LIMIT: i64 = 20;
    pub(crate) const MAX_LIMIT: u8 = 100;

    /// Checks the `limit` of a request.
    ///
    /// # Errors
    /// Returns `out_of_range` unless `rows` is 1 to [`MAX_LIMIT`](Self::MAX_LIMIT).
    pub(crate) fn parse_limit(rows: i64) -> Result<u8, ValidationError> {
        parse_in_range(rows, 1..=i64::from(Self::MAX_LIMIT))
    }
}

/// Some rows of a list, and how to get the next ones.
#[derive(Debug, Clone)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// Names the last row if there are more behind it.
    pub(crate) next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of `limit` rows from a query for one row more: the extra
    /// row tells that there is a next page, without counting.
    pub(crate) fn from_overfetched(mut rows: Vec<T>, limit: u8, id: impl Fn(&T) -> Uuid) -> Self {
        let has_more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let next_cursor = rows.last().filter(|_| has_more).map(|row| Cursor(id(row)));
        Self {
            items: rows,
            next_cursor,
        }
    }

    /// The same page of something else.
    ///
    /// # Errors
    /// Returns the first error of `f`.
    pub(crate) fn try_map<U, E>(self, f: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        Ok(Page {
            items: self.items.into_iter().map(f).collect::<Result<_, _>>()?,
            next_cursor: self.next_cursor,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursor_round_trips(id: u128) {
            let cursor = Cursor(Uuid::from_u128(id));
            let text = cursor.encode(List::Orders);
            prop_assert_eq!(Cursor::decode(&text, List::Orders).unwrap(), cursor);
            prop_assert!(Cursor::decode(&text, List::Products).is_err());
        }

        #[test]
        fn rejects_malformed_cursor_without_panic(text in "\\PC*") {
            if let Ok(cursor) = Cursor::decode(&text, List::Products) {
                prop_assert_eq!(cursor.encode(List::Products), text);
            }
        }

        // Whatever the list and the page size: walking the pages meets every
        // row once, in order, and ends.
        #[test]
        fn pages_cover_list_exactly_once(rows in 0_usize..60, limit in 1_u8..=20) {
            let all: Vec<Uuid> = (0..rows).map(|n| Uuid::from_u128(n as u128)).collect();
            let (mut seen, mut after) = (Vec::new(), None::<Cursor>);
            loop {
                let one_more = all.iter().copied()
                    .filter(|id| after.is_none_or(|c| *id > c.0))
                    .take(usize::from(limit) + 1)
                    .collect();
                let page = Page::from_overfetched(one_more, limit, |id| *id);
                seen.extend(page.items);
                after = page.next_cursor;
                if after.is_none() { break }
            }
            prop_assert_eq!(seen, all);
        }
    }

    #[test]
    fn last_full_page_has_no_cursor() {
        let ids = [1, 2].map(Uuid::from_u128);
        let page = |limit| Page::from_overfetched(ids.to_vec(), limit, |id| *id);
        assert_eq!(page(2).next_cursor, None);
        assert_eq!(page(1).next_cursor, Some(Cursor(ids[0])));
    }

    #[test]
    fn accepts_limit_of_1_to_100() {
        let ok = |n: i64| PageRequest::parse_limit(n).is_ok();
        assert_eq!(
            [i64::MIN, 0, 1, 100, 101, 257].map(ok),
            [false, false, true, true, false, false]
        );
    }
}
