//! What `engine/spiking_conv` cannot be built from, in words.

use nervure_core::{Diagnostic, QType, Rate, TensorType, diag};

use super::{Layout, Params, Sharing, hardware};
use crate::shared::spikes;

impl Params {
    /// Errors: whatever is wrong, but for the neuron.
    pub(super) fn check(&self) -> Result<(), Diagnostic> {
        self.check_input()?;
        self.check_weights()?;
        TensorType::step(&self.out(), QType::unsigned(1)).check().map_err(|d| d.at("weights"))?;
        self.values().check(self.input.format)?;
        if self.current().bits > 47 {
            let message = format!("the synaptic current needs {} bits; at most 47", self.current().bits);
            let help = "use smaller kernels, narrower weights, or a narrower input";
            return Err(Diagnostic::new("E0207", message, help).at("weights"));
        }
        Ok(())
    }

    /// Errors: `E0203` for an adder that is to be shared and cannot be.
    pub(super) fn check_neuron(&self) -> Result<(), Diagnostic> {
        if self.sharing != Sharing::Adder || hardware::lane(self).changes > 0 {
            return Ok(());
        }
        let message =
            "`sharing: adder` does not suit this neuron: more than one addition follows the comparison";
        let help = "leave `sharing` out; an adder serves for a neuron without bias whose membrane wraps";
        Err(Diagnostic::new("E0203", message, help).at("sharing"))
    }

    /// Errors: `E0203` or `E0204` for an input that is no map once a step, `E0202` for its lanes.
    fn check_input(&self) -> Result<(), Diagnostic> {
        let x = &self.input;
        x.check().map_err(|d| d.at("input"))?;
        if x.shape.len() != 3 {
            let message = format!("the input is {x}, expected a map of three axes");
            let help = "give the input the shape [height, width, channels], or [channels, height, width] with `layout: chw`";
            return Err(Diagnostic::new("E0204", message, help).at("input"));
        }
        if x.rate != Rate::Step {
            let message = format!("the input is {x}, expected one that passes once a step");
            let help = "give the network input `rate: step`, or put a spiking layer before this one";
            return Err(Diagnostic::new("E0203", message, help).at("input"));
        }
        let axis = if self.layout == Layout::Hwc { "the number of channels" } else { "the width" };
        diag::divides("input_lanes", self.input_lanes, axis, x.shape[2])
    }

    /// Errors: `E0205` for weights that do not fit the input, `E0201` for steps of no size, `E0202` for groups and lanes.
    fn check_weights(&self) -> Result<(), Diagnostic> {
        let channels = self.map()[2];
        let fault = |message: String, help: &str| Diagnostic::new("E0205", message, help).at("weights");
        if self.weights.shape.len() != 4 || self.weights.data.is_empty() {
            let shape = &self.weights.shape;
            let message = format!("`weights` has shape {shape:?}, expected [out, in, height, width]");
            return Err(fault(message, "give one kernel per output channel and input channel"));
        }
        diag::divides("groups", self.groups, "the number of input channels", channels)?;
        diag::divides("groups", self.groups, "the number of output channels", self.out_channels())?;
        spikes::check_weight_format(self.weight_format)?;
        let frac = i32::from(self.weight_format.frac) + i32::from(self.input.format.frac);
        if !(-64..=64).contains(&frac) {
            let (w, x) = (self.weight_format, self.input.format);
            let message = format!("{w} weights and {x} inputs make a fraction beyond -64 to 64 bits");
            let help = "read the weights with another fraction";
            return Err(Diagnostic::new("E0203", message, help).at("weight_format"));
        }
        let &[out, _, height, width] = &self.weights.shape[..] else { unreachable!("four axes") };
        let expected = [out, channels / self.groups, height, width];
        self.weights.check("weights", &expected, self.weight_format)?;
        if let Some(bias) = &self.bias {
            bias.check("bias", &[out], QType::signed(32))?;
        }
        for n in 0..2 {
            diag::in_range("stride", self.stride[n], 1..TensorType::MAX_LEN + 1)?;
            diag::in_range("dilation", self.dilation[n], 1..TensorType::MAX_LEN + 1)?;
            diag::in_range("padding", self.padding[n], 0..TensorType::MAX_LEN + 1)?;
            let (a, what) = (self.axis(n), ["height", "width"][n]);
            if a.reach() > a.extent + 2 * a.padding {
                let (reach, extent) = (a.reach(), a.extent + 2 * a.padding);
                let message = format!("the kernel's {what} is {reach}, the padded input's is {extent}");
                return Err(fault(message, "use a smaller kernel or dilation, or more padding"));
            }
        }
        diag::divides("lanes", self.lanes, "the output channels of a group", out / self.groups)
    }
}
