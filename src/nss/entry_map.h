// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "client/types.h"

namespace fb {

// A key of a tree: its space, then the path.
struct TreeKey {
  Space space{};
  std::string_view path{};
};

// A key with its record, in one allocation.
class Entry {
 public:
  static Entry* make(TreeKey key, Version version, std::string_view record);
  static void free(Entry* entry);

  Version version() const { return version_; }
  Space space() const { return space_; }
  std::string_view path() const { return {bytes(), path_size_}; }
  std::string_view record() const { return {bytes() + path_size_, record_size_}; }
  TreeKey key() const { return {space_, path()}; }
  // With the heap's own overhead.
  size_t memory_bytes() const { return memory_bytes(path_size_, record_size_); }
  static size_t memory_bytes(size_t path_size, size_t record_size);

 private:
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  Version version_;
  uint32_t record_size_;
  uint16_t path_size_;
  Space space_;
};
static_assert(sizeof(Entry) == 16);

// Below zero, zero, above zero: by space, then by bytes.
int compare(const TreeKey& a, const TreeKey& b);

// An ordered map of entries: a B+ tree of pointers with 64-way nodes. An inner node knows the least entry
// beneath each of its children, so no key is stored twice; whoever removes or replaces such an entry updates
// it on the path down.
//
// A search reads nearly no keys: a node keeps, beside the pointers, of each key the eight bytes behind what
// all its keys have in common (its head), as a number that orders as the bytes do. Only where heads are equal
// are the keys themselves compared.
//
// One core only. Iterators are invalidated by every change.
class EntryMap {
 public:
  static constexpr unsigned kFanout = 64;
  // Memory of the nodes per entry, at the fill that random inserts reach.
  static constexpr size_t kNodeBytesPerEntry = 27;

  EntryMap() = default;
  ~EntryMap() { clear(); }
  EntryMap(const EntryMap&) = delete;
  EntryMap& operator=(const EntryMap&) = delete;

  size_t size() const { return size_; }
  const Entry* find(const TreeKey& key) const;
  // Takes `entry`; gives back the one it replaces, which the caller frees, or null.
  Entry* put(Entry* entry);
  // Takes the entry out; the caller frees it. Null where there is none.
  Entry* remove(const TreeKey& key);
  void clear();

  struct Leaf;
  class Iterator {
   public:
    Iterator() = default;
    Iterator(const Leaf* leaf, unsigned index) : leaf_(leaf), index_(index) { settle(); }
    bool at_end() const { return leaf_ == nullptr; }
    const Entry& operator*() const;
    const Entry* operator->() const { return &**this; }
    void next() {
      ++index_;
      settle();
    }

   private:
    void settle();
    const Leaf* leaf_ = nullptr;
    unsigned index_ = 0;
  };
  // The first entry not below `key`.
  Iterator lower_bound(const TreeKey& key) const;
  Iterator begin() const { return lower_bound({}); }
  // Asserts every invariant.
  void verify() const;

 private:
  struct Position {
    unsigned index;  // of the first entry not below the key
    bool equal;
  };
  // `skip` is at most what all keys have in common, the space counted as their first byte.
  struct Node {
    uint32_t count = 0;
    uint16_t skip = 0;
    bool leaf = false;
    std::array<uint64_t, kFanout> heads;
    std::array<uint16_t, kFanout> tags;   // of the keys' hashes, in leaves
    std::array<Entry*, kFanout> entries;  // in an inner node the least beneath each child

    Position find(const TreeKey& key) const;
    Entry* find_tagged(const TreeKey& key) const;
    Position find_among(const TreeKey& key, uint64_t head) const;
    void insert(unsigned index, Entry* entry);
    void set(unsigned index, Entry* entry);
    void erase(unsigned index);
    void update_heads();
    bool shares_prefix(const Entry& entry, const Entry& sibling) const;
  };

 public:
  struct Leaf : Node {
    Leaf* next = nullptr;
  };

 private:
  struct Inner : Node {
    std::array<Node*, kFanout> children;
  };
  struct Split {
    Node* right = nullptr;  // null: no split
    Entry* least = nullptr;
  };

  static unsigned child_index(const Inner& inner, const TreeKey& key);
  const Leaf* leaf_for(const TreeKey& key) const;
  Split put_into(Node& node, Entry* entry, Entry*& replaced);
  static Split insert_in_leaf(Leaf& leaf, unsigned index, Entry* entry);
  static Split insert_child(Inner& inner, unsigned index, Node* child, Entry* least);
  Entry* remove_from(Node& node, const TreeKey& key);
  static void balance(Inner& inner, unsigned left);
  static void merge_children(Inner& inner, unsigned left);
  static void free_node(Node* node, bool with_entries);
  size_t verify_node(const Node& node, unsigned depth, unsigned leaf_depth) const;

  Node* root_ = nullptr;
  size_t size_ = 0;
};

}  // namespace fb
