//! One file for each command.

pub(crate) mod bench;
pub(crate) mod clean_data;
pub(crate) mod drills;
pub(crate) mod fork;
pub(crate) mod load;
pub(crate) mod run;
pub(crate) mod services;
pub(crate) mod test_backup;
pub(crate) mod test_contract;
