//! Both directions of one connection to a pooler.

use std::sync::Arc;

use super::requests::{Requests, TransactionStart};
use super::responses::Responses;

/// The rewriting of one connection.
pub(in crate::storage) struct PoolerProtocol {
    requests: Requests,
    responses: Responses,
}

impl PoolerProtocol {
    pub(in crate::storage) fn new(start: Arc<TransactionStart>) -> Self {
        Self {
            requests: Requests::new(start),
            responses: Responses::default(),
        }
    }

    /// Appends to `output` what the pooler gets of `input`, which may be any fragment.
    pub(in crate::storage) fn rewrite_requests(&mut self, input: &[u8], output: &mut Vec<u8>) {
        (self.requests).rewrite(input, output, &mut self.responses);
    }

    /// Returns what tokio-postgres gets of `input`, which may be any fragment.
    pub(in crate::storage) fn rewrite_responses(&mut self, input: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        if let Some(in_transaction) = self.responses.rewrite(input, &mut output) {
            self.requests.in_transaction = in_transaction;
        }
        output
    }
}
