//! Alerts have tests, and the targets that they expect are those that exist.

use std::collections::BTreeMap;
use std::fs;

use super::project_files::{ProjectFile, numbers_after, read_files, root};

/// Alerts that are meant to fire always, and so have no test in which they do not.
const ALWAYS_FIRING: [&str; 1] = ["Watchdog"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The tests of a file, by the alert that each is about.
fn alert_tests(file: &ProjectFile) -> Vec<(&str, &str)> {
    let tests = file.text.split("\n  - name: \"").skip(1);
    tests.map(|test| test.split_once(':').unwrap()).collect()
}

#[test]
fn every_alert_has_three_tests() {
    let rules = read("observability/prometheus/rules/alerts.yml");
    let files = read_files(&["observability/prometheus/tests"]);
    let (empty_start, others): (Vec<_>, Vec<_>) =
        (files.iter()).partition(|file| file.path.ends_with("empty_start_test.yml"));
    let tests = |files: &[&_], alert: &str, fires: bool| {
        let tests = files.iter().copied().flat_map(alert_tests);
        let label = format!("alertname=\"{alert}\"");
        tests
            .filter(|(name, test)| *name == alert && test.contains(&label) == fires)
            .count()
    };
    let alerts = rules.split("- alert: ").skip(1);
    for alert in alerts.map(|rule| rule.lines().next().unwrap()) {
        assert!(
            tests(&others, alert, true) > 0,
            "{alert}: no test in which it fires"
        );
        assert!(
            tests(&others, alert, false) > 0 || ALWAYS_FIRING.contains(&alert),
            "{alert}: no test in which it does not fire"
        );
        assert!(
            tests(&empty_start, alert, true) > 0,
            "{alert}: no test in empty_start_test.yml"
        );
    }
}

/// The expected number of targets of each job.
fn expected_targets(path: &str) -> BTreeMap<String, String> {
    let text = read(path);
    let records = text.split("job:targets:expected").skip(1);
    records
        .map(|record| {
            let job = record.split_once("{job: ").unwrap().1;
            let number = numbers_after(record, "vector(").remove(0);
            (job.split_once('}').unwrap().0.to_owned(), number)
        })
        .collect()
}

#[test]
fn expected_targets_of_demo_are_scraped() {
    let expected = expected_targets("observability/prometheus/rules/expected_targets.yml");
    let scraped: BTreeMap<String, String> = read("observability/prometheus/prometheus.yml")
        .split("- job_name: ")
        .skip(1)
        .map(|job| {
            let targets = job.split_once("targets: [").unwrap().1;
            let targets = targets.split_once(']').unwrap().0.split(',').count();
            (job.lines().next().unwrap().to_owned(), targets.to_string())
        })
        .collect();
    assert_eq!(expected, scraped);
}

#[test]
fn expected_replicas_of_cluster_are_fewest_of_autoscaler() {
    let monitoring = "deploy/kubernetes/components/monitoring/expected-targets.yml";
    let autoscaler = read("deploy/kubernetes/base/autoscaler.yaml");
    let fewest = numbers_after(&autoscaler, "minReplicas: ");
    assert_eq!(
        vec![expected_targets(monitoring)["orderly"].clone()],
        fewest
    );
}
