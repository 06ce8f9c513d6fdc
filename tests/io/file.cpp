#include <modx/io/checksum.hpp>
#include <modx/io/file.hpp>

#include <sys/resource.h>

#include <csignal>

#include "catch.hpp"
#include "io_support.hpp"

using namespace modx::io;
using namespace modx::test;

namespace {
const std::string old_text = "the old contents", new_text(100'000, 'n');
}

TEST_CASE("file: reads whole regular files, within a limit", "[io]") {
  temp_folder dir;
  put(dir / "a", "hello");
  put(dir / "empty", "");
  CHECK(read_file(dir / "a", 5).text() == "hello");
  CHECK(read_file(dir / "empty", 0).text().empty());
  fs::create_symlink(dir / "a", dir / "link");
  CHECK(read_file(dir / "link", 5).text() == "hello");
  CHECK(code_of([&] { read_file(dir / "a", 4); }) == "too_large");
  CHECK(code_of([&] { read_file(dir / "none", 4); }) == "not_found");
  CHECK(code_of([&] { read_file(dir / "a" / "b", 4); }) == "not_found");
  CHECK(code_of([&] { read_file(dir.path(), 1 << 20); }) == "not_regular_file");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  CHECK(code_of([&] { read_file(dir / "fifo", 4); }) == "not_regular_file");
  CHECK(code_of([&] { read_file("/dev/zero", 4); }) == "not_regular_file");
  CHECK(code_of([&] { read_file("/dev/null", 4); }) == "not_regular_file");
  CHECK(code_of([&] { read_file("/proc/self/status", 1 << 20); }) ==
        "changed_while_reading");  // says size 0, has more
  CHECK(code_of([&] { read_file("/proc/self/mem", 1 << 20); }) == "read_failed");
}

TEST_CASE("file: an error names file, place, expectation and find", "[io]") {
  temp_folder dir;
  put(dir / "a\nb", "hello");
  try {
    read_file(dir / "a\nb", 4);
    FAIL("no error");
  } catch (const io_error& e) {
    const std::string what = e.what();
    CHECK(what.find("a\\x0ab\" at byte 0: expected at most 4 bytes, found 5 [too_large]") != what.npos);
    CHECK(e.file() == dir / "a\nb");
    CHECK(e.offset() == 0);
  }
}

TEST_CASE("file: a file that shrinks or grows while it is read is an error", "[io]") {
  struct changing : syscalls {
    fs::path file;
    off_t to;
    ssize_t read(int fd, void* p, std::size_t n) override {
      if (::truncate(file.c_str(), to) != 0) return -1;
      return syscalls::read(fd, p, n);
    }
  } os;
  temp_folder dir;
  os.file = dir / "a";
  for (const off_t to : {off_t{0}, off_t{99}, off_t{101}}) {
    put(os.file, std::string(100, 'x'));
    os.to = to;
    CHECK(code_of([&] { read_file(os.file, 1000, os); }) == "changed_while_reading");
  }
}

TEST_CASE("file: a write replaces the old file", "[io]") {
  temp_folder dir;
  write_file(dir / "a", old_text);
  CHECK(get(dir / "a") == old_text);
  write_file(dir / "a", new_text);
  CHECK(get(dir / "a") == new_text);
  write_file(dir / "a", "");
  CHECK(get(dir / "a").empty());
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a"});
  CHECK(code_of([&] { write_file(dir / "none" / "a", "x"); }) == "not_found");
  CHECK(code_of([&] { write_file(dir.path() / "", "x"); }) == "bad_name");
  CHECK(code_of([&] { write_file(dir / "..", "x"); }) == "bad_name");
  fs::create_directory(dir / "folder");
  CHECK(code_of([&] { write_file(dir / "folder", "x"); }) == "rename_failed");
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a", "folder"});
}

TEST_CASE("file: a file or symlink under the temp name is left alone", "[io]") {
  temp_folder dir;
  put(dir / "target", old_text);
  const std::string temp = "a.tmp." + std::to_string(::getpid()) + ".";
  fs::create_symlink(dir / "target", dir / (temp + "0"));
  put(dir / (temp + "1"), old_text);
  write_file(dir / "a", new_text);
  CHECK(get(dir / "a") == new_text);
  CHECK(get(dir / "target") == old_text);
  CHECK(get(dir / (temp + "1")) == old_text);
  CHECK(names_in(dir.path()).size() == 4);
}

TEST_CASE("file: a symlink in the way is replaced, its target untouched", "[io]") {
  temp_folder dir;
  put(dir / "target", old_text);
  fs::create_symlink(dir / "target", dir / "a");
  write_file(dir / "a", new_text);
  CHECK(get(dir / "target") == old_text);
  CHECK(fs::is_regular_file(fs::symlink_status(dir / "a")));
}

TEST_CASE("file: any system call may fail: the old file or the new one, no temp, no descriptor left",
          "[io]") {
  temp_folder dir;
  const auto file = dir / "a";
  const auto before = open_descriptors();
  failing_calls all(0, 0);
  write_file(file, new_text, all);
  REQUIRE(all.calls() >= 10);
  CHECK(all.count("fsync") == 2);
  int failures = 0;
  for (const int e : {EIO, ENOSPC, EDQUOT, EFBIG, EROFS, EACCES, EMFILE, EINTR, 0})
    for (int n = 1; n <= all.calls() + (e == EINTR || e == 0); ++n) {
      put(file, old_text);
      failing_calls os(n, e);
      const auto code = code_of([&] { write_file(file, new_text, os); });
      INFO("call " << n << " = " << os.failed() << ", errno " << e << ", code " << code);
      const auto what = os.failed();
      const auto now = get(file);
      if (code.empty())
        CHECK(now == new_text);
      else if (what == "fsync" && os.count("rename") == 1)
        CHECK(now == new_text);  // the folder's fsync: in place, durability unknown
      else
        CHECK(now == old_text);
      if (code.empty()) {  // only these may fail and be forgiven
        const bool forgiven =
            e == 0 || what == "" || what == "lock" || what == "reserve" ||
            (e == EINTR && (what == "open" || what == "write")) ||
            (what == "close" && std::count(os.log.begin(), os.log.begin() + n, "rename") == 1);
        CHECK(forgiven);
      } else {
        ++failures;
      }
      if ((e == ENOSPC || e == EDQUOT || e == EFBIG) && (what == "reserve" || what == "write"))
        CHECK(code == "no_space");
      if (what == "fsync") {
        CHECK(code == (e == 0                                     ? ""
                       : e == EROFS                               ? code
                       : e == ENOSPC || e == EDQUOT || e == EFBIG ? code
                                                                  : "sync_failed"));
        if (e != 0) CHECK(os.count("fsync") == (os.count("rename") == 1 ? 2u : 1u));  // never tried again
      }
      CHECK(names_in(dir.path()) == std::vector<std::string>{"a"});
      CHECK(open_descriptors() == before);
    }
  CHECK(failures >= 50);
}

TEST_CASE("file: all calls fail from some point on: the old file stays, no descriptor leaks", "[io]") {
  temp_folder dir;
  const auto file = dir / "a";
  const auto before = open_descriptors();
  failing_calls all(0, 0);
  write_file(file, new_text, all);
  for (int n = 1; n <= all.calls(); ++n) {
    put(file, old_text);
    failing_calls os(n, EIO, true);
    const auto code = code_of([&] { write_file(file, new_text, os); });
    INFO("from call " << n << " = " << os.failed());
    const auto rename = std::find(os.log.begin(), os.log.end(), "rename");
    const bool renamed = rename != os.log.end() && rename - os.log.begin() + 1 < n;
    CHECK(get(file) == (renamed ? new_text : old_text));
    CHECK(code.empty() ==
          (n > all.calls() - 1));  // only the last, the closing of the folder, is not looked at
    CHECK(open_descriptors() == before);
    sweep_temp_files(dir.path(), "a");
    CHECK(names_in(dir.path()) == std::vector<std::string>{"a"});
  }
}

TEST_CASE("file: writes of one byte at a time arrive whole", "[io]") {
  struct dribble : syscalls {
    ssize_t write(int fd, const void* p, std::size_t n) override {
      if (++calls % 3 == 0) return errno = EINTR, -1;
      return syscalls::write(fd, p, n ? 1 : 0);
    }
    int calls = 0;
  } os;
  temp_folder dir;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7);
  write_file(dir / "a", text, os);
  CHECK(get(dir / "a") == text);
}

