//! Flat kernels: all elements of a tensor at once. What the unrolled layers share on the hardware's side.

use nervure_core::kernel::{Builder, Expr};
use nervure_core::{Diagnostic, QType, Tensor, TensorType};

use super::factors::Terms;

/// Most elements of one stream of a flat layer.
pub(crate) const MAX_ELEMENTS: usize = 1 << 14;
/// Most products of one flat layer.
const MAX_PRODUCTS: usize = 1 << 18;

/// Errors: what [`TensorType::check`] says; `E0204` for more elements than a flat layer takes.
pub(crate) fn check(tensor: &TensorType, field: &str) -> Result<(), Diagnostic> {
    tensor.check().map_err(|d| d.at(field))?;
    if tensor.len() <= MAX_ELEMENTS {
        return Ok(());
    }
    let message = format!("{} elements in one beat; at most {MAX_ELEMENTS}", tensor.len());
    Err(Diagnostic::new("E0204", message, "use a folded or streaming layer here").at(field))
}

/// Errors: `E0204` for more products than a flat layer computes at once.
pub(crate) fn check_products(products: usize) -> Result<(), Diagnostic> {
    if products <= MAX_PRODUCTS {
        return Ok(());
    }
    let message = format!("{products} products at once; at most {MAX_PRODUCTS}");
    Err(Diagnostic::new("E0204", message, "use `engine/folded`, or a smaller layer").at("weights"))
}

/// All elements of an input stream, in order.
pub(crate) fn inputs<'k>(k: &'k Builder, name: &str, tensor: &TensorType) -> Vec<Expr<'k>> {
    (0..tensor.len()).map(|e| k.input(&format!("{name}_{e}"), tensor.format)).collect()
}

/// All elements of an output stream, in order.
pub(crate) fn outputs<'k>(k: &'k Builder, name: &str, format: QType, y: impl IntoIterator<Item = Expr<'k>>) {
    y.into_iter().enumerate().for_each(|(e, y)| k.output_as(&format!("{name}_{e}"), format, y));
}

/// `bias + sum of w * x` as one balanced tree, without the products that are nothing; all of fraction `sum.frac`.
pub(crate) fn weighted_sum<'k>(
    k: &'k Builder,
    terms: impl Iterator<Item = (Expr<'k>, usize)>,
    weights: &Terms<'k>,
    bias: Option<Expr<'k>>,
    sum: QType,
) -> Expr<'k> {
    let mut list: Vec<Expr<'k>> = terms.filter_map(|(x, n)| Some(x * weights.at(k, n)?)).collect();
    list.extend(bias);
    if list.is_empty() {
        list.push(k.constant(0, sum.frac));
    }
    k.reduce(list, |a, b| a + b)
}

/// Format of a sum of products of `x` and `weight` that can be `range`, or the wider one that is asked for.
///
/// Errors: `E0203` for fractions that do not fit together, `E0207` for a sum that does not fit.
pub(crate) fn accumulator(
    x: QType,
    weight: QType,
    (lo, hi): (i128, i128),
    given: Option<QType>,
) -> Result<QType, Diagnostic> {
    let frac @ -64..=64 = i32::from(x.frac) + i32::from(weight.frac) else {
        let message = format!("{weight} weights and {x} inputs make a fraction beyond -64 to 64 bits");
        let help = "read the weights with another fraction";
        return Err(Diagnostic::new("E0203", message, help).at("weight_format"));
    };
    let frac = frac as i8;
    let exact = QType::holding(lo, hi, frac);
    let help = format!("the sum needs {exact}; widen or leave out `accumulator`");
    match given {
        None if exact.bits > QType::MAX_BITS => {
            let message =
                format!("the sum can be {lo} to {hi}, {} bits; at most {}", exact.bits, QType::MAX_BITS);
            Err(Diagnostic::new("E0207", message, "use narrower inputs, weights or biases").at("weights"))
        }
        None => Ok(exact),
        Some(a) if a.frac != frac => {
            let message = format!("`accumulator` is {a}, but the products have {frac} fraction bits");
            Err(Diagnostic::new("E0203", message, help).at("accumulator"))
        }
        Some(a) if lo < a.min().into() || hi > a.max().into() => {
            let message = format!("`accumulator` is {a}, but the sum can be {lo} to {hi}");
            Err(Diagnostic::new("E0207", message, help).at("accumulator"))
        }
        Some(a) => Ok(a),
    }
}

/// The weights of a layer and their format checked: at most 32 bits. Errors: `E0201`, `E0205`, `E0206`.
pub(crate) fn check_weights(
    weights: &Tensor,
    shape: &[usize],
    format: QType,
    bias: Option<&Tensor>,
    outputs: usize,
) -> Result<(), Diagnostic> {
    nervure_core::diag::in_range("weight_format", format.bits as usize, 1..33)?;
    weights.check("weights", shape, format)?;
    if let Some(bias) = bias {
        bias.check("bias", &[outputs], QType::signed(QType::MAX_BITS))?;
    }
    Ok(())
}
