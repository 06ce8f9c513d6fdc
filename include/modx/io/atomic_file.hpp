// A file that appears whole or not at all: temp file beside it, fsync, rename, fsync of the folder.
#pragma once
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <modx/io/folder.hpp>
#include <modx/io/os_error.hpp>
#include <modx/io/syscalls.hpp>
#include <span>
#include <string>

namespace modx::io {

/// True of "<anything>.tmp.<pid>.<n>", the names that atomic_file gives to files in the making.
inline bool is_temp_name(std::string_view name) {
  const auto number = [&](char before) {
    std::size_t digits = 0;
    while (!name.empty() && name.back() >= '0' && name.back() <= '9') name.remove_suffix(1), ++digits;
    if (digits == 0 || name.empty() || name.back() != before) return false;
    name.remove_suffix(1);
    return true;
  };
  return number('.') && number('.') && name.size() > 4 && name.ends_with(".tmp");
}

/// Writes a temp file in the destination's own folder; commit() makes it durable under its name.  Until then,
/// and after any error, the old file is what it was and the destructor removes the temp file.
class atomic_file {
 public:
  /// `expected_size` bytes are reserved at once, so that a full disk is noticed first.  Throws not_found (no
  /// such folder), no_space, read_only, open_failed.
  atomic_file(const std::filesystem::path& file, std::uint64_t expected_size, syscalls& os = syscalls::real())
      : file_(file), name_(file.filename().native()), os_(&os) {
    if (name_.empty() || name_ == "." || name_ == "..")
      throw io_error("bad_name", file_, 0, "a file name", show(file_.native()));
    const auto folder = file_.has_parent_path() ? file_.parent_path() : std::filesystem::path(".");
    dir_ = descriptor(os, retry_interrupted([&] {
                        return os.open_at(AT_FDCWD, folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
                      }));
    if (!dir_) throw_os_error("open", folder, 0);
    open_temp();
    try {
      reserve(expected_size);
    } catch (...) {
      discard();
      throw;
    }
  }
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;
  ~atomic_file() { discard(); }

  /// Appends; throws no_space, write_failed.
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto chunk = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
      const auto n = retry_interrupted([&] { return os_->write(fd_.get(), bytes.data(), chunk); });
      if (n == 0) errno = EIO;  // no progress and no reason: don't spin
      if (n <= 0) throw_os_error("write", file_, written_);
      written_ += static_cast<std::uint64_t>(n);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }

  /// fsync, close, rename, fsync of the folder.  After sync_failed "of the folder" the new file is in place,
  /// but might not survive a power cut; after any other error the old one is.  A failed fsync is never tried
  /// again.
  void commit() {
    if (reserved_ > written_ && os_->truncate(fd_.get(), static_cast<off_t>(written_)) != 0)
      throw_os_error("write", file_, written_);
    if (os_->sync(fd_.get()) != 0) throw_os_error("fsync", file_, written_);
    lock_ = descriptor(*os_, os_->duplicate(fd_.get()));  // holds the lock until the temp name is gone
    if (!lock_) throw_os_error("open", file_, written_);
    if (fd_.close() != 0) throw_os_error("close", file_, written_);
    if (os_->rename_at(dir_.get(), temp_.c_str(), name_.c_str()) != 0)
      throw_os_error("rename", file_, written_);
    temp_.clear();
    lock_ = {};
    if (os_->sync(dir_.get()) != 0 && errno != EINVAL && errno != ENOTSUP) {
      const int e = errno;
      throw io_error("sync_failed", file_, written_, "fsync of the folder to succeed",
                     std::generic_category().message(e));
    }
  }

 private:
  void open_temp() {
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    for (unsigned n = 0; n < 10'000; ++n) {
      temp_ = name_ + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(n);
      fd_ = descriptor(
          *os_, retry_interrupted([&] { return os_->open_at(dir_.get(), temp_.c_str(), flags, 0666); }));
      if (!fd_ && errno == EEXIST) continue;
      if (!fd_) {
        temp_.clear();
        throw_os_error("open", file_, 0);
      }
      // The lock says "in use" to sweep_temp_files; where a file system has no locks, nobody can sweep
      // either.
      static_cast<void>(retry_interrupted([&] { return os_->lock(fd_.get(), LOCK_EX); }));
      struct ::stat s = {};
      if (os_->stat(fd_.get(), s) != 0) {
        const int e = errno;
        discard();
        errno = e;
        throw_os_error("stat", file_, 0);
      }
      if (s.st_nlink > 0) return;
      discard();  // swept between open and lock
    }
    temp_.clear();
    throw io_error("open_failed", file_, 0, "a free temp name beside it", "10000 taken");
  }

  void reserve(std::uint64_t size) {
    if (size == 0) return;
    if (size > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
      errno = EFBIG;
      throw_os_error("write", file_, 0);
    }
    const int r = retry_interrupted([&] { return os_->reserve(fd_.get(), static_cast<off_t>(size)); });
    if (r == 0) reserved_ = size;
    if (r != 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
      throw_os_error("write", file_, 0);
  }

  void discard() noexcept {
    if (!temp_.empty()) static_cast<void>(os_->unlink_at(dir_.get(), temp_.c_str()));
    temp_.clear();
    fd_ = {};
    lock_ = {};
  }

  std::filesystem::path file_;
  std::string name_, temp_;
  syscalls* os_;
  descriptor dir_, fd_, lock_;
  std::uint64_t written_ = 0, reserved_ = 0;
};

/// Removes the temp files in `folder` whose name begins with `prefix` and that no living writer holds;
/// returns how many.
inline std::size_t sweep_temp_files(const std::filesystem::path& folder, std::string_view prefix,
                                    syscalls& os = syscalls::real()) {
  std::size_t removed = 0;
  for (const auto& name : list_folder(folder)) {
    if (!name.starts_with(prefix) || !is_temp_name(name)) continue;
    descriptor fd(
        os, os.open_at(AT_FDCWD, (folder / name).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0));
    struct ::stat s = {};
    if (!fd || os.lock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (os.stat(fd.get(), s) != 0 || !S_ISREG(s.st_mode) || s.st_nlink == 0) continue;
    if (os.unlink_at(AT_FDCWD, (folder / name).c_str()) == 0) ++removed;
  }
  return removed;
}

}  // namespace modx::io
