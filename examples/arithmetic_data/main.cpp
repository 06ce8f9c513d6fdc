// arithmetic_data: writes the data sets of the arithmetic tasks, or checks a file line by line.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "../arithmetic/files.hpp"

namespace {

using namespace arithmetic;

struct generator {
  const char *name, *published;
  schema kind;
  bool words;
  std::size_t count;
  std::uint64_t seed;
  std::vector<expression> (*make)(std::size_t count, std::uint64_t seed, const std::vector<operation>& kinds);
};
const std::vector<generator>& generators() {
  using list = std::vector<operation>;
  static const std::vector<generator> all = {
      {"sums", "demo_v11", schema::samples, true, 40000, 42,
       [](std::size_t n, std::uint64_t s, const list&) { return sums(n, s); }},
      {"sums_2_99", "create_add_2_99_jsonl", schema::sums, true, 20000, 42,
       [](std::size_t n, std::uint64_t s, const list&) { return balanced(n, s, {operation::add}, 2, 99); }},
      {"operations", "create_balanced_ops_jsonl", schema::operations, true, 20000, 42,
       [](std::size_t n, std::uint64_t s, const list& kinds) { return balanced(n, s, kinds); }},
      {"differences", "create_two_step_subtraction", schema::differences, true, 20000, 2025,
       [](std::size_t n, std::uint64_t s, const list&) { return differences(n, s); }},
      {"mixtures", "createsim", schema::samples, false, 80000, 42,
       [](std::size_t n, std::uint64_t s, const list&) { return mixtures(n, s); }},
      {"programs", "createdatastep", schema::programs, true, 80000, 2025,
       [](std::size_t n, std::uint64_t s, const list&) { return chains(n, s); }}};
  return all;
}

struct options {
  std::string kind, output, check, schema_name = "programs", operations = "add,sub,mul,div";
  std::size_t count = 0;
  std::uint64_t seed = 0;
};

std::vector<operation> operations_in(const std::string& text) {
  std::vector<operation> out;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    const auto name = text.substr(at, end - at);
    const auto before = out.size();
    for (const auto op : operations_known)
      if (name == names_of(op).file) out.push_back(op);
    if (out.size() == before)
      throw modx::error("--operations", "a list of add, sub, mul, div", "\"" + name + "\"");
    at = end + 1;
  }
  return out;
}

int run(const options& o, const CLI::App& app) {
  if (!o.check.empty()) {
    for (const auto& s : schemas)
      if (o.schema_name == s.name)
        std::printf("%s: %zu good records\n", o.check.c_str(), read_expressions(s.kind, o.check).size());
    return 0;
  }
  for (const auto& g : generators()) {
    if (o.kind != g.name) continue;
    const auto list = g.make(o.count ? o.count : g.count, app.get_option("--seed")->count() ? o.seed : g.seed,
                             operations_in(o.operations));
    const auto text = file_text(g.kind, list, g.words);
    if (o.output.empty())
      std::fwrite(text.data(), 1, text.size(), stdout);
    else
      modx::io::write_file(o.output, text);
  }
  return std::fflush(stdout) == 0 ? 0 : throw modx::error("standard output", "room", "none");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Data sets of arithmetic questions and programs, as JSONL.\nExit status: 0 done, 1 failed, 2 wrong "
      "options.\n",
      "arithmetic_data"};
  options o;
  std::vector<std::string> kinds, files;
  std::string help = "what to write:";
  for (const auto& g : generators())
    kinds.push_back(g.name), help += " " + kinds.back() + " (" + g.published + ")";
  for (const auto& s : schemas) files.push_back(s.name);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("kind", o.kind, help)->check(CLI::IsMember(kinds).description(""))->type_name("KIND");
  app.add_option("--count", o.count, "records; default: as many as the published script writes")
      ->check(CLI::Range(std::size_t(1), std::size_t(1) << 26))
      ->type_name("N");
  app.add_option("--seed", o.seed, "default: the published script's")
      ->check(CLI::Range(std::uint64_t(0), std::uint64_t(1) << 62))
      ->type_name("N");
  app.add_option("--operations", o.operations, "operations: which, with commas between")
      ->capture_default_str()
      ->type_name("LIST");
  app.add_option("--output", o.output, "file; default: standard output")->type_name("FILE");
  app.add_option("--check", o.check, "read this file instead, and say what is wrong with it")
      ->type_name("FILE");
  app.add_option("--schema", o.schema_name, "--check: what the file's records are")
      ->check(CLI::IsMember(files).description(""))
      ->capture_default_str()
      ->type_name("NAME");
  try {
    app.parse(argc, argv);
    if (o.kind.empty() == o.check.empty()) throw CLI::RequiredError("a KIND or --check FILE");
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    return run(o, app);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "arithmetic_data: %s\n", e.what());
    return 1;
  }
}
