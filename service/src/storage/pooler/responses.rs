//! Rewrites what the pooler sends.

use std::collections::VecDeque;

use super::messages::Message;

/// The part of a request that a response belongs to. Each ends with `ReadyForQuery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponsePart {
    /// A request that was sent as it came.
    Whole,
    /// The `BEGIN` in front of a statement.
    Begin,
    /// The statement between such a `BEGIN` and a `COMMIT`.
    Statement,
    /// The `COMMIT` behind it.
    Commit,
}

struct ExpectedResponse {
    part: ResponsePart,
    /// Returns `true` if tokio-postgres has sent no `Parse`, so that it expects no response to one.
    hides_parse_complete: bool,
}

/// Messages on their way from the pooler.
#[derive(Default)]
pub(super) struct Responses {
    expected: VecDeque<ExpectedResponse>,
    /// What is left of an incomplete message.
    incomplete: Vec<u8>,
    /// The result of a statement whose `COMMIT` is not confirmed.
    held_back: Vec<u8>,
    /// Returns `true` once a part of the request has failed, and its error was passed on.
    has_failed: bool,
}

impl Responses {
    /// Announces the response to what is being sent.
    pub(super) fn expect(&mut self, part: ResponsePart, hides_parse_complete: bool) {
        self.expected.push_back(ExpectedResponse {
            part,
            hides_parse_complete,
        });
    }

    /// Rewrites `input` to `output`. Returns whether a transaction is open, once every request that
    /// was sent has its response.
    pub(super) fn rewrite(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<bool> {
        let mut pending = std::mem::take(&mut self.incomplete);
        pending.extend_from_slice(input);
        let mut rest = pending.as_slice();
        let mut in_transaction = None;
        while let Some(message) = Message::split_first(&mut rest) {
            self.rewrite_message(message, output);
            if message.tag == b'Z' && self.expected.is_empty() {
                in_transaction = Some(message.body() != b"I");
            }
        }
        self.incomplete = rest.to_vec();
        in_transaction
    }

    fn rewrite_message(&mut self, message: Message<'_>, output: &mut Vec<u8>) {
        let Some(&ExpectedResponse {
            part,
            hides_parse_complete,
        }) = self.expected.front()
        else {
            output.extend_from_slice(message.bytes);
            return;
        };
        if message.tag == b'Z' {
            self.expected.pop_front();
        }
        match (message.tag, part) {
            // Notices, parameters and notifications belong to no request.
            (b'N' | b'S' | b'A', _) => output.extend_from_slice(message.bytes),
            (b'1', _) if hides_parse_complete => {}
            (_, ResponsePart::Whole) => output.extend_from_slice(message.bytes),
            // The first error is the cause of the others.
            (b'E', _) => {
                if !self.has_failed {
                    output.extend_from_slice(message.bytes);
                }
                self.has_failed = true;
                self.held_back.clear();
            }
            (b'Z', ResponsePart::Commit) => {
                output.append(&mut self.held_back);
                output.extend_from_slice(message.bytes);
                self.has_failed = false;
            }
            (b'Z', _) | (_, ResponsePart::Begin | ResponsePart::Commit) => {}
            (_, ResponsePart::Statement) => {
                if !self.has_failed {
                    self.held_back.extend_from_slice(message.bytes);
                }
            }
        }
    }
}
