//! The boundaries of HTTP/1.1 messages in a stream of bytes (RFC 9112, sections 2.2, 6 and 7.1).
//!
//! These scanners find where a head or a body ends, and nothing else; the parser of actix-http reads the same bytes
//! afterwards and decides whether they are valid.

/// Largest head, with the empty lines before it. The parser of actix-http has the same limit, but looks at it only when
/// its buffer is full, whose size depends on earlier requests.
const MAX_HEAD_BYTES: usize = 128 * 1024;

/// A message that breaks its framing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FramingError {
    HeadTooLarge,
    InvalidChunk,
}

/// Finds the end of a request head: an empty line, after the empty lines that may precede a request line.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    state: HeadState,
    length: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum HeadState {
    /// Nothing but empty lines arrived.
    #[default]
    Empty,
    /// Inside of a line.
    Line,
    /// A line ended.
    LineEnd,
    /// A CR after the end of a line.
    LineEndCr,
}

impl HeadScanner {
    /// Returns `true` after the first byte of a head.
    pub(super) fn has_started(&self) -> bool {
        self.state != HeadState::Empty
    }

    /// Reads `bytes` and returns the number of them up to the end of the head, if it is there.
    ///
    /// # Errors
    /// Returns an error if the head is too large.
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, FramingError> {
        let end = self.find_empty_line(bytes);
        self.length += end.unwrap_or(bytes.len());
        match self.length > MAX_HEAD_BYTES {
            true => Err(FramingError::HeadTooLarge),
            false => Ok(end),
        }
    }

    fn find_empty_line(&mut self, bytes: &[u8]) -> Option<usize> {
        for (index, byte) in bytes.iter().enumerate() {
            self.state = match (&self.state, byte) {
                (HeadState::Empty, b'\r' | b'\n') => HeadState::Empty,
                (HeadState::LineEnd | HeadState::LineEndCr, b'\n') => return Some(index + 1),
                (HeadState::LineEnd, b'\r') => HeadState::LineEndCr,
                (HeadState::Line, b'\n') => HeadState::LineEnd,
                _ => HeadState::Line,
            };
        }
        None
    }
}

/// Finds the end of a request body.
#[derive(Debug)]
pub(super) enum BodyScanner {
    /// `Content-Length`: bytes that are still to come.
    Length(u64),
    /// `Transfer-Encoding: chunked`
    Chunked(ChunkState),
    /// The connection ends with the body, as after CONNECT.
    UntilClose,
}

