// The published schemas: what is written reads back, and a line that says anything else is refused by its
// number.
#include <arithmetic/files.hpp>

#include "catch.hpp"
#include "io/io_support.hpp"
#include "support.hpp"

using namespace arithmetic;
using modx::test::put, modx::test::temp_folder;
using support::contains, support::message;

TEST_CASE("each schema has the published fields") {
  const expression sum{{11, 20}, {operation::add}}, chain{{20, 7, 9}, {operation::add, operation::sub}};
  CHECK(file_text(schema::sums, {sum}) == "{\"question\":\"What is 11 plus 20?\",\"answer\":31}\n");
  CHECK(file_text(schema::operations, {{{52, 15}, {operation::sub}}}) ==
        "{\"question\":\"What is 52 minus 15?\",\"expr\":\"52 minus "
        "15\",\"answer\":37,\"operation\":\"sub\"}\n");
  CHECK(file_text(schema::differences, {{{30, 12}, {operation::sub}}}) ==
        "{\"id\":1,\"question\":\"What is 30 minus "
        "12?\",\"answer\":18,\"label\":0,\"domain\":\"range_2_20\",\"num_steps\":1,"
        "\"program\":\"Step 1: 30 - 12 = x1\\nAnswer: x1\"}\n");
  CHECK(file_text(schema::programs, {chain}) ==
        "{\"id\":1,\"expr\":\"20 plus 7 minus "
        "9\",\"answer\":18,\"label\":0,\"domain\":\"range_2_20\",\"num_steps\":2,"
        "\"program\":\"Step 1: 20 + 7 = x1\\nStep 2: x1 - 9 = x2\\nAnswer: x2\"}\n");
  const auto samples =
      json::parse(file_text(schema::samples, {{{8, 4, -6}, {operation::add, operation::add}}}, false));
  CHECK(samples["samples"].dump() ==
        "[{\"question\":\"What is 8 + 4 + -6?\",\"answer\":6,\"domain\":\"range_2_20\"}]");
  CHECK(samples["label_vocab"].size() == classes);
  CHECK(samples["label_vocab"][98] == "100");
}

TEST_CASE("every generator's file reads back as the same expressions") {
  const temp_folder folder;
  const auto one = [&](schema kind, const std::vector<expression>& list, bool words = true) {
    put(folder / "file", file_text(kind, list, words));
    CHECK(read_expressions(kind, folder / "file") == list);
  };
  one(schema::sums, balanced(200, 42, {operation::add}, 2, 99));
  one(schema::operations, balanced(400, 42, {operations_known.begin(), operations_known.end()}));
  one(schema::differences, differences(100, 42)), one(schema::programs, chains(100, 42));
  one(schema::samples, sums(100, 42)), one(schema::samples, mixtures(300, 42), false);
  auto demo = json::parse(file_text(schema::samples, sums(10, 1)));
  for (auto& s : demo["samples"])
    s["answer"] = std::to_string(s["answer"].get<int>());  // as the demos' caches say it
  put(folder / "file", demo.dump());
  CHECK(read_expressions(schema::samples, folder / "file") == sums(10, 1));
}

TEST_CASE("a wrong line is refused with file, line and field") {
  const temp_folder folder;
  const auto good = file_text(schema::programs, {{{20, 7, 9}, {operation::add, operation::sub}}});
  const auto one = [&](schema kind, const std::string& line, const std::string& words) {
    put(folder / "a.jsonl", line);
    const auto said = message([&] { read_expressions(kind, folder / "a.jsonl"); });
    INFO(line << said);
    CHECK(contains(said, words));
    CHECK(contains(said, "a.jsonl"));
  };
  const auto with = [&](const char* key, const json& value) {
    auto j = json::parse(good);
    j[key] = value;
    return good + "\n" + j.dump() + "\n";
  };
  one(schema::programs, with("answer", 19), "line 3, \"answer\": expected 18, found 19");
  one(schema::programs, with("label", 1), "line 3, \"label\"");
  one(schema::programs, with("domain", "range_21_40"), "line 3, \"domain\"");
  one(schema::programs, with("num_steps", 3), "line 3, \"num_steps\"");
  one(schema::programs, with("program", "Step 1: 20 + 7 = x1\nAnswer: x1"), "line 3, \"program\"");
  one(schema::programs, with("expr", "20 plus 7 minus nine"), "line 3, character 17");
  one(schema::programs, with("expr", "20 plus 90"), "2 to 100");
  one(schema::programs, with("expr", "20"), "line 3: expected an operation");
  one(schema::programs, with("expr", 7), "line 3: expected an object with a text \"expr\"");
  one(schema::programs, with("extra", 7), "line 3: expected no \"extra\"");
  one(schema::programs, with("id", -1), "line 3, \"id\"");
  one(schema::programs, good + "{\"expr\": \"20 plus 7\"}\n", "line 2");
  one(schema::programs, good + "{\"expr\": \n", "line 2");
  one(schema::programs, good + "[1]\n", "line 2");
  one(schema::sums, "{\"question\": \"20 plus 7\", \"answer\": 27}\n", "line 1: expected \"What is ...?\"");
  one(schema::sums, "{\"question\": \"What is 020 plus 7?\", \"answer\": 27}\n", "\"question\"");
  // The published file of two-step subtractions: a sum for a difference, and two steps where there is one.
  one(schema::differences,
      "{\"id\": 1, \"question\": \"What is 30 minus 12?\", \"answer\": 18, \"label\": 0, \"domain\": "
      "\"range_2_20\","
      " \"num_steps\": 2, \"program\": \"Step 1: 30 + 12 = x1\\nAnswer: x1\"}\n",
      "\"num_steps\": expected 1, found 2");
  one(schema::samples, "{\"samples\": []}", "label_vocab");
  one(schema::samples, "{\"samples\": [], \"label_vocab\": [\"2\"]}", "label_vocab");
  auto wrong = json::parse(file_text(schema::samples, sums(3, 1)));
  wrong["samples"][1]["answer"] = 1;
  one(schema::samples, wrong.dump(), "sample 2, \"answer\"");
  CHECK(contains(message([&] { read_expressions(schema::sums, folder / "none"); }), "none"));
}
