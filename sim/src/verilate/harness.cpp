// Drives one design: beats from a file to its input streams, every output beat to a file.
//
// The file that includes this one defines INPUTS(X) and OUTPUTS(X), lists of X(index, port prefix, words a beat, mask of
// the top word), and MODEL, Verilator's class. Cycles are counted from 0, the first rising edge at which rst_n is high.
// In cycle c the inputs are set with clk low, the model settles, `valid && ready` is read (that is the transfer of
// cycle c), then clk rises. Two evaluations a cycle.
//
// With `turns`, input comes from standard input, a turn at a time, and the answer to a turn goes to standard output before
// the next is read: whoever is at the other end makes one from the other. The clock stands still meanwhile.

static inline void put(CData& port, const uint32_t* w) { port = static_cast<CData>(w[0]); }
static inline void put(SData& port, const uint32_t* w) { port = static_cast<SData>(w[0]); }
static inline void put(IData& port, const uint32_t* w) { port = w[0]; }
static inline void put(QData& port, const uint32_t* w) { port = w[0] | static_cast<QData>(w[1]) << 32; }
template <std::size_t N> static inline void put(VlWide<N>& port, const uint32_t* w) {
  for (std::size_t i = 0; i < N; ++i) port[i] = w[i];
}
static inline void get(const CData& port, uint32_t* w) { w[0] = port; }
static inline void get(const SData& port, uint32_t* w) { w[0] = port; }
static inline void get(const IData& port, uint32_t* w) { w[0] = port; }
static inline void get(const QData& port, uint32_t* w) {
  w[0] = static_cast<uint32_t>(port);
  w[1] = static_cast<uint32_t>(port >> 32);
}
template <std::size_t N> static inline void get(const VlWide<N>& port, uint32_t* w) {
  for (std::size_t i = 0; i < N; ++i) w[i] = port[i];
}

enum Status : uint64_t { DONE = 0, DEADLOCK = 1, TOO_LONG = 2, FLOOD = 3 };
enum Violation : uint64_t { VALID_DROPPED = 0, DATA_CHANGED = 1, LAST_CHANGED = 2 };

struct Stall {
  uint64_t state = 1;
  uint32_t chance = 0;  // of 256
  uint32_t held = 0, free = 0;

  uint64_t draw() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545F4914F6CDD1Dull >> 16;
  }
  // One decision a cycle. Single stalls, bursts of up to 64 and free runs of up to 128 cycles.
  bool now() {
    if (!chance) return false;
    if (held) return --held, true;
    if (free) return --free, false;
    const uint64_t r = draw();
    if ((r & 255) < chance) {
      if ((r >> 8 & 31) == 0) held = r >> 16 & 63;
      return true;
    }
    if ((r >> 8 & 63) == 0) free = r >> 16 & 127;
    return false;
  }
};

struct Input {
  std::vector<uint32_t> data;  // beats, then one beat of whatever is on the wires when nothing is offered
  std::vector<uint32_t> sizes; // beats of each sample
  std::vector<uint64_t> first;
  uint64_t beats = 0, samples = 0, next = 0, sample = 0, in_sample = 0;
  uint64_t per_turn = 0, loaded = 0;  // with `turns`, `first` has a cycle for every turn
  bool offered = false, ready = false, stale = true;
  Stall stall;

  void restart() {
    next = sample = in_sample = 0;
    first.reserve(samples);
    offered = ready = false;
    stale = true;
    first.clear();
  }
};

struct Output {
  std::vector<uint32_t> data;
  std::vector<uint64_t> when;  // cycle, and tlast in bit 63
  uint64_t beats = 0, samples = 0, per_turn = 0, next = 0, keep = 0;
  bool valid = false, ready = false, last = false, pending = false, patient = false, seen = false;
  Stall stall;

  void restart() {
    next = 0;
    valid = ready = last = pending = seen = false;
    data.clear();
    when.clear();
  }
};

