// What the io tests share: a folder of their own, error codes, file bytes, open descriptors, system calls
// that fail.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <modx/io/io_error.hpp>
#include <modx/io/syscalls.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace modx::test {

namespace fs = std::filesystem;

/// A fresh folder, removed with all that is in it.
class temp_folder {
 public:
  temp_folder() {
    std::string name = (fs::temp_directory_path() / "modx_io_XXXXXX").string();
    if (!::mkdtemp(name.data())) throw error("no temporary folder");
    path_ = name;
  }
  temp_folder(const temp_folder&) = delete;
  temp_folder& operator=(const temp_folder&) = delete;
  ~temp_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  fs::path operator/(const fs::path& name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline void put(const fs::path& file, std::string_view bytes) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw error("can't write a test's file");
}

inline std::string get(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return "<no such file>";
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

/// The code of the io_error that f() throws, "" if it throws nothing; anything else passes.
template <class F>
std::string code_of(F f) {
  try {
    f();
  } catch (const io::io_error& e) {
    return std::string(e.code());
  }
  return "";
}

/// The message of the modx::error that f() throws, or "".
template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const error& e) {
    return e.what();
  }
  return "";
}

inline std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& e : fs::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

inline std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> out;
  for (const auto& e : fs::directory_iterator(folder)) out.push_back(e.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

/// Real system calls, of which call number `fail_at` (from 1; 0: none) fails with `error_number`, or, if that
/// is 0 and it is a write, writes only half.
class failing_calls : public io::syscalls {
 public:
  failing_calls(int fail_at, int error_number, bool and_all_later = false)
      : fail_at_(fail_at), error_(error_number), persistent_(and_all_later) {}

  std::vector<std::string> log;  // the names of the calls made

  int open_at(int d, const char* n, int f, mode_t m) override {
    return fails("open") ? -1 : syscalls::open_at(d, n, f, m);
  }
  int stat(int fd, struct ::stat& s) override { return fails("stat") ? -1 : syscalls::stat(fd, s); }
  int lock(int fd, int how) override { return fails("lock") ? -1 : syscalls::lock(fd, how); }
  int duplicate(int fd) override { return fails("duplicate") ? -1 : syscalls::duplicate(fd); }
  int reserve(int fd, off_t n) override { return fails("reserve") ? -1 : syscalls::reserve(fd, n); }
  ssize_t read(int fd, void* p, std::size_t n) override {
    return fails("read") ? -1 : syscalls::read(fd, p, n);
  }
  ssize_t read_at(int fd, void* p, std::size_t n, off_t at) override {
    return fails("read") ? -1 : syscalls::read_at(fd, p, n, at);
  }
  ssize_t write(int fd, const void* p, std::size_t n) override {
    if (!fails("write")) return syscalls::write(fd, p, short_write_ ? (n + 1) / 2 : n);
    return -1;
  }
  int truncate(int fd, off_t n) override { return fails("truncate") ? -1 : syscalls::truncate(fd, n); }
  int sync(int fd) override { return fails("fsync") ? -1 : syscalls::sync(fd); }
  int close(int fd) override {  // as Linux: closed, whatever it returns
    const bool failed = fails("close");
    const int r = syscalls::close(fd);
    if (failed) errno = error_;
    return failed ? -1 : r;
  }
  int rename_at(int d, const char* a, const char* b) override {
    return fails("rename") ? -1 : syscalls::rename_at(d, a, b);
  }
  int unlink_at(int d, const char* n) override { return fails("unlink") ? -1 : syscalls::unlink_at(d, n); }

  int calls() const { return static_cast<int>(log.size()); }
  /// The call that failed, or "".
  std::string failed() const {
    return fail_at_ > 0 && fail_at_ <= calls() ? log[static_cast<std::size_t>(fail_at_ - 1)] : "";
  }
  std::size_t count(std::string_view name) const {
    return static_cast<std::size_t>(std::count(log.begin(), log.end(), name));
  }

 private:
  bool fails(const char* name) {
    log.emplace_back(name);
    const bool hit = fail_at_ > 0 && (calls() == fail_at_ || (persistent_ && calls() > fail_at_));
    short_write_ = hit && error_ == 0;
    if (!hit || error_ == 0) return false;
    errno = error_;
    return true;
  }

  int fail_at_, error_;
  bool persistent_, short_write_ = false;
};

}  // namespace modx::test
