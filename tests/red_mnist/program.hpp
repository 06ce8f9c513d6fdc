// Runs the program under test: arguments in, exit status and output out, signals on the way, never longer than a timeout.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "io/io_support.hpp"

#ifndef RED_MNIST
#error "define RED_MNIST as the path of the program under test"
#endif

extern char** environ;

namespace red_test {

namespace fs = std::filesystem;
using arguments = std::vector<std::string>;

/// How the program ended: its exit status, or -1 and the signal that killed it.
struct outcome {
  int exit = -1, signal = 0;
  std::string out, err;
};

/// One run of red_mnist; stdout and stderr go to files of its own.  Killed with the object if it still runs.
class program {
 public:
  explicit program(const arguments& options) {
    std::vector<char*> argv;
    arguments all{RED_MNIST};
    all.insert(all.end(), options.begin(), options.end());
    for (auto& a : all) argv.push_back(a.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, (output_ / "out").c_str(), O_WRONLY | O_CREAT, 0600);
    posix_spawn_file_actions_addopen(&files, 2, (output_ / "err").c_str(), O_WRONLY | O_CREAT, 0600);
    const int failed = posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed) throw modx::error("starting " RED_MNIST, "a process", std::strerror(failed));
  }
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program() {
    if (!ended()) send(SIGKILL), finish();
  }

  void send(int signal) { ::kill(pid_, signal); }
  bool ended() {
    if (!over_) over_ = ::waitpid(pid_, &status_, WNOHANG) == pid_;
    return over_;
  }
  std::string err() const { return modx::test::get(output_ / "err"); }

  /// Waits until `condition` holds or the program has ended; throws after `seconds`.
  void until(const std::function<bool()>& condition, double seconds = 600) {
    const auto start = std::chrono::steady_clock::now();
    while (!ended() && !condition()) {
      if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds)
        throw modx::error("red_mnist", "an end within " + std::to_string(seconds) + " s", "none; stderr: " + err());
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  outcome wait(double seconds = 600) {
    until([] { return false; }, seconds);
    return finish();
  }

 private:
  outcome finish() {
    if (!over_) ::waitpid(pid_, &status_, 0), over_ = true;
    outcome o;
    if (WIFEXITED(status_)) o.exit = WEXITSTATUS(status_);
    if (WIFSIGNALED(status_)) o.signal = WTERMSIG(status_);
    o.out = modx::test::get(output_ / "out"), o.err = err();
    return o;
  }

  modx::test::temp_folder output_;
  pid_t pid_ = 0;
  int status_ = 0;
  bool over_ = false;
};

inline outcome run(const arguments& options) { return program(options).wait(); }
inline arguments operator+(arguments a, const arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace red_test
