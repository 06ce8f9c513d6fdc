// safetensors: refused with an io_error, or every byte of the data belongs to one tensor.
#include <cstring>
#include <modx/io/safetensors.hpp>

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace modx;
  io::file_bytes bytes(size);
  if (size > 0) std::memcpy(bytes.bytes().data(), data, size);
  try {
    const io::safetensors_file file(std::move(bytes), "fuzz");
    std::size_t sum = 0;
    for (const auto& t : file.list()) {
      unsigned char all = 0;
      for (const std::byte b : t.bytes)
        all = static_cast<unsigned char>(all ^ static_cast<unsigned char>(b));  // each can be read
      sum += t.bytes.size() + (all & 0);
      fuzz::law(file.find(t.name) != nullptr);
      fuzz::law(t.bytes.size() == io::element_count(t) * io::size_of(t.type));
      if (io::element_count(t) > 4096) continue;
      try {
        fuzz::law(io::to_floats(t).size() == io::element_count(t));
      } catch (const error&) {  // a dtype that is no float's
      }
    }
    fuzz::law(sum < size);
  } catch (const io::io_error& e) {
    fuzz::law(!e.code().empty() && e.offset() <= size + 8);
  }
  return 0;
}
