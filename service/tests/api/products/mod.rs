//! Products: browsing, administration and stock.

mod administration;
mod browsing;
mod search;
mod stock;
