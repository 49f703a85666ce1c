//! Windows from line buffers, for `conv/window` and the pools that stream: in which order the map passes, which taps lie in
//! the padding, and the template's numbers. Deliberately absent: what is computed of a window.

use nervure_core::block::{Area, Body, Template};
use nervure_core::kernel::Kernel;
use nervure_core::num::counter_bits;
use nervure_core::{Schedule, Target, TensorType, Timing};
use serde_json::{Value, json};

use super::area;
use super::window::Axis;

/// What slides over which map.
pub(crate) struct Slide<'a> {
    /// A map, channels last.
    pub(crate) input: &'a TensorType,
    pub(crate) axes: [Axis; 2],
    /// Channels a beat.
    pub(crate) lanes: usize,
    /// What lies in the padding.
    pub(crate) fill: i64,
    pub(crate) gift: Gift,
}

/// What is given of a window.
pub(crate) enum Gift {
    /// All its taps in one beat, each with its channels together, one group of channels after the other.
    Taps { groups: usize },
    /// One element a channel, in as many beats as a pixel has.
    Element(Reduction),
}

/// What makes one element of the taps of one channel.
pub(crate) struct Reduction {
    /// Inputs `x_0`, `x_1` ..., row by row, and `rows` and `columns` as far as they vary; one output `y`.
    pub(crate) kernel: Kernel,
    /// Whether the kernel wants to know how many rows, and how many columns of the window lie on the map.
    pub(crate) counted: [bool; 2],
}

/// Down and across as they pass: a map one pixel wide is a line.
pub(crate) fn oriented([down, across]: [Axis; 2]) -> [Axis; 2] {
    let line = across.extent == 1 && across.kernel == 1 && across.windows() == 1 && across.padding == [0, 0];
    if line { [across, down] } else { [down, across] }
}

/// How a map passes: line after line, so that a tap of any window always lies the same number of beats back.
///
/// A window is given with the beat under its last tap. Where that lies in the padding, beats pass that take nothing: behind a
/// line only if its windows would not be done before those of the next, and behind the last line. All beats of the map are
/// taken before its last window is given, and `tlast` comes with that.
struct Scan {
    down: Axis,
    across: Axis,
    /// Beats of a pixel.
    pixel: usize,
    /// Pixels of a line, padding included.
    line: usize,
    /// Beats that a window gives.
    gifts: usize,
    /// The beat that gives the first of the first window.
    first: usize,
    /// Beats between windows in a line.
    column: usize,
    /// Beats from the last window of a line to the first of the next.
    row: usize,
    /// The beat with the last tap of the last window, in its last channels.
    last: usize,
    /// Beats in all.
    beats: usize,
}

impl Scan {
    fn new(p: &Slide) -> Self {
        let [down, across] = oriented(p.axes);
        let pixel = p.input.columns() / p.lanes;
        let gifts = if matches!(p.gift, Gift::Taps { .. }) { 1 } else { pixel };
        let behind = (across.windows() - 1) * across.stride;
        let mut line = across.extent;
        while down.windows() > 1 && behind >= down.stride * line {
            line += 1;
        }
        // A line buffer is read a beat before it is written.
        if down.kernel > 1 && down.dilation * line * pixel < 2 {
            line += 1;
        }
        let tap = |a: Axis| (a.kernel - 1) * a.dilation - a.padding[0];
        let first = (tap(down) * line + tap(across) + 1) * pixel - gifts;
        let column = across.stride * pixel;
        let row = (down.stride * line).saturating_sub(behind) * pixel;
        let last = first + gifts - 1 + ((down.windows() - 1) * down.stride * line + behind) * pixel;
        let map = ((down.extent - 1) * line + across.extent) * pixel;
        Self { down, across, pixel, line, gifts, first, column, row, last, beats: map.max(last + 1) }
    }

    /// Beats between lines of the buffer.
    fn delay(&self) -> usize {
        self.down.dilation * self.line * self.pixel
    }

    /// Beats from the last tap of the last window to its gift.
    fn trail(&self) -> usize {
        self.beats - 1 - self.last
    }

    /// Beats of a line that a window needs of those that came last.
    fn held(&self) -> usize {
        (self.across.kernel - 1) * self.across.dilation * self.pixel + self.pixel + 1 - self.gifts
    }

    fn schedule(&self, out: &mut Schedule) {
        let (line, width) = (self.line * self.pixel, self.across.extent * self.pixel);
        let row = self.across.windows() * self.gifts;
        let all = self.down.windows() * row;
        let (mut due, mut given) = (self.first, 0);
        for beat in 0..self.beats {
            let takes = beat % line < width && beat / line < self.down.extent;
            let gives = if given + 1 == all { beat + 1 == self.beats } else { beat == due };
            if gives {
                given += 1;
                due += match given {
                    n if n % self.gifts != 0 => 1,
                    n if n % row != 0 => self.column - (self.gifts - 1),
                    _ => self.row.saturating_sub(self.gifts - 1),
                };
            }
            match (takes, gives) {
                (true, true) => out.pass(1, 1),
                (true, false) => out.take(1),
                (false, true) => out.give(1),
                (false, false) => out.busy(1),
            }
        }
    }
}

