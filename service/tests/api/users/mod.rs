//! Users: accounts, sessions and their tokens.

mod accounts;
mod jwt;
mod sessions;
