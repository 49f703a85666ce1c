//! Words of `nervure prune`.

use std::path::PathBuf;

use clap::Args;
use nervure_front::prune::ARCHIVE;

use super::key_value;

/// `nervure prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Network file, or a folder that holds `network.yaml`.
    pub(crate) net: PathBuf,
    /// Weights kept, of how many consecutive inputs, such as `2:8`; at most 16.
    #[arg(long, value_name = "N:M", required_unless_present = "decompose")]
    pub(crate) pattern: Option<String>,
    /// Lose nothing: make a layer that has a pattern into passes of these, the last as often as it takes, and add them.
    #[arg(long, value_name = "N:M,..", value_delimiter = ',', conflicts_with = "pattern")]
    pub(crate) decompose: Vec<String>,
    /// Layers, separated by commas [default: all that have weights].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) layers: Vec<String>,
    /// Write matrices as planes of values and indices, with a checksum, to this archive in the folder.
    #[arg(long, value_name = "NAME.npz", value_parser = archive, conflicts_with = "decompose")]
    pub(crate) planes: Option<String>,
    /// Samples to compare accuracies on [default: samples.npz beside the network, if there is one].
    #[arg(long, value_name = "X.npz")]
    pub(crate) input: Option<PathBuf>,
    /// Folder to make [default: the network's name and what was done].
    #[arg(short, long, value_name = "NET")]
    pub(crate) output: Option<PathBuf>,
    /// Replace a field of the network, such as `layers.hidden.lanes=8`.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

fn archive(text: &str) -> Result<String, String> {
    match super::file_name(text)? {
        taken if [ARCHIVE, "samples.npz"].contains(&taken.as_str()) => {
            Err(format!("{taken} holds something else; choose a name such as `planes.npz`"))
        }
        name => Ok(name),
    }
}