/// Place within a chunked body.
#[derive(Debug)]
pub(super) enum ChunkState {
    /// Before the first digit of a size.
    Start,
    Size(u64),
    /// White space behind a size.
    SizePadding(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    /// Start of a trailer line, or of the empty line at the end.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

impl BodyScanner {
    /// Returns a scanner for a chunked body.
    pub(super) fn chunked() -> Self {
        Self::Chunked(ChunkState::Start)
    }

    /// Reads `bytes` and returns the number of them up to the end of the body, if it is there.
    ///
    /// # Errors
    /// Returns an error if the chunks are invalid.
    pub(super) fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, FramingError> {
        match self {
            Self::UntilClose => Ok(None),
            Self::Length(remaining) => {
                let taken =
                    usize::try_from(*remaining).map_or(bytes.len(), |it| it.min(bytes.len()));
                *remaining -= taken as u64;
                Ok((*remaining == 0).then_some(taken))
            }
            Self::Chunked(state) => state.find_end(bytes),
        }
    }
}

impl ChunkState {
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, FramingError> {
        let mut index = 0;
        while let Some(byte) = bytes.get(index) {
            if let Self::Data(remaining) = self {
                let available = bytes.len() - index;
                let taken = usize::try_from(*remaining).map_or(available, |it| it.min(available));
                *remaining -= taken as u64;
                index += taken;
                if *remaining == 0 {
                    *self = Self::DataCr;
                }
                continue;
            }
            index += 1;
            match self.next(*byte)? {
                Some(next) => *self = next,
                None => return Ok(Some(index)),
            }
        }
        Ok(None)
    }

    /// Returns the state after `byte`, or `None` at the end of the body. Accepts what the parser of actix-http accepts,
    /// and rejects what it rejects.
    fn next(&self, byte: u8) -> Result<Option<Self>, FramingError> {
        let next = match (self, byte) {
            (Self::Start, _) => Self::Size(hex_digit(byte)?),
            (Self::Size(size) | Self::SizePadding(size), b'\t' | b' ') => Self::SizePadding(*size),
            (Self::Size(size) | Self::SizePadding(size), b';') => Self::Extension(*size),
            (Self::Size(size) | Self::SizePadding(size) | Self::Extension(size), b'\r') => {
                Self::SizeLf(*size)
            }
            (Self::Size(size), _) => {
                let shifted = size.checked_mul(16).ok_or(FramingError::InvalidChunk)?;
                Self::Size(shifted + hex_digit(byte)?)
            }
            (Self::Extension(size), b'\t' | 0x20..=0x7e | 0x80..) => Self::Extension(*size),
            (Self::SizeLf(0), b'\n') | (Self::TrailerLf, b'\n') => Self::TrailerStart,
            (Self::SizeLf(size), b'\n') => Self::Data(*size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::TrailerStart, b'\r') => Self::EndLf,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            (Self::EndLf, b'\n') => return Ok(None),
            _ => return Err(FramingError::InvalidChunk),
        };
        Ok(Some(next))
    }
}

fn hex_digit(byte: u8) -> Result<u64, FramingError> {
    let digit = char::from(byte)
        .to_digit(16)
        .ok_or(FramingError::InvalidChunk)?;
    Ok(digit.into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The number of bytes up to the end, whatever the pieces in which the bytes arrive.
    fn end_in_pieces(
        bytes: &[u8],
        piece: usize,
        mut find_end: impl FnMut(&[u8]) -> Result<Option<usize>, FramingError>,
    ) -> Result<Option<usize>, FramingError> {
        let mut before = 0;
        for piece in bytes.chunks(piece) {
            if let Some(end) = find_end(piece)? {
                return Ok(Some(before + end));
            }
            before += piece.len();
        }
        Ok(None)
    }

    fn head_end(bytes: &[u8], piece: usize) -> Option<usize> {
        let mut scanner = HeadScanner::default();
        end_in_pieces(bytes, piece, |bytes| scanner.find_end(bytes)).unwrap()
    }

    fn chunked_end(bytes: &[u8], piece: usize) -> Result<Option<usize>, FramingError> {
        let mut scanner = BodyScanner::chunked();
        end_in_pieces(bytes, piece, |bytes| scanner.find_end(bytes))
    }

    #[test]
    fn head_ends_after_empty_line() {
        for (head, rest) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "GET /next"),
            ("GET / HTTP/1.1\nhost: a\n\n", "body"),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n", ""),
            ("\r\n\n\r\nGET / HTTP/1.1\r\n\r\n", "\r\n"),
            ("PRI * HTTP/2.0\r\n\r\n", "SM\r\n\r\n"),
        ] {
            let bytes = format!("{head}{rest}").into_bytes();
            for piece in 1..=bytes.len() {
                assert_eq!(
                    head_end(&bytes, piece),
                    Some(head.len()),
                    "{head:?} {piece}"
                );
            }
        }
        for unfinished in [
            "",
            "\r\n\r\n\r\n",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\na: b\r\n\r",
        ] {
            assert_eq!(head_end(unfinished.as_bytes(), 3), None, "{unfinished:?}");
        }
    }

    #[test]
    fn head_starts_with_first_byte_that_is_no_line_end() {
        let mut scanner = HeadScanner::default();
        assert_eq!(scanner.find_end(b"\r\n\r\n"), Ok(None));
        assert!(!scanner.has_started());
        assert_eq!(scanner.find_end(b"G"), Ok(None));
        assert!(scanner.has_started());
    }

    #[test]
    fn rejects_head_over_limit_whatever_its_lines() {
        let line = format!("x: {}\r\n\r\n", "y".repeat(MAX_HEAD_BYTES - 7));
        for (bytes, expected) in [
            (line.as_bytes(), Ok(Some(MAX_HEAD_BYTES))),
            (
                [b"y", line.as_bytes()].concat().as_slice(),
                Err(FramingError::HeadTooLarge),
            ),
            (
                b"\r\n".repeat(MAX_HEAD_BYTES).as_slice(),
                Err(FramingError::HeadTooLarge),
            ),
        ] {
            let mut scanner = HeadScanner::default();
            let end = end_in_pieces(bytes, 1000, |bytes| scanner.find_end(bytes));
            assert_eq!(end, expected);
        }
    }

    #[test]
    fn body_with_length_ends_after_that_many_bytes() {
        let mut scanner = BodyScanner::Length(5);
        assert_eq!(scanner.find_end(b"abc"), Ok(None));
        assert_eq!(scanner.find_end(b"deGET /"), Ok(Some(2)));
    }

    #[test]
    fn chunked_body_ends_after_last_chunk_and_trailers() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "a;name=value\r\n0123456789\r\n00 \t;x\r\n\r\n",
            "1\r\n\n\r\n0\r\nexpires: never\r\nx: y\r\n\r\n",
        ] {
            let bytes = format!("{body}GET / HTTP/1.1\r\n\r\n").into_bytes();
            for piece in 1..=bytes.len() {
                assert_eq!(
                    chunked_end(&bytes, piece),
                    Ok(Some(body.len())),
                    "{body:?} {piece}"
                );
            }
        }
    }

    #[test]
    fn rejects_invalid_chunks() {
        for body in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "1\nA",
            "1\r\nAB\r\n",
            "1\r\nA\n",
            "1 2\r\n",
            "11111111111111111\r\n",
            "1;\0\r\n",
            "0\r\n\rx",
            "0\r\nx: y\rz",
        ] {
            assert_eq!(
                chunked_end(body.as_bytes(), 2),
                Err(FramingError::InvalidChunk),
                "{body:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn end_does_not_depend_on_pieces(bytes: Vec<u8>, piece in 1..40_usize) {
            let whole = bytes.len().max(1);
            prop_assert_eq!(head_end(&bytes, piece), head_end(&bytes, whole));
            let (pieces, at_once) = (chunked_end(&bytes, piece), chunked_end(&bytes, whole));
            prop_assert_eq!(pieces, at_once);
        }
    }
}
