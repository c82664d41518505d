//! Which traces are exported.
//!
//! The decision is made once, where a trace begins, and holds for all of it: half a
//! tree teaches nothing. So a span with a parent follows its parent, in whichever
//! process that is (OpenTelemetry's "parent-based"). A job begins a trace of its own,
//! with a link to the request that caused it, and follows that; or a sampled order
//! would lead to a payment that nobody sees. Only what is caused by nobody is decided
//! by the ratio.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

use crate::config::TelemetryConfig;

#[derive(Debug, Clone)]
pub(super) struct LinkedParentSampler(Sampler);

impl LinkedParentSampler {
    /// `ratio` is for traces that nobody caused, 0 to 1.
    pub(super) fn with_ratio(ratio: f64) -> Self {
        let by_ratio = Box::new(Sampler::TraceIdRatioBased(ratio));
        Self(Sampler::ParentBased(by_ratio))
    }
}

/// Returns the sampler of the settings: with or without regard to the decision of the caller.
pub(super) fn sampler(config: &TelemetryConfig) -> Box<dyn ShouldSample> {
    match config.parent_based_sampling {
        true => Box::new(LinkedParentSampler::with_ratio(config.sampling_ratio)),
        false => Box::new(Sampler::TraceIdRatioBased(config.sampling_ratio)),
    }
}

impl ShouldSample for LinkedParentSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has_parent = parent.is_some_and(Context::has_active_span);
        if has_parent || links.is_empty() {
            return (self.0).should_sample(parent, trace_id, name, kind, attributes, links);
        }
        let is_link_sampled = links.iter().any(|link| link.span_context.is_sampled());
        SamplingResult {
            decision: match is_link_sampled {
                true => SamplingDecision::RecordAndSample,
                false => SamplingDecision::Drop,
            },
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    fn span(flags: TraceFlags) -> SpanContext {
        let (trace, span) = (TraceId::from(7_u128), SpanId::from(7_u64));
        SpanContext::new(trace, span, flags, true, TraceState::default())
    }

    fn is_sampled(ratio: f64, parent: Option<TraceFlags>, links: &[TraceFlags]) -> bool {
        let parent = parent.map(|flags| Context::new().with_remote_span_context(span(flags)));
        let links: Vec<Link> = (links.iter())
            .map(|flags| Link::with_context(span(*flags)))
            .collect();
        let (id, kind) = (TraceId::from(u128::MAX / 2), SpanKind::Internal);
        let sampler = LinkedParentSampler::with_ratio(ratio);
        let result = sampler.should_sample(parent.as_ref(), id, "", &kind, &[], &links);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn follows_parent_or_link_before_ratio() {
        let (sampled, unsampled) = (TraceFlags::SAMPLED, TraceFlags::default());
        assert!(is_sampled(1.0, None, &[]));
        assert!(!is_sampled(0.0, None, &[]));
        assert!(is_sampled(0.0, Some(sampled), &[]));
        assert!(!is_sampled(1.0, Some(unsampled), &[]));
        assert!(is_sampled(0.0, None, &[unsampled, sampled]));
        assert!(!is_sampled(1.0, None, &[unsampled]));
        assert!(!is_sampled(1.0, Some(unsampled), &[sampled]));
    }
}
