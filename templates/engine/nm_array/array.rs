//! The array's proportions: what its parameters leave open, and how a pattern is fed to it.

use nervure_core::num::gcd;
use nervure_core::{Diagnostic, QType, diag};

use super::layer::Stage;
use super::{Layer, Params};
use crate::shared::pattern::Pattern;

/// How activations reach the groups of slots for one pattern.
///
/// A slot is a multiplier's place in its column. Where a block's slots fill a group or several, the groups of a block see the
/// same activations; where several blocks share a group, it sees them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Feed {
    /// Slots of a block, at least as many as it keeps weights.
    pub(super) slots: usize,
    /// Inputs of a block.
    pub(super) block: usize,
    /// Blocks of a tile.
    pub(super) blocks: usize,
    /// What the choice in front of the groups has to do.
    pub(super) spread: Spread,
}

/// Group g chooses from `width` activations beginning with number `g / share * step` of the tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spread {
    pub(super) width: usize,
    pub(super) share: usize,
    pub(super) step: usize,
}

impl Feed {
    /// Activations of a tile.
    pub(super) const fn inputs(self) -> usize {
        self.blocks * self.block
    }
}

/// The fewest slots in which a block of `pattern` fits `rows` slots in groups of `group`, each with `choices` activations.
fn feed(pattern: Pattern, rows: usize, group: usize, choices: usize) -> Option<Feed> {
    let Pattern { n, m } = pattern;
    (n..=rows).find_map(|slots| {
        let spread = if group.is_multiple_of(slots) {
            let width = group / slots * m;
            Spread { width, share: 1, step: width }
        } else if slots.is_multiple_of(group) {
            Spread { width: m, share: slots / group, step: m }
        } else {
            return None;
        };
        (spread.width <= choices).then_some(Feed { slots, block: m, blocks: rows / slots, spread })
    })
}

/// An array, everything decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Array {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) chain: usize,
    pub(super) group: usize,
    pub(super) choices: usize,
    pub(super) broadcast: usize,
    pub(super) finish: usize,
    /// Activations that are addressed together.
    pub(super) granule: usize,
    /// Granules that are read at once: a power of two.
    pub(super) granules: usize,
    /// Format of an activation; unsigned ones that need all of its bits are stored less half their range.
    pub(super) activation: QType,
    pub(super) weight: QType,
    /// Per layer.
    pub(super) feeds: Vec<Feed>,
    /// Of the patterns that all layers may have instead, each.
    pub(super) others: Vec<Feed>,
    /// The different spreads, ascending.
    pub(super) spreads: Vec<Spread>,
}

impl Array {
    /// Errors: proportions that do not divide each other, or a pattern that cannot be fed.
    pub(super) fn of(p: &Params, stages: &[Stage]) -> Result<Self, Diagnostic> {
        let chain = match p.chain {
            Some(chain) => chain,
            None => (1..=p.rows.min(8)).rfind(|c| p.rows.is_multiple_of(*c)).expect("1 divides all"),
        };
        diag::divides("chain", chain, "`rows`", p.rows)?;
        let group = p.group.unwrap_or(if chain.is_multiple_of(2) { 2 } else { 1 });
        diag::divides("group", group, "`chain`", chain)?;
        let broadcast = p.broadcast.unwrap_or(p.columns);
        diag::divides("broadcast", broadcast, "`columns`", p.columns)?;
        let (choices, feeds, others) = feeds(p, group)?;
        let all = || feeds.iter().chain(&others);
        let granule = all().fold(choices, |g, f| gcd(g, f.inputs()));
        let largest = all().map(|f| f.inputs()).max().expect("there is a layer");
        let granules = (largest / granule).next_power_of_two();
        diag::divides("finish", p.finish, "`columns`", p.columns)?;
        if !p.finish.is_power_of_two() || p.finish > granule * granules {
            let message =
                format!("`finish` is {}, expected a power of two up to {}", p.finish, granule * granules);
            return Err(
                Diagnostic::new("E0202", message, "use a smaller power of two, or more `rows`").at("finish")
            );
        }
        let mut spreads: Vec<Spread> = all().map(|f| f.spread).collect();
        spreads.sort_unstable();
        spreads.dedup();
        Ok(Self {
            rows: p.rows,
            columns: p.columns,
            chain,
            group,
            choices,
            broadcast,
            finish: p.finish,
            granule,
            granules,
            activation: QType::signed(activation_bits(p, stages)?),
            weight: QType { frac: 0, ..p.weight_format },
            feeds,
            others,
            spreads,
        })
    }

    pub(super) const fn chains(&self) -> usize {
        self.rows / self.chain
    }

    pub(super) const fn groups(&self) -> usize {
        self.rows / self.group
    }

    /// Registers of activations, one behind the other.
    pub(super) const fn spans(&self) -> usize {
        self.columns / self.broadcast
    }

