// Power cuts, simulated: every prefix of the system calls of a save, with every sort of loss of what was not
// yet fsynced.
#include <modx/io/checkpoint.hpp>

#include "catch.hpp"
#include "io_support.hpp"

using namespace modx::io;
using namespace modx::test;

namespace {

/// One call that changed the disk.
struct change {
  enum kind { create, write, reserve, truncate, sync_file, rename, unlink, sync_folder, acknowledge } what;
  int file = -1;  // which inode
  std::string name, to, bytes;
  off_t size = 0;
};

/// Makes the real calls and writes down those that change the disk.
class recorder : public syscalls {
 public:
  std::vector<change> log;

  int open_at(int d, const char* n, int f, mode_t m) override {
    const int fd = syscalls::open_at(d, n, f, m);
    if (fd >= 0 && (f & O_CREAT)) {
      files_[fd] = next_++;
      log.push_back({change::create, files_[fd], n, {}, {}});
    } else if (fd >= 0) {
      files_[fd] = -1;
    }
    return fd;
  }
  int duplicate(int fd) override {
    const int copy = syscalls::duplicate(fd);
    if (copy >= 0) files_[copy] = files_[fd];
    return copy;
  }
  int reserve(int fd, off_t n) override {
    return note({change::reserve, files_[fd], {}, {}, {}, n}), syscalls::reserve(fd, n);
  }
  ssize_t write(int fd, const void* p, std::size_t n) override {
    const auto done = syscalls::write(fd, p, std::min<std::size_t>(n, 300));  // several pieces
    note({change::write,
          files_[fd],
          {},
          {},
          std::string(static_cast<const char*>(p), static_cast<std::size_t>(done))});
    return done;
  }
  int truncate(int fd, off_t n) override {
    return note({change::truncate, files_[fd], {}, {}, {}, n}), syscalls::truncate(fd, n);
  }
  int sync(int fd) override {
    note({files_[fd] < 0 ? change::sync_folder : change::sync_file, files_[fd], {}, {}, {}});
    return syscalls::sync(fd);
  }
  int rename_at(int d, const char* a, const char* b) override {
    return note({change::rename, -1, a, b, {}}), syscalls::rename_at(d, a, b);
  }
  int unlink_at(int d, const char* n) override {
    return note({change::unlink, -1, fs::path(n).filename().string(), {}, {}}), syscalls::unlink_at(d, n);
  }
  void note(change c) { log.push_back(std::move(c)); }

 private:
  std::map<int, int> files_;
  int next_ = 0;
};

/// A disk: what programs see, and what is sure to survive.
struct disk {
  struct inode {
    std::string now, durable;
    std::size_t position = 0;
  };
  std::map<int, inode> files;
  std::map<std::string, int> durable_names, names_now;
  std::vector<change> pending_names;  // in order, not yet fsynced

  void apply(change c) {
    if (c.what == change::rename) c.file = names_now.at(c.name);
    rename_in(names_now, c);
    switch (c.what) {
      case change::create:
        files[c.file] = {};
        pending_names.push_back(c);
        break;
      case change::write: {
        auto& f = files[c.file];
        f.now.resize(std::max(f.now.size(), f.position + c.bytes.size()));
        f.now.replace(f.position, c.bytes.size(), c.bytes);
        f.position += c.bytes.size();
        break;
      }
      case change::reserve:
      case change::truncate:
        files[c.file].now.resize(static_cast<std::size_t>(c.size));
        break;
      case change::sync_file:
        files[c.file].durable = files[c.file].now;
        break;
      case change::rename:
      case change::unlink:
        pending_names.push_back(c);
        break;
      case change::sync_folder:
        for (const auto& p : pending_names) rename_in(durable_names, p);
        pending_names.clear();
        break;
      case change::acknowledge:
        break;
    }
  }
  static void rename_in(std::map<std::string, int>& names, const change& c) {
    if (c.what == change::create) names[c.name] = c.file;
    if (c.what == change::unlink) names.erase(c.name);
    if (c.what == change::rename) names[c.to] = c.file, names.erase(c.name);
  }

  enum loss { none, all, zeros, half, tail_zero, losses };
  static std::string after(const inode& f, int how) {
    if (f.now == f.durable) return f.durable;
    switch (how) {
      case none:
        return f.now;
      case all:
        return f.durable;
      case zeros:
        return std::string(f.now.size(), '\0');
      case half:
        return f.now.substr(0, f.now.size() / 2);
      default:
        return f.now.substr(0, f.now.size() / 2) + std::string(f.now.size() - f.now.size() / 2, '\0');
    }
  }
};

}  // namespace

TEST_CASE("checkpoint: a power cut at any call, losing any unsynced part, leaves the old or the new one",
          "[io]") {
  const auto weights = [](std::uint64_t step) { return std::string(800, static_cast<char>('a' + step)); };
  const auto entry = [](const std::string& w) {
    return tensor_entry{"w", dtype::u8, {w.size()}, std::as_bytes(std::span(w.data(), w.size()))};
  };
  recorder os;
  {
    temp_folder dir;
    checkpoint_store store(dir.path(), "m", 2, os);
    for (const std::uint64_t step : {1, 2, 3, 4, 4, 5, 6, 7, 8}) {
      const auto w = weights(step);
      const auto t = entry(w);
      store.save(step, std::span(&t, 1), {{"step", step}});
      os.note({change::acknowledge, -1, {}, {}, {}, static_cast<off_t>(step)});
    }
  }
  temp_folder dir;
  std::uint64_t acknowledged = 0, next = 0;
  std::size_t states = 0;
  disk d;
  for (std::size_t n = 0; n <= os.log.size(); ++n) {
    if (n > 0) {
      d.apply(os.log[n - 1]);
      if (os.log[n - 1].what == change::acknowledge)
        acknowledged = static_cast<std::uint64_t>(os.log[n - 1].size);
      next = acknowledged + 1;
    }
    const std::size_t pending = d.pending_names.size();
    REQUIRE(pending <= 8);
    for (int how = 0; how < disk::losses; ++how)
      for (std::size_t kept = 0; kept < std::size_t{1} << pending;
           ++kept) {  // any subset of the changes of names
        auto names = d.durable_names;
        for (std::size_t p = 0; p < pending; ++p)
          if (kept >> p & 1) disk::rename_in(names, d.pending_names[p]);
        for (const auto& e : fs::directory_iterator(dir.path())) fs::remove(e.path());
        for (const auto& [name, file] : names) put(dir / name, disk::after(d.files.at(file), how));
        ++states;
        INFO("after call " << n << " of " << os.log.size() << ", loss " << how << ", names " << kept);
        checkpoint_store store(dir.path(), "m", 2);
        const auto c = store.load_newest();
        if (acknowledged > 0) REQUIRE(c.has_value());
        if (!c) continue;
        REQUIRE((c->step == acknowledged || c->step == next));
        REQUIRE(c->messages.empty());  // no file in sight is torn
        const auto want = weights(c->step);
        REQUIRE(
            std::ranges::equal(c->file.at("w").bytes, std::as_bytes(std::span(want.data(), want.size()))));
        for (const auto& name : names_in(dir.path())) REQUIRE_FALSE(is_temp_name(name));
      }
  }
  WARN(states << " states of the disk after " << os.log.size() << " calls");
  CHECK(states >= 1000);
}
