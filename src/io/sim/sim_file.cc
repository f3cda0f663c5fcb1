// SPDX-License-Identifier: Apache-2.0
#include "io/sim/sim_file.h"

#include <algorithm>
#include <cstring>

namespace fb::sim {

bool SimFile::synced_sector(uint64_t sector) const {
  const auto page = pages_.find(sector / kSectorsPerPage);
  return page != pages_.end() && page->second != nullptr && !unsynced_.contains(sector);
}

bool SimFile::settled(uint64_t offset, uint64_t length) const {
  if (offset + length > durable_size_) return false;
  for (uint64_t page = offset / kPageSize; page * kPageSize < offset + length; ++page) {
    const auto found = pages_.find(page);
    if (found == pages_.end() || found->second == nullptr || unsettled_.contains(page)) return false;
  }
  return true;
}

bool SimFile::unreadable(uint64_t offset, uint64_t length) const {
  const auto first = unreadable_.lower_bound(offset / kSectorSize);
  return first != unreadable_.end() && *first * kSectorSize < offset + length;
}

std::span<std::byte> SimFile::sector_bytes(uint64_t sector) {
  std::unique_ptr<Page>& page = pages_[sector / kSectorsPerPage];
  if (page == nullptr) {
    page = std::make_unique<Page>();
    unsettled_.insert(sector / kSectorsPerPage);
  }
  return std::span(*page).subspan(sector % kSectorsPerPage * kSectorSize, kSectorSize);
}

SimFile::Sector SimFile::copy_of(uint64_t sector) const {
  Sector copy{};
  const auto page = pages_.find(sector / kSectorsPerPage);
  if (page != pages_.end() && page->second != nullptr) {
    std::memcpy(copy.data(), page->second->data() + sector % kSectorsPerPage * kSectorSize, kSectorSize);
  }
  return copy;
}

size_t SimFile::read(uint64_t offset, std::span<std::byte> out) const {
  if (offset >= size_) return 0;
  const size_t length = std::min<uint64_t>(out.size(), size_ - offset);
  for (size_t done = 0; done < length;) {
    const uint64_t at = offset + done;
    const size_t inside = at % kPageSize;
    const size_t piece = std::min(length - done, kPageSize - inside);
    const auto page = pages_.find(at / kPageSize);
    if (page != pages_.end() && page->second != nullptr) {
      std::memcpy(out.data() + done, page->second->data() + inside, piece);
    } else {
      std::memset(out.data() + done, 0, piece);
    }
    done += piece;
  }
  return length;
}

void SimFile::remember_durable(uint64_t sector) {
  unsynced_.try_emplace(sector, Unsynced{copy_of(sector), write_number_});
}

void SimFile::change(uint64_t sector, size_t offset, std::span<const std::byte> data, bool durable,
                     Random& random) {
  if (durable) {
    unsynced_.erase(sector);
  } else {
    const auto [entry, fresh] = unsynced_.try_emplace(sector);
    // The earlier unsynced version may have been written back meanwhile, whenever the kernel chose.
    if (fresh || (!entry->second.lost && random.coin())) entry->second.durable = copy_of(sector);
    entry->second.lost = false;
    entry->second.write_number = write_number_;
  }
  unreadable_.erase(sector);
  std::memcpy(sector_bytes(sector).data() + offset, data.data(), data.size());
}

void SimFile::set_size(uint64_t size, bool durable) {
  size_ = size;
  if (durable) durable_size_ = size;
}

void SimFile::write(uint64_t offset, std::span<const std::byte> data, bool durable, Random& random) {
  ++write_number_;
  for (size_t done = 0; done < data.size();) {
    const uint64_t at = offset + done;
    const size_t inside = at % kSectorSize;
    const size_t piece = std::min(data.size() - done, kSectorSize - inside);
    change(at / kSectorSize, inside, data.subspan(done, piece), durable, random);
    done += piece;
  }
  const uint64_t end = offset + data.size();
  if (end > size_) set_size(end, durable);
  if (durable && !data.empty())
    unsettled_.erase(unsettled_.lower_bound(offset / kPageSize),
                     unsettled_.upper_bound((end - 1) / kPageSize));
  // The inode is written as a whole: a durable write beyond the durable size makes the present size durable.
  if (durable && end > durable_size_) durable_size_ = size_;
}

void SimFile::write_torn(uint64_t offset, std::span<const std::byte> data, uint32_t unreadable_ppm,
                         Random& random, FaultCounts& counts) {
  const uint64_t kept_in_8 = random.below(9);
  size_t kept = 0;
  size_t dropped = 0;
  for (size_t done = 0; done < data.size();) {
    const size_t piece = std::min(data.size() - done, kSectorSize - (offset + done) % kSectorSize);
    if (random.below(8) < kept_in_8) {
      write(offset + done, data.subspan(done, piece), random.coin(), random);
      ++kept;
    } else {
      ++dropped;
      const uint64_t sector = (offset + done) / kSectorSize;
      if ((sector + 1) * kSectorSize <= size_ && random.chance(unreadable_ppm)) {
        make_unreadable(sector);
        counts.add(Fault::sector_unreadable);
      }
    }
    done += piece;
  }
  if (kept > 0 && dropped > 0) counts.add(Fault::write_torn);
}

void SimFile::flip_bit(uint64_t byte_offset, unsigned bit) {
  const uint64_t sector = byte_offset / kSectorSize;
  sector_bytes(sector)[byte_offset % kSectorSize] ^= static_cast<std::byte>(1U << bit);
}

void SimFile::allocate(uint64_t offset, uint64_t length) {
  for (uint64_t page = offset / kPageSize; page * kPageSize < offset + length; ++page)
    pages_.try_emplace(page);
  if (offset + length > size_) set_size(offset + length, false);
}

void SimFile::truncate(uint64_t size) {
  ++write_number_;
  if (size < size_) {
    const uint64_t first = size / kSectorSize;
    for (uint64_t sector = first; sector * kSectorSize < size_; ++sector) {
      const auto page = pages_.find(sector / kSectorsPerPage);
      if (page == pages_.end() || page->second == nullptr) {
        sector = std::max(sector, sector / kSectorsPerPage * kSectorsPerPage + kSectorsPerPage - 1);
        continue;
      }
      remember_durable(sector);
      const size_t keep = sector == first ? size % kSectorSize : 0;
      std::span<std::byte> rest = sector_bytes(sector).subspan(keep);
      std::memset(rest.data(), 0, rest.size());
    }
    pages_.erase(pages_.lower_bound((size + kPageSize - 1) / kPageSize), pages_.end());
  }
  set_size(size, false);
}

void SimFile::sync() {
  std::erase_if(unsynced_, [](const auto& entry) { return !entry.second.lost; });
  unsettled_.clear();
  durable_size_ = size_;
}

void SimFile::lose_unsynced() {
  for (auto& [sector, unsynced] : unsynced_) unsynced.lost = true;
}

size_t SimFile::lose_power(Random& random, FaultCounts& counts) {
  // Some power losses keep or drop everything, most choose sector by sector.
  const uint64_t kept_in_8 = random.coin() ? random.below(9) : random.coin() * 8;
  std::map<uint64_t, std::pair<size_t, size_t>> writes;  // kept and dropped sectors of each write
  for (auto& [sector, unsynced] : unsynced_) {
    auto& [kept, dropped] = writes[unsynced.write_number];
    if (!unsynced.lost && random.below(8) < kept_in_8) {
      ++kept;
      continue;
    }
    ++dropped;
    std::memcpy(sector_bytes(sector).data(), unsynced.durable.data(), kSectorSize);
  }
  size_t all_dropped = 0;
  for (const auto& [number, fate] : writes) {
    all_dropped += fate.second;
    counts.add(Fault::sector_kept, fate.first);
    counts.add(Fault::sector_dropped, fate.second);
    if (fate.first > 0 && fate.second > 0) counts.add(Fault::write_torn);
  }
  unsynced_.clear();
  if (size_ != durable_size_ && random.below(8) >= kept_in_8) {
    counts.add(Fault::size_dropped);
    size_ = durable_size_;
  }
  durable_size_ = size_;
  // Nothing lies beyond the end.
  if (size_ % kSectorSize != 0 && pages_.contains(size_ / kPageSize)) {
    std::span<std::byte> tail = sector_bytes(size_ / kSectorSize).subspan(size_ % kSectorSize);
    std::memset(tail.data(), 0, tail.size());
  }
  for (uint64_t sector = (size_ + kSectorSize - 1) / kSectorSize; sector % kSectorsPerPage != 0; ++sector) {
    if (!pages_.contains(sector / kSectorsPerPage)) break;
    std::memset(sector_bytes(sector).data(), 0, kSectorSize);
  }
  pages_.erase(pages_.lower_bound((size_ + kPageSize - 1) / kPageSize), pages_.end());
  return all_dropped;
}

}  // namespace fb::sim
