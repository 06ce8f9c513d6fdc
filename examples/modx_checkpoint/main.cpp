// modx_checkpoint: looks into safetensors files and writes smaller copies of them.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <modx/io/shrink.hpp>

namespace {

using namespace modx::io;

struct options {
  std::string file, to, type = "same";
  std::vector<std::string> keep = {"*"}, drop;
  std::size_t last_blocks = 0;
  bool values = false, force = false;
};

std::string text_of(const std::vector<std::uint64_t>& shape) {
  std::string text;
  for (const auto d : shape) text += (text.empty() ? "" : " x ") + std::to_string(d);
  return shape.empty() ? "number" : text;
}

/// "min -0.5 max 0.5 mean 0.01", and how many are not finite.
std::string values_of(const tensor_entry& t) {
  if (!detail::is_float(t.type)) return "";
  double low = INFINITY, high = -INFINITY, sum = 0;
  std::size_t finite = 0;
  const auto values = to_floats(t);
  for (const float x : values) {
    if (!std::isfinite(x)) continue;
    low = std::min(low, double(x)), high = std::max(high, double(x)), sum += double(x), ++finite;
  }
  char line[120];
  if (finite == 0) return values.empty() ? "" : "  none finite";
  std::snprintf(line, sizeof line, "  min %-12.6g max %-12.6g mean %-12.6g", low, high, sum / double(finite));
  const std::string rest = finite == values.size() ? "" : " " + std::to_string(values.size() - finite) + " not finite";
  return line + rest;
}

int inspect(const options& o) {
  const safetensors_file file{std::filesystem::path(o.file)};
  std::size_t name = 6, shape = 5;
  std::uint64_t numbers = 0, bytes = 0;
  auto list = file.list();
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const auto& t : list) name = std::max(name, show(t.name).size()), shape = std::max(shape, text_of(t.shape).size());
  std::printf("%-*s  %-5s  %-*s  %12s\n", int(name), "tensor", "type", int(shape), "shape", "bytes");
  for (const auto& t : list) {
    std::printf("%-*s  %-5s  %-*s  %12zu%s\n", int(name), show(t.name).c_str(), std::string(name_of(t.type)).c_str(), int(shape),
                text_of(t.shape).c_str(), t.bytes.size(), o.values ? values_of(t).c_str() : "");
    numbers += element_count(t), bytes += t.bytes.size();
  }
  std::printf("%zu tensors, %llu numbers, %llu bytes\n", list.size(), static_cast<unsigned long long>(numbers),
              static_cast<unsigned long long>(bytes));
  for (const auto& [key, value] : file.metadata()) std::printf("%s: %s\n", show(key).c_str(), show(value).c_str());
  if (file.metadata().contains("modx.hidden")) {
    std::printf("checksum: of hidden states, verified where they are used\n");
    return 0;
  }
  std::printf("checksum: %s\n", verify_checksum(file) ? "right" : "none");
  return 0;
}

int write_smaller(const options& o) {
  if (!o.force && std::filesystem::exists(o.to)) throw modx::error(o.to, "no file of that name (or --force)", "one");
  shrink_options s{.keep = o.keep, .drop = o.drop, .last_blocks = o.last_blocks};
  if (o.type != "same") s.type = o.type == "f32" ? dtype::f32 : o.type == "f16" ? dtype::f16 : dtype::bf16;
  const auto r = shrink(o.file, o.to, s);
  std::printf("%zu of %zu tensors, %llu of %llu numbers, %llu of %llu bytes; read back and compared\n", r.after.tensors, r.before.tensors,
              static_cast<unsigned long long>(r.after.numbers), static_cast<unsigned long long>(r.before.numbers),
              static_cast<unsigned long long>(r.after.bytes), static_cast<unsigned long long>(r.before.bytes));
  if (s.type) std::printf("largest rounding error: %.3g of the largest value of its tensor\n", r.largest_error);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Looks into safetensors files - weights, stages, checkpoints - and writes smaller copies.\n"
      "Exit status: 0 done, 1 failed or a wrong checksum, 2 wrong options.\n",
      "modx_checkpoint"};
  app.require_subcommand(1);
  options o;
  auto* look = app.add_subcommand("inspect", "tensors, metadata and whether the checksum is right");
  look->add_option("file", o.file, "a safetensors file")->required()->type_name("FILE");
  look->add_flag("--values", o.values, "least, largest and mean value of each tensor");
  auto* less = app.add_subcommand("shrink", "a copy with some of the tensors, in a smaller type");
  less->add_option("file", o.file, "a safetensors file")->required()->type_name("FILE");
  less->add_option("to", o.to, "the copy")->required()->type_name("FILE");
  less->add_option("--keep", o.keep, "tensors to keep, '*' for any characters; may be given again")
      ->allow_extra_args(false)
      ->type_name("PATTERN")
      ->capture_default_str();
  less->add_option("--drop", o.drop, "tensors to leave out; may be given again")->allow_extra_args(false)->type_name("PATTERN");
  less->add_option("--last-blocks", o.last_blocks, "of layers.I and blocks.I only the last N; 0: all")
      ->check(CLI::Range(0, 1 << 20))
      ->type_name("N")
      ->capture_default_str();
  less->add_option("--dtype", o.type, "same, f32, f16 or bf16")
      ->check(CLI::IsMember({"same", "f32", "f16", "bf16"}).description(""))
      ->type_name("same|f32|f16|bf16")
      ->capture_default_str();
  less->add_flag("--force", o.force, "write over a file that is there");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    const int status = look->parsed() ? inspect(o) : write_smaller(o);
    if (std::fflush(stdout) != 0) throw modx::error("standard output", "to be written", "an error");
    return status;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "modx_checkpoint: %s\n", e.what());
    return 1;
  }
}
