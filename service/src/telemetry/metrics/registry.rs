//! The registry: creates, describes and gathers every metric.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::{Metric, MetricFamily};
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
    initial_series: Vec<Box<dyn Collector>>,
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

    /// Shows the series of `collector`, which are at 0, until the metric of that name has them.
    ///
    /// For a metric that another library registers with [`inner`](Self::inner) and whose series
    /// begin with the first event.
    pub(crate) fn show_from_start(&self, collector: impl Collector + 'static) {
        self.state().initial_series.push(Box::new(collector));
    }

    /// Returns the current values of all metrics.
    pub(crate) fn gather(&self) -> Vec<MetricFamily> {
        let state = self.state();
        for refresh in &state.refreshers {
            refresh();
        }
        let mut families = self.registry.gather();
        for initial in state.initial_series.iter().flat_map(|all| all.collect()) {
            add_missing_series(&mut families, initial);
        }
        families
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

fn add_missing_series(families: &mut Vec<MetricFamily>, mut initial: MetricFamily) {
    // The registry omits a family without series.
    let Some(family) = (families.iter_mut()).find(|family| family.name() == initial.name()) else {
        families.push(initial);
        return;
    };
    let mut missing: HashMap<Vec<String>, Metric> = (initial.take_metric().into_iter())
        .map(|metric| (label_values(&metric), metric))
        .collect();
    for metric in family.get_metric() {
        missing.remove(&label_values(metric));
    }
    family.mut_metric().extend(missing.into_values());
}

/// The values in the order of the labels' names, which is the same in every series of a metric.
fn label_values(metric: &Metric) -> Vec<String> {
    let labels = metric.get_label().iter();
    labels.map(|label| label.value().to_owned()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use prometheus::{IntCounterVec, Opts};

    #[test]
    fn initial_series_give_way_to_those_of_metric() {
        let calls = || IntCounterVec::new(Opts::new("calls", "Calls"), &["status"]).unwrap();
        let (registry, real, initial) = (MetricRegistry::default(), calls(), calls());
        (registry.inner().register(Box::new(real.clone()))).unwrap();
        for status in ["200", "500"] {
            initial.with_label_values(&[status]);
        }
        registry.show_from_start(initial);
        let shown = || -> Vec<(String, f64)> {
            let families = registry.gather();
            assert_eq!(families.len(), 1);
            let mut series: Vec<_> = (families[0].get_metric().iter())
                .map(|metric| {
                    (
                        label_values(metric).concat(),
                        metric.get_counter().get_value(),
                    )
                })
                .collect();
            series.sort_by(|one, other| one.0.cmp(&other.0));
            series
        };
        let expect = |values: &[(&str, f64)]| {
            let values = values
                .iter()
                .map(|(status, value)| ((*status).to_owned(), *value));
            assert_eq!(shown(), values.collect::<Vec<_>>());
        };
        expect(&[("200", 0.0), ("500", 0.0)]);
        real.with_label_values(&["500"]).inc_by(600);
        real.with_label_values(&["404"]).inc();
        expect(&[("200", 0.0), ("404", 1.0), ("500", 600.0)]);
    }
}
