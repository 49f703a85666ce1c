//! Samples from files.

use std::time::Instant;

use nervure_core::{Elements, Network, QType, TensorType};
use serde_json::json;

use super::Folder;
use crate::{NetworkBuilder, samples, testing, write_npz};

fn network(x: TensorType) -> Network {
    let n = x.len();
    NetworkBuilder::new("n", &testing::registry())
        .input("x", x, None)
        .and_then(|b| b.layer("a", "test/dense", json!({"weights": [vec![1; n]], "weight_format": "s2"})))
        .and_then(NetworkBuilder::finish)
        .expect("a network")
}

fn array(name: &str, shape: &[usize], data: Vec<i64>) -> (String, Vec<usize>, Vec<i64>) {
    (name.to_owned(), shape.to_vec(), data)
}

#[test]
fn frames_and_steps() {
    let folder = Folder::new();
    let path = folder.path().join("s.npz");
    let frame = network(TensorType::frame(&[2, 2], QType::signed(4)));
    let x = vec![-8, 1, 2, 3, 4, 5, 6, 7];
    let expected = Elements::I16(x.iter().map(|v| *v as i16).collect());
    for shape in [&[2, 2, 2][..], &[2, 4]] {
        let arrays = [
            array("x", shape, x.clone()),
            array("label", &[2], vec![3, 4]),
            array("target", &[2, 1], vec![-1, 300]),
        ];
        write_npz(&path, &arrays).expect("written");
        let read = samples(&path, &frame).unwrap_or_else(|d| panic!("{d}"));
        assert_eq!((read.count, read.steps, &read.inputs), (2, 1, &vec![expected.clone()]));
        assert_eq!(read.labels, Some(vec![3, 4]));
        assert_eq!(read.targets, Some(Elements::I16(vec![-1, 300])));
    }
    let step = network(TensorType::step(&[2], QType::unsigned(1)));
    write_npz(&path, &[array("x", &[1, 3, 2], vec![0, 1, 1, 0, 1, 1])]).expect("written");
    let read = samples(&path, &step).expect("samples");
    assert_eq!((read.count, read.steps, read.labels.is_none()), (1, 3, true));
    assert_eq!(read.inputs, [Elements::bits(&[0, 1, 1, 0, 1, 1])]);
}

#[test]
fn spikes_may_be_a_list_of_events() {
    let folder = Folder::new();
    let path = folder.path().join("s.npz");
    let read = |tensor: TensorType, arrays: &[(String, Vec<usize>, Vec<i64>)]| {
        write_npz(&path, arrays).expect("written");
        let told = samples(&path, &network(tensor)).map(|s| (s.count, s.steps, s.inputs));
        told.map_err(|d| d.to_string().replace(&format!("{}/", folder.path().display()), ""))
    };
    let spikes = || TensorType::step(&[2, 2], QType::unsigned(1));
    let counts = || TensorType::step(&[2, 2], QType::unsigned(2));
    let x = || array("x", &[3, 3], vec![1, 1, 3, 0, 0, 1, 1, 1, 0]);
    let dense = |last: u8| vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, last];
    assert_eq!(read(spikes(), &[x()]), Ok((2, 2, vec![Elements::U8(dense(1))])));
    // A column for every axis, an event twice.
    let axes = array("x", &[4, 4], vec![1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1]);
    assert_eq!(read(counts(), &[axes]), Ok((2, 2, vec![Elements::U8(dense(2))])));
    // Samples and steps without events count where the file tells of them.
    let size = array("x_size", &[2], vec![3, 4]);
    let (samples, steps, inputs) = read(spikes(), &[x(), size]).expect("samples");
    assert_eq!((samples, steps, inputs[0].len()), (3, 4, 48));
    let (samples, ..) = read(spikes(), &[x(), array("label", &[5], vec![0; 5])]).expect("samples");
    assert_eq!(samples, 5);
    let cases = [
        (vec![array("x", &[1, 3], vec![0, 0, 4])], "`s.npz:x` event 0 has element 4, expected 0 to 3"),
        (vec![array("x", &[1, 3], vec![-1, 0, 0]), array("label", &[1], vec![0])], "event 0 has sample -1"),
        (vec![array("x", &[1, 4], vec![0, 0, 0, 2])], "event 0 has axis 1 2, expected 0 to 1"),
        (
            vec![array("x", &[2, 3], vec![0, 0, 1, 0, 0, 1])],
            "more than 1 events of element 1 in sample 0, step 0: outside u1",
        ),
        (vec![x(), array("x_size", &[2], vec![1, 9])], "event 0 has sample 1, expected 0 to 0"),
        (vec![x(), array("x_size", &[1], vec![1])], "`s.npz:x_size` has shape [1], expected [2]"),
        (vec![array("x", &[0, 3], vec![])], "has no event to tell how many samples"),
        (vec![array("x", &[1, 3], vec![1 << 40, 0, 0])], "error[E0110]"),
    ];
    for (arrays, expected) in cases {
        let told = read(spikes(), &arrays).expect_err("a diagnostic");
        assert!(told.contains(expected), "{told}\nexpected\n{expected}");
    }
}

