//! Taking a request apart: each extractor knows one thing and rejects it with a
//! problem.

mod fields;
mod id;
mod idempotency;
mod identity;
mod json;
mod query;

pub(crate) use fields::{FieldErrors, WHOLE_NUMBER};
pub(crate) use id::PathId;
pub(crate) use idempotency::IdempotencyKeyHeader;
pub(crate) use identity::{AuthenticatedAdmin, AuthenticatedUser, authenticate};
pub(crate) use json::JsonBody;
pub(crate) use query::Query;
