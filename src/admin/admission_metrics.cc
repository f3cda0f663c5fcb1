// SPDX-License-Identifier: Apache-2.0
#include "admin/admission_metrics.h"

#include <fmt/format.h>

#include <iterator>

namespace fb {
namespace {

constexpr std::array<std::string_view, kBufferUseCount> kUses = {"own",    "request", "incoming", "body",
                                                                 "answer", "text",    "copy"};

}  // namespace

void AdmissionCounters::add_core(Env& env, const HttpServer& server, uint64_t text_bytes_of_core) {
  const BufferPool& pool = env.buffers();
  for (size_t use = 0; use < kBufferUseCount; ++use)
    buffer_bytes[use] += pool.used_bytes(static_cast<BufferUse>(use));
  buffer_waits += pool.waits();
  buffer_refused += pool.refused();
  buffer_waiting += pool.waiting();
  receive_buffers += env.stats().receive_buffers;
  held_bytes += server.admission().held_bytes();
  text_bytes += text_bytes_of_core;
  requests += server.admission().requests();
  const HttpStats& http = server.stats();
  connections_max += http.connections_max;
  connections_shed += http.connections_shed;
  bodies_cut += http.bodies_cut;
  answers_cut += http.answers_cut;
  requests_refused += http.requests_refused;
}

void AdmissionCounters::append_to(std::string& text) const {
  const auto head = [&](std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(text),
                   "# HELP fractalbits_admission_{0} {2}\n# TYPE fractalbits_admission_{0} {1}\n", name, type,
                   help);
  };
  const auto line = [&](std::string_view name, std::string_view type, std::string_view help, uint64_t value) {
    head(name, type, help);
    fmt::format_to(std::back_inserter(text), "fractalbits_admission_{} {}\n", name, value);
  };
  head("buffer_bytes", "gauge", "Memory of bodies on their way, by use.");
  for (size_t use = 0; use < kBufferUseCount; ++use) {
    fmt::format_to(std::back_inserter(text), "fractalbits_admission_buffer_bytes{{use=\"{}\"}} {}\n",
                   kUses[use], buffer_bytes[use]);
  }
  line("buffer_waits_total", "counter", "Times that somebody had to wait for memory.", buffer_waits);
  line("buffer_refused_total", "counter", "Of these, those in vain: 503.", buffer_refused);
  line("buffer_waiting", "gauge", "Who waits for memory now.", buffer_waiting);
  line("receive_buffers", "gauge", "Receive buffers in use.", receive_buffers);
  line("held_bytes", "gauge", "Memory that waits for clients.", held_bytes);
  line("xml_bytes", "gauge", "Memory of the texts of XML requests.", text_bytes);
  line("requests", "gauge", "Requests in flight.", requests);
  line("connections_max", "gauge", "Connections that are accepted at a time.", connections_max);
  line("connections_shed_total", "counter", "Connections closed since they got short.", connections_shed);
  line("bodies_cut_total", "counter", "Bodies that came too slowly for what they held.", bodies_cut);
  line("answers_cut_total", "counter", "Answers that were taken too slowly for what they held.", answers_cut);
  line("requests_refused_total", "counter", "Requests refused since too many were in flight.",
       requests_refused);
}

}  // namespace fb
