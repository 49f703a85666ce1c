//! How long it takes from a network to Verilog text, for every example; and a warm verification of a small design.

use anyhow::{Context, Result, ensure};
use nervure_benches::{best, examples, generate, load, write};
use nervure_core::{QType, Samples, TensorType};
use nervure_front::NetworkBuilder;
use nervure_sim::cosim::{Bench, Subject};
use nervure_sim::golden::{self, GoldenOptions};
use nervure_sim::{Cache, CosimOptions, Toolbox, cosim};

/// Vectors of the verification.
const VECTORS: usize = 1000;

fn main() -> Result<()> {
    let registry = nervure_templates::registry();
    let target = registry.target("xc7")?;
    println!("network to Verilog text, xc7        load ms  generate ms   lines");
    for name in examples()? {
        let (network, _) = match load(&name, &registry) {
            Ok(example) => example,
            Err(e) => {
                println!("{name:<33} skipped: {}", e.to_string().lines().next().unwrap_or_default());
                continue;
            }
        };
        let (loading, _) = best(5, || load(&name, &registry))?;
        let (seconds, (_, files)) = best(5, || generate(&network, &registry, target))?;
        let verilog = files.iter().filter(|f| f.path.ends_with(".v"));
        let lines: usize = verilog.map(|f| f.text.lines().count()).sum();
        println!("{name:<33} {:>9.1} {:>12.1} {lines:>7}", loading * 1e3, seconds * 1e3);
    }

    let network = NetworkBuilder::new("small", &registry)
        .input("x", TensorType::frame(&[16], QType::signed(12)), Some(4))?
        .layer("relu", "act/relu", params(r#"{}"#)?)?
        .layer(
            "quant",
            "act/requant",
            params(r#"{"output": "u8", "mode": {"shift": 3, "rounding": "half_even"}}"#)?,
        )?
        .layer("queue", "stream/fifo", params(r#"{"depth": 16}"#)?)?
        .layer("class", "seq/argmax", params(r#"{}"#)?)?
        .finish()?;
    let (design, files) = generate(&network, &registry, target)?;
    let folder = tempfile::tempdir()?;
    let rtl = write(&files, folder.path())?;
    let samples = noise(&network.inputs[0].tensor);
    let trace = golden::run(&network, &samples, GoldenOptions::default(), &|_| ())?;
    let (toolbox, cache) = (Toolbox::new(), Cache::open());
    let bench = Bench { toolbox: &toolbox, cache: &cache };
    let subject = Subject { design: &design, network: &network, rtl: &rtl };
    let verify = || {
        let report = cosim(&bench, &subject, &samples, &trace, &CosimOptions::default())?;
        let report = report.context("a dry run")?;
        ensure!(report.passed(), "{report:?}");
        Ok(())
    };
    let (cold, ()) = best(1, verify)?;
    let (warm, ()) = best(5, verify)?;
    let lines: usize = files.iter().map(|f| f.text.lines().count()).sum();
    println!("verify {lines} lines, {VECTORS} vectors, 3 passes: first {cold:.2} s, warm {warm:.3} s");
    Ok(())
}

fn params(text: &str) -> Result<serde_json::Value> {
    Ok(serde_json::from_str(text)?)
}

/// Reproducible noise over the range of one input.
fn noise(tensor: &TensorType) -> Samples {
    let mut state = 1u64;
    let (min, max) = (tensor.format.min(), tensor.format.max());
    let draw = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        min + (state >> 33) as i64 % (max - min + 1)
    };
    let values = (0..VECTORS * tensor.len()).map(draw).collect();
    let inputs = vec![nervure_core::Elements::I64(values)];
    Samples { count: VECTORS, steps: 1, inputs, labels: None, targets: None }
}
