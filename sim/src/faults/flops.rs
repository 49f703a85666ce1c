//! Where the registers of a design are in what Verilator made of it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use nervure_back::Storage;

/// A register of a design, for every time that its module occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flop {
    /// Its name in the model's root.
    pub(super) member: String,
    /// Instances and name, with dots.
    pub(super) path: String,
    /// Of a word.
    pub(super) bits: u64,
    /// More than one of a memory.
    pub(super) words: u64,
    /// Whether it holds code words.
    pub(super) coded: bool,
}

/// A configuration that lets Verilator keep every register, and every memory of code words.
pub(super) fn configuration(modules: &BTreeMap<String, Storage>) -> String {
    let mut text = "`verilator_config\n".to_owned();
    for (module, storage) in modules {
        for register in storage.registers.iter().chain(&storage.coded) {
            text += &format!("public_flat_rw -module \"{module}\" -var \"{register}\"\n");
        }
    }
    text
}

/// The registers and the memories of code words among the members of the model's root, whose declaration is `header`.
///
/// Errors: a register of a module that is used has no member, or an instance is not known.
pub(super) fn find(header: &str, top: &str, modules: &BTreeMap<String, Storage>) -> Result<Vec<Flop>> {
    let mut flops = Vec::new();
    let mut seen = BTreeSet::new();
    for line in header.lines() {
        let Some((member, bits, words)) = member(line).map(|(m, b)| (m, b, 1)).or_else(|| array(line)) else {
            continue;
        };
        let parts: Vec<String> = member.split("__DOT__").map(|p| p.replace("___05F", "__")).collect();
        let Some(((first, instances), name)) =
            parts.split_last().and_then(|(name, rest)| Some((rest.split_first()?, name)))
        else {
            continue;
        };
        if first != top {
            continue;
        }
        let mut module = top;
        let mut path = Vec::new();
        for part in instances {
            // What is no instance is a generate block.
            if let Some(next) = modules.get(module).and_then(|m| m.instances.get(part)) {
                module = next;
            }
            path.push(part.replace("__BRA__", "[").replace("__KET__", "]"));
        }
        let storage = modules.get(module).with_context(|| format!("there is no module `{module}`"))?;
        let coded = storage.coded.contains(name);
        if coded || storage.registers.contains(name) {
            seen.insert((module.to_owned(), name.clone()));
            path.push(name.clone());
            let path = path.join(".").replace("[]", "");
            flops.push(Flop { member: member.to_owned(), path, bits, words, coded });
        }
    }
    let mut used = BTreeSet::from([top.to_owned()]);
    let mut open = vec![top.to_owned()];
    while let Some(module) = open.pop() {
        let storage = modules.get(&module).with_context(|| format!("there is no module `{module}`"))?;
        for name in storage.registers.iter().chain(&storage.coded) {
            ensure!(
                seen.contains(&(module.clone(), name.clone())),
                "Verilator kept no `{name}` of `{module}`"
            );
        }
        open.extend(storage.instances.values().filter(|m| used.insert((*m).clone())).cloned());
    }
    flops.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(flops)
}

/// Name and bits of a member such as `CData/*3:0*/ a__DOT__b;`.
pub(crate) fn member(line: &str) -> Option<(&str, u64)> {
    let line = line.trim();
    if !["CData", "SData", "IData", "QData", "VlWide"].iter().any(|kind| line.starts_with(kind)) {
        return None;
    }
    let (_, rest) = line.split_once("/*")?;
    let (range, name) = rest.split_once("*/")?;
    let (high, low) = range.split_once(':')?;
    let bits = high.parse::<u64>().ok()?.checked_sub(low.parse().ok()?)? + 1;
    Some((name.trim().strip_suffix(';')?, bits))
}

/// Name, bits of a word and words of a member such as `VlUnpacked<SData/*12:0*/, 16> a__DOT__b;`.
fn array(line: &str) -> Option<(&str, u64, u64)> {
    let inner = line.trim().strip_prefix("VlUnpacked<")?;
    let (_, rest) = inner.split_once("/*")?;
    let (range, rest) = rest.split_once("*/, ")?;
    let (words, name) = rest.split_once("> ")?;
    let (high, low) = range.split_once(':')?;
    let bits = high.parse::<u64>().ok()?.checked_sub(low.parse().ok()?)? + 1;
    Some((name.trim().strip_suffix(';')?, bits, words.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> BTreeMap<String, Storage> {
        let storage = |registers: &[&str], instances: &[(&str, &str)]| Storage {
            registers: registers.iter().map(|r| (*r).to_owned()).collect(),
            coded: ["w_mem".to_owned()].into_iter().filter(|_| !registers.is_empty()).collect(),
            instances: instances.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        };
        BTreeMap::from([
            ("t".to_owned(), storage(&[], &[("u_a", "t_a")])),
            ("t_a".to_owned(), storage(&["x_q", "y_q"], &[])),
        ])
    }

    #[test]
    fn members_are_found_by_instance() {
        let header = "  CData/*0:0*/ t__DOT__u_a__DOT__x_q;\n  VlWide<3>/*70:0*/ t__DOT__u_a__DOT__gen_b__BRA__1__KET____DOT__y_q;\n\
            \n  CData/*0:0*/ t__DOT__x_q;\n  IData/*31:0*/ other;\n  VlUnpacked<SData/*12:0*/, 16> t__DOT__u_a__DOT__w_mem;\n";
        let flops = find(header, "t", &modules()).unwrap();
        let list: Vec<_> = flops.iter().map(|f| (f.path.as_str(), f.bits, f.words, f.coded)).collect();
        assert_eq!(
            list,
            [("u_a.gen_b[1].y_q", 71, 1, false), ("u_a.w_mem", 13, 16, true), ("u_a.x_q", 1, 1, false)]
        );
    }

    #[test]
    fn a_register_that_is_missing_is_an_error() {
        let header = "  CData/*0:0*/ t__DOT__u_a__DOT__x_q;\n";
        assert!(find(header, "t", &modules()).unwrap_err().to_string().contains("y_q"));
    }
}
