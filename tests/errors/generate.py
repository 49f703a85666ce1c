"""Writes the network files and arrays of the bad inputs in this folder; `expected.txt` is written by
`NERVURE_BLESS=1 cargo test -p nervure-tests --test errors` and read by a person.

Run with Python 3, nothing else: `python3 generate.py`. The same bytes every time.
"""

import struct
import zipfile
from io import BytesIO
from pathlib import Path

HERE = Path(__file__).parent

NEURON = "{block: neuron/lif, membrane: s12, threshold: 6, compare: gt, reset: zero, leak: {shift: 4}, overflow: saturate}"

GOOD = f"""\
nervure: 1
name: small
inputs:
  - {{name: x, shape: [4], format: u1, rate: step}}
layers:
  - name: hidden
    block: engine/spiking
    weights: [[1, 0, -1, 2], [0, 3, 1, -2]]
    weight_format: s4
    lanes: 2
    neuron: {NEURON}
  - name: counts
    block: seq/sum
  - name: digit
    block: seq/argmax
"""

FRAMES = """\
nervure: 1
name: frames
inputs:
  - {name: x, shape: [8], format: u8}
layers:
"""

FOLDED = FRAMES + """\
  - name: dense
    block: engine/folded
    weights: [[1, 0, -1, 2, 0, 0, 0, 1], [0, 3, 1, -2, 0, 0, 0, 1]]
    weight_format: s4
    pe: 2
    simd: 4
"""

SPARSE = FRAMES + """\
  - name: sparse
    block: sparse/nm_array
    weights: [[1, 0, 0, 2, 0, 0, 0, 1], [0, 3, 1, 0, 0, 0, 0, 1]]
    weight_format: s4
    pattern: {n: 2, m: 4}
    columns: 2
"""

REQUANT = FRAMES + """\
  - name: narrow
    block: act/requant
    output: u4
    mode: {shift: 3, rounding: half_even}
"""

LIQUID = f"""\
nervure: 1
name: liquid
inputs:
  - {{name: x, shape: [4], format: u1, rate: step}}
layers:
  - name: liquid
    block: engine/reservoir
    neurons: 8
    lanes: 2
    seed: 1
    density: 128
    recurrent_density: 26
    magnitude_bits: 2
    input_shift: 1
    recurrent_shift: 0
    neuron: {NEURON}
"""


def swap(text, *pairs):
    """`text` with each `old` replaced by `new`; every `old` must be there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


DELAYS = swap(GOOD, ("engine/spiking\n", "engine/spiking_delay\n    delays: [[0, 1, 2, 3], [3, 2, 1, 0]]\n"))


def npy(descr, shape, data):
    """A `.npy` file: header and raw bytes."""
    shape = "(" + "".join(f"{n}, " for n in shape) + ")"
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (len(header) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def npz(**arrays):
    """A `.npz` file, without times."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data)
    return out.getvalue()


HIDDEN = npy("|i1", [2, 4], struct.pack("8b", 1, 0, -1, 2, 0, 3, 1, -2))


def floats(*values):
    return npy("<f4", [2, 4], struct.pack("<8f", *values))


def with_array(key="hidden", file="weights.npz"):
    return swap(GOOD, ("[[1, 0, -1, 2], [0, 3, 1, -2]]", f"{file}:{key}"))


def case(name, network, **files):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    data = network if isinstance(network, bytes) else network.encode()
    (folder / "network.yaml").write_bytes(data)
    for file, content in files.items():
        path = folder / file.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


