#include <modx/io/checkpoint.hpp>

#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "catch.hpp"
#include "io_support.hpp"

using namespace modx::io;
using namespace modx::test;
using nlohmann::json;

namespace {

/// A model whose every byte depends on the step.
struct model {
  explicit model(std::uint64_t step, std::size_t size = 1000) : weights(size) {
    for (std::size_t i = 0; i < size; ++i) weights[i] = static_cast<float>(step * 131 + i * 7);
    const auto all = std::as_bytes(std::span(std::as_const(weights)));
    entries = {{"w", dtype::f32, {size}, all},
               {"half of it", dtype::u8, {size * 2}, all.first(size * 2)},
               {"a", dtype::f32, {0}, {}},
               {"b", dtype::f64, {0, 3}, {}},
               {"z", dtype::u8, {0}, {}}};
  }
  std::vector<float> weights;
  std::vector<tensor_entry> entries;
};

bool holds_step(const checkpoint& c, std::uint64_t step, std::size_t size = 1000) {
  const model want(step, size);
  const auto* w = c.file.find("w");
  return c.step == step && c.meta == json{{"epoch", step}} && c.file.list().size() == 5 && w &&
         std::ranges::equal(w->bytes, want.entries[0].bytes);
}

void save(checkpoint_store& store, std::uint64_t step, std::size_t size = 1000) {
  CHECK(store.save(step, model(step, size).entries, {{"epoch", step}}).empty());
}

}  // namespace

