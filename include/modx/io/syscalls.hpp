// The system calls that readers and writers make, one virtual function each, so that a test can fail any of
// them.
#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <utility>

namespace modx::io {

/// The real calls, with their usual results and errno; derive to record or to break them.
class syscalls {
 public:
  virtual ~syscalls() = default;
  virtual int open_at(int dir, const char* name, int flags, mode_t mode) {
    return ::openat(dir, name, flags, mode);
  }
  virtual int stat(int fd, struct ::stat& s) { return ::fstat(fd, &s); }
  virtual int lock(int fd, int how) { return ::flock(fd, how); }
  virtual int duplicate(int fd) { return ::fcntl(fd, F_DUPFD_CLOEXEC, 0); }
  virtual int reserve(int fd, off_t size) {
#ifdef __linux__
    return ::fallocate(fd, 0, 0, size);
#else
    static_cast<void>(fd), static_cast<void>(size);
    return errno = EOPNOTSUPP, -1;
#endif
  }
  virtual ssize_t read(int fd, void* p, std::size_t n) { return ::read(fd, p, n); }
  virtual ssize_t read_at(int fd, void* p, std::size_t n, off_t at) { return ::pread(fd, p, n, at); }
  virtual ssize_t write(int fd, const void* p, std::size_t n) { return ::write(fd, p, n); }
  virtual int truncate(int fd, off_t size) { return ::ftruncate(fd, size); }
  virtual int sync(int fd) { return ::fsync(fd); }
  virtual int close(int fd) { return ::close(fd); }
  virtual int rename_at(int dir, const char* from, const char* to) { return ::renameat(dir, from, dir, to); }
  virtual int unlink_at(int dir, const char* name) { return ::unlinkat(dir, name, 0); }

  static syscalls& real() {
    static syscalls s;
    return s;
  }
};

/// Calls f() again while a signal interrupts it; never for close and fsync.
template <class F>
auto retry_interrupted(F f) {
  auto r = f();
  while (r < 0 && errno == EINTR) r = f();
  return r;
}

/// An open file descriptor, closed on destruction.
class descriptor {
 public:
  descriptor() = default;
  descriptor(syscalls& os, int fd) : os_(&os), fd_(fd) {}
  descriptor(descriptor&& o) noexcept : os_(o.os_), fd_(std::exchange(o.fd_, -1)) {}
  descriptor& operator=(descriptor o) noexcept {
    std::swap(os_, o.os_);
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~descriptor() { static_cast<void>(close()); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Closes now; the result of close(2), which is not tried again whatever it says.
  int close() { return fd_ < 0 ? 0 : os_->close(std::exchange(fd_, -1)); }

 private:
  syscalls* os_ = nullptr;
  int fd_ = -1;
};

}  // namespace modx::io
