// SPDX-License-Identifier: Apache-2.0
// What the core lends to a plugin. Each plugin has one worker thread: start(), stop(), every
// handler and every timer run on it, so plugin code needs no locks. An interface, so that tests
// drive a plugin with a FakeHost: no kernel, no root.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event.h"
#include "trivet/bpf.h"
#include "trivet/config.h"
#include "trivet/facts.h"
#include "trivet/log.h"
#include "trivet/metrics.h"
#include "trivet/record.h"
#include "trivet/result.h"

namespace trivet {

inline TaskKey task_key(const task_key& key) {
  return {key.start_ns, key.tgid, key.exec_count};
}

// An event as a handler gets it. Valid during the call.
struct AnyEvent {
  const event_header& header;
  std::span<const std::byte> bytes;  // the whole record, header included
  const ProcessRef& process;         // its process as of the event; null if unknown
  const ProcessRef& parent;          // that one's parent as of the event; null if unknown
};
template <class E>
struct Event {
  const E& data;
  std::span<const std::byte> tail;  // what follows the struct
  const ProcessRef& process;
  const ProcessRef& parent;
};

// An answer to a control verb: JSON text, or an error for the person who asked.
using Verb = std::function<Result<std::string>(const std::vector<std::string>& arguments)>;

// What a verb needs of whoever asks for it: control.read_group or control.write_group.
enum class Access { read, write };

class Host {
 public:
  virtual ~Host() = default;

  // Has the broker load and attach an object of this plugin. Fails if a required hook found no
  // tier.
  virtual Result<std::unique_ptr<Object>> attach(const ObjectSpec& spec) = 0;

  // Calls handler for each event of type E, in time order. Call in start().
  template <class E>
  void on(std::function<void(const Event<E>&)> handler) {
    on_event(EventTraits<E>::id, EventTraits<E>::version, sizeof(E),
             [handler = std::move(handler)](const AnyEvent& any) {
               handler(Event<E>{*reinterpret_cast<const E*>(any.bytes.data()),
                                any.bytes.subspan(sizeof(E)), any.process, any.parent});
             });
  }

  // Makes the table of R known before its first record: for types that the core does not declare.
  // Call in start().
  template <class R>
  void table() {
    declare_table(R::schema());
  }
  // Publishes a record to its table, the outputs, live streams and subscribers.
  template <class R>
  void publish(R record) {
    publish_record(R::schema(), std::make_shared<const R>(std::move(record)));
  }

  // Calls handler for each record of type R that any plugin publishes. Call in start().
  template <class R>
  void on_record(std::function<void(const R&)> handler) {
    on_any_record(R::schema(), [handler = std::move(handler)](const void* record) {
      handler(*static_cast<const R*>(record));
    });
  }

  // Calls tick about once each period. Call in start().
  virtual void every(std::chrono::milliseconds period, std::function<void()> tick) = 0;
  // Adds a verb to the control socket and the command line, such as "policy show". `access` is read
  // if it changes nothing and tells no more than records do. Call in start().
  virtual void verb(const std::string& name, const std::string& help, Access access, Verb verb) = 0;

  // What somebody sent to a verb as TOML, with `path` in the places of errors. It names no files.
  virtual Result<std::unique_ptr<Config>> parse(const std::string& path,
                                                const std::string& text) = 0;

  // Now, CLOCK_BOOTTIME in ns: what event times compare with. In a replay the time of the capture,
  // which no call to the kernel tells.
  virtual std::uint64_t now_ns() const = 0;
  // Has these names' addresses looked up, at once and again every half minute. Until the first
  // answers `before` is asked, which may be null.
  virtual std::unique_ptr<AddressNames> resolve(std::vector<std::string> names,
                                                std::unique_ptr<AddressNames> before) = 0;

  virtual Facts& facts() = 0;
  virtual Metrics& metrics() = 0;
  virtual Log& log() = 0;

 protected:
  // Records shorter than `size` or of another version are counted as malformed and not delivered.
  virtual void on_event(unsigned id, unsigned version, std::size_t size,
                        std::function<void(const AnyEvent&)> handler) = 0;
  virtual void declare_table(const RecordSchema& schema) = 0;
  virtual void publish_record(const RecordSchema& schema, std::shared_ptr<const void> record) = 0;
  virtual void on_any_record(const RecordSchema& schema,
                             std::function<void(const void*)> handler) = 0;
};

// Fills a record's subject columns (TRIVET_SUBJECT_COLUMNS) from an event's header and process.
template <class R>
void set_subject(R& record, const event_header& header, const ProcessRef& process) {
  record.time = Time{header.time_ns};
  record.pid = header.task.tgid;
  record.process_start_ns = header.task.start_ns;
  record.process_exec_count = header.task.exec_count;
  record.cgroup_id = header.cgroup_id;
  record.socket_cookie = header.socket_cookie;
  record.cause_id = header.cause_id;
  set_process(record, process);
}

// The part of the subject that the process tells; leaves the record as it is if that is unknown.
template <class R>
void set_process(R& record, const ProcessRef& process) {
  if (!process) return;
  record.pid = process->key.tgid;
  record.process_start_ns = process->key.start_ns;
  record.process_exec_count = process->key.exec_count;
  record.process = process->name;
  record.exe = process->exe;
  record.uid = process->uid;
  record.unit = process->unit;
  record.container_id = process->container_id;
  record.cgroup_id = process->cgroup_id;
}

}  // namespace trivet
