// Options from one list of fields: f(name, value, help, limits...) makes the command line, the help and the
// JSON of a run.
#pragma once
#include <concepts>
#include <modx/error.hpp>
#include <nlohmann/json.hpp>
#include <tuple>

#include "options.hpp"

namespace program {

using words = std::vector<std::string>;

/// What a value may be: one of some words, or a number within limits; no words: any text.
template <class T, class... L>
CLI::Validator limits_of(const T&, const L&... limits) {
  if constexpr (std::same_as<T, std::string>) {
    const words& some = std::get<0>(std::tie(limits...));
    return some.empty() ? CLI::Validator() : CLI::IsMember(some).description("");
  } else if constexpr (std::same_as<T, double>) {
    return number(double(limits)...);
  } else {
    return whole_number(std::uint64_t(limits)...);
  }
}
template <class T, class... L>
std::string type_of(const T&, const L&... limits) {
  if constexpr (!std::same_as<T, std::string>)
    return std::same_as<T, double> ? "X" : "N";
  else {
    std::string type;
    for (const auto& w : std::get<0>(std::tie(limits...))) type += (type.empty() ? "" : "|") + w;
    return type.empty() ? "TEXT" : type;
  }
}

/// `each(f)` calls f for every field.
template <class F>
void declare_fields(CLI::App& app, F&& each) {
  const declarer shows_defaults(app);
  each([&](const char* name, auto& value, const char* what, const auto&... limits) {
    app.add_option(std::string("--") + name, value, what)
        ->check(limits_of(value, limits...))
        ->type_name(type_of(value, limits...));
  });
}
/// What every run has besides its fields: --save-dir, --threads, --resume, --quiet and --config.
template <class O>
void declare_run(CLI::App& app, O& o) {
  const declarer d(app);
  d.text("--save-dir", o.save_dir, "folder of the run: checkpoints, log, metrics, report", "DIR");
  d.count("--threads", o.threads, "threads; 0: one a core; results do not depend on it", 0, 1024);
  app.add_flag("--resume", o.resume, "go on with the run in --save-dir, with the options it was started with");
  app.add_flag("--quiet", o.quiet, "no progress; the results table only");
  declare_config(app);
}
template <class F>
nlohmann::ordered_json fields_json(F&& each) {
  nlohmann::ordered_json all;
  each([&](const char* name, const auto& value, const auto&...) { all[name] = value; });
  return all;
}
/// Takes the values of an earlier run's `was`, found in `where`; an option that was given again, with `flag`,
/// must say the same.
template <class F>
void adopt_fields(const CLI::App& app, const nlohmann::ordered_json& was, const std::string& where,
                  const std::string& flag, F&& each) {
  each([&]<class T>(const char* name, T& value, const char*, const auto&... limits) {
    if (!was.is_object() || !was.contains(name))
      throw modx::error(where, std::string("an option \"") + name + "\"", "none");
    const auto& saved = was.at(name);
    const std::string text = saved.is_string() ? saved.template get<std::string>() : saved.dump();
    if (saved.is_string() != std::same_as<T, std::string> || !limits_of(value, limits...)(text).empty())
      throw modx::error(where, std::string("a value that --") + name + " may have", saved.dump());
    const T old = saved.template get<T>();
    if (app.get_option(std::string("--") + name)->count() && !(old == value))
      throw modx::error(flag + " with another --" + name,
                        nlohmann::json(old).dump() + ", as the run was started with",
                        nlohmann::json(value).dump());
    value = old;
  });
}

}  // namespace program
