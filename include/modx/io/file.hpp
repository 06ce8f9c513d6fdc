// Whole files in and out: a bounded reader for regular files, and the atomic writer of atomic_file.hpp.
#pragma once
#include <cstddef>
#include <limits>
#include <memory>
#include <modx/io/atomic_file.hpp>
#include <modx/io/os_error.hpp>
#include <span>
#include <string_view>

namespace modx::io {

/// The bytes of one file; movable, and moving leaves spans into it valid.
class file_bytes {
 public:
  file_bytes() = default;
  /// `size` bytes of no particular value.
  explicit file_bytes(std::size_t size)
      : data_(std::make_unique_for_overwrite<std::byte[]>(size)), size_(size) {}

  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  std::span<std::byte> bytes() { return {data_.get(), size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_.get()), size_}; }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
};

/// A regular file open for reading from its start, of a size known and within a limit.
class input_file {
 public:
  /// Throws not_found, not_regular_file (folder, FIFO, device), too_large or open_failed; never blocks on a
  /// FIFO.
  input_file(std::filesystem::path file, std::uint64_t max_size, syscalls& os = syscalls::real())
      : file_(std::move(file)), os_(&os) {
    fd_ = descriptor(os, retry_interrupted([&] {
                       return os.open_at(AT_FDCWD, file_.c_str(),
                                         O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
                     }));
    if (!fd_) throw_os_error("open", file_, 0);
    struct ::stat s = {};
    if (os.stat(fd_.get(), s) != 0) throw_os_error("stat", file_, 0);
    if (!S_ISREG(s.st_mode)) {
      const char* kind = S_ISDIR(s.st_mode)    ? "a folder"
                         : S_ISFIFO(s.st_mode) ? "a FIFO"
                                               : "a device or socket";
      throw io_error("not_regular_file", file_, 0, "a regular file", kind);
    }
    size_ = static_cast<std::uint64_t>(s.st_size);
    if (size_ > max_size || size_ > std::numeric_limits<std::size_t>::max())
      throw io_error("too_large", file_, 0, "at most " + std::to_string(max_size) + " bytes",
                     std::to_string(size_));
  }

  const std::filesystem::path& name() const { return file_; }
  std::uint64_t size() const { return size_; }
  std::uint64_t position() const { return position_; }

  /// Fills `out` from the current position; throws changed_while_reading at an early end and read_failed.
  void read(std::span<std::byte> out) {
    for (std::size_t done = 0; done < out.size();) {
      const auto n = some(out.subspan(done));
      if (n == 0)
        throw io_error("changed_while_reading", file_, position_, std::to_string(size_) + " bytes",
                       "the end of the file");
      done += n;
    }
  }
  /// Fills `out` from byte `at`, wherever the current position is; throws as read() does.  Safe from several
  /// threads.
  void read_at(std::uint64_t at, std::span<std::byte> out) const {
    while (!out.empty()) {
      const auto n = retry_interrupted(
          [&] { return os_->read_at(fd_.get(), out.data(), out.size(), static_cast<off_t>(at)); });
      if (n < 0) throw_os_error("read", file_, at);
      if (n == 0)
        throw io_error("changed_while_reading", file_, at, std::to_string(size_) + " bytes",
                       "the end of the file");
      at += static_cast<std::uint64_t>(n);
      out = out.subspan(static_cast<std::size_t>(n));
    }
  }
  /// Throws changed_while_reading unless the file ends here.
  void expect_end() {
    std::byte extra{};
    if (some({&extra, 1}) != 0)
      throw io_error("changed_while_reading", file_, position_ - 1, std::to_string(size_) + " bytes",
                     "more of them");
  }

 private:
  std::size_t some(std::span<std::byte> out) {
    const auto n = retry_interrupted([&] { return os_->read(fd_.get(), out.data(), out.size()); });
    if (n < 0) throw_os_error("read", file_, position_);
    position_ += static_cast<std::uint64_t>(n);
    return static_cast<std::size_t>(n);
  }

  std::filesystem::path file_;
  syscalls* os_;
  descriptor fd_;
  std::uint64_t size_ = 0, position_ = 0;
};

/// All bytes of a regular file of at most `max_size`; throws as input_file does.
inline file_bytes read_file(const std::filesystem::path& file, std::uint64_t max_size,
                            syscalls& os = syscalls::real()) {
  input_file in(file, max_size, os);
  file_bytes out(static_cast<std::size_t>(in.size()));
  in.read(out.bytes());
  in.expect_end();
  return out;
}

/// Puts `parts`, one after the other, in place of `file`, all or nothing; throws as atomic_file does.
inline void write_file(const std::filesystem::path& file, std::span<const std::span<const std::byte>> parts,
                       syscalls& os = syscalls::real()) {
  std::uint64_t size = 0;
  for (auto p : parts) size += p.size();
  atomic_file out(file, size, os);
  for (auto p : parts) out.write(p);
  out.commit();
}

/// The same for one text.
inline void write_file(const std::filesystem::path& file, std::string_view text,
                       syscalls& os = syscalls::real()) {
  const std::span<const std::byte> part = std::as_bytes(std::span(text.data(), text.size()));
  write_file(file, std::span(&part, 1), os);
}

}  // namespace modx::io
