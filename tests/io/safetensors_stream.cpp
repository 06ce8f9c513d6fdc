#include <modx/io/safetensors_stream.hpp>

#include <modx/io/safetensors_writer.hpp>

#include "catch.hpp"
#include "io_support.hpp"
#include "malformed_safetensors.hpp"

using namespace modx::io;
using namespace modx::test;

TEST_CASE("safetensors_stream: the same tensors as safetensors_file, one at a time", "[io]") {
  temp_folder dir;
  std::string data(5000, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * i);
  const auto all = std::as_bytes(std::span(data));
  const std::vector<tensor_entry> tensors = {{"w", dtype::f32, {10, 100}, all.first(4000)},
                                             {"b", dtype::u8, {999}, all.subspan(4001, 999)},
                                             {"none", dtype::f64, {0}, {}},
                                             {"scalar", dtype::bf16, {}, all.first(2)}};
  write_safetensors(dir / "a", tensors, {{"k", "v"}});
  const safetensors_file whole(dir / "a");
  const safetensors_stream stream(dir / "a");
  CHECK(stream.metadata() == whole.metadata());
  REQUIRE(stream.size() == 4);
  std::vector<std::byte> storage;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& want = whole.list()[i];
    const auto got = stream.read(stream.entry(i).name, storage);
    CHECK(got.name == want.name);
    CHECK(got.type == want.type);
    CHECK(got.shape == want.shape);
    CHECK(std::ranges::equal(got.bytes, want.bytes));
  }
  CHECK(stream.find("w")->shape == std::vector<std::uint64_t>{10, 100});
  CHECK_FALSE(stream.find("x").has_value());
  CHECK(code_of([&] { stream.read("x", storage); }) == "missing_tensor");
  std::vector<std::byte> short_by_one(3999);
  CHECK(code_of([&] { stream.read("w", std::span(short_by_one)); }) == "size_mismatch");
  fs::resize_file(dir / "a", 2000);
  CHECK(code_of([&] { stream.read("w", storage); }) == "changed_while_reading");  // an error, not SIGBUS
}

TEST_CASE("safetensors_stream: refuses what safetensors_file refuses", "[io]") {
  temp_folder dir;
  for (const auto& c : malformed_safetensors()) {
    put(dir / "a", c.bytes);
    INFO(c.name);
    CHECK(code_of([&] { safetensors_stream s(dir / "a"); }) == c.code);
  }
}

TEST_CASE("safetensors_stream: 20 GB, sparse, in a few kilobytes of memory", "[io]") {
  temp_folder dir;
  constexpr std::uint64_t size = 20'000'000'000;
  const auto n = std::to_string(size),
             header = "{\"a\":" + tensor_json("[" + n + "]", "[0," + n + "]", "\"U8\"") + ",\"b\":" +
                      tensor_json("[4]", "[" + n + "," + std::to_string(size + 4) + "]", "\"U8\"") + "}";
  put(dir / "a", safetensors_text(header));
  std::error_code no_sparse_files;
  fs::resize_file(dir / "a", 8 + header.size() + size, no_sparse_files);
  if (no_sparse_files) return;
  {
    std::ofstream end(dir / "a", std::ios::binary | std::ios::app);
    end << "wxyz";
  }
  std::vector<std::byte> storage;
  const safetensors_stream stream(dir / "a");
  CHECK(stream.find("a")->shape[0] == size);
  CHECK(stream.read("b", storage).bytes[3] == std::byte{'z'});
  fs::resize_file(dir / "a", 8 + header.size() + size + 3);
  CHECK(code_of([&] { safetensors_stream s(dir / "a"); }) == "truncated_data");
}
