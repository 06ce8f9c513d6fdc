// A program of the project, run as its users run it.
#pragma once
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "catch.hpp"
#include "io_support.hpp"

extern char** environ;

namespace modx::test {

struct outcome {
  int exit = -1, signal = 0;
  std::string out, err;
};

/// A running program with pipes; killed with the object.
class program {
 public:
  explicit program(std::vector<std::string> options) {  // its file, then its arguments
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
    if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
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
  outcome wait() {
    outcome o;
    for (std::string part; out_ >= 0 && !(part = read_some()).empty();) o.out += part;
    int status = 0;
    ::waitpid(std::exchange(pid_, 0), &status, 0);
    if (WIFEXITED(status)) o.exit = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) o.signal = WTERMSIG(status);
    o.err = get(folder_ / "err");
    return o;
  }

 private:
  temp_folder folder_;
  pid_t pid_ = 0;
  int in_ = -1, out_ = -1;
};

inline outcome run_program(const std::vector<std::string>& options, const std::string& input = "") {
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

}  // namespace modx::test
