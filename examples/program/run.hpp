// The frame of a program's run: its exit status, what Ctrl-C says, and one line for an error.
#pragma once
#include <cstdio>
#include <modx/io/interrupt.hpp>
#include <modx/io/stage_runner.hpp>
#include <string>

namespace program {

/// run(), which returns the exit status; `go_on` says how to go on after a signal.
template <class F>
int guarded(const std::string& name, const std::string& go_on, F&& run) {
  const modx::io::interrupt on_signal;
  try {
    return run();
  } catch (const modx::io::interrupted& e) {
    std::fprintf(stderr, "%s: everything up to here is saved; go on with %s\n", e.what(), go_on.c_str());
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), e.what());
    return 1;
  }
}

}  // namespace program