#[test]
fn wrong_samples_are_explained() {
    let folder = Folder::new();
    let path = folder.path().join("s.npz");
    let step = network(TensorType::step(&[2], QType::unsigned(1)));
    let told = |arrays: &[(String, Vec<usize>, Vec<i64>)]| {
        write_npz(&path, arrays).expect("written");
        let text = samples(&path, &step).expect_err("a diagnostic").to_string();
        text.replace(&format!("{}/", folder.path().display()), "")
    };
    let x = || array("x", &[1, 3, 2], vec![0, 1, 1, 0, 1, 1]);
    let cases = [
        (
            vec![array("x", &[1, 3, 2], vec![0, 1, 1, 0, 2, 1])],
            "error[E0206]: `s.npz:x` is 2 in sample 0, step 2, element 0: outside u1 (0 to 1)",
        ),
        (
            vec![array("x", &[1, 3, 3], vec![0; 9])],
            "error[E0205]: `s.npz:x` has shape [1, 3, 3], expected [samples, steps, 2]",
        ),
        (vec![array("x", &[6], vec![0; 6])], "error[E0205]"),
        (vec![array("x", &[], vec![0])], "error[E0205]"),
        (vec![array("x", &[0, 3, 2], vec![])], "error[E0205]"),
        (
            vec![array("X", &[1, 3, 2], vec![0; 6])],
            "error[E0106]: `s.npz` has no array `x`\n  = help: did you mean `X`?",
        ),
        (vec![x(), array("label", &[2], vec![0; 2])], "`s.npz:label` has shape [2], expected [1, ...]"),
        (vec![x(), array("label", &[1, 4], vec![0; 4])], "`s.npz:label` has shape [1, 4], expected [1]"),
        (vec![x(), array("target", &[1, 4], vec![0; 4])], "`s.npz:target` has shape [1, 4], expected [1, 1]"),
    ];
    for (arrays, expected) in cases {
        let text = told(&arrays);
        assert!(text.contains(expected), "{text}\nexpected\n{expected}");
    }
    assert!(samples(&folder.path().join("absent.npz"), &step).is_err());
}

/// Not a promise of speed, which is for release builds; a guard against something quadratic.
#[test]
fn a_test_set_loads_quickly() {
    let folder = Folder::new();
    let path = folder.path().join("s.npz");
    let step = network(TensorType::step(&[784], QType::unsigned(1)));
    let data: Vec<i64> = (0..200 * 25 * 784).map(|i| i * 7 % 5 / 4).collect();
    write_npz(&path, &[array("x", &[200, 25, 784], data)]).expect("written");
    let start = Instant::now();
    let read = samples(&path, &step).expect("samples");
    assert_eq!((read.count, read.steps, read.inputs[0].len()), (200, 25, 200 * 25 * 784));
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}
