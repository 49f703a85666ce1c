//! `nervure import`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nervure_core::{Diagnostic, Samples};
use nervure_front::import::{
    CalibrationSet, Expected, Imported, LayerReport, Options, calibration, import as read,
};
use nervure_sim::golden::{self, GoldenOptions, Recorded};
use serde_json::{Value, json};

use crate::args::ImportArgs;
use crate::console::Console;
use crate::table::table;

/// A trained model becomes a network folder; on calibration samples the golden model is held against real numbers.
pub(crate) fn import(console: &Console, args: &ImportArgs) -> Result<bool> {
    let place = args.output.clone().unwrap_or_else(|| folder_name(&args.model));
    refuse(&place)?;
    if args.model.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) {
        return super::import_onnx::import(console, args, &place);
    }
    let preset = args.preset.ok_or_else(|| {
        let message = "`--preset` is missing: the file does not say what its neurons do in a step";
        let help = "name the framework: snntorch, norse, spyx, sinabs, loihi or slayer";
        Diagnostic::new("E0130", message, help)
    })?;
    let set = args.calibrate.as_deref().map(calibration).transpose()?;
    let options = Options {
        preset,
        with: args.with.clone(),
        dt: args.dt,
        bits: args.bits,
        input: args.input,
        lanes: args.lanes as usize,
        readout: args.readout.into(),
    };
    let stage = console.stage("import", 0);
    let progress = |layer: &str| console.note(&format!("  layer {}", layer.escape_debug()));
    let imported = read(&args.model, set.as_ref(), &options, &progress)?;
    stage.done(&format!("{} layers", imported.layers.len()));
    for warning in &imported.warnings {
        console.note(&format!("  warning: {warning}"));
    }
    let aside = aside(console, &place, &imported.yaml, &imported.arrays)?;
    let checked = check(console, args, set.as_ref(), &imported, aside.path())?;
    publish(console, aside, &place)?;
    let object = object(&imported, &checked, &place);
    console.result(&object, || text(&imported, &checked, &place));
    Ok(true)
}

/// The network in a folder beside its place.
pub(super) fn aside(
    console: &Console,
    place: &Path,
    yaml: &str,
    arrays: &[(String, Vec<usize>, Vec<i64>)],
) -> Result<tempfile::TempDir> {
    let parent = std::path::absolute(place)?.parent().unwrap_or(Path::new(".")).to_owned();
    let context = || format!("cannot write to {}", parent.display());
    if !console.dry {
        std::fs::create_dir_all(&parent).with_context(context)?;
    }
    let beside = if console.dry { std::env::temp_dir() } else { parent.clone() };
    let aside = tempfile::Builder::new().prefix(".nervure-").tempdir_in(&beside).with_context(context)?;
    std::fs::write(aside.path().join("network.yaml"), yaml).with_context(context)?;
    nervure_front::write_npz(&aside.path().join(nervure_front::import::WEIGHTS), arrays)?;
    Ok(aside)
}

/// What the golden model of the written network says on the calibration samples.
#[derive(Default)]
struct Checked {
    /// Per layer of the model: elements that differ from real numbers, of how many.
    mismatches: Vec<Option<(usize, usize)>>,
    accuracy: Option<f64>,
}

fn check(
    console: &Console,
    args: &ImportArgs,
    set: Option<&CalibrationSet>,
    imported: &Imported,
    folder: &Path,
) -> Result<Checked> {
    let network = nervure_front::load(&folder.join("network.yaml"), &nervure_templates::registry(), &[])?;
    let (Some(_), Some(file)) = (set, &args.calibrate) else { return Ok(Checked::default()) };
    let samples = nervure_front::samples(file, &network)?;
    let stage = console.stage("golden", samples.count);
    let trace = golden::run(&network, &samples, GoldenOptions { threads: 0, trace: true }, &|n| stage.at(n))?;
    stage.done(&format!("{} samples", samples.count));
    let layer = |name: &str| trace.layers.iter().flatten().find(|r| r.name == name);
    let mismatches =
        imported.expected.iter().map(|e| Some(differing(layer(&e.name).filter(|_| e.spikes)?, e))).collect();
    let last = imported.expected.last().and_then(|e| layer(&e.name));
    let accuracy = samples.labels.as_ref().zip(last).map(|(labels, r)| accuracy(r, labels, &samples));
    Ok(Checked { mismatches, accuracy })
}

