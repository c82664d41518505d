//! The registry: creates, describes and gathers every metric.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Registry, Result};

use super::MetricDescription;
use super::declaration::{Declaration, MetricType};

/// All metrics of a service. Clones are the same registry.
#[derive(Clone, Default)]
pub struct MetricRegistry {
    registry: Registry,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    descriptions: Vec<MetricDescription>,
    refreshers: Vec<Box<dyn Fn() + Send>>,
}

impl MetricRegistry {
    /// Creates a metric and registers it.
    pub(super) fn create<M: MetricType>(&self, declaration: Declaration<'_>) -> Result<M> {
        let metric: M = declaration.create()?;
        self.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// Registers a metric that another library declares.
    pub(super) fn register(&self, collector: Box<dyn Collector>) -> Result<()> {
        let descriptions = MetricDescription::of(collector.as_ref());
        self.registry.register(collector)?;
        self.state().descriptions.extend(descriptions);
        Ok(())
    }

    /// Calls `refresh` before each scrape, to set metrics whose values are read elsewhere.
    pub(crate) fn before_scrape(&self, refresh: impl Fn() + Send + 'static) {
        self.state().refreshers.push(Box::new(refresh));
    }

    /// Returns the current values of all metrics.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        for refresh in &self.state().refreshers {
            refresh();
        }
        self.registry.gather()
    }

    /// Returns the descriptions of all metrics, whether they have values yet or not.
    pub(crate) fn descriptions(&self) -> Vec<MetricDescription> {
        self.state().descriptions.clone()
    }

    /// The library's registry, for a library that registers its own metrics.
    pub(crate) fn inner(&self) -> &Registry {
        &self.registry
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
