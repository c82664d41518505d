//! Classifies the error replies of Redis by their code.
//!
//! # Problem
//!
//! An error reply proves that a server responded, not that it is the right server. A primary that was demoted behind
//! the same address keeps its connections open, responds to every `PING` and rejects every write with `READONLY`. The
//! service looks healthy, and no event is published until the process is restarted.
//!
//! # How it works
//!
//! | class | codes | connection | circuit breaker |
//! |---|---|---|---|
//! | wrong server | `READONLY`, `MASTERDOWN`, `NOREPLICAS`, `MOVED`, `ASK`, `CROSSSLOT`, `CLUSTERDOWN`; no Redis reply at all | replaced | failure |
//! | unauthorized | `NOAUTH`, `WRONGPASS`, `NOPERM`, `DENIED` | replaced, logged as an error | failure |
//! | unable | `LOADING`, `BUSY`, `TRYAGAIN`, `OOM`, `MISCONF`, `ERR`, unknown codes | kept | failure |
//! | invalid request | `WRONGTYPE`, `NOSCRIPT`, `EXECABORT` without a cause, ... | kept | success |
//!
//! Whatever the class, the caller does without Redis, as if it were unavailable. A replaced connection resolves the
//! address again, so that the service follows a failover; `connection.rs` bounds the rate. The breaker opens after
//! some failures, and its probes find out when the server is able again. An invalid request is about one key: it says
//! nothing about the server, and must not keep the others from it.
//!
//! # Pitfalls
//!
//! - A transaction reports `EXECABORT`; the cause is the error of one of its commands.
//! - Redis before version 7 reports an error within a script as `ERR Error running script ...: -READONLY ...`.
//!
//! # Tests
//!
//! `service/tests/api/storage/redis_replies.rs`: `leaves_read_only_replica_for_new_primary`; the drill
//! `redis_read_only`.

use std::fmt;

use redis::{ErrorKind, RedisError, ServerError};

/// Consequence of an error for the connection and the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyClass {
    /// The server is not the primary that the service was configured for.
    WrongServer,
    /// The server does not accept the user, the password or a command of this user.
    Unauthorized,
    /// The right server cannot do its work now.
    Unable,
    /// The server is well, and this request is not valid for this key.
    InvalidRequest,
}

/// What an error reply means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) class: ReplyClass,
    /// The code of the reply, or a word for a response that is none.
    pub(super) code: String,
    /// The meaning of the code, for an operator.
    explanation: &'static str,
}

impl ReplyClass {
    /// Value of the span attribute `error.type`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::WrongServer => "wrong_server",
            Self::Unauthorized => "unauthorized",
            Self::Unable => "unable",
            Self::InvalidRequest => "invalid_request",
        }
    }

    /// Returns `true` if another connection may lead to a server that can do the work.
    pub(super) fn replaces_connection(self) -> bool {
        matches!(self, Self::WrongServer | Self::Unauthorized)
    }

    /// Returns `true` if other commands would fail too.
    pub(super) fn is_failure(self) -> bool {
        self != Self::InvalidRequest
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.explanation, self.code)
    }
}

/// Returns the meaning of an error, or `None` if no reply came.
pub(super) fn classify(error: &RedisError) -> Option<Reply> {
    if let Some(replies) = error.clone().into_server_errors() {
        let replies = replies
            .iter()
            .map(|(_, reply)| classify_code(&code_of(reply)));
        // Of several, the one with the most severe consequence.
        return replies
            .min_by_key(|reply| reply.class as u8)
            .or_else(|| Some(classify_code("EXECABORT")));
    }
    let (class, code, explanation) = match error.kind() {
        ErrorKind::AuthenticationFailed => (
            ReplyClass::Unauthorized,
            "AUTH",
            "the server rejects the user or the password",
        ),
        ErrorKind::Parse => (
            ReplyClass::WrongServer,
            "protocol error",
            "the server does not speak the protocol of Redis",
        ),
        ErrorKind::UnexpectedReturnType => (
            ReplyClass::WrongServer,
            "unexpected type",
            "the server responds with something else",
        ),
        // The set-up of a connection: `SELECT` of a database that is not there.
        ErrorKind::Server(kind) => return Some(classify_code(code_of_kind(kind))),
        _ => return None,
    };
    Some(Reply {
        class,
        code: code.to_owned(),
        explanation,
    })
}

