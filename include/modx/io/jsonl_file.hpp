// A log of one JSON value a line, appended and flushed line by line.
#pragma once
#include <algorithm>
#include <modx/io/json_text.hpp>
#include <modx/io/os_error.hpp>
#include <modx/io/syscalls.hpp>

namespace modx::io {

/// An open log; every line reaches the kernel before append returns.
class jsonl_file {
 public:
  /// Opens or makes `file`; a last line that a killed writer left without its end is cut off.  Throws
  /// not_regular_file, open_failed.
  explicit jsonl_file(std::filesystem::path file, syscalls& os = syscalls::real())
      : file_(std::move(file)), os_(&os) {
    fd_ = descriptor(os, retry_interrupted([&] {
                       return os.open_at(AT_FDCWD, file_.c_str(),
                                         O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                                         0666);
                     }));
    if (!fd_) throw_os_error("open", file_, 0);
    struct ::stat s = {};
    if (os.stat(fd_.get(), s) != 0) throw_os_error("stat", file_, 0);
    if (!S_ISREG(s.st_mode)) throw io_error("not_regular_file", file_, 0, "a regular file", "something else");
    size_ = s.st_size;
    cut_partial_line();
  }

  /// Adds one line; throws no_space or write_failed and then leaves the file as it was.
  void append(const nlohmann::json& value) {
    const std::string line = json_text(value, file_) + "\n";
    for (std::size_t done = 0; done < line.size();) {
      const auto n =
          retry_interrupted([&] { return os_->write(fd_.get(), line.data() + done, line.size() - done); });
      if (n <= 0) {
        const int e = n == 0 ? EIO : errno;
        static_cast<void>(os_->truncate(fd_.get(), size_));
        errno = e;
        throw_os_error("write", file_, static_cast<std::uint64_t>(size_));
      }
      done += static_cast<std::size_t>(n);
    }
    size_ += static_cast<off_t>(line.size());
  }

  /// Waits until the disk has it all; throws sync_failed.
  void sync() {
    if (os_->sync(fd_.get()) != 0) throw_os_error("fsync", file_, static_cast<std::uint64_t>(size_));
  }

 private:
  void cut_partial_line() {
    off_t end = size_;
    char piece[4096];
    while (end > 0) {
      const auto n = std::min<off_t>(end, sizeof piece);
      if (retry_interrupted(
              [&] { return os_->read_at(fd_.get(), piece, static_cast<std::size_t>(n), end - n); }) != n)
        throw_os_error("read", file_, static_cast<std::uint64_t>(end - n));
      const std::string_view text(piece, static_cast<std::size_t>(n));
      if (const auto at = text.rfind('\n'); at != text.npos) {
        end = end - n + static_cast<off_t>(at) + 1;
        break;
      }
      end -= n;
    }
    if (end != size_ && os_->truncate(fd_.get(), end) != 0)
      throw_os_error("write", file_, static_cast<std::uint64_t>(end));
    size_ = end;
  }

  std::filesystem::path file_;
  syscalls* os_;
  descriptor fd_;
  off_t size_ = 0;
};

}  // namespace modx::io
