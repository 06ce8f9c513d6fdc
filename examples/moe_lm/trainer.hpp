// Training of one language model, step by step; all its state goes into a checkpoint and comes back with the
// same bits.
#pragma once
#include <chrono>
#include <modx/io/checkpoint.hpp>
#include <modx/io/model_file.hpp>

#include "data.hpp"
#include "size.hpp"

namespace moe_lm {

using grid = std::vector<std::vector<double>>;

/// What an evaluation found; specialisation by layer, of the experts' mean outputs, beside that of random
/// vectors.
struct scores {
  double loss = 0;
  std::vector<double> domain_loss;
  std::vector<double> specialisation, at_random;
  std::vector<grid> load;  // topk: layer, domain, expert: share of the domain's slots
};

/// Specialisation of each mixture's own experts in the step on `t`, first layer first.
inline std::vector<modx::specialisation> layer_specialisation(modx::tape<modx::cpu>& t, std::size_t experts) {
  std::vector<modx::specialisation> out;
  for (auto* r = modx::expert_outputs(t); r; r = r->next) {
    const auto mean = modx::ops::mean_of_rows(r->y.y).host();
    modx::matrix<float> rows(experts, r->y.width());
    std::copy_n(mean.data.begin(), rows.data.size(), rows.data.begin());
    out.insert(out.begin(), modx::specialisation_of(rows));
  }
  return out;
}

/// I(expert; domain) in bits from shares of experts in each domain, domains counted alike.
inline double mutual_information(const grid& load) {
  double bits = 0;
  for (std::size_t i = 0; !load.empty() && i < load[0].size(); ++i) {
    double mean = 0;
    for (const auto& row : load) mean += row[i] / double(load.size());
    for (const auto& row : load)
      if (row[i] > 0) bits += row[i] / double(load.size()) * std::log2(row[i] / mean);
  }
  return bits;
}

class trainer {
 public:
  using model_type = modx::model<language_model, modx::cpu>;

 private:
  const options* o_;
  const corpus* data_;
  model_type model_;
  modx::optimizer::adamw adamw_;
  modx::schedule::warmup<modx::schedule::cosine> schedule_;
  modx::coupling::ghost_rules rules_;
  modx::loss::orthogonality_controller controller_;
  std::vector<std::vector<std::size_t>> batches_;              // of this epoch
  std::size_t epoch_ = 0, next_ = 0;                           // epochs begun, next batch
  bool whole_ = false;                                         // this epoch has the domain that appears
  double sum_ = 0, penalty_ = 0, norm_ = 0, steps_since_ = 0;  // since the last record
  std::vector<modx::ghost_report> ghosts_;
  std::vector<modx::specialisation> seen_;  // of the last batch before an adaptation

 public:
  std::uint64_t step = 0, tokens = 0;
  double seconds = 0;  // of training, evaluations not counted
  double best = INFINITY;

  trainer(modx::cpu& backend, const options& o, const corpus& data)
      : o_(&o),
        data_(&data),
        model_(modx::build(backend, model_of(o, data.vocabulary), {1, data.vocabulary}, o.seed)),
        adamw_{.lr = o.lr, .weight_decay = o.weight_decay},
        schedule_{.steps = o.warmup, .then = {.to = o.lr_end, .steps = o.steps - o.warmup}},
        rules_{.on = o.ghost_on, .off = o.ghost_off, .ramp = o.ghost_ramp},
        controller_(o.layers, {.initial = o.orthogonality,
                               .highest = std::fmax(0.3, o.orthogonality),
                               .every = o.adapt_every}) {
    using rules = modx::coupling::ghost_rules;
    if (o.ghost_wake != "gradual")
      rules_.wake = o.ghost_wake == "binary" ? rules::schedule::binary : rules::schedule::selective;
    if (o.ghost_rate != "same")
      rules_.learning_rate = o.ghost_rate == "inverse" ? rules::rate::inverse : rules::rate::complementary;
  }
  trainer(const trainer&) = delete;

