//! Ledger of the gateway, as `GET /ledger` of the sandbox gateway lists it.

use serde::Deserialize;

/// Kind of a ledger entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Money was taken.
    Charge,
    /// Everything charged for the reference was returned.
    Refund,
    /// A refund came before its charge: later charges of the reference are rejected.
    Void,
    /// A charge was rejected for insufficient funds.
    Decline,
}

/// The fields of a ledger entry that a reconciliation reads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LedgerEntry {
    /// Charge, decline, refund or void.
    pub kind: EntryKind,
    /// Id of the entry; that of a charge is stored with the payment.
    pub id: String,
    /// Order id.
    pub reference: String,
    /// Amount in minor units; 0 for a void.
    pub amount_minor: i64,
}
