// SPDX-License-Identifier: Apache-2.0
#pragma once

// Part of tree.h: reading.

namespace fb::art {

template <PageSource Source, JournalSink Journal>
template <class Take>
Answer Tree<Source, Journal>::get(std::string_view key, Take&& take) {
  for (bool first = true;; first = false) {
    if (!first) source_.pause();
    const uint64_t noted = gate_.note();
    if (RenameGate::is_closed(noted)) continue;
    Frame* frame = source_.root();
    OptimisticRead read(frame->latch);
    if (!read.started()) continue;
    std::string_view rest = key;
    Found found = Found::arrived;
    Answer answer;
    for (uint32_t pages = 0;; ++pages) {
      const PageView view(*frame);
      const Stop stop = walk(view, rest);
      if (stop.kind == StopKind::link || stop.kind == StopKind::range) {
        const LinkInfo link = link_at(view, stop);
        if (!read.valid()) {
          found = Found::restart;
          break;
        }
        if (pages > kPathPagesMax) {
          found = Found::damaged;
          break;
        }
        source_.point("art.get");
        OptimisticRead below;
        Frame* child = nullptr;
        found = follow(source_, frame, read, link, child, below, answer.page);
        if (found != Found::arrived) break;
        rest.remove_prefix(stop.consumed);
        frame = child;
        read = std::move(below);
        continue;
      }
      const Block value = stop.kind == StopKind::value ? value_at(view, stop) : Block{};
      if (value.ok()) take(value.value_flags(), value.value());
      answer.lsn = std::max(view.lsn(), gate_.last_rename());
      answer.outcome = value.ok() ? Outcome::done : Outcome::absent;
      answer.page = frame->page_id.load(std::memory_order_relaxed);
      const bool bad = stop.kind == StopKind::bad || stop.kind == StopKind::partition;
      if (!read.valid()) {
        found = Found::restart;
      } else if (bad) {
        found = Found::damaged;
      }
      break;
    }
    if (found == Found::restart) continue;
    if (found != Found::arrived) answer.outcome = failed(found);
    if (gate_.unchanged(noted)) return answer;
  }
}

}  // namespace fb::art