  model_type& model() { return model_; }
  bool done() const { return step == o_->steps; }
  double learning_rate() const { return o_->lr * schedule_(step); }

  /// One optimiser step; returns its loss (language model alone, mean of its batches).
  double train_step() {
    const auto start = std::chrono::steady_clock::now();
    const double rate = schedule_(step);
    if (o_->has_ghosts()) modx::prepare_ghosts(model_, rules_, rate);
    const bool adapts = penalised() && (step + 1) % o_->adapt_every == 0;
    const modx::loss::orthogonality apart{.warmup = o_->orthogonality_warmup,
                                          .strengths = controller_.strengths()};
    const modx::loss::load_balance balance{o_->balance};
    double loss = 0, penalty = 0;
    const auto objective = [&](modx::var<modx::cpu> y, const modx::labels& target) {
      const auto language = modx::loss::cross_entropy{}(y, target);
      loss += double(language.item()) / double(o_->accumulation);
      if (adapts) seen_ = layer_specialisation(y.on(), o_->experts);
      if (!penalised() && o_->mode != "topk") return language;
      const auto more = penalised() ? apart(y, target) : balance(y, target);
      penalty += double(more.item()) / double(o_->accumulation);
      return language + more;
    };
    for (std::size_t i = 0; i < o_->accumulation; ++i) {
      const auto b = batch_of(data_->train, next_batch());
      modx::train_step(
          model_, adamw_, objective, b.x, b.target,
          {.accumulation = o_->accumulation, .update = false, .step = step, .sequences = b.lengths});
      tokens += b.target.size();
    }
    norm_ += modx::apply_gradients(model_.backend(), model_.parameters(), adamw_, rate, o_->clip);
    ++step;
    if (o_->has_ghosts() && step > o_->ghost_start)
      ghosts_ = modx::advance_ghosts(model_, rules_, loss / std::log(double(data_->vocabulary)));
    if (adapts) {
      std::vector<double> score;
      for (const auto& s : seen_) score.push_back(s.score);
      controller_.advance(step, score, loss);
    }
    sum_ += loss, penalty_ += penalty, ++steps_since_;
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return loss;
  }

  /// Loss a token over the whole validation set: batches hold one domain each and count by their tokens.
  scores evaluate() {
    scores s;
    const std::size_t domains = data_->domains.size();
    std::vector<double> sum(domains), count(domains);
    auto& t = model_.tape_of_step();
    const modx::unrecorded<modx::cpu> quiet(t);
    std::vector<std::vector<std::vector<double>>> load;
    for (std::size_t d = 0; d < domains; ++d) {
      std::vector<std::size_t> own;
      for (std::size_t i = 0; i < data_->valid.sequences.size(); ++i)
        if (data_->valid.sequences[i].domain == std::int32_t(d)) own.push_back(i);
      for (const auto& chosen : data_->valid.batches(own, o_->batch_tokens)) {
        const auto b = batch_of(data_->valid, chosen);
        t.reset();
        t.context.sequence = t.sequences_of(b.lengths);
        const auto y = model_.bound().forward(t.input(b.x));
        sum[d] += double(modx::ops::cross_entropy(y, t.input(modx::ids(b.target))).item()) *
                  double(b.target.size());
        count[d] += double(b.target.size());
        if (o_->block_experts() && s.specialisation.empty())
          for (const auto& layer : layer_specialisation(t, o_->experts))
            s.specialisation.push_back(layer.score), s.at_random.push_back(layer.at_random);
        if (o_->mode == "topk") add_load(t, d, load);
      }
    }
    t.reset();
    double all = 0, n = 0;
    for (std::size_t d = 0; d < domains; ++d) {
      s.domain_loss.push_back(count[d] > 0 ? sum[d] / count[d] : NAN);
      all += sum[d], n += count[d];
    }
    s.loss = all / n;
    for (auto& layer : load)
      for (auto& row : layer) {
        double slots = 0;
        for (const double v : row) slots += v;
        for (double& v : row) v /= slots > 0 ? slots : 1;
      }
    s.load = std::move(load);
    return s;
  }

