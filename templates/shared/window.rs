//! Windows that slide over a map of one or two axes, channels last: `[height, width, channels]` or `[length, channels]`.

use nervure_core::{Diagnostic, TensorType, diag};

/// The windows along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Positions of the input.
    pub(crate) extent: usize,
    /// Taps of a window.
    pub(crate) kernel: usize,
    /// From a window to the next.
    pub(crate) stride: usize,
    /// From a tap to the next.
    pub(crate) dilation: usize,
    /// Positions added before the first and behind the last.
    pub(crate) padding: [usize; 2],
}

impl Axis {
    /// Positions with padding.
    pub(crate) const fn padded(self) -> usize {
        self.padding[0] + self.extent + self.padding[1]
    }

    /// Positions that a window spans.
    const fn reach(self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Windows.
    pub(crate) const fn windows(self) -> usize {
        (self.padded() - self.reach()) / self.stride + 1
    }

    /// The input's position under tap `tap` of window `window`; nothing in the padding.
    pub(crate) fn position(self, window: usize, tap: usize) -> Option<usize> {
        let at = (window * self.stride + tap * self.dilation).checked_sub(self.padding[0])?;
        (at < self.extent).then_some(at)
    }
}

/// How windows lie, as parameters say it; one entry per axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lie<'a> {
    pub(crate) kernel: &'a [usize],
    pub(crate) stride: Option<&'a [usize]>,
    pub(crate) dilation: Option<&'a [usize]>,
    pub(crate) padding: Option<&'a [[usize; 2]]>,
}

/// Down and across; a map of one axis has height 1.
///
/// Errors: `E0204` for an input that is no map; `E0205` for lists of another length; `E0201` for windows that do not fit.
pub(crate) fn axes(input: &TensorType, lie: Lie<'_>) -> Result<[Axis; 2], Diagnostic> {
    let rank = lie.kernel.len();
    if input.shape.len() != rank + 1 || !(1..=2).contains(&rank) {
        let wanted = if rank == 1 { "[length, channels]" } else { "[height, width, channels]" };
        let message = format!("the input is {input}, expected a map: {wanted}");
        let help = "give the layer before an output of these axes, channels last";
        return Err(Diagnostic::new("E0204", message, help).at("input"));
    }
    length("stride", rank, lie.stride.map(<[_]>::len))?;
    length("dilation", rank, lie.dilation.map(<[_]>::len))?;
    length("padding", rank, lie.padding.map(<[_]>::len))?;
    let mut axes = [Axis { extent: 1, kernel: 1, stride: 1, dilation: 1, padding: [0, 0] }; 2];
    for n in 0..rank {
        let axis = Axis {
            extent: input.shape[n],
            kernel: lie.kernel[n],
            stride: lie.stride.map_or(1, |s| s[n]),
            dilation: lie.dilation.map_or(1, |d| d[n]),
            padding: lie.padding.map_or([0, 0], |p| p[n]),
        };
        let most = TensorType::MAX_LEN;
        diag::in_range("stride", axis.stride, 1..most)?;
        diag::in_range("dilation", axis.dilation, 1..most)?;
        axis.padding.iter().try_for_each(|p| diag::in_range("padding", *p, 0..1025))?;
        diag::in_range("kernel", axis.kernel, 1..(axis.padded() - 1) / axis.dilation + 2)?;
        axes[2 - rank + n] = axis;
    }
    Ok(axes)
}

fn length(field: &str, rank: usize, given: Option<usize>) -> Result<(), Diagnostic> {
    match given {
        Some(n) if n != rank => {
            let message = format!("`{field}` has {n} entries for windows of {rank} axes");
            let help = format!("give {rank}, down before across, or leave it out");
            Err(Diagnostic::new("E0205", message, help).at(field))
        }
        _ => Ok(()),
    }
}

/// The input's map with its padding, row by row, each position its channels; `fill` is an element of the padding.
pub(crate) fn pad<T: Copy>([down, across]: [Axis; 2], channels: usize, x: &[T], fill: T) -> Vec<Vec<Vec<T>>> {
    let border = vec![fill; channels];
    let mut map = vec![vec![border.clone(); across.padded()]; down.padding[0]];
    for row in x.chunks_exact(across.extent * channels) {
        let mut line = vec![border.clone(); across.padding[0]];
        line.extend(row.chunks_exact(channels).map(<[T]>::to_vec));
        line.resize(across.padded(), border.clone());
        map.push(line);
    }
    map.resize(down.padded(), vec![border; across.padded()]);
    map
}

/// The positions of a padded map under the taps of each window, row by row, tap after tap.
pub(crate) fn taps([down, across]: [Axis; 2]) -> impl Iterator<Item = Vec<(usize, usize)>> {
    let starts = |a: Axis| (0..a.windows()).map(move |n| n * a.stride);
    let under = |a: Axis, start| (start..).step_by(a.dilation).take(a.kernel);
    starts(down).flat_map(move |top| {
        starts(across).map(move |left| {
            under(down, top).flat_map(|row| under(across, left).map(move |column| (row, column))).collect()
        })
    })
}

/// The shape of a map of windows: as many axes as the input has.
pub(crate) fn shape(input: &TensorType, [down, across]: [Axis; 2], channels: usize) -> Vec<usize> {
    match input.shape.len() {
        2 => vec![across.windows(), channels],
        _ => vec![down.windows(), across.windows(), channels],
    }
}
