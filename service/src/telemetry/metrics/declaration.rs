//! Declarations of metrics: one line for each, and its doc comment is the help text.
//!
//! A metric is a name, a type, labels and a meaning. Written with plain constructors these land in
//! the struct, in its constructor and in a list of collectors, and the help text repeats the doc
//! comment. [`metrics!`] makes all of them from one line.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Result,
};

/// First part of each metric's name.
pub(crate) const PREFIX: &str = "orderly";

/// Declares a group of metrics.
///
/// `logins: IntCounterVec[outcome(success, error)];` is `orderly_logins_total{outcome}`. Its name is
/// the prefix, the name of the field and the unit of the type. Histograms have `buckets [0.1, 1.0]`
/// behind the labels.
///
/// Each label lists its values, and every combination exists from the start, at 0: Prometheus sees
/// no increase in a series whose first sample is the first failure. `label(..)` is a label whose
/// values this module cannot know, such as the kinds of jobs; their owner initializes the series.
macro_rules! metrics {
    (@values ..) => { &[] };
    (@values $($value:ident),+) => { &[$(stringify!($value)),+] };
    (
        $(#[$group_doc:meta])*
        $group_vis:vis struct $group:ident {
            $(
                $(#[doc = $help:literal])+
                $vis:vis $name:ident : $kind:ident
                    $([$($label:ident ($($values:tt)+)),+])?
                    $(buckets [$($bucket:literal),+])?;
            )+
        }
    ) => {
        $(#[$group_doc])*
        #[derive(Clone)]
        $group_vis struct $group {
            $($(#[doc = $help])+ $vis $name: prometheus::$kind,)+
        }

        impl $group {
            /// Creates the metrics of the group in `registry`.
            ///
            /// # Errors
            /// Returns an error if two metrics have one name, which would be a bug.
            pub(super) fn new(
                registry: &$crate::telemetry::metrics::MetricRegistry,
            ) -> prometheus::Result<Self> {
                Ok(Self {
                    $($name: registry.create($crate::telemetry::metrics::declaration::Declaration {
                        name: stringify!($name),
                        help: concat!($($help),+),
                        labels: &[$($((stringify!($label), metrics!(@values $($values)+))),+)?],
                        buckets: &[$($($bucket),+)?],
                    })?,)+
                })
            }
        }
    };
}
pub(super) use metrics;

/// A metric as [`metrics!`] declares it.
pub(super) struct Declaration<'a> {
    /// The name without prefix and unit.
    pub(super) name: &'a str,
    /// The lines of the doc comment.
    pub(super) help: &'a str,
    /// Each label with the values that exist from the start; none if the label is open.
    pub(super) labels: &'a [(&'a str, &'a [&'a str])],
    /// Upper bounds of a histogram's buckets.
    pub(super) buckets: &'a [f64],
}

impl Declaration<'_> {
    /// Makes the metric, unregistered.
    pub(super) fn create<M: MetricType>(&self) -> Result<M> {
        let name = format!("{PREFIX}_{}{}", self.name, M::UNIT);
        let opts = Opts::new(name, self.help.trim().trim_end_matches('.'));
        let labels: Vec<&str> = self.labels.iter().map(|(label, _)| *label).collect();
        let metric = M::create(opts, &labels, self.buckets)?;
        for values in self.initial_values() {
            metric.initialize(&values);
        }
        Ok(metric)
    }

    /// Every combination of label values that exists from the start.
    fn initial_values(&self) -> Vec<Vec<&str>> {
        let mut combinations = vec![Vec::new()];
        for (_, values) in self.labels {
            combinations = (combinations.iter())
                .flat_map(|combination| {
                    values
                        .iter()
                        .map(move |value| [&combination[..], &[*value]].concat())
                })
                .collect();
        }
        combinations
    }
}

/// A type of the client library, and the end of the names of its metrics.
pub(super) trait MetricType: Collector + Clone + 'static {
    /// End of the name: `_total` for counters, and `_seconds` for fractions, which are all durations.
    const UNIT: &'static str;

    fn create(opts: Opts, labels: &[&str], buckets: &[f64]) -> Result<Self>;

    /// Makes one combination of label values exist. A metric without labels always exists.
    fn initialize(&self, _values: &[&str]) {}
}

impl MetricType for IntCounter {
    const UNIT: &'static str = "_total";

    fn create(opts: Opts, _: &[&str], _: &[f64]) -> Result<Self> {
        Self::with_opts(opts)
    }
}

impl MetricType for IntCounterVec {
    const UNIT: &'static str = "_total";

    fn create(opts: Opts, labels: &[&str], _: &[f64]) -> Result<Self> {
        Self::new(opts, labels)
    }

    fn initialize(&self, values: &[&str]) {
        self.with_label_values(values);
    }
}

impl MetricType for IntGauge {
    const UNIT: &'static str = "";

    fn create(opts: Opts, _: &[&str], _: &[f64]) -> Result<Self> {
        Self::with_opts(opts)
    }
}

impl MetricType for IntGaugeVec {
    const UNIT: &'static str = "";

    fn create(opts: Opts, labels: &[&str], _: &[f64]) -> Result<Self> {
        Self::new(opts, labels)
    }

    fn initialize(&self, values: &[&str]) {
        self.with_label_values(values);
    }
}

impl MetricType for Gauge {
    const UNIT: &'static str = "_seconds";

    fn create(opts: Opts, _: &[&str], _: &[f64]) -> Result<Self> {
        Self::with_opts(opts)
    }
}

impl MetricType for GaugeVec {
    const UNIT: &'static str = "_seconds";

    fn create(opts: Opts, labels: &[&str], _: &[f64]) -> Result<Self> {
        Self::new(opts, labels)
    }

    fn initialize(&self, values: &[&str]) {
        self.with_label_values(values);
    }
}

impl MetricType for HistogramVec {
    const UNIT: &'static str = "_seconds";

    fn create(opts: Opts, labels: &[&str], buckets: &[f64]) -> Result<Self> {
        Self::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels)
    }

    fn initialize(&self, values: &[&str]) {
        self.with_label_values(values);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn initializes_each_combination_of_listed_label_values() {
        let declaration = |labels| Declaration {
            name: "calls",
            help: " Calls.",
            labels,
            buckets: &[],
        };
        let count = |labels| {
            let calls: IntCounterVec = declaration(labels).create().unwrap();
            calls.collect()[0].get_metric().len()
        };
        assert_eq!(count(&[("a", &["1", "2"]), ("b", &["1", "2", "3"])]), 6);
        assert_eq!(
            count(&[("a", &["1", "2"]), ("b", &[])]),
            0,
            "a label is open"
        );
    }

    #[test]
    fn name_has_prefix_and_unit_and_help_no_period() {
        let declaration = Declaration {
            name: "calls",
            help: " Calls.",
            labels: &[],
            buckets: &[],
        };
        let calls: IntCounter = declaration.create().unwrap();
        let age: Gauge = declaration.create().unwrap();
        let of = |collector: &dyn Collector| {
            let desc = collector.desc()[0].clone();
            (desc.fq_name, desc.help)
        };
        assert_eq!(
            of(&calls),
            ("orderly_calls_total".to_owned(), "Calls".to_owned())
        );
        assert_eq!(of(&age).0, "orderly_calls_seconds");
    }
}