#define COUNT(...) +1
static constexpr unsigned N_IN = 0 INPUTS(COUNT), N_OUT = 0 OUTPUTS(COUNT);
static uint64_t seed = 1, stall_in = 0, stall_out = 0, max_cycles = ~0ull, watchdog = 1000000, reset_at = ~0ull,
                tail = 64, wave_from = 0, wave_to = 0, turns = 0, told = 0, answered = 0;
static Input in[N_IN];
static Output out[N_OUT];
static std::vector<uint64_t> violations;
static uint64_t cycle = 0, ticks = 0;
static bool in_reset = true;
#if NERVURE_WAVES
static VerilatedFstC* fst = nullptr;
#endif

#if NERVURE_BUS
// Accesses to the registers of a design, one after the other, while samples pass; they begin when so many have begun. What they
// are, and what must come of them, is in a file.
struct Script {
  enum Kind : uint32_t { WRITE = 0, READ = 1, POLL = 2, KIND = 15, EARLY = 16, FROM = 32, TO = 64, FAST = 128 };
  struct Op {
    uint32_t kind, address, data, mask, refused;  // the mask is of bytes for a write, else of bits
  };
  std::vector<Op> ops;
  uint64_t at = ~0ull, spacing = 0, opened = ~0ull, n = 0;
  uint64_t from = ~0ull, to = ~0ull, early = 0, failed = 0, differ = 0;
  bool progress = false;

  void restart() {
    opened = ~0ull;
    n = 0;
  }
  bool over() const { return n >= ops.size(); }
  const Op* now() {
    if (opened == ~0ull) {
      if (in[0].first.size() < at) return nullptr;
      opened = cycle;
    }
    if (over()) return nullptr;
    if (ops[n].kind & FROM && from == ~0ull) from = in[0].first.size();
    return &ops[n];
  }
  void done(bool refused, uint32_t value) {
    const Op& op = ops[n];
    const uint32_t kind = op.kind & KIND;
    const bool right = refused == bool(op.refused), same = kind == WRITE || !((value ^ op.data) & op.mask);
    progress = true;
    if (kind == POLL && right && !same) return;
    if (op.kind & EARLY) early += right && same;
    else failed += !right, differ += right && !same;
    if (op.kind & TO) to = in[0].first.size();
    ++n;
  }
  // While accesses run, samples begin at their own pace, so that they last; beside some, at full speed.
  bool paced(const Input& s) const {
    if (!spacing || opened == ~0ull || over() || s.in_sample || ops[n].kind & FAST) return true;
    return s.sample < at + (cycle - opened) / spacing;
  }
};
static Script script;
static const char* script_file = nullptr;

#if NERVURE_BUS == 1
// AXI4-Lite. Its signals stall as the streams do.
struct Bus {
  bool aw = false, w = false, ar = false, took = false, sure = false;
  Stall stall;

  void rest(MODEL& top) {
    aw = w = ar = took = false;
    top.s_axil_awaddr = top.s_axil_araddr = 0;
    top.s_axil_wdata = top.s_axil_wstrb = 0;
    top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_arvalid = top.s_axil_bready = top.s_axil_rready = 0;
  }
  void drive(MODEL& top) {
    const Script::Op* op = script.now();
    if (op && !took) {
      const bool write = (op->kind & Script::KIND) == Script::WRITE;
      aw |= write && !stall.now();
      w |= write && !stall.now();
      ar |= !write && !stall.now();
      top.s_axil_awaddr = top.s_axil_araddr = op->address;
      top.s_axil_wdata = op->data;
      top.s_axil_wstrb = op->mask;
    }
    sure = !stall.now();
    top.s_axil_awvalid = aw;
    top.s_axil_wvalid = w;
    top.s_axil_arvalid = ar;
    top.s_axil_bready = top.s_axil_rready = sure;
  }
  void sample(const MODEL& top) {
    const Script::Op* op = script.now();
    if (!op) return;
    const bool write = (op->kind & Script::KIND) == Script::WRITE;
    if (!took) {
      const bool both = (!aw || top.s_axil_awready) && (!w || top.s_axil_wready);
      if (aw && top.s_axil_awready && w && !top.s_axil_wready) ++script.failed;  // they are taken together
      took = write ? aw && w && both : ar && top.s_axil_arready;
      if (took) aw = w = ar = false;
      return;
    }
    if (!sure || !(write ? top.s_axil_bvalid : top.s_axil_rvalid)) return;
    took = false;
    script.done((write ? top.s_axil_bresp : top.s_axil_rresp) == 2, write ? 0 : uint32_t(top.s_axil_rdata));
  }
};
#else
// I2C. A transfer is a list of levels, a quarter of a clock each; accesses that follow each other share one. With stalls there are
// spikes on both wires, of one cycle of the design's clock.
struct Bus {
  static constexpr uint32_t ADDRESS = 0x2a;
  struct Level {
    bool scl, sda, read;
  };
  std::vector<Level> levels;
  std::vector<bool> heard;
  uint64_t quarter = 10, bytes = 2, tick = 0, count = 0, spike = 0;
  bool scl = true, sda = true;
  Stall stall;