fn code_of_kind(kind: redis::ServerErrorKind) -> &'static str {
    match kind {
        redis::ServerErrorKind::ReadOnly => "READONLY",
        redis::ServerErrorKind::MasterDown => "MASTERDOWN",
        redis::ServerErrorKind::BusyLoading => "LOADING",
        redis::ServerErrorKind::NoPerm => "NOPERM",
        _ => "ERR",
    }
}

/// Returns the code of a reply, or that of the error within a script.
fn code_of(reply: &ServerError) -> String {
    let nested = reply
        .details()
        .filter(|details| reply.code() == "ERR" && details.starts_with("Error running script"))
        .and_then(|details| details.rsplit_once(": -"))
        .and_then(|(_, nested)| nested.split(' ').next());
    nested.unwrap_or(reply.code()).to_owned()
}

fn classify_code(code: &str) -> Reply {
    use ReplyClass::{InvalidRequest, Unable, Unauthorized, WrongServer};
    let (class, explanation) = match code {
        "READONLY" => (WrongServer, "the server is a read-only replica"),
        "MASTERDOWN" => (WrongServer, "the server is a replica without its primary"),
        "NOREPLICAS" => (WrongServer, "the server has too few replicas for a write"),
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => {
            (WrongServer, "the server is a node of a cluster")
        }
        "NOAUTH" => (Unauthorized, "the server requires a password"),
        "WRONGPASS" => (Unauthorized, "the server rejects the user or the password"),
        "NOPERM" => (Unauthorized, "the user lacks a permission"),
        "DENIED" => (Unauthorized, "the server accepts local clients only"),
        "LOADING" => (Unable, "the server loads its data"),
        "BUSY" | "TRYAGAIN" => (Unable, "the server is busy"),
        "OOM" => (Unable, "the server is out of memory"),
        "MISCONF" => (Unable, "the server cannot save its data and rejects writes"),
        "WRONGTYPE" => (InvalidRequest, "the key holds data of another kind"),
        "NOSCRIPT" | "EXECABORT" | "NOTBUSY" | "NOSUB" | "INVALIDOBJ" | "BUSYKEY" => {
            (InvalidRequest, "the command is not valid")
        }
        _ => (Unable, "the server rejects the command"),
    };
    Reply {
        class,
        code: code.to_owned(),
        explanation,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::ReplyClass::{InvalidRequest, Unable, Unauthorized, WrongServer};
    use super::*;

    fn parsed(line: &str) -> RedisError {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        reply.extract_error().unwrap_err()
    }

    #[test]
    fn classifies_replies_by_code() {
        let cases = [
            (
                "READONLY You can't write against a read only replica.",
                WrongServer,
            ),
            ("MASTERDOWN Link with MASTER is down", WrongServer),
            ("NOREPLICAS Not enough good replicas to write.", WrongServer),
            ("MOVED 3999 127.0.0.1:6381", WrongServer),
            ("ASK 3999 127.0.0.1:6381", WrongServer),
            ("CLUSTERDOWN The cluster is down", WrongServer),
            ("NOAUTH Authentication required.", Unauthorized),
            ("WRONGPASS invalid username-password pair", Unauthorized),
            ("NOPERM this user has no permissions", Unauthorized),
            ("DENIED Redis is running in protected mode", Unauthorized),
            ("LOADING Redis is loading the dataset in memory", Unable),
            ("BUSY Redis is busy running a script", Unable),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Unable,
            ),
            ("MISCONF Redis is configured to save RDB snapshots", Unable),
            ("ERR unknown command 'EVALSHA'", Unable),
            ("NEWCODE of a later version", Unable),
            ("WRONGTYPE Operation against a key", InvalidRequest),
        ];
        for (line, class) in cases {
            let reply = classify(&parsed(line)).unwrap();
            assert_eq!(reply.class, class, "{line}");
            assert_eq!(reply.code, line.split(' ').next().unwrap());
        }
    }

    #[test]
    fn finds_code_of_error_within_script() {
        let line = "ERR Error running script (call to f_1): @user_script:8: -READONLY You can't \
                    write against a read only replica.";
        let reply = classify(&parsed(line)).unwrap();
        assert_eq!((reply.class, &*reply.code), (WrongServer, "READONLY"));
        let own = classify(&parsed("ERR Error running script: user_script:1: a fault")).unwrap();
        assert_eq!((own.class, &*own.code), (Unable, "ERR"));
    }

    #[test]
    fn no_reply_has_no_class() {
        let refused = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(classify(&refused), None);
    }
}