TEST_CASE("file: a disk that is full (RLIMIT_FSIZE) keeps the old file", "[io]") {
  temp_folder dir;
  put(dir / "a", old_text);
  struct ::rlimit was = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &was) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  struct no_reserve : syscalls {
    int reserve(int, off_t) override { return errno = EOPNOTSUPP, -1; }
  } without;
  const struct ::rlimit small = {50'000, was.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto with_reserve = code_of([&] { write_file(dir / "a", new_text); });
  const auto by_write = code_of([&] { write_file(dir / "a", new_text, without); });
  ::setrlimit(RLIMIT_FSIZE, &was);
  std::signal(SIGXFSZ, old_handler);
  CHECK(with_reserve == "no_space");
  CHECK(by_write == "no_space");
  CHECK(get(dir / "a") == old_text);
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a"});
  write_file(dir / "a", new_text);
  CHECK(get(dir / "a") == new_text);
}

TEST_CASE("file: the sweep removes dead writers' temp files and nothing else", "[io]") {
  temp_folder dir;
  for (const char* name : {"a.tmp.1.0", "a.b.tmp.999999.12", "b.tmp.1.0", "a.tmp.1", "a.tmp.x.0", "a.tmp",
                           "tmp.1.0", ".tmp.1.0", "a.1.0"})
    put(dir / name, "x");
  fs::create_directory(dir / "a.tmp.2.0");
  fs::create_symlink(dir / "a.tmp", dir / "a.tmp.3.0");
  atomic_file alive(dir / "a", 0);
  CHECK(sweep_temp_files(dir.path(), "a") == 2);
  CHECK_FALSE(fs::exists(dir / "a.tmp.1.0"));
  CHECK_FALSE(fs::exists(dir / "a.b.tmp.999999.12"));
  CHECK(names_in(dir.path()).size() == 10);  // 7 + folder + link + the one in the making
  alive.write(std::as_bytes(std::span(new_text)));
  alive.commit();
  CHECK(get(dir / "a") == new_text);
  CHECK(code_of([&] { sweep_temp_files(dir / "none", "a"); }) == "read_failed");
}

