// Flips one bit of a flip-flop or of a code word a run. The file that includes this one defines FLOPS(X), a list of X(member of
// the model's root, bits of a word, words, whether they are coded), and FAILED(model) where the design says that a word was
// lost; it has included the harness, whose main is left out.
//
// A run is a new model with the same initial values, two edges of reset, a window of consecutive samples, and cycles until
// the last of their answers has left, plus a tail. The flip is made between two rising edges, behind the first. Every window
// is first run without a flip, which must be right, and tells how many cycles there are to choose from.

#include <algorithm>

#ifndef FAILED
#define FAILED(top) false
#endif

struct Flop {
  std::size_t at;      // bytes from the model's root
  uint64_t bits;       // of a word
  std::size_t stride;  // bytes from word to word
  bool drawn;          // takes part
  uint64_t words;
};
struct Fault {
  uint64_t kind, flop, bit, cycle, window, stalled;
};
enum Kind : uint64_t { MASKED = 0, DETECTED = 1, HUNG = 2, SILENT = 3 };

static std::vector<Flop> flops;
static std::vector<uint64_t> flop_ends;  // bits up to and with each
static std::vector<uint32_t> wanted[N_OUT], wanted_sizes[N_OUT];
static std::vector<uint64_t> in_starts[N_IN], out_starts[N_OUT];  // first beat of each sample, and one more
static uint64_t faults = 0, from = 0, window = 1;
static uint64_t twice = 0;  // two flips in one code word

static uint64_t mix(uint64_t x) {  // SplitMix64
  x += 0x9E3779B97F4A7C15ull;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ x >> 27) * 0x94D049BB133111EBull;
  return x ^ x >> 31;
}
// A number below `n` for draw `what` of fault `number`.
static uint64_t draw(uint64_t number, uint64_t what, uint64_t n) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(mix(mix(mix(seed) + number) + what)) * n) >> 64);
}

static void find_flops(MODEL& top) {
  const char* root = reinterpret_cast<const char*>(top.rootp);
#define FLOP(member, width, words, coded) \
  flops.push_back({std::size_t(reinterpret_cast<const char*>(&top.rootp->member) - root), width, \
                   sizeof(top.rootp->member) / (words), !twice || ((coded) && (words) > 1), words});
  FLOPS(FLOP)
  uint64_t end = 0;
  for (const Flop& f : flops) flop_ends.push_back(end += f.drawn ? f.bits * f.words : 0);
}

static void flip(MODEL& top, const Flop& flop, uint64_t bit) {
  char* word = reinterpret_cast<char*>(top.rootp) + flop.at + bit / flop.bits * flop.stride;
  word[bit % flop.bits / 8] ^= static_cast<char>(1 << bit % flop.bits % 8);
}

static void flip(MODEL& top, const Fault& fault) {
  const Flop& flop = flops[fault.flop];
  flip(top, flop, fault.bit);
  if (!twice) return;
  const uint64_t at = fault.bit % flop.bits, other = mix(fault.bit + 31 * fault.cycle) % (flop.bits - 1);
  flip(top, flop, fault.bit - at + (at + 1 + other) % flop.bits);
}

static bool answered_all(uint64_t first) {
  for (unsigned i = 0; i < N_OUT; ++i)
    if (out[i].next < out_starts[i][first + window] - out_starts[i][first]) return false;
  return true;
}

static bool right(uint64_t first) {
#define RIGHT(i, p, words, mask) { \
    const uint64_t start = out_starts[i][first], count = out_starts[i][first + window] - start; \
    if (out[i].next != count || std::memcmp(out[i].data.data(), &wanted[i][start * words], 4 * words * count)) return false; \
    for (uint64_t beat = 0, sample = first; beat < count; ++beat) { \
      const bool last = start + beat + 1 == out_starts[i][sample + 1]; \
      if (last != bool(out[i].when[beat] >> 63)) return false; \
      sample += last; \
    } \
  }
  OUTPUTS(RIGHT)
  return true;
}