  void rest(MODEL& top) {
    levels.clear();
    scl = sda = true;
    top.i2c_scl = top.i2c_sda = 1;
    top.i2c_address = ADDRESS;
  }
  void bit(bool b) {
    levels.insert(levels.end(), {{false, b, false}, {true, b, false}, {true, b, true}, {false, b, false}});
  }
  void byte(uint32_t v, bool acknowledge) {
    for (int i = 7; i >= 0; --i) bit(v >> i & 1);
    bit(!acknowledge);
  }
  void begin() {
    levels.insert(levels.end(), {{false, true, false}, {true, true, false}, {true, false, false}, {false, false, false}});
  }
  void point(uint32_t address) {
    begin();
    byte(ADDRESS << 1, false);
    for (uint64_t i = bytes; i--;) byte(address >> 8 * i, false);
  }
  static uint32_t first(const Script::Op& op) {
    return (op.kind & Script::KIND) != Script::WRITE || !op.mask ? 0 : __builtin_ctz(op.mask);
  }
  static uint32_t size(const Script::Op& op) {
    return (op.kind & Script::KIND) != Script::WRITE ? 4 : __builtin_popcount(op.mask);
  }
  void compose() {
    const Script::Op& op = script.ops[script.n];
    count = 1;
    const bool write = (op.kind & Script::KIND) == Script::WRITE;
    const auto plain = [](const Script::Op& o) { return o.kind <= Script::READ && !o.refused && size(o) == 4; };
    while (plain(op) && script.n + count < script.ops.size()) {
      const Script::Op& next = script.ops[script.n + count];
      if (!plain(next) || next.kind != op.kind || next.address != op.address + 4 * count) break;
      ++count;
    }
    levels = {{true, true, false}, {true, true, false}};
    heard.clear();
    tick = 0;
    point(op.address + first(op));
    if (!write) {
      begin();
      byte(ADDRESS << 1 | 1, false);
    }
    for (uint64_t i = 0; i < count; ++i) {
      const Script::Op& o = script.ops[script.n + i];
      for (uint32_t b = 0; b < size(o); ++b)
        byte(write ? o.data >> 8 * (first(o) + b) : 0xff, !write && (i + 1 < count || b < 3));
    }
    levels.insert(levels.end(), {{false, false, false}, {true, false, false}, {true, true, false}, {true, true, false}});
  }
  uint32_t byte_at(uint64_t n) const {
    uint32_t v = 0;
    for (int i = 0; i < 8; ++i) v = v << 1 | heard[9 * n + i];
    return v;
  }
  // A byte is refused when its ninth bit stays high.
  bool refused(uint64_t n) const { return heard[9 * n + 8]; }
  void judge() {
    const bool write = (script.ops[script.n].kind & Script::KIND) == Script::WRITE;
    uint64_t n = 1 + bytes;
    for (uint64_t i = 0; i < n; ++i) script.failed += refused(i);
    if (!write) script.failed += refused(n++);
    for (uint64_t i = 0; i < count; ++i) {
      const Script::Op op = script.ops[script.n];
      uint32_t value = 0;
      bool no = false;
      for (uint32_t b = 0; b < size(op); ++b, ++n) {
        if (write) no |= refused(n);
        else value |= byte_at(n) << 8 * b;
      }
      // What is refused reads as ones.
      if (!write) no = op.refused && value == 0xffffffff;
      if (no && !write) value = op.data;
      script.done(no, value);
    }
  }
  void drive(MODEL& top) {
    if (levels.empty() && script.now()) compose();
    if (!levels.empty()) {
      scl = levels[tick / quarter].scl;
      sda = levels[tick / quarter].sda;
    }
    spike = spike ? spike - 1 : stall.chance && stall.draw() % (2 * quarter) == 0 ? quarter : 0;
    const bool spiky = spike == quarter, which = stall.state >> 20 & 1;
    top.i2c_scl = scl ^ (spiky && which);
    top.i2c_sda = (sda && !top.i2c_sda_low) ^ (spiky && !which);
  }
  void sample(const MODEL& top) {
    if (levels.empty()) return;
    const Level& now = levels[tick / quarter];
    if (tick % quarter == quarter - 1 && now.read) heard.push_back(now.sda && !top.i2c_sda_low);
    if (++tick < levels.size() * quarter) return;
    levels.clear();
    judge();
  }
};
#endif
static Bus bus;
#endif

