// Memory aligned to cache lines, not initialised unless asked. Large buffers ask for large pages: kernels jump between
// lines that lie pages apart, and fewer pages are quicker to get as well.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace sinograd {

template <class T>
class AlignedBuffer {
 public:
  explicit AlignedBuffer(int64_t count)
      : count_(count),
        alignment_(bytes() >= 8 * kLargePage ? kLargePage : 64),
        data_(static_cast<T*>(::operator new(bytes(), std::align_val_t(alignment_)))) {
#if defined(MADV_HUGEPAGE)
    // whole pages only; where the system refuses, small pages do
    if (alignment_ == kLargePage) madvise(data_, bytes() / kLargePage * kLargePage, MADV_HUGEPAGE);
#endif
  }
  ~AlignedBuffer() { ::operator delete(data_, std::align_val_t(alignment_)); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  void zero() { std::memset(data_, 0, bytes()); }

 private:
  static constexpr size_t kLargePage = size_t(1) << 21;

  size_t bytes() const { return sizeof(T) * size_t(count_); }

  int64_t count_;
  size_t alignment_;
  T* data_;
};

}  // namespace sinograd
