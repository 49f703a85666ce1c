//! What every example of every block must do. There is no list of blocks here: a new folder under `templates/` is found
//! and goes through all of this.
//!
//! `NERVURE_ONLY=group/name` visits one block; `NERVURE_BLESS=1` writes golden Verilog and areas: read the difference.

use std::collections::BTreeSet;
use std::sync::Arc;

use nervure_back::Options;
use nervure_core::Instance;
use nervure_tests::{Built, alone, library, noise, on_two_threads, rng, step_counts, target};
use serde_json::{Map, Value};

/// Samples of a co-simulation.
const SAMPLES: usize = 24;

/// One example of one block.
struct Example {
    block: &'static str,
    number: usize,
    instance: Arc<dyn Instance>,
}

fn examples() -> Vec<Example> {
    let of = |b: &'static dyn nervure_core::AnyBlock| {
        let list = b.examples();
        assert!((1..=4).contains(&list.len()), "{} has {} examples; 1 to 4", b.name(), list.len());
        list.into_iter().enumerate().map(|(number, instance)| Example { block: b.name(), number, instance })
    };
    library::blocks().into_iter().flat_map(of).collect()
}

/// What is wrong with an example, and its entry of `area.json`.
fn visit(e: &Example) -> (Vec<String>, Option<Value>) {
    let layer = e.block.split('/').next_back().expect("a name has a last part");
    let network = alone("example", layer, e.instance.clone());
    let built = match Built::new(&network, target(), &Options::default()) {
        Ok(built) => built,
        Err(d) => return (vec![format!("does not build: {d}")], None),
    };
    let mut wrong = built.lint();
    let (_, files) = library::own_files(&built);
    let golden = library::folder(e.block).join(format!("golden_{}.v", e.number));
    wrong.extend(library::recorded(&golden, &library::golden_text(&files)));
    for &steps in step_counts(&network) {
        let seed = (e.number * 10 + steps) as u64;
        let samples = noise(&network, SAMPLES, steps, &mut rng(seed));
        if let Err(text) = built.check(&network, &samples, seed, None) {
            wrong.push(format!("{steps} steps: {text}"));
        }
    }
    let area = library::area(&built, &e.number.to_string(), &library::areas(e.block));
    (wrong.into_iter().chain(area.clone().err()).collect(), area.ok())
}

#[test]
fn hardware_is_what_the_definition_says() {
    let examples = examples();
    let results = on_two_threads(&examples, visit);
    let mut wrong = Vec::new();
    for block in library::blocks() {
        let mut areas = Map::new();
        for (e, (faults, area)) in examples.iter().zip(&results).filter(|(e, _)| e.block == block.name()) {
            wrong.extend(faults.iter().map(|f| format!("{} example {}: {f}", e.block, e.number)));
            areas.extend(area.clone().map(|a| (e.number.to_string(), a)));
        }
        let text = serde_json::to_string_pretty(&areas).expect("figures are JSON") + "\n";
        let stale = library::recorded(&library::folder(block.name()).join("area.json"), &text);
        wrong.extend(stale.map(|s| format!("{}: {s}", block.name())));
    }
    assert!(wrong.is_empty(), "{} faults\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn no_recorded_file_is_left_over() {
    for block in library::blocks() {
        let golden: BTreeSet<String> =
            (0..block.examples().len()).map(|number| format!("golden_{number}.v")).collect();
        for entry in std::fs::read_dir(library::folder(block.name())).expect("the block's folder") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            assert!(
                !name.starts_with("golden_") || golden.contains(&name),
                "{}/{name} belongs to no example",
                block.name()
            );
        }
    }
}

#[test]
fn every_readme_and_every_parameter_is_documented() {
    let mut wrong = Vec::new();
    for block in library::blocks() {
        let mut fault = |text: String| wrong.push(format!("{}: {text}", block.name()));
        let readme = block.readme();
        if !readme.lines().next().is_some_and(|l| l.starts_with("# ") && l.len() > 4) {
            fault("the README does not begin with a title".into());
        }
        if !readme.lines().any(|l| l.starts_with("Source: ") && l.len() > 12) {
            fault("the README has no line `Source: ...`".into());
        }
        let schema = block.schema();
        let Some(fields) = schema["properties"].as_object() else {
            fault("the parameters are not a mapping".into());
            continue;
        };
        for reserved in ["name", "block", "from", "fifo"] {
            if fields.contains_key(reserved) {
                fault(format!("the parameter `{reserved}` hides a field of every layer"));
            }
        }
        let nested = schema["$defs"].as_object().into_iter().flatten();
        let nested = nested.filter_map(|(_, d)| d["properties"].as_object()).flatten();
        for (name, field) in fields.iter().chain(nested) {
            if field["description"].as_str().is_none_or(|d| d.len() < 4) {
                fault(format!("the parameter `{name}` has no description"));
            }
        }
        if schema["additionalProperties"] != Value::Bool(false) {
            fault("a misspelt parameter would be ignored: deny unknown fields".into());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn parameters_survive_being_written() {
    for e in examples() {
        let block = nervure_tests::registry().get(e.block).expect("it is in the registry");
        let again = block.instantiate(e.instance.params());
        let again = again.unwrap_or_else(|d| panic!("{} example {}: {d}", e.block, e.number));
        assert_eq!(again.params(), e.instance.params(), "{} example {}", e.block, e.number);
        assert_eq!(again.interface(), e.instance.interface(), "{} example {}", e.block, e.number);
    }
}
