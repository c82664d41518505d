//! The job queue: any kind of job, the expiry of unpaid orders, and a rolling upgrade to it.

mod expiry;
mod queue;
mod rolling_upgrade;
mod upgrade_locks;
