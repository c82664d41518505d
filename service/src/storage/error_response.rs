//! Puts the SQLSTATE in front of the message of each `ErrorResponse`; see [`super::transport`].

use std::sync::Arc;

use super::sqlstate::SessionErrors;

/// Longest `ErrorResponse` that is changed; a longer one passes as it is.
const MAX_LENGTH: usize = 1 << 20;
/// Type and length of a message.
const HEADER_LENGTH: usize = 5;
/// Type of an `ErrorResponse`.
const ERROR_RESPONSE: u8 = b'E';
/// Fields of an `ErrorResponse` (PostgreSQL manual, "Error and Notice Message Fields").
const CODE: u8 = b'C';
const MESSAGE: u8 = b'M';

/// Filter of the messages of one session, which may arrive in any fragmentation.
#[derive(Default)]
pub(super) struct ErrorResponseFilter {
    /// Beginning of a message that is not complete: its header, or a whole `ErrorResponse`.
    held: Vec<u8>,
    /// Bytes of the current message that pass unchanged.
    passing: usize,
    errors: Arc<SessionErrors>,
}

impl ErrorResponseFilter {
    /// Creates a filter that records the codes in `errors`.
    pub(super) fn new(errors: Arc<SessionErrors>) -> Self {
        Self {
            errors,
            ..Self::default()
        }
    }

    /// Appends to `output` all of `input` that can be decided on.
    pub(super) fn push(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        loop {
            let (passed, rest) = input.split_at(self.passing.min(input.len()));
            output.extend_from_slice(passed);
            self.passing -= passed.len();
            input = self.hold(rest, HEADER_LENGTH);
            let Some(length) = message_length(&self.held) else {
                return;
            };
            if self.held.first() == Some(&ERROR_RESPONSE) && length <= MAX_LENGTH {
                input = self.hold(input, length);
                if self.held.len() < length {
                    return;
                }
                match add_code(&self.held) {
                    Some((code, changed)) => {
                        self.errors.record(&String::from_utf8_lossy(code));
                        output.extend_from_slice(&changed);
                    }
                    None => output.extend_from_slice(&self.held),
                }
            } else {
                output.extend_from_slice(&self.held);
                self.passing = length.saturating_sub(HEADER_LENGTH);
            }
            self.held.clear();
        }
    }

    /// Appends an incomplete message after the end of the stream.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>) {
        output.append(&mut self.held);
    }

    /// Moves bytes from `input` to `held` until it has `length`, and returns the rest.
    fn hold<'a>(&mut self, input: &'a [u8], length: usize) -> &'a [u8] {
        let missing = length.saturating_sub(self.held.len()).min(input.len());
        let (missing, rest) = input.split_at(missing);
        self.held.extend_from_slice(missing);
        rest
    }
}

/// Length of a message with its type, by its header; `None` while that is incomplete.
fn message_length(message: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*message.get(1..)?.first_chunk()?);
    Some(usize::try_from(length).ok()?.saturating_add(1))
}

/// Returns the code of an `ErrorResponse`, and the response with `code: ` in front of its message.
fn add_code(response: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let mut fields = Vec::new();
    let mut rest = response.get(HEADER_LENGTH..)?;
    while let Some((&kind, after)) = rest.split_first().filter(|(kind, _)| **kind != 0) {
        let end = after.iter().position(|byte| *byte == 0)?;
        fields.push((kind, after.get(..end)?));
        rest = after.get(end + 1..)?;
    }
    let code = fields.iter().find(|(kind, _)| *kind == CODE)?.1;
    let mut changed = vec![ERROR_RESPONSE, 0, 0, 0, 0];
    for (kind, value) in &fields {
        changed.push(*kind);
        if *kind == MESSAGE {
            changed.extend_from_slice(code);
            changed.extend_from_slice(b": ");
        }
        changed.extend_from_slice(value);
        changed.push(0);
    }
    changed.push(0);
    let length = u32::try_from(changed.len() - 1).ok()?.to_be_bytes();
    changed.get_mut(1..HEADER_LENGTH)?.copy_from_slice(&length);
    Some((code, changed))
}

/// Splits a message into the code in front of it and the text of the server.
pub(super) fn split_code(message: &str) -> Option<(&str, &str)> {
    let is_code_character = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    message
        .split_once(": ")
        .filter(|(code, _)| code.len() == 5 && code.bytes().all(is_code_character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    const LOCK_TIMEOUT: &[u8] =
        b"SFEHLER\0VERROR\0C55P03\0Mstorniere Anfrage\0Fpostgres.c\0L3000\0\0";
    const CHANGED: &[u8] =
        b"SFEHLER\0VERROR\0C55P03\0M55P03: storniere Anfrage\0Fpostgres.c\0L3000\0\0";

    fn filter(fragments: &[&[u8]]) -> Vec<u8> {
        let mut filter = ErrorResponseFilter::default();
        let mut output = Vec::new();
        for fragment in fragments {
            filter.push(fragment, &mut output);
        }
        filter.finish(&mut output);
        output
    }

    #[test]
    fn adds_code_to_message_in_any_fragmentation() {
        let row = message(b'D', b"E\0\0\0\x05 looks like an error");
        let ready = message(b'Z', b"E");
        let input = [row.clone(), message(b'E', LOCK_TIMEOUT), ready.clone()].concat();
        let expected = [row, message(b'E', CHANGED), ready].concat();
        for size in 1..=input.len() {
            let fragments: Vec<&[u8]> = input.chunks(size).collect();
            assert_eq!(filter(&fragments), expected, "in fragments of {size}");
        }
    }

    #[test]
    fn passes_every_other_stream_unchanged() {
        let without_code = message(b'E', b"Mno code\0\0");
        let unterminated = message(b'E', b"C55P03\0Mno end");
        let cut_off = &message(b'E', LOCK_TIMEOUT)[..20];
        // Postgres before 14 says so, without a length, if it can't start a process.
        let without_length = b"Ecould not fork new process for connection: out of memory\n\0";
        let notice = message(b'N', LOCK_TIMEOUT);
        for input in [
            &without_code,
            &unterminated,
            cut_off,
            without_length,
            &notice,
        ] {
            assert_eq!(filter(&[input]), input);
        }
    }

    #[test]
    fn splits_code_from_message() {
        assert_eq!(split_code("55P03: a: b"), Some(("55P03", "a: b")));
        for other in ["connection closed", "error: no", "55p03: x", "55P03 x", ""] {
            assert_eq!(split_code(other), None, "{other}");
        }
    }
}