// One run; returns the cycles up to and with the last answer. `limit` is how many a run may take.
static uint64_t run(Fault& fault, bool flipped, uint64_t limit) {
  VerilatedContext context;
  context.randReset(2);
  context.randSeed(static_cast<int>(seed & 0x7fffffff));
  MODEL top{&context};
  if (flops.empty()) find_flops(top);
  violations.clear();
  for (unsigned i = 0; i < N_IN; ++i) {
    in[i].stall = Stall{mix(seed + 97 * fault.window + i) | 1, fault.stalled ? 80u : 0u};
    in[i].loaded = in_starts[i][fault.window + window];
  }
  for (unsigned i = 0; i < N_OUT; ++i) {
    out[i].stall = Stall{mix(seed + 89 * fault.window + i + 1000) | 1, fault.stalled ? 80u : 0u};
    out[i].patient = false;
    out[i].keep = out_starts[i][fault.window + window] - out_starts[i][fault.window] + 16;
  }
  reset(top);
  for (unsigned i = 0; i < N_IN; ++i) in[i].next = in_starts[i][fault.window], in[i].sample = fault.window;
  uint64_t end = 0;
  while (cycle < limit && (!end || cycle < end + tail)) {
    if (flipped && cycle == fault.cycle) flip(top, fault);
    step(top);
    if (!end && answered_all(fault.window)) end = cycle;
    for (const Output& s : out)
      if (s.next >= s.keep) limit = 0;
  }
  const bool said = !violations.empty() || FAILED(top);
  top.final();
  if (violations.empty() && right(fault.window)) fault.kind = MASKED;
  else fault.kind = said ? DETECTED : end ? SILENT : limit ? HUNG : SILENT;
  return end;
}

static int load_expected() {
  std::FILE* f = std::fopen(expected_file, "rb");
  if (!f) return std::perror(expected_file), 2;
  bool whole = true;
#define WANTED(i, p, words, mask) { \
    wanted_sizes[i].resize(out[i].samples); \
    wanted[i].resize(out[i].beats * words); \
    whole &= std::fread(wanted_sizes[i].data(), 4, out[i].samples, f) == out[i].samples; \
    whole &= std::fread(wanted[i].data(), 4 * words, out[i].beats, f) == out[i].beats; \
  }
  OUTPUTS(WANTED)
  std::fclose(f);
  const auto starts = [](std::vector<uint64_t>& to, const std::vector<uint32_t>& sizes) {
    to.assign(1, 0);
    for (uint32_t n : sizes) to.push_back(to.back() + n);
  };
  for (unsigned i = 0; i < N_IN; ++i) starts(in_starts[i], in[i].sizes);
  for (unsigned i = 0; i < N_OUT; ++i) starts(out_starts[i], wanted_sizes[i]);
  return whole ? 0 : (std::fprintf(stderr, "sim: short %s\n", expected_file), 2);
}

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: faults STIMULUS RESULT [NAME=VALUE]...\n"), 2;
  for (int i = 3; i < argc; ++i) {
    const char* eq = std::strchr(argv[i], '=');
    const std::string name(argv[i], eq ? eq - argv[i] : 0);
    uint64_t* at = name == "faults" ? &faults : name == "from" ? &from : name == "window" ? &window : name == "twice" ? &twice : nullptr;
    if (at) *at = std::strtoull(eq + 1, nullptr, 0);
    else if (!option(argv[i])) return std::fprintf(stderr, "faults: unknown option %s\n", argv[i]), 2;
  }
  if (const int failed = load(argv[1])) return failed;
  if (const int failed = load_expected()) return failed;
  const uint64_t windows = in[0].samples - window + 1;
  std::vector<uint64_t> cycles(2 * windows, 0);
  std::vector<Fault> done;
  for (uint64_t n = from; n < from + faults; ++n) {
    Fault fault{};
    fault.window = draw(n, 0, windows);
    fault.stalled = n & 1;
    uint64_t& length = cycles[2 * fault.window + fault.stalled];
    if (!length) {
      length = run(fault, false, max_cycles);
      if (fault.kind != MASKED) return std::fprintf(stderr, "faults: the design is wrong without a fault\n"), 3;
    }
    if (flops.empty() || !flop_ends.back()) break;
    const uint64_t bit = draw(n, 1, flop_ends.back());
    fault.flop = std::upper_bound(flop_ends.begin(), flop_ends.end(), bit) - flop_ends.begin();
    fault.bit = bit - (flop_ends[fault.flop] - flops[fault.flop].bits * flops[fault.flop].words);
    fault.cycle = draw(n, 2, length);
    run(fault, true, 4 * length + 1000);
    done.push_back(fault);
  }
  std::FILE* g = std::fopen(argv[2], "wb");
  if (!g) return std::perror(argv[2]), 2;
  for (const Fault& f : done) save(g, {f.kind, f.flop, f.bit, f.cycle, f.window, f.stalled});
  return std::fclose(g) ? 2 : 0;
}
