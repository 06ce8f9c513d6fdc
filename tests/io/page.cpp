// The programs of docs/io.md.
#include <cstdio>
#include <modx/io/checkpoint.hpp>
#include <modx/io/image_set.hpp>
#include <modx/io/run_folder.hpp>

#include "catch.hpp"
#include "idx_files.hpp"
#include "io_support.hpp"

namespace {
namespace io = modx::io;

// [weights]
void weights(const std::filesystem::path& file, std::vector<float>& w) {
  const io::tensor_entry up{"up.weight", io::dtype::f32, {2, 3}, std::as_bytes(std::span(w))};
  io::write_safetensors(file, std::span(&up, 1), {{"format", "modx"}});

  const io::safetensors_file back(file);
  io::copy_to(back.at("up.weight"), std::span(w));  // in place, without a copy: view_as<float>(entry)
}
// [/weights]

// [checkpoint]
std::uint64_t train(const std::filesystem::path& folder, std::vector<float>& w) {
  io::checkpoint_store store(folder, "model", 2);  // keeps the newest two
  std::uint64_t step = 0;
  if (const auto last = store.load_newest()) {
    for (const auto& m : last->messages) std::puts(m.c_str());  // newer files that are damaged
    io::copy_to(last->file.at("up.weight"), std::span(w));
    step = last->step;
  }
  step += 100;
  const io::tensor_entry up{"up.weight", io::dtype::f32, {2, 3}, std::as_bytes(std::span(w))};
  try {
    store.save(step, std::span(&up, 1), {{"epoch", 3}});
  } catch (const io::io_error& e) {  // a full disk, say: the old checkpoint is there, training can go on
    std::puts(e.what());
  }
  return step;
}
// [/checkpoint]

// [run]
void record(const std::filesystem::path& folder) {
  io::run_folder run(folder);
  run.write_json("config.json", {{"seed", 1}, {"experts", 5}});
  run.append_jsonl("log.jsonl", {{"step", 100}, {"loss", 0.25}});
  run.manifest();
  for (const auto& problem : run.verify()) std::puts(problem.c_str());
}
// [/run]

// [images]
std::size_t count_images(const std::filesystem::path& folder) {
  const io::image_set train = io::load_image_set(folder, io::split::train);
  return train.count;  // pixels: count x height x width; labels: count
}
// [/images]

}  // namespace

TEST_CASE("docs: the programs of io.md run", "[io]") {
  using namespace modx::test;
  temp_folder dir;
  std::vector<float> w = {1, 2, 3, 4, 5, 6};
  weights(dir / "w.safetensors", w);
  CHECK(w == std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK(train(dir / "run", w) == 100);
  w.assign(6, 0);
  CHECK(train(dir / "run", w) == 200);
  CHECK(w == std::vector<float>{1, 2, 3, 4, 5, 6});
  record(dir / "run");
  CHECK(io::run_folder(dir / "run").verify().empty());
  put(dir / "train-images-idx3-ubyte.gz", gzip(idx_text({2, 28, 28})));
  put(dir / "train-labels-idx1-ubyte.gz", gzip(idx_text({2})));
  CHECK(count_images(dir.path()) == 2);
}
