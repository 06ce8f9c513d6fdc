#include <modx/io/progress.hpp>

#include <cstdlib>

#include "catch.hpp"

using namespace modx::io;

namespace {

/// A progress that writes to a temporary file and whose clock stands still until told.
struct fixture {
  explicit fixture(progress_style style, int width = 100)
      : file(std::tmpfile()),
        bar({.style = style, .out = file, .width = width, .seconds = [this] { return time; }}) {}
  ~fixture() {
    bar.end();
    std::fclose(file);
  }

  /// What was written since the last call.
  std::string written() {
    std::string s;
    std::fflush(file);
    std::fseek(file, read, SEEK_SET);
    for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) s += static_cast<char>(c);
    read = std::ftell(file);
    return s;
  }

  double time = 1000;
  long read = 0;
  std::FILE* file;
  progress bar;
};

}  // namespace

TEST_CASE("io/progress: a line is redrawn in place and cleared at the end") {
  fixture f(progress_style::line);
  f.bar.begin("expert_0", 30);
  f.time += 2;
  f.bar.step(1, 50, 100, 0.5, 0.75);
  CHECK(f.written() == "\rexpert_0  epoch 1/30  loss 0.5  acc 0.7500  ETA 1m58s  25 samples/s\x1b[K");
  f.time += 2;
  f.bar.epoch(1, 100, 0.25);
  CHECK(f.written() == "\rexpert_0  epoch 1/30  loss 0.25  ETA 1m56s  25 samples/s\x1b[K");
  f.bar.end();
  CHECK(f.written() == "\r\x1b[K");
  f.bar.end();
  CHECK(f.written().empty());
}

TEST_CASE("io/progress: ten redraws a second at most, but an epoch's end is always drawn") {
  fixture f(progress_style::line);
  f.bar.begin("base", 2);
  f.bar.step(1, 1, 100, 1);
  CHECK_FALSE(f.written().empty());
  for (int i = 0; i < 9; ++i) f.time += 0.01, f.bar.step(1, i, 100, 1);
  CHECK(f.written().empty());
  f.time += 0.011;
  f.bar.step(1, 50, 100, 1);
  CHECK_FALSE(f.written().empty());
  f.bar.epoch(1, 100, 1);
  CHECK_FALSE(f.written().empty());
}

TEST_CASE("io/progress: the ETA is a bound where the stage may stop early, and counts from a resumed epoch") {
  fixture f(progress_style::plain);
  f.bar.begin("router", 30, true);
  f.time += 10;
  f.bar.epoch(1, 54002, 0.5);
  CHECK(f.written() == "router  epoch 1/30  loss 0.5  ETA <= 4m50s  5400 samples/s\n");
  f.bar.begin("router", 30, true, 29);
  f.time += 10;
  f.bar.epoch(29, 540020, 0.5);
  CHECK(f.written() == "router  epoch 29/30  loss 0.5  ETA <= 10s  54.0k samples/s\n");
  f.time += 10;
  f.bar.epoch(30, 540020, 0.5);
  CHECK(f.written() == "router  epoch 30/30  loss 0.5  54.0k samples/s\n");
}

TEST_CASE("io/progress: no escape sequences in plain lines, steps don't print, quiet is silent") {
  fixture f(progress_style::plain);
  f.bar.begin("x\x1b[31m\ny", 1);
  f.bar.step(1, 1, 2, 1);
  CHECK(f.written().empty());
  f.bar.epoch(1, 10, 1);
  f.bar.note("saved");
  f.bar.end();
  CHECK(f.written() == "x?[31m?y  epoch 1/1  loss 1\nsaved\n");
  fixture q(progress_style::quiet);
  q.bar.begin("x", 1);
  q.bar.step(1, 1, 2, 1);
  q.bar.epoch(1, 10, 1);
  q.bar.note("saved");
  q.bar.end();
  CHECK(q.written().empty());
}

TEST_CASE("io/progress: never wider than the terminal") {
  for (int width = 1; width < 90; ++width) {
    fixture f(progress_style::line, width);
    f.bar.begin("größer", 3000, true);
    f.time += 12345;
    f.bar.epoch(7, 100, 0.123456, 0.5);
    const std::string s = f.written();
    int columns = -4;  // "\r" and "\x1b[K"
    for (char c : s) columns += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    CHECK(columns < width);
    if (width > 80) CHECK(s.find("ETA <= 1466h") != std::string::npos);
  }
}

TEST_CASE("io/progress: a file is no terminal") {
  fixture f(progress_style::automatic);
  f.bar.begin("base", 1);
  f.bar.epoch(1, 0, 0.5);
  CHECK(f.written() == "base  epoch 1/1  loss 0.5\n");
}
