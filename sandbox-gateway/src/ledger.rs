//! The ledger: every charge and refund, and the rules about money.
//!
//! Three rules make a request to the gateway safe to retry.
//!
//! - **A key is stored with its effect.** The same key with the same request returns the first
//!   response again, a decline included. The same key with another request is rejected. A request
//!   without effect (a charge of a voided reference) is not stored, since it has no effect again.
//! - **A refund closes its reference.** If the ledger has a charge, the money is returned once. If
//!   it has none, a *void* is recorded as a tombstone: the charge may still be in flight and must be
//!   rejected when it arrives. A cancellation and a charge in either order end with no money taken.
//! - **Another key is another charge.** A client that uses two keys for one order is charged twice,
//!   as with a real provider. The ledger shows both, so that a reconciliation finds the mistake. A
//!   refund returns the sum.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::journal::Journal;
use crate::requests::ChargeRequest;

/// Currency of an entry without money: "no currency" in ISO 4217.
const NO_CURRENCY: &str = "XXX";

/// Kind of a ledger entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// One line of the ledger, in the file and on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Charge, decline, refund or void.
    pub kind: EntryKind,
    /// Id of the entry: `ch_…`, `re_…`, `vo_…` or `de_…` and a UUID.
    pub id: String,
    /// Order id of the client.
    pub reference: String,
    /// Amount in minor units (cents); 0 for a void.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Time of the entry.
    pub at: DateTime<Utc>,
    /// Idempotency key of the request.
    pub idempotency_key: String,
}

#[derive(Debug)]
pub(crate) enum ChargeResult {
    Charged { entry: LedgerEntry, is_new: bool },
    Declined,
    Voided,
    KeyReused,
}

#[derive(Debug)]
pub(crate) enum RefundResult {
    Refunded {
        entry: LedgerEntry,
        charge_id: String,
    },
    Voided,
    KeyReused,
}

/// The ledger, shared by all requests. Its methods may block on the disk.
#[derive(Debug)]
pub(crate) struct Ledger {
    state: Mutex<LedgerState>,
}

#[derive(Debug)]
struct LedgerState {
    journal: Journal,
    entries: Vec<LedgerEntry>,
    /// Indices into `entries`.
    by_key: HashMap<String, usize>,
    by_reference: HashMap<String, ReferenceState>,
}

/// Charges and refund of one reference, as indices into the entries.
#[derive(Debug, Default, Clone, Copy)]
struct ReferenceState {
    first_charge: Option<usize>,
    charged_minor: i64,
    closed_by: Option<usize>,
}