  /// A line of the log; what was summed since the last one starts anew.
  json record(const scores& s) {
    json line{{"step", step}, {"tokens", tokens}, {"lr", learning_rate()}};
    const auto mean = [&](double sum) { return steps_since_ > 0 ? json(sum / steps_since_) : json(nullptr); };
    line["train_loss"] = mean(sum_), line["grad_norm"] = o_->clip > 0 ? mean(norm_) : json(nullptr);
    line["valid_loss"] = s.loss, line["perplexity"] = std::exp(s.loss);
    for (std::size_t d = 0; d < data_->domains.size(); ++d)
      line["domain_perplexity"][data_->domains[d]] = std::exp(s.domain_loss[d]);
    if (!s.specialisation.empty()) line["specialisation"] = s.specialisation, line["at_random"] = s.at_random;
    if (penalised()) line["orthogonality_loss"] = mean(penalty_), line["strengths"] = controller_.strengths();
    if (o_->mode == "topk") {
      line["balance_loss"] = mean(penalty_), line["load"] = s.load;
      for (const auto& layer : s.load) line["information"].push_back(mutual_information(layer));
    }
    if (o_->has_ghosts()) {
      line["ghosts"] = json::array();
      for (const auto& g : ghosts_) {
        json rates = json::array();
        for (const double level : g.level)
          rates.push_back(learning_rate() * rules_.rate_of(level, schedule_(step)));
        line["ghosts"].push_back({{"levels", g.level},
                                  {"lr", rates},
                                  {"saturation", g.saturation},
                                  {"mean", g.mean},
                                  {"orthogonality", g.orthogonality}});
      }
    }
    line["seconds"] = seconds, line["tokens_per_second"] = seconds > 0 ? double(tokens) / seconds : 0;
    sum_ = penalty_ = norm_ = steps_since_ = 0;
    return line;
  }

  void save(modx::io::checkpoint_store& store) const {
    modx::named_values<float> values;
    json updates;
    for (const auto list : {model_.parameters(), model_.states()})
      for (auto* p : list) {
        values.emplace_back(p->name(), p->host());
        for (int i = 0; i < 2; ++i)
          if (p->has_moment(i)) {
            modx::matrix<float> moment(p->rows(), p->cols());
            p->backend().download(moment.data.data(), p->moment(i), p->size() * sizeof(float));
            values.emplace_back(p->name() + (i ? "#v" : "#m"), std::move(moment));
          }
        updates[p->name()] = p->updates;
      }
    const json meta{{"options", to_json(*o_)},
                    {"tokens", tokens},
                    {"seconds", seconds},
                    {"epoch", epoch_},
                    {"whole", whole_},
                    {"next", next_},
                    {"best", bits(best)},
                    {"sums", {bits(sum_), bits(penalty_), bits(norm_), bits(steps_since_)}},
                    {"boosts", bits(controller_.boosts)},
                    {"scores", bits(controller_.scores)},
                    {"losses", bits(controller_.losses)},
                    {"adapted", controller_.step},
                    {"collapsed", controller_.collapsed},
                    {"plateaued", controller_.plateaued},
                    {"updates", updates}};
    store.save(step, modx::io::entries_of(values), meta);
  }

