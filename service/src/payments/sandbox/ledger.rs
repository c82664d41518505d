//! The ledger: what happened to whose money, and the rules for changing it.
//!
//! Three rules make a gateway safe to ask twice.
//!
//! - **A key is remembered with what it did.** The same key and the same request get
//!   the first answer again, a decline included; the same key with another request
//!   is a mistake of the client and is refused. A request that did nothing (a charge
//!   of a voided reference) leaves no memory: it would do nothing again.
//! - **A refund closes its reference.** With a charge in the ledger, the money goes
//!   back, once. Without one, a *void* is recorded as a tombstone: the charge may
//!   still be under way and must be refused when it comes in. Either order of a
//!   cancellation and a charge so ends with no money taken.
//! - **Another key is another charge.** A client that uses two keys for one order is
//!   charged twice, as with a real provider, and the ledger shows it: that is how an
//!   invariant checker catches the client. A refund gives back the sum.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger_journal::Journal;
use super::requests::ChargeRequest;
use crate::resilience::mutex::lock;

/// What ISO 4217 says for "no currency": that of an entry without money.
const NO_CURRENCY: &str = "XXX";

/// What an entry of the ledger stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Money was taken.
    Charge,
    /// Everything charged for the reference was given back.
    Refund,
    /// A refund without a charge: later charges of the reference are refused.
    Void,
    /// A charge was asked for and refused for lack of money.
    Decline,
}

/// One line of the ledger, in the file and on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Charge, decline, refund or void.
    pub kind: EntryKind,
    /// The entry's name: `ch_…`, `re_…`, `vo_…` or `de_…` and a UUID.
    pub id: String,
    /// What it happened to: the client's order id.
    pub reference: String,
    /// How much money, in minor units (cents); 0 for a void.
    pub amount_minor: i64,
    /// ISO 4217.
    pub(crate) currency: String,
    pub(crate) at: DateTime<Utc>,
    /// The idempotency key of the request that did it.
    pub idempotency_key: String,
}

#[derive(Debug)]
pub(super) enum ChargeResult {
    Charged { entry: LedgerEntry, is_new: bool },
    Declined,
    Voided,
    KeyReused,
}

#[derive(Debug)]
pub(super) enum RefundResult {
    Refunded {
        entry: LedgerEntry,
        charge_id: String,
    },
    Voided,
    KeyReused,
}

/// The ledger, shared by all requests. Its methods may wait for the disk.
// Nothing between the journal and the last index can panic, so a poisoned ledger is complete.
#[derive(Debug)]
pub(super) struct SandboxLedger {
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

/// What is known of one reference, as indices into the entries.
#[derive(Debug, Default, Clone, Copy)]
struct ReferenceState {
    first_charge: Option<usize>,
    charged_minor: i64,
    closed_by: Option<usize>,
}

impl SandboxLedger {
    /// A ledger in memory, or one that is read from and kept in the file at `path`.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
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

    pub(super) fn charge(
        &self,
        key: &str,
        request: &ChargeRequest,
        decline: bool,
    ) -> io::Result<ChargeResult> {
        lock(&self.state).charge(key, request, decline)
    }

    pub(super) fn refund(&self, key: &str, reference: &str) -> io::Result<RefundResult> {
        lock(&self.state).refund(key, reference)
    }

    /// All entries, oldest first.
    pub(super) fn entries(&self) -> Vec<LedgerEntry> {
        lock(&self.state).entries.clone()
    }

    /// Lets go of the file; a request that is still under way fails.
    pub(super) fn close(&self) {
        lock(&self.state).journal = Journal::Closed;
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
