// Arithmetic in steps: a language model writes a program, and experts answer its steps.
#include "../program/run.hpp"
#include "run.hpp"

int main(int argc, char** argv) {
  CLI::App app{
      "A language model decomposes an expression into a program; RED, MoE and others answer its steps.\n"
      "Exit status: 0 done (or stopped by Ctrl-C with everything saved), 1 failed, 2 wrong options.\n",
      "step_decomposer"};
  step_decomposer::options o;
  std::string expression;
  declare(app, o);
  const auto* ask = app.add_option("--ask", expression,
                                   "program, steps and answer of the run in --save-dir for this expression, "
                                   "or for each line of standard input")
                        ->expected(0, 1)
                        ->capture_default_str()
                        ->type_name("TEXT");
  if (const auto status = program::parse(app, argc, argv)) return *status;
  if (const auto wrong = contradiction(o); !o.resume && !ask->count() && !wrong.empty()) {
    std::fprintf(stderr, "%s\n", wrong.c_str());
    return 2;
  }
  return program::guarded("step_decomposer", "--resume --save-dir " + o.save_dir, [&] {
    return ask->count() ? step_decomposer::ask(o, app, expression) : step_decomposer::run(o, app);
  });
}
