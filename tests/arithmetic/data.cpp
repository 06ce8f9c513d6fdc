// arithmetic_data: writes every data set, checks files, and refuses options that make no sense.
#include <arithmetic/files.hpp>

#include "catch.hpp"
#include "io/program.hpp"

using namespace arithmetic;
using namespace modx::test;

TEST_CASE("arithmetic_data writes what its own check finds good, and the same for the same seed") {
  const temp_folder folder;
  for (const auto& [kind, schema] : std::vector<std::array<std::string, 2>>{{"sums", "samples"},
                                                                            {"sums_2_99", "sums"},
                                                                            {"operations", "operations"},
                                                                            {"differences", "differences"},
                                                                            {"mixtures", "samples"},
                                                                            {"programs", "programs"}}) {
    INFO(kind);
    const auto file = (folder / kind).string();
    REQUIRE(run({kind, "--count", "120", "--output", file}).exit == 0);
    const auto said = run({"--check", file, "--schema", schema});
    CHECK(said.exit == 0);
    CHECK(contains(said.out, "120 good records"));
    CHECK(run({kind, "--count", "120"}).out == get(file));
    CHECK(run({kind, "--count", "120", "--seed", "9"}).out != get(file));
  }
  CHECK(run({"programs", "--count", "40", "--seed", "7"}).out == file_text(schema::programs, chains(40, 7)));
  CHECK(run({"operations", "--count", "40", "--seed", "7", "--operations", "add,div"}).out ==
        file_text(schema::operations, balanced(40, 7, {operation::add, operation::div})));
}

TEST_CASE("arithmetic_data says what is wrong with a file or an option") {
  const temp_folder folder;
  put(folder / "bad.jsonl", "{\"question\": \"What is 1 plus 2?\", \"answer\": 4}\n");
  const auto bad = run({"--check", (folder / "bad.jsonl").string(), "--schema", "sums"});
  CHECK(bad.exit == 1);
  CHECK(contains(bad.err, "line 1, \"answer\": expected 3, found 4"));
  CHECK(run({}).exit == 2);
  CHECK(run({"sums", "--check", "x"}).exit == 2);
  CHECK(run({"cubes"}).exit == 2);
  CHECK(run({"sums", "--count", "-1"}).exit == 2);
  CHECK(run({"sums", "--seed", "-1"}).exit == 2);
  CHECK(contains(run({"operations", "--operations", "add,,sub"}).err, "--operations"));
  CHECK(run({"sums", "--count", "5", "--output", (folder / "no" / "file").string()}).exit == 1);
  CHECK(run({"--help"}).exit == 0);
}
