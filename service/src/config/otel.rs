//! Standard variables of OpenTelemetry (`OTEL_*`) as another way to set `telemetry.*`.
//!
//! # Problem
//! A platform sets `OTEL_*` variables for all its services. The exporter library reads some of them itself: an unsupported
//! one stops the start with a message about another setting, and the others have no effect, silently.
//!
//! # How it works
//! [`VARIABLES`] lists each supported variable with the setting that it sets. It wins over the files of the
//! configuration and loses to `ORDERLY__TELEMETRY__*` and `--set`. The variable for traces wins over the one for all
//! signals. An empty variable counts as unset, as the specification demands. A value is validated like any other; the
//! message names the variable. `orderly config` shows the variable as the origin. Supported variables may also be in
//! `.env`. The start logs the names of other `OTEL_*` variables, since they have no effect. The exporter is our own code
//! over the generated client ([`mod@crate::telemetry`]), so that no library reads the environment.
//!
//! # Tests
//! `service/tests/config/otel.rs`, and `standard_variables_reach_collector` in `service/tests/process/otel_variables.rs`.

use serde_json::Value;

use super::Origin;
use super::env_variable::EnvVariable;
use super::layers::LayerValue;

/// The settings that a variable sets and their values, or what is expected instead.
type Translation = Result<Vec<(&'static str, Value)>, &'static str>;

/// A supported variable.
struct OtelVariable {
    name: &'static str,
    translate: fn(&str) -> Translation,
}

/// The supported variables: of two that set the same, the later wins.
const VARIABLES: &[OtelVariable] = &[
    OtelVariable::new("OTEL_SDK_DISABLED", |text| match text {
        _ if text.eq_ignore_ascii_case("true") => Ok(vec![("telemetry.enabled", false.into())]),
        _ if text.eq_ignore_ascii_case("false") => Ok(Vec::new()),
        _ => Err("expected true or false"),
    }),
    OtelVariable::new("OTEL_TRACES_EXPORTER", |text| match text {
        "otlp" => Ok(Vec::new()),
        "none" => Ok(vec![("telemetry.enabled", false.into())]),
        _ => Err("expected otlp or none"),
    }),
    OtelVariable::new("OTEL_RESOURCE_ATTRIBUTES", |text| {
        set("telemetry.resource_attributes", text)
    }),
    OtelVariable::new("OTEL_SERVICE_NAME", |text| {
        set("telemetry.service_name", text)
    }),
    OtelVariable::new("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
    OtelVariable::new("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint),
    OtelVariable::new("OTEL_EXPORTER_OTLP_HEADERS", headers),
    OtelVariable::new("OTEL_EXPORTER_OTLP_TRACES_HEADERS", headers),
    OtelVariable::new("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
    OtelVariable::new("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", protocol),
    OtelVariable::new("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
    OtelVariable::new("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", compression),
    OtelVariable::new("OTEL_EXPORTER_OTLP_TIMEOUT", |text| {
        milliseconds("telemetry.export_timeout", text)
    }),
    OtelVariable::new("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", |text| {
        milliseconds("telemetry.export_timeout", text)
    }),
    OtelVariable::new("OTEL_TRACES_SAMPLER", |text| {
        let (is_parent_based, root) = match text.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, text),
        };
        let ratio = match root {
            // Its argument has a variable of its own; 1 without one.
            "always_on" | "traceidratio" => 1.0,
            "always_off" => 0.0,
            _ => {
                return Err(
                    "expected always_on, always_off or traceidratio, with or without \
                     parentbased_ in front",
                );
            }
        };
        Ok(vec![
            ("telemetry.sampling_ratio", ratio.into()),
            ("telemetry.parent_based_sampling", is_parent_based.into()),
        ])
    }),
    OtelVariable::new(SAMPLER_ARG, |text| set("telemetry.sampling_ratio", text)),
    OtelVariable::new("OTEL_BSP_MAX_QUEUE_SIZE", |text| {
        set("telemetry.queue_size", text)
    }),
    OtelVariable::new("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", |text| {
        set("telemetry.batch_size", text)
    }),
    OtelVariable::new("OTEL_BSP_SCHEDULE_DELAY", |text| {
        milliseconds("telemetry.batch_delay", text)
    }),
];

const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

impl OtelVariable {
    const fn new(name: &'static str, translate: fn(&str) -> Translation) -> Self {
        Self { name, translate }
    }
}

/// The `OTEL_*` variables of the environment and `.env`, translated.
#[derive(Default)]
pub(super) struct OtelValues {
    pub(super) values: Vec<LayerValue>,
    /// Variables with an unusable value, each with what is expected instead.
    pub(super) faults: Vec<(String, &'static str)>,
    /// The names of variables without an effect.
    pub(super) ignored: Vec<String>,
}

/// Translates the variables. Of two with the same name, the last holds.
pub(super) fn translate(variables: &[EnvVariable]) -> OtelValues {
    let mut translated = OtelValues::default();
    let find = |name: &str| {
        let last = variables.iter().rfind(|variable| variable.name == name);
        last.filter(|variable| !variable.value.is_empty())
    };
    let sampler = find("OTEL_TRACES_SAMPLER").map(|variable| &*variable.value);
    let uses_argument = sampler.is_some_and(|sampler| sampler.ends_with("traceidratio"));
    let is_used = |name: &str| name != SAMPLER_ARG || uses_argument;
    for OtelVariable { name, translate } in VARIABLES {
        let Some(variable) = find(name).filter(|_| is_used(name)) else {
            continue;
        };
        match translate(&variable.value) {
            Ok(settings) => translated
                .values
                .extend(settings.into_iter().map(|(key, value)| LayerValue {
                    key: key.to_owned(),
                    value,
                    origin: Origin::OtelVariable(name),
                })),
            Err(expected) => translated.faults.push((variable.location(), expected)),
        }
    }
    let is_supported = |name: &str| {
        let mut supported = VARIABLES.iter().map(|variable| variable.name);
        supported.any(|supported| supported == name) && is_used(name)
    };
    // No metrics and no logs are exported: `none` is what holds.
    let is_in_effect = |variable: &EnvVariable| {
        variable.value == "none"
            && matches!(
                &*variable.name,
                "OTEL_METRICS_EXPORTER" | "OTEL_LOGS_EXPORTER"
            )
    };
    let ignored = variables.iter().filter(|variable| {
        variable.name.to_ascii_uppercase().starts_with("OTEL_")
            && !variable.value.is_empty()
            && !is_supported(&variable.name)
            && !is_in_effect(variable)
    });
    translated.ignored = ignored.map(|variable| variable.name.clone()).collect();
    translated.ignored.sort();
    translated.ignored.dedup();
    translated
}

fn set(key: &'static str, text: &str) -> Translation {
    Ok(vec![(key, text.into())])
}

fn endpoint(text: &str) -> Translation {
    set("telemetry.otlp_endpoint", text)
}

fn headers(text: &str) -> Translation {
    set("telemetry.otlp_headers", text)
}

fn compression(text: &str) -> Translation {
    set("telemetry.compression", text)
}

fn protocol(text: &str) -> Translation {
    match text {
        "grpc" => Ok(Vec::new()),
        _ => Err("expected grpc: traces are exported by OTLP over gRPC only"),
    }
}

fn milliseconds(key: &'static str, text: &str) -> Translation {
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match is_whole {
        true => Ok(vec![(key, format!("{text}ms").into())]),
        false => Err("expected a whole number of milliseconds"),
    }
}
