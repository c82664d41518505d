//! One file for each command.

pub(crate) mod bench;
pub(crate) mod clean_data;
pub(crate) mod drills;
pub(crate) mod load;
pub(crate) mod run;
pub(crate) mod services;
