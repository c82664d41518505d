//! What a metric is called and what it means, for `docs/metrics.md`.

use prometheus::core::Collector;
use prometheus::proto::MetricType;
use serde::Serialize;

/// A metric, without its values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct MetricDescription {
    /// As it is scraped; a histogram's has `_bucket`, `_sum` and `_count` behind it.
    pub(crate) name: String,
    /// counter, gauge or histogram.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// The names of its labels.
    pub(crate) labels: Vec<String>,
    /// What it means.
    pub(crate) help: String,
}

impl MetricDescription {
    /// Of each metric of a collector, whether it has values yet or not.
    pub(crate) fn of(collector: &dyn Collector) -> Vec<Self> {
        let families = collector.collect();
        let kind = |name: &str| {
            let family = families.iter().find(|family| family.name() == name);
            match family.map(prometheus::proto::MetricFamily::get_field_type) {
                Some(MetricType::COUNTER) => "counter",
                Some(MetricType::HISTOGRAM) => "histogram",
                _ => "gauge",
            }
        };
        let descriptions = collector.desc().into_iter().map(|desc| Self {
            name: desc.fq_name.clone(),
            kind: kind(&desc.fq_name),
            labels: desc.variable_labels.clone(),
            help: desc.help.trim_end_matches('.').to_owned(),
        });
        descriptions.collect()
    }
}
