//! The interpreter of kernels against the definition of every block that is one; the kernels inside templates hold
//! together. Verilog is not involved: see `conformance`.

use nervure_core::kernel::Kernel;
use nervure_core::{Body, Instance};
use nervure_tests::{alone, library, noise, rng};

/// Samples, and steps of each.
const SAMPLES: usize = 40;
const STEPS: usize = 6;

/// The kernel with one constant per element, so that `eval` finds the one of any element.
fn per_element(kernel: &Kernel, len: usize) -> Kernel {
    let mut kernel = kernel.clone();
    for param in &mut kernel.params {
        param.values = (0..len).map(|e| param.values[e % param.values.len()]).collect();
    }
    kernel
}

fn compare(instance: &dyn Instance, kernel: &Kernel, samples: impl Iterator<Item = Vec<Vec<i64>>>) {
    let ports = instance.interface();
    assert_eq!((ports.inputs.len(), ports.outputs.len()), (1, 1), "a kernel is one stream to one stream");
    let len = ports.inputs[0].tensor.len();
    let kernel = per_element(kernel, len);
    let mut runner = instance.runner();
    for (sample, steps) in samples.enumerate() {
        runner.reset();
        let reset: Vec<i64> = kernel.states.iter().map(|s| s.reset).collect();
        let mut states = vec![reset; len];
        for (step, x) in steps.iter().enumerate() {
            let mut y = vec![0; len];
            runner.step(&[x], &mut [&mut y]);
            for element in 0..len {
                let result = kernel.eval(element, &[x[element]], &states[element]);
                assert_eq!(
                    result.outputs,
                    [y[element]],
                    "{instance:?}: sample {sample}, step {step}, element {element}, x = {}",
                    x[element]
                );
                states[element] = result.next;
            }
        }
    }
}

#[test]
fn kernels_are_what_the_definition_says() {
    let mut seen = 0;
    for block in library::blocks() {
        for (number, instance) in block.examples().into_iter().enumerate() {
            let Body::Kernel(kernel) = instance.body() else { continue };
            kernel.validate();
            let network = alone("k", "layer", instance.clone());
            let samples = noise(&network, SAMPLES, STEPS, &mut rng(number as u64));
            let sequences = (0..SAMPLES).map(|sample| {
                let read = |step| {
                    let mut x = vec![0; network.inputs[0].tensor.len()];
                    samples.input(&network, 0, sample, step, &mut x);
                    x
                };
                (0..STEPS).map(read).collect()
            });
            compare(instance.as_ref(), &kernel, sequences);
            seen += 1;
        }
    }
    assert!(seen > 0 || std::env::var_os("NERVURE_ONLY").is_some(), "no block is a kernel");
}

#[test]
fn kernels_inside_templates_hold_together() {
    for block in library::blocks() {
        for instance in block.examples() {
            if let Body::Template(template) = instance.body() {
                template.kernels.iter().for_each(|(_, kernel)| kernel.validate());
            }
        }
    }
}
