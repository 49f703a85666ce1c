//! The published files, where they are at hand.

use std::path::{Path, PathBuf};

use super::*;

/// The folder of published networks; it is no part of the project.
fn published() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/snn");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: shared/data/snn is not here");
    None
}

#[test]
fn tmp_all() {
    let Some(folder) = published() else { return };
    for d in std::fs::read_dir(folder).unwrap() {
        let d = d.unwrap().path();
        if !d.is_dir() {
            continue;
        }
        for f in std::fs::read_dir(d).unwrap() {
            let f = f.unwrap().path();
            let b = std::fs::read(&f).unwrap();
            if f.extension().unwrap() == "nir" {
                match read(&b, "x.nir") {
                    Ok(l) => println!(
                        "{f:?} {} {} {:?} {:?}",
                        l.graph.nodes.len(),
                        l.graph.edges.len(),
                        l.warnings,
                        l.graph
                            .nodes
                            .iter()
                            .map(|n| (&n.name, n.primitive.type_name(), &n.shape))
                            .collect::<Vec<_>>()
                    ),
                    Err(e) => println!("{f:?} {e}"),
                }
            } else if f.extension().unwrap() == "net" {
                match read_lava(&b, "x.net") {
                    Ok(l) => println!(
                        "{f:?} {:?} {:?}",
                        l.layers.iter().map(|l| (&l.shape, &l.neuron)).collect::<Vec<_>>(),
                        l.warnings
                    ),
                    Err(e) => println!("{f:?} {e}"),
                }
            }
        }
    }
}
