//! Users: accounts, sessions and their tokens.

mod accounts;
mod sessions;
mod token_forger;
mod unicode;
