// save and load of a model's parameters: by name, strictly, all or nothing; experts to and from their files.
#include <modx/backend/cpu.hpp>
#include <modx/combiner/residual.hpp>
#include <modx/coupling/ghost.hpp>
#include <modx/expert/linear.hpp>
#include <modx/io/safetensors_writer.hpp>
#include <modx/io/model_file.hpp>
#include <modx/module/linear.hpp>
#include <modx/router/softmax.hpp>

#include "catch.hpp"
#include "io_support.hpp"

using namespace modx;
using namespace modx::test;

namespace {
template <class B>
auto red(B& backend, std::uint64_t seed, std::size_t width = 3) {
  return build(backend,
               module::mixture{.base = module::linear{}, .experts = expert::linear{}, .router = router::softmax{},
                               .combiner = combiner::residual{}, .n_experts = 2},
               {.in = 4, .out = width}, seed);
}
template <class M>
auto values(const M& m) {
  std::vector<matrix<typename M::scalar>> all;
  for (auto* p : m.parameters()) all.push_back(p->host());
  return all;
}
}  // namespace

TEMPLATE_TEST_CASE("a model is read back bit for bit", "", float, double) {
  basic_cpu<TestType> backend(1, 1);
  const temp_folder folder;
  const auto a = red(backend, 1);
  auto b = red(backend, 2);
  io::save(a, folder / "all.safetensors", "*", {{"note", "hello"}});
  CHECK(values(a) != values(b));
  io::load(b, folder / "all.safetensors");
  CHECK(values(a) == values(b));
  const io::safetensors_file file(folder / "all.safetensors");
  CHECK(file.list().size() == 8);
  CHECK(file.metadata().at("note") == "hello");
  CHECK(file.at("experts.1.weight").shape == std::vector<std::uint64_t>{4, 3});
}

TEST_CASE("states are in a model's file, and missed where they are not") {
  cpu backend(1, 1);
  const temp_folder folder;
  const auto make = [&](std::uint64_t seed) {
    return build(backend,
                 module::mixture{.experts = expert::linear{}, .router = router::softmax{},
                                 .coupling = coupling::ghost<>{.ghosts = 2, .window = 3}, .n_experts = 2},
                 {.in = 4, .out = 3}, seed);
  };
  auto a = make(1), b = make(2);
  matrix<float> levels(2, 2);
  levels(0, 0) = 0.375f, levels(1, 0) = 1;
  a.find("coupling.ghosts.levels").set(levels);
  io::save(a, folder / "all.safetensors");
  io::load(b, folder / "all.safetensors");
  CHECK(values(a) == values(b));
  CHECK(b.find("coupling.ghosts.levels").host() == levels);
  CHECK(b.find("coupling.ghosts.history").host()(0, 2) == -1);
  io::save(a, folder / "part.safetensors", "*s.*t");
  std::string said;
  try {
    io::load(b, folder / "part.safetensors");
  } catch (const error& e) {
    said = e.what();
  }
  CHECK(contains(said, "expected a tensor '"));
}

TEST_CASE("a pattern saves and loads a part, and leaves the rest alone") {
  cpu backend(1, 1);
  const temp_folder folder;
  const auto a = red(backend, 1);
  auto b = red(backend, 2);
  const auto before = values(b);
  io::save(a, folder / "router.safetensors", "router.*");
  io::load(b, folder / "router.safetensors", "router.*");
  for (std::size_t i = 0; i < before.size(); ++i) {
    auto* p = b.parameters()[i];
    CHECK(p->host() == (p->name().starts_with("router.") ? a.find(p->name()).host() : before[i]));
  }
}

TEST_CASE("a file that isn't this model's is refused with the tensor's name, and nothing changes") {
  cpu backend(1, 1);
  basic_cpu<double> other_type(1, 1);
  const temp_folder folder;
  auto model = red(backend, 2);
  const auto before = values(model);
  const auto refuses = [&](const std::string& why, std::string_view pattern = "*") {
    const auto said = message_of([&] { io::load(model, folder / "f.safetensors", pattern); });
    CAPTURE(said);
    CHECK(contains(said, why));
    CHECK(values(model) == before);
  };
  refuses("f.safetensors");
  refuses("not_found");
  io::save(red(backend, 1), folder / "f.safetensors", "router.*");
  refuses("expected a tensor 'base.weight', found none");
  io::save(red(backend, 1), folder / "f.safetensors");
  refuses("f.safetensors: expected 2 tensors of this model, found also 'base.", "router.*");
  io::save(red(backend, 1, 5), folder / "f.safetensors");
  refuses("tensor 'base.weight': expected 4 x 3, found 4 x 5");
  io::save(red(other_type, 1), folder / "f.safetensors");
  refuses("\"base.");  // another type
  const float numbers[12] = {};
  const io::tensor_entry flat{"base.weight", io::dtype::f32, {12}, std::as_bytes(std::span(numbers))};
  io::write_safetensors(folder / "f.safetensors", std::span(&flat, 1), {});
  refuses("tensor 'base.weight': expected 2 dimensions, found 1");
  auto bytes = get(folder / "f.safetensors");
  bytes.resize(bytes.size() - 1);
  put(folder / "f.safetensors", bytes);
  refuses("truncated_data");
}

TEST_CASE("an expert goes through its file and comes back the same") {
  cpu backend(1, 1);
  const temp_folder folder;
  auto model = red(backend, 1);
  const auto before = values(model);
  const auto file = folder / "expert.safetensors";
  io::save_values(file, take_expert(model, 1), {{"domain", "2-3"}});
  auto again = add_expert(remove_expert(model, 1), 1);
  CHECK(values(again) != before);
  put_expert(again, 1, io::load_values<float>(file));
  CHECK(values(again) == before);
  CHECK_FALSE(message_of([&] { io::load_values<double>(file); }).empty());  // strict about the type
}

TEST_CASE("a save that fails leaves the old file") {
  cpu backend(1, 1);
  const temp_folder folder;
  io::save(red(backend, 1), folder / "m.safetensors");
  const auto before = get(folder / "m.safetensors");
  CHECK_FALSE(message_of([&] { io::save(red(backend, 2), folder / "absent" / "m.safetensors"); }).empty());
  CHECK_FALSE(message_of([&] { io::save(red(backend, 2), folder / "m.safetensors", "*", {{"note", "\xff"}}); }).empty());
  CHECK(get(folder / "m.safetensors") == before);
  CHECK(names_in(folder.path()) == std::vector<std::string>{"m.safetensors"});
}
