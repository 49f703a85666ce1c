//! Bad inputs and what is said of them: one folder of `tests/errors/` each, with `network.yaml`, `expected.txt`, and
//! optionally `set.txt` with one `--set` a line, and a `plant.yaml` that the network should control.
//!
//! `NERVURE_BLESS=1` writes `expected.txt`; read the difference before it is committed.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_bad_input_is_explained() {
    let registry = nervure_templates::registry();
    let bless = std::env::var_os("NERVURE_BLESS").is_some();
    let mut wrong = Vec::new();
    // Tests run in the package's folder: paths in diagnostics are the same on every machine.
    for folder in cases(Path::new("errors")) {
        let set = overrides(&folder);
        let plant = folder.join("plant.yaml");
        let network = nervure_front::load(&folder, &registry, &set);
        let read = network
            .and_then(|n| if plant.is_file() { nervure_front::plant(&plant, &n).map(drop) } else { Ok(()) });
        let told = read.map_or_else(|d| format!("{d}\n"), |()| "no error\n".to_owned());
        let file = folder.join("expected.txt");
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if bless && told != "no error\n" {
            fs::write(&file, &told).expect("expected.txt is written");
        } else if told != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- told\n{told}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ\n\n{}", wrong.len(), wrong.join("\n"));
}

fn cases(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).expect("the folder of bad inputs");
    let mut folders: Vec<PathBuf> =
        entries.map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= 30, "bad inputs are missing");
    folders
}

fn overrides(folder: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(folder.join("set.txt")).unwrap_or_default();
    let pair = |line: &str| line.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    text.lines().filter_map(pair).collect()
}
