// The tokenizer of a Qwen3 folder: the file's, or what is wrong with the folder.
#include <modx/text/qwen3_tokenizer.hpp>

#include "catch.hpp"
#include "small_qwen3.hpp"
#include "support.hpp"

using namespace modx::test;
using support::message;

TEST_CASE("qwen3_tokenizer: the folder's, if its ids fit the model", "[text]") {
  const temp_folder folder;
  write_small_qwen3(folder.path());
  CHECK(modx::text::qwen3_tokenizer(folder.path()).encode("hell") == modx::text::tokenizer(folder / "tokenizer.json").encode("hell"));
  auto config = json::parse(get(folder / "config.json"));
  const auto ids = modx::text::tokenizer(folder / "tokenizer.json").size();
  config["vocab_size"] = ids;
  put(folder / "config.json", config.dump());
  CHECK(modx::text::qwen3_tokenizer(folder.path()).size() == ids);
  config["vocab_size"] = ids - 1;
  put(folder / "config.json", config.dump());
  CHECK(message([&] { modx::text::qwen3_tokenizer(folder.path()); }) ==
        "modx: " + (folder / "tokenizer.json").string() + ": expected at most " + std::to_string(ids - 1) +
            " ids, as config.json says, found " + std::to_string(ids));
  CHECK(contains(message([&] { modx::text::qwen3_tokenizer(folder / "none"); }), "found no such folder"));
}
