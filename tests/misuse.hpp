// A table of wrong (and odd) uses: each throws modx::error with these words, or does what its function checks.
#pragma once
#include <modx/tape.hpp>
#include <set>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

namespace misuse {

struct row {
  std::string operation, how;
  std::function<void()> use;
  std::string says;  // part of the error's text; "": no error, `use` checks what happens instead
};
using table = std::vector<row>;

inline void run(const table& rows) {
  std::set<std::string> names;
  for (const auto& r : rows) {
    CAPTURE(r.operation, r.how, r.says);
    CHECK(names.insert(r.operation + ": " + r.how).second);  // each row once
#if defined(__SANITIZE_ADDRESS__)
    if (support::contains(r.says, "bytes of memory")) continue;  // there operator new ends the program instead
#endif
    std::string said;
    try {
      r.use();
    } catch (const modx::error& e) {
      said = e.what();
    } catch (const std::exception& e) {
      said = std::string("not a modx::error: ") + e.what();
    }
    CAPTURE(said);
    CHECK(said.empty() == r.says.empty());
    CHECK(support::contains(said, r.says));
  }
}

}  // namespace misuse