static void violation(uint64_t kind, unsigned stream) {
  if (violations.size() < 30) violations.insert(violations.end(), {kind, stream, cycle});
}

static inline void settle(MODEL& top, bool clk) {
  top.clk = clk;
  top.eval();
#if NERVURE_WAVES
  const bool shown = in_reset ? wave_from == 0 : cycle >= wave_from && cycle < wave_to;
  if (shown) fst->dump(ticks);
#endif
  ticks += 5;
}

static void reset(MODEL& top) {
  in_reset = true;
  top.rst_n = 0;
#if NERVURE_BUS
  script.restart();
  bus.rest(top);
#endif
#define IDLE(i, p, words, mask) top.p##_tvalid = 0; in[i].restart();
  INPUTS(IDLE)
#define CLOSE(i, p, words, mask) top.p##_tready = seed & 1; out[i].restart();
  OUTPUTS(CLOSE)
  for (int i = 0; i < 2; ++i) {
    settle(top, false);
    settle(top, true);
  }
  top.rst_n = 1;
  cycle = 0;
  in_reset = false;
}

static inline bool may_begin(const Input& s) {
#if NERVURE_BUS
  return script.paced(s);
#else
  return (void)s, true;
#endif
}

// One cycle; returns whether a beat passed anywhere.
static inline bool step(MODEL& top) {
#define OFFER(i, p, words, mask) { \
    Input& s = in[i]; \
    if (!s.offered && s.next < s.loaded && !s.stall.now() && may_begin(s)) s.offered = s.stale = true; \
    if (s.stale) { \
      put(top.p##_tdata, &s.data[(s.offered ? s.next : s.beats) * words]); \
      top.p##_tvalid = s.offered; \
      top.p##_tlast = s.offered ? s.in_sample + 1 == s.sizes[s.sample] : s.stall.chance != 0; \
      s.stale = false; \
    } \
  }
  INPUTS(OFFER)
#define ACCEPT(i, p, words, mask) { \
    Output& s = out[i]; \
    s.ready = !s.stall.now() && !(s.patient && !s.seen); \
    top.p##_tready = s.ready; \
  }
  OUTPUTS(ACCEPT)
#if NERVURE_BUS
  bus.drive(top);
#endif
  settle(top, false);
  bool moved = false;
#if NERVURE_BUS
  bus.sample(top);
  moved = script.progress;
  script.progress = false;
