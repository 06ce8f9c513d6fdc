// The published data files: JSONL of four schemas, and one JSON object of samples.  Everything in a line
// follows from its expression, so a reader refuses a line that says anything else.
#pragma once
#include <modx/io/file.hpp>
#include <modx/io/json_text.hpp>

#include "questions.hpp"

namespace arithmetic {

using json = nlohmann::ordered_json;

/// sums {question, answer}; operations {question, expr, answer, operation}; differences {id, question,
/// answer, label, domain, num_steps, program}; programs {id, expr, answer, label, domain, num_steps,
/// program}; samples {question, answer, domain} in one object with "label_vocab".  In differences and
/// programs "label" is the number of the range.
enum class schema : unsigned char { sums, operations, differences, programs, samples };
struct schema_name {
  schema kind;
  const char* name;
};
inline constexpr std::array schemas{
    schema_name{schema::sums, "sums"}, schema_name{schema::operations, "operations"},
    schema_name{schema::differences, "differences"}, schema_name{schema::programs, "programs"},
    schema_name{schema::samples, "samples"}};

/// What a file of `kind` says about `e`; ids count from 1.
inline json record_of(schema kind, const expression& e, std::size_t id, bool words = true) {
  const auto q = ask(e, words);
  const auto range = range_of(q.answer);
  json j;
  if (kind == schema::differences || kind == schema::programs) j["id"] = id;
  if (kind != schema::programs) j["question"] = q.text;
  if (kind == schema::operations || kind == schema::programs) j["expr"] = e.text();
  j["answer"] = q.answer;
  if (kind == schema::operations) j["operation"] = names_of(e.op.at(0)).file;
  if (kind == schema::differences || kind == schema::programs) j["label"] = range;
  if (kind != schema::sums && kind != schema::operations) j["domain"] = range_name(std::size_t(range));
  if (kind == schema::differences || kind == schema::programs)
    j["num_steps"] = e.op.size(), j["program"] = program_of(e);
  return j;
}

/// A whole file.  `words`: "12 plus 8" in the questions, else "12 + 8".
inline std::string file_text(schema kind, const std::vector<expression>& list, bool words = true) {
  if (kind == schema::samples) {
    json all{{"samples", json::array()}, {"label_vocab", json::array()}};
    for (const auto& e : list) all["samples"].push_back(record_of(kind, e, 0, words));
    for (int answer = least_answer; answer <= most_answer; ++answer)
      all["label_vocab"].push_back(std::to_string(answer));
    return all.dump() + "\n";
  }
  std::string text;
  for (std::size_t i = 0; i < list.size(); ++i) text += record_of(kind, list[i], i + 1, words).dump() + "\n";
  return text;
}

namespace detail {
/// The expression of one record; throws, naming `where`, unless the record is what record_of() says.
inline expression expression_of(schema kind, const nlohmann::json& found, const std::string& where) {
  const char* key = kind == schema::programs ? "expr" : "question";
  if (!found.is_object() || !found.contains(key) || !found[key].is_string())
    throw modx::error(where, std::string("an object with a text \"") + key + "\"",
                      found.dump().substr(0, 80));
  std::string text = found[key].get<std::string>();
  if (kind != schema::programs) {
    if (!text.starts_with("What is ") || !text.ends_with("?"))
      throw modx::error(where, "\"What is ...?\"", "\"" + text.substr(0, 80) + "\"");
    text = text.substr(8, text.size() - 9);
  }
  const auto e = parse_expression(text, where);
  if (e.op.empty()) throw modx::error(where, "an operation", "\"" + text + "\"");
  const bool words = text == e.text();
  std::size_t id = 0;
  if (found.contains("id") && found["id"].is_number_unsigned()) id = found["id"].get<std::size_t>();
  nlohmann::json wanted;
  try {
    wanted = record_of(kind, e, id, words);
  } catch (const modx::error& wrong) {
    throw modx::error(where + ": " + wrong.what());
  }
  for (const auto& [name, value] : wanted.items()) {
    if (!found.contains(name)) throw modx::error(where, "\"" + name + "\"", "none");
    const auto& given = found[name];
    const bool as_text = kind == schema::samples && name == "answer" &&
                         given == std::to_string(value.get<int>());  // the demos' caches
    if (given != value && !as_text)
      throw modx::error(where + ", \"" + name + "\"", value.dump(), given.dump().substr(0, 80));
  }
  for (const auto& [name, value] : found.items())
    if (!wanted.contains(name)) throw modx::error(where, "no \"" + name + "\"", value.dump().substr(0, 80));
  return e;
}
}  // namespace detail

/// The expressions of `file`, whose errors name file and line; empty lines are passed over.
inline std::vector<expression> read_expressions(schema kind, const std::filesystem::path& file) {
  const auto bytes = modx::io::read_file(file, std::uint64_t(1) << 30);
  const std::string_view all = bytes.text();
  std::vector<expression> out;
  if (kind == schema::samples) {
    const auto j = modx::io::parse_json(all, file);
    if (!j.is_object() || j.size() != 2 || !j.contains("samples") || !j["samples"].is_array() ||
        !j.contains("label_vocab"))
      throw modx::error(file.string(), "an object of \"samples\" and \"label_vocab\"", "something else");
    const auto vocabulary = nlohmann::json::parse(file_text(kind, {}))["label_vocab"];
    if (j["label_vocab"] != vocabulary)
      throw modx::error(file.string() + ", \"label_vocab\"", "\"2\" to \"100\"", "something else");
    for (std::size_t i = 0; i < j["samples"].size(); ++i)
      out.push_back(
          detail::expression_of(kind, j["samples"][i], file.string() + ", sample " + std::to_string(i + 1)));
    return out;
  }
  std::size_t line = 1;
  for (std::size_t at = 0; at < all.size(); ++line) {
    const auto end = std::min(all.find('\n', at), all.size());
    const auto text = all.substr(at, end - at);
    at = end + 1;
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    const auto where = file.string() + ", line " + std::to_string(line);
    out.push_back(detail::expression_of(kind, modx::io::parse_json(text, where), where));
  }
  return out;
}

}  // namespace arithmetic
