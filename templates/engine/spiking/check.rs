//! What cannot be built, and what to do about it.

use nervure_core::{Diagnostic, Instance, QType, Rate, Tensor, diag};

use super::{Params, Sharing, hardware, rows};

fn fault(code: &'static str, at: &'static str, message: String, help: &str) -> Result<(), Diagnostic> {
    Err(Diagnostic::new(code, message, help).at(at))
}

/// That there is a matrix of weights, whose rows are neurons.
pub(super) fn weights(p: &Params) -> Result<(), Diagnostic> {
    if p.weights.shape.len() == 2 && !p.weights.data.is_empty() {
        return Ok(());
    }
    let (shape, n) = (&p.weights.shape, p.input.len());
    let message = format!("`weights` has shape {shape:?}, expected [neurons, {n}]");
    fault("E0205", "weights", message, "give a matrix with one row per neuron")
}

/// Everything else but the neuron.
pub(super) fn all(p: &Params) -> Result<(), Diagnostic> {
    p.input.check().map_err(|d| d.at("input"))?;
    if p.input.rate != Rate::Step {
        let message = format!("the input is {}, expected one that passes once a step", p.input);
        let help = "give the network input `rate: step`, or put a spiking layer before this one";
        return fault("E0203", "input", message, help);
    }
    diag::in_range("weight_format", p.weight_format.bits as usize, 2..25)?;
    if !p.weight_format.signed {
        let message = format!("`weight_format` is {}, which has no sign", p.weight_format);
        return fault("E0203", "weight_format", message, "use a signed format, such as s4");
    }
    let frac = i32::from(p.weight_format.frac) + i32::from(p.input.format.frac);
    if !(-64..=64).contains(&frac) {
        let (w, x) = (p.weight_format, p.input.format);
        let message = format!("{w} weights and {x} inputs make a fraction beyond -64 to 64 bits");
        return fault("E0203", "weight_format", message, "read the weights with another fraction");
    }
    p.weights.check("weights", &[p.neurons(), p.input.len()], p.weight_format)?;
    if let Some(recurrent) = &p.recurrent {
        recurrent.check("recurrent", &[p.neurons(), p.neurons()], p.weight_format)?;
    }
    diag::divides("lanes", p.lanes, "the number of neurons", p.neurons())?;
    if let Some(lanes) = p.output_lanes {
        diag::divides("output_lanes", lanes, "`lanes`", p.lanes)?;
    }
    diag::divides("input_lanes", p.input_lanes, "the elements of the input", p.input.len())?;
    bias(p, "bias", p.bias.as_ref())?;
    bias(p, "recurrent_bias", p.recurrent_bias.as_ref())?;
    diag::in_range("events", p.events, 1..3)?;
    if p.run_time_weights && p.events == 2 {
        let message = "two spikes at once take both ports of the weight memory".to_owned();
        return fault("E0203", "run_time_weights", message, "use `events: 1`");
    }
    if p.run_time_weights && (p.bias.is_some() || p.recurrent_bias.is_some()) {
        let message =
            "biases become rows of weights, as many as they need, and those would be writable".to_owned();
        let help = "give the neuron its `bias`, or add an input that is always active";
        return fault("E0203", "run_time_weights", message, help);
    }
    Ok(())
}

fn bias(p: &Params, name: &'static str, bias: Option<&Tensor>) -> Result<(), Diagnostic> {
    let Some(bias) = bias else { return Ok(()) };
    bias.check(name, &[p.neurons()], QType::signed(47))?;
    if rows::split(p, bias, false, rows::MAX + 1).len() > rows::MAX {
        let message = format!(
            "`{name}` is split over rows of weights, {} each: it needs more than {}",
            p.weight_format,
            rows::MAX
        );
        return fault(
            "E0207",
            name,
            message,
            "widen `weight_format`, or scale the bias down with the weights",
        );
    }
    Ok(())
}

/// What depends on the neuron: its output comes back, and its current must fit.
pub(super) fn neuron(p: &Params, neuron: &dyn Instance) -> Result<(), Diagnostic> {
    let (current, x) = (p.current(), p.input.format);
    if current.bits > 47 {
        let message = format!("the synaptic current needs {} bits; at most 47", current.bits);
        return fault("E0207", "weights", message, "use fewer inputs or narrower weights");
    }
    let y = neuron.interface().outputs[0].tensor.format;
    if p.recurrent.is_some() && (y.frac != x.frac || p.output()? != y) {
        let message = format!("the output, {y}, comes back as an input beside {x}");
        let help = "give the neuron an output with the fraction of the input, in a format of its own";
        return fault("E0203", "recurrent", message, help);
    }
    let element = p.element();
    p.values().check(element)?;
    if p.events == 2 && element != QType::unsigned(1) {
        let message = format!("two events at once must be spikes, not {element}");
        return fault("E0203", "events", message, "use `events: 1`");
    }
    if p.sharing == Some(Sharing::Adder) && hardware::lane(p).changes == 0 {
        let message =
            format!("the step of `{}` is more than the adder that integrates can do", neuron.block());
        let help = "use `overflow: wrap`, or leave out `sharing`";
        return fault("E0203", "sharing", message, help);
    }
    Ok(())
}