fn differing(got: &Recorded, expected: &Expected) -> (usize, usize) {
    let mut elements = vec![0; got.elements.len()];
    got.elements.copy(0, &mut elements);
    let pairs = elements.iter().zip(&expected.data);
    (pairs.filter(|(a, b)| **a as f32 != **b).count(), expected.data.len())
}

/// Share of samples whose largest sum over the steps (the first of equals) is their label.
fn accuracy(r: &Recorded, labels: &[i64], samples: &Samples) -> f64 {
    let mut y = vec![0; r.tensor.len()];
    let right = labels.iter().enumerate().filter(|(sample, label)| {
        let mut sums = vec![0i64; y.len()];
        for step in 0..samples.steps {
            r.get(*sample, step, &mut y);
            sums.iter_mut().zip(&y).for_each(|(s, v)| *s += v);
        }
        sums.iter().enumerate().fold(0, |best, (i, v)| if *v > sums[best] { i } else { best }) as i64
            == **label
    });
    right.count() as f64 / labels.len().max(1) as f64
}

fn folder_name(model: &Path) -> PathBuf {
    model.file_stem().map_or_else(|| PathBuf::from("imported"), PathBuf::from)
}

pub(super) fn refuse(place: &Path) -> Result<(), Diagnostic> {
    let empty = std::fs::read_dir(place).is_ok_and(|mut list| list.next().is_none());
    if std::fs::symlink_metadata(place).is_err() || empty {
        return Ok(());
    }
    let message = format!("`{}` exists", place.display());
    Err(Diagnostic::new(
        "E0505",
        message,
        "name a folder that does not exist yet with `-o`, or remove this one",
    ))
}

/// Puts the finished folder in its place, with the permissions of any other; nothing happens in a dry run.
pub(super) fn publish(console: &Console, aside: tempfile::TempDir, place: &Path) -> Result<()> {
    let moved = || -> std::io::Result<()> {
        if place.exists() {
            std::fs::remove_dir(place)?;
        }
        std::fs::create_dir(place)?;
        for entry in std::fs::read_dir(aside.path())? {
            let entry = entry?;
            std::fs::rename(entry.path(), place.join(entry.file_name()))?;
        }
        Ok(())
    };
    if !console.dry {
        moved().with_context(|| format!("cannot write to {}", place.display()))?;
    }
    Ok(aside.close()?)
}

fn layer_json(layer: &LayerReport, network: Option<(usize, usize)>) -> Value {
    let pair = |p: Option<(usize, usize)>| json!(p.map(|(wrong, of)| json!({"mismatches": wrong, "of": of})));
    json!({
        "name": layer.name, "weight_format": layer.weights, "membrane": layer.membrane,
        "alone": pair(layer.mismatches), "in_network": pair(network), "saturates": layer.saturates,
    })
}

fn object(imported: &Imported, checked: &Checked, place: &Path) -> Value {
    let of = |n: usize| checked.mismatches.get(n).copied().flatten();
    let layers: Vec<Value> = imported.layers.iter().enumerate().map(|(n, l)| layer_json(l, of(n))).collect();
    json!({
        "network": place.display().to_string(), "layers": layers, "warnings": imported.warnings,
        "accuracy_float": imported.accuracy, "accuracy": checked.accuracy,
    })
}

fn text(imported: &Imported, checked: &Checked, place: &Path) -> String {
    let head = ["layer", "weights", "membrane", "differs from real numbers", ""].map(String::from).to_vec();
    let format = |f: Option<nervure_core::QType>| f.map_or_else(|| "-".to_owned(), |f| f.to_string());
    let rows = imported.layers.iter().enumerate().map(|(n, l)| {
        let wrong = checked.mismatches.get(n).copied().flatten();
        vec![
            l.name.escape_debug().to_string(),
            format(l.weights),
            format(l.membrane),
            match (wrong, l.mismatches) {
                (Some((wrong, of)), _) => format!("{wrong} of {of}"),
                (None, Some((wrong, of))) => format!("{wrong} of {of} by more than 1/256 of the range"),
                (None, None) => "not compared".to_owned(),
            },
            if l.saturates { "membrane saturates".to_owned() } else { String::new() },
        ]
    });
    let mut out = table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    if let (Some(before), Some(after)) = (imported.accuracy, checked.accuracy) {
        out += &format!(
            "\naccuracy {:.2} % in real numbers, {:.2} % in integers",
            before * 100.0,
            after * 100.0
        );
    }
    let shown = place.display();
    out + &format!("\nwritten to {shown}\nNow: nervure build {shown}")
}
