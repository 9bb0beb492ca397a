// Memory aligned to cache lines, not initialised unless asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

namespace sinograd {

template <class T>
class AlignedBuffer {
 public:
  explicit AlignedBuffer(int64_t count)
      : data_(static_cast<T*>(::operator new(sizeof(T) * size_t(count), std::align_val_t(64)))), count_(count) {}
  ~AlignedBuffer() { ::operator delete(data_, std::align_val_t(64)); }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  T* data() { return data_; }
  void zero() { std::memset(data_, 0, sizeof(T) * size_t(count_)); }

 private:
  T* data_;
  int64_t count_;
};

}  // namespace sinograd
