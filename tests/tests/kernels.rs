//! The interpreter of kernels against the definition of every block that is one; the kernels inside templates hold
//! together. Verilog is not involved: see `conformance`.

use nervure_core::kernel::Kernel;
use nervure_core::{Body, Instance, Network, QType, Samples, TensorType};
use nervure_tests::{alone, library, noise, rng};
use rand::RngExt;

/// Samples, and steps of each.
const SAMPLES: usize = 40;
const STEPS: usize = 6;
/// Random parameter sets of each block.
const RANDOM: u64 = 600;

/// The kernel with one constant per element, so that `eval` finds the one of any element.
fn per_element(kernel: &Kernel, len: usize) -> Kernel {
    let mut kernel = kernel.clone();
    for param in &mut kernel.params {
        param.values = (0..len).map(|e| param.values[e % param.values.len()]).collect();
    }
    kernel
}

/// `samples`: of each, the steps; of each, the inputs.
fn compare(instance: &dyn Instance, kernel: &Kernel, samples: impl Iterator<Item = Vec<Vec<Vec<i64>>>>) {
    let ports = instance.interface();
    assert_eq!(ports.inputs.len(), kernel.inputs.len(), "each stream feeds one input of a kernel");
    assert_eq!(ports.outputs.len(), 1, "a kernel gives one stream");
    let len = ports.inputs[0].tensor.len();
    let kernel = per_element(kernel, len);
    let mut runner = instance.runner();
    for (sample, steps) in samples.enumerate() {
        runner.reset();
        let reset: Vec<i64> = kernel.states.iter().map(|s| s.reset).collect();
        let mut states = vec![reset; len];
        for (step, x) in steps.iter().enumerate() {
            let mut y = vec![0; len];
            let inputs: Vec<&[i64]> = x.iter().map(Vec::as_slice).collect();
            runner.step(&inputs, &mut [&mut y]);
            let at = |element: usize| x.iter().map(|x| x[element]).collect::<Vec<_>>();
            for element in 0..len {
                let result = kernel.eval(element, &at(element), &states[element]);
                assert_eq!(
                    result.outputs,
                    [y[element]],
                    "{instance:?}: sample {sample}, step {step}, element {element}, x = {:?}",
                    at(element)
                );
                states[element] = result.next;
            }
        }
    }
}

/// Holds a block's kernel against its definition.
fn hold(instance: &dyn Instance, samples: impl Iterator<Item = Vec<Vec<Vec<i64>>>>) {
    match instance.body() {
        Body::Kernel(kernel) => compare(instance, &kernel, samples),
        Body::Flat(kernel) => compare_flat(instance, &kernel, samples),
        Body::Template(_) => unreachable!("the caller looked for kernels"),
    }
}

/// The same for a kernel that sees all elements at once.
fn compare_flat(instance: &dyn Instance, kernel: &Kernel, samples: impl Iterator<Item = Vec<Vec<Vec<i64>>>>) {
    let ports = instance.interface();
    let len = |streams: &[nervure_core::Stream]| streams.iter().map(|s| s.tensor.len()).sum::<usize>();
    assert_eq!(len(&ports.inputs), kernel.inputs.len(), "each element feeds one input of a flat kernel");
    assert_eq!(len(&ports.outputs), kernel.outputs.len(), "each output of a flat kernel is an element");
    assert!(ports.inputs.iter().chain(&ports.outputs).all(|s| s.beats() == 1), "a flat layer has one beat");
    assert!(
        kernel.states.is_empty() && kernel.params.is_empty(),
        "a flat kernel has neither state nor parameter"
    );
    let mut runner = instance.runner();
    for x in samples.flatten() {
        let mut y: Vec<Vec<i64>> = ports.outputs.iter().map(|s| vec![0; s.tensor.len()]).collect();
        let inputs: Vec<&[i64]> = x.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<&mut [i64]> = y.iter_mut().map(Vec::as_mut_slice).collect();
        runner.step(&inputs, &mut outputs);
        assert_eq!(kernel.eval(0, &x.concat(), &[]).outputs, y.concat(), "{instance:?}: x = {x:?}");
    }
}

/// The inputs of one sample, step by step.
fn sequence(network: &Network, samples: &Samples, sample: usize, steps: usize) -> Vec<Vec<Vec<i64>>> {
    let read = |step, n: usize| {
        let mut x = vec![0; network.inputs[n].tensor.len()];
        samples.input(network, n, sample, step, &mut x);
        x
    };
    (0..steps).map(|step| (0..network.inputs.len()).map(|n| read(step, n)).collect()).collect()
}

#[test]
fn kernels_are_what_the_definition_says() {
    let mut seen = 0;
    for block in library::blocks() {
        for (number, instance) in block.examples().into_iter().enumerate() {
            let (Body::Kernel(kernel) | Body::Flat(kernel)) = instance.body() else { continue };
            kernel.validate();
            let network = alone("k", "layer", instance.clone());
            let samples = noise(&network, SAMPLES, STEPS, &mut rng(number as u64));
            let sequences = (0..SAMPLES).map(|sample| sequence(&network, &samples, sample, STEPS));
            hold(instance.as_ref(), sequences);
            seen += 1;
        }
    }
    assert!(seen > 0 || std::env::var_os("NERVURE_ONLY").is_some(), "no block is a kernel");
}

/// Random parameters reach what four examples cannot; the interpreter is fast enough for thousands of them.
#[test]
fn random_kernels_are_what_the_definition_says() {
    let mut seen = 0;
    for block in library::blocks() {
        for seed in 0..RANDOM {
            let mut rng = rng(seed);
            let format = QType::signed(rng.random_range(2..12));
            let frac = if rng.random() { 0 } else { rng.random_range(-2..8) };
            let mut extent = |most| rng.random_range(1..most);
            let shape = match seed % 4 {
                0 => vec![extent(6), extent(4), extent(3)],
                1 => vec![extent(8), extent(4)],
                _ => vec![extent(7)],
            };
            let input = TensorType::step(&shape, QType { frac, ..format });
            let Some(instance) = block.sample(&input, &mut rng) else { continue };
            let (Body::Kernel(kernel) | Body::Flat(kernel)) = instance.body() else { continue };
            kernel.validate();
            let network = alone("k", "layer", instance.clone());
            let samples = noise(&network, 4, 12, &mut rng);
            hold(instance.as_ref(), (0..4).map(|n| sequence(&network, &samples, n, 12)));
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
