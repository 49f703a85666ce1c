//! Which outputs an input position reaches along one axis, and through which taps of the kernel.

/// A convolution along one axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Input positions, without padding.
    pub(super) extent: usize,
    /// Taps of the kernel.
    pub(super) kernel: usize,
    /// From one window to the next.
    pub(super) stride: usize,
    /// Zeros on either side.
    pub(super) padding: usize,
    /// From one tap to the next.
    pub(super) dilation: usize,
}

impl Axis {
    /// Positions from the first tap to the last.
    pub(super) const fn reach(self) -> usize {
        self.dilation.saturating_mul(self.kernel - 1).saturating_add(1)
    }

    /// Output positions. The kernel fits the padded input.
    pub(super) const fn outputs(self) -> usize {
        (self.extent + 2 * self.padding - self.reach()) / self.stride + 1
    }

    /// Outputs that input `at` reaches, in ascending order, each with the tap it goes through, counted from the kernel's end.
    pub(super) fn taps(self, at: usize) -> Vec<(usize, usize)> {
        let mut list = Vec::new();
        for tap in 0..self.kernel {
            let Some(from) = (at + self.padding).checked_sub(tap * self.dilation) else { break };
            if from.is_multiple_of(self.stride) && from / self.stride < self.outputs() {
                list.push((from / self.stride, self.kernel - 1 - tap));
            }
        }
        list.reverse();
        list
    }

    /// From one entry of [`Axis::taps`] to the next: outputs, and taps; the same everywhere.
    ///
    /// Of `from = output * stride = at + padding - tap * dilation` two solutions differ by multiples of these.
    pub(super) const fn steps(self) -> (usize, usize) {
        let (mut a, mut b) = (self.stride, self.dilation);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        (self.dilation / a, self.stride / a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taps of every position against the equation `input = output * stride - padding + tap * dilation`.
    #[test]
    fn taps_are_those_of_the_equation_and_lie_in_even_steps() {
        let mut seen = 0;
        for n in 0..4 * 4 * 4 * 4 * 3 {
            let (stride, dilation, padding) = (1 + n % 4, 1 + n / 4 % 4, n / 16 % 4);
            let a = Axis { extent: 9, kernel: 1 + n / 64 % 4, stride, padding, dilation };
            if a.reach() > a.extent + 2 * padding {
                continue;
            }
            let mut all = vec![Vec::new(); a.extent];
            for output in 0..a.outputs() {
                for tap in 0..a.kernel {
                    let at = (output * stride + tap * dilation) as isize - padding as isize;
                    if (0..a.extent as isize).contains(&at) {
                        all[at as usize].push((output, a.kernel - 1 - tap));
                    }
                }
            }
            for (at, mut expected) in all.into_iter().enumerate() {
                expected.sort_unstable();
                let taps = a.taps(at);
                assert_eq!(taps, expected, "{a:?} at {at}");
                let even = |p: &[(usize, usize)]| (p[1].0 - p[0].0, p[1].1 - p[0].1) == a.steps();
                assert!(taps.windows(2).all(even), "{a:?} at {at}");
                seen += taps.len();
            }
        }
        assert!(seen > 1000);
    }
}
