// Out of memory at every allocation in turn, and how much memory a file may cost before it is believed.
#include <malloc.h>

#include <modx/io/checkpoint.hpp>
#include <modx/io/image_set.hpp>
#include <modx/io/run_folder.hpp>
#include <modx/io/safetensors_stream.hpp>

#include <cstdlib>
#include <new>

#include "catch.hpp"
#include "idx_files.hpp"
#include "io_support.hpp"
#include "malformed_safetensors.hpp"

namespace {
thread_local bool watching = false;
thread_local long until_failure = -1;  // allocations; below 0: never
thread_local std::size_t in_use = 0, peak = 0;
}  // namespace

void* operator new(std::size_t n) {
  if (watching && until_failure >= 0 && until_failure-- == 0) {
    until_failure = 0;  // from now on nothing is left
    throw std::bad_alloc();
  }
  void* p = std::malloc(n ? n : 1);
  if (!p) throw std::bad_alloc();
  if (watching) peak = std::max(peak, in_use += malloc_usable_size(p));
  return p;
}
void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  try {
    return operator new(n);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t n) { return operator new(n); }
void* operator new[](std::size_t n, const std::nothrow_t& t) noexcept { return operator new(n, t); }
void operator delete(void* p) noexcept {
  if (watching && p) in_use -= std::min(in_use, malloc_usable_size(p));
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { operator delete(p); }
void operator delete[](void* p) noexcept { operator delete(p); }
void operator delete[](void* p, std::size_t) noexcept { operator delete(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { operator delete(p); }

using namespace modx::io;
using namespace modx::test;

namespace {

/// Runs f with the n-th allocation (from 0) and all later ones failing; true if it ended in bad_alloc.
template <class F>
bool starved(long n, F f) {
  bool out = false;
  until_failure = n;
  watching = true;
  try {
    f();
  } catch (const std::bad_alloc&) {
    out = true;
  } catch (...) {
    watching = false;
    until_failure = -1;
    throw;
  }
  watching = false;
  until_failure = -1;
  return out;
}

/// Peak of the memory that f takes.
template <class F>
std::size_t cost(F f) {
  in_use = peak = 0;
  watching = true;
  f();
  watching = false;
  return peak;
}

/// f at every n until it gets through; after each failure, `check`.
template <class F, class C>
void starve(const char* what, F f, C check) {
  const auto before = open_descriptors();
  long n = 0;
  while (starved(n, f)) {
    INFO(what << ", allocation " << n);
    CHECK(open_descriptors() == before);
    check();
    ++n;
    REQUIRE(n < 100'000);
  }
  INFO(what);
  CHECK(n > 3);
  check();
}

}  // namespace

TEST_CASE("io: out of memory at every allocation: bad_alloc, nothing lost, nothing leaked", "[io]") {
  temp_folder dir;
  const std::string data(64, 'x');
  const std::vector<tensor_entry> tensors = {
      {"a tensor with a long name", dtype::f32, {2, 3}, std::as_bytes(std::span(data)).first(24)},
      {"b", dtype::u8, {64}, std::as_bytes(std::span(data))}};
  const auto only = [&](std::vector<std::string> names) {
    return [&dir, names] { CHECK(names_in(dir.path()) == names); };
  };
  write_safetensors(dir / "t", tensors, {{"key", "a value of some length"}});
  const auto bytes = get(dir / "t");
  starve(
      "read", [&] { safetensors_file f(dir / "t"); }, only({"t"}));
  starve(
      "stream",
      [&] {
        safetensors_stream f(dir / "t");
        std::vector<std::byte> storage;
        f.read("b", storage);
      },
      only({"t"}));
  starve(
      "write",
      [&] {
        write_safetensors(dir / "t", tensors, {{"key", "a value of some length"}});
      },
      [&] {
        only({"t"})();
        CHECK(get(dir / "t") == bytes);
      });
  put(dir / "bad", bytes.substr(0, bytes.size() - 1));
  starve(
      "refuse", [&] { code_of([&] { safetensors_file f(dir / "bad"); }); }, only({"bad", "t"}));
  fs::remove(dir / "bad");
  fs::remove(dir / "t");

  {
    const nlohmann::json meta =
        "a string of more than a few bytes";  // destroying an array or object allocates: nlohmann's
    checkpoint_store store(dir.path(), "m", 1);
    store.save(1, tensors, meta);
    starve(
        "save", [&] { store.save(2, tensors, meta); },
        [&] {
          const auto c = store.load_newest();
          REQUIRE(c.has_value());
          CHECK((c->step == 1 || c->step == 2));
          CHECK(c->meta == meta);
          for (const auto& name : names_in(dir.path())) CHECK_FALSE(is_temp_name(name));
          fs::remove(store.path(2));
          store.save(1, tensors, meta);
        });
    starve(
        "load", [&] { store.load_newest(); }, [] {});
    CHECK(store.load_newest()->step == 1);  // a load without memory has not called it damaged
    fs::remove(store.path(1));
  }

  put(dir / "t10k-images-idx3-ubyte.gz", gzip(idx_text({2, 3, 4})));
  put(dir / "t10k-labels-idx1-ubyte", idx_text({2}));
  starve(
      "images", [&] { load_image_set(dir.path(), split::test); }, [] {});

  run_folder(dir / "run").write_text("some text", "old");
  starve(
      "run folder", [&] { run_folder(dir / "run").write_text("a/file with a long name", "new"); },
      [&] {
        CHECK(get(dir / "run" / "some text") == "old");
        const auto text = get(dir / "run" / "a" / "file with a long name");
        CHECK((text == "<no such file>" || text == "new"));
      });
  const nlohmann::json line = "some text that is long enough";
  starve(
      "log", [&] { jsonl_file(dir / "log").append(line); },
      [&] {
        const auto text = get(dir / "log");
        CHECK((text == "<no such file>" || text.empty() || text.ends_with("\n")));
      });
}

TEST_CASE("io: memory before a file is believed is at most 3 times its size and 8 MiB", "[io]") {
  auto files = malformed_safetensors();
  const auto add = [&](const std::string& name, const std::string& header) {
    files.push_back({name, safetensors_text(header), ""});
  };
  std::string many, names, shapes, keys, few;
  for (int i = 0; i < 100'000; ++i)
    many += (i ? ",\"" : "\"") + std::to_string(i) + "\":" + tensor_json("[0]", "[0,0]", "\"U8\"");
  for (int i = 0; i < 500; ++i)
    names +=
        (i ? ",\"" : "\"") + std::string(4000, 'n') + std::to_string(i) + "\":" + tensor_json("[0]", "[0,0]");
  for (int i = 0; i < 150'000; ++i)
    shapes +=
        (i ? ",\"" : "\"") + std::to_string(i) + "\":" + tensor_json("[0,0,0,0,0,0,0,0]", "[0,0]", "\"U8\"");
  for (int i = 0; i < 50'000; ++i) keys += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"\"";
  add("100,000 tensors", "{" + many + "}");
  add("long names", "{" + names + "}");
  add("rank 8", "{" + shapes + "}");
  add("metadata", "{\"__metadata__\":{" + keys + "}}");
  for (int i = 0; i < 4096; ++i) few += (i ? ",\"" : "\"") + std::to_string(i) + "\":\"\"";
  add("4096 keys", "{\"__metadata__\":{" + few + "}}");
  add("10 MB of zeros in an array", "{\"a\":[" + std::string(5'000'000, '0') + "]}");
  add("10 MB of numbers", [] {
    std::string s = "{\"a\":{\"shape\":[0";
    for (int i = 0; i < 5'000'000; ++i) s += ",0";
    return s;
  }());
  add("10 MB of a string", "{\"" + std::string(10'000'000, 'a') + "\":1}");
  add("2 MB of a string", "{\"" + std::string(2'000'000, 'a') + "\":1}");
  add("2 MB of a value", "{\"__metadata__\":{\"a\":\"" + std::string(2'000'000, 'a') + "\"}}");
  temp_folder dir;
  double worst = 0;
  for (const auto& f : files) {
    put(dir / "a", f.bytes);
    const auto used = cost([&] {
      try {
        safetensors_stream s(dir / "a");
      } catch (const io_error&) {
      }
    });
    INFO(f.name << ": " << f.bytes.size() << " bytes cost " << used);
    CHECK(used <= 3 * f.bytes.size() + (8u << 20));
    if (f.bytes.size() > 4'000'000)
      worst = std::max(worst, static_cast<double>(used) / static_cast<double>(f.bytes.size()));
  }
  WARN("worst of the large ones: " << worst << " times the file");
}
