#include <modx/io/interrupt.hpp>

#include <sys/wait.h>

#include <csignal>

#include "catch.hpp"

using modx::io::interrupt;

namespace {

void (*handler_of(int which))(int) {
  struct sigaction now = {};
  sigaction(which, nullptr, &now);
  return now.sa_handler;
}

/// Sets a signal's handler for a test and puts the old one back.
struct with_handler {
  with_handler(int signal_number, void (*handler)(int))
      : which(signal_number), old(std::signal(which, handler)) {}
  ~with_handler() { std::signal(which, old); }
  int which;
  void (*old)(int);
};

/// The wait status of a child that runs `f`.
template <class F>
int in_child(F f) {
  const pid_t child = fork();
  if (child == 0) {
    f();
    _exit(7);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

}  // namespace

TEST_CASE("io/interrupt: a signal sets the flag and the program goes on") {
  for (int which : {SIGINT, SIGTERM}) {
    const with_handler before(which, SIG_DFL);
    const interrupt stop;
    CHECK_FALSE(interrupt::requested());
    raise(which);
    CHECK(stop.requested());
    CHECK(stop.signal() == which);
  }
  CHECK_FALSE(interrupt::requested());  // a new run starts clean
}

TEST_CASE("io/interrupt: the old handlers come back") {
  const with_handler before(SIGINT, SIG_DFL);
  {
    const interrupt outer;
    const auto ours = handler_of(SIGINT);
    CHECK(ours != SIG_DFL);
    { const interrupt inner; }
    CHECK(handler_of(SIGINT) == ours);
  }
  CHECK(handler_of(SIGINT) == SIG_DFL);
}

TEST_CASE("io/interrupt: an inner one keeps the outer one's request") {
  const with_handler before(SIGINT, SIG_DFL);
  const interrupt outer;
  raise(SIGINT);
  { const interrupt inner; }
  CHECK(outer.requested());
}

TEST_CASE("io/interrupt: what was ignored stays ignored") {
  const with_handler before(SIGINT, SIG_IGN);
  const interrupt stop;
  raise(SIGINT);
  CHECK_FALSE(stop.requested());
}

TEST_CASE("io/interrupt: the second signal ends the process at once with 130") {
  for (int second : {SIGINT, SIGTERM}) {
    const int status = in_child([&] {
      std::signal(SIGINT, SIG_DFL);
      const interrupt stop;
      raise(SIGINT);
      raise(second);
    });
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 130);
  }
  const int cleared = in_child([] {
    std::signal(SIGINT, SIG_DFL);
    const interrupt stop;
    raise(SIGINT);
    interrupt::clear();
    raise(SIGINT);
  });
  CHECK(WEXITSTATUS(cleared) == 7);
}
