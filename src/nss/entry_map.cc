// SPDX-License-Identifier: Apache-2.0
#include "nss/entry_map.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "base/units.h"
#include "client/namespace_client.h"

namespace fb {
namespace {

constexpr size_t kHeapOverhead = 8;
constexpr size_t kHeapAlignment = 16;
constexpr unsigned kFillMin = EntryMap::kFanout / 4;  // a removal that leaves less balances with a neighbour
constexpr unsigned kMergeAtMost = EntryMap::kFanout * 3 / 4;  // both together: then they merge

template <class Array, class T>
void insert_at(Array& array, unsigned count, unsigned index, T value) {
  std::move_backward(array.begin() + index, array.begin() + count, array.begin() + count + 1);
  array[index] = value;
}

template <class Array>
void erase_at(Array& array, unsigned count, unsigned index) {
  std::move(array.begin() + index + 1, array.begin() + count, array.begin() + index);
}

// Moves elements between neighbours, so that the left one has half of all, rounded down.
template <class Array>
void share(Array& left, unsigned left_count, Array& right, unsigned right_count) {
  const unsigned target = (left_count + right_count) / 2;
  if (left_count > target) {
    const unsigned moved = left_count - target;
    std::move_backward(right.begin(), right.begin() + right_count, right.begin() + right_count + moved);
    std::copy(left.begin() + target, left.begin() + left_count, right.begin());
  } else {
    const unsigned moved = target - left_count;
    std::copy(right.begin(), right.begin() + moved, left.begin() + left_count);
    std::move(right.begin() + moved, right.begin() + right_count, right.begin());
  }
}

// Keys as one string each: the space, then the path.
size_t common_size(const TreeKey& a, const TreeKey& b) {
  if (a.space != b.space) return 0;
  const auto [in_a, in_b] = std::ranges::mismatch(a.path, b.path);
  return 1 + static_cast<size_t>(in_a - a.path.begin());
}

bool share_first(const TreeKey& a, const TreeKey& b, size_t size) {
  if (size == 0) return true;
  if (a.space != b.space || a.path.size() < size - 1 || b.path.size() < size - 1) return false;
  return size == 1 || std::memcmp(a.path.data(), b.path.data(), size - 1) == 0;
}

// Eight bytes from `skip` on, zeros behind the end. Keys with the first `skip` bytes in common are ordered as
// their heads are, or have equal ones.
uint64_t head_of(const TreeKey& key, size_t skip) {
  uint64_t head = 0;
  auto* bytes = reinterpret_cast<char*>(&head);
  size_t room = sizeof(head);
  if (skip == 0) {
    *bytes++ = static_cast<char>(key.space);
    --room;
  }
  const size_t from = skip == 0 ? 0 : skip - 1;
  if (from < key.path.size())
    std::memcpy(bytes, key.path.data() + from, std::min(room, key.path.size() - from));
  return std::byteswap(head);
}

uint16_t tag_of(const TreeKey& key) {
  return static_cast<uint16_t>(
      XXH3_64bits_withSeed(key.path.data(), key.path.size(), static_cast<uint64_t>(key.space)));
}
static_assert(std::endian::native == std::endian::little);

}  // namespace

Entry* Entry::make(TreeKey key, Version version, std::string_view record) {
  FB_ASSERT(key.path.size() <= kTreeKeySizeMax, key.path.size());
  FB_ASSERT(record.size() <= kRecordSizeMax, record.size());
  void* memory = ::operator new(sizeof(Entry) + key.path.size() + record.size());
  Entry* entry = new (memory) Entry;
  entry->version_ = version;
  entry->record_size_ = static_cast<uint32_t>(record.size());
  entry->path_size_ = static_cast<uint16_t>(key.path.size());
  entry->space_ = key.space;
  char* bytes = reinterpret_cast<char*>(entry + 1);
  if (!key.path.empty()) std::memcpy(bytes, key.path.data(), key.path.size());
  if (!record.empty()) std::memcpy(bytes + key.path.size(), record.data(), record.size());
  return entry;
}

void Entry::free(Entry* entry) { ::operator delete(static_cast<void*>(entry)); }

size_t Entry::memory_bytes(size_t path_size, size_t record_size) {
  return align_up(sizeof(Entry) + path_size + record_size + kHeapOverhead, kHeapAlignment);
}

int compare(const TreeKey& a, const TreeKey& b) {
  if (a.space != b.space) return a.space < b.space ? -1 : 1;
  const size_t common = std::min(a.path.size(), b.path.size());
  const int order = common == 0 ? 0 : std::memcmp(a.path.data(), b.path.data(), common);
  if (order != 0) return order;
  return a.path.size() < b.path.size() ? -1 : static_cast<int>(a.path.size() > b.path.size());
}

const Entry& EntryMap::Iterator::operator*() const { return *leaf_->entries[index_]; }

void EntryMap::Iterator::settle() {
  while (leaf_ != nullptr && index_ >= leaf_->count) {
    leaf_ = leaf_->next;
    index_ = 0;
  }
}

// Where heads are equal, by the keys.
EntryMap::Position EntryMap::Node::find_among(const TreeKey& key, uint64_t head) const {
  const auto first = std::lower_bound(heads.begin(), heads.begin() + count, head);
  auto low = static_cast<unsigned>(first - heads.begin());
  if (low == count || *first != head) return {low, false};
  auto high = static_cast<unsigned>(std::upper_bound(first, heads.begin() + count, head) - heads.begin());
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    const int order = compare(entries[middle]->key(), key);
    if (order == 0) return {middle, true};
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return {low, false};
}

Entry* EntryMap::Node::find_tagged(const TreeKey& key) const {
  const uint16_t tag = tag_of(key);
  for (unsigned i = 0; i < count; ++i) {
    if (tags[i] == tag && compare(entries[i]->key(), key) == 0) return entries[i];
  }
  return nullptr;
}

EntryMap::Position EntryMap::Node::find(const TreeKey& key) const {
  if (count == 0) return {0, false};
  const TreeKey any = entries[0]->key();
  if (!share_first(any, key, skip)) return {compare(key, any) < 0 ? 0 : count, false};
  return find_among(key, head_of(key, skip));
}

bool EntryMap::Node::shares_prefix(const Entry& entry, const Entry& sibling) const {
  return share_first(entry.key(), sibling.key(), skip);
}

void EntryMap::Node::update_heads() {
  skip = count == 0 ? 0 : static_cast<uint16_t>(common_size(entries[0]->key(), entries[count - 1]->key()));
  for (unsigned i = 0; i < count; ++i) heads[i] = head_of(entries[i]->key(), skip);
  for (unsigned i = 0; leaf && i < count; ++i) tags[i] = tag_of(entries[i]->key());
}

void EntryMap::Node::insert(unsigned index, Entry* entry) {
  insert_at(entries, count, index, entry);
  insert_at(heads, count, index, uint64_t{0});
  if (leaf) insert_at(tags, count, index, tag_of(entry->key()));
  ++count;
  if (count == 1 || !shares_prefix(*entry, *entries[index == 0 ? 1 : 0])) return update_heads();
  heads[index] = head_of(entry->key(), skip);
}

void EntryMap::Node::set(unsigned index, Entry* entry) {
  if (entries[index] == entry) return;
  entries[index] = entry;
  if (count == 1 || !shares_prefix(*entry, *entries[index == 0 ? 1 : 0])) return update_heads();
  heads[index] = head_of(entry->key(), skip);
}

void EntryMap::Node::erase(unsigned index) {
  erase_at(entries, count, index);
  erase_at(heads, count, index);
  if (leaf) erase_at(tags, count, index);
  --count;
}

// The child in whose range the key falls: the last one whose least entry is not above it, or the first.
unsigned EntryMap::child_index(const Inner& inner, const TreeKey& key) {
  const Position position = inner.find(key);
  return position.equal || position.index == 0 ? position.index : position.index - 1;
}

const EntryMap::Leaf* EntryMap::leaf_for(const TreeKey& key) const {
  const Node* node = root_;
  while (node != nullptr && !node->leaf) {
    const Inner& inner = static_cast<const Inner&>(*node);
    node = inner.children[child_index(inner, key)];
  }
  return static_cast<const Leaf*>(node);
}

EntryMap::Iterator EntryMap::lower_bound(const TreeKey& key) const {
  const Leaf* leaf = leaf_for(key);
  return leaf == nullptr ? Iterator() : Iterator(leaf, leaf->find(key).index);
}

const Entry* EntryMap::find(const TreeKey& key) const {
  const Leaf* leaf = leaf_for(key);
  return leaf == nullptr ? nullptr : leaf->find_tagged(key);
}

EntryMap::Split EntryMap::insert_in_leaf(Leaf& leaf, unsigned index, Entry* entry) {
  if (leaf.count < kFanout) {
    leaf.insert(index, entry);
    return {};
  }
  // Ascending inserts leave full leaves behind; others split in the middle.
  const unsigned kept = index == kFanout ? kFanout : kFanout / 2;
  Leaf* right = new Leaf;
  right->leaf = true;
  right->next = leaf.next;
  leaf.next = right;
  std::copy(leaf.entries.begin() + kept, leaf.entries.begin() + kFanout, right->entries.begin());
  right->count = kFanout - kept;
  leaf.count = kept;
  leaf.update_heads();
  right->update_heads();
  if (index < kept || (index == kept && kept < kFanout)) {
    leaf.insert(index, entry);
  } else {
    right->insert(index - kept, entry);
  }
  return {right, right->entries[0]};
}

EntryMap::Split EntryMap::insert_child(Inner& inner, unsigned index, Node* child, Entry* least) {
  Inner* target = &inner;
  Split split;
  if (inner.count == kFanout) {
    const unsigned kept = index == kFanout ? kFanout - 1 : kFanout / 2;
    Inner* right = new Inner;
    std::copy(inner.children.begin() + kept, inner.children.end(), right->children.begin());
    std::copy(inner.entries.begin() + kept, inner.entries.end(), right->entries.begin());
    right->count = kFanout - kept;
    inner.count = kept;
    inner.update_heads();
    right->update_heads();
    if (index > kept) {
      target = right;
      index -= kept;
    }
    split = {right, right->entries[0]};
  }
  insert_at(target->children, target->count, index, child);
  target->insert(index, least);
  return split;
}

EntryMap::Split EntryMap::put_into(Node& node, Entry* entry, Entry*& replaced) {
  if (node.leaf) {
    Leaf& leaf = static_cast<Leaf&>(node);
    const Position position = leaf.find(entry->key());
    if (!position.equal) return insert_in_leaf(leaf, position.index, entry);
    replaced = std::exchange(leaf.entries[position.index], entry);
    return {};
  }
  Inner& inner = static_cast<Inner&>(node);
  const unsigned index = child_index(inner, entry->key());
  const Split split = put_into(*inner.children[index], entry, replaced);
  inner.set(index, inner.children[index]->entries[0]);
  if (split.right == nullptr) return {};
  return insert_child(inner, index + 1, split.right, split.least);
}

Entry* EntryMap::put(Entry* entry) {
  if (root_ == nullptr) {
    root_ = new Leaf;
    root_->leaf = true;
  }
  Entry* replaced = nullptr;
  const Split split = put_into(*root_, entry, replaced);
  if (split.right != nullptr) {
    Inner* root = new Inner;
    root->children[0] = root_;
    root->children[1] = split.right;
    root->insert(0, root_->entries[0]);
    root->insert(1, split.least);
    root_ = root;
  }
  if (replaced == nullptr) ++size_;
  return replaced;
}

// Moves what is in child left + 1 into child left.
void EntryMap::merge_children(Inner& inner, unsigned left) {
  Node* into = inner.children[left];
  Node* from = inner.children[left + 1];
  if (into->leaf) {
    static_cast<Leaf&>(*into).next = static_cast<Leaf&>(*from).next;
  } else {
    Inner& a = static_cast<Inner&>(*into);
    Inner& b = static_cast<Inner&>(*from);
    std::copy(b.children.begin(), b.children.begin() + b.count, a.children.begin() + a.count);
  }
  std::copy(from->entries.begin(), from->entries.begin() + from->count, into->entries.begin() + into->count);
  into->count += from->count;
  into->update_heads();
  free_node(from, false);
  erase_at(inner.children, inner.count, left + 1);
  inner.erase(left + 1);
  if (into->count != 0) inner.set(left, into->entries[0]);
}

// Children left and left + 1: merges them, or moves from the fuller to the other until both hold as many.
void EntryMap::balance(Inner& inner, unsigned left) {
  Node* a = inner.children[left];
  Node* b = inner.children[left + 1];
  const unsigned total = a->count + b->count;
  if (total <= kMergeAtMost) return merge_children(inner, left);
  share(a->entries, a->count, b->entries, b->count);
  if (!a->leaf) {
    share(static_cast<Inner&>(*a).children, a->count, static_cast<Inner&>(*b).children, b->count);
  }
  a->count = total / 2;
  b->count = total - total / 2;
  a->update_heads();
  b->update_heads();
  inner.set(left, a->entries[0]);
  inner.set(left + 1, b->entries[0]);
}

Entry* EntryMap::remove_from(Node& node, const TreeKey& key) {
  if (node.leaf) {
    Leaf& leaf = static_cast<Leaf&>(node);
    const Position position = leaf.find(key);
    if (!position.equal) return nullptr;
    Entry* removed = leaf.entries[position.index];
    leaf.erase(position.index);
    return removed;
  }
  Inner& inner = static_cast<Inner&>(node);
  const unsigned index = child_index(inner, key);
  Node& child = *inner.children[index];
  Entry* removed = remove_from(child, key);
  if (removed == nullptr) return nullptr;
  if (child.count != 0) inner.set(index, child.entries[0]);
  if (child.count < kFillMin && inner.count > 1) balance(inner, index + 1 < inner.count ? index : index - 1);
  return removed;
}

Entry* EntryMap::remove(const TreeKey& key) {
  if (root_ == nullptr) return nullptr;
  Entry* removed = remove_from(*root_, key);
  if (removed == nullptr) return nullptr;
  --size_;
  while (!root_->leaf && root_->count == 1) {
    Node* child = static_cast<Inner&>(*root_).children[0];
    free_node(root_, false);
    root_ = child;
  }
  return removed;
}

void EntryMap::free_node(Node* node, bool with_entries) {
  if (node->leaf) {
    Leaf* leaf = static_cast<Leaf*>(node);
    if (with_entries) std::for_each_n(leaf->entries.begin(), leaf->count, &Entry::free);
    delete leaf;
    return;
  }
  Inner* inner = static_cast<Inner*>(node);
  for (unsigned i = 0; with_entries && i < inner->count; ++i) free_node(inner->children[i], true);
  delete inner;
}

void EntryMap::clear() {
  if (root_ != nullptr) free_node(std::exchange(root_, nullptr), true);
  size_ = 0;
}

size_t EntryMap::verify_node(const Node& node, unsigned depth, unsigned leaf_depth) const {
  for (unsigned i = 0; i < node.count; ++i) {
    FB_ASSERT(node.shares_prefix(*node.entries[i], *node.entries[0]), node.skip);
    FB_ASSERT(!node.leaf || node.tags[i] == tag_of(node.entries[i]->key()));
    FB_ASSERT(node.heads[i] == head_of(node.entries[i]->key(), node.skip));
  }
  if (node.leaf) {
    const Leaf& leaf = static_cast<const Leaf&>(node);
    FB_ASSERT(depth == leaf_depth, depth, leaf_depth);
    FB_ASSERT(leaf.count > 0 || &node == root_);
    for (unsigned i = 1; i < leaf.count; ++i) {
      FB_ASSERT(compare(leaf.entries[i - 1]->key(), leaf.entries[i]->key()) < 0);
    }
    return leaf.count;
  }
  const Inner& inner = static_cast<const Inner&>(node);
  FB_ASSERT(inner.count > 0);
  FB_ASSERT(inner.count > 1 || &node != root_);
  size_t total = 0;
  for (unsigned i = 0; i < inner.count; ++i) {
    FB_ASSERT(inner.entries[i] == inner.children[i]->entries[0]);
    if (i > 0) FB_ASSERT(compare(inner.entries[i - 1]->key(), inner.entries[i]->key()) < 0);
    total += verify_node(*inner.children[i], depth + 1, leaf_depth);
  }
  return total;
}

void EntryMap::verify() const {
  if (root_ == nullptr) {
    FB_ASSERT(size_ == 0, size_);
    return;
  }
  unsigned leaf_depth = 0;
  for (const Node* node = root_; !node->leaf; node = static_cast<const Inner&>(*node).children[0])
    ++leaf_depth;
  FB_ASSERT(verify_node(*root_, 0, leaf_depth) == size_, size_);
  size_t walked = 0;
  const Entry* previous = nullptr;
  for (Iterator i = begin(); !i.at_end(); i.next()) {
    if (previous != nullptr) FB_ASSERT(compare(previous->key(), i->key()) < 0);
    previous = &*i;
    ++walked;
  }
  FB_ASSERT(walked == size_, walked, size_);
}

}  // namespace fb
