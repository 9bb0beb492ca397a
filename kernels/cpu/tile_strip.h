// Strips of a volume, a few rows [y] of neighbouring tiles along x, copied into columns along z and back.
//
// The planes of a volume lie far apart, often by a power of two: single tiles, one cache line a row, find neither caches
// nor open pages of memory. A strip reads and writes whole runs of rows, three times as fast, and its columns stay in
// the outer caches while its tiles are worked on.
#pragma once

#include <algorithm>
#include <cstdint>

#include "aligned_buffer.h"
#include "grid.h"
#include "tile.h"
#include "transposition.h"

namespace sinograd {

// How tiles are cut into strips: as long as gives every thread some of them.
struct Strips {
  static constexpr int64_t kMostTiles = 16, kForAThread = 8;

  Strips(const Grid& grid, int threads) : across((grid.x.count + kTileX - 1) / kTileX) {
    rows = count_tiles(grid) / across;
    tiles = std::min(std::clamp<int64_t>(across * rows / (kForAThread * threads), 1, kMostTiles), across);
    in_row = (across + tiles - 1) / tiles;
  }

  int64_t count() const { return rows * in_row; }
  int64_t first(int64_t strip) const { return strip / in_row * across + strip % in_row * tiles; }  // of its tiles
  int64_t size(int64_t strip) const { return std::min(tiles, across - strip % in_row * tiles); }

  int64_t across, rows, tiles, in_row;
};

template <class T>
class Strip {
 public:
  Strip(T* volume, const Grid& grid, const Transposition<T>& transposed, int64_t tiles)
      : volume_(volume),
        grid_(grid),
        transposed_(transposed),
        stride_(line_stride(std::min(grid.z.count, kTileZ))),
        buffer_(tiles * kTileX * kTileY * stride_) {}

  // Tiles [first, first + count), all in one row of tiles.
  void load(int64_t first, int64_t count) {
    begin(first, count);
    each_block([&](T* columns, T* voxels, int64_t slices) {
      transposed_.copy(voxels, plane(), columns, stride_, slices, width_);
    });
  }

  void store() {
    each_block([&](T* columns, T* voxels, int64_t slices) {
      transposed_.copy(columns, stride_, voxels, plane(), width_, slices);
    });
  }

  // The first voxel of a column of the volume, which goes on along z.
  T* column(int64_t y, int64_t x) { return buffer_.data() + ((y - start_.y0) * width_ + x - start_.x0) * stride_; }

 private:
  static constexpr int64_t kSlices = 16;  // of a block

  int64_t plane() const { return grid_.y.count * grid_.x.count; }

  void begin(int64_t first, int64_t count) {
    start_ = tile_of(grid_, first);
    const Tile last = tile_of(grid_, first + count - 1);
    width_ = last.x0 + last.nx - start_.x0;
  }

  template <class Copy>
  void each_block(Copy copy) {
    for (int64_t z = 0; z < start_.nz; z += kSlices)
      for (int64_t y = 0; y < start_.ny; ++y)
        copy(column(start_.y0 + y, start_.x0) + z,
             volume_ + ((start_.z0 + z) * grid_.y.count + start_.y0 + y) * grid_.x.count + start_.x0,
             std::min(kSlices, start_.nz - z));
  }

  T* volume_;
  const Grid& grid_;
  const Transposition<T>& transposed_;
  int64_t stride_;
  AlignedBuffer<T> buffer_;
  Tile start_{};
  int64_t width_ = 0;
};

}  // namespace sinograd
