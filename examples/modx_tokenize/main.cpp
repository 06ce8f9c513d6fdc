// modx_tokenize: lines of text to JSON arrays of ids, and back.
#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <modx/text/tokenizer.hpp>

namespace {

using namespace modx::text;

constexpr std::size_t longest_line = 256u << 20;

/// Standard output, in whole lines.
class output {
 public:
  void line(std::string_view text) {
    waiting_.append(text) += '\n';
    if (waiting_.size() >= 1u << 16) flush();
  }
  /// Throws error when nobody can read it any more.
  void flush() {
    for (std::string_view rest = waiting_; !rest.empty();) {
      const auto n = modx::io::retry_interrupted([&] { return ::write(1, rest.data(), rest.size()); });
      if (n < 0) throw modx::error("standard output", "to be written", std::strerror(errno));
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
    waiting_.clear();
  }

 private:
  std::string waiting_;
};

/// Calls each(line, number from 1) for the lines of standard input, which end with \n or at the end.  All
/// that they gave is written before the program waits for more, so that Ctrl-C loses nothing that was shown
/// the program before.
template <class F>
void for_each_line(output& out, F&& each) {
  std::string text;
  std::size_t number = 0;
  std::vector<char> block(1u << 16);
  for (bool more = true; more;) {
    out.flush();
    const auto n = modx::io::retry_interrupted([&] { return ::read(0, block.data(), block.size()); });
    if (n < 0) throw modx::error("standard input", "to be read", std::strerror(errno));
    more = n > 0;
    std::size_t searched = text.size(), begin = 0;
    text.append(block.data(), static_cast<std::size_t>(n));
    for (std::size_t end; (end = text.find('\n', searched)) != text.npos; begin = searched = end + 1)
      each(std::string_view(text).substr(begin, end - begin), ++number);
    text.erase(0, begin);
    if (text.size() > longest_line)
      throw modx::error("line " + std::to_string(number + 1),
                        "at most " + std::to_string(longest_line) + " bytes", "more");
  }
  if (!text.empty()) each(std::string_view(text), ++number);
}

std::string json_of(const std::vector<token_id>& ids) {
  std::string out = "[";
  char digits[16];
  for (const token_id id : ids) {
    if (out.size() > 1) out += ',';
    out.append(digits, std::to_chars(digits, digits + sizeof digits, id).ptr);
  }
  return out += ']';
}
std::vector<token_id> ids_of(std::string_view line) {
  const auto value = modx::io::parse_json(line, "standard input");
  const auto fail = [](const nlohmann::json& found) {
    throw modx::error("modx_tokenize --decode", "an array of ids",
                      found.is_structured() ? found.type_name() : found.dump());
  };
  if (!value.is_array()) fail(value);
  std::vector<token_id> ids;
  for (const auto& v : value) {
    if (!v.is_number_unsigned() ||
        v.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<token_id>::max()})
      fail(v);
    ids.push_back(v.get<token_id>());
  }
  return ids;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Reads lines of UTF-8 and writes the ids of each as one JSON array a line; --decode the other way.\n"
      "A line ends with \\n alone; \\r belongs to the text.");
  std::string file, added = "all", invalid = "refuse";
  bool decode = false, skip_special = false;
  app.add_option("--tokenizer", file, "tokenizer.json of a byte-level BPE (Qwen3, GPT-2)")
      ->required()
      ->type_name("FILE");
  app.add_option("--added", added,
                 "which added tokens a line may name: all, not-special, none; the rest is text")
      ->check(CLI::IsMember({"all", "not-special", "none"}))
      ->capture_default_str();
  app.add_option("--invalid", invalid, "lines that are not UTF-8: refuse, or replace with U+FFFD")
      ->check(CLI::IsMember({"refuse", "replace"}))
      ->capture_default_str();
  auto* back = app.add_flag("--decode", decode,
                            "read JSON arrays of ids, write their text (a token with \\n begins a line)");
  app.add_flag("--skip-special", skip_special, "with --decode: leave special tokens out")->needs(back);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  output out;
  std::size_t at = 0;
  try {
    const tokenizer t{std::filesystem::path(file)};
    const encode_options options{added == "all"    ? added_tokens::all
                                 : added == "none" ? added_tokens::none
                                                   : added_tokens::not_special,
                                 invalid == "refuse" ? invalid_utf8::refuse : invalid_utf8::replace};
    for_each_line(out, [&](std::string_view line, std::size_t number) {
      at = number;
      out.line(decode ? t.decode(ids_of(line), {.skip_special = skip_special})
                      : json_of(t.encode(line, options)));
      at = 0;
    });
    out.flush();
    return 0;
  } catch (const std::exception& e) {
    std::string what = at == 0 ? "" : "line " + std::to_string(at) + ": ";
    try {
      if (at != 0) out.flush();
    } catch (const modx::error& broken) {
      what += broken.what() + std::string("; ");
    }
    std::fprintf(stderr, "error: %s%s\n", what.c_str(), e.what());
    return 1;
  }
}
