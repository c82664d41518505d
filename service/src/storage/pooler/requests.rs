//! Rewrites what tokio-postgres sends.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::messages::{Message, push_message, split_startup, split_text};
use super::responses::{ResponsePart, Responses};

/// The session parameters, as statements at the beginning of each transaction.
#[derive(Debug)]
pub(in crate::storage) struct TransactionStart {
    /// Sets the isolation level, unless `BEGIN` names another one.
    set_isolation: String,
    set_others: String,
}

impl TransactionStart {
    /// Returns one that sets the parameters of a session for the transaction.
    pub(in crate::storage) fn new(parameters: &[(&str, String)]) -> Self {
        let (mut set_isolation, mut set_others) = (String::new(), String::new());
        for (name, value) in parameters {
            let (statements, name) = match name.strip_prefix("default_") {
                Some(name @ "transaction_isolation") => (&mut set_isolation, name),
                _ => (&mut set_others, *name),
            };
            let value = value.replace('\'', "''");
            let _infallible = write!(statements, "; SET LOCAL {name} = '{value}'");
        }
        Self {
            set_isolation,
            set_others,
        }
    }

    /// Returns `text`, which is `BEGIN` and perhaps more, with the parameters behind the `BEGIN`.
    fn extend(&self, text: &[u8]) -> Vec<u8> {
        let end = text.iter().position(|byte| *byte == b';');
        let (begin, rest) = text.split_at(end.unwrap_or(text.len()));
        let names_isolation = words(begin).any(|word| word == b"ISOLATION");
        let set_isolation = if names_isolation {
            ""
        } else {
            &self.set_isolation
        };
        [
            begin,
            set_isolation.as_bytes(),
            self.set_others.as_bytes(),
            rest,
        ]
        .concat()
    }
}

/// A statement that tokio-postgres has prepared.
struct PreparedStatement {
    /// The text and the types of its parameters, as in `Parse`.
    definition: Vec<u8>,
    ends_transaction: bool,
}

/// Messages on their way to the pooler.
pub(super) struct Requests {
    start: Arc<TransactionStart>,
    is_started: bool,
    /// What is left of an incomplete message.
    incomplete: Vec<u8>,
    /// The messages since the last `Sync`.
    batch: Batch,
    prepared: HashMap<Vec<u8>, PreparedStatement>,
    /// Returns `true` from the `BEGIN` that is sent to the `COMMIT` that is sent.
    pub(super) in_transaction: bool,
}

/// Messages of the extended protocol, which end with `Sync`.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// The statement that `Parse` without a name defines at this point.
    has_parse: bool,
    hides_parse_complete: bool,
    /// Returns `true` unless the batch only closes statements.
    runs: bool,
    ends_transaction: bool,
}

impl Requests {
    pub(super) fn new(start: Arc<TransactionStart>) -> Self {
        Self {
            start,
            is_started: false,
            incomplete: Vec::new(),
            batch: Batch::default(),
            prepared: HashMap::new(),
            in_transaction: false,
        }
    }

    /// Rewrites `input` to `output`, and announces the responses.
    pub(super) fn rewrite(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        responses: &mut Responses,
    ) {
        let mut pending = std::mem::take(&mut self.incomplete);
        pending.extend_from_slice(input);
        let mut rest = pending.as_slice();
        if !self.is_started
            && let Some(startup) = split_startup(&mut rest)
        {
            self.is_started = true;
            output.extend_from_slice(startup);
            responses.expect(ResponsePart::Whole, false);
        }
        if self.is_started {
            while let Some(message) = Message::split_first(&mut rest) {
                self.rewrite_message(message, output, responses);
            }
        }
        self.incomplete = rest.to_vec();
    }

    fn rewrite_message(
        &mut self,
        message: Message<'_>,
        output: &mut Vec<u8>,
        responses: &mut Responses,
    ) {
        match message.tag {
            b'P' => self.parse(message.body()),
            b'B' => self.bind(message.body()),
            b'D' => self.describe(message),
            b'C' => self.close(message.body()),
            b'E' | b'H' => {
                self.batch.runs = true;
                self.batch.bytes.extend_from_slice(message.bytes);
            }
            b'S' => self.sync(message, output, responses),
            b'Q' => self.simple_query(message, output, responses),
            // A password, data of `COPY`, or the end of the connection.
            _ => output.extend_from_slice(message.bytes),
        }
    }