/// The windows whose tap `tap` lies on the map: first and last, nothing where there is none.
fn inside(axis: Axis, tap: usize) -> Option<(usize, usize)> {
    let (at, before) = (tap * axis.dilation, axis.padding[0]);
    let lo = before.saturating_sub(at).div_ceil(axis.stride);
    let hi = (axis.extent - 1 + before).checked_sub(at)? / axis.stride;
    let hi = hi.min(axis.windows() - 1);
    (lo <= hi).then_some((lo, hi))
}

/// When a tap lies on the map, as Verilog over the window's counter; nothing where it always does.
fn condition(axis: Axis, tap: usize, counter: &str) -> Option<String> {
    let bits = counter_bits(axis.windows());
    let Some((lo, hi)) = inside(axis, tap) else { return Some("1'b0".to_owned()) };
    let least = (lo > 0).then(|| format!("({counter} >= {bits}'d{lo})"));
    let most = (hi < axis.windows() - 1).then(|| format!("({counter} <= {bits}'d{hi})"));
    let both: Vec<String> = least.into_iter().chain(most).collect();
    (!both.is_empty()).then(|| both.join(" & "))
}

/// How many taps of the next window lie on the map, as Verilog over the window's counter, and the bits of that number.
fn seen(axis: Axis, counter: &str) -> Value {
    let windows = axis.windows();
    let taps: Vec<usize> =
        (0..windows).map(|w| (0..axis.kernel).filter(|t| axis.position(w, *t).is_some()).count()).collect();
    let (bits, place) = (counter_bits(axis.kernel + 1), counter_bits(windows));
    let mut text = format!("{bits}'d{}", taps[windows - 1]);
    for w in (1..windows).rev().filter(|w| taps[w - 1] != taps[*w]) {
        text = format!("({counter} < {place}'d{w}) ? {bits}'d{} : {text}", taps[w - 1]);
    }
    json!({"text": text, "top": bits - 1})
}

/// A list of conditions without repetition, and how a tap refers to its own.
struct Conditions(Vec<String>);

impl Conditions {
    fn at(&mut self, condition: Option<String>) -> Option<String> {
        let condition = condition?;
        let index = self.0.iter().position(|c| *c == condition).unwrap_or_else(|| {
            self.0.push(condition);
            self.0.len() - 1
        });
        Some(format!("covered_2_q[{index}]"))
    }
}

/// A counter of `n` things.
fn counter(n: usize) -> Value {
    json!({"bits": counter_bits(n), "top": counter_bits(n) - 1, "last": n - 1})
}

pub(crate) fn schedule(p: &Slide, out: &mut Schedule) {
    Scan::new(p).schedule(out);
}

/// Names and numbers of the reduction, one instance a lane.
fn reduction(p: &Slide, scan: &Scan, of: &Reduction) -> Value {
    let bits = p.input.format.bits as usize;
    let taps = scan.down.kernel * scan.across.kernel;
    let y = of.kernel.outputs[0].0.format.bits as usize;
    let lanes: Vec<Value> = (0..p.lanes)
        .map(|lane| json!({"taps": (0..taps).map(|t| (lane * taps + t) * bits).collect::<Vec<_>>(), "y": lane * y}))
        .collect();
    let axes = [(scan.down, "rows", "row_q"), (scan.across, "columns", "column_q")];
    let seen: Vec<Value> = axes
        .into_iter()
        .zip(of.counted)
        .filter(|(_, counted)| *counted)
        .map(|((axis, name, counter), _)| json!({"name": name, "of": seen(axis, counter)}))
        .collect();
    json!({"lanes": lanes, "bits": y, "x_bits": bits, "seen": seen})
}