impl Ledger {
    /// Opens a ledger that is kept in the file at `path`, or in memory only.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or read.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let (journal, entries) = match path {
            Some(path) => Journal::open(path)?,
            None => (Journal::Memory, Vec::new()),
        };
        let mut state = LedgerState {
            journal,
            entries: Vec::new(),
            by_key: HashMap::new(),
            by_reference: HashMap::new(),
        };
        for entry in entries {
            state.apply(entry);
        }
        Ok(Self {
            state: Mutex::new(state),
        })
    }

    pub(crate) fn charge(
        &self,
        key: &str,
        request: &ChargeRequest,
        decline: bool,
    ) -> io::Result<ChargeResult> {
        self.lock().charge(key, request, decline)
    }

    pub(crate) fn refund(&self, key: &str, reference: &str) -> io::Result<RefundResult> {
        self.lock().refund(key, reference)
    }

    /// Returns all entries, oldest first.
    pub(crate) fn entries(&self) -> Vec<LedgerEntry> {
        self.lock().entries.clone()
    }

    /// Closes the file. Requests in flight fail.
    pub(crate) fn close(&self) {
        self.lock().journal = Journal::Closed;
    }

    /// Locks the state, also after a holder panicked: nothing between the journal and the last index
    /// can panic, so the state is complete.
    fn lock(&self) -> MutexGuard<'_, LedgerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LedgerState {
    fn charge(
        &mut self,
        key: &str,
        request: &ChargeRequest,
        decline: bool,
    ) -> io::Result<ChargeResult> {
        if let Some(previous) = self.find_by_key(key) {
            return Ok(match previous.kind {
                EntryKind::Charge if previous.matches(request) => ChargeResult::Charged {
                    entry: previous.clone(),
                    is_new: false,
                },
                EntryKind::Decline if previous.matches(request) => ChargeResult::Declined,
                _ => ChargeResult::KeyReused,
            });
        }
        if self.reference_state(&request.reference).closed_by.is_some() {
            return Ok(ChargeResult::Voided);
        }
        let kind = if decline {
            EntryKind::Decline
        } else {
            EntryKind::Charge
        };
        let amount = (request.amount_minor, request.currency.as_str());
        let index = self.append(kind, key, &request.reference, amount)?;
        Ok(if decline {
            ChargeResult::Declined
        } else {
            ChargeResult::Charged {
                entry: self.entries[index].clone(),
                is_new: true,
            }
        })
    }

    fn refund(&mut self, key: &str, reference: &str) -> io::Result<RefundResult> {
        if let Some(previous) = self.find_by_key(key)
            && !(matches!(previous.kind, EntryKind::Refund | EntryKind::Void)
                && previous.reference == reference)
        {
            return Ok(RefundResult::KeyReused);
        }
        let state = self.reference_state(reference);
        let Some(charge) = state.first_charge else {
            if state.closed_by.is_none() {
                self.append(EntryKind::Void, key, reference, (0, NO_CURRENCY))?;
            }
            return Ok(RefundResult::Voided);
        };
        let refund = match state.closed_by {
            Some(index) => index,
            None => {
                let currency = self.entries[charge].currency.clone();
                let amount = (state.charged_minor, currency.as_str());
                self.append(EntryKind::Refund, key, reference, amount)?
            }
        };
        Ok(RefundResult::Refunded {
            entry: self.entries[refund].clone(),
            charge_id: self.entries[charge].id.clone(),
        })
    }

    fn find_by_key(&self, key: &str) -> Option<&LedgerEntry> {
        self.by_key.get(key).map(|&index| &self.entries[index])
    }

    fn reference_state(&self, reference: &str) -> ReferenceState {
        self.by_reference
            .get(reference)
            .copied()
            .unwrap_or_default()
    }

    fn append(
        &mut self,
        kind: EntryKind,
        key: &str,
        reference: &str,
        (amount_minor, currency): (i64, &str),
    ) -> io::Result<usize> {
        let entry = LedgerEntry {
            kind,
            id: kind.new_id(),
            reference: reference.to_owned(),
            amount_minor,
            currency: currency.to_owned(),
            at: Utc::now(),
            idempotency_key: key.to_owned(),
        };
        self.journal.append(&entry)?;
        Ok(self.apply(entry))
    }

    fn apply(&mut self, entry: LedgerEntry) -> usize {
        let index = self.entries.len();
        self.by_key.insert(entry.idempotency_key.clone(), index);
        let state = self
            .by_reference
            .entry(entry.reference.clone())
            .or_default();
        match entry.kind {
            EntryKind::Charge => {
                state.first_charge.get_or_insert(index);
                state.charged_minor = state.charged_minor.saturating_add(entry.amount_minor);
            }
            EntryKind::Refund | EntryKind::Void => state.closed_by = Some(index),
            EntryKind::Decline => {}
        }
        self.entries.push(entry);
        index
    }
}

impl EntryKind {
    fn new_id(self) -> String {
        let prefix = match self {
            Self::Charge => "ch",
            Self::Refund => "re",
            Self::Void => "vo",
            Self::Decline => "de",
        };
        format!("{prefix}_{}", Uuid::now_v7())
    }
}

impl LedgerEntry {
    fn matches(&self, request: &ChargeRequest) -> bool {
        self.reference == request.reference
            && self.amount_minor == request.amount_minor
            && self.currency == request.currency
    }
}
