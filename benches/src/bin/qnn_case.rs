//! `qnn_case CASE.json FOLDER` writes a quantized case as a network folder: `network.yaml`, `weights.npz`, `samples.npz`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use nervure_benches::qnn;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [case, folder] = &args[..] else { bail!("usage: qnn_case CASE.json FOLDER") };
    let text = std::fs::read_to_string(case).with_context(|| format!("cannot read {case}"))?;
    qnn::convert(&serde_json::from_str(&text)?, Path::new(folder))
}