TEST_CASE("file: a writer whose temp is swept between open and lock makes another", "[io]") {
  struct swept_once : syscalls {
    fs::path folder;
    bool done = false;
    int lock(int fd, int how) override {
      if (!std::exchange(done, true)) CHECK(sweep_temp_files(folder, "a") == 1);
      return syscalls::lock(fd, how);
    }
  } os;
  temp_folder dir;
  os.folder = dir.path();
  write_file(dir / "a", new_text, os);
  CHECK(get(dir / "a") == new_text);
  CHECK(names_in(dir.path()) == std::vector<std::string>{"a"});
}

TEST_CASE("checksum: xxh128 of bytes, pieces and files agree", "[io]") {
  const auto bytes = [](std::string_view s) { return std::as_bytes(std::span(s.data(), s.size())); };
  CHECK(xxh128({}) == "99aa06d3014798d86001c324468d497f");  // the published value for no input
  CHECK(xxh128(bytes("abc")) == checksum().add(bytes("a")).add(bytes("bc")).hex());
  CHECK(checksum().add("a").add("bc").hex() != checksum().add("ab").add("c").hex());
  temp_folder dir;
  std::string big(3'000'001, 'q');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * i >> 3);
  put(dir / "big", big);
  CHECK(xxh128_of_file(dir / "big") == xxh128(bytes(big)));
  big[2'000'000] = static_cast<char>(big[2'000'000] ^ 1);
  CHECK(xxh128_of_file(dir / "big") != xxh128(bytes(big)));
}
