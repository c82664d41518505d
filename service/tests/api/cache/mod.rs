//! The cache: read-through, invalidation, outages, several replicas, the
//! product list in Redis, shutdown.

mod invalidation;
mod outages;
mod product_list;
mod read_through;
mod replicas;
mod shutdown;
