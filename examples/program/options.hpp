// What the command lines of the example programs have in common: checked numbers, underscores for hyphens, a config file.
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace program {

/// Config files may spell keys with underscores, like the command line; a list is no value.
class hyphenated_toml : public CLI::ConfigTOML {
 public:
  std::vector<CLI::ConfigItem> from_config(std::istream& in) const override {
    auto found = CLI::ConfigTOML::from_config(in);
    for (auto& item : found) {
      std::replace(item.name.begin(), item.name.end(), '_', '-');
      if (item.inputs.size() > 1) throw CLI::ArgumentMismatch("--" + item.name, 1, item.inputs.size());
    }
    return found;
  }
};

/// Whole numbers in digits only, `least` to `most` (CLI11 wraps "-1" round), and finite numbers (it takes nan for any).
inline CLI::Validator whole_number(std::uint64_t least, std::uint64_t most) {
  return CLI::Validator(
      [=](const std::string& text) {
        std::uint64_t n = 0;
        const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), n);
        const bool ok = code == std::errc() && end == text.data() + text.size() && n >= least && n <= most;
        return ok ? "" : "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most) +
                             ", found " + text;
      },
      "");
}
inline CLI::Validator number(double least, double most, bool open = false) {
  return CLI::Validator(
      [=](const std::string& text) {
        double x = 0;
        const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), x);
        const bool ok = code == std::errc() && end == text.data() + text.size() && (open ? x > least : x >= least) && x <= most;
        if (ok) return std::string();
        std::ostringstream message;
        message << "expected a number " << (open ? "above " : "from ") << least << " to " << most << ", found " << text;
        return message.str();
      },
      "");
}

/// Declares options whose defaults are the values that they write to.
class declarer {
  CLI::App* app_;

 public:
  static constexpr std::uint64_t most = std::uint64_t(1) << 31;

  explicit declarer(CLI::App& app) : app_(&app) {
    app.option_defaults()->always_capture_default();
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  void count(const char* name, auto& value, const char* what, std::uint64_t least, std::uint64_t limit) const {
    app_->add_option(name, value, what)->check(whole_number(least, limit))->type_name("N");
  }
  void real(const char* name, double& value, const char* what, double least, double limit, bool open = false) const {
    app_->add_option(name, value, what)->check(number(least, limit, open))->type_name("X");
  }
  void text(const char* name, std::string& value, const char* what, const char* type) const {
    app_->add_option(name, value, what)->type_name(type);
  }
  void one_of(const char* name, std::string& value, const char* what, const std::vector<std::string>& words) const {
    std::string type;
    for (const auto& w : words) type += (type.empty() ? "" : "|") + w;
    app_->add_option(name, value, what)->type_name(type)->check(CLI::IsMember(words).description(""));
  }
};

/// --config FILE, under the command line.
inline void declare_config(CLI::App& app) {
  app.config_formatter(std::make_shared<hyphenated_toml>());
  app.set_config("--config", "", "TOML file with any of these options; the command line wins")
      ->type_name("FILE")
      ->check(CLI::Validator(CLI::ExistingFile).description(""));
  app.allow_config_extras(false);
}

/// "--batch_size" is "--batch-size"; in the order that CLI::App::parse() takes.
inline std::vector<std::string> hyphenated(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  for (auto& a : args) {
    if (!a.starts_with("--")) continue;
    for (std::size_t i = 2; i < a.size() && a[i] != '='; ++i)
      if (a[i] == '_') a[i] = '-';
  }
  std::reverse(args.begin(), args.end());
  return args;
}

/// Parses the command line: nothing, or the status to exit with (2 for wrong options).
inline std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(hyphenated(argc, argv));
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return {};
}

}  // namespace program
