// Where training is and when it ends:  expert_0  epoch 3/30  loss 0.21  acc 0.9312  ETA <= 12s  9100
// samples/s
#pragma once
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace modx::io {

/// How progress is written; automatic: a line on a terminal, plain elsewhere and with NO_COLOR or TERM=dumb.
enum class progress_style { automatic, line, plain, quiet };

struct progress_options {
  progress_style style = progress_style::automatic;
  std::FILE* out = stderr;
  int width = 0;  // columns; 0 asks the terminal
  std::function<double()> seconds = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
};

/// A line redrawn at most ten times a second and cleared at the end, or plain: a line an epoch.
class progress {
 public:
  explicit progress(progress_options options = {}) : o_(std::move(options)) {
    if (o_.style != progress_style::automatic) return;
    const char *no_color = std::getenv("NO_COLOR"), *term = std::getenv("TERM");
    const bool redraws = !(no_color && *no_color) && term && *term && std::string_view(term) != "dumb";
    o_.style = redraws && isatty(fileno(o_.out)) ? progress_style::line : progress_style::plain;
  }
  ~progress() { end(); }
  progress(const progress&) = delete;

  /// Starts a stage that runs epochs first..last; if it may stop early its ETA is a bound ("<=").
  void begin(std::string_view stage, std::int64_t last, bool may_stop_early = false, std::int64_t first = 1) {
    end();
    stage_ = stage;
    for (char& c : stage_) c = c == 127 || (c >= 0 && c < 32) ? '?' : c;
    first_ = first, last_ = last, samples_ = 0, early_ = may_stop_early;
    start_ = o_.seconds(), drawn_ = start_ - 1;
  }
  /// In an epoch: `done` of `of` samples, loss and accuracy so far (accuracy NaN: there is none).
  void step(std::int64_t epoch, std::int64_t done, std::int64_t of, double loss, double accuracy = NAN) {
    if (o_.style != progress_style::line || o_.seconds() - drawn_ < 0.1) return;
    const double part = of > 0 ? static_cast<double>(std::min(done, of)) / static_cast<double>(of) : 0;
    draw(text(epoch, static_cast<double>(epoch - first_) + part, samples_ + done, loss, accuracy));
  }
  /// An epoch of `samples` is over.
  void epoch(std::int64_t epoch, std::int64_t samples, double loss, double accuracy = NAN) {
    samples_ += samples;
    if (o_.style != progress_style::quiet)
      draw(text(epoch, static_cast<double>(epoch - first_ + 1), samples_, loss, accuracy));
  }
  /// A line of its own above the progress; nothing when quiet.
  void note(std::string_view line) {
    end();
    if (o_.style != progress_style::quiet) put(std::string(line) + "\n");
  }
  /// Clears the line.
  void end() { put(std::exchange(visible_, false) ? "\r\x1b[K" : ""); }

 private:
  /// The fields that fit, in this order; `done` epochs of this run.
  std::string text(std::int64_t epoch, double done, std::int64_t samples, double loss,
                   double accuracy) const {
    const int room = o_.style == progress_style::plain ? 1 << 16 : columns() - 1;
    int used = 0;
    std::string s;
    for (char c : stage_)  // UTF-8 continuation bytes take no column
      if ((used += (c & 0xC0) != 0x80) <= room) s += c;
    const auto field = [&](const char* format, auto... values) {
      char f[96];
      const int n = std::snprintf(f, sizeof f, format, values...);
      if (n <= 0 || n >= static_cast<int>(sizeof f) || used + 2 + n > room) return;
      s.append("  ").append(f), used += 2 + n;
    };
    field("epoch %lld/%lld", static_cast<long long>(epoch), static_cast<long long>(last_));
    field("loss %.4g", loss);
    if (!std::isnan(accuracy)) field("acc %.4f", accuracy);
    const double seconds = o_.seconds() - start_;
    const double rate = seconds > 0 ? static_cast<double>(samples) / seconds : 0;
    const double left = done > 0 ? (static_cast<double>(last_ - first_ + 1) - done) * seconds / done : 0;
    const char* eta = early_ ? "ETA <=" : "ETA";
    const auto whole = static_cast<long long>(std::ceil(std::min(left, 3.6e8)));
    if (whole >= 3600) field("%s %lldh%02lldm", eta, whole / 3600, whole / 60 % 60);
    if (whole >= 60 && whole < 3600) field("%s %lldm%02llds", eta, whole / 60, whole % 60);
    if (whole > 0 && whole < 60) field("%s %llds", eta, whole);
    if (rate > 0) rate < 1e4 ? field("%.0f samples/s", rate) : field("%.1fk samples/s", rate / 1e3);
    return s;
  }
  int columns() const {
    winsize w{};
    if (o_.width > 0) return o_.width;
    return ioctl(fileno(o_.out), TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
  }
  void draw(const std::string& line) {
    drawn_ = o_.seconds();
    visible_ = o_.style == progress_style::line;
    put(visible_ ? "\r" + line + "\x1b[K" : line + "\n");
  }
  void put(const std::string& s) { std::fputs(s.c_str(), o_.out), std::fflush(o_.out); }

  progress_options o_;
  std::string stage_;
  std::int64_t first_ = 1, last_ = 0, samples_ = 0;
  double start_ = 0, drawn_ = 0;
  bool early_ = false, visible_ = false;
};

}  // namespace modx::io
