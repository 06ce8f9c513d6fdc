// Smaller copies of safetensors files: what is kept, how it is rounded, what is refused; modx_checkpoint as its users run it.
#include <modx/backend/cpu.hpp>
#include <modx/io/model_file.hpp>
#include <modx/io/shrink.hpp>
#include <modx/module/mlp.hpp>

#include "program.hpp"

using namespace modx;
using namespace modx::test;
using io::dtype;

namespace {

/// Four blocks, a table and a head; `sealed` with this library's checksum.
void write_model(const fs::path& file, bool sealed = false, float largest = 3) {
  std::vector<float> numbers = {0.1f, -2, largest, 1.0f / 3, 5e-3f, -7};
  std::vector<double> wide = {1e-3, 2.5, 1.0 / 7, 4};
  std::vector<std::int64_t> whole = {1, 2};
  std::vector<io::tensor_entry> list;
  for (const std::string i : {"0", "1", "2", "11"})
    list.push_back({"model.layers." + i + ".up.weight", dtype::f32, {2, 3}, std::as_bytes(std::span(numbers))});
  list.push_back({"model.embed.weight", dtype::f32, {3, 2}, std::as_bytes(std::span(numbers))});
  list.push_back({"head.weight", dtype::f64, {2, 2}, std::as_bytes(std::span(wide))});
  list.push_back({"steps", dtype::i64, {2}, std::as_bytes(std::span(whole))});
  std::map<std::string, std::string> metadata = {{"stage", "base"}};
  if (sealed) metadata["modx.xxh128"] = io::detail::checkpoint_sum(list, metadata);
  io::write_safetensors(file, list, metadata);
}
std::vector<std::string> names(const fs::path& file) {
  std::vector<std::string> all;
  const io::safetensors_file f(file);
  for (const auto& t : f.list()) all.push_back(t.name);
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("shrink: tensors by pattern and by block, each in the type asked for", "[io]") {
  const temp_folder folder;
  const auto from = folder / "model.safetensors", to = folder / "small.safetensors";
  write_model(from, true);
  const auto r = io::shrink(from, to, {.drop = {"*embed*"}, .last_blocks = 2, .type = dtype::bf16});
  CHECK(names(to) == std::vector<std::string>{"head.weight", "model.layers.11.up.weight", "model.layers.2.up.weight", "steps"});
  CHECK(r.before.tensors == 7);
  CHECK(r.after.tensors == 4);
  CHECK(r.before.bytes == 5 * 24 + 32 + 16);
  CHECK(r.after.bytes == 2 * 12 + 8 + 16);
  CHECK(r.largest_error > 1e-5);
  CHECK(r.largest_error < 1.0 / 256);
  const io::safetensors_file a(from), b(to);
  CHECK(b.at("steps").type == dtype::i64);
  CHECK(b.metadata().at("stage") == "base");
  CHECK(io::verify_checksum(b));
  const auto before = io::to_floats(a.at("model.layers.2.up.weight")), after = io::to_floats(b.at("model.layers.2.up.weight"));
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == io::from_bf16(io::to_bf16(before[i])));
  io::shrink(from, to);
  CHECK(names(to) == names(from));
  io::shrink(from, to, {.keep = {"head*", "steps"}, .type = dtype::f32});
  CHECK(names(to) == std::vector<std::string>{"head.weight", "steps"});
  CHECK(io::to_floats(io::safetensors_file(to).at("head.weight"))[2] == float(1.0 / 7));
}

TEST_CASE("shrink: what is wrong is refused, and nothing is written", "[io]") {
  const temp_folder folder;
  const auto from = folder / "model.safetensors", to = folder / "small.safetensors";
  write_model(from, true, 70000);
  const auto said = [&](const io::shrink_options& o, const fs::path& file = {}) {
    try {
      io::shrink(file.empty() ? from : file, to, o);
    } catch (const error& e) {
      return std::string(e.what());
    }
    return std::string("nothing");
  };
  CHECK(contains(said({.keep = {"*", "tail*"}}), "expected tensors that match \"tail*\", found none"));
  CHECK(contains(said({.drop = {"tail*"}}), "expected tensors that match \"tail*\", found none"));
  CHECK(contains(said({.drop = {"*"}}), "expected at least one tensor to keep, found none"));
  CHECK(contains(said({.last_blocks = 5}), "expected at least 5 blocks, found 4"));
  CHECK(contains(said({.type = dtype::i64}), "expected F32, F16 or BF16, found I64"));
  CHECK(contains(said({.type = dtype::f16}), "expected numbers that F16 can hold, found 70000"));
  CHECK_THROWS_AS(io::shrink(from, from), error);
  const auto hidden = folder / "hidden.safetensors";
  std::vector<float> x = {1};
  const io::tensor_entry one{"hidden", dtype::f32, {1, 1}, std::as_bytes(std::span(x))};
  io::write_safetensors(hidden, std::span(&one, 1), {{"modx.hidden", "1"}, {"modx.xxh128", "0"}});
  CHECK(contains(said({}, hidden), "expected weights, found a cache of hidden states"));
  CHECK(!fs::exists(to));
  auto bytes = get(from);
  bytes.back() = char(bytes.back() + 1);
  put(from, bytes);
  CHECK(code_of([&] { io::shrink(from, to); }) == "bad_checksum");
  CHECK(!fs::exists(to));
}

TEST_CASE("a model reads its shrunk file: the rounded values", "[io]") {
  cpu backend(1, 1);
  const temp_folder folder;
  auto m = build(backend, module::mlp{.hidden = 5}, {3, 2}, 1), other = build(backend, module::mlp{.hidden = 5}, {3, 2}, 2);
  io::save(m, folder / "a.safetensors");
  for (const auto type : {dtype::bf16, dtype::f16}) {
    io::shrink(folder / "a.safetensors", folder / "b.safetensors", {.type = type});
    io::load(other, folder / "b.safetensors");
    for (auto* p : m.parameters()) {
      const auto exact = p->host(), rounded = other.find(p->name()).host();
      for (std::size_t i = 0; i < exact.data.size(); ++i)
        CHECK(rounded.data[i] == (type == dtype::f16 ? io::from_f16(io::to_f16(exact.data[i])) : io::from_bf16(io::to_bf16(exact.data[i]))));
    }
  }
}

#ifdef MODX_CHECKPOINT
TEST_CASE("modx_checkpoint: inspect and shrink as their users run them", "[io]") {
  const temp_folder folder;
  const auto from = (folder / "model.safetensors").string(), to = (folder / "small.safetensors").string();
  write_model(from, true);
  const auto run = [](const arguments& options) { return run_program(arguments{MODX_CHECKPOINT} + options); };
  const auto look = run({"inspect", from, "--values"});
  CHECK(look.exit == 0);
  CHECK(contains(look.out, "7 tensors, 36 numbers, 168 bytes\n"));
  CHECK(contains(look.out, "\"stage\": \"base\"\n"));
  CHECK(contains(look.out, "checksum: right\n"));
  CHECK(contains(look.out, "min -7           max 3"));
  const auto less = run({"shrink", "--drop", "*embed*", "--last-blocks", "1", "--dtype", "f16", from, to});
  CHECK(less.err == "");
  CHECK(less.exit == 0);
  CHECK(contains(less.out, "3 of 7 tensors, 12 of 36 numbers, 36 of 168 bytes; read back and compared\n"));
  CHECK(contains(run({"inspect", to}).out, "\"model.layers.11.up.weight\"  F16"));
  const auto again = run({"shrink", from, to});
  CHECK(again.exit == 1);
  CHECK(contains(again.err, "expected no file of that name (or --force), found one"));
  CHECK(run({"shrink", from, to, "--force"}).exit == 0);
  CHECK(run({"--help"}).exit == 0);
  CHECK(run({}).exit == 2);
  CHECK(run({"inspect"}).exit == 2);
  CHECK(run({"shrink", from, to, "--dtype", "f8"}).exit == 2);
  const auto none = run({"inspect", from + "x"});
  CHECK(none.exit == 1);
  CHECK(contains(none.err, "not_found"));
}
#endif