pub(crate) fn body(p: Slide) -> Body {
    let scan = Scan::new(&p);
    let (down, across) = (scan.down, scan.across);
    let bits = p.input.format.bits as usize;
    let channels = p.input.columns();
    // A window in pieces is that of the lanes alone.
    let (groups, part) = match p.gift {
        Gift::Taps { groups } => (groups, channels / groups),
        Gift::Element(_) => (p.lanes, 1),
    };
    let beat = p.lanes * bits;
    let held = scan.held();
    let window_bits = groups * part * down.kernel * across.kernel * bits;
    let reduce = match &p.gift {
        Gift::Taps { .. } => Value::Null,
        Gift::Element(of) => reduction(&p, &scan, of),
    };
    let result_bits = match &p.gift {
        Gift::Taps { .. } => window_bits,
        Gift::Element(of) => p.lanes * of.kernel.outputs[0].0.format.bits as usize,
    };
    let mut conditions = Conditions(Vec::new());
    let mut taps = Vec::new();
    for group in 0..groups {
        for i in 0..down.kernel {
            for j in 0..across.kernel {
                let row = conditions.at(condition(down, i, "row_q"));
                let column = conditions.at(condition(across, j, "column_q"));
                let when: Vec<String> = row.into_iter().chain(column).collect();
                let to = ((group * down.kernel + i) * across.kernel + j) * part * bits;
                let from = (j * across.dilation * channels + group * part) * bits;
                taps.push(json!({"line": i, "to": to, "from": from, "when": when.join(" & ")}));
            }
        }
    }
    let (line, width) = (scan.line * scan.pixel, across.extent * scan.pixel);
    let waits = [
        scan.first,
        scan.column - scan.gifts,
        scan.row.saturating_sub(scan.gifts),
        scan.trail().saturating_sub(1),
    ];
    let (gaps, flushes) = (scan.line > across.extent, scan.beats > down.extent * line);
    let fill = nervure_core::block::hex(&vec![p.fill; part], bits);
    let context = json!({
        "height": down.extent, "width": across.extent, "channels": channels, "lanes": p.lanes,
        "rows": down.windows(), "columns": across.windows(), "extent": [down.kernel, across.kernel],
        "row": counter(down.windows()), "column": counter(across.windows()), "place": counter(line),
        "address": counter(scan.delay()), "map_line": counter((scan.beats - 1) / line + 1),
        "wait": counter(waits.into_iter().max().unwrap_or(0) + 1), "first": waits[0], "column_wait": waits[1],
        "row_wait": waits[2], "trail_wait": waits[3], "trails": scan.trail() > 0,
        "beat_bits": beat, "held_bits": held * beat, "one_held": held == 1, "window_bits": window_bits,
        "reduce": reduce, "result_bits": result_bits, "parts": scan.gifts, "part": counter(scan.gifts),
        "part_bits": part * bits, "fill": format!("{}'h{fill}", part * bits), "taps": taps, "inside": conditions.0,
        "inside_top": conditions.0.len().saturating_sub(1),
        "lines": (0..down.kernel).collect::<Vec<_>>(), "last_line": down.kernel - 1,
        "stored_bits": (down.kernel - 1) * beat, "one_stored": down.kernel == 2,
        "gaps": gaps, "flushes": flushes, "places": gaps || flushes || down.kernel > 1 && down.dilation == 1,
        "width_beats": width, "own_address": down.kernel > 1 && down.dilation > 1,
        "stored_at": if down.dilation > 1 { "address_q" } else { "place_q" },
    });
    Body::Template(Box::new(Template {
        text: include_str!("slide.v.tera"),
        context,
        memories: Vec::new(),
        kernels: match p.gift {
            Gift::Taps { .. } => Vec::new(),
            Gift::Element(of) => vec![("reduce", of.kernel)],
        },
        timing: Timing::Pipeline { depth: 2, prologue: 0 },
    }))
}

pub(crate) fn cost(p: &Slide, t: &Target) -> Area {
    let scan = Scan::new(p);
    let bits = p.input.format.bits as usize;
    let beat = p.lanes * bits;
    let held = scan.held() * scan.down.kernel * beat;
    let taps = scan.down.kernel * scan.across.kernel * bits;
    let (window, given, reduced) = match &p.gift {
        Gift::Taps { .. } => (taps * p.input.columns(), taps * p.input.columns(), Area::default()),
        Gift::Element(of) => {
            let y = of.kernel.outputs[0].0.format.bits as usize;
            (taps * p.lanes, y * p.lanes, of.kernel.area(t) * p.lanes)
        }
    };
    let stored = (scan.down.kernel - 1) * beat;
    let buffer = match scan.delay() {
        _ if stored == 0 => Area::default(),
        words if words <= t.lut_ram_words => area(4 * stored.div_ceil(3) * words.div_ceil(64), stored),
        words => Area { bram: (words * stored).div_ceil(t.block_ram_bits) as u32, ..area(0, stored) },
    };
    let masked = [scan.down, scan.across].map(|a| (0..a.kernel).any(|tap| condition(a, tap, "").is_some()));
    let masks = if masked.contains(&true) { window } else { 0 };
    let counters = 2 * counter_bits(scan.beats) + counter_bits(scan.down.windows() * scan.across.windows());
    buffer + reduced + area(masks + 2 * counters + 20, held + given + beat + counters + 20)
}
