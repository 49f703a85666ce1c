//! What the array does for each layer, as the numbers of an instruction.

use super::array::{Array, Feed};
use super::layer::Stage;
use crate::shared::window::Axis;

/// One tile of a window's inputs: what all columns see at once.
#[derive(Debug, Clone)]
pub(super) struct Tile {
    /// From the window's first granule to the tile's first.
    pub(super) granule: usize,
    /// From the window's first position down to the tile's.
    pub(super) down: usize,
    /// Likewise across, for every granule.
    pub(super) across: Vec<usize>,
    /// Tap and channel of every input; nothing where the tile reaches beyond.
    pub(super) inputs: Vec<Option<([usize; 2], usize)>>,
}

/// Steps of a counter, with what it adds to an address and to the position.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Loop {
    pub(super) count: usize,
    pub(super) granules: i64,
    pub(super) down: i64,
    pub(super) across: i64,
}

/// One layer for the array.
#[derive(Debug, Clone)]
pub(super) struct Instruction {
    /// Tiles of a window, in order.
    pub(super) tiles: Vec<Tile>,
    /// Groups of columns.
    pub(super) groups: usize,
    /// Innermost first: across and down the pool, across and down the map.
    pub(super) loops: [Loop; 4],
    /// First granule, and position, of the first window.
    pub(super) start: [i64; 3],
    /// Windows.
    pub(super) pixels: usize,
    /// Windows of a pool.
    pub(super) pool: usize,
    /// Which of the array's spreads.
    pub(super) spread: usize,
    /// Units of `finish` results: where the first goes, and from one position to the next.
    pub(super) unit: [usize; 2],
    /// Parts of the last group of columns that have results.
    pub(super) last_parts: usize,
    /// Positions of the map that is read, down and across.
    pub(super) extent: [usize; 2],
}

/// All instructions, and how the memory of activations is used.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) list: Vec<Instruction>,
    /// Words of the memory, a power of two.
    pub(super) words: usize,
}

/// Granules of map `n` (0 is the input) in whole words.
fn size(stages: &[Stage], n: usize, array: &Array) -> usize {
    let stage = &stages[n];
    let [down, across] = stage.axes;
    let granules = down.extent * across.extent * array.padded(stage.channels) / array.granule;
    granules.next_multiple_of(array.granules)
}

/// The program, and those of every pattern that the layers may have instead.
pub(super) fn programs(stages: &[Stage], array: &Array) -> (Program, Vec<Program>) {
    let other = |feed: &Feed| with(stages, array, &vec![*feed; stages.len()]);
    (program(stages, array), array.others.iter().map(other).collect())
}

/// Even maps lie at the bottom, odd ones above all of them.
pub(super) fn program(stages: &[Stage], array: &Array) -> Program {
    with(stages, array, &array.feeds)
}

fn with(stages: &[Stage], array: &Array, feeds: &[Feed]) -> Program {
    let most =
        |odd: usize| (odd..stages.len()).step_by(2).map(|n| size(stages, n, array)).max().unwrap_or_default();
    let base = [0, most(0)];
    let words = ((most(0) + most(1)) / array.granules).next_power_of_two().max(2);
    let list = stages.iter().enumerate().map(|(n, stage)| {
        let last = n + 1 == stages.len();
        let to = if last { 0 } else { base[(n + 1) % 2] * array.granule / array.finish };
        instruction(stage, array, feeds[n], base[n % 2], to, last)
    });
    Program { list: list.collect(), words }
}

fn instruction(stage: &Stage, array: &Array, feed: Feed, from: usize, to: usize, last: bool) -> Instruction {
    let [down, across] = stage.axes;
    let step = (array.padded(stage.channels) / array.granule) as i64;
    let line = step * across.extent as i64;
    let [pool_down, pool_across] = stage.pool.map(|n| n as i64);
    let [rows, columns] = stage.results();
    let (sy, sx) = (down.stride as i64, across.stride as i64);
    // Each loop undoes what the inner ones did since they began.
    let loops = [
        Loop { count: pool_across as usize, granules: sx * step, down: 0, across: sx },
        Loop {
            count: pool_down as usize,
            granules: sy * line - (pool_across - 1) * sx * step,
            down: sy,
            across: -(pool_across - 1) * sx,
        },
        Loop {
            count: columns,
            granules: sx * step - (pool_down - 1) * sy * line,
            down: -(pool_down - 1) * sy,
            across: sx,
        },
        Loop {
            count: rows,
            granules: sy * line - (columns as i64 * pool_across - 1) * sx * step,
            down: sy,
            across: -(columns as i64 * pool_across - 1) * sx,
        },
    ];
    let (top, left) = (down.padding[0] as i64, across.padding[0] as i64);
    let width = if last { stage.outputs.next_multiple_of(array.finish) } else { array.padded(stage.outputs) };
    let groups = stage.outputs.div_ceil(array.columns);
    Instruction {
        tiles: tiles(stage, array, feed),
        groups,
        loops,
        start: [from as i64 - top * line - left * step, -top, -left],
        pixels: stage.pixels(),
        pool: stage.pool[0] * stage.pool[1],
        spread: array.spreads.binary_search(&feed.spread).expect("every feed's spread is listed"),
        unit: [to, width / array.finish],
        last_parts: (stage.outputs - (groups - 1) * array.columns).div_ceil(array.finish),
        extent: [down.extent, across.extent],
    }
}

/// The inputs of a window in runs that lie side by side in the memory, each cut into tiles.
fn tiles(stage: &Stage, array: &Array, feed: Feed) -> Vec<Tile> {
    let [down, across] = stage.axes;
    let padded = array.padded(stage.channels);
    let line = across.extent * padded;
    let mut tiles = Vec::new();
    for run in runs(stage.axes, padded.is_multiple_of(feed.block)) {
        let length = (run.len() - 1) * padded + stage.channels;
        let [row, column] = run[0];
        let start = row * down.dilation * line + column * across.dilation * padded;
        for from in (0..length).step_by(feed.inputs()) {
            let tap = |e: usize| run.get(e / padded).copied();
            let inputs = (from..from + feed.inputs())
                .map(|e| tap(e).zip(Some(e % padded)).filter(|(_, channel)| *channel < stage.channels));
            let column_of = |g: usize| {
                let at = from + g * array.granule;
                tap(at).unwrap_or(run[run.len() - 1])[1] * across.dilation
            };
            tiles.push(Tile {
                granule: (start + from) / array.granule,
                down: run[from / padded][0] * down.dilation,
                across: (0..array.granules).map(column_of).collect(),
                inputs: inputs.collect(),
            });
        }
    }
    tiles
}

/// Taps that lie side by side: all of them where a window is as wide as the map, those of a row, or each alone.
fn runs([down, across]: [Axis; 2], whole_blocks: bool) -> Vec<Vec<[usize; 2]>> {
    let row = |i: usize| (0..across.kernel).map(move |j| [i, j]);
    let beside = across.dilation == 1 && (whole_blocks || across.kernel == 1);
    let full = across.kernel == across.extent && across.padding == [0, 0] && down.padding == [0, 0];
    if beside && full && down.dilation == 1 && (whole_blocks || down.kernel == 1) {
        vec![(0..down.kernel).flat_map(row).collect()]
    } else if beside {
        (0..down.kernel).map(|i| row(i).collect()).collect()
    } else {
        (0..down.kernel).flat_map(row).map(|tap| vec![tap]).collect()
    }
}
