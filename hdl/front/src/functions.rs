//! Named functions as tables of integers: `entries: {function: sigmoid}`. One of the places where numbers are real; what leaves
//! are integers. Deliberately absent: the name of any block; whatever layer has a field of integers, a narrow input and an
//! `output` format can be given a function.

use nervure_core::{Diagnostic, QType, TensorType};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::suggest;

/// Widest argument of a function.
const MAX_BITS: u8 = 16;

/// The field that makes a mapping a function.
const FIELD: &str = "function";

type Real = fn(f64) -> f64;

/// All functions by name, in alphabetical order.
const FUNCTIONS: [(&str, Real); 17] = [
    ("cos", f64::cos),
    ("elu", |x| if x > 0.0 { x } else { x.exp_m1() }),
    ("exp", f64::exp),
    ("gelu_tanh", |x| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh())),
    ("hard_sigmoid", |x| (x / 6.0 + 0.5).clamp(0.0, 1.0)),
    ("hard_tanh", |x| x.clamp(-1.0, 1.0)),
    ("identity", |x| x),
    ("log", f64::ln),
    ("log2", f64::log2),
    ("mish", |x| x * softplus(x).tanh()),
    ("reciprocal", f64::recip),
    ("sigmoid", sigmoid),
    ("silu", |x| x * sigmoid(x)),
    ("sin", f64::sin),
    ("softplus", softplus),
    ("sqrt", f64::sqrt),
    ("tanh", f64::tanh),
];

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `gain * function(scale * x) + offset`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    function: String,
    #[serde(default = "one")]
    scale: f64,
    #[serde(default = "one")]
    gain: f64,
    #[serde(default)]
    offset: f64,
}

const fn one() -> f64 {
    1.0
}

/// Replaces every field of `params` that is a function by its values over the layer's `input`, in the layer's `output` format:
/// rounded to the nearest, ties to the even one, and clamped.
///
/// Errors: `E0104` for an unknown function or a mistyped field, `E0203` for an input that is too wide or has values for which there
/// is no result.
pub(crate) fn tabulate(params: &mut Map<String, Value>) -> Result<(), Diagnostic> {
    let is_function = |v: &Value| v.as_object().is_some_and(|m| m.contains_key(FIELD));
    let fields: Vec<String> = params.iter().filter(|(_, v)| is_function(v)).map(|(k, _)| k.clone()).collect();
    for field in fields {
        let entries = entries(params, &params[&field]).map_err(|d| d.at(field.clone()))?;
        params.insert(field, json!({"shape": [entries.len()], "data": entries}));
    }
    Ok(())
}

fn entries(params: &Map<String, Value>, value: &Value) -> Result<Vec<i64>, Diagnostic> {
    let f: Function = serde_json::from_value(value.clone()).map_err(|e| {
        let help =
            "write `{function: sigmoid}`; `scale`, `gain` and `offset` are numbers and may be left out";
        Diagnostic::new("E0104", format!("this is no function: {e}"), help)
    })?;
    let known = FUNCTIONS.map(|(name, _)| name);
    let Some((_, real)) = FUNCTIONS.iter().find(|(name, _)| *name == f.function) else {
        let message = format!("there is no function `{}`", f.function.escape_debug());
        return Err(Diagnostic::new("E0104", message, suggest::help(&f.function, &known, "expected one of"))
            .at(FIELD));
    };
    let format =
        |field: &str| params.get(field).and_then(|v| serde_json::from_value::<QType>(v.clone()).ok());
    let Some(output) = format("output") else {
        let message = "a function is rounded to the layer's `output`, and there is none";
        return Err(Diagnostic::new(
            "E0104",
            message,
            "write the format of the result, such as `output: s8.6`",
        ));
    };
    let input = params.get("input").and_then(|v| serde_json::from_value::<TensorType>(v.clone()).ok());
    let Some(input) = input.map(|t| t.format) else {
        let message = "a function is tabulated over the layer's `input`, and there is none";
        return Err(Diagnostic::new("E0104", message, "give the integers themselves"));
    };
    if input.bits > MAX_BITS {
        let message = format!("the input has {} bits; a function takes at most {MAX_BITS}", input.bits);
        return Err(Diagnostic::new("E0203", message, "put an `act/quant` in front"));
    }
    let value = |x: i64| {
        let argument = x as f64 * (-f64::from(input.frac)).exp2();
        let y = f.gain * real(f.scale * argument) + f.offset;
        if y.is_nan() {
            let message = format!("`{}` has no value at {argument}", f.function);
            let help = "choose an input format without such values; unsigned, say";
            return Err(Diagnostic::new("E0203", message, help));
        }
        let rounded = (y * f64::from(output.frac).exp2()).round_ties_even();
        // Both ends of a format are exact as f64: it has at most 48 bits.
        Ok(rounded.clamp(output.min() as f64, output.max() as f64) as i64)
    };
    (input.min()..=input.max()).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(input: &str, output: &str, function: Value) -> Result<Value, Diagnostic> {
        let params = json!({"input": {"shape": [1], "format": input, "rate": "frame"}, "output": output, "entries": function});
        let Value::Object(mut params) = params else { unreachable!("it is a mapping") };
        tabulate(&mut params).map(|()| params["entries"]["data"].clone())
    }

    #[test]
    fn functions_are_rounded_over_the_whole_input() {
        let sigmoid = table("s3", "u8.8", json!({"function": "sigmoid"})).expect("a function");
        // 256 / (1 + e^-x) for -4 to 3.
        assert_eq!(sigmoid, json!([5, 12, 31, 69, 128, 187, 225, 244]));
        let tanh = table("s3.1", "s4.3", json!({"function": "tanh"})).expect("a function");
        assert_eq!(tanh, json!([-8, -7, -6, -4, 0, 4, 6, 7]));
        let line = json!({"function": "identity", "scale": 0.5, "gain": -2, "offset": 1.5});
        assert_eq!(table("u2", "s3", line).expect("a function"), json!([2, 0, 0, -2]));
        let root = table("u3", "u2", json!({"function": "reciprocal"})).expect("a function");
        assert_eq!(root, json!([3, 1, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn names_are_in_order_and_wrong_ones_are_told() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.0 < b.0));
        let told = |input, f| table(input, "u8", f).expect_err("it is wrong").to_string();
        assert!(told("u8", json!({"function": "sigmoit"})).contains("`sigmoid`"));
        assert!(told("u8", json!({"function": "tanh", "gian": 2})).contains("gian"));
        assert!(told("s8", json!({"function": "sqrt"})).contains("no value at -128"));
        assert!(told("u24", json!({"function": "sin"})).contains("E0203"));
    }
}
