//! TLS: the API, Postgres and Redis.

mod postgres;
mod redis;
mod server;
