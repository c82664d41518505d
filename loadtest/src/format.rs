//! Figures as text, for the terminal and the reports.

/// 0.0012 is `0.12 %`.
pub fn percent(ratio: f64) -> String {
    let text = format!("{:.2}", ratio * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// 1234 µs are `1.2 ms`.
pub fn millis(micros: u64) -> String {
    let ms = micros as f64 / 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_percentages_and_durations() {
        assert_eq!(
            (percent(0.001), percent(1.0), percent(0.0)),
            ("0.1 %".into(), "100 %".into(), "0 %".into())
        );
        assert_eq!(
            (millis(1234), millis(48_700), millis(12_345_678)),
            ("1.2 ms".into(), "49 ms".into(), "12.3 s".into())
        );
    }
}
