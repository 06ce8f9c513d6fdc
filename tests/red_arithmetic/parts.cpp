// The parts of red_arithmetic: questions and their splits, pooling, and an encoder that starts as the backbone's last blocks.
#include <modx/backend/cpu.hpp>
#include <red_arithmetic/data.hpp>
#include <red_arithmetic/encoder.hpp>


#include "catch.hpp"
#include "support.hpp"

using namespace red_arithmetic;
using support::message;

TEST_CASE("red_arithmetic: splits are disjoint by question in fair, and overlap in published") {
  options o;
  o.samples = 3000;
  for (const std::string task : {"addition", "mixed", "operations"}) {
    CAPTURE(task);
    o.task = task, o.profile = "fair", o.by_label = task != "addition";
    const auto what = about(o);
    const auto fair = make_questions(o, what, 7);
    CHECK(fair.questions.size() == 3000);
    CHECK(fair.overlap.val == 0);
    CHECK(fair.overlap.test == 0);
    CHECK(fair.rows.train.size() + fair.rows.val.size() + fair.rows.test.size() == 3000);
    CHECK(fair.rows.test.size() > 250);
    for (const auto i : fair.rows.base) CHECK(std::binary_search(fair.rows.train.begin(), fair.rows.train.end(), i));
    CHECK(fair.rows.base.size() < fair.rows.train.size() / 5);
    for (const auto d : fair.domain) CHECK((d >= 0 && std::size_t(d) < what.domain_count()));
    o.profile = "published";
    CHECK(make_questions(o, what, 7).overlap.test > (task == "addition" ? 0.4 : 0.05));
    CHECK(make_questions(o, what, 8).questions != fair.questions);
  }
}

TEST_CASE("red_arithmetic: the encoder starts as the backbone's last blocks, and pools as asked") {
  modx::cpu backend{1, 1};
  const modx::qwen3 spec{.vocabulary = 11, .width = 8, .hidden = 12, .blocks = 3, .heads = 2, .kv_heads = 1, .head_dim = 4};
  auto model = modx::build(backend, spec, spec.io(), 3);
  modx::matrix<float> ids(5, 1);
  ids.data = {1, 2, 3, 9, 4};
  const std::vector<std::size_t> lengths{3, 2};
  const auto run = [&](auto& net, const modx::matrix<float>& x, auto f) {
    auto& t = net.tape_of_step();
    t.reset();
    const modx::unrecorded quiet(t);
    t.context.sequence = t.sequences_of(lengths);
    return f(net.bound(), t.input(x)).host();
  };
  const auto under = run(model, ids, [](const auto& n, auto x) { return n.hidden_between(n.embed(x), 0, 1); });
  const auto top = run(model, ids, [](const auto& n, auto x) { return n.hidden_between(n.embed(x), 0, 4); });
  for (const bool last : {false, true}) {
    auto net = modx::build(backend, base_network(spec, 2, last, m::linear{}), {8, 5}, 4);
    const auto features = [](const auto& n, auto x) { return n.template forward_between<0, 1>(x); };
    const auto before = run(net, under, features);
    put_blocks(model, net, 2);
    const auto found = run(net, under, features);
    CHECK(found != before);  // copied
    for (std::size_t j = 0; j < 8; ++j) {
      CHECK(found(0, j) == Approx(last ? top(2, j) : (top(0, j) + top(1, j) + top(2, j)) / 3).margin(1e-6));
      CHECK(found(1, j) == Approx(last ? top(4, j) : (top(3, j) + top(4, j)) / 2).margin(1e-6));
    }
  }
}
