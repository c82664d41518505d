//! Real servers: they start, stop, and leave nothing behind, however their owner ends.

mod checkout;
mod servers;
mod services;