#endif
#define TAKEN(i, p, words, mask) { \
    Input& s = in[i]; \
    s.ready = top.p##_tready; \
    if (s.offered && s.ready) { \
      moved = true; \
      s.offered = false; \
      s.stale = true; \
      if (turns ? s.next % s.per_turn == 0 : s.in_sample == 0) s.first.push_back(cycle); \
      if (++s.in_sample == s.sizes[s.sample]) s.in_sample = 0, ++s.sample; \
      ++s.next; \
    } \
  }
  INPUTS(TAKEN)
#define GIVEN(i, p, words, mask) { \
    Output& s = out[i]; \
    s.valid = top.p##_tvalid; \
    static uint32_t held[words]; \
    static bool held_last; \
    if (s.pending) { \
      uint32_t now[words]; \
      get(top.p##_tdata, now); \
      if (!s.valid) violation(VALID_DROPPED, i); \
      else if (std::memcmp(now, held, sizeof now)) violation(DATA_CHANGED, i); \
      else if (held_last != bool(top.p##_tlast)) violation(LAST_CHANGED, i); \
    } \
    s.pending = s.valid && !s.ready; \
    s.seen = s.pending; \
    if (s.pending) { \
      get(top.p##_tdata, held); \
      held_last = top.p##_tlast; \
    } else if (s.valid) { \
      moved = true; \
      if (s.next < s.keep) { \
        const std::size_t at = s.data.size(); \
        s.data.resize(at + words); \
        get(top.p##_tdata, &s.data[at]); \
        s.when.push_back(cycle | uint64_t(bool(top.p##_tlast)) << 63); \
      } \
      ++s.next; \
      if (s.stall.chance) s.patient = s.stall.draw() & 1; \
    } \
  }
  OUTPUTS(GIVEN)
  settle(top, true);
  ++cycle;
  return moved;
}

static bool finished() {
  for (const Input& s : in)
    if (s.next < s.beats) return false;
  for (const Output& s : out)
    if (s.next < s.beats) return false;
#if NERVURE_BUS
  if (!script.over()) return false;
#endif
  return true;
}

// Sends the answer to a turn when it is complete, then waits for the next turn. False when none comes.
static bool exchange() {
  while (told < turns || answered < told) {
    if (answered < told) {
      for (const Output& s : out)
        if (s.next < told * s.per_turn) return true;
#define SEND(i, p, words, mask) std::fwrite(&out[i].data[answered * out[i].per_turn * words], 4 * words, out[i].per_turn, stdout);
      OUTPUTS(SEND)
      std::fflush(stdout);
      ++answered;
    } else {
#define RECEIVE(i, p, words, mask) { \
        Input& s = in[i]; \
        if (std::fread(&s.data[s.loaded * words], 4 * words, s.per_turn, stdin) != s.per_turn) return false; \
        s.loaded += s.per_turn; \
      }
      INPUTS(RECEIVE)
      ++told;
    }
  }
  return true;
}

static Status simulate(MODEL& top) {
  reset(top);
  uint64_t quiet = 0, after = 0;
  for (;;) {
    if (cycle == reset_at) {
      reset_at = ~0ull;
      reset(top);
      quiet = after = 0;
    }
    if (turns && !exchange()) return TOO_LONG;
    const bool moved = step(top);
    quiet = moved ? 0 : quiet + 1;
    if (moved || after) {
      if (after || finished()) ++after;
      if (after > tail && reset_at == ~0ull) return DONE;
    }
    if (quiet >= watchdog && !after) return DEADLOCK;
    for (const Output& s : out)
      if (s.next >= s.keep) return FLOOD;
    if (cycle >= max_cycles) return TOO_LONG;
  }
}

static void save(std::FILE* f, const std::vector<uint64_t>& v) {
  if (!v.empty()) std::fwrite(v.data(), 8, v.size(), f);
}

static void report(std::FILE* f, Status status) {
  save(f, {0x315652454eull, status, cycle, violations.size() / 3});
  save(f, violations);
  for (const Input& s : in) {
    save(f, {s.next, s.offered, s.ready, s.first.size()});
    save(f, s.first);
  }
  for (Output& s : out) {
    s.data.resize((s.data.size() + 1) & ~std::size_t(1));
    save(f, {s.next, s.valid, s.ready, s.when.size(), s.data.size() / 2});
    save(f, s.when);
    if (!s.data.empty()) std::fwrite(s.data.data(), 4, s.data.size(), f);
  }
#if NERVURE_BUS
  save(f, {script.over(), script.from, script.to, script.early, script.failed, script.differ});
#endif
}

static const char* wave_file = "waves.fst";
static const char* expected_file = nullptr;  // output by output: beats of each sample, words of every expected beat

// For a person who reproduces a mismatch: prints the first that differ.
static int compare() {
  std::FILE* f = std::fopen(expected_file, "rb");
  if (!f) return std::perror(expected_file), 2;
  int wrong = 0;
#define DIFFER(i, p, words, mask) \
  std::vector<bool> ends##i(out[i].beats); \
  for (uint64_t n = 0, end = 0; n < out[i].samples; ++n) { \
    uint32_t size; \
    if (std::fread(&size, 4, 1, f) != 1) return std::fprintf(stderr, "sim: short %s\n", expected_file), 2; \
    end += size; \
    if (end && end <= out[i].beats) ends##i[end - 1] = true; \
  } \
  for (uint64_t beat = 0; beat < out[i].beats; ++beat) { \
    uint32_t want[words]; \
    if (std::fread(want, 4, words, f) != words) return std::fprintf(stderr, "sim: short %s\n", expected_file), 2; \
    const bool given = beat < out[i].when.size(); \
    const bool last = ends##i[beat], got_last = given && out[i].when[beat] >> 63; \
    if (given && last == got_last && !std::memcmp(want, &out[i].data[beat * words], sizeof want)) continue; \
    if (++wrong > 10) continue; \
    std::printf(#p " beat %llu: expected", (unsigned long long)beat); \
    if (given && last != got_last) std::printf(" tlast %d", last); \
    for (unsigned w = words; w--;) std::printf(" %08x", want[w]); \
    if (given) std::printf(", got"); else std::printf(", got nothing"); \
    if (given) for (unsigned w = words; w--;) std::printf(" %08x", out[i].data[beat * words + w]); \
    if (given) std::printf(" in cycle %llu", (unsigned long long)(out[i].when[beat] << 1 >> 1)); \
    std::printf("\n"); \
  }
  OUTPUTS(DIFFER)
  std::fclose(f);
  std::printf("%d beats differ\n", wrong);
  return wrong != 0;
}

static bool option(const char* text) {
  const char* eq = std::strchr(text, '=');
  if (!eq) return false;
  const std::string name(text, eq);
  const uint64_t v = std::strtoull(eq + 1, nullptr, 0);
  const struct { const char* name; uint64_t* at; } plain[] = {
      {"seed", &seed}, {"stall_in", &stall_in}, {"stall_out", &stall_out}, {"max_cycles", &max_cycles},
      {"watchdog", &watchdog}, {"reset_at", &reset_at}, {"tail", &tail}, {"wave_from", &wave_from},
      {"wave_to", &wave_to}, {"turns", &turns}};
  for (const auto& o : plain)
    if (name == o.name) return *o.at = v, true;
#if NERVURE_BUS
  if (name == "bus") return script_file = eq + 1, true;
  if (name == "bus_at") return script.at = v, true;
  if (name == "bus_spacing") return script.spacing = v, true;
#if NERVURE_BUS == 2
  if (name == "i2c_quarter") return bus.quarter = v, true;
  if (name == "i2c_pointer") return bus.bytes = v, true;
#endif
#endif
  if (name == "waves") return wave_file = eq + 1, true;
  if (name == "expected") return expected_file = eq + 1, true;
  for (unsigned i = 0; i < N_IN; ++i) {
    if (name == "beats" + std::to_string(i)) return in[i].beats = v, true;
    if (name == "samples" + std::to_string(i)) return in[i].samples = v, true;
    if (name == "turn" + std::to_string(i)) return in[i].per_turn = v, true;
  }
  for (unsigned i = 0; i < N_OUT; ++i) {
    if (name == "expect" + std::to_string(i)) return out[i].beats = v, true;
    if (name == "answers" + std::to_string(i)) return out[i].samples = v, true;
    if (name == "reply" + std::to_string(i)) return out[i].per_turn = v, true;
  }
  return false;
}

// Reads the stimulus. 0 when all is well.
static int load(const char* file) {
  std::FILE* f = turns ? nullptr : std::fopen(file, "rb");
  if (!f && !turns) return std::perror(file), 2;
#define LOAD(i, p, words, mask) { \
    Input& s = in[i]; \
    s.data.resize((s.beats + 1) * words); \
    s.sizes.assign(s.samples, turns ? s.beats / s.samples : 0); \
    if (f && ((s.loaded = std::fread(s.data.data(), 4 * words, s.beats, f)) != s.beats || \
              std::fread(s.sizes.data(), 4, s.samples, f) != s.samples)) \
      return std::fprintf(stderr, "sim: short stimulus\n"), 2; \
    s.stall.chance = stall_in; \
    s.stall.state = (seed + 1) * 0x9E3779B97F4A7C15ull + i; \
    if (stall_in) for (unsigned w = 0; w < words; ++w) s.data[s.beats * words + w] = s.stall.draw(); \
    s.data[s.beats * words + words - 1] &= mask; \
  }
  INPUTS(LOAD)
  if (f) std::fclose(f);
  return 0;
}

#if !NERVURE_FAULTS
int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: sim STIMULUS RESULT [NAME=VALUE]...\n"), 2;
  for (int i = 3; i < argc; ++i)
    if (!option(argv[i])) return std::fprintf(stderr, "sim: unknown option %s\n", argv[i]), 2;
  if (const int failed = load(argv[1])) return failed;
#if NERVURE_BUS
  if (script_file) {
    std::FILE* b = std::fopen(script_file, "rb");
    if (!b) return std::perror(script_file), 2;
    for (Script::Op op; std::fread(&op, sizeof op, 1, b) == 1;) script.ops.push_back(op);
    std::fclose(b);
  }
  bus.stall.chance = stall_in;
  bus.stall.state = (seed + 5) * 0x9E3779B97F4A7C15ull;
#endif
  for (unsigned i = 0; i < N_OUT; ++i) {
    out[i].keep = out[i].beats + 16;
    out[i].stall.chance = stall_out;
    out[i].stall.state = (seed + 3) * 0xD1342543DE82EF95ull + i;
  }
  VerilatedContext context;
  context.randReset(2);
  context.randSeed(static_cast<int>(seed & 0x7fffffff));
#if NERVURE_WAVES
  context.traceEverOn(true);
#endif
  MODEL top{&context};
#if NERVURE_WAVES
  VerilatedFstC waves;
  fst = &waves;
  top.trace(fst, 99);
  fst->open(wave_file);
#endif
  const Status status = simulate(top);
#if NERVURE_WAVES
  fst->close();
#endif
  top.final();
  std::FILE* g = std::fopen(argv[2], "wb");
  if (!g) return std::perror(argv[2]), 2;
  report(g, status);
  if (std::fclose(g)) return 2;
  if (!expected_file) return 0;
  if (status != DONE) std::printf("%s in cycle %llu\n", status == DEADLOCK ? "deadlock" : "stopped", (unsigned long long)cycle);
  for (std::size_t i = 0; i < violations.size(); i += 3)
    std::printf("output %llu broke the protocol in cycle %llu\n", (unsigned long long)violations[i + 1], (unsigned long long)violations[i + 2]);
  return compare();
}
#endif
