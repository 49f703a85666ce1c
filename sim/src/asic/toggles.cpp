// Counts how often nets change from one clock cycle to the next. The file that includes this one defines NETS(X), a list of
// X(member of the model's root, bits), and has included the harness, whose main is left out.

#include <algorithm>

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: toggles STIMULUS RESULT [NAME=VALUE]...\n"), 2;
  for (int i = 3; i < argc; ++i)
    if (!option(argv[i])) return std::fprintf(stderr, "toggles: unknown option %s\n", argv[i]), 2;
  if (const int failed = load(argv[1])) return failed;
  for (Output& s : out) s.keep = s.beats + 16;
  VerilatedContext context;
  context.randReset(2);
  context.randSeed(static_cast<int>(seed & 0x7fffffff));
  MODEL top{&context};
  struct Net {
    const unsigned char* at;
    std::size_t bytes;
  };
  std::vector<Net> nets;
  uint64_t bits = 0;
#define NET(member, width) \
  nets.push_back({reinterpret_cast<const unsigned char*>(&top.rootp->member), sizeof top.rootp->member}); \
  bits += width;
  NETS(NET)
  reset(top);
  std::vector<unsigned char> before, now;
  const auto read = [&](std::vector<unsigned char>& to) {
    to.clear();
    for (const Net& n : nets) to.insert(to.end(), n.at, n.at + n.bytes);
  };
  read(before);
  uint64_t toggles = 0;
  while (!finished() && cycle < max_cycles) {
    step(top);
    read(now);
    for (std::size_t i = 0; i < now.size(); ++i) toggles += __builtin_popcount(now[i] ^ before[i]);
    std::swap(before, now);
  }
  const bool all = finished();
  top.final();
  std::FILE* g = std::fopen(argv[2], "wb");
  if (!g) return std::perror(argv[2]), 2;
  save(g, {all, cycle, bits, toggles, violations.size()});
  return std::fclose(g) ? 2 : 0;
}