  void restore(const modx::io::checkpoint& c) {
    const std::string where = "the checkpoint of step " + std::to_string(c.step);
    std::size_t used = 0;
    try {
      const auto& meta = c.meta;
      const auto find = [&](const std::string& name) -> const modx::io::tensor_entry* {
        for (const auto& t : c.file.list())
          if (t.name == name) return ++used, &t;
        return nullptr;
      };
      for (const auto list : {model_.parameters(), model_.states()})
        for (auto* p : list) {
          const auto* value = find(p->name());
          if (!value) throw modx::error(where, "a tensor '" + p->name() + "'", "none");
          p->set(modx::io::matrix_of<float>(*value));
          p->updates = meta.at("updates").at(p->name()).get<std::uint64_t>();
          for (int i = 0; i < 2; ++i)
            if (const auto* moment = find(p->name() + (i ? "#v" : "#m"))) {
              const auto values = modx::io::matrix_of<float>(*moment);
              modx::expect_equal(where.c_str(), "values of a moment", p->size(), values.data.size());
              p->backend().upload(p->moment(i), values.data.data(), p->size() * sizeof(float));
            }
        }
      modx::expect_equal(where.c_str(), "tensors of this model", used, c.file.list().size());
      step = c.step;
      tokens = meta.at("tokens").get<std::uint64_t>(), seconds = meta.at("seconds").get<double>();
      best = number(meta.at("best"));
      sum_ = number(meta.at("sums").at(0)), penalty_ = number(meta.at("sums").at(1));
      norm_ = number(meta.at("sums").at(2)), steps_since_ = number(meta.at("sums").at(3));
      controller_.boosts = numbers(meta.at("boosts"));
      controller_.scores = numbers(meta.at("scores")), controller_.losses = numbers(meta.at("losses"));
      controller_.step = meta.at("adapted").get<std::uint64_t>();
      controller_.collapsed = meta.at("collapsed").get<bool>(),
      controller_.plateaued = meta.at("plateaued").get<bool>();
      modx::expect_equal(where.c_str(), "layers", o_->layers, controller_.boosts.size());
      epoch_ = meta.at("epoch").get<std::size_t>();
      if (epoch_) --epoch_, begin_epoch(meta.at("whole").get<bool>());
      next_ = meta.at("next").get<std::size_t>();
      if (next_ > batches_.size()) throw modx::error(where, "a batch of the epoch", std::to_string(next_));
    } catch (const nlohmann::json::exception& e) {
      throw modx::error(where, "the state of a run", e.what());
    }
  }

 private:
  bool penalised() const { return o_->is_orthogonal() && o_->orthogonality > 0; }

  /// Doubles as whole numbers: JSON has no infinity.
  static json bits(double x) { return std::bit_cast<std::uint64_t>(x); }
  static json bits(const std::vector<double>& list) {
    json out = json::array();
    for (const double x : list) out.push_back(bits(x));
    return out;
  }
  static double number(const nlohmann::json& j) { return std::bit_cast<double>(j.get<std::uint64_t>()); }
  static std::vector<double> numbers(const nlohmann::json& list) {
    std::vector<double> out;
    for (const auto& j : list) out.push_back(number(j));
    return out;
  }

  void begin_epoch(bool whole) {
    whole_ = whole;
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < data_->train.sequences.size(); ++i)
      if (whole || data_->train.sequences[i].domain != appearing_domain) order.push_back(i);
    modx::shuffle(order, modx::random_stream(o_->seed, "order", epoch_));
    batches_ = data_->train.batches(order, o_->batch_tokens);
    ++epoch_, next_ = 0;
  }
  const std::vector<std::size_t>& next_batch() {
    const bool whole = step >= o_->appear;
    if (next_ == batches_.size() || whole != whole_) begin_epoch(whole);
    return batches_[next_++];
  }

  void add_load(modx::tape<modx::cpu>& t, std::size_t domain,
                std::vector<std::vector<std::vector<double>>>& load) const {
    load.resize(o_->layers, std::vector(data_->domains.size(), std::vector<double>(o_->experts)));
    std::size_t layer = o_->layers;
    for (auto* r = modx::routings(t); r && layer; r = r->next) {
      auto& row = load[--layer][domain];
      for (std::size_t i = 0; i < r->all.rows() * r->k; ++i) row[std::size_t(r->ids[i])] += 1;
    }
  }
};

}  // namespace moe_lm
