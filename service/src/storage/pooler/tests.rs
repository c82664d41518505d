//! The messages that a pooler and tokio-postgres see.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use super::messages::{Message, push_message, split_text};
use super::protocol::PoolerProtocol;
use super::requests::{TransactionEffect, TransactionStart};

/// A connection after its start.
struct Connection(PoolerProtocol);

impl Connection {
    fn start() -> Self {
        let start = TransactionStart::new(&[
            ("default_transaction_isolation", "read committed".to_owned()),
            ("x", "it's".to_owned()),
        ]);
        let mut protocol = PoolerProtocol::new(Arc::new(start));
        let mut startup = Vec::new();
        let message = [0, 0, 0, 9, 0, 3, 0, 0, 0];
        protocol.rewrite_requests(&message, &mut startup);
        assert_eq!(startup, message);
        let mut connection = Self(protocol);
        assert_eq!(connection.receive(&["R", "S", "K", "Z:I"]), "R S K Z:I");
        connection
    }

    /// Sends messages, byte by byte, and returns those that the pooler gets.
    fn send(&mut self, messages: &[&[u8]]) -> String {
        let mut output = Vec::new();
        for byte in messages.concat() {
            self.0.rewrite_requests(&[byte], &mut output);
        }
        describe(&output)
    }

    /// Receives messages, byte by byte, and returns those that tokio-postgres gets.
    fn receive(&mut self, messages: &[&str]) -> String {
        let mut input = Vec::new();
        for message in messages {
            let (tag, body) = message.split_once(':').unwrap_or((message, ""));
            push_message(&mut input, tag.as_bytes()[0], &[body.as_bytes()]);
        }
        let mut output = Vec::new();
        for byte in input {
            output.extend(self.0.rewrite_responses(&[byte]));
        }
        describe(&output)
    }
}

/// Names the tags, and the texts of what is not binary.
fn describe(mut bytes: &[u8]) -> String {
    let mut messages = Vec::new();
    while let Some(message) = Message::split_first(&mut bytes) {
        let tag = char::from(message.tag);
        let mut body = message.body();
        let first = String::from_utf8(split_text(&mut body).to_vec()).unwrap();
        let second = String::from_utf8(split_text(&mut body).to_vec()).unwrap();
        messages.push(match tag {
            'P' | 'B' => format!("{tag}:{first}/{second}"),
            _ if first.is_empty() => tag.to_string(),
            _ => format!("{tag}:{first}"),
        });
    }
    assert!(bytes.is_empty());
    messages.join(" ")
}

fn message(tag: u8, body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_message(&mut bytes, tag, &[body.as_bytes()]);
    bytes
}

fn query(text: &str) -> Vec<u8> {
    message(b'Q', &format!("{text}\0"))
}

fn prepare(name: &str, text: &str) -> Vec<u8> {
    let parse = message(b'P', &format!("{name}\0{text}\0\0\0"));
    [
        parse,
        message(b'D', &format!("S{name}\0")),
        message(b'S', ""),
    ]
    .concat()
}

fn execute(name: &str) -> Vec<u8> {
    let bind = message(b'B', &format!("\0{name}\0values"));
    [bind, message(b'E', "\0\0\0\0\0"), message(b'S', "")].concat()
}

const BEGIN: &str =
    "Q:BEGIN; SET LOCAL transaction_isolation = 'read committed'; SET LOCAL x = 'it''s'";

#[test]
fn statement_is_parsed_in_batch_that_executes_it() {
    let mut connection = Connection::start();
    assert_eq!(connection.send(&[&query("BEGIN")]), BEGIN);
    assert_eq!(
        connection.receive(&["C:BEGIN", "C:SET", "Z:T"]),
        "C:BEGIN C:SET Z:T"
    );
    assert_eq!(
        connection.send(&[&prepare("s3", "SELECT 1")]),
        "P:/SELECT 1 D:S S"
    );
    assert_eq!(connection.receive(&["1", "t", "T", "Z:T"]), "1 t T Z:T");
    for _ in 0..2 {
        assert_eq!(connection.send(&[&execute("s3")]), "P:/SELECT 1 B:/ E S");
        assert_eq!(
            connection.receive(&["1", "2", "D", "C", "Z:T"]),
            "2 D C Z:T"
        );
    }
    let close = [message(b'C', "Ss3\0"), message(b'S', "")].concat();
    assert_eq!(connection.send(&[&close]), "C:S S");
    assert_eq!(connection.receive(&["3", "Z:T"]), "3 Z:T");
}

#[test]
fn statement_outside_transaction_gets_one() {
    let mut connection = Connection::start();
    let expected = format!("{BEGIN} P:/SELECT 1 D:S S Q:COMMIT");
    assert_eq!(connection.send(&[&prepare("s3", "SELECT 1")]), expected);
    let received = ["C", "Z:T", "1", "t", "T", "Z:T", "C", "Z:I"];
    assert_eq!(connection.receive(&received), "1 t T Z:I");
    let expected = format!("{BEGIN} P:/SELECT 1 B:/ E S Q:COMMIT");
    assert_eq!(connection.send(&[&execute("s3")]), expected);
    let received = ["C", "Z:T", "1", "2", "D", "C", "Z:T", "C", "Z:I"];
    assert_eq!(connection.receive(&received), "2 D C Z:I");
    let expected = format!("{BEGIN} Q:NOTIFY jobs Q:COMMIT");
    assert_eq!(connection.send(&[&query("NOTIFY jobs")]), expected);
    assert_eq!(
        connection.receive(&["C", "Z:T", "C:NOTIFY", "Z:T", "C", "Z:I"]),
        "C:NOTIFY Z:I"
    );
}

