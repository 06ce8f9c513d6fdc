// Ctrl-C as a question the training loop asks: SIGINT and SIGTERM set a flag, a second one ends the process.
#pragma once
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include <modx/error.hpp>

namespace modx::io {

/// While one lives, the first SIGINT or SIGTERM sets `requested()` and a second one exits at once with 130;
/// the old handlers come back with the destructor, a signal that was ignored stays ignored, and interrupts
/// may nest.
class interrupt {
 public:
  /// Throws modx::error where the system refuses a handler.
  interrupt() {
    if (depth() == 0) last().store(0);
    for (; installed_ < old_.size(); ++installed_) {
      struct sigaction now = {};
      now.sa_handler = &interrupt::handle;
      now.sa_flags = SA_RESTART;  // a save in progress isn't cut short
      sigemptyset(&now.sa_mask);
      struct sigaction& old = old_[installed_];
      bool ok = sigaction(signals[installed_], nullptr, &old) == 0;
      if (ok && !ignored(old)) ok = sigaction(signals[installed_], &now, nullptr) == 0;
      if (ok) continue;
      const std::string why = std::strerror(errno);
      restore();
      throw error("io::interrupt", "a handler for signal " + std::to_string(signals[installed_]), why);
    }
    ++depth();
  }
  ~interrupt() {
    restore();
    if (--depth() == 0) last().store(0);
  }
  interrupt(const interrupt&) = delete;
  interrupt& operator=(const interrupt&) = delete;

  /// Whether a signal has come since the outermost interrupt was made; cheap, any thread may ask.
  static bool requested() noexcept { return signal() != 0; }
  /// The signal that came, or 0.
  static int signal() noexcept { return last().load(std::memory_order_relaxed); }
  /// Forgets the signal, so that the next one is a first one again.
  static void clear() noexcept { last().store(0); }

 private:
  static constexpr std::array<int, 2> signals{SIGINT, SIGTERM};

  static std::atomic<int>& last() noexcept {
    static constinit std::atomic<int> signal{0};
    static_assert(std::atomic<int>::is_always_lock_free, "modx: a signal handler needs a lock-free flag");
    return signal;
  }
  static int& depth() noexcept {
    static int count = 0;
    return count;
  }
  static void handle(int which) noexcept {
    if (last().exchange(which) != 0) _exit(130);
  }
  static bool ignored(const struct sigaction& a) noexcept {
    return !(a.sa_flags & SA_SIGINFO) && a.sa_handler == SIG_IGN;
  }
  void restore() noexcept {
    for (std::size_t i = 0; i < installed_; ++i) sigaction(signals[i], &old_[i], nullptr);
  }

  std::array<struct sigaction, 2> old_ = {};
  std::size_t installed_ = 0;
};

}  // namespace modx::io
