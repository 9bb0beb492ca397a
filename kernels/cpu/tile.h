// Blocks of voxel columns, copied out of a volume [z][y][x] with z innermost and back: what backprojections work on.
#pragma once

#include <algorithm>
#include <cstdint>

#include "grid.h"
#include "lines.h"
#include "transposition.h"

namespace sinograd {

constexpr int64_t kTileX = 16, kTileY = 4, kTileZ = 512;
constexpr int64_t kTileElements = kTileX * kTileY * line_stride(kTileZ);

struct Tile {
  int64_t x0, y0, z0;  // first voxel
  int64_t nx, ny, nz;
};

template <class T>
void load_tile(const T* volume, const Grid& grid, const Tile& tile, T* columns, int64_t stride,
               const Transposition<T>& transposed = transposition<T>()) {
  for (int64_t y = 0; y < tile.ny; ++y) {
    const T* plane = volume + (tile.z0 * grid.y.count + tile.y0 + y) * grid.x.count + tile.x0;
    transposed.copy(plane, grid.y.count * grid.x.count, columns + y * kTileX * stride, stride, tile.nz, tile.nx);
  }
}

template <class T>
void store_tile(const T* columns, int64_t stride, T* volume, const Grid& grid, const Tile& tile,
                const Transposition<T>& transposed = transposition<T>()) {
  for (int64_t y = 0; y < tile.ny; ++y) {
    T* plane = volume + (tile.z0 * grid.y.count + tile.y0 + y) * grid.x.count + tile.x0;
    transposed.copy(columns + y * kTileX * stride, stride, plane, grid.y.count * grid.x.count, tile.nx, tile.nz);
  }
}

// Voxels are cut into tiles, counted along x first.
inline int64_t count_tiles(const Grid& grid) {
  const auto tiles = [](const Axis& axis, int64_t size) { return (axis.count + size - 1) / size; };
  return tiles(grid.x, kTileX) * tiles(grid.y, kTileY) * tiles(grid.z, kTileZ);
}

inline Tile tile_of(const Grid& grid, int64_t number) {
  const int64_t x = (grid.x.count + kTileX - 1) / kTileX, y = (grid.y.count + kTileY - 1) / kTileY;
  Tile tile{number % x * kTileX, number / x % y * kTileY, number / (x * y) * kTileZ, 0, 0, 0};
  tile.nx = std::min(kTileX, grid.x.count - tile.x0);
  tile.ny = std::min(kTileY, grid.y.count - tile.y0);
  tile.nz = std::min(kTileZ, grid.z.count - tile.z0);
  return tile;
}

}  // namespace sinograd
