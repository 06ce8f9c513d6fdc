// A program of the project, run as its users run it.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "catch.hpp"
#include "io_support.hpp"

extern char** environ;

namespace modx::test {

using arguments = std::vector<std::string>;
inline arguments operator+(arguments a, const arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// How a program ended: its exit status, or -1 and the signal that killed it.
struct outcome {
  int exit = -1, signal = 0;
  std::string out, err;
};

/// A running program with pipes; killed with the object.
class program {
 public:
  explicit program(arguments options) : name_(options.at(0)) {  // its file, then its arguments
    std::vector<char*> argv;
    for (auto& o : options) argv.push_back(o.data());
    argv.push_back(nullptr);
    int in[2], out[2];
    REQUIRE((::pipe2(in, O_CLOEXEC) == 0 && ::pipe2(out, O_CLOEXEC) == 0));
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in[0], 0);
    posix_spawn_file_actions_adddup2(&files, out[1], 1);
    posix_spawn_file_actions_addopen(&files, 2, (folder_ / "err").c_str(), O_WRONLY | O_CREAT, 0600);
    const int failed = posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    ::close(in[0]), ::close(out[1]);
    in_ = in[1], out_ = out[0];
    REQUIRE(failed == 0);
  }
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program() {
    close_in(), close_out();
    if (!ended()) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
  }

  /// False once the program has closed its end.
  bool write(std::string_view text) {
    while (!text.empty()) {
      const auto n = ::write(in_, text.data(), text.size());
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// At least one byte, or "" at the end.
  std::string read_some() {
    if (!out_text_.empty()) return std::exchange(out_text_, "");
    char block[4096];
    const auto n = ::read(out_, block, sizeof block);
    return n > 0 ? std::string(block, static_cast<std::size_t>(n)) : "";
  }
  void close_in() {
    if (in_ >= 0) ::close(std::exchange(in_, -1));
  }
  void close_out() {
    if (out_ >= 0) ::close(std::exchange(out_, -1));
  }
  void send(int signal) { ::kill(pid_, signal); }
  bool ended() {
    if (!over_) over_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
    return over_;
  }
  std::string err() const { return get(folder_ / "err"); }

  /// Waits until `condition` holds or the program has ended, reading its output; throws after `seconds`.
  void until(const std::function<bool()>& condition, double seconds = 600) {
    const auto start = std::chrono::steady_clock::now();
    std::string taken;
    while (!ended() && !condition()) {
      if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds)
        throw error(name_, "an end within " + std::to_string(seconds) + " s", "none; stderr: " + err());
      pollfd ready{out_, POLLIN, 0};
      const timespec wait{0, 200'000};
      if (::ppoll(&ready, 1, &wait, nullptr) < 1) continue;
      const auto part = read_some();
      if (part.empty()) close_out();
      taken += part;
    }
    out_text_ = taken + out_text_;
  }
  outcome wait(double seconds = 600) {
    until([] { return false; }, seconds);
    outcome o;
    for (std::string part; out_ >= 0 && !(part = read_some()).empty();) o.out += part;
    o.out += out_text_;
    if (WIFEXITED(status_)) o.exit = WEXITSTATUS(status_);
    if (WIFSIGNALED(status_)) o.signal = WTERMSIG(status_);
    o.err = err();
    return o;
  }

 private:
  std::string name_, out_text_;
  temp_folder folder_;
  pid_t pid_ = 0;
  int in_ = -1, out_ = -1, status_ = 0;
  bool over_ = false;
};

inline outcome run_program(const arguments& options, const std::string& input = "") {
  program p(options);
  std::thread writer([&] {
    sigset_t pipe;
    sigemptyset(&pipe), sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    p.write(input);
    p.close_in();
  });
  const auto o = p.wait();
  writer.join();
  return o;
}

#ifdef MODX_PROGRAM  // the program that these tests are of
inline outcome run(const arguments& options, const std::string& input = "") {
  return run_program(arguments{MODX_PROGRAM} + options, input);
}
#endif

}  // namespace modx::test
