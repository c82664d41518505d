//! The cache: read-through, invalidation, outages, several replicas, shutdown.

mod invalidation;
mod outages;
mod read_through;
mod replicas;
mod shutdown;
