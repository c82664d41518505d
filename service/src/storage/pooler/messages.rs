//! Messages of the Postgres protocol, as bytes.

/// A message with its tag; `bytes` has all of it.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) tag: u8,
    pub(super) bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Splits the first complete message off `input`.
    pub(super) fn split_first(input: &mut &'a [u8]) -> Option<Self> {
        let tag = *input.first()?;
        let end = 1 + message_length(input.get(1..5)?);
        let bytes = input.get(..end)?;
        *input = input.get(end..)?;
        Some(Self { tag, bytes })
    }

    /// Returns what follows the tag and the length.
    pub(super) fn body(self) -> &'a [u8] {
        self.bytes.get(5..).unwrap_or_default()
    }
}

/// Splits the first message of a connection off `input`: it has no tag.
pub(super) fn split_startup<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = message_length(input.get(..4)?);
    let bytes = input.get(..end)?;
    *input = input.get(end..)?;
    Some(bytes)
}

/// Returns the length in a header, which counts itself.
fn message_length(header: &[u8]) -> usize {
    let length = header
        .iter()
        .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    length.max(4)
}

/// Splits a text that ends with a zero byte off `body`, without that byte.
pub(super) fn split_text<'a>(body: &mut &'a [u8]) -> &'a [u8] {
    let end = body
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(body.len());
    let text = body.get(..end).unwrap_or_default();
    *body = body.get(end + 1..).unwrap_or_default();
    text
}

/// Appends a message made of `parts`.
pub(super) fn push_message(output: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    let length: usize = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    output.push(tag);
    // The parts come from a message of this length or are far shorter.
    output.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    for part in parts {
        output.extend_from_slice(part);
    }
}
