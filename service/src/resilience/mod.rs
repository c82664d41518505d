//! General patterns for a world in which things fail, one a file.

pub mod backoff;
