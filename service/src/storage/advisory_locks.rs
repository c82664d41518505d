//! The keys of the advisory locks: any numbers that no other program on this database uses.

/// Held by the process that applies migrations.
pub(super) const MIGRATIONS: i64 = 0x6f72_6465_726c_7901;

/// Held by the one process that relays events.
pub(super) const OUTBOX_RELAY: i64 = 0x6f72_6465_726c_7902;
