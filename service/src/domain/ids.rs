//! Ids: UUIDv7, one type for each thing, so that they can't be mixed up.
//!
//! A version 7 UUID (RFC 9562, section 5.7) starts with the milliseconds since
//! 1970, so ids sort by the time they were made: indexes grow at one end, and
//! "newest first" needs no second column.

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// A new UUIDv7 for the moment `now`; ids made by one process for the same
/// millisecond still ascend.
pub(crate) fn new_v7(now: DateTime<Utc>) -> Uuid {
    static CONTEXT: std::sync::Mutex<ContextV7> = std::sync::Mutex::new(ContextV7::new());
    let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(
        &CONTEXT,
        seconds,
        now.timestamp_subsec_nanos(),
    ))
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id for the moment `now`.
            pub fn new(now: DateTime<Utc>) -> Self {
                Self(new_v7(now))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id_type!(
    /// Names a user.
    UserId
);
id_type!(
    /// Names a product.
    ProductId
);
id_type!(
    /// Names an order. Also the idempotency key of its payment.
    OrderId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_same_millisecond_ascend() {
        let now = Utc::now();
        let ids: Vec<_> = (0..1000).map(|_| OrderId::new(now)).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids[0].0.get_version_num(), 7);
    }
}
