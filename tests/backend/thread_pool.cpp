// thread_pool: every item once, nesting, exceptions, denormal mode, many jobs, concurrent callers.
#include "modx/backend/cpu/thread_pool.hpp"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"

using modx::kernels::thread_pool;

TEST_CASE("thread_pool calls each item exactly once", "[thread_pool]") {
  for (int threads = 1; threads <= 4; ++threads) {
    thread_pool pool(threads);
    REQUIRE(pool.size() == threads);
    for (std::size_t items : {0u, 1u, 2u, 3u, 7u, 64u, 1000u}) {
      std::vector<std::atomic<int>> calls(items);
      pool.run(items, [&](std::size_t i) { ++calls[i]; });
      std::size_t once = 0;
      for (auto& c : calls) once += c == 1;
      CHECK(once == items);
    }
  }
}

TEST_CASE("thread_pool uses its threads", "[thread_pool]") {
  thread_pool pool(3);
  std::atomic<int> waiting{0};
  std::vector<std::thread::id> ids(3);
  pool.run(3, [&](std::size_t i) {  // three items that only end together need three threads
    ids[i] = std::this_thread::get_id();
    ++waiting;
    while (waiting < 3) std::this_thread::yield();
  });
  CHECK(ids[0] != ids[1]);
  CHECK(ids[1] != ids[2]);
  CHECK(ids[0] != ids[2]);
}

TEST_CASE("thread_pool returns only when the slowest item is done", "[thread_pool]") {
  thread_pool pool(2);
  const auto caller = std::this_thread::get_id();
  for (int round = 0; round < 3; ++round) {
    std::atomic<int> waiting{0}, done{0};
    pool.run(2, [&](std::size_t) {
      ++waiting;
      while (waiting < 2) std::this_thread::yield();
      if (std::this_thread::get_id() != caller) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ++done;
    });
    CHECK(done == 2);
  }
}

TEST_CASE("thread_pool runs many small jobs", "[thread_pool]") {
  thread_pool pool(4);
  std::atomic<std::size_t> sum{0};
  for (std::size_t job = 0; job < 20000; ++job) pool.run(2 + job % 5, [&](std::size_t i) { sum += i + 1; });
  CHECK(sum == 4000 * (3 + 6 + 10 + 15 + 21));
}

TEST_CASE("thread_pool wakes sleeping workers", "[thread_pool]") {
  thread_pool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int> waiting{0};
    pool.run(2, [&](std::size_t) {
      ++waiting;
      while (waiting < 2) std::this_thread::yield();
    });
    CHECK(waiting == 2);
  }
}

TEST_CASE("thread_pool: a nested run is inline on the same thread", "[thread_pool]") {
  thread_pool pool(3), other(2);
  std::atomic<int> inner{0}, strangers{0};
  pool.run(8, [&](std::size_t) {
    const auto self = std::this_thread::get_id();
    const auto count = [&](std::size_t) {
      ++inner;
      strangers += std::this_thread::get_id() != self;
      std::this_thread::sleep_for(
          std::chrono::microseconds(200));  // time for others to join, were it allowed
    };
    pool.run(5, count);
    other.run(5, count);
  });
  CHECK(inner == 80);
  CHECK(strangers == 0);
}

TEST_CASE("thread_pool serves concurrent callers", "[thread_pool]") {
  thread_pool pool(3);
  std::atomic<int> good{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int job = 0; job < 300; ++job) {
        std::atomic<int> calls{0};
        pool.run(10, [&](std::size_t) {
          std::this_thread::yield();
          ++calls;
        });
        good += calls == 10;
      }
    });
  }
  for (auto& c : callers) c.join();
  CHECK(good == 900);
}

TEST_CASE("thread_pool: the lowest item's exception comes out and the pool stays usable", "[thread_pool]") {
  for (int threads : {1, 2, 4}) {
    thread_pool pool(threads);
    for (int round = 0; round < 20; ++round) {
      std::string what;
      try {
        pool.run(50, [](std::size_t i) {
          if (i % 7 == 3) throw std::runtime_error("item " + std::to_string(i));
        });
      } catch (const std::runtime_error& e) {
        what = e.what();
      }
      CHECK(what == "item 3");
      std::atomic<int> calls{0};
      pool.run(9, [&](std::size_t) { ++calls; });
      CHECK(calls == 9);
    }
  }
}

TEST_CASE("thread_pool: the lowest exception wins even when it comes last", "[thread_pool]") {
  thread_pool pool(2);
  std::atomic<bool> thrown{false};
  std::string what;
  try {
    pool.run(2, [&](std::size_t i) {
      if (i == 1) {
        thrown = true;
        throw std::runtime_error("second");
      }
      while (!thrown) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      throw std::runtime_error("first");
    });
  } catch (const std::runtime_error& e) {
    what = e.what();
  }
  CHECK(what == "first");
}

TEST_CASE("thread_pool accepts move-only and const functions", "[thread_pool]") {
  thread_pool pool(2);
  std::atomic<int> sum{0};
  pool.run(4, [p = std::make_unique<int>(3), &sum](std::size_t) { sum += *p; });
  const auto add = [&sum](std::size_t) { ++sum; };
  pool.run(4, add);
  CHECK(sum == 16);
}

TEST_CASE("thread_pool refuses a number of threads that makes no sense", "[thread_pool]") {
  for (int threads : {0, -1, 1025, 1 << 30}) {
    std::string what;
    try {
      thread_pool pool(threads);
    } catch (const modx::error& e) {
      what = e.what();
    }
    CHECK(what == "modx: thread_pool: expected 1 to 1024 threads, found " + std::to_string(threads));
  }
}

#if defined(__SSE2__)
TEST_CASE("thread_pool flushes denormals inside run() only", "[thread_pool]") {
  volatile float tiny = 1e-30f;
  const float before = tiny * 1e-10f;
  REQUIRE(before > 0);
  for (int threads : {1, 2, 4}) {
    thread_pool pool(threads);
    for (int items : {1, threads}) {  // as many items as threads, ending together: every thread has one
      std::atomic<int> alive{0}, waiting{0};
      pool.run(static_cast<std::size_t>(items), [&](std::size_t) {
        ++waiting;
        while (waiting < items && threads > 1) std::this_thread::yield();
        alive += tiny * 1e-10f != 0;
      });
      CHECK(alive == 0);
      CHECK(tiny * 1e-10f == before);
    }
  }
}
#endif
