//! Inputs with a fraction, into a layer that counts them: an integer is an integer, wherever its point is.

use nervure_back::Options;
use nervure_core::{QType, TensorType};
use nervure_front::NetworkBuilder;
use nervure_tests::{Built, noise, registry, rng, target};
use serde_json::json;

#[test]
fn counts_with_a_fraction_reach_a_spiking_layer() {
    // One keeps its current apart from its states, the other adds it to the membrane at once.
    let apart = json!({"block": "neuron/izhikevich", "halvings": 0, "start": [-65, -16], "membrane": "s8",
        "a": 300, "b": -291, "c": -65, "d": 8, "peak": 38});
    let at_once = json!({"block": "neuron/lif", "membrane": "s12.2", "threshold": 56, "compare": "gt",
        "reset": "zero", "leak": {"shift": 4}, "overflow": "saturate"});
    for (frac, neuron) in [(-1, &apart), (0, &apart), (-1, &at_once), (0, &at_once), (2, &at_once)] {
        let input = TensorType::step(&[3], QType { bits: 2, frac, signed: false });
        let params = json!({
            "weights": [[-4, 3, 7], [5, -2, 1]], "weight_format": "s6", "values": "repeat", "lanes": 1,
            "neuron": neuron,
        });
        let network = NetworkBuilder::new("counts", registry())
            .input("x", input, Some(1))
            .and_then(|b| b.layer("spikes", "engine/spiking", params))
            .and_then(NetworkBuilder::finish)
            .unwrap_or_else(|d| panic!("frac {frac}: {d}"));
        let built = Built::new(&network, target(), &Options::default());
        let built = built.unwrap_or_else(|d| panic!("frac {frac}: {d}"));
        let samples = noise(&network, 6, 12, &mut rng(1));
        built.check(&network, &samples, 1, None).unwrap_or_else(|text| panic!("frac {frac}: {text}"));
    }
}
