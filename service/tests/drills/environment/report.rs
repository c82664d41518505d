//! The table that `make drills` prints: a row for each drill.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

/// The file that collects the rows for `make drills`.
const REPORT: &str = "ORDERLY_DRILL_REPORT";

/// Adds a row, and shows it at once.
#[expect(clippy::print_stdout, reason = "it is the report of the drills")]
pub fn add_row(
    drill: &str,
    results: &str,
    max_latency: Option<Duration>,
    recovered_in: Option<Duration>,
    result: &str,
) {
    let (waited, recovered) = (seconds(max_latency), seconds(recovered_in));
    let row = format!("{drill:<22} {results:<46} {waited:>8} {recovered:>8}  {result}");
    println!("\n{row}");
    if let Ok(path) = std::env::var(REPORT) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        writeln!(file, "{row}").unwrap();
    }
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| {
        format!("{:.1} s", time.as_secs_f64())
    })
}