    fn parse(&mut self, mut body: &[u8]) {
        let name = split_text(&mut body);
        if !name.is_empty() {
            let statement = PreparedStatement {
                definition: body.to_vec(),
                ends_transaction: TransactionEffect::of(split_text(&mut &*body)).ends(),
            };
            self.prepared.insert(name.to_vec(), statement);
        }
        push_message(&mut self.batch.bytes, b'P', &[b"\0", body]);
        self.batch.has_parse = true;
        self.batch.runs = true;
    }

    fn bind(&mut self, mut body: &[u8]) {
        let portal = split_text(&mut body);
        let name = split_text(&mut body);
        self.define(name);
        if let Some(statement) = self.prepared.get(name) {
            self.batch.ends_transaction = statement.ends_transaction;
        }
        push_message(&mut self.batch.bytes, b'B', &[portal, b"\0", b"\0", body]);
        self.batch.runs = true;
    }

    fn describe(&mut self, message: Message<'_>) {
        self.batch.runs = true;
        match message.body().split_first() {
            Some((b'S', mut name)) => {
                self.define(split_text(&mut name));
                push_message(&mut self.batch.bytes, b'D', &[b"S\0"]);
            }
            _ => self.batch.bytes.extend_from_slice(message.bytes),
        }
    }

    fn close(&mut self, mut body: &[u8]) {
        if let Some(b'S') = body.split_off_first() {
            self.prepared.remove(split_text(&mut body));
            push_message(&mut self.batch.bytes, b'C', &[b"S\0"]);
        } else {
            push_message(&mut self.batch.bytes, b'C', &[b"P", body]);
        }
    }

    /// Sends the definition of a prepared statement along, unless this batch has it.
    fn define(&mut self, name: &[u8]) {
        if self.batch.has_parse {
            return;
        }
        if let Some(statement) = self.prepared.get(name) {
            push_message(&mut self.batch.bytes, b'P', &[b"\0", &statement.definition]);
            self.batch.has_parse = true;
            self.batch.hides_parse_complete = true;
        }
    }

    fn sync(&mut self, sync: Message<'_>, output: &mut Vec<u8>, responses: &mut Responses) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.bytes.extend_from_slice(sync.bytes);
        if batch.runs && !self.in_transaction {
            self.run_in_transaction(&batch.bytes, batch.hides_parse_complete, output, responses);
            return;
        }
        output.extend_from_slice(&batch.bytes);
        responses.expect(ResponsePart::Whole, batch.hides_parse_complete);
        if batch.ends_transaction {
            self.in_transaction = false;
        }
    }

    fn simple_query(
        &mut self,
        query: Message<'_>,
        output: &mut Vec<u8>,
        responses: &mut Responses,
    ) {
        let text = split_text(&mut query.body());
        match TransactionEffect::of(text) {
            TransactionEffect::Begins if !self.in_transaction => {
                push_query(output, &self.start.extend(text));
                responses.expect(ResponsePart::Whole, false);
                self.in_transaction = true;
            }
            TransactionEffect::None if !self.in_transaction => {
                self.run_in_transaction(query.bytes, false, output, responses);
            }
            effect => {
                output.extend_from_slice(query.bytes);
                responses.expect(ResponsePart::Whole, false);
                self.in_transaction &= !effect.ends();
            }
        }
    }

    fn run_in_transaction(
        &self,
        statement: &[u8],
        hides_parse_complete: bool,
        output: &mut Vec<u8>,
        responses: &mut Responses,
    ) {
        push_query(output, &self.start.extend(b"BEGIN"));
        responses.expect(ResponsePart::Begin, false);
        output.extend_from_slice(statement);
        responses.expect(ResponsePart::Statement, hides_parse_complete);
        push_query(output, b"COMMIT");
        responses.expect(ResponsePart::Commit, false);
    }
}

fn push_query(output: &mut Vec<u8>, text: &[u8]) {
    push_message(output, b'Q', &[text, b"\0"]);
}

/// Splits a statement into words, in upper case.
fn words(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        .filter(|word| !word.is_empty())
        .map(<[u8]>::to_ascii_uppercase)
}

/// The effect of a statement on the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionEffect {
    Begins,
    Ends,
    None,
}

impl TransactionEffect {
    /// Returns the effect of a statement, by its first words.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut words = words(text);
        match words.next().as_deref() {
            Some(b"BEGIN" | b"START") => Self::Begins,
            Some(b"COMMIT" | b"END" | b"ABORT") => Self::Ends,
            // `ROLLBACK TO SAVEPOINT` stays in the transaction.
            Some(b"ROLLBACK") if !words.any(|word| word == b"TO") => Self::Ends,
            _ => Self::None,
        }
    }

    fn ends(self) -> bool {
        self == Self::Ends
    }
}