# The file and its syntax.
case("file_empty", "")
case("file_binary", bytes(range(256)))
case("file_latin1", "nervure: 1\nname: modèle\n".encode("latin-1"))
case("file_prose", "A network that recognizes digits.\n")
case("yaml_tab", swap(GOOD, ("    block: engine/spiking", "\t block: engine/spiking")))
case("yaml_open_bracket", swap(GOOD, ("shape: [4]", "shape: [4")))
case("yaml_indentation", swap(GOOD, ("    weight_format", "   weight_format")))
case("yaml_duplicate_key", swap(GOOD, ("    lanes: 2\n", "    lanes: 2\n    lanes: 1\n")))
case("yaml_deep", GOOD + "outputs: " + "[" * 200 + "\n")
bomb = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
case("yaml_alias_bomb", "nervure: 1\na0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + bomb)
case("yaml_two_documents", GOOD + "---\n" + GOOD)

# The fields of the file.
case("version_missing", swap(GOOD, ("nervure: 1\n", "")))
case("version_wrong", swap(GOOD, ("nervure: 1", "nervure: 2")))
case("field_unknown_top", swap(GOOD, ("layers:", "layer:")))
case("field_bus", swap(GOOD, ("name: small", "name: small\nbus: spi")))
case("field_unknown_input", swap(GOOD, ("rate: step", "rates: step")))
case("field_unknown_layer", swap(GOOD, ("    lanes: 2", "    lane: 2")))
case("field_unknown_neuron", swap(GOOD, ("threshold: 6", "treshold: 6")))
case("field_unknown_leak", swap(GOOD, ("{shift: 4}", "{shift: 4, mulitply: 15}")))
case("field_missing_layer", swap(GOOD, ("    lanes: 2\n", "")))
case("field_missing_neuron", swap(GOOD, ("reset: zero, ", "")))
case("field_type_text", swap(GOOD, ("lanes: 2", "lanes: two")))
case("field_type_fraction", swap(GOOD, ("threshold: 6", "threshold: 0.5")))
case("field_type_weights", swap(GOOD, ("[0, 3, 1, -2]", "[0, 3, 1]")))
case("field_format", swap(GOOD, ("weight_format: s4", "weight_format: int4")))
case("field_format_range", swap(GOOD, ("membrane: s12", "membrane: s64")))
case("field_choice", swap(GOOD, ("reset: zero", "reset: soft")))
case("field_requant_incomplete", swap(REQUANT, ("{shift: 3, rounding: half_even}", "{shift: 3}")))
case("field_requant_rounding", swap(REQUANT, ("half_even", "nearest")))

# Names and edges.
case("layers_none", GOOD[: GOOD.index("layers:")] + "layers: []\n")
case("block_unknown", swap(GOOD, ("engine/spiking", "engine/spikng")))
case("neuron_unknown", swap(GOOD, ("neuron/lif", "lif")))
case("neuron_not_a_neuron", swap(GOOD, (NEURON, "{block: act/relu}")))
case("name_duplicate", swap(GOOD, ("name: counts", "name: hidden")))
case("from_unknown", swap(GOOD, ("block: seq/sum", "block: seq/sum\n    from: hiden")))
case("from_unknown_port", swap(GOOD, ("block: seq/sum", "block: seq/sum\n    from: hidden.spikes")))
case("from_too_many", swap(GOOD, ("block: seq/sum", "block: seq/sum\n    from: [hidden, x]")))
case("from_itself", swap(GOOD, ("block: seq/sum", "block: seq/sum\n    from: counts")))
case("from_cycle", swap(GOOD, ("weights: [", "from: digit\n    weights: [")))
case("output_unknown", GOOD + "outputs: [digits]\n")
case("input_unread", swap(GOOD, ("rate: step}\n", "rate: step}\n  - {name: bias, shape: [1], format: u1, rate: step}\n"),
     ("block: engine/spiking\n", "block: engine/spiking\n    from: x\n")))

# Shapes, formats and values.
case("shape_empty", swap(GOOD, ("shape: [4]", "shape: [0]")))
case("shape_absurd", swap(GOOD, ("shape: [4]", "shape: [65536, 32768]")))
case("shape_mismatch", swap(GOOD, ("shape: [4]", "shape: [5]")))
case("input_mismatch", swap(GOOD, ("block: seq/sum", "block: seq/sum\n    input: {shape: [3], format: u1, rate: step}")))
case("lanes_input", swap(GOOD, ("rate: step}", "rate: step, lanes: 3}")))
case("lanes_layer", swap(GOOD, ("lanes: 2", "lanes: 3")))
case("lanes_zero", swap(GOOD, ("lanes: 2", "lanes: 0")))
case("rate_frame_into_spiking", swap(GOOD, (", rate: step", "")))
case("rate_frame_into_sum", FRAMES + "  - name: total\n    block: seq/sum\n")
case("weight_outside_format", swap(GOOD, ("[0, 3, 1, -2]", "[0, 9, 1, -2]")))
case("threshold_negative", swap(GOOD, ("threshold: 6", "threshold: -1")))
case("threshold_beyond_membrane", swap(GOOD, ("threshold: 6", "threshold: 4000")))
case("accumulator_overflow", FOLDED + "    accumulator: s6\n")
case("folded_pe", swap(FOLDED, ("pe: 2", "pe: 3")))
case("sparse_not_n_of_m", swap(SPARSE, ("[1, 0, 0, 2, 0", "[1, 1, 0, 2, 0")))
case("sparse_columns", swap(SPARSE, ("columns: 2", "columns: 3")))
case("delays_shape", swap(DELAYS, ("[[0, 1, 2, 3], [3, 2, 1, 0]]", "[[0, 3], [1, 2], [2, 1], [3, 0]]")))
case("delays_negative", swap(DELAYS, ("[3, 2, 1, 0]", "[3, 2, -1, 0]")))
case("delays_too_long", swap(DELAYS, ("[[1, 0, -1, 2], [0, 3, 1, -2]]", str([[1, 0, -1, 2]] * 20)),
     ("[[0, 1, 2, 3], [3, 2, 1, 0]]", str([[0, 1, 200, 3]] * 20)), ("lanes: 2", "lanes: 1")))
case("reservoir_counts", swap(LIQUID, ("format: u1", "format: u3")))
case("reservoir_density", swap(LIQUID, ("density: 128", "density: 300")))
case("reservoir_all_at_once", swap(LIQUID, ("lanes: 2", "lanes: 8")))
case("reservoir_read_out", swap(LIQUID, (NEURON, "{block: neuron/li, membrane: s12, leak: {shift: 4}, overflow: saturate}")))
case("table_too_short", FRAMES + "  - name: lut\n    block: act/table\n    output: u4\n    entries: [0, 1, 2, 3]\n")
case("function_unknown", FRAMES + "  - name: lut\n    block: act/table\n    output: u4\n    entries: {function: sigmoit}\n")
case("function_without_value", FRAMES + "  - {name: signed, block: act/quant, bits: 8, frac: 0, signed: 1, rounding: floor}\n"
     "  - {name: lut, block: act/table, output: u4, entries: {function: sqrt}}\n")
case("soft_threshold_negative", FRAMES + "  - {name: shrink, block: act/soft_threshold, lambda: -3}\n")
case("delta_of_a_frame", FRAMES + "  - {name: moved, block: sparse/delta}\n")
case("delta_threshold", swap(FRAMES, ("format: u8", "format: u8, rate: step")) + "  - {name: moved, block: sparse/delta, threshold: 255}\n")
case("top_n_block", FRAMES + "  - {name: best, block: sparse/top_n, n: 2, m: 3}\n")
case("top_n_of_fewer", FRAMES + "  - {name: best, block: sparse/top_n, n: 5, m: 4}\n")
case("planes_damaged", FRAMES + "  - {name: dense, block: dense/unrolled, weight_format: s4, weights: {planes: weights.npz:dense}}\n",
     weights__npz=npz(dense=npy("|u1", [34], b"NMP1" + struct.pack("<6I", 1, 8, 1, 8, 4, 1) + b"\x07\x05" + bytes(4))))
case("semi_structured_order", FRAMES + "  - {name: dense, block: dense/unrolled, weight_format: s4, weights: "
     "{semi_structured: {values: [[1, 2, 3, 4]], meta: [[0x9e]]}}}\n")
case("semi_structured_shapes", FRAMES + "  - {name: dense, block: dense/unrolled, weight_format: s4, weights: "
     "{semi_structured: {values: [[1, 2, 3, 4]], meta: [[158]], order: plain}}}\n")
case("softmax_signed", FRAMES + "  - {name: share, block: act/softmax, output: s8.7}\n")
case("rational_groups", FRAMES + "  - {name: curve, block: act/rational, coefficient: s8.4, output: s8.4, "
     "numerator: [[0, 1], [1, 0], [1, 1]], denominator: [[1], [2], [3]]}\n")
case("kan_entries", FRAMES + "  - {name: kan, block: dense/kan, entry_format: s4, entries: [[[0, 1], [1, 0]]]}\n")
case("top_k_of_too_few", FRAMES + "  - {name: best, block: seq/top_k, k: 9}\n")
case("circuit_child", FRAMES + "  - {name: circuit, block: pc/sum_product, nodes: [{product: [0, 1]}, {sum: {of: [8, 9], weights: [-1, -1]}}]}\n")
case("circuit_weights", FRAMES + "  - {name: circuit, block: pc/sum_product, nodes: [{sum: {of: [0, 1], weights: [-1]}}]}\n")
case("transposed_crop", swap(FRAMES, ("[8]", "[4, 2]")) + "  - {name: up, block: conv/transposed_unrolled, "
     "weights: [[[1, 2]], [[3, 4]]], weight_format: s4, crop: [[3, 2]]}\n")
case("upsample_of_a_vector", FRAMES + "  - {name: up, block: seq/upsample, factor: [2]}\n")
case("argmax_of_one", swap(GOOD, ("[[1, 0, -1, 2], [0, 3, 1, -2]]", "[[1, 0, -1, 2]]"), ("lanes: 2", "lanes: 1")))
case("confidence_margin", swap(GOOD, ("  - name: counts\n    block: seq/sum\n", ""), ("seq/argmax", "seq/confidence\n    sum: u4\n    margin: 20")))
case("confidence_rate", FRAMES + "  - name: digit\n    block: seq/confidence\n    margin: 20\n")

# Arrays.
case("npz_missing", with_array())
case("npz_absolute", with_array(file="/data/weights.npz"))
case("npz_truncated", with_array(), weights__npz=npz(hidden=HIDDEN)[:-20])
case("npz_garbage", with_array(), weights__npz="not an archive\n")
case("npz_checksum", with_array(), weights__npz=npz(hidden=HIDDEN).replace(b"\x01\x00\xff\x02", b"\x01\x00\xff\x03"))
case("npz_key_missing", with_array("hiden"), weights__npz=npz(hidden=HIDDEN, out=HIDDEN))
case("npz_short", with_array(), weights__npz=npz(hidden=HIDDEN[:-3]))
case("npz_absurd", with_array(), weights__npz=npz(hidden=npy("<f4", [65536, 8192], b"")))
case("npz_nan", with_array(), weights__npz=npz(hidden=floats(1, 0, -1, 2, 0, float("nan"), 1, -2)))
case("npz_infinite", with_array(), weights__npz=npz(hidden=floats(1, 0, float("-inf"), 2, 0, 3, 1, -2)))
case("npz_fraction", with_array(), weights__npz=npz(hidden=floats(1, 0, -1, 2, 0, 3, 0.1, -2)))
case("npz_complex", with_array(), weights__npz=npz(hidden=npy("<c8", [2, 4], bytes(64))))
case("npz_shape", with_array(), weights__npz=npz(hidden=npy("|i1", [4, 2], bytes(8))))
case("npz_value", with_array(), weights__npz=npz(hidden=npy("<i2", [2, 4], struct.pack("<8h", 1, 0, -1, 2, 0, 3, 100, -2))))

# The command line; each line of `set.txt` is one `--set`.
case("set_unknown_layer", GOOD, set__txt="layers.hiden.lanes=1\n")
case("set_unknown_parameter", GOOD, set__txt="layers.hidden.lane=1\n")
case("set_unknown_neuron_parameter", GOOD, set__txt="layers.hidden.neuron.treshold=1\n")
case("set_unknown_field", GOOD, set__txt="board=icebreaker\n")
case("set_wrong_type", GOOD, set__txt="layers.hidden.lanes=1\nlayers.hidden.lanes=many\n")
case("set_wrong_value", GOOD, set__txt="layers.hidden.neuron.threshold=9999\n")

# Plants: a network that can be run, and what it should control.
LOOP = """\
nervure: 1
name: loop
inputs:
  - {name: error, shape: [1], format: s8, rate: step}
layers:
  - name: drive
    block: engine/spiking
    weights: [[3]]
    weight_format: s4
    lanes: 1
    neuron: {block: neuron/li, membrane: s12, leak: {shift: 1}, overflow: saturate}
"""

PLANT = """\
nervure: 1
name: cart
rate_hz: 100
sequences:
  - {name: target, array: plant.npz:target, format: s8}
states:
  - name: place
    format: s12
    next: {shift: 3, terms: [{gain: 8, of: place}, {gain: 1, of: drive}]}
senses:
  error: [{terms: [{gain: 1, of: target}, {gain: -1, of: place}]}]
tracking: {state: place, target: target, band: 3}
"""

TARGET = npz(target=npy("|i1", [1, 4], bytes([0, 9, 9, 9])))


def plant(name, *pairs, archive=TARGET, network=LOOP):
    case(f"plant_{name}", network, plant__yaml=swap(PLANT, *pairs), plant__npz=archive)


plant("prose", (PLANT, "A cart on rails.\n"))
plant("version_missing", ("nervure: 1\n", ""))
plant("field_unknown", ("rate_hz: 100", "rate_hz: 100\nclock_mhz: 12"))
plant("field_missing", ("rate_hz: 100\n", ""))
plant("rate_zero", ("rate_hz: 100", "rate_hz: 0"))
plant("gain_fraction", ("gain: -1", "gain: -0.5"))
plant("signal_unknown", ("of: place}, {gain: 1", "of: plase}, {gain: 1"))
plant("signal_too_early", ("{gain: -1, of: place}", "{gain: -1, of: drive}"))
plant("signal_taken", ("name: place", "name: drive"))
plant("factors", ("of: place}, {gain: 1", "of: [place, place, place, abs(place)]}, {gain: 1"))
plant("overflow", ("{gain: 8, of: place}", "{gain: 9000000000000000000, of: [target, place, wide]}"),
      ("  - name: place", "  - {name: wide, format: s48, next: {terms: []}}\n  - name: place"))
plant("shift", ("shift: 3", "shift: 63"))
plant("start", ("format: s12", "format: s12\n    start: 2048"))
plant("input_unknown", ("  error: [", "  eror: ["))
plant("elements", ("{gain: -1, of: place}]}]", "{gain: -1, of: place}]}, {terms: []}]"))
plant("not_controlled", ("of: drive", "of: target"))
plant("once_a_sample", network=swap(LOOP, ("overflow: saturate}\n", "overflow: saturate}\n  - name: sums\n    block: seq/sum\n")))
plant("events", network=swap(LOOP, ("format: s8, rate: step", "format: u3, rate: event"), ("layers:\n", "layers:\n  - {name: spikes, block: stream/aer_in}\n")))
plant("no_sequence", ("sequences:\n  - {name: target, array: plant.npz:target, format: s8}", "sequences: []"),
      ("{gain: 1, of: target}, ", ""), ("tracking: {state: place, target: target, band: 3}\n", ""))
plant("sequence_no_array", ("plant.npz:target", "[0, 9, 9, 9]"))
plant("sequence_elsewhere", ("plant.npz:", "../plant.npz:"))
plant("sequence_missing", ("plant.npz:target", "plant.npz:targets"))
plant("sequence_shape", archive=npz(target=npy("|i1", [4], bytes([0, 9, 9, 9]))))
plant("sequence_lengths", ("format: s8}", "format: s8}\n  - {name: wind, array: plant.npz:wind, format: s8}"),
      archive=npz(target=npy("|i1", [1, 4], bytes(4)), wind=npy("|i1", [1, 3], bytes(3))))
plant("sequence_value", ("format: s8", "format: s4"))
plant("tracking_unknown", ("{state: place", "{state: plase"))
plant("tracking_format", ("target, format: s8}", "target, format: s8.2}"))
