//! How good the answers are. The only floating point of this crate, and only for people.

use nervure_core::{Elements, Rate};

use super::{Recorded, Trace};

/// Class that each sample was given, where there is one output, once a frame, or one of several is a port `class`: its value
/// when it has one element, else the index of the largest element (the lowest of equals).
pub fn classes(trace: &Trace) -> Option<Vec<i64>> {
    let output = only(trace).or_else(|| port(trace, "class"))?;
    let mut y = vec![0; output.tensor.len()];
    let class = |sample: usize| {
        output.get(sample, 0, &mut y);
        if let [class] = y[..] {
            return class;
        }
        let best = y.iter().enumerate().fold(0, |best, (i, &v)| if v > y[best] { i } else { best });
        best as i64
    };
    Some((0..trace.count).map(class).collect())
}

/// Share of samples whose class is their label; `None` where [`classes`] has no answer or there is no sample.
pub fn accuracy(trace: &Trace, labels: &[i64]) -> Option<f64> {
    let classes = classes(trace)?;
    assert_eq!(classes.len(), labels.len(), "one label a sample");
    let right = classes.iter().zip(labels).filter(|(a, b)| a == b).count();
    (trace.count > 0).then(|| right as f64 / trace.count as f64)
}

/// Mean squared error of the only output against integers `[count, len]` in its own format, in real units (the format's
/// fraction counts); `None` where there is not one output once a frame, or no sample.
pub fn mse(trace: &Trace, targets: &Elements) -> Option<f64> {
    let output = only(trace)?;
    let n = trace.count * output.tensor.len();
    assert_eq!(n, targets.len(), "one target an element");
    let mut sum = 0.0;
    let (mut y, mut t) = (vec![0; output.tensor.len()], vec![0; output.tensor.len()]);
    for sample in 0..trace.count {
        output.get(sample, 0, &mut y);
        targets.copy(sample * t.len(), &mut t);
        sum += y.iter().zip(&t).map(|(y, t)| (*y as f64 - *t as f64).powi(2)).sum::<f64>();
    }
    let lsb = f64::from(-i32::from(output.tensor.format.frac)).exp2();
    (n > 0).then(|| sum / n as f64 * lsb * lsb)
}

/// Mean over all samples of the output that is a port `name` with one element, once a frame; `None` where there is not one
/// such output, or no sample.
pub fn mean(trace: &Trace, name: &str) -> Option<f64> {
    let output = port(trace, name).filter(|r| r.tensor.len() == 1)?;
    let mut all = vec![0; trace.count];
    output.elements.copy(0, &mut all);
    (trace.count > 0).then(|| all.iter().sum::<i64>() as f64 / trace.count as f64)
}

/// The one output, once a frame, that is called `name` or `layer.name`.
fn port<'a>(trace: &'a Trace, name: &str) -> Option<&'a Recorded> {
    let called = |r: &&Recorded| r.tensor.rate == Rate::Frame && r.name.rsplit('.').next() == Some(name);
    let mut found = trace.outputs.iter().filter(called);
    found.next().filter(|_| found.next().is_none())
}

fn only(trace: &Trace) -> Option<&Recorded> {
    match &trace.outputs[..] {
        [one] if one.tensor.rate == Rate::Frame => Some(one),
        _ => None,
    }
}
