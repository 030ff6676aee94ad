use super::*;

const MILLI: Duration = Duration::from_millis(1);

fn settled(latency: &Latency, sample: Duration, mut now: Instant) -> Instant {
    for _ in 0..100 {
        now += MILLI;
        latency.note(sample, now);
    }
    now
}

fn millis(latency: &Latency) -> u64 {
    latency.smoothed().unwrap().as_millis() as u64
}

#[test]
fn latency_is_smoothed() {
    let latency = Latency::new();
    assert_eq!(latency.smoothed(), None);
    let start = Instant::now();
    latency.note(80 * MILLI, start);
    assert_eq!(millis(&latency), 80);
    // An eighth of the difference, when samples come often.
    latency.note(160 * MILLI, start + MILLI);
    assert_eq!(millis(&latency), 90);
    // Half of it after two seconds, and no more after ten.
    latency.note(10 * MILLI, start + 2500 * MILLI);
    assert_eq!(millis(&latency), 50);
    latency.note(10 * MILLI, start + 60_000 * MILLI);
    assert_eq!(millis(&latency), 30);
    latency.forget();
    assert_eq!(latency.smoothed(), None);
}

#[test]
fn patience_follows_what_is_usual_within_bounds() {
    let (min, max) = (100 * MILLI, 700 * MILLI);
    let latency = Latency::new();
    // Nothing known: all the time there is.
    assert_eq!(latency.patience(min, max), max);
    let now = settled(&latency, 2 * MILLI, Instant::now());
    assert_eq!(latency.patience(min, max), min);
    let now = settled(&latency, 250 * MILLI, now);
    assert!((250 * MILLI..300 * MILLI).contains(&latency.patience(min, max)));
    settled(&latency, 3000 * MILLI, now);
    assert_eq!(latency.patience(min, max), max);
    // A least that is more than the most.
    assert_eq!(latency.patience(max, min), min);
}
