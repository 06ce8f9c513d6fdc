// red_mnist's options: help, underscores, config files, and what is refused, with which exit status.
#include "catch.hpp"
#include "runs.hpp"

using namespace red_test;
using modx::test::put;
using modx::test::temp_folder;

namespace {

const std::map<std::string, std::string> defaults = {
    {"--run", "all"}, {"--profile", "fair"}, {"--device", "cpu"}, {"--data-dir", "data/mnist"},
    {"--save-dir", "runs/red-mnist"}, {"--batch-size", "128"}, {"--virtual-batch-size", "128"},
    {"--max-epochs-base", "2"}, {"--max-epochs-expert", "30"}, {"--max-epochs-router", "30"},
    {"--max-epochs-moe", "30"}, {"--lr-base", "0.001"}, {"--lr-expert", "0.003"}, {"--lr-router", "0.001"},
    {"--lr-moe", "0.001"}, {"--weight-decay", "0.0001"}, {"--patience", "3"}, {"--val-ratio", "0.1"},
    {"--base-ratio", "0.1"}, {"--hidden-dim", "128"}, {"--rank", "5"}, {"--balance", "0.01"}, {"--seed", "42"},
    {"--seeds", "3"}, {"--threads", "0"}, {"--checkpoint-seconds", "5"},
    {"--evaluate", ""}, {"--resume", ""}, {"--quiet", ""}, {"--config", ""}, {"--help", ""}};

/// The quickest run there is.
arguments shortest(const fs::path& save) {
  return small_run(save, "1", "published") + arguments{"--run", "moe", "--max-epochs-expert", "1", "--max-epochs-moe", "1"};
}

}  // namespace

TEST_CASE("red_mnist --help exits 0 and names every option with its default", "[options]") {
  const auto o = run({"--help"});
  CHECK(o.exit == 0);
  CHECK(o.err.empty());
  std::map<std::string, std::string> seen;
  std::istringstream in(o.out);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("  -")) continue;
    const auto name = line.substr(line.find("--"), line.find_first_of(" ", line.find("--")) - line.find("--"));
    const auto text = line.substr(0, line.find("  ", 2));
    const auto equals = text.rfind('=');
    seen[name] = equals == text.npos ? "" : text.substr(equals + 1);
  }
  CHECK(seen == defaults);
}

TEST_CASE("red_mnist takes underscores for hyphens, and a config file under the command line", "[options]") {
  const temp_folder folder;
  put(folder / "run.toml", "batch_size = 20\nvirtual-batch-size = 40\nmax_epochs_base = 2\nweight-decay = 0.5\nquiet = true\n");
  arguments a{"--data_dir", data().string(), "--save_dir=" + (folder / "a_b").string(), "--max_epochs_base", "1", "--batch_size=25",
              "--config", (folder / "run.toml").string(), "--profile", "published", "--run=moe", "--seeds", "1",
              "--hidden_dim", "8", "--max_epochs_expert", "1", "--max-epochs_moe", "1"};
  const auto o = finish(a);
  CHECK(o.err.empty());  // quiet
  const auto options = read_json(folder / "a_b" / "config.json").at("options");  // values keep their underscores
  CHECK(options.at("batch_size") == 25);
  CHECK(options.at("max_epochs_base") == 1);
  CHECK(options.at("virtual_batch_size") == 40);
  CHECK(options.at("weight_decay") == 0.5);
  CHECK(options.at("lr_base") == 1e-3);
}

TEST_CASE("red_mnist refuses wrong options with exit 2, names them, and touches nothing", "[options]") {
  const temp_folder folder;
  const auto save = folder / "run";
  const std::vector<arguments> wrong = {
      {"--batchsize", "3"}, {"--batch-size", "0"}, {"--batch-size", "many"}, {"--batch-size", "-1"}, {"--batch-size", "1.5"},
      {"--batch-size"}, {"--virtual-batch-size", "0"}, {"--max-epochs-base", "0"}, {"--max-epochs-moe", "x"},
      {"--lr-base", "0"}, {"--lr-base", "-1"}, {"--lr-expert", "nan"}, {"--lr-router", "inf"}, {"--lr-moe", "fast"},
      {"--weight-decay", "-0.1"}, {"--weight-decay", "nan"}, {"--balance", "inf"}, {"--patience", "-1"},
      {"--val-ratio", "0.95"}, {"--val-ratio", "nan"}, {"--base-ratio", "2"}, {"--base-ratio", "nan"},
      {"--hidden-dim", "0"}, {"--hidden-dim", "2000000000"}, {"--rank", "0"}, {"--seed", "-1"}, {"--seeds", "0"}, {"--threads", "-1"},
      {"--checkpoint-seconds", "-1"}, {"--checkpoint-seconds", "nan"}, {"--run", "everything"}, {"--profile", "Fair"},
      {"--device", "tpu"}, {"stray"}, {"--config", (folder / "absent.toml").string()}};
  for (const auto& options : wrong) {
    CAPTURE(options);
    const auto o = run(small_run(save) + options);
    CHECK(o.exit == 2);
    CHECK(contains(o.err, options[0]));
    CHECK(o.out.empty());
  }
  for (const std::string line : {"batchsize = 3", "batch-size = 0", "lr-base = \"fast\"", "[extra]\nbatch-size = 3", "seeds = [1, 2]",
                                 "seed = nan", "profile = \"foul\""}) {
    CAPTURE(line);
    put(folder / "run.toml", "patience = 2\n" + line + "\n");
    const auto o = run({"--data-dir", data().string(), "--save-dir", save.string(), "--config", (folder / "run.toml").string()});
    CHECK(o.exit == 2);
    const auto at = line.find(" =");
    CHECK(contains(o.err, line.starts_with("[") ? "extra" : line.substr(0, at)));
    CHECK(o.out.empty());
  }
  CHECK_FALSE(fs::exists(save));
}

TEST_CASE("red_mnist --device cuda runs there, or says in one line why not", "[options]") {
  const temp_folder folder;
  const auto o = run(shortest(folder / "run") + arguments{"--device", "cuda"});
#ifdef MODX_CUDA
  if (o.exit == 0) return;  // there is a device
  CHECK(contains(o.err, "red_mnist: modx: cuda: expected "));
#else
  CHECK(contains(o.err, "--device cuda: expected a modx built with the CUDA backend"));
  CHECK(contains(o.err, "--device cpu"));
#endif
  CHECK(o.exit == 1);
  CHECK(std::count(o.err.begin(), o.err.end(), '\n') == 1);
  CHECK_FALSE(fs::exists(folder / "run"));
}

TEST_CASE("a fair run without validation rows is refused before anything is written", "[options]") {
  const temp_folder folder;
  const auto o = run(small_run(folder / "run") + arguments{"--val-ratio", "0"});
  CHECK(o.exit == 1);
  CHECK(contains(o.err, "--val-ratio"));
  CHECK_FALSE(fs::exists(folder / "run"));
  CHECK(run(shortest(folder / "published") + arguments{"--val-ratio", "0"}).exit == 0);  // published looks at none
}
