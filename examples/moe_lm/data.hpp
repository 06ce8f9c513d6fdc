// Texts -> tokens -> sequences of at most --length tokens, without padding: a sequence ends where its text
// ends.
#pragma once
#include <charconv>
#include <filesystem>
#include <modx/io/json_text.hpp>
#include <modx/text/tokenizer.hpp>

#include "corpus.hpp"
#include "csv.hpp"
#include "options.hpp"

namespace moe_lm {

/// Inputs tokens[begin, begin + length), targets one further on.
struct sequence {
  std::size_t begin, length;
  std::int32_t domain;
};

/// Every token but the first of each text is a target exactly once.
struct token_set {
  std::vector<std::int32_t> token;
  std::vector<sequence> sequences;
  std::size_t targets = 0;

  /// Only the first sequences, until `limit` targets or more are kept.
  void keep_first(std::size_t limit) {
    std::size_t kept = 0, n = 0;
    while (n < sequences.size() && kept < limit) kept += sequences[n++].length;
    sequences.resize(n), targets = kept;
  }

  /// Indices of sequences, taken in `order` and cut into batches of at most `limit` tokens.
  std::vector<std::vector<std::size_t>> batches(const std::vector<std::size_t>& order,
                                                std::size_t limit) const {
    std::vector<std::vector<std::size_t>> out;
    std::size_t filled = limit;
    for (const std::size_t i : order) {
      if (filled + sequences[i].length > limit) out.emplace_back(), filled = 0;
      out.back().push_back(i);
      filled += sequences[i].length;
    }
    return out;
  }
};

struct batch {
  modx::matrix<float> x;  // n x 1 ids
  std::vector<std::int32_t> target;
  std::vector<std::size_t> lengths;
};
inline batch batch_of(const token_set& data, const std::vector<std::size_t>& chosen) {
  batch b;
  for (const std::size_t i : chosen) {
    const auto& s = data.sequences[i];
    for (std::size_t t = s.begin; t < s.begin + s.length; ++t) {
      b.x.data.push_back(float(data.token[t]));
      b.target.push_back(data.token[t + 1]);
    }
    b.lengths.push_back(s.length);
  }
  b.x.rows = b.target.size(), b.x.cols = 1;
  return b;
}

struct corpus {
  token_set train, valid;
  std::vector<std::string> domains;
  std::size_t vocabulary = 256;
};

inline token_set tokenise(const text_set& texts, const modx::text::tokenizer* tokenizer, std::size_t length) {
  token_set out;
  for (std::size_t i = 0; i < texts.text.size(); ++i) {
    std::vector<std::int32_t> ids;
    if (tokenizer) {
      for (const auto id : tokenizer->encode(texts.text[i], {.added = modx::text::added_tokens::none}))
        ids.push_back(std::int32_t(id));
    } else {
      for (const char c : texts.text[i]) ids.push_back(std::int32_t(static_cast<unsigned char>(c)));
    }
    const std::size_t start = out.token.size();
    for (std::size_t at = 0; at + 1 < ids.size(); at += length) {
      const std::size_t n = std::min(length, ids.size() - 1 - at);
      out.sequences.push_back({start + at, n, texts.domain[i]});
      out.targets += n;
    }
    out.token.insert(out.token.end(), ids.begin(), ids.end());
  }
  return out;
}

/// A text a record of CSV: `column` is a name of the first line, or a number from 1 where there is no such
/// line.
inline text_set csv_texts(std::string_view all, const std::string& file, const std::string& column) {
  text_set out;
  csv_reader reader(all, file);
  std::vector<std::string> fields;
  std::size_t at = 0, width = 0;
  const auto [end, code] = std::from_chars(column.data(), column.data() + column.size(), at);
  const bool numbered = code == std::errc() && end == column.data() + column.size() && at > 0;
  if (!numbered && reader.next(fields)) {
    width = fields.size();
    for (at = 0; at < width && fields[at] != column;) ++at;
    if (at++ == width)
      throw modx::error(reader.place(), "a column \"" + column + "\" (--column)", "none of that name");
  }
  while (reader.next(fields)) {
    if (!width) width = fields.size();
    if (fields.size() != width || at > width)
      throw modx::error(reader.place(), std::to_string(std::max(at, width)) + " fields",
                        std::to_string(fields.size()));
    out.text.push_back(std::move(fields[at - 1])), out.domain.push_back(0);
  }
  return out;
}

/// A whole file as one text, a text a line of JSON, or a text a record of CSV.
inline text_set read_texts(const std::string& file, const std::string& column) {
  const auto bytes = modx::io::read_file(file, std::uint64_t(1) << 30);
  const std::string_view all = bytes.text();
  if (file.ends_with(".csv")) return csv_texts(all, file, column);
  text_set out;
  if (!file.ends_with(".jsonl")) {
    out.text.emplace_back(all), out.domain.push_back(0);
    return out;
  }
  std::size_t line = 1;
  for (std::size_t at = 0; at < all.size(); ++line) {
    const std::size_t end = std::min(all.find('\n', at), all.size());
    const auto text = all.substr(at, end - at);
    at = end + 1;
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    const auto where = file + ", line " + std::to_string(line);
    const auto value = modx::io::parse_json(text, where);
    if (!value.is_object() || !value.contains(column) || !value.at(column).is_string())
      throw modx::error(where, "an object with a text \"" + column + "\"", std::string(text.substr(0, 60)));
    out.text.push_back(value.at(column).get<std::string>());
    out.domain.push_back(0);
  }
  return out;
}

/// A file of a ready task.
inline text_set task_file(const options& o, const char* name) {
  const auto file = std::filesystem::path(o.data_dir) / name;
  if (!std::filesystem::exists(file))
    throw modx::error("--task " + o.task, "the file " + std::string(name) + " in --data-dir " + o.data_dir,
                      "none");
  return read_texts(file.string(), {});
}

/// Training and validation texts of the task, or of one's own files.
inline std::pair<text_set, text_set> texts_of(const options& o) {
  if (!o.train_file.empty()) return {read_texts(o.train_file, o.column), read_texts(o.valid_file, o.column)};
  if (o.task == "wikitext2") return {task_file(o, "wikitext2_valid.txt"), task_file(o, "wikitext2_test.txt")};
  if (o.task == "shakespeare") {  // the last tenth, from the start of a line, is for validation
    auto train = task_file(o, "tinyshakespeare.txt"), valid = train;
    auto& all = train.text.at(0);
    const std::size_t line = all.find('\n', all.size() / 10 * 9);
    if (line == all.npos) throw modx::error("--task shakespeare", "lines of text", "none");
    valid.text.at(0) = all.substr(line + 1);
    all.resize(line + 1);
    return {std::move(train), std::move(valid)};
  }
  auto valid = generate(o.seed, "valid", o.valid_texts);
  auto train = generate(o.seed, "train", o.texts, valid);
  return {std::move(train), std::move(valid)};
}

inline corpus load_corpus(const options& o) {
  corpus c;
  const auto [train, valid] = texts_of(o);
  c.domains = o.generated() ? corpus_domains() : std::vector<std::string>{"text"};
  std::optional<modx::text::tokenizer> tokenizer;
  if (!o.tokenizer.empty()) c.vocabulary = tokenizer.emplace(o.tokenizer).size();
  if (c.vocabulary > (1u << 24))
    throw modx::error(o.tokenizer, "at most 2^24 tokens", std::to_string(c.vocabulary));
  c.train = tokenise(train, tokenizer ? &*tokenizer : nullptr, o.length);
  c.valid = tokenise(valid, tokenizer ? &*tokenizer : nullptr, o.length);
  if (o.valid_tokens) c.valid.keep_first(o.valid_tokens);
  for (const auto& [set, name] : {std::pair(&c.train, &o.train_file), std::pair(&c.valid, &o.valid_file)})
    if (set->sequences.empty())
      throw modx::error(name->empty() ? "--task " + o.task : *name, "a text of at least two tokens", "none");
  return c;
}

}  // namespace moe_lm