    /// Words of the weight memory that fill the array.
    pub(super) const fn words(&self) -> usize {
        self.chain / self.group
    }

    /// Parts in which the sums of a window are finished.
    pub(super) const fn parts(&self) -> usize {
        self.columns / self.finish
    }

    /// Activations of a memory word.
    pub(super) const fn word(&self) -> usize {
        self.granule * self.granules
    }

    /// Channels of a map as it is stored.
    pub(super) fn padded(&self, channels: usize) -> usize {
        channels.next_multiple_of(self.granule.max(self.finish))
    }

    /// Elements of the input a beat, and the activations of the memory that they fill: all channels of a position, or
    /// as many as divide them and a granule.
    pub(super) fn beat(&self, channels: usize, given: usize) -> (usize, usize) {
        let (padded, part) = (self.padded(channels), gcd(channels, self.granule));
        match given {
            _ if given == channels && padded.is_power_of_two() && padded <= self.word() => (channels, padded),
            1.. if part.is_multiple_of(given) => (given, given),
            _ => (part, part),
        }
    }

    /// What is taken from a value of this format when it is stored.
    pub(super) fn offset(&self, format: QType) -> i64 {
        if !format.signed && format.bits == self.activation.bits { 1 << (format.bits - 1) } else { 0 }
    }
}

/// As many choices as all patterns need, or those given; how each layer is fed, and each pattern that it may have instead.
///
/// Errors: `E0203` for a pattern that does not fit.
fn feeds(p: &Params, group: usize) -> Result<(usize, Vec<Feed>, Vec<Feed>), Diagnostic> {
    let others = p.run_time.as_ref().map_or(&[][..], |r| &r.patterns);
    let patterns: Vec<Pattern> = p.layers.iter().map(Layer::pattern).chain(others.iter().copied()).collect();
    others.iter().try_for_each(|p| p.check(16)).map_err(|d| d.at("run_time"))?;
    let used = &patterns[..p.layers.len()];
    if let Some(layer) = used.iter().position(|p| !others.is_empty() && !others.contains(p)) {
        let Pattern { n, m } = used[layer];
        let message = format!("{n} of {m} is none of `run_time.patterns`");
        let help = "list every pattern that a layer has or may have";
        return Err(Diagnostic::new("E0203", message, help).at("pattern").at(layer.to_string()).at("layers"));
    }
    let of = |choices: usize| -> Result<Vec<Feed>, Pattern> {
        patterns.iter().map(|pattern| feed(*pattern, p.rows, group, choices).ok_or(*pattern)).collect()
    };
    let split = |choices: usize, mut feeds: Vec<Feed>| {
        let others = feeds.split_off(p.layers.len());
        (choices, feeds, others)
    };
    if let Some(choices) = p.choices {
        if ![1, 2, 4, 8, 16].contains(&choices) {
            let message = format!("`choices` is {choices}, expected 1, 2, 4, 8 or 16");
            return Err(Diagnostic::new("E0201", message, "use the next larger of these").at("choices"));
        }
        return of(choices).map(|feeds| split(choices, feeds)).map_err(|q| too_wide(p, q, group, choices));
    }
    // As few as leave no slot empty that more would fill.
    let best = of(16).map_err(|pattern| too_wide(p, pattern, group, 16))?;
    let slots = |feeds: &[Feed]| feeds.iter().map(|f| f.slots).collect::<Vec<_>>();
    let enough = |choices| of(choices).ok().filter(|feeds| slots(feeds) == slots(&best));
    let found = [1, 2, 4, 8].into_iter().find_map(|choices| Some((choices, enough(choices)?)));
    let (choices, feeds) = found.unwrap_or((16, best));
    Ok(split(choices, feeds))
}

fn too_wide(p: &Params, Pattern { n, m }: Pattern, group: usize, choices: usize) -> Diagnostic {
    let message = format!(
        "{n} of {m} does not fit {} slots in groups of {group} that choose from {choices} activations",
        p.rows
    );
    let help = "use more `rows`, more `choices`, or a smaller `group`";
    let field = p.layers.iter().position(|l| l.pattern() == Pattern { n, m });
    let error = Diagnostic::new("E0203", message, help);
    match field {
        Some(layer) => error.at("pattern").at(layer.to_string()).at("layers"),
        None => error.at("patterns").at("run_time"),
    }
}

/// Bits that hold every activation: as given, or as few as it takes.
fn activation_bits(p: &Params, stages: &[Stage]) -> Result<u8, Diagnostic> {
    // An unsigned format of all bits is stored less half its range.
    let needed = stages.iter().map(|s| s.input.bits).max().expect("there is a layer").max(2);
    let bits = p.activation_bits.unwrap_or(needed);
    diag::in_range("activation_bits", bits.into(), usize::from(needed)..17)?;
    Ok(bits)
}