#[test]
fn rows_wait_for_commit() {
    let mut connection = Connection::start();
    connection.send(&[&query("INSERT")]);
    assert_eq!(connection.receive(&["C", "Z:T", "D", "C", "Z:T"]), "");
    assert_eq!(connection.receive(&["C", "Z:I"]), "D C Z:I");

    connection.send(&[&query("INSERT")]);
    let failed_commit = ["C", "Z:T", "D", "C", "Z:T", "E:commit", "Z:I"];
    assert_eq!(connection.receive(&failed_commit), "E:commit Z:I");
}

#[test]
fn first_error_is_the_only_one() {
    let mut connection = Connection::start();
    connection.send(&[&query("SELECT")]);
    let failed_begin = ["E:begin", "Z:E", "E:aborted", "Z:E", "C:ROLLBACK", "Z:I"];
    assert_eq!(connection.receive(&failed_begin), "E:begin Z:I");
    connection.send(&[&query("SELECT")]);
    let failed_statement = ["C", "Z:T", "D", "E:statement", "Z:E", "C:ROLLBACK", "Z:I"];
    assert_eq!(connection.receive(&failed_statement), "E:statement Z:I");
    connection.send(&[&query("SELECT")]);
    assert_eq!(
        connection.receive(&["C", "Z:T", "D", "C", "Z:T", "C", "Z:I"]),
        "D C Z:I"
    );
}

#[test]
fn fatal_error_is_passed_on_immediately() {
    let mut connection = Connection::start();
    connection.send(&[&query("SELECT")]);
    assert_eq!(
        connection.receive(&["E:query_wait_timeout"]),
        "E:query_wait_timeout"
    );
}

#[test]
fn notices_and_notifications_overtake_rows() {
    let mut connection = Connection::start();
    connection.send(&[&query("SELECT")]);
    let received = [
        "N:begin", "C", "Z:T", "D", "N:notice", "S", "A", "C", "Z:T", "C", "Z:I",
    ];
    assert_eq!(
        connection.receive(&received),
        "N:begin N:notice S A D C Z:I"
    );
}

#[test]
fn pipelined_transaction_is_not_nested() {
    let mut connection = Connection::start();
    connection.send(&[&prepare("s1", "COMMIT"), &prepare("s2", "INSERT")]);
    let prepared = ["C", "Z:T", "1", "t", "n", "Z:T", "C", "Z:I"].repeat(2);
    connection.receive(&prepared);
    let sent = connection.send(&[
        &query("BEGIN"),
        &execute("s2"),
        &execute("s2"),
        &execute("s1"),
    ]);
    let insert = "P:/INSERT B:/ E S";
    assert_eq!(sent, format!("{BEGIN} {insert} {insert} P:/COMMIT B:/ E S"));
    // What comes behind the commit is outside, also before its response.
    let after = connection.send(&[&query("SELECT 1")]);
    assert_eq!(after, format!("{BEGIN} Q:SELECT 1 Q:COMMIT"));
    let responses = [
        "C", "Z:T", "1", "2", "C", "Z:T", "1", "2", "C", "Z:T", "1", "2", "C", "Z:I",
    ];
    assert_eq!(
        connection.receive(&responses),
        "C Z:T 2 C Z:T 2 C Z:T 2 C Z:I"
    );
    let responses = ["C", "Z:T", "D", "C", "Z:T", "C", "Z:I"];
    assert_eq!(connection.receive(&responses), "D C Z:I");
}

#[test]
fn savepoints_stay_in_their_transaction() {
    let mut connection = Connection::start();
    let begin = connection.send(&[&query("BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE")]);
    assert_eq!(
        begin,
        "Q:BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE; SET LOCAL x = 'it''s'"
    );
    for text in [
        "SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "RELEASE SAVEPOINT a",
        "SELECT 1",
    ] {
        assert_eq!(connection.send(&[&query(text)]), format!("Q:{text}"));
    }
    assert_eq!(connection.send(&[&query("ROLLBACK")]), "Q:ROLLBACK");
    let several = connection.send(&[&query("BEGIN; SELECT 1")]);
    assert_eq!(several, format!("{BEGIN}; SELECT 1"));
    assert_eq!(connection.send(&[&query("END")]), "Q:END");
    assert!(connection.send(&[&query("SELECT 1")]).starts_with(BEGIN));
}

#[test]
fn server_says_whether_transaction_is_open() {
    let mut connection = Connection::start();
    connection.send(&[&query("BEGIN")]);
    connection.receive(&["E:no BEGIN", "Z:I"]);
    assert!(connection.send(&[&query("SELECT 1")]).starts_with(BEGIN));
}

#[test]
fn recognizes_statements_that_end_transactions() {
    let effect = |text: &str| TransactionEffect::of(text.as_bytes());
    for text in [
        "COMMIT",
        " commit;",
        "END",
        "ABORT",
        "ROLLBACK",
        "rollback work",
    ] {
        assert_eq!(effect(text), TransactionEffect::Ends, "{text}");
    }
    for text in [
        "begin",
        "BEGIN;",
        "START TRANSACTION",
        "BEGIN; LOCK TABLE products",
    ] {
        assert_eq!(effect(text), TransactionEffect::Begins, "{text}");
    }
    for text in [
        "",
        "SELECT 1",
        "ROLLBACK TO a",
        "rollback work to savepoint a",
        "commit_log",
    ] {
        assert_eq!(effect(text), TransactionEffect::None, "{text}");
    }
}