TEST_CASE("checkpoint: the newest comes back, old ones go, but never before", "[io]") {
  temp_folder dir;
  checkpoint_store store(dir / "deep" / "run", "model", 2);
  CHECK_FALSE(store.load_newest().has_value());
  for (std::uint64_t step = 1; step <= 4; ++step) {
    save(store, step * 10);
    CHECK(store.steps().size() == std::min<std::size_t>(step, 2));
    const auto c = store.load_newest();
    REQUIRE(c.has_value());
    CHECK(holds_step(*c, step * 10));
    CHECK(c->messages.empty());
  }
  CHECK(names_in(dir / "deep" / "run") ==
        std::vector<std::string>{"model-000000030.safetensors", "model-000000040.safetensors"});
  save(store, 40);  // the same step again
  CHECK(store.steps() == std::vector<std::uint64_t>{30, 40});
  save(store, 35);  // back from an older one: newer files are left alone
  CHECK(store.steps() == std::vector<std::uint64_t>{30, 35, 40});
  CHECK(store.path(999'999'999).filename() == "model-999999999.safetensors");
  CHECK(code_of([&] { store.save(1'000'000'000, {}, {}); }) == "step_too_large");
  checkpoint_store other(dir / "deep" / "run", "mod", 1);  // another prefix sees nothing of it
  CHECK_FALSE(other.load_newest().has_value());
  other.save(7, {}, nullptr);
  CHECK(other.load_newest()->meta == nullptr);
  CHECK(store.steps().size() == 3);
}

TEST_CASE("checkpoint: bad options are refused", "[io]") {
  temp_folder dir;
  for (const char* prefix : {"", "a/b", "..", ".a", "a b", "a\n", "\xc3\xa9"})
    CHECK(code_of([&] { checkpoint_store(dir.path(), prefix); }) == "bad_name");
  CHECK(code_of([&] { checkpoint_store(dir.path(), "a", 0); }) == "bad_keep");
  put(dir / "file", "");
  CHECK(code_of([&] { checkpoint_store(dir / "file", "a"); }) == "open_failed");
  checkpoint_store store(dir.path(), "a");
  CHECK(code_of([&] { store.save(1, {}, "\xff"); }) == "bad_json");
  json deep;
  for (int i = 0; i < 65; ++i) deep = json::array({deep});
  CHECK(code_of([&] { store.save(1, {}, deep); }) == "json_too_deep");
  CHECK(code_of([&] { store.save(1, {}, std::string(1u << 20, 'x')); }) == "metadata_too_large");
  CHECK(names_in(dir.path()) == std::vector<std::string>{"file"});
}

TEST_CASE("checkpoint: 60 corruptions of the newest fall back to the one before, and say so", "[io]") {
  temp_folder dir;
  checkpoint_store store(dir.path(), "m", 3);
  save(store, 1);
  save(store, 2);
  const auto good = get(store.path(2));
  const auto check = [&](const std::string& bytes, const std::string& what) {
    put(store.path(2), bytes);
    INFO(what);
    const auto c = store.load_newest();
    REQUIRE(c.has_value());
    CHECK(holds_step(*c, 1));
    REQUIRE(c->messages.size() == 1);
    CHECK(c->messages[0].find("passed over m-000000002.safetensors: modx: ") == 0);
  };
  std::uint64_t random = 12345;
  const auto next = [&](std::size_t below) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>((random >> 33) % below);
  };
  for (int i = 0; i < 25; ++i) {  // anywhere
    auto s = good;
    const auto at = next(s.size());
    s[at] = static_cast<char>(s[at] ^ 1 << next(8));
    if (const auto end = good.find("}   "); at > end && at < end + 12)
      continue;  // padding: one blank for another is harmless
    check(s, "flip at " + std::to_string(at));
  }
  for (const char* inside :
       {"modx.xxh128", "modx.meta", "modx.step", "modx.checkpoint", "epoch", "half of it", "U8", "[1000]"}) {
    auto s = good;
    const auto at = s.find(inside);
    REQUIRE(at != s.npos);
    s[at + 1] = static_cast<char>(s[at + 1] ^ 4);
    check(s, inside);
  }
  for (int i = 0; i < 20; ++i) {
    const auto n = next(good.size());
    check(good.substr(0, n), "truncated to " + std::to_string(n));
  }
  check("", "empty");
  check(good.substr(0, good.size() - 1), "last byte missing");
  check(good + '\0', "a byte too many");
  check(good.substr(0, good.size() - 512) + std::string(512, '\0'), "last sector zero");
  check(std::string(good.size(), '\0'), "all zero");
  check(get(store.path(1)), "another step's file");
  fs::remove(store.path(2));
  fs::create_directory(store.path(2));
  CHECK(holds_step(*store.load_newest(), 1));
  fs::remove(store.path(2));
  write_safetensors(store.path(2), model(2).entries, {});  // a good file, but no checkpoint
  CHECK(store.load_newest()->messages[0].find("[not_a_checkpoint]") != std::string::npos);
  put(store.path(2), good);
  CHECK(holds_step(*store.load_newest(), 2));
}

TEST_CASE("checkpoint: a damaged file is no reserve, none good is an error, not a fresh start", "[io]") {
  temp_folder dir;
  checkpoint_store store(dir.path(), "m", 2);
  save(store, 1);
  save(store, 2);
  put(store.path(2), "damaged");
  CHECK(store.load_newest()->step == 1);
  save(store, 3);
  CHECK(store.steps() == std::vector<std::uint64_t>{1, 2, 3});  // 3 and 1 are the two good ones
  put(store.path(3), "damaged too");
  CHECK(holds_step(*store.load_newest(), 1));
  put(store.path(1), "");
  const auto what = message_of([&] { store.load_newest(); });
  CHECK(code_of([&] { store.load_newest(); }) == "no_good_checkpoint");
  for (const char* name : {"m-000000001", "m-000000002", "m-000000003"}) CHECK(what.find(name) != what.npos);
  save(store, 4);
  save(store, 5);
  CHECK(store.steps() == std::vector<std::uint64_t>{4, 5});
}

TEST_CASE("checkpoint: a full disk keeps what there is, and the next save works", "[io]") {
  temp_folder dir;
  checkpoint_store store(dir.path(), "m", 1);
  save(store, 1);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct ::rlimit was = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &was) == 0);
  for (const rlim_t size : {0, 1, 8, 100, 511, 512, 4096, 5000}) {
    const struct ::rlimit small = {size, was.rlim_max};
    const model m(2);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const auto code = code_of([&] { store.save(2, m.entries, {{"epoch", 2}}); });
    ::setrlimit(RLIMIT_FSIZE, &was);
    CHECK(code == "no_space");
    CHECK(holds_step(*store.load_newest(), 1));
    CHECK(names_in(dir.path()) == std::vector<std::string>{"m-000000001.safetensors"});
  }
  std::signal(SIGXFSZ, old_handler);
  save(store, 2);
  CHECK(holds_step(*store.load_newest(), 2));
}

TEST_CASE("checkpoint: any failing call leaves the old checkpoint loadable", "[io]") {
  for (const int e : {EIO, ENOSPC, EINTR, EACCES, EROFS, 0})
    for (int n = 1, done = 0; !done; ++n) {
      temp_folder dir;
      {
        checkpoint_store store(dir.path(), "m", 1);
        save(store, 1);
      }
      const auto before = open_descriptors();
      failing_calls os(n, e);
      checkpoint_store store(dir.path(), "m", 1, os);
      bool saved = false;
      std::vector<std::string> messages;
      const auto code = code_of([&] {
        messages = store.save(2, model(2).entries, {{"epoch", 2}}), saved = true;
      });
      INFO("call " << n << " " << os.failed() << ", errno " << e << ", " << code);
      CHECK(open_descriptors() == before);
      checkpoint_store after(dir.path(), "m", 1);
      const auto c = after.load_newest();
      REQUIRE(c.has_value());
      if (saved) CHECK(holds_step(*c, 2));
      if (!saved)
        CHECK(
            (holds_step(*c, 1) || (os.failed() == "fsync" && os.count("rename") == 1 && holds_step(*c, 2))));
      if (!saved) CHECK(fs::exists(after.path(1)));
      if (saved && os.failed() == "unlink" && e != 0) CHECK(messages.size() == 1);
      CHECK(names_in(dir.path()).size() <= 2);
      done = os.failed().empty();
    }
}

TEST_CASE("checkpoint: a load that can't open the newest does not quietly take an older one", "[io]") {
  struct no_more_files : syscalls {
    int open_at(int, const char*, int, mode_t) override { return errno = EMFILE, -1; }
  } os;
  temp_folder dir;
  checkpoint_store store(dir.path(), "m");
  save(store, 1);
  CHECK(code_of([&] { checkpoint_store(dir.path(), "m", 2, os).load_newest(); }) == "open_failed");
}

TEST_CASE("checkpoint: kill -9 while saving: none torn, none lost, no temp after the sweep", "[io]") {
  constexpr std::size_t size = 175'000;  // 1.05 MB a checkpoint
  temp_folder dir;
  const auto start = std::chrono::steady_clock::now();
  std::uint64_t random = 42, newest = 0, acknowledged_in_all = 0,
                longest = 10'000;  // microseconds, tuned to about a save a kill
  int kills = 0, with_temp = 0;
  while (kills < 400 && std::chrono::steady_clock::now() - start < std::chrono::seconds(8)) {
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        checkpoint_store store(dir.path(), "m", 2);
        const auto c = store.load_newest();
        for (std::uint64_t step = (c ? c->step : 0) + 1;; ++step) {
          store.save(step, model(step, size).entries, {{"epoch", step}});
          if (::write(pipe[1], &step, sizeof step) != sizeof step) ::_exit(8);
        }
      } catch (...) {
        ::_exit(9);
      }
    }
    ::close(pipe[1]);
    random = random * 6364136223846793005u + 1442695040888963407u;
    std::this_thread::sleep_for(std::chrono::microseconds(500 + (random >> 33) % longest));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));  // it did not end by itself
    ++kills;
    std::uint64_t step = 0;
    const auto acknowledged_before = acknowledged_in_all;
    while (::read(pipe[0], &step, sizeof step) == sizeof step) newest = step, ++acknowledged_in_all;
    ::close(pipe[0]);
    longest = acknowledged_in_all > acknowledged_before ? std::max<std::uint64_t>(longest * 3 / 4, 2'000)
                                                        : std::min<std::uint64_t>(longest * 5 / 4, 400'000);

    for (const auto& name : names_in(dir.path())) with_temp += is_temp_name(name);
    checkpoint_store store(dir.path(), "m", 2);
    for (const auto& name : names_in(dir.path())) REQUIRE_FALSE(is_temp_name(name));
    const auto c = store.load_newest();
    if (newest > 0) REQUIRE(c.has_value());
    if (!c) continue;
    REQUIRE(c->messages.empty());  // nothing torn
    REQUIRE(c->step >= newest);    // nothing acknowledged is lost
    REQUIRE(holds_step(*c, c->step, size));
    newest = c->step;
  }
  checkpoint_store store(dir.path(), "m", 2);
  save(store, newest + 1,
       size);  // kills between rename and deletion leave old ones; the next save takes them along
  CHECK(store.steps() == std::vector<std::uint64_t>{newest, newest + 1});
  WARN(kills << " kills, " << acknowledged_in_all << " saves acknowledged, " << with_temp
             << " temp files left by kills and swept");
  CHECK(kills >= 20);
  CHECK(acknowledged_in_all > 0);
  CHECK(with_temp > 0);  // else no kill hit a save
}
