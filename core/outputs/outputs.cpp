// SPDX-License-Identifier: Apache-2.0
#include "outputs/outputs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "outputs/datagram_sink.h"
#include "outputs/file_sink.h"
#include "outputs/http_sink.h"
#include "outputs/stream_sink.h"
#include "query/row_condition.h"
#include "trivet/records/all.h"

namespace trivet {
namespace {

// For an output that the configuration no longer has, while the main thread waits.
constexpr std::chrono::milliseconds kPartingPatience{1000};

Result<UniqueFd> standard_output() {
  UniqueFd copy(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!copy) return system_error(errno, "cannot use standard output");
  return copy;
}

}  // namespace

Result<void> check_outputs(const std::vector<OutputSettings>& outputs) {
  for (const auto& output : outputs) {
    if (output.where.empty()) continue;
    for (const auto* schema : all_record_schemas()) {
      if (std::ranges::find(output.tables, schema->table) == output.tables.end()) continue;
      auto valid = check_condition(output.where, *schema);
      if (valid) continue;
      Error error =
          std::move(valid).error().within("outputs.where, of table " + std::string(schema->table));
      error.place = output.where_place;
      return error;
    }
  }
  return {};
}

Outputs::Outputs(Tables& tables, OriginNow origin, OutputAccess access, Log& log)
    : tables_(tables), origin_(std::move(origin)), access_(std::move(access)), log_(log) {}

Outputs::~Outputs() = default;

Output* Outputs::find(const std::string& name) const {
  for (const auto& output : outputs_)
    if (output->settings().name == name) return output.get();
  return nullptr;
}

std::vector<const Output*> Outputs::all() const {
  std::vector<const Output*> all;
  for (const auto& output : outputs_) all.push_back(output.get());
  return all;
}

Result<std::unique_ptr<Sink>> Outputs::make_sink(const OutputSettings& settings,
                                                 OutputCounts& counts) {
  using Made = std::unique_ptr<Sink>;
  UniqueFd folder;
  if (const auto wanted = output_folder(settings); !wanted.path.empty()) {
    auto opened = access_.folder(wanted.path);
    if (!opened) return std::move(opened).error();
    folder = std::move(*opened);
  }
  if (std::holds_alternative<StdoutTarget>(settings.target))
    return Made(std::make_unique<StreamSink>(standard_output, counts));
  if (auto target = std::get_if<FileTarget>(&settings.target)) {
    auto sink = std::make_unique<FileSink>(std::move(folder),
                                           std::filesystem::path(target->path).filename().string(),
                                           target->max_bytes, target->keep, counts);
    if (auto usable = sink->check(); !usable) return std::move(usable).error();
    return Made(std::move(sink));
  }
  if (auto target = std::get_if<SyslogTarget>(&settings.target))
    return Made(std::make_unique<DatagramSink>(
        target->socket,
        [facility = target->facility](const Line& line) { return syslog_message(line, facility); },
        counts));
  if (auto target = std::get_if<JournalTarget>(&settings.target))
    return Made(std::make_unique<DatagramSink>(
        target->socket,
        [name = settings.name](const Line& line) { return journal_message(line, name); }, counts));
  if (auto target = std::get_if<HttpTarget>(&settings.target)) {
    auto sink = HttpSink::create(*target, std::move(folder), settings.name, counts, log_);
    if (!sink) return std::move(sink).error();
    return Made(std::move(*sink));
  }
  return Made(std::make_unique<StreamSink>(
      [program = access_.program, name = settings.name] { return program(name); }, counts));
}

Result<Outputs::Prepared> Outputs::prepare(std::vector<OutputSettings> settings) {
  if (auto valid = check_outputs(settings); !valid) return std::move(valid).error();
  Prepared prepared;
  for (auto& wanted : settings) {
    auto& change = prepared.changes_.emplace_back();
    Output* there = find(wanted.name);
    if (!there || there->settings() != wanted) {
      if (!there) change.made = std::make_unique<Output>(tables_, origin_, log_, wanted);
      auto sink = make_sink(wanted, there ? there->counts() : change.made->counts());
      if (!sink) {
        Error error = std::move(sink).error().within("output \"" + wanted.name + "\"");
        error.place = wanted.place;
        return error;
      }
      change.sink = std::move(*sink);
    }
    change.settings = std::move(wanted);
  }
  return prepared;
}

void Outputs::apply(Prepared prepared) {
  std::vector<std::unique_ptr<Output>> before = std::move(outputs_);
  outputs_.clear();
  // First all of them stop, so that one may take over a folder from another.
  for (auto& change : prepared.changes_) {
    if (change.made) {
      outputs_.push_back(std::move(change.made));
      continue;
    }
    const auto there = std::ranges::find_if(before, [&](const auto& output) {
      return output && output->settings().name == change.settings.name;
    });
    if (change.sink) (*there)->pause();
    outputs_.push_back(std::move(*there));
  }
  std::erase(before, nullptr);
  end(std::move(before), kPartingPatience);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    auto& change = prepared.changes_[i];
    if (!change.sink) continue;
    outputs_[i]->replace(std::move(change.settings), std::move(change.sink));
    outputs_[i]->resume();
  }
}

void Outputs::end(std::vector<std::unique_ptr<Output>> outputs,
                  std::chrono::milliseconds patience) {
  const auto deadline = Output::Clock::now() + patience;
  for (const auto& output : outputs) output->finish(deadline);
  for (const auto& output : outputs) output->await();
}

void Outputs::finish(std::chrono::milliseconds patience) {
  end(std::exchange(outputs_, {}), patience);
}

}  // namespace trivet
